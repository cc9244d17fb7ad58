//! READY, WATCHDOG and STOPPING, and the socket that is handed over.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram, UnixStream},
    },
    time::{Duration, Instant},
};

use aulos_protocol::{Command, Query, Reply};
use aulos_tests::{
    server::{Server, apply, ask, aulosd},
    stopped::Stopped,
};

/// What the server is told to say how often it lives, in microseconds.
const WATCHDOG_USEC: &str = "400000";

/// The end of a notify socket at which a manager listens.
struct Manager {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Manager {
    fn listen() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        Self { socket, folder }
    }

    fn server(&self, watchdog: Option<&str>, args: &[&str]) -> Server {
        let path = self.folder.path().join("notify");
        let mut environment = vec![("NOTIFY_SOCKET", path.as_os_str())];
        environment.extend(watchdog.map(|micros| ("WATCHDOG_USEC", OsStr::new(micros))));
        Server::spawn_with(None, &environment, args)
    }

    /// What is said next, if anything is said soon enough.
    fn next(&self, patience: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).ok()?;
        Some(String::from_utf8(bytes[..length].to_vec()).unwrap())
    }

    /// Reads on until something is said that begins so; answers with it and all that came before.
    #[track_caller]
    fn until(&self, begin: &str) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            match self.next(Duration::from_secs(60)) {
                Some(text) => all.push(text),
                None => panic!("no {begin} after {all:?}"),
            }
            if all.last().is_some_and(|text| text.starts_with(begin)) {
                return all;
            }
        }
    }

    /// Forgets what has been said so far.
    fn forget(&self) {
        while self.next(Duration::from_millis(1)).is_some() {}
    }
}

#[test]
fn it_is_told_that_the_server_is_ready_how_it_is_that_it_lives_and_that_it_ends() {
    for driver in ["dummy", "stepped"] {
        let manager = Manager::listen();
        let mut server = manager.server(Some(WATCHDOG_USEC), &["--driver", driver]);
        assert_eq!(manager.until("READY=1"), ["READY=1"], "something was said before");
        // Who is ready answers.
        let Reply::Status(status) = ask(&mut server.client(), Query::Status) else { panic!("no status") };
        assert!(driver == "stepped" || status.driver.frame.0 > 0, "ready before the graph runs");
        for _ in 0..5 {
            manager.until("WATCHDOG=1");
        }
        assert!(server.terminate().success());
        let rest = manager.until("STOPPING=1");
        assert!(rest.iter().all(|text| !text.contains("READY")), "{rest:?}");
        assert_eq!(manager.next(Duration::from_millis(10)), None, "something is said after the end");
    }
}

#[test]
fn how_it_is_is_one_line() {
    let manager = Manager::listen();
    let _server = manager.server(None, &["--driver", "dummy", "--block", "128", "--rate", "44100"]);
    let said = manager.until("STATUS=").pop().unwrap();
    for part in ["44100 Hz", "128 frames", "driver dummy", "2 nodes", "xruns"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(said.lines().count(), 1);
}

/// The heart of it: each of the two that must move is stopped by itself, and everything else goes on.
#[test]
fn a_server_whose_audio_or_control_thread_stands_still_is_not_said_to_live() {
    for (thread, what) in [("aulos-audio", "the audio cycle"), ("aulos-control", "the control thread")] {
        let manager = Manager::listen();
        let server = manager.server(Some(WATCHDOG_USEC), &["--driver", "dummy"]);
        manager.until("WATCHDOG=1");
        let stopped = Stopped::new(&server, thread);
        manager.forget();
        let (begun, mut said) = (Instant::now(), Vec::new());
        while begun.elapsed() < Duration::from_secs(3) {
            said.extend(manager.next(Duration::from_millis(200)));
        }
        // Whenever the server came to say so: it can have moved once more before it was stopped, and no more than once.
        let fed = said.iter().filter(|text| *text == "WATCHDOG=1").count();
        assert!(fed <= 1, "{thread} stands still, and it is said to live: {said:?}");
        if thread == "aulos-audio" {
            // Everything else lives: what needs no sound is answered.
            let Reply::Status(_) = ask(&mut server.client(), Query::Status) else { panic!("no status") };
        }
        let begun = Instant::now();
        while !server.log().contains(&format!("{what} stands still")) {
            assert!(begun.elapsed().as_secs() < 60, "{}", server.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        stopped.go_on();
        manager.until("WATCHDOG=1");
    }
}

#[test]
fn without_a_watchdog_none_is_fed_and_one_of_another_process_neither() {
    let manager = Manager::listen();
    let path = manager.folder.path().join("notify");
    let other = [
        ("NOTIFY_SOCKET", path.as_os_str()),
        ("WATCHDOG_USEC", OsStr::new(WATCHDOG_USEC)),
        ("WATCHDOG_PID", OsStr::new("1")),
    ];
    for environment in [&other[..1], &other[..]] {
        let mut server = Server::spawn_with(None, environment, ["--driver", "dummy"]);
        manager.until("READY=1");
        std::thread::sleep(Duration::from_secs(1));
        assert!(server.terminate().success());
        let rest = manager.until("STOPPING=1");
        assert!(rest.iter().all(|text| text != "WATCHDOG=1"), "{rest:?}");
    }
}

#[test]
fn a_manager_at_an_abstract_socket_is_told_too_and_one_that_is_not_there_is_warned_of() {
    let name = format!("aulos-test-{}", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let manager = Manager { socket, folder: tempfile::tempdir().unwrap() };
    let address = format!("@{name}");
    let _server = Server::spawn_with(None, &[("NOTIFY_SOCKET", OsStr::new(&address))], ["--driver", "dummy"]);
    manager.until("READY=1");
    for (wrong, part) in [("relative", "is no socket"), ("/nowhere/notify", "/nowhere/notify")] {
        let environment = [("NOTIFY_SOCKET", OsStr::new(wrong))];
        let mut server = Server::spawn_with(None, &environment, ["--driver", "stepped"]);
        server.answering();
        assert!(server.log().contains(part), "{}", server.log());
    }
}

/// The socket is made by `systemd-socket-activate`, which starts the server when somebody connects.
#[test]
fn a_socket_that_is_handed_over_is_served_and_left_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let mut process = std::process::Command::new("systemd-socket-activate")
        .arg("--listen")
        .arg(&socket)
        .args(["--setenv=AULOS_CONFIG=", "--setenv=AULOS_LOG=info"])
        .arg(format!("--setenv=XDG_STATE_HOME={}", folder.path().join("state").display()))
        .arg(aulosd())
        .args(["--no-dbus", "--driver", "stepped"])
        .stdin(std::process::Stdio::null())
        .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
        .spawn()
        .unwrap_or_else(|e| panic!("systemd-socket-activate: {e}; it is installed by make deps"));
    let log = || std::fs::read_to_string(folder.path().join("log")).unwrap();
    let begun = Instant::now();
    let mut stream = loop {
        match UnixStream::connect(&socket) {
            Ok(stream) => break stream,
            Err(error) => assert!(begun.elapsed().as_secs() < 60, "{error}: {}", log()),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    // Said before the server is there, and not lost.
    stream.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    assert!(line.contains("\"reply\":\"status\""), "{line}{}", log());
    // A second server leaves it alone, though it is not said to be anybody's but the manager's.
    let mut second = Server::spawn_at(Some(&socket), ["--driver", "stepped"]);
    assert!(!second.wait().success());
    assert!(second.log().contains("another server serves"), "{}", second.log());
    let (mut client, _) = aulos_protocol::client::Client::connect(&socket).unwrap();
    assert_eq!(client.command(Command::Shutdown { discard: true }), Ok(Reply::Done));
    assert!(process.wait().unwrap().success(), "{}", log());
    assert!(socket.exists(), "the manager's socket is gone");
}

#[test]
fn a_socket_at_which_somebody_listens_is_left_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let mut server = Server::spawn_at(Some(&path), ["--driver", "stepped"]);
    assert!(!server.wait().success());
    assert!(server.log().contains("somebody listens at"), "{}", server.log());
    // Nobody listens any more: it is one that was left behind.
    drop(listener);
    let mut server = Server::spawn_at(Some(&path), ["--driver", "stepped"]);
    server.answering();
    apply(&mut server.client(), Command::Step { blocks: vec![10] });
}
