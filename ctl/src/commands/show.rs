//! `node show` and its like: everything about one node.

use std::sync::Arc;

use aulos_protocol::{
    Node, NodeKind, Query, Reply, Session,
    client::unexpected,
    params,
    ports::{self, Direction},
};

use super::list::{clip_table, find, unlinked};
use crate::{
    context::Context,
    failure::Failure,
    paint::{Paint, Style},
    text::{Side, Table, count},
    values::{show, show_gain},
    wires::wires,
};

/// Shows a node, which must be of `kind` if one is given.
///
/// # Errors
/// A node of another kind, or the server's refusal.
pub fn node(cx: &mut Context, kind: Option<NodeKind>, name: &str) -> Result<(), Failure> {
    let reply = cx.query(Query::Node { node: name.to_owned() })?;
    let Reply::Node(node) = &reply else {
        return Err(unexpected("the node").into());
    };
    if let Some(kind) = kind {
        super::nodes::check_kind(node, kind)?;
    }
    if cx.out.is_json() {
        return cx.print_json(&reply);
    }
    let session = cx.session()?;
    let paint = cx.out.paint();
    let node = find(&session, name)?;
    cx.out.lines(lines(&session, node, paint))
}

fn lines(session: &Session, node: &Node, paint: Paint) -> Vec<String> {
    let about = format!("{}, {}, number {}", node.kind, count(node.channels.into(), "channel"), node.id);
    let mut lines = vec![format!("{}  {}", paint.bold(node.slug.as_str()), paint.dim(&about))];
    let mut table = Table::new(&[Side::Left, Side::Right, Side::Left]);
    for param in params::of(node.kind, node.channels) {
        let value = show(param.unit, params::get(node, param));
        table.row([(param.name, Style::Plain), (&*value, Style::Plain), (param.text, Style::Dim)]);
    }
    section(&mut lines, "parameters", table.lines(paint), paint);
    let ports: Vec<_> = ports::groups(node.kind, node.channels)
        .iter()
        .map(|group| {
            let arrow = if group.direction == Direction::In { "←" } else { "→" };
            format!("{arrow} {}", group.port_names().join(" "))
        })
        .collect();
    section(&mut lines, "ports", ports, paint);
    section(&mut lines, "links", links(session, node, paint), paint);
    let clips = clip_table(session, node.clips.iter().map(|clip| (node, clip)));
    section(&mut lines, "clips", clips.lines(paint), paint);
    let names = |nodes: Vec<&Arc<Node>>| nodes.iter().map(|node| node.slug.to_string()).collect::<Vec<_>>();
    let members = names(node.members.iter().filter_map(|id| session.nodes.get(id)).collect());
    section(&mut lines, "members", members, paint);
    let groups = names(session.nodes.controlling(node.id).collect());
    section(&mut lines, "member of", groups, paint);
    lines
}

fn links(session: &Session, node: &Node, paint: Paint) -> Vec<String> {
    let name = |id| session.nodes.get(&id).map_or(format!("#{id}"), |node| node.slug.to_string());
    let mut lines = Vec::new();
    for wire in wires(session) {
        let gain = if wire.gain.get() == 0.0 { String::new() } else { format!("  {}", show_gain(wire.gain)) };
        let gain = paint.dim(&gain);
        if wire.to_node == node.id {
            lines.push(format!("{} ← {}:{}{gain}", wire.to, name(wire.from_node), wire.from));
        }
        if wire.from_node == node.id {
            lines.push(format!("{} → {}:{}{gain}", wire.from, name(wire.to_node), wire.to));
        }
    }
    let free = unlinked(session, node);
    if !free.is_empty() {
        lines.push(paint.dim(&format!("not linked: {}", free.join(", "))).into_owned());
    }
    lines
}

fn section(lines: &mut Vec<String>, title: &str, below: Vec<String>, paint: Paint) {
    if !below.is_empty() {
        lines.push(paint.dim(title).into_owned());
        lines.extend(below.into_iter().map(|line| format!("   {line}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, snapshot};

    #[test]
    fn a_node_shows_all_that_is_known() {
        let session = samples::session();
        let parts = ["drums", "master", "late"]
            .map(|name| lines(&session, session.node(name).unwrap(), Paint::off()).join("\n"));
        snapshot("show", &parts.join("\n\n"));
    }
}
