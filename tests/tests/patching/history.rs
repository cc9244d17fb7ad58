//! Undo and redo, many steps, and what they do not touch.

use serde_json::Value as Json;

use crate::desk::{Desk, noise, write_wav};

/// Each of them is one step.
const STEPS: &str = "\
    track add drums --gain -3dB
    track add voice --channels 1 --pan L30
    bus add room
    send add verb --level -12dB
    link drums master
    link drums:pre verb
    link verb room
    link room master --gain -6dB
    clip add drums loop.wav
    clip add drums loop.wav --at 9600 --offset 100 --length 500
    set drums gain +1.5dB
    set drums pan R20
    set drums mute toggle
    link room master --gain -3dB
    unlink drums:out_L master:in_L
    node add delay late frames=480 report=on
    link voice late
    link late master
    set late frames 96
    tempo 99
    session set --name other --fade 1ms
    clip rm drums CLIP
    node rm room late
    bus add room --channels 4
    batch list.json
    rename drums kit
    duplicate kit
    duplicate kit other
    reorder other --first
    reorder kit --after kit-2
    mute kit other --off
    solo voice
    solo --clear
    track rm kit";

fn without_next_id(session: &Json) -> Json {
    let mut session = session.clone();
    session["next_id"].take();
    session
}

#[test]
fn all_steps_are_undone_to_the_empty_session_and_redone_to_the_same() {
    let desk = Desk::new();
    write_wav(&desk.path("loop.wav"), &[noise(2000, 1)]);
    let list = r#"[{"method":"node_add","params":{"kind":"tone"}},{"method":"link","params":{"from":"tone","to":"room"}}]"#;
    std::fs::write(desk.path("list.json"), list).unwrap();
    let mut sessions = vec![desk.session()];
    for step in STEPS.lines() {
        let step = step.replace("CLIP", &desk.json("ls clips")[0]["id"].to_string());
        desk.say(step.trim());
        // The transport and the clock are no steps.
        desk.run("locate 0\nplay\nstep 64x3");
        sessions.push(desk.session());
        let [.., before, after] = &sessions[..] else { panic!() };
        assert_ne!(before, after, "{step} changes nothing");
    }
    let last = desk.say("--json session show");
    let steps = sessions.len() - 1;
    assert_eq!(steps, STEPS.lines().count());

    for round in 0..2 {
        for back in (0..steps).rev() {
            let title = desk.json("status")["undo"].clone();
            assert_eq!(desk.json("undo")["step"], title);
            assert_eq!(
                without_next_id(&desk.session()),
                without_next_id(&sessions[back]),
                "round {round}, {back}"
            );
            if back % 7 == 0 {
                desk.say("step 64");
            }
        }
        assert_eq!(desk.fails("undo", 1)["code"], "unavailable");
        assert_eq!(desk.json("status")["undo"], Json::Null);
        for (number, wanted) in sessions.iter().enumerate().skip(1) {
            let title = desk.json("status")["redo"].clone();
            assert_eq!(desk.json("redo")["step"], title);
            let session = without_next_id(&desk.session());
            assert_eq!(session, without_next_id(wanted), "round {round}, step {number}");
        }
        assert_eq!(desk.fails("redo", 1)["code"], "unavailable");
        assert_eq!(desk.say("--json session show"), last, "to the letter");
    }
}

#[test]
fn a_new_step_ends_what_could_be_redone() {
    let desk = Desk::new();
    desk.run("bus add one\nbus add two\nundo\nundo\nbus add three");
    assert_eq!(desk.fails("redo", 1)["code"], "unavailable");
    let names: Vec<_> = desk.json("ls nodes").as_array().unwrap().iter().map(|n| n["slug"].clone()).collect();
    assert_eq!(names, ["master", "output", "three"]);
    // What is refused or changes nothing is no step.
    desk.fails("bus add three", 5);
    desk.say("set three gain 0");
    desk.say("link master output");
    assert_eq!(desk.json("status")["undo"], "add bus three");
}

#[test]
fn numbers_are_never_used_again() {
    let desk = Desk::new();
    let id = |name: &str| desk.json(&format!("node show {name}"))["id"].as_u64().unwrap();
    desk.say("bus add one");
    let first = id("one");
    desk.run("undo\nbus add one");
    assert!(id("one") > first);
}
