//! What surfaces need to know of time, and what there is to know of surfaces.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Frames;

/// A straight line between the clock on the wall and the engine's frames: at `unix_ns` the cycle begins whose first
/// frame is `frame`. A line holds until the two clocks have drifted apart by half a frame; then there is another, with
/// a number of its own.
///
/// With the `stepped` driver the clock on the wall is one that stands with the engine: it began when the server did, and
/// moves by what is stepped.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Clock {
    /// The number of the line.
    pub number: u64,
    /// A moment, in ns since the beginning of 1970.
    pub unix_ns: u64,
    /// The frame of that moment.
    pub frame: Frames,
    /// How many frames there are in a second of the clock on the wall.
    pub frames_per_second: f64,
    /// What the clock on the wall shows now.
    pub now_ns: u64,
}

impl Clock {
    /// The frame at a moment, to the nearest; 0 before the first.
    pub fn frame_at(&self, unix_ns: u64) -> Frames {
        let ns = (i128::from(unix_ns) - i128::from(self.unix_ns)) as f64;
        let frames = (ns * self.frames_per_second / 1e9).round() as i128;
        Frames(u64::try_from(i128::from(self.frame.0) + frames).unwrap_or(0))
    }

    /// The moment of a frame.
    pub fn time_of(&self, frame: Frames) -> u64 {
        let frames = (i128::from(frame.0) - i128::from(self.frame.0)) as f64;
        let ns = (frames * 1e9 / self.frames_per_second).round() as i128;
        u64::try_from(i128::from(self.unix_ns) + ns).unwrap_or(0)
    }
}

/// OSC at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OscStatus {
    /// Where it listens, by UDP and TCP; nothing if it is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listens: Option<String>,
    /// Where OSCQuery is served by HTTP; nothing if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Why it does not listen, if it should.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Connections by TCP and WebSocket.
    pub connections: usize,
    /// Clients that are subscribed to something.
    pub subscribers: usize,
    /// Messages that were read.
    pub received: u64,
    /// Packets that were no OSC.
    pub malformed: u64,
    /// Packets and connections of those who may not, or for whom there was no room.
    pub refused: u64,
    /// Messages that were answered with an error.
    pub errors: u64,
    /// Settings that a newer one of the same address has overtaken before they were carried out.
    pub overtaken: u64,
    /// Messages that found no room.
    pub dropped: u64,
    /// Bundles whose time had passed when they came.
    pub late: u64,
    /// Packets that were sent.
    pub sent: u64,
    /// Packets that could not be sent.
    pub unsent: u64,
    /// Connections that were closed as they did not read.
    pub closed: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_frame_has_its_moment_and_the_other_way_round(
            begin in 0..1u64 << 40, frames in 0..400_000_000u64, rate in 8_000.0..384_000.0f64
        ) {
            let unix_ns = 1_800_000_000_000_000_000;
            let frame = Frames(begin);
            let clock = Clock { number: 1, unix_ns, frame, frames_per_second: rate, now_ns: unix_ns };
            let far = Frames(begin + frames);
            prop_assert_eq!(clock.frame_at(clock.time_of(far)), far);
            prop_assert_eq!(clock.frame_at(unix_ns), frame);
        }
    }

    #[test]
    fn what_was_before_the_first_frame_is_the_first() {
        let unix_ns = 1_000_000_000;
        let clock = Clock { number: 1, unix_ns, frame: Frames(9), frames_per_second: 48_000.0, now_ns: 0 };
        assert_eq!((clock.frame_at(0), clock.frame_at(u64::MAX).0 > 1 << 40), (Frames(0), true));
    }
}
