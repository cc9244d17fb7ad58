//! What goes in comes out.

use crate::{Cycle, Io, Processor, Progress};

/// Copies its inputs: the sum before a track's insert point, and the ends at the driver (where the engine
/// itself moves the samples).
pub struct Through;

impl Processor for Through {
    fn start(&mut self, _: &Cycle<'_>, io: &mut Io<'_>) -> Progress {
        for channel in 0..io.outputs().min(io.inputs()) {
            let (input, output) = io.pair(channel, channel);
            output.copy_from_slice(input);
        }
        Progress::Done
    }
}
