//! Sessions are not lost, overwritten or opened twice.

use std::fs;

use aulos_protocol::{
    ErrorCode::{Busy, Exists, InvalidArgument, Io, Unavailable},
    Reply,
};
use aulos_tests::server::{Server, text};
use serde_json::json;

use crate::{
    bench::{Bench, Raw, Says::Remedy, check},
    sessions::{folder_with, whole},
};

#[test]
fn sessions_are_not_lost_overwritten_or_opened_twice() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let other = Server::stepped();
    other.ok(&format!("session new {}", path("theirs").display()));
    let mut bench = Bench::new();
    let mut raw = Raw::new(&bench.server);
    let call = |raw: &mut Raw, method: &str, name: &str, discard: bool| {
        let params = match method {
            "session_save" => json!({ "path": path(name) }),
            _ => json!({ "path": path(name), "discard": discard }),
        };
        raw.call(method, &params.to_string())
    };
    let not_saved = [Remedy("aulosctl session save"), Remedy("--discard")];
    for (method, name, discard, code, part, says) in [
        (
            "session_open",
            "theirs",
            true,
            Busy,
            "another server has the session",
            &[Remedy("shut that server down")][..],
        ),
        ("session_save", "theirs", false, Exists, "there is a session in", &[Remedy("session open")]),
        ("session_new", "theirs", true, Exists, "there is a session in", &[Remedy("choose another folder")]),
        ("session_open", "theirs", false, Unavailable, "not saved", &not_saved),
        ("session_new", "ours", false, Unavailable, "not saved", &not_saved),
    ] {
        let error = call(&mut raw, method, name, discard).expect_err(method);
        check(method, &error, code, part, says);
        bench.goes_on(method);
    }
    assert!(!path("ours").exists());

    call(&mut raw, "session_save", "ours", false).unwrap();
    bench.goes_on("saving");
    let saved = fs::read(path("ours/session.json")).unwrap();
    // Going back to what was saved, when that is damaged meanwhile, changes nothing and keeps the folder.
    fs::write(path("ours/session.json"), b"{").unwrap();
    let error = call(&mut raw, "session_open", "ours", true).unwrap_err();
    check("reverting", &error, InvalidArgument, "damaged", &[]);
    bench.goes_on("reverting to a damaged session");
    let error = call(&mut raw, "session_open", "theirs", true).unwrap_err();
    assert_eq!(error.code, Busy);
    raw.call("session_save", "{}").unwrap();
    assert_eq!(fs::read(path("ours/session.json")).unwrap(), saved);
    bench.goes_on("saving over a damaged session");

    drop(other);
    call(&mut raw, "session_open", "theirs", false).unwrap();
    let Reply::Status(status) = raw.call("status", "{}").unwrap() else { panic!("no status") };
    assert_eq!(status.path.as_deref(), path("theirs").canonicalize().unwrap().to_str());
}

#[test]
fn a_server_whose_session_cannot_be_saved_is_not_shut_down() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let mut server = Server::stepped();
    server.ok(&format!("session new {}", path("mine").display()));
    server.ok("bus add more");
    fs::rename(path("mine"), path("moved")).unwrap();
    let output = server.ctl(["shutdown"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("could not save the session") && told.contains("--discard"), "{told}");
    // It goes on, and nothing is lost.
    server.ok("bus add less");
    fs::rename(path("moved"), path("mine")).unwrap();
    server.ok("shutdown");
    assert!(server.wait().success(), "{}", server.log());
    let saved = fs::read_to_string(path("mine/session.json")).unwrap();
    assert!(saved.contains("\"more\"") && saved.contains("\"less\""), "{saved}");

    let mine = path("mine");
    let mut server = Server::start(["--driver", "stepped", "--session", mine.to_str().unwrap()]);
    server.ok("bus add third");
    fs::rename(path("mine"), path("moved")).unwrap();
    server.ok("shutdown --discard");
    assert!(server.wait().success(), "{}", server.log());
    assert_eq!(fs::read_to_string(path("moved/session.json")).unwrap(), saved);
}

#[test]
fn a_number_that_is_nearly_used_up_is_not_overrun() {
    let dir = tempfile::tempdir().unwrap();
    let mut session = whole(&dir.path().join("whole"));
    session["next_id"] = json!(1u64 << 53);
    let folder = folder_with(dir.path(), "last", &serde_json::to_vec(&session).unwrap());
    let server = Server::start(["--driver", "stepped", "--session", folder.to_str().unwrap()]);
    let output = server.ctl(["bus", "add", "more"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no numbers left"), "{}", text(&output.stderr));
    server.ok("track set drums gain 0");
    server.ok("session save");
    server.ok(&format!("session open {}", folder.display()));
}

#[test]
fn saving_where_nothing_can_be_written_leaves_the_old_session() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let below = dir.path().join("file/below");
    let mut bench = Bench::new();
    let mut raw = Raw::new(&bench.server);
    raw.call("session_save", &json!({ "path": dir.path().join("mine") }).to_string()).unwrap();
    raw.call("set", r#"{"node":"drums","param":"gain","value":-6}"#).unwrap();
    bench.accept();
    let saved = fs::read(dir.path().join("mine/session.json")).unwrap();
    for (method, discard) in [("session_save", None), ("session_new", Some(true))] {
        let mut params = json!({ "path": below });
        if let Some(discard) = discard {
            params["discard"] = json!(discard);
        }
        let error = raw.call(method, &params.to_string()).expect_err(method);
        check(method, &error, Io, below.to_str().unwrap(), &[]);
        bench.goes_on(method);
    }
    // The folder itself goes away: what is open cannot be saved there, and is not lost.
    fs::rename(dir.path().join("mine"), dir.path().join("moved")).unwrap();
    let error = raw.call("session_save", "{}").unwrap_err();
    check("saving into a folder that is gone", &error, Io, "could not save the session", &[]);
    bench.goes_on("saving into a folder that is gone");
    assert_eq!(fs::read(dir.path().join("moved/session.json")).unwrap(), saved);
    fs::rename(dir.path().join("moved"), dir.path().join("mine")).unwrap();
    raw.call("session_save", "{}").unwrap();
    assert_ne!(fs::read(dir.path().join("mine/session.json")).unwrap(), saved);
}
