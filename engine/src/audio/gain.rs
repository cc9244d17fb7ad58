//! How loud a term is: the gain of its link, and its share in it.
//!
//! While a link moves to another delay, or to a processor that was built anew, it is two terms: one gives way, the
//! other enters. Their shares add up to one at every frame, whatever happens meanwhile. The gain is the same for all
//! terms of a link, so that what is said of the link holds at once, whichever of them is heard.

use aulos_nodes::{Cycle, Fade};

use super::ramp::Ramp;

/// How loud a term is, with what is to come.
#[derive(Clone, Copy, Debug)]
pub struct Gain {
    link: Ramp,
    /// Whether the link is gone. One that is silent may sound again.
    gone: bool,
    /// When it then fades out, and how long, if it has not begun to.
    leaves: Option<(u64, u64)>,
    share: Fade,
    /// Where the share goes when it has come to where it is going: from which frame on, to what, how long.
    then: Option<(u64, f32, u64)>,
}

/// How loud a term is for a while.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    link: Fade,
    share: Fade,
}

impl Gain {
    /// A link at a gain, of which the term is all or nothing.
    pub fn new(link: f32, is_heard: bool) -> Self {
        let share = Fade::still(if is_heard { 1.0 } else { 0.0 });
        Self { link: Ramp::still(link), gone: false, leaves: None, share, then: None }
    }

    /// [audio thread] How loud it is from `frame` of the block on, until [`Gain::next`].
    pub fn at(&mut self, frame: u64, cycle: &Cycle<'_>) -> Level {
        if let Some((from, len)) = self.leaves
            && from <= frame
        {
            self.link.at(from.max(cycle.frame), cycle);
            self.link.turn(0.0, from, from, len);
            self.leaves = None;
        }
        Level { link: self.link.at(frame, cycle), share: self.share_at(frame) }
    }

    fn share_at(&mut self, frame: u64) -> Fade {
        if let Some((from, to, len)) = self.then
            && from <= frame
        {
            self.share.turn(to, from, from, len);
            self.then = None;
        }
        self.share
    }

    /// [audio thread] The next frame after `frame` at which the term enters or leaves the sum, or turns.
    pub fn next(&mut self, frame: u64, cycle: &Cycle<'_>) -> u64 {
        let Level { link, share } = self.at(frame, cycle);
        let after = |at: u64| if at > frame { at } else { u64::MAX };
        let next = |fade: Fade| {
            let leaves = if fade.target() == 0.0 { after(fade.end()) } else { u64::MAX };
            after(fade.begins()).min(leaves)
        };
        let then = self.then.map_or(u64::MAX, |(from, ..)| from);
        let then = then.min(self.leaves.map_or(u64::MAX, |(from, _)| from));
        next(link).min(next(share)).min(then).min(self.link.next(cycle))
    }

    /// When it closes in the block, or has closed, for what cannot fade; [`u64::MAX`] if it does not.
    pub fn closes(&self, cycle: &Cycle<'_>) -> u64 {
        let share = match self.then {
            _ if self.share.target() == 0.0 => self.share.start(),
            Some((from, 0.0, _)) => from,
            _ => u64::MAX,
        };
        let leaves = self.leaves.map_or(u64::MAX, |(from, _)| from);
        share.min(leaves).min(self.link.closes(cycle))
    }

    /// [audio thread] Goes on with the gain of another term of the link.
    pub fn inherit(&mut self, other: &Self) {
        self.link = other.link;
    }

    /// [audio thread] The gain of the link turns, as [`Fade::turn`]; what was to come of it is forgotten.
    pub fn turn(&mut self, to: f32, frame: u64, len: u64) {
        (self.gone, self.leaves) = (false, None);
        self.link.turn(to, frame, frame, len);
    }

    /// [audio thread] The link is gone: the term fades out from `start` on. One that has not begun to enter never does,
    /// and one that fades out already goes on with that.
    pub fn leave(&mut self, frame: u64, start: u64, len: u64) {
        if self.gone && self.leaves.is_none_or(|(from, _)| from < frame) {
            return;
        }
        let share = self.share_at(frame);
        self.then = None;
        if share.start() >= frame {
            self.share = Fade::still(share.at(frame));
        }
        (self.gone, self.leaves) = (true, Some((start, len)));
    }

    /// [audio thread] The gain of the link turns at a stage time.
    pub fn turn_later(&mut self, to: f32, time: u64, len: u64) {
        self.link.turn_later(to, time, len);
    }

    /// Until when its share moves, if it does at `frame`: what comes next begins then at the earliest.
    pub fn busy_until(&self, frame: u64) -> u64 {
        if self.share.start() < frame { self.share.end() } else { 0 }
    }

    /// [audio thread] Takes over from the other terms of the link at `start`, over `len` frames. If none of them has
    /// begun to take over from this one, they do not any more.
    pub fn enter(&mut self, frame: u64, start: u64, len: u64) {
        self.go(1.0, frame, start, len);
    }

    /// [audio thread] Gives way to another term of the link at `start`, over `len` frames. One that has not begun to
    /// enter never does.
    pub fn give_way(&mut self, frame: u64, start: u64, len: u64) {
        self.go(0.0, frame, start, len);
    }

    fn go(&mut self, to: f32, frame: u64, start: u64, len: u64) {
        let share = self.share_at(frame);
        self.then = None;
        if frame < self.busy_until(frame) {
            self.then = (share.target() != to).then_some((start, to, len));
            return;
        }
        let now = share.at(frame);
        self.share = if now == to { Fade::still(to) } else { Fade::new(now, to, start, len) };
    }

    /// The frame from which on nothing of the term is heard; [`u64::MAX`] if it stays.
    pub fn ends(&self) -> u64 {
        let share = match self.then {
            None if self.share.target() == 0.0 => self.share.end(),
            Some((from, 0.0, len)) => from + len,
            _ => u64::MAX,
        };
        match self.leaves {
            Some((from, len)) => share.min(from + len),
            None if self.gone => share.min(self.link.ends()),
            None => share,
        }
    }
}

impl Level {
    /// Whether the term is part of the sum at `frame`: not before its first fade-in begins, not after it has faded
    /// out, not at gain 0. Terms that are not are left out rather than added as zeros, so that a sum does not
    /// depend on how long a plan keeps them.
    pub fn sounds(&self, frame: u64) -> bool {
        [self.link, self.share].iter().all(|fade| fade.begins() <= frame && !fade.is_silent(frame))
    }

    /// Whether it passes everything as it is from `frame` on.
    pub fn is_unity(&self, frame: u64) -> bool {
        [self.link, self.share].iter().all(|fade| fade.target() == 1.0 && fade.is_still(frame))
    }

    /// Where it goes.
    pub fn target(&self) -> f32 {
        self.link.target() * self.share.target()
    }

    /// Whether something that cannot fade passes at `frame`.
    pub fn is_open(&self, frame: u64) -> bool {
        self.link.is_open(frame) && self.share.is_open(frame)
    }

    /// [audio thread] `out[i] = input[i] * level(frame + i)`.
    pub fn apply(&self, frame: u64, input: &[f32], out: &mut [f32]) {
        if self.is_whole(frame) {
            return self.link.apply(frame, input, out);
        }
        out.iter_mut().zip(input).zip(frame..).for_each(|((y, x), n)| *y = x * self.factor(n));
    }

    /// [audio thread] `out[i] += input[i] * level(frame + i)`.
    pub fn add(&self, frame: u64, input: &[f32], out: &mut [f32]) {
        if self.is_whole(frame) {
            return self.link.add(frame, input, out);
        }
        out.iter_mut().zip(input).zip(frame..).for_each(|((y, x), n)| *y += x * self.factor(n));
    }

    fn is_whole(&self, frame: u64) -> bool {
        self.share.target() == 1.0 && self.share.is_still(frame)
    }

    fn factor(&self, frame: u64) -> f32 {
        self.link.at(frame) * self.share.at(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: u64 = 100;

    /// The terms of a link, each of which takes over from those before it, as batches have it.
    #[derive(Default)]
    struct Link {
        terms: Vec<Gain>,
    }

    impl Link {
        fn share(&mut self, frame: u64) -> f32 {
            self.terms.iter_mut().map(|term| term.share_at(frame).at(frame)).sum()
        }

        /// Goes over to a term at `ready` or as soon as it can.
        fn cross(&mut self, to: usize, frame: u64, ready: u64) {
            self.share(frame);
            let start = self.terms.iter().map(|term| term.busy_until(frame)).max().unwrap_or(0).max(ready);
            for (place, term) in self.terms.iter_mut().enumerate() {
                if place == to { term.enter(frame, start, LEN) } else { term.give_way(frame, start, LEN) }
            }
        }
    }

    #[test]
    fn shares_add_up_to_one_whatever_comes_in_between() {
        let mut state = 1u64;
        let mut random = |most: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % most
        };
        for _ in 0..200 {
            let mut link = Link { terms: vec![Gain::new(1.0, true)] };
            let mut frame = 0;
            for _ in 0..30 {
                for _ in 0..random(250) {
                    assert!((link.share(frame) - 1.0).abs() < 1e-5, "{} at {frame}", link.share(frame));
                    frame += 1;
                }
                if random(3) > 0 {
                    link.terms.push(Gain::new(1.0, false));
                }
                let to = if random(2) == 0 {
                    link.terms.len() - 1
                } else {
                    random(link.terms.len() as u64) as usize
                };
                let ready = frame + if random(2) == 0 { 0 } else { random(400) };
                link.cross(to, frame, ready);
            }
            frame += 1000;
            assert_eq!(link.share(frame), 1.0);
            let heard: Vec<f32> = link.terms.iter().map(|term| term.share.at(frame)).collect();
            assert_eq!(heard.iter().filter(|share| **share == 1.0).count(), 1, "{heard:?}");
        }
    }

    #[test]
    fn what_has_not_begun_to_enter_never_does() {
        let mut link = Link { terms: vec![Gain::new(1.0, true), Gain::new(1.0, false)] };
        link.cross(1, 0, 1000);
        assert_eq!((link.terms[0].ends(), link.terms[1].ends()), (1100, u64::MAX));
        link.terms.push(Gain::new(1.0, false));
        link.cross(2, 500, 3000);
        assert_eq!((link.terms[0].ends(), link.terms[1].ends()), (3100, 0));
        link.cross(0, 600, 600);
        assert_eq!((link.terms[0].ends(), link.terms[2].ends()), (u64::MAX, 0));
    }

    #[test]
    fn what_is_only_silent_has_its_share_to_give_away() {
        let mut gain = Gain::new(0.5, true);
        gain.give_way(0, 48_000, LEN);
        gain.turn(0.0, 200, LEN);
        assert_eq!(gain.ends(), 48_000 + LEN);
    }

    #[test]
    fn what_waits_to_leave_goes_on_to_where_it_was_going() {
        let mut gain = Gain::new(0.0, true);
        gain.turn(1.0, 0, LEN);
        gain.leave(50, 1000, LEN);
        let cycle = Cycle::new(0, 2000, &[]);
        let mut at = |frame: u64| {
            let level = gain.at(frame, &cycle);
            if level.sounds(frame) { level.factor(frame) } else { 0.0 }
        };
        assert_eq!([50, 100, 999, 1050, 1100].map(&mut at), [0.5, 1.0, 1.0, 0.5, 0.0]);
        // Told again, it goes on with what it has begun.
        gain.leave(1101, 5000, LEN);
        assert_eq!(gain.ends(), 1100);
    }

    #[test]
    fn a_link_that_comes_and_goes_at_one_frame_is_nothing() {
        let mut gain = Gain::new(1.0, false);
        gain.enter(500, 500, LEN);
        gain.leave(500, 500, LEN);
        assert!(gain.ends() <= 500);
        // Made again, it enters.
        gain.turn(1.0, 600, LEN);
        gain.enter(600, 600, LEN);
        let cycle = Cycle::new(700, 100, &[]);
        assert!(gain.ends() == u64::MAX && gain.at(700, &cycle).is_unity(700));
    }

    #[test]
    fn a_link_that_is_gone_is_silent_whoever_was_to_be_heard() {
        let mut gain = Gain::new(0.5, true);
        gain.give_way(0, 48_000, LEN);
        gain.leave(200, 200, LEN);
        assert_eq!(gain.ends(), 300);
        let cycle = Cycle::new(200, 200, &[]);
        assert!(gain.at(250, &cycle).sounds(250) && !gain.at(300, &cycle).sounds(300));
    }
}
