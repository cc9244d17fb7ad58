//! What each stage makes of what it hears.

use std::{
    cell::RefCell,
    f64::consts::{PI, TAU},
    sync::Arc,
};

use aulos_nodes::{
    ClipSource, Pcm,
    dsp::{self, limiter::Limiter},
};
use aulos_protocol::{Clip, Decibels, Node, NodeKind, Session, Value, params, ports};

use super::{
    Record,
    click::Click,
    control::Control,
    first_channel,
    kernel::Kernel,
    midi::{Message, Notes, increment},
    wiring::{IN, PLAYER, Stage},
};

/// A stage's rule, with the numbers that the session gives it.
#[derive(Debug)]
pub(crate) enum Law {
    /// `out` is what the driver records, from this channel on.
    Capture { first_channel: usize, channels: u16 },
    /// `in` is what the driver plays; nothing comes out.
    Playback,
    /// The clips of a track.
    Player { channels: u16, clips: Vec<PlacedClip> },
    /// What comes in goes out.
    Pass,
    /// A sine, the same on all channels.
    Tone { channels: u16, increment: u64, level: f32 },
    /// A sine that follows notes, the same on all channels.
    Notes { channels: u16, notes: Notes, level: f32 },
    /// Clicks, the same on all channels.
    Click { channels: u16, click: Click, level: f32 },
    /// What came in `frames` ago goes out.
    Delay { frames: usize },
    /// `in` is remembered for another stage; nothing comes out.
    Memory,
    /// What another stage heard `ago` goes out.
    Echo { stage: usize, ago: usize },
    /// A strip; then perhaps a limiter, given frame by frame; then a factor.
    Master { out: Vec<f32>, limiter: Option<RefCell<Limiter>>, output: f32 },
    /// What the built-in processor makes of it, given frame by frame.
    Kernel(Kernel),
    /// Each output has a factor; one input channel feeds all outputs, more feed one each. `pre` is the factor
    /// of the tap in front of the fader, where there is one.
    /// In front of all that, each input channel has a factor by itself.
    Strip { input: Vec<f32>, pre: Option<f32>, out: Vec<f32> },
}

/// A clip whose file is there.
#[derive(Debug)]
pub(crate) struct PlacedClip {
    at: u64,
    offset: u64,
    length: u64,
    pcm: Arc<Pcm>,
    /// Channel of the file, channel of the track, factor.
    map: Vec<(u16, u16, f32)>,
}

/// The frame that is being computed.
#[derive(Clone, Copy)]
pub(crate) struct Now<'a> {
    pub frame: usize,
    /// Where on the timeline it is, while the transport rolls.
    pub position: Option<u64>,
    /// What the driver records, by channel.
    pub capture: &'a [Vec<f32>],
}

impl Law {
    /// The rule of `stage` in a session.
    pub(crate) fn of(stage: &Stage, session: &Session, files: &dyn Fn(&str) -> Option<Arc<Pcm>>) -> Self {
        let node = stage.node;
        let (channels, rate) = (node.channels, session.rate);
        match (node.kind, stage.name) {
            (NodeKind::Vca | NodeKind::Group, _) => unreachable!("{} has no stages", node.kind),
            (NodeKind::Input, _) => Self::Capture { first_channel: first_channel(node), channels },
            (NodeKind::Output, _) => Self::Playback,
            (NodeKind::Tone, _) => {
                let (frequency, level) = (number(node, "frequency"), factor(node, "level"));
                if is_on(node, "notes") {
                    Self::Notes { channels, notes: Notes::new(frequency, rate), level }
                } else {
                    Self::Tone { channels, increment: increment(frequency, rate), level }
                }
            }
            (NodeKind::Click, _) => {
                let click = Click::new(node, session);
                Self::Click { channels, click, level: factor(node, "level") }
            }
            (NodeKind::Feedback, IN) => Self::Memory,
            (NodeKind::Feedback, _) => {
                let (stage, ago) = stage.echo.expect("a feedback that is aligned");
                Self::Echo { stage, ago: ago as usize }
            }
            (NodeKind::Delay, _) => Self::Delay { frames: number(node, "frames") as usize },
            (NodeKind::Eq | NodeKind::Dynamics, _) => Self::Kernel(Kernel::new(stage, session)),
            (NodeKind::Track, PLAYER) => {
                let mut clips: Vec<_> = node.clips.iter().collect();
                clips.sort_by_key(|clip| clip.id);
                let clips = clips.into_iter().filter_map(|clip| place(clip, channels, files));
                Self::Player { channels, clips: clips.collect() }
            }
            (NodeKind::Track, "source") => Self::Pass,
            (NodeKind::Track | NodeKind::Bus, _) => {
                let silenced = is_silenced(node, stage.control) && !is_on(node, "pre_ignores_mute");
                let pre = if silenced { 0.0 } else { 1.0 };
                Self::Strip { input: inputs(node), pre: Some(pre), out: coefficients(node, stage.control) }
            }
            (NodeKind::Master, _) => {
                let limiter = is_on(node, "limiter").then(|| {
                    let ceiling = dsp::factor(number(node, "ceiling"));
                    let release = number(node, "release") / 1000.0;
                    let limiter = Limiter::new(usize::from(channels), f64::from(rate.hz()), ceiling, release);
                    RefCell::new(limiter)
                });
                let output = factor(node, "output");
                Self::Master { out: coefficients(node, stage.control), limiter, output }
            }
            (NodeKind::Send, _) => {
                let input = vec![1.0; usize::from(channels)];
                Self::Strip { input, pre: None, out: coefficients(node, stage.control) }
            }
        }
    }

    /// Appends what leaves each output of the stage `number` `now`. `heard` is everything that ever entered each
    /// of the stages.
    pub(crate) fn apply(&self, now: Now, number: usize, heard: &[Record], out: &mut Vec<f32>) {
        let Record { audio, midi } = &heard[number];
        let inputs = audio.iter().map(|input| input[now.frame]);
        match self {
            Self::Playback | Self::Memory => {}
            Self::Master { out: factors, limiter, output } => {
                let mut frame: Vec<f32> = inputs.zip(factors).map(|(x, factor)| x * factor).collect();
                if let Some(limiter) = limiter {
                    limiter.borrow_mut().next(&mut frame);
                }
                out.extend(frame.iter().map(|x| x * output));
            }
            Self::Kernel(kernel) => kernel.apply(now.frame, inputs, out),
            Self::Pass => out.extend(inputs),
            Self::Capture { first_channel, channels } => {
                out.extend((0..*channels).map(|channel| {
                    let channel = now.capture.get(first_channel + usize::from(channel));
                    channel.and_then(|samples| samples.get(now.frame)).copied().unwrap_or(0.0)
                }));
            }
            Self::Player { channels, clips } => {
                out.extend((0..*channels).map(|channel| player(clips, channel, now.position)));
            }
            Self::Tone { channels, increment, level } => {
                let sample = sine(increment.wrapping_mul(now.frame as u64)) * level;
                out.extend((0..*channels).map(|_| sample));
            }
            Self::Notes { channels, notes, level } => {
                let (sine, envelope) = notes.at(now.frame as u64, midi);
                let sample = sine * level * envelope;
                out.extend((0..*channels).map(|_| sample));
            }
            Self::Click { channels, click, level } => {
                let sample = click.sample(now.position) * level;
                out.extend((0..*channels).map(|_| sample));
            }
            Self::Delay { frames } => {
                let then = now.frame.checked_sub(*frames);
                out.extend(audio.iter().map(|input| then.map_or(0.0, |then| input[then])));
            }
            Self::Echo { stage, ago } => {
                let then = now.frame.checked_sub(*ago);
                out.extend(heard[*stage].audio.iter().map(|input| then.map_or(0.0, |then| input[then])));
            }
            Self::Strip { input, pre, out: factors } => {
                let trimmed: Vec<_> = inputs.zip(input).map(|(x, factor)| x * factor).collect();
                if let Some(pre) = pre {
                    out.extend(trimmed.iter().map(|x| x * pre));
                }
                for (channel, factor) in factors.iter().enumerate() {
                    let input = if trimmed.len() == 1 { 0 } else { channel };
                    out.push(trimmed[input] * factor);
                }
            }
        }
    }

    /// The messages that leave the stage `now`, after what it has `said` before.
    pub(crate) fn messages(&self, now: Now, heard: &[Message], said: &[Message]) -> Vec<Message> {
        match self {
            Self::Click { click, .. } => click.messages(now, said),
            Self::Delay { frames } => {
                let frame = now.frame as u64;
                let due = heard.iter().filter(|message| message.frame + *frames as u64 == frame);
                due.map(|message| Message { frame, ..*message }).collect()
            }
            _ => Vec::new(),
        }
    }
}

pub(super) fn number(node: &Node, name: &str) -> f64 {
    params::number(node, name).unwrap_or_else(|| panic!("{} has no {name}", node.kind))
}

pub(super) fn is_on(node: &Node, name: &str) -> bool {
    number(node, name) != 0.0
}

fn factor(node: &Node, name: &str) -> f32 {
    Decibels::new(number(node, name)).unwrap_or_else(|| panic!("{name} is no gain")).factor()
}

/// One of several names.
fn choice<'a>(node: &'a Node, name: &str, default: &'a str) -> &'a str {
    match node.params.get(name) {
        Some(Value::Name(name)) => name.as_str(),
        _ => default,
    }
}

/// The factors in front of a track's or bus's tap: trim and polarity.
fn inputs(node: &Node) -> Vec<f32> {
    let trim = factor(node, "trim");
    let inverted: &[u16] = match choice(node, "polarity", "normal") {
        "left" => &[0],
        "right" => &[1],
        "inverted" => return vec![-trim; usize::from(node.channels)],
        _ => &[],
    };
    (0..node.channels).map(|channel| if inverted.contains(&channel) { -trim } else { trim }).collect()
}

fn is_silenced(node: &Node, control: Control) -> bool {
    is_on(node, "mute") || control.is_muted
}

/// The factors of the outputs of a strip, send or master.
pub(crate) fn coefficients(node: &Node, control: Control) -> Vec<f32> {
    let gain = number(node, if node.kind == NodeKind::Send { "level" } else { "gain" });
    let gain = Decibels::new(gain + control.gain).expect("a sum of gains").factor();
    let is_panned = node.kind != NodeKind::Master;
    let factors = match node.channels {
        1 if is_panned => {
            let law = choice(node, "pan_law", "-3dB");
            panned(number(node, "pan"), law).map(|side| gain * side).to_vec()
        }
        2 if is_panned => balance(number(node, "pan")).map(|side| gain * side).to_vec(),
        channels => vec![gain; usize::from(channels)],
    };
    if is_silenced(node, control) { vec![0.0; factors.len()] } else { factors }
}

/// Left and right of a mono strip: in the middle as loud as the law says, and nothing at all on the far side.
fn panned(pan: f64, law: &str) -> [f32; 2] {
    if pan <= -1.0 {
        return [1.0, 0.0];
    }
    if pan >= 1.0 {
        return [0.0, 1.0];
    }
    let angle = (pan + 1.0) * (PI / 4.0);
    let (left, right) = (angle.cos(), angle.sin());
    let (near, far) = ((1.0 - pan) / 2.0, (1.0 + pan) / 2.0);
    match law {
        "-6dB" => [near as f32, far as f32],
        "-4.5dB" => [(left * near).sqrt() as f32, (right * far).sqrt() as f32],
        _ => [left as f32, right as f32],
    }
}

/// Left and right of a stereo strip: the side that it is turned away from gets quieter.
pub(super) fn balance(pan: f64) -> [f32; 2] {
    let left = if pan > 0.0 { (1.0 - pan) as f32 } else { 1.0 };
    let right = if pan < 0.0 { (1.0 + pan) as f32 } else { 1.0 };
    [left, right]
}

/// A sine at `phase`, which is a 64-bit fraction of a turn, so it never drifts.
pub(super) fn sine(phase: u64) -> f32 {
    ((phase >> 11) as f64 / (1u64 << 53) as f64 * TAU).sin() as f32
}

fn place(clip: &Clip, channels: u16, files: &dyn Fn(&str) -> Option<Arc<Pcm>>) -> Option<PlacedClip> {
    let pcm = files(&clip.file)?;
    let rest = pcm.frames().saturating_sub(clip.offset.0);
    let length = clip.length.map_or(rest, |length| rest.min(length.0));
    let map = ports::channel_map(pcm.channels(), channels);
    let map = map.into_iter().map(|(from, to, gain)| (from, to, gain.factor())).collect();
    Some(PlacedClip { at: clip.at.0, offset: clip.offset.0, length, pcm, map })
}

/// What the clips of a track play on one of its channels.
fn player(clips: &[PlacedClip], channel: u16, position: Option<u64>) -> f32 {
    let Some(position) = position else { return 0.0 };
    let mut sum = 0.0;
    for clip in clips {
        if position < clip.at || position - clip.at >= clip.length {
            continue;
        }
        let frame = clip.offset + (position - clip.at);
        for &(from, to, gain) in &clip.map {
            if to == channel {
                sum += clip.pcm.channel(from)[frame as usize] * gain;
            }
        }
    }
    sum
}
