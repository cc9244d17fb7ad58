//! Nodes whose work somebody else does, as a test says: in time, late, or never.
//!
//! [`Elsewhere`] is a workshop that puts test processors in the place of chosen nodes. Such a processor does what
//! the node's own would do, but gives it out only when its script says so, on a [`TestClock`], and writes down in a
//! [`Log`] when it was asked what. [`scene`] prepares sessions for it and says what of them it can touch, and
//! [`heard`] says what must be heard of it.

pub mod heard;
mod processor;
pub mod scene;

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use aulos_engine::Clock;
use aulos_nodes::{Built, Lateness, Order, Stage, Workshop};
use aulos_protocol::{Node, NodeId};

use processor::Processor;

/// A clock that the test moves.
#[derive(Debug)]
pub struct TestClock {
    now: AtomicU64,
    step: u64,
}

impl TestClock {
    /// A clock that stands at 0, and that moves by `step` ns when the engine waits.
    pub fn new(step: u64) -> Arc<Self> {
        Arc::new(Self { now: AtomicU64::new(0), step })
    }

    /// Lets some ns pass.
    pub fn pass(&self, ns: u64) {
        self.now.fetch_add(ns, Relaxed);
    }

    /// Moves on to a moment, unless it is over.
    pub fn reach(&self, ns: u64) {
        self.now.fetch_max(ns, Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> u64 {
        self.now.load(Relaxed)
    }

    fn wait(&self) {
        self.pass(self.step);
    }
}

/// When the work on a block is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// As soon as it is started.
    AtOnce,
    /// When it is looked for the so manyth time.
    Looks(u64),
    /// So many ns after it was started, whether or not anybody still waits for it.
    After(u64),
    /// Not at all.
    Never,
}

/// What a test processor does, and when.
#[derive(Clone, Debug)]
pub struct Script {
    /// What is heard when it is late; none if it may not be late.
    pub policy: Option<Lateness>,
    /// When blocks are done that begin in none of the stretches.
    pub otherwise: When,
    /// When blocks are done that begin within these frames; the first one counts.
    pub stretches: Vec<(Range<u64>, When)>,
    /// How many ns it takes the audio thread itself, in every block.
    pub cost: u64,
    /// How many ns more the blocks take that these frames lie in.
    pub stalls: BTreeMap<u64, u64>,
    /// Samples that it puts out on all its channels in the place of its own, by frame.
    pub odd: BTreeMap<u64, f32>,
}

impl Script {
    /// A processor that is always in time.
    pub fn of(policy: Option<Lateness>) -> Self {
        let (stretches, stalls, odd) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { policy, otherwise: When::AtOnce, stretches, cost: 0, stalls, odd }
    }

    /// An ordinary processor that takes some ns.
    pub fn costly(cost: u64) -> Self {
        Self { cost, ..Self::of(None) }
    }

    /// The same with blocks that are done at other times.
    pub fn stretch(mut self, frames: Range<u64>, when: When) -> Self {
        self.stretches.push((frames, when));
        self
    }

    /// When the block that begins at `frame` is done.
    pub fn at(&self, frame: u64) -> When {
        let found = self.stretches.iter().find(|(frames, _)| frames.contains(&frame));
        found.map_or(self.otherwise, |(_, when)| *when)
    }
}

/// What became of a block. Times are the clock's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its first frame.
    pub frame: u64,
    /// How many frames it has.
    pub frames: usize,
    /// When it was started.
    pub started: u64,
    /// When it was looked for first and last, if ever.
    pub polled: Option<(u64, u64)>,
    /// When it was given out,
    pub done: Option<u64>,
    /// or given up.
    pub abandoned: Option<u64>,
}

/// What a test processor was asked.
#[derive(Debug)]
pub struct Log {
    /// With all the room that it needs, as it is written on the audio thread.
    blocks: Mutex<Vec<Block>>,
    stale: AtomicU64,
    faults: AtomicU64,
}

/// How many blocks a log holds.
const BLOCKS: usize = 1 << 14;

impl Default for Log {
    fn default() -> Self {
        let blocks = Mutex::new(Vec::with_capacity(BLOCKS));
        Self { blocks, stale: AtomicU64::new(0), faults: AtomicU64::new(0) }
    }
}

impl Log {
    fn blocks_mut(&self) -> MutexGuard<'_, Vec<Block>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The blocks, in their order.
    pub fn blocks(&self) -> Vec<Block> {
        self.blocks_mut().clone()
    }

    /// The first frames of the blocks that were given up.
    pub fn abandoned(&self) -> Vec<u64> {
        let blocks = self.blocks();
        blocks.iter().filter(|block| block.abandoned.is_some()).map(|block| block.frame).collect()
    }

    /// How many times a block that had been given up was said to be done after all.
    pub fn stale(&self) -> u64 {
        self.stale.load(Relaxed)
    }

    /// How many times it was asked for something that it must not be asked for: a block again that it had given out
    /// or that had been given up, or to give up one that it had given out.
    pub fn faults(&self) -> u64 {
        self.faults.load(Relaxed)
    }
}

/// A workshop that puts test processors in the place of chosen nodes.
pub struct Elsewhere {
    clock: Arc<TestClock>,
    scripts: BTreeMap<NodeId, (Script, Arc<Log>)>,
}

impl Elsewhere {
    /// A workshop that has nothing to do yet.
    pub fn new(clock: &Arc<TestClock>) -> Self {
        Self { clock: clock.clone(), scripts: BTreeMap::new() }
    }

    /// Takes on the stage of a node that makes its sound.
    pub fn takes(&mut self, node: NodeId, script: Script) -> Arc<Log> {
        let log = Arc::<Log>::default();
        self.scripts.insert(node, (script, log.clone()));
        log
    }

    fn script(&self, stage: Stage, node: &Node) -> Option<&(Script, Arc<Log>)> {
        let sounds = matches!(stage, Stage::Strip | Stage::Whole(_));
        self.scripts.get(&node.id).filter(|_| sounds)
    }
}

impl Workshop for Elsewhere {
    fn build(&mut self, order: Order<'_>) -> Built {
        let Some((script, log)) = self.script(order.stage, order.node).cloned() else {
            return aulos_nodes::build(order);
        };
        let shape = processor::Shape {
            inputs: order.stage.inputs(order.node),
            outputs: order.stage.outputs(order.node),
            max_block: order.max_block,
        };
        let Built { processor, meter } = aulos_nodes::build(order);
        let processor = Processor::new(processor, shape, script, self.clock.clone(), log);
        Built { processor: Box::new(processor), meter }
    }

    fn lateness(&self, stage: Stage, node: &Node) -> Option<Lateness> {
        self.script(stage, node).and_then(|(script, _)| script.policy)
    }
}
