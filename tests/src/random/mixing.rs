//! What a mixer has beside faders: trims, pan laws, VCAs and groups, patterns of the click, delays of outputs.
//!
//! Nothing of it makes anything louder, as levels have been chosen already, and little of it much quieter.

use aulos_protocol::{NodeKind, Signature, Value};

use super::build::Builder;

/// The most nodes in a scene.
const MOST_NODES: usize = 60;

impl Builder<'_> {
    pub(super) fn mixing(&mut self) {
        let strips: Vec<_> = (0..self.nodes.len()).filter(|node| self.nodes[*node].kind.is_strip()).collect();
        for strip in strips.iter().copied() {
            let (kind, channels) = (self.nodes[strip].kind, self.nodes[strip].channels);
            if matches!(kind, NodeKind::Track | NodeKind::Bus) {
                if self.rng.percent(15) {
                    let trim = self.rng.tenths(-60, 0);
                    self.set(strip, "trim", Value::Number(trim));
                }
                let sides: &[&str] =
                    if channels == 2 { &["inverted", "left", "right"] } else { &["inverted"] };
                if self.rng.percent(15) {
                    let polarity = self.rng.pick(sides);
                    self.set(strip, "polarity", Value::name(polarity));
                }
            }
            if channels == 1 && kind != NodeKind::Master && self.rng.percent(50) {
                let law = self.rng.pick(&["-4.5dB", "-6dB"]);
                self.set(strip, "pan_law", Value::name(law));
            }
            if kind == NodeKind::Send && self.rng.percent(5) {
                self.set(strip, "mute", Value::Switch(true));
            }
        }
        while self.nodes.len() < MOST_NODES && self.members.len() < 4 && self.rng.percent(50) {
            self.together(&strips);
        }
        let of_kind = |kind: NodeKind| -> Vec<usize> {
            (0..self.nodes.len()).filter(|node| self.nodes[*node].kind == kind).collect()
        };
        let (clicks, outputs) = (of_kind(NodeKind::Click), of_kind(NodeKind::Output));
        for click in clicks {
            if self.rng.percent(40) {
                self.set(click, "beats", Value::Number(0.0));
            }
            if self.rng.percent(40) {
                let pattern = self.rng.pick(&["Xooxoo", "X.x.", "Xxxxx", ".o", "XxXxx"]);
                self.set(click, "pattern", Value::name(pattern));
            }
        }
        for output in outputs {
            if self.rng.percent(15) {
                let ms = self.rng.tenths(1, 300);
                self.set(output, "delay", Value::Number(ms));
            }
        }
    }

    fn together(&mut self, strips: &[usize]) {
        let kind = if self.rng.percent(55) { NodeKind::Vca } else { NodeKind::Group };
        let group = self.add_wide(kind, 2);
        let mut members = strips.to_vec();
        self.rng.shuffle(&mut members);
        members.truncate(self.rng.range(1, 6) as usize);
        self.members.push((group, members));
        if kind == NodeKind::Vca {
            let gain = self.rng.tenths(-60, 0);
            self.set(group, "gain", Value::Number(gain));
            if self.rng.percent(3) {
                self.set(group, "solo", Value::Switch(true));
            }
        }
        if self.rng.percent(3) {
            self.set(group, "mute", Value::Switch(true));
        }
    }

    /// Mostly in four.
    pub(super) fn signature(&mut self) -> Signature {
        let signature = if self.rng.percent(60) {
            Some(Signature::default())
        } else {
            Signature::new(self.rng.range(1, 12) as u8, *self.rng.pick(&[2, 4, 8]))
        };
        signature.expect("a signature")
    }
}
