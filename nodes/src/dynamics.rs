//! Gate and compressor.

use std::{ops::Range, sync::Arc};

use aulos_protocol::{Node, Rate};

use crate::{
    Cycle, Fade, Io, Meter, Processor, Progress, Setting,
    dsp::{
        chain::{CHUNK, Chain, Key, Settings},
        compressor::Curve,
        gate::Limits,
        glide::Glide,
        sample,
    },
    eq::passed_by,
    factor,
    meter::Gauge,
    number,
};

/// A gate, then a compressor. Both turn all channels down alike, by the loudest of them. What they listen to (the key)
/// is what comes in, or the sidechain; the compressor hears the key behind the gate if it is what comes in.
///
/// With an attack of a frame, a threshold that is moved would be a step of 50 dB; so what is set crosses over: both as
/// it was and as it is now, gate and compressor go on listening, and the gain goes from one to the other.
pub struct Dynamics {
    channels: usize,
    chain: Chain,
    /// As it was set before the crossfade.
    before: Chain,
    /// How much is heard of the chain as it is set now.
    turn: Glide,
    /// What was heard of the earlier chain in a crossfade that this one cut short, and how much of that is left in it.
    held: (Gains, f64),
    /// What was heard last before the crossfade, the rest of an earlier one included.
    left: Gains,
    switches: Switches,
    bypass: Fade,
    meter: Arc<Meter>,
    gauges: Vec<Gauge>,
}

/// How much is heard of either section, and the gain behind the compressor.
struct Switches {
    gate: Fade,
    compressor: Fade,
    makeup: Fade,
}

/// What a frame is multiplied by.
#[derive(Clone, Copy)]
struct Gains {
    /// By how much it is turned down.
    reduction: f64,
    /// The same with the gain behind the compressor.
    all: f64,
}

impl Gains {
    const UNITY: Self = Self { reduction: 1.0, all: 1.0 };

    /// The gains on the way to `other`, this part of it; exactly these if there is no way.
    fn towards(self, other: Self, part: f64) -> Self {
        let between = |from: f64, to: f64| from + (to - from) * part;
        Self { reduction: between(self.reduction, other.reduction), all: between(self.all, other.all) }
    }
}

impl Switches {
    /// What `chain` makes of the `offset`-th frame of `key`, which is the frame `n`.
    fn gains(&self, chain: &mut Chain, key: &Key, offset: usize, n: u64) -> Gains {
        let part = |on: &Fade, gain: f64| match on.at(n) {
            1.0 => gain,
            on => 1.0 + (gain - 1.0) * f64::from(on),
        };
        let mut gains = Gains::UNITY;
        if !self.gate.is_silent(n) {
            let gate = part(&self.gate, chain.gate(key, offset));
            gains = Gains { reduction: gate, all: gate };
        }
        if !self.compressor.is_silent(n) {
            let compressed = chain.compressor(key, offset, gains.reduction);
            gains.reduction *= part(&self.compressor, compressed);
            gains.all *= part(&self.compressor, compressed * f64::from(self.makeup.at(n)));
        }
        gains
    }
}

impl Dynamics {
    pub(crate) fn new(node: &Node, hz: Rate) -> Self {
        let (channels, rate) = (usize::from(node.channels), f64::from(hz.hz()));
        let of = |name: &str| number(node, name);
        let seconds = |name: &str| number(node, name) / 1000.0;
        let settings = Settings {
            curve: Curve { threshold: of("threshold"), ratio: of("ratio"), knee: of("knee") },
            attack: seconds("attack"),
            release: seconds("release"),
            limits: Limits {
                threshold: of("gate_threshold"),
                hysteresis: of("gate_hysteresis"),
                range: of("gate_range"),
                attack: seconds("gate_attack"),
                hold: seconds("gate_hold"),
                release: seconds("gate_release"),
            },
            from_sidechain: of("sidechain") != 0.0,
            by_rms: of("detector") != 0.0,
            low_cut: of("low_cut") != 0.0,
            low_cut_frequency: of("low_cut_frequency"),
        };
        Self {
            channels,
            chain: Chain::new(channels, rate, settings),
            before: Chain::new(channels, rate, settings),
            turn: Glide::still(1.0),
            held: (Gains::UNITY, 0.0),
            left: Gains::UNITY,
            switches: Switches {
                gate: Fade::still(of("gate") as f32),
                compressor: Fade::still(of("compressor") as f32),
                makeup: Fade::still(factor(of("makeup"))),
            },
            bypass: Fade::still(of("bypass") as f32),
            meter: Arc::new(Meter::of_dynamics(channels)),
            gauges: vec![Gauge::new(hz); channels],
        }
    }

    pub(crate) fn meter(&self) -> Arc<Meter> {
        self.meter.clone()
    }

    /// What `chain` hears in a piece.
    fn hear(chain: &mut Chain, channels: usize, piece: &Range<usize>, io: &Io<'_>) -> Key {
        let mut key = Key::SILENT;
        let first = if chain.settings().from_sidechain { channels } else { 0 };
        for channel in 0..channels {
            chain.listen(channel, &io.input(first + channel)[piece.clone()], &mut key);
        }
        key
    }

    /// The gains of a piece of at most [`CHUNK`] frames.
    fn gains(&mut self, frame: u64, piece: &Range<usize>, io: &Io<'_>) -> [f64; CHUNK] {
        let first = frame + piece.start as u64;
        let key = Self::hear(&mut self.chain, self.channels, piece, io);
        let before =
            (!self.turn.is_still(first)).then(|| Self::hear(&mut self.before, self.channels, piece, io));
        let mut gains = [1f64; CHUNK];
        let mut lowest = 1f64;
        for (offset, (gain, n)) in gains[..piece.len()].iter_mut().zip(first..).enumerate() {
            let mut now = self.switches.gains(&mut self.chain, &key, offset, n);
            if let Some(key) = &before
                && !self.turn.is_still(n)
            {
                let (held, rest) = self.held;
                let before = self.switches.gains(&mut self.before, key, offset, n);
                self.left = before.towards(held, rest);
                now = self.left.towards(now, self.turn.at(n));
            }
            lowest = lowest.min(now.reduction);
            *gain = now.all;
        }
        self.meter.reduce(lowest);
        gains
    }

    fn render(&mut self, frame: u64, piece: Range<usize>, io: &mut Io<'_>) {
        let gains = self.gains(frame, &piece, io);
        for channel in 0..self.channels {
            let (x, y) = io.pair(channel, channel);
            let samples = y[piece.clone()].iter_mut().zip(&x[piece.clone()]);
            for ((n, gain), (y, x)) in (frame + piece.start as u64..).zip(gains).zip(samples) {
                *y = passed_by(sample(f64::from(*x) * gain), *x, self.bypass.at(n));
            }
        }
    }

    /// Crosses over from the chain as it is, to be set anew from `frame` on.
    fn cross_over(&mut self, frame: u64, fade: u64) {
        let heard = self.turn.at(frame);
        // What is set at one frame crosses over as one.
        if heard == 0.0 {
            return;
        }
        self.held = if heard < 1.0 { (self.left, 1.0 - heard) } else { (Gains::UNITY, 0.0) };
        self.before.copy_from(&self.chain);
        self.turn = Glide::new(0.0, 1.0, frame, fade);
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
        if let Some(ear) = self.meter.ear().filter(|ear| ear.is_open()) {
            ear.begin(io.frames);
            (0..self.gauges.len()).for_each(|channel| ear.hear(channel, io.output(channel)));
            ear.end();
        }
        Progress::Done
    }

    fn set(&mut self, setting: &Setting) {
        let Setting { param, value, frame, fade } = *setting;
        let mut settings = self.chain.settings();
        let (on, seconds) = (value != 0.0, value / 1000.0);
        match param {
            "bypass" => return self.bypass.turn(value as f32, frame, frame, fade),
            "gate" => return self.switches.gate.turn(value as f32, frame, frame, fade),
            "compressor" => return self.switches.compressor.turn(value as f32, frame, frame, fade),
            "makeup" => return self.switches.makeup.turn(factor(value), frame, frame, fade),
            "sidechain" => settings.from_sidechain = on,
            "detector" => settings.by_rms = on,
            "low_cut" => settings.low_cut = on,
            "low_cut_frequency" => settings.low_cut_frequency = value,
            "threshold" => settings.curve.threshold = value,
            "ratio" => settings.curve.ratio = value,
            "knee" => settings.curve.knee = value,
            "attack" => settings.attack = seconds,
            "release" => settings.release = seconds,
            "gate_threshold" => settings.limits.threshold = value,
            "gate_hysteresis" => settings.limits.hysteresis = value,
            "gate_range" => settings.limits.range = value,
            "gate_attack" => settings.limits.attack = seconds,
            "gate_hold" => settings.limits.hold = seconds,
            "gate_release" => settings.limits.release = seconds,
            _ => return,
        }
        self.cross_over(frame, fade);
        self.chain.set(settings);
    }
}

#[cfg(test)]
#[path = "dynamics_tests.rs"]
mod tests;
