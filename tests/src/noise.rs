//! A session whose sound is the same nowhere twice, so that every block of it can be found again.

use std::path::{Path, PathBuf};

use crate::server::{Server, read_wav};

/// Writes two channels of noise, from -0.5 to 0.5, at 48 kHz.
///
/// # Panics
/// If it cannot be written.
pub fn write(path: &Path, frames: u32) {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 48_000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap_or_else(|e| panic!("{e}"));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..frames * 2 {
        // A linear congruential generator, Knuth's constants for 64 bits; the upper bits are good enough.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let sample = (state >> 40) as f32 / (1u32 << 24) as f32 - 0.5;
        writer.write_sample(sample).unwrap_or_else(|e| panic!("{e}"));
    }
    writer.finalize().unwrap_or_else(|e| panic!("{e}"));
}

/// A saved session that plays noise for so many seconds, and what it renders to.
///
/// # Panics
/// If it cannot be made.
pub fn session(folder: &Path, seconds: u32) -> (PathBuf, Vec<Vec<f32>>) {
    let path = folder.join("noise");
    let server = Server::stepped();
    server.ok(&format!("session new {}", path.display()));
    // Else the first frames after a start would be others than those of a render, which begins at once.
    server.ok("raw session_set {\"edit_fade_ms\":0}");
    let wav = folder.join("noise.wav");
    write(&wav, seconds * 48_000);
    server.ok("track add noise");
    server.ok("link noise master");
    server.ok(&format!("clip add noise {}", wav.display()));
    server.ok("session save");
    let out = folder.join("rendered.wav");
    server.ok(&format!("render {} --raw", out.display()));
    (path, read_wav(&out))
}
