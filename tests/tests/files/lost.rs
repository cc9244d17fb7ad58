//! Files that are damaged, or gone.

use std::{ffi::OsStr, fs, path::Path};

use aulos_protocol::{Command, Frames, Query, Reply};
use aulos_tests::server::{Server, apply, ask, read_wav, text};

use crate::samples::run;

/// A stereo file of 44.1 kHz of a package.
const AMEN: &str = "/usr/share/sonic-pi/samples/loop_amen_full.flac";
const FRAMES: usize = 302_400;

fn warnings(server: &Server) -> Vec<String> {
    match ask(&mut server.client(), Query::Status) {
        Reply::Status(status) => status.warnings,
        other => panic!("{other:?}"),
    }
}

/// Encodes a file, and overwrites a thirtieth of it in the middle.
fn damaged(folder: &Path, name: &str, options: &[&str]) -> String {
    let path = folder.join(name);
    run("ffmpeg", |ffmpeg| {
        ffmpeg.args(["-v", "error", "-i", AMEN]).args(options).arg(&path);
    });
    fs::copy(&path, folder.join(format!("whole-{name}"))).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let (middle, len) = (bytes.len() / 2, bytes.len() / 30);
    bytes[middle..middle + len].fill(0x55);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn what_is_damaged_is_told_and_the_rest_plays() {
    let dir = tempfile::tempdir().unwrap();
    for (name, options) in [
        ("a.mp3", &["-c:a", "libmp3lame", "-b:a", "128k"][..]),
        ("b.ogg", &["-c:a", "libvorbis"]),
        ("c.m4a", &["-c:a", "aac", "-aac_pns", "0"]),
        ("d.aac", &["-c:a", "aac", "-aac_pns", "0"]),
        ("e.flac", &["-c:a", "flac"]),
    ] {
        let file = damaged(dir.path(), name, options);
        let server = Server::start(["--driver", "stepped", "--block", "1024"]);
        let folder = dir.path().join(format!("session-{name}"));
        server.ok(&format!("session new {} --rate 44100", folder.display()));
        server.ok("track add t");
        server.ok("link t output");
        server.ok("unlink master output");
        let rendered = |file: &str| {
            server.ok(&format!("clip add t {file}"));
            let out = dir.path().join("out.wav");
            let mut client = server.client();
            let report = server.ok(&format!("render {} --raw", out.display()));
            apply(&mut client, Command::Undo);
            (read_wav(&out), report)
        };
        let (whole, _) = rendered(dir.path().join(format!("whole-{name}")).to_str().unwrap());
        let (got, report) = rendered(&file);
        assert!(report.contains(name) && report.contains("damaged"), "{name}: {report}");
        let same = |range: std::ops::Range<usize>| whole[0][range.clone()] == got[0][range];
        assert!(same(0..FRAMES / 4), "{name}: what is before the damage is not as it was");
        assert!(!same(FRAMES / 4..FRAMES * 3 / 4), "{name}: nothing is damaged");
        assert!(same(FRAMES * 3 / 4..FRAMES * 9 / 10), "{name}: what is behind the damage is not as it was");

        // Played, it is told in the status, once, and how to mend it.
        server.ok(&format!("clip add t {file}"));
        apply(&mut server.client(), Command::Play);
        let mut client = server.client();
        for _ in 0..FRAMES / 96_000 + 1 {
            apply(&mut client, Command::Step { blocks: vec![1_000; 90] });
        }
        let begun = std::time::Instant::now();
        while warnings(&server).is_empty() && begun.elapsed().as_secs() < 30 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let told = warnings(&server);
        assert!(
            told.len() == 1 && told[0].contains(name) && told[0].contains("replace the file"),
            "{name}: {told:?}"
        );
    }
}

#[test]
fn files_that_are_cut_short_are_told_when_they_are_opened() {
    let dir = tempfile::tempdir().unwrap();
    for (name, options) in [
        ("a.wav", &["-c:a", "pcm_s16le"][..]),
        ("b.flac", &["-c:a", "flac"]),
        ("c.mp3", &["-c:a", "libmp3lame"]),
        ("d.aac", &["-c:a", "aac"]),
        ("e.aiff", &["-c:a", "pcm_s16be"]),
        ("f.ogg", &["-c:a", "libvorbis"]),
        ("g.m4a", &["-c:a", "aac", "-movflags", "+faststart"]),
    ] {
        let path = dir.path().join(name);
        run("ffmpeg", |ffmpeg| {
            ffmpeg.args(["-v", "error", "-i", AMEN]).args(options).arg(&path);
        });
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() * 6 / 10]).unwrap();
        let folder = dir.path().join(format!("session-{name}"));
        let server = Server::stepped();
        server.ok(&format!("session new {} --rate 48000", folder.display()));
        server.ok("track add t");
        server.ok("link t master");
        let mut client = server.client();
        let add = |at| {
            let (file, at) = (path.to_str().unwrap().to_owned(), Frames(at));
            Command::AddClip { track: "t".into(), file, at, offset: Frames(0), length: None }
        };
        let told = apply(&mut client, add(0)).warnings;
        assert!(
            told.len() == 1 && told[0].contains(name) && told[0].contains("cut short"),
            "{name}: {told:?}"
        );
        assert_eq!(apply(&mut client, add(480_000)).warnings, [] as [String; 0], "{name} is told again");
        assert!(warnings(&server)[0].starts_with(&told[0]), "{:?}", warnings(&server));
        let report = server.ok(&format!("render {}", dir.path().join("out.wav").display()));
        assert_eq!(report.matches("cut short").count(), 1, "{name}: {report}");
        // What is there is no reason to complain.
        assert!(!report.contains("damaged"), "{name}: {report}");
        server.ok("session save");
        server.ok(&format!("session open {}", folder.display()));
        assert!(warnings(&server).len() == 1 && warnings(&server)[0].contains("cut short"));
        server.says("cut short", 2);
        // Another file of this name: the one that is open stays as it is.
        let other = dir.path().join("other");
        fs::write(&other, whole).unwrap();
        fs::rename(other, &path).unwrap();
        server.ok(&format!("session open {}", folder.display()));
        assert_eq!(warnings(&server), [] as [String; 0], "{name}");
    }
}

#[test]
fn a_clip_begins_before_the_end_of_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sound.wav");
    let seconds = |seconds: &str| {
        // Another file of this name each time: one that is open stays as it is.
        let other = dir.path().join("other.wav");
        run("sox", |sox| {
            sox.args(["-V1", "-n", "-r", "44100", "-c", "1"]).arg(&other);
            sox.args(["synth", seconds, "sine", "440"]);
        });
        fs::rename(other, &file).unwrap();
    };
    seconds("5");
    let folder = dir.path().join("session");
    let server = Server::stepped();
    server.ok(&format!("session new {} --rate 48000", folder.display()));
    server.ok("track add t");
    let refused = |words: String| {
        let output = server.ctl(words.split_whitespace());
        let told = text(&output.stderr);
        assert!(!output.status.success() && told.contains("240000"), "{words}: {told}");
    };
    let add = format!("clip add t {}", file.display());
    refused(format!("{add} --offset 1000s"));
    refused(format!("{add} --offset 5s"));
    refused(format!("{add} --offset 5s --dry-run"));
    server.ok(&format!("{add} --offset 239999f"));
    let mut client = server.client();
    let clips = |client: &mut _| match ask(client, Query::Session) {
        Reply::Session(session) => {
            session.nodes.values().flat_map(|node| &node.clips).cloned().collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let [clip] = &clips(&mut client)[..] else { panic!("{:?}", clips(&mut client)) };
    refused(format!("clip set t {} --offset 240000f", clip.id));
    refused(format!("clip set t {} --offset 240000f --dry-run", clip.id));
    assert_eq!(&clips(&mut client)[..], std::slice::from_ref(clip));
    server.ok(&format!("clip set t {} --offset 2s", clip.id));
    server.ok("session save");
    // What was not a mistake when it was made is only told.
    seconds("1");
    server.ok(&format!("session open {}", folder.display()));
    let told = warnings(&server);
    assert!(told.len() == 1 && told[0].contains("sound.wav") && told[0].contains("48000"), "{told:?}");
    assert_eq!(clips(&mut server.client()).len(), 1);
}

#[test]
fn what_decoders_say_is_logged_only_for_who_asks() {
    let dir = tempfile::tempdir().unwrap();
    let files = [
        damaged(dir.path(), "a.mp3", &["-c:a", "libmp3lame", "-b:a", "128k"]),
        damaged(dir.path(), "b.aac", &["-c:a", "aac"]),
        dir.path().join("whole-a.mp3").to_str().unwrap().to_owned(),
    ];
    for (filter, asked) in [("info", false), ("debug", false), ("info,symphonia=warn", true)] {
        let driver = ["--driver", "stepped", "--block", "1024"];
        let mut server = Server::spawn_with(None, &[("AULOS_LOG", OsStr::new(filter))], driver);
        server.answering();
        let folder = dir.path().join(format!("session-{filter}"));
        server.ok(&format!("session new {} --rate 44100", folder.display()));
        server.ok("track add t");
        server.ok("link t master");
        files.iter().for_each(|file| drop(server.ok(&format!("clip add t {file}"))));
        let report = server.ok(&format!("render {}", dir.path().join("out.wav").display()));
        assert!(report.contains("a.mp3") && report.contains("b.aac"), "{report}");
        assert!(server.terminate().success(), "{}", server.log());
        // Of a packet of MP3 that needs one before it, and of a damaged one of AAC.
        for words in ["main_data_begin", "check failed"] {
            assert_eq!(server.log().contains(words), asked, "{filter}: {}", server.log());
        }
    }
}

#[test]
fn a_file_that_is_mended_sounds_when_the_session_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("session");
    let file = dir.path().join("sound.ogg");
    run("ffmpeg", |ffmpeg| {
        ffmpeg.args(["-v", "error", "-i", AMEN, "-c:a", "libvorbis"]).arg(&file);
    });
    let good = fs::read(&file).unwrap();
    let server = Server::stepped();
    server.ok(&format!("session new {} --rate 48000", folder.display()));
    server.ok("track add t");
    server.ok("link t master");
    server.ok(&format!("clip add t {}", file.display()));
    server.ok("session save");
    let sounds = || {
        let out = dir.path().join("out.wav");
        server.ok(&format!("render {} --raw --to 1s", out.display()));
        read_wav(&out)[0].iter().any(|x| *x != 0.0)
    };
    assert!(sounds());
    for bad in [&b"not sound any more"[..], &good[..3_000], b""] {
        fs::write(&file, bad).unwrap();
        server.ok(&format!("session open {}", folder.display()));
        let told = warnings(&server);
        assert!(told.len() == 1 && told[0].contains("sound.ogg"), "{told:?}");
        assert!(!sounds(), "what cannot be read is silent");
        fs::write(&file, &good).unwrap();
        server.ok(&format!("session open {}", folder.display()));
        assert_eq!(warnings(&server), [] as [String; 0]);
        assert!(sounds());
    }
}
