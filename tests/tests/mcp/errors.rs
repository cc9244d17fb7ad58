//! Errors name what would be right, and what an agent may not do it cannot.

use aulos_protocol::{Command, Value};
use aulos_tests::server::{Server, apply};
use serde_json::json;

use crate::agent::{Agent, Lines, block_on};

#[test]
fn errors_name_what_would_be_right() {
    let server = Server::stepped();
    server.ok("track add drums");
    block_on(async {
        let agent = Agent::new(&server, &[]).await;
        let table = [
            ("get_params", json!({ "node": "drms" }), vec!["drms", "drums", "master"]),
            (
                "set",
                json!({ "values": [{ "node": "drums", "param": "gian", "value": 0 }] }),
                vec!["gain", "pan"],
            ),
            ("set", json!({ "values": [{ "node": "drums", "param": "pan", "value": 3 }] }), vec!["-1 to 1"]),
            ("set", json!({ "value": 3 }), vec!["values", "dry_run"]),
            ("set", json!({ "values": [] }), vec!["at least one"]),
            ("apply", json!({ "operations": [{ "op": "trak_add" }] }), vec!["node_add", "clip_set"]),
            (
                "apply",
                json!({ "operations": [{ "op": "set", "node": "drums" }] }),
                vec!["node, param, value"],
            ),
            ("apply", json!({ "operations": [{ "op": "add_track", "nam": "x" }] }), vec!["name", "clips"]),
            ("apply", json!({ "operations": [{ "op": "undo" }] }), vec!["node_add"]),
            ("connect", json!({ "links": [{ "from": "drums", "to": "mastr" }] }), vec!["master"]),
            ("connect", json!({ "links": [{ "from": "drums:wrong", "to": "master" }] }), vec!["out"]),
            ("query", json!({ "what": "things" }), vec!["nodes", "links"]),
            ("query", json!({ "what": "nodes", "cursor": "999" }), vec!["cursor"]),
            ("get_overview", json!({ "fields": ["nods"] }), vec!["nodes", "transport"]),
            ("transport", json!({ "action": "locate" }), vec!["position"]),
            ("transport", json!({ "action": "locate", "position": "soon" }), vec!["1.5s"]),
            ("transport", json!({ "action": "set", "tempo": 5 }), vec!["10 to 1000"]),
            ("analyze", json!({ "node": "output" }), vec!["track", "master"]),
            ("render", json!({ "path": "mix.wav" }), vec!["begins with /"]),
            ("render", json!({ "path": "/tmp/../etc/mix.wav" }), vec![".."]),
            ("describe", json!({ "method": "node_ad" }), vec!["node_add"]),
            ("cancel_operation", json!({ "operation": 77 }), vec!["77"]),
            ("shutdown", json!({}), vec!["\"confirm\": \"", "silent"]),
            (
                "session",
                json!({ "action": "open", "path": "/tmp/other" }),
                vec!["session with action \"save\""],
            ),
            (
                "disconnect",
                json!({ "links": [{ "from": "drums", "to": "output" }] }),
                vec!["query with what"],
            ),
            ("undo", json!({ "steps": 3 }), vec!["nothing"]),
        ];
        for (tool, arguments, words) in table {
            let said = agent.refused(tool, arguments.clone()).await;
            assert!(words.iter().all(|word| said.contains(word)), "{tool} {arguments}: {said}");
            assert!(!said.contains("aulosctl"), "an agent has none: {said}");
        }
        let batch = json!([
            { "op": "node_add", "kind": "bus", "name": "fx" },
            { "op": "link", "from": "fx", "to": "nowhere" },
        ]);
        let said = agent.refused("apply", json!({ "operations": batch })).await;
        assert!(said.contains("nowhere") && said.contains("command 1"), "{said}");
        let nodes = agent.ok("query", json!({ "what": "nodes", "name_contains": "fx" })).await;
        assert_eq!(nodes["total"], 0, "all of a batch or none");
        let stale = agent.refused("apply", json!({ "operations": [batch[0]], "if_revision": 12345 })).await;
        assert!(stale.contains("12345"), "{stale}");
    });
    let mut lines = Lines::initialized(&server, &[]);
    let unknown = lines.ask(2, "tools/call", json!({ "name": "set_gain", "arguments": {} }));
    assert!(unknown["error"]["message"].as_str().unwrap().contains("set_gain"), "{unknown}");
}

#[test]
fn gains_have_a_ceiling_that_a_person_can_exceed() {
    let server = Server::stepped();
    server.ok("track add drums --gain +9dB");
    block_on(async {
        let agent = Agent::new(&server, &["--gain-ceiling", "3"]).await;
        let gain = |db: f64| json!({ "values": [{ "node": "drums", "param": "gain", "value": db }] });
        agent.ok("set", gain(8.0)).await;
        let said = agent.refused("set", gain(8.5)).await;
        assert!(said.contains("at most 3 dB") && said.contains("--gain-ceiling"), "{said}");
        agent.ok("set", gain(-3.0)).await;
        agent.refused("set", gain(4.0)).await;
        agent.refused("add_tracks", json!({ "tracks": [{ "name": "a", "gain_db": 6 }] })).await;
        agent
            .refused("connect", json!({ "links": [{ "from": "drums", "to": "master", "gain_db": 6 }] }))
            .await;
        let eq = json!({ "op": "node_add", "kind": "eq", "name": "eq", "params": { "band1_gain": 12 } });
        agent.refused("apply", json!({ "operations": [eq] })).await;
        let fades = json!({ "op": "session_set", "edit_fade_ms": 0 });
        let said = agent.refused("apply", json!({ "operations": [fades] })).await;
        assert!(said.contains("glide"), "{said}");
        // What was there comes back.
        agent.ok("undo", json!({})).await;
        agent.ok("undo", json!({})).await;
        let now = agent.ok("get_params", json!({ "node": "drums", "param": "gain" })).await;
        assert_eq!(now["params"][0]["value"], 9.0);
    });
}

#[test]
fn whoever_is_read_only_changes_nothing() {
    let server = Server::stepped();
    server.ok("track add drums");
    let revision = || server.ok("status --json");
    let before = revision();
    block_on(async {
        let agent = Agent::new(&server, &["--read-only"]).await;
        let out = server.folder().join("mix.wav");
        for (tool, arguments) in [
            ("set", json!({ "values": [{ "node": "drums", "param": "gain", "value": -3 }] })),
            ("apply", json!({ "operations": [{ "op": "node_remove", "node": "drums" }] })),
            ("remove", json!({ "nodes": ["drums"] })),
            ("undo", json!({})),
            ("transport", json!({ "action": "play" })),
            ("transport", json!({ "action": "set", "tempo": 90 })),
            ("render", json!({ "path": out, "end": "1s" })),
            ("session", json!({ "action": "new", "path": server.folder().join("new") })),
            ("session", json!({ "action": "save", "path": server.folder().join("new") })),
            ("panic_mute", json!({})),
            ("driver", json!({ "action": "set", "block": 64 })),
            ("reset_loudness", json!({})),
            ("shutdown", json!({})),
        ] {
            let said = agent.refused(tool, arguments).await;
            assert!(said.contains("read-only"), "{tool}: {said}");
        }
        agent.ok("get_overview", json!({})).await;
        agent.ok("remove", json!({ "nodes": ["drums"], "dry_run": true })).await;
        agent.ok("analyze", json!({ "start": 0, "end": "1s" })).await;
        assert!(!out.exists() && !server.folder().join("new").exists());
    });
    let field = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["revision"].clone();
    assert_eq!(field(&before), field(&revision()));
}

#[test]
fn files_are_written_only_where_that_is_allowed() {
    let server = Server::stepped();
    let allowed = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(server.folder(), allowed.path().join("away")).unwrap();
    block_on(async {
        let agent = Agent::new(&server, &["--write-under", allowed.path().to_str().unwrap()]).await;
        for escape in [
            server.folder().join("mix.wav"),
            allowed.path().join("../mix.wav"),
            allowed.path().join("away/mix.wav"),
        ] {
            agent.refused("render", json!({ "path": escape, "end": "1s" })).await;
        }
        agent.ok("render", json!({ "path": allowed.path().join("mix.wav"), "end": "1s" })).await;
        agent.refused("session", json!({ "action": "save", "path": allowed.path().join("away/s") })).await;
        agent.ok("session", json!({ "action": "save", "path": allowed.path().join("s") })).await;
        // What is opened is saved there later.
        let outside = server.folder().join("s");
        std::fs::create_dir(&outside).unwrap();
        std::fs::copy(allowed.path().join("s/session.json"), outside.join("session.json")).unwrap();
        let said = agent.refused("session", json!({ "action": "open", "path": outside })).await;
        assert!(said.contains("agents may not write"), "{said}");
        let found = agent.ok("session", json!({ "action": "list" })).await;
        assert_eq!(found["found"], json!([allowed.path().join("s")]));
    });
    assert!(!server.folder().join("mix.wav").exists());
}

#[test]
fn panic_silences_what_reaches_an_output_and_one_undo_brings_it_back() {
    let server = Server::stepped();
    server.ok("track add drums");
    let mut client = server.client();
    apply(
        &mut client,
        Command::AddNode(aulos_protocol::NewNode {
            kind: aulos_protocol::NodeKind::Tone,
            name: Some("beep".into()),
            channels: None,
            params: Default::default(),
        }),
    );
    server.ok("link beep output");
    block_on(async {
        let agent = Agent::new(&server, &[]).await;
        agent.ok("panic_mute", json!({})).await;
        let master = agent.ok("get_params", json!({ "node": "master", "param": "mute" })).await;
        assert_eq!(master["params"][0]["value"], json!(Value::Switch(true)));
        let links = agent.ok("query", json!({ "what": "links", "node": "beep" })).await;
        assert_eq!(links["items"][0]["gain"], "-inf", "{links}");
        let why = agent.ok("diagnose", json!({ "node": "beep" })).await;
        assert!(why["findings"].to_string().contains("silence"), "{why}");
        agent.ok("undo", json!({})).await;
        let links = agent.ok("query", json!({ "what": "links", "node": "beep" })).await;
        assert_eq!(links["items"][0]["gain"], 0.0);
    });
}
