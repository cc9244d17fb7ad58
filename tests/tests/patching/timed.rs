//! Changes that are said to hold from a frame on, and batches that meet on their way to the engine.

use std::path::{Path, PathBuf};

use aulos_protocol::{
    Applied, Change, Command, ErrorCode, Event, Frames, NewNode, NodeKind, Query, Reply, Session,
    TransportState, Value,
    client::{Client, Notice},
    wire::{Ask, FromServer, Request, read_from_server, write_request},
};
use aulos_tests::server::{Server, apply, ask, read_wav};
use serde_json::json;

/// A server whose clock the test moves, and what it plays in a file.
struct Stage {
    server: Server,
    client: Client,
    capture: PathBuf,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// Runs these lines of `aulosctl`.
    fn new(lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let capture = folder.path().join("played.wav");
        let args = ["--driver", "stepped", "--block", "1024", "--capture", capture.to_str().unwrap()];
        let server = Server::start(args);
        lines.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(|line| drop(server.ok(line)));
        let client = server.client();
        Self { server, client, capture, _folder: folder }
    }

    /// Runs cycles of different lengths, so that no frame is a beginning of one by chance.
    fn step(&mut self, frames: u32) {
        let mut left = frames;
        let mut blocks = Vec::new();
        for block in [100, 17, 64, 333].into_iter().cycle() {
            if left == 0 {
                break;
            }
            blocks.push(left.min(block));
            left -= left.min(block);
        }
        apply(&mut self.client, Command::Step { blocks });
    }

    fn at(&mut self, command: Command, frame: u64) -> Applied {
        match self.client.command_at(command.clone(), Frames(frame)) {
            Ok(Reply::Applied(applied)) => applied,
            other => panic!("{command:?}: {other:?}"),
        }
    }

    fn session(&mut self) -> Session {
        match ask(&mut self.client, Query::Session) {
            Reply::Session(session) => *session,
            other => panic!("{other:?}"),
        }
    }

    /// Ends the server; what was played on the left.
    fn played(self) -> Vec<f32> {
        let Self { server, client, capture, _folder } = self;
        drop((client, server));
        read_wav(Path::new(&capture)).swap_remove(0)
    }
}

fn set(node: &str, param: &str, value: Value) -> Command {
    Command::SetParam { node: node.into(), param: param.into(), value }
}

/// The first frame at which the two differ.
fn parting(a: &[f32], b: &[f32]) -> Option<usize> {
    a.iter().zip(b).position(|(a, b)| a != b)
}

/// A tone through a track that is heard 70 frames late; without fades, so that a change is whole at its frame.
const TONE: &str = "
    session set --fade 0ms
    node add tone sine level=-6dB frequency=997Hz
    track add one
    track add two
    node add delay late frames=70 report=on
    link sine one
    link one late
    link late master
    link one master
    link two master
    step 1024";

/// What is played when this is said at a frame of 4000 frames after the first step, and nothing else happens.
fn with(command: Option<(Command, u64)>) -> Vec<f32> {
    let mut stage = Stage::new(TONE);
    if let Some((command, frame)) = command {
        assert_eq!(stage.at(command, frame).frame, Frames(frame));
    }
    stage.step(4000);
    stage.played()
}

#[test]
fn parameters_and_solo_change_at_their_frame_of_stage_time() {
    let plain = with(None);
    assert!(plain[1024..].iter().any(|x| *x != 0.0));
    // What sounds together changes together, 70 frames later than it is said: there the outputs hear it.
    for frame in [1777, 2048, 3001] {
        let louder = with(Some((set("one", "gain", Value::Number(-20.0)), frame)));
        let heard = parting(&plain, &louder).unwrap();
        assert!((frame as usize + 70..frame as usize + 72).contains(&heard), "{frame}: {heard}");
        let factor = 10f64.powf(-20.0 / 20.0) as f32;
        let right = |n: &usize| (louder[*n] - plain[*n] * factor).abs() < 1e-6;
        assert!((heard..plain.len()).all(|n| right(&n)), "{frame}: not all of it at once");
    }
    for frame in [1777, 3001] {
        let soloed = with(Some((set("two", "solo", Value::Switch(true)), frame)));
        let heard = parting(&plain, &soloed).unwrap();
        let silent = soloed.iter().rposition(|x| *x != 0.0).unwrap() + 1;
        assert!((heard..heard + 2).contains(&silent), "{frame}: {heard} to {silent}");
        assert!((frame as usize..frame as usize + 72).contains(&heard), "{frame}: {heard}");
    }
}

#[test]
fn the_transport_starts_at_its_frame() {
    let played = |at: Option<u64>| {
        let mut stage =
            Stage::new("session set --fade 0ms\nnode add click beat\nlink beat master\nstep 1024");
        if let Some(at) = at {
            let mut watcher = stage.server.client();
            ask(&mut watcher, Query::Subscribe { telemetry_hz: 0.0 });
            assert_eq!(stage.at(Command::Play, at).frame, Frames(at));
            // Of what is to come there is one.
            let refused = stage.client.command_at(Command::Stop, Frames(at + 5)).unwrap_err();
            assert_eq!(refused.code, ErrorCode::Busy);
            stage.step(3000);
            match watcher.notice().unwrap() {
                Notice::Event(Event::Transport { frame, transport: TransportState { rolling, .. } }) => {
                    assert_eq!((frame, rolling), (Frames(at), true));
                }
                other => panic!("{other:?}"),
            }
            stage.at(Command::Stop, 1024 + 3500);
            stage.step(1000);
        } else {
            apply(&mut stage.client, Command::Play);
            stage.step(4000);
        }
        stage.played()
    };
    let at_once = played(None);
    let timed = played(Some(2222));
    assert!(timed[..2222].iter().all(|x| *x == 0.0));
    // The first click begins with the transport; it is 1,440 frames long.
    assert!(at_once[1024..2400].iter().any(|x| *x != 0.0));
    assert_eq!(timed[2222..2222 + 1440], at_once[1024..1024 + 1440]);
}

#[test]
fn a_timed_loop_is_the_sessions_when_its_frame_has_come() {
    let mut stage = Stage::new("step 1024");
    let mut watcher = stage.server.client();
    ask(&mut watcher, Query::Subscribe { telemetry_hz: 0.0 });
    let range = (Frames(500), Frames(1500));
    let round = Command::Loop { start: Some(range.0), end: Some(range.1) };
    let would = stage.client.dry_run(round.clone(), Some(Frames(2222))).unwrap();
    assert!(matches!(would, Reply::WouldChange { changes } if changes.len() == 1));
    let before = stage.session();
    assert_eq!(stage.at(round.clone(), 2222).frame, Frames(2222));
    assert_eq!(stage.session(), before);
    // Nobody has to wait for it: what is said later is told, and counted, first.
    apply(&mut stage.client, set("master", "gain", Value::Number(-1.0)));
    stage.step(3000);
    let mut told = |wanted: u64| match watcher.notice().unwrap() {
        Notice::Event(Event::Changed { revision, frame, changes }) => {
            assert_eq!(revision, wanted);
            (frame, changes)
        }
        other => panic!("{other:?}"),
    };
    assert!(matches!(told(1).1[..], [Change::Node(_)]));
    let (frame, changes) = told(2);
    assert_eq!(frame, Frames(2222));
    assert!(matches!(changes[..], [Change::Session { loop_range: Some(told), .. }] if told == range));
    assert_eq!(stage.session().loop_range, Some(range));

    // One that is overruled never is.
    stage.at(Command::Loop { start: None, end: None }, 6000);
    apply(&mut stage.client, Command::Stop);
    stage.step(4000);
    assert_eq!(stage.session().loop_range, Some(range));
    // Saying again what is so is no change.
    let revision = apply(&mut stage.client, round).revision;
    assert_eq!(revision, 2);
}

#[test]
fn what_needs_another_plan_is_not_timed_and_changes_nothing() {
    let mut stage = Stage::new(TONE);
    let before = stage.session();
    let end = |text: &str| text.parse().unwrap();
    let new = NewNode { kind: NodeKind::Bus, name: None, channels: None, params: Default::default() };
    let louder = set("one", "gain", Value::Number(3.0));
    for command in [
        Command::AddNode(new.clone()),
        Command::RemoveNode { node: "two".into() },
        Command::Link { from: end("sine"), to: end("two"), gain: None },
        Command::Unlink { from: end("one"), to: end("master") },
        set("late", "frames", Value::Number(10.0)),
        set("one", "low_latency_monitor", Value::Switch(true)),
        Command::Batch { commands: vec![louder.clone(), Command::AddNode(new)] },
        Command::SetSession {
            name: None,
            tempo: None,
            signature: None,
            edit_fade_ms: Some(1.0),
            max_latency_ms: None,
        },
        Command::Undo,
        Command::Step { blocks: vec![64] },
        Command::Shutdown { discard: false },
    ] {
        for dry in [false, true] {
            let at = Frames(5000);
            let refused = if dry {
                stage.client.dry_run(command.clone(), Some(at))
            } else {
                stage.client.command_at(command.clone(), at)
            };
            let error = refused.expect_err(&format!("{command:?}"));
            assert_eq!(error.code, ErrorCode::Unavailable, "{command:?}: {error}");
            assert!(error.message.contains("cannot be timed"), "{error}");
            assert!(error.expected.is_some(), "{error}");
        }
    }
    for frame in [u64::MAX, u64::MAX / 2, 1 << 41] {
        for command in [louder.clone(), set("two", "solo", Value::Switch(true)), Command::Play] {
            let error = stage.client.command_at(command, Frames(frame)).unwrap_err();
            assert_eq!(error.code, ErrorCode::OutOfRange, "{error}");
        }
    }
    // A question is not timed either.
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"status","at":5}"#;
    stage.client.send_line(request).unwrap();
    let answer = read_from_server(&stage.client.read_line().unwrap()).unwrap();
    assert!(matches!(answer, FromServer::Answer { result: Err(_), .. }), "{answer:?}");
    assert_eq!(stage.session(), before);
    let would = stage.client.dry_run(louder, Some(Frames(5000))).unwrap();
    assert!(matches!(would, Reply::WouldChange { changes } if changes.len() == 1));
    assert_eq!(stage.session(), before);
}

#[test]
fn batches_that_are_sent_at_once_both_apply() {
    let server = Server::stepped();
    let mut clients = [server.client(), server.client()];
    for round in 0..20 {
        for (index, client) in clients.iter_mut().enumerate() {
            let name = format!("bus-{round}-{index}");
            let new = NewNode {
                kind: NodeKind::Bus,
                name: Some(name.clone()),
                channels: None,
                params: Default::default(),
            };
            let link =
                Command::Link { from: name.parse().unwrap(), to: "master".parse().unwrap(), gain: None };
            let ask = Ask::Command(Command::Batch { commands: vec![Command::AddNode(new), link] });
            let request = Request {
                id: Some(json!("batch")),
                ask,
                dry_run: false,
                revision: None,
                at: None,
                fade_ms: None,
            };
            client.send_line(&write_request(&request)).unwrap();
        }
        let mut applied: Vec<Applied> = clients
            .iter_mut()
            .map(|client| match read_from_server(&client.read_line().unwrap()).unwrap() {
                FromServer::Answer { result: Ok(Reply::Applied(applied)), .. } => applied,
                other => panic!("{other:?}"),
            })
            .collect();
        applied.sort_by_key(|applied| applied.revision);
        assert_eq!([applied[0].revision, applied[1].revision], [round * 2 + 1, round * 2 + 2]);
        assert!(applied[0].frame <= applied[1].frame, "{applied:?}");
        let mut client = server.client();
        apply(&mut client, Command::Step { blocks: vec![64; 3] });
    }
    let mut client = server.client();
    let Reply::Session(session) = ask(&mut client, Query::Session) else { panic!("no session") };
    assert_eq!((session.nodes.len(), session.links.len()), (2 + 40, 2 + 80));
}

#[test]
fn a_change_of_latency_is_aligned_from_a_frame_on() {
    let mut stage = Stage::new(TONE);
    let mut watcher = stage.server.client();
    ask(&mut watcher, Query::Subscribe { telemetry_hz: 0.0 });
    let applied = apply(&mut stage.client, set("late", "frames", Value::Number(300.0)));
    let aligned = applied.aligned.expect("delays have moved");
    assert!(aligned > applied.frame, "{applied:?}");
    let mut events = Vec::new();
    while events.len() < 2 {
        match watcher.notice().unwrap() {
            Notice::Event(event) => events.push(event),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(&events[0], Event::Changed { revision, .. } if *revision == applied.revision));
    assert_eq!(events[1], Event::Aligned { revision: applied.revision, frame: aligned });
    // What moves no delay says nothing of it.
    assert_eq!(apply(&mut stage.client, set("one", "gain", Value::Number(-3.0))).aligned, None);
}

#[test]
fn what_is_said_meanwhile_holds_at_once() {
    let mut stage = Stage::new(TONE);
    let plain = with(None);
    let before = stage.session();
    stage.at(set("one", "mute", Value::Switch(true)), 900_000);
    stage.at(set("two", "solo", Value::Switch(true)), 900_000);
    // It is no part of the session yet, so that undo and what is saved know nothing of it.
    assert_eq!(stage.session(), before);
    // The same as what is to come, but now: at the frame 1024, heard 70 frames later.
    apply(&mut stage.client, set("one", "mute", Value::Switch(true)));
    stage.step(2000);
    apply(&mut stage.client, Command::Undo);
    stage.step(2000);
    assert_eq!(stage.session().node("one").unwrap().params, before.node("one").unwrap().params);
    let played = stage.played();
    assert_eq!(parting(&plain, &played).map(|n| n / 100), Some(1094 / 100));
    assert!(played[1100..3000].iter().all(|x| *x == 0.0));
    assert!(played[3100..].iter().any(|x| x.abs() > 0.1));
}

#[test]
fn what_is_said_of_the_transport_now_takes_the_place_of_what_was_to_come() {
    let mut stage = Stage::new(TONE);
    stage.at(Command::Play, 900_000);
    assert!(stage.client.command_at(Command::Play, Frames(3000)).is_err());
    apply(&mut stage.client, Command::Stop);
    assert_eq!(stage.at(Command::Play, 3000).frame, Frames(3000));
    apply(&mut stage.client, Command::Stop);
    stage.step(4000);
    let Reply::Status(status) = ask(&mut stage.client, Query::Status) else { panic!("no status") };
    assert!(!status.transport.rolling);
}
