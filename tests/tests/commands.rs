//! A session made, patched, undone, saved and rendered by `aulosctl` alone, and a subscriber's replica.

use std::{path::Path, process::Command as Process};

use aulos_protocol::{
    Command, Decibels, NewNode, NodeKind, Query, Reply, Session, Value,
    client::{Client, Notice},
    mirror,
};
use aulos_tests::{
    compare,
    random::Rng,
    server::{Server, ask, read_wav, text},
};

/// What `aulosctl --json` says.
fn json(server: &Server, line: &str) -> serde_json::Value {
    let output = server.ctl(line.split_whitespace().chain(["--json"]));
    assert!(output.status.success(), "{line}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{line}: {e}: {}", text(&output.stdout)))
}

fn value(server: &Server, node: &str, param: &str) -> serde_json::Value {
    json(server, &format!("get {node}/{param}"))["params"][0]["value"].clone()
}

/// A stereo file of noise-like samples that are whole 16-bit numbers.
fn make_file(path: &Path, frames: u32) {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    let mut rng = Rng::new(5);
    for _ in 0..frames * 2 {
        writer.write_sample((rng.range(0, 16_000) as i32 - 8000) as i16).unwrap();
    }
    writer.finalize().unwrap();
}

/// A track with a file, a send to a bus, a path that is 480 frames late and says so, and a tone that is off.
fn build(server: &Server) -> String {
    let folder = server.folder().join("song").display().to_string();
    let file = server.folder().join("noise.wav");
    make_file(&file, 30_000);
    server.ok(&format!("session new {folder}"));
    for line in [
        "track add drums --gain -3dB",
        &format!("clip add drums {} --at 0.1s --offset 100 --length 20000", file.display()),
        "bus add room",
        "send add to-room --level -12dB",
        "node add delay late frames=480 report=on",
        "node add tone hum --channels 1 frequency=50 level=-inf",
        "link drums master",
        "link drums:pre to-room",
        "link to-room room",
        "link room master --gain -1dB",
        "link drums late",
        "link late master",
        "link hum master",
    ] {
        server.ok(line);
    }
    folder
}

#[test]
fn what_is_set_is_what_is_read() {
    let server = Server::stepped();
    build(&server);
    assert_eq!(value(&server, "drums", "gain"), -3.0);
    for (set, node, param, expected) in [
        ("set drums/gain +1.5dB", "drums", "gain", -1.5),
        ("set drums gain 3dB-", "drums", "gain", -4.5),
        ("set drums gain -6dB", "drums", "gain", -6.0),
        ("set late/frames 10ms", "late", "frames", 480.0),
        ("set hum/frequency 1.2kHz", "hum", "frequency", 1200.0),
        ("set drums/pan L30", "drums", "pan", -0.3),
        ("track set drums pan 0.25", "drums", "pan", 0.25),
    ] {
        server.ok(set);
        assert_eq!(value(&server, node, param), expected, "{set}");
    }
    let half = {
        server.ok("set drums/gain 50%");
        value(&server, "drums", "gain").as_f64().unwrap()
    };
    assert!((half + 6.0206).abs() < 0.001, "{half}");
    server.ok("set drums/gain -inf");
    assert_eq!(value(&server, "drums", "gain"), "-inf");
    server.ok("set drums/mute toggle");
    assert_eq!(value(&server, "drums", "mute"), true);

    for line in ["status", "ls", "ls nodes", "ls ports", "ls links", "ls clips", "latency", "meters --once"] {
        assert!(!server.ok(line).is_empty(), "{line}");
        assert!(json(&server, line).is_object() || json(&server, line).is_array(), "{line}");
    }
    for line in ["track show drums", "bus show room", "send show to-room", "node show late"] {
        assert!(server.ok(line).contains(line.split(' ').nth(2).unwrap()), "{line}");
    }
    let latency = json(&server, "latency");
    let delays: Vec<_> = latency["links"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|link| link["to"].as_str().unwrap().starts_with("master"))
        .map(|link| (link["from"].as_str().unwrap().to_owned(), link["delay"].as_u64().unwrap()))
        .collect();
    assert!(delays.contains(&("drums:out_L".into(), 480)) && delays.contains(&("late:out_L".into(), 0)));
    assert_eq!(latency["total"], 480);

    server.ok("unlink drums late");
    assert!(!server.ok("ls links").contains("late:in"));
    server.ok("clip rm drums 6");
    assert!(server.ctl(["clip", "rm", "drums", "6"]).status.code() == Some(4));
    for line in ["track rm drums", "bus rm room", "send rm to-room", "node rm hum"] {
        server.ok(line);
    }
    assert_eq!(json(&server, "status")["nodes"], 3);
}

#[test]
fn the_transport_goes_where_it_is_told() {
    let server = Server::stepped();
    build(&server);
    let position = || json(&server, "status")["transport"]["position"].as_u64().unwrap();
    server.ok("locate 3|1");
    assert_eq!(position(), 192_000);
    server.ok("locate 1.5s");
    server.ok("play");
    server.ok("step 1000 24");
    assert_eq!(position(), 73_024);
    server.ok("pause");
    server.ok("step 512");
    assert_eq!(position(), 73_024);
    server.ok("stop");
    server.ok("step 512");
    assert_eq!(position(), 72_000);
    server.ok("loop 1000 2000");
    server.ok("locate 1500");
    server.ok("play");
    server.ok("step 600");
    assert_eq!(position(), 1100);
    server.ok("loop off");
    server.ok("step 1000");
    assert_eq!(position(), 2100);
    server.ok("tempo 100");
    server.ok("locate 2|1");
    assert_eq!(position(), 115_200);
}

#[test]
fn undo_goes_back_to_the_beginning_and_redo_to_the_end() {
    let server = Server::stepped();
    build(&server);
    let session = || {
        let mut session = json(&server, "session show");
        session.as_object_mut().unwrap().remove("next_id");
        session
    };
    let built = session();
    let mut steps = 0;
    while server.ctl(["undo"]).status.success() {
        steps += 1;
    }
    assert_eq!(steps, 13);
    assert_eq!(json(&server, "status")["nodes"], 2);
    for _ in 0..steps {
        server.ok("redo");
    }
    assert_eq!(session(), built);
    assert!(!server.ctl(["redo"]).status.success());
}

#[test]
fn a_dry_run_changes_nothing() {
    let server = Server::stepped();
    build(&server);
    let before = json(&server, "session show");
    for line in ["track rm drums", "set drums/gain -20dB", "link hum room", "bus add extra"] {
        assert!(!server.ok(&format!("{line} --dry-run")).is_empty());
    }
    assert_eq!(json(&server, "session show"), before);
    assert_eq!(json(&server, "status")["undo"], "link hum -> master");
}

/// What soxi says of a file.
fn soxi(flag: &str, path: &Path) -> String {
    let output = Process::new("soxi").arg(flag).arg(path).output().expect("sox is installed by make deps");
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

#[test]
fn renders_are_what_was_asked_for() {
    let server = Server::stepped();
    build(&server);
    let at = |name: &str| server.folder().join(name);
    server.ok("render raw.wav --raw");
    server.ok("render trimmed.wav");
    let (raw, trimmed) = (read_wav(&at("raw.wav")), read_wav(&at("trimmed.wav")));
    assert_eq!((raw[0].len(), trimmed[0].len()), (24_800 + 480, 24_800));
    assert!(raw[0][..4800 + 480].iter().all(|x| *x == 0.0));
    let late: Vec<Vec<f32>> = raw.iter().map(|channel| channel[480..].to_vec()).collect();
    compare("trimmed", &late, &trimmed).unwrap();
    assert!(trimmed[0].iter().any(|x| x.abs() > 0.1));

    server.ok("render part.wav --from 5000 --to 9000 --tail 1000");
    let part = read_wav(&at("part.wav"));
    assert_eq!(part[0].len(), 5000);
    let same: Vec<Vec<f32>> = trimmed.iter().map(|channel| channel[5000..9000].to_vec()).collect();
    let head: Vec<Vec<f32>> = part.iter().map(|channel| channel[..4000].to_vec()).collect();
    compare("a range", &same, &head).unwrap();
    // After the end the clip only fades out.
    assert!(part[0][4000..4200].iter().any(|x| *x != 0.0));
    assert!(part[0][4000 + 240..].iter().all(|x| *x == 0.0));

    for (line, bits, rate) in [
        ("render a.wav --depth 16", "16", "48000"),
        ("render b.wav --depth 24", "24", "48000"),
        ("render c.flac", "24", "48000"),
        ("render d.flac --depth 16 --rate 44100", "16", "44100"),
        ("render e.wav --rate 96k", "32", "96000"),
        ("render f --format flac", "24", "48000"),
    ] {
        server.ok(line);
        let path = at(line.split(' ').nth(1).unwrap());
        // sox goes by the name's ending.
        let path = if path.extension().is_none() {
            let named = path.with_extension("flac");
            std::fs::rename(&path, &named).unwrap();
            named
        } else {
            path
        };
        assert_eq!((soxi("-b", &path).as_str(), soxi("-r", &path).as_str()), (bits, rate), "{line}");
        let frames: f64 = soxi("-s", &path).parse().unwrap();
        assert_eq!(frames, (24_800.0 * rate.parse::<f64>().unwrap() / 48_000.0).ceil(), "{line}");
    }
    // 24 bits hold what was rendered to 1/2^23.
    let coarse = read_wav(&at("b.wav"));
    let apart = coarse.iter().flatten().zip(trimmed.iter().flatten()).map(|(a, b)| (a - b).abs());
    assert!(apart.fold(0.0, f32::max) <= 0.5 / 8_388_608.0);
}

#[test]
fn sessions_are_saved_opened_and_moved_with_their_audio() {
    let server = Server::stepped();
    let folder = build(&server);
    std::fs::create_dir(Path::new(&folder).join("audio")).unwrap();
    make_file(&Path::new(&folder).join("audio/own.wav"), 5000);
    server.ok("clip add drums audio/own.wav --at 1s");
    assert_eq!(server.ctl(["session", "new", "other"]).status.code(), Some(1));
    server.ok("session save");
    let moved = server.folder().join("moved").display().to_string();
    server.ok(&format!("session save {moved}"));
    assert!(Path::new(&moved).join("audio/own.wav").is_file());
    let saved = json(&server, "session show");
    server.ok("session new other --rate 44.1k");
    assert_eq!(json(&server, "status")["rate"], 44_100);
    server.ok(&format!("session open {moved}"));
    assert_eq!(json(&server, "session show"), saved);
    assert_eq!(json(&server, "status")["warnings"].as_array().unwrap().len(), 0);

    server.ok("set drums/gain -30dB");
    assert_eq!(server.ctl(["session", "open", &moved]).status.code(), Some(1));
    server.ok(&format!("session open {moved} --discard"));
    assert_eq!(json(&server, "session show"), saved);
}

fn session(client: &mut Client) -> Session {
    match ask(client, Query::Session) {
        Reply::Session(session) => *session,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_replica_that_follows_the_events_is_the_session() {
    let server = Server::stepped();
    build(&server);
    let (mut listener, mut client) = (server.client(), server.client());
    let Reply::Subscribed(mut state) = ask(&mut listener, Query::Subscribe { telemetry_hz: 0.0 }) else {
        panic!("not subscribed");
    };
    let mut rng = Rng::new(11);
    let mut carried_out = 0;
    for _ in 0..300 {
        let now = session(&mut client);
        let mut nodes: Vec<_> = now.nodes.values().map(|node| node.slug.to_string()).collect();
        nodes.push("nobody".into());
        let node = rng.pick(&nodes).clone();
        let other = rng.pick(&nodes).clone();
        let end = |name: &str| name.parse().unwrap();
        let command = match rng.below(8) {
            0 => Command::AddNode(NewNode {
                kind: *rng.pick(&NodeKind::ALL),
                name: None,
                channels: Some(rng.range(1, 3) as u16),
                params: Default::default(),
            }),
            1 => Command::RemoveNode { node },
            2 => Command::Link { from: end(&node), to: end(&other), gain: Decibels::new(-rng.tenths(0, 90)) },
            3 => Command::Unlink { from: end(&node), to: end(&other) },
            4 => Command::SetParam { node, param: "gain".into(), value: Value::Number(-rng.tenths(0, 90)) },
            5 => Command::SetSession {
                name: Some(format!("name {}", rng.below(9))),
                tempo: None,
                edit_fade_ms: None,
            },
            6 => Command::Undo,
            _ => Command::Redo,
        };
        carried_out += usize::from(client.command(command).is_ok());
    }
    assert!(carried_out > 100, "only {carried_out} commands were carried out");
    let last = session(&mut client);
    while state.session != last {
        match listener.notice().unwrap() {
            Notice::Event(event) => mirror::follow(&mut state, &event),
            Notice::Telemetry(_) => {}
        }
    }
}
