//! The surfaces, each with a server of its own.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command as Process, Stdio},
    time::{Duration, Instant},
};

use aulos_protocol::{Query, Reply, client::Client, registry, wire};
use aulos_tests::{
    bus::{Bus, NAME},
    osc::{Osc, bundle, message, s},
    server::{Server, ask, aulos_mcp},
};
use rosc::{OscTime, OscType};
use serde_json::{Map, Value as Json, json};

use crate::rows::{self, Row};

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Socket,
    Ctl,
    Osc,
    Dbus,
    Mcp,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::Socket, Self::Ctl, Self::Osc, Self::Dbus, Self::Mcp];
}

/// What a surface is asked by.
enum Asker {
    Socket(Client),
    Ctl,
    Osc(Box<Osc>),
    Dbus { bus: Bus, connection: Box<zbus::blocking::Connection>, news: Option<zbus::zvariant::OwnedFd> },
    Mcp(Box<Mcp>),
}

/// A surface and its server.
pub struct Door {
    pub kind: Kind,
    server: Server,
    /// For what is compared.
    client: Client,
    asker: Asker,
    /// The frame from which the clock is compared.
    base: u64,
}

impl Door {
    pub fn new(kind: Kind, driver: &str) -> Self {
        let args = ["--driver", driver, "--block", "1024"];
        let start = |more: &[&str]| Server::start([&args, more].concat());
        let (server, asker) = match kind {
            Kind::Socket => {
                let server = start(&[]);
                let client = server.client();
                (server, Asker::Socket(client))
            }
            Kind::Ctl => (start(&[]), Asker::Ctl),
            Kind::Osc => {
                let server = start(&["--osc", "127.0.0.1:0", "--osc-query", "off", "--no-mdns"]);
                let osc = Osc::new(&server);
                (server, Asker::Osc(Box::new(osc)))
            }
            Kind::Dbus => {
                let bus = Bus::start();
                let server = bus.server(args);
                let address = bus.address();
                let connection = zbus::blocking::connection::Builder::address(address.as_str())
                    .and_then(zbus::blocking::connection::Builder::build)
                    .unwrap();
                (server, Asker::Dbus { bus, connection: Box::new(connection), news: None })
            }
            Kind::Mcp => {
                let server = start(&[]);
                let mcp = Mcp::new(&server);
                (server, Asker::Mcp(Box::new(mcp)))
            }
        };
        std::fs::copy("/usr/share/sounds/alsa/Noise.wav", server.folder().join("noise.wav")).unwrap();
        let batch = rows::stepped().into_iter().find(|row| row.method == "batch").unwrap();
        std::fs::write(server.folder().join("batch.json"), batch.params["commands"].to_string()).unwrap();
        let client = server.client();
        Self { kind, server, client, asker, base: 0 }
    }

    fn folder(&self) -> String {
        self.server.folder().to_str().unwrap().to_owned()
    }

    /// A text of a row, with this server's folder.
    fn fill(&self, text: &str) -> String {
        text.replace("FOLDER", &self.folder())
    }

    fn filled(&self, json: &Json) -> Json {
        serde_json::from_str(&self.fill(&json.to_string())).unwrap()
    }

    /// Does what comes before a row, by the socket.
    pub fn prepare(&mut self, row: &Row) {
        for request in &row.before {
            let mut request = self.filled(request);
            request["jsonrpc"] = "2.0".into();
            request["id"] = "before".into();
            self.client.send_line(&request.to_string()).unwrap();
            let answer: Json = serde_json::from_str(&self.client.read_line().unwrap()).unwrap();
            assert!(answer["error"].is_null(), "{request}: {answer}");
        }
    }

    /// Asks a row of this surface; what it answers, as text.
    pub fn call(&mut self, row: &Row) -> String {
        if !row.stepping {
            return self.asked(row);
        }
        let (done, over) = std::sync::mpsc::channel::<()>();
        let mut client = self.server.client();
        let steps = std::thread::spawn(move || {
            while over.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                aulos_tests::server::apply(&mut client, aulos_protocol::Command::Step { blocks: vec![512] });
            }
        });
        let told = self.asked(row);
        drop(done);
        steps.join().unwrap();
        told
    }

    fn asked(&mut self, row: &Row) -> String {
        let params = self.filled(&row.params);
        let (ctl, words, arguments) = (self.fill(row.ctl), self.fill(row.dbus.2), self.filled(&row.mcp.1));
        match &mut self.asker {
            Asker::Socket(client) => {
                let reply = match wire::read_ask(row.method, Some(params)).unwrap() {
                    wire::Ask::Command(command) => client.command(command),
                    wire::Ask::Query(query) => client.query(query),
                };
                serde_json::to_string(&reply.unwrap_or_else(|error| panic!("{}: {error}", row.method)))
                    .unwrap()
            }
            Asker::Ctl => self.server.ok(&ctl),
            Asker::Osc(osc) => by_osc(osc, row, &params),
            Asker::Dbus { bus, connection, news } => match row.method {
                // What is subscribed to belongs to a connection, and each call of busctl is one.
                "subscribe" => {
                    let options = std::collections::HashMap::<&str, zbus::zvariant::Value<'_>>::new();
                    let told = connection
                        .call_method(
                            Some(NAME),
                            "/org/aulos/Server",
                            Some("org.aulos.Manager1"),
                            "Subscribe",
                            &(options,),
                        )
                        .unwrap();
                    *news = Some(told.body().deserialize().unwrap());
                    String::new()
                }
                "unsubscribe" => {
                    connection
                        .call_method(
                            Some(NAME),
                            "/org/aulos/Server",
                            Some("org.aulos.Manager1"),
                            "Unsubscribe",
                            &(),
                        )
                        .unwrap();
                    let news = news.take().expect("it was subscribed to");
                    std::io::read_to_string(std::fs::File::from(std::os::fd::OwnedFd::from(news))).unwrap()
                }
                _ => {
                    let (object, member, _) = row.dbus;
                    let (interface, member) = member.split_once('.').unwrap();
                    let told = bus.call(object, interface, member, &words);
                    told.unwrap_or_else(|error| panic!("{member} {words}: {error}")).to_string()
                }
            },
            Asker::Mcp(mcp) => mcp.call(row.mcp.0, arguments),
        }
    }

    /// From here on the clock is compared: it has moved as far as it happened to.
    pub fn begin_clock(&mut self) {
        let Reply::Status(status) = ask(&mut self.client, Query::Status) else { panic!("no status") };
        self.base = status.driver.frame.0;
    }

    /// What is compared: the clock, the session, the transport, the driver, and the files.
    pub fn state(&mut self) -> String {
        let Reply::Session(session) = ask(&mut self.client, Query::Session) else { panic!("no session") };
        let Reply::Status(status) = ask(&mut self.client, Query::Status) else { panic!("no status") };
        let stepped = status.driver.name == "stepped";
        let state = json!({
            "session": session,
            "path": status.path,
            "unsaved": status.unsaved,
            "rolling": status.transport.rolling,
            "frame": if stepped { status.driver.frame.0 - self.base } else { 0 },
            "position": if stepped { status.transport.position.0 } else { 0 },
            "driver": [&status.driver.name, &status.driver.block.to_string()],
            "undo": [status.undo.is_some(), status.redo.is_some()],
            "operations": status.operations.len(),
            "files": files(self.server.folder()),
        });
        state.to_string().replace(&self.folder(), "FOLDER")
    }

    /// The state when nothing is in work any more.
    pub fn settled(&mut self) -> String {
        let begun = Instant::now();
        while matches!(ask(&mut self.client, Query::Status), Reply::Status(status) if !status.operations.is_empty())
        {
            assert!(begun.elapsed() < PATIENCE, "something does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        self.state()
    }

    /// What is left when the server has ended.
    pub fn ended(&mut self) -> String {
        assert!(self.server.wait().success(), "{}", self.server.log());
        json!({ "files": files(self.server.folder()) }).to_string()
    }
}

/// The files of a folder that are no others' business, with their sizes.
fn files(folder: &Path) -> Vec<(String, u64)> {
    fn gather(base: &Path, folder: &Path, found: &mut Vec<(String, u64)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(base).unwrap().to_str().unwrap().to_owned();
            if ["log", "control.sock", "state", "aulos"].contains(&name.as_str()) {
                continue;
            }
            match path.is_dir() {
                true => gather(base, &path, found),
                // It grows while it is looked at.
                false if name.ends_with(".partial") => found.push((name, 0)),
                false => found.push((name, std::fs::metadata(&path).map_or(0, |file| file.len()))),
            }
        }
    }
    let mut found = Vec::new();
    gather(folder, folder, &mut found);
    found.sort();
    found
}

/// Arguments of OSC, of JSON in the order of the method's fields.
fn args(row: &Row, params: &Json) -> Vec<OscType> {
    let method = registry::method(row.method).unwrap();
    let last = method.fields.iter().rposition(|field| !params[field.name].is_null());
    let said = method.fields.iter().take(last.map_or(0, |last| last + 1));
    said.flat_map(|field| match &params[field.name] {
        Json::Array(several) => several.iter().map(arg).collect(),
        Json::Object(pairs) => pairs.iter().flat_map(|(name, value)| [s(name), arg(value)]).collect(),
        one => vec![arg(one)],
    })
    .collect()
}

fn arg(json: &Json) -> OscType {
    match json {
        Json::Bool(on) => OscType::Bool(*on),
        Json::String(text) => s(text),
        Json::Number(number) => match number.as_i64() {
            Some(number) => i32::try_from(number).map_or(OscType::Long(number), OscType::Int),
            None => OscType::Float(number.as_f64().unwrap() as f32),
        },
        _ => OscType::Nil,
    }
}

/// A message as a line.
pub fn line(address: &str, args: &Json) -> String {
    let args = args.as_array().unwrap().iter().map(arg);
    args.fold(address.to_owned(), |line, arg| format!("{line} {}", word(&arg)))
}

/// The message of a row at its method's address, as a line.
pub fn usage(row: &Row) -> String {
    let address = registry::method(row.method).unwrap().address.expect("an address");
    args(row, &row.params).iter().fold(address.to_owned(), |line, arg| format!("{line} {}", word(arg)))
}

fn word(arg: &OscType) -> String {
    match arg {
        OscType::Int(number) => number.to_string(),
        OscType::Long(number) => number.to_string(),
        OscType::Float(number) => number.to_string(),
        OscType::Bool(on) => if *on { "T" } else { "F" }.into(),
        OscType::String(text) => text.clone(),
        _ => "N".into(),
    }
}

fn by_osc(osc: &mut Osc, row: &Row, params: &Json) -> String {
    let list = |args: &Json| args.as_array().unwrap().iter().map(arg).collect::<Vec<_>>();
    let said = |told: Result<Vec<OscType>, (i32, String)>| {
        format!("{:?}", told.unwrap_or_else(|error| panic!("{}: {error:?}", row.method)))
    };
    match &row.osc {
        rows::Osc::Own(address, args) => said(osc.ask(address, &list(args))),
        rows::Osc::Bundle(messages) => {
            let messages = messages.iter().map(|(address, args)| message(address, &list(args))).collect();
            osc.packet(&bundle(OscTime { seconds: 0, fractional: 1 }, messages));
            format!("{:?}", osc.next_to("/reply"))
        }
        rows::Osc::Registry => {
            let method = registry::method(row.method).unwrap();
            let address = method.address.expect("an address");
            let mut told = said(osc.ask(address, &args(row, params)));
            if method.is_command {
                return told;
            }
            // In parts, the last of which is empty.
            loop {
                let more = osc.next_to("/reply");
                if more.len() <= 2 {
                    return told;
                }
                told += &format!("{more:?}");
            }
        }
    }
}

/// An agent by standard input and output.
struct Mcp {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    next: u64,
}

impl Mcp {
    fn new(server: &Server) -> Self {
        let mut process = Process::new(aulos_mcp())
            .arg("--socket")
            .arg(server.socket())
            .env("AULOS_CONFIG", "")
            .env("XDG_RUNTIME_DIR", server.folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, output) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let mut mcp = Self { process, input, output, next: 0 };
        let about = json!({ "name": "test", "version": "1" });
        mcp.ask(
            "initialize",
            json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": about }),
        );
        mcp.send(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        mcp
    }

    fn send(&mut self, message: Json) {
        writeln!(self.input, "{message}").unwrap();
    }

    fn ask(&mut self, method: &str, params: Json) -> Json {
        self.next += 1;
        self.send(json!({ "jsonrpc": "2.0", "id": self.next, "method": method, "params": params }));
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the agent's server ended");
            let mut answer: Map<String, Json> = serde_json::from_str(&line).unwrap();
            if answer.get("id") == Some(&json!(self.next)) {
                return answer.remove("result").unwrap_or_else(|| panic!("{method}: {line}"));
            }
        }
    }

    fn call(&mut self, tool: &str, arguments: Json) -> String {
        let told = self.ask("tools/call", json!({ "name": tool, "arguments": arguments }));
        if told["isError"] != true {
            return told["structuredContent"].to_string();
        }
        // What cannot be taken back is done when it is asked for again with what the first answer says.
        let code = told["content"][0]["text"]
            .as_str()
            .and_then(|text| text.split("\"confirm\": \"").nth(1)?.split('"').next());
        let code = code.filter(|_| arguments["confirm"].is_null());
        let code = code.unwrap_or_else(|| panic!("{tool} {arguments}: {told}")).to_owned();
        let mut again = arguments;
        again["confirm"] = code.into();
        self.call(tool, again)
    }
}

impl Drop for Mcp {
    fn drop(&mut self) {
        if self.process.kill().is_ok() {
            self.process.wait().ok();
        }
    }
}
