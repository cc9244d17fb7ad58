//! What a change of the session moves in processors that go on.

use std::sync::Arc;

use aulos_nodes::signature_number;
use aulos_protocol::{
    Change, Node, NodeKind, Session, mirror,
    params::{self, Effect},
};

/// A value that a node's processors are to move to.
pub struct Moved {
    /// The node.
    pub node: Arc<Node>,
    /// A parameter of its kind's table, or what comes from elsewhere: `tempo` and `signature` of a click, `vca` and
    /// `group_mute` of a strip.
    pub param: &'static str,
    /// The value as a number.
    pub value: f64,
    /// From when on, in stage time; at once if not said.
    pub at: Option<u64>,
}

/// What moves from one session to another, in nodes that both have, but for what VCAs and groups do to strips.
pub fn moved(old: &Session, new: &Session, at: Option<u64>) -> Vec<Moved> {
    let mut moved = Vec::new();
    let mut say = |node: &Arc<Node>, param, value| moved.push(Moved { node: node.clone(), param, value, at });
    for change in mirror::difference(old, new) {
        let Change::Node(node) = change else { continue };
        let Some(before) = old.nodes.get(&node.id) else { continue };
        for param in params::changed(before, &node).filter(|param| param.effect == Effect::Moves) {
            say(&node, param.name, param.number(params::get(&node, param)));
        }
    }
    let clicks = || new.nodes.values().filter(|node| node.kind == NodeKind::Click);
    if old.tempo != new.tempo {
        clicks().for_each(|click| say(click, "tempo", new.tempo.get()));
    }
    if old.signature != new.signature {
        clicks().for_each(|click| say(click, "signature", signature_number(new.signature)));
    }
    moved
}
