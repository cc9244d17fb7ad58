//! Links as the audio thread has them: what stays, what fades in, what fades out.

use std::collections::{BTreeMap, BTreeSet};

use aulos_nodes::Stage;
use aulos_protocol::ports::Signal;
use petgraph::visit::EdgeRef;

use super::{
    latency::Arrivals,
    moment::{Lead, Moment},
    order::Order,
    rack::{Life, Rack, TermState, TimedGain},
};
use crate::{
    audio::ramp::TURNS,
    graph::{EdgeId, Graph},
    handoff::{Begin, FadeStart},
    plan::{InstanceId, TermId},
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
    /// Whether delays of what stays have changed.
    pub realigns: bool,
}

/// Compares the terms with the graph.
///
/// A term into a processor that was built just now needs no fade: nothing of it is heard before the links that
/// leave the processor fade in. Only what ends in the driver fades by itself.
pub fn reconcile(rack: &mut Rack, graph: &Graph, arrivals: &Arrivals) -> Changes {
    let mut changes = Changes::default();
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
    rack.terms.values_mut().for_each(|term| term.wanted = false);
    for reference in graph.graph.edge_references() {
        let edge = reference.weight();
        let (from, to) = (reference.source().index(), reference.target().index());
        let (Some(from), Some(to), unheard) = (current[from], current[to], unheard[to]) else { continue };
        let (delay, _) = arrivals.delay(&reference);
        // Messages cannot fade: a MIDI link goes on with another delay.
        let fixed = if edge.signal == Signal::Midi { 0 } else { delay };
        let id = TermId { edge: edge.id, from, to, delay: fixed };
        if let Some(term) = rack.terms.get_mut(&id) {
            term.wanted = true;
            term.exempt = edge.exempt;
            if let Some((_, known)) = &mut term.midi {
                changes.realigns |= *known != delay;
                *known = delay;
            }
            if term.life != Life::Live || term.gain != edge.gain {
                term.life = Life::Live;
                term.gain = edge.gain;
                changes.moving.push(id);
            }
            continue;
        }
        let gain_now =
            rack.timed_gains.get(&edge.id).and_then(|to_come| to_come.first()).map(|gain| gain.gains.0);
        let fade = rack.fade(if unheard { gain_now.unwrap_or(edge.gain) } else { 0.0 });
        let state = TermState {
            output: edge.output,
            input: edge.input,
            rank: edge.rank,
            exempt: edge.exempt,
            gain: edge.gain,
            fade,
            life: Life::Live,
            wanted: true,
            midi: (edge.signal == Signal::Midi).then(|| (rack.midi_line(), delay)),
        };
        rack.terms.insert(id, state);
        changes.new.insert(id);
        if !unheard {
            changes.moving.push(id);
        }
    }
    let dying = rack.dying();
    for (id, term) in &mut rack.terms {
        if term.wanted || term.life != Life::Live {
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

/// Gives every delayed term its line, and says which terms begin to fade, and when. Answers also whether anything
/// is to be aligned again.
pub fn fades(
    rack: &mut Rack,
    order: &Order,
    mut changes: Changes,
    fade: u64,
) -> (Vec<FadeStart>, Option<Settled>) {
    let mut delayed: Vec<(TermId, usize)> =
        rack.terms.iter().filter(|(id, _)| id.delay > 0).map(|(id, term)| (*id, term.output)).collect();
    // The longest first: its line serves the others.
    delayed.sort_by_key(|(id, _)| std::cmp::Reverse(id.delay));
    let mut full = BTreeMap::new();
    for (id, output) in delayed {
        if !rack.line_of.contains_key(&id) {
            let (line, lead) = rack.line(id.from, output, id.delay);
            rack.line_of.insert(id, line);
            full.insert(id, lead);
        }
    }
    let leads = leads(rack, order, &full);
    // What takes over from a term that fades out, so that both cross at the same frames.
    let heirs: BTreeMap<EdgeId, TermId> =
        changes.moving.iter().filter(|id| changes.new.contains(id)).map(|id| (id.edge, *id)).collect();
    let awaited = |(id, _): &(&TermId, Lead)| heirs.get(&id.edge) == Some(id);
    let mut leads: BTreeMap<TermId, Lead> =
        rack.terms.keys().zip(leads).filter(awaited).map(|(id, lead)| (*id, lead)).collect();
    changes.realigns |=
        changes.dying.iter().any(|id| heirs.get(&id.edge).is_some_and(|h| h.delay != id.delay));
    let realigns = changes.realigns;
    if realigns {
        cross_together(rack, &mut leads);
    }
    // What is taken off an input in the same batch as something comes to it makes way for it, and no earlier.
    let mut coming: BTreeMap<(InstanceId, usize), Lead> = BTreeMap::new();
    for (id, lead) in &leads {
        let Some(term) = rack.terms.get(id).filter(|term| term.midi.is_none()) else { continue };
        let latest = coming.entry((id.to, term.input)).or_default();
        *latest = latest.and(*lead);
    }
    // A term that was to fade out for an heir that is itself replaced waits for the newest heir.
    let mut put_off = Vec::new();
    let now = rack.dying();
    for (id, term) in &mut rack.terms {
        if let Life::Dying(dying) = &mut term.life
            && dying.batch != now.batch
            && heirs.contains_key(&id.edge)
        {
            *dying = now;
            put_off.push(*id);
        }
    }
    changes.moving.append(&mut changes.dying);
    let begin = changes.moving.iter().map(|id| (id, false)).chain(put_off.iter().map(|id| (id, true)));
    let starts: Vec<FadeStart> = begin
        .filter_map(|(id, put_off)| {
            let term = rack.terms.get(id)?;
            let (to, like) = match term.life {
                Life::Live => (term.gain, id),
                Life::Dying(_) => (0.0, heirs.get(&id.edge).unwrap_or(id)),
            };
            let instead = || coming.get(&(id.to, term.input)).filter(|_| to == 0.0 && term.midi.is_none());
            let lead = leads.get(like).or_else(instead).copied().unwrap_or_default();
            let begin = if put_off { Begin::PutOff(lead) } else { Begin::Ready(lead) };
            Some(FadeStart { term: *id, fade: term.fade.clone(), to, begin, ends: 0 })
        })
        .collect();
    // What needs no fade has its present gain already; those to come it has yet to hear of.
    let unheard = changes.new.iter().filter(|id| !changes.moving.contains(id));
    let to_come: Vec<FadeStart> = unheard.flat_map(|id| timed_gains(rack, id)).collect();
    let starts =
        starts.into_iter().flat_map(|start| with_timed_gains(rack, start)).chain(to_come).collect::<Vec<_>>();
    let settled = realigns.then(|| Settled::new(rack, order, &starts, fade));
    (starts, settled)
}

/// A link that fades to a gain of which others are still to come goes to what it is now, and to those in their time.
fn with_timed_gains(rack: &Rack, start: FadeStart) -> Vec<FadeStart> {
    let to_come = rack.timed_gains.get(&start.term.edge).and_then(|to_come| to_come.first());
    match to_come.filter(|_| rack.is_live(&start.term)) {
        None => vec![start],
        Some(first) => {
            let later = timed_gains(rack, &start.term);
            std::iter::once(FadeStart { to: first.gains.0, ..start }).chain(later).collect()
        }
    }
}

/// The gains of a link that are still to come.
fn timed_gains(rack: &Rack, id: &TermId) -> Vec<FadeStart> {
    let (Some(term), Some(to_come)) = (rack.terms.get(id), rack.timed_gains.get(&id.edge)) else {
        return Vec::new();
    };
    let arrival = rack.instances.get(&id.to).map_or(0, |to| to.timing.arrival);
    let start = |gain: &TimedGain| FadeStart {
        term: *id,
        fade: term.fade.clone(),
        to: gain.gains.1,
        begin: Begin::At(gain.at + arrival),
        ends: 0,
    };
    to_come.iter().map(start).collect()
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
        let ends: BTreeMap<TermId, Lead> = starts
            .iter()
            .filter_map(|start| match start.begin {
                Begin::Ready(lead) | Begin::PutOff(lead) => Some((start.term, later(lead, fade))),
                Begin::At(_) => None,
            })
            .collect();
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
            heard[task] = Some(later(lead, instance.warm_up.max(instance.timing.latency)));
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

/// Lets the gains of links go to those of `graph`, in which nothing but gains is new; at the frame `at` of each
/// link's own time, or at once.
///
/// # Errors
/// A link that has too many gains to come; then nothing has changed.
pub fn regate(rack: &mut Rack, graph: &Graph, at: Option<u64>) -> Result<Vec<FadeStart>, EdgeId> {
    let gains: BTreeMap<EdgeId, f32> = graph.graph.edge_weights().map(|edge| (edge.id, edge.gain)).collect();
    let moves = |id: &TermId, term: &TermState| {
        let gain = gains.get(&id.edge).copied().filter(|gain| *gain != term.gain);
        gain.filter(|_| term.life == Life::Live)
    };
    let full = |id: &&TermId| rack.timed_gains.get(&id.edge).is_some_and(|gains| gains.len() >= TURNS);
    let moving = rack.terms.iter().filter(|(id, term)| moves(id, term).is_some()).map(|(id, _)| id);
    if let Some(id) = moving.clone().find(full).filter(|_| at.is_some()) {
        return Err(id.edge);
    }
    let moving: Vec<TermId> = moving.copied().collect();
    let mut starts = Vec::new();
    for id in moving {
        let arrival = rack.instances.get(&id.to).map_or(0, |to| to.timing.arrival);
        let Some(term) = rack.terms.get_mut(&id) else { continue };
        let Some(gain) = moves(&id, term) else { continue };
        let before = std::mem::replace(&mut term.gain, gain);
        let timed = rack.timed_gains.entry(id.edge).or_default();
        let begin = match at {
            Some(at) => {
                // What was to come later than this gives way.
                timed.retain(|other| other.at < at);
                let before = timed.last().map_or(before, |last| last.gains.1);
                timed.push(TimedGain { at, gains: (before, gain), done: at + arrival });
                Begin::At(at + arrival)
            }
            None => {
                timed.clear();
                Begin::Ready(Lead::default())
            }
        };
        starts.push(FadeStart { term: id, fade: term.fade.clone(), to: gain, begin, ends: 0 });
    }
    Ok(starts)
}

/// How long each term must wait until what it carries has nothing of the empty beginning of a processor or a
/// line in it, in the order of the rack. Notes the same of the processors that are new.
fn leads(rack: &mut Rack, order: &Order, full: &BTreeMap<TermId, Lead>) -> Vec<Lead> {
    let mut entering: Vec<(usize, usize, usize, &TermId)> = order
        .ends
        .iter()
        .zip(rack.terms.keys())
        .enumerate()
        .map(|(term, ((from, to), id))| (*to, term, *from, id))
        .collect();
    entering.sort_unstable_by_key(|(to, term, ..)| (*to, *term));
    let mut ready = vec![Lead::default(); order.tasks.len()];
    // Of the processors that are new, how long they warm up.
    let mut warm_up = vec![None; order.tasks.len()];
    for (instance, task) in rack.instances.values().zip(&order.task_of) {
        ready[*task] = instance.ready.lead(0);
        warm_up[*task] = instance.new.then_some(instance.warm_up);
    }
    let first = rack.first;
    let mut leads = vec![Lead::default(); entering.len()];
    let mut entering = entering.into_iter().peekable();
    for task in 0..order.tasks.len() {
        let mut lead = Lead::default();
        while let Some((_, term, from, id)) = entering.next_if(|(to, ..)| *to == task) {
            let filled = full.get(id).copied().unwrap_or_default();
            leads[term] = ready[from].plus(id.delay).and(filled);
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
