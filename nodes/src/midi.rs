//! MIDI messages: the ones of a block, and queues in which they wait.

use std::collections::VecDeque;

/// How many messages a block can hold.
pub const MESSAGES: usize = 512;
/// The longest message, in bytes.
pub const MAX_MESSAGE: usize = 4096;
/// Places of a block that only the ends of notes may take.
const KEPT_FOR_ENDS: usize = 192;
const BLOCK_BYTES: usize = 8192;

/// Whether a message ends a note, or all of them.
pub fn ends_notes(bytes: &[u8]) -> bool {
    match bytes {
        [status, _, velocity] if status & 0xf0 == 0x90 => *velocity == 0,
        [status, controller, _] if status & 0xf0 == 0xb0 => *controller == 120 || *controller == 123,
        [status, ..] => status & 0xf0 == 0x80,
        [] => false,
    }
}

#[derive(Clone, Copy, Debug)]
struct Placed {
    at: usize,
    start: usize,
    len: usize,
}

/// The messages of one block, in order.
#[derive(Debug, Default)]
pub struct MidiBuffer {
    placed: Vec<Placed>,
    bytes: Vec<u8>,
}

impl MidiBuffer {
    /// [control thread] A buffer with room for [`MESSAGES`].
    pub fn new() -> Self {
        Self { placed: Vec::with_capacity(MESSAGES), bytes: Vec::with_capacity(BLOCK_BYTES) }
    }

    /// [audio thread] Drops all messages.
    pub fn clear(&mut self) {
        self.placed.clear();
        self.bytes.clear();
    }

    /// [audio thread] Appends a message at the frame `at` of the block, not before those that are there. Answers
    /// `false` if there is no room; for the ends of notes there is longer.
    pub fn push(&mut self, at: usize, message: &[u8]) -> bool {
        let kept = if ends_notes(message) { 0 } else { KEPT_FOR_ENDS };
        let room = self.placed.len() + kept < self.placed.capacity()
            && self.bytes.len() + message.len() + 3 * kept <= self.bytes.capacity();
        if room {
            self.placed.push(Placed { at, start: self.bytes.len(), len: message.len() });
            self.bytes.extend_from_slice(message);
        }
        room
    }

    /// The messages with their frames in the block.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.placed.iter().map(|p| (p.at, &self.bytes[p.start..p.start + p.len]))
    }
}

/// Notes that sound: by channel and key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held([u128; 16]);

impl Held {
    /// Notes what a message does.
    pub fn note(&mut self, message: &[u8]) {
        let &[status, key, velocity] = message else { return };
        let channel = usize::from(status & 0x0f);
        let bit = 1u128 << (key & 0x7f);
        match status & 0xf0 {
            0x90 if velocity > 0 => self.0[channel] |= bit,
            0x80 | 0x90 => self.0[channel] &= !bit,
            0xb0 if key == 120 || key == 123 => self.0[channel] = 0,
            _ => {}
        }
    }

    /// How many notes sound.
    pub fn count(&self) -> usize {
        self.0.iter().map(|keys| keys.count_ones() as usize).sum()
    }

    /// [audio thread] Ends every note at the frame `at` of a block, as far as there is room; answers whether
    /// all are ended.
    pub fn end_all(&mut self, at: usize, out: &mut MidiBuffer) -> bool {
        for channel in 0..16u8 {
            let keys = &mut self.0[usize::from(channel)];
            while *keys != 0 {
                let key = keys.trailing_zeros() as u8;
                if !out.push(at, &[0x80 | channel, key, 0]) {
                    return false;
                }
                *keys &= *keys - 1;
            }
        }
        true
    }
}

/// Messages that wait for their frame, in order. Every note that is let in keeps room for its end.
#[derive(Debug)]
pub struct MidiQueue {
    placed: VecDeque<Placed>,
    /// A ring; no message wraps round its end.
    bytes: Box<[u8]>,
    /// Where the next message goes.
    head: usize,
    /// Notes whose beginning was let in, and whose end was not yet.
    open: Held,
    dropped: u64,
}

/// How many messages a queue can hold.
const WAITING: usize = 2048;
const QUEUE_BYTES: usize = 4 * MAX_MESSAGE;

impl Default for MidiQueue {
    /// [control thread] An empty queue.
    fn default() -> Self {
        Self {
            placed: VecDeque::with_capacity(WAITING),
            bytes: vec![0; QUEUE_BYTES].into(),
            head: 0,
            open: Held::default(),
            dropped: 0,
        }
    }
}

impl MidiQueue {
    /// [audio thread] Lets a message wait until `frame`, at least as long as those before it. Without room it
    /// is dropped and counted.
    pub fn push(&mut self, frame: u64, message: &[u8]) {
        // Only what ends a note that was let in may take the room that was kept for it.
        let mut left = self.open.clone();
        left.note(message);
        let ends = if left.count() < self.open.count() { 0 } else { self.open.count() + 1 };
        let start = self.place(message.len(), 3 * ends);
        let (Some(start), true) = (start, self.placed.len() + ends < WAITING) else {
            self.dropped += 1;
            return;
        };
        let at = frame.max(self.placed.back().map_or(0, |last| last.at as u64)) as usize;
        self.bytes[start..start + message.len()].copy_from_slice(message);
        self.head = start + message.len();
        self.placed.push_back(Placed { at, start, len: message.len() });
        self.open = left;
    }

    /// Where `len` bytes find room so that `kept` more still would.
    fn place(&mut self, len: usize, kept: usize) -> Option<usize> {
        let Some(oldest) = self.placed.front() else {
            self.head = 0;
            return (len + kept <= self.bytes.len()).then_some(0);
        };
        if self.head > oldest.start {
            // Used from the oldest to the head; free behind the head and before the oldest.
            if self.head + len + kept <= self.bytes.len() {
                return Some(self.head);
            }
            return (len + kept < oldest.start).then_some(0);
        }
        (self.head + len + kept < oldest.start).then_some(self.head)
    }

    /// [audio thread] Moves what is due before `end` to `out`, whose first frame is `frame`. What finds no room
    /// there waits for the next block.
    pub fn pop(&mut self, frame: u64, end: u64, mut out: impl FnMut(usize, &[u8]) -> bool) {
        while let Some(first) = self.placed.front().filter(|first| (first.at as u64) < end) {
            let at = (first.at as u64).saturating_sub(frame) as usize;
            if !out(at, &self.bytes[first.start..first.start + first.len]) {
                return;
            }
            self.placed.pop_front();
        }
    }

    /// [audio thread] Lets `out` have the first message, and drops it if `out` says that it has taken it.
    pub fn pop_first(&mut self, out: impl FnOnce(&[u8]) -> bool) -> bool {
        let taken = self.placed.front().is_some_and(|p| out(&self.bytes[p.start..p.start + p.len]));
        if taken {
            self.placed.pop_front();
        }
        taken
    }

    /// When the next message is due.
    pub fn next(&self) -> Option<u64> {
        self.placed.front().map(|first| first.at as u64)
    }

    /// [audio thread] Forgets everything that waits.
    pub fn clear(&mut self) {
        self.placed.clear();
        self.open = Held::default();
    }

    /// How many messages were dropped since this was asked last.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ends_of_notes_find_room_when_nothing_else_does() {
        let mut buffer = MidiBuffer::new();
        let beginnings = (0..MESSAGES).filter(|_| buffer.push(0, &[0x90, 60, 1])).count();
        assert_eq!(beginnings, MESSAGES - KEPT_FOR_ENDS);
        let ends = (0..MESSAGES).filter(|_| buffer.push(0, &[0x80, 60, 0])).count();
        assert_eq!(ends, KEPT_FOR_ENDS);
    }

    #[test]
    fn a_full_queue_still_takes_the_end_of_every_note_that_it_took() {
        let mut queue = MidiQueue::default();
        let mut taken = Held::default();
        for n in 0..WAITING * 2 {
            let (channel, key) = ((n / 128 % 16) as u8, (n % 128) as u8);
            let before = queue.placed.len();
            queue.push(9, &[0x90 | channel, key, 100]);
            if queue.placed.len() > before {
                taken.note(&[0x90 | channel, key, 100]);
            }
        }
        assert!(queue.take_dropped() > 0 && taken.count() > 500);
        // A flood of what ends nothing takes nobody's room.
        for _ in 0..WAITING {
            queue.push(9, &[0x8f, 127, 0]);
        }
        assert!(queue.take_dropped() > 0);
        for (channel, keys) in taken.0.iter().enumerate() {
            for key in (0..128u8).filter(|key| keys & (1 << key) != 0) {
                queue.push(9, &[0x80 | channel as u8, key, 0]);
            }
        }
        assert_eq!((queue.take_dropped(), queue.open.count()), (0, 0));
    }

    #[test]
    fn all_notes_are_ended() {
        let mut held = Held::default();
        for key in [0, 60, 127] {
            held.note(&[0x93, key, 1]);
        }
        held.note(&[0x93, 60, 0]);
        let mut out = MidiBuffer::new();
        assert!(held.end_all(5, &mut out));
        let got: Vec<_> = out.iter().map(|(at, bytes)| (at, bytes.to_vec())).collect();
        assert_eq!(got, [(5, vec![0x83, 0, 0]), (5, vec![0x83, 127, 0])]);
        assert_eq!(held.count(), 0);
    }

    proptest! {
        #[test]
        fn what_waits_comes_out_in_order_at_its_frame(
            messages in prop::collection::vec((0u64..200, 1usize..2000), 0..60), block in 1u64..300
        ) {
            let mut queue = MidiQueue::default();
            let mut expected = Vec::new();
            let mut got = Vec::new();
            let mut frame = 0;
            let mut last = 0;
            for (n, (gap, len)) in messages.iter().enumerate() {
                let message: Vec<u8> = (0..*len).map(|i| (i + n) as u8).collect();
                let due = frame + gap;
                let before = queue.placed.len();
                queue.push(due, &message);
                if queue.placed.len() > before {
                    last = last.max(due);
                    expected.push((last, message));
                }
                queue.pop(frame, frame + block, |at, bytes| {
                    got.push((frame + at as u64, bytes.to_vec()));
                    true
                });
                frame += block;
            }
            queue.pop(frame, u64::MAX, |at, bytes| {
                got.push((frame + at as u64, bytes.to_vec()));
                true
            });
            prop_assert_eq!(got.len(), expected.len());
            for ((_, a), (_, b)) in got.iter().zip(&expected) {
                prop_assert_eq!(a, b);
            }
        }
    }
}
