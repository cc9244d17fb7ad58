//! Levels, from the audio thread to whoever looks.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
};

use aulos_protocol::Rate;

use crate::{
    dsp::{decibels, loudness::Loudness},
    ear::Ear,
};

/// How long the highest peak is held, in ms.
const HOLD_MS: f64 = 2000.0;
/// Over how many hops of a hundredth of a second the power is averaged.
const HOPS: usize = 30;

/// What a meter shows of one channel; linear, 1 is full scale.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Level {
    /// The highest absolute sample since it was read last.
    pub peak: f32,
    /// The root of the mean square of the last 300 ms; a sine of full scale has 0.707.
    pub rms: f32,
    /// The highest absolute sample of the last 2 s and longer: it falls when nothing higher came for 2 s.
    pub hold: f32,
}

/// The levels of some channels: the audio thread writes them, anybody reads.
#[derive(Debug)]
pub struct Meter {
    channels: Box<[Channel]>,
    /// By how many dB it was turned down at most since it was read last, where something does.
    reduction: Option<AtomicU32>,
    loudness: Option<Published>,
    /// There from the first time that somebody listens.
    ear: OnceLock<Ear>,
}

/// What was measured of the loudness, as bits; what is not known is NaN.
#[derive(Debug)]
struct Published {
    /// Momentary, short-term, integrated loudness and range.
    values: [AtomicU32; 4],
    true_peak: AtomicU32,
    /// Whether to begin anew.
    reset: AtomicBool,
}

/// Bits of non-negative floats, which are in the same order as the floats.
#[derive(Debug, Default)]
struct Channel {
    peak: AtomicU32,
    rms: AtomicU32,
    hold: AtomicU32,
}

impl Meter {
    /// A meter of `channels` channels.
    pub fn new(channels: usize) -> Self {
        Self {
            channels: (0..channels).map(|_| Channel::default()).collect(),
            reduction: None,
            loudness: None,
            ear: OnceLock::new(),
        }
    }

    /// A meter that shows a reduction, too.
    pub(crate) fn of_dynamics(channels: usize) -> Self {
        Self { reduction: Some(AtomicU32::new(0)), ..Self::new(channels) }
    }

    /// A meter that shows loudness and, if there is a limiter, its reduction.
    pub(crate) fn of_master(channels: usize, limited: bool) -> Self {
        let values = [(); 4].map(|()| AtomicU32::new(f32::NAN.to_bits()));
        let loudness = Published { values, true_peak: AtomicU32::new(0), reset: AtomicBool::new(false) };
        let reduction = limited.then(|| AtomicU32::new(0));
        Self { reduction, loudness: Some(loudness), ..Self::new(channels) }
    }

    /// [audio thread] Notes that something was turned down by this factor.
    pub(crate) fn reduce(&self, factor: f64) {
        if let Some(reduction) = &self.reduction {
            let db = (-decibels(factor)).max(0.0) as f32;
            reduction.fetch_max(db.to_bits(), Relaxed);
        }
    }

    /// By how many dB it was turned down at most since this was asked last; `None` where nothing does.
    pub fn take_reduction(&self) -> Option<f32> {
        Some(f32::from_bits(self.reduction.as_ref()?.swap(0, Relaxed)))
    }

    /// [audio thread] Publishes what was measured.
    pub(crate) fn set_loudness(&self, measured: &Loudness) {
        let Some(published) = &self.loudness else { return };
        let Loudness { momentary, short_term, integrated, range, true_peak } = *measured;
        for (to, value) in published.values.iter().zip([momentary, short_term, integrated, range]) {
            to.store(value.map_or(f32::NAN, |value| value as f32).to_bits(), Relaxed);
        }
        published.true_peak.store(true_peak.to_bits(), Relaxed);
    }

    /// The loudness, where it is measured.
    pub fn loudness(&self) -> Option<Loudness> {
        let published = self.loudness.as_ref()?;
        let load = |bits: &AtomicU32| f32::from_bits(bits.load(Relaxed));
        let [momentary, short_term, integrated, range] =
            [0, 1, 2, 3].map(|n| Some(f64::from(load(&published.values[n]))).filter(|value| !value.is_nan()));
        let true_peak = load(&published.true_peak);
        Some(Loudness { momentary, short_term, integrated, range, true_peak })
    }

    /// Lets integrated loudness, range and true peak begin anew with the next block. Answers whether they are
    /// measured here.
    pub fn reset_loudness(&self) -> bool {
        self.loudness.as_ref().inspect(|published| published.reset.store(true, Relaxed)).is_some()
    }

    /// [audio thread] Whether a reset was asked for.
    pub(crate) fn take_loudness_reset(&self) -> bool {
        self.loudness.as_ref().is_some_and(|published| published.reset.swap(false, Relaxed))
    }

    /// What keeps the sound for those who listen; made if it is not there.
    pub(crate) fn open_ear(&self, rate: Rate) -> &Ear {
        self.ear.get_or_init(|| Ear::new(self.channels.len(), rate))
    }

    /// [audio thread] What keeps the sound, if anybody has ever listened.
    pub(crate) fn ear(&self) -> Option<&Ear> {
        self.ear.get()
    }

    /// What it shows, by channel; peaks begin anew.
    pub fn take(&self) -> Vec<Level> {
        let load = |bits: &AtomicU32| f32::from_bits(bits.load(Relaxed));
        let level = |channel: &Channel| Level {
            peak: f32::from_bits(channel.peak.swap(0, Relaxed)),
            rms: load(&channel.rms),
            hold: load(&channel.hold),
        };
        self.channels.iter().map(level).collect()
    }
}

/// What measures one channel of a [`Meter`].
#[derive(Clone, Debug)]
pub(crate) struct Gauge {
    /// Frames in a hop.
    hop: usize,
    /// How many frames of the present hop have passed, and the sum of their squares.
    passed: usize,
    sum: f64,
    /// The sums of the hops before.
    sums: [f64; HOPS],
    at: usize,
    hold: f32,
    /// How many frames the peak that is held has still to live.
    held: usize,
    longest: usize,
}

impl Gauge {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            hop: (rate.hz() as usize / 100).max(1),
            passed: 0,
            sum: 0.0,
            sums: [0.0; HOPS],
            at: 0,
            hold: 0.0,
            held: 0,
            longest: rate.frames_in_ms(HOLD_MS) as usize,
        }
    }

    /// [audio thread] Looks at a block of a channel.
    pub(crate) fn look(&mut self, meter: &Meter, channel: usize, block: &[f32]) {
        let channel = &meter.channels[channel];
        // An infinite one is stopped behind the stage.
        let peak = block.iter().fold(0.0f32, |peak, x| peak.max(x.abs())).min(f32::MAX);
        channel.peak.fetch_max(peak.to_bits(), Relaxed);
        if peak >= self.hold || self.held <= block.len() {
            (self.hold, self.held) = (peak, self.longest);
            channel.hold.store(peak.to_bits(), Relaxed);
        } else {
            self.held -= block.len();
        }
        let mut rest = block;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(self.hop - self.passed));
            self.sum += now.iter().filter(|x| x.is_finite()).map(|x| f64::from(x * x)).sum::<f64>();
            self.passed += now.len();
            rest = later;
            if self.passed == self.hop {
                self.sums[self.at] = self.sum;
                self.at = (self.at + 1) % HOPS;
                (self.sum, self.passed) = (0.0, 0);
                let mean = self.sums.iter().sum::<f64>() / (HOPS * self.hop) as f64;
                channel.rms.store((mean.sqrt() as f32).min(f32::MAX).to_bits(), Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    /// What a meter shows of `sound` given to it in blocks of `block`.
    fn shown(sound: &[f32], block: usize) -> Level {
        let meter = Meter::new(1);
        let mut gauge = Gauge::new(Rate::default());
        sound.chunks(block).for_each(|block| gauge.look(&meter, 0, block));
        meter.take()[0]
    }

    #[test]
    fn a_sine_has_the_level_of_its_definition() {
        let sine: Vec<f32> =
            (0..48_000).map(|n| (f64::from(n) * TAU * 1000.0 / 48_000.0).sin() as f32 * 0.5).collect();
        for block in [1, 64, 997] {
            let level = shown(&sine, block);
            assert!((level.rms - 0.5 / 2f32.sqrt()).abs() < 1e-4, "{level:?}");
            assert!((level.peak - 0.5).abs() < 1e-6 && level.hold == level.peak, "{level:?}");
        }
    }

    #[test]
    fn a_peak_is_held_for_two_seconds() {
        let mut sound = vec![0.1; 200_000];
        sound[100] = 0.9;
        assert_eq!(shown(&sound[..96_000], 100).hold, 0.9);
        assert_eq!(shown(&sound[..97_000], 100).hold, 0.1);
        assert_eq!(shown(&sound, 64).rms, 0.1);
        let meter = Meter::new(1);
        Gauge::new(Rate::default()).look(&meter, 0, &sound[..200]);
        assert_eq!((meter.take()[0].peak, meter.take()[0].peak), (0.9, 0.0));
    }
}
