//! Changes of a session as lines for people; see [`aulos_protocol::changes`].

pub use aulos_protocol::changes::lines;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aulos_protocol::Change;

    use super::*;
    use crate::samples;

    #[test]
    fn members_come_and_go_by_their_names() {
        let mut session = samples::session();
        let mut band = (**session.node("band").unwrap()).clone();
        let (drums, voice) = (session.node("drums").unwrap().id, session.node("voice").unwrap().id);
        band.members = [voice].into();
        assert_ne!(drums, voice);
        let said = lines(&mut session, &[Change::Node(Arc::new(band))]);
        assert_eq!(said, ["- drums in vca band", "+ voice in vca band"]);
    }
}
