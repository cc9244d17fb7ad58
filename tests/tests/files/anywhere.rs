//! Playing from anywhere: a thousand locates, and loops, give the samples of a render from the beginning.

use std::{
    path::{Path, PathBuf},
    process::Command as Process,
};

use aulos_protocol::{Command, Frames};
use aulos_tests::{
    random::Rng,
    server::{Server, apply, read_wav},
};

/// Files of packages that are longer than what is held of them in memory, or nearly: an MP3 file of 44.1 kHz, one of
/// 11.025 kHz, AAC in MP4 of 48 kHz, Ogg Vorbis of 44.1 and 48 kHz, FLAC of 44.1 kHz, and WAV of 44.1 kHz.
const FILES: [&str; 7] = [
    "/var/lib/wims/public_html/modules/help/example/oefquicktool.fr/images/beckham.mp3",
    "/usr/share/doc/python-pygame-doc/examples/data/house_lo.mp3",
    "/usr/share/forensics-samples/original-files/movie2/movie-hello.mp4",
    "/usr/share/forensics-samples/original-files/audio1/debian.ogg",
    "/usr/share/sounds/freedesktop/stereo/alarm-clock-elapsed.oga",
    "/usr/share/sonic-pi/samples/loop_amen_full.flac",
    "/usr/share/hydrogen/data/drumkits/GMRockKit/24Ride-5.wav",
];
/// What ffmpeg makes of them with these options: WAV and AIFF of the session's rate and AIFF of another, and the same
/// AAC in ADTS, as there are no long files of these kinds in packages.
const MADE: [(&str, &str, &[&str]); 4] = [
    ("debian.wav", FILES[3], &["-ar", "48000", "-c:a", "pcm_s24le"]),
    ("debian.aiff", FILES[3], &["-ar", "48000", "-c:a", "pcm_s16be"]),
    ("amen.aiff", FILES[5], &["-c:a", "pcm_s24be"]),
    ("hello.aac", FILES[2], &["-vn", "-c:a", "copy", "-f", "adts"]),
];
const RATE: u32 = 48_000;

fn at(frames: usize) -> Frames {
    Frames(frames as u64)
}

/// All files; those that are made are in `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let made = MADE.map(|(name, from, options)| {
        let made = folder.join(name);
        let ffmpeg =
            Process::new("ffmpeg").args(["-v", "error", "-i", from]).args(options).arg(&made).status();
        assert!(ffmpeg.unwrap().success(), "{name}");
        made
    });
    FILES.iter().map(PathBuf::from).chain(made).collect()
}

/// A session of all files, which sound at once. Each begins somewhere else.
fn make(folder: &Path) -> Vec<Vec<f32>> {
    let server = Server::stepped();
    server.ok(&format!("session new {} --rate {RATE}", folder.display()));
    let mut client = server.client();
    // What is located must not fade.
    let sharp = r#"{"method":"session_set","params":{"edit_fade_ms":0.0}}"#;
    apply(&mut client, serde_json::from_str(sharp).unwrap());
    let place = folder.parent().unwrap();
    FILES.iter().for_each(|file| assert!(Path::new(file).exists(), "{file} is missing: run make deps"));
    for (number, file) in files(place).iter().enumerate() {
        let file = file.display();
        server.ok(&format!("track add t{number} --gain -12dB"));
        server.ok(&format!("link t{number} output"));
        // The files do not end long before the longest one does.
        for again in 0..3 {
            server.ok(&format!("clip add t{number} {file} --at {}f", number * 700 + again * 400_000));
        }
    }
    server.ok("unlink master output");
    server.ok("session save");
    let rendered = folder.join("rendered.wav");
    server.ok(&format!("render {} --raw --to 20s", rendered.display()));
    read_wav(&rendered)
}

#[test]
fn a_thousand_locates_and_loops_give_the_samples_of_a_straight_render() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("session");
    let straight = make(&folder);
    let end = straight[0].len();
    assert_eq!(end, 20 * RATE as usize);
    let file = dir.path().join("played.wav");
    let args = ["--driver", "stepped", "--block", "1024", "--play", "--session", folder.to_str().unwrap()];
    let mut server = Server::start(args.into_iter().chain(["--capture", file.to_str().unwrap()]));
    let mut client = server.client();
    let mut order = |command: Command| {
        let done = client.command(command.clone());
        assert!(done.is_ok(), "{command:?}: {done:?}: {}", server.log());
    };
    let mut rng = Rng::new(4);
    // Where on the timeline each stretch that is played begins, and how long it is.
    let mut stretches: Vec<(usize, usize)> = Vec::new();
    let mut number = |most: usize| rng.below(most as u64) as usize;
    for round in 0..1_000 {
        let from = number(end - 20_000);
        if round % 10 != 0 {
            order(Command::Locate { position: at(from) });
            let blocks: Vec<u32> = (0..1 + number(3)).map(|_| 1 + number(1_024) as u32).collect();
            stretches.push((from, blocks.iter().map(|block| *block as usize).sum()));
            order(Command::Step { blocks });
            continue;
        }
        // Into a loop shortly before its end, and several times round.
        let length = 480 + number(6_000);
        let before = 1 + number(length - 1);
        order(Command::Loop { start: Some(at(from)), end: Some(at(from + length)) });
        order(Command::Locate { position: at(from + length - before) });
        stretches.push((from + length - before, before));
        let rounds = 1 + number(3);
        stretches.extend((0..rounds).map(|_| (from, length)));
        let mut left = before + rounds * length;
        while left > 0 {
            let blocks = (1 + number(1_024)).min(left);
            left -= blocks;
            order(Command::Step { blocks: vec![blocks as u32] });
        }
        order(Command::Loop { start: None, end: None });
    }
    assert!(server.terminate().success(), "{}", server.log());
    let played = read_wav(&file);
    let total: usize = stretches.iter().map(|(_, len)| len).sum();
    assert_eq!(played[0].len(), total);
    let mut begin = 0;
    let mut sounding = 0;
    for (n, (from, len)) in stretches.iter().enumerate() {
        for (channel, (played, straight)) in played.iter().zip(&straight).enumerate() {
            let (played, straight) = (&played[begin..begin + len], &straight[*from..from + len]);
            if let Some(k) = (0..*len).find(|k| played[*k].to_bits() != straight[*k].to_bits()) {
                panic!(
                    "stretch {n}, {len} frames from {from}: channel {channel}, frame {k}: straight {:e}, got {:e}",
                    straight[k], played[k]
                );
            }
            sounding += usize::from(played.iter().any(|x| x.abs() > 1e-3));
        }
        begin += len;
    }
    assert!(sounding > 1_000, "{sounding} stretches have sound");
}
