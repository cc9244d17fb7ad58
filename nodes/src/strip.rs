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
        if let Some(ear) = self.meter.ear().filter(|ear| ear.is_open()) {
            ear.begin(io.frames);
            (0..self.gauges.len()).for_each(|output| ear.hear(output, io.output(first + output)));
            ear.end();
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
    use std::f64::consts::FRAC_PI_2;

    use aulos_protocol::Value;

    use super::*;
    use crate::bench::{n, node, run};

    /// What leaves a strip that hears 1 on each channel, by output.
    fn factors(kind: NodeKind, channels: u16, set: &[(&str, Value)]) -> Vec<f32> {
        let ones = vec![vec![1.0]; usize::from(channels)];
        run(&node(kind, channels, set), &ones, &[], &[1]).iter().map(|output| output[0]).collect()
    }

    fn db(factor: f64) -> f64 {
        20.0 * factor.log10()
    }

    /// The worst deviation from `wanted`, in dB. What is to be silent must be.
    fn deviation(got: &[f32], wanted: &[f64]) -> f64 {
        assert_eq!(got.len(), wanted.len());
        let off = |(got, wanted): (&f32, &f64)| {
            if *wanted < 1e-12 {
                assert_eq!(*got, 0.0, "{wanted}");
                return 0.0;
            }
            (db(f64::from(*got)) - db(*wanted)).abs()
        };
        got.iter().zip(wanted).map(off).fold(0.0, f64::max)
    }

    /// Half a step of 32-bit floats, in dB, and what is as little in the formulas themselves.
    const ROUNDING: f64 = 5.3e-7;

    #[test]
    fn mono_is_panned_by_the_law_that_is_named() {
        let mut worst = 0.0f64;
        for step in 0..=200 {
            let pan = f64::from(step) / 100.0 - 1.0;
            // A quarter of a turn, and a straight line.
            let angle = FRAC_PI_2 * f64::from(step) / 200.0;
            let (power, sum) = ([angle.cos(), angle.sin()], [(1.0 - pan) / 2.0, (1.0 + pan) / 2.0]);
            let middle = |side: usize| 10f64.powf((db(power[side]) + db(sum[side])) / 2.0 / 20.0);
            let laws = [("-3dB", power), ("-4.5dB", [middle(0), middle(1)]), ("-6dB", sum)];
            for (law, wanted) in laws {
                let set = [("pan", n(pan)), ("pan_law", Value::name(law))];
                // The tap is not panned.
                let bus = factors(NodeKind::Bus, 1, &set);
                assert_eq!(bus[0], 1.0);
                worst = worst.max(deviation(&bus[1..], &wanted));
                worst = worst.max(deviation(&factors(NodeKind::Send, 1, &set), &wanted));
            }
        }
        assert!(worst < ROUNDING, "{worst} dB");
        // By default, and in the middle, as loud as their names say.
        for (set, level) in [
            (vec![], -3.0103),
            (vec![("pan_law", Value::name("-4.5dB"))], -4.5154),
            (vec![("pan_law", Value::name("-6dB"))], -6.0206),
        ] {
            let sides = factors(NodeKind::Send, 1, &set);
            assert!(sides.iter().all(|side| (db(f64::from(*side)) - level).abs() < 1e-4), "{sides:?}");
        }
    }

    #[test]
    fn stereo_is_balanced_and_more_channels_are_left_alone() {
        for step in 0..=200 {
            let pan = f64::from(step) / 100.0 - 1.0;
            let wanted = [(1.0 - pan).min(1.0), (1.0 + pan).min(1.0)];
            for kind in [NodeKind::Bus, NodeKind::Send] {
                let out = factors(kind, 2, &[("pan", n(pan))]);
                let sides = &out[out.len() - 2..];
                let off = deviation(sides, &wanted);
                assert!(off < ROUNDING, "{kind} at {pan}: {off} dB");
                assert!(sides.contains(&1.0), "{kind} at {pan}: the nearer side is turned down");
            }
        }
        assert_eq!(factors(NodeKind::Send, 3, &[]), [1.0; 3]);
    }

    #[test]
    fn trim_and_polarity_come_before_the_tap_and_gain_and_pan_behind_it() {
        let (trim, gain) = (10f64.powf(-6.0 / 20.0), 10f64.powf(-20.0 / 20.0));
        for (polarity, signs) in [
            ("normal", [1.0, 1.0]),
            ("inverted", [-1.0, -1.0]),
            ("left", [-1.0, 1.0]),
            ("right", [1.0, -1.0]),
        ] {
            let set =
                [("trim", n(-6.0)), ("polarity", Value::name(polarity)), ("gain", n(-20.0)), ("pan", n(0.5))];
            let out = factors(NodeKind::Bus, 2, &set);
            let upright: Vec<f32> =
                out.iter().enumerate().map(|(output, x)| x * signs[output % 2] as f32).collect();
            let off = deviation(&upright, &[trim, trim, trim * gain * 0.5, trim * gain]);
            assert!(off < 3.0 * ROUNDING, "{polarity}: {off} dB");
        }
    }

    #[test]
    fn a_mute_shuts_the_tap_unless_it_is_ignored_there() {
        let shut = [("mute", n(1.0)), ("gain", n(6.0))];
        assert_eq!(factors(NodeKind::Bus, 2, &shut), [0.0; 4]);
        let open = [("mute", n(1.0)), ("pre_ignores_mute", n(1.0))];
        assert_eq!(factors(NodeKind::Bus, 2, &open), [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(factors(NodeKind::Send, 2, &[("mute", n(1.0))]), [0.0; 2]);
    }
}
