//! Subscriptions: all at first, then changes, and no echo to who moves a control.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use aulos_tests::osc::{Osc, s, wait_until};
use rosc::{OscMessage, OscType};

use crate::{Stage, stepped};

const QUIET: Duration = Duration::from_millis(600);

fn gains(messages: Vec<OscMessage>) -> Vec<(String, f32)> {
    let gain = |message: OscMessage| match message.args[..] {
        [OscType::Float(gain)] => Some((message.addr, gain)),
        _ => None,
    };
    messages.into_iter().filter_map(gain).collect()
}

fn one(gain: f32) -> Vec<(String, f32)> {
    vec![("/track/drums/gain".to_owned(), gain)]
}

#[test]
fn a_subscriber_is_told_all_then_what_changes_and_what_goes() {
    let server = stepped();
    for number in 0..200 {
        server.ok(&format!("track add t{number}"));
    }
    let mut osc = Osc::new(&server);
    osc.send("/sys/subscribe", &[s("/track/*/{gain,mute}"), OscType::Int(600), OscType::Float(60.0)]);
    assert_eq!(osc.next_to("/reply"), [s("/sys/subscribe"), s("/track/*/{gain,mute}"), OscType::Int(600)]);
    let mut told = BTreeMap::new();
    while told.len() < 400 {
        let message = osc.hear();
        assert_eq!(told.insert(message.addr, message.args), None);
    }
    assert_eq!(told["/track/t7/gain"], [OscType::Float(0.0)]);
    // Changes by anybody, and only those.
    server.ok("set t7 gain -6dB");
    server.ok("set t8 pan 0.5");
    server.ok("rename t9 nine");
    server.ok("track rm t10");
    let mut messages = osc.all(QUIET);
    messages.sort_by(|a, b| (&a.addr, format!("{:?}", a.args)).cmp(&(&b.addr, format!("{:?}", b.args))));
    let expected = [
        ("/sys/gone", s("/track/t10")),
        ("/sys/gone", s("/track/t9")),
        ("/track/nine/gain", OscType::Float(0.0)),
        ("/track/nine/mute", OscType::Int(0)),
        ("/track/t7/gain", OscType::Float(-6.0)),
    ];
    let read: Vec<_> = messages.iter().map(|m| (m.addr.as_str(), m.args[0].clone())).collect();
    assert_eq!(read, expected);
    // Everything anew when it is asked for.
    osc.send("/sys/refresh", &[]);
    assert_eq!(osc.all(QUIET).len(), 399);
    osc.send("/sys/unsubscribe", &[s("/track/*/{gain,mute}")]);
    osc.next_to("/reply");
    server.ok("set t7 gain -7dB");
    assert_eq!(osc.all(QUIET), []);
    let status = wait_until(&server, "nobody is subscribed", |status| status.subscribers == 0);
    assert_eq!((status.dropped, status.unsent), (0, 0));
}

#[test]
fn who_moves_a_control_is_not_told_of_it_unless_it_ends_elsewhere() {
    let server = stepped();
    server.ok("track add drums");
    let (mut mover, mut other) = (Osc::new(&server), Osc::new(&server));
    for osc in [&mut mover, &mut other] {
        osc.send("/sys/subscribe", &[s("/track/*/gain"), OscType::Int(600), OscType::Float(60.0)]);
        osc.next_to("/track/drums/gain");
    }
    // Held for longer than it takes to be told: each is set before the one before has come to rest.
    let begun = Instant::now();
    let mut moves = 0;
    let mut last = begun;
    let mut gaps = Duration::ZERO;
    while begun.elapsed() < Duration::from_millis(500) {
        moves += 1;
        mover.send("/track/drums/gain", &[OscType::Float(-(moves as f32) / 100.0)]);
        gaps = gaps.max(last.elapsed());
        last = Instant::now();
        std::thread::sleep(Duration::from_millis(10));
    }
    let end = -(moves as f32) / 100.0;
    let heard = gains(other.all(QUIET));
    assert_eq!(heard.last(), one(end).first(), "the others hear where it ends");
    // A machine that stood still for so long has let go of the control.
    if gaps < Duration::from_millis(150) {
        assert_eq!(gains(mover.all(QUIET)), one(end), "once, when it rests");
    } else {
        mover.all(QUIET);
    }
    // Where it was set out of its range, the value that holds is told; also if that is no change.
    for _ in 0..2 {
        mover.send("/track/drums/gain", &[OscType::Float(30.0)]);
        assert_eq!(gains(vec![mover.hear()]), one(12.0));
    }
    assert_eq!(gains(other.all(QUIET)), one(12.0));
    assert_eq!(mover.all(QUIET), []);
}

#[test]
fn a_lease_ends_if_nothing_comes() {
    let server = stepped();
    server.ok("track add drums");
    let (mut quiet, busy) = (Osc::new(&server), Osc::new(&server));
    for osc in [&quiet, &busy] {
        osc.send("/sys/subscribe", &[s("/track/*/gain"), OscType::Int(2)]);
    }
    wait_until(&server, "both are subscribed", |status| status.subscribers == 2);
    let begun = Instant::now();
    wait_until(&server, "one is not any more", |status| {
        busy.send("/transport/state", &[]);
        status.subscribers == 1
    });
    assert!(begun.elapsed() > Duration::from_secs(1));
    quiet.all(Duration::from_millis(50));
    server.ok("set drums gain -6dB");
    assert_eq!(quiet.all(QUIET), []);
    // A lease without an end is for connections.
    let refused = quiet.ask("/sys/subscribe", &[s("/track/*/gain"), OscType::Int(0)]).unwrap_err();
    assert!(refused.1.contains("connection"), "{refused:?}");
}

#[test]
fn meters_and_the_position_come_while_somebody_looks() {
    let stage = &mut Stage::new(
        "dummy",
        "node add tone sine level=-6dB frequency=1000Hz\ntrack add one\nlink sine one\nlink one master",
    );
    let osc = &mut stage.osc;
    assert!(osc.ask("/meter/track/one", &[]).unwrap_err().1.contains("subscribe"));
    osc.send("/sys/subscribe", &[s("/meter/track/*")]);
    let (peak, rms) = loop {
        let told = osc.next_to("/meter/track/one");
        assert_eq!(told.len(), 4);
        match told[..2] {
            [OscType::Float(peak), OscType::Float(rms)] if rms > -9.1 => break (peak, rms),
            [OscType::Float(_), OscType::Float(_)] => {}
            ref other => panic!("{other:?}"),
        }
    };
    assert!((peak + 6.0).abs() < 0.1 && (rms + 9.01).abs() < 0.1, "{peak} {rms}");
    osc.send("/sys/subscribe", &[s("/transport/*")]);
    osc.send("/transport/play", &[]);
    let position = |args: Vec<OscType>| match args[..] {
        [OscType::Long(position)] => position,
        ref other => panic!("{other:?}"),
    };
    let mut last = 0;
    for _ in 0..5 {
        let mut now = position(osc.next_to("/transport/frame"));
        while now == 0 {
            now = position(osc.next_to("/transport/frame"));
        }
        assert!(now > last);
        last = now;
    }
    // A reading is of now, also for who has not subscribed.
    let mut stranger = Osc::new(&stage.server);
    while position(stranger.get("/transport/frame")) <= last {}
}
