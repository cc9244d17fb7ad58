//! What the control thread can tell of the engine.

use std::sync::atomic::Ordering::Relaxed;

use aulos_protocol::{
    Frames, LatencyReport, LatencyRow, LinkLatency, NodeFaults, NodeId, NodeKind, Unaligned,
};

use super::Controller;
use crate::{
    audio::unit::Vitals,
    compile::{self, Timing},
    graph::{EdgeId, Graph, StageId},
};

/// How often budgets are worked out, in frames.
const BUDGETED_EVERY: u64 = 4800;

impl Controller {
    fn slug(&self, id: NodeId) -> String {
        match self.session.nodes.get(&id) {
            Some(node) => node.slug.to_string(),
            None => format!("#{id}"),
        }
    }

    fn stage(&self, node: NodeId, stage: &str) -> String {
        format!("{}.{stage}", self.slug(node))
    }

    /// Arrival of the outputs: how long the whole graph takes, in frames.
    pub fn total_latency(&self) -> u64 {
        compile::total(&self.arrivals)
    }

    /// When a node of one stage, such as an output, is heard, in frames; 0 if there is none.
    pub fn arrival(&self, node: NodeId) -> u64 {
        let stages = &self.arrivals.stages;
        let first = stages.partition_point(|(id, _)| id.node < node);
        stages.get(first).filter(|(id, _)| id.node == node).map_or(0, |(_, timing)| timing.arrival)
    }

    /// When every stage is heard, by how much every link is delayed, and what is not aligned.
    pub fn latency(&self) -> LatencyReport {
        let mut stages = self.arrivals.stages.clone();
        stages.sort_by_key(|(id, timing)| (timing.arrival, *id));
        let row = |(id, timing): (StageId, Timing)| LatencyRow {
            node: self.slug(id.node),
            stage: id.stage.name().to_owned(),
            arrival: Frames(timing.arrival),
            latency: Frames(timing.latency),
        };
        let mut links = Vec::new();
        let mut unaligned = Vec::new();
        for (id, (delay, early)) in compile::timings(&Graph::of(&self.session), &self.arrivals) {
            let (from, to) = match id {
                EdgeId::Link(id) => {
                    let Some(link) = self.session.links.get(&id) else { continue };
                    let (from, to) = (self.session.port_text(&link.from), self.session.port_text(&link.to));
                    let (from_text, to_text) = (from.clone(), to.clone());
                    links.push(LinkLatency { from, to, delay: Frames(delay), gain: link.gain });
                    (from_text, to_text)
                }
                // One row says it of all channels.
                EdgeId::Player(node, 0) => (self.stage(node, "player"), self.stage(node, "source")),
                EdgeId::Normal(node, 0) => (self.stage(node, "source"), self.stage(node, "strip")),
                EdgeId::Player(..) | EdgeId::Normal(..) => continue,
            };
            if early != 0 {
                unaligned.push(Unaligned { from, to, early });
            }
        }
        for node in self.session.nodes.values().filter(|node| node.kind == NodeKind::Feedback) {
            let late = self.arrivals.lacking(&self.session, node.id);
            if late > 0 {
                let end = |port: &str| format!("{}:{port}", node.slug);
                unaligned.push(Unaligned { from: end("in"), to: end("out"), early: -(late as i64) });
            }
        }
        LatencyReport {
            rate: self.session.rate,
            total: Frames(self.total_latency()),
            stages: stages.into_iter().map(row).collect(),
            links,
            unaligned,
        }
    }

    /// The nodes that have put out what is no sound, were late, or lost messages.
    pub fn faults(&self) -> Vec<NodeFaults> {
        let mut faults: Vec<NodeFaults> = Vec::new();
        for (id, instance) in self.rack.vitals() {
            let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Relaxed);
            let vitals = &instance.vitals;
            let Vitals { not_finite, denormal, late, midi_dropped, hurried, .. } = &**vitals;
            let more = [not_finite, denormal, late, midi_dropped, hurried].map(of);
            if more == [0; 5] {
                continue;
            }
            let node = self.slug(id.stage.node);
            let [not_finite, denormal, late, midi_dropped, hurried] = more;
            match faults.last_mut().filter(|last| last.node == node) {
                Some(last) => {
                    last.not_finite += not_finite;
                    last.denormal += denormal;
                    last.late += late;
                    last.midi_dropped += midi_dropped;
                    last.hurried += hurried;
                }
                None => faults.push(NodeFaults { node, not_finite, denormal, late, midi_dropped, hurried }),
            }
        }
        let place = |fault: &NodeFaults| self.session.node(&fault.node).map_or(f64::MAX, |node| node.place());
        faults.sort_by(|a, b| place(a).total_cmp(&place(b)));
        faults
    }

    /// Works out how long before the end of a cycle everything that may be late must be there: what all tasks
    /// behind it take. Once in a while, from what they have taken.
    pub(super) fn budget(&mut self, now: u64) {
        if now < self.budgeted + BUDGETED_EVERY || !self.rack.may_be_late() {
            return;
        }
        self.budgeted = now;
        self.rack.budget();
    }
}
