//! `aulosctl` on sessions on disk, without a server or beside one that holds them.

use std::{fs, path::Path, process::Stdio};

use aulos_tests::server::{Server, read_wav};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;

use crate::{Home, wait_until};

/// Writes a session with a clip of noise, whose file lies beside it; the server that wrote it still holds it.
fn server_with_session(home: &Home) -> Server {
    let server = Server::stepped();
    let path = home.path("evening");
    server.ok(&format!("session new {}", path.display()));
    fs::create_dir(path.join("audio")).unwrap();
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path.join("audio/noise.wav"), spec).unwrap();
    (0..9600i32).for_each(|n| writer.write_sample((n * 7919 % 20_011 - 10_000) as i16).unwrap());
    writer.finalize().unwrap();
    for words in
        ["track add drums --gain -3dB", "link drums master", "clip add drums audio/noise.wav --at 100"]
    {
        server.ok(words);
    }
    server.ok("session save");
    server
}

/// The processes that were started with something below `folder`.
fn processes_of(folder: &Path) -> Vec<String> {
    let needle = folder.to_str().unwrap();
    let lines = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let line = String::from_utf8_lossy(&fs::read(entry.path().join("cmdline")).ok()?).replace('\0', " ");
        line.contains(needle).then_some(line)
    });
    lines.filter(|line| line.contains("aulosd")).collect()
}

fn is_tidy(home: &Home) -> bool {
    processes_of(&home.path("tmp")).is_empty() && fs::read_dir(home.path("tmp")).unwrap().count() == 0
}

#[test]
fn a_session_is_rendered_without_a_server_and_beside_one() {
    let home = Home::new();
    let server = server_with_session(&home);
    server.ok(&format!("render {}", home.path("by-server.wav").display()));
    let wanted = read_wav(&home.path("by-server.wav"));
    assert_eq!(wanted[0].len(), 9700);
    // What is not saved is not in it, and the server that holds the session is not disturbed.
    server.ok("mute drums");
    let before = fs::read(home.path("evening/session.json")).unwrap();
    let said = home.say("render evening out.wav");
    assert!(said.contains("out.wav: 9700 frames"), "{said}");
    assert!(read_wav(&home.path("out.wav")) == wanted, "not what the server renders");
    home.say("render evening again.wav --block 100");
    assert!(read_wav(&home.path("again.wav")) == wanted, "not what the server renders");
    home.say("render evening parts --stems");
    assert!(read_wav(&home.path("parts/drums.wav")) == wanted);
    let json: Json = serde_json::from_str(&home.say("--json render evening json.wav")).unwrap();
    assert_eq!(json["ended"], true);
    assert!(before == fs::read(home.path("evening/session.json")).unwrap(), "the session was written to");
    // The server saves at its end, and nobody holds the session then.
    drop(server);
    home.say("render evening muted.wav");
    assert!(read_wav(&home.path("muted.wav")).iter().flatten().all(|sample| *sample == 0.0));
    assert!(is_tidy(&home));
}

#[test]
fn what_cannot_be_rendered_is_refused_and_nothing_is_left() {
    let home = Home::new();
    drop(server_with_session(&home));
    home.write("damaged/session.json", "{\"format\":1,");
    home.write("newer/session.json", "{\"format\":7}");
    for (words, code, part) in [
        ("render gone out.wav", 4, "no session in gone"),
        ("render damaged out.wav", 1, "damaged"),
        ("render newer out.wav", 1, "format 7"),
        ("render evening out.mp3", 1, "which format"),
        ("render evening out.wav --no-wait", 2, "--no-wait"),
        ("render evening gone/out.wav", 4, "no folder"),
        ("render evening a.wav b.wav", 2, "b.wav"),
    ] {
        let (got, out, err) = home.run(words);
        assert_eq!((got, out.as_str()), (code, ""), "{words}: {err}");
        assert!(err.contains(part), "{words}: {err}");
        assert!(is_tidy(&home), "{words} leaves something");
    }
    assert!(!home.path("out.wav").exists());
}

#[test]
fn no_server_of_our_own_outlives_us() {
    let home = Home::new();
    drop(server_with_session(&home));
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        // A day of it: it is not done before the signal comes.
        let words = ["render", "evening", "out.wav", "--to", "86400s"];
        let mut child = home.ctl().args(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("the render writes", || home.path("out.wav.partial").exists());
        assert_eq!(processes_of(&home.path("tmp")).len(), 1);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let status = child.wait().unwrap();
        if signal == Signal::KILL {
            wait_until("the server ends with us", || processes_of(&home.path("tmp")).is_empty());
        } else {
            assert_eq!(status.code(), Some(128 + signal.as_raw()));
            assert!(is_tidy(&home), "{signal:?}");
        }
        assert!(!home.path("out.wav").exists() && !home.path("out.wav.partial").exists(), "{signal:?}");
    }
}

#[test]
fn sessions_are_found_and_described() {
    let home = Home::new();
    let server = server_with_session(&home);
    home.write("deep/a/damaged/session.json", "{");
    home.write("deep/.hidden/session.json", "{}");
    home.write("evening/audio/inner/session.json", "{}");
    let list: Json = serde_json::from_str(&home.say("--json session ls")).unwrap();
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 2, "{list:?}");
    assert!(list[0]["path"].as_str().unwrap().ends_with("deep/a/damaged") && list[0]["damaged"].is_string());
    assert_eq!((&list[1]["name"], &list[1]["nodes"]), (&"evening".into(), &3.into()));
    let said = home.say("session ls .");
    assert!(
        said.contains("damaged") && said.contains("48000 Hz") && said.contains("saved just now"),
        "{said}"
    );
    assert_eq!(home.say("session ls state"), "no session in state\n");
    assert_eq!(home.run("session ls gone").0, 4);
    home.write("config/aulos/aulos.toml", "[sessions]\nfolder = \"../../deep\"\n");
    let list: Json = serde_json::from_str(&home.say("--json session ls")).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 1);

    let info = |words: &str| {
        serde_json::from_str::<Json>(&home.say(&format!("--json session info {words}"))).unwrap()
    };
    let told = info("evening");
    assert_eq!((&told["length"], &told["held"], &told["clips"]), (&9700.into(), &true.into(), &1.into()));
    assert_eq!(told["nodes"], serde_json::json!({"master": 1, "output": 1, "track": 1}));
    assert_eq!(told["problems"], serde_json::json!([]));
    assert_eq!((&told["signature"], &told["loop_range"]), (&"4/4".into(), &Json::Null));
    assert!(home.say("session info evening").contains("loop     off"));
    server.ok("loop 0 9600");
    drop(server);
    let said = home.say("session info evening");
    assert!(said.contains("loop     0:00.000 to 0:00.200 (1|1.00 to 1|1.40)"), "{said}");
    assert_eq!(info("evening")["loop_range"], serde_json::json!([0, 9600]));
    fs::remove_file(home.path("evening/audio/noise.wav")).unwrap();
    let told = info("evening");
    assert_eq!((&told["length"], &told["held"]), (&0.into(), &false.into()));
    assert!(told["problems"][0].as_str().unwrap().contains("noise.wav"), "{told}");
    let said = home.say("session info evening");
    assert!(said.contains("3: 1 master, 1 output, 1 track") && said.contains("problem"), "{said}");
    assert_eq!(home.run("session info deep").0, 4);
    let (code, _, err) = home.run("session info deep/a/damaged");
    assert!(code == 1 && err.contains("damaged"), "{err}");
}

#[test]
fn the_doctor_tells_what_is_missing_by_its_exit_code() {
    let home = Home::new();
    home.write(
        "machine/proc/self/limits",
        "Max realtime priority     0  0\nMax locked memory  unlimited unlimited bytes\n",
    );
    home.write("machine/proc/self/status", "Uid:\t1 1 1 1\nGid:\t29 29 29 29\nGroups:\t\nCapEff:\t0\n");
    home.write("machine/etc/group", "audio:x:29:\n");
    home.write("config/aulos/aulos.toml", "[driver]\nblock = 64\n");
    let (code, out, err) = home.run("doctor --root machine --json");
    assert_eq!((code, err.as_str()), (6, ""), "{out}");
    let told: Json = serde_json::from_str(&out).unwrap();
    assert_eq!(told["state"], "missing");
    let of = |name: &str| {
        told["findings"].as_array().unwrap().iter().find(|finding| finding["name"] == name).unwrap().clone()
    };
    assert_eq!(
        (of("real-time priority")["state"].as_str(), of("group audio")["state"].as_str()),
        (Some("missing"), Some("ok"))
    );
    assert_eq!(of("aulosd")["state"], "ok");
    assert_eq!(of("server")["state"], "warn");
    assert!(of("configuration")["found"].as_str().unwrap().contains("aulos.toml"));
    home.write(
        "machine/proc/self/limits",
        "Max realtime priority     95  95\nMax locked memory  unlimited unlimited bytes\n",
    );
    home.write(&format!("machine{}/x", home.path("").display()), "");
    let (code, out, _) = home.run("doctor --root machine");
    assert_eq!(code, 0, "{out}");
    assert!(out.lines().any(|line| line.starts_with("ok       real-time priority  up to 95")), "{out}");
    home.write("config/aulos/aulos.toml", "[driver]\nblok = 64\n");
    let (code, out, _) = home.run("doctor --root machine");
    assert!(code == 6 && out.contains("aulos.toml:2: "), "{out}");
}

#[test]
fn a_damaged_session_is_named_as_it_was_said() {
    let home = Home::new();
    home.write("mut/session.json", "{\"format\": 1, \"name\": 3}");
    let (code, _, err) = home.run("render mut out.wav");
    assert!(code == 1 && err.contains("mut/session.json: the session is damaged"), "{err}");
    assert!(!err.contains("aulosctl-"), "{err}");
}
