//! A processor with what the engine keeps for it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use aulos_nodes::{Cycle, Processor, Setting};

use super::lane::Lane;

/// How many settings can wait for their frame.
pub const SETTINGS: usize = 256;

/// What can be seen of a stage from outside, and what is told to it.
#[derive(Debug, Default)]
pub struct Vitals {
    /// Samples that were infinite or not a number.
    pub not_finite: AtomicU64,
    /// Samples that were denormal.
    pub denormal: AtomicU64,
    /// Blocks that were not ready in time.
    pub late: AtomicU64,
    /// MIDI messages that found no room.
    pub midi_dropped: AtomicU64,
    /// Timed settings that found no room and were carried out at once.
    pub hurried: AtomicU64,
    /// What a block takes, in ns; all but rare ones.
    pub cost: AtomicU64,
    /// What must still be done in a cycle after the stage, in ns.
    pub budget: AtomicU64,
}

impl Vitals {
    /// [audio thread] Takes in what a block has taken.
    pub fn spent(&self, ns: u64) {
        // What one block in a hundred takes longer than: a rare long one, as when the machine stalls, moves it by
        // little. It comes to rest on what does not change.
        let cost = self.cost.load(Relaxed);
        let cost = match cost {
            0 => ns,
            cost if ns > cost => ns.min(cost + cost / 16 + 1000),
            cost => ns.max(cost - cost / 1600),
        };
        self.cost.store(cost, Relaxed);
    }

    /// [audio thread] Counts on.
    pub fn count(counter: &AtomicU64, more: u64) {
        if more > 0 {
            counter.fetch_add(more, Relaxed);
        }
    }
}

/// The stage time of a stage: the engine's frame less its arrival.
#[derive(Clone, Copy, Debug, Default)]
pub struct StageTime {
    arrival: u64,
    /// The engine's frame at which another arrival begins to hold.
    next: Option<(u64, u64)>,
}

impl StageTime {
    /// Of a stage that arrives `arrival` frames late.
    pub fn new(arrival: u64) -> Self {
        Self { arrival, next: None }
    }

    /// [audio thread] Another arrival holds from `frame` on. One that was to come gives way.
    pub fn change(&mut self, frame: u64, arrival: u64) {
        self.next = Some((frame, arrival));
    }

    /// [audio thread] Stage time at the beginning of a block, and where in it it jumps.
    pub fn advance(&mut self, frame: u64, frames: usize) -> (i64, Option<(usize, i64)>) {
        if let Some((from, arrival)) = self.next
            && from <= frame
        {
            *self = Self { arrival, next: None };
        }
        let jump = self.next.filter(|(from, _)| *from < frame + frames as u64);
        let jump = jump.map(|(from, arrival)| ((from - frame) as usize, from as i64 - arrival as i64));
        (frame as i64 - self.arrival as i64, jump)
    }
}

/// A processor with its settings to come, and its lane if its work may be late.
pub struct Unit {
    /// The processor.
    pub processor: Box<dyn Processor>,
    /// Settings to come, by stage time.
    inbox: Vec<Setting>,
    /// Those of the block, by the engine's frame.
    due: Vec<Setting>,
    /// What happens when its work is late.
    pub lane: Option<Lane>,
}

impl Unit {
    /// [control thread] A processor with room for its settings.
    pub fn new(processor: Box<dyn Processor>, lane: Option<Lane>) -> Self {
        Self { processor, inbox: Vec::with_capacity(SETTINGS), due: Vec::with_capacity(SETTINGS), lane }
    }

    /// [audio thread] Moves a parameter at once; what was to come of it gives way.
    pub fn set(&mut self, setting: &Setting) {
        self.inbox.retain(|later| later.param != setting.param);
        self.processor.set(setting);
    }

    /// [audio thread] Moves a parameter when stage time is at the setting's frame; what was to come of it then or
    /// later gives way. Answers whether there is room.
    pub fn set_later(&mut self, setting: Setting) -> bool {
        self.inbox.retain(|other| other.param != setting.param || other.frame < setting.frame);
        let room = self.inbox.len() < self.inbox.capacity();
        if room {
            let place = self.inbox.partition_point(|other| other.frame <= setting.frame);
            self.inbox.insert(place, setting);
        }
        room
    }

    /// [audio thread] The block with the settings that are due in it.
    pub fn advance<'a>(
        &'a mut self,
        cycle: &Cycle<'a>,
    ) -> (Cycle<'a>, &'a mut dyn Processor, &'a mut Option<Lane>) {
        let mut cycle = *cycle;
        self.due.clear();
        let mut taken = 0;
        for setting in &self.inbox {
            let Some(offset) = cycle.offset_of(setting.frame as i64) else { break };
            self.due.push(Setting { frame: cycle.frame + offset as u64, ..*setting });
            taken += 1;
        }
        self.inbox.drain(..taken);
        cycle.settings = &self.due;
        (cycle, &mut *self.processor, &mut self.lane)
    }

    /// [audio thread] The block as [`Unit::advance`] had it, for looking again.
    pub fn again<'a>(
        &'a mut self,
        cycle: &Cycle<'a>,
    ) -> (Cycle<'a>, &'a mut dyn Processor, &'a mut Option<Lane>) {
        (Cycle { settings: &self.due, ..*cycle }, &mut *self.processor, &mut self.lane)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_due_where_stage_time_comes_to_them() {
        let cycle = Cycle { time: -10, ..Cycle::new(0, 64, &[]) };
        assert_eq!([0, 53, 54].map(|time| cycle.offset_of(time)), [Some(10), Some(63), None]);
        let jumping = Cycle { time: 0, jump: Some((16, 116)), ..Cycle::new(0, 64, &[]) };
        // What lies within the jump is due at it.
        let due = [15, 16, 116, 120, 164].map(|time| jumping.offset_of(time));
        assert_eq!(due, [Some(15), Some(16), Some(16), Some(20), None]);
    }

    #[test]
    fn stage_time_jumps_at_the_frame_that_was_said() {
        let mut time = StageTime::new(100);
        time.change(130, 20);
        assert_eq!(time.advance(64, 64), (-36, None));
        assert_eq!(time.advance(128, 64), (28, Some((2, 110))));
        assert_eq!(time.advance(192, 64), (172, None));
    }

    #[test]
    fn a_rare_long_block_is_not_what_blocks_take() {
        let vitals = Vitals::default();
        let cost = |ns: u64| {
            vitals.spent(ns);
            vitals.cost.load(Relaxed)
        };
        assert_eq!((0..100).map(|_| cost(50_000)).max(), Some(50_000));
        assert!(cost(3_000_000) < 60_000);
        assert!((0..1000).map(|_| cost(50_000)).all(|cost| (50_000..60_000).contains(&cost)));
        // What has come to stay is believed.
        (0..100).for_each(|_| vitals.spent(3_000_000));
        assert_eq!(cost(3_000_000), 3_000_000);
    }
}
