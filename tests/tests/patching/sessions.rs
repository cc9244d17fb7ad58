//! Sessions in their folders: new, open, save, save elsewhere with their audio.

use std::fs;

use aulos_tests::compare;
use serde_json::json;

use crate::desk::{Desk, noise, write_wav};

#[test]
fn a_session_is_made_saved_left_and_opened_again() {
    let desk = Desk::new();
    write_wav(&desk.path("loop.wav"), &[noise(4800, 1), noise(4800, 2)]);
    desk.run(
        "session new first --rate 48k
        track add drums --gain -3dB
        link drums master
        clip add drums loop.wav --at 100",
    );
    assert_eq!(desk.json("status")["unsaved"], true);
    assert_eq!(desk.fails("session new second", 1)["code"], "unavailable");
    assert_eq!(desk.fails("session open first", 1)["code"], "unavailable");
    desk.say("session save");
    let first = desk.session();
    let sound = desk.render("first.wav", "");

    desk.say("session new second --rate 44.1k");
    let status = desk.json("status");
    assert_eq!(
        (&status["rate"], &status["session"], &status["nodes"]),
        (&json!(44_100), &json!("second"), &json!(2))
    );
    assert_eq!((&status["undo"], &status["unsaved"]), (&json!(null), &json!(false)));
    desk.say("step 64x10");
    // Files of another rate are resampled here.
    desk.run("track add drums\nclip add drums loop.wav");
    assert_eq!(desk.json("status")["streams"]["open"], 1);
    desk.say("session open first --discard");
    assert_eq!(desk.session(), first);
    compare("after opening", &sound, &desk.render("again.wav", "")).unwrap();

    // Opening what is open goes back to what was saved.
    desk.run("set drums gain -20dB\nbus add more");
    desk.fails("session open first", 1);
    desk.say("session open first --discard");
    assert_eq!(desk.session(), first);
    assert_eq!(desk.json("status")["unsaved"], false);

    // The second is as it was left: it was never saved after it was made.
    desk.say("session open second");
    assert_eq!(desk.json("ls nodes").as_array().unwrap().len(), 2);
}

#[test]
fn a_session_moves_with_its_audio() {
    let desk = Desk::new();
    desk.say("session new here");
    fs::create_dir(desk.path("here/audio")).unwrap();
    write_wav(&desk.path("here/audio/kick.wav"), &[noise(3000, 1)]);
    write_wav(&desk.path("here/audio/not-used.wav"), &[noise(10, 7)]);
    write_wav(&desk.path("outside.wav"), &[noise(3000, 2)]);
    // A path below audio/ that does not exist here is one of the session's own.
    desk.run(
        "track add drums
        link drums master
        clip add drums audio/kick.wav
        clip add drums outside.wav --at 1500
        session save",
    );
    let sound = desk.render("before.wav", "");
    let files: Vec<_> = desk.json("ls clips").as_array().unwrap().iter().map(|c| c["file"].clone()).collect();
    assert_eq!(files, [json!("audio/kick.wav"), json!(desk.path("outside.wav"))]);

    assert_eq!(
        desk.say("session save there/deep"),
        format!("saved as {}\n", desk.path("there/deep").display())
    );
    let path = desk.path("there/deep").canonicalize().unwrap();
    assert_eq!(desk.json("status")["path"], json!(path));
    assert_eq!(
        fs::read(path.join("audio/kick.wav")).unwrap(),
        fs::read(desk.path("here/audio/kick.wav")).unwrap()
    );
    assert!(!path.join("audio/not-used.wav").exists());
    compare("moved", &sound, &desk.render("moved.wav", "")).unwrap();
    // It needs nothing of where it was, and where it was can be opened by others.
    fs::rename(desk.path("here"), desk.path("away")).unwrap();
    desk.run("bus add more\nsession save\nsession open there/deep");
    assert_eq!(desk.json("status")["warnings"], json!([]));
    compare("opened", &sound, &desk.render("opened.wav", "")).unwrap();
    desk.say("session open away");
    compare("the old one", &sound, &desk.render("old.wav", "")).unwrap();
}

/// The files of the clips, by their numbers.
fn files(desk: &Desk) -> Vec<String> {
    let clips = desk.json("ls clips");
    clips.as_array().unwrap().iter().map(|clip| clip["file"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_lies_in_the_folder_of_a_session_moves_with_it_however_it_was_named() {
    let desk = Desk::new();
    fs::create_dir_all(desk.path("show/audio")).unwrap();
    write_wav(&desk.path("show/audio/kick.wav"), &[noise(3000, 1)]);
    write_wav(&desk.path("show/top.wav"), &[noise(3000, 3)]);
    write_wav(&desk.path("outside.wav"), &[noise(3000, 2)]);
    std::os::unix::fs::symlink(desk.path("show"), desk.path("way")).unwrap();
    let whole = |name: &str| desk.path(name).display().to_string();
    // In memory there is no folder yet from which they could be named.
    desk.run(
        "track add drums
        link drums master
        clip add drums way/audio/kick.wav
        clip add drums outside.wav --at 1500",
    );
    assert_eq!(files(&desk), [whole("way/audio/kick.wav"), whole("outside.wav")]);
    let memory = desk.render("memory.wav", "");
    desk.say("session save show");
    assert_eq!(files(&desk), ["audio/kick.wav", &whole("outside.wav")]);
    assert_eq!(desk.json("status")["unsaved"], false);
    compare("saved", &memory, &desk.render("saved.wav", "")).unwrap();

    // What is typed in the folder or elsewhere, and what other clients say, in a batch, too.
    desk.run("clip add drums show/top.wav --at 1s\nclip add drums way/audio/kick.wav --at 2s");
    let file = desk.path("show/audio/../audio/kick.wav");
    let add = json!({ "method": "clip_add", "params": { "track": "drums", "file": file, "at": 144_000 } });
    desk.say(&format!("raw batch {}", json!({ "commands": [add] })));
    let named = ["audio/kick.wav", &whole("outside.wav"), "top.wav", "audio/kick.wav", "audio/kick.wav"];
    assert_eq!(files(&desk), named);
    // Undo goes back to a time when the session was in memory; saving names them again.
    desk.run("undo\nundo\nundo\nundo\nredo\nredo\nredo\nredo\nsession save");
    assert_eq!(files(&desk), named);
    let sound = desk.render("before.wav", "");

    desk.run("session save copy\nsession new other");
    fs::rename(desk.path("copy"), desk.path("moved")).unwrap();
    fs::remove_dir_all(desk.path("show")).unwrap();
    desk.say("session open moved");
    assert_eq!(
        (files(&desk), &desk.json("status")["warnings"]),
        (named.map(str::to_owned).to_vec(), &json!([]))
    );
    compare("moved", &sound, &desk.render("moved.wav", "")).unwrap();
}

#[test]
fn saving_elsewhere_touches_no_other_session_and_no_other_audio() {
    let desk = Desk::new();
    desk.say("session new theirs");
    let theirs = fs::read(desk.path("theirs/session.json")).unwrap();
    desk.say("session new mine");
    fs::create_dir(desk.path("mine/audio")).unwrap();
    write_wav(&desk.path("mine/audio/kick.wav"), &[noise(3000, 1)]);
    desk.run("track add drums\nclip add drums audio/kick.wav");

    assert_eq!(desk.fails("session save theirs", 5)["code"], "exists");
    assert_eq!(fs::read(desk.path("theirs/session.json")).unwrap(), theirs);
    assert!(!desk.path("theirs/audio").exists(), "audio was copied into a session that was refused");

    fs::create_dir_all(desk.path("taken/audio")).unwrap();
    fs::write(desk.path("taken/audio/kick.wav"), "another sound").unwrap();
    let error = desk.fails("session save taken", 5);
    assert!(error["message"].as_str().unwrap().contains("is another file"), "{error}");
    assert_eq!(fs::read_to_string(desk.path("taken/audio/kick.wav")).unwrap(), "another sound");
    assert!(!desk.path("taken/session.json").exists());
    // The same audio may be there already, from an attempt that failed before.
    fs::copy(desk.path("mine/audio/kick.wav"), desk.path("taken/audio/kick.wav")).unwrap();
    desk.say("session save taken");
    assert_eq!(desk.json("status")["session"], "mine");
    assert_eq!(desk.json("status")["path"], json!(desk.path("taken").canonicalize().unwrap()));

    // Saving where it is already is just saving.
    desk.run("bus add more\nsession save taken");
    assert_eq!(desk.json("status")["unsaved"], false);
}

#[test]
fn what_undo_and_redo_bring_back_after_a_move_plays_and_is_saved() {
    let desk = Desk::new();
    desk.say("session new here");
    fs::create_dir(desk.path("here/audio")).unwrap();
    for (name, seed) in [("gone", 1), ("kept", 2), ("later", 3), ("lost", 4)] {
        write_wav(&desk.path(&format!("here/audio/{name}.wav")), &[noise(3000, seed)]);
    }
    let here = desk.path("here").canonicalize().unwrap();
    let stays = |name: &str| here.join(name).to_str().unwrap().to_owned();
    desk.run(
        "track add drums
        link drums master
        clip add drums audio/gone.wav
        clip add drums audio/kept.wav --at 4000f",
    );
    let numbers =
        desk.json("ls clips").as_array().unwrap().iter().map(|c| c["id"].to_string()).collect::<Vec<_>>();
    let two = desk.render("two.wav", "");
    // A file that is missing keeps nothing from being saved, whether it is played or was.
    desk.run("clip add drums audio/lost.wav --at 12000f\nundo\nredo");
    let lost = desk.json("ls clips")[2]["id"].to_string();
    desk.run(&format!("clip rm drums {lost}\nclip rm drums {}", numbers[0]));
    fs::remove_file(desk.path("here/audio/lost.wav")).unwrap();
    desk.run("clip add drums audio/later.wav --at 8000f");
    let later = desk.render("later.wav", "");
    desk.run("undo\nsession save there");
    assert_eq!(files(&desk), ["audio/kept.wav"]);
    assert!(!desk.path("there/audio/gone.wav").exists(), "what is no longer played was copied");

    // Redo of what was undone before.
    desk.run("redo\nsession save");
    assert_eq!(files(&desk), ["audio/kept.wav", &stays("audio/later.wav")]);
    compare("redone", &later, &desk.render("redone.wav", "")).unwrap();
    // Undo of what was removed before.
    desk.run("undo\nundo\nsession save");
    assert_eq!(files(&desk), [&stays("audio/gone.wav"), "audio/kept.wav"]);
    compare("undone", &two, &desk.render("undone.wav", "")).unwrap();
    desk.run("session new other\nsession open there");
    assert_eq!(files(&desk), [&stays("audio/gone.wav"), "audio/kept.wav"]);
    assert_eq!(desk.json("status")["warnings"], json!([]));
    compare("opened", &two, &desk.render("opened.wav", "")).unwrap();
}

#[test]
fn the_latest_warnings_are_told_and_the_others_counted() {
    let desk = Desk::new();
    desk.run("session new show\ntrack add drums\nlink drums master");
    fs::create_dir(desk.path("show/audio")).unwrap();
    for number in 0..130 {
        let file = desk.path(&format!("show/audio/{number}.wav"));
        write_wav(&file, &[noise(10, number)]);
        desk.say(&format!("clip add drums {}", file.display()));
    }
    desk.say("session save");
    fs::remove_dir_all(desk.path("show/audio")).unwrap();
    desk.say("session open show");
    let status = desk.json("status");
    let warnings = status["warnings"].as_array().unwrap();
    assert_eq!((warnings.len(), &status["warnings_left_out"]), (100, &json!(30)));
    for (number, warning) in (30..130).zip(warnings) {
        let name = format!("/audio/{number}.wav");
        assert!(warning.as_str().unwrap().contains(&name), "{name}: {warning}");
    }
    assert!(desk.say("status").contains("30 warnings before these"), "{}", desk.say("status"));
}
