//! Links that move to other delays and other processors while they are edited: what is said of them holds at once,
//! and while one way takes over from another nothing is missing and nothing is there twice.

use aulos_engine::Start;
use aulos_protocol::{Command, Decibels, NodeKind, Session};
use aulos_tests::{
    commands::{add, link, link_at, session, set, unlink},
    compare,
    random::Scene,
    stepped::{Files, Stepped},
};

mod late;
mod random;
mod waits;

#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

/// The length of a fade.
const FADE: usize = 240;
const MOST: usize = 400_000;

/// Ones that go to the driver by the nodes of a session, so that what is heard says how many ways there are.
fn ones(session: Session) -> Scene {
    Scene {
        session,
        files: Default::default(),
        start: Default::default(),
        capture: vec![vec![1.0; MOST]],
        playback_channels: 1,
    }
}

fn engine(commands: Vec<Command>) -> Stepped {
    Stepped::of(&ones(session(commands)), 256)
}

/// A direct way and one by a delay that reports itself, which meet.
fn diamond() -> Vec<Command> {
    vec![
        add(NodeKind::Input, "ones", 1, &[]),
        add(NodeKind::Delay, "d", 1, &[("frames", 100.0), ("report", 1.0)]),
        add(NodeKind::Delay, "meet", 1, &[]),
        add(NodeKind::Output, "out", 1, &[]),
        link("ones", "d"),
        link("d", "meet"),
        link("ones", "meet"),
        link("meet", "out"),
    ]
}

fn batch(commands: Vec<Command>) -> Command {
    Command::Batch { commands }
}

/// Says that a stretch is all of it one value.
fn assert_level(what: &str, engine: &Stepped, frames: std::ops::Range<usize>, level: f32) {
    let played = &engine.played()[0][frames.clone()];
    let wrong = played.iter().position(|x| (x - level).abs() > 1e-4);
    assert!(
        wrong.is_none(),
        "{what}: {} at frame {}, not {level}",
        played[wrong.unwrap_or(0)],
        frames.start + wrong.unwrap_or(0)
    );
}

#[test]
fn what_is_said_of_a_link_holds_while_it_waits_to_go_over_to_another_delay() {
    // Both ways, the direct one alone, and none.
    let cases: [(&str, Command, f32); 5] = [
        ("unlinked", unlink("meet", "out"), 0.0),
        ("turned down", link_at("meet", "out", f64::NEG_INFINITY), 0.0),
        ("removed", Command::RemoveNode { node: "meet".into() }, 0.0),
        ("a side is unlinked", unlink("ones", "meet"), 1.0),
        ("a side is turned down", link_at("ones", "meet", -6.0), 1.0 + Decibels::new(-6.0).unwrap().factor()),
    ];
    for (what, command, level) in cases {
        let mut engine = engine(diamond());
        engine.run_to(10_000, || 256);
        let applied = engine.perform(&set("d", "frames", 48_000.0)).unwrap();
        assert!(applied.aligned.unwrap().0 > 50_000);
        engine.run_to(10_100, || 100);
        engine.perform(&command).unwrap();
        engine.run_to(80_000, || 256);
        assert_level(what, &engine, 200..10_100, 2.0);
        assert_level(what, &engine, 10_100 + FADE..80_000, level);
    }
}

#[test]
fn what_enters_an_echo_that_is_still_heard_can_be_unlinked() {
    let mut engine = engine(vec![
        add(NodeKind::Input, "ones", 1, &[]),
        add(NodeKind::Delay, "echo", 1, &[("frames", 1000.0)]),
        add(NodeKind::Output, "out", 1, &[]),
        link("ones", "echo"),
        link("echo", "out"),
    ]);
    engine.run_to(10_000, || 256);
    engine.perform(&set("echo", "frames", 96_000.0)).unwrap();
    engine.run_to(12_000, || 256);
    engine.perform(&unlink("ones", "echo")).unwrap();
    engine.run_to(130_000, || 256);
    assert_level("before", &engine, 1000..13_000, 1.0);
    assert_level("the old echo", &engine, 13_000 + FADE..106_000, 0.0);
    // The new one has heard the ones until they were unlinked.
    assert_level("the new echo", &engine, 106_000 + FADE..108_000, 1.0);
    assert_level("at last", &engine, 108_000 + FADE..130_000, 0.0);
}

#[test]
fn another_latency_in_the_middle_of_a_crossfade_leaves_no_hole() {
    for after in [1, 10, 120, 239, 240, 241, 5000] {
        for then in [48_000.0, 100.0, 2400.0] {
            let mut engine = engine(diamond());
            engine.run_to(10_000, || 256);
            let aligned = engine.perform(&set("d", "frames", 4800.0)).unwrap().aligned.unwrap().0 as usize;
            engine.run_to(aligned - FADE + after, || 256);
            engine.perform(&set("d", "frames", then)).unwrap();
            engine.run_to(80_000, || 256);
            assert_level(&format!("{after} frames into it, then {then}"), &engine, 200..80_000, 2.0);
        }
    }
}

fn fresh(engine: &Stepped) -> aulos_engine::Controller {
    Stepped::of(&ones(engine.controller.session().clone()), 256).controller
}

#[test]
fn what_is_said_now_overrules_a_gain_to_come_though_it_takes_another_plan() {
    let mut engine = engine(diamond());
    engine.perform_at(&link_at("meet", "out", -6.0), 10_000).unwrap();
    engine.run_to(2000, || 256);
    let more = [add(NodeKind::Bus, "more", 1, &[]), link("ones", "more")];
    let now = [vec![link_at("meet", "out", -20.0)], more.to_vec()].concat();
    engine.perform(&batch(now)).unwrap();
    engine.run_to(15_000, || 256);
    let level = 2.0 * Decibels::new(-20.0).unwrap().factor();
    assert_level("the gain", &engine, 2000 + FADE..15_000, level);
}

#[test]
fn solo_that_is_taken_back_is_not_heard_though_it_takes_another_plan() {
    let mut engine = engine(vec![
        add(NodeKind::Input, "ones", 1, &[]),
        add(NodeKind::Bus, "a", 2, &[]),
        add(NodeKind::Bus, "b", 2, &[]),
        add(NodeKind::Output, "out", 1, &[]),
        link_at("ones", "a:in_L", 0.0),
        link_at("ones", "b:in_L", 0.0),
        link_at("a:out_L", "out", 0.0),
        link_at("b:out_L", "out", 0.0),
    ]);
    engine.perform_at(&set("a", "solo", 1.0), 10_000).unwrap();
    engine.run_to(2000, || 256);
    let more = [set("a", "solo", 0.0), add(NodeKind::Bus, "more", 1, &[]), link("ones", "more")];
    engine.perform(&batch(more.to_vec())).unwrap();
    engine.run_to(15_000, || 256);
    assert_level("both", &engine, 0..15_000, 2.0);
}

#[test]
fn a_timed_gain_holds_in_stage_time_though_the_arrival_changes_meanwhile() {
    let mut engine = engine(vec![
        Command::SetSession {
            name: None,
            tempo: None,
            signature: None,
            edit_fade_ms: Some(0.0),
            max_latency_ms: None,
        },
        add(NodeKind::Input, "ones", 1, &[]),
        add(NodeKind::Delay, "up", 1, &[("report", 1.0)]),
        add(NodeKind::Delay, "through", 1, &[]),
        add(NodeKind::Bus, "bus", 2, &[]),
        add(NodeKind::Output, "out", 1, &[]),
        link("ones", "up"),
        link("up", "through"),
        link_at("through", "bus:in_L", 0.0),
        link_at("bus:out_L", "out", 0.0),
    ]);
    // The strip goes to a half, the link to a quarter, at one stage time.
    let (half, quarter) = (Decibels::new(-6.0).unwrap(), Decibels::new(-12.0).unwrap());
    let both = batch(vec![set("bus", "gain", half.get()), link_at("through", "bus:in_L", quarter.get())]);
    engine.perform_at(&both, 20_000).unwrap();
    engine.run_to(2000, || 256);
    engine.perform(&set("up", "frames", 1000.0)).unwrap();
    engine.run_to(30_000, || 256);
    assert_level("before", &engine, 10_000..21_000, 1.0);
    assert_level("after", &engine, 21_000..30_000, half.factor() * quarter.factor());
}

#[test]
fn an_edit_that_takes_two_plans_is_aligned_when_the_second_is() {
    let mut engine = engine(vec![
        add(NodeKind::Input, "ones", 1, &[]),
        add(NodeKind::Delay, "a", 1, &[("frames", 100.0), ("report", 1.0)]),
        add(NodeKind::Delay, "b", 1, &[]),
        add(NodeKind::Output, "out", 1, &[]),
        link("ones", "a"),
        link("a", "b"),
        link("b", "out"),
    ]);
    engine.run_to(10_000, || 256);
    let reversed = vec![
        unlink("ones", "a"),
        unlink("a", "b"),
        unlink("b", "out"),
        link("ones", "b"),
        link("b", "a"),
        link("a", "out"),
    ];
    engine.perform(&batch(reversed)).unwrap();
    engine.run_to(20_000, || 256);
    let aligned = engine.aligned().expect("it says when it is aligned");
    assert!(aligned > 10_000 + 2 * FADE, "{aligned}");
    let scene = Scene { session: engine.controller.session().clone(), ..ones(session(Vec::new())) };
    let expected = scene.evaluate(20_000).playback;
    compare("aligned", &[expected[0][aligned..].to_vec()], &[engine.played()[0][aligned..].to_vec()])
        .unwrap();
}

#[test]
fn what_still_waits_to_go_over_is_not_called_aligned() {
    let mut commands = diamond();
    commands.extend([
        add(NodeKind::Delay, "other", 1, &[("report", 1.0)]),
        add(NodeKind::Output, "beside", 1, &[("align_group", 2.0)]),
        link("ones", "other"),
        link("other", "beside"),
        link("ones", "beside"),
    ]);
    let mut engine = engine(commands);
    engine.run_to(10_000, || 256);
    let first = engine.perform(&set("d", "frames", 48_000.0)).unwrap().aligned.unwrap().0;
    engine.run_to(11_000, || 256);
    let second = engine.perform(&set("other", "frames", 100.0)).unwrap().aligned.unwrap().0;
    assert!(second >= first, "{second}, {first} is still to come");
    // One that takes the place of the other does not wait for it.
    engine.run_to(12_000, || 256);
    let third = engine.perform(&set("d", "frames", 200.0)).unwrap().aligned.unwrap().0;
    assert!((12_000..13_000).contains(&third), "{third}");
}

#[test]
fn a_start_of_a_stopped_engine_crosses_nothing() {
    let mut engine =
        Stepped::new(session(diamond()), Files::default(), vec![vec![1.0; 2000]], 1, 256, Start::default());
    engine.perform(&set("d", "frames", 50.0)).unwrap();
    engine.run_to(2000, || 256);
    assert_level("two ways", &engine, 600..2000, 2.0);
}
