//! `vca`, `group` and `click`.

use aulos_protocol::{Applied, Command, Endpoint, NodeKind};

use super::{links::endpoint, nodes, show};
use crate::{
    args::{ClickVerb, GroupVerb, Members, VcaVerb},
    context::Context,
    failure::Failure,
};

/// VCAs.
///
/// # Errors
/// A value that cannot be read, a node of another kind, or the server's refusal.
pub fn vca(cx: &mut Context, verb: VcaVerb) -> Result<(), Failure> {
    let kind = NodeKind::Vca;
    match verb {
        VcaVerb::Add(args) => {
            let options = vec![("gain", args.gain)];
            add(cx, kind, args.name, options, args.members)
        }
        VcaVerb::Rm(names) => nodes::remove(cx, Some(kind), names.name),
        VcaVerb::Assign(members) => assign(cx, kind, members),
        VcaVerb::Release(members) => release(cx, kind, members),
        VcaVerb::Set(args) => nodes::set(cx, Some(kind), &args),
        VcaVerb::Show(name) => show::node(cx, Some(kind), &name.name),
    }
}

/// Groups.
///
/// # Errors
/// As [`vca`].
pub fn group(cx: &mut Context, verb: GroupVerb) -> Result<(), Failure> {
    let kind = NodeKind::Group;
    match verb {
        GroupVerb::Add(args) => {
            let on = |is_on: bool| is_on.then(|| "on".to_owned());
            let options = vec![("mix", on(args.mix)), ("edit", on(args.edit))];
            add(cx, kind, args.name, options, args.members)
        }
        GroupVerb::Rm(names) => nodes::remove(cx, Some(kind), names.name),
        GroupVerb::Assign(members) => assign(cx, kind, members),
        GroupVerb::Release(members) => release(cx, kind, members),
        GroupVerb::Set(args) => nodes::set(cx, Some(kind), &args),
        GroupVerb::Show(name) => show::node(cx, Some(kind), &name.name),
    }
}

/// Clicks.
///
/// # Errors
/// As [`vca`].
pub fn click(cx: &mut Context, verb: ClickVerb) -> Result<(), Failure> {
    let kind = NodeKind::Click;
    match verb {
        ClickVerb::Add(args) => {
            let name = args.name.unwrap_or_else(|| kind.to_string());
            let options = vec![("level", args.level), ("pattern", args.pattern)];
            let new = nodes::new(cx, kind, Some(name.clone()), args.channels, options, Vec::new())?;
            let from = Endpoint { node: name, port: None };
            let link = |to: &String| Ok(Command::Link { from: from.clone(), to: endpoint(to)?, gain: None });
            let links: Vec<_> = args.to.iter().map(link).collect::<Result<_, Failure>>()?;
            cx.change(together(new, links), |applied, _| Ok(added(kind, applied)))
        }
        ClickVerb::Rm(names) => nodes::remove(cx, Some(kind), names.name),
        ClickVerb::Set(args) => nodes::set(cx, Some(kind), &args),
        ClickVerb::Show(name) => show::node(cx, Some(kind), &name.name),
    }
}

fn add(
    cx: &mut Context,
    kind: NodeKind,
    name: String,
    options: Vec<(&str, Option<String>)>,
    members: Vec<String>,
) -> Result<(), Failure> {
    let new = nodes::new(cx, kind, Some(name.clone()), None, options, Vec::new())?;
    let has_members = !members.is_empty();
    let members = has_members.then_some(Command::AddMembers { group: name, nodes: members });
    cx.change(together(new, members), |applied, _| Ok(added(kind, applied)))
}

fn added(kind: NodeKind, applied: &Applied) -> String {
    format!("added {kind} {}", applied.nodes.join(", "))
}

/// One command, or several as one.
fn together(first: Command, more: impl IntoIterator<Item = Command>) -> Command {
    let mut commands: Vec<_> = std::iter::once(first).chain(more).collect();
    if commands.len() == 1 { commands.remove(0) } else { Command::Batch { commands } }
}

fn assign(cx: &mut Context, kind: NodeKind, Members { name, members }: Members) -> Result<(), Failure> {
    nodes::check_kind(&*cx.node(&name)?, kind)?;
    let text = format!("{} in {name}", members.join(", "));
    cx.change(Command::AddMembers { group: name, nodes: members }, |_, _| Ok(text))
}

fn release(cx: &mut Context, kind: NodeKind, Members { name, members }: Members) -> Result<(), Failure> {
    nodes::check_kind(&*cx.node(&name)?, kind)?;
    let text = format!("{} not in {name} any more", members.join(", "));
    cx.change(Command::RemoveMembers { group: name, nodes: members }, |_, _| Ok(text))
}
