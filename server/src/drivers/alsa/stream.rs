//! The device's two streams: playback is the clock; what is recorded waits for it in a ring.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use aulos_protocol::Rate;
use cpal::Data;
use rtrb::{Consumer, Producer};

use super::{
    super::{
        Stats,
        berth::Hold,
        monotonic::{self, Monotonic, SECOND, duration_ns},
        realtime,
        seat::Seat,
    },
    format::{self, Writer},
};

/// What the streams tell.
#[derive(Default)]
pub struct Shared {
    /// Why a stream has failed.
    failed: Mutex<Option<String>>,
    /// Whether the device takes sound faster than time passes.
    unpaced: AtomicBool,
    /// How many frames later than the callback its samples are heard, and how many earlier they were recorded.
    pub playback_latency: AtomicU64,
    /// As the other.
    pub capture_latency: AtomicU64,
}

impl Shared {
    /// Notes a failure; the first one counts.
    pub fn fail(&self, reason: String) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
    }

    /// Why a stream has failed.
    pub fn failure(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the device is no clock.
    pub fn is_unpaced(&self) -> bool {
        self.unpaced.load(Relaxed)
    }
}

/// How much sound a device may take in advance: its own buffers.
const AHEAD_NS: u64 = SECOND;
/// How long a device that is no clock is kept waiting, until it is closed.
const BRAKE: std::time::Duration = std::time::Duration::from_millis(20);

/// The side that plays.
pub struct Playback {
    hold: Hold,
    stats: Arc<Stats>,
    shared: Arc<Shared>,
    rate: Rate,
    channels: usize,
    writer: Writer,
    recorded: Option<Recorded>,
    /// When it was called first, and for how many frames since.
    begun: Option<u64>,
    frames: u64,
}

impl Playback {
    /// For a device of so many channels.
    pub fn new(
        hold: Hold,
        stats: Arc<Stats>,
        shared: Arc<Shared>,
        rate: Rate,
        channels: usize,
        writer: Writer,
    ) -> Self {
        Self { hold, stats, shared, rate, channels, writer, recorded: None, begun: None, frames: 0 }
    }

    /// With what the device records.
    pub fn with(mut self, recorded: Option<Recorded>) -> Self {
        self.recorded = recorded;
        self
    }

    /// [audio thread] Fills `data`, which is silent so far.
    pub fn call(&mut self, data: &mut Data) {
        let now = monotonic::now();
        let begun = *self.begun.get_or_insert_with(|| {
            self.stats.set_realtime(realtime::request());
            now
        });
        let frames = data.len() / self.channels;
        self.frames += frames as u64;
        let lasts = duration_ns(self.frames, self.rate);
        // A clock may be fast by a thousandth, never by a tenth.
        if lasts > (now - begun) / 10 * 11 + AHEAD_NS {
            self.shared.unpaced.store(true, Relaxed);
        }
        if self.shared.is_unpaced() {
            std::thread::sleep(BRAKE);
            return;
        }
        let deadline = now + duration_ns(frames as u64, self.rate);
        let Self { hold, writer, recorded, channels, stats, .. } = self;
        let work = |seat: &mut Seat| {
            let mut done = 0;
            while done < frames {
                let part = (frames - done).min(seat.block());
                if let Some(recorded) = recorded {
                    recorded.read(seat, part, stats);
                }
                seat.cycle(part, *channels, &Monotonic, deadline);
                writer.write(data, done, part, *channels, &seat.playback()[..*channels]);
                done += part;
            }
        };
        if hold.with(work).is_some() {
            let (busy, lasts) = (monotonic::now() - now, duration_ns(frames as u64, self.rate));
            self.stats.cycle(busy, lasts, busy > lasts);
        }
    }
}

/// What the device has recorded, on its way to the engine.
pub struct Recorded {
    samples: Consumer<f32>,
    channels: usize,
    /// How many frames wait at least before the first are taken, so that the two streams may jitter.
    cushion: usize,
    /// Whether there was enough.
    flows: bool,
}

/// The side that records.
pub struct Recording {
    samples: Producer<f32>,
    channels: usize,
    stats: Arc<Stats>,
}

/// A ring between the two sides, for a device whose cycles have `block` frames.
pub fn joined(channels: usize, block: usize, stats: Arc<Stats>) -> (Recording, Recorded) {
    const BLOCKS: usize = 8;
    let (samples, outgoing) = rtrb::RingBuffer::new(channels * block * BLOCKS);
    let recorded = Recorded { samples: outgoing, channels, cushion: block * 2, flows: false };
    (Recording { samples, channels, stats }, recorded)
}

impl Recording {
    /// [the device's recording thread] Takes what was recorded; what finds no room is dropped and counted.
    pub fn call(&mut self, data: &Data) {
        let room = self.samples.slots() / self.channels * self.channels;
        let len = data.len().min(room);
        if len < data.len() {
            self.stats.xrun();
        }
        let mut taken = 0;
        let samples = &mut self.samples;
        format::read(data, |sample| {
            if taken < len {
                taken += 1;
                // There is room.
                let _ = samples.push(sample);
            }
        });
    }
}

impl Recorded {
    /// [audio thread] Moves `frames` frames to the seat. When there are too few, they are silent; when the device
    /// records faster than it plays, some are left out. Both is counted.
    fn read(&mut self, seat: &mut Seat, frames: usize, stats: &Stats) {
        let capture = seat.capture(self.channels);
        let there = self.samples.slots() / self.channels;
        let needed = if self.flows { frames } else { frames.max(self.cushion) };
        if there < needed {
            if self.flows {
                stats.xrun();
                self.flows = false;
            }
            capture.iter_mut().for_each(|channel| channel[..frames].fill(0.0));
            return;
        }
        self.flows = true;
        let most = self.cushion * 2 + frames;
        if there > most {
            stats.xrun();
            let surplus = (there - self.cushion.max(frames)) * self.channels;
            if let Ok(chunk) = self.samples.read_chunk(surplus) {
                chunk.commit_all();
            }
        }
        if let Ok(chunk) = self.samples.read_chunk(frames * self.channels) {
            for (index, sample) in chunk.into_iter().enumerate() {
                capture[index % self.channels][index / self.channels] = sample;
            }
        }
    }
}
