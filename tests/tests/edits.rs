//! Edits while a session plays: what is not edited stays bit-exact, what is edited ends up exactly where a
//! fresh engine would be, nothing is left over, and nothing steps further than a fade does.

use aulos_engine::{Start, TransportChange};
use aulos_protocol::{
    Change, ClipId, Command, Decibels, Endpoint, NewNode, NodeKind, Place, Session, Value, params, ports,
};
use aulos_tests::{
    compare,
    random::{self, Rng, Scene},
    stepped::{Files, Stepped},
};

#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

fn end(text: String) -> Endpoint {
    text.parse().unwrap()
}

/// A command that may be refused.
fn random_command(rng: &mut Rng, session: &Session, scene: &Scene) -> Command {
    let nodes: Vec<_> = session.nodes.values().collect();
    let links: Vec<_> = session.links.values().collect();
    let node = *rng.pick(&nodes);
    match rng.range(0, 100) {
        0..25 => {
            let mut port = |direction| {
                let node = *rng.pick(&nodes);
                let groups = ports::groups(node.kind, node.channels);
                let names: Vec<_> = groups.iter().filter(|g| g.direction == direction).collect();
                if names.is_empty() {
                    return end(node.slug.to_string());
                }
                let group = *rng.pick(&names);
                if rng.percent(50) {
                    return end(format!("{}:{}", node.slug, group.name));
                }
                end(format!("{}:{}", node.slug, rng.pick(&group.port_names())))
            };
            let (from, to) = (port(ports::Direction::Out), port(ports::Direction::In));
            let gain = [None, Some(Decibels::SILENCE), Decibels::new(-6.5)];
            Command::Link { from, to, gain: *rng.pick(&gain) }
        }
        25..45 if !links.is_empty() => {
            let link = *rng.pick(&links);
            Command::Unlink { from: end(session.port_text(&link.from)), to: end(session.port_text(&link.to)) }
        }
        45..70 => {
            let names: Vec<_> = params::of(node.kind, node.channels)
                .iter()
                // A new frequency, or note, goes on from the phase of the old one, which a fresh engine does not
                // know.
                .filter(|param| !["frequency", "notes", "first_channel"].contains(&param.name))
                .collect();
            let Some(param) = (!names.is_empty()).then(|| *rng.pick(&names)) else { return Command::Undo };
            let value = match param.unit {
                params::Unit::Switch => Value::Switch(rng.percent(50)),
                params::Unit::Decibels => Value::Number(rng.range(0, 200) as f64 / 10.0 - 20.0),
                params::Unit::Pan => Value::Number(rng.range(0, 20) as f64 / 10.0 - 1.0),
                params::Unit::Choice(names) => Value::name(rng.pick::<&str>(names)),
                params::Unit::Pattern => Value::name(rng.pick::<&str>(&["auto", "Xx", "X.o.x"])),
                params::Unit::Milliseconds => Value::Number(rng.range(0, 50) as f64),
                _ => Value::Number(rng.range(0, 2000) as f64),
            };
            Command::SetParam { node: node.slug.to_string(), param: param.name.to_owned(), value }
        }
        70..76 => {
            let mut kind = *rng.pick(&NodeKind::ALL);
            // What goes round in a loop is remembered for ever.
            if kind == NodeKind::Feedback {
                kind = NodeKind::Delay;
            }
            Command::AddNode(NewNode {
                kind,
                name: None,
                channels: Some(rng.range(1, 3) as u16),
                params: Default::default(),
            })
        }
        76..82 => Command::RemoveNode { node: node.slug.to_string() },
        82..88 => {
            let names: Vec<_> = scene.files.keys().cloned().collect();
            Command::AddClip {
                track: node.slug.to_string(),
                file: rng.pick(&names).clone(),
                at: aulos_protocol::Frames(scene.start.position + rng.range(0, 30_000)),
                offset: aulos_protocol::Frames(0),
                length: None,
            }
        }
        88..89 => {
            let groups: Vec<_> = nodes.iter().filter(|node| node.kind.has_members()).collect();
            let Some(group) = (!groups.is_empty()).then(|| *rng.pick(&groups)) else { return Command::Undo };
            let (group, nodes) = (group.slug.to_string(), vec![node.slug.to_string()]);
            if rng.percent(70) {
                Command::AddMembers { group, nodes }
            } else {
                Command::RemoveMembers { group, nodes }
            }
        }
        89..90 => {
            let clip = node.clips.first().map_or(ClipId(0), |clip| clip.id);
            let some =
                |rng: &mut Rng, most| rng.percent(60).then(|| aulos_protocol::Frames(rng.range(1, most)));
            let at = some(rng, 30_000).map(|at| aulos_protocol::Frames(scene.start.position + at.0));
            let (offset, length) = (some(rng, 3000), some(rng, 6000));
            let whole = length.is_none() && rng.percent(50);
            Command::SetClip { track: node.slug.to_string(), clip, at, offset, length, whole }
        }
        90..91 => {
            let clip = node.clips.first().map_or(ClipId(0), |clip| clip.id);
            Command::RemoveClip { track: node.slug.to_string(), clip }
        }
        91..93 => Command::DuplicateNode { node: node.slug.to_string(), name: None },
        93 => Command::MoveNode { node: node.slug.to_string(), to: Place::First },
        94 => Command::RenameNode { node: node.slug.to_string(), name: format!("new-{}", rng.below(1000)) },
        95..98 => Command::Undo,
        _ => Command::Redo,
    }
}

#[test]
fn after_any_edits_the_engine_is_where_a_fresh_one_would_be() {
    const EDITS: usize = 60;
    let (mut done, mut refused) = (0, 0);
    for seed in 0..60 {
        // Echoes and phases would be heard for ever of what was before an edit.
        let mut scene = random::forgetful_scene(1000 + seed);
        // The longest way: delays that do not report, in series, and the edits' own.
        scene.start.loop_range = None;
        let mut rng = Rng::new(seed);
        let mut engine = Stepped::of(&scene, 1024);
        for _ in 0..EDITS {
            engine.cycle(rng.range(1, 700) as usize);
            let command = random_command(&mut rng, engine.controller.session(), &scene);
            match engine.perform(&command) {
                Ok(_) => done += 1,
                Err(_) => refused += 1,
            }
        }
        scene.session = engine.controller.session().clone();
        // Everything that was on its way has come through, and what faded is forgotten.
        let settled = engine.frame() + 40_000;
        engine.run_to(settled, || 777);
        let frames = engine.frame() + 2000;
        engine.run_to(frames, || 128);
        let expected = scene.evaluate(frames).playback;
        let last = |channels: &[Vec<f32>]| -> Vec<Vec<f32>> {
            channels.iter().map(|channel| channel[frames - 2000..].to_vec()).collect()
        };
        compare(&format!("seed {seed}"), &last(&expected), &last(engine.played())).unwrap();
        let fresh = Stepped::of(&scene, 1024);
        let ((stages, lines, terms), fresh) = (engine.controller.census(), fresh.controller.census());
        assert_eq!((stages, terms), (fresh.0, fresh.2), "seed {seed}: something is left over");
        // A port whose delay has grown may have a short line for its early taps beside the long one.
        assert!((fresh.1..=2 * fresh.1).contains(&lines), "seed {seed}: {lines} lines, {fresh:?}");
    }
    assert!(done > 2000, "only {done} edits were carried out, {refused} refused");
}

fn session(commands: Vec<Command>) -> Session {
    let empty = Session::new("test", aulos_protocol::Rate::default());
    aulos_engine::session::apply(&empty, &Command::Batch { commands }).unwrap().0
}

fn add(kind: NodeKind, name: &str, channels: u16, set: &[(&str, f64)]) -> Command {
    let params = set.iter().map(|(name, value)| ((*name).to_owned(), Value::Number(*value))).collect();
    Command::AddNode(NewNode { kind, name: Some(name.into()), channels: Some(channels), params })
}

fn link(from: &str, to: &str) -> Command {
    Command::Link { from: end(from.into()), to: end(to.into()), gain: None }
}

fn unlink(from: &str, to: &str) -> Command {
    Command::Unlink { from: end(from.into()), to: end(to.into()) }
}

fn set(node: &str, param: &str, value: f64) -> Command {
    Command::SetParam { node: node.into(), param: param.into(), value: Value::Number(value) }
}

/// A slow sine through `a` on channel 1; another through `b` on channel 2 that nobody touches.
fn two_paths() -> Stepped {
    let session = session(vec![
        add(NodeKind::Tone, "t", 1, &[("frequency", 20.0), ("level", 0.0)]),
        add(NodeKind::Delay, "a", 1, &[]),
        add(NodeKind::Output, "left", 1, &[("first_channel", 1.0)]),
        add(NodeKind::Tone, "u", 1, &[("frequency", 31.0), ("level", 0.0)]),
        add(NodeKind::Delay, "b", 1, &[]),
        add(NodeKind::Output, "right", 1, &[("first_channel", 2.0)]),
        link("t", "a"),
        link("a", "left"),
        link("u", "b"),
        link("b", "right"),
    ]);
    Stepped::new(session, Files::default(), Vec::new(), 2, 256, Start::default())
}

/// The largest step between two frames.
fn steepest(samples: &[f32]) -> f32 {
    samples.windows(2).fold(0.0, |most, pair| most.max((pair[1] - pair[0]).abs()))
}

#[test]
fn edited_paths_fade_and_the_path_beside_them_stays_bit_exact() {
    let mut control = two_paths();
    control.run_to(60_000, || 256);
    let mut engine = two_paths();
    let edits = [
        unlink("a", "left"),
        link("a", "left"),
        set("a", "frames", 700.0),
        Command::Undo,
        link("t", "left"),
        set("t", "level", -12.0),
        add(NodeKind::Delay, "c", 1, &[("frames", 300.0)]),
        Command::Batch { commands: vec![unlink("t", "left"), link("t", "c"), link("c", "left")] },
        Command::RemoveNode { node: "c".into() },
        Command::Undo,
        Command::Redo,
        set("t", "level", 0.0),
        Command::RemoveNode { node: "a".into() },
        Command::Undo,
    ];
    for (at, edit) in edits.iter().enumerate() {
        engine.run_to(2000 + at * 3000, || 256);
        // Twice as fast as a fade: it is turned round on its way.
        engine.perform(edit).unwrap_or_else(|error| panic!("{edit:?}: {error:?}"));
    }
    engine.run_to(60_000, || 256);
    compare("untouched", &control.played()[1..2], &engine.played()[1..2]).unwrap();
    // A fade of 240 frames of a signal of up to 2 (two links at once), on top of the sine's own slope.
    let sine = 2.0 * std::f32::consts::TAU * 20.0 / 48_000.0;
    let allowed = 2.0 * sine + 2.0 * 2.0 / 240.0;
    let steepest = steepest(&engine.played()[0]);
    assert!(steepest <= allowed, "a step of {steepest}, allowed are {allowed}");
    assert!(engine.played()[0].iter().any(|x| x.abs() > 0.5), "nothing is heard");
}

#[test]
fn a_link_made_again_while_it_fades_turns_round() {
    let mut engine = two_paths();
    engine.run_to(12_000, || 256);
    for _ in 0..20 {
        engine.perform(&unlink("a", "left")).unwrap();
        engine.cycle(100);
        engine.perform(&link("a", "left")).unwrap();
        engine.cycle(100);
    }
    let steepest = steepest(&engine.played()[0]);
    assert!(steepest < 0.02, "a step of {steepest}");
    assert_eq!(engine.controller.census().0, 6);
}

#[test]
fn reversing_an_order_while_it_plays_waits_for_the_old_links_to_fade() {
    // a -> b becomes b -> a in one batch: for the length of a fade both directions would form a cycle.
    let base = session(vec![
        add(NodeKind::Tone, "t", 1, &[("frequency", 20.0)]),
        add(NodeKind::Delay, "a", 1, &[]),
        add(NodeKind::Delay, "b", 1, &[]),
        add(NodeKind::Output, "out", 1, &[]),
        link("t", "a"),
        link("a", "b"),
        link("b", "out"),
    ]);
    let mut engine = Stepped::new(base, Files::default(), Vec::new(), 1, 64, Start::default());
    engine.run_to(4800, || 64);
    let reverse = vec![
        unlink("t", "a"),
        unlink("a", "b"),
        unlink("b", "out"),
        link("t", "b"),
        link("b", "a"),
        link("a", "out"),
    ];
    engine.perform(&Command::Batch { commands: reverse }).unwrap();
    engine.run_to(9600, || 64);
    let steepest = steepest(&engine.played()[0]);
    assert!(steepest < 0.004, "a step of {steepest}");
    let scene = Scene {
        session: engine.controller.session().clone(),
        files: Default::default(),
        start: Default::default(),
        capture: Vec::new(),
        playback_channels: 1,
    };
    let expected = scene.evaluate(9600).playback;
    compare("reversed", &[expected[0][7000..].to_vec()], &[engine.played()[0][7000..].to_vec()]).unwrap();
}

#[test]
fn the_transport_starts_stops_and_jumps_without_a_step() {
    let mut scene = random::scene(3);
    let tone: Vec<f32> = (0..200_000).map(|n| (n as f32 * 0.003).sin()).collect();
    let pcm = std::sync::Arc::new(aulos_nodes::Pcm::new(vec![tone]).unwrap());
    scene.files = [("tone".to_owned(), pcm)].into();
    let clip = Command::AddClip {
        track: "track".into(),
        file: "tone".into(),
        at: aulos_protocol::Frames(0),
        offset: aulos_protocol::Frames(0),
        length: None,
    };
    scene.session = session(vec![
        add(NodeKind::Track, "track", 1, &[("pan", -1.0)]),
        add(NodeKind::Output, "out", 2, &[]),
        link("track", "out"),
        clip,
    ]);
    scene.start = Default::default();
    let mut engine = Stepped::of(&scene, 128);
    use TransportChange::{Locate, Pause, Play, Stop};
    let changes = [
        Play,
        Locate(90_000),
        Locate(500),
        Pause,
        Play,
        Stop,
        Play,
        Locate(40_000),
        Locate(41),
        Locate(77),
        Locate(12_345),
        Locate(9),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        // The last ones come within one fade: they wait for their turn.
        let gap = if at < 8 { 1000 } else { 30 };
        let until = engine.frame() + gap;
        engine.run_to(until, || 30);
        engine.transport(change);
    }
    let until = engine.frame() + 2000;
    engine.run_to(until, || 128);
    let steepest = steepest(&engine.played()[0]);
    assert!(steepest < 0.003 + 3.0 / 240.0, "a step of {steepest}");
    assert!(engine.controller.counters().rolling());
}

#[test]
fn undo_takes_every_step_back_to_the_beginning() {
    let scene = random::scene(7);
    let mut engine = Stepped::of(&scene, 64);
    let mut rng = Rng::new(7);
    let before = engine.controller.session().clone();
    let mut steps = 0;
    while steps < 50 {
        let command = random_command(&mut rng, engine.controller.session(), &scene);
        if matches!(command, Command::Undo | Command::Redo) {
            continue;
        }
        let changed = engine.dry_run(&command).is_ok_and(|changes: Vec<Change>| !changes.is_empty());
        if engine.perform(&command).is_ok() && changed {
            steps += 1;
        }
    }
    let after = engine.controller.session().clone();
    for _ in 0..steps {
        engine.perform(&Command::Undo).unwrap();
        engine.cycle(64);
    }
    let same = |a: &Session, b: &Session| (&a.nodes, &a.links) == (&b.nodes, &b.links);
    assert!(same(engine.controller.session(), &before));
    assert!(engine.perform(&Command::Undo).is_err());
    for _ in 0..steps {
        engine.perform(&Command::Redo).unwrap();
        engine.cycle(64);
    }
    assert!(same(engine.controller.session(), &after));
    assert!(engine.perform(&Command::Redo).is_err());
}
