//! Bundles are atomic, and those with a time begin on its frame.

use std::time::Duration;

use aulos_osc::packet::AT_ONCE;
use aulos_protocol::{Query, Reply};
use aulos_tests::{
    osc::{Osc, bundle, later, message, s, wait_until},
    server::{Server, ask},
};
use rosc::{OscTime, OscType};

use crate::{Stage, stepped};

/// A tone on a track that is muted; without fades, so that it begins in one frame.
const MUTED: &str = "
    session set --fade 0ms
    track add one
    set one mute on
    node add tone sine level=-6dB frequency=997Hz
    link sine one
    link one master";

/// The clock map: a time, its frame, frames a second, and the number of the line.
fn map(osc: &mut Osc) -> (OscTime, i64, f64, i32) {
    match osc.ask("/sys/time/map", &[]).unwrap()[..] {
        [OscType::Time(time), OscType::Long(frame), OscType::Double(rate), OscType::Int(line)] => {
            (time, frame, rate, line)
        }
        ref other => panic!("{other:?}"),
    }
}

/// The frame of a time, as the map says.
fn frame_of(osc: &mut Osc, time: OscTime) -> i64 {
    match osc.ask("/sys/time/map", &[OscType::Time(time)]).unwrap()[..] {
        [OscType::Time(told), OscType::Long(frame)] if told == time => frame,
        ref other => panic!("{other:?}"),
    }
}

/// What is answered to a bundle: the frame.
fn answered(osc: &mut Osc) -> Result<i64, String> {
    loop {
        let message = osc.hear();
        match (message.addr.as_str(), message.args.as_slice()) {
            ("/reply", [address, OscType::Long(frame), ..]) if *address == s("#bundle") => return Ok(*frame),
            ("/error", [address, OscType::Int(_), OscType::String(text)]) if *address == s("#bundle") => {
                return Err(text.clone());
            }
            _ => {}
        }
    }
}

fn revision(server: &Server) -> u64 {
    match ask(&mut server.client(), Query::Status) {
        Reply::Status(status) => status.revision,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bundle_starts_a_tone_on_the_frame_that_the_clock_map_names() {
    let plain = {
        let stage = Stage::new("stepped", &format!("{MUTED}\nset one mute off\nstep 1024 1024 1024 1024"));
        stage.played()
    };
    for wanted in [1, 777, 1024, 2047, 3333] {
        let mut stage = Stage::new("stepped", MUTED);
        let (time, frame, rate, line) = map(&mut stage.osc);
        assert_eq!((frame, rate), (0, 48_000.0));
        let at = later(time, wanted * 1_000_000_000 / 48_000);
        assert_eq!(frame_of(&mut stage.osc, at), wanted as i64);
        stage.osc.packet(&bundle(at, vec![message("/track/one/mute", &[OscType::Int(0)])]));
        assert_eq!(answered(&mut stage.osc), Ok(wanted as i64));
        for _ in 0..4 {
            stage.server.ok("step 1000 24");
        }
        assert_eq!(map(&mut stage.osc).3, line, "it is still the same line");
        let played = stage.played();
        let wanted = wanted as usize;
        assert_eq!(played.iter().position(|x| *x != 0.0), Some(wanted));
        assert_eq!(played[wanted..], plain[wanted..]);
    }
}

#[test]
fn in_real_time_a_bundle_starts_a_tone_on_the_frame_that_it_is_answered_with() {
    let mut stage = Stage::new("dummy", MUTED);
    let (line, at, frame) = loop {
        let (.., line) = map(&mut stage.osc);
        stage.osc.send("/sys/time/ping", &[]);
        let pong = stage.osc.next_to("/sys/time/pong");
        let [_, OscType::Time(now), OscType::Long(_)] = pong[..] else { panic!("{pong:?}") };
        let at = later(now, 2_000_000_000);
        let frame = frame_of(&mut stage.osc, at);
        // The line may be drawn anew meanwhile: then its number is another.
        if map(&mut stage.osc).3 == line {
            break (line, at, frame);
        }
    };
    let gain = message("/track/one/gain", &[OscType::Float(-6.0)]);
    stage.osc.packet(&bundle(at, vec![gain, message("/track/one/mute", &[OscType::Int(0)])]));
    let told = answered(&mut stage.osc).unwrap();
    if map(&mut stage.osc).3 == line {
        assert_eq!(told, frame);
    } else {
        assert!((told - frame).abs() <= 1, "{told} {frame}");
    }
    let status = wait_until(&stage.server, "all is counted", |status| status.received > 5);
    assert_eq!(status.late, 0);
    while match ask(&mut stage.server.client(), Query::Status) {
        Reply::Status(status) => status.driver.frame.0 < told as u64 + 4800,
        other => panic!("{other:?}"),
    } {
        std::thread::sleep(Duration::from_millis(20));
    }
    let played = stage.played();
    let first = played.iter().position(|x| *x != 0.0).unwrap() as i64;
    // The sine may go through zero at that very frame.
    assert!(first == told || (first == told + 1), "{first} {told}");
    // Half of half of full scale: the gain was there from the first sample on.
    let peak = played[told as usize..told as usize + 480].iter().fold(0f32, |peak, x| peak.max(x.abs()));
    assert!((peak - 10f32.powf(-12.0 / 20.0)).abs() < 0.01, "{peak}");
}

#[test]
fn the_transport_starts_on_its_frame_and_what_is_to_come_can_be_cleared() {
    const LEVEL: &str = "/click/beat/level";
    let played = |at: Option<u64>, clear: bool| {
        let mut stage =
            Stage::new("stepped", "session set --fade 0ms\nnode add click beat\nlink beat master\nstep 1024");
        let (time, frame, ..) = map(&mut stage.osc);
        assert_eq!(frame, 0);
        let play = message("/transport/play", &[]);
        let Some(at) = at else {
            stage.osc.packet(&bundle(AT_ONCE, vec![message(LEVEL, &[OscType::Int(-3)]), play]));
            assert_eq!(answered(&mut stage.osc), Ok(1024));
            (0..4).for_each(|_| drop(stage.server.ok("step 700 324")));
            return stage.played();
        };
        let tag = later(time, at * 1_000_000_000 / 48_000);
        stage.osc.packet(&bundle(tag, vec![play.clone(), message(LEVEL, &[OscType::Int(-3)])]));
        assert_eq!(answered(&mut stage.osc), Ok(at as i64));
        let other = later(tag, 1_000_000_000);
        stage.osc.packet(&bundle(other, vec![play, message("/transport/locate", &[OscType::Int(0)])]));
        assert!(answered(&mut stage.osc).unwrap_err().contains("one timed change"));
        if clear {
            stage.osc.ask("/sys/sched/clear", &[]).unwrap();
        }
        (0..4).for_each(|_| drop(stage.server.ok("step 700 324")));
        stage.played()
    };
    let at_once = played(None, false);
    assert!(at_once[1024..2400].iter().any(|x| *x != 0.0));
    for at in [1025, 2222, 3000] {
        let timed = played(Some(at), false);
        let at = at as usize;
        assert!(timed[..at].iter().all(|x| *x == 0.0));
        assert_eq!(timed[at..at + 1440], at_once[1024..1024 + 1440], "it begins at {at}");
    }
    assert!(played(Some(2222), true).iter().all(|x| *x == 0.0));
}

#[test]
fn what_a_bundle_changes_is_one_step_or_nothing() {
    let server = stepped();
    let mut osc = Osc::new(&server);
    // What one message makes, the next can mean.
    osc.packet(&bundle(
        AT_ONCE,
        vec![
            message("/node/add", &[s("track"), s("drums")]),
            message("/track/drums/gain", &[OscType::Float(-9.0)]),
            message("/graph/connect", &[s("drums"), s("master")]),
            message("/track/drums/gain", &[]),
        ],
    ));
    answered(&mut osc).unwrap();
    assert_eq!(osc.next_to("/track/drums/gain"), [OscType::Float(-9.0)]);
    let before = revision(&server);
    osc.packet(&bundle(
        AT_ONCE,
        vec![
            message("/track/drums/gain", &[OscType::Float(0.0)]),
            message("/track/drms/mute", &[OscType::Int(1)]),
        ],
    ));
    let refused = answered(&mut osc).unwrap_err();
    assert!(refused.contains("/track/drms/mute") && refused.contains("did you mean"), "{refused}");
    assert_eq!(revision(&server), before);
    osc.packet(&bundle(
        AT_ONCE,
        vec![message("/sys/undo", &[]), message("/track/drums/mute", &[OscType::Int(1)])],
    ));
    assert!(answered(&mut osc).unwrap_err().contains("undo"));
    // All of it was one step.
    osc.ask("/sys/undo", &[]).unwrap();
    assert!(osc.ask("/track/drums/gain", &[]).unwrap_err().1.contains("no track"));
}

#[test]
fn a_time_that_has_passed_is_late_and_one_too_far_ahead_is_refused() {
    let mut stage = Stage::new("stepped", &format!("{MUTED}\nstep 1024"));
    let (time, ..) = map(&mut stage.osc);
    let loud = || vec![message("/track/one/gain", &[OscType::Float(-1.0)])];
    stage.osc.packet(&bundle(time, loud()));
    assert_eq!(answered(&mut stage.osc), Ok(1024));
    assert_eq!(wait_until(&stage.server, "it is late", |status| status.late == 1).late, 1);
    stage.osc.packet(&bundle(later(time, 31_000_000_000), loud()));
    assert!(answered(&mut stage.osc).unwrap_err().contains("30 s"));
    let patch = vec![message("/node/add", &[s("track"), s("two")])];
    stage.osc.packet(&bundle(later(time, 1_000_000_000), patch));
    assert!(answered(&mut stage.osc).unwrap_err().contains("do not name a frame"), "structure is not timed");
    assert_eq!(stage.osc.get("/track/one/gain"), [OscType::Float(-1.0)]);
}
