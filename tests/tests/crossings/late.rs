//! Nodes whose work somebody else does, that are inserted or report other latencies while they play.

use aulos_nodes::Lateness;
use aulos_protocol::{Applied, Command, NodeId, NodeKind};
use aulos_tests::{
    commands::{add, link, link_at, session, unlink},
    late::{Elsewhere, Script, TestClock, When},
    stepped::Stepped,
};

use super::{assert_level, batch, ones};

/// A scene in which somebody else does the work of a node, as a script says.
fn elsewhere(commands: Vec<Command>, node: NodeId, script: Script) -> Stepped {
    let clock = TestClock::new(10_000);
    let mut workshop = Elsewhere::new(&clock);
    workshop.takes(node, script);
    Stepped::timed(&ones(session(commands)), 256, workshop, &clock)
}

#[test]
fn a_node_that_is_inserted_is_heard_when_it_has_something_to_say() {
    let commands =
        vec![add(NodeKind::Input, "ones", 1, &[]), add(NodeKind::Output, "out", 1, &[]), link("ones", "out")];
    let fx = NodeId(session(commands.clone()).next_id);
    let mut engine = elsewhere(commands, fx, Script::of(Some(Lateness::Pipelined)));
    engine.run_to(10_000, || 256);
    let insert = vec![
        add(NodeKind::Delay, "fx", 1, &[]),
        unlink("ones", "out"),
        link("ones", "fx"),
        link("fx", "out"),
    ];
    let Applied { aligned, .. } = engine.perform(&batch(insert)).unwrap();
    engine.run_to(20_000, || 256);
    assert_level("all the time", &engine, 0..20_000, 1.0);
    assert!(aligned.is_none_or(|aligned| aligned.0 >= 11_000), "{aligned:?}");
}

#[test]
fn what_stands_in_for_a_node_goes_over_to_another_latency_without_a_hole() {
    let commands = vec![
        add(NodeKind::Input, "ones", 1, &[]),
        add(NodeKind::Delay, "fx", 1, &[]),
        add(NodeKind::Output, "out", 1, &[]),
        link("ones", "fx"),
        link("fx", "out"),
    ];
    let fx = session(commands.clone()).node("fx").unwrap().id;
    // Away all the time, or from soon after the report on.
    for away in [5000, 10_100] {
        let script = Script::of(Some(Lateness::Dry)).stretch(away..u64::MAX, When::Never);
        let mut engine = elsewhere(commands.clone(), fx, script);
        engine.run_to(10_000, || 256);
        for latency in [1000, 300, 0, 4000] {
            let ticket = engine.controller.report_latency(fx, latency).unwrap();
            engine.take_over(ticket);
            let next = engine.frame() + 1500;
            engine.run_to(next, || 256);
        }
        engine.run_to(25_000, || 256);
        assert_level(&format!("away from {away} on"), &engine, 0..25_000, 1.0);
        assert!(engine.controller.counters().abandoned() > 10);
    }
}

#[test]
fn fades_of_nodes_that_are_late_are_as_long_as_the_session_says_now() {
    let commands = vec![
        add(NodeKind::Input, "ones", 1, &[]),
        add(NodeKind::Delay, "fx", 1, &[]),
        add(NodeKind::Output, "out", 1, &[]),
        link("ones", "fx"),
        link("fx", "out"),
    ];
    let fx = session(commands.clone()).node("fx").unwrap().id;
    let script = Script::of(Some(Lateness::Silence)).stretch(10_240..u64::MAX, When::Never);
    let mut engine = elsewhere(commands, fx, script);
    engine.run_to(1024, || 256);
    let longer = Command::SetSession {
        name: None,
        tempo: None,
        signature: None,
        edit_fade_ms: Some(50.0),
        max_latency_ms: None,
    };
    engine.perform(&longer).unwrap();
    engine.run_to(20_480, || 256);
    let fading = engine.played()[0].iter().filter(|x| **x > 0.0 && **x < 1.0).count();
    assert_eq!(fading, 2399);
}

#[test]
fn one_long_block_makes_nobody_late() {
    let commands = vec![
        add(NodeKind::Input, "ones", 1, &[]),
        add(NodeKind::Delay, "fx", 1, &[]),
        add(NodeKind::Bus, "behind", 2, &[]),
        add(NodeKind::Output, "out", 1, &[]),
        link("ones", "fx"),
        link_at("fx", "behind:in_L", 0.0),
        link_at("behind:out_L", "out", 0.0),
    ];
    let made = session(commands);
    let (fx, behind) = (made.node("fx").unwrap().id, made.node("behind").unwrap().id);
    let clock = TestClock::new(10_000);
    let mut workshop = Elsewhere::new(&clock);
    let soon = Script { otherwise: When::After(200_000), ..Script::of(Some(Lateness::Silence)) };
    let log = workshop.takes(fx, soon);
    workshop.takes(behind, Script { stalls: [(12_800, 3_000_000)].into(), ..Script::costly(50_000) });
    let mut engine = Stepped::timed(&ones(made), 64, workshop, &clock);
    engine.run_to(48_000, || 64);
    // Those that the stall itself has taken the time from, and no more.
    let given_up = log.abandoned();
    assert!(given_up.len() <= 4, "{given_up:?}");
}
