//! Samples as the device has them.

use cpal::{Data, I24, SampleFormat, SizedSample};

use super::super::SampleForm;
use crate::audiofile::Quantiser;

/// The forms in the order in which they are preferred.
const PREFERRED: [SampleForm; 4] = [SampleForm::F32, SampleForm::S32, SampleForm::S24, SampleForm::S16];

/// The form by cpal's name.
pub fn format_of(form: SampleForm) -> SampleFormat {
    match form {
        SampleForm::S16 => SampleFormat::I16,
        SampleForm::S24 => SampleFormat::I24,
        SampleForm::S32 => SampleFormat::I32,
        SampleForm::F32 => SampleFormat::F32,
    }
}

/// The best form among those that a device has.
pub fn best(has: impl Fn(SampleFormat) -> bool) -> Option<SampleForm> {
    PREFERRED.into_iter().find(|form| has(format_of(*form)))
}

/// Turns what the engine plays into the device's samples.
pub struct Writer {
    quantiser: Quantiser,
    channels: usize,
}

impl Writer {
    /// For samples of `form` in so many channels.
    pub fn new(form: SampleForm, channels: usize) -> Self {
        let bits = match form {
            SampleForm::S16 => 16,
            SampleForm::S24 => 24,
            SampleForm::S32 | SampleForm::F32 => 32,
        };
        Self { quantiser: Quantiser::new(bits), channels }
    }

    /// How many channels the device has.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// [audio thread] Writes `frames` frames of `playback` from the frame `at` of `data` on; channels that are not
    /// played are silent.
    pub fn write(&mut self, data: &mut Data, at: usize, frames: usize, playback: &[Vec<f32>]) {
        let channels = self.channels;
        let range = at * channels..(at + frames) * channels;
        let quantiser = &mut self.quantiser;
        match data.sample_format() {
            SampleFormat::I16 => {
                spread(&mut data.as_slice_mut::<i16>().unwrap_or_default()[range], channels, playback, |x| {
                    quantiser.quantise(x) as i16
                });
            }
            SampleFormat::I24 => {
                spread(&mut data.as_slice_mut::<I24>().unwrap_or_default()[range], channels, playback, |x| {
                    I24::new_unchecked(quantiser.quantise(x))
                });
            }
            SampleFormat::I32 => {
                spread(&mut data.as_slice_mut::<i32>().unwrap_or_default()[range], channels, playback, |x| {
                    quantiser.quantise(x)
                });
            }
            _ => {
                spread(&mut data.as_slice_mut::<f32>().unwrap_or_default()[range], channels, playback, |x| x)
            }
        }
    }
}

fn spread<T>(out: &mut [T], channels: usize, playback: &[Vec<f32>], mut turn: impl FnMut(f32) -> T) {
    for (frame, samples) in out.chunks_exact_mut(channels).enumerate() {
        for (channel, sample) in samples.iter_mut().enumerate() {
            *sample = turn(playback.get(channel).map_or(0.0, |played| played[frame]));
        }
    }
}

/// A sample of a form that devices have.
trait Sample: SizedSample {
    /// The level that it stands for: full scale is 1, the lowest integer -1.
    fn level(self) -> f32;
}

impl Sample for i16 {
    fn level(self) -> f32 {
        f32::from(self) / 32_768.0
    }
}

impl Sample for I24 {
    fn level(self) -> f32 {
        self.inner() as f32 / 8_388_608.0
    }
}

impl Sample for i32 {
    fn level(self) -> f32 {
        // Rounded once: a single-precision float has fewer bits than the integer.
        (f64::from(self) / 2_147_483_648.0) as f32
    }
}

impl Sample for f32 {
    fn level(self) -> f32 {
        self
    }
}

/// [audio thread] Hands the level of each sample that a device has recorded to `take`, in their order: those of a
/// frame, channel by channel, then those of the next.
pub fn read(data: &Data, take: impl FnMut(f32)) {
    match data.sample_format() {
        SampleFormat::I16 => levels(data.as_slice::<i16>(), take),
        SampleFormat::I24 => levels(data.as_slice::<I24>(), take),
        SampleFormat::I32 => levels(data.as_slice::<i32>(), take),
        _ => levels(data.as_slice::<f32>(), take),
    }
}

fn levels<T: Sample>(samples: Option<&[T]>, take: impl FnMut(f32)) {
    samples.unwrap_or_default().iter().map(|sample| sample.level()).for_each(take);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The levels that are read of these samples.
    fn read_all<T: Sample>(samples: &[T]) -> Vec<f32> {
        let mut read = Vec::new();
        levels(Some(samples), |level| read.push(level));
        read
    }

    /// What is written of these levels, in so many channels.
    fn written<T: Copy + Default>(levels: &[f32], channels: usize, turn: impl FnMut(f32) -> T) -> Vec<T> {
        let playback: Vec<Vec<f32>> =
            (0..channels).map(|at| levels.iter().skip(at).step_by(channels).copied().collect()).collect();
        let mut out = vec![T::default(); levels.len()];
        spread(&mut out, channels, &playback, turn);
        out
    }

    const EXACT: [f32; 8] = [-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 0.625, -0.125];

    #[test]
    fn each_form_is_read_at_its_own_scale_in_order() {
        assert_eq!(read_all(&[-32_768_i16, -16_384, -8192, 0, 8192, 16_384, 20_480, -4096]), EXACT);
        let wide = [-1 << 23, -1 << 22, -1 << 21, 0, 1 << 21, 1 << 22, 5 << 20, -1 << 20];
        assert_eq!(read_all(&wide.map(I24::new_unchecked)), EXACT);
        assert_eq!(read_all(&wide.map(|sample: i32| sample << 8)), EXACT);
        assert_eq!(read_all(&EXACT), EXACT);
        // The ends, the smallest steps, and the float nearest to what no float is.
        assert_eq!(read_all(&[i16::MAX, 1, -1]), [32_767.0 / 32_768.0, 1.0 / 32_768.0, -1.0 / 32_768.0]);
        let ends = [(1 << 23) - 1, 1, -1].map(I24::new_unchecked);
        assert_eq!(read_all(&ends), [8_388_607.0 / 8_388_608.0, 1.0 / 8_388_608.0, -1.0 / 8_388_608.0]);
        assert_eq!(read_all(&[i32::MAX, 1, -1]), [1.0, 2f32.powi(-31), -(2f32.powi(-31))]);
        assert_eq!(
            read_all(&[0x0100_0001, 0x0100_0003]),
            [0x0100_0000, 0x0100_0004].map(|x| x as f32 * 2f32.powi(-31))
        );
        assert_eq!(read_all(&[1.5_f32, -2.0, f32::MIN_POSITIVE]), [1.5, -2.0, f32::MIN_POSITIVE]);
    }

    #[test]
    fn what_is_recorded_is_played_as_the_same_integers() {
        for bits in [16, 24, 32] {
            let most = 1_i64 << (bits - 1);
            // Of 32 bits those that a float holds.
            let step = (most >> 12).max(1);
            let integers: Vec<i32> = (-most..most).step_by(step as usize).map(|x| x as i32).collect();
            let mut quantiser = Quantiser::new(bits);
            let levels = match bits {
                16 => read_all(&integers.iter().map(|x| *x as i16).collect::<Vec<_>>()),
                24 => read_all(&integers.iter().map(|x| I24::new_unchecked(*x)).collect::<Vec<_>>()),
                _ => read_all(&integers),
            };
            for channels in [1, 2, 4] {
                assert_eq!(written(&levels, channels, |x| quantiser.quantise(x)), integers, "{bits} bits");
            }
        }
    }
}
