//! Files whose packets depend on those before them.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::super::decode::{Decode, Fault, open, open_at};
use super::super::segments::Segments;
use super::super::vorbis::Vorbis;
use super::super::{mp4, mpeg, probe};
use super::*;

/// How long the sound is that is encoded.
const FRAMES: u64 = 150_001;

/// Files that ffmpeg has encoded: name, arguments.
const ENCODED: [(&str, &[&str]); 9] = [
    ("variable.mp3", &["-c:a", "libmp3lame", "-q:a", "2"]),
    ("constant.mp3", &["-c:a", "libmp3lame", "-b:a", "96k"]),
    ("tight.mp3", &["-c:a", "libmp3lame", "-b:a", "32k", "-ar", "22050"]),
    ("slow.mp3", &["-c:a", "libmp3lame", "-b:a", "8k", "-ar", "8000", "-ac", "1"]),
    ("plain.ogg", &["-c:a", "libvorbis", "-q:a", "3"]),
    ("mono.ogg", &["-c:a", "libvorbis", "-q:a", "8", "-ac", "1"]),
    ("stream.aac", &["-c:a", "aac", "-b:a", "96k", "-aac_pns", "0"]),
    ("box.m4a", &["-c:a", "aac", "-b:a", "96k", "-aac_pns", "0"]),
    // With noise that the decoder makes itself.
    ("noise.m4a", &["-c:a", "aac", "-b:a", "48k", "-aac_pns", "1", "-movflags", "+faststart"]),
];

/// The encoded files, which are made once.
fn encoded() -> impl Iterator<Item = PathBuf> {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
        let folder = TempDir::new().unwrap();
        let made = Made::new(folder.path(), Kind::Wav24, 2, FRAMES, 1);
        let source = made.path.to_str().unwrap();
        for (name, arguments) in ENCODED {
            let path = folder.path().join(name);
            let ends = [&["-v", "error", "-i", source][..], arguments, &[path.to_str().unwrap()]].concat();
            run("ffmpeg", &ends);
        }
        folder
    });
    ENCODED.iter().map(|(name, _)| FOLDER.path().join(name))
}

fn named(name: &str) -> PathBuf {
    encoded().find(|path| path.ends_with(name)).unwrap()
}

fn ending(path: &Path) -> &str {
    path.extension().unwrap().to_str().unwrap()
}

/// All samples of the file at `path`, from one decoder that is given all packets one after the other.
fn straight(path: &Path) -> Vec<Vec<f32>> {
    let file = File::open(path).unwrap();
    let len = file.metadata().unwrap().len();
    let mut decoder: Box<dyn Decode> = match ending(path) {
        "ogg" => Box::new(Segments::new(Vorbis::open(file, len).unwrap().undivided())),
        "m4a" => Box::new(Segments::new(mp4::open(file, len).unwrap().undivided())),
        _ => Box::new(Segments::new(mpeg::open(file, len).unwrap().undivided())),
    };
    let info = decoder.info();
    let mut out = vec![0.0; info.frames as usize * usize::from(info.channels)];
    decoder.read(0, &mut out).unwrap();
    out.chunks(info.frames as usize).map(<[f32]>::to_vec).collect()
}

#[test]
fn what_is_left_of_the_encoders_is_what_went_in() {
    for (name, frames) in [
        ("variable.mp3", FRAMES),
        ("constant.mp3", FRAMES),
        ("plain.ogg", FRAMES),
        ("mono.ogg", FRAMES),
        ("box.m4a", FRAMES),
        ("noise.m4a", FRAMES),
    ] {
        assert_eq!(probe(&named(name)).unwrap().frames, frames, "{name}");
    }
    // Without a container nothing says how much of the first and the last packet is sound.
    let whole = probe(&named("stream.aac")).unwrap().frames;
    assert!(whole > FRAMES && whole.is_multiple_of(1_024), "{whole}");
}

#[test]
fn what_is_decoded_in_parts_is_what_is_decoded_as_a_whole() {
    for path in encoded().filter(|path| !path.ends_with("noise.m4a")) {
        let (whole, parts) = (straight(&path), decode_all(&path));
        assert_eq!(whole.len(), parts.len());
        for (whole, parts) in whole.iter().zip(&parts) {
            let different = (0..whole.len()).find(|&n| whole[n].to_bits() != parts[n].to_bits());
            assert_eq!(different, None, "{}", path.display());
        }
    }
}

#[test]
fn noise_that_the_decoder_makes_is_as_loud_wherever_it_begins() {
    let path = named("noise.m4a");
    let (whole, parts) = (straight(&path), decode_all(&path));
    let mut different = 0;
    for (whole, parts) in whole.iter().zip(&parts) {
        for (whole, parts) in whole.chunks_exact(4_096).zip(parts.chunks_exact(4_096)) {
            let power = |samples: &[f32]| samples.iter().map(|x| f64::from(x * x)).sum::<f64>();
            let ratio = power(whole) / power(parts);
            assert!((0.9..1.1).contains(&ratio), "{ratio}");
            different += usize::from(whole != parts);
        }
    }
    assert!(different > 0, "there is no such noise in the file");
}

#[test]
fn a_thousand_reads_anywhere_are_the_samples_of_a_straight_decode() {
    let rate = Rate::new(48_000).unwrap();
    for (number, path) in encoded().enumerate() {
        for resampled in [false, true] {
            let make = || if resampled { open_at(&path, rate.hz()).unwrap() } else { open(&path).unwrap() };
            let mut decoder = make();
            let info = decoder.info();
            assert!(!resampled || info.rate == rate.hz());
            let (frames, channels) = (info.frames as usize, usize::from(info.channels));
            let mut all = vec![0.0; frames * channels];
            make().read(0, &mut all).unwrap();
            for n in 0..1_000 {
                let random = hash((number as u64) << 32 | n);
                let from = random % (info.frames + 2_000);
                let len = 1 + (random >> 40) as usize % 6_000;
                let mut out = vec![f32::NAN; len * channels];
                decoder.read(from, &mut out).unwrap();
                for (plane, all) in out.chunks(len).zip(all.chunks(frames)) {
                    let right = |n: usize| all.get(from as usize + n).copied().unwrap_or(0.0);
                    if let Some(n) = (0..len).find(|&n| plane[n].to_bits() != right(n).to_bits()) {
                        panic!("{}, resampled {resampled}: {len} from {from}: frame {n}", path.display());
                    }
                }
            }
        }
    }
}

/// The file at `path` with bytes `at` to `at + len` overwritten, in a folder of its own.
fn spoilt(folder: &TempDir, path: &Path, at: usize, len: usize) -> PathBuf {
    let mut bytes = std::fs::read(path).unwrap();
    for (n, byte) in bytes[at..at + len].iter_mut().enumerate() {
        *byte = hash(n as u64) as u8;
    }
    file(folder, path.file_name().unwrap().to_str().unwrap(), &bytes)
}

#[test]
fn a_place_that_is_damaged_costs_itself_and_is_told() {
    let folder = TempDir::new().unwrap();
    for path in encoded() {
        let len = std::fs::metadata(&path).unwrap().len() as usize;
        let spoilt = spoilt(&folder, &path, len / 2, len / 30);
        let (before, after) = (probe(&path).unwrap(), probe(&spoilt).unwrap());
        assert_eq!((after.channels, after.rate), (before.channels, before.rate));
        let name = path.display();
        // Packets whose heads are lost are counted by their mean length.
        let tolerance = match ending(&path) {
            "mp3" | "aac" => 3 * 1_152,
            _ => 0,
        };
        assert!(after.frames.abs_diff(before.frames) <= tolerance, "{name}: {after:?}");
        let mut decoder = open(&spoilt).unwrap();
        let mut out = vec![0.0; after.frames as usize * usize::from(after.channels)];
        let fault = decoder.read(0, &mut out).unwrap_err();
        assert!(matches!(&fault, Fault::Damaged(what) if what.contains("frame")), "{name}: {fault:?}");
        assert!(decoder.read(0, &mut out).is_ok(), "{name}: told again");
        let whole = decode_all(&path);
        let share = |from: f64, to: f64, shift: i64| {
            let range = (before.frames as f64 * from) as usize..(before.frames as f64 * to) as usize;
            range.clone().filter(|&n| out.get((n as i64 + shift) as usize) == Some(&whole[0][n])).count()
                as f64
                / range.len() as f64
        };
        assert!(share(0.0, 0.25, 0) == 1.0, "{name}: what is before the damage is not as it was");
        let shifts = [0, 576, -576, 1_024, -1_024, 1_152, -1_152, 2_048, -2_048, 2_304, -2_304];
        // What noise follows a damaged packet depends on what it was.
        let least = if path.ends_with("noise.m4a") { 0.0 } else { 1.0 };
        let best = shifts.iter().map(|&shift| share(0.8, 0.95, shift)).fold(0.0, f64::max);
        assert!(best >= least, "{name}: what is behind the damage is not as it was: {best}");
        let silent = out[..after.frames as usize].windows(500).any(|w| w.iter().all(|x| *x == 0.0));
        assert!(
            silent || ending(&path) == "mp3" || ending(&path) == "aac" || ending(&path) == "m4a",
            "{name}"
        );
    }
}

#[test]
fn files_cut_short_play_as_far_as_they_go() {
    let folder = TempDir::new().unwrap();
    for path in encoded() {
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(bytes.len() * 6 / 10);
        let short = file(&folder, path.file_name().unwrap().to_str().unwrap(), &bytes);
        let whole = probe(&path).unwrap();
        let Ok(info) = probe(&short) else {
            // What says where the sound is comes last in this one.
            assert!(path.ends_with("box.m4a"), "{}", path.display());
            continue;
        };
        let (got, right) = (decode_all(&short), decode_all(&path));
        let same = (0..info.frames as usize).take_while(|&n| got[0][n] == right[0][n]).count();
        let share = same as f64 / whole.frames as f64;
        assert!((0.25..0.7).contains(&share), "{}: {share} of it is as it was", path.display());
        assert!(info.frames < whole.frames, "{}", path.display());
        assert_eq!(open(&path).unwrap().shortage(), None, "{}", path.display());
        let told = open(&short).unwrap().shortage().unwrap();
        let right = match ending(&path) {
            "aac" => "within a frame".to_owned(),
            "ogg" => "last page".to_owned(),
            _ => format!("{} of the {} frames", info.frames, whole.frames),
        };
        assert!(told.contains(&right), "{}: {told}", path.display());
    }
    let error = probe(&folder.path().join("box.m4a")).unwrap_err();
    assert!(error.message.contains("does not say where its sound is"), "{error}");
}

#[test]
fn files_that_were_put_together_play_one_after_the_other() {
    let folder = TempDir::new().unwrap();
    for (name, packet) in [("constant.mp3", 1_152), ("stream.aac", 1_024)] {
        let one = std::fs::read(named(name)).unwrap();
        let tag = b"ID3\x04\0\0\0\0\0\x0cAAAABBBBCCCC";
        let two = file(&folder, name, &[&tag[..], &one, tag, &one, b"TAG", &[b' '; 125]].concat());
        let (single, double) = (probe(&named(name)).unwrap().frames, probe(&two).unwrap().frames);
        assert!(double.abs_diff(2 * single) <= 4 * packet, "{name}: {single}, {double}");
        let (single, double) = (decode_all(&named(name)), decode_all(&two));
        let same = single[0].iter().zip(&double[0]).take_while(|(a, b)| a == b).count();
        assert!(same as u64 > FRAMES - 3 * packet, "{name}: {same}");
    }
}

/// Opens whatever is at `path` as the server does, and reads it here and there.
fn try_everything(path: &Path) {
    for decoder in [open(path), open_at(path, 48_000)] {
        let Ok(mut decoder) = decoder else { continue };
        let info = decoder.info();
        assert!((1..=64).contains(&info.channels) && info.rate > 0 && info.frames > 0);
        let mut out = vec![0.0; 3_000 * usize::from(info.channels)];
        for from in [0, info.frames / 2, info.frames - 1, 1, info.frames, u64::MAX] {
            let read = super::super::decode::guarded(|| decoder.read(from, &mut out).is_ok());
            assert!(read.is_some(), "a decoder's panic comes through");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn changed_files_do_no_harm(
        number in 0..ENCODED.len(),
        changes in prop::collection::vec((0.0..1.0f64, any::<u8>(), any::<bool>()), 1..12),
        cut in prop::option::of(0.0..1.0f64),
        moved in prop::option::of((0.0..1.0f64, 0.0..1.0f64, 1..3_000usize)),
    ) {
        let folder = TempDir::new().unwrap();
        let path = encoded().nth(number).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        // A tenth of each file is enough, but for the one whose tables come last.
        if !path.ends_with("box.m4a") {
            bytes.truncate(bytes.len().min(12_000));
        }
        let len = bytes.len();
        for (place, value, in_head) in changes {
            let most = if in_head { 200.min(len) } else { len };
            let place = (place * most as f64) as usize;
            let place = if path.ends_with("box.m4a") && in_head { len - 1 - place } else { place };
            bytes[place] = value;
        }
        if let Some((from, to, size)) = moved {
            let (from, to) = ((from * len as f64) as usize, (to * len as f64) as usize);
            let part = bytes[from..(from + size).min(len)].to_vec();
            bytes.splice(to..to, part);
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| (cut * bytes.len() as f64) as usize));
        try_everything(&file(&folder, "changed", &bytes));
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..3_000), head in 0..8usize) {
        let folder = TempDir::new().unwrap();
        let heads: [&[u8]; 8] = [
            b"OggS\0\x02\0\0\0\0\0\0\0\0",
            b"ID3\x04\0\0\0\0\0\0\xff\xfb\x90\0",
            b"\xff\xfb\x90\0",
            b"\xff\xf1\x50\x80\x10\x1f\xfc",
            b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom\0\0\0\0",
            b"\0\0\0\x08ftyp\0\0\x08\0moov\0\0\x02\0trak\0\0\0\x20mdia",
            b"FORM\0\0\x10\0AIFFCOMM\0\0\0\x12\0\x02",
            b"FORM\0\0\x10\0AIFCCOMM\0\0\0\x18\0\x01\0\0\x10\0\0\x10\x40\x0e\xbb\x80\0\0\0\0\0\0sowt",
        ];
        try_everything(&file(&folder, "random", &[heads[head], &bytes[..]].concat()));
    }
}

#[test]
fn huge_sizes_and_endless_files_are_refused_at_once() {
    let folder = TempDir::new().unwrap();
    let begun = std::time::Instant::now();
    let mut cases: Vec<(&str, Vec<u8>)> = vec![
        ("tag.mp3", b"ID3\x04\0\0\x7f\x7f\x7f\x7f".to_vec()),
        ("film.mp4", b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x01moov\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        ("mdat.mp4", b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x08moov\0\0\0\0mdat".to_vec()),
        ("page.ogg", b"OggS\0\x02\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec()),
        ("sound.aiff", b"FORM\x7f\xff\xff\xffAIFFCOMM\xff\xff\xff\xff".to_vec()),
    ];
    // A stream of which only the head is there.
    let ogg = std::fs::read(named("plain.ogg")).unwrap();
    cases.push(("head.ogg", ogg[..4_500.min(ogg.len())].to_vec()));
    // Nothing but pages that claim to be long.
    let claim = [&b"OggS\0\0"[..], &[0; 20], &[255; 230]].concat();
    cases.push(("claims.ogg", claim.repeat(20_000)));
    // Nothing but heads of frames.
    cases.push(("heads.mp3", b"\xff\xfb\xe0\0".repeat(500_000)));
    for (name, bytes) in cases {
        let path = file(&folder, name, &bytes);
        // Holes of a terabyte after it.
        File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        try_everything(&path);
        if let Ok(info) = probe(&path) {
            assert!(info.frames < 1 << 24, "{name}: {info:?}");
        }
    }
    // One of them alone took hours if it were read to its end.
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[test]
fn what_is_not_decoded_is_named() {
    let folder = TempDir::new().unwrap();
    let made = Made::new(folder.path(), Kind::Wav16, 2, 48_000, 1);
    let source = made.path.to_str().unwrap();
    for (name, arguments, reason) in [
        ("opus.ogg", &["-c:a", "libopus"][..], "Opus in Ogg"),
        ("flac.ogg", &["-c:a", "flac"], "FLAC in Ogg"),
        ("alac.m4a", &["-c:a", "alac"], "\"alac\" in MP4"),
        ("six.m4a", &["-c:a", "aac", "-ac", "6"], "AAC of 6 channels"),
        ("six.aac", &["-c:a", "aac", "-ac", "6"], "AAC of 6 channels"),
        ("parts.mp4", &["-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"], "in fragments"),
        // Its tables have the first of them.
        ("more-parts.m4a", &["-c:a", "aac", "-frag_duration", "100000"], "in fragments"),
        ("law.aiff", &["-c:a", "pcm_mulaw", "-f", "aiff"], "mu-law"),
    ] {
        let path = folder.path().join(name);
        let path = path.to_str().unwrap();
        run("ffmpeg", &[&["-v", "error", "-i", source][..], arguments, &[path]].concat());
        let error = probe(Path::new(path)).unwrap_err();
        assert!(error.message.contains(reason) && error.message.contains(name), "{name}: {error}");
        assert!(error.expected.is_some_and(|expected| expected.contains("Ogg Vorbis")), "{name}");
    }
}

#[test]
fn aiff_files_are_read_exactly() {
    let folder = TempDir::new().unwrap();
    for (kind, codec) in [
        (Kind::Wav8, "pcm_s8"),
        (Kind::Wav16, "pcm_s16be"),
        (Kind::Wav16, "pcm_s16le"),
        (Kind::Wav24, "pcm_s24be"),
        (Kind::Wav32, "pcm_s32be"),
        (Kind::WavFloat, "pcm_f32be"),
        (Kind::WavFloat, "pcm_f64be"),
    ] {
        let made = Made::new(folder.path(), kind, 2, 10_001, 1);
        let path = folder.path().join(format!("{codec}.aiff"));
        let (source, target) = (made.path.to_str().unwrap(), path.to_str().unwrap());
        run("ffmpeg", &["-v", "error", "-i", source, "-c:a", codec, "-f", "aiff", target]);
        let info = probe(&path).unwrap();
        assert_eq!((info.channels, info.rate, info.frames), (2, 48_000, 10_001), "{codec}");
        for (channel, samples) in decode_all(&path).iter().enumerate() {
            assert_same(samples, &made.samples(channel as u16, 0, made.frames), 0);
        }
    }
}

#[test]
fn streams_play_what_decoders_read() {
    let streams = Streams::new(0).unwrap();
    let rate = Rate::new(48_000).unwrap();
    for path in encoded() {
        let stream = streams.open_at(&path, rate).unwrap();
        assert_eq!(stream.info().rate, 48_000);
        let mut decoder = open_at(&path, rate.hz()).unwrap();
        let frames = stream.info().frames;
        for from in [frames / 2, 0, frames - 5_000, frames / 2] {
            load(&streams, &stream, from..from + 5_000);
            let mut right = vec![0.0; 5_000 * usize::from(stream.info().channels)];
            decoder.read(from, &mut right).unwrap();
            for (channel, right) in right.chunks(5_000).enumerate() {
                let (complete, got) = read(&stream, channel as u16, from, 5_000);
                assert!(complete);
                assert_same(&got, right, from);
            }
        }
    }
    assert_eq!(streams.take_errors(), []);
}
