//! Dry runs, which tell exactly what would change and change nothing.

use aulos_protocol::{Change, Session, mirror};

use crate::desk::{Desk, noise, write_wav};

#[test]
fn a_dry_run_tells_the_difference_and_makes_none() {
    let desk = Desk::new();
    write_wav(&desk.path("loop.wav"), &[noise(2000, 1)]);
    desk.run(
        "track add drums
        bus add room
        node add delay late frames=480
        link drums room
        link room master
        clip add drums loop.wav",
    );
    let list = r#"[{"method":"node_add","params":{"kind":"tone"}},{"method":"link","params":{"from":"tone","to":"room"}}]"#;
    std::fs::write(desk.path("list.json"), list).unwrap();
    let clip = desk.json("ls clips")[0]["id"].to_string();
    for words in [
        "track add voice --gain -3dB",
        "bus add hall --channels 4",
        "send add verb",
        "node add output phones first_channel=3",
        "link room late",
        "link room master --gain -6dB",
        "link drums:pre_L room:in_R",
        "unlink drums room",
        "unlink drums:out_L room:in_L",
        "set drums gain -6dB",
        "set drums mute toggle",
        "set late frames 20ms",
        "track set drums pan L50",
        "clip add drums loop.wav --at 1s",
        &format!("clip rm drums {clip}"),
        "node rm late room",
        "tempo 99",
        "session set --name other --fade 7ms",
        "batch list.json",
        "track rm drums",
    ] {
        let before = desk.say("--json session show");
        let revision = desk.json("status")["revision"].clone();
        let undo = desk.json("status")["undo"].clone();
        let told = desk.json(&format!("--dry-run {words}"));
        let changes: Vec<Change> = serde_json::from_value(told["changes"].clone()).unwrap();
        assert!(!changes.is_empty(), "{words}");
        let text = desk.server.ctl(["--dry-run"].into_iter().chain(words.split(' ')));
        assert!(text.status.success() && !text.stdout.is_empty(), "{words}");
        assert_eq!(desk.say("--json session show"), before, "{words}");
        assert_eq!(desk.json("status")["revision"], revision, "{words}");
        assert_eq!(desk.json("status")["undo"], undo, "{words}");

        // Done in earnest, it makes just these changes.
        let mut foretold: Session = serde_json::from_str(&before).unwrap();
        changes.iter().for_each(|change| mirror::apply(&mut foretold, change));
        desk.say(words);
        assert_eq!(serde_json::to_value(&foretold).unwrap(), desk.session(), "{words}");
        desk.say("undo");
    }
    // What would be refused is refused, in the same words.
    for (words, code) in
        [("link room room", 5), ("track add drums", 5), ("set drums gain 99", 1), ("node rm nobody", 4)]
    {
        let error = desk.fails(&format!("--dry-run {words}"), code);
        assert_eq!(error, desk.fails(words, code), "{words}");
    }
    let error = desk.fails("--dry-run clip add drums nowhere.wav", 4);
    assert!(error["message"].as_str().unwrap().contains("nowhere.wav"), "{error}");
    // A loop is a change of the session, too, if no step.
    let told = desk.json("--dry-run loop 0 1s");
    assert_eq!(told["changes"][0]["session"]["loop_range"], serde_json::json!([0, 48_000]));
    assert_eq!(desk.say("loop"), "loop off\n");
    assert_eq!(desk.fails("--dry-run loop 0 479", 1), desk.fails("loop 0 479", 1));
    // What would change nothing says so.
    assert_eq!(desk.json("--dry-run set drums gain 0")["changes"], serde_json::json!([]));
}
