//! The demo session: the same samples from the engine, the oracle, every block size, and a running server.

use std::{path::Path, process::Command as Process, sync::Arc};

use aulos_engine::Start;
use aulos_nodes::Pcm;
use aulos_protocol::Session;
use aulos_tests::{
    compare, oracle,
    server::{Server, project, read_wav, text},
    stepped::{Files, Stepped},
};

#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

/// A copy of the demo session that a server may hold.
fn demo(to: &Path) -> String {
    let copied = Process::new("cp").arg("-r").arg(project().join("demo")).arg(to).status().unwrap();
    assert!(copied.success());
    to.display().to_string()
}

/// Decodes a FLAC file by sox, which shares no code with the server.
fn decode(path: &Path) -> Pcm {
    let dir = tempfile::tempdir().unwrap();
    let wav = dir.path().join("decoded.wav");
    let done = Process::new("sox").arg(path).arg(&wav).status().expect("sox is installed by make deps");
    assert!(done.success());
    Pcm::new(read_wav(&wav)).unwrap()
}

/// The session and its stems.
fn session() -> (Session, Files) {
    let folder = project().join("demo");
    let json = std::fs::read_to_string(folder.join("session.json")).unwrap();
    let session: Session = serde_json::from_str(&json).unwrap();
    let mut files = Files::default();
    for clip in session.nodes.values().flat_map(|node| &node.clips) {
        let decoded = || Arc::new(decode(&folder.join(&clip.file)));
        files.0.entry(clip.file.clone()).or_insert_with(decoded);
    }
    (session, files)
}

#[test]
fn engine_and_oracle_are_bit_exact() {
    let (session, files) = session();
    let frames = 16 * 48_000;
    let position = 12 * 48_000;
    let start = oracle::Start { position, rolling: true, loop_range: None };
    let find = |name: &str| files.0.get(name).cloned();
    let expected = oracle::evaluate(&session, &find, start, &[], frames, 2).playback;
    let loudest = expected.iter().flatten().fold(0.0f32, |m, x| m.max(x.abs()));
    assert!(loudest > 0.1, "the demo is silent");
    let start = Start { position, rolling: true, loop_range: None };
    let mut sizes = [1, 17, 64, 128, 480, 1024].into_iter().cycle();
    for block in [1, 17, 64, 128, 480, 1024, 0] {
        let mut engine = Stepped::new(session.clone(), files.clone(), Vec::new(), 2, 1024, start);
        engine.run_to(frames, || if block == 0 { sizes.next().unwrap() } else { block });
        compare(&format!("block {block}"), &expected, engine.played()).unwrap();
    }
}

#[test]
fn renders_at_any_block_and_a_live_capture_are_identical() {
    // Ends in the middle of the build, so that the capture does not take the whole piece in real time.
    const CAPTURED: usize = 12 * 48_000;
    let dir = tempfile::tempdir().unwrap();
    let folder = demo(&dir.path().join("demo"));
    let server = Server::start(["--driver", "stepped", "--session", &folder]);
    let mut renders = Vec::new();
    for block in [32, 64, 100, 1024] {
        let out = server.folder().join(format!("{block}.wav"));
        server.ok(&format!("render {} --raw --block {block}", out.display()));
        renders.push(read_wav(&out));
    }
    for render in &renders[1..] {
        compare("render", &renders[0], render).unwrap();
    }
    drop(server);

    let (session, files) = session();
    let find = |name: &str| files.0.get(name).cloned();
    let start = oracle::Start { position: 0, rolling: true, loop_range: None };
    let expected = oracle::evaluate(&session, &find, start, &[], renders[0][0].len(), 2).playback;
    compare("the oracle and the render", &expected, &renders[0]).unwrap();

    // The dummy driver takes its time; the offline one plays all of it.
    let whole = renders[0][0].len();
    for (driver, frames) in [("dummy", CAPTURED), ("offline", whole)] {
        let file = dir.path().join("played.wav");
        let count = frames.to_string();
        let args = ["--driver", driver, "--block", "256", "--play", "--session", &folder, "--frames", &count];
        let mut played = Server::spawn(args.into_iter().chain(["--capture", file.to_str().unwrap()]));
        assert!(played.wait().success(), "{}", played.log());
        let captured = read_wav(&file);
        let expected: Vec<Vec<f32>> = renders[0].iter().map(|channel| channel[..frames].to_vec()).collect();
        compare(driver, &expected, &captured).unwrap();
        assert!(captured[0].iter().any(|x| x.abs() > 0.05), "what the {driver} driver played is silent");
    }
}

#[test]
fn the_demo_has_what_it_promises() {
    let (session, _) = session();
    let count = |kind| session.nodes.values().filter(|node| node.kind == kind).count();
    use aulos_protocol::NodeKind::{Bus, Send, Track};
    assert!(count(Track) >= 8 && count(Send) >= 2 && count(Bus) >= 2);
    let size: u64 = std::fs::read_dir(project().join("demo/audio"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(size < 4 << 20, "the stems take {size} bytes");
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(["--driver", "stepped", "--session", &demo(&dir.path().join("demo"))]);
    let latency = server.ok("latency");
    assert!(latency.contains("480"), "{latency}");
    let status = server.ctl(["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&text(&status.stdout)).unwrap();
    assert_eq!(status["warnings"].as_array().unwrap().len(), 0, "{status}");
}
