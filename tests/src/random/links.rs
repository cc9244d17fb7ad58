//! Links, with gains that keep every sum within bounds.

use aulos_protocol::{
    Decibels, NodeKind,
    ports::{self, Group},
};

use super::{
    build::{Builder, Wire, decibels},
    level::Level,
    rng::Rng,
};

impl Builder<'_> {
    pub(super) fn feed(&mut self, node: usize, group: &str, taps: &[usize]) {
        let group = self.group(node, group);
        for &tap in taps {
            self.link(tap, node, group);
        }
    }

    /// Links a tap to a group of input ports: mostly by the channel map, sometimes port by port.
    pub(super) fn link(&mut self, tap: usize, node: usize, to: Group) {
        let from = self.taps[tap].group;
        let unity = Decibels::UNITY;
        let random = |rng: &mut Rng, group: Group| rng.below(u64::from(group.channels)) as u16;
        let pairs = match self.rng.below(100) {
            // The map leaves most of a wide node silent.
            0..60 if to.channels > from.channels.max(2) => {
                (0..to.channels).map(|channel| (channel % from.channels, channel, unity)).collect()
            }
            0..84 => ports::channel_map(from.channels, to.channels),
            84..94 => vec![(random(self.rng, from), random(self.rng, to), unity)],
            _ => {
                let port = random(self.rng, to);
                (0..from.channels).map(|channel| (channel, port, unity)).collect()
            }
        };
        let mut gain = self.link_gain();
        for (from_channel, to_channel, map_gain) in pairs {
            if self.rng.percent(10) {
                gain = self.link_gain();
            }
            self.wire(tap, from_channel, (node, to.port_name(to_channel)), map_gain, gain);
        }
        self.taps[tap].loose = false;
    }

    pub(super) fn link_gain(&mut self) -> f64 {
        match self.rng.below(100) {
            0..65 => 0.0,
            65..67 => f64::NEG_INFINITY,
            _ => self.rng.tenths(-240, 60),
        }
    }

    /// Makes a link with the gain that was drawn, or with one that keeps the sum within bounds.
    pub(super) fn wire(
        &mut self,
        tap: usize,
        channel: u16,
        to: (usize, String),
        map_gain: Decibels,
        gain: f64,
    ) {
        let tap = &self.taps[tap];
        let from = (tap.node, tap.group.port_name(channel));
        if self.wires.iter().any(|wire| wire.from == from && wire.to == to) {
            return;
        }
        let is_echo = self.nodes[to.0].kind == NodeKind::Feedback;
        let before = self.entering.get(&to).copied().unwrap_or(Level::SILENT);
        for gain in [gain, 0.0, -6.0, -12.0, -18.0, -24.0, -48.0, f64::NEG_INFINITY] {
            let gain = decibels(map_gain.get() + gain);
            let sum = before.plus(tap.level.scaled(gain.factor()));
            if if is_echo { sum.dies_away() } else { sum.fits() } {
                self.entering.insert(to.clone(), sum);
                self.wires.push(Wire { from, to, gain });
                return;
            }
        }
    }

    /// Links the MIDI output of a node to the MIDI input of another.
    pub(super) fn wire_midi(&mut self, from: usize, to: usize) {
        let (from, to) = ((from, "midi_out".to_owned()), (to, "midi_in".to_owned()));
        let gain = if self.rng.percent(6) { Decibels::SILENCE } else { Decibels::UNITY };
        if !self.wires.iter().any(|wire| wire.from == from && wire.to == to) {
            self.wires.push(Wire { from, to, gain });
        }
    }

    /// The level of a group of inputs.
    pub(super) fn entered(&self, node: usize, group: &str) -> Level {
        let names = self.group(node, group).port_names().into_iter();
        let levels = names.filter_map(|name| self.entering.get(&(node, name)));
        levels.fold(Level::SILENT, |level, port| level.or(*port))
    }
}
