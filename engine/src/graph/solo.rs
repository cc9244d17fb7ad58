//! Solo in place: which links pass while strips are soloed.

use std::collections::BTreeSet;

use aulos_nodes::Stage;
use aulos_protocol::{LinkId, NodeKind, Session, params, ports::Signal};
use petgraph::{
    Direction::{self, Incoming, Outgoing},
    graph::{DiGraph, NodeIndex},
};

use super::{Edge, EdgeId, StageId};

/// What a stage is to solo.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// No strip.
    Free,
    /// A strip that is not soloed.
    Strip,
    Soloed,
    Safe,
}

fn role(session: &Session, stage: StageId) -> Role {
    let Some(node) = session.nodes.get(&stage.node) else { return Role::Free };
    let on = |name| params::number(node, name).is_some_and(|value| value != 0.0);
    match stage.stage {
        Stage::Strip | Stage::Whole(NodeKind::Bus) if on("solo") || session.control(node.id).solo => {
            Role::Soloed
        }
        Stage::Strip | Stage::Whole(NodeKind::Bus | NodeKind::Output | NodeKind::Click)
            if on("solo_safe") =>
        {
            Role::Safe
        }
        Stage::Strip | Stage::Whole(NodeKind::Bus | NodeKind::Master) => Role::Strip,
        _ => Role::Free,
    }
}

/// Sets the gain of every link that does not pass to 0.
///
/// While anything is soloed, a link passes if it lies on a path through a soloed strip, or on one through
/// something solo-safe with no unsoloed strip before it; a path may begin anywhere, and goes through feedbacks. Connections inside of a node
/// and MIDI always pass: what a strip plays is shut behind it.
pub fn shut(graph: &mut DiGraph<StageId, Edge>, session: &Session) {
    let roles: Vec<Role> = graph.node_weights().map(|stage| role(session, *stage)).collect();
    if !roles.contains(&Role::Soloed) {
        return;
    }
    let all = |_: NodeIndex| true;
    let of = |role| -> Vec<NodeIndex> {
        graph.node_indices().filter(|stage| roles[stage.index()] == role).collect()
    };
    let (soloed, safe) = (of(Role::Soloed), of(Role::Safe));
    let behind_solo = reach(graph, &soloed, Outgoing, all);
    let before_solo = reach(graph, &soloed, Incoming, all);
    let behind_safe = reach(graph, &safe, Outgoing, all);
    // From what is safe back to the first strip that is not soloed. What else is safe goes on by itself.
    let before_safe =
        reach(graph, &safe, Incoming, |stage| matches!(roles[stage.index()], Role::Free | Role::Soloed));
    for edge in graph.edge_indices() {
        let Some((from, to)) = graph.edge_endpoints(edge) else { continue };
        let (from, to) = (from.index(), to.index());
        let free_way = before_safe[to] && matches!(roles[from], Role::Free | Role::Soloed);
        let passes = behind_solo[from] || before_solo[to] || behind_safe[from] || free_way;
        let weight = &mut graph[edge];
        if !passes && weight.signal == Signal::Audio && matches!(weight.id, EdgeId::Link(_)) {
            weight.gain = 0.0;
        }
    }
}

/// The links through which nothing passes because others are soloed.
pub fn shut_links(session: &Session) -> BTreeSet<LinkId> {
    let graph = super::Graph::of(session).graph;
    let shut = graph.edge_weights().filter(|edge| edge.gain == 0.0).filter_map(|edge| match edge.id {
        EdgeId::Link(id) => Some(id),
        _ => None,
    });
    let is_silent = |id: &LinkId| session.links.get(id).is_some_and(|link| link.gain.is_silence());
    shut.filter(|id| !is_silent(id)).collect()
}

/// The stages `from` and all that can be reached from them through stages that are `open`.
fn reach(
    graph: &DiGraph<StageId, Edge>,
    from: &[NodeIndex],
    direction: Direction,
    open: impl Fn(NodeIndex) -> bool,
) -> Vec<bool> {
    let mut reached = vec![false; graph.node_count()];
    let mut next = from.to_vec();
    from.iter().for_each(|stage| reached[stage.index()] = true);
    while let Some(stage) = next.pop() {
        // What goes into a feedback comes out of it.
        let other_end = match (graph[stage].stage, direction) {
            (Stage::FeedbackIn, Outgoing) => Some(NodeIndex::new(stage.index() + 1)),
            (Stage::FeedbackOut, Incoming) => Some(NodeIndex::new(stage.index() - 1)),
            _ => None,
        };
        for neighbour in graph.neighbors_directed(stage, direction).chain(other_end) {
            if !reached[neighbour.index()] && open(neighbour) {
                reached[neighbour.index()] = true;
                next.push(neighbour);
            }
        }
    }
    reached
}
