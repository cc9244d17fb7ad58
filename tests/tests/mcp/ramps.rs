//! What agents change does not jump: the samples are those of an edit by hand with a longer fade.

use std::path::Path;

use aulos_tests::server::{Server, read_wav};
use serde_json::json;

use crate::agent::{Agent, block_on};

/// What is played while `edits` are made, some cycles after one another, in a session whose fades take `ms`.
fn played(ms: u32, edits: &[&dyn Fn(&Server)]) -> Vec<Vec<f32>> {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("played.wav");
    let server =
        Server::start(["--driver", "stepped", "--block", "1024", "--capture", capture.to_str().unwrap()]);
    for line in
        ["node add tone beep frequency=200 level=-6dB", "bus add mix", "link beep mix", "link mix output"]
    {
        server.ok(line);
    }
    server.ok(&format!("session set --fade {ms}ms"));
    let step = || drop(server.ok("step 1024 1024 1024 1024 1024 1024 1024 1024"));
    step();
    for edit in edits {
        edit(&server);
        step();
    }
    drop(server);
    read_wav(Path::new(&capture))
}

/// An agent that calls a tool once.
fn agent(args: &[&str], tool: &'static str, arguments: serde_json::Value) -> impl Fn(&Server) {
    move |server| {
        block_on(async { Agent::new(server, args).await.ok(tool, arguments.clone()).await });
    }
}

fn quiet() -> serde_json::Value {
    json!({ "values": [{ "node": "mix", "param": "gain", "value": -20 }] })
}

#[test]
fn what_an_agent_sets_and_takes_back_fades_over_the_ramp() {
    let by_hand = |ms| {
        let (set, undo) = (
            |server: &Server| drop(server.ok("set mix/gain -20dB")),
            |server: &Server| {
                drop(server.ok("undo"));
            },
        );
        played(ms, &[&set, &undo])
    };
    let by_agent =
        |ms, args: &[&str]| played(ms, &[&agent(args, "set", quiet()), &agent(args, "undo", json!({}))]);
    let (fast, slow) = (by_hand(5), by_hand(100));
    assert!(fast != slow);
    assert!(by_agent(5, &[]) == slow, "100 ms unless said");
    assert!(by_agent(5, &["--ramp", "0"]) == fast, "as the session says");
    assert!(by_agent(100, &["--ramp", "20"]) == slow, "never faster than the session");
}

#[test]
fn panic_does_not_wait_for_the_ramp() {
    let by_hand = played(5, &[&|server| drop(server.ok("set mix/mute on"))]);
    let by_agent = played(5, &[&agent(&["--ramp", "1000"], "panic_mute", json!({}))]);
    assert!(by_hand == by_agent);
    let tail = &by_agent[0][by_agent[0].len() - 4096..];
    assert!(tail.iter().all(|x| *x == 0.0));
}

#[test]
fn ramps_have_a_range() {
    let server = Server::stepped();
    for wrong in ["-1", "1001", "NaN", "soon"] {
        let output = crate::agent::spawn(&server, &["--ramp", wrong]).output().unwrap();
        assert!(!output.status.success(), "{wrong}");
    }
}

/// It is what ramps are made of.
#[test]
fn only_edits_that_hold_at_once_have_a_fade_of_their_own() {
    let server = Server::stepped();
    let mut client = server.client();
    let set = r#""method":"set","params":{"node":"master","param":"gain","value":-3}"#;
    for (rest, word) in [
        (format!(r#"{set},"fade_ms":1001"#), "0 to 1000 ms"),
        (format!(r#"{set},"fade_ms":-1"#), "0 to 1000 ms"),
        (format!(r#"{set},"fade_ms":"long""#), "malformed"),
        (format!(r#"{set},"fade_ms":20,"at":100000"#), "holds at once"),
        (r#""method":"play","fade_ms":20"#.to_owned(), "holds at once"),
        (r#""method":"status","fade_ms":20"#.to_owned(), "holds at once"),
        (format!(r#"{set},"fade_ms":20"#), "\"revision\""),
        (r#""method":"undo","fade_ms":0"#.to_owned(), "\"revision\""),
    ] {
        client.send_line(&format!(r#"{{"jsonrpc":"2.0","id":1,{rest}}}"#)).unwrap();
        let said = client.read_line().unwrap();
        assert!(said.contains(word), "{rest}: {said}");
    }
}
