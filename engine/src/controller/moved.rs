//! What a change of the session moves in processors that go on.

use std::{collections::BTreeSet, sync::Arc};

use aulos_nodes::signature_number;
use aulos_protocol::{
    Change, Node, NodeId, NodeKind, Session, mirror,
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
}

/// What moves from one session to another, in nodes that both have.
pub fn moved(old: &Session, new: &Session) -> Vec<Moved> {
    let mut moved = Vec::new();
    let mut say = |node: &Arc<Node>, param, value| moved.push(Moved { node: node.clone(), param, value });
    let mut members: BTreeSet<NodeId> = BTreeSet::new();
    for change in mirror::difference(old, new) {
        match change {
            Change::Node(node) => {
                members.extend(&node.members);
                let Some(before) = old.nodes.get(&node.id) else { continue };
                members.extend(&before.members);
                for param in params::changed(before, &node).filter(|param| param.effect == Effect::Moves) {
                    say(&node, param.name, param.number(params::get(&node, param)));
                }
            }
            Change::NodeGone(id) => {
                members.extend(old.nodes.get(&id).into_iter().flat_map(|node| &node.members))
            }
            _ => {}
        }
    }
    for member in members.into_iter().filter(|member| old.nodes.contains_key(member)) {
        let Some(node) = new.nodes.get(&member) else { continue };
        let (before, now) = (old.control(member), new.control(member));
        if before.gain_db != now.gain_db {
            say(node, "vca", now.gain_db);
        }
        if before.mute != now.mute {
            say(node, "group_mute", f64::from(u8::from(now.mute)));
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
