//! Where the timeline is.

use aulos_nodes::{Cycle, Fade, Segment, View};

/// The shortest loop, in frames: bounds how often a block can jump.
pub const MIN_LOOP: u64 = 480;

/// What the transport does from the first frame of an engine on. Nothing was heard before, so nothing fades.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The position on the timeline.
    pub position: u64,
    /// Whether it rolls.
    pub rolling: bool,
    /// First and one-after-last frame of the loop.
    pub loop_range: Option<(u64, u64)>,
}

/// A command to the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportChange {
    /// Rolls.
    Play,
    /// Stands where it is.
    Pause,
    /// Stands where it was last started or located.
    Stop,
    /// Goes somewhere else.
    Locate(u64),
    /// Loops, or not.
    Loop(Option<(u64, u64)>),
}

/// A course of the timeline: from a frame on it rolls or stands, without a jump but those of its loop. Where it
/// is at a frame follows from the frame alone, so that stages that hear it late can look back.
#[derive(Clone, Copy, Debug)]
struct Course {
    /// The engine's frame at which it begins,
    from: u64,
    /// and the one at which the next begins.
    until: u64,
    /// How it fades out from `until` on; nothing of it is heard there if not at all.
    out: Option<Fade>,
    /// Whether it goes on where the one before was, as when only the loop was changed.
    continues: bool,
    /// Whether its first frame does not follow from the frame before.
    jumped: bool,
    rolling: bool,
    /// The position at `from`.
    position: u64,
    loop_range: Option<(u64, u64)>,
    /// How loud it is until `until`.
    fade: Fade,
}

impl Course {
    /// The position at `frame`, not before it begins, and the frames until the loop's end.
    fn at(&self, frame: u64) -> (u64, u64) {
        if !self.rolling {
            return (self.position, u64::MAX);
        }
        let position = self.position + (frame - self.from);
        match self.loop_range {
            Some((start, end)) if self.position < end => {
                let position = match position.checked_sub(end) {
                    Some(over) => start + over % (end - start),
                    None => position,
                };
                (position, end - position)
            }
            _ => (position, u64::MAX),
        }
    }

    /// The frames of `from..to` in which it is the present one, and those in which it fades out after that.
    fn within(&self, from: u64, to: u64) -> [Option<(u64, u64)>; 2] {
        let part = |first: u64, last: u64| {
            let (from, to) = (from.max(first), to.min(last));
            (from < to).then_some((from, to))
        };
        [part(self.from, self.until), part(self.until, self.out.map_or(0, |out| out.end()))]
    }

    /// Whether it can still be heard at `frame` or later.
    fn is_over(&self, frame: u64) -> bool {
        self.within(frame, u64::MAX) == [None, None]
    }
}

/// How many courses can be heard at once: the present one, and those that fade out.
const MAX_HEARD: usize = 4;
/// How many courses are remembered for stages that hear the timeline late; the oldest goes when there are more.
const MAX_COURSES: usize = 256;
/// How many courses a block can have: those that are heard at its beginning, and those that begin in it.
pub const MAX_VIEWS: usize = 24;
/// How many changes can wait for their frame.
pub const MAX_LATER: usize = 8;

/// [audio thread] The timeline's courses.
#[derive(Debug)]
pub struct Transport {
    /// In the order in which they began; the last one is the present.
    courses: Vec<Course>,
    /// Where [`TransportChange::Stop`] goes.
    return_to: u64,
    /// Changes that wait for their frame, in its order: the frame and the length of the fade.
    later: Vec<(u64, u64, TransportChange)>,
}

/// Memory for the courses through a block.
#[derive(Debug)]
pub struct Room {
    segments: Vec<Segment>,
    parts: Vec<Part>,
    /// The stage time that they are for, and where it jumps.
    time: Option<(i64, Option<(usize, i64)>)>,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    segments: (usize, usize),
    fade: Fade,
    present: (usize, usize),
    begins: bool,
}

impl Room {
    /// [control thread] Room for blocks of up to `max_block` frames.
    pub fn new(max_block: usize) -> Self {
        let most = MAX_VIEWS * (max_block / MIN_LOOP as usize + 3);
        Self { segments: Vec::with_capacity(most), parts: Vec::with_capacity(MAX_VIEWS), time: None }
    }

    /// The courses that were put here.
    pub fn views<'a>(&'a self, views: &'a mut [View<'a>; MAX_VIEWS]) -> &'a [View<'a>] {
        for (view, part) in views.iter_mut().zip(&self.parts) {
            let (first, last) = part.segments;
            *view = View {
                segments: &self.segments[first..last],
                fade: part.fade,
                present: part.present,
                begins: part.begins,
            };
        }
        &views[..self.parts.len()]
    }
}

impl Transport {
    /// [control thread] A transport.
    pub fn new(start: Start) -> Self {
        let mut courses = Vec::with_capacity(MAX_COURSES);
        courses.push(Course {
            from: 0,
            until: u64::MAX,
            out: None,
            continues: false,
            jumped: true,
            rolling: start.rolling,
            position: start.position,
            loop_range: start.loop_range,
            fade: Fade::still(1.0),
        });
        Self { courses, return_to: start.position, later: Vec::with_capacity(MAX_LATER) }
    }

    fn present(&mut self) -> &mut Course {
        let last = self.courses.len() - 1;
        &mut self.courses[last]
    }

    /// Whether there is room for another course at `frame`; if not, changes must wait until a fade has ended.
    pub fn has_room(&self, frame: u64) -> bool {
        let heard = self.courses.iter().filter(|course| !course.is_over(frame)).count();
        let recent = self.courses.iter().rev().take_while(|course| course.from >= frame).count();
        heard < MAX_HEARD && recent + heard < MAX_VIEWS / 2
    }

    /// The first frame from `frame` on at which there is room for another course; the same at any block size.
    fn next_room(&self, frame: u64) -> u64 {
        let mut at = frame;
        while !self.has_room(at) {
            let ends = self.courses.iter().filter_map(|course| course.out).map(|out| out.end());
            match ends.filter(|end| *end > at).min() {
                Some(end) => at = end,
                None => break,
            }
        }
        at
    }

    /// The position at `frame`, and whether it rolls.
    pub fn state(&self, frame: u64) -> (u64, bool) {
        let course = &self.courses[self.courses.len() - 1];
        (course.at(frame.max(course.from)).0, course.rolling)
    }

    /// Carries out a change at `frame`, not before that of the change before.
    pub fn change(&mut self, change: TransportChange, frame: u64, fade: u64) {
        let frame = frame.max(self.present().from);
        let now = *self.present();
        let (position, _) = now.at(frame);
        let fade_in = Fade::new(0.0, 1.0, frame, fade);
        let next = Course {
            from: frame,
            until: u64::MAX,
            out: None,
            continues: false,
            jumped: false,
            position,
            fade: Fade::still(1.0),
            ..now
        };
        match change {
            TransportChange::Play if now.rolling => {}
            TransportChange::Play => {
                self.return_to = position;
                self.begin(Course { rolling: true, fade: fade_in, ..next }, frame, fade);
            }
            TransportChange::Pause => self.begin(Course { rolling: false, ..next }, frame, fade),
            TransportChange::Stop => {
                let (position, jumped) = (self.return_to, self.return_to != position);
                self.begin(Course { rolling: false, position, jumped, ..next }, frame, fade);
            }
            TransportChange::Locate(to) => {
                self.return_to = to;
                let fade_in = if now.rolling { fade_in } else { next.fade };
                self.begin(Course { position: to, jumped: true, fade: fade_in, ..next }, frame, fade);
            }
            // Nothing of the present course has been played.
            TransportChange::Loop(range) if now.from == frame => self.present().loop_range = range,
            TransportChange::Loop(range) => {
                let present = self.present();
                present.until = frame;
                self.push(Course { loop_range: range, continues: true, fade: now.fade, ..next });
            }
        }
    }

    /// Lets the present course fade out if it rolls, and goes on with the next. One that has not been played yet,
    /// as of several changes at one frame, is forgotten: a clock that stands takes any number of them.
    fn begin(&mut self, mut next: Course, frame: u64, fade: u64) {
        let now = *self.present();
        if now.from == frame && !now.continues && self.courses.len() > 1 {
            next.jumped |= now.jumped;
            self.courses.pop();
            return self.push(next);
        }
        let present = self.present();
        present.until = frame;
        if present.rolling {
            let mut out = present.fade;
            out.turn(0.0, frame, frame, fade);
            present.out = Some(out);
        }
        self.push(next);
    }

    fn push(&mut self, next: Course) {
        if self.courses.len() == MAX_COURSES {
            self.courses.remove(0);
        }
        self.courses.push(next);
    }

    /// Forgets the changes that were to come.
    pub fn forget_later(&mut self) {
        self.later.clear();
    }

    /// Carries out a change when the engine is at `frame`. Answers whether there is room.
    pub fn change_later(&mut self, change: TransportChange, frame: u64, fade: u64) -> bool {
        let room = self.later.len() < MAX_LATER;
        if room {
            let place = self.later.partition_point(|(other, ..)| *other <= frame);
            self.later.insert(place, (frame, fade, change));
        }
        room
    }

    /// Carries out the changes that are due in a block, and forgets courses that no stage hears any more, not
    /// even one that arrives `late` frames later.
    pub fn advance(&mut self, frame: u64, frames: usize, late: u64) {
        let end = frame + frames as u64;
        while let Some(&(at, fade, change)) = self.later.first() {
            let at = self.next_room(at.max(frame));
            if at >= end {
                break;
            }
            self.later.remove(0);
            self.change(change, at, fade);
        }
        let past = frame.saturating_sub(late);
        let last = self.courses.len() - 1;
        let mut index = 0;
        self.courses.retain(|course| {
            index += 1;
            index > last || !course.is_over(past)
        });
    }

    /// Puts the courses through a stretch of stage time into `room`, for a block whose frames from `offset` on it
    /// is. What lies before the engine's first frame has no course.
    pub fn look(&self, time: i64, offset: usize, frames: usize, room: &mut Room) {
        let skipped = usize::try_from(-time).unwrap_or(0).min(frames);
        let first = (time + skipped as i64).max(0) as u64;
        let end = first + (frames - skipped) as u64;
        let place = |frame: u64| offset + skipped + (frame - first) as usize;
        for course in &self.courses {
            let [present, leaving] = course.within(first, end);
            let fades = [course.fade, course.out.unwrap_or(course.fade)];
            for ((part, fade), is_present) in [present, leaving].into_iter().zip(fades).zip([true, false]) {
                let Some((from, to)) = part else { continue };
                if room.parts.len() == MAX_VIEWS {
                    return;
                }
                let segments = course.segments(from, to, &place, &mut room.segments);
                let present = if is_present { (place(from), place(to)) } else { (0, 0) };
                let begins = is_present && from == course.from && !course.continues;
                room.parts.push(Part { segments, fade, present, begins });
            }
        }
    }
}

impl Course {
    /// Appends the segments of `from..to`, which `place` puts into the block; answers where they are.
    fn segments(
        &self,
        from: u64,
        to: u64,
        place: &dyn Fn(u64) -> usize,
        segments: &mut Vec<Segment>,
    ) -> (usize, usize) {
        let begun = segments.len();
        let mut frame = from;
        while frame < to && segments.len() < segments.capacity() {
            let (position, rest) = self.at(frame);
            let len = rest.min(to - frame);
            let starts = frame == self.from;
            // The frame before was the last of the loop.
            let wrapped = self.rolling && !starts && self.at(frame - 1).1 == 1;
            segments.push(Segment {
                offset: place(frame),
                len: len as usize,
                position,
                rolling: self.rolling,
                jumped: if starts { self.jumped } else { wrapped },
            });
            frame += len;
        }
        (begun, segments.len())
    }
}

impl Room {
    /// [audio thread] Forgets what was put here, for another block.
    pub fn clear(&mut self) {
        self.segments.clear();
        self.parts.clear();
        self.time = None;
    }

    /// [audio thread] Makes room for the courses as a stage sees them. Answers `false` if they are here already:
    /// many stages arrive together.
    pub fn begin(&mut self, cycle: &Cycle<'_>) -> bool {
        let time = Some((cycle.time, cycle.jump));
        if self.time == time {
            return false;
        }
        self.clear();
        self.time = time;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(transport: &Transport, time: i64, frames: usize) -> Room {
        let mut room = Room::new(1024);
        transport.look(time, 0, frames, &mut room);
        room
    }

    fn positions(transport: &Transport, time: i64, frames: usize) -> Vec<(usize, usize, u64, bool)> {
        let room = look(transport, time, frames);
        let part = room.parts[room.parts.len() - 1];
        let segments = &room.segments[part.segments.0..part.segments.1];
        segments.iter().map(|s| (s.offset, s.len, s.position, s.jumped)).collect()
    }

    #[test]
    fn the_seam_of_a_loop_is_on_the_exact_frame() {
        let start = Start { position: 90, rolling: true, loop_range: Some((0, 100)) };
        let transport = Transport::new(start);
        let expected = [(0, 10, 90, true), (10, 100, 0, true), (110, 5, 0, true)];
        assert_eq!(positions(&transport, 0, 115), expected);
        assert_eq!(positions(&transport, 115, 95), [(0, 95, 5, false)]);
        assert_eq!(transport.state(210), (0, true));
    }

    #[test]
    fn behind_the_loop_nothing_wraps() {
        let start = Start { position: 100, rolling: true, loop_range: Some((0, 100)) };
        assert_eq!(positions(&Transport::new(start), 0, 10), [(0, 10, 100, true)]);
    }

    #[test]
    fn stopping_returns_and_the_old_course_fades() {
        let mut transport = Transport::new(Start { position: 7, ..Start::default() });
        transport.change(TransportChange::Play, 0, 10);
        transport.change(TransportChange::Stop, 64, 10);
        assert_eq!(transport.state(64), (7, false));
        assert_eq!(look(&transport, 64, 16).parts.len(), 2);
        assert_eq!(look(&transport, 74, 16).parts.len(), 1);
        transport.advance(74, 16, 0);
        assert_eq!(transport.courses.len(), 1);
    }

    #[test]
    fn a_change_within_a_block_is_on_its_frame() {
        let mut transport = Transport::new(Start::default());
        assert!(transport.change_later(TransportChange::Play, 40, 0));
        transport.advance(0, 64, 0);
        let room = look(&transport, 0, 64);
        let parts: Vec<_> = room.parts.iter().map(|part| (part.present, part.begins)).collect();
        assert_eq!(parts, [((0, 40), true), ((40, 64), true)]);
        assert_eq!(transport.state(64), (24, true));
    }

    #[test]
    fn a_clock_that_stands_takes_any_number_of_changes() {
        use TransportChange::{Locate, Loop, Pause, Play, Stop};
        let mut transport = Transport::new(Start { position: 9, rolling: true, ..Start::default() });
        for round in 0..100 {
            for change in [Locate(round), Loop(Some((0, 1000 + round))), Pause, Locate(5), Play, Stop, Play] {
                assert!(transport.has_room(64), "{round}");
                transport.change(change, 64, 10);
            }
        }
        assert_eq!(transport.state(70), (11, true));
        // What was played before still fades out, once.
        assert_eq!(look(&transport, 64, 10).parts.len(), 2);
        assert_eq!(positions(&transport, 64, 10), [(0, 10, 5, true)]);
    }

    #[test]
    fn a_late_stage_looks_back() {
        let mut transport = Transport::new(Start { rolling: true, ..Start::default() });
        transport.change(TransportChange::Locate(5000), 100, 10);
        transport.advance(128, 64, 50);
        // Fifty frames late, the locate is still to come.
        assert_eq!(positions(&transport, 78, 10), [(0, 10, 78, false)]);
        let room = look(&transport, 98, 20);
        assert_eq!(room.parts.iter().map(|p| p.present).collect::<Vec<_>>(), [(0, 2), (0, 0), (2, 20)]);
        assert_eq!(positions(&transport, -5, 10), [(5, 5, 0, true)]);
    }

    #[test]
    fn another_loop_goes_on_where_the_course_was() {
        let mut transport = Transport::new(Start { rolling: true, ..Start::default() });
        transport.change(TransportChange::Loop(Some((0, 1000))), 600, 10);
        assert_eq!(positions(&transport, 990, 20), [(0, 10, 990, false), (10, 10, 0, true)]);
        let room = look(&transport, 590, 20);
        assert_eq!(room.parts.iter().map(|p| p.begins).collect::<Vec<_>>(), [false, false]);
    }
}
