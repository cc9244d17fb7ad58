//! `rename`, `duplicate`, `reorder`, `mute` and `solo`.

use aulos_protocol::{Command, Error, ErrorCode, Node, Place, Session, Value, params};
use serde_json::json;

use super::list::find;
use crate::{
    args::{Duplicate, Mute, Rename, Reorder, Solo},
    context::Context,
    failure::Failure,
    text::count,
};

/// Gives a node another name.
///
/// # Errors
/// The server's refusal.
pub fn rename(cx: &mut Context, args: Rename) -> Result<(), Failure> {
    let text = format!("{} is now {}", args.node, args.new);
    cx.change(Command::RenameNode { node: args.node, name: args.new }, |_, _| Ok(text))
}

/// Copies a node with its clips and links.
///
/// # Errors
/// The server's refusal.
pub fn duplicate(cx: &mut Context, args: Duplicate) -> Result<(), Failure> {
    let node = args.node.clone();
    cx.change(Command::DuplicateNode { node: args.node, name: args.new }, |applied, _| {
        let mut text = format!("{} is a copy of {node}", applied.nodes.join(", "));
        for (number, one) in [(applied.clips.len(), "clip"), (applied.links, "link")] {
            if number > 0 {
                text.push_str(&format!(", {}", count(number, one)));
            }
        }
        Ok(text)
    })
}

/// Moves a node in the list.
///
/// # Errors
/// The server's refusal.
pub fn reorder(cx: &mut Context, args: Reorder) -> Result<(), Failure> {
    let to = Place::from(args.to);
    let text = match &to {
        Place::First => format!("{} comes first", args.node),
        Place::Last => format!("{} comes last", args.node),
        Place::Before(other) => format!("{} comes before {other}", args.node),
        Place::After(other) => format!("{} comes behind {other}", args.node),
    };
    cx.change(Command::MoveNode { node: args.node, to }, |_, _| Ok(text))
}

/// Mutes nodes, or lists what is muted.
///
/// # Errors
/// A node that cannot be muted, or the server's refusal.
pub fn mute(cx: &mut Context, args: Mute) -> Result<(), Failure> {
    if args.nodes.is_empty() {
        return list(cx, "mute", "muted");
    }
    switch(cx, "mute", "muted", args.nodes, !args.off)
}

/// Solos nodes, ends that, or lists what is soloed.
///
/// # Errors
/// A node that cannot be soloed, or the server's refusal.
pub fn solo(cx: &mut Context, args: Solo) -> Result<(), Failure> {
    if args.clear {
        let session = cx.session()?;
        let names: Vec<_> = on(&session, "solo").map(|node| node.slug.to_string()).collect();
        return switch(cx, "solo", "soloed", names, false);
    }
    if args.nodes.is_empty() {
        return list(cx, "solo", "soloed");
    }
    switch(cx, "solo", "soloed", args.nodes, !args.off)
}

/// The nodes whose switch is on, as they are listed.
fn on<'a>(session: &'a Session, param: &'a str) -> impl Iterator<Item = &'a Node> {
    let is_on = move |node: &Node| {
        params::find(node, param).is_ok_and(|param| params::get(node, param) == Value::Switch(true))
    };
    session.nodes.in_order().into_iter().map(|node| &**node).filter(move |node| is_on(node))
}

fn list(cx: &mut Context, param: &str, word: &str) -> Result<(), Failure> {
    let session = cx.session()?;
    let names: Vec<_> = on(&session, param).map(|node| node.slug.as_str()).collect();
    if cx.out.is_json() {
        return cx.out.json(&json!({ word: names }));
    }
    if names.is_empty() {
        return cx.out.line(format_args!("nothing is {word}"));
    }
    cx.out.lines(names)
}

/// Sets a switch of some nodes, as one step.
fn switch(
    cx: &mut Context,
    param: &str,
    word: &str,
    mut names: Vec<String>,
    on: bool,
) -> Result<(), Failure> {
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let session = cx.session()?;
    for name in &names {
        let node = find(&session, name)?;
        if params::find(node, param).is_err() {
            let message = format!("{name} is {}, which cannot be {word}", crate::describe::a(node.kind));
            return Err(Error::new(ErrorCode::InvalidArgument, message)
                .expected(format!("a node that has \"{param}\", such as a track or a bus"))
                .into());
        }
    }
    let text = match (names.as_slice(), on) {
        ([], _) => format!("nothing is {word}"),
        (names, true) => format!("{word} {}", names.join(", ")),
        (names, false) => format!("{} no longer {word}", names.join(", ")),
    };
    let set = |node| Command::SetParam { node, param: param.to_owned(), value: Value::Switch(on) };
    let mut commands: Vec<_> = names.into_iter().map(set).collect();
    let command = match commands.len() {
        1 => commands.remove(0),
        _ => Command::Batch { commands },
    };
    cx.change(command, |_, _| Ok(text))
}
