//! Requests that only sometimes are wrong: too large, too late, or of another server.

use aulos_protocol::{
    ErrorCode::{Busy, InvalidArgument, Io, NotFound, Unavailable},
    Reply,
};

use crate::bench::{Bench, Raw, Says::Remedy, check, wait_until};

#[test]
fn huge_names_and_lists_are_refused_with_a_short_message() {
    let mut bench = Bench::new();
    let mut raw = Raw::new(&bench.server);
    let huge = "x".repeat(1 << 20);
    let many = vec![r#"{"method":"node_add","params":{"kind":"bus"}}"#; 10_001].join(",");
    let blocks = vec!["1"; 1_000_001].join(",");
    for (method, params, code, part) in [
        ("node_add", format!(r#"{{"kind":"track","name":"{huge}"}}"#), InvalidArgument, "cannot be the name"),
        ("node_add", format!(r#"{{"kind":"{huge}"}}"#), InvalidArgument, "node_add"),
        ("node_remove", format!(r#"{{"node":"{huge}"}}"#), NotFound, "there is no node"),
        ("set", format!(r#"{{"node":"drums","param":"{huge}","value":0}}"#), NotFound, "parameter of drums"),
        ("set", format!(r#"{{"node":"drums","param":"gain","value":"{huge}"}}"#), InvalidArgument, "set"),
        ("link", format!(r#"{{"from":"drums:{huge}","to":"room"}}"#), NotFound, "port of drums"),
        ("link", format!(r#"{{"from":":{huge}","to":"room"}}"#), InvalidArgument, "no end of a link"),
        ("unlink", format!(r#"{{"from":"drums","to":"{huge}"}}"#), NotFound, "there is no node"),
        ("clip_add", format!(r#"{{"track":"{huge}","file":"/x.wav"}}"#), NotFound, "there is no node"),
        ("clip_add", format!(r#"{{"track":"drums","file":"/{huge}"}}"#), Io, "could not read"),
        ("session_open", format!(r#"{{"path":"/{huge}","discard":true}}"#), NotFound, "no session in"),
        ("session_save", format!(r#"{{"path":"/{huge}"}}"#), Io, "could not"),
        ("render", format!(r#"{{"path":"/{huge}"}}"#), InvalidArgument, "does not say which format"),
        ("batch", format!(r#"{{"commands":[{many}]}}"#), InvalidArgument, "a batch of 10001 commands"),
        ("step", format!(r#"{{"blocks":[{blocks}]}}"#), InvalidArgument, "in one step"),
    ] {
        let error = raw.call(method, &params).expect_err(method);
        check(&format!("{method} {params}"), &error, code, part, &[]);
        bench.goes_on(method);
    }
}

#[test]
fn a_command_for_another_revision_is_refused() {
    let mut bench = Bench::new();
    let mut raw = Raw::new(&bench.server);
    let line = |revision: u64| {
        format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"node_remove\",\"params\":{{\"node\":\"hall\"}},\"revision\":{revision}}}"
        )
    };
    let Ok(Reply::Status(status)) = raw.call("status", "{}") else { panic!("no status") };
    for wrong in [0, status.revision - 1, status.revision + 1, u64::MAX] {
        let (_, result) = raw.ask(line(wrong).as_bytes());
        let part = format!("revision {}", status.revision);
        check("another revision", &result.unwrap_err(), Busy, &part, &[Remedy("look at what has changed")]);
        bench.goes_on("a command for another revision");
    }
    let (_, result) = raw.ask(line(status.revision).as_bytes());
    assert!(matches!(result, Ok(Reply::Applied(_))), "{result:?}");
}

#[test]
fn undo_and_redo_end_where_the_history_ends() {
    let mut bench = Bench::new();
    let mut raw = Raw::new(&bench.server);
    let mut steps = 0;
    let error = loop {
        match raw.call("undo", "{}") {
            Ok(_) => steps += 1,
            Err(error) => break error,
        }
    };
    check("undo", &error, Unavailable, "nothing to undo", &[]);
    assert_eq!(steps, 13);
    for _ in 0..steps {
        raw.call("redo", "{}").unwrap();
    }
    check("redo", &raw.call("redo", "{}").unwrap_err(), Unavailable, "nothing to redo", &[]);
    bench.goes_on("undo and redo");
}

#[test]
fn the_clock_of_another_driver_cannot_be_stepped() {
    use aulos_tests::server::Server;
    let server = Server::start(["--driver", "dummy"]);
    let mut raw = Raw::new(&server);
    let error = raw.call("step", r#"{"blocks":[64]}"#).unwrap_err();
    check("step", &error, Unavailable, "moves its clock by itself", &[Remedy("--driver stepped")]);
    let cycles = |raw: &mut Raw| match raw.call("status", "{}") {
        Ok(Reply::Status(status)) => status.driver.cycles,
        other => panic!("{other:?}"),
    };
    let before = cycles(&mut raw);
    wait_until("the driver goes on", || cycles(&mut raw) > before);
}
