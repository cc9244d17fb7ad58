//! Clients of OSC that are ours, and where to find those that are not.

use std::{
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    process::Command as Process,
    sync::OnceLock,
    time::{Duration, Instant},
};

use aulos_osc::packet;
use aulos_protocol::{OscStatus, Query, Reply, client::Client};
use rosc::{OscBundle, OscMessage, OscPacket, OscTime, OscType};

use crate::server::{Server, ask, project};

/// How long an answer may take before the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);
/// What of Python is compared with.
const OF_PYTHON: [&str; 2] = ["python-osc==1.10.2", "zeroconf==0.154.0"];
/// What of npm, beside a Node of its own, as these want a newer one than distributions have.
const OF_NPM: [&str; 2] = ["oscquery@1.1.1", "osc-min@1.1.2"];

/// How OSC is getting on.
///
/// # Panics
/// If the server does not tell.
pub fn status(client: &mut Client) -> OscStatus {
    match ask(client, Query::Status) {
        Reply::Status(status) => status.osc,
        other => panic!("{other:?}"),
    }
}

/// Where a server listens to OSC.
///
/// # Panics
/// If it does not.
pub fn place(server: &Server) -> SocketAddr {
    let status = status(&mut server.client());
    let place = status.listens.unwrap_or_else(|| panic!("no OSC: {:?}: {}", status.problem, server.log()));
    place.parse().unwrap_or_else(|error| panic!("{place}: {error}"))
}

/// Waits until what is counted is as it should be.
///
/// # Panics
/// If it does not become so.
pub fn wait_until(server: &Server, what: &str, holds: impl Fn(&OscStatus) -> bool) -> OscStatus {
    let (begun, mut client) = (Instant::now(), server.client());
    loop {
        let status = status(&mut client);
        if holds(&status) {
            return status;
        }
        assert!(begun.elapsed() < PATIENCE, "it never came that {what}: {status:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A message.
pub fn message(address: &str, args: &[OscType]) -> OscMessage {
    OscMessage { addr: address.to_owned(), args: args.to_vec() }
}

/// Text as an argument.
pub fn s(text: &str) -> OscType {
    OscType::String(text.to_owned())
}

/// A bundle.
pub fn bundle(time: OscTime, messages: Vec<OscMessage>) -> OscPacket {
    let content = messages.into_iter().map(OscPacket::Message).collect();
    OscPacket::Bundle(OscBundle { timetag: time, content })
}

/// A time tag so many ns later.
pub fn later(time: OscTime, ns: u64) -> OscTime {
    let fixed = u64::from(time.seconds) << 32 | u64::from(time.fractional);
    let fixed = fixed + (u128::from(ns) << 32).div_ceil(1_000_000_000) as u64;
    OscTime { seconds: (fixed >> 32) as u32, fractional: fixed as u32 }
}

/// A client by UDP.
pub struct Osc {
    socket: UdpSocket,
    /// What came within packets and was not asked for yet.
    waiting: std::collections::VecDeque<OscMessage>,
}

impl Osc {
    /// A client of a server, with a port of its own.
    ///
    /// # Panics
    /// If there is none.
    pub fn new(server: &Server) -> Self {
        Self::to(place(server))
    }

    /// A client of whoever listens there.
    ///
    /// # Panics
    /// If there is no port for it.
    pub fn to(place: SocketAddr) -> Self {
        Self::between(SocketAddr::from(([127, 0, 0, 1], 0)), place)
    }

    /// A client that has this address.
    ///
    /// # Panics
    /// If it cannot have it.
    pub fn between(own: SocketAddr, place: SocketAddr) -> Self {
        let socket = UdpSocket::bind(own).and_then(|socket| {
            socket.connect(place)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            Ok(socket)
        });
        Self { socket: socket.unwrap_or_else(|error| panic!("{error}")), waiting: Default::default() }
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// If they cannot be sent.
    pub fn bytes(&self, bytes: &[u8]) {
        self.socket.send(bytes).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Sends a packet.
    ///
    /// # Panics
    /// If it cannot be sent.
    pub fn packet(&self, packet: &OscPacket) {
        self.bytes(&packet::write(packet).unwrap_or_else(|error| panic!("{error}")));
    }

    /// Sends a message.
    pub fn send(&self, address: &str, args: &[OscType]) {
        self.packet(&OscPacket::Message(message(address, args)));
    }

    /// The next message that comes, with the size of its packet.
    ///
    /// # Panics
    /// If none comes.
    pub fn hear(&mut self) -> OscMessage {
        while self.waiting.is_empty() {
            assert!(self.read(), "nothing comes");
        }
        self.waiting.pop_front().unwrap_or_else(|| unreachable!())
    }

    /// What comes within so long after the last that came.
    ///
    /// # Panics
    /// If something comes that is no OSC.
    pub fn all(&mut self, silence: Duration) -> Vec<OscMessage> {
        self.timeout(silence);
        while self.read() {}
        self.timeout(PATIENCE);
        self.waiting.drain(..).collect()
    }

    fn timeout(&self, timeout: Duration) {
        self.socket.set_read_timeout(Some(timeout)).unwrap_or_else(|error| panic!("{error}"));
    }

    fn read(&mut self) -> bool {
        let mut bytes = [0; 65_536];
        let Ok(count) = self.socket.recv(&mut bytes) else { return false };
        assert!(count <= 1400, "a datagram of {count} bytes");
        let (_, read) = rosc::decoder::decode_udp(&bytes[..count]).unwrap_or_else(|error| panic!("{error}"));
        self.waiting.extend(packet::messages(read).into_iter().map(|(_, message)| message));
        true
    }

    /// The next message to this address; what comes before it is left out.
    pub fn next_to(&mut self, address: &str) -> Vec<OscType> {
        loop {
            let message = self.hear();
            if message.addr == address {
                return message.args;
            }
        }
    }

    /// Asks with a number, and gives the answer: the arguments behind it, or the sentence of the error.
    ///
    /// # Errors
    /// The number and the sentence.
    ///
    /// # Panics
    /// If none comes.
    pub fn ask(&mut self, address: &str, args: &[OscType]) -> Result<Vec<OscType>, (i32, String)> {
        static NEXT: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(1);
        let id = OscType::Int(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        self.send("/sys/req", &[&[id.clone(), s(address)], args].concat());
        loop {
            let OscMessage { addr, args } = self.hear();
            match (addr.as_str(), args.as_slice()) {
                ("/reply", [_, answered, rest @ ..]) if *answered == id => return Ok(rest.to_vec()),
                ("/error", [_, OscType::Int(code), OscType::String(text), answered]) if *answered == id => {
                    return Err((*code, text.clone()));
                }
                _ => {}
            }
        }
    }

    /// The value of an address that has one, by a message without arguments.
    pub fn get(&mut self, address: &str) -> Vec<OscType> {
        self.send(address, &[]);
        self.next_to(address)
    }
}

/// A Node that has a WebSocket, and where npm's packages for it are, in a folder of the project's that is made where it
/// is missing.
///
/// # Panics
/// If it cannot be made.
pub fn node() -> (PathBuf, PathBuf) {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let folder = MADE.get_or_init(|| {
        let folder = project().join("target/node-osc");
        let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
        let made = Process::new("npm")
            .args([
                "install",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
                "--prefer-offline",
            ])
            .arg("--prefix")
            .arg(&folder)
            .arg(format!("node-linux-{arch}@22"))
            .args(OF_NPM)
            .stdout(std::process::Stdio::null())
            .status();
        assert!(made.is_ok_and(|made| made.success()), "npm, which make deps installs, cannot install");
        folder
    });
    let modules = folder.join("node_modules");
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    (modules.join(format!("node-linux-{arch}/bin/node")), modules)
}

/// A Python that has what is compared with, in a folder of the project's that is made where it is missing.
///
/// # Panics
/// If it cannot be made.
pub fn python() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = project().join("target/python-osc");
        let python = folder.join("bin/python");
        let has = |python: &PathBuf| {
            let output = Process::new(python).args(["-c", "import pythonosc, zeroconf"]).output();
            output.is_ok_and(|output| output.status.success())
        };
        if !has(&python) {
            let run = |program: &std::ffi::OsStr, args: &[&std::ffi::OsStr]| {
                let status = Process::new(program).args(args).status();
                assert!(status.is_ok_and(|status| status.success()), "{program:?} {args:?} failed");
            };
            run("python3".as_ref(), &["-m".as_ref(), "venv".as_ref(), folder.as_os_str()]);
            let words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
            let words: Vec<_> = words.into_iter().chain(OF_PYTHON).map(std::ffi::OsStr::new).collect();
            run(python.as_os_str(), &words);
        }
        python
    })
    .clone()
}
