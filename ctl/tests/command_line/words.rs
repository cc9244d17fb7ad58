//! Words that become commands, and answers that become words.

use std::collections::BTreeSet;

use aulos_protocol::{
    Command, Error, ErrorCode, Frames, NodeKind, Place, Value,
    wire::{Ask, methods},
};
use serde_json::{Value as Json, json};

use crate::{
    answer,
    fake::{Fake, Mood},
    run,
};

/// Every method of the protocol has words on the command line.
#[test]
fn every_method_can_be_reached() {
    let fake = Fake::willing();
    let lines = [
        "status",
        "ls",
        "link drums master",
        "unlink drums master",
        "node add tone",
        "node rm late",
        "node show drums",
        "rename late later",
        "duplicate drums",
        "reorder late --first",
        "clip add drums loop.wav -q",
        "clip rm drums 20",
        "clip set drums 20 --at 2|1",
        "vca add all drums voice --gain -3dB",
        "vca assign band voice",
        "vca release band drums",
        "group add kit drums --mix --edit",
        "click add --to master --pattern X.x.",
        "get drums",
        "set drums gain 0",
        "play",
        "pause",
        "stop",
        "locate 0",
        "loop off",
        "tempo 100",
        "latency",
        "analyze --for 0.2",
        "meters --once",
        "meters --reset",
        "undo",
        "redo",
        "session new /tmp/x",
        "session open /tmp/x",
        "session save",
        "render /tmp/x.wav",
        "operation show 7",
        "operation cancel 7",
        "raw batch {\"commands\":[]}",
        "schema",
        "-q watch --for 0.05",
        "meters --once --for 0.05",
        "driver ls",
        "driver clock",
        "driver set dummy",
        "forget",
        "step 64",
        "shutdown",
    ];
    let mut seen = BTreeSet::from(["hello".to_owned()]);
    for line in lines {
        answer(&fake, line);
        for request in fake.asked() {
            let json = match request.ask {
                Ask::Command(command) => serde_json::to_value(command),
                Ask::Query(query) => serde_json::to_value(query),
            };
            seen.insert(json.unwrap()["method"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(seen, methods().map(str::to_owned).collect());
}

fn set_to(fake: &Fake, line: &str) -> (Value, String) {
    let out = answer(fake, line);
    match fake.commands().as_slice() {
        [Command::SetParam { value, .. }] => (*value, out),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn values_are_set_relative_to_what_is() {
    let fake = Fake::willing();
    for (line, value, out) in [
        ("set drums gain -6dB", Value::Number(-6.0), "drums gain -6.00 dB (was -3.00 dB)\n"),
        ("set drums gain +1.5dB", Value::Number(-1.5), "drums gain -1.50 dB (was -3.00 dB)\n"),
        ("set drums/gain 3dB-", Value::Number(-6.0), "drums gain -6.00 dB (was -3.00 dB)\n"),
        ("track set drums gain -inf", Value::Silence, "drums gain -inf dB (was -3.00 dB)\n"),
        ("set drums mute toggle", Value::Switch(false), "drums mute off (was on)\n"),
        ("set drums pan R", Value::Number(1.0), "drums pan R100 (was L30)\n"),
        ("node set late frames 20ms", Value::Number(960.0), "late frames 960 frames (was 480 frames)\n"),
    ] {
        assert_eq!(set_to(&fake, line), (value, out.to_owned()), "{line}");
    }
    let (code, out, err) = run(&fake, "set drums gain +60dB");
    assert_eq!((code, out.as_str()), (0, "drums gain 12.00 dB (was -3.00 dB)\n"));
    assert_eq!(err, "aulosctl: drums gain was held at the end of its range, 12.00 dB\n");
    // A value with a space is one word only in quotes.
    assert_eq!(run(&fake, "set drums/gain -6 dB").0, 2);
    assert_eq!(run(&fake, "-q set drums gain +60dB"), (0, String::new(), String::new()));
}

#[test]
fn nodes_are_added_with_their_parameters() {
    let fake = Fake::willing();
    assert_eq!(
        answer(&fake, "track add choir --gain -3dB --pan L30 --mute --channels 1 pre_ignores_mute=on"),
        "added track choir\n"
    );
    let [Command::AddNode(new)] = &fake.commands()[..] else { panic!("one node") };
    assert_eq!((new.kind, new.channels), (NodeKind::Track, Some(1)));
    assert_eq!(json!(new.params), json!({"gain": -3.0, "pan": -0.3, "mute": true, "pre_ignores_mute": true}));

    assert_eq!(answer(&fake, "node add tone frequency=1.2kHz level=-20dB"), "added tone tone\n");
    let [Command::AddNode(new)] = &fake.commands()[..] else { panic!("one node") };
    assert_eq!(
        (new.name.as_deref(), json!(new.params)),
        (None, json!({"frequency": 1200.0, "level": -20.0}))
    );

    for (line, code, part) in [
        ("track add x --channels 6 --pan 0", 4, "no parameter of a track with 6 channels \"pan\""),
        ("track add x gian=0", 4, "did you mean \"gain\"?"),
        ("track add x gain", 2, "PARAM=VALUE"),
        ("track add x --gain 0 gain=1", 2, "given twice"),
        ("track add x gain=3dB+", 2, "relative to nothing"),
        ("bus set drums gain 0", 1, "drums is a track, not a bus"),
        ("send rm drums", 1, "drums is a track, not a send"),
        ("bus show drums", 1, "use \"aulosctl track …\""),
        ("track show drms", 4, "did you mean \"drums\"?"),
        ("set drums gain loud", 2, "a level such as"),
        ("set drums gian 0", 4, "one of gain, pan, mute"),
        ("get drums/gian", 4, "did you mean \"gain\"?"),
    ] {
        let (got, out, err) = run(&fake, line);
        assert_eq!((got, out.as_str()), (code, ""), "{line}: {err}");
        assert!(err.starts_with("aulosctl: ") && err.contains(part), "{line}: {err}");
        assert_eq!(fake.commands(), [], "{line}");
    }
}

#[test]
fn removing_several_nodes_is_one_step() {
    let fake = Fake::willing();
    assert_eq!(answer(&fake, "track rm drums voice"), "removed drums, voice\n");
    let remove = |node: &str| Command::RemoveNode { node: node.into() };
    assert_eq!(fake.commands(), [Command::Batch { commands: vec![remove("drums"), remove("voice")] }]);
    answer(&fake, "node rm late");
    assert_eq!(fake.commands(), [remove("late")]);
}

#[test]
fn mute_and_solo_are_one_step_for_all_nodes() {
    let fake = Fake::willing();
    let set = |node: &str, param: &str, on| Command::SetParam {
        node: node.into(),
        param: param.into(),
        value: Value::Switch(on),
    };
    assert_eq!(answer(&fake, "mute drums voice"), "muted drums, voice\n");
    let commands = vec![set("drums", "mute", true), set("voice", "mute", true)];
    assert_eq!(fake.commands(), [Command::Batch { commands }]);
    // A node that is named twice is set once, and one node needs no batch.
    assert_eq!(answer(&fake, "solo drums drums --off"), "drums no longer soloed\n");
    assert_eq!(fake.commands(), [set("drums", "solo", false)]);
    assert_eq!(answer(&fake, "mute"), "drums\n");
    assert_eq!(answer(&fake, "mute --json"), "{\"muted\":[\"drums\"]}\n");
    assert_eq!(answer(&fake, "solo"), "nothing is soloed\n");
    assert_eq!(fake.commands(), []);
    assert_eq!(answer(&fake, "solo --clear"), "nothing is soloed\n");
    for (line, code, part) in [
        ("mute late", 1, "late is a delay, which cannot be muted"),
        ("solo drms", 4, "did you mean \"drums\"?"),
        ("mute --off", 2, "--off"),
        ("solo --clear drums", 2, "cannot be used with"),
        ("reorder drums", 2, "--before"),
        ("reorder drums --first --last", 2, "cannot be used with"),
        ("duplicate", 2, "NODE"),
        ("rename drums", 2, "NEW"),
        ("mute --at 100", 2, "cannot be timed"),
    ] {
        let (got, out, err) = run(&fake, line);
        assert_eq!((got, out.as_str()), (code, ""), "{line}: {err}");
        assert!(err.contains(part), "{line}: {err}");
    }
}

#[test]
fn nodes_are_renamed_copied_and_moved() {
    let fake = Fake::willing();
    let before =
        |node: &str, other: &str| Command::MoveNode { node: node.into(), to: Place::Before(other.into()) };
    assert_eq!(answer(&fake, "rename drums kit"), "drums is now kit\n");
    assert_eq!(fake.commands(), [Command::RenameNode { node: "drums".into(), name: "kit".into() }]);
    assert!(answer(&fake, "duplicate drums").ends_with("a copy of drums\n"));
    assert_eq!(fake.commands(), [Command::DuplicateNode { node: "drums".into(), name: None }]);
    assert_eq!(answer(&fake, "reorder room --before drums"), "room comes before drums\n");
    assert_eq!(fake.commands(), [before("room", "drums")]);
    assert_eq!(answer(&fake, "reorder room --last"), "room comes last\n");
    assert_eq!(fake.commands(), [Command::MoveNode { node: "room".into(), to: Place::Last }]);
}

#[test]
fn positions_become_frames() {
    let fake = Fake::willing();
    assert_eq!(answer(&fake, "locate 3|1.5"), "at 0:04.250 (3|1.50)\n");
    assert_eq!(fake.commands(), [Command::Locate { position: Frames(204_000) }]);
    assert_eq!(answer(&fake, "loop 1|1 1:00"), "loop 0:00.000 to 1:00.000 (1|1.00 to 31|1.00)\n");
    assert_eq!(fake.commands(), [Command::Loop { start: Some(Frames(0)), end: Some(Frames(2_880_000)) }]);
    assert_eq!(answer(&fake, "loop"), "loop 0:00.000 to 0:16.000 (1|1.00 to 9|1.00)\n");
    assert_eq!(run(&fake, "loop 1|1").0, 2);
    assert_eq!(answer(&fake, "tempo"), "120 bpm in 4/4\n");
    assert_eq!(answer(&fake, "tempo +5"), "125 bpm\n");
    assert_eq!(answer(&fake, "tempo 90 --signature 7/8"), "90 bpm in 7/8\n");
    assert_eq!((run(&fake, "tempo 5").0, run(&fake, "tempo -s 4/3").0), (2, 2));
    fake.asked();

    let (code, out, err) = run(&fake, "clip add drums src/main.rs --at 2|1 --offset 10ms --length 1s");
    assert_eq!(code, 0);
    let here = std::env::current_dir().unwrap().join("src/main.rs").to_str().unwrap().to_owned();
    assert_eq!(out, format!("clip 40 on drums at 0:02.000 (2|1.00): {here}\n"));
    assert_eq!(err, "aulosctl: warning: the file is missing\n");
    let [Command::AddClip { file, at, offset, length, .. }] = &fake.commands()[..] else {
        panic!("one clip")
    };
    assert_eq!((file, at.0, offset.0, length.unwrap().0), (&here, 96_000, 480, 48_000));
}

#[test]
fn a_dry_run_changes_nothing() {
    let fake = Fake::willing();
    let (code, out, err) = run(&fake, "--dry-run set drums gain -6dB");
    assert_eq!((code, out.as_str()), (0, "~ drums gain  -3.00 dB → -6.00 dB\n"));
    assert_eq!(err, "aulosctl: a dry run: nothing was changed\n");
    assert!(fake.asked().iter().all(|asked| asked.dry_run || matches!(asked.ask, Ask::Query(_))));

    let json: Json = serde_json::from_str(&answer(&fake, "undo --dry-run --json")).unwrap();
    assert!(json["changes"].is_array());
    assert!(fake.asked().iter().all(|asked| asked.dry_run));

    for line in ["play", "session save", "render x.wav", "shutdown", "step 1", "operation cancel 1", "raw -"]
    {
        let (code, _, err) = run(&fake, &format!("--dry-run {line}"));
        assert_eq!(code, 2, "{line}: {err}");
        assert_eq!(fake.commands(), [], "{line}");
    }
}

#[test]
fn what_can_be_timed_is_sent_with_its_frame() {
    let fake = Fake::willing();
    for line in [
        "--at 96000 set drums gain -6dB",
        "track set drums solo on --at 96000",
        "link drums master --gain -6dB --at 96000f",
        "play --at 96000",
        "loop off --at 96000",
        "raw pause --at 96000",
        "set drums gain -6dB --at 96000 --dry-run -q",
    ] {
        let (code, out, err) = run(&fake, line);
        assert_eq!(code, 0, "{line}: {out}{err}");
        let asked = fake.asked();
        let commands: Vec<_> = asked.iter().filter(|asked| matches!(asked.ask, Ask::Command(_))).collect();
        assert!(commands.iter().all(|asked| asked.at == Some(Frames(96_000))), "{line}: {commands:?}");
        assert_eq!(commands.len(), 1, "{line}");
    }
    // The fake applies everything at frame 1000.
    assert_eq!(answer(&fake, "loop off --at 1000"), "loop off, from frame 1000\n");
    let (code, out, err) = run(&fake, "loop off --at 5");
    assert_eq!((code, out.as_str()), (0, "loop off, from frame 1000\n"));
    assert_eq!(err, "aulosctl: frame 5 has passed; frame 1000 was the next\n");
    fake.asked();
    for line in [
        "status",
        "ls",
        "get drums",
        "loop",
        "tempo 100",
        "unlink drums master",
        "track add x",
        "node rm drums",
        "clip rm drums 20",
        "vca add all drums voice --gain -3dB",
        "vca assign band voice",
        "vca release band drums",
        "group add kit drums --mix --edit",
        "click add --to master --pattern X.x.",
        "undo",
        "session save",
        "session set --fade 1ms",
        "render x.wav",
        "step 64",
        "watch",
        "raw -",
        "shutdown",
    ] {
        let (code, out, err) = run(&fake, &format!("{line} --at 96000"));
        assert_eq!((code, out.as_str()), (2, ""), "{line}: {err}");
        assert!(err.contains("cannot be timed"), "{line}: {err}");
        assert_eq!(fake.asked(), [], "{line}");
    }
    for wrong in ["play --at 2s", "play --at 3|1", "play --at soon", "play --at -5"] {
        assert_eq!(run(&fake, wrong).0, 2, "{wrong}");
    }
    // Of a clip it is the place on the timeline.
    run(&fake, "clip add drums src/main.rs --at 2|1");
    let asked = fake.asked();
    let added = asked.iter().find(|asked| matches!(asked.ask, Ask::Command(_))).unwrap();
    assert_eq!(added.at, None);
    assert!(matches!(&added.ask, Ask::Command(Command::AddClip { at: Frames(96_000), .. })), "{added:?}");
}

#[test]
fn a_session_has_its_longest_block_and_latency() {
    let fake = Fake::willing();
    answer(&fake, "session new /tmp/x --max-block 256");
    let [Command::NewSession { max_block, .. }] = &fake.commands()[..] else { panic!("one session") };
    assert_eq!(*max_block, Some(256));
    assert_eq!(
        answer(&fake, "session set --max-latency 20s --fade 5.1ms"),
        "fades 5.1 ms, latencies up to 20000 ms\n"
    );
    let [Command::SetSession { edit_fade_ms, max_latency_ms, .. }] = &fake.commands()[..] else {
        panic!("one set of properties")
    };
    assert_eq!((*edit_fade_ms, *max_latency_ms), (Some(5.1), Some(20_000.0)));
    assert_eq!(run(&fake, "session set").0, 2);
    assert!(answer(&fake, "session show").contains("max block    1024 frames\nmax latency  10000 ms\n"));
}

#[test]
fn nodes_of_every_kind_are_added_by_their_words() {
    let fake = Fake::willing();
    for (line, kind) in [
        ("node add click beats=3 level=-6dB", NodeKind::Click),
        ("node add feedback echo frames=100ms", NodeKind::Feedback),
        ("node add tone bell notes=on", NodeKind::Tone),
        ("node add eq band3_kind=high_shelf band3_gain=-3dB band3_q=0.7", NodeKind::Eq),
        ("node add dynamics comp threshold=-18dB ratio=4:1 attack=5ms gate_range=off", NodeKind::Dynamics),
        ("node add master limiter=on ceiling=-1dB output=-3dB", NodeKind::Master),
    ] {
        answer(&fake, line);
        let commands = fake.commands();
        assert!(matches!(&commands[..], [Command::AddNode(new)] if new.kind == kind), "{commands:?}");
    }
}

#[test]
fn refusals_have_their_exit_codes_and_lose_nothing() {
    let mut error =
        Error::new(ErrorCode::Cycle, "the link would close a cycle").remedy("link something else");
    error.path = ["a", "b", "a"].map(str::to_owned).to_vec();
    let fake = Fake::start(Mood::Refusing(error.clone()));
    let (code, out, err) = run(&fake, "link b a");
    assert_eq!((code, out.as_str()), (5, ""));
    assert_eq!(
        err,
        "aulosctl: the link would close a cycle\n    cycle: a → b → a\n    link something else\n"
    );
    let (code, out, err) = run(&fake, "link b a --json");
    assert_eq!((code, out.as_str()), (5, ""));
    let json: Json = serde_json::from_str(&err).unwrap();
    assert_eq!(json["error"], serde_json::to_value(&error).unwrap());

    let (code, _, err) = run(&fake, "raw play");
    assert_eq!((code, err.lines().next().unwrap()), (5, "aulosctl: the link would close a cycle"));
}

#[test]
fn answers_are_text_or_json() {
    let fake = Fake::willing();
    assert_eq!(answer(&fake, "get drums/gain"), "-3.00 dB\n");
    assert_eq!(answer(&fake, "get drums pan"), "L30\n");
    let gain = answer(&fake, "get drums").lines().next().map(str::to_owned).unwrap();
    assert!(gain.starts_with("gain ") && gain.contains(" -3.00 dB  -144 to 12 dB, -inf  "), "{gain}");
    assert_eq!(
        answer(&fake, "link drums master --gain -6dB"),
        "linked drums → master at -6.00 dB (2 links)\n"
    );
    assert_eq!(answer(&fake, "undo"), "undone: set drums gain\n");
    assert_eq!(answer(&fake, "-q undo"), "");
    assert_eq!(answer(&fake, "step 64x2 1"), "3 cycles, 129 frames\n");
    for (line, pointer) in [
        ("status --json", "/driver/name"),
        ("ls --json", "/nodes/0/slug"),
        ("ls links --json", "/0/from"),
        ("get drums --json", "/params/0/name"),
        ("node show drums --json", "/slug"),
        ("session show --json", "/rate"),
        ("latency --json", "/total"),
        ("meters --json", "/meters/0/node"),
        ("set drums gain 0 --json", "/revision"),
        ("loop --json", "/loop_range/1"),
        ("tempo --json", "/tempo"),
        ("render x.wav --json", "/ended"),
        ("render x.wav --json --no-wait", "/operation"),
        ("raw status", "/data/driver"),
    ] {
        let out = answer(&fake, line);
        assert_eq!(out.lines().count(), 1, "{line}");
        let json: Json = serde_json::from_str(&out).unwrap();
        assert!(json.pointer(pointer).is_some(), "{line}: {out}");
    }
    assert_eq!(answer(&fake, "play --json"), "null\n");
}

#[test]
fn a_batch_is_checked_before_it_is_sent() {
    let fake = Fake::willing();
    let file = std::env::temp_dir().join(format!("aulosctl-batch-{}.json", std::process::id()));
    let line = format!("batch {}", file.display());
    std::fs::write(&file, r#"[{"method":"undo"},{"method":"lnik"}]"#).unwrap();
    let (code, _, err) = run(&fake, &line);
    assert_eq!(code, 2);
    assert!(err.contains("command 1, counted from 0"), "{err}");
    assert_eq!(fake.asked(), []);
    std::fs::write(&file, r#"[{"method":"node_remove","params":{"node":"late"}}]"#).unwrap();
    assert_eq!(answer(&fake, &line), "1 command\n");
    let remove = Command::RemoveNode { node: "late".into() };
    assert_eq!(fake.commands(), [Command::Batch { commands: vec![remove] }]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(run(&fake, &line).0, 1);
}
