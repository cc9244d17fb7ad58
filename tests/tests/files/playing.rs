//! Files on tracks, rendered and played.

use std::{collections::BTreeMap, path::Path};

use aulos_protocol::{Command, Frames};
use aulos_tests::{
    compare,
    server::{Server, apply, read_wav},
};

use crate::samples::Sample;

/// Frames of silence before each clip; no multiple of any block.
const GAP: usize = 331;

/// Puts the files one after the other on the tracks `mono` and `stereo`, each behind [`GAP`] frames; answers
/// where they begin and where all ends.
pub fn lay_out(samples: &[Sample]) -> (Vec<Command>, Vec<usize>, usize) {
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
pub fn check(samples: &[Sample], begins: &[usize], got: &[Vec<f32>]) {
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
            let off = |n: &usize| (expected[*n] - got[begin + n]).abs() > sample.tolerance;
            if let Some(n) = (0..expected.len()).find(off) {
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
pub fn server(folder: &Path, rate: u32) -> Server {
    let server = Server::stepped();
    server.ok(&format!("session new {} --rate {rate}", folder.display()));
    server.ok("track add mono --channels 1 --pan L100");
    server.ok("track add stereo");
    server.ok("link mono master");
    server.ok("link stereo master");
    server
}

/// Renders the whole session as it is.
pub fn render(server: &Server, name: &str) -> Vec<Vec<f32>> {
    let out = server.folder().join(name);
    server.ok(&format!("render {} --raw", out.display()));
    read_wav(&out)
}

/// Plays `frames` frames of the session in `folder` from its beginning by the stepped driver, with cycles of
/// many lengths, and answers what was captured.
pub fn play(folder: &Path, frames: usize) -> Vec<Vec<f32>> {
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
pub fn render_and_play(samples: &[Sample]) {
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
pub fn by_rate(samples: Vec<Sample>) -> BTreeMap<u32, Vec<Sample>> {
    let mut rates = BTreeMap::<u32, Vec<Sample>>::new();
    samples.into_iter().for_each(|sample| rates.entry(sample.rate).or_default().push(sample));
    rates
}
