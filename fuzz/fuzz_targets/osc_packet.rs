//! OSC packets by UDP and TCP, and what their messages mean in a session.
#![no_main]

use std::sync::{Arc, LazyLock};

use aulos_osc::{
    framing::Deframer,
    meaning::{Meaning, meaning},
    packet, space, tree,
};
use aulos_protocol::{Node, NodeId, NodeKind, Rate, Session, Slug, State, TransportState};

/// A session with a node of each kind.
static STATE: LazyLock<State> = LazyLock::new(|| {
    let mut session = Session::new("fuzz", Rate::default());
    for (kind, id) in NodeKind::ALL.into_iter().zip(1..) {
        let slug = Slug::new(kind.name()).expect("a kind's name is one of a node");
        session.nodes.insert(Arc::new(Node::new(NodeId(id), slug, kind, 2)));
    }
    State { revision: 1, session, path: None, transport: TransportState::default() }
});

fn take(bytes: &[u8]) {
    let Ok(read) = packet::read(bytes) else { return };
    let written = packet::write(&read).expect("what was read is written");
    let again = packet::read(&written).expect("what was written is read");
    // By what is written, as a number that is none is not itself.
    assert_eq!(packet::write(&again).expect("and written again"), written);
    for (_, message) in packet::messages(read) {
        space::named(&STATE, &message.addr);
        tree::describe(&STATE, &message.addr);
        match meaning(&STATE, &message) {
            Ok(Meaning::Get(targets)) => targets.iter().for_each(|target| drop(target.value(&STATE))),
            Ok(Meaning::Set(settings)) => {
                for (target, command) in settings {
                    assert!(target.is_writable(), "{target} was set by {command:?}");
                }
            }
            Ok(_) => {}
            Err(error) => assert!(error.message.len() < 8000, "{} bytes of an error", error.message.len()),
        }
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    take(bytes);
    let mut deframer = Deframer::default();
    for part in bytes.chunks(7) {
        if deframer.push(part, take).is_err() {
            break;
        }
    }
});
