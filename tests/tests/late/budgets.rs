//! Who waits for whom, and how long.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use aulos_nodes::Lateness;
use aulos_protocol::{Command, NewNode, NodeKind, Rate, Session, Value};
use aulos_tests::{
    late::{Block, Elsewhere, Log, Script, TestClock, When},
    random::{self, Rng, Scene},
    stepped::Stepped,
};

use super::{SOON, STEP, for_all};

/// Budgets are worked out every 4,800 frames; by then each is.
const KNOWN: usize = 9600;
const FRAMES: usize = 24_000;

pub fn add(kind: NodeKind, name: &str, set: &[(&str, f64)]) -> Command {
    let params = set.iter().map(|(name, value)| ((*name).to_owned(), Value::Number(*value))).collect();
    Command::AddNode(NewNode { kind, name: Some(name.into()), channels: Some(1), params })
}

pub fn link(from: &str, to: &str) -> Command {
    Command::Link { from: from.parse().unwrap(), to: to.parse().unwrap(), gain: None }
}

pub fn scene(commands: Vec<Command>) -> Scene {
    let empty = Session::new("late", Rate::default());
    let (session, _) = aulos_engine::session::apply(&empty, &Command::Batch { commands }).unwrap();
    let (files, capture) = (BTreeMap::new(), Vec::new());
    Scene { session, files, start: Default::default(), capture, playback_channels: 2 }
}

/// Ways from a tone through a node and two costly buses to the output, and a costly bus beside them.
fn ways(names: &[&str]) -> Scene {
    use NodeKind::{Bus, Delay, Output, Tone};
    let mut commands = vec![add(Tone, "tone", &[]), add(Output, "out", &[])];
    for name in names {
        let (first, second) = (format!("{name}-first"), format!("{name}-second"));
        commands.extend([add(Delay, name, &[]), add(Bus, &first, &[]), add(Bus, &second, &[])]);
        commands.extend([
            link("tone", name),
            link(name, &first),
            link(&first, &second),
            link(&second, "out"),
        ]);
    }
    commands.extend([add(Bus, "beside", &[]), link("tone", "beside"), link("beside", "out")]);
    scene(commands)
}

const FIRST: u64 = 100_000;
const SECOND: u64 = 150_000;
const BESIDE: u64 = 80_000;

struct Played {
    engine: Stepped,
    logs: BTreeMap<&'static str, Arc<Log>>,
    beside: Arc<Log>,
}

/// Plays ways with the nodes late as their scripts say, after it is known what everything takes.
fn play(nodes: &[(&'static str, Script)], max_block: usize, cycle: usize) -> Played {
    let names: Vec<_> = nodes.iter().map(|(name, _)| *name).collect();
    let scene = ways(&names);
    let clock = TestClock::new(STEP);
    let mut workshop = Elsewhere::new(&clock);
    let id = |name: &str| scene.session.node(name).unwrap().id;
    let mut logs = BTreeMap::new();
    for (name, script) in nodes {
        logs.insert(*name, workshop.takes(id(name), script.clone()));
        workshop.takes(id(&format!("{name}-first")), Script::costly(FIRST));
        workshop.takes(id(&format!("{name}-second")), Script::costly(SECOND));
    }
    let beside = workshop.takes(id("beside"), Script::costly(BESIDE));
    let mut engine = Stepped::timed(&scene, max_block, workshop, &clock);
    engine.run_to(FRAMES, || cycle);
    Played { engine, logs, beside }
}

fn late_from(when: When, policy: Lateness) -> Script {
    Script::of(Some(policy)).stretch(KNOWN as u64..u64::MAX, when)
}

/// The blocks since it was known what everything takes.
fn known(log: &Log) -> Vec<Block> {
    log.blocks().into_iter().filter(|block| block.frame >= KNOWN as u64).collect()
}

#[test]
fn a_late_node_is_given_up_when_what_is_behind_it_must_begin() {
    for policy in [Lateness::Silence, Lateness::Dry] {
        let played = play(&[("late", late_from(When::Never, policy))], 128, 128);
        let blocks = known(&played.logs["late"]);
        assert!(blocks.len() > 100);
        for block in &blocks {
            let deadline = played.engine.due(block.frame as usize + block.frames);
            let limit = deadline - FIRST - SECOND;
            let given_up = block.abandoned.unwrap();
            assert!((limit..=limit + STEP).contains(&given_up), "{given_up}, {limit} is right: {block:?}");
        }
        // A wait can be over by as much as the clock moves at once.
        assert!(played.engine.overtime() <= STEP, "{} ns too late", played.engine.overtime());
    }
}

#[test]
fn what_does_not_depend_on_it_runs_before_anybody_waits() {
    let played = play(&[("late", late_from(SOON, Lateness::Silence))], 128, 128);
    let blocks = known(&played.logs["late"]);
    for (late, beside) in blocks.iter().zip(known(&played.beside)) {
        assert_eq!(late.frame, beside.frame);
        let (first, _) = late.polled.unwrap();
        assert!(beside.done.unwrap() <= first, "{late:?} was waited for before {beside:?}");
        assert!(late.done.is_some());
    }
}

#[test]
fn two_late_nodes_leave_time_for_what_is_behind_both() {
    let never = late_from(When::Never, Lateness::Silence);
    for other in [When::Never, When::After(900_000)] {
        let other = late_from(other, Lateness::Dry);
        let played = play(&[("late", never.clone()), ("other", other)], 128, 128);
        assert!(played.engine.overtime() <= STEP, "{} ns too late", played.engine.overtime());
        let given_up = known(&played.logs["late"]);
        assert!(given_up.iter().all(|block| block.abandoned.is_some()));
    }
}

#[test]
fn a_cycle_of_many_blocks_shares_its_time_among_them() {
    let played = play(&[("late", late_from(When::Never, Lateness::Silence))], 128, 512);
    assert!(played.engine.overtime() <= STEP, "{} ns too late", played.engine.overtime());
    // In the first of these cycles, blocks that were in time have left some of their share.
    for block in known(&played.logs["late"]).into_iter().filter(|block| block.frame as usize >= KNOWN + 512) {
        // None waits for longer than its own frames last.
        let waited = block.abandoned.unwrap() - block.started;
        assert!(waited <= played.engine.due(block.frames), "{block:?}");
    }
}

/// Random graphs with costs everywhere and some nodes that never come back.
fn check(seed: u64) -> usize {
    let scene = random::scene(seed);
    let mut rng = Rng::new(seed);
    let clock = TestClock::new(STEP);
    let mut workshop = Elsewhere::new(&clock);
    let frames: Range<u64> = KNOWN as u64..u64::MAX;
    let mut late = Vec::new();
    let nodes: Vec<_> = scene.session.nodes.values().collect();
    // All of it together takes less than half of a block.
    let block = u64::from(scene.session.max_block.min(512));
    let most = block * 1_000_000_000 / u64::from(scene.session.rate.hz()) / 2 / nodes.len() as u64;
    for node in nodes {
        match node.kind {
            NodeKind::Delay if rng.percent(60) => {
                let policy = *rng.pick(&[Lateness::Silence, Lateness::Dry, Lateness::Pipelined]);
                let when = *rng.pick(&[When::Never, SOON, super::LATE]);
                late.push(workshop.takes(node.id, Script::of(Some(policy)).stretch(frames.clone(), when)));
            }
            NodeKind::Delay | NodeKind::Input | NodeKind::Feedback => {}
            _ => drop(workshop.takes(node.id, Script::costly(rng.range(0, most)))),
        }
    }
    let mut engine = Stepped::timed(&scene, 512, workshop, &clock);
    let cycle = block as usize * rng.range(1, 3) as usize;
    engine.run_to(FRAMES / cycle * cycle, || cycle);
    assert!(engine.overtime() <= STEP, "seed {seed}: {} ns too late", engine.overtime());
    late.iter().map(|log| log.abandoned().len()).sum()
}

#[test]
fn no_cycle_of_a_random_graph_is_over_too_late() {
    let given_up: usize = for_all(60, check).into_iter().sum();
    assert!(given_up > 1000, "only {given_up} blocks were given up");
}
