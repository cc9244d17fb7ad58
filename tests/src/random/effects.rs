//! Equalizers, dynamics and limiters. They remember for longer than a scene that forgets may.

use aulos_protocol::{NodeKind, Value};

use super::{
    build::{Builder, decibels},
    level::Level,
};

impl Builder<'_> {
    /// An equalizer with some bands.
    pub(super) fn eq(&mut self, taps: &[usize]) -> usize {
        const KINDS: [&str; 6] = ["low_cut", "low_shelf", "bell", "high_shelf", "high_cut", "notch"];
        let node = self.add(NodeKind::Eq);
        self.feed(node, "in", taps);
        // By how much a band can make it louder, ringing included.
        let mut growth = 1.0;
        for _ in 0..self.rng.range(0, 4) {
            let band = self.rng.range(1, 8);
            let name = |what: &str| format!("band{band}_{what}");
            let kind = *self.rng.pick(&KINDS);
            let gain = self.rng.tenths(-180, 90);
            // A narrow one now and then.
            let q = if self.rng.percent(20) { self.rng.tenths(10, 80) } else { self.rng.tenths(3, 14) };
            let frequency = *self.rng.pick(&[20.0, 90.0, 250.0, 1000.0, 3300.0, 9000.0, 19_000.0]);
            let slope = if self.rng.percent(50) { "24dB" } else { "12dB" };
            self.set(node, &name("on"), Value::Switch(true));
            self.set(node, &name("kind"), Value::name(kind));
            self.set(node, &name("frequency"), Value::Number(frequency));
            self.set(node, &name("gain"), Value::Number(gain));
            self.set(node, &name("q"), Value::Number(q));
            self.set(node, &name("slope"), Value::name(slope));
            growth *= match kind {
                "low_cut" | "high_cut" => 2.0 * (q * q).max(1.0) as f32,
                "notch" => 2.0,
                _ => 1.5 * decibels(gain.max(0.0)).factor() * q.max(1.0) as f32,
            };
        }
        let bypass = self.rng.percent(8);
        self.set(node, "bypass", Value::Switch(bypass));
        let level = self.entered(node, "in");
        let filtered = level.processed(growth);
        let gain = self.room_for(node, "gain", filtered);
        self.publish(
            node,
            "out",
            if bypass { level } else { filtered.scaled(gain).or(level.processed(gain)) },
        )
    }

    /// Gate and compressor; with a key, most likely one that listens to it.
    pub(super) fn dynamics(&mut self, taps: &[usize], key: Option<usize>) -> usize {
        let node = self.add(NodeKind::Dynamics);
        self.feed(node, "in", taps);
        if let Some(key) = key {
            self.feed(node, "sidechain", &[key]);
        }
        let listens = self.rng.percent(if key.is_some() { 85 } else { 5 });
        let detector = *self.rng.pick(&["peak", "rms"]);
        let (gate, compressor) = (self.rng.percent(40), self.rng.percent(85));
        let (low_cut, bypass) = (self.rng.percent(25), self.rng.percent(6));
        for (name, on) in [
            ("sidechain", listens),
            ("gate", gate),
            ("compressor", compressor),
            ("low_cut", low_cut),
            ("bypass", bypass),
        ] {
            self.set(node, name, Value::Switch(on));
        }
        self.set(node, "detector", Value::name(detector));
        // Fast enough that something happens in a scene.
        for (name, from, to) in [
            ("threshold", -500, -50),
            ("ratio", 10, 200),
            ("knee", 0, 200),
            ("attack", 1, 100),
            ("release", 20, 1000),
            ("low_cut_frequency", 300, 10_000),
            ("gate_threshold", -600, -60),
            ("gate_hysteresis", 0, 120),
            ("gate_attack", 1, 50),
            ("gate_hold", 0, 200),
            ("gate_release", 10, 500),
        ] {
            let value = self.rng.tenths(from, to);
            self.set(node, name, Value::Number(value));
        }
        let range =
            if self.rng.percent(30) { Value::Silence } else { Value::Number(self.rng.tenths(-800, 0)) };
        self.set(node, "gate_range", range);
        let level = self.entered(node, "in").processed(1.0);
        let gain =
            if self.rng.percent(50) { self.room_for(node, "makeup", level.scaled(2.0)) * 2.0 } else { 1.0 };
        self.publish(node, "out", level.or(level.scaled(gain)))
    }

    /// A limiter and the gain behind it.
    pub(super) fn limiter(&mut self, node: usize, level: Level) -> Level {
        let (ceiling, release) = (self.rng.tenths(-180, 0), self.rng.tenths(10, 500));
        let output = if self.rng.percent(60) { 0.0 } else { self.rng.tenths(-120, 0) };
        self.set(node, "limiter", Value::Switch(true));
        self.set(node, "ceiling", Value::Number(ceiling));
        self.set(node, "release", Value::Number(release));
        self.set(node, "output", Value::Number(output));
        level.processed(1.0).scaled(decibels(output).factor())
    }

    /// Sets a gain so that what has this level behind it can be linked on; answers with the factor.
    fn room_for(&mut self, node: usize, gain: &str, level: Level) -> f32 {
        let drawn = self.rng.tenths(-60, 30);
        for db in [drawn, 0.0, -6.0, -12.0, -18.0, -24.0] {
            let factor = decibels(db).factor();
            if level.scaled(factor).fits() || db == -24.0 {
                self.set(node, gain, Value::Number(db));
                return factor;
            }
        }
        unreachable!("the last is taken")
    }
}
