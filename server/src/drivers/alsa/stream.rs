//! The device's two streams: playback is the clock; what is recorded waits for it in a ring.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use aulos_protocol::Rate;
use cpal::Data;
use rtrb::{Consumer, Producer};

use super::{
    super::{
        Stats,
        berth::Hold,
        edge::{self, Edge},
        monotonic::{self, Monotonic, SECOND, duration_ns},
        realtime,
        seat::DEVICE_BLOCK,
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
    /// Whether the streams go to another device since this was asked last.
    pub changed: AtomicBool,
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
    edge: Edge,
    stats: Arc<Stats>,
    shared: Arc<Shared>,
    /// The device's.
    rate: Rate,
    writer: Writer,
    recorded: Option<Recorded>,
    /// When it was called first, and for how many frames since.
    begun: Option<u64>,
    frames: u64,
}

impl Playback {
    /// For a device of `rate`.
    pub fn new(
        (hold, edge): (Hold, Edge),
        stats: Arc<Stats>,
        shared: Arc<Shared>,
        rate: Rate,
        writer: Writer,
    ) -> Self {
        Self { hold, edge, stats, shared, rate, writer, recorded: None, begun: None, frames: 0 }
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
            self.stats.set_device(realtime::request());
            now
        });
        let channels = self.writer.channels();
        let frames = data.len() / channels;
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
        let Self { hold, edge, writer, recorded, stats, .. } = self;
        let turn = edge::Turn {
            frames,
            recorded: recorded.as_ref().map_or(0, |recorded| recorded.channels),
            played: channels,
            clock: &Monotonic,
            deadline,
        };
        let slipped = hold.with(|seat| edge.cycle(seat, &turn, &mut Sides { data, writer, recorded, stats }));
        if let Some(slipped) = slipped {
            let (busy, lasts) = (monotonic::now() - now, duration_ns(frames as u64, self.rate));
            self.stats.cycle(busy, lasts, busy > lasts);
            if slipped > 0 {
                self.stats.xrun();
            }
        }
    }
}

/// The device's two sides in a cycle.
struct Sides<'a> {
    data: &'a mut Data,
    writer: &'a mut Writer,
    recorded: &'a mut Option<Recorded>,
    stats: &'a Stats,
}

impl edge::Ends for Sides<'_> {
    fn record(&mut self, _: usize, frames: usize, capture: &mut [Vec<f32>]) {
        if let Some(recorded) = self.recorded {
            recorded.read(capture, frames, self.stats);
        }
    }

    fn play(&mut self, at: usize, frames: usize, playback: &[Vec<f32>]) {
        self.writer.write(self.data, at, frames, playback);
    }
}

/// What the device has recorded, on its way to the engine.
pub struct Recorded {
    samples: Consumer<f32>,
    channels: usize,
    /// The longest piece that the device has recorded at once, in frames.
    longest: Arc<AtomicUsize>,
    /// The longest that was asked for at once.
    asked: usize,
    /// Whether there was enough.
    flows: bool,
}

/// The side that records.
pub struct Recording {
    samples: Producer<f32>,
    channels: usize,
    longest: Arc<AtomicUsize>,
    stats: Arc<Stats>,
}

/// The most that waits between the two sides, in frames: devices record and play in pieces of their own length.
const MOST_WAITING: usize = 4 * DEVICE_BLOCK;

/// A ring between the two sides.
pub fn joined(channels: usize, stats: Arc<Stats>) -> (Recording, Recorded) {
    let (samples, outgoing) = rtrb::RingBuffer::new(channels * MOST_WAITING);
    let longest = Arc::new(AtomicUsize::new(0));
    let recorded = Recorded { samples: outgoing, channels, longest: longest.clone(), asked: 0, flows: false };
    (Recording { samples, channels, longest, stats }, recorded)
}

impl Recording {
    /// [the device's recording thread] Takes what was recorded; what finds no room is dropped and counted.
    pub fn call(&mut self, data: &Data) {
        self.longest.fetch_max(data.len() / self.channels, Relaxed);
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
    /// How many frames wait at least before the first are taken, so that the two sides may jitter.
    fn cushion(&self) -> usize {
        (self.longest.load(Relaxed).max(self.asked) * 2).min(MOST_WAITING / 4)
    }

    /// [audio thread] Moves `frames` frames to `capture`. When there are too few, they are silent; when the device
    /// records faster than it plays, some are left out. Both is counted.
    fn read(&mut self, capture: &mut [Vec<f32>], frames: usize, stats: &Stats) {
        self.asked = self.asked.max(frames);
        let there = self.samples.slots() / self.channels;
        let cushion = self.cushion();
        let needed = if self.flows { frames } else { frames.max(cushion) };
        if there < needed {
            if self.flows {
                stats.xrun();
                self.flows = false;
            }
            capture.iter_mut().for_each(|channel| channel[..frames].fill(0.0));
            return;
        }
        self.flows = true;
        let most = cushion * 2 + frames;
        if there > most {
            stats.xrun();
            let surplus = (there - cushion.max(frames)) * self.channels;
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
