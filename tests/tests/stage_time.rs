//! Stage time: what hears late, hears the timeline late, and works on a control grid of its own.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use aulos_engine::{Controller, Engine, Patience, Setup, Start, TransportChange, engine_with};
use aulos_nodes::{Built, BuiltIn, Cycle, Held, Io, Order, Processor, Progress, Workshop};
use aulos_protocol::{Command, NodeKind};
use aulos_tests::{
    commands::{add, link, session, set, unlink},
    random::Rng,
    stepped::Files,
};

#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

/// Plays what it is told: on the first channel the position on the timeline (−1 where it stands), on the second
/// where the control grid has a line.
struct Probe;

impl Processor for Probe {
    fn start(&mut self, cycle: &Cycle<'_>, io: &mut Io<'_>) -> Progress {
        io.output(0).fill(-2.0);
        for segment in cycle.views.iter().flat_map(|view| view.present_segments()) {
            let positions = &mut io.output(0)[segment.offset..segment.offset + segment.len];
            for (n, y) in positions.iter_mut().enumerate() {
                *y = if segment.rolling { (segment.position + n as u64) as f32 } else { -1.0 };
            }
        }
        io.output(1).fill(0.0);
        for (piece, on_line) in cycle.grid(0..cycle.frames) {
            io.output(1)[piece.start] = f32::from(u8::from(on_line));
        }
        Progress::Done
    }
}

/// Counts the notes that sound on a tone.
struct Notes {
    held: Held,
    sounding: Arc<AtomicUsize>,
    heard: Arc<AtomicUsize>,
}

impl Processor for Notes {
    fn start(&mut self, _: &Cycle<'_>, io: &mut Io<'_>) -> Progress {
        for (_, message) in io.midi_in(0).into_iter().flat_map(|input| input.iter()) {
            self.held.note(message);
            self.heard.fetch_add(1, Relaxed);
        }
        self.sounding.store(self.held.count(), Relaxed);
        io.output(0).fill(0.0);
        Progress::Done
    }
}

#[derive(Default, Clone)]
struct Probes {
    sounding: Arc<AtomicUsize>,
    heard: Arc<AtomicUsize>,
}

impl Workshop for Probes {
    fn build(&mut self, order: Order<'_>) -> Built {
        let processor: Box<dyn Processor> = match order.node.slug.as_str() {
            "probe" => Box::new(Probe),
            "notes" => Box::new(Notes {
                held: Held::default(),
                sounding: self.sounding.clone(),
                heard: self.heard.clone(),
            }),
            _ => return BuiltIn.build(order),
        };
        Built { processor, meter: None }
    }
}

struct Run {
    controller: Controller,
    engine: Engine,
    played: Vec<Vec<f32>>,
}

impl Run {
    fn new(commands: Vec<Command>, start: Start, probes: &Probes) -> Self {
        let setup = Setup { max_block: 1024, start };
        let made = engine_with(session(commands), &mut Files::default(), setup, Box::new(probes.clone()));
        let (controller, engine, _) = made.unwrap_or_else(|error| panic!("{error:?}"));
        Self { controller, engine, played: vec![Vec::new(); 2] }
    }

    fn run_to(&mut self, frames: usize, mut block: impl FnMut() -> usize) {
        while self.played[0].len() < frames {
            let next = block().min(frames - self.played[0].len());
            let mut out = vec![vec![0.0; next]; 2];
            self.engine.process::<Vec<f32>, _>(&[], &mut out, next, &Patience, u64::MAX);
            self.played.iter_mut().zip(out).for_each(|(played, out)| played.extend(out));
            self.controller.poll();
            self.controller.flush().unwrap();
        }
    }

    fn perform(&mut self, command: &Command) {
        self.controller.perform(command, &mut Files::default()).unwrap_or_else(|e| panic!("{e:?}"));
        self.controller.flush_now().unwrap();
    }
}

/// A probe that hears 100 frames late, because of a delay in front of it.
fn late_probe() -> Vec<Command> {
    vec![
        add(NodeKind::Tone, "tone", 2, &[]),
        add(NodeKind::Delay, "late", 2, &[("frames", 100.0), ("report", 1.0)]),
        add(NodeKind::Delay, "probe", 2, &[]),
        add(NodeKind::Output, "out", 2, &[]),
        link("tone", "late"),
        link("late", "probe"),
        link("probe", "out"),
    ]
}

#[test]
fn what_hears_late_hears_the_timeline_late() {
    let start = Start { position: 4000, rolling: true, loop_range: Some((0, 5000)) };
    let mut blocks = [1usize, 480, 17, 1024, 64].into_iter().cycle();
    let mut one: Option<Vec<Vec<f32>>> = None;
    for block in [1, 17, 64, 1024, 0] {
        let mut run = Run::new(late_probe(), start, &Probes::default());
        for (at, change) in [
            (2500, TransportChange::Pause),
            (2700, TransportChange::Locate(100)),
            (3001, TransportChange::Play),
        ] {
            run.controller.transport(change, Some(at)).unwrap();
        }
        run.run_to(6000, || if block == 0 { blocks.next().unwrap() } else { block });
        let position = &run.played[0];
        // Before the engine began there was no timeline.
        assert!(position[..100].iter().all(|x| *x == -2.0));
        assert_eq!((position[100], position[1099], position[1100]), (4000.0, 4999.0, 0.0));
        assert_eq!((position[2599], position[2600], position[2800]), (1499.0, -1.0, -1.0));
        assert_eq!((position[3100], position[3101], position[3102]), (-1.0, 100.0, 101.0));
        let lines: Vec<usize> = (0..6000).filter(|n| run.played[1][*n] == 1.0).collect();
        assert!(
            lines.iter().all(|n| (*n as i64 - 100).rem_euclid(32) == 0) && lines.len() >= 187,
            "{}",
            lines.len()
        );
        match &one {
            Some(one) => assert!(*one == run.played, "block {block}"),
            None => one = Some(run.played),
        }
    }
}

#[test]
fn stage_time_jumps_where_the_stage_hears_nothing_of_what_was_before() {
    for block in [1usize, 17, 64, 1024] {
        let start = Start { rolling: true, ..Start::default() };
        let mut run = Run::new(late_probe(), start, &Probes::default());
        run.run_to(3072, || block);
        run.perform(&set("late", "frames", 40.0));
        run.run_to(3073, || 1);
        run.run_to(6000, || block);
        let position = &run.played[0];
        // The new delay warms up for 40 frames, then its link fades in for 240.
        let jump = 3072 + 40 + 240;
        assert_eq!(
            (position[jump - 1], position[jump]),
            ((jump - 101) as f32, (jump - 40) as f32),
            "{block}"
        );
        let lines: Vec<usize> = (jump..6000).filter(|n| run.played[1][*n] == 1.0).collect();
        assert!(lines.iter().all(|n| (n - 40) % 32 == 0) && lines.len() > 80);
    }
}

#[test]
fn a_stage_that_comes_to_arrive_later_hears_the_timeline_of_then() {
    for block in [17usize, 64, 1024] {
        let start = Start { rolling: true, ..Start::default() };
        let mut run = Run::new(late_probe(), start, &Probes::default());
        run.run_to(6400, || block);
        run.controller.transport(TransportChange::Locate(100_000), None).unwrap();
        run.run_to(8000, || block);
        // Its stage time goes back to before the locate.
        run.perform(&set("late", "frames", 4900.0));
        run.run_to(20_000, || block);
        let position = &run.played[0];
        let jump = 8000 + 4900 + 240;
        assert!(position[jump - 1] > 100_000.0);
        for n in [jump, 6400 + 4900 - 1, 6400 + 4900, 19_999] {
            let time = (n - 4900) as u64;
            let expected = if time < 6400 { time } else { 100_000 + time - 6400 };
            assert!(
                n < jump || position[n] == expected as f32,
                "{block}: {} at {n}, not {expected}",
                position[n]
            );
        }
        assert!(position[100..].iter().all(|position| *position >= 0.0), "{block}: there is no timeline");
    }
}

#[test]
fn notes_never_hang_whatever_is_unlinked_removed_or_stopped() {
    let mut heard = 0;
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let probes = Probes::default();
        let commands = vec![
            Command::SetSession {
                name: None,
                signature: None,
                tempo: aulos_protocol::Bpm::new(900.0),
                edit_fade_ms: None,
                max_latency_ms: None,
            },
            add(NodeKind::Click, "click", 1, &[]),
            add(NodeKind::Click, "other", 1, &[("beats", 3.0)]),
            add(NodeKind::Delay, "late", 1, &[("frames", 300.0), ("report", 1.0)]),
            add(NodeKind::Tone, "notes", 1, &[("notes", 1.0)]),
            add(NodeKind::Output, "out", 1, &[]),
            link("click:midi_out", "late"),
            link("late:midi_out", "notes"),
            link("click:midi_out", "notes"),
            link("other:midi_out", "notes"),
            link("notes", "out"),
        ];
        let mut run = Run::new(commands, Start { rolling: true, ..Start::default() }, &probes);
        for _ in 0..60 {
            let next = run.played[0].len() + rng.range(1, 2500) as usize;
            let block = *rng.pick(&[1usize, 64, 480, 1024]);
            run.run_to(next, || block);
            let edit = match rng.below(8) {
                0 => link("click:midi_out", "notes"),
                1 => unlink("click:midi_out", "notes"),
                2 => link("late:midi_out", "notes"),
                3 => unlink("late:midi_out", "notes"),
                4 => set("late", "frames", rng.range(0, 900) as f64),
                5 => Command::Undo,
                6 => Command::RemoveNode { node: "late".into() },
                _ => {
                    let to = TransportChange::Locate(rng.below(9000));
                    let change = *rng.pick(&[TransportChange::Stop, TransportChange::Play, to]);
                    run.controller.transport(change, None).unwrap();
                    continue;
                }
            };
            // What is not there cannot be taken away.
            if run.controller.perform(&edit, &mut Files::default()).is_ok() {
                run.controller.flush().unwrap();
            }
        }
        // Either way of ending: all links gone, or the transport stopped.
        if rng.percent(50) {
            run.controller.transport(TransportChange::Stop, None).unwrap();
        } else {
            for from in ["click:midi_out", "late:midi_out", "other:midi_out"] {
                let gone = unlink(from, "notes");
                if run.controller.perform(&gone, &mut Files::default()).is_ok() {
                    run.controller.flush().unwrap();
                }
            }
        }
        let end = run.played[0].len() + 5000;
        run.run_to(end, || 64);
        assert_eq!(probes.sounding.load(Relaxed), 0, "seed {seed}: notes hang");
        heard += probes.heard.load(Relaxed);
        let dropped: u64 = run.controller.faults().iter().map(|fault| fault.midi_dropped).sum();
        assert_eq!(dropped, 0);
    }
    assert!(heard > 2000, "only {heard} messages were heard");
}

#[test]
fn commands_of_one_cycle_are_compiled_once() {
    let mut run = Run::new(late_probe(), Start::default(), &Probes::default());
    run.run_to(64, || 64);
    let mut tickets = std::collections::BTreeSet::new();
    for n in 0..50 {
        let performed = run
            .controller
            .perform(&add(NodeKind::Bus, &format!("bus-{n}"), 2, &[]), &mut Files::default())
            .unwrap();
        run.controller.flush().unwrap();
        tickets.insert(performed.ticket);
    }
    // The first was on its way before the second came; all others go together.
    assert_eq!(tickets.len(), 2);
    run.run_to(192, || 64);
    assert_eq!(run.controller.tasks(), 4 + 50);
}
