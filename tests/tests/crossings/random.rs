//! Random edits at any moment, as a test performs them and as the server does.

use aulos_protocol::{Command, Decibels, NodeKind};
use aulos_tests::{
    commands::{add, link, link_at, members, session, set, unlink},
    random::{Rng, Scene},
    stepped::{Files, Stepped},
};

use super::{FADE, MOST, assert_level, batch, engine, fresh, ones};

#[test]
fn random_latencies_at_any_moment_leave_nothing_out_and_nothing_twice() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut commands = vec![
            add(NodeKind::Input, "ones", 1, &[]),
            add(NodeKind::Delay, "meet", 1, &[]),
            add(NodeKind::Output, "out", 1, &[]),
            link("meet", "out"),
        ];
        let ways = rng.range(2, 4);
        for way in 0..ways {
            let name = format!("d{way}");
            commands.push(add(NodeKind::Delay, &name, 1, &[("report", 1.0)]));
            commands.extend([link("ones", &name), link(&name, "meet")]);
        }
        let mut engine = engine(commands);
        engine.run_to(1000, || 256);
        for _ in 0..40 {
            let most = *rng.pick(&[100, 500, 8000]);
            let next = engine.frame() + rng.range(0, most) as usize;
            let block = rng.range(1, 256) as usize;
            engine.run_to(next, || block);
            let longest = *rng.pick(&[50, 4000]);
            let frames = rng.range(0, longest) as f64;
            engine.perform(&set(&format!("d{}", rng.below(ways)), "frames", frames)).unwrap();
        }
        let end = engine.frame() + 10_000;
        engine.run_to(end, || 256);
        assert!(end < MOST);
        assert_level(&format!("seed {seed}"), &engine, 1000..end, ways as f32);
        assert_eq!(
            engine.controller.census(),
            fresh(&engine).census(),
            "seed {seed}: something is left over"
        );
    }
}

#[test]
fn random_gains_hold_within_a_fade_while_latencies_change() {
    for seed in 0..40 {
        let mut rng = Rng::new(100 + seed);
        let ways = rng.range(2, 4) as usize;
        let mut commands = vec![
            add(NodeKind::Input, "ones", 1, &[]),
            add(NodeKind::Delay, "meet", 1, &[]),
            add(NodeKind::Output, "out", 1, &[]),
            link("meet", "out"),
        ];
        for way in 0..ways {
            let name = format!("d{way}");
            commands.push(add(NodeKind::Delay, &name, 1, &[("report", 1.0)]));
            commands.extend([link("ones", &name), link(&name, "meet")]);
        }
        let mut engine = engine(commands);
        engine.run_to(1000, || 256);
        let mut gains = vec![1.0; ways];
        for _ in 0..40 {
            for _ in 0..rng.range(0, 3) {
                let frames = rng.range(0, 6000) as f64;
                engine.perform(&set(&format!("d{}", rng.below(ways as u64)), "frames", frames)).unwrap();
                let next = engine.frame() + rng.range(0, 300) as usize;
                engine.run_to(next, || 100);
            }
            let way = rng.below(ways as u64) as usize;
            let gain =
                if rng.percent(30) { Decibels::SILENCE } else { Decibels::new(-rng.tenths(0, 200)).unwrap() };
            engine.perform(&link_at(&format!("d{way}"), "meet", gain.get())).unwrap();
            gains[way] = gain.factor();
            let (from, to) = (engine.frame() + FADE, engine.frame() + FADE + rng.range(1, 3000) as usize);
            let block = rng.range(1, 256) as usize;
            engine.run_to(to, || block);
            assert_level(&format!("seed {seed}"), &engine, from..to, gains.iter().sum());
        }
        assert!(engine.frame() < MOST);
    }
}

/// Carries out a command: as the other tests do, or as the server does, which tidies nothing up in between. Whether it
/// was not refused.
fn perform(engine: &mut Stepped, command: &Command, as_server: bool) -> bool {
    if !as_server {
        return engine.perform(command).is_ok();
    }
    let performed = engine.controller.perform(command, &mut Files::default()).is_ok();
    engine.controller.flush().unwrap();
    performed
}

fn run_on(engine: &mut Stepped, frames: usize, block: usize) {
    let end = engine.frame() + frames;
    while engine.frame() < end {
        let next = block.min(end - engine.frame());
        engine.cycle(next);
        engine.controller.flush().unwrap();
    }
}

fn some_edit(rng: &mut Rng) -> Command {
    let from = *rng.pick(&["ones", "d0", "d1", "d2", "t:out", "b1:out", "b2:out", "t:insert_out", "t:pre"]);
    let to = *rng.pick(&["o1", "o2", "d0", "d1", "d2", "t:in", "t:insert_in", "b1:in", "b2:in"]);
    let delay = format!("d{}", rng.below(3));
    let (output, strip) = (*rng.pick(&["o1", "o2"]), *rng.pick(&["t", "b1", "b2"]));
    match rng.below(20) {
        0..=3 => link(from, to),
        4 | 5 => unlink(from, to),
        6 => link_at(from, to, -(rng.range(0, 20) as f64)),
        7 => link_at(from, to, f64::NEG_INFINITY),
        8..=10 => {
            let longest = *rng.pick(&[50, 2000]);
            set(&delay, "frames", rng.range(0, longest) as f64)
        }
        11 => set(&delay, "report", rng.below(2) as f64),
        12 => Command::RemoveNode { node: (*rng.pick(&["d0", "d1", "t", "b1", "o1", "o2"])).into() },
        13 => add(NodeKind::Delay, &delay, 1, &[("report", rng.below(2) as f64)]),
        14 => set(output, "first_channel", rng.range(1, 4) as f64),
        15 => set(output, "align_group", rng.range(0, 2) as f64),
        16 | 17 => set(strip, "solo", rng.below(2) as f64),
        18 if rng.percent(50) => set(strip, "mute", rng.below(2) as f64),
        18 => match rng.below(6) {
            0 => set(output, "delay", rng.tenths(0, 300)),
            1 => set(strip, "trim", -rng.tenths(0, 60)),
            2 => set("v", rng.pick::<&str>(&["mute", "solo"]), rng.below(2) as f64),
            3 => set("v", "gain", -rng.tenths(0, 60)),
            4 => members("v", &[strip]),
            _ => Command::RemoveMembers { group: "v".into(), nodes: vec![strip.into()] },
        },
        _ if rng.percent(50) => set("fb", "frames", rng.range(3500, 5000) as f64),
        _ => set("t", "low_latency_monitor", rng.below(2) as f64),
    }
}

fn steepest(samples: &[f32]) -> f32 {
    samples.windows(2).fold(0.0, |most, pair| most.max((pair[1] - pair[0]).abs()))
}

#[test]
fn random_edits_of_everything_make_no_step_leave_nothing_over_and_end_as_the_oracle_says() {
    let mut done = 0;
    for seed in 0..600 {
        let mut rng = Rng::new(77_000 + seed);
        let with_loop = rng.percent(50);
        let fade = *rng.pick(&[5.0, 5.0, 0.0, 20.0]);
        let mut commands = vec![
            Command::SetSession {
                name: None,
                tempo: None,
                signature: None,
                edit_fade_ms: Some(fade),
                max_latency_ms: None,
            },
            add(NodeKind::Input, "ones", 1, &[]),
            add(NodeKind::Output, "o1", 1, &[]),
            add(NodeKind::Output, "o2", 1, &[("first_channel", 2.0)]),
            add(NodeKind::Track, "t", 1, &[]),
            add(NodeKind::Bus, "b1", 1, &[]),
            add(NodeKind::Bus, "b2", 1, &[]),
            add(NodeKind::Vca, "v", 1, &[]),
            members("v", &["b1"]),
        ];
        commands.extend((0..3).map(|n| add(NodeKind::Delay, &format!("d{n}"), 1, &[("report", 1.0)])));
        if with_loop {
            commands.extend([
                add(NodeKind::Feedback, "fb", 1, &[("frames", 4000.0)]),
                link_at("fb", "d2", -60.0),
                link_at("d2", "fb", -60.0),
            ]);
        }
        commands.extend([
            link("ones", "t"),
            link("t:out", "o1"),
            link("ones", "d0"),
            link("d0", "b1:in"),
            link("b1:out", "o1"),
            link("b2:out", "o2"),
            link("ones", "b2:in"),
        ]);
        let mut scene = Scene { playback_channels: 3, ..ones(session(commands)) };
        let mut engine = Stepped::of(&scene, 256);
        engine.run_to(1000, || 256);
        let as_server = rng.percent(50);
        for _ in 0..40 {
            let command = match rng.below(10) {
                0..=2 => Command::Undo,
                3 => Command::Redo,
                4 | 5 => batch((0..rng.range(2, 4)).map(|_| some_edit(&mut rng)).collect()),
                _ => some_edit(&mut rng),
            };
            let at = engine.frame() as u64 + rng.range(0, 3000);
            let performed = if rng.percent(10) {
                engine.controller.perform_at(&command, at).is_ok()
            } else {
                perform(&mut engine, &command, as_server)
            };
            done += usize::from(performed);
            let most = *rng.pick(&[0, 0, 100, 500, 5000]);
            let (frames, block) = (rng.range(0, most) as usize, rng.range(1, 256) as usize);
            run_on(&mut engine, frames, block);
        }
        run_on(&mut engine, 60_000, 256);
        scene.session = engine.controller.session().clone();
        let expected = scene.evaluate(20_000).playback;
        for (channel, played) in engine.played().iter().enumerate() {
            let peak = played.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
            let step = steepest(&played[1000..]);
            // Of some fades at once.
            let allowed = peak * 8.0 / FADE as f32 + 2e-3;
            assert!(
                fade == 0.0 || step <= allowed,
                "seed {seed}, channel {channel}: a step of {step} at a peak of {peak}"
            );
            let (is, should_be) = (played[played.len() - 1], expected[channel][19_999]);
            // What a loop has heard before dies away in it.
            let near = if with_loop { 1e-3 } else { 1e-5 };
            assert!((is - should_be).abs() < near, "seed {seed}, channel {channel}: {is}, not {should_be}");
        }
        let (census, fresh) = (engine.controller.census(), Stepped::of(&scene, 256).controller.census());
        assert_eq!((census.0, census.2), (fresh.0, fresh.2), "seed {seed}: something is left over");
    }
    assert!(done > 10_000, "only {done} edits were not refused");
}

/// Two ways that are always there, into which effects come and go, and one that comes and goes at a quarter.
#[test]
fn ways_that_stay_are_heard_all_the_time_whatever_is_inserted() {
    let quarter = Decibels::new(-12.0).unwrap();
    let mut done = 0;
    for seed in 0..600 {
        let mut rng = Rng::new(55_000 + seed);
        let mut commands = vec![
            add(NodeKind::Input, "ones", 1, &[]),
            add(NodeKind::Delay, "meet", 1, &[]),
            add(NodeKind::Output, "out", 1, &[]),
            link("meet", "out"),
        ];
        for (name, gain) in [("d0", 0.0), ("d1", 0.0), ("d2", quarter.get())] {
            commands.push(add(NodeKind::Delay, name, 1, &[("report", 1.0)]));
            commands.extend([link("ones", name), link_at(name, "meet", gain)]);
        }
        let mut engine = engine(commands);
        engine.run_to(1000, || 256);
        for _ in 0..40 {
            let session = engine.controller.session();
            let linked = |from: &str, to: &str| {
                let ends = session.node(from).zip(session.node(to));
                ends.is_some_and(|(from, to)| session.links.between(from.id, to.id).next().is_some())
            };
            let way = rng.below(2);
            let (d, fx) = (format!("d{way}"), format!("fx{way}"));
            let command = match rng.below(12) {
                0..=3 => {
                    let longest = *rng.pick(&[50, 2000, 4000]);
                    set(&format!("d{}", rng.below(3)), "frames", rng.range(0, longest) as f64)
                }
                4 | 5 if linked(&fx, "meet") => {
                    batch(vec![Command::RemoveNode { node: fx }, link(&d, "meet")])
                }
                4 | 5 if linked(&d, "meet") => {
                    let (frames, reports) = (rng.range(0, 1500) as f64, rng.below(2) as f64);
                    batch(vec![
                        unlink(&d, "meet"),
                        add(NodeKind::Delay, &fx, 1, &[("frames", frames), ("report", reports)]),
                        link(&d, &fx),
                        link(&fx, "meet"),
                    ])
                }
                6 | 7 if linked("d2", "meet") => unlink("d2", "meet"),
                6 | 7 => link_at("d2", "meet", quarter.get()),
                8 | 9 => Command::Undo,
                10 => Command::Redo,
                _ => {
                    let node = session.node(&format!("d{}", rng.below(3))).unwrap().id;
                    let frames = rng.range(0, 3000);
                    engine.controller.report_latency(node, frames).unwrap();
                    continue;
                }
            };
            done += usize::from(perform(&mut engine, &command, false));
            let most = *rng.pick(&[0, 0, 100, 500, 5000]);
            let (frames, block) = (rng.range(0, most) as usize, rng.range(1, 256) as usize);
            run_on(&mut engine, frames, block);
        }
        // Where one link takes the place of another that has just begun to fade, the sum is not quite whole; that
        // takes a fade or two.
        let mut missing = 0;
        for (frame, x) in engine.played()[0].iter().enumerate().skip(1000) {
            let whole = (2.0 - 1e-3..2.0 + quarter.factor() + 1e-3).contains(x);
            missing = if whole { 0 } else { missing + 1 };
            assert!(missing <= 2 * FADE, "seed {seed}: {x} at {frame}");
        }
    }
    assert!(done > 10_000, "only {done} edits were not refused");
}
