//! `ls`: what there is.

use aulos_protocol::{
    Clip, Error, Frames, Node, Session,
    ports::{self, Direction},
};
use serde_json::{Value as Json, json};

use crate::{
    args::{Listing, Ls},
    context::Context,
    describe::brief,
    failure::Failure,
    paint::{Paint, Style},
    position::Clock,
    text::{Side, Table, count, plain},
    values::show_gain,
    wires::{Wire, singles, wires},
};

/// Lists what was asked for.
///
/// # Errors
/// That the server cannot be reached.
pub fn run(cx: &mut Context, args: &Ls) -> Result<(), Failure> {
    let session = cx.session()?;
    if cx.out.is_json() {
        return cx.out.json(&json(&session, args.what)?);
    }
    let paint = cx.out.paint();
    cx.out.lines(match args.what {
        None => tree(&session, args.links, paint),
        Some(Listing::Nodes) => nodes(&session, args.links, paint),
        Some(Listing::Ports) => port_lines(&session, args.links, paint),
        Some(Listing::Links) => links(&session, paint),
        Some(Listing::Clips) => clips(&session, paint),
    })
}

/// The clock of a session.
pub fn clock(session: &Session) -> Clock {
    Clock::of(session)
}

fn json(session: &Session, what: Option<Listing>) -> Result<Json, Failure> {
    let unwritable = |error: serde_json::Error| Failure::Output(error.into());
    Ok(match what {
        None => serde_json::to_value(session).map_err(unwritable)?,
        Some(Listing::Nodes) => {
            let nodes = session.nodes.in_order();
            serde_json::to_value(nodes).map_err(unwritable)?
        }
        Some(Listing::Ports) => all_ports(session)
            .map(|(node, port, direction)| {
                let direction = if direction == Direction::In { "in" } else { "out" };
                json!({ "port": format!("{}:{port}", node.slug), "node": node.slug, "direction": direction })
            })
            .collect(),
        Some(Listing::Links) => session
            .links
            .values()
            .map(|link| {
                let (from, to) = (session.port_text(&link.from), session.port_text(&link.to));
                json!({ "id": link.id, "from": from, "to": to, "gain": link.gain })
            })
            .collect(),
        Some(Listing::Clips) => {
            let mut clips = Vec::new();
            for (node, clip) in all_clips(session) {
                let mut json = serde_json::to_value(clip).map_err(unwritable)?;
                json["track"] = json!(node.slug);
                clips.push(json);
            }
            clips.into()
        }
    })
}

fn all_ports(session: &Session) -> impl Iterator<Item = (&Node, String, Direction)> {
    session.nodes.in_order().into_iter().flat_map(|node| {
        ports::groups(node.kind, node.channels).into_iter().flat_map(move |group| {
            group.port_names().into_iter().map(move |port| (&**node, port, group.direction))
        })
    })
}

fn all_clips(session: &Session) -> impl Iterator<Item = (&Node, &Clip)> {
    session.nodes.in_order().into_iter().flat_map(|node| node.clips.iter().map(move |clip| (&**node, clip)))
}

/// The other end of a wire, with its gain where that is not 0 dB.
fn far_end(session: &Session, wire: &Wire, paint: Paint) -> String {
    let name = session.nodes.get(&wire.to_node).map_or(format!("#{}", wire.to_node), |n| n.slug.to_string());
    let gain = if wire.gain.get() == 0.0 { String::new() } else { format!("  {}", show_gain(wire.gain)) };
    format!("{name}:{}{}", wire.to, paint.dim(&gain))
}

/// The columns of a node: name, kind, channels, and what is to be known of it.
fn columns(node: &Node) -> Vec<(String, Style)> {
    let mut parts = brief(node);
    if !node.clips.is_empty() {
        parts.push(count(node.clips.len(), "clip"));
    }
    vec![
        (node.slug.to_string(), Style::Bold),
        (node.kind.to_string(), Style::Plain),
        (format!("{} ch", node.channels), Style::Plain),
        (parts.join("  "), Style::Plain),
    ]
}

const COLUMNS: [Side; 4] = [Side::Left, Side::Left, Side::Right, Side::Left];

/// The session as a tree: each node, and below it where it goes and what is not linked to anything.
pub fn tree(session: &Session, each_link: bool, paint: Paint) -> Vec<String> {
    let wires = if each_link { singles(session) } else { wires(session) };
    let mut table = Table::new(&COLUMNS);
    let nodes = session.nodes.in_order();
    nodes.iter().for_each(|node| table.row(columns(node)));
    let heads = table.lines(paint);
    let title = format!(
        "{}  {}",
        paint.bold(&plain(&session.name)),
        paint.dim(&format!("{} Hz, {} bpm in {}", session.rate.hz(), session.tempo.get(), session.signature))
    );
    let mut lines = vec![title];
    let last = heads.len().saturating_sub(1);
    for (index, (node, head)) in nodes.into_iter().zip(heads).enumerate() {
        let (branch, below) = if index == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        lines.push(format!("{branch}{head}"));
        let mine = wires.iter().filter(|wire| wire.from_node == node.id);
        lines.extend(mine.map(|wire| format!("{below}   {} → {}", wire.from, far_end(session, wire, paint))));
        let free = unlinked(session, node);
        if !free.is_empty() {
            lines.push(format!("{below}   {}", paint.dim(&format!("not linked: {}", free.join(", ")))));
        }
    }
    lines
}

/// The groups of the node that no link touches.
pub fn unlinked(session: &Session, node: &Node) -> Vec<&'static str> {
    let touched = |port: &str| {
        let is = |end: &aulos_protocol::PortRef| end.node == node.id && end.port == port;
        session.links.values().any(|link| is(&link.from) || is(&link.to))
    };
    ports::groups(node.kind, node.channels)
        .into_iter()
        .filter(|group| !group.port_names().iter().any(|port| touched(port)))
        .map(|group| group.name)
        .collect()
}

fn nodes(session: &Session, with_links: bool, paint: Paint) -> Vec<String> {
    let wires = wires(session);
    let mut table = Table::new(&[COLUMNS[0], COLUMNS[1], COLUMNS[2], COLUMNS[3], Side::Left]);
    for node in session.nodes.in_order() {
        let mut row = columns(node);
        if with_links {
            let mine = wires.iter().filter(|wire| wire.from_node == node.id);
            let ends: Vec<_> = mine
                .map(|wire| format!("{} → {}", wire.from, far_end(session, wire, Paint::off())))
                .collect();
            row.push((ends.join(", "), Style::Plain));
        }
        table.row(row);
    }
    table.lines(paint)
}

fn port_lines(session: &Session, with_links: bool, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    for (node, port, direction) in all_ports(session) {
        let text = format!("{}:{port}", node.slug);
        let arrow = if direction == Direction::In { "←" } else { "→" };
        if !with_links {
            lines.push(format!("{} {text}", paint.dim(arrow)));
            continue;
        }
        lines.push(text.clone());
        for link in session.links.values() {
            let (from, to) = (session.port_text(&link.from), session.port_text(&link.to));
            let other = match direction {
                Direction::Out if from == text => to,
                Direction::In if to == text => from,
                _ => continue,
            };
            let gain = paint.dim(&show_gain(link.gain)).into_owned();
            lines.push(format!("   {arrow} {other}  {gain}"));
        }
    }
    lines
}

fn links(session: &Session, paint: Paint) -> Vec<String> {
    let mut table = Table::new(&[Side::Right, Side::Left, Side::Left, Side::Left, Side::Right]);
    for link in session.links.values() {
        table.row([
            (link.id.to_string(), Style::Dim),
            (session.port_text(&link.from), Style::Plain),
            ("→".to_owned(), Style::Dim),
            (session.port_text(&link.to), Style::Plain),
            (show_gain(link.gain), Style::Plain),
        ]);
    }
    table.lines(paint)
}

fn clips(session: &Session, paint: Paint) -> Vec<String> {
    clip_table(session, all_clips(session)).lines(paint)
}

/// Clips with their tracks, the times as minutes and as bars.
pub fn clip_table<'a>(session: &Session, clips: impl Iterator<Item = (&'a Node, &'a Clip)>) -> Table {
    let clock = clock(session);
    let mut table = Table::new(&[
        Side::Right,
        Side::Left,
        Side::Right,
        Side::Right,
        Side::Right,
        Side::Right,
        Side::Left,
    ]);
    for (node, clip) in clips {
        if table.is_empty() {
            table.heading(&["clip", "track", "at", "bar", "offset", "length", "file"]);
        }
        let length = clip.length.map_or("to the end".to_owned(), |length| clock.time(length));
        let offset = if clip.offset == Frames(0) { "-".to_owned() } else { clock.time(clip.offset) };
        table.row([
            (clip.id.to_string(), Style::Dim),
            (node.slug.to_string(), Style::Bold),
            (clock.time(clip.at), Style::Plain),
            (clock.bar(clip.at), Style::Plain),
            (offset, Style::Plain),
            (length, Style::Plain),
            (plain(&clip.file).into_owned(), Style::Plain),
        ]);
    }
    table
}

/// The node named `name`, for commands that have the session already.
///
/// # Errors
/// [`aulos_protocol::ErrorCode::NotFound`] with the close names.
pub fn find<'a>(session: &'a Session, name: &str) -> Result<&'a Node, Error> {
    session
        .node(name)
        .map(|node| &**node)
        .ok_or_else(|| Error::not_found("node", name, session.nodes.values().map(|node| node.slug.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, snapshot};

    #[test]
    fn a_session_is_a_tree() {
        let session = samples::session();
        snapshot("ls", &tree(&session, false, Paint::off()).join("\n"));
        snapshot("ls_every_link", &tree(&session, true, Paint::off()).join("\n"));
        let empty = Session::new("empty", aulos_protocol::Rate::default());
        assert_eq!(tree(&empty, false, Paint::off()), ["empty  48000 Hz, 120 bpm in 4/4"]);
    }

    #[test]
    fn lists_are_tables() {
        let session = samples::session();
        let off = Paint::off();
        let parts = [
            nodes(&session, false, off),
            nodes(&session, true, off),
            port_lines(&session, true, off),
            links(&session, off),
            clips(&session, off),
        ];
        snapshot("ls_lists", &parts.map(|part| part.join("\n")).join("\n\n"));
        assert_eq!(port_lines(&session, false, off).len(), 32);
    }

    #[test]
    fn lists_are_json_too() {
        let session = samples::session();
        let json = |what| json(&session, what).unwrap();
        assert_eq!(json(Some(Listing::Nodes)).as_array().unwrap().len(), 7);
        assert_eq!(
            json(Some(Listing::Ports))[0],
            json!({"port": "output:in_L", "node": "output", "direction": "in"})
        );
        assert_eq!(
            json(Some(Listing::Links))[7],
            json!({"id": 37, "from": "room:out_L", "to": "master:in_L", "gain": "-inf"})
        );
        assert_eq!(json(Some(Listing::Clips))[1]["track"], "drums");
        assert_eq!(json(None)["name"], "evening");
    }
}
