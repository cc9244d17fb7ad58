//! The edge between a device and the engine: where the two have different rates, sound is resampled here, on the
//! device's thread, each way.
//!
//! The device is the clock. What it wants to play is made of as many frames of the engine as the filter asks for, so
//! that the engine's cycles vary by a frame. The filters are those of `rubato`: windowed sinc functions, read off
//! between their points by cubic interpolation.

use std::collections::VecDeque;

use aulos_engine::{Clock, audio::denormals, guard};
use aulos_protocol::{Error, ErrorCode, Rate};
use rubato::{
    Async, FixedAsync, Indexing, Resampler as _, Resizable as _, SincInterpolationParameters,
    SincInterpolationType, WindowFunction, audioadapter_buffers::direct::SequentialSliceOfVecs,
};

use super::seat::Seat;

/// The points of the filter on the side of the lower rate: it passes up to 0.45 of that rate.
const POINTS: f64 = 320.0;
/// The most points of a filter.
const MOST_POINTS: f64 = 2048.0;
/// Frames of the device that are resampled at once.
const PART: usize = 1024;
/// Frames of the engine's rate by which recording is ahead of playback at least: both filters take whole frames.
const SLACK: f64 = 4.0;

/// What a device does in a cycle, of which `edge` asks for one part after the other.
pub trait Ends {
    /// [audio thread] Puts the device's frames `at..at + frames` into the channels of `capture`.
    fn record(&mut self, at: usize, frames: usize, capture: &mut [Vec<f32>]);

    /// [audio thread] Takes the first `frames` frames of `playback` as those from `at` on.
    fn play(&mut self, at: usize, frames: usize, playback: &[Vec<f32>]);
}

/// How a cycle of a device is run.
pub struct Turn<'a> {
    /// Frames of the device.
    pub frames: usize,
    /// Channels that are recorded.
    pub recorded: usize,
    /// Channels that are played.
    pub played: usize,
    /// What tells the engine when it is late.
    pub clock: &'a dyn Clock,
    /// When the cycle should be over, on that clock.
    pub deadline: u64,
}

/// What is between the frames of an engine and those of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    engine: Rate,
    device: Rate,
    /// How much later sound is for the edge, in frames of the engine.
    playback: u64,
    capture: u64,
}

impl Crossing {
    /// Frames of the engine after which it is heard what the device plays after `frames` of its own.
    pub fn playback(&self, frames: u64) -> u64 {
        self.in_engine(frames) + self.playback
    }

    /// Frames of the engine ago when it was sound what the device records after `frames` of its own.
    pub fn capture(&self, frames: u64) -> u64 {
        self.in_engine(frames) + self.capture
    }

    /// Frames of the device that sound takes from it through the engine, which takes `frames`, and back.
    pub fn round(&self, frames: u64) -> u64 {
        convert(frames.saturating_add(self.playback + self.capture), self.engine, self.device)
    }

    fn in_engine(&self, frames: u64) -> u64 {
        convert(frames, self.device, self.engine)
    }
}

/// Frames at rate `to` that last as long as so many at rate `from`, rounded up.
fn convert(frames: u64, from: Rate, to: Rate) -> u64 {
    let frames = (u128::from(frames) * u128::from(to.hz())).div_ceil(u128::from(from.hz()));
    u64::try_from(frames).unwrap_or(u64::MAX)
}

/// Runs cycles of a device in those of the engine.
pub struct Edge {
    crossing: Crossing,
    converter: Option<Box<Converter>>,
}

impl Edge {
    /// Between an engine of rate `engine` and a device of rate `device`, for up to so many channels each way.
    /// With equal rates samples pass as they are.
    ///
    /// # Errors
    /// `Unavailable` if rates are too far apart.
    pub fn new(engine: Rate, device: Rate, recorded: usize, played: usize) -> Result<Self, Error> {
        let converter = match engine == device {
            true => None,
            false => Some(Box::new(Converter::new(engine, device, recorded, played)?)),
        };
        let delays = converter.as_ref().map(|converter| converter.delays);
        let (playback, capture) = delays.unwrap_or((0, 0));
        Ok(Self { crossing: Crossing { engine, device, playback, capture }, converter })
    }

    /// What is between the two.
    pub fn crossing(&self) -> Crossing {
        self.crossing
    }

    /// How many frames of the engine a cycle of `frames` frames of the device may take at most.
    pub fn most(&self, frames: usize) -> u64 {
        // One for the filter in each part.
        self.crossing.in_engine(frames as u64) + (frames / PART + 2) as u64
    }

    /// [audio thread] Runs a cycle of the device. Frames that were recorded and are left out, or missing, between the
    /// two filters are counted in what it answers with: there are none unless arithmetic is wrong.
    pub fn cycle(&mut self, seat: &mut Seat, turn: &Turn<'_>, ends: &mut impl Ends) -> u64 {
        denormals::flushed(|| self.run(seat, turn, ends))
    }

    fn run(&mut self, seat: &mut Seat, turn: &Turn<'_>, ends: &mut impl Ends) -> u64 {
        let mut slipped = 0;
        let mut at = 0;
        while at < turn.frames {
            let left = turn.frames - at;
            let part = match &mut self.converter {
                None => {
                    let part = left.min(seat.block());
                    ends.record(at, part, seat.capture(turn.recorded));
                    seat.cycle(part, turn.played, turn.clock, turn.deadline);
                    ends.play(at, part, &seat.playback()[..turn.played]);
                    part
                }
                Some(converter) => {
                    let part = left.min(PART);
                    ends.record(at, part, &mut converter.recorded[..turn.recorded]);
                    slipped += converter.part(seat, part, turn);
                    ends.play(at, part, &converter.played[..turn.played]);
                    part
                }
            };
            at += part;
        }
        slipped
    }
}

/// What is needed where rates differ.
struct Converter {
    /// How much later it plays and records, in frames of the engine.
    delays: (u64, u64),
    /// At the device's rate: what it has recorded, and what it is to play.
    recorded: Vec<Vec<f32>>,
    played: Vec<Vec<f32>>,
    /// At the engine's rate: what was made of the one, and of what the other is made.
    taken: Vec<Vec<f32>>,
    given: Vec<Vec<f32>>,
    /// Frames that wait for the engine, by channel, and how many can.
    waiting: Vec<VecDeque<f32>>,
    room: usize,
    inward: Async<f32>,
    outward: Async<f32>,
    inner: Indexing,
    outer: Indexing,
    /// The channels that the filters hear.
    hears: (Ringing, Ringing),
}

/// How many channels a filter hears: one that is not used any more hears silence until it has forgotten what it heard,
/// or it would be there still when the channel comes back.
struct Ringing {
    channels: usize,
    /// Frames that go into it until it has forgotten.
    memory: usize,
    left: usize,
}

impl Ringing {
    fn new(memory: usize) -> Self {
        Self { channels: 0, memory, left: 0 }
    }

    /// How many channels it hears of `frames` frames in which `used` are used; those beyond them are made silent.
    fn hear(&mut self, used: usize, frames: usize, channels: &mut [Vec<f32>]) -> usize {
        if used >= self.channels {
            (self.channels, self.left) = (used, self.memory);
        } else if self.left == 0 {
            self.channels = used;
        } else {
            self.left = self.left.saturating_sub(frames);
        }
        channels[used..self.channels].iter_mut().for_each(|channel| channel[..frames].fill(0.0));
        self.channels
    }
}

/// The points of a filter that makes `ratio` frames of one: a multiple of 8, as the library has it.
fn points(ratio: f64) -> usize {
    ((POINTS / ratio.min(1.0)).min(MOST_POINTS) as usize).next_multiple_of(8)
}

fn filter(from: Rate, to: Rate, channels: usize, fixed: FixedAsync) -> Result<Async<f32>, Error> {
    let ratio = f64::from(to.hz()) / f64::from(from.hz());
    let parameters = SincInterpolationParameters {
        sinc_len: points(ratio),
        f_cutoff: None,
        oversampling_factor: 256,
        interpolation: SincInterpolationType::Cubic,
        window: WindowFunction::BlackmanHarris2,
    };
    // A filter has a channel at least.
    Async::new_sinc(ratio, 1.0, &parameters, PART, channels.max(1), fixed).map_err(|error| {
        let text = format!("{} Hz cannot be made of {} Hz: {error}", to.hz(), from.hz());
        Error::new(ErrorCode::Unavailable, text).remedy("make a session of the device's rate")
    })
}

fn silent(channels: usize, frames: usize) -> Vec<Vec<f32>> {
    vec![vec![0.0; frames]; channels.max(1)]
}

impl Converter {
    fn new(engine: Rate, device: Rate, recorded: usize, played: usize) -> Result<Self, Error> {
        let ratio = f64::from(engine.hz()) / f64::from(device.hz());
        let inward = filter(device, engine, recorded, FixedAsync::Input)?;
        let outward = filter(engine, device, played, FixedAsync::Output)?;
        // The filter for what is recorded gives its frames two of the device's late.
        let ahead = (2.0 * ratio).ceil() + SLACK;
        // A filter's middle is half its points late, and it has the frame after the one that it is asked for.
        let playback = points(1.0 / ratio) as f64 / 2.0;
        let capture = (points(ratio) as f64 / 2.0 - 1.0) * ratio + ahead - 2.0;
        let delays = (playback.round() as u64, capture.round() as u64);
        let (most_taken, most_given) = (inward.output_frames_max(), outward.input_frames_max());
        let room = most_taken.max(most_given) * 2 + ahead as usize;
        let waiting = || {
            let mut frames = VecDeque::with_capacity(room);
            frames.resize(ahead as usize, 0.0);
            frames
        };
        let mask = |channels: usize| Indexing {
            active_channels_mask: Some(vec![true; channels.max(1)]),
            ..Indexing::default()
        };
        Ok(Self {
            delays,
            recorded: silent(recorded, PART),
            played: silent(played, PART),
            taken: silent(recorded, most_taken),
            given: silent(played, most_given),
            waiting: (0..recorded).map(|_| waiting()).collect(),
            room,
            inward,
            outward,
            inner: mask(recorded),
            outer: mask(played),
            // Twice the points: some wait in front of the filter.
            hears: (Ringing::new(2 * points(ratio)), Ringing::new(2 * points(1.0 / ratio))),
        })
    }

    /// [audio thread] Makes `frames` frames of what is played, and takes as many of what was recorded.
    fn part(&mut self, seat: &mut Seat, frames: usize, turn: &Turn<'_>) -> u64 {
        self.resize(frames);
        let mut slipped = guard::realtime(|| self.take(frames, turn.recorded));
        let needed = self.outward.input_frames_next();
        let mut at = 0;
        while at < needed {
            let part = (needed - at).min(seat.block());
            slipped += self.hand(seat.capture(turn.recorded), part);
            seat.cycle(part, turn.played, turn.clock, turn.deadline);
            for (given, played) in self.given.iter_mut().zip(&seat.playback()[..turn.played]) {
                given[at..at + part].copy_from_slice(&played[..part]);
            }
            at += part;
        }
        guard::realtime(|| self.give(frames, turn.played));
        slipped
    }

    fn resize(&mut self, frames: usize) {
        // It is at most what the filters were made for, and not 0.
        let resized = self.outward.set_chunk_size(frames).and_then(|()| self.inward.set_chunk_size(frames));
        debug_assert!(resized.is_ok());
    }

    /// Resamples what was recorded. Answers with the frames that find no room.
    fn take(&mut self, frames: usize, channels: usize) -> u64 {
        let made = self.inward.output_frames_next();
        let heard = self.hears.0.hear(channels, frames, &mut self.recorded);
        run(&mut self.inward, &mut self.inner, heard, (&self.recorded, frames), (&mut self.taken, made));
        let mut slipped = 0;
        for (channel, (waiting, taken)) in self.waiting.iter_mut().zip(&self.taken).enumerate() {
            let surplus = (waiting.len() + made).saturating_sub(self.room);
            slipped = surplus as u64;
            waiting.drain(..surplus);
            let silent = channel >= channels;
            waiting.extend(taken[..made].iter().map(|sample| if silent { 0.0 } else { *sample }));
        }
        slipped
    }

    /// Gives the engine `frames` frames of what was recorded. Answers with those that are missing.
    fn hand(&mut self, capture: &mut [Vec<f32>], frames: usize) -> u64 {
        let mut missing = 0;
        for (channel, waiting) in self.waiting.iter_mut().enumerate() {
            let there = frames.min(waiting.len());
            missing = (frames - there) as u64;
            let samples = waiting.drain(..there);
            if let Some(out) = capture.get_mut(channel) {
                out[..there].iter_mut().zip(samples).for_each(|(out, sample)| *out = sample);
                out[there..frames].fill(0.0);
            }
        }
        missing
    }

    /// Resamples what is to be played.
    fn give(&mut self, frames: usize, channels: usize) {
        let needed = self.outward.input_frames_next();
        let heard = self.hears.1.hear(channels, needed, &mut self.given);
        run(&mut self.outward, &mut self.outer, heard, (&self.given, needed), (&mut self.played, frames));
    }
}

/// Runs a filter for the first `channels` channels.
fn run(
    filter: &mut Async<f32>,
    indexing: &mut Indexing,
    channels: usize,
    (from, frames_in): (&[Vec<f32>], usize),
    (to, frames_out): (&mut [Vec<f32>], usize),
) {
    let active = indexing.active_channels_mask.iter_mut().flatten().enumerate();
    active.for_each(|(channel, active)| *active = channel < channels);
    let all = from.len();
    let done = SequentialSliceOfVecs::new(from, all, frames_in).and_then(|from| {
        let mut to = SequentialSliceOfVecs::new_mut(to, all, frames_out)?;
        Ok(filter.process_into_buffer(&from, &mut to, Some(indexing)))
    });
    // Only buffers of the wrong size are refused.
    debug_assert!(matches!(done, Ok(Ok(_))));
}

#[cfg(test)]
#[path = "edge_tests.rs"]
mod tests;
