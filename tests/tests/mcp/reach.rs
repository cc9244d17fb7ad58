//! What there is: the tools as clients see them, and each command of the server by a tool.

use std::process::Command as Process;

use aulos_protocol::{Command, Frames, Query, Reply, Value, registry};
use aulos_tests::server::{Server, ask, aulos_mcp, project, text};
use serde_json::{Value as Json, json};

use crate::agent::{Agent, Lines, block_on, code};

fn reference() -> String {
    let output = Process::new(aulos_mcp()).arg("--reference").output().unwrap();
    assert!(output.status.success());
    text(&output.stdout)
}

#[test]
fn the_page_says_what_the_program_says() {
    let page = std::fs::read_to_string(project().join("docs/mcp.md")).unwrap();
    let (_, rest) = page.split_once("<!-- aulos-mcp --reference -->\n").unwrap();
    let (told, _) = rest.split_once("<!-- end -->").unwrap();
    assert_eq!(
        told.trim(),
        reference().trim(),
        "write the output of `aulos-mcp --reference` into docs/mcp.md"
    );
    for method in registry::methods() {
        assert!(told.contains(&format!("| `{}` | `", method.name)), "{} has no tool", method.name);
    }
}

#[test]
fn tools_are_told_in_one_order_with_hints_and_schemas() {
    let server = Server::stepped();
    block_on(async {
        let agent = Agent::new(&server, &[]).await;
        let tools = agent.client.list_all_tools().await.unwrap();
        let names: Vec<_> = tools.iter().map(|tool| tool.name.to_string()).collect();
        let again = Agent::new(&server, &[]).await.client.list_all_tools().await.unwrap();
        assert_eq!(names, again.iter().map(|tool| tool.name.to_string()).collect::<Vec<_>>());
        assert!((20..=25).contains(&names.len()), "{names:?}");
        for tool in &tools {
            let hints = tool.annotations.as_ref().unwrap();
            let reads = hints.read_only_hint.unwrap();
            assert!(!(reads && hints.destructive_hint.unwrap()), "{}", tool.name);
            assert!(hints.idempotent_hint.is_some() && tool.title.is_some() && tool.description.is_some());
            assert_eq!(tool.input_schema["type"], "object", "{}", tool.name);
        }
        let destroys = |name: &str| {
            let tool = tools.iter().find(|tool| tool.name == name).unwrap();
            tool.annotations.as_ref().unwrap().destructive_hint.unwrap()
        };
        assert!(destroys("remove") && destroys("session") && destroys("shutdown") && !destroys("set"));
    });
}

/// The schema of `apply` is a client's only word on what it takes.
#[test]
fn every_edit_can_be_made_by_the_schema_of_apply() {
    let server = Server::stepped();
    server.ok("track add drums");
    server.ok("vca add band");
    std::fs::copy("/usr/share/sounds/alsa/Noise.wav", server.folder().join("noise.wav")).unwrap();
    let mut lines = Lines::initialized(&server, &[]);
    let tools = lines.ask(2, "tools/list", json!({}));
    let tools = tools["result"]["tools"].as_array().unwrap();
    let apply = tools.iter().find(|tool| tool["name"] == "apply").unwrap();
    let known = apply["inputSchema"].to_string();
    let noise = server.folder().join("noise.wav");
    let edits = [
        json!({ "op": "node_add", "kind": "bus", "name": "fx" }),
        json!({ "op": "node_duplicate", "node": "fx", "name": "fx-2" }),
        json!({ "op": "node_rename", "node": "fx-2", "name": "plate" }),
        json!({ "op": "node_move", "node": "plate", "to": { "before": "fx" } }),
        json!({ "op": "set", "node": "plate", "param": "gain", "value": -2 }),
        json!({ "op": "session_set", "tempo": 90, "signature": "3/4" }),
        json!({ "op": "link", "from": "drums", "to": "fx", "gain": -3 }),
        json!({ "op": "unlink", "from": "drums", "to": "fx" }),
        json!({ "op": "clip_add", "track": "drums", "file": noise, "at": 480 }),
        json!({ "op": "members_add", "group": "band", "nodes": ["drums", "fx"] }),
        json!({ "op": "members_remove", "group": "band", "nodes": ["fx"] }),
    ];
    let call = |lines: &mut Lines, id, operations: Json| {
        let arguments = json!({ "operations": operations });
        let answer = lines.ask(id, "tools/call", json!({ "name": "apply", "arguments": arguments }));
        assert_eq!(answer["result"]["isError"], false, "{answer}");
        answer["result"]["structuredContent"].clone()
    };
    let done = call(&mut lines, 3, json!(edits));
    let clip = done["clips"][0].clone();
    let rest = [
        json!({ "op": "clip_set", "track": "drums", "clip": clip, "at": 960 }),
        json!({ "op": "clip_remove", "track": "drums", "clip": clip }),
        json!({ "op": "node_remove", "node": "fx" }),
    ];
    call(&mut lines, 4, json!(rest));
    let made: std::collections::BTreeSet<_> =
        edits.iter().chain(&rest).map(|edit| edit["op"].as_str().unwrap()).collect();
    for op in &made {
        assert!(known.contains(&format!("[\"{op}\"]")), "{op} is not in the schema");
    }
    // What the schema has beside these is made of them.
    let told = known.matches("\"op\":{").count();
    assert_eq!(told, made.len() + 3, "add_track, add_send, click");
    let Reply::Session(session) = ask(&mut server.client(), Query::Session) else { panic!() };
    assert!(session.node("plate").is_some() && session.node("fx").is_none());
    assert_eq!((session.tempo.get(), session.signature.to_string()), (90.0, "3/4".into()));
    assert_eq!(session.node("band").unwrap().members.len(), 1);
}

#[test]
fn the_transport_the_driver_and_the_session_are_reached() {
    let server = Server::stepped();
    block_on(async {
        let agent = Agent::new(&server, &[]).await;
        let at = agent.ok("transport", json!({ "action": "locate", "position": "2|1" })).await;
        assert_eq!((&at["position"], &at["bar"]), (&json!(96_000), &json!("2|1.00")));
        agent.ok("transport", json!({ "action": "loop", "start": 0, "end": "1s" })).await;
        let at = agent.ok("transport", json!({ "action": "play", "position": 0 })).await;
        assert!(at["rolling"] == true || at["waiting"] == true, "{at}");
        let stepped = agent.ok("transport", json!({ "action": "step", "blocks": [512, 512] })).await;
        assert!(stepped["frame"].as_u64().unwrap() >= 1024, "{stepped}");
        agent.ok("transport", json!({ "action": "pause" })).await;
        let at = agent.ok("transport", json!({ "action": "loop_off" })).await;
        assert_eq!(at["loop"], "off");
        agent.ok("transport", json!({ "action": "stop" })).await;
        let at = agent.ok("transport", json!({ "action": "tell" })).await;
        assert!(at["clock"]["frames_per_second"].as_f64().unwrap() > 0.0, "{at}");
        // What a client of another kind has timed.
        let later =
            Command::SetParam { node: "master".into(), param: "gain".into(), value: Value::Number(-9.0) };
        server.client().command_at(later, Frames(at["frame"].as_u64().unwrap() + 4096)).unwrap();
        agent.ok("transport", json!({ "action": "clear_schedule" })).await;
        agent
            .ok("transport", json!({ "action": "step", "blocks": [1024, 1024, 1024, 1024, 1024, 1024] }))
            .await;
        let gain = agent.ok("get_params", json!({ "node": "master", "param": "gain" })).await;
        assert_eq!(gain["params"][0]["value"], 0.0);
        let at = agent.ok("transport", json!({ "action": "set", "tempo": 77.5, "signature": "7/8" })).await;
        assert_eq!((&at["tempo"], &at["signature"]), (&json!(77.5), &json!("7/8")));

        let drivers = agent.ok("driver", json!({ "action": "list" })).await;
        assert_eq!(drivers["running"]["name"], "stepped");
        agent.ok("reset_loudness", json!({ "node": "master" })).await;
        let meters = agent.ok("get_meters", json!({ "nodes": ["master"] })).await;
        assert_eq!(meters["meters"][0]["node"], "master");
        let latency = agent.ok("query", json!({ "what": "latency", "node": "master" })).await;
        assert_eq!(latency["items"][0]["node"], "master");
        let ports = agent.ok("query", json!({ "what": "ports", "node": "master" })).await;
        assert_eq!(ports["items"][0]["each"], json!(["in_L", "in_R"]));
        let one = agent.ok("query", json!({ "what": "nodes", "node": "master" })).await;
        assert_eq!(one["items"][0]["kind"], "master");
        let words = agent.ok("describe", json!({})).await;
        assert_eq!(words["methods"].as_array().unwrap().len(), registry::methods().len());
        let clip = agent.ok("describe", json!({ "method": "clip_add" })).await;
        assert!(clip["schema"].to_string().contains("offset"), "{clip}");

        let folder = server.folder().join("one");
        let saved = agent.ok("session", json!({ "action": "save", "path": folder })).await;
        assert_eq!(saved["unsaved"], false);
        agent.ok("session", json!({ "action": "new", "path": server.folder().join("two") })).await;
        let opened = agent.ok("session", json!({ "action": "open", "path": folder })).await;
        assert_eq!(opened["path"], json!(folder));
        let said = agent.refused("shutdown", json!({})).await;
        agent.ok("shutdown", json!({ "confirm": code(&said) })).await;
    });
    let mut server = server;
    assert!(server.wait().success());
}
