//! What cannot be taken back is confirmed: by a code, or by a person whom the client asks.

use aulos_tests::server::Server;
use serde_json::{Value as Json, json};

use crate::agent::{Agent, Lines, block_on, code, meta};

#[test]
fn changes_that_are_not_saved_are_lost_only_by_a_code_for_just_that() {
    let server = Server::stepped();
    let at = |name: &str| server.folder().join(name);
    block_on(async {
        let agent = Agent::new(&server, &[]).await;
        let bus = |name: &str| json!({ "operations": [{ "op": "node_add", "kind": "bus", "name": name }] });
        agent.ok("apply", bus("a")).await;
        let new = |name: &str, confirm: Json| json!({ "action": "new", "path": at(name), "discard": true, "confirm": confirm });
        let said = agent.refused("session", new("one", Json::Null)).await;
        assert!(said.contains("not saved are lost"), "{said}");
        let first = code(&said);
        agent.refused("session", new("one", json!("0000000000000000"))).await;
        agent.refused("session", new("two", json!(first))).await;
        agent.ok("apply", bus("b")).await;
        let said = agent.refused("session", new("one", json!(first))).await;
        assert!(code(&said) != first, "more would be lost by now");
        assert!(!at("one").exists() && !at("two").exists());
        agent.ok("session", new("one", json!(code(&said)))).await;
        // Nothing is lost.
        agent.ok("session", new("two", Json::Null)).await;
        agent.ok("session", json!({ "action": "open", "path": at("one"), "discard": true })).await;
    });
}

#[test]
fn files_that_are_there_are_replaced_only_when_that_is_confirmed() {
    let server = Server::stepped();
    let out = server.folder().join("mix.wav");
    std::fs::write(&out, "mine").unwrap();
    block_on(async {
        let agent = Agent::new(&server, &[]).await;
        let said = agent.refused("render", json!({ "path": out, "end": "1s" })).await;
        assert!(said.contains("mix.wav is replaced"), "{said}");
        assert_eq!(std::fs::read(&out).unwrap(), b"mine");
        agent.ok("render", json!({ "path": out, "end": "1s", "confirm": code(&said) })).await;
        assert!(std::fs::read(&out).unwrap().starts_with(b"RIFF"));
    });
}

#[test]
fn a_person_is_asked_by_clients_of_the_newer_protocol() {
    let mut server = Server::stepped();
    let mut lines = Lines::new(&server, &[]);
    let meta = meta(json!({ "elicitation": { "form": {} } }));
    let mut id = 0;
    let mut end = |more: Json| {
        id += 1;
        let mut params = json!({ "_meta": meta, "name": "shutdown", "arguments": {} });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        lines.ask(id, "tools/call", params)["result"].clone()
    };
    let asked = end(json!({}));
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let question = &asked["inputRequests"]["sure"];
    assert_eq!(question["method"], "elicitation/create");
    assert!(question["params"]["message"].as_str().unwrap().contains("the server is ended"), "{asked}");
    let state = asked["requestState"].clone();
    let answer = |action: &str, sure: bool, state: &Json| {
        let answer = json!({ "action": action, "content": { "sure": sure } });
        json!({ "inputResponses": { "sure": answer }, "requestState": state })
    };
    for no in [answer("accept", false, &state), answer("decline", true, &state)] {
        let declined = end(no);
        assert_eq!(declined["isError"], true, "{declined}");
        assert!(declined.to_string().contains("did not agree"), "{declined}");
    }
    let made_up = end(answer("accept", true, &json!("0000000000000000")));
    assert_eq!(made_up["resultType"], "input_required", "{made_up}");
    let done = end(answer("accept", true, &state));
    assert_eq!(done["structuredContent"]["ended"], true, "{done}");
    assert!(server.wait().success());
}

#[test]
fn a_person_is_asked_by_clients_of_the_older_protocol() {
    let mut server = Server::stepped();
    let mut lines = Lines::new(&server, &[]);
    lines.hello(json!({ "elicitation": {} }));
    for (id, sure) in [(2, false), (3, true)] {
        let call = json!({ "name": "shutdown", "arguments": {} });
        lines.say(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": call }).to_string());
        let asked = lines.hear();
        assert_eq!(asked["method"], "elicitation/create", "{asked}");
        let answer = json!({ "action": "accept", "content": { "sure": sure } });
        lines.say(&json!({ "jsonrpc": "2.0", "id": asked["id"], "result": answer }).to_string());
        let answer = lines.hear();
        assert_eq!((&answer["id"], &answer["result"]["isError"]), (&json!(id), &json!(!sure)), "{answer}");
    }
    assert!(server.wait().success());
}
