//! Tests of what is written, read back by other means where there are any.

mod dither;
mod files;
mod formats;
mod quantise;
mod resampler;

use std::path::Path;

use aulos_protocol::{AudioFormat, Error, Rate, SampleDepth};

use super::{Report, Writer};

/// Writes `channels` in blocks of `block` frames.
fn write(
    path: &Path,
    format: AudioFormat,
    depth: SampleDepth,
    rate: u32,
    channels: &[Vec<f32>],
    block: usize,
) -> Result<Report, Error> {
    let rate = Rate::new(rate).unwrap();
    let mut writer = Writer::create(path, format, depth, rate, channels.len() as u16)?;
    let frames = channels[0].len();
    for from in (0..frames).step_by(block) {
        let to = frames.min(from + block);
        writer.write(&channels.iter().map(|channel| &channel[from..to]).collect::<Vec<_>>())?;
    }
    writer.finish()
}
