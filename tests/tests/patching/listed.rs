//! Nodes that are renamed, copied, and listed in another order.

use crate::desk::{Desk, noise, write_wav};

/// The names in a list of JSON.
fn names(list: &serde_json::Value, field: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|node| node[field].as_str().unwrap().to_owned()).collect()
}

fn desk() -> Desk {
    let desk = Desk::new();
    write_wav(&desk.path("loop.wav"), &[noise(4000, 1), noise(4000, 2)]);
    desk.run(
        "session new evening
        track add a
        track add b
        track add c
        link a master
        link b master --gain -6dB
        link c master
        clip add a loop.wav
        clip add b loop.wav --at 100
        clip add c loop.wav --at 333",
    );
    desk
}

#[test]
fn another_order_changes_every_list_and_no_sound() {
    let desk = desk();
    let before = desk.render("before.wav", "");
    desk.run("reorder c --first\nreorder a --after b\nreorder output --last");
    let order = ["c", "master", "b", "a", "output"];
    assert_eq!(names(&desk.json("ls nodes"), "slug"), order);
    let meters = names(&desk.json("meters --once")["meters"], "node");
    assert_eq!(
        meters,
        order.iter().copied().filter(|name| meters.contains(&(*name).to_owned())).collect::<Vec<_>>()
    );
    assert!(meters.len() >= 4, "{meters:?}");
    let tree = desk.say("ls");
    let places: Vec<_> = order.map(|name| tree.find(&format!("─ {name} ")).unwrap()).into();
    assert!(places.is_sorted(), "{tree}");
    let after = desk.render("after.wav", "");
    assert!(before == after, "the order of the list is heard");

    // It is part of the session.
    desk.run("session save\ntrack add d\nsession open evening --discard");
    assert_eq!(names(&desk.json("ls nodes"), "slug"), order);
    desk.run("track add d");
    assert_eq!(names(&desk.json("ls nodes"), "slug").last().unwrap(), "d");
}

#[test]
fn a_new_name_is_the_name_everywhere() {
    let desk = desk();
    let before = desk.render("before.wav", "");
    desk.run("play\nstep 64x10");
    assert_eq!(desk.say("rename a lead"), "a is now lead\n");
    desk.run("step 64x10");
    assert!(names(&desk.json("meters --once")["meters"], "node").contains(&"lead".to_owned()));
    assert!(desk.say("ls links").contains("lead:out_L"));
    desk.fails("set a gain 0", 4);
    assert!(before == desk.render("after.wav", ""), "a name is heard");
    desk.run("undo\nset a gain 0");
}

#[test]
fn a_copy_sounds_as_the_node_and_is_one_step() {
    let desk = desk();
    desk.run("mute b c");
    let once = desk.render("once.wav", "");
    assert_eq!(desk.say("duplicate a"), "a-2 is a copy of a, 1 clip, 2 links\n");
    assert_eq!(names(&desk.json("ls nodes"), "slug"), ["master", "output", "a", "a-2", "b", "c"]);
    let twice = desk.render("twice.wav", "");
    let doubled = once.iter().flatten().map(|sample| sample * 2.0);
    let wrong = doubled.zip(twice.iter().flatten()).filter(|(wanted, got)| wanted != *got).count();
    assert_eq!(wrong, 0, "samples that are not those of the node twice");
    assert!(once.iter().flatten().any(|sample| *sample != 0.0));
    desk.run("undo");
    assert!(once == desk.render("undone.wav", ""));
    assert_eq!(desk.json("mute")["muted"], serde_json::json!(["b", "c"]));
    // Mutes are one step, too.
    desk.run("undo");
    assert_eq!(desk.json("mute")["muted"], serde_json::json!([]));
}
