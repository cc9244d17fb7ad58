//! Gate and compressor.

use std::{ops::Range, sync::Arc};

use aulos_protocol::{Node, Rate};

use crate::{
    Cycle, Fade, Io, Meter, Processor, Progress, Setting,
    dsp::{
        compressor::{Compressor, Curve, Rms},
        design::{Kind, Shape},
        finite,
        gate::{Gate, Limits},
        sample,
        svf::{Step, Svf},
    },
    eq::passed_by,
    factor,
    meter::Gauge,
    number,
};

/// Frames that are computed at once.
const CHUNK: usize = 64;

/// A gate, then a compressor. Both turn all channels down alike, by the loudest of them. What they listen to (the key)
/// is what comes in, or the sidechain; the compressor hears the key behind the gate if it is what comes in.
pub struct Dynamics {
    channels: usize,
    rate: f64,
    limits: Limits,
    gate: Gate,
    compressor: Compressor,
    rms: Rms,
    /// The low cut of the key, channel by channel.
    filters: Vec<Svf<1>>,
    low_cut: Step,
    low_cut_on: bool,
    from_sidechain: bool,
    by_rms: bool,
    /// How much is heard of either section, and of what comes in.
    gate_on: Fade,
    compressor_on: Fade,
    bypass: Fade,
    makeup: Fade,
    meter: Arc<Meter>,
    gauges: Vec<Gauge>,
}

/// The filter of the key.
fn low_cut(hz: f64, rate: f64) -> Step {
    let q = std::f64::consts::FRAC_1_SQRT_2;
    let shape = Shape { kind: Kind::LowCut, frequency: hz / rate, gain: 0.0, q, steep: false };
    Step::from(&shape.sections()[0])
}

impl Dynamics {
    pub(crate) fn new(node: &Node, hz: Rate) -> Self {
        let (channels, rate) = (usize::from(node.channels), f64::from(hz.hz()));
        let of = |name: &str| number(node, name);
        let seconds = |name: &str| number(node, name) / 1000.0;
        let limits = Limits {
            threshold: of("gate_threshold"),
            hysteresis: of("gate_hysteresis"),
            range: of("gate_range"),
            attack: seconds("gate_attack"),
            hold: seconds("gate_hold"),
            release: seconds("gate_release"),
        };
        let curve = Curve { threshold: of("threshold"), ratio: of("ratio"), knee: of("knee") };
        let mut compressor = Compressor::new(rate, curve);
        compressor.set_attack(seconds("attack"));
        compressor.set_release(seconds("release"));
        Self {
            channels,
            rate,
            limits,
            gate: Gate::new(rate, &limits),
            compressor,
            rms: Rms::new(channels, rate),
            filters: vec![Svf::default(); channels],
            low_cut: low_cut(of("low_cut_frequency"), rate),
            low_cut_on: of("low_cut") != 0.0,
            from_sidechain: of("sidechain") != 0.0,
            by_rms: of("detector") != 0.0,
            gate_on: Fade::still(of("gate") as f32),
            compressor_on: Fade::still(of("compressor") as f32),
            bypass: Fade::still(of("bypass") as f32),
            makeup: Fade::still(factor(of("makeup"))),
            meter: Arc::new(Meter::of_dynamics(channels)),
            gauges: vec![Gauge::new(hz); channels],
        }
    }

    pub(crate) fn meter(&self) -> Arc<Meter> {
        self.meter.clone()
    }

    /// The gains of a piece of at most [`CHUNK`] frames.
    fn gains(&mut self, frame: u64, piece: Range<usize>, io: &Io<'_>) -> [f64; CHUNK] {
        let mut peaks = [0f64; CHUNK];
        let mut levels = [0f64; CHUNK];
        let first = if self.from_sidechain { self.channels } else { 0 };
        for channel in 0..self.channels {
            let key = &io.input(first + channel)[piece.clone()];
            for ((x, peak), level) in key.iter().zip(&mut peaks).zip(&mut levels) {
                let mut x = f64::from(finite(*x));
                if self.low_cut_on {
                    [x] = self.filters[channel].next(&self.low_cut, [x]);
                }
                *peak = peak.max(x.abs());
                if self.by_rms {
                    *level = level.max(self.rms.next(channel, x));
                }
            }
        }
        let mut gains = [1f64; CHUNK];
        let mut lowest = 1f64;
        for (offset, gain) in gains[..piece.len()].iter_mut().enumerate() {
            let n = frame + (piece.start + offset) as u64;
            let part = |on: &Fade, gain: f64| match on.at(n) {
                1.0 => gain,
                on => 1.0 + (gain - 1.0) * f64::from(on),
            };
            if !self.gate_on.is_silent(n) {
                *gain = part(&self.gate_on, self.gate.next(n, peaks[offset]));
                lowest = lowest.min(*gain);
            }
            if !self.compressor_on.is_silent(n) {
                let level = if self.by_rms { levels[offset] } else { peaks[offset] };
                let behind_gate = if self.from_sidechain { 1.0 } else { *gain };
                let compressed = self.compressor.next(level * behind_gate);
                lowest = lowest.min(*gain * part(&self.compressor_on, compressed));
                let compressed = compressed * f64::from(self.makeup.at(n));
                *gain *= part(&self.compressor_on, compressed);
            }
        }
        self.meter.reduce(lowest);
        gains
    }

    fn render(&mut self, frame: u64, piece: Range<usize>, io: &mut Io<'_>) {
        let gains = self.gains(frame, piece.clone(), io);
        for channel in 0..self.channels {
            let (x, y) = io.pair(channel, channel);
            let samples = y[piece.clone()].iter_mut().zip(&x[piece.clone()]);
            for ((n, gain), (y, x)) in (frame + piece.start as u64..).zip(gains).zip(samples) {
                *y = passed_by(sample(f64::from(*x) * gain), *x, self.bypass.at(n));
            }
        }
    }
}

impl Processor for Dynamics {
    fn start(&mut self, cycle: &Cycle<'_>, io: &mut Io<'_>) -> Progress {
        for (stretch, settings) in cycle.stretches() {
            settings.iter().for_each(|setting| self.set(setting));
            for start in stretch.clone().step_by(CHUNK) {
                self.render(cycle.frame, start..stretch.end.min(start + CHUNK), io);
            }
        }
        for (channel, gauge) in self.gauges.iter_mut().enumerate() {
            gauge.look(&self.meter, channel, io.output(channel));
        }
        Progress::Done
    }

    fn set(&mut self, setting: &Setting) {
        let Setting { param, value, frame, fade } = *setting;
        let seconds = value / 1000.0;
        match param {
            "bypass" => self.bypass.turn(value as f32, frame, frame, fade),
            "gate" => self.gate_on.turn(value as f32, frame, frame, fade),
            "compressor" => self.compressor_on.turn(value as f32, frame, frame, fade),
            "makeup" => self.makeup.turn(factor(value), frame, frame, fade),
            "sidechain" => self.from_sidechain = value != 0.0,
            "detector" => self.by_rms = value != 0.0,
            "low_cut" => self.low_cut_on = value != 0.0,
            "low_cut_frequency" => self.low_cut = low_cut(value, self.rate),
            // What these move goes there with attack and release.
            "threshold" => self.compressor.curve.threshold = value,
            "ratio" => self.compressor.curve.ratio = value,
            "knee" => self.compressor.curve.knee = value,
            "attack" => self.compressor.set_attack(seconds),
            "release" => self.compressor.set_release(seconds),
            "gate_threshold" => self.limits.threshold = value,
            "gate_hysteresis" => self.limits.hysteresis = value,
            "gate_range" => self.limits.range = value,
            "gate_attack" => self.limits.attack = seconds,
            "gate_hold" => self.limits.hold = seconds,
            "gate_release" => self.limits.release = seconds,
            _ => return,
        }
        self.gate.set(&self.limits, frame, fade);
    }
}

#[cfg(test)]
#[path = "dynamics_tests.rs"]
mod tests;
