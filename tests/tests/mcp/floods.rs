//! Clients that flood, send garbage, never read and die: what is played stays as it is bit for bit, and memory is
//! bounded.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    path::{Path, PathBuf},
    process::Child,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use aulos_tests::server::{Server, read_wav};
use serde_json::{Value as Json, json};

use crate::{
    agent::{Lines, block_on, memory_kib, meta, spawn, until, wait},
    http::{Http, hello},
    tasks::running,
};

const STEPS: usize = 40;
/// What `aulos-mcp` may take, in KiB.
const MOST_KIB: u64 = 150_000;

/// A server that plays a tone and writes down what it plays.
struct Stage {
    server: Server,
    capture: PathBuf,
    _folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let capture = folder.path().join("played.wav");
        let args = ["--driver", "stepped", "--block", "1024", "--capture", capture.to_str().unwrap()];
        let server = Server::start(args);
        for line in ["node add tone beep frequency=330 level=-6dB", "link beep master", "track add drums"] {
            server.ok(line);
        }
        Self { server, capture, _folder: folder }
    }

    /// Plays, with `meanwhile` between the steps, and answers with what was played.
    fn played(self, mut meanwhile: impl FnMut(&Server, usize)) -> Vec<Vec<f32>> {
        for n in 0..STEPS {
            meanwhile(&self.server, n);
            self.server.ok("step 1024 1024");
        }
        let Self { server, capture, _folder } = self;
        drop(server);
        read_wav(Path::new(&capture))
    }
}

fn request(id: usize, method: &str, params: &Json) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

/// A client that asks as fast as it can and never reads; its process, which has to be killed, and how many it has sent.
fn deaf(server: &Server, sent: &'static AtomicUsize) -> (Child, std::thread::JoinHandle<()>) {
    let mut process = spawn(server, &[]).spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        let client = json!({ "name": "deaf", "version": "1" });
        let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
        let mut text = request(0, "initialize", &hello) + "\n";
        text.push_str("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
        let mut id = 0;
        // It ends when its process does.
        while input.write_all(text.as_bytes()).is_ok() {
            sent.store(id, Relaxed);
            text.clear();
            for _ in 0..20 {
                id += 1;
                text += &(request(id, "tools/list", &json!({})) + "\n");
            }
        }
    });
    (process, writer)
}

#[test]
fn who_floods_never_reads_or_dies_at_standard_input_is_not_heard() {
    static SENT: AtomicUsize = AtomicUsize::new(0);
    let stage = Stage::new();
    let undisturbed = Stage::new().played(|_, _| {});
    let (mut process, writer) = deaf(&stage.server, &SENT);
    let mut garbage = Lines::initialized(&stage.server, &[]);
    let played = stage.played(|server, n| {
        garbage.say(&"{\"jsonrpc\":[[[".repeat(1 + n * 100));
        garbage.say(&format!("{{\"jsonrpc\":\"2.0\",\"id\":{n},\"method\":{n}}}"));
        if n % 8 == 0 {
            // One dies in the middle of an edit and of a render.
            let mut lines = Lines::initialized(server, &[]);
            let bus =
                json!({ "operations": [{ "op": "node_add", "kind": "bus", "name": format!("bus{n}") }] });
            lines.say(&request(2, "tools/call", &json!({ "name": "apply", "arguments": bus })));
            let out = json!({ "path": server.folder().join(format!("{n}.wav")), "end": "1:00:00" });
            lines.say(&request(3, "tools/call", &json!({ "name": "render", "arguments": out })));
            lines.process.kill().unwrap();
            wait(&mut lines.process);
        }
        assert!(memory_kib(process.id()) < MOST_KIB, "{} KiB", memory_kib(process.id()));
    });
    assert!(played == undisturbed);
    // It is not read for ever: a pipe's worth of requests, and what may wait.
    let sent = SENT.load(Relaxed);
    assert!((1..10_000).contains(&sent), "{sent}");
    process.kill().unwrap();
    wait(&mut process);
    writer.join().unwrap();
}

#[test]
fn a_line_without_an_end_is_not_kept() {
    let server = Server::stepped();
    let mut lines = Lines::initialized(&server, &[]);
    for _ in 0..64 {
        lines.write(&[b'x'; 1 << 20]);
    }
    lines.say("");
    let answer = lines.ask(2, "tools/call", json!({ "name": "get_overview", "arguments": {} }));
    assert_eq!(answer["result"]["isError"], false, "{answer}");
    let kib = memory_kib(lines.process.id());
    assert!(kib < MOST_KIB, "{kib} KiB");
}

#[test]
fn who_listens_too_often_is_refused() {
    let server = Server::stepped();
    let mut lines = Lines::new(&server, &[]);
    let wanted = json!({ "resourceSubscriptions": ["audio://overview"] });
    let params = json!({ "_meta": meta(json!({})), "notifications": wanted });
    let mut refused = None;
    for id in 0..65 {
        lines.say(&request(id, "subscriptions/listen", &params));
    }
    while refused.is_none() {
        let heard = lines.hear();
        refused = heard["error"]["message"].as_str().map(ToOwned::to_owned);
    }
    assert!(refused.unwrap().contains("64 requests listen already"));
    let call = json!({ "_meta": meta(json!({})), "name": "get_overview", "arguments": {} });
    assert_eq!(lines.ask(99, "tools/call", call)["result"]["isError"], false);
}

#[test]
fn who_floods_never_reads_or_dies_at_http_is_not_heard() {
    let stage = Stage::new();
    let undisturbed = Stage::new().played(|_, _| {});
    let http = Http::start(&stage.server, &[]);
    let (status, head, body) = http.post(&[], &hello());
    assert_eq!(status, 200, "{body}");
    let session = head.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).unwrap().to_owned();
    let of_session = [("Mcp-Session-Id", session.as_str()), ("MCP-Protocol-Version", "2025-11-25")];
    let newer = |method: &'static str| [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method)];
    let list = json!({ "_meta": meta(json!({})) });
    let wrong = |turn: usize| match turn % 5 {
        0 => http.request(&of_session, &request(turn, "tools/list", &json!({}))),
        1 => http.request(&newer("tools/list"), &request(turn, "tools/list", &list)),
        2 => http.request(&of_session, "{\"jsonrpc\":[[["),
        3 => http.request(&[("Authorization", "Bearer wrong")], &hello()),
        _ => "GET / HTTP/9.9\r\n\r\n\u{1}\u{2}".to_owned(),
    };
    // What never reads: as many requests as the socket takes.
    let silent: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = TcpStream::connect(&http.address).unwrap();
            stream.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
            let keeps = wrong(1).replace("Connection: close\r\n", "");
            while stream.write_all(keeps.as_bytes()).is_ok() {}
            stream
        })
        .collect();
    let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let played = std::thread::scope(|scope| {
        for n in 0..4 {
            let (address, wrong, stop, sent) = (&http.address, &wrong, &stop, &sent);
            scope.spawn(move || {
                // Numbers of its own, as two requests of one number have one answer.
                for turn in (0..).map(|turn| 4 * turn + n) {
                    if stop.load(Relaxed) {
                        break;
                    }
                    let Ok(mut stream) = TcpStream::connect(address) else { continue };
                    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
                    // It may be refused, or closed, before it is all written.
                    let whole = stream.write_all(wrong(turn).as_bytes()).is_ok();
                    match turn / 4 % 3 {
                        // Dies at once, in the middle of its answer, or reads it all.
                        0 => drop(stream.shutdown(Shutdown::Both)),
                        1 => drop(stream.read(&mut [0; 100])),
                        _ => drop(stream.read_to_end(&mut Vec::new())),
                    }
                    sent.fetch_add(usize::from(whole), Relaxed);
                }
            });
        }
        let played = stage.played(|_, _| {
            let kib = memory_kib(http.process.id());
            assert!(kib < 2 * MOST_KIB, "{kib} KiB after {} requests", sent.load(Relaxed));
        });
        stop.store(true, Relaxed);
        played
    });
    assert!(played == undisturbed);
    assert!(sent.load(Relaxed) > 0);
    drop(silent);
    assert_eq!(http.post(&[], &hello()).0, 200, "it goes on");
}

#[test]
fn who_closes_a_request_of_the_newer_protocol_gives_its_render_up() {
    let server = Server::stepped();
    server.ok("track add drums");
    let http = Http::start(&server, &[]);
    let out = server.folder().join("long.wav");
    let arguments = json!({ "path": out, "end": "5:00:00" });
    let call = json!({ "_meta": meta(json!({})), "name": "render", "arguments": arguments });
    let newer =
        [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/call"), ("Mcp-Name", "render")];
    let mut stream = TcpStream::connect(&http.address).unwrap();
    stream.write_all(http.request(&newer, &request(2, "tools/call", &call)).as_bytes()).unwrap();
    block_on(until("the render begins", async || running(&server) == 1));
    drop(stream);
    block_on(until("the render ends", async || running(&server) == 0));
    assert!(!out.exists());
}

#[test]
fn a_client_that_ends_in_the_middle_of_a_task_takes_it_along() {
    let server = Server::stepped();
    server.ok("track add drums");
    let out = server.folder().join("long.wav");
    let mut lines = Lines::new(&server, &[]);
    let arguments = json!({ "path": out, "end": "5:00:00" });
    let tasks = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let call = json!({ "_meta": meta(tasks), "name": "render", "arguments": arguments });
    let task = lines.ask(2, "tools/call", call);
    assert_eq!(task["result"]["resultType"], "task", "{task}");
    block_on(until("the render begins", async || running(&server) == 1));
    assert!(lines.end().success());
    block_on(until("the render ends", async || running(&server) == 0));
    assert!(!out.exists());
}
