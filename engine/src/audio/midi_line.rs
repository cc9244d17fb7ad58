//! A MIDI link: it delays messages, and ends the notes that it has begun when it closes.

use aulos_nodes::{Held, MidiBuffer, MidiQueue};

/// What travels on a MIDI link.
#[derive(Debug, Default)]
pub struct MidiLine {
    queue: MidiQueue,
    held: Held,
}

impl MidiLine {
    /// [audio thread] Takes in a block that begins at `frame`, to come out `delay` frames later.
    pub fn hear(&mut self, input: &MidiBuffer, frame: u64, delay: u64) {
        for (at, message) in input.iter() {
            self.queue.push(frame + at as u64 + delay, message);
        }
    }

    /// When something happens next: a message is due, or the link closes, as it does at `closes`, while notes sound.
    pub fn next(&self, closes: u64) -> Option<u64> {
        let closes = Some(closes).filter(|closes| *closes < u64::MAX && self.held.count() > 0);
        match (self.queue.next(), closes) {
            (Some(due), Some(closes)) => Some(due.min(closes)),
            (due, closes) => due.or(closes),
        }
    }

    /// [audio thread] Lets the next thing happen, at the frame of the block that [`MidiLine::next`] gave. Answers
    /// `false` if `out` has no room; then it waits for the next block.
    pub fn step(&mut self, has_closed: bool, is_open: bool, at: usize, out: &mut MidiBuffer) -> bool {
        if has_closed && self.held.count() > 0 {
            return self.held.end_all(at, out);
        }
        let held = &mut self.held;
        self.queue.pop_first(|message| {
            if !is_open {
                return true;
            }
            let room = out.push(at, message);
            if room {
                held.note(message);
            }
            room
        })
    }

    /// How many messages were dropped since this was asked last.
    pub fn take_dropped(&mut self) -> u64 {
        self.queue.take_dropped()
    }
}
