//! Several nodes late at once, while the session is edited.

use std::sync::Arc;

use aulos_nodes::Lateness;
use aulos_protocol::{Command, Decibels, NodeId, Session, Value, params, ports};
use aulos_tests::{
    late::{Elsewhere, Log, Script, TestClock, scene},
    random::{Rng, Scene},
    stepped::Stepped,
};

use super::{STEP, assert_same, channels, faults, for_all, graphs::placed, is_late, script_between};

const SCENES: u64 = 60;
const EDITS: usize = 40;

/// A change of links or of what moves; it may be refused.
fn edit(rng: &mut Rng, session: &Session) -> Command {
    let nodes: Vec<_> = session.nodes.values().collect();
    let mut end = |direction| {
        let node = rng.pick(&nodes);
        let groups = ports::groups(node.kind, node.channels).into_iter();
        let group = groups.filter(|group| group.direction == direction).map(|group| group.name).next();
        format!("{}:{}", node.slug, group.unwrap_or("none")).parse().unwrap()
    };
    let (from, to) = (end(ports::Direction::Out), end(ports::Direction::In));
    match rng.below(10) {
        0..3 => Command::Link { from, to, gain: *rng.pick(&[None, Decibels::new(-12.0)]) },
        3..6 => {
            let links: Vec<_> = session.links.values().collect();
            let link = rng.pick(&links);
            let text = |port| session.port_text(port).parse().unwrap();
            Command::Unlink { from: text(&link.from), to: text(&link.to) }
        }
        6..8 => {
            let moves = |param: &&params::Param| param.effect == params::Effect::Moves;
            let node = rng.pick(&nodes);
            let Some(param) = params::of(node.kind, node.channels).iter().find(moves) else {
                return Command::Redo;
            };
            let value = match param.unit {
                params::Unit::Hertz => rng.range(100, 2000) as f64,
                _ => -(rng.range(0, 20) as f64),
            };
            Command::SetParam {
                node: node.slug.to_string(),
                param: param.name.to_owned(),
                value: Value::Number(value),
            }
        }
        8 => Command::Undo,
        _ => Command::Redo,
    }
}

/// An engine with test processors in the place of some nodes.
fn engine(scene: &Scene, scripts: &[(NodeId, Script)]) -> (Stepped, Vec<Arc<Log>>) {
    let clock = TestClock::new(STEP);
    let mut workshop = Elsewhere::new(&clock);
    let logs = scripts.iter().map(|(node, script)| workshop.takes(*node, script.clone())).collect();
    (Stepped::timed(scene, 512, workshop, &clock), logs)
}

/// How many channels were compared, and how many blocks were late.
fn check(seed: u64) -> (usize, usize) {
    let mut rng = Rng::new(seed);
    let (scene, _) = scene::tapped(&placed(seed));
    let mut nodes = scene::delays(&scene.session);
    rng.shuffle(&mut nodes);
    nodes.truncate(rng.range(2, 4) as usize);
    let policy = |rng: &mut Rng| *rng.pick(&[Lateness::Silence, Lateness::Dry, Lateness::Pipelined]);
    let calm: Vec<_> = nodes.iter().map(|node| (*node, Script::of(Some(policy(&mut rng))))).collect();
    let wild: Vec<_> = calm
        .iter()
        .map(|(node, script)| (*node, script_between(&mut rng, script.clone(), 0..30_000)))
        .collect();
    let (mut calm, _) = engine(&scene, &calm);
    let (mut late, logs) = engine(&scene, &wild);
    let mut sessions = vec![scene.session.clone()];
    for _ in 0..EDITS {
        for _ in 0..rng.range(1, 6) {
            let frames = *rng.pick(&[64, 128, 17, 480, 512, 31]);
            [&mut calm, &mut late].into_iter().for_each(|engine| engine.cycle(frames));
        }
        if rng.percent(35) {
            let (node, frames) = (*rng.pick(&nodes), rng.range(0, 2000));
            let told = [&mut calm, &mut late].map(|engine| engine.controller.report_latency(node, frames));
            assert!(told.iter().all(Result::is_ok));
            continue;
        }
        let command = edit(&mut rng, late.controller.session());
        let done = [&mut calm, &mut late].map(|engine| engine.perform(&command).map(|applied| applied.frame));
        assert_eq!(done[0], done[1]);
        sessions.push(late.controller.session().clone());
    }
    let end = calm.frame() + 20_000;
    [&mut calm, &mut late].into_iter().for_each(|engine| engine.run_to(end, || 256));

    let untouched = scene::untouched(&sessions, &nodes, scene.playback_channels);
    let pick = |engine: &Stepped| channels(engine.played(), untouched.iter().copied(), end);
    assert_same(&format!("seed {seed}"), &pick(&calm), &pick(&late));
    let mut count = 0;
    for ((node, script), log) in wild.iter().zip(logs) {
        assert_eq!(log.faults(), 0, "seed {seed}");
        let expected = log.blocks().iter().filter(|block| is_late(script, block.frame as usize)).count();
        assert_eq!(log.abandoned().len(), expected, "seed {seed}");
        assert_eq!(faults(&late, *node).late as usize, expected, "seed {seed}");
        assert_eq!(faults(&calm, *node).late, 0, "seed {seed}");
        count += expected;
    }
    assert_eq!(late.controller.counters().abandoned() as usize, count, "seed {seed}");
    (untouched.len(), count)
}

#[test]
fn several_late_nodes_and_edits_leave_the_others_alone() {
    let (channels, late) = for_all(SCENES, check).into_iter().fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    assert!(channels > 1000 && late > 5000, "{channels} channels untouched, {late} blocks late");
}
