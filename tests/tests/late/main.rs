//! Nodes whose work somebody else does: late or not, nobody else hears of it or waits for it.

mod budgets;
mod graphs;
mod odd;
mod pipelined;
mod stress;

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use aulos_protocol::{NodeFaults, NodeId, Session};
use aulos_tests::{
    compare,
    late::{Elsewhere, Log, Script, TestClock, When, heard::Piece},
    random::{Rng, Scene},
    stepped::Stepped,
};

#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

/// By how many ns the clock moves when the engine waits.
const STEP: u64 = 10_000;
/// In time, but not at once.
const SOON: When = When::Looks(1);
/// Long after any block of up to 1,024 frames.
const LATE: When = When::After(60_000_000);

/// Does something with every seed, on all processors.
fn for_all<T: Send>(seeds: u64, work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicU64::new(0);
    let take = || Some(next.fetch_add(1, Relaxed)).filter(|seed| *seed < seeds);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let worker = || scope.spawn(|| std::iter::from_fn(take).map(&work).collect::<Vec<_>>());
        let workers: Vec<_> = (0..threads).map(|_| worker()).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

/// How long blocks are, one after the other.
const BLOCKS: [&[usize]; 3] = [&[64], &[128], &[64, 128, 17, 480, 31, 1024, 100]];

/// The blocks in which `frames` frames are rendered, none of them longer than the session allows.
fn blocks(session: &Session, lengths: &[usize], frames: usize) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut at = 0;
    let longest = session.max_block as usize;
    for length in lengths.iter().cycle() {
        if at == frames {
            break;
        }
        let end = frames.min(at + (*length).min(longest));
        blocks.push(at..end);
        at = end;
    }
    blocks
}

/// A script that is late for some stretches between two frames, and in time before, after and between them.
fn script_between(rng: &mut Rng, script: Script, frames: Range<u64>) -> Script {
    let mut script = Script { otherwise: *rng.pick(&[When::AtOnce, SOON]), ..script };
    let mut at = frames.start;
    loop {
        // Sometimes back before the fade-out is over, sometimes long away.
        at += if rng.percent(50) { rng.range(1, 300) } else { rng.range(300, 1500) };
        let end = at + if rng.percent(60) { rng.range(1, 400) } else { rng.range(400, 1500) };
        if end >= frames.end {
            return script;
        }
        script = script.stretch(at..end, *rng.pick(&[When::Never, LATE]));
        at = end;
    }
}

fn is_late(script: &Script, frame: usize) -> bool {
    matches!(script.at(frame as u64), LATE | When::Never)
}

/// The blocks with whether a script is late in them.
fn pieces(blocks: &[Range<usize>], script: &Script) -> Vec<Piece> {
    blocks.iter().map(|block| (block.clone(), is_late(script, block.start))).collect()
}

/// An engine that has played a scene in these blocks, with a test processor in the place of a node.
fn play(scene: &Scene, node: NodeId, script: &Script, blocks: &[Range<usize>]) -> (Stepped, Arc<Log>) {
    let clock = TestClock::new(STEP);
    let mut workshop = Elsewhere::new(&clock);
    let log = workshop.takes(node, script.clone());
    let longest = blocks.iter().map(Range::len).max().unwrap();
    let mut engine = Stepped::timed(scene, longest, workshop, &clock);
    blocks.iter().for_each(|block| engine.cycle(block.len()));
    assert_eq!(log.faults(), 0, "it was asked for something that it must not be asked for");
    (engine, log)
}

/// What the engine counts for a node.
fn faults(engine: &Stepped, node: NodeId) -> NodeFaults {
    let slug = engine.controller.session().nodes[&node].slug.to_string();
    let found = engine.controller.faults().into_iter().find(|faults| faults.node == slug);
    found.unwrap_or(NodeFaults {
        node: slug,
        not_finite: 0,
        denormal: 0,
        late: 0,
        midi_dropped: 0,
        hurried: 0,
    })
}

/// Some of the channels for some frames.
fn channels(all: &[Vec<f32>], channels: impl IntoIterator<Item = usize>, frames: usize) -> Vec<Vec<f32>> {
    channels.into_iter().map(|channel| all[channel][..frames].to_vec()).collect()
}

fn assert_same(label: &str, expected: &[Vec<f32>], got: &[Vec<f32>]) {
    compare(label, expected, got).unwrap_or_else(|error| panic!("{error}"));
}
