//! Which links are shut while strips are soloed.
//!
//! For each link everything up- and downstream is searched anew.

use std::collections::BTreeSet;

use aulos_protocol::NodeKind;

use super::wiring::{STRIP, Stage, Term};

/// What leads where, by the numbers of stages.
struct Graph {
    above: Vec<Vec<usize>>,
    below: Vec<Vec<usize>>,
}

/// Gives gain 0 to the links that do not pass.
pub(super) fn shut(stages: &mut [Stage]) {
    if !stages.iter().any(is_soloed) {
        return;
    }
    let mut graph = Graph { above: vec![Vec::new(); stages.len()], below: vec![Vec::new(); stages.len()] };
    for (number, stage) in stages.iter().enumerate() {
        for term in stage.terms() {
            graph.above[number].push(term.stage);
            graph.below[term.stage].push(number);
        }
        // What goes into a feedback comes out of it.
        let comes_out = |other: &Stage| {
            stage.node.kind == NodeKind::Feedback
                && other.node.id == stage.node.id
                && other.name != stage.name
        };
        if stage.outputs.is_empty()
            && let Some(out) = stages.iter().position(comes_out)
        {
            graph.above[out].push(number);
            graph.below[number].push(out);
        }
    }
    for to in 0..stages.len() {
        for channel in 0..stages[to].inputs.len() {
            for term in 0..stages[to].inputs[channel].len() {
                let Term { stage: from, link, .. } = stages[to].inputs[channel][term];
                if link.is_some() && !passes(stages, &graph, from, to) {
                    stages[to].inputs[channel][term].gain = 0.0;
                }
            }
        }
    }
}

fn passes(stages: &[Stage], graph: &Graph, from: usize, to: usize) -> bool {
    let upstream = reached(from, &graph.above);
    let downstream = reached(to, &graph.below);
    upstream.iter().chain(&downstream).any(|stage| is_soloed(&stages[*stage]))
        || upstream.iter().any(|stage| is_safe_source(&stages[*stage]))
        || !blocks(&stages[from]) && leads_to_safety(stages, graph, to)
}

/// `start` and all that can be reached from it.
fn reached(start: usize, edges: &[Vec<usize>]) -> BTreeSet<usize> {
    let mut reached = BTreeSet::from([start]);
    let mut open = vec![start];
    while let Some(stage) = open.pop() {
        open.extend(edges[stage].iter().filter(|next| reached.insert(**next)));
    }
    reached
}

/// Whether there is a way from here to something that is kept heard, with no other strip before it.
fn leads_to_safety(stages: &[Stage], graph: &Graph, start: usize) -> bool {
    let mut seen = BTreeSet::from([start]);
    let mut open = vec![start];
    while let Some(number) = open.pop() {
        let stage = &stages[number];
        if is_safe_destination(stage) {
            return true;
        }
        if !blocks(stage) {
            open.extend(graph.below[number].iter().filter(|next| seen.insert(**next)));
        }
    }
    false
}

fn is_strip(stage: &Stage) -> bool {
    stage.name == STRIP || matches!(stage.node.kind, NodeKind::Bus | NodeKind::Master)
}

fn is_soloed(stage: &Stage) -> bool {
    is_strip(stage) && stage.node.kind != NodeKind::Master && (stage.is_on("solo") || stage.control.is_soloed)
}

fn blocks(stage: &Stage) -> bool {
    is_strip(stage) && !is_soloed(stage)
}

fn is_safe_source(stage: &Stage) -> bool {
    (is_strip(stage) || stage.node.kind == NodeKind::Click) && stage.is_on("solo_safe")
}

fn is_safe_destination(stage: &Stage) -> bool {
    (is_strip(stage) || stage.node.kind == NodeKind::Output) && stage.is_on("solo_safe")
}
