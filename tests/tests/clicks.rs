//! Edits in quick succession, while those before are still fading, warming up or filling delay lines: no step
//! beyond what the fades explain, and no hole in what is not edited.

use std::sync::Arc;

use aulos_engine::Start;
use aulos_nodes::Pcm;
use aulos_protocol::{Command, Decibels, Frames, NewNode, NodeKind, Session, Value};
use aulos_tests::{
    random::Rng,
    stepped::{Files, Stepped},
};

#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

fn add(kind: NodeKind, name: &str, set: &[(&str, f64)]) -> Command {
    let params = set.iter().map(|(name, value)| ((*name).to_owned(), Value::Number(*value))).collect();
    Command::AddNode(NewNode { kind, name: Some(name.into()), channels: Some(1), params })
}

fn link_at(from: &str, to: &str, gain: f64) -> Command {
    Command::Link { from: from.parse().unwrap(), to: to.parse().unwrap(), gain: Decibels::new(gain) }
}

fn link(from: &str, to: &str) -> Command {
    link_at(from, to, 0.0)
}

fn unlink(from: &str, to: &str) -> Command {
    Command::Unlink { from: from.parse().unwrap(), to: to.parse().unwrap() }
}

fn set(node: &str, param: &str, value: f64) -> Command {
    Command::SetParam { node: node.into(), param: param.into(), value: Value::Number(value) }
}

fn engine(commands: Vec<Command>, files: Files, start: Start) -> Stepped {
    let empty = Session::new("clicks", aulos_protocol::Rate::default());
    let session = aulos_engine::session::apply(&empty, &Command::Batch { commands }).unwrap().0;
    Stepped::new(session, files, Vec::new(), 1, 256, start)
}

fn steepest(samples: &[f32]) -> f32 {
    samples.windows(2).fold(0.0, |most, pair| most.max((pair[1] - pair[0]).abs()))
}

/// A slow sine to the output, directly by a bus, and by a delay that is heard at `gain`.
fn diamond(gain: f64) -> Stepped {
    let commands = vec![
        add(NodeKind::Tone, "tone", &[("frequency", 20.0), ("level", 0.0)]),
        add(NodeKind::Delay, "bus", &[]),
        add(NodeKind::Delay, "late", &[("report", 1.0)]),
        add(NodeKind::Output, "out", &[]),
        link("tone", "bus"),
        link("bus", "out"),
        link("tone", "late"),
        link_at("late", "out", gain),
    ];
    engine(commands, Files::default(), Start::default())
}

#[test]
fn a_gain_that_changes_while_its_link_waits_for_a_delay_line_waits_too() {
    let mut engine = diamond(f64::NEG_INFINITY);
    engine.run_to(9600, || 128);
    engine.perform(&set("late", "frames", 4800.0)).unwrap();
    engine.run_to(9600 + 640, || 128);
    engine.perform(&link_at("bus", "out", -1.0)).unwrap();
    engine.run_to(24_000, || 128);
    assert!(steepest(&engine.played()[0]) < 0.01, "{}", steepest(&engine.played()[0]));
}

#[test]
fn a_link_from_a_processor_that_warms_up_waits_for_it() {
    let mut engine = diamond(-6.0);
    engine.run_to(9600, || 128);
    engine.perform(&set("late", "report", 0.0)).unwrap();
    engine.run_to(14_400, || 128);
    engine.perform(&set("late", "frames", 4800.0)).unwrap();
    engine.run_to(14_400 + 640, || 128);
    engine.perform(&add(NodeKind::Output, "beside", &[])).unwrap();
    engine.perform(&link("late", "beside")).unwrap();
    engine.run_to(30_000, || 128);
    assert!(steepest(&engine.played()[0]) < 0.02, "{}", steepest(&engine.played()[0]));
}

#[test]
fn two_latency_changes_in_succession_leave_no_hole_in_the_direct_path() {
    let mut engine = diamond(f64::NEG_INFINITY);
    engine.run_to(4800, || 128);
    engine.perform(&set("late", "frames", 9600.0)).unwrap();
    engine.run_to(9600, || 128);
    engine.perform(&set("late", "frames", 20_000.0)).unwrap();
    engine.run_to(60_000, || 128);
    let played = &engine.played()[0];
    assert!(steepest(played) < 0.01, "{}", steepest(played));
    // A period of the sine is 2,400 frames: it is heard in every one of them.
    let quietest =
        played.chunks(2400).map(|p| p.iter().fold(0.0f32, |m, x| m.max(x.abs()))).fold(1.0, f32::min);
    assert!(quietest > 0.9, "{quietest}");
}

/// A slow sine that is moved and cut, put back, and cut again, in the middle of its sound and of its own fades.
#[test]
fn a_clip_that_is_moved_or_cut_crosses_over() {
    let sine: Vec<f32> = (0..48_000).map(|n| (n as f32 * 0.01).sin()).collect();
    let files = Files([("sine.wav".to_owned(), Arc::new(Pcm::new(vec![sine.clone()]).unwrap()))].into());
    let (file, at, offset) = ("sine.wav".to_owned(), Frames(0), Frames(0));
    let clip = Command::AddClip { track: "track".into(), file, at, offset, length: None };
    let track = add(NodeKind::Track, "track", &[("pan", -1.0)]);
    let commands = vec![track, add(NodeKind::Output, "out", &[]), link("track:out_L", "out"), clip];
    let start = Start { position: 0, rolling: true, loop_range: None };
    let mut engine = engine(commands, files, start);
    let clip = engine.controller.session().node("track").unwrap().clips[0].id;
    let change = |at: Option<u64>, offset: Option<u64>, length: Option<u64>| {
        let [at, offset, length] = [at, offset, length].map(|frames| frames.map(Frames));
        Command::SetClip { track: "track".into(), clip, at, offset, length, whole: false }
    };
    // Half a period later, half a period of the file left out, cut short behind what is heard; in quick succession.
    let edits = [
        change(Some(314), None, None),
        change(None, Some(314), None),
        Command::Undo,
        Command::Undo,
        change(None, None, Some(30_000)),
        change(Some(157), Some(500), None),
        change(None, None, Some(100)),
        Command::Undo,
    ];
    for (n, edit) in edits.iter().enumerate() {
        engine.run_to(1000 + n * 100, || 64);
        engine.perform(edit).unwrap();
    }
    engine.run_to(6000, || 64);
    let played = &engine.played()[0];
    // What moves by itself, and three fades at once, each of up to two.
    let step = steepest(&played[300..]);
    assert!(step <= 0.0101 + 3.0 * 2.0 / 240.0, "a step of {step}");
    let wrong = (3000..6000).find(|n| played[*n] != sine[n - 157 + 500]);
    assert_eq!(wrong, None, "where it was put at last is not what is heard");
    assert_eq!(engine.controller.session().node("track").unwrap().clips[0].id, clip);
}

#[test]
fn a_clip_that_fades_out_does_so_in_the_player_that_played_it() {
    let half = Files([("half".to_owned(), Arc::new(Pcm::new(vec![vec![0.5; 200_000]]).unwrap()))].into());
    let clip = Command::AddClip {
        track: "track".into(),
        file: "half".into(),
        at: Frames(0),
        offset: Frames(0),
        length: None,
    };
    let track = Command::AddNode(NewNode {
        kind: NodeKind::Track,
        name: Some("track".into()),
        channels: Some(1),
        params: [("pan".to_owned(), Value::Number(-1.0))].into(),
    });
    let commands = vec![track, add(NodeKind::Output, "out", &[]), link("track:out_L", "out"), clip];
    let start = Start { rolling: true, ..Start::default() };
    let mut engine = engine(commands, half, start);
    engine.run_to(4800, || 128);
    let clip = engine.controller.session().node("track").unwrap().clips[0].id;
    engine.perform(&Command::RemoveClip { track: "track".into(), clip }).unwrap();
    engine.perform(&Command::RemoveNode { node: "track".into() }).unwrap();
    engine.perform(&Command::Undo).unwrap();
    engine.run_to(9600, || 128);
    assert!(steepest(&engine.played()[0]) < 0.01, "{}", steepest(&engine.played()[0]));
    assert!(engine.played()[0][6000..].iter().all(|x| *x == 0.0));
}

#[test]
fn random_edits_in_quick_succession_make_no_step() {
    const FADE_MS: f64 = 50.0;
    let names = ["d0", "d1", "d2", "d3", "d4", "d5"];
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut commands = vec![
            Command::SetSession {
                name: None,
                tempo: None,
                signature: None,
                edit_fade_ms: Some(FADE_MS),
                max_latency_ms: None,
            },
            add(NodeKind::Tone, "t0", &[("frequency", 11.0), ("level", -20.0)]),
            add(NodeKind::Tone, "t1", &[("frequency", 17.0), ("level", -20.0)]),
            add(NodeKind::Output, "out", &[]),
        ];
        commands.extend(names.map(|name| add(NodeKind::Delay, name, &[("report", 1.0)])));
        commands.extend([link("t0", "d0"), link("t1", "d1"), link("d0", "out"), link("d1", "out")]);
        let mut engine = engine(commands, Files::default(), Start::default());
        for _ in 0..80 {
            let next = engine.frame() + if rng.percent(30) { 1 } else { rng.range(1, 5000) } as usize;
            engine.run_to(next, || 256);
            let from = *rng.pick(&["t0", "t1", "d0", "d1", "d2", "d3", "d4", "d5"]);
            let to = *rng.pick(&["out", "d0", "d1", "d2", "d3", "d4", "d5"]);
            let node = *rng.pick(&names);
            // Levels stay low: a path more is at most half as loud.
            let command = match rng.below(10) {
                0..3 => link_at(from, to, -6.0 - rng.tenths(0, 60)),
                3..5 => unlink(from, to),
                5..7 => set(node, "frames", rng.range(0, 6000) as f64),
                7 => set(node, "report", rng.below(2) as f64),
                8 => Command::Undo,
                _ => Command::Redo,
            };
            // Cycles and what there is not to unlink or undo are refused.
            let _ = engine.perform(&command);
        }
        let until = engine.frame() + 20_000;
        engine.run_to(until, || 256);
        let played = &engine.played()[0];
        let peak = played.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        // What moves by itself, and ten fades of the loudest that was heard, at once.
        let allowed = peak.max(0.2) * (0.003 + 10.0 / 2400.0);
        let steepest = steepest(played);
        assert!(
            steepest <= allowed,
            "seed {seed}: a step of {steepest}, allowed are {allowed} at a peak of {peak}"
        );
    }
}

/// An edit with a fade of its own is the edit of a session that has this fade, sample by sample, and the edits behind it
/// are those of its own session.
#[test]
fn an_edit_can_have_a_fade_of_its_own() {
    const FADE: u64 = 4800;
    let commands = vec![
        add(NodeKind::Tone, "tone", &[("frequency", 20.0), ("level", 0.0)]),
        add(NodeKind::Bus, "bus", &[]),
        add(NodeKind::Delay, "late", &[("report", 1.0)]),
        add(NodeKind::Output, "out", &[]),
        link("tone", "bus"),
        link("bus", "out"),
        link("tone", "late"),
        link("late", "out"),
    ];
    let edits = [
        set("bus", "gain", -20.0),
        link_at("bus", "out", -6.0),
        Command::Batch { commands: vec![unlink("late", "out"), link_at("tone", "out", -9.0)] },
        set("late", "frames", 480.0),
        Command::Undo,
        unlink("bus", "out"),
    ];
    for edit in edits {
        let mut own = engine(commands.clone(), Files::default(), Start::default());
        let mut slow = engine(commands.clone(), Files::default(), Start::default());
        let mut usual = engine(commands.clone(), Files::default(), Start::default());
        let ms = |ms| Command::SetSession {
            name: None,
            tempo: None,
            signature: None,
            edit_fade_ms: Some(ms),
            max_latency_ms: None,
        };
        // A step for undo to take back.
        let before = set("bus", "gain", -3.0);
        for engine in [&mut own, &mut slow, &mut usual] {
            engine.perform(&ms(5.0)).unwrap();
            engine.perform(&before).unwrap();
            engine.run_to(4800, || 64);
        }
        slow.perform(&ms(100.0)).unwrap();
        if edit == Command::Undo {
            // Its own length is a step, too.
            slow.perform(&set("bus", "gain", 0.0)).unwrap();
        } else {
            slow.perform(&edit).unwrap();
        }
        usual.perform(&edit).unwrap();
        own.perform_over(&edit, FADE).unwrap();
        for engine in [&mut own, &mut slow, &mut usual] {
            engine.run_to(14_400, || 64);
        }
        let title = edit.title();
        assert!(own.played() == slow.played(), "{title}");
        assert!(own.played() != usual.played(), "{title} fades as ever");
        slow.perform(&ms(5.0)).unwrap();
        for engine in [&mut own, &mut slow] {
            engine.perform(&set("tone", "level", -6.0)).unwrap();
            engine.run_to(19_200, || 64);
        }
        assert!(own.played() == slow.played(), "what comes behind {title}");
    }
}
