//! Compiles sessions as the engine does, and writes plans so that they can be checked by eye.

use std::{fmt::Write, sync::Arc};

use aulos_engine::{
    ClipLibrary,
    audio::slot::Token,
    compile::{Compiled, Lead, Rack, compile},
    handoff::{Turn, start_fades},
    plan::{Input, InstanceId, MidiTerm, Plan, Task, Term, TermId, Work},
    session,
};
use aulos_nodes::{BuiltIn, ClipSource, Cycle, Workshop};
use aulos_protocol::{Clip, Command, Error, ErrorCode, Rate, Session, ports};

struct NoFiles;

impl ClipLibrary for NoFiles {
    fn open(&mut self, clip: &Clip, _: Rate) -> Result<Arc<dyn ClipSource>, Error> {
        Err(Error::new(ErrorCode::NotFound, clip.file.clone()))
    }
}

/// What compiles: a session and what outlives its plans.
pub struct Bench {
    token: Token,
    rack: Rack,
    session: Session,
    ticket: u64,
    frame: u64,
}

impl Bench {
    /// A session made by commands, and its first plan under a drawing.
    pub fn new(drawing: &str, commands: Vec<Command>) -> (Self, String) {
        Self::with(drawing, commands, Box::new(BuiltIn))
    }

    /// The same with processors from elsewhere.
    pub fn with(drawing: &str, commands: Vec<Command>, workshop: Box<dyn Workshop>) -> (Self, String) {
        let session = aulos_tests::commands::session(commands);
        let token = Token::default();
        let mut rack = Rack::new(token.id(), session.rate, 64, workshop);
        rack.open_clips(None, &session, &mut NoFiles);
        rack.begin(1);
        let compiled = compile(&mut rack, &session, 0, session.fade_frames());
        let mut bench = Self { token, rack, session, ticket: 1, frame: 0 };
        let text = format!("{}\n\n{}", drawing.trim_matches('\n'), bench.write(&compiled));
        bench.apply(compiled);
        (bench, text)
    }

    /// What an edit makes of the plan, at a frame at which everything before it has ended.
    pub fn edit(&mut self, command: &Command) -> String {
        self.frame += 100_000;
        (self.session, _) = session::apply(&self.session, command).unwrap_or_else(|e| panic!("{e:?}"));
        self.compile(&format!("edit: {}", command.title()))
    }

    /// The plan when `frames` more have passed.
    pub fn after(&mut self, frames: u64) -> String {
        self.frame += frames;
        self.compile(&format!("{frames} frames later"))
    }

    fn compile(&mut self, title: &str) -> String {
        self.ticket += 1;
        self.rack.begin(self.ticket);
        let compiled = compile(&mut self.rack, &self.session, self.frame, self.session.fade_frames());
        let text = format!("{title}\n\n{}", self.write(&compiled));
        self.apply(compiled);
        text
    }

    /// As the audio thread would take the plan over at the present frame.
    fn apply(&mut self, compiled: Compiled) {
        let (frame, len) = (self.frame, self.session.fade_frames());
        self.rack.plan_applied(self.ticket, frame);
        let mut fades = compiled.fades;
        start_fades(&compiled.heirs, &mut fades, &mut self.token, frame, len);
        for start in fades {
            self.rack.term_fades_until(&start.term, self.ticket, start.ends);
        }
    }

    fn write(&mut self, compiled: &Compiled) -> String {
        let plan = &compiled.plan;
        let mut text = String::new();
        for task in &plan.tasks {
            let latency = if task.latency > 0 { format!(" +{}", task.latency) } else { String::new() };
            let work = match &task.work {
                Work::Give { tap, .. } => format!("  gives what it took {tap} frames before"),
                _ => String::new(),
            };
            writeln!(text, "{:<14} @{}{latency}{work}", self.name(&task.id), task.arrival).unwrap();
            for (channel, input) in task.inputs.iter().enumerate() {
                self.write_input(&mut text, plan, task, channel, input);
            }
            for input in &task.midi_inputs {
                for term in &input.terms {
                    let source = self.name(&plan.tasks[term.task].id);
                    writeln!(text, "    midi_in      {source}{}", self.midi(term)).unwrap();
                }
            }
        }
        for sink in &plan.sinks {
            writeln!(text, "driver {}       {}", sink.channel + 1, self.name(&plan.tasks[sink.task].id))
                .unwrap();
        }
        if !compiled.fades.is_empty() {
            writeln!(text).unwrap();
        }
        for start in &compiled.fades {
            let what = match start.turn {
                Turn::Gain(to) => format!("goes to {to}: at once"),
                Turn::GainAt(to, at) => format!("goes to {to}: at {at}"),
                Turn::Leave(lead) => format!("fades out: {}", self.lead(lead)),
                Turn::Enter(lead) => format!("fades in: {}", self.lead(lead)),
                Turn::GiveWay(lead) => format!("gives way: {}", self.lead(lead)),
            };
            writeln!(text, "{} {what}", self.term(&start.term)).unwrap();
        }
        if let Some(lead) = compiled.realigns {
            writeln!(text, "all aligned: {}", self.lead(lead)).unwrap();
        }
        text
    }

    fn write_input(&mut self, text: &mut String, plan: &Plan, task: &Task, channel: usize, input: &Input) {
        let node = &self.session.nodes.get(&task.id.stage.node);
        let groups = node.map_or_else(Vec::new, |node| ports::groups(node.kind, node.channels));
        let mine = groups.iter().filter(|g| {
            g.direction == ports::Direction::In
                && g.signal == ports::Signal::Audio
                && task.id.stage.stage.has(g)
        });
        let name = mine.flat_map(|g| g.port_names()).nth(channel).unwrap_or_else(|| format!("#{channel}"));
        for (nth, term) in input.terms.iter().enumerate() {
            let label = if nth == 0 { name.as_str() } else { "+" };
            let source = plan.tasks[term.task].outputs.iter().position(|o| o.buffer == term.buffer).unwrap();
            let from = self.name(&plan.tasks[term.task].id);
            writeln!(text, "    {label:<12} {from}/{}{}", source + 1, self.tap(term)).unwrap();
        }
    }

    fn tap(&mut self, term: &Term) -> String {
        let now = Cycle::new(self.frame, 1, &[]);
        let gain = term.gain.get(&mut self.token).at(self.frame, &now).target();
        let delay = if term.id.delay > 0 { format!(" delayed by {}", term.id.delay) } else { String::new() };
        let gain = if gain == 1.0 { String::new() } else { format!(" x{gain}") };
        let loose = if term.aligned { "" } else { " (need not be aligned)" };
        format!("{delay}{gain}{loose}")
    }

    fn midi(&self, term: &MidiTerm) -> String {
        if term.delay > 0 { format!(" delayed by {}", term.delay) } else { String::new() }
    }

    fn lead(&self, lead: Lead) -> String {
        let known = lead.not_before.saturating_sub(self.frame);
        match lead.wait.max(known) {
            0 => "at once".into(),
            frames => format!("after {frames} frames"),
        }
    }

    fn term(&self, term: &TermId) -> String {
        let delay = if term.delay > 0 { format!(" delayed by {}", term.delay) } else { String::new() };
        format!("{} -> {}{delay}", self.name(&term.from), self.name(&term.to))
    }

    fn name(&self, id: &InstanceId) -> String {
        let node = self.session.nodes.get(&id.stage.node);
        let slug = node.map_or_else(|| format!("(gone {})", id.stage.node), |node| node.slug.to_string());
        let kind = node.map_or("", |node| node.kind.name());
        let stage = id.stage.stage.name();
        let stage = if stage == kind || node.is_none() { String::new() } else { format!(".{stage}") };
        let again = if id.generation > 0 { "'".repeat(id.generation as usize) } else { String::new() };
        format!("{slug}{stage}{again}")
    }
}
