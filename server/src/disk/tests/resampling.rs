//! The resampler against its definition: what it lets through, and what it adds.

use std::f64::consts::TAU;

use aulos_tests::tone::measure;

use super::super::decode::open_at;
use super::*;

/// The samples of a tone of `frequency` cycles a frame and amplitude 0.5, written at rate `from` and read at `to`.
fn resampled_tone(folder: &TempDir, from: u32, to: u32, frequency: f64) -> Vec<f32> {
    const FRAMES: u32 = 40_000;
    let path = folder.path().join("tone.wav");
    let spec =
        WavSpec { channels: 1, sample_rate: from, bits_per_sample: 32, sample_format: SampleFormat::Float };
    let mut writer = WavWriter::create(&path, spec).unwrap();
    for n in 0..FRAMES {
        writer.write_sample((0.5 * (TAU * frequency * f64::from(n)).sin()) as f32).unwrap();
    }
    writer.finalize().unwrap();
    let mut decoder = open_at(&path, to).unwrap();
    let mut out = vec![0.0; decoder.info().frames as usize];
    decoder.read(0, &mut out).unwrap();
    out
}

/// The rates of docs/files.md.
const RATES: [(u32, u32); 6] = [
    (44_100, 48_000),
    (48_000, 44_100),
    (96_000, 48_000),
    (22_050, 48_000),
    (88_200, 48_000),
    (48_000, 96_000),
];

#[test]
fn tones_come_through_unchanged_and_alone() {
    let folder = TempDir::new().unwrap();
    for (from, to) in RATES {
        let lower = f64::from(from.min(to));
        let (mut ripple, mut images, mut phase) = (0.0f64, f64::NEG_INFINITY, 0.0f64);
        // Odd steps, so that images fall on no tone.
        for n in 0..24 {
            let hz = 0.45 * lower * (f64::from(n) + 0.37) / 23.4;
            let out = resampled_tone(&folder, from, to, hz / f64::from(from));
            // Beside the ends.
            let heard = measure(&out, out.len() / 4..out.len() - out.len() / 4, hz / f64::from(to));
            ripple = ripple.max((20.0 * (heard.amplitude / 0.5).log10()).abs());
            images = images.max(heard.rest_db());
            phase = phase.max(heard.phase.abs());
        }
        assert!(ripple < 1e-6, "{from} -> {to}: {ripple} dB");
        assert!(images < -140.0, "{from} -> {to}: {images} dB");
        // Frame 0 stays frame 0.
        assert!(phase < 1e-6, "{from} -> {to}: {phase}");
    }
}

#[test]
fn what_the_lower_rate_cannot_hold_is_not_heard() {
    let folder = TempDir::new().unwrap();
    for (from, to) in RATES.into_iter().filter(|(from, to)| from > to) {
        let mut aliases = f64::NEG_INFINITY;
        for n in 0..16 {
            let lowest = f64::from(to) * 0.5005;
            let hz = lowest + (f64::from(from) * 0.5 - lowest) * (f64::from(n) + 0.3) / 16.0;
            let out = resampled_tone(&folder, from, to, hz / f64::from(from));
            let middle = &out[out.len() / 4..out.len() * 3 / 4];
            let power = middle.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / middle.len() as f64;
            aliases = aliases.max(10.0 * (power / 0.125).log10());
        }
        assert!(aliases < -140.0, "{from} -> {to}: {aliases} dB");
    }
}

#[test]
fn resampled_files_are_as_long_as_they_sound() {
    let folder = TempDir::new().unwrap();
    let made = Made::new(folder.path(), Kind::Wav16, 2, 48_000, 1);
    for (rate, frames) in
        [(44_100, 44_100), (96_000, 96_000), (47_999, 47_999), (8_000, 8_000), (11_025, 11_025)]
    {
        let decoder = open_at(&made.path, rate).unwrap();
        assert_eq!(decoder.info().frames, frames);
    }
    let odd = Made::new(folder.path(), Kind::Wav16, 1, 1_001, 1);
    assert_eq!(open_at(&odd.path, 44_100).unwrap().info().frames, 920);
}

#[test]
fn rates_that_cannot_be_brought_together_are_refused() {
    let folder = TempDir::new().unwrap();
    let mut bytes = super::exact::wav(1, 16, 64, &[0; 128]);
    for rate in [1u32, 999, 191_999, 4_000_000_000] {
        bytes[24..28].copy_from_slice(&rate.to_le_bytes());
        let error = open_at(&file(&folder, "odd.wav", &bytes), 48_000).unwrap_err();
        assert_eq!(error.code, aulos_protocol::ErrorCode::InvalidArgument);
        assert!(error.message.contains(&format!("{rate} Hz")), "{error}");
        assert!(error.remedy.is_some_and(|remedy| remedy.contains("sox")));
    }
}

#[test]
fn samples_that_are_no_numbers_spoil_nothing_else_and_are_counted() {
    let folder = TempDir::new().unwrap();
    let values: Vec<f32> = (0..20_000).map(|n| if n == 10_000 { f32::NAN } else { 0.5 }).collect();
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut bytes = super::exact::wav(3, 32, 1, &data);
    bytes[24..28].copy_from_slice(&44_100u32.to_le_bytes());
    let streams = Streams::new(96_000).unwrap();
    let stream = streams.open_at(&file(&folder, "wild.wav", &bytes), Rate::new(48_000).unwrap()).unwrap();
    load(&streams, &stream, 0..21_000);
    assert!(stream.invalid_samples() > 0);
    let (_, out) = read(&stream, 0, 3_000, 14_000);
    let near = out.iter().filter(|x| (**x - 0.5).abs() < 0.01).count();
    assert!(near > 13_800, "{near}");
}
