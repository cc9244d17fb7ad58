//! The engine and the oracle agree bit for bit, at any block size.

use std::{
    collections::BTreeSet,
    io::Write,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use aulos_protocol::NodeKind;
use aulos_tests::{compare, oracle::Outcome, random, stepped::Stepped};

#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

const SCENES: u64 = 500;
const BLOCKS: [usize; 6] = [1, 17, 64, 128, 480, 1024];

/// Compares engine and oracle on one scene at every block size.
fn check(seed: u64) -> random::Distribution {
    let scene = random::scene(seed);
    let frames = scene.frames();
    let Outcome { playback: expected, zeroed, .. } = scene.evaluate(frames);
    // Where it computes with subnormal numbers the oracle says nothing about an engine that flushes them.
    let mut zeroed = zeroed.into_keys().map(|(_, stage)| stage);
    assert!(zeroed.all(|stage| matches!(stage, "input" | "player")), "seed {seed} fades into nothing");
    for block in BLOCKS {
        let mut engine = Stepped::of(&scene, block);
        engine.run_to(frames, || block);
        compare(&format!("seed {seed}, block {block}"), &expected, engine.played()).unwrap();
    }
    let mut mixed = BLOCKS.iter().cycle().skip(seed as usize % 6);
    let mut engine = Stepped::of(&scene, 1024);
    engine.run_to(frames, || *mixed.next().unwrap());
    compare(&format!("seed {seed}, mixed blocks"), &expected, engine.played()).unwrap();
    random::describe(&scene.session)
}

#[test]
fn random_graphs_are_bit_exact_at_every_block_size() {
    let next = AtomicU64::new(0);
    let work = || {
        let seeds = std::iter::from_fn(|| Some(next.fetch_add(1, Relaxed)).filter(|seed| *seed < SCENES));
        seeds.map(check).collect::<Vec<_>>()
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let distributions: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(distributions.len(), SCENES as usize);
    // Not by println: that would only be seen when the test fails.
    writeln!(std::io::stdout(), "\n{}", random::table(&distributions)).unwrap();
    let latent = distributions.iter().filter(|d| d.sends > 0 && d.latent_paths > 0).count();
    assert!(latent * 3 >= SCENES as usize, "only {latent} scenes have sends and latent parallel paths");
    let kinds = |kind: NodeKind| distributions.iter().filter(|d| d.kinds.contains_key(&kind)).count();
    let effects = [
        kinds(NodeKind::Eq),
        kinds(NodeKind::Dynamics),
        distributions.iter().filter(|d| d.limited > 0).count(),
    ];
    assert!(effects.iter().all(|count| count * 5 >= SCENES as usize), "eq, dynamics, limiters: {effects:?}");
    let loops = distributions.iter().filter(|d| d.loops > 0).count();
    assert!(loops * 4 >= SCENES as usize, "only {loops} scenes have loops");
}

#[test]
fn arrivals_are_those_of_the_oracle() {
    for seed in 0..SCENES {
        let scene = random::scene(seed);
        let engine = Stepped::of(&scene, 64);
        let report = engine.controller.latency();
        let Outcome { arrivals: expected, unaligned, .. } = scene.evaluate(0);
        for row in &report.stages {
            let node = scene.session.node(&row.node).unwrap();
            let (_, arrival) =
                expected.iter().find(|((id, stage), _)| *id == node.id && *stage == row.stage).unwrap();
            assert_eq!(row.arrival.0, *arrival, "seed {seed}: {} {}", row.node, row.stage);
        }
        assert_eq!(report.stages.len(), expected.len());

        let text = |port| scene.session.port_text(port);
        let links: BTreeSet<_> =
            scene.session.links.values().map(|link| (text(&link.from), text(&link.to))).collect();
        let expected: BTreeSet<_> =
            unaligned.iter().map(|row| (text(&row.from), text(&row.to), row.early)).collect();
        // What is not aligned inside of a track is no link.
        let reported = report.unaligned.into_iter().map(|row| (row.from, row.to, row.early));
        let reported: BTreeSet<_> =
            reported.filter(|(from, to, _)| links.contains(&(from.clone(), to.clone()))).collect();
        assert_eq!(reported, expected, "seed {seed}");
    }
}
