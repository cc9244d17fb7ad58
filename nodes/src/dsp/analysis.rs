//! What can be said of a stretch of sound: levels, loudness, spectrum. Not for the audio thread.

use std::sync::Arc;

use aulos_protocol::{Analysis, Band, ChannelLevels, Rate};
use realfft::{RealFftPlanner, RealToComplex};

use super::{finite, loudness::LoudnessMeter, truepeak::METER_TAPS};

/// Frames in a piece of which a spectrum is made; pieces overlap by half.
const PIECE: usize = 8192;
/// The middles of the octaves, in Hz.
const OCTAVES: [f64; 10] = [31.5, 63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16_000.0];

/// Listens to a stretch of sound.
pub struct Analyzer {
    rate: Rate,
    frames: u64,
    peaks: Vec<f64>,
    sums: Vec<f64>,
    squares: Vec<f64>,
    loudness: LoudnessMeter,
    loudest: Option<f64>,
    spectrum: Spectrum,
}

struct Spectrum {
    transform: Arc<dyn RealToComplex<f64>>,
    window: Vec<f64>,
    /// The frames of the piece that has begun, by channel.
    pieces: Vec<Vec<f64>>,
    /// The mean squares by frequency, summed over pieces and channels, and of how many.
    powers: Vec<f64>,
    count: u64,
}

impl Analyzer {
    /// Nothing has been heard.
    pub fn new(channels: usize, rate: Rate) -> Self {
        let transform = RealFftPlanner::new().plan_fft_forward(PIECE);
        let turn = std::f64::consts::TAU / PIECE as f64;
        Self {
            rate,
            frames: 0,
            peaks: vec![0.0; channels],
            sums: vec![0.0; channels],
            squares: vec![0.0; channels],
            loudness: LoudnessMeter::new(channels, f64::from(rate.hz())),
            loudest: None,
            spectrum: Spectrum {
                transform,
                window: (0..PIECE).map(|n| 0.5 - 0.5 * (turn * n as f64).cos()).collect(),
                pieces: vec![Vec::with_capacity(PIECE); channels],
                powers: vec![0.0; PIECE / 2 + 1],
                count: 0,
            },
        }
    }

    /// How many frames were heard.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Hears more, by channel; all channels have the same length.
    pub fn hear(&mut self, block: &[Vec<f32>]) {
        let frames = block.first().map_or(0, Vec::len);
        for n in 0..frames {
            let frame = block.iter().map(|channel| finite(channel[n]));
            for (channel, x) in frame.clone().enumerate() {
                let x = f64::from(x);
                self.peaks[channel] = self.peaks[channel].max(x.abs());
                self.sums[channel] += x;
                self.squares[channel] += x * x;
                self.spectrum.pieces[channel].push(x);
            }
            let is_new = self.loudness.next(frame);
            // What begins in the middle of a sound is no step out of silence, which would ring between the samples.
            if self.frames + n as u64 + 1 == METER_TAPS as u64 {
                self.loudness.reset();
            }
            if is_new && let Some(momentary) = self.loudness.measured().momentary {
                self.loudest = Some(self.loudest.map_or(momentary, |loudest| loudest.max(momentary)));
            }
            if self.spectrum.pieces.first().is_some_and(|piece| piece.len() == PIECE) {
                self.spectrum.end_piece();
            }
        }
        self.frames += frames as u64;
    }

    /// What can be said of what was heard, of which `lost` frames were missed.
    pub fn finish(self, lost: u64) -> Analysis {
        let frames = self.frames.max(1) as f64;
        let measured = self.loudness.measured();
        let levels = |channel: usize| ChannelLevels {
            peak_db: level(self.peaks[channel]),
            rms_db: level((self.squares[channel] / frames).sqrt()),
            // An offset that could be heard or seen has a thousandth.
            dc: (self.sums[channel] / frames * 1e6).round() / 1e6 + 0.0,
        };
        let channels: Vec<_> = (0..self.peaks.len()).map(levels).collect();
        let mean = self.squares.iter().sum::<f64>() / frames / self.peaks.len().max(1) as f64;
        let peak = self.peaks.iter().copied().fold(0.0, f64::max);
        Analysis {
            frames: aulos_protocol::Frames(self.frames),
            seconds: self.frames as f64 / f64::from(self.rate.hz()),
            lost,
            silent: peak == 0.0,
            peak_db: level(peak),
            true_peak_db: level(f64::from(measured.true_peak).max(peak)),
            rms_db: level(mean.sqrt()),
            integrated_lufs: measured.integrated.map(hundredths),
            loudest_momentary_lufs: self.loudest.map(hundredths),
            loudness_range_lu: measured.range.map(hundredths),
            bands: self.spectrum.bands(f64::from(self.rate.hz())),
            channels,
        }
    }
}

impl Spectrum {
    fn end_piece(&mut self) {
        let (mut input, mut output) = (self.transform.make_input_vec(), self.transform.make_output_vec());
        // A window of so much power, and a spectrum of which half is told.
        let power: f64 = self.window.iter().map(|w| w * w).sum();
        let scale = 2.0 / (PIECE as f64 * power);
        for piece in &mut self.pieces {
            for ((to, x), w) in input.iter_mut().zip(piece.iter()).zip(&self.window) {
                *to = x * w;
            }
            // The lengths are those that the transform made itself.
            if self.transform.process(&mut input, &mut output).is_ok() {
                for (power, bin) in self.powers.iter_mut().zip(&output) {
                    *power += bin.norm_sqr() * scale;
                }
                self.count += 1;
            }
            piece.drain(..PIECE / 2);
        }
    }

    fn bands(&self, rate: f64) -> Vec<Band> {
        if self.count == 0 {
            return Vec::new();
        }
        let band = |middle: f64| {
            let (low, high) = (middle / 2f64.sqrt(), middle * 2f64.sqrt());
            let bin = |hz: f64| hz * PIECE as f64 / rate;
            let inside = self.powers.iter().enumerate().filter(|(n, _)| {
                let n = *n as f64;
                n >= bin(low) && n < bin(high)
            });
            let power = inside.map(|(_, power)| power).sum::<f64>() / self.count as f64;
            Band { hz: middle, db: level(power.sqrt()) }
        };
        OCTAVES.iter().copied().filter(|middle| *middle < rate / 2.0).map(band).collect()
    }
}

/// A linear level in dB to hundredths; none below −200 dB.
fn level(level: f64) -> Option<f64> {
    (level > 1e-10).then(|| hundredths(20.0 * level.log10()))
}

fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn sine(hz: f64, amplitude: f64, frames: usize) -> Vec<f32> {
        (0..frames).map(|n| ((n as f64 * TAU * hz / 48_000.0).sin() * amplitude) as f32).collect()
    }

    fn analyzed(channels: &[Vec<f32>], block: usize) -> Analysis {
        let mut analyzer = Analyzer::new(channels.len(), Rate::default());
        let frames = channels[0].len();
        for from in (0..frames).step_by(block) {
            let piece: Vec<Vec<f32>> =
                channels.iter().map(|c| c[from..(from + block).min(frames)].to_vec()).collect();
            analyzer.hear(&piece);
        }
        analyzer.finish(0)
    }

    #[test]
    fn a_sine_has_the_levels_of_its_definition_at_any_block() {
        // A stereo sine of 1 kHz at -20 dB has -20 LUFS, each of its sides -23.01 dB RMS.
        let tone = sine(1000.0, 0.1, 96_000);
        let told = analyzed(&[tone.clone(), tone.clone()], 1000);
        assert_eq!(told.peak_db, Some(-20.0));
        assert!((told.true_peak_db.unwrap() + 20.0).abs() < 0.02, "{told:?}");
        assert_eq!(told.rms_db, Some(-23.01));
        assert!((told.integrated_lufs.unwrap() + 20.0).abs() < 0.05, "{told:?}");
        let band = |hz: f64| told.bands.iter().find(|band| band.hz == hz).unwrap().db;
        assert!((band(1000.0).unwrap() + 23.01).abs() < 0.02, "{told:?}");
        assert!(band(63.0).is_none_or(|db| db < -100.0) && band(8000.0).is_none_or(|db| db < -100.0));
        assert_eq!(analyzed(&[tone.clone(), tone], 77), told);
    }

    #[test]
    fn each_octave_has_its_own() {
        for hz in [40.0, 100.0, 440.0, 5000.0, 12_000.0] {
            let told = analyzed(&[sine(hz, 0.5, 48_000)], 4096);
            let loudest = told.bands.iter().max_by(|a, b| a.db.partial_cmp(&b.db).unwrap()).unwrap();
            assert!((loudest.hz / hz).log2().abs() <= 0.51, "{hz}: {loudest:?}");
        }
    }

    #[test]
    fn a_beginning_in_the_middle_is_no_peak() {
        let tone: Vec<f32> = sine(1000.0, 0.1, 48_012).split_off(12);
        assert!((analyzed(&[tone], 480).true_peak_db.unwrap() + 20.0).abs() < 0.02);
    }

    #[test]
    fn silence_has_no_levels_and_what_is_too_short_no_spectrum() {
        let told = analyzed(&[vec![0.0; 48_000]], 512);
        assert!(told.silent && told.peak_db.is_none() && told.integrated_lufs.is_none());
        assert!(told.bands.iter().all(|band| band.db.is_none()) && told.bands.len() == 10);
        assert!(analyzed(&[sine(1000.0, 1.0, 4000)], 512).bands.is_empty());
        assert_eq!(Analyzer::new(2, Rate::default()).finish(5).lost, 5);
    }

    #[test]
    fn what_is_no_number_is_not_heard() {
        let mut tone = sine(1000.0, 0.5, 48_000);
        tone[100] = f32::NAN;
        tone[200] = f32::INFINITY;
        assert!((analyzed(&[tone], 512).peak_db.unwrap() + 6.02).abs() < 0.01);
    }
}
