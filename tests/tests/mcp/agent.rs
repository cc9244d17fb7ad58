//! An agent: the client of the official Rust SDK, or lines written by hand.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command as Process, Stdio},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use aulos_tests::server::{Server, aulos_mcp};
use rmcp::{
    ClientHandler, ServiceExt,
    model::{CallToolRequestParams, CallToolResult},
    service::{RoleClient, RunningService},
};
use serde_json::{Value as Json, json};

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Starts `aulos-mcp` for the server.
pub fn spawn(server: &Server, args: &[&str]) -> Process {
    let mut process = Process::new(aulos_mcp());
    process
        .arg("--socket")
        .arg(server.socket())
        .args(args)
        .env("AULOS_CONFIG", "")
        .env_remove("AULOS_LOG")
        .env("XDG_RUNTIME_DIR", server.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    process
}

/// A client of the official SDK, which counts what it is told.
pub struct Agent<H: ClientHandler = ()> {
    pub client: RunningService<RoleClient, H>,
    _process: tokio::process::Child,
    pub calls: AtomicUsize,
    pub bytes: AtomicUsize,
}

impl Agent {
    /// Starts `aulos-mcp` and says hello.
    pub async fn new(server: &Server, args: &[&str]) -> Self {
        Self::with(server, args, ()).await
    }
}

impl<H: ClientHandler> Agent<H> {
    /// As [`Agent::new`], with a handler of its own.
    pub async fn with(server: &Server, args: &[&str], handler: H) -> Self {
        let mut process =
            tokio::process::Command::from(spawn(server, args)).kill_on_drop(true).spawn().unwrap();
        let (output, input) = (process.stdout.take().unwrap(), process.stdin.take().unwrap());
        let client = handler.serve((output, input)).await.unwrap();
        Self { client, _process: process, calls: 0.into(), bytes: 0.into() }
    }

    /// What a tool answers.
    pub async fn call(&self, tool: &'static str, arguments: Json) -> CallToolResult {
        let arguments = arguments.as_object().unwrap().clone();
        let request = CallToolRequestParams::new(tool).with_arguments(arguments);
        let result = tokio::time::timeout(PATIENCE, self.client.call_tool(request)).await.unwrap().unwrap();
        self.calls.fetch_add(1, Relaxed);
        self.bytes.fetch_add(serde_json::to_string(&result).unwrap().len(), Relaxed);
        result
    }

    /// What a tool answers that succeeds: the structure, of which the text must be the same.
    pub async fn ok(&self, tool: &'static str, arguments: Json) -> Json {
        let result = self.call(tool, arguments.clone()).await;
        assert_ne!(result.is_error, Some(true), "{tool} {arguments}: {result:?}");
        let json = result.structured_content.clone().unwrap();
        assert_eq!(serde_json::from_str::<Json>(&text(&result)).unwrap(), json, "{tool}");
        json
    }

    /// What a tool says that refuses.
    pub async fn refused(&self, tool: &'static str, arguments: Json) -> String {
        let result = self.call(tool, arguments.clone()).await;
        assert_eq!(result.is_error, Some(true), "{tool} {arguments}: {result:?}");
        assert_eq!(result.structured_content, None);
        text(&result)
    }
}

/// The text of a result.
pub fn text(result: &CallToolResult) -> String {
    let json = serde_json::to_value(&result.content).unwrap();
    json[0]["text"].as_str().unwrap().to_owned()
}

/// The code in a refusal that says what confirms.
pub fn code(said: &str) -> String {
    let (_, rest) = said.split_once("\"confirm\": \"").unwrap_or_else(|| panic!("{said}"));
    rest.split('"').next().unwrap().to_owned()
}

/// What every request of the newer protocol says of its client.
pub fn meta(capabilities: Json) -> Json {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "lines", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    })
}

/// Runs something that waits.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Waits until something is so.
pub async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Lines written by hand, for what no library sends.
pub struct Lines {
    pub process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Lines {
    /// Starts `aulos-mcp` and says nothing.
    pub fn new(server: &Server, args: &[&str]) -> Self {
        Self::of(spawn(server, args).spawn().unwrap())
    }

    /// Speaks to a process.
    pub fn of(mut process: Child) -> Self {
        let (input, output) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, input, output }
    }

    /// Starts `aulos-mcp` and begins as clients of the older protocol do.
    pub fn initialized(server: &Server, args: &[&str]) -> Self {
        let mut lines = Self::new(server, args);
        lines.hello(json!({}));
        lines
    }

    /// Begins as a client of the older protocol of these capabilities.
    pub fn hello(&mut self, capabilities: Json) {
        let client = json!({ "name": "lines", "version": "1" });
        let params =
            json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": client });
        let answer = self.ask(1, "initialize", params);
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25", "{answer}");
        self.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string());
    }

    /// Writes a line.
    pub fn say(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
        input.flush().unwrap();
    }

    /// Writes a piece of a line.
    pub fn write(&mut self, bytes: &[u8]) {
        self.input.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// Reads a line.
    pub fn hear(&mut self) -> Json {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// Sends a request and waits for its answer.
    pub fn ask(&mut self, id: u64, method: &str, params: Json) -> Json {
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string());
        loop {
            let answer = self.hear();
            if answer["id"] == id {
                return answer;
            }
        }
    }

    /// Closes the input and waits for the end.
    pub fn end(mut self) -> std::process::ExitStatus {
        drop(self.input.take());
        wait(&mut self.process)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if self.process.try_wait().unwrap().is_none() {
            self.process.kill().unwrap();
            self.process.wait().unwrap();
        }
    }
}

/// How much memory a process has, in KiB.
pub fn memory_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// Waits until a process has ended.
pub fn wait(process: &mut Child) -> std::process::ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return status;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}
