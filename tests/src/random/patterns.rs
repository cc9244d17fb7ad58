//! What people patch: sends and returns, parallel paths, chains, inserts.

use aulos_protocol::{NodeKind, Session};

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
}

use Pattern::{Chain, Insert, Output, Parallel, Sends, Single, Source};

/// A bit of everything.
const MIXED: &[Pattern] =
    &[Source, Source, Source, Single, Single, Single, Sends, Parallel, Chain, Insert, Output];
/// Tracks with inserts, sends and groups.
const STUDIO: &[Pattern] = &[Source, Source, Source, Insert, Sends, Sends, Parallel, Single];
/// As deep as it gets.
const DEEP: &[Pattern] = &[Source, Chain, Chain, Chain, Insert, Parallel];

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
        self.numbered(name)
    }

    fn some_taps(&mut self, most: u64) -> Vec<usize> {
        (0..self.rng.range(1, most)).map(|_| self.any_tap()).collect()
    }

    /// Any node that has inputs and outputs; answers with the tap of its `out`.
    fn single(&mut self, taps: &[usize]) -> usize {
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
}
