//! Gain, pan, mute and meter: the fader of tracks and buses, sends, and the master.

use std::{f64::consts::FRAC_PI_4, ops::Range, sync::Arc};

use aulos_protocol::{Node, NodeKind, ports};

use crate::{Cycle, Fade, Io, Meter, Processor, Progress, Setting, factor, number};

/// A fader. With a pre-fader tap its first outputs are the tap, the panned ones follow.
pub struct Strip {
    channels: usize,
    /// The values that the gains are made of.
    gain: f32,
    pan: f64,
    mute: bool,
    pre_ignores_mute: bool,
    has_pan: bool,
    has_pre: bool,
    /// The gain of each output after the tap.
    gains: Vec<Fade>,
    pre: Fade,
    meter: Arc<Meter>,
}

impl Strip {
    pub(crate) fn new(node: &Node) -> Self {
        let outputs = match node.kind {
            NodeKind::Master => node.channels,
            _ => ports::panned(node.channels),
        };
        let level = if node.kind == NodeKind::Send { "level" } else { "gain" };
        let mut strip = Self {
            channels: usize::from(node.channels),
            gain: factor(number(node, level)),
            pan: number(node, "pan"),
            mute: number(node, "mute") != 0.0,
            pre_ignores_mute: number(node, "pre_ignores_mute") != 0.0,
            has_pan: node.kind != NodeKind::Master && node.channels <= 2,
            has_pre: matches!(node.kind, NodeKind::Track | NodeKind::Bus),
            gains: vec![Fade::still(0.0); usize::from(outputs)],
            pre: Fade::still(1.0),
            meter: Arc::new(Meter::new(usize::from(outputs))),
        };
        for output in 0..strip.gains.len() {
            strip.gains[output] = Fade::still(strip.target(output));
        }
        strip.pre = Fade::still(strip.pre_target());
        strip
    }

    pub(crate) fn meter(&self) -> Arc<Meter> {
        self.meter.clone()
    }

    /// The gain that an output is to have.
    fn target(&self, output: usize) -> f32 {
        if self.mute {
            return 0.0;
        }
        if !self.has_pan {
            return self.gain;
        }
        let (left, right) = if self.channels == 1 { constant_power(self.pan) } else { balance(self.pan) };
        self.gain * if output == 0 { left } else { right }
    }

    /// The first output after the tap.
    fn first_output(&self) -> usize {
        if self.has_pre { self.channels } else { 0 }
    }

    fn render(&self, frame: u64, stretch: Range<usize>, io: &mut Io<'_>) {
        let frame = frame + stretch.start as u64;
        if self.has_pre {
            for channel in 0..self.channels {
                let (x, y) = io.pair(channel, channel);
                self.pre.apply(frame, &x[stretch.clone()], &mut y[stretch.clone()]);
            }
        }
        for (output, gain) in self.gains.iter().enumerate() {
            let (x, y) = io.pair(output.min(self.channels - 1), self.first_output() + output);
            gain.apply(frame, &x[stretch.clone()], &mut y[stretch.clone()]);
        }
    }

    fn pre_target(&self) -> f32 {
        if self.mute && !self.pre_ignores_mute { 0.0 } else { 1.0 }
    }
}

/// The −3 dB law: the sum of the powers is constant (sine and cosine of a quarter turn).
fn constant_power(pan: f64) -> (f32, f32) {
    if pan <= -1.0 {
        return (1.0, 0.0);
    }
    if pan >= 1.0 {
        return (0.0, 1.0);
    }
    let angle = (pan + 1.0) * FRAC_PI_4;
    (angle.cos() as f32, angle.sin() as f32)
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
        for output in 0..self.gains.len() {
            self.meter.look(output, io.output(self.first_output() + output));
        }
        Progress::Done
    }

    fn set(&mut self, setting: &Setting) {
        match setting.param {
            "gain" | "level" => self.gain = factor(setting.value),
            "pan" => self.pan = setting.value,
            "mute" => self.mute = setting.value != 0.0,
            "pre_ignores_mute" => self.pre_ignores_mute = setting.value != 0.0,
            _ => return,
        }
        for output in 0..self.gains.len() {
            let target = self.target(output);
            if self.gains[output].target() != target {
                self.gains[output].turn(target, setting.frame, setting.frame, setting.fade);
            }
        }
        let pre = self.pre_target();
        if self.pre.target() != pre {
            self.pre.turn(pre, setting.frame, setting.frame, setting.fade);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pan_ends_are_exact_and_the_power_is_constant() {
        assert_eq!(constant_power(-1.0), (1.0, 0.0));
        assert_eq!(constant_power(1.0), (0.0, 1.0));
        for step in 0..=100 {
            let (left, right) = constant_power(f64::from(step) / 50.0 - 1.0);
            assert!((left * left + right * right - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn balance_leaves_the_nearer_side_alone() {
        assert_eq!(balance(0.0), (1.0, 1.0));
        assert_eq!(balance(1.0), (0.0, 1.0));
        assert_eq!(balance(-0.25), (1.0, 0.75));
    }
}
