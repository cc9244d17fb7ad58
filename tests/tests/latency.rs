//! Latencies that change while a session plays: the same samples before, a crossfade, and the same samples as a
//! session that always had the new latency, from the frame that is named.

use aulos_engine::Start;
use aulos_protocol::{Command, NodeId, NodeKind, Session, Value};
use aulos_tests::{
    commands::{add, link, session, set},
    compare,
    random::{Rng, Scene},
    stepped::{Files, Stepped},
};

#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

const FADE: usize = 240;

/// A source on up to five ways with delays, which meet at a bus, and more behind it; and the delays that can be
/// changed so that every way crosses over once: those of the longest way, and those that are alone on theirs.
fn ways(rng: &mut Rng) -> (Vec<Command>, Vec<String>) {
    let mut commands = vec![
        add(NodeKind::Input, "source", 1, &[]),
        add(NodeKind::Delay, "meet", 1, &[]),
        add(NodeKind::Output, "out", 1, &[]),
        link("source", "meet"),
    ];
    let mut latent = Vec::new();
    for way in 0..rng.range(1, 4) {
        let mut last = "source".to_owned();
        let hops = rng.range(1, 3);
        for hop in 0..hops {
            let name = format!("d{way}-{hop}");
            // Behind one that changes, a delay that keeps itself secret would let the change out later.
            let report = rng.percent(80) || way == 0 || hops > 1;
            let longest = if way == 0 && hop == hops - 1 { 2000 } else { 0 };
            let frames = (longest + rng.range(0, 600)) as f64;
            let report_it = f64::from(u8::from(report));
            commands.push(add(NodeKind::Delay, &name, 1, &[("frames", frames), ("report", report_it)]));
            commands.push(link(&last, &name));
            if report && (hops == 1 && way > 0 || way == 0 && longest == 0) {
                latent.push(name.clone());
            }
            last = name;
        }
        commands.push(link(&last, "meet"));
    }
    if rng.percent(50) {
        commands.push(add(
            NodeKind::Delay,
            "behind",
            1,
            &[("frames", rng.range(0, 300) as f64), ("report", 1.0)],
        ));
        commands.push(link("meet", "behind"));
        commands.push(link("behind", "out"));
    } else {
        commands.push(link("meet", "out"));
    }
    (commands, latent)
}

fn scene(session: Session, capture: Vec<f32>) -> Scene {
    Scene {
        session,
        files: Default::default(),
        start: Default::default(),
        capture: vec![capture],
        playback_channels: 1,
    }
}

/// The largest step between two frames.
fn steepest(samples: &[f32]) -> f32 {
    samples.windows(2).fold(0.0, |most, pair| most.max((pair[1] - pair[0]).abs()))
}

#[test]
fn a_latency_that_changes_is_one_crossfade_and_exact_from_the_frame_that_is_named() {
    const FRAMES: usize = 16_000;
    let mut moved = 0;
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let (commands, latent) = ways(&mut rng);
        if latent.is_empty() {
            continue;
        }
        let before = session(commands);
        let slow = rng.percent(50);
        let capture: Vec<f32> = (0..FRAMES)
            .map(|n| if slow { (n as f32 * 0.01).sin() } else { rng.tenths(-9, 9) as f32 / 10.0 })
            .collect();
        let block = *rng.pick(&[17usize, 64, 128, 480]);
        let mut engine =
            Stepped::new(before.clone(), Files::default(), vec![capture.clone()], 1, 1024, Start::default());
        let at = rng.range(3000, 5000) as usize;
        engine.run_to(at, || block);
        let node = rng.pick(&latent).clone();
        let frames = rng.range(0, 1500) as f64;
        let applied = engine.perform(&set(&node, "frames", frames)).unwrap();
        assert_eq!(applied.frame.0 as usize, at);
        engine.run_to(FRAMES, || block);
        let after = engine.controller.session().clone();
        let x1 = scene(before, capture.clone()).evaluate(FRAMES).playback.remove(0);
        let x2 = scene(after, capture).evaluate(FRAMES).playback.remove(0);
        let y = &engine.played()[0];
        let same = |what: &str, x: &[f32], y: &[f32]| {
            compare(&format!("seed {seed}, {what}"), &[x.to_vec()], &[y.to_vec()]).unwrap();
        };
        same("before", &x1[..at], &y[..at]);
        let Some(aligned) = applied.aligned else {
            // Not even the delay of the only latent way was changed.
            same("unchanged", &x1[at..], &y[at..]);
            continue;
        };
        moved += 1;
        let aligned = aligned.0 as usize;
        assert!(aligned < FRAMES - 2000, "seed {seed}: aligned at {aligned} only");
        same(&format!("from frame {aligned} on"), &x2[aligned..], &y[aligned..]);
        let range = at - 1..aligned + 1;
        let apart = x1[range.clone()].iter().zip(&x2[range.clone()]).map(|(a, b)| (a - b).abs());
        let allowed = steepest(&x1[range.clone()]).max(steepest(&x2[range.clone()]))
            + apart.fold(0.0, f32::max) / FADE as f32;
        let step = steepest(&y[range]);
        assert!(step <= allowed * 1.0001 + 1e-6, "seed {seed}: a step of {step}, allowed are {allowed}");
        // No cycle is missed: all of them ran to their end, and nothing in them was given up.
        let counters = engine.controller.counters();
        let cycles = (at.div_ceil(block) + (FRAMES - at).div_ceil(block)) as u64;
        assert_eq!((counters.cycles(), counters.frame(), counters.abandoned()), (cycles, FRAMES as u64, 0));
    }
    assert!(moved > 100, "only {moved} changes moved anything");
}

#[test]
fn what_a_node_reports_moves_the_compensation() {
    const FRAMES: usize = 12_000;
    let commands = vec![
        add(NodeKind::Input, "source", 1, &[]),
        add(NodeKind::Delay, "plain", 1, &[]),
        add(NodeKind::Delay, "meet", 1, &[]),
        add(NodeKind::Output, "out", 1, &[]),
        link("source", "plain"),
        link("plain", "meet"),
        link("source", "meet"),
        link("meet", "out"),
    ];
    let session = session(commands);
    let plain = session.node("plain").unwrap().id;
    let capture: Vec<f32> = (0..FRAMES).map(|n| (n as f32 * 0.01).sin()).collect();
    let mut engine = Stepped::new(session, Files::default(), vec![capture.clone()], 1, 256, Start::default());
    engine.run_to(2000, || 64);
    let ticket = engine.controller.report_latency(plain, 500).unwrap();
    let applied = engine.take_over(ticket);
    let aligned = applied.aligned.unwrap() as usize;
    engine.run_to(FRAMES, || 64);
    let x = |n: usize, late: usize| if n < late { 0.0 } else { capture[n - late] };
    for n in 0..2000 {
        assert_eq!(engine.played()[0][n], x(n, 0) + x(n, 0));
    }
    // The node reports what it does not do, so that the way beside it comes too late.
    for n in aligned..FRAMES {
        assert_eq!(engine.played()[0][n], x(n, 500) + x(n, 0), "frame {n}");
    }
    let row = engine
        .controller
        .latency()
        .links
        .into_iter()
        .find(|l| l.from == "source:out_1" && l.to == "meet:in_1");
    assert_eq!(row.unwrap().delay.0, 500);
}

#[test]
fn a_report_longer_than_allowed_is_refused_and_changes_nothing() {
    let session = session(vec![
        add(NodeKind::Tone, "t", 1, &[]),
        add(NodeKind::Delay, "d", 1, &[]),
        add(NodeKind::Output, "out", 1, &[]),
        link("t", "d"),
        link("d", "out"),
    ]);
    let id: NodeId = session.node("d").unwrap().id;
    let mut engine = Stepped::new(session, Files::default(), Vec::new(), 1, 64, Start::default());
    let refused = engine.controller.report_latency(id, 480_001).unwrap_err();
    assert!(refused.message.contains("480001") && refused.remedy.is_some(), "{refused:?}");
    assert_eq!(engine.controller.total_latency(), 0);
    engine.controller.report_latency(id, 480_000).unwrap();
    assert_eq!(engine.controller.total_latency(), 480_000);

    let long =
        engine.perform(&set("d", "frames", 480_001.0)).and_then(|_| engine.perform(&set("d", "report", 1.0)));
    assert!(long.unwrap_err().message.contains("latency"));
    let more = Command::SetSession {
        name: None,
        tempo: None,
        signature: None,
        edit_fade_ms: None,
        max_latency_ms: Some(30_000.0),
    };
    engine.perform(&more).unwrap();
    engine.perform(&set("d", "report", 1.0)).unwrap();
    // What is in use cannot be forbidden afterwards.
    let less = Command::SetSession {
        name: None,
        tempo: None,
        signature: None,
        edit_fade_ms: None,
        max_latency_ms: Some(5.0),
    };
    assert!(engine.perform(&less).is_err());
    let Some(Value::Switch(true)) = engine.controller.session().node("d").unwrap().params.get("report")
    else {
        panic!("the parameter is not set");
    };
}
