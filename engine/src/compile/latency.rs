//! When everything is heard.

use std::collections::BTreeMap;

use aulos_nodes::{Lateness, Stage, Workshop};
use aulos_protocol::{Error, ErrorCode, NodeId, NodeKind, Session, params};
use petgraph::{
    Direction::Incoming,
    graph::{EdgeReference, NodeIndex},
    visit::{EdgeRef, IntoNodeReferences},
};

use crate::graph::{Edge, EdgeId, Graph, StageId};

/// Latencies that do not follow from the session.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// What nodes have reported, in frames.
    pub reported: BTreeMap<NodeId, u64>,
    /// Stages that have a block more of time.
    pub pipelined: std::collections::BTreeSet<StageId>,
}

impl Observed {
    /// Looks which stages of a session are pipelined.
    pub fn look(&mut self, graph: &Graph, session: &Session, workshop: &dyn Workshop) {
        let stages = graph.graph.node_weights().filter(|id| {
            let lateness = session.nodes.get(&id.node).and_then(|node| workshop.lateness(id.stage, node));
            lateness == Some(Lateness::Pipelined)
        });
        self.pipelined = stages.copied().collect();
    }

    fn latency(&self, session: &Session, id: &StageId) -> u64 {
        let Some(node) = session.nodes.get(&id.node) else { return 0 };
        let own = match id.stage {
            // What a node reports is about the stage that makes its sound.
            Stage::Strip | Stage::Whole(_) => self.reported.get(&id.node).copied().unwrap_or(0),
            _ => 0,
        };
        let pipelined = if self.pipelined.contains(id) { u64::from(session.max_block) } else { 0 };
        id.stage.latency(node, session.rate) + own + pipelined
    }
}

/// When a stage hears what, and how much later it lets it out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// How many frames after its sources' time it hears them.
    pub arrival: u64,
    /// How many frames it adds.
    pub latency: u64,
}

/// The timing of each stage.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    /// In the order of the graph's stages, which is that of their numbers.
    pub stages: Vec<(StageId, Timing)>,
    /// A feedback whose loop takes longer than it allows, so that what it gives back is late; the frames that
    /// it lacks.
    pub short_loop: Option<(NodeId, u64)>,
}

impl Arrivals {
    /// The timing of a stage.
    pub fn of(&self, stage: &StageId) -> Timing {
        let found = self.stages.binary_search_by_key(stage, |(id, _)| *id);
        found.map_or(Timing::default(), |found| self.stages[found].1)
    }

    /// The latest of all.
    pub fn latest(&self) -> u64 {
        self.stages.iter().map(|(_, timing)| timing.arrival).max().unwrap_or(0)
    }

    /// By how many frames an edge of the graph that they were made of is delayed, and by how many what it carries
    /// is then early (negative: late) beside what is asked for.
    pub fn delay(&self, edge: &EdgeReference<'_, Edge>) -> (u64, i64) {
        let (from, to) = (self.stages[edge.source().index()].1, self.stages[edge.target().index()].1);
        let lacking = to.arrival as i64 - (from.arrival + from.latency) as i64;
        let postponed = edge.weight().postponed;
        match u64::try_from(lacking) {
            Ok(delay) if !edge.weight().exempt => (delay + postponed, 0),
            _ => (postponed, lacking),
        }
    }

    /// How many frames before the present block a feedback reads what it gives back: its stored delay, less what
    /// compensation adds on the way in, plus what it takes on the way out.
    pub fn tap(&self, session: &Session, node: NodeId) -> u64 {
        let of = |stage| self.of(&StageId { node, stage }).arrival;
        let frames = session.nodes.get(&node).map_or(0, |node| stored(node));
        let exact = (frames + of(Stage::FeedbackOut)).saturating_sub(of(Stage::FeedbackIn));
        exact.max(u64::from(session.max_block))
    }

    /// By how many frames a feedback is late because its loop has more latency than its delay allows. Commands
    /// that would make it so are refused; what nodes report can still do it.
    pub fn lacking(&self, session: &Session, node: NodeId) -> u64 {
        let of = |stage| self.of(&StageId { node, stage }).arrival;
        let frames = session.nodes.get(&node).map_or(0, |node| stored(node));
        let needed = of(Stage::FeedbackIn) + u64::from(session.max_block);
        needed.saturating_sub(frames + of(Stage::FeedbackOut))
    }
}

/// The delay that a feedback stores.
pub(super) fn stored(node: &aulos_protocol::Node) -> u64 {
    params::number(node, "frames").unwrap_or(0.0) as u64
}

/// Finds the arrival of every stage.
///
/// The arrival of a stage is the latest of what enters it: the arrival of the source and the source's latency.
/// What is exempt counts only where nothing else enters. Outputs align within their group. What a feedback gives
/// back arrives no earlier than its delay allows; as what enters it may depend on that, this is repeated until
/// nothing moves, which takes no more rounds than there are feedbacks, or never ends.
pub fn arrivals(graph: &Graph, session: &Session, observed: &Observed) -> Arrivals {
    let order = graph.order();
    let latencies: Vec<u64> = graph.graph.node_weights().map(|id| observed.latency(session, id)).collect();
    let mut arrival = vec![0u64; graph.graph.node_count()];
    let feedbacks: Vec<(NodeId, NodeIndex, NodeIndex, u64)> = session
        .nodes
        .values()
        .filter(|node| node.kind == NodeKind::Feedback)
        .filter_map(|node| {
            let at = |stage| graph.find(&StageId { node: node.id, stage });
            Some((node.id, at(Stage::FeedbackIn)?, at(Stage::FeedbackOut)?, stored(node)))
        })
        .collect();
    let mut short_loop = None;
    for round in 0..=feedbacks.len() {
        for stage in &order {
            let id = graph.graph[*stage];
            if id.stage == Stage::FeedbackOut {
                continue;
            }
            let edges = || graph.graph.edges_directed(*stage, Incoming);
            let heard = |edge: EdgeReference<'_, Edge>| {
                arrival[edge.source().index()] + latencies[edge.source().index()]
            };
            let aligned = edges().filter(|edge| !edge.weight().exempt).map(heard).max();
            arrival[stage.index()] = aligned.or_else(|| edges().map(heard).max()).unwrap_or(0);
        }
        align_outputs(graph, session, &mut arrival);
        short_loop = None;
        let mut moved = Vec::new();
        for (node, taken, given, frames) in &feedbacks {
            let least = (arrival[taken.index()] + u64::from(session.max_block)).saturating_sub(*frames);
            if least != arrival[given.index()] {
                short_loop = Some((*node, least.saturating_sub(arrival[given.index()])));
                moved.push((*given, least));
            }
        }
        if moved.is_empty() || round == feedbacks.len() {
            break;
        }
        moved.into_iter().for_each(|(given, least)| arrival[given.index()] = least);
    }
    let timing =
        |stage: NodeIndex| Timing { arrival: arrival[stage.index()], latency: latencies[stage.index()] };
    let stages = graph.graph.node_references().map(|(stage, id)| (*id, timing(stage))).collect();
    Arrivals { stages, short_loop }
}

/// Gives all outputs of a group the latest arrival among them.
fn align_outputs(graph: &Graph, session: &Session, arrival: &mut [u64]) {
    let group = |id: &StageId| {
        let node = session.nodes.get(&id.node).filter(|_| id.stage.is_sink())?;
        let group = params::number(node, "align_group").unwrap_or(1.0) as u64;
        (group != 0).then_some(group)
    };
    let mut latest: BTreeMap<u64, u64> = BTreeMap::new();
    let outputs: Vec<(NodeIndex, u64)> =
        graph.graph.node_references().filter_map(|(stage, id)| Some((stage, group(id)?))).collect();
    for (stage, group) in &outputs {
        let latest = latest.entry(*group).or_default();
        *latest = arrival[stage.index()].max(*latest);
    }
    for (stage, group) in outputs {
        arrival[stage.index()] = latest[&group];
    }
}

/// The latest arrival of the outputs: how long the whole graph takes.
pub fn total(arrivals: &Arrivals) -> u64 {
    let sinks = arrivals.stages.iter().filter(|(id, _)| id.stage.is_sink());
    sinks.map(|(_, timing)| timing.arrival).max().unwrap_or(0)
}

/// By how many frames each link and internal connection is delayed, and how early what it carries then is.
pub fn timings(graph: &Graph, arrivals: &Arrivals) -> BTreeMap<EdgeId, (u64, i64)> {
    graph.graph.edge_references().map(|edge| (edge.weight().id, arrivals.delay(&edge))).collect()
}

/// Checks what latencies ask for: none longer than the session allows, and no loop longer than its feedback.
///
/// # Errors
/// `OutOfRange` with what would be possible.
pub fn check(session: &Session, arrivals: &Arrivals) -> Result<(), Error> {
    let slug = |id: &NodeId| session.nodes.get(id).map_or_else(String::new, |node| node.slug.to_string());
    let most = session.max_latency();
    let longest = arrivals.stages.iter().find(|(_, timing)| timing.latency > most);
    if let Some((id, timing)) = longest {
        return Err(too_long(&slug(&id.node), timing.latency, most));
    }
    for node in session.nodes.values().filter(|node| node.kind == NodeKind::Feedback) {
        let (frames, least) = (stored(node), u64::from(session.max_block));
        if frames < least {
            return Err(Error::new(
                ErrorCode::OutOfRange,
                format!("{} gives back what goes in after {frames} frames", node.slug),
            )
            .expected(format!("at least {least} frames, the session's max_block"))
            .remedy(format!("set its frames to {least} or more")));
        }
    }
    if let Some((node, lacking)) = arrivals.short_loop {
        return Err(Error::new(
            ErrorCode::OutOfRange,
            format!("the loop through {} has more latency than its delay allows", slug(&node)),
        )
        .expected(format!("a delay at least {lacking} frames longer"))
        .remedy("make the feedback longer, or take what has latency out of the loop"));
    }
    Ok(())
}

/// The refusal of a latency.
pub fn too_long(node: &str, frames: u64, most: u64) -> Error {
    Error::new(ErrorCode::OutOfRange, format!("{node} reports a latency of {frames} frames"))
        .expected(if most == 1 { "at most 1 frame".to_owned() } else { format!("at most {most} frames") })
        .remedy("allow more with: aulosctl session set --max-latency TIME")
}
