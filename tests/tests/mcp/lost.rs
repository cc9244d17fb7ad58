//! Clients that die or send garbage, and servers that end and come back.

use std::time::Duration;

use aulos_protocol::{Query, Reply};
use aulos_tests::server::{Server, ask};
use serde_json::json;

use crate::agent::{Agent, Lines, block_on, until, wait};

#[test]
fn a_server_that_ends_is_told_and_one_that_is_back_is_used() {
    let mut first = Server::stepped();
    let socket = first.socket();
    block_on(async {
        let agent = Agent::new(&first, &[]).await;
        agent.ok("set_click", json!({})).await;
        first.kill();
        for (tool, arguments) in [
            ("get_overview", json!({})),
            ("set_click", json!({})),
            ("analyze", json!({})),
            ("get_meters", json!({ "seconds": 1 })),
        ] {
            let said = agent.refused(tool, arguments).await;
            assert!(said.contains("no server answers") && said.contains("aulosd"), "{tool}: {said}");
        }
        // What needs no server goes on.
        assert!(agent.client.list_all_tools().await.unwrap().len() >= 20);
        let mut second = Server::spawn_at(Some(&socket), ["--driver", "stepped", "--block", "1024"]);
        second.answering();
        let overview = agent.ok("get_overview", json!({})).await;
        let nodes = overview["nodes"].to_string();
        assert!(!nodes.contains("click"), "it is a new session: {nodes}");
        agent.ok("set_click", json!({})).await;
        let Reply::Session(session) = ask(&mut second.client(), Query::Session) else { panic!() };
        assert!(session.node("click").is_some());
        // The follower is back, too.
        until("changes are followed again", async || {
            // What came before it was back is not known to it.
            let revision = agent.ok("get_overview", json!({})).await["revision"].clone();
            let asked = json!({ "since_revision": revision, "fields": ["nodes"] });
            let now = agent.ok("get_overview", asked).await;
            now.get("since_revision").is_some()
        })
        .await;
    });
}

#[test]
fn a_client_that_dies_in_the_middle_takes_its_render_with_it() {
    let server = Server::stepped();
    server.ok("track add drums");
    let out = server.folder().join("long.wav");
    let mut lines = Lines::initialized(&server, &[]);
    let arguments = json!({ "path": out, "end": "3:00:00" });
    let params = json!({ "name": "render", "arguments": arguments });
    lines.say(&json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params }).to_string());
    let running = || match ask(&mut server.client(), Query::Status) {
        Reply::Status(status) => status.operations.len(),
        other => panic!("{other:?}"),
    };
    block_on(until("the render begins", async || running() == 1));
    let begun = std::time::Instant::now();
    assert!(lines.end().success());
    block_on(until("the render ends", async || running() == 0));
    assert!(!out.exists(), "{:?}", begun.elapsed());
}

#[test]
fn a_process_that_is_killed_leaves_the_server_alone() {
    let server = Server::stepped();
    for n in 0..5 {
        let mut lines = Lines::initialized(&server, &[]);
        let operations = json!([{ "op": "node_add", "kind": "bus", "name": format!("bus{n}") }]);
        let params = json!({ "name": "apply", "arguments": { "operations": operations } });
        lines
            .say(&json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params }).to_string());
        lines.process.kill().unwrap();
        wait(&mut lines.process);
    }
    let Reply::Session(session) = ask(&mut server.client(), Query::Session) else { panic!() };
    // Each is there in whole or not at all, and the server goes on.
    assert!(session.nodes.of_kind(aulos_protocol::NodeKind::Bus) <= 5);
    server.ok("track add after");
}

#[test]
fn garbage_is_answered_or_left_alone_and_the_next_line_counts() {
    let server = Server::stepped();
    let mut lines = Lines::initialized(&server, &[]);
    for garbage in [
        "",
        "{",
        "[]",
        "null",
        "\u{1}\u{7f}",
        r#"{"jsonrpc":"2.0","id":99,"method":"tools/call"}"#,
        r#"{"jsonrpc":"2.0","id":98,"method":"tools/call","params":{"name":3}}"#,
        r#"{"jsonrpc":"2.0","id":97,"method":"nothing/there"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/none"}"#,
    ] {
        lines.say(garbage);
    }
    lines.say(&"[".repeat(100_000));
    lines.say(&format!("{{\"jsonrpc\":\"2.0\",\"id\":96,\"method\":\"{}\"}}", "x".repeat(1 << 20)));
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    lines.say(&format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":95,\"method\":\"tools/call\",\"params\":{{\"name\":\"apply\",\"arguments\":{{\"operations\":{deep}}}}}}}"
    ));
    let answer = lines.ask(2, "tools/call", json!({ "name": "get_overview", "arguments": {} }));
    assert_eq!(answer["result"]["isError"], false, "{answer}");
    let huge = json!({ "name": "get_params", "arguments": { "node": "n".repeat(3 << 20) } });
    let answer = lines.ask(3, "tools/call", huge);
    assert_eq!(answer["result"]["isError"], true);
    assert!(answer.to_string().len() < 5000, "a huge name makes no huge answer");
    assert!(lines.end().success());
    server.ok("track add after");
}

#[test]
fn a_server_that_hangs_is_told_in_time() {
    let server = Server::stepped();
    block_on(async {
        let agent = Agent::new(&server, &["--timeout", "1"]).await;
        agent.ok("get_overview", json!({})).await;
        let pid = rustix::process::Pid::from_raw(server.pid().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        let said = agent.refused("get_overview", json!({})).await;
        rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
        assert!(said.contains("did not answer in time"), "{said}");
        tokio::time::sleep(Duration::from_millis(10)).await;
        agent.ok("get_overview", json!({})).await;
    });
}
