//! Files that are not as they should be.

use aulos_protocol::ErrorCode;
use proptest::prelude::*;

use super::super::cells::{CHUNK, Keeper};
use super::super::decode::{Decode, Fault, FileInfo};
use super::super::loader::Loader;
use super::super::{decode, probe};
use super::exact::wav;
use super::*;

/// The error for a file with these contents.
fn refused(name: &str, bytes: &[u8]) -> aulos_protocol::Error {
    let folder = TempDir::new().unwrap();
    let error = probe(&file(&folder, name, bytes)).unwrap_err();
    assert!(error.message.contains(name), "{error}");
    assert!(error.expected.is_some() && error.remedy.is_some(), "{error:?}");
    error
}

#[test]
fn what_is_no_audio_file_is_refused_with_a_reason() {
    let folder = TempDir::new().unwrap();
    let missing = probe(&folder.path().join("missing.wav")).unwrap_err();
    assert_eq!(missing.code, ErrorCode::NotFound);
    assert!(missing.message.contains("missing.wav") && missing.remedy.is_some(), "{missing}");
    let directory = probe(folder.path()).unwrap_err();
    assert_eq!(directory.code, ErrorCode::InvalidArgument);
    assert!(directory.message.contains("is a folder"), "{directory}");
    let pipe = folder.path().join("pipe.wav");
    run("mkfifo", &[pipe.to_str().unwrap()]);
    assert_eq!(probe(&pipe).unwrap_err().code, ErrorCode::InvalidArgument);

    let wave = wav(1, 16, 2, &[0; 8]);
    let cases: [(&str, &[u8], &str); 8] = [
        ("empty.wav", b"", "not an audio file"),
        ("text.flac", b"Dear diary,", "not an audio file"),
        ("riff.wav", b"RIFF\x04\x00\x00\x00AVI ", "not an audio file"),
        ("cut-head.wav", &wave[..30], "format chunk is too short"),
        ("no-data.wav", &wave[..36], "has no samples"),
        ("header-only.wav", &wav(1, 16, 2, &[]), "holds no samples"),
        ("cut-head.flac", b"fLaC\x80\x00\x00\x22abc", "head is cut short"),
        ("header-only.flac", &flac_head(2, 48_000, 16, 0), "holds no samples"),
    ];
    for (name, bytes, reason) in cases {
        let error = refused(name, bytes);
        assert_eq!(error.code, ErrorCode::InvalidArgument);
        assert!(error.message.contains(reason), "{name}: {error}");
    }
}

#[test]
fn what_is_not_supported_is_named() {
    let cases = [
        (wav(6, 8, 1, &[0; 8]), "A-law"),
        (wav(0x11, 4, 1, &[0; 8]), "ADPCM"),
        (wav(3, 16, 1, &[0; 8]), "floats of 16 bits"),
        (wav(1, 64, 1, &[0; 8]), "integers of 64 bits"),
        (wav(1, 16, 0, &[0; 8]), "0 channels"),
        (wav(1, 16, 65, &[0; 260]), "65 channels"),
        (flac_head(2, 48_000, 32, 100), "FLAC of 32 bits"),
    ];
    for (bytes, reason) in cases {
        let error = refused("odd.wav", &bytes);
        assert_eq!(error.code, ErrorCode::InvalidArgument);
        assert!(error.message.contains(reason), "{error}");
    }
    let mut no_rate = wav(1, 16, 1, &[0; 8]);
    no_rate[24..28].fill(0);
    assert!(refused("rate.wav", &no_rate).message.contains("0 Hz"));
}

#[test]
fn a_wav_file_cut_short_plays_as_far_as_it_goes() {
    let folder = TempDir::new().unwrap();
    let made = Made::new(folder.path(), Kind::Wav24, 2, 10_000, 1);
    let header = std::fs::metadata(&made.path).unwrap().len() - 60_000;
    cut(&made.path, header + 6 * 7_000 + 4);
    assert_eq!(probe(&made.path).unwrap().frames, 7_000);
    assert_same(&decode_all(&made.path)[1], &made.samples(1, 0, 7_000), 0);
    assert!(shortage(&made.path).unwrap().contains("7000 of the 10000 frames"));
}

/// What is said when the file at `path` is opened.
fn shortage(path: &Path) -> Option<String> {
    let streams = Streams::new(0).unwrap();
    let told = streams.open(path).unwrap().shortage().map(ToString::to_string);
    let resampled = streams.open_at(path, Rate::new(44_100).unwrap()).unwrap();
    assert_eq!(resampled.shortage().map(ToString::to_string), told);
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(told.as_ref().is_none_or(|told| told.contains(name)), "{told:?}");
    told
}

#[test]
fn of_whole_files_nothing_is_said() {
    let folder = TempDir::new().unwrap();
    for kind in Kind::ALL {
        assert_eq!(shortage(&Made::new(folder.path(), kind, 2, 10_001, 1).path), None);
    }
}

#[test]
fn a_wav_file_whose_recorder_was_killed_plays() {
    let folder = TempDir::new().unwrap();
    // None, and what ffmpeg, arecord and sox write to a pipe.
    for sizes in [[0; 4], [0xff; 4], [0, 0xff, 0xff, 0x7f], [0, 0xf0, 0xff, 0x7f]] {
        let mut bytes = wav(1, 16, 1, &[1, 0, 2, 0, 3, 0]);
        bytes[4..8].copy_from_slice(&sizes);
        bytes[40..44].copy_from_slice(&sizes);
        let path = file(&folder, "killed.wav", &bytes);
        assert_eq!(probe(&path).unwrap().frames, 3);
        assert_eq!(shortage(&path), None);
    }
}

#[test]
fn a_flac_file_cut_short_plays_as_far_as_it_goes() {
    let folder = TempDir::new().unwrap();
    let made = Made::new(folder.path(), Kind::Flac16, 2, 50_000, 1);
    cut(&made.path, std::fs::metadata(&made.path).unwrap().len() / 2);
    let frames = probe(&made.path).unwrap().frames;
    assert!(frames > 10_000 && frames < 40_000 && frames.is_multiple_of(4_096), "{frames}");
    assert!(shortage(&made.path).unwrap().contains(&format!("{frames} of the 50000 frames")));
    assert_same(&decode_all(&made.path)[1], &made.samples(1, 0, frames), 0);
}

#[test]
fn a_flac_file_of_unknown_length_is_counted() {
    let folder = TempDir::new().unwrap();
    let made = Made::new(folder.path(), Kind::Flac24, 1, 30_001, 1);
    let mut bytes = std::fs::read(&made.path).unwrap();
    bytes[21] &= 0xf0;
    bytes[22..26].fill(0);
    let path = file(&folder, "unknown.flac", &bytes);
    assert_eq!(probe(&path).unwrap().frames, 30_001);
    assert_same(&decode_all(&path)[0], &made.samples(0, 0, made.frames), 0);
}

#[test]
fn what_lies_behind_a_flac_file_costs_none_of_it() {
    let folder = TempDir::new().unwrap();
    let tag = [b"TAG", &[0; 125][..]].concat();
    let noise: Vec<u8> = (0..300_000).map(|n| hash(n) as u8).collect();
    // What might be taken for the head of another block.
    let heads = b"\xff\xf8\xc9\x18\x00\xc2".repeat(1_000);
    let behind: [&[u8]; 6] = [&tag, b"x", &noise, &heads, &[0; 70_000], &[0xff; 10_000]];
    for (kind, channels, frames) in [
        (Kind::Flac16, 2, 50_001),
        (Kind::Flac24, 1, 30_000),
        (Kind::Flac16, 1, 17),
        (Kind::Flac24, 8, 8_192),
    ] {
        let made = Made::new(folder.path(), kind, channels, frames, 1);
        let flac = std::fs::read(&made.path).unwrap();
        let mut unknown = flac.clone();
        unknown[21] &= 0xf0;
        unknown[22..26].fill(0);
        for (n, behind) in behind.iter().enumerate() {
            for flac in [&flac, &unknown] {
                let path = file(&folder, "behind.flac", &[&flac[..], behind].concat());
                assert_eq!(probe(&path).unwrap().frames, frames, "{made:?}, {n}");
                for (channel, samples) in decode_all(&path).iter().enumerate() {
                    assert_same(samples, &made.samples(channel as u16, 0, frames), 0);
                }
            }
        }
    }
}

#[test]
fn the_last_block_of_what_other_encoders_wrote_is_found() {
    let folder = TempDir::new().unwrap();
    let made = Made::new(folder.path(), Kind::Wav16, 2, 50_001, 1);
    let source = made.path.to_str().unwrap();
    let target = folder.path().join("other.flac");
    let name = target.to_str().unwrap();
    for options in
        [&["-b", "192"][..], &["-b", "4608"], &["-b", "1000"], &["-b", "100"], &["-0", "--no-seektable"]]
    {
        run("flac", &[&["--silent", "--force", "--lax", "-o", name][..], options, &[source]].concat());
        let mut bytes = std::fs::read(&target).unwrap();
        bytes.extend(b"TAG");
        bytes.extend([0; 125]);
        std::fs::write(&target, bytes).unwrap();
        assert_eq!(probe(&target).unwrap().frames, made.frames, "{options:?}");
        assert_same(&decode_all(&target)[1], &made.samples(1, 0, made.frames), 0);
    }
}

#[test]
fn a_flac_file_behind_tags_is_read() {
    let folder = TempDir::new().unwrap();
    let made = Made::new(folder.path(), Kind::Flac16, 2, 30_001, 1);
    let flac = std::fs::read(&made.path).unwrap();
    let tag = [b"ID3\x04\0\0\0\0\x02\x03", &[0x55; 259][..]].concat();
    for tags in [1, 2] {
        let path = file(&folder, "tagged.flac", &[tag.repeat(tags), flac.clone()].concat());
        assert_eq!(probe(&path).unwrap().frames, made.frames);
        for (channel, samples) in decode_all(&path).iter().enumerate() {
            assert_same(samples, &made.samples(channel as u16, 0, made.frames), 0);
        }
    }
}

/// A FLAC file in which some blocks of 4,096 frames have been overwritten in part, and what must be read.
fn damaged(folder: &TempDir, frames: u64, blocks: &[u64]) -> (PathBuf, Vec<f32>) {
    let made = Made::new(folder.path(), Kind::Flac16, 1, frames, 1);
    let mut bytes = std::fs::read(&made.path).unwrap();
    let mut right = made.samples(0, 0, made.frames);
    for &block in blocks {
        let number = u8::try_from(block).unwrap();
        let start = (42..bytes.len())
            .find(|&n| bytes[n..].starts_with(&[0xff, 0xf8]) && bytes.get(n + 4) == Some(&number))
            .unwrap();
        bytes[start + 1_000..start + 1_100].fill(0x55);
        let silent = (block * 4_096) as usize..((block + 1) * 4_096).min(frames) as usize;
        right[silent].fill(0.0);
    }
    (file(folder, "damaged.flac", &bytes), right)
}

#[test]
fn a_damaged_block_is_silent_and_told_once() {
    let folder = TempDir::new().unwrap();
    let (path, right) = damaged(&folder, 60_000, &[5]);
    assert_eq!(probe(&path).unwrap().frames, 60_000);
    assert_same(&decode_all(&path)[0], &right, 0);
    let streams = Streams::new(0).unwrap();
    // In several orders, and with streams that begin anywhere.
    for order in [[0, 5, 6, 4, 14], [6, 5, 4, 3, 5], [5, 5, 0, 9, 5], [14, 2, 5, 7, 6]] {
        let stream = streams.open(&path).unwrap();
        for chunk in order {
            let from = chunk * CHUNK as u64;
            load(&streams, &stream, from..from + 100);
            let (complete, out) = read(&stream, 0, from, CHUNK as u64);
            assert!(complete);
            let mut right = right[from as usize..].to_vec();
            right.resize(CHUNK.max(right.len()), 0.0);
            assert_same(&out, &right[..CHUNK], from);
        }
        let errors = streams.take_errors();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].code, ErrorCode::Io);
        assert!(errors[0].message.contains("damaged.flac"), "{errors:?}");
        assert!(errors[0].message.contains("20480"), "{errors:?}");
    }
    assert_eq!(streams.underruns(), 0);
}

#[test]
fn damage_is_the_same_in_whatever_order_it_is_found() {
    let folder = TempDir::new().unwrap();
    let frames = 480_000;
    // The first block, neighbours, one far behind the beginning, and the last.
    let (path, right) = damaged(&folder, frames, &[0, 3, 4, 60, 99, 117]);
    // The last block is lost, so the file ends before it.
    let end = 117 * 4_096;
    assert_eq!(probe(&path).unwrap().frames, end);
    assert_same(&decode_all(&path)[0], &right[..end as usize], 0);
    for seed in 0..6 {
        let mut decoder = decode::open(&path).unwrap();
        let mut out = vec![0.0; 5_000];
        for n in 0..60 {
            let from = hash(seed << 32 | n) % (end - 5_000);
            // The first to find the damage tells of it.
            let _ = decoder.read(from, &mut out);
            assert_same(&out, &right[from as usize..from as usize + 5_000], from);
        }
    }
}

/// A file whose decoder misbehaves in chunk 1, as a defect of a library would.
#[derive(Debug)]
struct Misbehaving(fn() -> Fault);

impl Decode for Misbehaving {
    fn info(&self) -> FileInfo {
        FileInfo { channels: 1, rate: 48_000, frames: 3 * CHUNK as u64 }
    }

    fn read(&mut self, from: u64, out: &mut [f32]) -> Result<(), Fault> {
        out.fill(0.5);
        if from == CHUNK as u64 { Err((self.0)()) } else { Ok(()) }
    }
}

#[test]
fn a_decoder_that_fails_or_panics_costs_only_its_stream() {
    let io: fn() -> Fault = || Fault::Io(std::io::Error::other("the disk is gone"));
    let panic: fn() -> Fault = || panic!("a defect of the decoder");
    for (failure, reason) in [(io, "the disk is gone"), (panic, "confuse the decoder")] {
        let decoder = Misbehaving(failure);
        let keeper = Keeper::new(3, 3, 1);
        let path = Path::new("misbehaving.wav");
        let stream = Stream::new(path, decoder.info(), keeper.cells().clone(), 3, Arc::default());
        let stream = Arc::new(stream);
        let mut loader = Loader::new(stream.clone(), keeper, Box::new(decoder));
        loader.want(vec![0, 1, 2]);
        let mut scratch = Vec::new();
        let told: Vec<_> = (0..4).filter_map(|_| loader.load_one(&mut scratch)).collect();
        assert!(loader.done());
        assert_eq!(told.len(), 1);
        assert!(told[0].message.contains(reason) && told[0].message.contains("misbehaving.wav"), "{told:?}");
        assert_eq!(read(&stream, 0, 0, 10), (true, vec![0.5; 10]));
        assert_eq!(
            read(&stream, 0, 2 * CHUNK as u64, 10),
            (true, vec![0.0; 10]),
            "all that follows is silent"
        );
    }
}

#[test]
fn a_file_that_shrinks_falls_silent_and_is_told_once() {
    let folder = TempDir::new().unwrap();
    for kind in [Kind::Wav16, Kind::Flac16] {
        let made = Made::new(folder.path(), kind, 1, 100_000, 1);
        let streams = Streams::new(0).unwrap();
        let stream = streams.open(&made.path).unwrap();
        load(&streams, &stream, 0..100);
        cut(&made.path, 1_000);
        made.check(&stream, 0, 100);
        for from in [90_000, 50_000, 10_000, 90_000] {
            load(&streams, &stream, from..from + 100);
            assert_eq!(read(&stream, 0, from, 100), (true, vec![0.0; 100]));
        }
        let errors = streams.take_errors();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].message.contains(made.path.to_str().unwrap()), "{errors:?}");
        assert!(errors[0].remedy.is_some());
        // Others go on.
        let other = Made::new(folder.path(), kind, 1, 10_000, 2);
        let stream = streams.open(&other.path).unwrap();
        load(&streams, &stream, 5_000..5_100);
        other.check(&stream, 5_000, 100);
    }
}

/// Opens whatever is at `path` and reads it here and there.
fn try_everything(path: &Path) {
    let Ok(info) = probe(path) else { return };
    assert!((1..=64).contains(&info.channels) && info.rate > 0 && info.frames > 0);
    let mut decoder = decode::open(path).unwrap();
    let mut out = vec![0.0; 3_000 * usize::from(info.channels)];
    for from in [0, info.frames / 2, info.frames - 1, 1, info.frames, u64::MAX] {
        let _ = decode::guarded(|| decoder.read(from, &mut out));
    }
    let streams = Streams::new(0).unwrap();
    let stream = streams.open(path).unwrap();
    load(&streams, &stream, 0..info.frames);
    let (complete, out) = read(&stream, 0, 0, info.frames.min(100));
    assert!(complete && out.iter().all(|sample| sample.is_finite()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..3_000), head in 0..5usize) {
        let folder = TempDir::new().unwrap();
        let mut all = match head {
            0 => Vec::new(),
            1 => b"RIFF\xff\xff\xff\xffWAVE".to_vec(),
            2 => wav(1, 16, 2, &[])[..36].to_vec(),
            3 => b"fLaC".to_vec(),
            _ => flac_head(2, 44_100, 16, 10_000),
        };
        all.extend(bytes);
        try_everything(&file(&folder, "random.wav", &all));
    }

    #[test]
    fn changed_files_do_no_harm(
        kind in prop::sample::select(&Kind::ALL[..]),
        changes in prop::collection::vec((0.0..1.0f64, any::<u8>(), any::<bool>()), 1..12),
        cut in prop::option::of(0.0..1.0f64),
    ) {
        let folder = TempDir::new().unwrap();
        let made = Made::new(folder.path(), kind, 2, 12_000, 1);
        let mut bytes = std::fs::read(&made.path).unwrap();
        for (place, value, in_head) in changes {
            let most = if in_head { 100 } else { bytes.len() };
            bytes[(place * most as f64) as usize] = value;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| (cut * bytes.len() as f64) as usize));
        try_everything(&file(&folder, "changed.wav", &bytes));
    }
}

/// The head of a FLAC file without audio.
fn flac_head(channels: u64, rate: u64, bits: u64, frames: u64) -> Vec<u8> {
    let mut head = b"fLaC\x80\x00\x00\x22\x10\x00\x10\x00\x00\x00\x00\x00\x00\x00".to_vec();
    head.extend((rate << 44 | (channels - 1) << 41 | (bits - 1) << 36 | frames).to_be_bytes());
    head.extend([0; 16]);
    head
}
