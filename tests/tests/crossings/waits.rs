//! What waits for a delay line, a new node or another link, and what becomes of it when it is edited meanwhile.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use aulos_engine::{Patience, Setup, Start};
use aulos_nodes::{Built, BuiltIn, Cycle, Held, Io, Order, Processor, Progress, Workshop};
use aulos_protocol::{Bpm, Command, Decibels, NodeKind};
use aulos_tests::{
    commands::{add, link, link_at, session, set, unlink},
    random::{Rng, Scene},
    stepped::{Files, Stepped},
};

use super::{FADE, MOST, assert_level, batch, diamond, engine, fresh, ones};

fn report(engine: &mut Stepped, node: &str, frames: u64) -> u64 {
    let node = engine.controller.session().node(node).unwrap().id;
    engine.controller.report_latency(node, frames).unwrap()
}

/// An effect between two nodes, in one batch.
fn insert(from: &str, fx: &str, frames: f64, to: &str) -> Command {
    batch(vec![
        unlink(from, to),
        add(NodeKind::Delay, fx, 1, &[("frames", frames)]),
        link(from, fx),
        link(fx, to),
    ])
}

#[test]
fn several_reports_in_one_cycle_leave_no_hole() {
    for first in [10_000, 10_256] {
        let mut engine = engine(diamond());
        engine.run_to(10_000, || 256);
        report(&mut engine, "d", 48_000);
        engine.run_to(first, || 256);
        report(&mut engine, "d", 0);
        report(&mut engine, "d", 48_000);
        engine.run_to(70_000, || 256);
        assert_level("reports", &engine, 200..70_000, 2.0);
    }
}

#[test]
fn a_link_that_comes_back_soon_goes_on_where_it_was() {
    let mut engine = engine(diamond());
    engine.run_to(10_000, || 256);
    let ticket = report(&mut engine, "d", 48_000);
    engine.take_over(ticket);
    engine.run_to(10_240, || 256);
    // As the server does it: nothing is tidied up in between.
    for command in [unlink("ones", "meet"), Command::Undo] {
        engine.controller.perform(&command, &mut Files::default()).unwrap();
        engine.controller.flush().unwrap();
    }
    engine.cycle(64);
    engine.controller.flush().unwrap();
    engine.run_to(70_000, || 64);
    assert_level("before", &engine, 200..10_240, 2.0);
    assert_level("after", &engine, 10_304 + FADE..70_000, 2.0);
}

#[test]
fn a_way_that_is_replaced_while_it_waits_leaves_no_hole() {
    let longer = batch(vec![
        unlink("ones", "meet"),
        add(NodeKind::Delay, "big", 1, &[("frames", 48_000.0), ("report", 1.0)]),
        link("ones", "big"),
        link("big", "meet"),
    ]);
    for command in [longer, insert("d", "fx", 1000.0, "meet")] {
        let mut engine = engine(diamond());
        engine.run_to(10_000, || 256);
        engine.perform(&set("d", "frames", 20_000.0)).unwrap();
        engine.run_to(10_100, || 100);
        engine.perform(&command).unwrap();
        engine.run_to(100_000, || 256);
        assert_level("two ways", &engine, 200..100_000, 2.0);
    }
}

fn through() -> Vec<Command> {
    vec![add(NodeKind::Input, "ones", 1, &[]), add(NodeKind::Output, "out", 1, &[]), link("ones", "out")]
}

#[test]
fn what_makes_way_for_something_that_does_not_come_goes() {
    let mut engine = engine(through());
    engine.run_to(10_000, || 256);
    engine.perform(&insert("ones", "fx", 20_000.0, "out")).unwrap();
    engine.run_to(10_100, || 100);
    engine.perform(&Command::RemoveNode { node: "fx".into() }).unwrap();
    engine.run_to(50_000, || 256);
    assert_level("until then", &engine, 0..10_100, 1.0);
    assert_level("from then on", &engine, 10_100 + FADE..50_000, 0.0);
}

#[test]
fn an_effect_that_is_taken_out_before_it_was_heard_is_nothing() {
    let mut engine = engine(through());
    engine.run_to(10_000, || 256);
    engine.perform(&insert("ones", "fx", 20_000.0, "out")).unwrap();
    engine.run_to(10_100, || 100);
    let out = batch(vec![Command::RemoveNode { node: "fx".into() }, link("ones", "out")]);
    engine.perform(&out).unwrap();
    engine.run_to(50_000, || 256);
    assert_level("all the time", &engine, 0..50_000, 1.0);
}

#[test]
fn what_makes_way_waits_on_when_what_comes_is_later() {
    let mut engine = engine(diamond());
    engine.run_to(10_000, || 256);
    engine.perform(&insert("d", "fx", 1000.0, "meet")).unwrap();
    engine.run_to(10_100, || 100);
    // What comes must wait for another delay now.
    engine.perform(&set("d", "frames", 9000.0)).unwrap();
    engine.run_to(50_000, || 256);
    assert_level("two ways", &engine, 200..50_000, 2.0);
}

#[test]
fn a_link_that_is_unlinked_waits_for_nothing_that_was_there() {
    let mut commands = vec![
        add(NodeKind::Input, "ones", 1, &[]),
        add(NodeKind::Delay, "meet", 1, &[]),
        add(NodeKind::Output, "out", 1, &[]),
        link("meet", "out"),
    ];
    for (name, frames) in [("d1", 0.0), ("d2", 48_000.0)] {
        commands.push(add(NodeKind::Delay, name, 1, &[("report", 1.0), ("frames", frames)]));
        commands.extend([link("ones", name), link(name, "meet")]);
    }
    let mut engine = engine(commands);
    engine.run_to(60_000, || 256);
    engine.perform(&set("d1", "frames", 40_000.0)).unwrap();
    engine.run_to(60_100, || 100);
    engine.perform(&unlink("d2", "meet")).unwrap();
    engine.run_to(120_000, || 256);
    assert_level("one way", &engine, 60_100 + FADE..120_000, 1.0);
}

#[test]
fn another_input_of_a_node_that_is_built_anew_leaves_no_hole() {
    let mut engine = engine(vec![
        add(NodeKind::Input, "ones", 1, &[]),
        add(NodeKind::Delay, "x", 1, &[]),
        add(NodeKind::Delay, "n", 1, &[("frames", 1000.0)]),
        add(NodeKind::Output, "out", 1, &[]),
        link("ones", "n"),
        link("n", "out"),
        link("ones", "x"),
    ]);
    engine.run_to(10_000, || 256);
    engine.perform(&batch(vec![set("n", "frames", 20_000.0), unlink("ones", "n"), link("x", "n")])).unwrap();
    engine.run_to(60_000, || 256);
    assert_level("all the time", &engine, 1000..60_000, 1.0);
    assert_eq!(engine.controller.census(), fresh(&engine).census());
}

#[test]
fn a_timed_gain_goes_on_with_a_node_that_nobody_heard_when_it_was_built_anew() {
    let mut engine = engine(vec![
        add(NodeKind::Input, "ones", 1, &[]),
        add(NodeKind::Delay, "n", 1, &[("frames", 10.0)]),
        add(NodeKind::Output, "out", 1, &[]),
        link("ones", "n"),
    ]);
    engine.perform_at(&link_at("ones", "n", -6.0), 20_000).unwrap();
    engine.run_to(1000, || 256);
    engine.perform(&set("n", "frames", 20.0)).unwrap();
    engine.run_to(2000, || 256);
    engine.perform(&link("n", "out")).unwrap();
    engine.run_to(30_000, || 256);
    assert_level("before", &engine, 2000 + FADE..20_020, 1.0);
    assert_level("after", &engine, 20_020 + FADE..30_000, Decibels::new(-6.0).unwrap().factor());
}

#[test]
fn ghosts_that_go_round_in_a_loop_are_freed() {
    let remove = |node: &str| Command::RemoveNode { node: node.into() };
    let both = [vec![set("m", "frames", 20.0), set("fb", "frames", 2000.0)], vec![remove("m"), remove("fb")]];
    let one_by_one =
        [set("m", "frames", 20_000.0), set("fb", "frames", 2000.0), set("m", "frames", 21_000.0)];
    let edits: Vec<Vec<Command>> =
        both.into_iter().map(|both| vec![batch(both)]).chain([one_by_one.to_vec()]).collect();
    for edits in edits {
        let mut engine = engine(vec![
            add(NodeKind::Input, "ones", 1, &[]),
            add(NodeKind::Delay, "m", 1, &[("frames", 10.0)]),
            add(NodeKind::Feedback, "fb", 1, &[("frames", 1100.0)]),
            add(NodeKind::Output, "out", 1, &[]),
            link("ones", "m"),
            link_at("fb", "m", -12.0),
            link("m", "fb"),
            link("m", "out"),
        ]);
        engine.run_to(10_000, || 256);
        for edit in edits {
            engine.perform(&edit).unwrap();
            let next = engine.frame() + 1000;
            engine.run_to(next, || 256);
        }
        engine.run_to(100_000, || 256);
        assert_eq!(engine.controller.census(), fresh(&engine).census());
    }
}

#[test]
fn aligned_is_said_of_what_was_begun_before_too() {
    let mut rng = Rng::new(1);
    let noise: Vec<f32> = (0..MOST).map(|_| rng.range(0, 1000) as f32 / 1000.0).collect();
    let mut scene = Scene { capture: vec![noise], ..ones(session(diamond())) };
    let mut engine = Stepped::of(&scene, 256);
    engine.run_to(10_000, || 256);
    engine.perform(&set("d", "frames", 20_000.0)).unwrap();
    engine.run_to(10_100, || 256);
    let behind = batch(vec![
        unlink("meet", "out"),
        add(NodeKind::Delay, "fx", 1, &[("frames", 5000.0), ("report", 1.0)]),
        link("meet", "fx"),
        link("fx", "out"),
    ]);
    let aligned = engine.perform(&behind).unwrap().aligned.unwrap().0 as usize;
    engine.run_to(60_000, || 256);
    scene.session = engine.controller.session().clone();
    let expected = scene.evaluate(60_000).playback;
    let differs = |n: &usize| expected[0][*n] != engine.played()[0][*n];
    let last = (0..60_000).rev().find(differs).unwrap();
    assert!(last < aligned && aligned < last + 100, "{aligned}, it is so behind {last}");
}

/// Counts the notes that begin on a tone.
struct Notes {
    held: Held,
    begun: Arc<AtomicUsize>,
}

impl Processor for Notes {
    fn start(&mut self, _: &Cycle<'_>, io: &mut Io<'_>) -> Progress {
        for (_, message) in io.midi_in(0).into_iter().flat_map(|input| input.iter()) {
            let before = self.held.count();
            self.held.note(message);
            self.begun.fetch_add(usize::from(self.held.count() > before), Relaxed);
        }
        io.output(0).fill(0.0);
        Progress::Done
    }
}

struct Listens(Arc<AtomicUsize>);

impl Workshop for Listens {
    fn build(&mut self, order: Order<'_>) -> Built {
        if order.node.slug.as_str() != "notes" {
            return BuiltIn.build(order);
        }
        let notes = Notes { held: Held::default(), begun: self.0.clone() };
        Built { processor: Box::new(notes), meter: None }
    }
}

#[test]
fn notes_on_their_way_arrive_though_what_they_came_from_is_built_anew() {
    let played = |edit: Option<Command>| {
        let begun = Arc::new(AtomicUsize::new(0));
        let tempo = Bpm::new(900.0);
        let commands = vec![
            Command::SetSession {
                name: None,
                tempo,
                signature: None,
                edit_fade_ms: None,
                max_latency_ms: None,
            },
            add(NodeKind::Click, "click", 1, &[]),
            add(NodeKind::Delay, "late", 1, &[("frames", 24_000.0), ("report", 1.0)]),
            add(NodeKind::Delay, "x", 1, &[]),
            add(NodeKind::Tone, "notes", 1, &[("notes", 1.0)]),
            add(NodeKind::Output, "out", 1, &[]),
            link("click:midi_out", "x"),
            link("x:midi_out", "notes"),
            link("click", "late"),
            link("late:midi_out", "notes"),
            link("notes", "out"),
        ];
        let setup = Setup { max_block: 256, start: Start { rolling: true, ..Start::default() } };
        let workshop = Box::new(Listens(begun.clone()));
        let made = aulos_engine::engine_with(session(commands), &mut Files::default(), setup, workshop);
        let (mut controller, mut engine, _) = made.unwrap_or_else(|error| panic!("{error:?}"));
        let mut edit = edit;
        for cycle in 0..2000 {
            if cycle == 1010
                && let Some(edit) = edit.take()
            {
                controller.perform(&edit, &mut Files::default()).unwrap();
                controller.flush_now().unwrap();
            }
            engine.process::<Vec<f32>, _>(&[], &mut [vec![0.0f32; 64]], 64, &Patience, u64::MAX);
            controller.poll();
            controller.flush().unwrap();
        }
        begun.load(Relaxed)
    };
    let notes = played(None);
    assert!(notes > 20);
    assert_eq!(played(Some(set("x", "frames", 1.0))), notes);
}
