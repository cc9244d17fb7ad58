//! VCAs and groups: their members, and commands that apply to all of them.

use std::{collections::BTreeSet, sync::Arc};

use aulos_protocol::{Error, ErrorCode, Node, NodeId, NodeKind, Session, Value, params};

use super::{apply::store, names};

/// Makes strips members.
///
/// # Errors
/// No such group or strip, or one that cannot be a member.
pub fn add_members(session: &mut Session, group: &str, nodes: &[String]) -> Result<(), Error> {
    edit(session, group, |session, group| {
        for name in nodes {
            let node = names::node(session, name)?;
            check_member(node)?;
            group.members.insert(node.id);
        }
        Ok(())
    })
}

/// Takes members out.
///
/// # Errors
/// No such group, or one of them is no member.
pub fn remove_members(session: &mut Session, group: &str, nodes: &[String]) -> Result<(), Error> {
    edit(session, group, |session, group| {
        for name in nodes {
            let is_member = session.node(name).is_some_and(|node| group.members.remove(&node.id));
            if !is_member {
                let members = group.members.iter().filter_map(|id| session.nodes.get(id));
                let members: Vec<_> = members.map(|node| node.slug.to_string()).collect();
                let what = format!("member of {}", group.slug);
                return Err(Error::not_found(&what, name, members.iter().map(String::as_str)));
            }
        }
        Ok(())
    })
}

fn edit(
    session: &mut Session,
    group: &str,
    edit: impl FnOnce(&Session, &mut Node) -> Result<(), Error>,
) -> Result<(), Error> {
    let group = names::node(session, group)?;
    if !group.kind.has_members() {
        let message = format!("{} is a {}, which has no members", group.slug, group.kind);
        return Err(Error::new(ErrorCode::InvalidArgument, message).expected("the name of a vca or group"));
    }
    let mut changed = (**group).clone();
    edit(session, &mut changed)?;
    if changed != **group {
        session.nodes.insert(Arc::new(changed));
    }
    Ok(())
}

/// Whether a node can be a member.
///
/// # Errors
/// Why not.
pub fn check_member(node: &Node) -> Result<(), Error> {
    if node.kind.is_strip() {
        return Ok(());
    }
    let message = format!("{} is a {}, which cannot be a member", node.slug, node.kind);
    Err(Error::new(ErrorCode::InvalidArgument, message).expected("a track, bus, send or the master"))
}

/// Takes a node out of all whose member it is.
pub fn forget(session: &mut Session, node: NodeId) {
    let groups: Vec<_> = session.nodes.controlling(node).cloned().collect();
    for group in groups {
        let mut changed = (*group).clone();
        changed.members.remove(&node);
        session.nodes.insert(Arc::new(changed));
    }
}

/// Makes a node a member of all whose member another is.
pub fn join(session: &mut Session, as_is: NodeId, node: NodeId) {
    let groups: Vec<_> = session.nodes.controlling(as_is).cloned().collect();
    for group in groups {
        let mut changed = (*group).clone();
        changed.members.insert(node);
        session.nodes.insert(Arc::new(changed));
    }
}

/// The node and all that are in a group with it whose switch `how` is on.
pub fn together(session: &Session, node: NodeId, how: &str) -> BTreeSet<NodeId> {
    let groups = session.nodes.controlling(node).filter(|group| group.kind == NodeKind::Group);
    let on = groups.filter(|group| params::number(group, how).is_some_and(|on| on != 0.0));
    on.flat_map(|group| group.members.iter().copied()).chain([node]).collect()
}

/// What all members of a mix group do with one: the fader by as many dB, and the switches of the mixer.
const FADERS: [&str; 2] = ["gain", "level"];
const SWITCHES: [&str; 2] = ["mute", "solo"];

/// Sets a parameter of a node, and of those that are mixed together with it.
///
/// # Errors
/// No such node or parameter, or a value that it cannot have.
pub fn set_param(session: &mut Session, name: &str, param: &str, value: Value) -> Result<(), Error> {
    let named = names::node(session, name)?.clone();
    let param = params::find(&named, param)?;
    let value = param.accept(value)?;
    let (was, is) = (params::get(&named, param), value);
    set(session, named.id, |node| store(node, param.name, is))?;
    let (is_fader, is_switch) = (FADERS.contains(&param.name), SWITCHES.contains(&param.name));
    if was == is || !(is_fader || is_switch) {
        return Ok(());
    }
    // From or to silence is not so many dB: such a move is one of this node alone.
    if is_fader && [was, is].contains(&Value::Silence) {
        return Ok(());
    }
    for other in together(session, named.id, "mix").into_iter().filter(|other| *other != named.id) {
        set(session, other, |node| {
            let same =
                |p: &&params::Param| if is_fader { FADERS.contains(&p.name) } else { p.name == param.name };
            let Some(other) = params::of(node.kind, node.channels).iter().find(same) else { return Ok(()) };
            let value = match params::get(node, other) {
                Value::Number(number) if is_fader => {
                    Value::Number((number + is.as_f64() - was.as_f64()).clamp(other.min, other.max))
                }
                Value::Silence => Value::Silence,
                _ => is,
            };
            store(node, other.name, value)
        })?;
    }
    Ok(())
}

fn set(
    session: &mut Session,
    node: NodeId,
    edit: impl FnOnce(&mut Node) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(node) = session.nodes.get(&node) else { return Ok(()) };
    let mut changed = (**node).clone();
    edit(&mut changed)?;
    if changed != **node {
        session.nodes.insert(Arc::new(changed));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use aulos_protocol::{Clip, ClipId, Command, Frames, NewNode, Rate};

    use super::*;
    use crate::session::{apply, validate};

    /// What commands make of a session with the tracks a, b, c and the group `g` of the first two.
    fn after(switches: &[(&str, bool)], commands: Vec<Command>) -> Result<Session, Error> {
        let add = |kind, name: &str, switches: &[(&str, bool)]| {
            let params = switches.iter().map(|(name, on)| ((*name).to_owned(), Value::Switch(*on))).collect();
            Command::AddNode(NewNode { kind, name: Some(name.into()), channels: None, params })
        };
        let mut all: Vec<_> = ["a", "b", "c"].map(|name| add(NodeKind::Track, name, &[])).into();
        all.push(add(NodeKind::Group, "g", switches));
        all.push(Command::AddMembers { group: "g".into(), nodes: vec!["a".into(), "b".into()] });
        all.extend(commands);
        let empty = Session::new("test", Rate::default());
        let mut session = empty;
        for command in all {
            session = apply(&session, &command)?.0;
            validate(&session)?;
        }
        Ok(session)
    }

    fn set(node: &str, param: &str, value: Value) -> Command {
        Command::SetParam { node: node.into(), param: param.into(), value }
    }

    fn numbers(session: &Session, param: &str) -> [f64; 3] {
        ["a", "b", "c"].map(|name| params::number(session.node(name).unwrap(), param).unwrap())
    }

    #[test]
    fn what_is_mixed_together_moves_together() {
        let session = after(
            &[("mix", true)],
            vec![
                set("c", "gain", Value::Number(-1.0)),
                set("b", "gain", Value::Number(-10.0)),
                set("a", "gain", Value::Number(-4.0)),
                set("b", "mute", Value::Switch(true)),
                set("a", "pan", Value::Number(0.5)),
            ],
        )
        .unwrap();
        // b took a along to -10, and a took b back by the 6 dB that it moved.
        assert_eq!(numbers(&session, "gain"), [-4.0, -4.0, -1.0]);
        assert_eq!(numbers(&session, "mute"), [1.0, 1.0, 0.0]);
        assert_eq!(numbers(&session, "pan"), [0.5, 0.0, 0.0]);
    }

    #[test]
    fn faders_stop_at_their_ends_and_silence_is_for_one_alone() {
        let moves = vec![
            set("a", "gain", Value::Number(10.0)),
            set("a", "gain", Value::Silence),
            set("a", "gain", Value::Number(0.0)),
            set("b", "gain", Value::Number(11.0)),
        ];
        let session = after(&[("mix", true)], moves).unwrap();
        assert_eq!(numbers(&session, "gain"), [1.0, 11.0, 0.0]);
        let moves = vec![set("a", "gain", Value::Number(-6.0)), set("g", "mix", Value::Switch(true))];
        let more = vec![set("b", "gain", Value::Number(12.0)), set("a", "gain", Value::Number(12.0))];
        let session = after(&[], moves.into_iter().chain(more).collect()).unwrap();
        assert_eq!(numbers(&session, "gain"), [12.0, 12.0, 0.0]);
    }

    #[test]
    fn clips_that_are_edited_together_are_those_at_the_same_place() {
        let clip = |track: &str, at| Command::AddClip {
            track: track.into(),
            file: "a.wav".into(),
            at: Frames(at),
            offset: Frames(0),
            length: None,
        };
        let clips = vec![clip("a", 10), clip("b", 10), clip("b", 20), clip("c", 10)];
        let first = after(&[], clips.clone()).unwrap().node("a").unwrap().clips[0].id;
        let edit = Command::SetClip {
            track: "a".into(),
            clip: first,
            at: Some(Frames(50)),
            offset: None,
            length: Some(Frames(5)),
            whole: false,
        };
        let places = |session: &Session| {
            ["a", "b", "c"].map(|name| {
                let place = |clip: &Clip| (clip.at.0, clip.length.map(|length| length.0));
                session.node(name).unwrap().clips.iter().map(place).collect::<Vec<_>>()
            })
        };
        let commands: Vec<_> = clips.into_iter().chain([edit]).collect();
        let moved = after(&[("edit", true)], commands.clone()).unwrap();
        assert_eq!(places(&moved), [vec![(50, Some(5))], vec![(50, Some(5)), (20, None)], vec![(10, None)]]);
        let alone = after(&[("mix", true)], commands.clone()).unwrap();
        assert_eq!(places(&alone)[1], [(10, None), (20, None)]);
        let gone = Command::RemoveClip { track: "b".into(), clip: moved.node("b").unwrap().clips[0].id };
        let gone = after(&[("edit", true)], commands.into_iter().chain([gone]).collect()).unwrap();
        assert_eq!(places(&gone), [vec![], vec![(20, None)], vec![(10, None)]]);
        assert!(gone.node("b").unwrap().clips[0].id != ClipId(0));
    }

    #[test]
    fn only_strips_are_members_and_only_of_groups() {
        let add =
            |group: &str, node: &str| Command::AddMembers { group: group.into(), nodes: vec![node.into()] };
        for (group, node, expected) in [
            ("a", "b", "vca or group"),
            ("g", "g", "a track, bus, send or the master"),
            ("g", "nobody", "the name of a node"),
        ] {
            let refused = after(&[], vec![add(group, node)]).unwrap_err();
            assert!(refused.expected.as_ref().is_some_and(|e| e.contains(expected)), "{refused:?}");
        }
        let not_in = Command::RemoveMembers { group: "g".into(), nodes: vec!["c".into()] };
        assert_eq!(after(&[], vec![not_in]).unwrap_err().code, ErrorCode::NotFound);
    }

    #[test]
    fn a_member_that_is_removed_is_no_member_any_more() {
        let session = after(&[], vec![Command::RemoveNode { node: "a".into() }]).unwrap();
        let b = session.node("b").unwrap().id;
        assert_eq!(session.node("g").unwrap().members, [b].into());
        let mut broken = session.clone();
        let mut group = (**session.node("g").unwrap()).clone();
        group.members.insert(NodeId(999));
        broken.nodes.insert(Arc::new(group));
        assert!(validate(&broken).unwrap_err().message.contains("#999"));
    }
}
