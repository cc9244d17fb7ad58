//! Changes of a session as lines for people.

use crate::{
    Change, Clip, Node, NodeId, NodeKind, Session, Value, mirror, params,
    position::Clock,
    show::{show, show_gain},
    text::{count, plain},
};

/// One line for each thing that `changes` do to `session`, which is changed along: `+` for what is new, `-` for
/// what is gone, `~` for what is different.
pub fn lines(session: &mut Session, changes: &[Change]) -> Vec<String> {
    let mut lines = Vec::new();
    for change in changes {
        match change {
            Change::Node(node) => match session.nodes.get(&node.id) {
                Some(old) => changed_node(session, old, node, &mut lines),
                None => new_node(session, node, &mut lines),
            },
            Change::NodeGone(id) => lines.push(match session.nodes.get(id) {
                Some(node) => format!("- {} {}", node.kind, node.slug),
                None => format!("- node #{id}"),
            }),
            Change::Link(link) => {
                let name = format!("{} → {}", session.port_text(&link.from), session.port_text(&link.to));
                let gain = show_gain(link.gain);
                match session.links.get(&link.id) {
                    Some(old) if old.gain == link.gain => lines.push(format!("~ link {name}")),
                    Some(old) => lines.push(format!("~ link {name}  {} → {gain}", show_gain(old.gain))),
                    None => lines.push(format!("+ link {name}  {gain}")),
                }
            }
            Change::LinkGone(id) => lines.push(match session.links.get(id) {
                Some(link) => {
                    format!("- link {} → {}", session.port_text(&link.from), session.port_text(&link.to))
                }
                None => format!("- link #{id}"),
            }),
            Change::Session { name, tempo, signature, loop_range, edit_fade_ms, max_latency_ms, .. } => {
                if *name != session.name {
                    lines.push(format!("~ name  {} → {}", plain(&session.name), plain(name)));
                }
                if *signature != session.signature {
                    lines.push(format!("~ signature  {} → {signature}", session.signature));
                }
                if *tempo != session.tempo {
                    lines.push(format!("~ tempo  {} → {} bpm", session.tempo.get(), tempo.get()));
                }
                if *loop_range != session.loop_range {
                    let said = |range| Clock::of(session).range(range);
                    lines.push(format!("~ loop  {} → {}", said(session.loop_range), said(*loop_range)));
                }
                if *edit_fade_ms != session.edit_fade_ms {
                    lines.push(format!("~ fades  {} → {edit_fade_ms} ms", session.edit_fade_ms));
                }
                if *max_latency_ms != session.max_latency_ms {
                    let was = session.max_latency_ms;
                    lines.push(format!("~ max latency  {was} → {max_latency_ms} ms"));
                }
            }
        }
        mirror::apply(session, change);
    }
    lines
}

fn new_node(session: &Session, node: &Node, lines: &mut Vec<String>) {
    let mut line = format!("+ {} {}  {}", node.kind, node.slug, count(node.channels.into(), "channel"));
    for (name, value) in &node.params {
        line.push_str(&format!("  {name} {}", shown(node.kind, node.channels, name, *value)));
    }
    lines.push(line);
    node.clips.iter().for_each(|clip| lines.push(clip_line('+', node, clip)));
    node.members.iter().for_each(|member| lines.push(member_line(session, '+', node, *member)));
}

fn member_line(session: &Session, sign: char, group: &Node, member: NodeId) -> String {
    let name = session.nodes.get(&member).map_or_else(|| format!("#{member}"), |node| node.slug.to_string());
    format!("{sign} {name} in {} {}", group.kind, group.slug)
}

fn changed_node(session: &Session, old: &Node, new: &Node, lines: &mut Vec<String>) {
    let before = lines.len();
    if old.slug != new.slug {
        lines.push(format!("~ {} {} → {}", new.kind, old.slug, new.slug));
    }
    if old.place() != new.place() {
        lines.push(format!("~ {} {}  moved in the list", new.kind, new.slug));
    }
    for param in params::of(new.kind, new.channels) {
        let (from, to) = (params::get(old, param), params::get(new, param));
        if from != to {
            let (from, to) = (show(param.unit, from), show(param.unit, to));
            lines.push(format!("~ {} {}  {from} → {to}", new.slug, param.name));
        }
    }
    for clip in &old.clips {
        if !new.clips.iter().any(|c| c.id == clip.id) {
            lines.push(clip_line('-', new, clip));
        }
    }
    for clip in &new.clips {
        match old.clips.iter().find(|c| c.id == clip.id) {
            None => lines.push(clip_line('+', new, clip)),
            Some(old) if old != clip => lines.push(clip_line('~', new, clip)),
            Some(_) => {}
        }
    }
    for (sign, member) in old
        .members
        .difference(&new.members)
        .map(|member| ('-', member))
        .chain(new.members.difference(&old.members).map(|member| ('+', member)))
    {
        lines.push(member_line(session, sign, new, *member));
    }
    if lines.len() == before {
        // Something that this version does not know.
        lines.push(format!("~ {} {}", new.kind, new.slug));
    }
}

fn clip_line(sign: char, node: &Node, clip: &Clip) -> String {
    let mut line = format!("{sign} clip {} on {}  {} at {}", clip.id, node.slug, plain(&clip.file), clip.at);
    if clip.offset.0 > 0 {
        line.push_str(&format!("  offset {}", clip.offset));
    }
    if let Some(length) = clip.length {
        line.push_str(&format!("  length {length}"));
    }
    line
}

/// The value with the unit of its parameter, as far as that is known.
fn shown(kind: NodeKind, channels: u16, name: &str, value: Value) -> String {
    match params::of(kind, channels).iter().find(|param| param.name == name) {
        Some(param) => show(param.unit, value),
        None => value.to_string(),
    }
}
