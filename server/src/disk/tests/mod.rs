//! Files for tests, with samples that are known without decoding them.

mod broken;
mod cells;
mod exact;
mod lossy;
mod reading;
mod resampling;
mod streaming;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use aulos_nodes::ClipSource;
use aulos_protocol::{AudioFormat, Rate, SampleDepth};
use hound::{SampleFormat, WavSpec, WavWriter};
use tempfile::TempDir;

use super::{Stream, Streams, Wanted};
use crate::audiofile::Writer;

/// Long enough for any machine; a wait that takes it has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// The kinds of files that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Wav8,
    Wav16,
    Wav24,
    Wav32,
    WavFloat,
    Flac16,
    Flac24,
}

impl Kind {
    const ALL: [Self; 7] =
        [Self::Wav8, Self::Wav16, Self::Wav24, Self::Wav32, Self::WavFloat, Self::Flac16, Self::Flac24];

    fn bits(self) -> u32 {
        match self {
            Self::Wav8 => 8,
            Self::Wav16 | Self::Flac16 => 16,
            Self::Wav24 | Self::Flac24 => 24,
            Self::Wav32 | Self::WavFloat => 32,
        }
    }

    fn extension(self) -> &'static str {
        if matches!(self, Self::Flac16 | Self::Flac24) { "flac" } else { "wav" }
    }

    /// The integer in the file, for integer kinds: noise on a slow wave, so that FLAC has something to predict.
    fn integer(self, seed: u64, channel: u16, frame: u64) -> i32 {
        let noise = (hash(seed ^ u64::from(channel) << 48 ^ frame) >> 40) as f64 / f64::from(1 << 24) - 0.5;
        let wave = (frame as f64 * 0.01 + f64::from(channel)).sin();
        let scale = f64::from(self.bits() - 1).exp2();
        ((wave * 0.7 + noise * 0.1) * scale) as i32
    }

    /// The sample that must be read.
    fn sample(self, seed: u64, channel: u16, frame: u64) -> f32 {
        let integer = self.integer(seed, channel, frame);
        if self == Self::WavFloat {
            return integer as f32 * 1.7e-9;
        }
        (f64::from(integer) / f64::from(self.bits() - 1).exp2()) as f32
    }
}

/// A well-mixed number made of `n`.
fn hash(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

/// A file for tests.
#[derive(Clone, Debug)]
struct Made {
    path: PathBuf,
    kind: Kind,
    channels: u16,
    frames: u64,
    seed: u64,
}

impl Made {
    fn new(folder: &Path, kind: Kind, channels: u16, frames: u64, seed: u64) -> Self {
        let path = folder.join(format!("{kind:?}-{channels}-{frames}-{seed}.{}", kind.extension()));
        let made = Self { path, kind, channels, frames, seed };
        if kind.extension() == "flac" {
            made.write_flac()
        } else {
            made.write_wav()
        }
        made
    }

    fn write_wav(&self) {
        let sample_format = if self.kind == Kind::WavFloat { SampleFormat::Float } else { SampleFormat::Int };
        let bits_per_sample = self.kind.bits() as u16;
        let spec = WavSpec { channels: self.channels, sample_rate: 48_000, bits_per_sample, sample_format };
        let mut writer = WavWriter::create(&self.path, spec).unwrap();
        for frame in 0..self.frames {
            for channel in 0..self.channels {
                match sample_format {
                    SampleFormat::Float => writer.write_sample(self.sample(channel, frame)).unwrap(),
                    SampleFormat::Int => {
                        writer.write_sample(self.kind.integer(self.seed, channel, frame)).unwrap();
                    }
                }
            }
        }
        writer.finalize().unwrap();
    }

    fn write_flac(&self) {
        let depth = if self.kind == Kind::Flac16 { SampleDepth::Int16 } else { SampleDepth::Int24 };
        let mut writer =
            Writer::create(&self.path, AudioFormat::Flac, depth, Rate::default(), self.channels).unwrap();
        let channels: Vec<Vec<f32>> = (0..self.channels).map(|c| self.samples(c, 0, self.frames)).collect();
        writer.write(&channels.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
        writer.finish().unwrap();
    }

    fn sample(&self, channel: u16, frame: u64) -> f32 {
        if frame < self.frames { self.kind.sample(self.seed, channel, frame) } else { 0.0 }
    }

    fn samples(&self, channel: u16, from: u64, len: u64) -> Vec<f32> {
        (from..from + len).map(|frame| self.sample(channel, frame)).collect()
    }

    /// Asserts that `stream` has the frames from `from` on, and that they are right.
    fn check(&self, stream: &Stream, from: u64, len: u64) {
        for channel in 0..self.channels {
            let (complete, read) = read(stream, channel, from, len);
            assert!(complete, "{self:?}: channel {channel}, {len} frames from {from} are missing");
            assert_same(&read, &self.samples(channel, from, len), from);
        }
    }
}

fn read(stream: &Stream, channel: u16, from: u64, len: u64) -> (bool, Vec<f32>) {
    let mut out = vec![f32::NAN; len as usize];
    let complete = stream.read(channel, from, &mut out);
    (complete, out)
}

#[track_caller]
fn assert_same(read: &[f32], right: &[f32], from: u64) {
    assert_eq!(read.len(), right.len());
    if let Some(n) = (0..read.len()).find(|&n| read[n].to_bits() != right[n].to_bits()) {
        panic!("frame {}: read {}, right {}", from + n as u64, read[n], right[n]);
    }
}

/// Wants `frames` of `stream` and nothing else, and waits for them.
fn load(streams: &Streams, stream: &Arc<Stream>, frames: std::ops::Range<u64>) {
    let mut wanted = Wanted::new();
    wanted.add(stream, frames);
    streams.want(wanted.clone());
    streams.wait_ready(&wanted, PATIENCE).unwrap();
}

/// Opens `path` with a decoder and reads all of it, a few frames at a time.
pub fn decode_all(path: &Path) -> Vec<Vec<f32>> {
    let mut decoder = super::decode::open(path).unwrap();
    let info = decoder.info();
    let channels = usize::from(info.channels);
    let mut all = vec![Vec::new(); channels];
    let step = 1_000;
    let mut out = vec![0.0; channels * step];
    for from in (0..info.frames).step_by(step) {
        // A fault is the caller's to look for elsewhere.
        let _ = decoder.read(from, &mut out);
        for (all, plane) in all.iter_mut().zip(out.chunks(step)) {
            all.extend(&plane[..step.min((info.frames - from) as usize)]);
        }
    }
    all
}

/// A file made by hand.
fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Runs a command that the tests need.
fn run(command: &str, arguments: &[&str]) {
    let output = Command::new(command).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{command} is needed for this test: {error}"));
    assert!(output.status.success(), "{command} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Cuts the file at `path` to `len` bytes.
fn cut(path: &Path, len: u64) {
    File::options().write(true).open(path).unwrap().set_len(len).unwrap();
}
