//! Boxes that start by themselves.

use std::{ffi::OsString, fs::File, os::unix::fs::PermissionsExt, path::PathBuf, process::Stdio};

use aulos_protocol::{Query, Reply, client::Client};
use aulos_tests::server::{Server, aulosd};

use crate::{Home, told, wait_until};

/// A saved session with a tone that goes to the master.
pub fn session(home: &Home) {
    let server = Server::stepped();
    server.ok(&format!("session new {}", home.path("stage").display()));
    for words in ["node add tone", "link tone master", "session save"] {
        server.ok(words);
    }
}

#[test]
fn a_box_plays_its_session_from_the_start_and_says_so() {
    let home = Home::new();
    session(&home);
    home.write("config/aulos/aulos.toml", "[server]\nsession = \"~/stage\"\nplay = true\nsocket = \"~/s\"\n");
    let log = File::create(home.path("log")).unwrap();
    let mut server = home.daemon().args(["--driver", "dummy"]).stderr(log).spawn().unwrap();
    let state = || match Client::connect(&home.path("s")).ok()?.0.query(Query::Status) {
        Ok(Reply::Status(status)) => Some(status),
        _ => None,
    };
    wait_until("it plays", || {
        state().is_some_and(|status| status.transport.rolling && status.transport.position.0 > 4800)
    });
    let said = std::fs::read_to_string(home.path("log")).unwrap();
    let place = home.path("stage").canonicalize().unwrap();
    let line = format!("the session \"stage\" in {} plays: 3 nodes, 0 clips, 48000 Hz", place.display());
    assert!(said.contains(&line), "{said}");
    // It is remembered.
    assert!(home.say("session recent").starts_with(&place.display().to_string()));
    let recent: serde_json::Value = serde_json::from_str(&home.say("--json session recent")).unwrap();
    assert_eq!((&recent[0]["name"], &recent[0]["there"]), (&"stage".into(), &true.into()));
    home.say("shutdown");
    assert!(server.wait().unwrap().success());
    std::fs::rename(&place, home.path("moved")).unwrap();
    assert!(home.say("session recent").contains("gone"));

    // --play=false is stronger than the file.
    std::fs::rename(home.path("moved"), &place).unwrap();
    let mut server = home.daemon().args(["--driver=stepped", "--play=false", "--log=error"]).spawn().unwrap();
    wait_until("it answers", || state().is_some());
    assert!(!state().unwrap().transport.rolling);
    home.say("shutdown");
    assert!(server.wait().unwrap().success());
}

#[test]
fn a_server_whose_log_cannot_be_written_plays_on_and_says_so() {
    let home = Home::new();
    session(&home);
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let no_reader = || Stdio::from(std::io::pipe().unwrap().1);
    // Somebody could read, and does not.
    let (_reader, stalls) = std::io::pipe().unwrap();
    let failures = [
        (full(), "could not write the log"),
        (no_reader(), "could not write the log"),
        (stalls.into(), "the log is not read"),
    ];
    for (at, (stderr, told)) in failures.into_iter().enumerate() {
        let stage = home.path("stage");
        let args = ["--driver=dummy", "--log=trace", "--socket=aulos/control.sock", "--session"];
        std::fs::create_dir_all(home.path("aulos")).unwrap();
        let mut server = home.daemon().args(args).arg(&stage).stderr(stderr).spawn().unwrap();
        let socket = home.path("aulos/control.sock");
        wait_until("it answers, or has ended", || {
            Client::connect(&socket).is_ok() || server.try_wait().unwrap().is_some()
        });
        home.say(&format!("set tone/level -{}", 30 + at));
        // More lines of the log, which go nowhere.
        home.say("play");
        wait_until("it says so", || {
            // Each is worth some lines.
            (0..20).for_each(|_| drop(Client::connect(&socket).unwrap()));
            home.say("status").contains(told)
        });
        home.say("shutdown");
        assert!(server.wait().unwrap().success());
        let saved = std::fs::read_to_string(stage.join("session.json")).unwrap();
        assert!(saved.contains(&format!("\"level\": -{}", 30 + at)), "{saved}");
    }
    // Before there is a log, the exit code is all that there is.
    let status = home.daemon().arg("--config=gone.toml").stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(2));
    home.write("damaged/session.json", "{");
    let inspect = |stdout: Stdio| home.daemon().args(["--inspect", "damaged"]).stdout(stdout).status();
    assert_eq!(inspect(full()).unwrap().code(), Some(1));
}

#[test]
fn a_box_whose_folder_is_read_only_plays_and_says_that_it_cannot_be_saved() {
    let home = Home::new();
    session(&home);
    std::fs::create_dir_all(home.path("aulos")).unwrap();
    let stage = home.path("stage");
    std::fs::remove_file(stage.join("lock")).unwrap();
    let saved = std::fs::read(stage.join("session.json")).unwrap();
    std::fs::set_permissions(&stage, std::fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write all the same, unless it gives that up.
    let root = rustix::process::geteuid().is_root();
    let drop = if root { &["setpriv", "--bounding-set=-dac_override"][..] } else { &[] };
    let start = || {
        let program = aulosd();
        let words: Vec<OsString> = drop.iter().map(OsString::from).chain([program.into()]).collect();
        let args = ["--driver=stepped", "--play", "--socket=aulos/control.sock", "--session=stage"];
        let mut server = home.command(words[0].as_ref());
        let mut server = server.args(&words[1..]).args(args).spawn().unwrap();
        let socket = home.path("aulos/control.sock");
        wait_until("it answers, or has ended", || {
            Client::connect(&socket).is_ok() || server.try_wait().unwrap().is_some()
        });
        server
    };
    let mut server = start();
    assert!(home.say("status").contains("can be played, but not saved in"));
    home.say("step 256x4");
    home.say("shutdown");
    assert!(server.wait().unwrap().success());

    let mut server = start();
    home.say("set tone/level -33");
    for words in ["session save", "shutdown"] {
        let (code, _, err) = home.run(words);
        assert!(code == 1 && err.contains("could not save the session to"), "{words}: {err}");
    }
    home.say("session save elsewhere");
    assert!(std::fs::read_to_string(home.path("elsewhere/session.json")).unwrap().contains("-33"));
    home.say("shutdown");
    assert!(server.wait().unwrap().success());
    assert!(std::fs::read(stage.join("session.json")).unwrap() == saved);
    std::fs::set_permissions(&stage, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_signal_that_means_nothing_ends_nothing() {
    let home = Home::new();
    session(&home);
    std::fs::create_dir_all(home.path("aulos")).unwrap();
    let args = ["--driver=stepped", "--socket=aulos/control.sock", "--session=stage"];
    let mut server = home.daemon().args(args).spawn().unwrap();
    wait_until("it answers", || Client::connect(&home.path("aulos/control.sock")).is_ok());
    home.say("set tone/level -33");
    let pid = rustix::process::Pid::from_child(&server);
    for signal in [rustix::process::Signal::USR1, rustix::process::Signal::USR2] {
        rustix::process::kill_process(pid, signal).unwrap();
        home.say("step 64");
    }
    home.say("shutdown");
    assert!(server.wait().unwrap().success());
    assert!(std::fs::read_to_string(home.path("stage/session.json")).unwrap().contains("-33"));
}

#[test]
fn a_box_without_its_session_says_what_is_wrong_and_ends() {
    let home = Home::new();
    home.write("damaged/session.json", "{\"format\": 1, \"name\": 3}");
    for (folder, part) in [("gone", "there is no session in"), ("damaged", "the session is damaged")] {
        let path = home.path(folder);
        let output =
            home.daemon().args(["--play", "--socket", "s", "--session"]).arg(&path).output().unwrap();
        let (code, _, err) = told(&output);
        assert_eq!(code, 1, "{err}");
        assert!(err.contains(part) && err.contains(path.to_str().unwrap()), "{err}");
    }
    assert_eq!(home.say("session recent"), "no session was opened yet\n");
}

#[test]
fn a_server_that_is_to_end_with_another_process_ends_at_once_if_that_is_gone() {
    let home = Home::new();
    let (code, _, err) = told(&home.daemon().args(["--socket", "s", "--with-parent", "1"]).output().unwrap());
    assert!(code == 1 && err.contains("the process 1"), "{err}");
}

#[test]
fn memory_is_locked_where_that_has_no_limit_and_status_says_so() {
    // Root may lock all the same, unless it gives that up.
    let root = rustix::process::geteuid().is_root();
    let drop = if root { &["setpriv", "--bounding-set=-ipc_lock"][..] } else { &[] };
    let limited = [drop, &["prlimit", "--memlock=8388608:8388608"]].concat();
    for (configured, before, args, expected) in [
        (false, &[][..], &[][..], None),
        (false, &[], &["--no-memory-lock"], Some("not wanted")),
        (false, &limited, &[], Some("the limit is 8192 KiB")),
        (true, &[], &[], Some("not wanted")),
        // The command line is stronger than the file.
        (true, &limited, &["--no-memory-lock=false"], Some("the limit is 8192 KiB")),
    ] {
        let home = Home::new();
        home.write("config/aulos/aulos.toml", &format!("[server]\nno_memory_lock = {configured}\n"));
        let mut words = before.iter().map(OsString::from).chain([aulosd().into_os_string()]);
        let mut command = home.command(&PathBuf::from(words.next().unwrap()));
        let command = command.args(words).args(args).args(["--driver=stepped", "--socket=s", "--log=error"]);
        let mut server = command.spawn().unwrap();
        wait_until("it answers", || Client::connect(&home.path("s")).is_ok());
        let (mut client, _) = Client::connect(&home.path("s")).unwrap();
        let Reply::Status(status) = client.query(Query::Status).unwrap() else { panic!("no status") };
        let proc = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
        let locked = proc.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
        let locked: u64 = locked.split_whitespace().next().unwrap().parse().unwrap();
        let said = status.driver.unlocked;
        assert_eq!(locked == 0, said.is_some(), "{locked} {said:?}");
        if let Some(expected) = expected {
            assert!(said.as_ref().is_some_and(|why| why.contains(expected)), "{said:?}");
        }
        client.command(aulos_protocol::Command::Shutdown { discard: false }).unwrap();
        assert!(server.wait().unwrap().success());
    }
}
