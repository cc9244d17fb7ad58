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
    let frames = 6 * 48_000;
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

/// What ffmpeg measures by EBU R 128: integrated loudness in LUFS, range in LU, true peak in dBTP.
fn loudness(wav: &Path) -> [f64; 3] {
    let done = Process::new("ffmpeg")
        .args(["-hide_banner", "-nostats", "-i"])
        .arg(wav)
        .args(["-filter_complex", "ebur128=peak=true", "-f", "null", "-"])
        .output()
        .expect("ffmpeg is installed by make test");
    let text = text(&done.stderr);
    ["I:", "LRA:", "Peak:"].map(|what| {
        let line = text.lines().rev().find(|line| line.trim_start().starts_with(what));
        let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        number.unwrap_or_else(|| panic!("ffmpeg says nothing of {what}: {text}"))
    })
}

/// The power of octaves around these frequencies, in dB below that of all.
fn octaves(samples: &[f32], rate: f64, centres: &[f64]) -> Vec<f64> {
    const SIZE: usize = 8192;
    let transform = realfft::RealFftPlanner::<f64>::new().plan_fft_forward(SIZE);
    let mut spectrum = transform.make_output_vec();
    let mut power = vec![0.0; spectrum.len()];
    for block in samples.chunks_exact(SIZE) {
        // Von Hann's window.
        let turn = std::f64::consts::TAU / SIZE as f64;
        let windowed = block.iter().enumerate();
        let mut windowed: Vec<f64> =
            windowed.map(|(n, x)| f64::from(*x) * (0.5 - 0.5 * (turn * n as f64).cos())).collect();
        transform.process(&mut windowed, &mut spectrum).unwrap();
        power.iter_mut().zip(&spectrum).for_each(|(sum, line)| *sum += line.norm_sqr());
    }
    let all: f64 = power.iter().sum();
    let of = |centre: &f64| {
        let root = 2f64.sqrt();
        let line = |hz: f64| (hz * SIZE as f64 / rate).round() as usize;
        let octave: f64 = power[line(centre / root)..line(centre * root).min(power.len())].iter().sum();
        10.0 * (octave / all).log10()
    };
    centres.iter().map(of).collect()
}

#[test]
#[allow(clippy::print_stdout, reason = "the figures are to be read")]
fn the_demo_is_worth_hearing() {
    const END: usize = 1_824_000;
    let dir = tempfile::tempdir().unwrap();
    let folder = demo(&dir.path().join("demo"));
    let server = Server::start(["--driver", "stepped", "--block", "1024", "--session", &folder]);
    let out = server.folder().join("mix.wav");
    server.ok(&format!("render {} --to {END}", out.display()));
    let [integrated, range, peak] = loudness(&out);
    let channels = read_wav(&out);
    assert_eq!((channels.len(), channels[0].len()), (2, END));
    let middle: Vec<f32> = channels[0].iter().zip(&channels[1]).map(|(l, r)| (l + r) / 2.0).collect();
    let side: Vec<f32> = channels[0].iter().zip(&channels[1]).map(|(l, r)| (l - r) / 2.0).collect();
    let centres = [31.5, 63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16_000.0];
    let spectrum = octaves(&middle, 48_000.0, &centres);
    println!("loudness {integrated} LUFS, range {range} LU, true peak {peak} dBTP");
    for (centre, level) in centres.iter().zip(&spectrum) {
        println!("{centre:>8} Hz {level:>6.1} dB {}", "#".repeat((level + 60.0).max(0.0) as usize / 2));
    }
    let power = |samples: &[f32]| samples.iter().map(|x| f64::from(x * x)).sum::<f64>();
    let width = 10.0 * (power(&side) / power(&middle)).log10();
    println!("sides {width:.1} dB below the middle");

    assert!((-18.0..=-14.0).contains(&integrated), "{integrated} LUFS");
    assert!((3.0..=12.0).contains(&range), "{range} LU");
    assert!((-3.0..=-0.8).contains(&peak), "{peak} dBTP");
    // Nothing is missing from the bass to the air, and nothing is on top of all else.
    assert!(spectrum[1..9].iter().all(|level| (-32.0..=-2.0).contains(level)), "{spectrum:?}");
    assert!(spectrum[9] > -45.0, "{spectrum:?}");
    assert!((-25.0..=-4.0).contains(&width), "{width}");

    // The master's own meter says the same of what is played.
    server.ok("play");
    // No more at once than is read ahead.
    (0..END / 96_000).for_each(|_| drop(server.ok("step 1000x96")));
    let meters: serde_json::Value = serde_json::from_str(&server.ok("meters --once --json")).unwrap();
    let master = meters.as_array().or(meters["meters"].as_array()).unwrap();
    let master = master.iter().find(|meter| meter["node"] == "master").unwrap();
    let own = |name: &str| master["loudness"][name].as_f64().unwrap();
    println!("the master's meter: {}", master["loudness"]);
    assert!((own("integrated") - integrated).abs() <= 0.15, "{master}");
    assert!((20.0 * own("true_peak").log10() - peak).abs() <= 0.2, "{master}");
}
