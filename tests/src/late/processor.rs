//! The processor of a node whose work somebody else does.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use aulos_engine::Clock;
use aulos_nodes::{Cycle, Io, Midi, MidiBuffer, Patch, Progress, Setting};

use super::{BLOCKS, Block, Log, Script, TestClock, When};

/// What must never be heard: the result of a block that was given up.
const STALE: f32 = 1000.0;

/// What a processor is made for.
pub struct Shape {
    pub inputs: usize,
    pub outputs: usize,
    pub max_block: usize,
}

/// What the processor that it stands for was given and has made of it.
struct Result {
    input: Vec<Vec<f32>>,
    places: Vec<usize>,
    midi_input: [MidiBuffer; 1],
    output: Vec<Vec<f32>>,
    midi_output: [Option<MidiBuffer>; 1],
}

/// Does what another processor does, and gives it out when the script says so.
///
/// The work itself is done at the start of every block, so that one that comes too late leaves no trace in the
/// processor: back in time, it is where it would be if it had never been late.
pub struct Processor {
    processor: Box<dyn aulos_nodes::Processor>,
    script: Script,
    clock: Arc<TestClock>,
    log: Arc<Log>,
    result: Result,
    /// When the present block is done, if it is being waited for.
    awaited: Option<When>,
    started: u64,
    /// How many times the present block was looked for.
    looks: u64,
    /// When the block that was given up last is done after all, which it then says twice.
    given_up: Option<u64>,
    stale: u64,
}

impl Processor {
    pub fn new(
        processor: Box<dyn aulos_nodes::Processor>,
        shape: Shape,
        script: Script,
        clock: Arc<TestClock>,
        log: Arc<Log>,
    ) -> Self {
        let buffers = |count| vec![vec![0.0; shape.max_block]; count];
        let result = Result {
            input: buffers(shape.inputs),
            places: (0..shape.inputs).collect(),
            midi_input: [MidiBuffer::new()],
            output: buffers(shape.outputs),
            midi_output: [Some(MidiBuffer::new())],
        };
        let (awaited, given_up) = (None, None);
        Self { processor, script, clock, log, result, awaited, started: 0, looks: 0, given_up, stale: 0 }
    }

    /// Has the block rendered.
    fn render(&mut self, cycle: &Cycle<'_>, io: &Io<'_>) {
        let Result { input, places, midi_input, output, midi_output } = &mut self.result;
        for (channel, input) in input.iter_mut().enumerate() {
            input[..cycle.frames].copy_from_slice(io.input(channel));
        }
        midi_input[0].clear();
        for (at, message) in io.midi_in(0).into_iter().flat_map(|input| input.iter()) {
            midi_input[0].push(at, message);
        }
        midi_output.iter_mut().flatten().for_each(MidiBuffer::clear);
        let midi = Midi { pool: midi_input, inputs: &[0], outputs: midi_output };
        let mut own = Io::new(input, places, output, cycle.frames).with_midi(midi);
        self.processor.start(cycle, &mut own);
        for (frame, sample) in self.script.odd.range(cycle.frame..cycle.frame + cycle.frames as u64) {
            output.iter_mut().for_each(|output| output[(frame - cycle.frame) as usize] = *sample);
        }
    }

    fn give_out(&mut self, frames: usize, io: &mut Io<'_>) -> Progress {
        for (channel, output) in self.result.output.iter().enumerate() {
            io.output(channel).copy_from_slice(&output[..frames]);
        }
        if let (Some(out), [Some(made)]) = (io.midi_out(0), &self.result.midi_output) {
            out.clear();
            for (at, message) in made.iter() {
                out.push(at, message);
            }
        }
        self.awaited = None;
        self.note(|block, now| block.done = Some(now));
        Progress::Done
    }

    /// Somebody looks while the block is not done: they find what is left of another, which is not to be heard.
    fn keep_waiting(&mut self, io: &mut Io<'_>) -> Progress {
        (0..io.outputs()).for_each(|channel| io.output(channel).fill(STALE));
        if let Some(out) = io.midi_out(0) {
            out.clear();
            out.push(0, &[0x90, 1, 1]);
        }
        Progress::Pending
    }

    fn note(&self, note: impl Fn(&mut Block, u64)) {
        if let Some(block) = self.log.blocks_mut().last_mut() {
            note(block, self.clock.now());
        }
    }

    fn is_done(&mut self) -> bool {
        let now = self.clock.now();
        if self.given_up.is_some_and(|done| done <= now) {
            self.log.stale.fetch_add(1, Relaxed);
            self.stale += 1;
            if self.stale == 2 {
                (self.given_up, self.stale) = (None, 0);
            }
        }
        match self.awaited {
            Some(When::AtOnce) => true,
            Some(When::Looks(looks)) => self.looks >= looks,
            Some(When::After(ns)) => now >= self.started + ns,
            Some(When::Never) | None => false,
        }
    }
}

impl aulos_nodes::Processor for Processor {
    fn start(&mut self, cycle: &Cycle<'_>, io: &mut Io<'_>) -> Progress {
        if self.awaited.is_some() {
            self.log.faults.fetch_add(1, Relaxed);
        }
        self.render(cycle, io);
        let stall: u64 =
            self.script.stalls.range(cycle.frame..cycle.frame + cycle.frames as u64).map(|(_, ns)| ns).sum();
        self.clock.pass(self.script.cost + stall);
        self.started = self.clock.now();
        let (frame, frames, started) = (cycle.frame, cycle.frames, self.started);
        {
            let mut blocks = self.log.blocks_mut();
            assert!(blocks.len() < BLOCKS, "the log is full");
            blocks.push(Block { frame, frames, started, polled: None, done: None, abandoned: None });
        }
        self.awaited = Some(self.script.at(frame));
        self.looks = 0;
        let at_once = self.awaited == Some(When::AtOnce);
        if self.is_done() && at_once { self.give_out(frames, io) } else { self.keep_waiting(io) }
    }

    fn poll(&mut self, cycle: &Cycle<'_>, io: &mut Io<'_>) -> Progress {
        self.note(|block, now| block.polled = Some((block.polled.map_or(now, |(first, _)| first), now)));
        if self.awaited.is_none() {
            // Who looks again, for whatever reason, hears that it is done, and finds what is not to be heard.
            self.log.faults.fetch_add(1, Relaxed);
            self.keep_waiting(io);
            return Progress::Done;
        }
        self.looks += 1;
        if self.is_done() { self.give_out(cycle.frames, io) } else { self.keep_waiting(io) }
    }

    fn abandon(&mut self) {
        let Some(awaited) = self.awaited.take() else {
            self.log.faults.fetch_add(1, Relaxed);
            return;
        };
        if let When::After(ns) = awaited {
            (self.given_up, self.stale) = (Some(self.started + ns), 0);
        }
        self.note(|block, now| block.abandoned = Some(now));
    }

    fn set(&mut self, setting: &Setting) {
        self.processor.set(setting);
    }

    fn take_dropped(&mut self) -> u64 {
        self.processor.take_dropped()
    }

    fn patch(&mut self, patch: &mut Patch, frame: u64, fade: u64) {
        self.processor.patch(patch, frame, fade);
    }
}
