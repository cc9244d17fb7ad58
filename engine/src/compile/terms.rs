//! Links as the audio thread has them: what stays, what comes, what goes.
//!
//! A link is one term, or several while it moves to another delay or to a processor that was built anew: then one of
//! them enters and the others give way, and what is said of the link is said to all of them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use aulos_nodes::Stage;
use aulos_protocol::ports::Signal;
use petgraph::visit::EdgeRef;

use super::{
    latency::Arrivals,
    moment::{Lead, Moment},
    order::Order,
    rack::{Life, Rack, TermState, terms_of, terms_of_mut},
};
use crate::{
    audio::TURNS,
    graph::{Edge, EdgeId, Graph, StageId},
    handoff::{FadeStart, Turn},
    plan::{GainSlot, InstanceId, TermId},
};

/// What became of the terms in a compile.
#[derive(Default)]
pub struct Changes {
    /// Terms that were not there before.
    pub new: BTreeSet<TermId>,
    /// Terms that begin to be heard, in the place of others of their link if there are any.
    entering: Vec<TermId>,
    /// Those others.
    giving_way: Vec<TermId>,
    /// Links that were gone and come back before they have faded out.
    back: BTreeSet<EdgeId>,
    /// Terms whose link is gone.
    leaving: Vec<TermId>,
    /// Terms whose link has another gain.
    gains: Vec<(TermId, f32)>,
    /// New terms, and the gain of another of their link, with which they go on.
    heirs: Vec<(TermId, GainSlot)>,
    /// Whether delays of what stays have changed.
    pub realigns: bool,
}

/// Compares the terms with the graph.
///
/// A term into a processor that was built just now needs no fade: nothing of it is heard before the links that
/// leave the processor fade in. Only what ends in the driver fades by itself.
pub fn reconcile(rack: &mut Rack, graph: &Graph, arrivals: &Arrivals) -> Changes {
    let mut changes = Changes { realigns: std::mem::take(&mut rack.unsettled), ..Changes::default() };
    // By the places of the stages in the graph.
    let stages = graph.graph.node_weights();
    let current: Vec<Option<InstanceId>> = stages.map(|stage| rack.current.get(stage).copied()).collect();
    let unheard = |id: &Option<InstanceId>| {
        // What a feedback keeps is heard much later than it enters, so that links fade into it too.
        let fades = |id: &InstanceId| id.stage.stage.is_sink() || id.stage.stage == Stage::FeedbackIn;
        let into_new = |id: &InstanceId| rack.instances[id].new && !fades(id);
        rack.first || id.as_ref().is_some_and(into_new)
    };
    let unheard: Vec<bool> = current.iter().map(unheard).collect();
    for reference in graph.graph.edge_references() {
        let edge = reference.weight();
        let (from, to) = (reference.source().index(), reference.target().index());
        let (Some(from), Some(to), unheard) = (current[from], current[to], unheard[to]) else { continue };
        let (delay, _) = arrivals.delay(&reference);
        // Messages cannot fade: a MIDI link goes on with another delay.
        let fixed = if edge.signal == Signal::Midi { 0 } else { delay };
        let id = TermId { edge: edge.id, from, to, delay: fixed };
        take_up(rack, &mut changes, edge, id, delay, unheard);
    }
    let linked: HashSet<EdgeId> = graph.graph.edge_weights().map(|edge| edge.id).collect();
    let gone: Vec<TermId> = rack.terms.keys().filter(|id| !linked.contains(&id.edge)).copied().collect();
    // The inputs of processors built just now to which something comes that was not linked before.
    let coming: BTreeSet<(StageId, usize)> = changes
        .new
        .iter()
        .filter(|id| rack.instances.get(&id.to).is_some_and(|to| to.new))
        .filter_map(|id| Some((id.to.stage, rack.terms.get(id)?.input)))
        .collect();
    let dying = rack.dying();
    for id in gone {
        let is_sink = id.to.stage.stage.is_sink();
        let is_ghost = rack.instances.get(&id.to).is_some_and(|to| to.ghost);
        let Some(term) = rack.terms.get(&id) else { continue };
        let leaves = match term.life {
            // What it waits for does not come any more.
            Life::Leaving(_) => {
                !term.awaits.is_empty() && !term.awaits.iter().any(|edge| linked.contains(edge))
            }
            Life::Kept => false,
            // What enters a node that is gone, or that is built anew with something else in its place, stays as it
            // is: what leaves it fades out.
            _ if is_sink => true,
            _ => {
                rack.current.contains_key(&id.to.stage)
                    && !(is_ghost && coming.contains(&(id.to.stage, term.input)))
            }
        };
        let Some(term) = rack.terms.get_mut(&id) else { continue };
        if leaves {
            (term.life, term.target) = (Life::Leaving(dying), 0.0);
            term.awaits.clear();
            changes.leaving.push(id);
        } else if !matches!(term.life, Life::Leaving(_)) {
            term.life = Life::Kept;
        }
    }
    changes
}

/// Takes up the term that a link of the graph is to be.
fn take_up(rack: &mut Rack, changes: &mut Changes, edge: &Edge, id: TermId, delay: u64, unheard: bool) {
    let before = rack.heard.insert(edge.id, id);
    if let Some(term) = rack.terms.get_mut(&id) {
        term.exempt = edge.exempt;
        if let Some((_, known)) = &mut term.midi {
            changes.realigns |= *known != delay;
            *known = delay;
        }
        if before == Some(id) && term.life == Life::Live && term.target == edge.gain {
            return;
        }
    }
    let is_new = !rack.terms.contains_key(&id);
    let others: Vec<TermId> =
        terms_of(&rack.terms, edge.id).map(|(other, _)| *other).filter(|o| *o != id).collect();
    let like = before.filter(|before| *before != id).or(others.first().copied());
    let like = like.and_then(|like| rack.terms.get(&like)).map(|like| (like.target, like.gain.clone()));
    if is_new {
        let state = TermState {
            output: edge.output,
            input: edge.input,
            rank: edge.rank,
            exempt: edge.exempt,
            target: like.as_ref().map_or(edge.gain, |(target, _)| *target),
            gain: rack.gain(edge.gain, unheard),
            life: Life::Live,
            awaits: Vec::new(),
            midi: (edge.signal == Signal::Midi).then(|| (rack.midi_line(), delay)),
        };
        rack.terms.insert(id, state);
        changes.new.insert(id);
        changes.heirs.extend(like.map(|(_, gain)| (id, gain)));
    }
    let dying = rack.dying();
    let comes_back = rack.terms.get(&id).is_some_and(|term| matches!(term.life, Life::Leaving(_)));
    let enters = if is_new { !unheard } else { before != Some(id) || comes_back };
    if enters {
        changes.entering.push(id);
    }
    if comes_back {
        changes.back.insert(edge.id);
    }
    let mut was_gone = false;
    for other in &others {
        let into_ghost =
            rack.instances.get(&other.to).is_some_and(|to| to.ghost) && !other.to.stage.stage.is_sink();
        let Some(term) = rack.terms.get_mut(other) else { continue };
        was_gone |= matches!(term.life, Life::Leaving(_));
        if into_ghost {
            term.life = Life::Live;
        } else if enters || matches!(term.life, Life::Leaving(_)) {
            changes.giving_way.push(*other);
            term.life = Life::Yielding(dying);
        }
    }
    if let Some(term) = rack.terms.get_mut(&id) {
        was_gone |= matches!(term.life, Life::Leaving(_));
        term.life = Life::Live;
        if was_gone || term.target != edge.gain {
            rack.timed_gains.remove(&edge.id);
            for (other, term) in terms_of_mut(&mut rack.terms, edge.id) {
                term.target = edge.gain;
                changes.gains.push((*other, edge.gain));
            }
        }
    }
}

/// What a compile does to terms.
pub struct Fades {
    /// What begins.
    pub starts: Vec<FadeStart>,
    /// Terms that go on with the gain of another: to which, from which.
    pub heirs: Vec<(GainSlot, GainSlot)>,
    /// If anything is to be aligned again, when it is.
    pub settled: Option<Settled>,
}

/// Gives every delayed term its line, and says which terms begin to fade, and when. Connections that are held back
/// are gone from the rack.
pub fn fades(rack: &mut Rack, order: &Order, mut changes: Changes, fade: u64) -> Fades {
    let mut delayed: Vec<(TermId, usize)> =
        rack.terms.iter().filter(|(id, _)| id.delay > 0).map(|(id, term)| (*id, term.output)).collect();
    // The longest first: its line serves the others.
    delayed.sort_by_key(|(id, _)| std::cmp::Reverse(id.delay));
    let mut full = BTreeMap::new();
    for (id, output) in delayed {
        let lead = rack.line(id, output);
        full.insert(id, lead);
    }
    // A MIDI link that begins has nothing on its way.
    for id in changes.new.iter().filter(|_| !rack.first) {
        if let Some((_, delay)) = rack.terms.get(id).and_then(|term| term.midi.as_ref()) {
            full.insert(*id, Lead::wait(*delay));
        }
    }
    let leads = leads(rack, order, &full);
    changes.entering.retain(|id| rack.terms.contains_key(id));
    // Where a link has several terms, the one that takes over.
    let entering: BTreeMap<EdgeId, TermId> = changes.entering.iter().map(|id| (id.edge, *id)).collect();
    let enters = |(id, _): &(&TermId, Lead)| entering.get(&id.edge) == Some(id);
    let mut leads: BTreeMap<TermId, Lead> =
        rack.terms.keys().zip(leads).filter(enters).map(|(id, lead)| (*id, lead)).collect();
    changes.realigns |=
        changes.giving_way.iter().any(|id| entering.get(&id.edge).is_some_and(|e| e.delay != id.delay));
    if changes.realigns {
        cross_together(rack, &mut leads);
    }
    // What is taken off an input in the same batch as something comes to it makes way for it, and no earlier.
    let mut coming: BTreeMap<(InstanceId, usize), Vec<EdgeId>> = BTreeMap::new();
    // A link that goes over to another delay, or comes back, is there already.
    let there: BTreeSet<EdgeId> =
        changes.giving_way.iter().map(|id| id.edge).chain(changes.back.iter().copied()).collect();
    for id in leads.keys().filter(|id| !there.contains(&id.edge)) {
        let Some(term) = rack.terms.get(id).filter(|term| term.midi.is_none()) else { continue };
        coming.entry((id.to, term.input)).or_default().push(id.edge);
    }
    let turn = |id: &TermId| leads.get(id).copied().unwrap_or_default();
    for id in &changes.leaving {
        let Some(term) = rack.terms.get_mut(id).filter(|term| term.midi.is_none()) else { continue };
        term.awaits = coming.get(&(id.to, term.input)).cloned().unwrap_or_default();
    }
    // What waits for something goes on waiting for it when that will be there at another time.
    let dying = rack.dying();
    for (id, term) in &mut rack.terms {
        let is_put_off = matches!(term.life, Life::Leaving(leaves) if leaves.batch != dying.batch)
            && term.awaits.iter().any(|edge| entering.contains_key(edge));
        if is_put_off {
            term.life = Life::Leaving(dying);
            changes.leaving.push(*id);
        }
    }
    let instead = |id: &TermId| {
        let awaits = rack.terms.get(id).into_iter().flat_map(|term| &term.awaits);
        awaits.filter_map(|edge| entering.get(edge)).map(&turn).fold(Lead::default(), Lead::and)
    };
    let gives_way = |id: &TermId| entering.get(&id.edge).map_or_else(Lead::default, &turn);
    let enter = changes.entering.iter().map(|id| (*id, Turn::Enter(turn(id))));
    let give_way = changes.giving_way.iter().map(|id| (*id, Turn::GiveWay(gives_way(id))));
    let leave = changes.leaving.iter().map(|id| (*id, Turn::Leave(instead(id))));
    let gain = changes.gains.iter().map(|(id, to)| (*id, Turn::Gain(*to)));
    let slot = |id: &TermId| rack.terms.get(id).map(|term| term.gain.clone());
    let starts: Vec<FadeStart> = enter
        .chain(give_way)
        .chain(leave)
        .chain(gain)
        .filter_map(|(term, turn)| Some(FadeStart { term, gain: slot(&term)?, turn, ends: 0 }))
        .collect();
    let heirs = changes.heirs.iter().filter_map(|(heir, from)| Some((slot(heir)?, from.clone()))).collect();
    let settled = changes.realigns.then(|| Settled::new(rack, order, &starts, fade));
    Fades { starts, heirs, settled }
}

/// When nothing of what was before is left in what stages hear, after a change of delays.
pub struct Settled {
    /// By task.
    tasks: BTreeMap<InstanceId, Lead>,
    /// In the driver's channels.
    pub everywhere: Lead,
}

impl Settled {
    /// Follows the ends of the fades downstream, through delays and the memories of processors.
    fn new(rack: &Rack, order: &Order, starts: &[FadeStart], fade: u64) -> Self {
        let later = |lead: Lead, by: u64| Lead { wait: lead.wait + by, not_before: lead.not_before + by };
        let mut ends: BTreeMap<TermId, Lead> = starts
            .iter()
            .filter_map(|start| match start.turn {
                Turn::Enter(lead) | Turn::GiveWay(lead) | Turn::Leave(lead) => {
                    Some((start.term, later(lead, fade)))
                }
                Turn::Gain(_) | Turn::GainAt(..) => None,
            })
            .collect();
        // What earlier batches have begun and is still to come.
        let before = rack.terms.iter().filter_map(|(id, term)| match term.life {
            Life::Yielding(dying) | Life::Leaving(dying) if dying.batch != rack.batch => {
                Some((*id, Lead { wait: 0, not_before: dying.ends? }))
            }
            _ => None,
        });
        ends.extend(before);
        let mut entering: Vec<Vec<(usize, &TermId)>> = vec![Vec::new(); order.tasks.len()];
        for ((from, to), id) in order.ends.iter().zip(rack.terms.keys()) {
            entering[*to].push((*from, id));
        }
        let mut heard = vec![None; order.tasks.len()];
        let mut tasks = BTreeMap::new();
        let mut everywhere = Lead::default();
        for (task, id) in order.tasks.iter().enumerate() {
            // What nothing has changed upstream of is settled already.
            let mut lead: Option<Lead> = None;
            for (from, term) in &entering[task] {
                let passed = heard[*from].map(|lead| later(lead, term.delay));
                for part in passed.into_iter().chain(ends.get(term).copied()) {
                    lead = Some(lead.map_or(part, |lead| lead.and(part)));
                }
            }
            let Some(lead) = lead else { continue };
            tasks.insert(*id, lead);
            let instance = &rack.instances[id];
            heard[task] = Some(later(lead, instance.settles_after()));
            if id.stage.stage.is_sink() {
                everywhere = everywhere.and(lead);
            }
        }
        Self { tasks, everywhere }
    }

    /// When a stage hears nothing of what was before any more.
    pub fn of(&self, stage: &InstanceId) -> Lead {
        self.tasks.get(stage).copied().unwrap_or_default()
    }
}

/// Lets all terms that fade in begin at the same stage time, the first at which all of them are ready. So what
/// goes by several ways comes out as one crossfade of what it was and what it will be.
fn cross_together(rack: &Rack, leads: &mut BTreeMap<TermId, Lead>) {
    let arrival = |id: &TermId| rack.instances.get(&id.to).map_or(0, |to| to.timing.arrival) as i64;
    let latest = |part: &dyn Fn(&Lead) -> u64| {
        leads.iter().map(|(id, lead)| part(lead) as i64 - arrival(id)).max().unwrap_or(0)
    };
    let (wait, not_before) = (latest(&|lead| lead.wait), latest(&|lead| lead.not_before));
    for (id, lead) in leads.iter_mut() {
        let at = |time: i64| u64::try_from(time + arrival(id)).unwrap_or(0);
        *lead = Lead { wait: at(wait), not_before: at(not_before) };
    }
}

/// Lets the gains of links go to those of `graph`, in which nothing but gains is new; at the stage time `at` of each
/// link's destination, or at once.
///
/// # Errors
/// A link that has too many gains to come; then nothing has changed.
pub fn regate(rack: &mut Rack, graph: &Graph, at: Option<u64>) -> Result<Vec<FadeStart>, EdgeId> {
    let target = |id: &TermId| rack.terms.get(id).map(|term| term.target);
    let moves = |edge: &&Edge| rack.heard.get(&edge.id).and_then(target).is_some_and(|now| now != edge.gain);
    let moving: Vec<(EdgeId, f32)> =
        graph.graph.edge_weights().filter(moves).map(|edge| (edge.id, edge.gain)).collect();
    let full = |edge: &EdgeId| rack.timed_gains.get(edge).is_some_and(|gains| gains.len() >= TURNS);
    if let Some((edge, _)) = moving.iter().find(|(edge, _)| at.is_some() && full(edge)) {
        return Err(*edge);
    }
    let mut starts = Vec::new();
    for (edge, gain) in moving {
        let mut latest = 0;
        let Rack { instances, terms, .. } = rack;
        for (id, term) in terms_of_mut(terms, edge) {
            latest = instances.get(&id.to).map_or(0, |to| to.timing.arrival).max(latest);
            term.target = gain;
            let turn = at.map_or(Turn::Gain(gain), |at| Turn::GainAt(gain, at));
            starts.push(FadeStart { term: *id, gain: term.gain.clone(), turn, ends: 0 });
        }
        let timed = rack.timed_gains.entry(edge).or_default();
        // What was to come later than this gives way.
        timed.retain(|(other, _)| at.is_some_and(|at| *other < at));
        timed.extend(at.map(|at| (at, at + latest)));
    }
    Ok(starts)
}

/// How long each term must wait until what it carries has nothing of the empty beginning of a processor or a
/// line in it, in the order of the rack. Notes the same of the processors that are new.
fn leads(rack: &mut Rack, order: &Order, full: &BTreeMap<TermId, Lead>) -> Vec<Lead> {
    // By destination: the place in the rack, the source, what it is, and by how much it is delayed if it is MIDI.
    let mut entering: Vec<(usize, usize, usize, &TermId, Option<u64>)> = order
        .ends
        .iter()
        .zip(&rack.terms)
        .enumerate()
        .map(|(place, ((from, to), (id, term)))| (*to, place, *from, id, term.midi.as_ref().map(|(_, d)| *d)))
        .collect();
    entering.sort_unstable_by_key(|(to, place, ..)| (*to, *place));
    let mut ready = vec![Lead::default(); order.tasks.len()];
    // Of the processors that are new, how long they take.
    let mut warm_up = vec![None; order.tasks.len()];
    for (instance, task) in rack.instances.values().zip(&order.task_of) {
        ready[*task] = instance.ready.lead(0);
        warm_up[*task] = instance.new.then_some(instance.settles_after());
    }
    let first = rack.first;
    let mut leads = vec![Lead::default(); entering.len()];
    let mut entering = entering.into_iter().peekable();
    for task in 0..order.tasks.len() {
        let mut lead = Lead::default();
        while let Some((_, term, from, id, midi)) = entering.next_if(|(to, ..)| *to == task) {
            let filled = full.get(id).copied().unwrap_or_default();
            let delay = midi.unwrap_or(id.delay);
            leads[term] = ready[from].plus(delay).and(filled);
            lead = lead.and(leads[term]);
        }
        if let Some(warm_up) = warm_up[task] {
            let warm = lead.plus(warm_up).and(Lead::wait(warm_up));
            // Before the first frame there was silence, and a processor begins with silence.
            ready[task] = if first { Lead::default() } else { warm };
        }
    }
    let batch = rack.dying().batch;
    for (instance, task) in rack.instances.values_mut().zip(&order.task_of).filter(|(i, _)| i.new) {
        instance.ready = Moment::new(batch, ready[*task]);
    }
    leads
}
