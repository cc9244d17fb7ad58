//! Trim, polarity, gain, pan, mute and meter: the strips of tracks and buses, sends, and the master.

use std::{f64::consts::FRAC_PI_4, ops::Range, sync::Arc};

use aulos_protocol::{Control, Node, NodeKind, Rate, ports};

use crate::{Cycle, Fade, Io, Meter, Processor, Progress, Setting, factor, meter::Gauge, number};

/// A fader. With a pre-fader tap its first outputs are the tap, the panned ones follow.
pub struct Strip {
    values: Values,
    channels: usize,
    has_pre: bool,
    /// Trim and polarity of each input.
    inputs: Vec<Fade>,
    /// The gain of each output after the tap.
    gains: Vec<Fade>,
    pre: Fade,
    /// An input behind its trim.
    trimmed: Vec<f32>,
    meter: Arc<Meter>,
    gauges: Vec<Gauge>,
}

/// The parameters that the gains are made of.
#[derive(Clone, Copy)]
struct Values {
    width: Width,
    gain_db: f64,
    /// What VCAs add to it.
    vca_db: f64,
    pan: f64,
    pan_law: PanLaw,
    trim: f32,
    polarity: Polarity,
    mute: bool,
    /// Whether a VCA or group mutes it.
    group_mute: bool,
    pre_ignores_mute: bool,
}

/// What pan does.
#[derive(Clone, Copy, PartialEq)]
enum Width {
    /// One channel is panned to two.
    Mono,
    /// Two channels are balanced.
    Stereo,
    /// Nothing.
    Other,
}

/// How loud a mono strip is in the middle, each side.
#[derive(Clone, Copy, PartialEq)]
enum PanLaw {
    /// −3 dB: the sum of the powers is constant.
    Power,
    /// −4.5 dB: half way, in dB.
    Between,
    /// −6 dB: the sum of the amplitudes is constant.
    Sum,
}

/// Which channels are turned upside down.
#[derive(Clone, Copy, PartialEq)]
enum Polarity {
    Normal,
    All,
    Only(usize),
}

/// In the order of the parameter's names.
fn pan_law(number: f64) -> PanLaw {
    [PanLaw::Power, PanLaw::Between, PanLaw::Sum].get(number as usize).copied().unwrap_or(PanLaw::Power)
}

/// In the order of the parameter's names.
fn polarity(number: f64) -> Polarity {
    [Polarity::Normal, Polarity::All, Polarity::Only(0), Polarity::Only(1)]
        .get(number as usize)
        .copied()
        .unwrap_or(Polarity::Normal)
}

impl Values {
    fn new(node: &Node, control: Control) -> Self {
        let level = if node.kind == NodeKind::Send { "level" } else { "gain" };
        Self {
            width: match (node.kind, node.channels) {
                (NodeKind::Master, _) => Width::Other,
                (_, 1) => Width::Mono,
                (_, 2) => Width::Stereo,
                _ => Width::Other,
            },
            gain_db: number(node, level),
            vca_db: control.gain_db,
            pan: number(node, "pan"),
            pan_law: pan_law(number(node, "pan_law")),
            trim: factor(number(node, "trim")),
            polarity: polarity(number(node, "polarity")),
            mute: number(node, "mute") != 0.0,
            group_mute: control.mute,
            pre_ignores_mute: number(node, "pre_ignores_mute") != 0.0,
        }
    }

    /// Takes a setting in; false if it is none of the strip's.
    fn set(&mut self, setting: &Setting) -> bool {
        let value = setting.value;
        match setting.param {
            "gain" | "level" => self.gain_db = value,
            "vca" => self.vca_db = value,
            "pan" => self.pan = value,
            "pan_law" => self.pan_law = pan_law(value),
            "trim" => self.trim = factor(value),
            "polarity" => self.polarity = polarity(value),
            "mute" => self.mute = value != 0.0,
            "group_mute" => self.group_mute = value != 0.0,
            "pre_ignores_mute" => self.pre_ignores_mute = value != 0.0,
            _ => return false,
        }
        true
    }

    fn is_muted(&self) -> bool {
        self.mute || self.group_mute
    }

    fn input(&self, channel: usize) -> f32 {
        match self.polarity {
            Polarity::Normal => self.trim,
            Polarity::Only(other) if other != channel => self.trim,
            Polarity::All | Polarity::Only(_) => -self.trim,
        }
    }

    fn pre(&self) -> f32 {
        if self.is_muted() && !self.pre_ignores_mute { 0.0 } else { 1.0 }
    }

    fn output(&self, output: usize) -> f32 {
        if self.is_muted() {
            return 0.0;
        }
        let gain = factor(self.gain_db + self.vca_db);
        let (left, right) = match self.width {
            Width::Mono => self.pan_law.sides(self.pan),
            Width::Stereo => balance(self.pan),
            Width::Other => return gain,
        };
        gain * if output == 0 { left } else { right }
    }
}

impl Strip {
    pub(crate) fn new(node: &Node, control: Control, rate: Rate, max_block: usize) -> Self {
        let values = Values::new(node, control);
        let channels = usize::from(node.channels);
        let outputs = match node.kind {
            NodeKind::Master => channels,
            _ => usize::from(ports::panned(node.channels)),
        };
        Self {
            values,
            channels,
            has_pre: matches!(node.kind, NodeKind::Track | NodeKind::Bus),
            inputs: (0..channels).map(|channel| Fade::still(values.input(channel))).collect(),
            gains: (0..outputs).map(|output| Fade::still(values.output(output))).collect(),
            pre: Fade::still(values.pre()),
            trimmed: vec![0.0; max_block],
            meter: Arc::new(match node.kind {
                NodeKind::Master => Meter::of_master(outputs, crate::master::is_limited(node)),
                _ => Meter::new(outputs),
            }),
            gauges: vec![Gauge::new(rate); outputs],
        }
    }

    pub(crate) fn meter(&self) -> Arc<Meter> {
        self.meter.clone()
    }

    pub(crate) fn meter_ref(&self) -> &Meter {
        &self.meter
    }

    /// [audio thread] Measures the outputs of a block.
    pub(crate) fn look(&mut self, io: &mut Io<'_>) {
        let first = self.first_output();
        for (output, gauge) in self.gauges.iter_mut().enumerate() {
            gauge.look(&self.meter, output, io.output(first + output));
        }
    }

    /// The first output after the tap.
    fn first_output(&self) -> usize {
        if self.has_pre { self.channels } else { 0 }
    }

    /// [audio thread] Renders a stretch of a block that begins at `frame`.
    pub(crate) fn render(&mut self, frame: u64, stretch: Range<usize>, io: &mut Io<'_>) {
        let frame = frame + stretch.start as u64;
        let (first, is_mono) = (self.first_output(), self.channels == 1);
        for channel in 0..self.channels {
            let input = &self.inputs[channel];
            let is_plain = input.is_still(frame) && input.target() == 1.0;
            if !is_plain {
                input.apply(frame, &io.input(channel)[stretch.clone()], &mut self.trimmed[stretch.clone()]);
            }
            let mut put = |gain: &Fade, output: usize| {
                let (x, y) = io.pair(channel, output);
                let x = if is_plain { &x[stretch.clone()] } else { &self.trimmed[stretch.clone()] };
                gain.apply(frame, x, &mut y[stretch.clone()]);
            };
            if self.has_pre {
                put(&self.pre, channel);
            }
            let outputs = if is_mono { 0..self.gains.len() } else { channel..channel + 1 };
            outputs.for_each(|output| put(&self.gains[output], first + output));
        }
    }
}

impl PanLaw {
    /// Left and right of a mono strip. The ends are exact: one side has all of it.
    fn sides(self, pan: f64) -> (f32, f32) {
        if pan <= -1.0 {
            return (1.0, 0.0);
        }
        if pan >= 1.0 {
            return (0.0, 1.0);
        }
        let angle = (pan + 1.0) * FRAC_PI_4;
        let (power, sum) = ([angle.cos(), angle.sin()], [(1.0 - pan) / 2.0, (1.0 + pan) / 2.0]);
        let side = |side: usize| match self {
            Self::Power => power[side],
            Self::Between => (power[side] * sum[side]).sqrt(),
            Self::Sum => sum[side],
        };
        (side(0) as f32, side(1) as f32)
    }
}

/// Stereo: the side that the pan goes away from is turned down, the other stays as it is.
fn balance(pan: f64) -> (f32, f32) {
    let left = if pan > 0.0 { (1.0 - pan) as f32 } else { 1.0 };
    let right = if pan < 0.0 { (1.0 + pan) as f32 } else { 1.0 };
    (left, right)
}

impl Processor for Strip {
    fn start(&mut self, cycle: &Cycle<'_>, io: &mut Io<'_>) -> Progress {
        for (stretch, settings) in cycle.stretches() {
            settings.iter().for_each(|setting| self.set(setting));
            self.render(cycle.frame, stretch, io);
        }
        self.look(io);
        Progress::Done
    }

    fn set(&mut self, setting: &Setting) {
        if !self.values.set(setting) {
            return;
        }
        let values = self.values;
        let turn = |fade: &mut Fade, target: f32| {
            if fade.target() != target {
                fade.turn(target, setting.frame, setting.frame, setting.fade);
            }
        };
        self.inputs.iter_mut().enumerate().for_each(|(channel, fade)| turn(fade, values.input(channel)));
        self.gains.iter_mut().enumerate().for_each(|(output, fade)| turn(fade, values.output(output)));
        turn(&mut self.pre, values.pre());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pan_laws_are_those_of_their_names() {
        let db = |factor: f32| 20.0 * f64::from(factor).log10();
        for (law, middle) in [(PanLaw::Power, -3.0103), (PanLaw::Between, -4.5154), (PanLaw::Sum, -6.0206)] {
            assert_eq!((law.sides(-1.0), law.sides(1.0)), ((1.0, 0.0), (0.0, 1.0)));
            let (left, right) = law.sides(0.0);
            assert!((db(left) - middle).abs() < 1e-3 && (db(right) - middle).abs() < 1e-3);
        }
        for step in 0..=100 {
            let pan = f64::from(step) / 50.0 - 1.0;
            let (left, right) = PanLaw::Power.sides(pan);
            assert!((left * left + right * right - 1.0).abs() < 1e-6);
            let (sum_left, sum_right) = PanLaw::Sum.sides(pan);
            assert!((sum_left + sum_right - 1.0).abs() < 1e-6);
            // Half way between the two, in dB.
            let (between, _) = PanLaw::Between.sides(pan);
            assert!((between * between - left * sum_left).abs() < 1e-6);
        }
    }

    #[test]
    fn balance_leaves_the_nearer_side_alone() {
        assert_eq!(balance(0.0), (1.0, 1.0));
        assert_eq!(balance(1.0), (0.0, 1.0));
        assert_eq!(balance(-0.25), (1.0, 0.75));
    }
}
