//! A delay of a fixed number of frames.

use aulos_protocol::Node;

use crate::{Cycle, Io, Processor, Progress, number};

/// Lets its inputs out a fixed number of frames later. Another length is another processor, so that the
/// change is a crossfade of links like any other.
pub struct Delay {
    /// The last frames of each channel, a ring.
    lines: Vec<Vec<f32>>,
    /// Where the oldest frame is, in every line.
    at: usize,
}

impl Delay {
    pub(crate) fn new(node: &Node) -> Self {
        let frames = number(node, "frames") as usize;
        Self { lines: vec![vec![0.0; frames]; usize::from(node.channels)], at: 0 }
    }
}

impl Processor for Delay {
    fn start(&mut self, cycle: &Cycle<'_>, io: &mut Io<'_>) -> Progress {
        let length = self.lines.first().map_or(0, Vec::len);
        for (channel, line) in self.lines.iter_mut().enumerate() {
            let (input, output) = io.pair(channel, channel);
            if length == 0 {
                output.copy_from_slice(input);
                continue;
            }
            let mut at = self.at;
            let mut done = 0;
            while done < cycle.frames {
                let run = (cycle.frames - done).min(length - at);
                let stretch = &mut line[at..at + run];
                output[done..done + run].copy_from_slice(stretch);
                stretch.copy_from_slice(&input[done..done + run]);
                done += run;
                at = (at + run) % length;
            }
        }
        if length > 0 {
            self.at = (self.at + cycle.frames) % length;
        }
        Progress::Done
    }
}
