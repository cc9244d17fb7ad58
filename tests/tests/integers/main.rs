//! Whole numbers in, whole numbers out.
//!
//! In these sessions every gain is 1 and every sample a whole number so small that each sum of `f32` is exact.
//! What must be played can then be counted, way by way, without plan or order and without any arithmetic of the
//! engine or the oracle, and is compared with both.

mod count;
mod make;

use std::{collections::BTreeMap, io::Write};

use aulos_tests::{
    compare,
    random::{Rng, Scene},
    stepped::Stepped,
};

use count::Count;

#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

const SESSIONS: u64 = 160;
/// How long blocks are, one after the other.
const BLOCKS: [&[usize]; 7] = [&[1], &[17], &[64], &[128], &[480], &[1024], &[64, 1, 480, 17, 1024, 128, 3]];
/// The largest sample: all ways to three outputs on one channel sum up to less than 2^24.
const LARGEST: u64 = 16_383;
/// What a sample of 1 is to the engine.
const UNIT: f32 = 1.0 / 32_768.0;
const RECORDED: usize = 1000;
const PLAYED: usize = 4;

/// What a session was like.
struct Size {
    nodes: usize,
    links: usize,
    /// The most ways to one output.
    paths: usize,
    /// The longest delay of a way, what is compensated included.
    longest: u64,
    /// The loudest that was played.
    largest_sum: u64,
}

fn whole(label: &str, samples: &[Vec<f32>]) -> Vec<Vec<i64>> {
    let whole = |sample: &f32| {
        let number = f64::from(*sample / UNIT);
        assert!(number.fract() == 0.0 && number.abs() < f64::from(1 << 24), "{label}: {number}");
        number as i64
    };
    samples.iter().map(|channel| channel.iter().map(whole).collect()).collect()
}

/// Compares what is counted with the oracle and with the engine.
fn check(seed: u64) -> Size {
    let mut rng = Rng::new(seed);
    let session = make::session(&mut rng);
    let mut sample = || rng.range(0, 2 * LARGEST) as i64 - LARGEST as i64;
    let recorded: Vec<Vec<i64>> =
        (0..make::RECORDED_CHANNELS).map(|_| (0..RECORDED).map(|_| sample()).collect()).collect();
    let mut count = Count::new(&session);
    let frames = RECORDED + count.longest() as usize + 50;
    let expected = count.playback(&recorded, PLAYED, frames);

    let capture = recorded.iter().map(|channel| channel.iter().map(|x| *x as f32 * UNIT).collect());
    let scene = Scene {
        session: session.clone(),
        files: BTreeMap::new(),
        start: Default::default(),
        capture: capture.collect(),
        playback_channels: PLAYED,
    };
    let oracle = scene.evaluate(frames).playback;
    assert!(whole("oracle", &oracle) == expected, "seed {seed}: the oracle plays something else");
    for block in BLOCKS {
        let mut engine = Stepped::of(&scene, 1024);
        let mut lengths = block.iter().copied().cycle();
        engine.run_to(frames, || lengths.next().unwrap());
        let label = format!("seed {seed}, blocks {block:?}");
        assert!(whole(&label, engine.played()) == expected, "{label}: the engine plays something else");
        compare(&label, &oracle, engine.played()).unwrap();
    }
    Size {
        nodes: session.nodes.len(),
        links: session.links.len(),
        paths: count.most_paths(),
        longest: count.longest(),
        largest_sum: expected.iter().flatten().map(|x| x.unsigned_abs()).max().unwrap_or(0),
    }
}

#[test]
fn every_way_brings_each_sample_once() {
    let sizes: Vec<_> = (0..SESSIONS).map(check).collect();
    let mut text = format!("{SESSIONS} sessions\n{:<16}   least  median    90 %    most\n", "");
    type Measure = fn(&Size) -> u64;
    let measures: [(&str, Measure); 5] = [
        ("nodes", |size| size.nodes as u64),
        ("links", |size| size.links as u64),
        ("paths", |size| size.paths as u64),
        ("longest delay", |size| size.longest),
        ("largest sum", |size| size.largest_sum),
    ];
    for (name, measure) in measures {
        let mut values: Vec<_> = sizes.iter().map(measure).collect();
        values.sort_unstable();
        let [least, median, most_of, most] =
            [0, values.len() / 2, values.len() * 9 / 10, values.len() - 1].map(|place| values[place]);
        text += &format!("{name:<16}{least:>8}{median:>8}{most_of:>8}{most:>8}\n");
    }
    // Not by println: that would only be seen when the test fails.
    writeln!(std::io::stdout(), "\n{text}").unwrap();
    let many = sizes.iter().filter(|size| size.paths > 100).count();
    assert!(many >= SESSIONS as usize / 5, "only {many} sessions have more than 100 paths\n{text}");
}
