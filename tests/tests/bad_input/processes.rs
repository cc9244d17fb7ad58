//! Several servers, servers that end, and servers that are killed.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::Path,
    process::{Command as Process, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use aulos_protocol::{Command, Query, Reply, Session, Value, client::Client};
use aulos_tests::server::{Server, ask, aulosd, text};

use crate::bench::{Bench, Raw, wait_until};

const STEPPED: [&str; 2] = ["--driver", "stepped"];

fn session(client: &mut Client) -> Session {
    match ask(client, Query::Session) {
        Reply::Session(session) => *session,
        other => panic!("{other:?}"),
    }
}

/// The session in a folder.
fn saved(folder: &Path) -> Session {
    serde_json::from_str(&fs::read_to_string(folder.join("session.json")).unwrap()).unwrap()
}

/// Makes sure that a server at `socket` does not start, and says why.
#[track_caller]
fn refused(socket: &Path, args: &[&str], parts: &[&str]) {
    let mut server = Server::spawn_at(Some(socket), STEPPED.iter().chain(args));
    let status = server.wait();
    assert_eq!(status.code(), Some(1), "{}", server.log());
    for part in parts {
        assert!(server.log().contains(part), "{part:?} is not in {}", server.log());
    }
}

#[test]
fn a_second_server_on_the_same_socket_is_refused() {
    let mut bench = Bench::new();
    let socket = bench.server.socket();
    refused(&socket, &[], &["another server serves", socket.to_str().unwrap(), "aulosctl shutdown"]);
    bench.goes_on("a second server on its socket");
}

#[test]
fn a_second_server_on_the_same_session_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("session");
    let mut bench = Bench::new();
    bench.server.ok(&format!("session save {}", folder.display()));
    let folder = folder.to_str().unwrap();
    let socket = dir.path().join("other.sock");
    refused(&socket, &["--session", folder], &["another server has the session", folder]);
    assert!(!socket.exists(), "the socket is taken away again");
    bench.goes_on("a second server on its session");
}

#[test]
fn sockets_side_by_side_are_no_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let mut servers = ["a.one", "a.two", "a", "b.lock"].map(|name| {
        let mut server = Server::spawn_at(Some(&dir.path().join(name)), STEPPED);
        server.answering();
        server
    });
    for server in &mut servers {
        assert!(server.terminate().success(), "{}", server.log());
        assert!(!server.socket().exists());
    }
}

#[test]
fn the_socket_of_a_server_that_was_killed_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("new folder/control.sock");
    let mut first = Server::spawn_at(Some(&socket), STEPPED);
    first.answering();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&socket), mode(socket.parent().unwrap())), (0o600, 0o700));
    assert_eq!(first.kill().signal(), Some(9));
    assert!(socket.exists(), "what is killed leaves its socket");
    let output = first.ctl(["status"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let mut second = Server::spawn_at(Some(&socket), STEPPED);
    second.answering();
    assert!(second.terminate().success());
    assert!(!socket.exists(), "what ends in order takes its socket away");
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("file"), "precious").unwrap();
    fs::create_dir(path("folder")).unwrap();
    std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
    for name in ["file", "folder", "link"] {
        refused(&path(name), &[], &["is there and is no socket", "--socket"]);
    }
    assert_eq!(fs::read_to_string(path("link")).unwrap(), "precious");
    assert!(path("folder").is_dir());
    refused(&path("file/below/a.sock"), &[], &["could not make the folder"]);
    refused(&path(&"long".repeat(40)), &[], &["could not make the socket", "SUN_LEN"]);
}

#[test]
fn a_server_that_is_told_to_end_saves_and_ends_well() {
    let dir = tempfile::tempdir().unwrap();
    let endings: [fn(&mut Server); 3] = [
        |server| assert!(server.terminate().success(), "{}", server.log()),
        |server| assert!(server.interrupt().success(), "{}", server.log()),
        |server| {
            server.ok("shutdown");
            assert!(server.wait().success(), "{}", server.log());
        },
    ];
    for (number, end) in endings.into_iter().enumerate() {
        let folder = dir.path().join(number.to_string());
        let mut server = Server::stepped();
        server.ok(&format!("session new {}", folder.display()));
        let before = saved(&folder);
        server.ok("track add drums --gain -3dB");
        assert_eq!(saved(&folder), before, "nobody has saved yet");
        let wanted = session(&mut server.client());
        end(&mut server);
        assert_eq!(saved(&folder), wanted);
        assert!(!server.socket().exists());
    }
}

#[test]
fn a_server_ends_well_in_the_middle_of_a_flood() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("session");
    let mut server = Server::start(["--driver", "dummy", "--block", "64"]);
    server.ok(&format!("session new {}", folder.display()));
    server.ok("track add drums");
    let stop = Arc::new(AtomicBool::new(false));
    let floods = [1, 2, 3, 4].map(|flood| {
        let (socket, stop) = (server.socket(), stop.clone());
        std::thread::spawn(move || {
            let mut done = 0;
            while !stop.load(Relaxed) {
                // New connections too, most of which go away before they are answered.
                let Ok((mut client, _)) = Client::connect(&socket) else { break };
                for number in 0..flood * 10 {
                    let value = Value::Number(-f64::from(number));
                    let set = Command::SetParam { node: "drums".into(), param: "gain".into(), value };
                    done += usize::from(client.command(set).is_ok());
                }
                let _ = client.send_line("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session\"}");
            }
            done
        })
    });
    let revision = |raw: &mut Raw| match raw.call("status", "{}") {
        Ok(Reply::Status(status)) => status.revision,
        other => panic!("{other:?}"),
    };
    let mut raw = Raw::new(&server);
    wait_until("the flood", || revision(&mut raw) >= 200);
    assert!(server.terminate().success(), "{}", server.log());
    stop.store(true, Relaxed);
    let done: usize = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
    assert!(done >= 200);
    assert!(saved(&folder).node("drums").is_some());
}

/// Which save of a round the session in a folder is.
fn saved_in(folder: &Path, round: u32) -> Option<u32> {
    saved(folder).name.strip_prefix(&format!("round {round}, "))?.parse().ok()
}

#[test]
fn a_server_that_is_killed_leaves_the_session_as_it_was_saved_last() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("session");
    let mut server = Server::stepped();
    server.ok(&format!("session new {}", folder.display()));
    server.ok("track add drums");
    server.ok("session save");
    let wanted = session(&mut server.client());
    server.ok("track add voice");
    server.kill();
    assert_eq!(saved(&folder), wanted);

    // And when it is killed while it saves, the session is whole: the one before or the one after.
    for round in 1..=5 {
        let mut server = Server::start(STEPPED.iter().chain(&["--session", folder.to_str().unwrap()]));
        let mut client = server.client();
        let saving = std::thread::spawn(move || {
            let mut last = 0;
            for number in 1.. {
                let name = Some(format!("round {round}, {number}"));
                let named = Command::SetSession {
                    name,
                    tempo: None,
                    signature: None,
                    edit_fade_ms: None,
                    max_latency_ms: None,
                };
                if client.command(named).is_err()
                    || client.command(Command::SaveSession { path: None }).is_err()
                {
                    break;
                }
                last = number;
            }
            last
        });
        // Saved a few times in this round.
        wait_until("some saves", || saved_in(&folder, round).is_some_and(|number| number >= 4));
        server.kill();
        let last: u32 = saving.join().unwrap();
        let number = saved_in(&folder, round).expect("a session of this round");
        assert!((last..=last + 1).contains(&number), "{number} is saved, {last} was told");
    }
    fs::write(folder.join(".session-killed.partial"), "{").unwrap();
    let mut server = Server::start(STEPPED.iter().chain(&["--session", folder.to_str().unwrap()]));
    assert!(session(&mut server.client()).node("drums").is_some());
    assert!(server.terminate().success());
    let mut left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["lock", "session.json"], "what was unfinished is cleared away");
}

#[test]
fn a_command_line_that_makes_no_sense_starts_no_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let before = fs::read_dir(dir.path()).unwrap().count();
    for (args, code, part) in [
        (&["--frobnicate"][..], 2, "--frobnicate"),
        (&["session"], 2, "unexpected argument"),
        (&["--driver", "pulse"], 2, "possible values: auto, jack, alsa, dummy, stepped, offline"),
        (&["--block", "0"], 2, "1..=65536"),
        (&["--block", "65537"], 2, "1..=65536"),
        (&["--block", "some"], 2, "invalid digit"),
        (&["--frames", "0"], 2, "--frames"),
        (&["--playback", "65"], 2, "0..=64"),
        (&["--rate", "fast"], 2, "invalid digit"),
        (&["--log", "loud=very=much"], 2, "is no filter"),
        (&["--rate", "7999"], 1, "8000 to 384000 Hz"),
        (&["--driver", "offline"], 1, "--frames FRAMES"),
        (&["--capture", "/nowhere/x.wav"], 1, "no folder /nowhere"),
        (&["--capture", "/tmp"], 1, "does not say which format"),
        (&["--capture", &path("x.wav"), "--playback", "0"], 1, "--playback"),
        (&["--capture", &path("x.flac"), "--playback", "9"], 1, "9 channels"),
        (&["--session", &path("missing")], 1, "no session in"),
    ] {
        let output = Process::new(aulosd())
            .args(["--socket", &path("a.sock")])
            .args(args)
            .env_remove("AULOS_LOG")
            .env("AULOS_CONFIG", "")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
        assert!(told.contains(part), "{part:?} is not in what {args:?} says: {told}");
        assert_eq!(text(&output.stdout), "", "{args:?}");
        fs::remove_file(path("a.sock.lock")).ok();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), before, "{args:?} leaves something");
    }
}
