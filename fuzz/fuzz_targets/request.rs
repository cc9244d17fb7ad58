//! Lines on the control socket, and lines from a server.
#![no_main]

use aulos_protocol::wire::{read_from_server, read_request, write_request};

libfuzzer_sys::fuzz_target!(|line: &str| {
    if let Ok(request) = read_request(line) {
        let again = read_request(&write_request(&request)).expect("what was written is read");
        assert_eq!(again, request);
    }
    let _ = read_from_server(line);
});
