//! The engine and the oracle agree bit for bit, at any block size.

use std::{
    io::Write,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use aulos_tests::{
    compare,
    random::{self, Scene},
    stepped::Stepped,
};

#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

const SCENES: u64 = 200;
const BLOCKS: [usize; 6] = [1, 17, 64, 128, 480, 1024];

/// A second, and as long as the longest way through the session needs to be heard.
fn frames(scene: &Scene) -> usize {
    (scene.session.rate.hz() as usize).max(scene.frames())
}

/// Compares engine and oracle on one scene at every block size.
fn check(seed: u64) -> random::Distribution {
    let scene = random::scene(seed);
    let frames = frames(&scene);
    let expected = scene.evaluate(frames).playback;
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
}

#[test]
fn arrivals_are_those_of_the_oracle() {
    for seed in 0..SCENES {
        let scene = random::scene(seed);
        let engine = Stepped::of(&scene, 64);
        let report = engine.controller.latency();
        let expected = scene.evaluate(0).arrivals;
        for row in &report.stages {
            let node = scene.session.node(&row.node).unwrap();
            let (_, arrival) =
                expected.iter().find(|((id, stage), _)| *id == node.id && *stage == row.stage).unwrap();
            assert_eq!(row.arrival.0, *arrival, "seed {seed}: {} {}", row.node, row.stage);
        }
        assert_eq!(report.stages.len(), expected.len());
    }
}
