//! What is heard of a stage whose work is done by somebody else, when it is late.

use aulos_nodes::{Fade, Held, Lateness, MidiBuffer, MidiQueue};

use super::delay_line::DelayLine;

/// What a lane is made for.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// What is heard when the work is late.
    pub policy: Lateness,
    /// Audio inputs of the stage.
    pub inputs: usize,
    /// Audio outputs of the stage.
    pub outputs: usize,
    /// MIDI outputs of the stage.
    pub midi_outputs: usize,
    /// The latency that the stage reports, in frames.
    pub latency: u64,
    /// The longest block.
    pub max_block: usize,
    /// How many frames later a pipelined stage is heard.
    pub later: u64,
}

/// A block that was started before.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    /// Its first frame.
    pub frame: u64,
    /// Its length.
    pub frames: usize,
    /// Whether it is done already.
    pub done: bool,
}

/// What went into a stage, as late as the stage lets it out.
struct Dry {
    /// Lines for the latency that it has, and for the one that it had or will have.
    lines: [Vec<DelayLine>; 2],
    latency: [u64; 2],
    /// Which of them are heard,
    present: usize,
    /// and how much the others are.
    other: Fade,
}

impl Dry {
    fn new(lines: Vec<DelayLine>, latency: u64) -> Self {
        Self { lines: [lines, Vec::new()], latency: [latency; 2], present: 0, other: Fade::still(0.0) }
    }

    fn change(&mut self, lines: &mut Vec<DelayLine>, latency: u64, frame: u64, fade: u64) {
        // Of two changes within a fade the first is cut short.
        if self.other.start() < frame && self.other.target() == 1.0 {
            self.present = 1 - self.present;
        }
        let other = 1 - self.present;
        std::mem::swap(&mut self.lines[other], lines);
        self.latency[other] = latency;
        // From then on nothing of the empty beginning of the lines is heard.
        self.other = Fade::new(0.0, 1.0, frame + latency, fade);
    }

    /// A block of a channel that begins at `frame`, the last that was heard.
    fn samples(&self, channel: usize, frame: u64, frames: usize) -> impl Iterator<Item = f32> {
        let taps = [self.present, 1 - self.present].map(|which| {
            let (a, b): (&[f32], &[f32]) = match self.lines[which].get(channel) {
                Some(line) => line.tap(self.latency[which] as usize, frames, 0, frames),
                None => (&[], &[]),
            };
            a.iter().chain(b).copied().chain(std::iter::repeat(0.0))
        });
        let [present, other] = taps;
        present.zip(other).zip(frame..).map(|((present, other), n)| match self.other.at(n) {
            0.0 => present,
            1.0 => other,
            share => present * (1.0 - share) + other * share,
        })
    }

    /// Goes on with the others when they have taken over by `frame`.
    fn settle(&mut self, frame: u64) {
        if self.other.target() == 1.0 && self.other.is_still(frame) {
            self.present = 1 - self.present;
            self.other = Fade::still(0.0);
        }
    }
}

/// Lets a stage go when it is late and come back with a fade, so that it costs nobody else anything.
pub struct Lane {
    shape: Shape,
    /// 1 where the stage itself is heard, 0 where what stands in for it is.
    own: Fade,
    /// The last sample of each output of the stage itself: where a fade-out begins when the samples are missing.
    last: Vec<f32>,
    /// The inputs, to be heard as late as the stage would have let them out.
    dry: Dry,
    held: Vec<Held>,
    /// Where a pipelined stage renders, until its block is over.
    pub staging: Vec<Vec<f32>>,
    /// The same for MIDI.
    pub midi_staging: Vec<Option<MidiBuffer>>,
    later: Vec<DelayLine>,
    midi_later: Vec<MidiQueue>,
    /// The pipelined block that is on its way.
    pub started: Option<Started>,
}

impl Lane {
    /// [control thread] Takes all memory that the lane will need.
    pub fn new(shape: Shape) -> Self {
        let pipelined = if shape.policy == Lateness::Pipelined { shape.outputs } else { 0 };
        let midi = if shape.policy == Lateness::Pipelined { shape.midi_outputs } else { 0 };
        let later = shape.later as usize;
        Self {
            own: Fade::still(1.0),
            last: vec![0.0; shape.outputs],
            dry: Dry::new(Self::dry_lines(&shape, shape.latency), shape.latency),
            held: vec![Held::default(); shape.midi_outputs],
            staging: vec![vec![0.0; shape.max_block]; pipelined],
            midi_staging: (0..midi).map(|_| Some(MidiBuffer::new())).collect(),
            later: (0..pipelined).map(|_| DelayLine::new(later, shape.max_block)).collect(),
            midi_later: (0..midi).map(|_| MidiQueue::default()).collect(),
            started: None,
            shape,
        }
    }

    /// [control thread] Lines for the inputs of a stage of another latency; see [`Lane::change_latency`].
    pub fn dry_lines(shape: &Shape, latency: u64) -> Vec<DelayLine> {
        let lines = if shape.policy == Lateness::Dry { shape.inputs.min(shape.outputs) } else { 0 };
        (0..lines).map(|_| DelayLine::new(latency as usize, shape.max_block)).collect()
    }

    /// [audio thread] What stands in for the stage goes over to another latency, as soon as `lines` are full. In
    /// `lines` are then some that are not used any more.
    pub fn change_latency(&mut self, lines: &mut Vec<DelayLine>, latency: u64, frame: u64, fade: u64) {
        self.dry.change(lines, latency, frame, fade);
    }

    /// Whether the stage has a block more of time.
    pub fn is_pipelined(&self) -> bool {
        self.shape.policy == Lateness::Pipelined
    }

    /// [audio thread] Takes in what enters the stage in a block.
    pub fn hear<'a>(&mut self, input: impl Fn(usize) -> &'a [f32]) {
        for lines in &mut self.dry.lines {
            lines.iter_mut().enumerate().for_each(|(channel, line)| line.push(input(channel)));
        }
    }

    /// [audio thread] Makes of the outputs of a block what is heard: the stage itself if it was in time, else
    /// what stands in for it, and fades between them. A stage that is late is heard again when it has faded out
    /// and is in time.
    pub fn settle(
        &mut self,
        frame: u64,
        in_time: bool,
        outputs: &mut [impl AsMut<[f32]>],
        frames: usize,
        fade: u64,
    ) {
        let gone = self.own.is_silent(frame);
        if !in_time && self.own.target() != 0.0 {
            self.own.turn(0.0, frame, frame, fade);
        } else if in_time && gone {
            self.own.turn(1.0, frame, frame, fade);
        }
        let is_heard = in_time && self.own.target() == 1.0;
        for (channel, output) in outputs.iter_mut().enumerate() {
            let output = &mut output.as_mut()[..frames];
            if is_heard {
                self.last[channel] = output.last().copied().unwrap_or(0.0);
                if self.own.is_still(frame) {
                    continue;
                }
            }
            let dry = self.dry.samples(channel, frame, frames);
            for ((y, dry), n) in output.iter_mut().zip(dry).zip(frame..) {
                let own = if is_heard { *y } else { self.last[channel] };
                // Before and behind the fade everything is as it is, down to the sign of a zero.
                *y = match self.own.at(n) {
                    1.0 => own,
                    0.0 => dry,
                    gain => own * gain + dry * (1.0 - gain),
                };
            }
        }
        self.dry.settle(frame + frames as u64);
    }

    /// [audio thread] The same for MIDI: of a stage that is not heard, every note ends.
    pub fn settle_midi(&mut self, in_time: bool, outputs: &mut [Option<MidiBuffer>]) {
        let is_heard = in_time && self.own.target() == 1.0;
        for (held, out) in self.held.iter_mut().zip(outputs) {
            let Some(out) = out else { continue };
            if is_heard {
                out.iter().for_each(|(_, message)| held.note(message));
            } else {
                out.clear();
                held.end_all(0, out);
            }
        }
    }

    /// [audio thread] Puts the pipelined block that is over on its way.
    pub fn send(&mut self, started: Started) {
        for (line, staging) in self.later.iter_mut().zip(&self.staging) {
            line.push(&staging[..started.frames]);
        }
        for (queue, staging) in self.midi_later.iter_mut().zip(&mut self.midi_staging) {
            let Some(staging) = staging else { continue };
            let from = started.frame + self.shape.later;
            staging.iter().for_each(|(at, message)| queue.push(from + at as u64, message));
            staging.clear();
        }
    }

    /// [audio thread] How many messages found no room on their way since this was asked last.
    pub fn take_dropped(&mut self) -> u64 {
        self.midi_later.iter_mut().map(MidiQueue::take_dropped).sum()
    }

    /// [audio thread] What is heard now of what was put on its way before.
    pub fn receive(
        &mut self,
        frame: u64,
        frames: usize,
        before: usize,
        outputs: &mut [Vec<f32>],
        midi: &mut [Option<MidiBuffer>],
    ) {
        for (line, output) in self.later.iter().zip(outputs) {
            let (a, b) = line.tap(self.shape.later as usize - before, before, 0, frames);
            output[..a.len()].copy_from_slice(a);
            output[a.len()..frames].copy_from_slice(b);
        }
        for (queue, out) in self.midi_later.iter_mut().zip(midi) {
            let end = frame + frames as u64;
            match out {
                Some(out) => queue.pop(frame, end, |at, message| out.push(at, message)),
                None => queue.pop(frame, end, |_, _| true),
            }
        }
    }
}
