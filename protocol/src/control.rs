//! What VCAs and groups do to their members.

use crate::{NodeId, NodeKind, Session, params};

/// What is done to a strip from outside of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Control {
    /// What its VCAs add to its gain, in dB; −∞ if one of them is at silence.
    pub gain_db: f64,
    /// Whether one of its VCAs or groups is muted.
    pub mute: bool,
    /// Whether one of its VCAs is soloed.
    pub solo: bool,
}

impl Control {
    /// A strip that nothing is done to.
    pub const NONE: Self = Self { gain_db: 0.0, mute: false, solo: false };
}

impl Session {
    /// What is done to a strip by those whose member it is, in the order of their numbers.
    pub fn control(&self, member: NodeId) -> Control {
        let mut control = Control::NONE;
        for group in self.nodes.controlling(member) {
            let is_on = |name| params::number(group, name).is_some_and(|value| value != 0.0);
            control.mute |= is_on("mute");
            if group.kind == NodeKind::Vca {
                control.gain_db += params::number(group, "gain").unwrap_or(0.0);
                control.solo |= is_on("solo");
            }
        }
        control
    }
}
