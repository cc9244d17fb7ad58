//! Session files: whatever is read is valid, and is read again from what is written.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(session) = aulos_server::parse_session(text) {
        let written = serde_json_text(&session);
        let again = aulos_server::parse_session(&written).expect("what was written is read");
        assert_eq!(again, session);
    }
});

fn serde_json_text(session: &aulos_protocol::Session) -> String {
    serde_json::to_string(session).expect("a session is plain data")
}
