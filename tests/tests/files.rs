//! Audio files that other people's programs wrote, played and rendered sample for sample as `sox` and `ffmpeg`
//! decode them.
//!
//! They come from these Debian packages, which `make deps` installs:
//!
//! - `alsa-utils`: WAV, 48 kHz, mono, 16 bit
//! - `hydrogen-data`: WAV and FLAC, 44.1 kHz, mono and stereo, 16 bit
//! - `sonic-pi-samples`: FLAC, 44.1 kHz, mono and stereo, 16 and 24 bit
//! - `jconvolver-config-files`: WAV, 44.1 and 48 kHz, mono in 32-bit float, stereo in 16 bit
//!
//! The programs are in the packages `sox`, `ffmpeg` and `flac`. What no package has in a handy size (24 and 32
//! bits in WAV, 8 bits, other rates) is made of these files by the three programs.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command as Process,
};

use aulos_protocol::{Command, Frames};
use aulos_tests::{
    compare,
    server::{Server, apply, read_wav, text},
};

/// Packages, where their files are, and how many there are at least.
const PACKAGES: [(&str, &str, usize); 4] = [
    ("alsa-utils", "/usr/share/sounds/alsa", 9),
    ("hydrogen-data", "/usr/share/hydrogen/data", 100),
    ("sonic-pi-samples", "/usr/share/sonic-pi/samples", 160),
    ("jconvolver-config-files", "/usr/share/jconvolver/config-files", 26),
];

/// The audio files of a package.
fn files_of((package, folder, least): (&str, &str, usize)) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| {
            panic!("{}: {error}; the package {package} is missing: run make deps", folder.display())
        });
        for entry in entries {
            let path = entry.unwrap().path();
            let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
            match ending.as_deref() {
                _ if path.is_dir() => folders.push(path),
                Some("wav" | "flac") => files.push(path),
                _ => {}
            }
        }
    }
    assert!(files.len() >= least, "{package} has only {} audio files: run make deps", files.len());
    files.sort();
    files
}

fn run(program: &str, args: impl Fn(&mut Process)) -> Vec<u8> {
    let mut process = Process::new(program);
    args(&mut process);
    let output =
        process.output().unwrap_or_else(|error| panic!("{program}: {error}; it is installed by make deps"));
    assert!(output.status.success(), "{process:?}: {}", text(&output.stderr));
    output.stdout
}

/// What `soxi` says of each file.
fn soxi(option: &str, files: &[PathBuf]) -> Vec<String> {
    let told = text(&run("soxi", |soxi| {
        soxi.args(["-V1", option]).args(files);
    }));
    let lines: Vec<String> = told.lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), files.len());
    lines
}

/// An audio file as others understand it.
#[derive(Clone, Debug)]
struct Sample {
    path: PathBuf,
    kind: String,
    rate: u32,
    bits: u32,
    /// By channel.
    channels: Vec<Vec<f32>>,
}

impl Sample {
    fn frames(&self) -> usize {
        self.channels[0].len()
    }
}

/// What a program prints as interleaved samples of 32 bits, by channel.
fn planes(raw: &[u8], channels: usize, sample: impl Fn([u8; 4]) -> f32) -> Vec<Vec<f32>> {
    let (words, rest) = raw.as_chunks::<4>();
    assert!(rest.is_empty() && words.len() >= channels, "{} bytes of samples", raw.len());
    (0..channels)
        .map(|c| words.iter().skip(c).step_by(channels).map(|word| sample(*word)).collect())
        .collect()
}

/// A file of integers as `sox` decodes it: each sample is the integer divided by its range.
fn by_sox(path: &Path, channels: usize) -> Vec<Vec<f32>> {
    let raw = run("sox", |sox| {
        sox.args(["-V1", "-D"]).arg(path).args(["-t", "raw", "-e", "signed", "-b", "32", "-L", "-"]);
    });
    planes(&raw, channels, |word| {
        // Those of fewer bits fill the high ones.
        let integer = i32::from_le_bytes(word);
        assert_eq!(integer % 256, 0, "{} is not of up to 24 bits", path.display());
        integer as f32 / 2f32.powi(31)
    })
}

/// A file as `ffmpeg` decodes it, which does not round floats as sox does.
fn by_ffmpeg(path: &Path, channels: usize) -> Vec<Vec<f32>> {
    let raw = run("ffmpeg", |ffmpeg| {
        ffmpeg.args(["-v", "error", "-i"]).arg(path).args(["-f", "f32le", "-"]);
    });
    planes(&raw, channels, f32::from_le_bytes)
}

/// Has `sox` decode the files of integers, and `ffmpeg` those of floats.
fn decode(files: Vec<PathBuf>) -> Vec<Sample> {
    let number = |text: &String| text.parse::<f64>().unwrap() as u32;
    let (kinds, rates) = (soxi("-t", &files), soxi("-r", &files));
    let (channels, bits, codings) = (soxi("-c", &files), soxi("-b", &files), soxi("-e", &files));
    let whole = files.into_iter().enumerate().map(|(n, path)| {
        let count = number(&channels[n]) as usize;
        let decoded = if codings[n].contains("Float") { by_ffmpeg } else { by_sox };
        let channels = decoded(&path, count);
        Sample { kind: kinds[n].clone(), rate: number(&rates[n]), bits: number(&bits[n]), channels, path }
    });
    whole.collect()
}

/// Frames of silence before each clip; no multiple of any block.
const GAP: usize = 331;

/// Puts the files one after the other on the tracks `mono` and `stereo`, each behind [`GAP`] frames; answers
/// where they begin and where all ends.
fn lay_out(samples: &[Sample]) -> (Vec<Command>, Vec<usize>, usize) {
    let mut at = 0;
    let mut begins = Vec::new();
    let mut commands = Vec::new();
    for sample in samples {
        at += GAP;
        begins.push(at);
        commands.push(Command::AddClip {
            track: if sample.channels.len() == 1 { "mono" } else { "stereo" }.into(),
            file: sample.path.to_str().unwrap().to_owned(),
            at: Frames(at as u64),
            offset: Frames(0),
            length: None,
        });
        at += sample.frames();
    }
    (commands, begins, at)
}

/// Checks that `got` has each of the samples at its place and silence elsewhere.
fn check(samples: &[Sample], begins: &[usize], got: &[Vec<f32>]) {
    assert_eq!(got.len(), 2);
    let mut quiet = 0;
    let silent = |from: usize, to: usize| got.iter().all(|c| c[from..to].iter().all(|x| *x == 0.0));
    for (sample, begin) in samples.iter().zip(begins) {
        let end = begin + sample.frames();
        assert!(silent(quiet, *begin), "there is sound before {}", sample.path.display());
        // A mono file is on a track that is panned hard left.
        let zeros = vec![0.0; sample.frames()];
        for (channel, got) in got.iter().enumerate() {
            let expected = sample.channels.get(channel).unwrap_or(&zeros);
            // Equal numbers: -0 may have become 0 on its way through a sum.
            if let Some(n) = (0..expected.len()).find(|n| expected[*n] != got[begin + n]) {
                panic!(
                    "{}: channel {channel}, frame {n}: others decode {:e}, aulosd plays {:e}",
                    sample.path.display(),
                    expected[n],
                    got[begin + n]
                );
            }
        }
        quiet = end;
    }
    assert!(silent(quiet, got[0].len()), "there is sound after the last file");
}

/// A server with a session of `rate` in `folder`, which lets both tracks through as they are.
fn server(folder: &Path, rate: u32) -> Server {
    let server = Server::stepped();
    server.ok(&format!("session new {} --rate {rate}", folder.display()));
    server.ok("track add mono --channels 1 --pan L100");
    server.ok("track add stereo");
    server.ok("link mono master");
    server.ok("link stereo master");
    server
}

/// Renders the whole session as it is.
fn render(server: &Server, name: &str) -> Vec<Vec<f32>> {
    let out = server.folder().join(name);
    server.ok(&format!("render {} --raw", out.display()));
    read_wav(&out)
}

/// Plays `frames` frames of the session in `folder` from its beginning by the stepped driver, with cycles of
/// many lengths, and answers what was captured.
fn play(folder: &Path, frames: usize) -> Vec<Vec<f32>> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("played.wav");
    let args = ["--driver", "stepped", "--block", "1024", "--play", "--session", folder.to_str().unwrap()];
    let mut server = Server::start(args.into_iter().chain(["--capture", file.to_str().unwrap()]));
    let mut client = server.client();
    let mut lengths = [1024, 17, 480, 1, 1000, 1024].into_iter().cycle();
    let mut left = frames as u32;
    while left > 0 {
        let mut blocks = Vec::new();
        while left > 0 && blocks.len() < 100 {
            let block = lengths.next().unwrap().min(left);
            blocks.push(block);
            left -= block;
        }
        apply(&mut client, Command::Step { blocks });
    }
    assert!(server.terminate().success(), "{}", server.log());
    read_wav(&file)
}

/// Renders and plays all of `samples`, which have one rate, and compares.
fn render_and_play(samples: &[Sample]) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("session");
    let server = server(&folder, samples[0].rate);
    let (commands, begins, end) = lay_out(samples);
    let added = apply(&mut server.client(), Command::Batch { commands });
    assert_eq!((added.clips.len(), added.warnings), (samples.len(), Vec::new()));
    let rendered = render(&server, "rendered.wav");
    assert_eq!(rendered[0].len(), end);
    check(samples, &begins, &rendered);
    server.ok("session save");
    drop(server);
    compare("what was played", &rendered, &play(&folder, end)).unwrap();
}

/// By rate, so that each fits a session.
fn by_rate(samples: Vec<Sample>) -> BTreeMap<u32, Vec<Sample>> {
    let mut rates = BTreeMap::<u32, Vec<Sample>>::new();
    samples.into_iter().for_each(|sample| rates.entry(sample.rate).or_default().push(sample));
    rates
}

#[test]
fn every_file_of_the_packages_is_played_and_rendered_as_sox_decodes_it() {
    let samples = decode(PACKAGES.into_iter().flat_map(files_of).collect());
    let variety: BTreeSet<_> =
        samples.iter().map(|s| (s.kind.as_str(), s.rate, s.channels.len(), s.bits)).collect();
    for wanted in [
        ("wav", 48_000, 1, 16),
        ("wav", 48_000, 2, 16),
        ("wav", 44_100, 2, 16),
        ("wav", 44_100, 1, 32),
        ("flac", 44_100, 1, 16),
        ("flac", 44_100, 2, 16),
        ("flac", 44_100, 1, 24),
        ("flac", 44_100, 2, 24),
    ] {
        assert!(variety.contains(&wanted), "no file is {wanted:?} any more: {variety:?}");
    }
    let loud = |s: &Sample| s.channels.iter().flatten().any(|x| x.abs() > 0.01);
    assert!(samples.iter().filter(|s| loud(s)).count() > 250, "most files should sound");
    by_rate(samples).values().for_each(|samples| render_and_play(samples));
}

/// A stereo file of 24 bits of a package.
const SWASH: &str = "/usr/share/sonic-pi/samples/perc_swash.flac";
/// A mono file of 16 bits of a package.
const CENTER: &str = "/usr/share/sounds/alsa/Front_Center.wav";

#[test]
fn files_that_other_programs_wrote_are_played_and_rendered_as_sox_decodes_them() {
    PACKAGES.into_iter().for_each(|package| drop(files_of(package)));
    let dir = tempfile::tempdir().unwrap();
    let made = |name: &str| dir.path().join(name);
    let sox = |name: &str, options: &[&str]| {
        run("sox", |sox| {
            sox.args(["-V1", "-D", SWASH]).args(options).arg(made(name));
        });
    };
    sox("24.wav", &[]);
    sox("32.wav", &["-b", "32", "-e", "signed"]);
    sox("16.wav", &["-b", "16"]);
    sox("8.wav", &["-b", "8", "-e", "unsigned"]);
    sox("mono.wav", &["-b", "24", "-c", "1"]);
    sox("96.wav", &["-r", "96000"]);
    sox("22.flac", &["-r", "22050", "-b", "16"]);
    let ffmpeg = |name: &str, codec: &str| {
        run("ffmpeg", |ffmpeg| {
            ffmpeg.args(["-v", "error", "-i", SWASH, "-c:a", codec]).arg(made(name));
        });
    };
    ffmpeg("ff24.wav", "pcm_s24le");
    ffmpeg("ff16.wav", "pcm_s16le");
    ffmpeg("ff.flac", "flac");
    for (name, option) in [("fast.flac", "-0"), ("best.flac", "-8")] {
        run("flac", |flac| {
            flac.args(["--silent", option, "-o"]).arg(made(name)).arg(made("24.wav"));
        });
    }
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let samples = decode(files);
    assert_eq!(samples.len(), 12);
    by_rate(samples).values().for_each(|samples| render_and_play(samples));
}

#[test]
fn ffmpeg_and_sox_agree_on_what_is_played() {
    PACKAGES.into_iter().for_each(|package| drop(files_of(package)));
    let dir = tempfile::tempdir().unwrap();
    for (number, (file, rate, track)) in
        [(CENTER, 48_000, "mono"), (SWASH, 44_100, "stereo")].into_iter().enumerate()
    {
        let server = server(&dir.path().join(number.to_string()), rate);
        server.ok(&format!("clip add {track} {file}"));
        let got = render(&server, "out.wav");
        let mut sample = decode(vec![file.into()]).remove(0);
        check(&[sample.clone()], &[0], &got);
        sample.channels = by_ffmpeg(Path::new(file), sample.channels.len());
        check(&[sample], &[0], &got);
    }
}

#[test]
fn a_stretch_of_a_file_lies_where_it_is_put() {
    let dir = tempfile::tempdir().unwrap();
    PACKAGES.into_iter().for_each(|package| drop(files_of(package)));
    for (number, (file, track)) in [(CENTER, "mono"), (SWASH, "stereo")].into_iter().enumerate() {
        let mut sample = decode(vec![file.into()]).remove(0);
        let folder = dir.path().join(number.to_string());
        let server = server(&folder, sample.rate);
        // In three units: 0.25 s into the timeline, 100 ms left out, 7,001 frames.
        server.ok(&format!("clip add {track} {file} --at 0.25s --offset 100ms --length 7001f"));
        let (at, offset) = (sample.rate as usize / 4, sample.rate as usize / 10);
        for channel in &mut sample.channels {
            *channel = channel[offset..offset + 7001].to_vec();
        }
        let rendered = render(&server, "stretch.wav");
        assert_eq!(rendered[0].len(), at + 7001);
        check(&[sample], &[at], &rendered);
        server.ok("session save");
        drop(server);
        compare("what was played", &rendered, &play(&folder, at + 7001)).unwrap();
    }
}
