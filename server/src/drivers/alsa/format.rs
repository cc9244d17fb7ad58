//! Samples as the device has them.

use cpal::{Data, I24, SampleFormat};

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

/// [audio thread] The sample at `index` of what a device has recorded.
pub fn read(data: &Data, mut take: impl FnMut(f32)) {
    const I16: f32 = 1.0 / 32_768.0;
    const I24_SCALE: f32 = 1.0 / 8_388_608.0;
    const I32: f64 = 1.0 / 2_147_483_648.0;
    match data.sample_format() {
        SampleFormat::I16 => {
            data.as_slice::<i16>().unwrap_or_default().iter().for_each(|x| take(f32::from(*x) * I16));
        }
        SampleFormat::I24 => {
            let samples = data.as_slice::<I24>().unwrap_or_default();
            samples.iter().for_each(|x| take(x.inner() as f32 * I24_SCALE));
        }
        SampleFormat::I32 => {
            let samples = data.as_slice::<i32>().unwrap_or_default();
            samples.iter().for_each(|x| take((f64::from(*x) * I32) as f32));
        }
        _ => data.as_slice::<f32>().unwrap_or_default().iter().for_each(|x| take(*x)),
    }
}
