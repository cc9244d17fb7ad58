//! What begins at a named frame: the same samples at any block size, and in the stage time of what it changes.

use aulos_engine::{Start, TransportChange};
use aulos_protocol::{Command, Decibels, NodeKind, Session, Value, params};
use aulos_tests::{
    commands::{add, link, link_at, session, set},
    compare,
    random::{self, Rng, Scene},
    stepped::{Files, Stepped},
};

#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

const FRAMES: usize = 12_000;

/// Something that begins at a frame.
enum Timed {
    Command(Command),
    Transport(TransportChange),
}

/// A ramp of a parameter in many small steps, as automation would send it.
fn ramp(rng: &mut Rng, session: &Session, from: usize, script: &mut Vec<(usize, Timed)>) {
    let nodes: Vec<_> = session.nodes.values().collect();
    let node = *rng.pick(&nodes);
    let moving: Vec<_> = params::of(node.kind, node.channels)
        .iter()
        .filter(|param| param.effect == params::Effect::Moves && param.unit != params::Unit::Switch)
        .collect();
    if moving.is_empty() {
        return;
    }
    let param = *rng.pick(&moving);
    let (low, high) = match param.unit {
        params::Unit::Decibels => (-300, 0),
        params::Unit::Pan => (-10, 10),
        params::Unit::Hertz => (500, 20_000),
        _ => (10, 80),
    };
    let mut at = from;
    for _ in 0..rng.range(3, 20) {
        let value = rng.tenths(low, high);
        let value = if param.unit == params::Unit::Count { value.ceil() } else { value };
        let (node, param) = (node.slug.to_string(), param.name.to_owned());
        script.push((at, Timed::Command(Command::SetParam { node, param, value: Value::Number(value) })));
        // Often before the fade of the step before has ended.
        at += rng.range(1, 400) as usize;
    }
}

fn switch(rng: &mut Rng, session: &Session, at: usize, script: &mut Vec<(usize, Timed)>) {
    let has = |name: &'static str| {
        move |node: &&&std::sync::Arc<aulos_protocol::Node>| params::number(node, name).is_some()
    };
    let name = *rng.pick(&["solo", "mute", "solo_safe", "notes"]);
    let nodes: Vec<_> = session.nodes.values().collect();
    let able: Vec<_> = nodes.iter().filter(has(name)).collect();
    if able.is_empty() {
        return;
    }
    let node = rng.pick(&able).slug.to_string();
    let value = Value::Switch(rng.percent(50));
    script.push((at, Timed::Command(Command::SetParam { node, param: name.into(), value })));
}

fn script(rng: &mut Rng, scene: &Scene) -> Vec<(usize, Timed)> {
    let mut script = Vec::new();
    for _ in 0..8 {
        let at = rng_frame(rng);
        ramp(rng, &scene.session, at, &mut script);
    }
    for _ in 0..6 {
        let at = rng_frame(rng);
        switch(rng, &scene.session, at, &mut script);
    }
    let links: Vec<_> = scene.session.links.values().collect();
    for _ in 0..4 {
        let link = *rng.pick(&links);
        let (from, to) = (&link.from, &link.to);
        let [from, to] = [from, to].map(|port| scene.session.port_text(port).parse().unwrap());
        let midi = link.to.port == "midi_in";
        let gain = if midi || rng.percent(30) { Decibels::SILENCE } else { Decibels::new(-4.5).unwrap() };
        script.push((rng_frame(rng), Timed::Command(Command::Link { from, to, gain: Some(gain) })));
    }
    let mut at = 500;
    for _ in 0..rng.range(2, 8) {
        at += rng.range(300, 1500) as usize;
        let position = scene.start.position + rng.range(0, 4000);
        let change = match rng.below(5) {
            0 => TransportChange::Pause,
            1 => TransportChange::Stop,
            2 => TransportChange::Locate(position),
            3 => TransportChange::Loop(
                rng.percent(70).then_some((position, position + 480 + rng.range(0, 900))),
            ),
            _ => TransportChange::Play,
        };
        script.push((at, Timed::Transport(change)));
    }
    script.sort_by_key(|(at, _)| *at);
    script
}

fn rng_frame(rng: &mut Rng) -> usize {
    rng.range(100, 8000) as usize
}

fn play(scene: &Scene, script: &[(usize, Timed)], mut block: impl FnMut() -> usize) -> Vec<Vec<f32>> {
    let mut engine = Stepped::of(scene, 1024);
    let mut carried = 0;
    for (at, timed) in script {
        // What is to come is said in time, but not all at once: queues have an end.
        engine.run_to((at / 2048) * 2048, &mut block);
        match timed {
            Timed::Command(command) => carried += usize::from(engine.perform_at(command, *at).is_ok()),
            Timed::Transport(change) => engine.transport_at(*change, *at),
        }
    }
    assert!(carried > 0);
    engine.run_to(FRAMES, block);
    assert_eq!(engine.controller.counters().hurried(), 0);
    engine.played().to_vec()
}

#[test]
fn what_begins_at_named_frames_is_the_same_at_any_block_size() {
    let mut sounding = 0;
    for seed in 0..40 {
        let scene = random::scene(5000 + seed);
        let script = script(&mut Rng::new(seed), &scene);
        let one = play(&scene, &script, || 1);
        for block in [17, 64, 128, 480, 1024] {
            compare(&format!("seed {seed}, block {block}"), &one, &play(&scene, &script, || block)).unwrap();
        }
        let mut blocks = [1, 480, 17, 1024, 64, 3].into_iter().cycle();
        let mixed = play(&scene, &script, || blocks.next().unwrap());
        compare(&format!("seed {seed}, mixed blocks"), &one, &mixed).unwrap();
        sounding += usize::from(one.iter().flatten().any(|x| x.abs() > 1e-3));
    }
    assert!(sounding > 30, "only {sounding} of 40 sound");
}

/// Ones on two ways, one of them latent, to two driver channels each by a bus.
fn two_ways() -> Stepped {
    let session = session(vec![
        Command::SetSession {
            name: None,
            tempo: None,
            signature: None,
            edit_fade_ms: Some(0.0),
            max_latency_ms: None,
        },
        add(NodeKind::Input, "ones", 1, &[]),
        add(NodeKind::Delay, "late", 1, &[("frames", 100.0), ("report", 1.0)]),
        add(NodeKind::Bus, "early-bus", 2, &[]),
        add(NodeKind::Bus, "late-bus", 2, &[]),
        add(NodeKind::Output, "early", 1, &[("first_channel", 1.0), ("align_group", 0.0)]),
        add(NodeKind::Output, "heard", 1, &[("first_channel", 2.0), ("align_group", 0.0)]),
        link("ones", "late"),
        link_at("ones", "early-bus:in_L", 0.0),
        link_at("late", "late-bus:in_L", 0.0),
        link("early-bus:out_L", "early"),
        link("late-bus:out_L", "heard"),
    ]);
    Stepped::new(session, Files::default(), vec![vec![1.0; 4000]], 2, 64, Start::default())
}

#[test]
fn a_timed_change_is_heard_in_the_stage_time_of_what_it_changes() {
    let mut engine = two_ways();
    engine.run_to(500, || 64);
    // One batch, one frame: what sounds together changes together, 100 frames later on the latent way.
    let both = Command::Batch { commands: vec![set("early-bus", "mute", 1.0), set("late-bus", "mute", 1.0)] };
    engine.perform_at(&both, 1001).unwrap();
    engine.run_to(2000, || 64);
    let falls =
        |channel: usize| engine.played()[channel].windows(2).position(|w| w == [1.0, 0.0]).unwrap() + 1;
    assert_eq!((falls(0), falls(1)), (1001, 1101));
}

#[test]
fn solo_at_a_named_frame_shuts_the_others_there() {
    let mut engine = two_ways();
    engine.perform_at(&set("late-bus", "solo", 1.0), 700).unwrap();
    engine.run_to(2000, || 64);
    let channel = &engine.played()[0];
    assert_eq!((channel[699], channel[700]), (1.0, 0.0));
    assert!(engine.played()[1][100..].iter().all(|x| *x == 1.0));
}

#[test]
fn what_is_said_later_overrules_what_was_to_come() {
    let mut engine = two_ways();
    engine.perform_at(&set("early-bus", "mute", 1.0), 1000).unwrap();
    engine.run_to(500, || 64);
    engine.perform(&set("early-bus", "mute", 1.0)).unwrap();
    engine.perform(&set("early-bus", "mute", 0.0)).unwrap();
    engine.run_to(2000, || 64);
    assert!(engine.played()[0].iter().all(|x| *x == 1.0));
}

#[test]
fn what_needs_another_plan_cannot_be_timed() {
    let mut engine = two_ways();
    let before = engine.controller.session().clone();
    for command in
        [link("late", "early-bus:in_R"), set("late", "frames", 5.0), add(NodeKind::Tone, "t", 1, &[])]
    {
        let refused = engine.perform_at(&command, 1000).unwrap_err();
        assert!(refused.remedy.is_some(), "{refused:?}");
    }
    assert_eq!(*engine.controller.session(), before);
}

#[test]
fn more_timed_changes_than_there_is_room_for_are_refused() {
    let mut engine = two_ways();
    let mut taken = 0;
    let refused = loop {
        let value = -1.0 - f64::from(taken % 100);
        match engine.perform_at(&set("early-bus", "gain", value), 3000 + taken as usize) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 10_000);
    };
    assert!(taken > 100 && refused.message.contains("to come"), "{taken}: {refused:?}");
    engine.run_to(3900, || 64);
    assert!(engine.perform_at(&set("early-bus", "gain", 0.0), 3950).is_ok());
}

#[test]
fn what_is_said_later_for_an_earlier_frame_overrules_what_was_to_come() {
    let mut engine = two_ways();
    engine.perform_at(&set("early-bus", "mute", 1.0), 2000).unwrap();
    engine.perform_at(&set("early-bus", "mute", 0.0), 1000).unwrap();
    engine.run_to(3000, || 64);
    assert!(engine.played()[0].iter().all(|x| *x == 1.0));
}

#[test]
fn a_gain_that_is_to_come_is_not_heard_early_because_of_another_plan() {
    // The delay is built anew, and with it the links into it and out of it.
    for (from, to) in [("late", "late-bus:in_L"), ("ones", "late")] {
        let mut engine = two_ways();
        engine.perform_at(&link_at(from, to, f64::NEG_INFINITY), 2500).unwrap();
        engine.run_to(500, || 64);
        engine.perform(&set("late", "frames", 50.0)).unwrap();
        engine.run_to(3500, || 64);
        let heard = &engine.played()[1];
        assert!(heard[100..2540].iter().all(|x| *x == 1.0), "{from} -> {to}");
        assert!(heard[2560..].iter().all(|x| *x == 0.0), "{from} -> {to}");
    }
}

#[test]
fn more_gains_of_a_link_than_there_is_room_for_are_refused() {
    let mut engine = two_ways();
    let mut taken = 0;
    let refused = loop {
        let gain = -1.0 - f64::from(taken);
        match engine.perform_at(&link_at("ones", "early-bus:in_L", gain), 2000 + taken as usize) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 100);
    };
    assert!(taken >= 8 && refused.message.contains("to come"), "{taken}: {refused:?}");
    engine.run_to(3000, || 64);
    let last = Decibels::new(-f64::from(taken)).unwrap().factor();
    assert_eq!(engine.played()[0][2999], last);
}

#[test]
fn another_tempo_and_another_bar_make_no_step() {
    let clicks = || {
        let session = session(vec![
            add(NodeKind::Click, "click", 1, &[("level", 0.0)]),
            add(NodeKind::Output, "out", 1, &[]),
            link("click", "out"),
        ]);
        let start = Start { rolling: true, ..Start::default() };
        Stepped::new(session, Files::default(), Vec::new(), 1, 1024, start)
    };
    let steepest = |samples: &[f32]| samples.windows(2).fold(0.0f32, |m, w| m.max((w[1] - w[0]).abs()));
    let mut still = clicks();
    still.run_to(96_000, || 256);
    let allowed = steepest(&still.played()[0]) + 2.0 / 240.0;
    let mut engine = clicks();
    for n in 0..60 {
        engine.run_to(1000 + n * 1500, || 256);
        let bpm = aulos_protocol::Bpm::new(100.0 + (n % 7) as f64 * 17.0);
        let tempo = Command::SetSession {
            name: None,
            tempo: bpm,
            signature: None,
            edit_fade_ms: None,
            max_latency_ms: None,
        };
        engine.perform(&if n % 2 == 0 { tempo } else { set("click", "beats", (n % 5 + 1) as f64) }).unwrap();
    }
    engine.run_to(96_000, || 256);
    let step = steepest(&engine.played()[0]);
    assert!(step <= allowed, "a step of {step}, allowed are {allowed}");
    // A bar that changes within a block changes there, whatever the block.
    let timed = |block: usize| {
        let mut engine = clicks();
        for (at, beats) in [(10_500, 3.0), (24_100, 5.0), (24_350, 2.0), (60_000, 7.0)] {
            engine.perform_at(&set("click", "beats", beats), at).unwrap();
        }
        engine.run_to(96_000, || block);
        engine.played().to_vec()
    };
    compare("blocks", &timed(17), &timed(1024)).unwrap();
}

#[test]
fn transport_changes_that_wait_for_room_are_on_the_same_frame_at_any_block_size() {
    let files = {
        let ramp: Vec<f32> = (0..200_000).map(|n| n as f32 / 200_000.0).collect();
        Files([("ramp".to_owned(), std::sync::Arc::new(aulos_nodes::Pcm::new(vec![ramp]).unwrap()))].into())
    };
    let run = |block: usize| {
        let session = session(vec![
            Command::SetSession {
                name: None,
                tempo: None,
                signature: None,
                edit_fade_ms: Some(50.0),
                max_latency_ms: None,
            },
            add(NodeKind::Track, "track", 1, &[]),
            add(NodeKind::Output, "out", 2, &[]),
            link("track", "out"),
            Command::AddClip {
                track: "track".into(),
                file: "ramp".into(),
                at: Default::default(),
                offset: Default::default(),
                length: None,
            },
        ]);
        let start = Start { rolling: true, ..Start::default() };
        let mut engine = Stepped::new(session, files.clone(), Vec::new(), 2, 1024, start);
        for n in 0..8 {
            engine.transport_at(TransportChange::Locate(n * 20_000), 1000 + n as usize * 50);
        }
        engine.run_to(20_000, || block);
        engine.played().to_vec()
    };
    let one = run(1);
    for block in [17, 64, 1024] {
        compare(&format!("block {block}"), &one, &run(block)).unwrap();
    }
}
