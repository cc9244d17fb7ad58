//! What VCAs and groups do to their members.

use aulos_protocol::{Node, NodeKind, Session};

use super::law::{is_on, number};

/// What is done to a strip from outside of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Control {
    /// Added to its gain, in dB.
    pub gain: f64,
    pub is_muted: bool,
    pub is_soloed: bool,
}

impl Control {
    /// What the session does to `member`: all of its nodes are looked through.
    pub(crate) fn of(session: &Session, member: &Node) -> Self {
        let mut control = Self::default();
        for node in session.nodes.values().filter(|node| node.members.contains(&member.id)) {
            control.is_muted |= is_on(node, "mute");
            if node.kind == NodeKind::Vca {
                control.gain += number(node, "gain");
                control.is_soloed |= is_on(node, "solo");
            }
        }
        control
    }
}
