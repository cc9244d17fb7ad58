//! Links as people think of them; see [`aulos_protocol::wires`].

pub use aulos_protocol::wires::{Wire, singles, wires};

#[cfg(test)]
mod tests {
    use aulos_protocol::{Decibels, Session};

    use super::*;
    use crate::samples;

    fn texts(session: &Session) -> Vec<String> {
        let text = |wire: &Wire| {
            let name = |node| session.nodes[&node].slug.to_string();
            let (from, to) = (name(wire.from_node), name(wire.to_node));
            format!("{from}:{} → {to}:{} {} ×{}", wire.from, wire.to, wire.gain, wire.links)
        };
        wires(session).iter().map(text).collect()
    }

    #[test]
    fn whole_groups_are_one_wire() {
        let session = samples::session();
        assert_eq!(
            texts(&session),
            [
                "master:out → output:in +0.00 dB ×2",
                "drums:pre → room:in -6.00 dB ×2",
                "drums:out → master:in +0.00 dB ×2",
                "voice:out_L → master:in_R +0.00 dB ×1",
                "room:out → master:in -inf dB ×2",
            ]
        );
        assert_eq!(singles(&session).len(), 9);
    }

    #[test]
    fn different_gains_are_different_wires() {
        let mut session = samples::session();
        let mut link = (**session.links.values().next().unwrap()).clone();
        link.gain = Decibels::new(-1.0).unwrap();
        session.links.insert(link.into());
        assert_eq!(
            texts(&session)[..2],
            ["master:out_L → output:in_L -1.00 dB ×1", "master:out_R → output:in_R +0.00 dB ×1",]
        );
    }
}
