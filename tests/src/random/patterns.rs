//! What people patch: sends and returns, parallel paths, chains, inserts.

use aulos_protocol::{Decibels, NodeKind, Session, Value};

use super::build::Builder;

/// A few nodes that belong together.
#[derive(Clone, Copy)]
enum Pattern {
    Source,
    Single,
    Sends,
    Parallel,
    Chain,
    Insert,
    Output,
    Loop,
    Notes,
    Fan,
    Sidechain,
}

use Pattern::{Chain, Fan, Insert, Loop, Notes, Output, Parallel, Sends, Sidechain, Single, Source};

/// A bit of everything.
const MIXED: &[Pattern] = &[
    Source, Source, Source, Single, Single, Single, Sends, Parallel, Chain, Insert, Output, Loop, Notes, Fan,
    Sidechain,
];
/// Tracks with inserts, sends and groups.
const STUDIO: &[Pattern] =
    &[Source, Source, Source, Insert, Sends, Sends, Parallel, Single, Sidechain, Notes, Loop, Fan];
/// As deep as it gets.
const DEEP: &[Pattern] = &[Source, Chain, Chain, Chain, Insert, Parallel, Loop];

impl Builder<'_> {
    /// Builds the whole session.
    pub(super) fn session(mut self, name: String) -> Session {
        let patterns = *self.rng.pick(&[MIXED, MIXED, STUDIO, STUDIO, DEEP]);
        let size = match self.rng.below(10) {
            0..2 => self.rng.range(5, 12),
            2..6 => self.rng.range(13, 30),
            _ => self.rng.range(31, 60),
        } as usize;
        let outputs = if size < 8 { 1 } else { self.rng.range(1, 3) as usize };
        let blind_end = size > 8 && self.rng.percent(15);
        // The master, the outputs and the blind end come last.
        let size = size - 1 - outputs - if blind_end { 2 } else { 0 };

        self.source();
        while self.nodes.len() < size {
            let room = size - self.nodes.len();
            match self.rng.pick(patterns) {
                Source => {
                    self.source();
                }
                Sends if room >= 3 => self.sends(room),
                Parallel if room >= 2 => self.parallel(room),
                Chain if room >= 2 => self.chain(room),
                Insert if room >= 2 => self.insert(room),
                Loop if room >= 2 && !self.forgets && self.open.len() < 3 => self.echo(room),
                Notes if room >= 2 => self.notes(room),
                Fan if room >= 7 => self.fan(room),
                Sidechain => self.sidechain(),
                Output if self.rng.percent(50) => {
                    let tap = self.any_tap();
                    self.output(&[tap]);
                }
                _ => {
                    let taps = self.some_taps(4);
                    self.single(&taps);
                }
            }
        }

        self.close();
        let mut ends: Vec<_> = (0..self.taps.len()).filter(|tap| self.taps[*tap].loose).collect();
        self.rng.shuffle(&mut ends);
        ends.truncate(14);
        ends.extend(self.some_taps(2));
        let master = self.master(&ends);
        self.main_output(master);
        for _ in 1..outputs {
            let taps = self.some_taps(3);
            self.output(&taps);
        }
        if blind_end {
            // Later than any output, but none of them has to wait for it.
            let late = self.delay(true, &[master]);
            self.mixer(NodeKind::Bus, &[late]);
        }
        self.attitudes();
        self.mixing();
        self.numbered(name)
    }

    fn some_taps(&mut self, most: u64) -> Vec<usize> {
        (0..self.rng.range(1, most)).map(|_| self.any_tap()).collect()
    }

    /// Any node that has inputs and outputs; answers with the tap of its `out`.
    fn single(&mut self, taps: &[usize]) -> usize {
        if !self.forgets && self.rng.percent(12) {
            return if self.rng.percent(50) { self.eq(taps) } else { self.dynamics(taps, None) };
        }
        match self.rng.below(10) {
            0..3 => self.delay(false, taps),
            3..7 => self.mixer(NodeKind::Bus, taps),
            7..8 => self.mixer(NodeKind::Send, taps),
            _ => self.track(taps),
        }
    }

    /// Sends of one or more strips, pre or post, to a bus, with a latency on the way; dry and wet meet in
    /// another bus if there is room, else later.
    fn sends(&mut self, room: usize) {
        let strips: Vec<_> = (0..self.taps.len()).filter(|tap| self.is_strip(*tap)).collect();
        if strips.is_empty() {
            self.track(&[]);
            return;
        }
        let mut dry = Vec::new();
        let mut wet = Vec::new();
        for _ in 0..self.rng.range(1, (room - 2).min(4) as u64) {
            let strip = *self.rng.pick(&strips);
            wet.push(self.mixer(NodeKind::Send, &[strip]));
            let node = self.taps[strip].node;
            let is_out = |tap: &usize| self.taps[*tap].node == node && self.taps[*tap].group.name == "out";
            dry.extend(strips.iter().copied().find(is_out));
        }
        let mut bus = self.mixer(NodeKind::Bus, &wet);
        bus = if self.rng.percent(75) { self.delay(true, &[bus]) } else { bus };
        if wet.len() + 2 < room && self.rng.percent(60) {
            dry.push(bus);
            self.mixer(NodeKind::Bus, &dry);
        }
    }

    /// One tap on several ways, some of them latent, which meet again.
    fn parallel(&mut self, room: usize) {
        let tap = self.any_tap();
        let mut ways = vec![self.delay(true, &[tap])];
        for _ in 0..self.rng.below((room - 1).min(4) as u64) {
            ways.push(self.single(&[tap]));
        }
        ways.push(tap);
        self.rng.shuffle(&mut ways);
        self.mixer(NodeKind::Bus, &ways);
    }

    /// One node after the other; now and then something joins.
    fn chain(&mut self, room: usize) {
        let length = if self.rng.percent(50) { self.rng.range(2, 6) } else { self.rng.range(6, 40) };
        let mut tap = self.any_tap();
        for _ in 0..room.min(length as usize) {
            let mut taps = vec![tap];
            if self.rng.percent(15) {
                taps.push(self.any_tap());
            }
            tap = self.single(&taps);
        }
    }

    /// A track with something patched into its insert.
    fn insert(&mut self, room: usize) {
        let taps = if self.rng.percent(40) { self.some_taps(2) } else { Vec::new() };
        let (track, mut tap) = self.track_source(&taps);
        for _ in 0..self.rng.range(1, (room - 1).min(3) as u64) {
            tap = if self.rng.percent(60) { self.delay(true, &[tap]) } else { self.single(&[tap]) };
        }
        self.track_strip(track, Some(tap));
    }

    /// What comes back, and something that it goes through; what it hears is found later.
    fn echo(&mut self, room: usize) {
        let mut tap = self.feedback();
        for _ in 1..room.min(4) {
            let mut taps = vec![tap];
            if self.rng.percent(60) {
                taps.push(self.any_tap());
            }
            tap = if self.rng.percent(30) { self.delay(true, &taps) } else { self.single(&taps) };
            if self.rng.percent(40) {
                break;
            }
        }
    }

    /// One tap to many; some of them meet again.
    fn fan(&mut self, room: usize) {
        let tap = self.any_tap();
        let mut ways: Vec<_> =
            (0..self.rng.range(6, (room - 1).min(12) as u64)).map(|_| self.single(&[tap])).collect();
        self.rng.shuffle(&mut ways);
        ways.truncate(self.rng.range(2, 12) as usize);
        self.mixer(NodeKind::Bus, &ways);
    }

    /// A node that hears one thing in its first two channels and another, in front of a fader if there is one,
    /// in those behind.
    fn sidechain(&mut self) {
        let keys: Vec<_> = (0..self.taps.len()).filter(|tap| self.taps[*tap].group.name == "pre").collect();
        let key = if keys.is_empty() { self.any_tap() } else { *self.rng.pick(&keys) };
        let main = self.any_tap();
        if !self.forgets && self.rng.percent(50) {
            self.dynamics(&[main], Some(key));
            return;
        }
        let kind = *self.rng.pick(&[NodeKind::Delay, NodeKind::Delay, NodeKind::Bus]);
        let channels = self.rng.range(3, 4) as u16;
        let node = self.add_wide(kind, channels);
        let to = self.group(node, "in");
        for (tap, first, count) in [(main, 0, 2), (key, 2, channels - 2)] {
            let gain = self.link_gain();
            for channel in 0..count {
                let from = channel % self.taps[tap].group.channels;
                let port = (node, to.port_name(first + channel));
                self.wire(tap, from, port, Decibels::UNITY, gain);
            }
            self.taps[tap].loose = false;
        }
        let level = self.entered(node, "in");
        if kind == NodeKind::Delay {
            let frames = self.rng.range(1, 600);
            self.set(node, "frames", Value::Number(frames as f64));
            let report = self.rng.percent(80);
            self.set(node, "report", Value::Switch(report));
            self.publish(node, "out", level);
        } else {
            self.strip(node, level);
        }
    }
}
