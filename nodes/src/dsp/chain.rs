//! A gate and a compressor behind it, with what they listen to.

use super::{
    compressor::{Compressor, Curve, Rms},
    design::{Kind, Shape},
    finite,
    gate::{Gate, Limits},
    svf::{Step, Svf},
};

/// Frames that are computed at once.
pub const CHUNK: usize = 64;

/// What is set on a chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Of the compressor.
    pub curve: Curve,
    /// Of the compressor, in seconds.
    pub attack: f64,
    /// Of the compressor, in seconds.
    pub release: f64,
    /// Of the gate.
    pub limits: Limits,
    /// Whether the sidechain is listened to, and not what comes in.
    pub from_sidechain: bool,
    /// Whether the compressor goes by the RMS, and not by peaks.
    pub by_rms: bool,
    /// Whether bass is cut from what is listened to.
    pub low_cut: bool,
    /// The corner of that cut, in Hz.
    pub low_cut_frequency: f64,
}

/// What was heard in the frames of a piece.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    peaks: [f64; CHUNK],
    levels: [f64; CHUNK],
}

impl Key {
    /// Nothing.
    pub const SILENT: Self = Self { peaks: [0.0; CHUNK], levels: [0.0; CHUNK] };
}

/// Gate, compressor and the detectors of what they listen to. What is set holds at once, so that whoever hears it has
/// to cross over.
pub struct Chain {
    rate: f64,
    settings: Settings,
    gate: Gate,
    compressor: Compressor,
    rms: Rms,
    /// The low cut, channel by channel.
    filters: Vec<Svf<1>>,
    low_cut: Step,
}

/// The filter of what is listened to.
fn low_cut(hz: f64, rate: f64) -> Step {
    let q = std::f64::consts::FRAC_1_SQRT_2;
    let shape = Shape { kind: Kind::LowCut, frequency: hz / rate, gain: 0.0, q, steep: false };
    Step::from(&shape.sections()[0])
}

impl Chain {
    /// A chain for so many channels whose gate is closed and whose compressor reduces nothing yet.
    pub fn new(channels: usize, rate: f64, settings: Settings) -> Self {
        let mut chain = Self {
            rate,
            settings,
            gate: Gate::new(rate, &settings.limits),
            compressor: Compressor::new(rate, settings.curve),
            rms: Rms::new(channels, rate),
            filters: vec![Svf::default(); channels],
            low_cut: low_cut(settings.low_cut_frequency, rate),
        };
        chain.set(settings);
        chain
    }

    /// What is set.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// [audio thread] Sets everything; what is under way goes on from where it is.
    pub fn set(&mut self, settings: Settings) {
        if settings.low_cut && !self.settings.low_cut {
            // They have not run since it was switched off.
            self.filters.fill(Svf::default());
        }
        if settings.low_cut_frequency != self.settings.low_cut_frequency {
            self.low_cut = low_cut(settings.low_cut_frequency, self.rate);
        }
        self.compressor.curve = settings.curve;
        self.compressor.set_attack(settings.attack);
        self.compressor.set_release(settings.release);
        self.gate.set(&settings.limits);
        self.settings = settings;
    }

    /// [audio thread] Becomes what `other`, which has as many channels, is.
    pub fn copy_from(&mut self, other: &Self) {
        let Self { rate, settings, gate, compressor, rms, filters, low_cut } = other;
        (self.rate, self.settings, self.low_cut) = (*rate, *settings, *low_cut);
        (self.gate, self.compressor) = (gate.clone(), compressor.clone());
        self.rms.copy_from(rms);
        self.filters.copy_from_slice(filters);
    }

    /// [audio thread] Adds a channel of what is listened to, at most [`CHUNK`] frames of it.
    pub fn listen(&mut self, channel: usize, samples: &[f32], key: &mut Key) {
        let Settings { by_rms, low_cut, .. } = self.settings;
        for ((x, peak), level) in samples.iter().zip(&mut key.peaks).zip(&mut key.levels) {
            let mut x = f64::from(finite(*x));
            if low_cut {
                [x] = self.filters[channel].next(&self.low_cut, [x]);
            }
            *peak = peak.max(x.abs());
            // Also while nobody goes by it, so that it is right from the frame on in which that begins.
            self.rms.add(channel, x);
            if by_rms {
                *level = level.max(self.rms.level(channel));
            }
        }
    }

    /// [audio thread] The gate's gain of the frame that is the `offset`-th of the key.
    #[inline]
    pub fn gate(&mut self, key: &Key, offset: usize) -> f64 {
        self.gate.next(key.peaks[offset])
    }

    /// [audio thread] The compressor's gain of that frame, which the gate turns down by `gate`.
    #[inline]
    pub fn compressor(&mut self, key: &Key, offset: usize, gate: f64) -> f64 {
        let level = if self.settings.by_rms { key.levels[offset] } else { key.peaks[offset] };
        // What comes in is heard behind the gate.
        self.compressor.next(level * if self.settings.from_sidechain { 1.0 } else { gate })
    }
}
