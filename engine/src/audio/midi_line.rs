//! A MIDI link: it delays messages, and ends the notes that it has begun when it closes.

use aulos_nodes::{Held, MidiBuffer, MidiQueue};

use super::ramp::Ramp;

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

    /// When something happens next: a message is due, or the link closes while notes sound.
    pub fn next(&self, gate: &Ramp) -> Option<u64> {
        let closes = gate.closes().filter(|_| self.held.count() > 0);
        match (self.queue.next(), closes) {
            (Some(due), Some(closes)) => Some(due.min(closes)),
            (due, closes) => due.or(closes),
        }
    }

    /// [audio thread] Lets the next thing happen, at the frame that [`MidiLine::next`] gave. Answers `false` if
    /// `out` has no room; then it waits for the next block.
    pub fn step(&mut self, gate: &mut Ramp, next: u64, frame: u64, out: &mut MidiBuffer) -> bool {
        let at = next.saturating_sub(frame) as usize;
        if gate.closes().is_some_and(|closes| closes <= next) && self.held.count() > 0 {
            let ended = self.held.end_all(at, out);
            if ended {
                gate.at(next);
            }
            return ended;
        }
        let open = gate.at(next).is_open(next);
        let held = &mut self.held;
        self.queue.pop_first(|message| {
            if !open {
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
