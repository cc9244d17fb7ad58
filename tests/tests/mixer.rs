//! What a mixer has beside its strips: VCAs, groups, delays of outputs, talkback, and who listens to them.

use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
};

use aulos_nodes::Listener;
use aulos_protocol::{Command, Decibels, NodeKind, Rate};
use aulos_tests::{
    commands::{add, link, members, session, set},
    compare,
    random::Scene,
    stepped::Stepped,
};

#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

const FADE: usize = 240;

/// Ones on the first input, and twos on the second.
fn scene(commands: Vec<Command>, playback_channels: usize) -> Scene {
    Scene {
        session: session(commands),
        files: Default::default(),
        start: Default::default(),
        capture: vec![vec![1.0; 60_000], vec![2.0; 60_000]],
        playback_channels,
    }
}

/// Two tracks with a node of 100 frames of latency in front of one of them, in a VCA and a group; a path beside them.
fn band() -> Scene {
    let mut commands = vec![
        add(NodeKind::Input, "in", 1, &[]),
        add(NodeKind::Input, "other", 1, &[("first_channel", 2.0)]),
        add(NodeKind::Delay, "late", 1, &[("frames", 100.0), ("report", 1.0)]),
        add(NodeKind::Track, "a", 1, &[("pan", -1.0)]),
        add(NodeKind::Track, "b", 1, &[("pan", -1.0)]),
        add(NodeKind::Output, "out", 1, &[]),
        add(NodeKind::Output, "beside", 1, &[("first_channel", 2.0)]),
        add(NodeKind::Vca, "vca", 1, &[]),
        add(NodeKind::Group, "mutes", 1, &[]),
        members("vca", &["a", "b"]),
        members("mutes", &["a"]),
    ];
    let links = [("in", "late"), ("late", "a"), ("in", "b"), ("a:out_L", "out"), ("b:out_L", "out")];
    commands.extend(links.map(|(from, to)| link(from, to)));
    commands.push(link("other", "beside"));
    scene(commands, 2)
}

#[test]
fn a_vca_moves_all_of_its_members_at_one_time_and_nothing_else() {
    let scene = band();
    let mut engine = Stepped::of(&scene, 64);
    engine.run_to(1000, || 64);
    engine.controller.perform_at(&set("vca", "gain", -6.0), 2000).unwrap();
    engine.run_to(4000, || 64);
    engine.perform(&set("vca", "mute", 1.0)).unwrap();
    engine.run_to(5000, || 64);
    let half = Decibels::new(-6.0).unwrap().factor();
    let played = &engine.played()[0];
    let level = |frame: usize| (played[frame] * 1e6).round() / 1e6;
    let two = |gain: f32| (2.0 * gain * 1e6).round() / 1e6;
    // The members hear what sounds at the outputs at this time 100 frames late, and fade together.
    assert_eq!((level(1999), level(2100), level(2100 + FADE)), (2.0, 2.0, two(half)));
    assert_eq!(level(4000 + FADE + 100), 0.0);
    let middle = played[2100 + FADE / 2];
    assert!((middle - (1.0 + half)).abs() < 0.01, "{middle}");
    let step = played[1000..].windows(2).fold(0.0f32, |most, pair| most.max((pair[1] - pair[0]).abs()));
    assert!(step < 2.1 / FADE as f32, "a step of {step}");
    let mut control = Stepped::of(&scene, 64);
    control.run_to(5000, || 64);
    compare("beside", &control.played()[1..], &engine.played()[1..]).unwrap();
    // Its members' own faders are where they were.
    engine.perform(&Command::RemoveNode { node: "vca".into() }).unwrap();
    engine.run_to(6000, || 64);
    assert_eq!(engine.played()[0][5999], 2.0);
    engine.perform(&Command::Undo).unwrap();
    engine.run_to(7000, || 64);
    assert_eq!(engine.played()[0][6999], 0.0);
}

#[test]
fn a_mute_group_and_the_mutes_of_its_members_do_not_know_each_other() {
    let mut engine = Stepped::of(&band(), 64);
    let mut level_after = |commands: &[Command]| {
        commands.iter().for_each(|command| drop(engine.perform(command).unwrap()));
        let end = engine.frame() + 1000;
        engine.run_to(end, || 64);
        engine.played()[0][end - 1]
    };
    assert_eq!(level_after(&[]), 2.0);
    assert_eq!(level_after(&[set("mutes", "mute", 1.0)]), 1.0);
    assert_eq!(level_after(&[set("a", "mute", 1.0), set("mutes", "mute", 0.0)]), 1.0);
    assert_eq!(level_after(&[set("a", "mute", 0.0)]), 2.0);
    assert_eq!(level_after(&[members("mutes", &["b"]), set("mutes", "mute", 1.0)]), 0.0);
    assert_eq!(level_after(&[Command::RemoveNode { node: "mutes".into() }]), 2.0);
}

#[test]
fn a_vca_solos_its_members() {
    let mut engine = Stepped::of(&band(), 64);
    let alone = Command::RemoveMembers { group: "vca".into(), nodes: vec!["b".into()] };
    for (command, level) in [
        (set("vca", "solo", 1.0), 2.0),
        (alone, 1.0),
        (members("vca", &["b"]), 2.0),
        (set("vca", "solo", 0.0), 2.0),
    ] {
        engine.perform(&command).unwrap();
        let end = engine.frame() + 1000;
        engine.run_to(end, || 64);
        assert_eq!(engine.played()[0][end - 1], level, "{}", command.title());
    }
}

#[test]
fn an_output_is_heard_as_much_later_as_it_asks_for() {
    let commands = vec![
        add(NodeKind::Input, "in", 1, &[]),
        add(NodeKind::Output, "near", 1, &[]),
        add(NodeKind::Output, "far", 1, &[("first_channel", 2.0), ("delay", 10.0)]),
        link("in", "near"),
        link("in", "far"),
    ];
    let mut ramp = scene(commands, 2);
    ramp.capture = vec![(0..60_000).map(|n| n as f32).collect()];
    let mut engine = Stepped::of(&ramp, 64);
    engine.run_to(3000, || 64);
    engine.perform(&set("far", "delay", 2.5)).unwrap();
    engine.run_to(6000, || 64);
    let at = |channel: usize, frame: usize| engine.played()[channel][frame];
    assert_eq!((at(0, 2999), at(1, 2999), at(1, 479), at(1, 480)), (2999.0, 2519.0, 0.0, 0.0));
    assert_eq!((at(0, 5999), at(1, 5999)), (5999.0, 5879.0));
    // What is reported as latency does not know of it.
    assert_eq!(engine.controller.latency().total.0, 0);
}

#[test]
fn talkback_is_a_track_that_goes_where_the_musicians_hear_it_and_nowhere_else() {
    let commands = vec![
        add(NodeKind::Input, "band", 1, &[]),
        add(NodeKind::Input, "mic", 1, &[("first_channel", 2.0)]),
        add(NodeKind::Track, "guitar", 1, &[("pan", -1.0)]),
        add(NodeKind::Track, "talkback", 1, &[("pan", -1.0), ("mute", 1.0), ("solo_safe", 1.0)]),
        add(NodeKind::Bus, "cue", 1, &[("pan", -1.0)]),
        add(NodeKind::Output, "main", 1, &[]),
        add(NodeKind::Output, "phones", 1, &[("first_channel", 2.0)]),
        link("band", "guitar"),
        link("mic", "talkback"),
        link("guitar:out_L", "main"),
        link("guitar:pre", "cue"),
        link("talkback:out_L", "cue"),
        link("cue:out_L", "phones"),
    ];
    let scene = scene(commands, 2);
    let mut engine = Stepped::of(&scene, 64);
    let mut heard = |command: Option<Command>| {
        command.iter().for_each(|command| drop(engine.perform(command).unwrap()));
        let end = engine.frame() + 1000;
        engine.run_to(end, || 64);
        [0, 1].map(|channel: usize| engine.played()[channel][end - 1])
    };
    assert_eq!(heard(None), [1.0, 1.0]);
    assert_eq!(heard(Some(set("talkback", "mute", 0.0))), [1.0, 3.0]);
    // The engineer listens to something alone and can still speak.
    assert_eq!(heard(Some(set("guitar", "solo", 1.0))), [1.0, 3.0]);
    assert_eq!(heard(Some(set("talkback", "mute", 1.0))), [1.0, 1.0]);
    let mut control = Stepped::of(&scene, 64);
    control.run_to(4000, || 64);
    compare("main", &control.played()[..1], &engine.played()[..1]).unwrap();
}

/// Each sample is told once and in order, or counted as lost, whenever the listener looks.
#[test]
fn what_is_told_as_heard_was_played_while_it_is_played() {
    const FRAMES: usize = 1 << 20;
    let commands = vec![
        add(NodeKind::Input, "in", 1, &[]),
        add(NodeKind::Bus, "bus", 1, &[("pan", -1.0)]),
        add(NodeKind::Output, "out", 1, &[]),
        link("in", "bus"),
        link("bus:out_L", "out"),
    ];
    let counted = vec![(0..FRAMES).map(|n| n as f32).collect()];
    let mut engine = Stepped::of(&Scene { capture: counted, ..scene(commands, 1) }, 64);
    let bus = engine.controller.session().node("bus").unwrap().id;
    let mut listener = Listener::new(engine.controller.meter(bus).unwrap(), Rate::default());
    let done = AtomicBool::new(false);
    let (count, lost) = thread::scope(|scope| {
        let heard = scope.spawn(|| {
            let (mut count, mut last) = (0, -1.0f32);
            loop {
                let at_the_end = done.load(SeqCst);
                for x in &listener.take()[0] {
                    assert!(*x > last, "{x} after {last}");
                    last = *x;
                    count += 1;
                }
                if at_the_end {
                    return (count, listener.lost() as usize);
                }
            }
        });
        engine.run_to(FRAMES, || 64);
        done.store(true, SeqCst);
        heard.join().unwrap()
    });
    assert_eq!(count + lost, FRAMES);
    assert!(count > 0);
}
