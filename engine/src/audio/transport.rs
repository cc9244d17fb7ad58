//! Where the timeline is.

use aulos_nodes::{Fade, Segment, View};

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

/// A course of the timeline.
#[derive(Clone, Copy, Debug)]
struct Course {
    rolling: bool,
    position: u64,
    loop_range: Option<(u64, u64)>,
    fade: Fade,
    /// Its part of the segments.
    segments: (usize, usize),
}

/// How many courses there can be at once: the present one, and those that fade out.
pub const MAX_COURSES: usize = 4;

/// [audio thread] The timeline's courses.
#[derive(Debug)]
pub struct Transport {
    courses: [Course; MAX_COURSES],
    /// How many of the courses are in use; the last one is the present.
    used: usize,
    /// Where [`TransportChange::Stop`] goes.
    return_to: u64,
    segments: Vec<Segment>,
}

impl Transport {
    /// [control thread] A transport for blocks of up to `max_block` frames.
    pub fn new(start: Start, max_block: usize) -> Self {
        let course = Course {
            rolling: start.rolling,
            position: start.position,
            loop_range: start.loop_range,
            fade: Fade::still(1.0),
            segments: (0, 0),
        };
        let most = MAX_COURSES * (max_block / MIN_LOOP as usize + 2);
        Self {
            courses: [course; MAX_COURSES],
            used: 1,
            return_to: start.position,
            segments: Vec::with_capacity(most),
        }
    }

    fn present(&mut self) -> &mut Course {
        &mut self.courses[self.used - 1]
    }

    /// Whether there is room for another course; if not, changes must wait until a fade has ended.
    pub fn has_room(&self) -> bool {
        self.used < MAX_COURSES
    }

    /// The position and whether it rolls.
    pub fn state(&self) -> (u64, bool) {
        let course = &self.courses[self.used - 1];
        (course.position, course.rolling)
    }

    /// Carries out a change at `frame`.
    pub fn change(&mut self, change: TransportChange, frame: u64, fade: u64) {
        let now = *self.present();
        match change {
            TransportChange::Play if now.rolling => {}
            TransportChange::Play => {
                self.return_to = now.position;
                // What stands is silent: the new course takes its place.
                *self.present() = Course { rolling: true, fade: Fade::new(0.0, 1.0, frame, fade), ..now };
            }
            TransportChange::Pause => self.stand(now.position, frame, fade),
            TransportChange::Stop => self.stand(self.return_to, frame, fade),
            TransportChange::Locate(position) => {
                self.return_to = position;
                if now.rolling {
                    self.leave(frame, fade);
                    let fade = Fade::new(0.0, 1.0, frame, fade);
                    *self.present() = Course { position, fade, ..now };
                } else {
                    self.present().position = position;
                }
            }
            TransportChange::Loop(range) => self.present().loop_range = range,
        }
    }

    fn stand(&mut self, position: u64, frame: u64, fade: u64) {
        let now = *self.present();
        if now.rolling {
            self.leave(frame, fade);
        }
        *self.present() = Course { rolling: false, position, fade: Fade::still(1.0), ..now };
    }

    /// Lets the present course fade out and makes room for the next.
    fn leave(&mut self, frame: u64, fade: u64) {
        self.present().fade.turn(0.0, frame, frame, fade);
        self.used += 1;
    }

    /// Moves on by a block that begins at `frame`.
    pub fn advance(&mut self, frame: u64, frames: usize) {
        self.forget_silent(frame);
        self.segments.clear();
        for course in &mut self.courses[..self.used] {
            let first = self.segments.len();
            let mut offset = 0;
            while course.rolling && offset < frames {
                let to_end = match course.loop_range {
                    Some((_, end)) if course.position < end => end - course.position,
                    _ => u64::MAX,
                };
                let len = to_end.min((frames - offset) as u64) as usize;
                self.segments.push(Segment { offset, len, position: course.position });
                offset += len;
                course.position += len as u64;
                if let Some((start, end)) = course.loop_range
                    && len as u64 == to_end
                    && course.position == end
                {
                    course.position = start;
                }
            }
            course.segments = (first, self.segments.len());
        }
    }

    /// Drops the courses that have faded out by `frame`.
    pub fn forget_silent(&mut self, frame: u64) {
        let mut kept = 0;
        for index in 0..self.used {
            if index + 1 == self.used || !self.courses[index].fade.is_silent(frame) {
                self.courses[kept] = self.courses[index];
                kept += 1;
            }
        }
        self.used = kept;
    }

    /// The courses through the block that was advanced over last.
    pub fn views<'a>(&'a self, room: &'a mut [View<'a>; MAX_COURSES]) -> &'a [View<'a>] {
        for (view, course) in room.iter_mut().zip(&self.courses[..self.used]) {
            let (first, last) = course.segments;
            *view = View { segments: &self.segments[first..last], fade: course.fade };
        }
        &room[..self.used]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(transport: &Transport) -> Vec<(usize, usize, u64)> {
        let mut room = [View { segments: &[], fade: Fade::still(0.0) }; MAX_COURSES];
        let views = transport.views(&mut room);
        let present = views[views.len() - 1];
        present.segments.iter().map(|s| (s.offset, s.len, s.position)).collect()
    }

    #[test]
    fn the_seam_of_a_loop_is_on_the_exact_frame() {
        let start = Start { position: 90, rolling: true, loop_range: Some((0, 100)) };
        let mut transport = Transport::new(start, 1024);
        transport.advance(0, 115);
        assert_eq!(positions(&transport), [(0, 10, 90), (10, 100, 0), (110, 5, 0)]);
        transport.advance(115, 95);
        assert_eq!(positions(&transport), [(0, 95, 5)]);
        assert_eq!(transport.state(), (0, true));
    }

    #[test]
    fn behind_the_loop_nothing_wraps() {
        let start = Start { position: 100, rolling: true, loop_range: Some((0, 100)) };
        let mut transport = Transport::new(start, 1024);
        transport.advance(0, 10);
        assert_eq!(positions(&transport), [(0, 10, 100)]);
    }

    #[test]
    fn stopping_returns_and_the_old_course_fades() {
        let mut transport = Transport::new(Start { position: 7, ..Start::default() }, 64);
        transport.change(TransportChange::Play, 0, 10);
        transport.advance(0, 64);
        transport.change(TransportChange::Stop, 64, 10);
        assert_eq!((transport.state(), transport.used), ((7, false), 2));
        transport.advance(64, 16);
        assert_eq!(transport.used, 2);
        transport.forget_silent(80);
        assert_eq!(transport.used, 1);
    }
}
