//! Saving elsewhere while everything goes on.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command as Process, Stdio},
    thread::JoinHandle,
};

use aulos_protocol::{Command, Error, Reply};
use aulos_tests::jackd::wait_for;
use serde_json::json;

use crate::desk::{Desk, noise, write_wav};

/// A lease on a file that nobody has open: whoever opens it waits, until this is dropped or, by default, for 45
/// seconds.
struct Lease(Child);

impl Lease {
    fn of(file: &Path) -> Self {
        // F_SETLEASE and F_WRLCK.
        let program = r#"$SIG{IO} = "IGNORE"; $| = 1; open(my $file, "+<", $ARGV[0]) or die "open: $!";
            fcntl($file, 1024, 1) or die "lease: $!"; print "held\n"; <STDIN>"#;
        let mut child = Process::new("perl")
            .args(["-e", program])
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut told).unwrap();
        assert_eq!(told, "held\n");
        Self(child)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().ok();
    }
}

/// A server with a session of two clips, of whose files it has the second not open, as it was missing.
fn here() -> Desk {
    let desk = Desk::new();
    desk.say("session new here");
    fs::create_dir(desk.path("here/audio")).unwrap();
    for (name, seed) in [("a", 1), ("b", 2), ("c", 3)] {
        write_wav(&desk.path(&format!("here/audio/{name}.wav")), &[noise(3000, seed)]);
    }
    desk.run(
        "track add drums
        link drums master
        clip add drums audio/a.wav
        clip add drums audio/b.wav --at 4000f
        session save",
    );
    fs::rename(desk.path("here/audio/b.wav"), desk.path("b.wav")).unwrap();
    desk.run("session new other\nsession open here");
    fs::rename(desk.path("b.wav"), desk.path("here/audio/b.wav")).unwrap();
    desk
}

/// Has another client save the session in a folder; the file that is copied last cannot be opened yet. Answers with the
/// number of the operation when the first is there.
fn save(desk: &Desk, name: &str) -> (JoinHandle<Result<Reply, Error>>, u64) {
    let mut client = desk.server.client();
    let path = Some(desk.path(name).display().to_string());
    let saving = std::thread::spawn(move || client.command(Command::SaveSession { path }));
    let first = desk.path(name).join("audio/a.wav");
    wait_for("the first file", || first.exists().then_some(()));
    let operations = desk.json("status")["operations"].clone();
    (saving, operations[0]["operation"].as_u64().unwrap_or_else(|| panic!("{operations}")))
}

#[test]
fn others_are_served_while_audio_is_copied_and_what_they_edit_is_saved() {
    let desk = here();
    let lease = Lease::of(&desk.path("here/audio/b.wav"));
    let (saving, operation) = save(&desk, "there");
    desk.run("set drums mute on\nclip add drums audio/c.wav --at 8000f");
    assert_eq!(desk.json("status")["unsaved"], true);
    let error = desk.fails("session save elsewhere", 5);
    assert!(error["message"].as_str().unwrap().contains(&format!("operation {operation}")), "{error}");
    assert!(!desk.path("elsewhere").exists());
    // Saving where it is goes on, too.
    desk.say("session save");
    assert_eq!(desk.json("status")["unsaved"], false);
    desk.say("set drums gain -7dB");
    assert!(!saving.is_finished(), "the answer came before the session was saved");
    assert!(!desk.path("there/session.json").exists());
    drop(lease);
    assert_eq!(saving.join().unwrap(), Ok(Reply::Done));
    let status = desk.json("status");
    assert_eq!(
        (&status["unsaved"], &status["path"]),
        (&json!(false), &json!(desk.path("there").canonicalize().unwrap()))
    );
    assert_eq!(desk.json(&format!("operation show {operation}"))["error"], json!(null));
    for name in ["a", "b", "c"] {
        let file = format!("audio/{name}.wav");
        let [old, new] = ["here", "there"].map(|folder| fs::read(desk.path(folder).join(&file)).unwrap());
        assert_eq!(old, new, "{name}");
    }
    desk.run("session new more\nsession open there");
    assert_eq!(desk.json("status")["warnings"], json!([]));
    assert_eq!((desk.get("drums", "mute"), desk.get("drums", "gain")), (json!(true), json!(-7.0)));
    assert_eq!(desk.json("ls clips")[2]["file"], "audio/c.wav");
}

#[test]
fn of_a_saving_that_is_cancelled_nothing_stays() {
    let desk = here();
    let lease = Lease::of(&desk.path("here/audio/b.wav"));
    let (saving, operation) = save(&desk, "deep/there");
    desk.say("set drums mute on");
    desk.say(&format!("operation cancel {operation}"));
    drop(lease);
    let error = saving.join().unwrap().unwrap_err();
    assert!(error.message.contains("cancelled"), "{error:?}");
    assert!(!desk.path("deep").exists(), "what was made is still there");
    let status = desk.json("status");
    assert_eq!(
        (&status["unsaved"], &status["path"]),
        (&json!(true), &json!(desk.path("here").canonicalize().unwrap()))
    );
    // What others have put there stays, and it can be done later.
    fs::create_dir_all(desk.path("deep/there/audio")).unwrap();
    fs::write(desk.path("deep/there/audio/b.wav"), "another sound").unwrap();
    assert_eq!(desk.fails("session save deep/there", 5)["code"], "exists");
    assert_eq!(fs::read_to_string(desk.path("deep/there/audio/b.wav")).unwrap(), "another sound");
    assert!(!desk.path("deep/there/audio/a.wav").exists());
    assert!(!desk.path("deep/there/lock").exists());
    fs::remove_file(desk.path("deep/there/audio/b.wav")).unwrap();
    desk.say("session save deep/there");
    assert_eq!(desk.json("status")["unsaved"], false);
}

#[test]
fn another_session_is_opened_over_a_saving_only_if_that_may_go() {
    let desk = here();
    let lease = Lease::of(&desk.path("here/audio/b.wav"));
    let (saving, _) = save(&desk, "there");
    assert_eq!(desk.fails("session open other", 5)["code"], "busy");
    desk.say("session open other --discard");
    let error = saving.join().unwrap().unwrap_err();
    assert!(error.message.contains("another session was opened"), "{error:?}");
    drop(lease);
    wait_for("the end of what was copied", || (!desk.path("there").exists()).then_some(()));
    assert_eq!(desk.json("status")["session"], "other");
}

#[test]
fn a_server_that_ends_leaves_a_whole_session_or_none() {
    const FILES: [&str; 3] = ["a", "b", "c"];
    let mut desk = here();
    desk.run("clip add drums audio/c.wav --at 8000f\nsession save\nsession open other");
    // The session is only moved: nobody plays them.
    let large = vec![7; 48 << 20];
    FILES.iter().for_each(|name| fs::write(desk.path(&format!("here/audio/{name}.wav")), &large).unwrap());
    desk.say("session open here");
    let mut client = desk.server.client();
    let path = Some(desk.path("there").display().to_string());
    let saving = std::thread::spawn(move || client.command(Command::SaveSession { path }));
    wait_for("what is copied", || desk.path("there/audio").exists().then_some(()));
    assert!(desk.server.terminate().success(), "{}", desk.server.log());
    let there = desk.path("there");
    if saving.join().unwrap().is_err() {
        assert!(!there.exists(), "what was made is still there: {}", desk.server.log());
    } else {
        assert!(there.join("session.json").exists());
        FILES
            .iter()
            .for_each(|name| assert_eq!(fs::read(there.join(format!("audio/{name}.wav"))).unwrap(), large));
    }
}
