//! The gain of a term, with the turns that are to come.

use aulos_nodes::Fade;

/// How many turns of a gain can wait for their frame.
pub const TURNS: usize = 8;

#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    frame: u64,
    to: f32,
    len: u64,
}

/// A fade, and turns of it that begin at frames to come.
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

    /// [audio thread] The fade as it is from `frame` on, until [`Ramp::next`].
    pub fn at(&mut self, frame: u64) -> Fade {
        while self.waiting > 0 && self.turns[0].frame <= frame {
            let Turn { frame, to, len } = self.turns[0];
            self.fade.turn(to, frame, frame, len);
            self.turns.copy_within(1.., 0);
            self.waiting -= 1;
        }
        self.fade
    }

    /// The frame of the next turn.
    pub fn next(&self) -> u64 {
        if self.waiting > 0 { self.turns[0].frame } else { u64::MAX }
    }

    /// When it closes, or has closed, for what cannot fade.
    pub fn closes(&self) -> Option<u64> {
        if self.fade.target() == 0.0 {
            return Some(self.fade.start());
        }
        self.turns[..self.waiting].iter().find(|turn| turn.to == 0.0).map(|turn| turn.frame)
    }

    /// [audio thread] Turns at once, as [`Fade::turn`], and forgets the turns that were to come.
    pub fn turn(&mut self, to: f32, frame: u64, start: u64, len: u64) {
        self.waiting = 0;
        self.fade.turn(to, frame, start, len);
    }

    /// [audio thread] Turns at `frame`; the turns that were to come then or later give way. Without room, of which
    /// the control thread takes care, the last of the others does too.
    pub fn turn_later(&mut self, to: f32, frame: u64, len: u64) {
        let before = self.turns[..self.waiting].iter().filter(|turn| turn.frame < frame).count();
        self.waiting = (before + 1).min(TURNS);
        self.turns[self.waiting - 1] = Turn { frame, to, len };
    }

    /// The frame from which on it stands still.
    pub fn end(&self) -> u64 {
        match self.waiting.checked_sub(1) {
            Some(last) => self.turns[last].frame + self.turns[last].len,
            None => self.fade.end(),
        }
    }

    /// Whether the fade has left where it began.
    pub fn has_left(&self, frame: u64) -> bool {
        self.fade.has_left(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_wait_for_their_frame_and_go_on_from_where_the_gain_is() {
        let mut ramp = Ramp::still(1.0);
        ramp.turn_later(0.0, 100, 10);
        ramp.turn_later(1.0, 105, 10);
        assert_eq!((ramp.at(99).at(99), ramp.next(), ramp.end()), (1.0, 100, 115));
        assert_eq!(ramp.at(100).at(104), 0.6);
        let half = ramp.at(105);
        assert_eq!((half.at(105), half.at(115), ramp.next()), (0.5, 1.0, u64::MAX));
    }

    #[test]
    fn without_room_the_last_turn_gives_way() {
        let mut ramp = Ramp::still(1.0);
        for n in 0..20 {
            ramp.turn_later(n as f32, n * 10, 0);
        }
        assert_eq!(ramp.at(1000).target(), 19.0);
    }

    #[test]
    fn what_is_said_later_for_an_earlier_frame_overrules() {
        let mut ramp = Ramp::still(1.0);
        ramp.turn_later(0.0, 1000, 0);
        ramp.turn_later(1.0, 500, 0);
        assert_eq!((ramp.next(), ramp.closes(), ramp.at(2000).at(2000)), (500, None, 1.0));
    }

    #[test]
    fn what_is_said_now_overrules_what_was_to_come() {
        let mut ramp = Ramp::still(1.0);
        ramp.turn_later(0.0, 100, 10);
        ramp.turn(0.5, 50, 50, 10);
        assert_eq!(ramp.at(200).at(200), 0.5);
    }
}
