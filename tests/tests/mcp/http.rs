//! Streamable HTTP: who has the token, from this machine, in measure.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use aulos_tests::server::Server;
use serde_json::{Value as Json, json};

use crate::agent::{PATIENCE, block_on, meta, spawn, until, wait};

/// `aulos-mcp` on HTTP.
pub struct Http {
    pub process: Child,
    pub address: String,
    pub token: String,
    log: Arc<Mutex<String>>,
}

impl Http {
    /// Starts it for the server, at a port that is free.
    pub fn start(server: &Server, args: &[&str]) -> Self {
        let mut process = spawn(server, &[&["--http", "127.0.0.1:0"], args].concat())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let address = lines
            .by_ref()
            .find_map(|line| {
                let line = line.unwrap();
                Some(line.split_once("http://")?.1.split_once("/mcp")?.0.to_owned())
            })
            .unwrap();
        let theirs = log.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *theirs.lock().unwrap() += &(line + "\n");
            }
        });
        let token =
            std::fs::read_to_string(server.folder().join("aulos/mcp-token")).unwrap().trim().to_owned();
        Self { process, address, token, log }
    }

    /// Sends a request as it is, and answers with status, headers and body.
    fn raw(&self, request: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // It may be refused before it is all written.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, head.to_lowercase(), body.to_owned())
    }

    /// Posts a message with these headers beside the usual ones.
    pub fn post(&self, headers: &[(&str, &str)], message: &str) -> (u16, String, String) {
        self.raw(&self.request(headers, message))
    }

    /// The text of such a request.
    pub fn request(&self, headers: &[(&str, &str)], message: &str) -> String {
        let mut all = vec![
            ("Host", self.address.clone()),
            ("Authorization", format!("Bearer {}", self.token)),
            ("Content-Type", "application/json".into()),
            ("Accept", "application/json, text/event-stream".into()),
            ("Connection", "close".into()),
        ];
        for (name, value) in headers {
            all.retain(|(known, _)| known != name);
            if !value.is_empty() {
                all.push((name, (*value).to_owned()));
            }
        }
        let head: String = all.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("POST /mcp HTTP/1.1\r\n{head}Content-Length: {}\r\n\r\n{message}", message.len())
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// The first message of the older protocol.
pub fn hello() -> String {
    let client = json!({ "name": "http", "version": "1" });
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params }).to_string()
}

/// The message in a body that is JSON or a stream of events.
fn message(body: &str) -> Json {
    let json = |text: &str| serde_json::from_str::<Json>(text.trim()).ok().filter(Json::is_object);
    let of_stream = || body.lines().filter_map(|line| json(line.strip_prefix("data:")?)).next_back();
    json(body).or_else(of_stream).unwrap_or_else(|| panic!("{body}"))
}

#[test]
fn only_who_has_the_token_comes_in() {
    let server = Server::stepped();
    let http = Http::start(&server, &[]);
    let mode = std::fs::metadata(server.folder().join("aulos/mcp-token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (status, _, body) = http.post(&[], &hello());
    assert_eq!(status, 200, "{body}");
    assert_eq!(message(&body)["result"]["serverInfo"]["name"], "aulos-mcp");
    let (wrong, short, basic) = (
        format!("Bearer {}", "0".repeat(64)),
        format!("Bearer {}", &http.token[1..]),
        format!("Basic {}", http.token),
    );
    for authorization in ["", "Bearer", "Bearer ", &wrong, &short, &basic, &http.token] {
        let (status, head, body) = http.post(&[("Authorization", authorization)], &hello());
        assert_eq!(status, 401, "{authorization}: {body}");
        assert!(head.contains("www-authenticate: bearer"), "{head}");
        assert!(!body.contains("aulos-mcp"));
    }
    let request = format!("GET /mcp HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", http.address);
    assert_eq!(http.raw(&request).0, 401);
    block_on(until("refusals are written down", async || {
        http.log.lock().unwrap().matches("refused with 401").count() == 8
    }));
    assert!(!http.log.lock().unwrap().contains(&http.token), "the token is not written down");
}

#[test]
fn other_hosts_and_origins_are_refused() {
    let server = Server::stepped();
    let http = Http::start(&server, &["--allow-origin", "http://localhost:8123"]);
    for host in ["evil.example", "127.0.0.1:1", "localhost.evil.example"] {
        let (status, _, body) = http.post(&[("Host", host)], &hello());
        assert_eq!(status, 403, "{host}: {body}");
    }
    for origin in ["http://evil.example", "null", "http://localhost:8124", "https://localhost:8123"] {
        let (status, _, body) = http.post(&[("Origin", origin)], &hello());
        assert_eq!(status, 403, "{origin}: {body}");
    }
    let port = http.address.rsplit(':').next().unwrap().to_owned();
    assert_eq!(http.post(&[("Host", &format!("localhost:{port}"))], &hello()).0, 200);
    assert_eq!(http.post(&[("Origin", "http://localhost:8123")], &hello()).0, 200);
    block_on(until("refusals are written down", async || {
        let log = http.log.lock().unwrap().clone();
        log.matches("refused with 403").count() == 7 && log.contains("evil.example")
    }));
}

#[test]
fn bodies_that_are_too_large_are_refused() {
    let server = Server::stepped();
    let http = Http::start(&server, &[]);
    let said = |length: u64| {
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n",
            http.address, http.token
        );
        http.raw(&head).0
    };
    // Refused by what it says before it is sent.
    assert_eq!(said(1 << 40), 413);
    assert_eq!(said((4 << 20) + 1), 413);
    // Or while it is read, where it says nothing.
    let mut body = String::new();
    let piece = " ".repeat(1 << 16);
    for _ in 0..70 {
        body.push_str(&format!("{:x}\r\n{piece}\r\n", piece.len()));
    }
    body.push_str("0\r\n\r\n");
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
        http.address, http.token
    );
    let (status, _, _) = http.raw(&(head + &body));
    assert!(status == 413 || status == 0, "{status}");
    assert_eq!(http.post(&[], &hello()).0, 200, "it goes on");
}

#[test]
fn both_eras_work_and_sessions_are_of_the_older() {
    let server = Server::stepped();
    let http = Http::start(&server, &[]);
    let (_, head, body) = http.post(&[], &hello());
    assert_eq!(message(&body)["result"]["protocolVersion"], "2025-11-25");
    let session = head.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).unwrap().to_owned();
    let of_session = [("Mcp-Session-Id", session.as_str()), ("MCP-Protocol-Version", "2025-11-25")];
    let began = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string();
    assert_eq!(http.post(&of_session, &began).0, 202);
    let call = json!({ "name": "set_click", "arguments": { "level_db": -9 } });
    let request = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call }).to_string();
    let (status, _, body) = http.post(&of_session, &request);
    assert_eq!((status, &message(&body)["result"]["isError"]), (200, &json!(false)), "{body}");
    assert_eq!(http.post(&[("Mcp-Session-Id", "made-up")], &request).0, 404);

    let meta = meta(json!({}));
    let call = json!({ "name": "get_overview", "arguments": {}, "_meta": meta });
    let request = json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": call }).to_string();
    let newer =
        [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/call"), ("Mcp-Name", "get_overview")];
    let (status, head, body) = http.post(&newer, &request);
    assert_eq!(status, 200, "{body}");
    assert!(!head.contains("mcp-session-id"));
    assert!(message(&body)["result"]["structuredContent"]["nodes"].to_string().contains("click"), "{body}");
}

#[test]
fn it_listens_to_this_machine_only_and_to_good_tokens_only() {
    let server = Server::stepped();
    let ends_with = |args: &[&str]| {
        let mut process = spawn(&server, args).stderr(Stdio::piped()).spawn().unwrap();
        let status = wait(&mut process);
        let mut said = String::new();
        process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(!status.success(), "{said}");
        said
    };
    for address in ["0.0.0.0:0", "[::]:0", "192.168.0.1:80"] {
        let said = ends_with(&["--http", address]);
        assert!(said.contains("other machines") && said.contains("127.0.0.1"), "{said}");
    }
    let token = server.folder().join("token");
    std::fs::write(&token, "0123456789abcdef0123456789abcdef\n").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = ends_with(&["--http", "127.0.0.1:0", "--token-file", token.to_str().unwrap()]);
    assert!(said.contains("0600"), "{said}");
}

#[test]
fn who_says_nothing_holds_up_nobody() {
    let server = Server::stepped();
    let http = Http::start(&server, &[]);
    let silent: Vec<_> = (0..40).map(|_| TcpStream::connect(&http.address).unwrap()).collect();
    for stream in &silent[..20] {
        let mut stream = stream;
        stream.write_all(b"POST /mcp HTTP/1.1\r\nHost: x\r\n").unwrap();
    }
    assert_eq!(http.post(&[], &hello()).0, 200);
    drop(silent);
    std::thread::sleep(Duration::from_millis(1));
    assert_eq!(http.post(&[], &hello()).0, 200);
}

#[test]
fn a_signal_ends_it() {
    let server = Server::stepped();
    let mut http = Http::start(&server, &[]);
    let pid = rustix::process::Pid::from_child(&http.process);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(wait(&mut http.process).success());
}
