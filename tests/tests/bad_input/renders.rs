//! Renders that cannot be made, and renders that nobody wants any more.

use std::{fs, path::Path};

use aulos_protocol::{
    Error,
    ErrorCode::{Busy, Exists, InvalidArgument, NotFound, OutOfRange, Unavailable},
    OperationState, Reply,
};
use aulos_tests::server::Server;
use serde_json::{Value as Json, json};

use crate::bench::{
    Bench, Raw,
    Says::{Expected, Range, Remedy},
    check, wait_until,
};

fn state(raw: &mut Raw, operation: u64) -> OperationState {
    match raw.call("operation", &json!({ "operation": operation }).to_string()) {
        Ok(Reply::Operation(state)) => state,
        other => panic!("{other:?}"),
    }
}

/// Waits for the end of an operation.
fn end(raw: &mut Raw, operation: u64) -> Result<Vec<String>, Error> {
    wait_until("the render ends", || state(raw, operation).ended);
    let OperationState { error, report, .. } = state(raw, operation);
    error.map_or(Ok(report), Err)
}

fn start(raw: &mut Raw, params: &Json) -> Result<u64, Error> {
    match raw.call("render", &params.to_string())? {
        Reply::Started { operation } => Ok(operation),
        other => panic!("{other:?}"),
    }
}

#[test]
fn renders_that_make_no_sense_are_refused_at_once() {
    const TIMELINE: f64 = 1_099_511_627_776.0;
    let mut bench = Bench::new();
    let mut raw = Raw::new(&bench.server);
    for (params, code, part, says) in [
        ("{}", InvalidArgument, "missing field `path`", &[Remedy("schema")][..]),
        (r#"{"path":7}"#, InvalidArgument, "render", &[]),
        (r#"{"path":"x.wav"}"#, InvalidArgument, "not a whole path", &[Expected("begins with /")]),
        (r#"{"path":"/tmp/x"}"#, InvalidArgument, "which format", &[Expected(".wav or .flac")]),
        (r#"{"path":"/tmp/x.mp3"}"#, InvalidArgument, "which format", &[]),
        (r#"{"path":"/tmp/x.wav","format":"aiff"}"#, InvalidArgument, "unknown variant `aiff`", &[]),
        (r#"{"path":"/tmp/x.wav","depth":"8"}"#, InvalidArgument, "unknown variant `8`", &[]),
        (r#"{"path":"/tmp/x.wav","depth":24}"#, InvalidArgument, "render", &[]),
        (
            r#"{"path":"/tmp/x.flac","depth":"32f"}"#,
            InvalidArgument,
            "floating-point",
            &[Expected("16 or 24 bits"), Remedy("WAV")],
        ),
        (r#"{"path":"/tmp/x.wav","format":"flac","depth":"32f"}"#, InvalidArgument, "floating-point", &[]),
        (r#"{"path":"/tmp/x.wav","rate":7999}"#, InvalidArgument, "outside 8000 to 384000 Hz", &[]),
        (r#"{"path":"/tmp/x.wav","rate":44100.5}"#, InvalidArgument, "44100.5", &[]),
        (
            r#"{"path":"/tmp/x.wav","start":480,"end":480}"#,
            InvalidArgument,
            "is empty",
            &[Expected("after the start")],
        ),
        (r#"{"path":"/tmp/x.wav","start":481,"end":480}"#, InvalidArgument, "is empty", &[]),
        (r#"{"path":"/tmp/x.wav","start":-1}"#, InvalidArgument, "-1", &[]),
        (
            r#"{"path":"/tmp/x.wav","start":1099511627777}"#,
            OutOfRange,
            "the start",
            &[Range(0.0, TIMELINE, "frames")],
        ),
        (
            r#"{"path":"/tmp/x.wav","end":1099511627777}"#,
            OutOfRange,
            "the end",
            &[Range(0.0, TIMELINE, "frames")],
        ),
        (r#"{"path":"/tmp/x.wav","end":480,"tail":18446744073709551615}"#, OutOfRange, "the tail", &[]),
        (r#"{"path":"/tmp/x.wav","block":0}"#, OutOfRange, "the block", &[Range(1.0, 65_536.0, "frames")]),
        (
            r#"{"path":"/tmp/x.wav","block":65537}"#,
            OutOfRange,
            "65537 frames",
            &[Range(1.0, 65_536.0, "frames")],
        ),
        (r#"{"path":"/tmp/x.wav","raw":1}"#, InvalidArgument, "render", &[]),
    ] {
        let error = raw.call("render", params).expect_err(params);
        check(params, &error, code, part, says);
        bench.goes_on(params);
    }
    assert!(!Path::new("/tmp/x.wav").exists() && !Path::new("/tmp/x.flac").exists());

    for (change, part, remedy) in [
        (r#"[{"method":"node_remove","params":{"node":"output"}}]"#, "no output", "aulosctl node add output"),
        (r#"[{"method":"node_add","params":{"kind":"output","channels":9}}]"#, "9 channels", "write WAV"),
    ] {
        raw.call("batch", &format!("{{\"commands\":{change}}}")).unwrap();
        let error = raw.call("render", r#"{"path":"/tmp/x.flac","end":480}"#).expect_err(part);
        assert!(matches!(error.code, Unavailable | InvalidArgument), "{error:?}");
        check(change, &error, error.code, part, &[Remedy(remedy)]);
        raw.call("undo", "{}").unwrap();
    }
}

#[test]
fn renders_that_fail_leave_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir(path("folder.wav")).unwrap();
    fs::write(path("file"), "").unwrap();
    std::os::unix::net::UnixListener::bind(path("socket.wav")).unwrap();
    let before = fs::read_dir(dir.path()).unwrap().count();
    let mut bench = Bench::new();
    let mut raw = Raw::new(&bench.server);
    for (params, code, part, says) in [
        (
            json!({ "path": path("nowhere/x.wav"), "end": 480 }),
            NotFound,
            "no folder",
            &[Remedy("make the folder")][..],
        ),
        (json!({ "path": path("file/x.wav"), "end": 480 }), NotFound, "no folder", &[]),
        (json!({ "path": path("folder.wav"), "end": 480 }), InvalidArgument, "is a folder", &[]),
        (json!({ "path": path("socket.wav"), "end": 480 }), InvalidArgument, "is not a file", &[]),
        (json!({ "path": "/dev/null", "format": "wav", "end": 480 }), InvalidArgument, "is not a file", &[]),
        (
            json!({ "path": path("x.wav") }),
            InvalidArgument,
            "nothing after the start",
            &[Expected("clips"), Remedy("--to 10s")],
        ),
        (json!({ "path": path("x.wav"), "start": 480 }), InvalidArgument, "nothing after the start", &[]),
    ] {
        let what = params.to_string();
        let operation = start(&mut raw, &params).expect(&what);
        let error = end(&mut raw, operation).expect_err(&what);
        check(&what, &error, code, part, says);
        bench.goes_on(&what);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), before, "{what} leaves something");
    }
}

#[test]
fn endless_renders_are_cancelled_and_more_than_four_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new();
    let mut raw = Raw::new(&bench.server);
    let old = b"a file that is replaced only by a whole one";
    fs::write(dir.path().join("0.flac"), old).unwrap();
    let params = |name: String| json!({ "path": dir.path().join(name), "end": 1u64 << 40 });
    let running: Vec<u64> = (0..4).map(|n| start(&mut raw, &params(format!("{n}.flac"))).unwrap()).collect();
    let error = start(&mut raw, &params("more.flac".into())).unwrap_err();
    check("a fifth render", &error, Busy, "4 operations", &[Remedy("cancel one")]);
    // The session plays on beside them.
    wait_until("all of them write", || (0..4).all(|n| dir.path().join(format!("{n}.flac.partial")).exists()));
    bench.goes_on("four endless renders");
    for operation in &running {
        let params = json!({ "operation": operation }).to_string();
        assert!(!state(&mut raw, *operation).ended);
        raw.call("operation_cancel", &params).unwrap();
        let error = end(&mut raw, *operation).unwrap_err();
        check("a cancelled render", &error, Unavailable, "cancelled", &[]);
        let error = raw.call("operation_cancel", &params).unwrap_err();
        check("cancelling again", &error, Unavailable, "has ended already", &[]);
    }
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["0.flac"], "unfinished files stay");
    assert_eq!(fs::read(dir.path().join("0.flac")).unwrap(), old);
    // There is room again.
    let operation = start(&mut raw, &json!({ "path": dir.path().join("0.flac"), "end": 480 })).unwrap();
    end(&mut raw, operation).unwrap();
    assert_ne!(fs::read(dir.path().join("0.flac")).unwrap(), old);
    bench.goes_on("renders");
}

#[test]
fn two_renders_to_one_file_are_one_too_many() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new();
    let mut raw = Raw::new(&bench.server);
    let params = |end: u64| json!({ "path": dir.path().join("x.wav"), "end": end });
    let first = start(&mut raw, &params(1 << 40)).unwrap();
    wait_until("it writes", || dir.path().join("x.wav.partial").exists());
    let second = start(&mut raw, &params(480)).unwrap();
    let error = end(&mut raw, second).unwrap_err();
    assert_ne!(error.code, Exists);
    check("the same file", &error, Busy, "being written already", &[Remedy("another name")]);
    bench.goes_on("rendering to one file twice");
    raw.call("operation_cancel", &json!({ "operation": first }).to_string()).unwrap();
    end(&mut raw, first).unwrap_err();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_render_that_runs_when_the_server_ends_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::stepped();
    let mut raw = Raw::new(&server);
    start(&mut raw, &json!({ "path": dir.path().join("x.wav"), "end": 1u64 << 40 })).unwrap();
    wait_until("it writes", || dir.path().join("x.wav.partial").exists());
    assert!(server.terminate().success(), "{}", server.log());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "an unfinished file stays");
}
