//! `node`, `track`, `bus` and `send`: adding, removing, changing and showing nodes.

use std::collections::BTreeMap;

use aulos_protocol::{Command, Error, ErrorCode, NewNode, Node, NodeKind, Value};

use super::{params, show};
use crate::{
    args::{NodeVerb, SendVerb, SetParam, StripVerb},
    context::Context,
    describe::a,
    failure::Failure,
};

/// How many channels a node gets unless said.
const CHANNELS: u16 = 2;

/// Nodes of any kind.
///
/// # Errors
/// A value that cannot be read, or the server's refusal.
pub fn node(cx: &mut Context, verb: NodeVerb) -> Result<(), Failure> {
    match verb {
        NodeVerb::Add(args) => {
            // Only a parameter has an equals sign, and the name may be left out.
            let (name, first) = match args.name {
                Some(text) if text.contains('=') => (None, Some(text)),
                name => (name, None),
            };
            let params = first.into_iter().chain(args.params).collect();
            add(cx, args.kind, name, args.channels, Vec::new(), params)
        }
        NodeVerb::Rm(names) => remove(cx, None, names.name),
        NodeVerb::Set(args) => set(cx, None, &args),
        NodeVerb::Show(name) => show::node(cx, None, &name.name),
    }
}

/// Tracks and buses.
///
/// # Errors
/// As [`node`], and a node of another kind.
pub fn strip(cx: &mut Context, kind: NodeKind, verb: StripVerb) -> Result<(), Failure> {
    match verb {
        StripVerb::Add(args) => {
            let mute = args.mute.then(|| "on".to_owned());
            let options = vec![("gain", args.gain), ("pan", args.pan), ("mute", mute)];
            add(cx, kind, Some(args.name), args.channels, options, args.params)
        }
        StripVerb::Rm(names) => remove(cx, Some(kind), names.name),
        StripVerb::Set(args) => set(cx, Some(kind), &args),
        StripVerb::Show(name) => show::node(cx, Some(kind), &name.name),
    }
}

/// Sends.
///
/// # Errors
/// As [`strip`].
pub fn send(cx: &mut Context, verb: SendVerb) -> Result<(), Failure> {
    let kind = NodeKind::Send;
    match verb {
        SendVerb::Add(args) => {
            let options = vec![("level", args.level), ("pan", args.pan)];
            add(cx, kind, Some(args.name), args.channels, options, args.params)
        }
        SendVerb::Rm(names) => remove(cx, Some(kind), names.name),
        SendVerb::Set(args) => set(cx, Some(kind), &args),
        SendVerb::Show(name) => show::node(cx, Some(kind), &name.name),
    }
}

/// Refuses a node that is not of `kind`.
///
/// # Errors
/// [`ErrorCode::InvalidArgument`], naming the kind that it is.
pub fn check_kind(node: &Node, kind: NodeKind) -> Result<(), Error> {
    if node.kind == kind {
        return Ok(());
    }
    let noun = match node.kind {
        NodeKind::Track | NodeKind::Bus | NodeKind::Send => node.kind.name(),
        NodeKind::Vca | NodeKind::Group | NodeKind::Click => node.kind.name(),
        _ => "node",
    };
    let message = format!("{} is {}, not {}", node.slug, a(node.kind), a(kind));
    Err(Error::new(ErrorCode::InvalidArgument, message)
        .remedy(format!("use \"aulosctl {noun} …\" for it; \"aulosctl ls nodes\" lists the kinds")))
}

/// Sets a parameter.
///
/// # Errors
/// As [`node`], and a node of another kind.
pub fn set(cx: &mut Context, kind: Option<NodeKind>, args: &SetParam) -> Result<(), Failure> {
    params::set_param(cx, kind, &args.name, &args.param, &args.value)
}

fn add(
    cx: &mut Context,
    kind: NodeKind,
    name: Option<String>,
    channels: Option<u16>,
    options: Vec<(&str, Option<String>)>,
    words: Vec<String>,
) -> Result<(), Failure> {
    let command = new(cx, kind, name, channels, options, words)?;
    cx.change(command, |applied, _| Ok(format!("added {kind} {}", applied.nodes.join(", "))))
}

/// The command that adds a node, with parameters that were given by options and by words.
///
/// # Errors
/// A value that cannot be read.
pub fn new(
    cx: &mut Context,
    kind: NodeKind,
    name: Option<String>,
    channels: Option<u16>,
    options: Vec<(&str, Option<String>)>,
    words: Vec<String>,
) -> Result<Command, Failure> {
    let mut params: BTreeMap<String, Value> = BTreeMap::new();
    let options = options.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?)));
    let words = words.into_iter().map(|word| match word.split_once('=') {
        Some((name, text)) => Ok((name.to_owned(), text.to_owned())),
        None => {
            let error = Error::new(ErrorCode::InvalidArgument, format!("\"{word}\" is no parameter"));
            Err(Failure::Usage(error.expected("PARAM=VALUE, such as gain=-3dB")))
        }
    });
    for word in options.map(Ok).chain(words) {
        let (name, text) = word?;
        let value = params::for_new(cx, kind, channels.unwrap_or(CHANNELS), &name, &text)?;
        if params.insert(name.clone(), value).is_some() {
            return Err(Failure::usage(format!("{name} is given twice")));
        }
    }
    Ok(Command::AddNode(NewNode { kind, name, channels, params }))
}

/// Removes nodes, as one step.
///
/// # Errors
/// As [`node`], and a node of another kind.
pub fn remove(cx: &mut Context, kind: Option<NodeKind>, names: Vec<String>) -> Result<(), Failure> {
    if let Some(kind) = kind {
        for name in &names {
            check_kind(&*cx.node(name)?, kind)?;
        }
    }
    let text = format!("removed {}", names.join(", "));
    let mut commands: Vec<_> = names.into_iter().map(|node| Command::RemoveNode { node }).collect();
    let command = match commands.len() {
        1 => commands.remove(0),
        _ => Command::Batch { commands },
    };
    cx.change(command, |_, _| Ok(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn a_node_of_another_kind_is_refused() {
        let session = samples::session();
        let node = |name| session.node(name).unwrap();
        check_kind(node("drums"), NodeKind::Track).unwrap();
        let error = check_kind(node("drums"), NodeKind::Bus).unwrap_err();
        assert_eq!(error.message, "drums is a track, not a bus");
        assert!(error.remedy.unwrap().contains("aulosctl track"));
        let error = check_kind(node("output"), NodeKind::Send).unwrap_err();
        assert_eq!(error.message, "output is an output, not a send");
        assert!(error.remedy.unwrap().contains("aulosctl node"));
    }
}
