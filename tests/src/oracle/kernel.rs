//! Stages whose arithmetic is not written twice.
//!
//! Filters, gates and compressors are tested against their definitions where they are. Here their processors are
//! given one frame after the other, so that the engine is wrong where blocks, stage time or links matter to it.

use std::{cell::RefCell, fmt};

use aulos_nodes::{BuiltIn, Cycle, Io, Order, Playlist, Processor, Workshop};
use aulos_protocol::Session;

use super::wiring::Stage;

/// A built-in processor.
pub(crate) struct Kernel {
    processor: RefCell<Box<dyn Processor>>,
    /// By how much its stage time is behind.
    arrival: u64,
    outputs: usize,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel").field("arrival", &self.arrival).finish_non_exhaustive()
    }
}

impl Kernel {
    /// The processor of the only stage of a node.
    pub(crate) fn new(stage: &Stage, session: &Session) -> Self {
        let Session { rate, tempo, signature, .. } = *session;
        let node = stage.node;
        let (control, playlist) = (aulos_protocol::Control::NONE, Playlist::new());
        let stage_kind = aulos_nodes::Stage::Whole(node.kind);
        let order =
            Order { stage: stage_kind, node, rate, tempo, signature, control, max_block: 1, playlist };
        let processor = RefCell::new(BuiltIn.build(order).processor);
        Self { processor, arrival: stage.arrival, outputs: stage.outputs.len() }
    }

    /// Appends what leaves each output at `frame`.
    pub(crate) fn apply(&self, frame: usize, inputs: impl Iterator<Item = f32>, out: &mut Vec<f32>) {
        let pool: Vec<Vec<f32>> = inputs.map(|x| vec![x]).collect();
        let numbers: Vec<usize> = (0..pool.len()).collect();
        let mut outputs = vec![vec![f32::NAN]; self.outputs];
        let cycle = Cycle { time: frame as i64 - self.arrival as i64, ..Cycle::new(frame as u64, 1, &[]) };
        self.processor.borrow_mut().start(&cycle, &mut Io::new(&pool, &numbers, &mut outputs, 1));
        out.extend(outputs.iter().map(|output| output[0]));
    }
}
