//! Samples are exactly what the file says.

use super::super::probe;
use super::*;

#[test]
fn every_kind_of_file_is_read_exactly() {
    let folder = TempDir::new().unwrap();
    for kind in Kind::ALL {
        for channels in [1, 2, 5] {
            let made = Made::new(folder.path(), kind, channels, 10_001, 1);
            let info = probe(&made.path).unwrap();
            assert_eq!((info.channels, info.rate, info.frames), (channels, 48_000, 10_001));
            for (channel, samples) in decode_all(&made.path).iter().enumerate() {
                assert_same(samples, &made.samples(channel as u16, 0, made.frames), 0);
            }
        }
    }
}

#[test]
fn the_ends_of_integer_ranges_are_exact() {
    let folder = TempDir::new().unwrap();
    for bits in [8, 16, 24, 32] {
        let path = folder.path().join("ends.wav");
        let spec = WavSpec {
            channels: 1,
            sample_rate: 44_100,
            bits_per_sample: bits,
            sample_format: SampleFormat::Int,
        };
        let most = (1i64 << (bits - 1)) as f64;
        let integers = [-most, -most + 1.0, -1.0, 0.0, 1.0, most - 1.0];
        let mut writer = WavWriter::create(&path, spec).unwrap();
        for integer in integers {
            writer.write_sample(integer as i32).unwrap();
        }
        writer.finalize().unwrap();
        let right: Vec<f32> = integers.iter().map(|integer| (integer / most) as f32).collect();
        assert_eq!(decode_all(&path)[0], right);
    }
}

#[test]
fn floats_of_64_bits_are_rounded() {
    let folder = TempDir::new().unwrap();
    let values = [0.1f64, -1.0 / 3.0, 1e-300, 1.0 + 1e-12, -0.0, 123.456];
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let path = file(&folder, "double.wav", &wav(3, 64, 2, &data));
    let all = decode_all(&path);
    let right = |n: usize| -> Vec<f32> { values.iter().skip(n).step_by(2).map(|&v| v as f32).collect() };
    assert_same(&all[0], &right(0), 0);
    assert_same(&all[1], &right(1), 0);
}

#[test]
fn other_chunks_are_skipped_and_odd_ones_padded() {
    let folder = TempDir::new().unwrap();
    let plain = wav(1, 16, 1, &[1, 0, 2, 0]);
    let mut bytes = plain[..12].to_vec();
    bytes.extend(b"junk\x03\x00\x00\x00abc\0");
    bytes.extend(&plain[12..]);
    bytes.extend(b"LIST\x04\x00\x00\x00INFO");
    let path = file(&folder, "chunks.wav", &bytes);
    assert_eq!(decode_all(&path), [[1.0 / 32_768.0, 2.0 / 32_768.0]]);
}

#[test]
fn sixty_four_channels_work() {
    let folder = TempDir::new().unwrap();
    let made = Made::new(folder.path(), Kind::Wav24, 64, 5_000, 3);
    assert_eq!(probe(&made.path).unwrap().channels, 64);
    assert_same(&decode_all(&made.path)[63], &made.samples(63, 0, made.frames), 0);
}

#[test]
fn rf64_files_work() {
    let folder = TempDir::new().unwrap();
    let plain = wav(1, 16, 1, &[1, 0, 2, 0]);
    let mut bytes = b"RF64\xff\xff\xff\xffWAVEds64\x1c\x00\x00\x00".to_vec();
    bytes.extend(72u64.to_le_bytes());
    bytes.extend(4u64.to_le_bytes());
    bytes.extend([0; 12]);
    bytes.extend(&plain[12..36]);
    bytes.extend(b"data\xff\xff\xff\xff");
    bytes.extend([1, 0, 2, 0]);
    bytes.extend(b"not samples");
    let path = file(&folder, "long.wav", &bytes);
    assert_eq!(decode_all(&path), [[1.0 / 32_768.0, 2.0 / 32_768.0]]);
}

/// What other programs write is read as they read it themselves.
#[test]
fn files_of_other_programs_are_read_exactly() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (bits, channels) in [("16", "1"), ("24", "2"), ("16", "5"), ("24", "8")] {
        let original = at(&format!("{bits}-{channels}.wav"));
        let noise = ["synth", "3", "pinknoise", "gain", "-3"];
        run("sox", &[&["-n", "-b", bits, "-c", channels, "-r", "44100", &original], &noise[..]].concat());
        let expected = decode_all(Path::new(&original));
        assert_eq!(expected[0].len(), 132_300);
        assert!(expected[0].iter().any(|&sample| sample != 0.0));
        for level in ["-0", "-5", "-8"] {
            let encoded = at(&format!("{bits}-{channels}{level}.flac"));
            let rest = [
                "-s",
                "-f",
                "-S",
                "0.1s",
                "-T",
                "TITLE=noise",
                "--channel-map=none",
                "-o",
                &encoded,
                &original,
            ];
            run("flac", &[&[level], &rest[..]].concat());
            let path = Path::new(&encoded);
            assert_eq!(decode_all(path), expected, "{encoded}");
            // From the end to the beginning, so that every read is a search.
            let mut decoder = super::super::decode::open(path).unwrap();
            let mut out = vec![0.0; 700 * expected.len()];
            for from in (0..132_300usize).step_by(700).rev() {
                decoder.read(from as u64, &mut out).unwrap();
                for (plane, expected) in out.chunks(700).zip(&expected) {
                    assert_eq!(plane, &expected[from..from + 700], "{encoded} at {from}");
                }
            }
        }
    }
}

/// A WAV file with this format chunk and data.
pub fn wav(form: u16, bits: u16, channels: u16, data: &[u8]) -> Vec<u8> {
    let align = channels * bits.div_ceil(8);
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\x00\x00\x00");
    for half in [form, channels] {
        bytes.extend(half.to_le_bytes());
    }
    bytes.extend(48_000u32.to_le_bytes());
    bytes.extend((48_000 * u32::from(align)).to_le_bytes());
    for half in [align, bits] {
        bytes.extend(half.to_le_bytes());
    }
    bytes.extend(b"data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes
}
