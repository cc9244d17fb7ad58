use aulos_protocol::{Command, Endpoint, Frames, NewNode, NodeKind, Rate, Value, mirror};
use proptest::prelude::*;

use super::*;
use crate::session::{apply, validate};

fn does(session: &Session, command: Command) -> (Session, Outcome) {
    apply(session, &command).unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn end(text: &str) -> Endpoint {
    text.parse().unwrap()
}

fn add(kind: NodeKind, name: &str) -> Command {
    Command::AddNode(NewNode { kind, name: Some(name.into()), channels: None, params: Default::default() })
}

fn session() -> Session {
    let clip = |at| Command::AddClip {
        track: "drums".into(),
        file: "a.wav".into(),
        at: Frames(at),
        offset: Frames(1),
        length: None,
    };
    let set = Command::SetParam { node: "drums".into(), param: "gain".into(), value: Value::Number(-3.0) };
    let link = |from: &str, to: &str| Command::Link { from: end(from), to: end(to), gain: None };
    let commands = vec![
        add(NodeKind::Master, "master"),
        add(NodeKind::Track, "drums"),
        add(NodeKind::Bus, "room"),
        add(NodeKind::Tone, "tone"),
        link("tone", "drums"),
        link("drums", "room"),
        link("drums:pre", "master"),
        clip(0),
        clip(100),
        set,
    ];
    does(&Session::new("s", Rate::default()), Command::Batch { commands }).0
}

fn listed(session: &Session) -> Vec<&str> {
    session.nodes.in_order().into_iter().map(|node| node.slug.as_str()).collect()
}

#[test]
fn a_name_changes_and_nothing_else() {
    let old = session();
    let rename = |node: &str, name: &str| Command::RenameNode { node: node.into(), name: name.into() };
    let (new, outcome) = does(&old, rename("drums", "kit"));
    assert_eq!(outcome, Outcome::default());
    assert_eq!(new.links, old.links);
    let (was, is) = (old.node("drums").unwrap(), new.node("kit").unwrap());
    assert_eq!(Node { slug: was.slug.clone(), ..(**is).clone() }, **was);
    assert!(new.node("drums").is_none());
    // The old name is free again, and the same name is no change.
    does(&new, add(NodeKind::Bus, "drums"));
    assert_eq!(does(&new, rename("kit", "kit")).0, new);
    for (node, name, code) in [
        ("drums", "room", ErrorCode::Exists),
        ("drums", "Drums", ErrorCode::InvalidArgument),
        ("drms", "x", ErrorCode::NotFound),
    ] {
        assert_eq!(apply(&old, &rename(node, name)).unwrap_err().code, code, "{node} {name}");
    }
}

#[test]
fn a_copy_has_everything_under_numbers_of_its_own() {
    let old = session();
    let duplicate = |node: &str, name: Option<&str>| Command::DuplicateNode {
        node: node.into(),
        name: name.map(str::to_owned),
    };
    let (new, outcome) = does(&old, duplicate("drums", None));
    assert_eq!((outcome.nodes, outcome.clips.len(), outcome.links), (vec!["drums-2".to_owned()], 2, 6));
    validate(&new).unwrap();
    let (drums, copy) = (new.node("drums").unwrap(), new.node("drums-2").unwrap());
    assert_eq!((&copy.params, copy.kind, copy.channels), (&drums.params, drums.kind, drums.channels));
    let clips = |node: &Node| -> Vec<_> {
        node.clips.iter().map(|clip| (clip.file.clone(), clip.at, clip.offset, clip.length)).collect()
    };
    assert_eq!(clips(copy), clips(drums));
    let ends = |name: &str| -> Vec<String> {
        let id = new.node(name).unwrap().id;
        let mine = new.links.values().filter(|link| link.from.node == id || link.to.node == id);
        let text = |link: &Arc<Link>| {
            let text = format!("{} {} {}", new.port_text(&link.from), new.port_text(&link.to), link.gain);
            text.replace(&format!("{name}:"), "it:")
        };
        mine.map(text).collect()
    };
    assert_eq!(ends("drums-2"), ends("drums"));
    assert_eq!(listed(&new), ["master", "drums", "drums-2", "room", "tone"]);
    // Names go on from the number that is there, and are cut where they would be too long.
    let (new, outcome) = does(&new, duplicate("drums-2", None));
    assert_eq!(outcome.nodes, ["drums-3"]);
    let long = "a".repeat(Slug::MAX_LEN);
    let (new, _) = does(&new, duplicate("room", Some(&long)));
    let (_, outcome) = does(&new, duplicate(&long, None));
    assert_eq!(outcome.nodes, [format!("{}-2", "a".repeat(Slug::MAX_LEN - 2))]);
    assert_eq!(apply(&old, &duplicate("drums", Some("room"))).unwrap_err().code, ErrorCode::Exists);
}

#[test]
fn moving_changes_the_list_and_nothing_else() {
    let old = session();
    let to = |node: &str, to| Command::MoveNode { node: node.into(), to };
    for (command, list) in [
        (to("tone", Place::First), ["tone", "master", "drums", "room"]),
        (to("master", Place::Last), ["drums", "room", "tone", "master"]),
        (to("tone", Place::Before("drums".into())), ["master", "tone", "drums", "room"]),
        (to("master", Place::After("drums".into())), ["drums", "master", "room", "tone"]),
        (to("drums", Place::After("master".into())), ["master", "drums", "room", "tone"]),
    ] {
        let (new, _) = does(&old, command.clone());
        assert_eq!(listed(&new), list, "{command:?}");
        validate(&new).unwrap();
        assert_eq!(does(&new, command.clone()).0, new, "said again, {command:?} is harmless");
        let touched = mirror::difference(&old, &new).len();
        assert!(touched <= 1, "{command:?} touches {touched} nodes");
        // What is added comes last, wherever the others went.
        let (new, _) = does(&new, add(NodeKind::Bus, "new"));
        assert_eq!(listed(&new).last(), Some(&"new"), "{command:?}");
    }
    let beside_itself = to("drums", Place::Before("drums".into()));
    assert_eq!(apply(&old, &beside_itself).unwrap_err().code, ErrorCode::InvalidArgument);
    let beside_nobody = to("drums", Place::After("nobody".into()));
    assert_eq!(apply(&old, &beside_nobody).unwrap_err().code, ErrorCode::NotFound);
}

#[test]
fn a_copy_is_a_member_where_the_node_is_and_has_none_itself() {
    let (session, _) = does(&session(), add(NodeKind::Vca, "band"));
    let track = listed(&session)[0].to_owned();
    let (session, _) =
        does(&session, Command::AddMembers { group: "band".into(), nodes: vec![track.clone()] });
    let copy = |session: &Session, node: &str| {
        let (copied, outcome) = does(session, Command::DuplicateNode { node: node.into(), name: None });
        validate(&copied).unwrap();
        (copied, outcome.nodes[0].clone())
    };
    let (with_track, name) = copy(&session, &track);
    let id = with_track.node(&name).unwrap().id;
    assert!(with_track.node("band").unwrap().members.contains(&id));
    let (with_band, name) = copy(&session, "band");
    assert!(with_band.node(&name).unwrap().members.is_empty());
}

#[test]
fn a_master_whose_limiter_is_later_than_allowed_is_refused_at_once() {
    let short = Command::SetSession {
        name: None,
        tempo: None,
        signature: None,
        edit_fade_ms: None,
        max_latency_ms: Some(0.0),
    };
    let (session, _) = does(&session(), short);
    let limiter = [("limiter".to_owned(), Value::Switch(true))].into();
    let new = NewNode { kind: NodeKind::Master, name: Some("loud".into()), channels: None, params: limiter };
    let refused = apply(&session, &Command::AddNode(new)).unwrap_err();
    assert_eq!(refused.code, ErrorCode::OutOfRange, "{refused:?}");
}

proptest! {
    /// Long enough for the room between two places to run out, again and again.
    #[test]
    fn the_list_is_as_if_it_was_one(
        moves in prop::collection::vec((0..4usize, 0..4usize, 0..4u8), 1..20),
        times in 1..60usize,
    ) {
        let mut session = session();
        let mut list: Vec<String> = listed(&session).into_iter().map(str::to_owned).collect();
        let names = list.clone();
        for (node, other, place) in moves.iter().cycle().take(moves.len() * times) {
            let (node, other) = (&names[*node], &names[*other]);
            if node == other {
                continue;
            }
            list.retain(|name| name != node);
            let at = list.iter().position(|name| name == other).unwrap();
            let (to, at) = match place {
                0 => (Place::First, 0),
                1 => (Place::Last, list.len()),
                2 => (Place::Before(other.clone()), at),
                _ => (Place::After(other.clone()), at + 1),
            };
            list.insert(at, node.clone());
            session = does(&session, Command::MoveNode { node: node.clone(), to }).0;
            prop_assert_eq!(listed(&session), list.iter().map(String::as_str).collect::<Vec<_>>());
        }
        validate(&session).map_err(|error| TestCaseError::fail(error.to_string()))?;
    }
}
