//! What outlives plans, as the control thread keeps it.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use aulos_nodes::{ClipSource, Meter, Order, PlacedClip, Playlist, Stage, Workshop};
use aulos_protocol::{
    ClipId, Node, NodeId, NodeKind, Rate, Session,
    params::{self, Effect},
    ports::{Direction, Signal},
};

use super::{
    latency::{Arrivals, Observed, Timing, stored},
    moment::{Lead, Moment},
};
use crate::{
    audio::{
        delay_line::DelayLine,
        gain::Gain,
        lane::{Lane, Shape},
        loop_line::LoopLine,
        slot::{Slot, TokenId},
        unit::{StageTime, Unit, Vitals},
    },
    graph::{EdgeId, Graph, Rank, StageId},
    handoff::Retiming,
    plan::{GainSlot, InstanceId, LineSlot, LoopSlot, MidiSlot, TermId, TimeSlot, Work},
};

/// A stage as it was built.
pub struct Instance {
    /// The node as it was last seen.
    pub node: Arc<Node>,
    pub work: Work,
    pub meter: Option<Arc<Meter>>,
    pub vitals: Arc<Vitals>,
    pub time: TimeSlot,
    pub timing: Timing,
    /// How its lane was made, if its work may be late.
    pub lane: Option<Shape>,
    /// How many frames before a feedback reads.
    pub tap: u64,
    pub warm_up: u64,
    /// When what it puts out has nothing of its empty beginning in it any more.
    pub ready: Moment,
    /// No longer in the session; kept until it has faded out.
    pub ghost: bool,
    /// Built in this compile: silent and unheard before.
    pub new: bool,
}

/// Whether a term stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It is wanted, or its link is and it enters what is heard until another takes over.
    Live,
    /// Its link is gone, and it is heard as long as what it enters is.
    Kept,
    /// It gives way to another term of its link.
    Yielding(Dying),
    /// Its link is gone.
    Leaving(Dying),
}

impl Life {
    /// How it fades out, if it does.
    pub(super) fn dying(&mut self) -> Option<&mut Dying> {
        match self {
            Self::Live | Self::Kept => None,
            Self::Yielding(dying) | Self::Leaving(dying) => Some(dying),
        }
    }
}

/// Something that fades out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dying {
    /// The ticket of the batch with which it began.
    pub batch: u64,
    /// The frame at which it has, as soon as that batch is home.
    pub ends: Option<u64>,
}

impl Dying {
    pub(super) fn is_over(&self, now: u64) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }
}

/// A term as it outlives plans.
pub struct TermState {
    pub output: usize,
    pub input: usize,
    pub rank: Rank,
    /// Whether it need not arrive when the others do.
    pub exempt: bool,
    /// The gain that its link has or goes to.
    pub target: f32,
    pub gain: GainSlot,
    pub life: Life,
    /// The links that it makes way for, if it leaves.
    pub awaits: Vec<EdgeId>,
    /// What travels on it and by how many frames it is delayed, if it is a MIDI link.
    pub midi: Option<(MidiSlot, u64)>,
}

impl TermState {
    /// Whether nothing passes any more at `now`. A MIDI link must have seen the block in which it ends its notes.
    fn is_over(&self, now: u64) -> bool {
        let now = if self.midi.is_some() { now.saturating_sub(1) } else { now };
        matches!(self.life, Life::Yielding(dying) | Life::Leaving(dying) if dying.is_over(now))
    }
}

/// The terms of a link or internal connection.
pub(super) fn terms_of(
    terms: &BTreeMap<TermId, TermState>,
    edge: EdgeId,
) -> impl Iterator<Item = (&TermId, &TermState)> {
    terms.range(first_of(edge)..).take_while(move |(id, _)| id.edge == edge)
}

/// The same, to be changed.
pub(super) fn terms_of_mut(
    terms: &mut BTreeMap<TermId, TermState>,
    edge: EdgeId,
) -> impl Iterator<Item = (&TermId, &mut TermState)> {
    terms.range_mut(first_of(edge)..).take_while(move |(id, _)| id.edge == edge)
}

/// What comes before all terms of a link.
fn first_of(edge: EdgeId) -> TermId {
    let first = InstanceId { stage: StageId { node: NodeId(0), stage: Stage::Player }, generation: 0 };
    TermId { edge, from: first, to: first, delay: 0 }
}

/// The memory of a feedback.
pub struct Loop {
    pub slot: LoopSlot,
    /// The node's delay and channels that it was made for.
    made_for: (u64, u16),
}

/// A delay line behind one output.
pub struct Line {
    pub slot: LineSlot,
    /// The longest delay that it is good for.
    pub capacity: u64,
    /// When it began to fill; a line of the first plan is full of the silence that was before.
    pub since: Option<Moment>,
}

/// What outlives plans.
pub struct Rack {
    pub(super) token: TokenId,
    pub(super) rate: Rate,
    pub(super) max_block: usize,
    pub(super) observed: Observed,
    pub(super) workshop: Box<dyn Workshop>,
    loops: BTreeMap<NodeId, Loop>,
    /// The gains of links that are to come: from which stage time on, and by which frame they hold in any case.
    pub(super) timed_gains: BTreeMap<EdgeId, Vec<(u64, u64)>>,
    /// The term that each link has or goes over to.
    pub(super) heard: BTreeMap<EdgeId, TermId>,
    /// Whether connections that were held back are still to be aligned.
    pub(super) unsettled: bool,
    /// When everything is aligned, as it was said last.
    pub(super) settles: Option<Moment>,
    pub(super) instances: BTreeMap<InstanceId, Instance>,
    pub(super) current: BTreeMap<StageId, InstanceId>,
    pub(super) terms: BTreeMap<TermId, TermState>,
    pub(super) lines: BTreeMap<(InstanceId, usize), Vec<Line>>,
    /// The line that each delayed term reads.
    pub(super) line_of: BTreeMap<TermId, LineSlot>,
    pub(super) clips: BTreeMap<ClipId, Arc<dyn ClipSource>>,
    /// Clips that fade out, and when they have.
    pub(super) dying_clips: BTreeMap<NodeId, Vec<(PlacedClip, Dying)>>,
    /// Whether nothing was heard before: then nothing fades.
    pub(super) first: bool,
    /// Whether a term fades out, so that it need not be looked for all the time.
    fading: bool,
    generations: u32,
    /// The ticket of the batch that is being made.
    pub(super) batch: u64,
}

impl Rack {
    /// An empty rack for the engine whose token is `token`.
    pub fn new(token: TokenId, rate: Rate, max_block: usize, workshop: Box<dyn Workshop>) -> Self {
        Self {
            token,
            rate,
            max_block,
            observed: Observed::default(),
            workshop,
            loops: BTreeMap::new(),
            timed_gains: BTreeMap::new(),
            heard: BTreeMap::new(),
            unsettled: false,
            settles: None,
            instances: BTreeMap::new(),
            current: BTreeMap::new(),
            terms: BTreeMap::new(),
            lines: BTreeMap::new(),
            line_of: BTreeMap::new(),
            clips: BTreeMap::new(),
            dying_clips: BTreeMap::new(),
            first: true,
            fading: false,
            generations: 0,
            batch: 0,
        }
    }

    /// The longest block that processors are built for, in frames.
    pub fn max_block(&self) -> usize {
        self.max_block
    }

    /// Says which batch is being made: what begins to fade out does so with it.
    pub fn begin(&mut self, ticket: u64) {
        self.batch = ticket;
    }

    /// A fade-out that begins with the batch that is being made.
    pub(super) fn dying(&self) -> Dying {
        Dying { batch: self.batch, ends: None }
    }

    /// Notes at which frame a term that began to fade out with a batch has.
    pub fn term_fades_until(&mut self, id: &TermId, batch: u64, ends: u64) {
        if let Some(dying) = self.terms.get_mut(id).and_then(|term| term.life.dying())
            && dying.batch == batch
        {
            dying.ends = Some(ends);
        }
    }

    /// Whether a compile at `now` could drop something that has faded out.
    pub fn has_silent(&self, now: u64) -> bool {
        self.fading && self.terms.values().any(|term| term.is_over(now))
    }

    /// Drops the terms that have faded out.
    pub(super) fn forget_silent(&mut self, now: u64) {
        self.terms.retain(|_, term| !term.is_over(now));
        self.timed_gains.retain(|_, gains| {
            gains.retain(|(_, done)| *done > now);
            !gains.is_empty()
        });
        let terms = &self.terms;
        self.heard.retain(|_, id| terms.contains_key(id));
    }

    /// The memory of a feedback, made anew if its delay is another.
    fn loop_line(&mut self, node: &Node) -> LoopSlot {
        let made_for = (stored(node), node.channels);
        if let Some(known) = self.loops.get(&node.id).filter(|known| known.made_for == made_for) {
            return known.slot.clone();
        }
        let line = LoopLine::new(usize::from(node.channels), made_for.0 as usize, self.max_block);
        let slot = Arc::new(Slot::new(self.token, line));
        self.loops.insert(node.id, Loop { slot: slot.clone(), made_for });
        slot
    }

    /// Builds the stages that are not there yet; those that are no longer wanted become ghosts. Answers with those
    /// that stay and have another timing.
    pub(super) fn build_instances(
        &mut self,
        session: &Session,
        graph: &Graph,
        arrivals: &Arrivals,
    ) -> Vec<Retiming> {
        let mut retimings = Vec::new();
        self.loops.retain(|node, _| session.nodes.contains_key(node));
        self.current.retain(|stage, id| {
            let stays = graph.find(stage).is_some();
            if !stays && let Some(instance) = self.instances.get_mut(id) {
                instance.ghost = true;
            }
            stays
        });
        let nodes = session.nodes.values();
        let of_nodes = nodes.flat_map(|node| Stage::of(node.kind).iter().map(move |_| node));
        for ((stage, timing), node) in arrivals.stages.iter().zip(of_nodes) {
            let timing = *timing;
            let tap = if stage.stage == Stage::FeedbackOut { arrivals.tap(session, node.id) } else { 0 };
            let known = self.current.get(stage);
            if let Some((id, instance)) = known.and_then(|id| Some((id, self.instances.get_mut(id)?))) {
                let same = Arc::ptr_eq(&instance.node, node) || same_structure(&instance.node, node);
                if same && instance.tap == tap {
                    instance.node = node.clone();
                    retimings.extend(instance.retime(*id, timing));
                    continue;
                }
                instance.ghost = true;
            }
            let mut id = InstanceId { stage: *stage, generation: 0 };
            if self.instances.contains_key(&id) {
                self.generations += 1;
                id.generation = self.generations;
            }
            let instance = self.build(*stage, node, timing, tap, session);
            self.instances.insert(id, instance);
            self.current.insert(*stage, id);
        }
        retimings
    }

    fn build(
        &mut self,
        stage: StageId,
        node: &Arc<Node>,
        timing: Timing,
        tap: u64,
        session: &Session,
    ) -> Instance {
        let mut lane = None;
        let (work, meter) = match stage.stage {
            Stage::Whole(NodeKind::Input) => (Work::Capture { first: first_channel(node) }, None),
            Stage::FeedbackIn => (Work::Take(self.loop_line(node)), None),
            Stage::FeedbackOut => {
                (Work::Give { line: self.loop_line(node), tap, longest: stored(node) }, None)
            }
            kind => {
                let mut playlist = if kind == Stage::Player { self.playlist(node) } else { Playlist::new() };
                // What fades out does so in the player that has played it.
                playlist.retain(|clip| !clip.dying);
                let built = self.workshop.build(Order {
                    stage: kind,
                    node,
                    rate: self.rate,
                    tempo: session.tempo,
                    signature: session.signature,
                    control: session.control(node.id),
                    max_block: self.max_block,
                    playlist,
                });
                lane = self.workshop.lateness(kind, node).map(|policy| Shape {
                    policy,
                    inputs: kind.inputs(node),
                    outputs: kind.outputs(node),
                    midi_outputs: kind.ports(node, Direction::Out, Signal::Midi),
                    latency: timing.latency,
                    max_block: self.max_block,
                    later: u64::from(session.max_block),
                });
                let unit = Unit::new(built.processor, lane.map(Lane::new));
                (Work::Process(Arc::new(Slot::new(self.token, unit))), built.meter)
            }
        };
        let warm_up = stage.stage.warm_up(node, self.rate);
        let ready = Moment::new(self.batch, Lead::default());
        Instance {
            node: node.clone(),
            work,
            meter,
            vitals: Arc::default(),
            time: Arc::new(Slot::new(self.token, StageTime::new(timing.arrival))),
            timing,
            lane,
            tap,
            warm_up,
            ready,
            ghost: false,
            new: true,
        }
    }

    /// A term of a link at `gain`, heard at once or not yet.
    pub(super) fn gain(&self, gain: f32, is_heard: bool) -> GainSlot {
        Arc::new(Slot::new(self.token, Gain::new(gain, is_heard)))
    }

    /// A MIDI link on which nothing travels yet.
    pub(super) fn midi_line(&self) -> MidiSlot {
        Arc::new(Slot::new(self.token, Default::default()))
    }

    /// Drops the ghosts that nobody hears any more, with what enters them.
    pub(super) fn forget_unheard(&mut self) {
        if !self.instances.values().any(|instance| instance.ghost) {
            return;
        }
        let mut entering: BTreeMap<InstanceId, Vec<InstanceId>> = BTreeMap::new();
        for id in self.terms.keys() {
            entering.entry(id.to).or_default().push(id.from);
        }
        // What takes in for a feedback is heard as long as what gives it back.
        let mut takes: BTreeMap<*const Slot<LoopLine>, Vec<InstanceId>> = BTreeMap::new();
        for (id, instance) in &self.instances {
            if let Work::Take(line) = &instance.work {
                takes.entry(Arc::as_ptr(line)).or_default().push(*id);
            }
        }
        // A ghost that ends in the driver is heard as long as anything enters it.
        let is_root =
            |id: &InstanceId, ghost: bool| !ghost || id.stage.stage.is_sink() && entering.contains_key(id);
        let mut open: Vec<InstanceId> = self
            .instances
            .iter()
            .filter(|(id, instance)| is_root(id, instance.ghost))
            .map(|(id, _)| *id)
            .collect();
        let mut heard: HashSet<InstanceId> = open.iter().copied().collect();
        while let Some(id) = open.pop() {
            let feeds = match self.instances.get(&id).map(|instance| &instance.work) {
                Some(Work::Give { line, .. }) => takes.get(&Arc::as_ptr(line)),
                _ => None,
            };
            let sources = entering.get(&id).into_iter().chain(feeds).flatten();
            open.extend(sources.filter(|source| heard.insert(**source)));
        }
        self.instances.retain(|id, _| heard.contains(id));
        self.terms.retain(|id, _| heard.contains(&id.from) && heard.contains(&id.to));
    }

    /// Leaves out connections that wait for others to have faded out.
    pub(super) fn hold_back(&mut self, held: &BTreeSet<TermId>) {
        held.iter().for_each(|id| drop(self.terms.remove(id)));
        self.heard.retain(|_, id| !held.contains(id));
    }

    /// Gives a delayed term a line behind the output that it leaves, made if there is none that is good for its
    /// delay. Answers when its tap has nothing of the line's empty beginning in it any more.
    pub(super) fn line(&mut self, id: TermId, output: usize) -> Lead {
        let delay = id.delay;
        let full = |line: &Line| line.since.map_or(Lead::default(), |since| since.lead(delay));
        let lines = self.lines.entry((id.from, output)).or_default();
        // The one that it has, if it has one.
        let own =
            self.line_of.get(&id).and_then(|own| lines.iter().find(|line| Arc::ptr_eq(&line.slot, own)));
        if let Some(line) = own.or_else(|| lines.iter().find(|line| line.capacity >= delay)) {
            self.line_of.insert(id, line.slot.clone());
            return full(line);
        }
        // Room to grow: a latency that creeps up does not need a new line at every step.
        let capacity = delay.next_power_of_two().max(256);
        let made = DelayLine::new(capacity as usize, self.max_block);
        let since = (!self.first).then(|| Moment::new(self.batch, Lead::default()));
        let line = Line { slot: Arc::new(Slot::new(self.token, made)), capacity, since };
        let lead = full(&line);
        self.line_of.insert(id, line.slot.clone());
        lines.push(line);
        lead
    }

    /// Notes at which frame a batch with a plan applied.
    pub fn plan_applied(&mut self, batch: u64, frame: u64) {
        self.instances.values_mut().for_each(|instance| instance.ready.applied(batch, frame));
        let lines = self.lines.values_mut().flatten().filter_map(|line| line.since.as_mut());
        lines.for_each(|since| since.applied(batch, frame));
        if let Some(settles) = &mut self.settles {
            settles.applied(batch, frame);
        }
    }

    /// Notes when everything is aligned, now that a batch has changed delays, and answers it: not before what still
    /// waits to go over to the delays before has.
    pub(super) fn settle(&mut self, everywhere: Lead) -> Lead {
        let waits =
            |term: &TermState| matches!(term.life, Life::Yielding(dying) if dying.batch != self.batch);
        let before = self.settles.filter(|_| self.terms.values().any(waits));
        let lead = before.map_or(everywhere, |before| everywhere.and(before.lead(0)));
        self.settles = Some(Moment::new(self.batch, lead));
        lead
    }

    /// Drops the lines that no term reads.
    pub(super) fn forget_unused_lines(&mut self) {
        let terms = &self.terms;
        self.line_of.retain(|id, _| terms.contains_key(id));
        let line_of = &self.line_of;
        let used: BTreeSet<*const Slot<DelayLine>> = line_of.values().map(Arc::as_ptr).collect();
        self.lines.retain(|_, lines| {
            lines.retain(|line| used.contains(&Arc::as_ptr(&line.slot)));
            !lines.is_empty()
        });
    }

    /// What was new in this compile is not any more.
    pub(super) fn settle_in(&mut self) {
        self.first = false;
        self.fading = self.terms.values().any(|term| term.life != Life::Live);
        self.instances.values_mut().for_each(|instance| instance.new = false);
    }

    /// The processors of a node, for messages to it: those that it has, and those that are heard until these are.
    pub fn units<'a>(&'a self, node: &Node) -> impl Iterator<Item = Addressee> + use<'a> {
        let id = node.id;
        let of_stage = move |stage: &Stage| {
            let stage = StageId { node: id, stage: *stage };
            let first = InstanceId { stage, generation: 0 };
            let last = InstanceId { stage, generation: u32::MAX };
            self.instances.range(first..=last).filter_map(move |(id, instance)| match &instance.work {
                Work::Process(unit) => Some(Addressee {
                    stage: id.stage.stage,
                    unit: unit.clone(),
                    vitals: instance.vitals.clone(),
                }),
                _ => None,
            })
        };
        Stage::of(node.kind).iter().flat_map(of_stage)
    }

    /// The stages that are in the session, with what can be seen of them.
    pub fn vitals(&self) -> impl Iterator<Item = (&InstanceId, &Instance)> {
        self.current.values().filter_map(|id| Some((id, self.instances.get(id)?)))
    }

    /// Notes what a node has reported as its latency.
    pub fn report_latency(&mut self, node: NodeId, frames: u64) {
        self.observed.reported.insert(node, frames);
    }

    /// What is known of latencies beside the session.
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// The meters of the nodes that have one, in the order of the nodes.
    pub fn meters(&self) -> impl Iterator<Item = (&Arc<Node>, &Arc<Meter>)> {
        let instances = self.current.values().filter_map(|id| self.instances.get(id));
        instances.filter_map(|instance| Some((&instance.node, instance.meter.as_ref()?)))
    }

    /// How many processors, lines and terms there are, ghosts included; for tests of what is left over.
    pub fn census(&self) -> (usize, usize, usize) {
        (self.instances.len(), self.lines.values().map(Vec::len).sum(), self.terms.len())
    }
}

/// The driver's channel of a node's first port, from 0.
pub(super) fn first_channel(node: &Node) -> usize {
    (params::number(node, "first_channel").unwrap_or(1.0) as usize).saturating_sub(1)
}

/// A processor to which messages can be sent.
pub struct Addressee {
    /// Its stage.
    pub stage: Stage,
    /// The processor.
    pub unit: crate::plan::UnitSlot,
    /// What can be seen of it.
    pub vitals: Arc<Vitals>,
}

impl Instance {
    /// Notes another timing; answers with what the audio thread must know of it.
    fn retime(&mut self, stage: InstanceId, timing: Timing) -> Option<Retiming> {
        let before = std::mem::replace(&mut self.timing, timing);
        let dry = self.lane.as_mut().filter(|shape| shape.latency != timing.latency).and_then(|shape| {
            let Work::Process(unit) = &self.work else { return None };
            shape.latency = timing.latency;
            Some((unit.clone(), Lane::dry_lines(shape, timing.latency), timing.latency))
        });
        (before.arrival != timing.arrival || dry.is_some()).then(|| Retiming {
            stage,
            time: self.time.clone(),
            arrival: timing.arrival,
            when: Lead::default(),
            dry,
        })
    }

    /// How many frames it takes, once built, until what it puts out has nothing of its empty beginning in it.
    pub(super) fn settles_after(&self) -> u64 {
        self.warm_up.max(self.timing.latency)
    }
}

/// Whether a processor that was built for `a` can go on as one of `b`.
fn same_structure(a: &Node, b: &Node) -> bool {
    a.channels == b.channels && !params::changed(a, b).any(|param| param.effect == Effect::Rebuilds)
}
