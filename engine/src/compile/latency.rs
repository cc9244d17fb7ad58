//! When everything is heard.

use std::collections::BTreeMap;

use aulos_protocol::{LinkId, Session};
use petgraph::{Direction::Incoming, algo::toposort, visit::EdgeRef};

use crate::graph::{EdgeId, Graph, StageId};

/// Arrival and latency of each stage, in frames.
pub type Arrivals = BTreeMap<StageId, (u64, u64)>;

/// The arrival of a stage is the latest of what enters it: the arrival of the source and the source's latency.
/// Outputs align with each other.
pub fn arrivals(graph: &Graph, session: &Session) -> Arrivals {
    let mut arrivals = Arrivals::new();
    // The session was checked for cycles when it was made.
    for at in toposort(&graph.graph, None).unwrap_or_default() {
        let id = graph.graph[at];
        let sources = graph.graph.edges_directed(at, Incoming).map(|edge| graph.graph[edge.source()]);
        let arrival = sources
            .filter_map(|source| arrivals.get(&source).map(|(arrival, latency)| arrival + latency))
            .max()
            .unwrap_or(0);
        let latency = session.nodes.get(&id.node).map_or(0, |node| id.stage.latency(node));
        arrivals.insert(id, (arrival, latency));
    }
    let last = sinks(&arrivals).map(|(_, (arrival, _))| *arrival).max().unwrap_or(0);
    for (_, (arrival, _)) in arrivals.iter_mut().filter(|(id, _)| id.stage.is_sink()) {
        *arrival = last;
    }
    arrivals
}

fn sinks(arrivals: &Arrivals) -> impl Iterator<Item = (&StageId, &(u64, u64))> {
    arrivals.iter().filter(|(id, _)| id.stage.is_sink())
}

/// The arrival of the outputs: how long the whole graph takes.
pub fn total(arrivals: &Arrivals) -> u64 {
    sinks(arrivals).map(|(_, (arrival, _))| *arrival).max().unwrap_or(0)
}

/// By how many frames each link of the session is delayed, in the order of the links.
pub fn timings(graph: &Graph, arrivals: &Arrivals) -> BTreeMap<LinkId, u64> {
    let timing = |edge: petgraph::graph::EdgeReference<'_, crate::graph::Edge>| {
        let EdgeId::Link(link) = edge.weight().id else { return None };
        let (arrival, latency) = arrivals.get(&graph.graph[edge.source()])?;
        let (heard, _) = arrivals.get(&graph.graph[edge.target()])?;
        Some((link, heard - (arrival + latency)))
    };
    graph.graph.edge_references().filter_map(timing).collect()
}
