//! The arithmetic of the built-in nodes: filters, dynamics, limiter, loudness.
//!
//! All of it works frame by frame and gives the same bits however a signal is cut into blocks. Nothing here
//! allocates once it is made. What each kernel follows and how far it is off is in `docs/dsp.md`.

pub mod analysis;
pub mod chain;
pub mod compressor;
pub mod design;
pub mod equalizer;
pub mod gate;
pub mod glide;
pub mod limiter;
pub mod loudness;
pub mod svf;
pub mod truepeak;

/// Below this a sample is silence (−360 dBFS): the tail of a filter would go on for minutes otherwise, down to
/// numbers that processors are slow with.
pub const SILENCE: f64 = 1e-18;

/// A computed sample as it leaves a node.
#[inline]
pub fn sample(x: f64) -> f32 {
    if x.abs() < SILENCE { 0.0 } else { x as f32 }
}

/// A sample as a stage with a memory takes it in: infinities and what is no number are silence.
///
/// Sums of links may be either, as only what leaves a stage is made finite. A filter would never forget it.
#[inline]
pub fn finite(x: f32) -> f32 {
    if x.is_finite() { x } else { 0.0 }
}

/// A factor in dB; no less than −200.
pub fn decibels(factor: f64) -> f64 {
    20.0 * factor.max(1e-10).log10()
}

/// Decibels as a factor: exactly 1 at 0 dB.
pub fn factor(db: f64) -> f64 {
    if db == 0.0 { 1.0 } else { 10f64.powf(db / 20.0) }
}
