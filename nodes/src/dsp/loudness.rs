//! Loudness and its range, as EBU R 128 measures them.
//!
//! K-weighting, gating and channel weights are those of ITU-R BS.1770-5 annex 1, the windows of the momentary and
//! short-term loudness those of EBU Tech 3341, the range that of EBU Tech 3342. Here they are computed in pieces of
//! 10 ms, so that the work is spread evenly: a meter that squares three seconds again each time it is asked would
//! take too long on the audio thread.

use std::f64::consts::PI;

use super::{
    svf::{Coefficients, Step, Svf},
    truepeak::{Interpolator, METER_TAPS, Window},
};

/// What BS.1770 adds, so that a sine of 997 Hz at full scale on one channel has −3.01 LUFS.
const OFFSET: f64 = -0.691;

/// Below this nothing is measured, in LUFS.
const ABSOLUTE_GATE: f64 = -70.0;

/// Pieces of 10 ms in the momentary and short-term windows, and between two gating blocks.
const MOMENTARY: usize = 40;
const SHORT_TERM: usize = 300;
const HOP: u64 = 10;

/// The rate for which BS.1770 gives coefficients, in Hz.
const STANDARD_RATE: f64 = 48_000.0;

/// The filters of the K-weighting at `rate`: the response that BS.1770 tabulates at 48 kHz. The analog filters behind
/// the table are found from it by inverting the bilinear transform.
fn k_weighting(rate: f64) -> [Coefficients; 2] {
    // Frequency, Q and gain of the shelf, and frequency and Q of the high-pass.
    const SHELF: (f64, f64, f64) = (1_681.974_450_955_53, 0.707_175_236_955_42, 3.999_843_853_973_35);
    const HIGH_PASS: (f64, f64) = (38.135_470_876_024, 0.500_327_037_323_88);
    let g = |hz: f64, rate: f64| (PI * hz / rate).tan();
    let (hz, q, gain) = SHELF;
    let high = 10f64.powf(gain / 20.0);
    let band = high.powf(0.499_666_774_154_54);
    let shelf = Coefficients { g: g(hz, rate), k: 1.0 / q, mix: [high, (band - high) / q, 1.0 - high] };
    let (hz, q) = HIGH_PASS;
    // The table has 1, −2, 1 as numerator, which is a little more than 0 dB up there.
    let at = g(hz, STANDARD_RATE);
    let level = 1.0 + at / q + at * at;
    let high_pass = Coefficients { g: g(hz, rate), k: 1.0 / q, mix: [level, -level / q, -level] };
    [shelf, high_pass]
}

/// How much a channel counts, by the usual orders of channels: 5 (L R C Ls Rs), 6 (L R C LFE Ls Rs) and
/// 8 (L R C LFE, sides, rear). Of other numbers of channels, all count alike.
pub fn weights(channels: usize) -> Vec<f64> {
    const SURROUND: f64 = 1.41;
    match channels {
        5 => vec![1.0, 1.0, 1.0, SURROUND, SURROUND],
        6 => vec![1.0, 1.0, 1.0, 0.0, SURROUND, SURROUND],
        // The rear is more than 120° away from the front, and counts like it.
        8 => vec![1.0, 1.0, 1.0, 0.0, SURROUND, SURROUND, 1.0, 1.0],
        _ => vec![1.0; channels],
    }
}

/// The loudness of a mean square, in LUFS.
fn loudness(power: f64) -> f64 {
    OFFSET + 10.0 * power.log10()
}

/// How often each loudness occurred.
#[derive(Clone, Debug)]
struct Histogram {
    /// Count and sum of the powers of each sixteenth of a LU.
    bins: Box<[(u64, f64)]>,
}

impl Histogram {
    const PER_LU: f64 = 16.0;
    /// Up to +30 LUFS.
    const BINS: usize = 1600;

    fn new() -> Self {
        Self { bins: vec![(0, 0.0); Self::BINS].into() }
    }

    fn clear(&mut self) {
        self.bins.fill((0, 0.0));
    }

    fn add(&mut self, power: f64) {
        let over = loudness(power) - ABSOLUTE_GATE;
        if over > 0.0 {
            let (count, sum) = &mut self.bins[((over * Self::PER_LU) as usize).min(Self::BINS - 1)];
            *count += 1;
            *sum += power;
        }
    }

    /// The bins of what is no more than `below` LU quieter than the mean of all.
    fn gated(&self, below: f64) -> &[(u64, f64)] {
        let Some(mean) = mean(&self.bins) else { return &[] };
        let gate = loudness(mean) - below - ABSOLUTE_GATE;
        &self.bins[((gate.max(0.0) * Self::PER_LU).round() as usize).min(Self::BINS)..]
    }

    fn integrated(&self) -> Option<f64> {
        mean(self.gated(10.0)).map(loudness)
    }

    /// From what 10% are quieter than to what 95% are, in LU.
    fn range(&self) -> Option<f64> {
        let bins = self.gated(20.0);
        let count: u64 = bins.iter().map(|bin| bin.0).sum();
        let percentile = |part: f64| {
            let rank = ((count.checked_sub(1)?) as f64 * part).round() as u64;
            let mut before = 0;
            bins.iter().position(|bin| {
                before += bin.0;
                before > rank
            })
        };
        Some((percentile(0.95)? - percentile(0.1)?) as f64 / Self::PER_LU)
    }
}

fn mean(bins: &[(u64, f64)]) -> Option<f64> {
    let (count, sum) = bins.iter().fold((0, 0.0), |(count, sum), bin| (count + bin.0, sum + bin.1));
    (count > 0).then(|| sum / count as f64)
}

/// What has been measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loudness {
    /// Of the last 0.4 s, in LUFS; none where it is silent.
    pub momentary: Option<f64>,
    /// Of the last 3 s, in LUFS.
    pub short_term: Option<f64>,
    /// Of everything since the reset that is not much quieter than the rest, in LUFS.
    pub integrated: Option<f64>,
    /// How much the short-term loudness varied since the reset, in LU.
    pub range: Option<f64>,
    /// The highest true peak of any channel since the reset, a factor.
    pub true_peak: f32,
}

/// Measures loudness.
pub struct LoudnessMeter {
    rate: f64,
    weights: Vec<f64>,
    steps: [Step; 2],
    filters: Vec<[Svf<1>; 2]>,
    interpolator: Interpolator<METER_TAPS>,
    windows: Vec<Window<METER_TAPS>>,
    true_peak: f32,
    /// The weighted squares of the piece that has begun, its frames, and how many it will have.
    sum: f64,
    frames: u64,
    length: u64,
    /// Pieces so far: the end of the piece that has begun is at so many times 10 ms, to the nearest frame.
    pieces: u64,
    /// The mean squares of the last pieces, and where the oldest is.
    powers: Box<[f64; SHORT_TERM]>,
    at: usize,
    /// Pieces since the reset.
    since: u64,
    blocks: Histogram,
    short_terms: Histogram,
    measured: Loudness,
}

impl LoudnessMeter {
    /// A meter that has heard silence.
    pub fn new(channels: usize, rate: f64) -> Self {
        let mut meter = Self {
            rate,
            weights: weights(channels),
            steps: k_weighting(rate).map(|filter| Step::from(&filter)),
            filters: vec![Default::default(); channels],
            interpolator: Interpolator::new(),
            windows: vec![Window::default(); channels],
            true_peak: 0.0,
            sum: 0.0,
            frames: 0,
            length: 0,
            pieces: 0,
            powers: Box::new([0.0; SHORT_TERM]),
            at: 0,
            since: 0,
            blocks: Histogram::new(),
            short_terms: Histogram::new(),
            measured: Loudness::default(),
        };
        meter.next_length();
        meter
    }

    /// [audio thread] Begins anew with what is measured over all: integrated loudness, range and true peak.
    pub fn reset(&mut self) {
        self.blocks.clear();
        self.short_terms.clear();
        // As a new meter: nothing of what was before rings on.
        self.filters.fill(Default::default());
        (self.sum, self.frames) = (0.0, 0);
        self.since = 0;
        self.true_peak = 0.0;
        self.measured = Loudness {
            momentary: self.measured.momentary,
            short_term: self.measured.short_term,
            ..Loudness::default()
        };
    }

    /// [audio thread] Takes in a frame. Answers whether there is something new, which is every 10 ms.
    #[inline]
    pub fn next(&mut self, frame: impl IntoIterator<Item = f32>) -> bool {
        for (channel, x) in frame.into_iter().enumerate() {
            let peak = self.windows[channel].next(&self.interpolator, x, self.true_peak);
            self.true_peak = self.true_peak.max(peak);
            let filters = &mut self.filters[channel];
            let shelf = filters[0].next(&self.steps[0], [f64::from(x)]);
            let [weighted] = filters[1].next(&self.steps[1], shelf);
            self.sum += self.weights[channel] * weighted * weighted;
        }
        self.frames += 1;
        self.frames == self.length && self.end_piece()
    }

    /// What has been measured.
    pub fn measured(&self) -> Loudness {
        self.measured
    }

    fn next_length(&mut self) {
        let end = |pieces: u64| (pieces as f64 * self.rate / 100.0).round() as u64;
        self.length = end(self.pieces + 1) - end(self.pieces);
        self.pieces += 1;
    }

    /// The mean square of the last `pieces` pieces.
    fn mean(&self, pieces: usize) -> f64 {
        let last = (0..pieces).map(|n| self.powers[(self.at + SHORT_TERM - 1 - n) % SHORT_TERM]);
        last.sum::<f64>() / pieces as f64
    }

    fn end_piece(&mut self) -> bool {
        self.powers[self.at] = self.sum / self.frames as f64;
        self.at = (self.at + 1) % SHORT_TERM;
        (self.sum, self.frames) = (0.0, 0);
        self.next_length();
        let (momentary, short_term) = (self.mean(MOMENTARY), self.mean(SHORT_TERM));
        let heard = |power: f64| Some(loudness(power)).filter(|lufs| *lufs > ABSOLUTE_GATE - 50.0);
        self.measured.momentary = heard(momentary);
        self.measured.short_term = heard(short_term);
        self.measured.true_peak = self.true_peak;
        self.since += 1;
        if self.since.is_multiple_of(HOP) {
            // What was before the reset does not count.
            if self.since >= MOMENTARY as u64 {
                self.blocks.add(momentary);
                self.measured.integrated = self.blocks.integrated();
            }
            if self.since >= SHORT_TERM as u64 {
                self.short_terms.add(short_term);
                self.measured.range = self.short_terms.range();
            }
        }
        true
    }
}

#[cfg(test)]
#[path = "loudness_tests.rs"]
mod tests;
