use std::sync::Arc;

use aulos_protocol::{Command, NodeId, Rate, Session, Slug, TransportState, Value};

use super::*;

fn state() -> State {
    let mut session = Session::new("stage", Rate::default());
    for (kind, id) in NodeKind::ALL.into_iter().zip(1..) {
        let slug = Slug::new(&format!("my-{kind}")).unwrap();
        session.nodes.insert(Arc::new(Node::new(NodeId(id), slug, kind, 1)));
    }
    State { revision: 0, session, path: None, transport: TransportState::default() }
}

#[test]
fn an_address_is_described_with_what_holds() {
    let described = describe(&state(), "/track/my-track/gain").unwrap();
    let expected = json!({
        "FULL_PATH": "/track/my-track/gain", "ACCESS": 3, "TYPE": "f", "VALUE": [0.0], "CLIPMODE": ["both"],
        "UNIT": ["gain.db"], "RANGE": [{ "MIN": -144.0, "MAX": 12.0 }],
        "DESCRIPTION": described["DESCRIPTION"],
    });
    assert_eq!(described, expected);
    // By number, without a name, and by no name at all.
    assert_eq!(describe(&state(), "/track/1/gain").unwrap(), described);
    assert_eq!(describe(&state(), "/master/gain").unwrap()["FULL_PATH"], "/master/my-master/gain");
    for (path, types, access) in [
        ("/transport/loop", "hhi", 3),
        ("/transport/bbt", "iii", 1),
        ("/node/add", "ssh", 2),
        ("/transport/play", "N", 2),
        ("/sys/subscribe", "sif", 2),
        ("/members/add", "ss", 2),
        ("/meter/track/my-track", "ffff", 1),
        ("/meter/master/my-master", "ff", 1),
    ] {
        let described = describe(&state(), path).unwrap_or_else(|| panic!("{path}"));
        assert_eq!((&described["TYPE"], &described["ACCESS"]), (&json!(types), &json!(access)), "{path}");
        assert!(described["DESCRIPTION"].as_str().is_some_and(|text| text.len() > 5), "{path}");
    }
    for path in ["/track/nobody", "/track/my-track/gai", "/trac", "nothing", "/meter/tone/my-tone"] {
        assert_eq!(describe(&state(), path), None, "{path}");
    }
}

#[test]
fn silence_is_the_end_of_the_range() {
    let mut state = state();
    let mut node = Node::clone(state.session.node("my-track").unwrap());
    node.params.insert("gain".into(), Value::Silence);
    state.session.nodes.insert(Arc::new(node));
    assert_eq!(describe(&state, "/track/my-track/gain").unwrap()["VALUE"], json!([-144.0]));
}

/// All that is described can be sent, and all that can be sent is described.
#[test]
fn the_whole_tree_has_every_address_once() {
    let state = state();
    let tree = describe(&state, "/").unwrap();
    let (mut waiting, mut addresses) = (vec![("", &tree)], Vec::new());
    while let Some((parent, node)) = waiting.pop() {
        let path = node["FULL_PATH"].as_str().unwrap();
        assert!(node.as_object().unwrap().keys().all(|name| ATTRIBUTES.contains(&name.as_str())), "{path}");
        assert_eq!(describe(&state, path).as_ref(), Some(node));
        assert!(path.starts_with(parent), "{path}");
        if node.get("TYPE").is_some() {
            addresses.push(path);
        } else {
            assert_eq!(node["ACCESS"], 0);
        }
        waiting.extend(node["CONTENTS"].as_object().into_iter().flatten().map(|(_, below)| (path, below)));
    }
    let values = space::all(&state).map(|target| target.to_string());
    let methods = registry::methods().iter().filter_map(|method| method.address).map(ToOwned::to_owned);
    let doors = DOORS.iter().map(|door| door.address.to_owned());
    let mut expected: Vec<_> = values.chain(methods).chain(doors).collect();
    addresses.retain(|address| !address.starts_with("/meter/"));
    addresses.sort_unstable();
    expected.sort_unstable();
    assert_eq!(addresses, expected);
}

/// The types say what is taken.
#[test]
fn what_is_described_is_taken() {
    let state = state();
    for target in space::all(&state).filter(Target::is_writable) {
        let set: Result<Command, _> = target.set(&target.value(&state));
        assert!(set.is_ok(), "{target}: {set:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_path_panics(path in "[/a-z0-9?%. \u{e4}]{0,40}", node in 0usize..20) {
        let state = state();
        let _ = describe(&state, &path);
        let nodes = state.session.nodes.in_order();
        if let Some(node) = nodes.get(node) {
            let _ = describe(&state, &format!("/{}/{}{path}", node.kind, node.slug));
        }
    }
}
