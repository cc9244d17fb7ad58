//! Which ports each kind of node has.

use crate::{Decibels, Node, NodeKind};

/// Whether sound leaves or enters the node by a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// The port is a destination of links.
    In,
    /// The port is a source of links.
    Out,
}

/// What travels by a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    /// Samples.
    Audio,
    /// MIDI messages.
    Midi,
}

impl Signal {
    /// The signal's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Midi => "MIDI",
        }
    }
}

/// A group of ports of one kind and direction, such as `out` with `out_L` and `out_R`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The group's name.
    pub name: &'static str,
    /// Source or destination.
    pub direction: Direction,
    /// What travels by it.
    pub signal: Signal,
    /// How many ports it has.
    pub channels: u16,
}

/// The number of channels that leave a strip or send of `channels`: mono is panned to stereo.
pub fn panned(channels: u16) -> u16 {
    if channels == 1 { 2 } else { channels }
}

/// The groups of ports of a node of `kind` with `channels` channels.
pub fn groups(kind: NodeKind, channels: u16) -> Vec<Group> {
    let audio = Signal::Audio;
    let input = |name| Group { name, direction: Direction::In, signal: audio, channels };
    let output = |name, channels| Group { name, direction: Direction::Out, signal: audio, channels };
    let midi_in = Group { name: "midi_in", direction: Direction::In, signal: Signal::Midi, channels: 1 };
    let midi_out = Group { name: "midi_out", direction: Direction::Out, signal: Signal::Midi, channels: 1 };
    match kind {
        NodeKind::Input => vec![output("out", channels)],
        NodeKind::Tone => vec![output("out", channels), midi_in],
        NodeKind::Click => vec![output("out", channels), midi_out],
        NodeKind::Output => vec![input("in")],
        NodeKind::Track => vec![
            input("in"),
            output("insert_out", channels),
            input("insert_in"),
            output("pre", channels),
            output("out", panned(channels)),
        ],
        NodeKind::Bus => vec![input("in"), output("pre", channels), output("out", panned(channels))],
        NodeKind::Send => vec![input("in"), output("out", panned(channels))],
        NodeKind::Master | NodeKind::Feedback | NodeKind::Eq => vec![input("in"), output("out", channels)],
        NodeKind::Dynamics => vec![input("in"), input("sidechain"), output("out", channels)],
        NodeKind::Delay => vec![input("in"), output("out", channels), midi_in, midi_out],
        NodeKind::Vca | NodeKind::Group => Vec::new(),
    }
}

/// The names of a node's channels: `L` and `R` in stereo, else `1` and so on.
pub fn channel_names(channels: u16) -> impl Iterator<Item = String> {
    (0..channels).map(move |channel| match (channels, channel) {
        (2, 0) => "L".into(),
        (2, 1) => "R".into(),
        _ => (channel + 1).to_string(),
    })
}

impl Group {
    /// The name of the port of channel `channel` (from 0): `out_L` and `out_R` in stereo, else `out_1` and so
    /// on. A MIDI port is named like its group.
    pub fn port_name(&self, channel: u16) -> String {
        if self.signal == Signal::Midi {
            return self.name.to_owned();
        }
        match (self.channels, channel) {
            (2, 0) => format!("{}_L", self.name),
            (2, 1) => format!("{}_R", self.name),
            _ => format!("{}_{}", self.name, channel + 1),
        }
    }

    /// The channel of the port `name`, if it is one of the group's.
    pub fn channel_of(&self, name: &str) -> Option<u16> {
        if self.signal == Signal::Midi {
            return (name == self.name).then_some(0);
        }
        let channel = match (self.channels, name.strip_prefix(self.name)?.strip_prefix('_')?) {
            (2, "L") => 0,
            (2, "R") => 1,
            (2, _) => return None,
            // As it is written in a name, no other way.
            (_, number) if number.starts_with(|c: char| matches!(c, '1'..='9')) => {
                number.parse::<u16>().ok()? - 1
            }
            _ => return None,
        };
        (channel < self.channels).then_some(channel)
    }

    /// All port names in the order of the channels.
    pub fn port_names(&self) -> Vec<String> {
        (0..self.channels).map(|channel| self.port_name(channel)).collect()
    }
}

/// The group and channel of the port `name` of `node`.
pub fn find(node: &Node, name: &str) -> Option<(Group, u16)> {
    groups(node.kind, node.channels).into_iter().find_map(|group| Some((group, group.channel_of(name)?)))
}

/// How the channels of a source of `from` channels go to a destination of `to` channels: pairs of channels
/// (from 0) with a gain. Mono goes to both sides of stereo, stereo is summed to mono at −3 dB each, anything
/// else goes by index.
pub fn channel_map(from: u16, to: u16) -> Vec<(u16, u16, Decibels)> {
    const SUMMED_DB: f64 = -3.0;
    match (from, to) {
        (1, 2) => vec![(0, 0, Decibels::UNITY), (0, 1, Decibels::UNITY)],
        (2, 1) => {
            let gain = Decibels::new(SUMMED_DB).unwrap_or_default();
            vec![(0, 0, gain), (1, 0, gain)]
        }
        _ => (0..from.min(to)).map(|c| (c, c, Decibels::UNITY)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_names_are_unique_within_a_kind() {
        for kind in NodeKind::ALL {
            for channels in [1, 2, 3, 64] {
                let names: Vec<_> = groups(kind, channels).iter().flat_map(Group::port_names).collect();
                let unique: std::collections::BTreeSet<_> = names.iter().collect();
                assert_eq!(unique.len(), names.len(), "{kind}");
            }
        }
    }

    #[test]
    fn a_port_is_found_by_its_name_and_by_nothing_else() {
        for kind in NodeKind::ALL {
            for channels in [1, 2, 3, 64] {
                for group in groups(kind, channels) {
                    for (channel, name) in group.port_names().iter().enumerate() {
                        assert_eq!(group.channel_of(name), Some(channel as u16), "{name}");
                    }
                    let wrong = ["_0", "_01", "_+1", "_65", "_65537", "_", "", "_1 ", "_l", "_1_L", "_M"];
                    // A MIDI port is named like its group.
                    let others = wrong.into_iter().filter(|w| group.signal == Signal::Audio || !w.is_empty());
                    for wrong in others.map(|wrong| format!("{}{wrong}", group.name)) {
                        assert_eq!(group.channel_of(&wrong), None, "{wrong}");
                    }
                }
            }
        }
    }

    #[test]
    fn stereo_to_mono_is_summed_at_minus_three() {
        let map = channel_map(2, 1);
        assert_eq!(map.len(), 2);
        assert!(map.iter().all(|(_, to, gain)| *to == 0 && gain.get() == -3.0));
        assert_eq!(channel_map(6, 2).len(), 2);
    }
}
