//! Long work: progress, tasks, cancellation.

use aulos_protocol::{Query, Reply};
use aulos_tests::server::{Server, ask};
use serde_json::{Value as Json, json};

use crate::agent::{Lines, block_on, meta, until};

/// How many operations the server has.
pub fn running(server: &Server) -> usize {
    match ask(&mut server.client(), Query::Status) {
        Reply::Status(status) => status.operations.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn progress_is_told_forward_and_a_cancelled_render_ends() {
    let server = Server::stepped();
    server.ok("track add drums");
    let mut lines = Lines::initialized(&server, &[]);
    let call = |lines: &mut Lines, id: u64, end: &str| {
        let arguments = json!({ "path": server.folder().join(format!("{id}.wav")), "end": end });
        let params = json!({ "name": "render", "arguments": arguments, "_meta": { "progressToken": "p" } });
        lines.say(
            &json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }).to_string(),
        );
    };
    call(&mut lines, 2, "10:00");
    let mut told = vec![-1.0];
    let answer = loop {
        let heard = lines.hear();
        if heard["id"] == 2 {
            break heard;
        }
        assert_eq!(heard["method"], "notifications/progress", "{heard}");
        assert_eq!(heard["params"]["progressToken"], "p");
        told.push(heard["params"]["progress"].as_f64().unwrap());
    };
    assert_eq!(answer["result"]["isError"], false, "{answer}");
    assert!(told.is_sorted() && *told.last().unwrap() <= 1.0 && told.len() > 1, "{told:?}");
    call(&mut lines, 3, "5:00:00");
    block_on(until("the render begins", async || running(&server) == 1));
    let cancel = json!({ "requestId": 3, "reason": "enough" });
    lines
        .say(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancel }).to_string());
    block_on(until("the render ends", async || running(&server) == 0));
    let answer = lines.ask(4, "tools/call", json!({ "name": "get_overview", "arguments": {} }));
    assert_eq!(answer["result"]["isError"], false);
}

#[test]
fn a_render_is_a_task_for_clients_that_have_tasks() {
    let server = Server::stepped();
    server.ok("track add drums");
    let mut lines = Lines::new(&server, &[]);
    let meta = meta(json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } }));
    let mut id = 0;
    let mut ask_for = |method: &str, mut params: Json| {
        id += 1;
        params["_meta"] = meta.clone();
        lines.ask(id, method, params)
    };
    let out = server.folder().join("mix.wav");
    let render = |end: &str| json!({ "name": "render", "arguments": { "path": out, "end": end } });
    let task = ask_for("tools/call", render("20s"));
    assert_eq!(task["result"]["resultType"], "task", "{task}");
    let task = task["result"]["taskId"].clone();
    let ended = loop {
        let now = ask_for("tasks/get", json!({ "taskId": task }));
        if now["result"]["status"] != "working" {
            break now;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert_eq!(ended["result"]["status"], "completed", "{ended}");
    assert_eq!(ended["result"]["result"]["structuredContent"]["path"], json!(out), "{ended}");
    assert!(out.exists());

    std::fs::remove_file(&out).unwrap();
    let task = ask_for("tools/call", render("5:00:00"))["result"]["taskId"].clone();
    block_on(until("the render begins", async || running(&server) == 1));
    let cancelled = ask_for("tasks/cancel", json!({ "taskId": task }));
    assert!(cancelled.get("result").is_some(), "{cancelled}");
    block_on(until("the render ends", async || running(&server) == 0));
    let ended = loop {
        let now = ask_for("tasks/get", json!({ "taskId": task }));
        if now["result"]["status"] != "working" {
            break now;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert_eq!(ended["result"]["status"], "cancelled", "{ended}");
    // What is no long work is answered at once, as ever.
    let overview = ask_for("tools/call", json!({ "name": "get_overview", "arguments": {} }));
    assert_eq!(overview["result"]["resultType"], "complete", "{overview}");
}
