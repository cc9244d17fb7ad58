//! Formats that keep every bit.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use aulos_tests::compare;

use crate::{
    playing::{by_rate, check, play, render, render_and_play, server},
    samples::{PACKAGES, Sample, by_ffmpeg, decode, files_of, run},
};

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
        ("aiff", 44_100, 1, 16),
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
    sox("24.aiff", &["-b", "24"]);
    sox("8.aiff", &["-b", "8"]);
    sox("22.flac", &["-r", "22050", "-b", "16"]);
    let ffmpeg = |name: &str, codec: &str| {
        run("ffmpeg", |ffmpeg| {
            ffmpeg.args(["-v", "error", "-i", SWASH, "-c:a", codec]).arg(made(name));
        });
    };
    ffmpeg("ff24.wav", "pcm_s24le");
    ffmpeg("ff16.wav", "pcm_s16le");
    ffmpeg("ff.flac", "flac");
    ffmpeg("float.aiff", "pcm_f32be");
    ffmpeg("ff32.aiff", "pcm_s32be");
    for (name, option) in [("fast.flac", "-0"), ("best.flac", "-8")] {
        run("flac", |flac| {
            flac.args(["--silent", option, "-o"]).arg(made(name)).arg(made("24.wav"));
        });
    }
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let samples = decode(files);
    assert_eq!(samples.len(), 16);
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
