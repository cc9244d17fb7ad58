//! Pipes, time-outs, and servers that are not there.

use std::{
    io::{BufRead, BufReader, Write},
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value as Json;

use crate::{
    answer, aulosctl,
    fake::{Fake, Mood},
    run, told,
};

#[test]
fn no_server_and_no_answer_are_told_apart() {
    let fake = Fake::willing();
    let (code, out, err) = run(&fake, "status --socket /nonexistent/aulos.sock");
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(err.contains("no server answers at /nonexistent/aulos.sock"), "{err}");
    assert!(err.contains("start one with aulosd"), "{err}");

    let (code, _, err) = run(&Fake::start(Mood::Foreign), "status");
    assert_eq!(code, 3);
    assert!(err.contains("protocol 9") && err.contains("version"), "{err}");

    let fake = Fake::start(Mood::Deaf);
    let begin = Instant::now();
    let (code, _, err) = run(&fake, "--timeout 0.2 status");
    assert_eq!((code, err.as_str()), (124, "aulosctl: the server did not answer in time\n"));
    assert!(begin.elapsed() < Duration::from_secs(5));

    let (code, _, err) = run(&Fake::willing(), "--json nonsense");
    assert_eq!(code, 2);
    let json: Json = serde_json::from_str(&err).unwrap();
    assert_eq!(json["error"]["code"], "invalid_argument");
}

#[test]
fn a_closed_pipe_is_a_quiet_end() {
    let fake = Fake::willing();
    for line in [
        "ls",
        "status --json",
        "watch --json",
        "watch --telemetry 60",
        "raw status",
        "--help",
        "set drums gain 0",
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = aulosctl(&fake, line).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let (code, _, err) = told(output);
        assert_eq!(code, 0, "{line}: {err}");
        assert!(!err.contains("panicked") && !err.contains("pipe"), "{line}: {err}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = aulosctl(&Fake::willing(), "ls").stdout(full).stderr(Stdio::piped()).output().unwrap();
    let (code, _, err) = told(output);
    assert_eq!(code, 1);
    assert!(err.starts_with("aulosctl: could not write the answer"), "{err}");
}

#[test]
fn watching_begins_with_the_full_state() {
    let fake = Fake::willing();
    let mut child = aulosctl(&fake, "watch --json --telemetry 60").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Json>(&lines.next().unwrap().unwrap()).unwrap();
    let opened = next();
    assert_eq!((&opened["event"], &opened["data"]["revision"]), (&"opened".into(), &17.into()));
    assert_eq!(next()["event"], "warning");
    assert_eq!(next()["event"], "telemetry");
    child.kill().unwrap();
    child.wait().unwrap();

    let (code, out, err) = run(&Fake::start(Mood::HangingUp), "watch");
    assert_eq!((code, out.as_str()), (3, "warning    a file is missing\ndropped    too slow\n"));
    assert!(err.contains("watching evening") && err.contains("hung up: too slow"), "{err}");
}

#[test]
fn lines_are_passed_through_and_answered_in_full() {
    let fake = Fake::willing();
    let pass = |input: &str| {
        let mut command = aulosctl(&fake, "raw -");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        told(child.wait_with_output().unwrap())
    };
    let (code, out, _) = pass(
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"play\"}\n\n{\"jsonrpc\":\"2.0\",\"method\":\"stop\"}\n",
    );
    assert_eq!((code, out.as_str()), (0, "{\"id\":1,\"jsonrpc\":\"2.0\",\"result\":{\"reply\":\"done\"}}\n"));
    assert_eq!(fake.commands().len(), 2);
    let (code, out, err) = pass("nonsense\n{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"play\"}\n");
    assert_eq!((code, out.lines().count(), err.as_str()), (1, 2, ""));
    assert_eq!(pass(""), (0, String::new(), String::new()));

    let (code, _, err) = run(&fake, "raw play [1");
    assert_eq!(code, 2, "{err}");
}

#[test]
fn a_shutdown_waits_for_the_end() {
    let fake = Fake::willing();
    assert_eq!(answer(&fake, "shutdown"), "the server is ending\n");
    assert_eq!(answer(&fake, "shutdown --json"), "null\n");
}
