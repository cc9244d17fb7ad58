//! What compiling, editing and playing cost, by the number of nodes.

use std::time::{Duration, Instant};

use aulos_engine::{ClipLibrary, Controller, Engine, Patience, Setup, Start, engine};
use aulos_protocol::Command;
use aulos_tests::{
    large::{self, edits},
    random::Scene,
    stepped::Files,
};
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, measurement::WallTime};

const NODES: [usize; 4] = [10, 100, 1000, 10_000];
const BLOCK: usize = 64;

/// An engine that plays a desk.
struct Playing {
    controller: Controller,
    engine: Engine,
    files: Files,
    capture: Vec<Vec<f32>>,
    playback: Vec<Vec<f32>>,
    /// How many edits there were.
    edits: usize,
}

impl Playing {
    fn of(scene: &Scene) -> Self {
        let mut files = Files(scene.files.clone());
        let (controller, engine) = made(scene, &mut files);
        let mut playing = Self {
            controller,
            engine,
            files,
            capture: vec![vec![0.25; BLOCK]; 2],
            playback: vec![vec![0.0; BLOCK]; 2],
            edits: 0,
        };
        playing.cycle(BLOCK);
        playing.controller.poll();
        playing
    }

    fn cycle(&mut self, frames: usize) {
        self.engine.process(&self.capture, &mut self.playback, frames, &Patience, u64::MAX);
    }

    /// How long two commands take in turn until the audio thread is told; not what it makes of them.
    fn edit(&mut self, commands: &[Command; 2], times: u64) -> Duration {
        let mut taken = Duration::ZERO;
        for _ in 0..times {
            let command = &commands[self.edits % 2];
            self.edits += 1;
            let begin = Instant::now();
            self.controller.perform(command, &mut self.files).expect("an edit");
            self.controller.flush_now().expect("room");
            taken += begin.elapsed();
            // Taken over, what is silent tidied up, and that taken over.
            for _ in 0..2 {
                self.cycle(0);
                self.controller.poll();
            }
        }
        taken
    }
}

fn made(scene: &Scene, files: &mut dyn ClipLibrary) -> (Controller, Engine) {
    let start = Start { rolling: true, ..Start::default() };
    let made = engine(scene.session.clone(), files, Setup { max_block: BLOCK, start });
    let (controller, engine, _) = made.expect("a valid session");
    (controller, engine)
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let scenes = NODES.map(large::scene);
    let sizes =
        || NODES.iter().zip(&scenes).map(|(nodes, scene)| (BenchmarkId::from_parameter(nodes), scene));

    let mut compile = group(&mut criterion, "compile");
    for (id, scene) in sizes() {
        let mut files = Files(scene.files.clone());
        compile.bench_function(id, |bencher| bencher.iter_with_large_drop(|| made(scene, &mut files)));
    }
    compile.finish();

    for (name, commands) in [
        ("link", [edits::link(), edits::unlink()]),
        ("node", [edits::add(), edits::remove()]),
        ("parameter", [edits::param(true), edits::param(false)]),
    ] {
        let mut edit = group(&mut criterion, name);
        for (id, scene) in sizes() {
            let mut playing = Playing::of(scene);
            edit.bench_function(id, |bencher| bencher.iter_custom(|times| playing.edit(&commands, times)));
        }
        edit.finish();
    }

    let mut cycle = group(&mut criterion, "cycle");
    for (id, scene) in sizes() {
        let mut playing = Playing::of(scene);
        cycle.bench_function(id, |bencher| bencher.iter(|| playing.cycle(BLOCK)));
    }
    cycle.finish();
    criterion.final_summary();
}
