//! The gain of a link, with the turns that are to come.

use aulos_nodes::{Cycle, Fade};

/// How many turns of a gain can wait for their time.
pub const TURNS: usize = 8;

#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    time: u64,
    to: f32,
    len: u64,
}

/// A fade, and turns of it that begin at stage times to come: those of the stage that the link enters.
#[derive(Clone, Copy, Debug)]
pub struct Ramp {
    fade: Fade,
    turns: [Turn; TURNS],
    waiting: usize,
}

impl Ramp {
    /// A gain that stands still.
    pub fn still(gain: f32) -> Self {
        Self { fade: Fade::still(gain), turns: [Turn::default(); TURNS], waiting: 0 }
    }

    /// [audio thread] The fade as it is from `frame` of the block on, until [`Ramp::next`].
    pub fn at(&mut self, frame: u64, cycle: &Cycle<'_>) -> Fade {
        loop {
            let due = self.next(cycle);
            if due > frame {
                return self.fade;
            }
            let Turn { to, len, .. } = self.turns[0];
            self.fade.turn(to, due, due, len);
            self.turns.copy_within(1.., 0);
            self.waiting -= 1;
        }
    }

    /// The engine's frame of the next turn in the block; [`u64::MAX`] if there is none.
    pub fn next(&self, cycle: &Cycle<'_>) -> u64 {
        self.turns[..self.waiting].first().map_or(u64::MAX, |turn| due(turn, cycle))
    }

    /// When it closes in the block, or has closed, for what cannot fade.
    pub fn closes(&self, cycle: &Cycle<'_>) -> u64 {
        if self.fade.target() == 0.0 {
            return self.fade.start();
        }
        let turn = self.turns[..self.waiting].iter().find(|turn| turn.to == 0.0);
        turn.map_or(u64::MAX, |turn| due(turn, cycle))
    }

    /// [audio thread] Turns at once, as [`Fade::turn`], and forgets the turns that were to come.
    pub fn turn(&mut self, to: f32, frame: u64, start: u64, len: u64) {
        self.waiting = 0;
        self.fade.turn(to, frame, start, len);
    }

    /// [audio thread] Turns at the stage time `time`; the turns that were to come then or later give way. Without
    /// room, of which the control thread takes care, the last of the others does too.
    pub fn turn_later(&mut self, to: f32, time: u64, len: u64) {
        let before = self.turns[..self.waiting].iter().filter(|turn| turn.time < time).count();
        self.waiting = (before + 1).min(TURNS);
        self.turns[self.waiting - 1] = Turn { time, to, len };
    }

    /// The frame from which on nothing passes, once it has been told to close.
    pub fn ends(&self) -> u64 {
        self.fade.end()
    }
}

fn due(turn: &Turn, cycle: &Cycle<'_>) -> u64 {
    cycle.offset_of(turn.time as i64).map_or(u64::MAX, |offset| cycle.frame + offset as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of 100 frames of a stage that arrives 1,000 frames late.
    fn block(frame: u64) -> Cycle<'static> {
        Cycle { time: frame as i64 - 1000, ..Cycle::new(frame, 100, &[]) }
    }

    #[test]
    fn turns_wait_for_their_stage_time_and_go_on_from_where_the_gain_is() {
        let mut ramp = Ramp::still(1.0);
        ramp.turn_later(0.0, 200, 10);
        ramp.turn_later(1.0, 205, 10);
        assert_eq!((ramp.at(1199, &block(1100)).at(1199), ramp.next(&block(1100))), (1.0, u64::MAX));
        assert_eq!((ramp.next(&block(1200)), ramp.closes(&block(1200))), (1200, 1200));
        assert_eq!(ramp.at(1200, &block(1200)).at(1204), 0.6);
        let half = ramp.at(1205, &block(1200));
        assert_eq!((half.at(1205), half.at(1215), ramp.next(&block(1200))), (0.5, 1.0, u64::MAX));
    }

    #[test]
    fn without_room_the_last_turn_gives_way() {
        let mut ramp = Ramp::still(1.0);
        for n in 0..20 {
            ramp.turn_later(n as f32, n * 10, 0);
        }
        assert_eq!(ramp.at(3000, &block(3000)).target(), 19.0);
    }

    #[test]
    fn what_is_said_later_for_an_earlier_time_overrules() {
        let mut ramp = Ramp::still(1.0);
        ramp.turn_later(0.0, 1000, 0);
        ramp.turn_later(1.0, 500, 0);
        assert_eq!((ramp.next(&block(1500)), ramp.closes(&block(2000))), (1500, u64::MAX));
        assert_eq!(ramp.at(3000, &block(3000)).at(3000), 1.0);
    }

    #[test]
    fn what_is_said_now_overrules_what_was_to_come() {
        let mut ramp = Ramp::still(1.0);
        ramp.turn_later(0.0, 100, 10);
        ramp.turn(0.5, 50, 50, 10);
        assert_eq!(ramp.at(2000, &block(2000)).at(2000), 0.5);
    }
}
