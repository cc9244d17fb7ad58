//! Formats that keep what is heard: what two decoders make of a file differs in the last bits, and not by a frame.

use std::path::{Path, PathBuf};

use crate::{
    playing::{by_rate, render_and_play},
    samples::{Package, Sample, by_ffmpeg, files_with, planes, run, soxi},
};

/// Packages of such files.
const PACKAGES: [Package; 4] = [
    ("sound-theme-freedesktop", "/usr/share/sounds/freedesktop", 35),
    ("python-pygame-doc", "/usr/share/doc/python-pygame-doc/examples/data", 2),
    ("wims-help", "/var/lib/wims/public_html/modules/help/example", 35),
    ("forensics-samples-files", "/usr/share/forensics-samples/original-files", 7),
];

/// How far decoders may be apart: MP3 and AAC by less than one step of 16 bits, Vorbis by much less.
const TOLERANCES: [(&str, f32); 6] =
    [("mp3", 2e-5), ("m4a", 2e-5), ("mp4", 2e-5), ("aac", 2e-5), ("ogg", 2e-6), ("oga", 2e-6)];

fn is_mp3(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "mp3")
}

/// A file as `ffmpeg` decodes it; `frames` is its length, where that is known better than ffmpeg knows it.
fn decode(path: PathBuf, frames: Option<usize>) -> Sample {
    let told = run("ffprobe", |ffprobe| {
        ffprobe.args([
            "-v",
            "error",
            "-select_streams",
            "a:0",
            "-show_entries",
            "stream=sample_rate,channels",
        ]);
        ffprobe.args(["-of", "csv=p=0"]).arg(&path);
    });
    let told = aulos_tests::server::text(&told);
    let numbers: Vec<u32> = told.trim().split(',').map(|number| number.parse().unwrap()).collect();
    let mut channels = by_ffmpeg(&path, numbers[1] as usize);
    let ending = path.extension().unwrap().to_str().unwrap().to_owned();
    let (_, mut tolerance) = *TOLERANCES.iter().find(|(kind, _)| *kind == ending).unwrap();
    if ending.starts_with("og") {
        let known = channels[0].len();
        complete(&path, &mut channels);
        if channels[0].len() > known {
            tolerance = 2e-5;
        }
    }
    if let Some(frames) = frames {
        // Of AAC ffmpeg leaves the padding of the encoder.
        assert!(channels[0].len() >= frames);
        channels.iter_mut().for_each(|channel| channel.truncate(frames));
    }
    Sample { path, kind: ending, rate: numbers[0], bits: 0, channels, tolerance }
}

/// ffmpeg is wrong by up to two packets about where a short Ogg file ends. sox asks the reference decoder, but gets
/// 16 bits of it: its samples are taken for the length, and where ffmpeg has none.
fn complete(path: &Path, channels: &mut [Vec<f32>]) {
    let frames: usize = soxi("-s", &[path.to_owned()])[0].parse().unwrap();
    let raw = run("sox", |sox| {
        sox.args(["-V1", "-D"]).arg(path).args(["-t", "raw", "-e", "float", "-b", "32", "-L", "-"]);
    });
    let reference = planes(&raw, channels.len(), f32::from_le_bytes);
    for (channel, reference) in channels.iter_mut().zip(&reference) {
        let known = channel.len().min(frames);
        let off = (0..known).map(|n| (channel[n].clamp(-1.0, 1.0) - reference[n]).abs()).fold(0.0, f32::max);
        // What is beyond 16 bits is cut off.
        assert!(off < 4e-5, "{}: sox and ffmpeg differ by {off}", path.display());
        channel.truncate(frames);
        channel.extend(&reference[known..]);
    }
}

#[test]
fn every_lossy_file_of_the_packages_is_played_and_rendered_as_ffmpeg_decodes_it() {
    // Songs of minutes take long and show nothing more.
    let short = |path: &PathBuf| path.metadata().unwrap().len() < 300_000;
    let endings = ["mp3", "ogg", "oga", "mp4"];
    let files = PACKAGES.into_iter().flat_map(|package| files_with(&endings, package));
    // The times in one film are such that ffmpeg itself gives up.
    let is_sound = |path: &PathBuf| !path.ends_with("movie-hello.ogg") && (short(path) || !is_mp3(path));
    let samples: Vec<Sample> = files.filter(is_sound).map(|path| decode(path, None)).collect();
    let kinds: Vec<_> = samples.iter().map(|s| (s.kind.as_str(), s.rate, s.channels.len())).collect();
    for wanted in [
        ("mp3", 44_100, 1),
        ("mp3", 44_100, 2),
        ("mp3", 11_025, 1),
        ("ogg", 44_100, 1),
        ("ogg", 11_025, 1),
        ("oga", 8_000, 1),
        ("oga", 22_050, 2),
        ("oga", 96_000, 2),
        ("mp4", 48_000, 2),
    ] {
        assert!(kinds.contains(&wanted), "no file is {wanted:?} any more: {kinds:?}");
    }
    let loud = |s: &Sample| s.channels.iter().flatten().any(|x| x.abs() > 0.01);
    assert!(samples.iter().filter(|s| loud(s)).count() > 60, "most files should sound");
    by_rate(samples).values().for_each(|samples| render_and_play(samples));
}

/// A stereo file of 44.1 kHz of a package.
const AMEN: &str = "/usr/share/sonic-pi/samples/loop_amen_full.flac";

#[test]
fn what_encoders_made_of_a_file_is_played_for_as_long_as_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let frames: usize = soxi("-s", &[AMEN.into()])[0].parse().unwrap();
    let mut samples = Vec::new();
    for (name, options, rate, gapless) in [
        ("variable.mp3", &["-c:a", "libmp3lame", "-q:a", "2"][..], 44_100, true),
        ("constant.mp3", &["-c:a", "libmp3lame", "-b:a", "128k"], 44_100, true),
        ("half.mp3", &["-c:a", "libmp3lame", "-b:a", "64k"], 22_050, true),
        ("box.m4a", &["-c:a", "aac", "-b:a", "128k", "-aac_pns", "0"], 44_100, true),
        ("fast.m4a", &["-c:a", "aac", "-aac_pns", "0", "-movflags", "+faststart"], 48_000, true),
        ("stream.aac", &["-c:a", "aac", "-b:a", "128k", "-aac_pns", "0"], 44_100, false),
        ("stream.ogg", &["-c:a", "libvorbis", "-q:a", "6"], 48_000, true),
    ] {
        let path = dir.path().join(name);
        run("ffmpeg", |ffmpeg| {
            ffmpeg
                .args(["-v", "error", "-i", AMEN])
                .args(options)
                .args(["-ar", &rate.to_string()])
                .arg(&path);
        });
        let length = (frames * rate).div_ceil(44_100);
        let sample = decode(path, gapless.then_some(length));
        assert!(sample.frames() == length || !gapless, "{name}: {} frames", sample.frames());
        samples.push(sample);
    }
    by_rate(samples).values().for_each(|samples| render_and_play(samples));
}
