//! Audio files: any bytes are read or refused.
#![no_main]

use std::io::Write;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("room for it");
    let streams = aulos_server::disk::Streams::new(8192).expect("a disk thread");
    if let Ok(stream) = streams.open(file.path()) {
        let mut wanted = aulos_server::disk::Wanted::new();
        wanted.add(&stream, 0..8192);
        streams.want(wanted.clone());
        streams.wait_ready(&wanted, std::time::Duration::from_secs(10)).expect("the disk thread goes on");
        let mut out = [0.0f32; 1000];
        use aulos_nodes::ClipSource;
        assert!(stream.read(0, 0, &mut out));
        assert!(out.iter().all(|x| x.is_finite()));
    }
});
