//! What is in the files.

use std::process::Command;

use hound::{SampleFormat, WavReader};
use proptest::prelude::*;
use tempfile::TempDir;

use super::super::quantise::Quantiser;
use super::*;
use crate::disk::probe;

fn wave(channel: usize, frames: usize) -> Vec<f32> {
    (0..frames).map(|n| ((n * (channel + 3)) as f32 * 0.01).sin() * 0.9).collect()
}

#[test]
fn floats_keep_their_bits() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bits.wav");
    let nan = f32::from_bits(0x7fc1_2345);
    let samples = vec![1.5, -0.0, f32::MIN_POSITIVE, 1e-45, f32::MAX, f32::INFINITY, nan, 0.1];
    let channels = [samples.clone(), samples.iter().rev().copied().collect()];
    let report = write(&path, AudioFormat::Wav, SampleDepth::Float32, 96_000, &channels, 3).unwrap();
    assert_eq!(report, Report { frames: 8, clipped: 0, invalid: 0 });
    let mut reader = WavReader::open(&path).unwrap();
    let spec = reader.spec();
    assert_eq!((spec.sample_rate, spec.channels, spec.bits_per_sample), (96_000, 2, 32));
    assert_eq!(spec.sample_format, SampleFormat::Float);
    let read: Vec<u32> = reader.samples::<f32>().map(|sample| sample.unwrap().to_bits()).collect();
    let right: Vec<u32> = (0..8).flat_map(|n| [channels[0][n].to_bits(), channels[1][n].to_bits()]).collect();
    assert_eq!(read, right);
}

#[test]
fn chunks_of_odd_length_are_padded() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("odd.wav");
    for frames in [1, 2, 101] {
        let samples = wave(0, frames);
        write(&path, AudioFormat::Wav, SampleDepth::Int24, 48_000, std::slice::from_ref(&samples), 50)
            .unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 68 + (frames * 3).next_multiple_of(2));
        assert_eq!(bytes[4..8], (bytes.len() as u32 - 8).to_le_bytes());
        assert_eq!(bytes[64..68], (frames as u32 * 3).to_le_bytes());
        assert_eq!(crate::disk::read_all(&path)[0].len(), frames);
        assert_eq!(WavReader::open(&path).unwrap().into_samples::<i32>().count(), frames);
    }
}

#[test]
fn integers_are_those_of_the_quantiser_and_clips_are_counted() {
    let folder = TempDir::new().unwrap();
    for (depth, bits) in [(SampleDepth::Int16, 16), (SampleDepth::Int24, 24)] {
        for format in [AudioFormat::Wav, AudioFormat::Flac] {
            let path = folder.path().join("integers");
            let mut samples = wave(0, 10_000);
            samples[100] = 1.0;
            samples[200] = -1.5;
            samples[300] = f32::NAN;
            samples[400] = -1.0;
            let mut quantiser = Quantiser::new(bits);
            let right: Vec<i32> = samples.iter().map(|&sample| quantiser.quantise(sample)).collect();
            let report = write(&path, format, depth, 48_000, &[samples], 777).unwrap();
            assert_eq!(report, Report { frames: 10_000, clipped: 2, invalid: 1 });
            let wav = if format == AudioFormat::Flac { decode_with_flac(&path) } else { path };
            let mut reader = WavReader::open(&wav).unwrap();
            assert_eq!(u32::from(reader.spec().bits_per_sample), bits);
            let read: Vec<i32> = reader.samples::<i32>().map(Result::unwrap).collect();
            assert!(read == right, "{format:?} {depth:?}");
        }
    }
}

/// The reference decoder's view of the file, as a WAV file. It checks the checksums too.
fn decode_with_flac(path: &Path) -> std::path::PathBuf {
    let decoded = path.with_extension("decoded.wav");
    let flac = Command::new("flac").args(["-d", "-s", "-f", "-o"]).args([&decoded, path]).output();
    let flac = flac.expect("the command flac is needed for this test");
    assert!(flac.status.success(), "{}", String::from_utf8_lossy(&flac.stderr));
    assert!(!String::from_utf8_lossy(&flac.stderr).contains("WARNING"));
    decoded
}

/// Signals that are hard for encoders, in integers of `bits` bits.
fn hard(kind: usize, bits: u32, frame: usize, channel: usize) -> i64 {
    let most = 1i64 << (bits - 1);
    let noise = {
        let n = (frame as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15 ^ (channel as u64) << 32);
        (n ^ n >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 24
    } as i64
        % most;
    let alternating = if frame.is_multiple_of(2) { -most } else { most - 1 };
    match kind {
        0 => 0,
        1 => -most,
        2 => most - 1,
        3 => noise,
        4 => alternating,
        // Opposite in neighbouring channels, so that their difference is largest.
        5 if channel.is_multiple_of(2) => alternating,
        5 => -1 - alternating,
        // Noise that falls silent.
        6 if frame % 4_096 < 2_900 => noise,
        6 => 0,
        // Steps at random places.
        7 if noise % 7 < 3 => -most,
        7 => most - 1,
        8 => ((frame as f64 * 0.03 + channel as f64).sin() * (most - 1) as f64) as i64,
        _ => {
            if frame % 1_000 == 999 {
                most - 1
            } else {
                noise >> 12
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Read back by the part of the server that plays files, which has another library.
    #[test]
    fn flac_loses_nothing(
        kinds in prop::collection::vec(0..10usize, 1..=8),
        bits in prop::sample::select(&[16u32, 24][..]),
        frames in prop_oneof![1..200usize, 4_000..4_200usize, 1..20_000usize],
        block in 1..5_000usize,
        rate in prop::sample::select(&[8_000, 44_100, 48_000, 65_537, 88_200, 95_999, 192_000, 384_000][..]),
    ) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("hard.flac");
        let scale = f64::from(bits - 1).exp2();
        let channels: Vec<Vec<f32>> = kinds
            .iter()
            .enumerate()
            .map(|(c, &kind)| (0..frames).map(|n| (hard(kind, bits, n, c) as f64 / scale) as f32).collect())
            .collect();
        let depth = if bits == 16 { SampleDepth::Int16 } else { SampleDepth::Int24 };
        let report = write(&path, AudioFormat::Flac, depth, rate, &channels, block).unwrap();
        prop_assert_eq!(report, Report { frames: frames as u64, clipped: 0, invalid: 0 });
        let info = probe(&path).unwrap();
        prop_assert_eq!((info.channels, info.rate, info.frames), (kinds.len() as u16, rate, frames as u64));
        prop_assert!(crate::disk::read_all(&path) == channels);
        let plain = kinds.len() * frames * bits as usize / 8;
        prop_assert!(std::fs::metadata(&path).unwrap().len() as usize <= plain + plain / 100 + 2_000);
    }
}

#[test]
fn flac_files_satisfy_the_reference_decoder() {
    let folder = TempDir::new().unwrap();
    for (n, rate) in
        [8_000, 22_050, 48_000, 65_537, 96_000, 176_400, 192_000, 384_000].into_iter().enumerate()
    {
        for (depth, bits) in [(SampleDepth::Int16, 16), (SampleDepth::Int24, 24)] {
            let path = folder.path().join(format!("{rate}-{bits}.flac"));
            let frames = [1, 15, 31, 63, 4_096, 4_097, 9_000, 20_000][n];
            let scale = f64::from(bits - 1).exp2();
            let hard = |c| (0..frames).map(|f| (hard(n + 1, bits, f, c) as f64 / scale) as f32).collect();
            let channels: Vec<Vec<f32>> = (0..=n).map(hard).collect();
            write(&path, AudioFormat::Flac, depth, rate, &channels, 1_000).unwrap();
            let flac = Command::new("flac").args(["-t", "-s", "-w"]).arg(&path).output();
            let flac = flac.expect("the command flac is needed for this test");
            assert!(flac.status.success(), "{rate} {bits}: {}", String::from_utf8_lossy(&flac.stderr));
        }
    }
}

#[test]
fn many_channels_and_no_frames_are_fine() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("wide.wav");
    let channels: Vec<_> = (0..64).map(|channel| wave(channel, 100)).collect();
    write(&path, AudioFormat::Wav, SampleDepth::Float32, 48_000, &channels, 64).unwrap();
    assert!(crate::disk::read_all(&path) == channels);
    for format in [AudioFormat::Wav, AudioFormat::Flac] {
        let report = write(&path, format, SampleDepth::Int16, 48_000, &[Vec::new()], 1).unwrap();
        assert_eq!(report.frames, 0);
        assert!(probe(&path).unwrap_err().message.contains("holds no samples"));
    }
}

#[test]
fn what_a_format_cannot_hold_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("refused");
    for (format, depth, channels, reason) in [
        (AudioFormat::Flac, SampleDepth::Float32, 2, "floating-point"),
        (AudioFormat::Flac, SampleDepth::Int24, 9, "9 channels"),
        (AudioFormat::Flac, SampleDepth::Int24, 0, "0 channels"),
        (AudioFormat::Wav, SampleDepth::Int24, 65, "65 channels"),
        (AudioFormat::Wav, SampleDepth::Int24, 0, "0 channels"),
    ] {
        let error = Writer::create(&path, format, depth, Rate::default(), channels).unwrap_err();
        assert_eq!(error.code, aulos_protocol::ErrorCode::InvalidArgument);
        assert!(error.message.contains(reason) && error.expected.is_some(), "{error:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
