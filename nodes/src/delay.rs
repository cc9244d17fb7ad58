//! A delay of a fixed number of frames.

use crate::{Cycle, Io, MidiQueue, Processor, Progress};

/// Lets its inputs out a fixed number of frames later. Another length is another processor, so that the
/// change is a crossfade of links like any other.
pub struct Delay {
    /// The last frames of each channel, a ring.
    lines: Vec<Vec<f32>>,
    /// Where the oldest frame is, in every line.
    at: usize,
    frames: u64,
    messages: MidiQueue,
}

impl Delay {
    pub(crate) fn new(channels: u16, frames: u64) -> Self {
        Self {
            lines: vec![vec![0.0; frames as usize]; usize::from(channels)],
            at: 0,
            frames,
            messages: MidiQueue::default(),
        }
    }

    fn pass_messages(&mut self, cycle: &Cycle<'_>, io: &mut Io<'_>) {
        for (at, message) in io.midi_in(0).into_iter().flat_map(|input| input.iter()) {
            self.messages.push(cycle.frame + at as u64 + self.frames, message);
        }
        let end = cycle.frame + cycle.frames as u64;
        match io.midi_out(0) {
            Some(out) => self.messages.pop(cycle.frame, end, |at, message| out.push(at, message)),
            None => self.messages.pop(cycle.frame, end, |_, _| true),
        }
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
        self.pass_messages(cycle, io);
        Progress::Done
    }

    fn take_dropped(&mut self) -> u64 {
        self.messages.take_dropped()
    }
}
