//! Links as the audio thread has them: what stays, what fades in, what fades out.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::visit::EdgeRef;

use super::{
    latency::Arrivals,
    rack::{Life, Rack, TermState},
};
use crate::{
    graph::{EdgeId, Graph},
    handoff::FadeStart,
    plan::{InstanceId, LineSlot, TermId},
};

/// What became of the terms in a compile.
#[derive(Default)]
pub struct Changes {
    /// Terms that were not there before.
    pub new: BTreeSet<TermId>,
    /// Terms whose gain moves: new ones fade in, revived ones turn round, gains change.
    moving: Vec<TermId>,
    /// Terms that begin to fade out.
    dying: Vec<TermId>,
}

/// Compares the terms with the graph.
///
/// A term into a processor that was built just now needs no fade: nothing of it is heard before the links that
/// leave the processor fade in. Only what ends in the driver fades by itself.
pub fn reconcile(rack: &mut Rack, graph: &Graph, arrivals: &Arrivals) -> Changes {
    let mut changes = Changes::default();
    let mut wanted = BTreeSet::new();
    for reference in graph.graph.edge_references() {
        let edge = reference.weight();
        let (from, to) = (graph.graph[reference.source()], graph.graph[reference.target()]);
        let (Some(from_id), Some(to_id)) = (rack.current.get(&from), rack.current.get(&to)) else { continue };
        let (arrival, latency) = arrivals[&from];
        let delay = arrivals[&to].0 - (arrival + latency);
        let id = TermId { edge: edge.id, from: *from_id, to: *to_id, delay };
        wanted.insert(id);
        let unheard = rack.first || (rack.instances[to_id].new && !to.stage.is_sink());
        if let Some(term) = rack.terms.get_mut(&id) {
            if term.life != Life::Live || term.gain != edge.gain {
                term.life = Life::Live;
                term.gain = edge.gain;
                changes.moving.push(id);
            }
            continue;
        }
        let fade = rack.fade(if unheard { edge.gain } else { 0.0 });
        let state = TermState {
            output: edge.output,
            input: edge.input,
            rank: edge.rank,
            gain: edge.gain,
            fade,
            life: Life::Live,
        };
        rack.terms.insert(id, state);
        changes.new.insert(id);
        if !unheard {
            changes.moving.push(id);
        }
    }
    let dying = rack.dying();
    for (id, term) in &mut rack.terms {
        if wanted.contains(id) || term.life != Life::Live {
            continue;
        }
        // What enters a ghost stays as it is: the ghost itself fades out.
        let into_ghost = rack.instances.get(&id.to).is_some_and(|instance| instance.ghost);
        if into_ghost && !id.to.stage.stage.is_sink() {
            continue;
        }
        term.life = Life::Dying(dying);
        changes.dying.push(*id);
    }
    changes
}

/// How long after the swap what a processor puts out has nothing of its empty beginning in it.
fn readiness(rack: &Rack, order: &[InstanceId], line_is_new: &BTreeSet<TermId>) -> BTreeMap<InstanceId, u64> {
    let mut entering: BTreeMap<InstanceId, Vec<TermId>> = BTreeMap::new();
    for id in rack.terms.keys() {
        entering.entry(id.to).or_default().push(*id);
    }
    let mut ready = BTreeMap::new();
    for id in order {
        let instance = &rack.instances[id];
        let mut wait = 0;
        if instance.new {
            for term in entering.get(id).into_iter().flatten() {
                let line = if line_is_new.contains(term) { term.delay } else { 0 };
                wait = wait.max(ready.get(&term.from).copied().unwrap_or(0) + line);
            }
            wait += instance.warm_up;
        }
        ready.insert(*id, wait);
    }
    ready
}

/// Gives every delayed term its line, and says which terms begin to fade, and when.
pub fn fades(rack: &mut Rack, order: &[InstanceId], changes: Changes) -> Vec<FadeStart> {
    let mut delayed: Vec<(TermId, usize)> =
        rack.terms.iter().filter(|(id, _)| id.delay > 0).map(|(id, term)| (*id, term.output)).collect();
    // The longest first: its line serves the others.
    delayed.sort_by_key(|(id, _)| std::cmp::Reverse(id.delay));
    let mut line_is_new = BTreeSet::new();
    for (id, output) in delayed {
        if rack.line_of.contains_key(&id) {
            continue;
        }
        let (line, new) = rack.line(id.from, output, id.delay);
        rack.line_of.insert(id, line);
        if new {
            line_is_new.insert(id);
        }
    }
    let ready = readiness(rack, order, &line_is_new);
    let start = |id: &TermId| -> (u64, Option<(LineSlot, usize)>) {
        if !changes.new.contains(id) {
            return (0, None);
        }
        let line = rack.line_of.get(id).map(|line| (line.clone(), id.delay as usize));
        (ready.get(&id.from).copied().unwrap_or(0), line)
    };
    // What takes over from a dying term, so that both cross at the same frames.
    let heirs: BTreeMap<EdgeId, TermId> =
        changes.moving.iter().filter(|id| changes.new.contains(id)).map(|id| (id.edge, *id)).collect();
    let mut fades = Vec::new();
    for id in changes.moving.iter().chain(&changes.dying) {
        let Some(term) = rack.terms.get(id) else { continue };
        let (to, like) = match term.life {
            Life::Live => (term.gain, id),
            Life::Dying(_) => (0.0, heirs.get(&id.edge).unwrap_or(id)),
        };
        let (wait, line) = start(like);
        fades.push(FadeStart { term: *id, fade: term.fade.clone(), to, wait, line, ends: 0 });
    }
    fades
}
