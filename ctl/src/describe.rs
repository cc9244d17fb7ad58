//! A node in a few words.

use aulos_protocol::{
    Node, NodeKind, Value,
    params::{self, Unit},
};

use crate::values::show;

/// What is to be known of a node at a glance: its level and position, switches that are on, and what makes it
/// what it is. Each part stands by itself.
pub fn brief(node: &Node) -> Vec<String> {
    let mut parts = Vec::new();
    for param in params::of(node.kind, node.channels) {
        let value = params::get(node, param);
        match (param.name, param.unit, value) {
            ("first_channel", _, _) => {
                let first = value.as_f64();
                let last = first + f64::from(node.channels) - 1.0;
                parts.push(if last > first {
                    format!("channels {first}-{last}")
                } else {
                    format!("channel {first}")
                });
            }
            ("mute", _, Value::Switch(true)) => parts.push("muted".to_owned()),
            ("report", _, Value::Switch(true)) => parts.push("reported".to_owned()),
            ("gain" | "level" | "pan" | "frequency" | "frames", _, _) => parts.push(show(param.unit, value)),
            // What is as it always is says nothing.
            _ if value == param.default => {}
            ("solo_safe", _, Value::Switch(false)) => parts.push("not solo safe".to_owned()),
            (name, Unit::Switch, Value::Switch(true)) => parts.push(name.replace('_', " ")),
            (name, ..) => parts.push(format!("{} {}", name.replace('_', " "), show(param.unit, value))),
        }
    }
    parts
}

/// The kind with an article: `a track`, `an output`.
pub fn a(kind: NodeKind) -> String {
    let article = if kind.name().starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {kind}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn a_glance_tells_what_matters() {
        let session = samples::session();
        let brief = |slug| brief(session.node(slug).unwrap()).join(", ");
        assert_eq!(brief("drums"), "-3.00 dB, L30, muted");
        assert_eq!(brief("output"), "channels 1-2");
        assert_eq!(brief("late"), "480 frames");
        assert_eq!(a(NodeKind::Output), "an output");
        assert_eq!(a(NodeKind::Track), "a track");
    }
}
