//! Feedback and the metronome: what comes back, and what plays notes.

use std::collections::BTreeSet;

use aulos_protocol::{NodeKind, Value};

use super::{
    build::{Builder, decibels},
    level::Level,
};

impl Builder<'_> {
    /// A feedback that gives something back, and hears nothing yet.
    pub(super) fn feedback(&mut self) -> usize {
        let node = self.add(NodeKind::Feedback);
        // No less than a block, often hardly more; not so little that a loop has too many rounds to die away.
        let least = u64::from(self.max_block.max(1000));
        let frames = if self.rng.percent(40) { least } else { self.rng.range(least, least + 1500) };
        self.set(node, "frames", Value::Number(frames as f64));
        self.open.push(node);
        self.publish(node, "out", Level::ECHO)
    }

    /// Links something to each feedback: most likely what it leads to.
    pub(super) fn close(&mut self) {
        for node in std::mem::take(&mut self.open) {
            let loose: Vec<_> = self.taps.iter().map(|tap| tap.loose).collect();
            let behind = self.behind(node);
            let sounds = |tap: &usize| self.taps[*tap].level != Level::SILENT;
            let is_inside =
                |tap: &usize| behind.contains(&self.taps[*tap].node) && self.taps[*tap].node != node;
            let inside: Vec<_> = (0..self.taps.len()).filter(|tap| is_inside(tap) && sounds(tap)).collect();
            let loops = !inside.is_empty() && self.rng.percent(90);
            // Some are too loud or too quiet to be heard.
            for _ in 0..4 {
                let tap = if loops { *self.rng.pick(&inside) } else { self.any_tap() };
                self.feed(node, "in", &[tap]);
                if self.entered(node, "in") != Level::SILENT && self.rng.percent(70) {
                    break;
                }
            }
            // The mix would miss what is heard by a feedback alone.
            for (tap, loose) in self.taps.iter_mut().zip(loose) {
                tap.loose = loose;
            }
        }
    }

    /// The nodes that a node leads to, and itself.
    fn behind(&self, node: usize) -> BTreeSet<usize> {
        let mut behind = BTreeSet::from([node]);
        let mut todo = vec![node];
        while let Some(node) = todo.pop() {
            let next = self.wires.iter().filter(|wire| wire.from.0 == node).map(|wire| wire.to.0);
            todo.extend(next.filter(|next| behind.insert(*next)));
        }
        behind
    }

    /// A metronome.
    pub(super) fn click(&mut self) -> usize {
        let node = self.add(NodeKind::Click);
        let level = self.rng.tenths(-300, 0);
        let beats = match self.rng.below(100) {
            0..35 => 1,
            35..85 => self.rng.range(2, 6),
            _ => self.rng.range(7, 32),
        };
        self.set(node, "level", Value::Number(level));
        self.set(node, "beats", Value::Number(beats as f64));
        self.midi.push(node);
        let level =
            if self.start.rolling { Level::CLICK.scaled(decibels(level).factor()) } else { Level::SILENT };
        self.publish(node, "out", level)
    }

    /// Tones that follow a metronome, late or not.
    pub(super) fn notes(&mut self, room: usize) {
        let end = self.nodes.len() + room;
        if self.midi.is_empty() {
            self.click();
        }
        if room > 2 && self.rng.percent(40) {
            self.click();
        }
        for _ in 0..self.rng.below(3) {
            if self.nodes.len() + 1 >= end {
                break;
            }
            self.late_notes();
        }
        for _ in 0..self.rng.range(1, 2) {
            if self.nodes.len() < end {
                self.playing_tone(&[]);
            }
        }
        if self.nodes.len() + 1 < end && self.rng.percent(50) {
            self.canon();
        }
    }

    /// A delay that messages go through, and perhaps some sound.
    fn late_notes(&mut self) {
        let taps = if self.rng.percent(20) { vec![self.any_tap()] } else { Vec::new() };
        let latent = self.rng.percent(50);
        let before = self.midi.len();
        self.delay(latent, &taps);
        let node = self.nodes.len() - 1;
        if self.midi.len() == before {
            self.hear_notes(node);
            self.midi.push(node);
        }
    }

    /// A tone that hears these, or any.
    fn playing_tone(&mut self, from: &[usize]) {
        let node = self.add(NodeKind::Tone);
        let frequency = self.rng.tenths(200, 80_000);
        let level = self.rng.tenths(-300, -30);
        let plays = !self.forgets && self.rng.percent(85);
        self.set(node, "frequency", Value::Number(frequency));
        self.set(node, "level", Value::Number(level));
        self.set(node, "notes", Value::Switch(plays));
        from.iter().for_each(|from| self.wire_midi(*from, node));
        if from.is_empty() {
            self.hear_notes(node);
            let clicks = self.clicks();
            if clicks.len() > 1 && self.rng.percent(70) {
                // They play at once, so that it matters who comes last.
                clicks.iter().take(2).for_each(|click| self.wire_midi(*click, node));
            }
        }
        let whole = match plays {
            true if !self.start.rolling => Level::SILENT,
            true => Level::NOTES,
            false => Level::TONE,
        };
        self.publish(node, "out", whole.scaled(decibels(level).factor()));
    }

    fn clicks(&self) -> Vec<usize> {
        let is_click = |node: &usize| self.nodes[*node].kind == NodeKind::Click;
        self.midi.iter().copied().filter(is_click).collect()
    }

    /// Two metronomes on one tone, one of them after the other, so that the end of a note comes while the next
    /// is held.
    fn canon(&mut self) {
        let mut clicks = self.clicks();
        self.rng.shuffle(&mut clicks);
        let (one, other) = (clicks[0], clicks[clicks.len() - 1]);
        let late = self.add(NodeKind::Delay);
        let frames = self.rng.range(1, 1000);
        self.set(late, "frames", Value::Number(frames as f64));
        self.wire_midi(other, late);
        self.publish(late, "out", Level::SILENT);
        self.midi.push(late);
        self.playing_tone(&[one, late]);
    }

    /// Links one or more to the MIDI input.
    fn hear_notes(&mut self, node: usize) {
        for _ in 0..*self.rng.pick(&[1, 1, 2, 3, 3]) {
            let from = *self.rng.pick(&self.midi);
            self.wire_midi(from, node);
        }
    }
}
