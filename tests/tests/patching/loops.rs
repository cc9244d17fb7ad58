//! The loop as a part of the session: saved, opened, played again by a box that starts by itself.

use std::path::Path;

use aulos_tests::{compare, server::Server, server::read_wav};
use serde_json::json;

use crate::desk::{Desk, floats, noise, write_wav};

/// The frames of each file.
const LENGTH: u64 = 20_000;
/// How late the outputs are.
const LATE: usize = 70;
/// How much is played.
const FRAMES: usize = 50_000;

/// A session with two tracks that are heard as their files are, one of them through a delay that reports itself.
fn two_tracks(desk: &Desk) {
    for (name, seed) in [("a.wav", 1), ("b.wav", 2)] {
        write_wav(&desk.path(name), &[noise(LENGTH as usize, seed), noise(LENGTH as usize, seed + 10)]);
    }
    desk.run(
        "session new box
        track add one
        track add two
        node add delay late frames=70 report=on
        clip add one a.wav
        clip add two b.wav --at 700
        link one master
        link two late
        link late master
        session save",
    );
}

/// What is heard of `frames` frames from position 0 on: straight, or round and round.
fn expected(frames: usize, range: Option<(u64, u64)>) -> Vec<Vec<f32>> {
    let file = |seed| floats(&noise(LENGTH as usize, seed));
    let sides = [(file(1), file(2)), (file(11), file(12))];
    let sample = |file: &[f32], frame: Option<u64>| {
        frame.and_then(|frame| file.get(frame as usize)).copied().unwrap_or(0.0)
    };
    let mut heard = vec![vec![0.0; LATE]; 2];
    let mut position = 0;
    for _ in LATE..frames {
        for (side, (one, two)) in heard.iter_mut().zip(&sides) {
            side.push(sample(one, Some(position)) + sample(two, position.checked_sub(700)));
        }
        position += 1;
        if let Some((start, end)) = range
            && position == end
        {
            position = start;
        }
    }
    heard
}

/// What a server plays that starts with this session and plays by itself.
fn played(session: &Path) -> Vec<Vec<f32>> {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("played.wav");
    let (session, file, frames) = (session.to_str().unwrap(), capture.to_str().unwrap(), FRAMES.to_string());
    let args =
        ["--session", session, "--play", "--driver", "offline", "--capture", file, "--frames", &frames];
    let mut server = Server::spawn(args);
    assert!(server.wait().success(), "{}", server.log());
    read_wav(&capture)
}

#[test]
fn a_box_that_starts_by_itself_loops_as_its_session_says() {
    let mut desk = Desk::new();
    two_tracks(&desk);
    // It may be opened by itself, or by a link to it.
    let session = desk.path("box");
    desk.say("session new elsewhere");
    let straight = expected(FRAMES, None);
    compare("without a loop", &straight, &played(&session)).unwrap();

    desk.run("session open box\nloop 3001 9002\nsession save\nsession open elsewhere");
    compare("with a loop", &expected(FRAMES, Some((3001, 9002))), &played(&session)).unwrap();
    // That again is the session that was saved at its end.
    compare("a second time", &expected(FRAMES, Some((3001, 9002))), &played(&session)).unwrap();

    // A server that is ended in order saves what was said last.
    desk.run("session open box\nloop 0 480");
    assert!(desk.server.terminate().success(), "{}", desk.server.log());
    compare("with another", &expected(FRAMES, Some((0, 480))), &played(&session)).unwrap();
}

#[test]
fn a_loop_is_a_part_of_its_session_and_no_step() {
    let desk = Desk::new();
    two_tracks(&desk);
    let state = || {
        let status = desk.json("status");
        (status["loop_range"].clone(), status["unsaved"].clone(), status["undo"].clone())
    };
    let step = desk.json("status")["undo"].clone();
    assert_eq!(state(), (json!(null), json!(false), step.clone()));
    desk.say("loop 3001 9002");
    assert_eq!(state(), (json!([3001, 9002]), json!(true), step.clone()));
    assert_eq!(desk.session()["loop_range"], json!([3001, 9002]));
    assert!(desk.say("session show").contains("loop         0:00.062 to 0:00.187"));
    assert_eq!(desk.fails("session open box", 1)["code"], "unavailable");

    // Undo and redo take back and do again what was edited, before the loop and after it.
    desk.run("set one gain -6dB\nset two gain -6dB\nundo\nloop 1000 4000\nundo\nundo");
    assert_eq!(desk.session()["loop_range"], json!([1000, 4000]));
    desk.say("redo");
    desk.run("loop off\nredo");
    assert_eq!((desk.get("one", "gain"), desk.json("loop")), (json!(-6.0), json!({ "loop_range": null })));
    desk.run("redo\nundo\nundo");
    assert_eq!((desk.get("one", "gain"), desk.json("loop")), (json!(0.0), json!({ "loop_range": null })));
    assert_eq!(state().2, step);

    // A render is straight.
    let render = desk.render("straight.wav", "--to 50000f");
    desk.say("loop 3001 9002");
    compare("a render", &render, &desk.render("looped.wav", "--to 50000f")).unwrap();
    let rest: Vec<_> = expected(FRAMES, None).iter().map(|side| side[LATE..].to_vec()).collect();
    let begin: Vec<_> = render.iter().map(|side| side[..FRAMES - LATE].to_vec()).collect();
    compare("a straight one", &rest, &begin).unwrap();

    // A session has its own loop, which plays as soon as it is opened.
    desk.say("session save");
    assert_eq!(state().1, json!(false));
    desk.say("session new other");
    assert_eq!(state().0, json!(null));
    desk.run("loop 0 480\nsession save\nsession open box");
    assert_eq!((state().0, state().1), (json!([3001, 9002]), json!(false)));
    desk.run("locate 8990\nplay\nstep 1000");
    let position = desk.json("status")["transport"]["position"].as_u64().unwrap();
    assert!((3001..9002).contains(&position), "{position}");
    // What was not saved goes when the session is opened again.
    desk.run("loop off\nsession open box --discard");
    assert_eq!(state().0, json!([3001, 9002]));
    desk.say("session open other");
    assert_eq!(state().0, json!([0, 480]));
}
