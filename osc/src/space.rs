//! The addresses of a session and their values.
//!
//! Each parameter is `/KIND/NAME/PARAM`, such as `/track/drums/gain`. In the place of the name may stand the number of
//! the node among those of its kind, counted from 1; in the place of the kind `node`. The first master and the first
//! click need no name: `/master/gain`. A send is also found by where it comes from and where it goes:
//! `/track/drums/send/room/gain`.

use std::{collections::BTreeSet, fmt, sync::Arc};

use aulos_protocol::{
    Command, Error, ErrorCode, Frames, Node, NodeKind, Range, Signature, State, Value, close_names, params,
    params::{Param, Unit},
    registry,
    wire::Ask,
};
use rosc::OscType;

use crate::{
    args::{self, number, switch},
    pattern::Pattern,
};

/// The most addresses that a pattern may mean.
pub const MOST_TARGETS: usize = 4096;

/// Something that has a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A parameter, as it is.
    Param(Arc<Node>, Shown),
    /// The name of a node, by which it is renamed.
    Name(Arc<Node>),
    /// Something of the transport or the session.
    Whole(Whole),
}

/// A parameter in one of its forms.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// The parameter.
    pub param: &'static Param,
    /// How it is shown.
    pub view: View,
}

impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.param, other.param) && self.view == other.view
    }
}

/// How a parameter is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// As it is.
    Plain,
    /// `fader`, of `gain` or `level`: a place between 0 and 1.
    Fader,
    /// `on`, of `mute`: its opposite.
    Opposite,
}

/// What there is once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// `/transport/state`: 1 while it plays.
    Rolling,
    /// `/transport/frame`: where it is.
    Frame,
    /// `/transport/bbt`: bar and beat, counted from 1, and the thousandth of the beat.
    Bbt,
    /// `/transport/tempo`, in quarter notes a minute.
    Tempo,
    /// `/transport/meter`: beats in a bar, and the note that is one.
    Meter,
    /// `/transport/loop`: first frame, frame after the last, and whether it is on.
    Loop,
    /// `/session/name`.
    SessionName,
    /// `/session/edit_fade_ms`.
    EditFade,
    /// `/session/max_latency_ms`.
    MostLatency,
    /// `/engine/rate`, in Hz.
    Rate,
}

impl Whole {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Rolling,
        Self::Frame,
        Self::Bbt,
        Self::Tempo,
        Self::Meter,
        Self::Loop,
        Self::SessionName,
        Self::EditFade,
        Self::MostLatency,
        Self::Rate,
    ];

    /// Its address.
    pub fn address(self) -> &'static str {
        match self {
            Self::Rolling => "/transport/state",
            Self::Frame => "/transport/frame",
            Self::Bbt => "/transport/bbt",
            Self::Tempo => "/transport/tempo",
            Self::Meter => "/transport/meter",
            Self::Loop => "/transport/loop",
            Self::SessionName => "/session/name",
            Self::EditFade => "/session/edit_fade_ms",
            Self::MostLatency => "/session/max_latency_ms",
            Self::Rate => "/engine/rate",
        }
    }
}

impl fmt::Display for Target {
    /// Its address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Param(node, shown) => write!(f, "/{}/{}/{}", node.kind, node.slug, shown.name()),
            Self::Name(node) => write!(f, "/{}/{}/name", node.kind, node.slug),
            Self::Whole(whole) => f.write_str(whole.address()),
        }
    }
}

impl Shown {
    fn name(&self) -> &'static str {
        match self.view {
            View::Plain => self.param.name,
            View::Fader => "fader",
            View::Opposite => "on",
        }
    }

    /// The forms that a parameter has.
    fn all(param: &'static Param) -> impl Iterator<Item = Self> {
        let other = match param.name {
            "gain" | "level" => Some(View::Fader),
            "mute" => Some(View::Opposite),
            _ => None,
        };
        std::iter::once(View::Plain).chain(other).map(move |view| Self { param, view })
    }
}

/// The addresses of a node.
pub fn of_node(node: &Arc<Node>) -> impl Iterator<Item = Target> {
    let shown = params::of(node.kind, node.channels).iter().flat_map(Shown::all);
    let own = node.clone();
    shown.map(move |shown| Target::Param(own.clone(), shown)).chain([Target::Name(node.clone())])
}

/// Every address of a state, those of the nodes in their order.
pub fn all(state: &State) -> impl Iterator<Item = Target> {
    let whole = Whole::ALL.into_iter().map(Target::Whole);
    whole.chain(state.session.nodes.in_order().into_iter().flat_map(of_node))
}

/// What an address without wildcards means.
///
/// # Errors
/// [`ErrorCode::NotFound`] with close ones.
pub fn find(state: &State, address: &str) -> Result<Target, Error> {
    if let Some(whole) = Whole::ALL.into_iter().find(|whole| whole.address() == address) {
        return Ok(Target::Whole(whole));
    }
    let parts: Vec<_> = address.split('/').skip(1).collect();
    let (node, last) = match parts[..] {
        [kind @ ("master" | "click"), last] => (meant(state, kind, "1")?, last),
        [kind, name, last] if is_kind(kind) => (meant(state, kind, name)?, last),
        [kind, name, "send", to, last] if is_kind(kind) => {
            // As the strips have it.
            let last = if last == "gain" { "level" } else { last };
            (send(state, meant(state, kind, name)?, to)?, last)
        }
        _ => return Err(unknown(state, address)),
    };
    of_node(node).find(|target| target.last() == last).ok_or_else(|| {
        let names: Vec<_> = of_node(node).map(|target| target.last().to_owned()).collect();
        Error::not_found(&format!("parameter of {}", node.slug), last, names.iter().map(String::as_str))
    })
}

fn is_kind(kind: &str) -> bool {
    kind == "node" || NodeKind::ALL.iter().any(|known| known.name() == kind)
}

/// The node of a kind that has this name, or is the one of this number.
fn meant<'a>(state: &'a State, kind: &str, name: &str) -> Result<&'a Arc<Node>, Error> {
    let nodes = &state.session.nodes;
    let fits = |node: &&Arc<Node>| kind == "node" || node.kind.name() == kind;
    let by_number = || nth(nodes.in_order().into_iter().filter(fits), name);
    nodes.named(name).filter(fits).or_else(by_number).ok_or_else(|| {
        let known = nodes.in_order();
        Error::not_found(kind, name, known.iter().filter(|n| fits(n)).map(|n| n.slug.as_str()))
    })
}

/// The one of this number, counted from 1.
fn nth<'a>(mut nodes: impl Iterator<Item = &'a Arc<Node>>, number: &str) -> Option<&'a Arc<Node>> {
    nodes.nth(number.parse::<usize>().ok()?.checked_sub(1)?)
}

/// The send that goes from a node to the one of this name, or the one of this number of those that leave the node.
fn send<'a>(state: &'a State, from: &Node, to: &str) -> Result<&'a Arc<Node>, Error> {
    let session = &state.session;
    let leaving: BTreeSet<_> = session.links.leaving(from.id).map(|link| link.to.node).collect();
    let sends = || {
        let nodes = session.nodes.in_order().into_iter();
        nodes.filter(|node| node.kind == NodeKind::Send && leaving.contains(&node.id))
    };
    let targets =
        |send: &Node| session.links.leaving(send.id).filter_map(|link| session.nodes.get(&link.to.node));
    let by_name = sends().find(|send| targets(send).any(|target| target.slug.as_str() == to));
    by_name.or_else(|| nth(sends(), to)).ok_or_else(|| {
        let known: Vec<_> =
            sends().flat_map(|send| targets(send)).map(|target| target.slug.as_str()).collect();
        Error::not_found(&format!("send of {}", from.slug), to, known)
    })
}

/// A pattern with names in the place of numbers, and where they may be left out, so that it matches what it means.
pub fn named(state: &State, pattern: &str) -> String {
    if !crate::pattern::is_pattern(pattern) {
        return find(state, pattern).map_or_else(|_| pattern.to_owned(), |target| target.to_string());
    }
    let parts: Vec<_> = pattern.split('/').skip(1).collect();
    let found = match parts[..] {
        [kind @ ("master" | "click"), last] => meant(state, kind, "1").map(|node| (node, last)),
        [kind, name, last] if is_kind(kind) && !crate::pattern::is_pattern(name) => {
            meant(state, kind, name).map(|node| (node, last))
        }
        _ => return pattern.to_owned(),
    };
    found.map_or_else(|_| pattern.to_owned(), |(node, last)| format!("/{}/{}/{last}", node.kind, node.slug))
}

fn unknown(state: &State, address: &str) -> Error {
    let mut error = Error::new(ErrorCode::NotFound, format!("there is nothing at the address {address}"));
    let methods = registry::methods().iter().filter_map(|method| method.address).map(ToOwned::to_owned);
    let known: Vec<_> = all(state).map(|target| target.to_string()).chain(methods).collect();
    error.close = close_names(address, known.iter().map(String::as_str));
    if let Some(best) = error.close.first() {
        error.remedy = Some(format!("did you mean {best}?"));
    }
    error
}

/// What a pattern means; an address without wildcards means one thing.
///
/// # Errors
/// [`ErrorCode::InvalidArgument`] for a pattern that cannot be read or means more than [`MOST_TARGETS`],
/// [`ErrorCode::NotFound`] if it means nothing.
pub fn matching(state: &State, pattern: &str) -> Result<Vec<Target>, Error> {
    if !crate::pattern::is_pattern(pattern) {
        return find(state, pattern).map(|target| vec![target]);
    }
    let read =
        Pattern::new(&named(state, pattern)).map_err(|why| Error::new(ErrorCode::InvalidArgument, why))?;
    let found: Vec<_> =
        all(state).filter(|target| read.matches(&target.to_string())).take(MOST_TARGETS + 1).collect();
    match found.len() {
        0 => Err(Error::new(ErrorCode::NotFound, format!("nothing matches {pattern}"))
            .remedy("/sys/list tells every address")),
        n if n > MOST_TARGETS => Err(Error::new(
            ErrorCode::InvalidArgument,
            format!("{pattern} means more than {MOST_TARGETS} addresses"),
        )
        .remedy("say it part by part")),
        _ => Ok(found),
    }
}

impl Target {
    /// The last part of its address.
    fn last(&self) -> &str {
        match self {
            Self::Param(_, shown) => shown.name(),
            Self::Name(_) => "name",
            Self::Whole(whole) => whole.address().rsplit('/').next().unwrap_or_default(),
        }
    }

    /// What it is, as a sentence.
    pub fn text(&self) -> &'static str {
        match self {
            Self::Param(_, shown) => match shown.view {
                View::Plain => shown.param.text,
                View::Fader => {
                    "The gain as the place of a fader, 0 to 1: 0 dB at 0.75, silence at 0, +10 dB at 1."
                }
                View::Opposite => "Whether it is not muted.",
            },
            Self::Name(_) => "The name; another one renames the node, and its addresses.",
            Self::Whole(whole) => match whole {
                Whole::Rolling => "1 while the transport rolls.",
                Whole::Frame => "Where the transport is.",
                Whole::Bbt => "Bar and beat, counted from 1, and thousandths of the beat.",
                Whole::Tempo => "Quarter notes in a minute.",
                Whole::Meter => "Beats in a bar, and the note that is one.",
                Whole::Loop => "First frame of the loop, the frame after its last, and whether it is on.",
                Whole::SessionName => "The session's name.",
                Whole::EditFade => "How long fades of edits last.",
                Whole::MostLatency => "The longest latency that a node may report.",
                Whole::Rate => "Frames in a second.",
            },
        }
    }

    /// Whether it can be set.
    pub fn is_writable(&self) -> bool {
        !matches!(self, Self::Whole(Whole::Bbt | Whole::Rate))
    }

    /// The range of its numbers, where they have one.
    pub fn range(&self) -> Option<Range> {
        match self {
            Self::Param(_, Shown { view: View::Fader, .. }) => {
                Some(Range { min: 0.0, max: 1.0, unit: String::new() })
            }
            Self::Param(_, shown) if !matches!(shown.param.unit, Unit::Pattern | Unit::Choice(_)) => {
                Some(shown.param.range())
            }
            Self::Whole(Whole::Tempo) => Some(Range {
                min: aulos_protocol::Bpm::MIN,
                max: aulos_protocol::Bpm::MAX,
                unit: "bpm".into(),
            }),
            Self::Whole(Whole::EditFade) => Some(Range { min: 0.0, max: 1000.0, unit: "ms".into() }),
            Self::Whole(Whole::MostLatency) => Some(Range { min: 0.0, max: 60_000.0, unit: "ms".into() }),
            _ => None,
        }
    }

    /// The words that it can be, if it is one of some.
    pub fn choices(&self) -> Vec<String> {
        match self {
            Self::Param(_, shown) => shown.param.choices(),
            _ => Vec::new(),
        }
    }

    /// Its value, as it is sent.
    pub fn value(&self, state: &State) -> Vec<OscType> {
        let session = &state.session;
        match self {
            Self::Param(node, shown) => vec![shown.value(node)],
            Self::Name(node) => vec![OscType::String(node.slug.to_string())],
            Self::Whole(whole) => match whole {
                Whole::Rolling => vec![OscType::Int(i32::from(state.transport.rolling))],
                Whole::Frame => vec![long(state.transport.position)],
                Whole::Bbt => bbt(state).map(OscType::Int).to_vec(),
                Whole::Tempo => vec![OscType::Float(session.tempo.get() as f32)],
                Whole::Meter => [session.signature.beats(), session.signature.unit()]
                    .map(|n| OscType::Int(n.into()))
                    .to_vec(),
                Whole::Loop => {
                    let (start, end) = session.loop_range.unwrap_or_default();
                    vec![long(start), long(end), OscType::Int(i32::from(session.loop_range.is_some()))]
                }
                Whole::SessionName => vec![OscType::String(session.name.clone())],
                Whole::EditFade => vec![OscType::Float(session.edit_fade_ms as f32)],
                Whole::MostLatency => vec![OscType::Float(session.max_latency_ms as f32)],
                Whole::Rate => vec![OscType::Int(i32::try_from(session.rate.hz()).unwrap_or(i32::MAX))],
            },
        }
    }

    /// The command that gives it this value. Numbers outside of the range are brought into it.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] for what cannot be its value, [what only tells included.
    pub fn set(&self, args: &[OscType]) -> Result<Command, Error> {
        let wrong = |expected: &str| {
            Error::new(ErrorCode::InvalidArgument, format!("the value does not fit {self}"))
                .expected(expected)
        };
        let [first, ..] = args else { return Err(wrong("a value")) };
        let method = |name: &str, args: &[OscType]| match args::ask(registry::method(name)?, args)? {
            Ask::Command(command) => Ok(command),
            Ask::Query(_) => Err(Error::new(ErrorCode::Internal, format!("{name} is no command"))),
        };
        match self {
            Self::Param(node, shown) => Ok(Command::SetParam {
                node: node.slug.to_string(),
                param: shown.param.name.to_owned(),
                value: shown.read(first).ok_or_else(|| wrong(&shown.expected()))?,
            }),
            Self::Name(node) => {
                method("node_rename", &[OscType::String(node.slug.to_string()), first.clone()])
            }
            Self::Whole(whole) => match whole {
                Whole::Rolling => match switch(first).ok_or_else(|| wrong("0 or 1"))? {
                    true => Ok(Command::Play),
                    false => Ok(Command::Pause),
                },
                Whole::Frame => method("locate", &args[..1]),
                Whole::Tempo => {
                    let bpm = number(first).filter(|bpm| !bpm.is_nan()).ok_or_else(|| wrong("a number"))?;
                    let bpm = bpm.clamp(aulos_protocol::Bpm::MIN, aulos_protocol::Bpm::MAX);
                    method("session_set", &[OscType::Nil, OscType::Double(bpm)])
                }
                Whole::Meter => {
                    let text = match args {
                        [OscType::String(text), ..] => text.clone(),
                        [beats, unit, ..] => match (number(beats), number(unit)) {
                            (Some(beats), Some(unit)) => format!("{beats}/{unit}"),
                            _ => return Err(wrong(Signature::EXPECTED)),
                        },
                        _ => return Err(wrong(Signature::EXPECTED)),
                    };
                    method("session_set", &[OscType::Nil, OscType::Nil, OscType::String(text)])
                }
                Whole::Loop => match args {
                    [start, end, rest @ ..] => match rest.first().map_or(Some(true), switch) {
                        Some(true) => method("loop", &[start.clone(), end.clone()]),
                        Some(false) => Ok(Command::Loop { start: None, end: None }),
                        None => Err(wrong("first frame, frame after the last, 0 or 1")),
                    },
                    _ => Err(wrong("first frame, frame after the last, 0 or 1")),
                },
                Whole::SessionName => method("session_set", &args[..1]),
                Whole::EditFade => {
                    method("session_set", &[OscType::Nil, OscType::Nil, OscType::Nil, first.clone()])
                }
                Whole::MostLatency => {
                    let nil = || OscType::Nil;
                    method("session_set", &[nil(), nil(), nil(), nil(), first.clone()])
                }
                Whole::Bbt | Whole::Rate => {
                    Err(Error::new(ErrorCode::InvalidArgument, format!("{self} can only be read")))
                }
            },
        }
    }
}

impl Shown {
    fn value(&self, node: &Node) -> OscType {
        let value = params::get(node, self.param);
        match (self.view, value) {
            (View::Fader, value) => OscType::Float(fader(value.as_f64()) as f32),
            (View::Opposite, value) => OscType::Int(i32::from(value.as_f64() < 0.5)),
            (View::Plain, Value::Name(name)) => OscType::String(name.as_str().to_owned()),
            (View::Plain, Value::Switch(on)) => OscType::Int(i32::from(on)),
            // Bounded by the range of the parameter.
            (View::Plain, Value::Number(number)) if matches!(self.param.unit, Unit::Frames | Unit::Count) => {
                OscType::Int(number as i32)
            }
            (View::Plain, value) => OscType::Float(value.as_f64() as f32),
        }
    }

    fn read(&self, arg: &OscType) -> Option<Value> {
        let in_range = |number: f64| number.clamp(self.param.min, self.param.max);
        match (self.view, self.param.unit) {
            (View::Opposite, _) => switch(arg).map(|on| Value::Switch(!on)),
            (View::Fader, _) => {
                let db = decibels(number(arg).filter(|place| !place.is_nan())?);
                Some(if db == f64::NEG_INFINITY { Value::Silence } else { Value::Number(in_range(db)) })
            }
            (View::Plain, Unit::Switch) => switch(arg).map(Value::Switch),
            (View::Plain, Unit::Choice(names)) => match arg {
                OscType::String(text) => {
                    names.iter().find(|name| name.eq_ignore_ascii_case(text)).map(|name| Value::name(name))
                }
                arg => {
                    let at = number(arg).filter(|number| number.fract() == 0.0 && *number >= 0.0)?;
                    names.get(at as usize).map(|name| Value::name(name))
                }
            },
            (View::Plain, Unit::Pattern) => match arg {
                OscType::String(text) => aulos_protocol::Name::new(text).map(Value::Name),
                _ => None,
            },
            (View::Plain, unit) => match number(arg)? {
                number if number.is_nan() => None,
                number if unit == Unit::Decibels && number == f64::NEG_INFINITY => Some(Value::Silence),
                number if number.is_infinite() => None,
                number if matches!(unit, Unit::Frames | Unit::Count) => {
                    Some(Value::Number(in_range(number.round())))
                }
                number => Some(Value::Number(in_range(number))),
            },
        }
    }

    fn expected(&self) -> String {
        match (self.view, self.param.unit) {
            (View::Fader, _) => "a number from 0 to 1".into(),
            (View::Opposite, _) | (View::Plain, Unit::Switch) => "0 or 1".into(),
            (View::Plain, Unit::Choice(names)) => format!("one of {}", names.join(", ")),
            (View::Plain, Unit::Pattern) => params::PATTERN.into(),
            (View::Plain, _) => {
                let Range { min, max, unit } = self.param.range();
                format!("a number from {min} to {max} {unit}").trim_end().to_owned()
            }
        }
    }
}

fn long(frames: Frames) -> OscType {
    OscType::Long(i64::try_from(frames.0).unwrap_or(i64::MAX))
}

/// The gain in dB of a fader's place: four straight pieces, of ever more dB, as on many digital consoles; silence at 0,
/// 0 dB at 0.75, 10 dB at 1.
pub fn decibels(place: f64) -> f64 {
    match place.clamp(0.0, 1.0) {
        0.0 => f64::NEG_INFINITY,
        place if place < 0.0625 => 480.0 * place - 90.0,
        place if place < 0.25 => 160.0 * place - 70.0,
        place if place < 0.5 => 80.0 * place - 50.0,
        place => 40.0 * place - 30.0,
    }
}

/// The place of a fader for a gain in dB: the inverse of [`decibels`], at its ends for gains beyond them.
pub fn fader(db: f64) -> f64 {
    let place = match db {
        db if db < -60.0 => (db + 90.0) / 480.0,
        db if db < -30.0 => (db + 70.0) / 160.0,
        db if db < -10.0 => (db + 50.0) / 80.0,
        db => (db + 30.0) / 40.0,
    };
    place.clamp(0.0, 1.0)
}

/// Bar and beat from 1, and thousandths of the beat, of where the transport is.
fn bbt(state: &State) -> [i32; 3] {
    let session = &state.session;
    let signature = session.signature;
    let frames = session.tempo.frames_per_beat(session.rate) * signature.quarters_per_beat();
    let thousandths = (state.transport.position.0 as f64 / frames * 1000.0 + 1e-6).floor() as u64;
    let (beat, rest) = (thousandths / 1000, thousandths % 1000);
    let beats = u64::from(signature.beats());
    [beat / beats + 1, beat % beats + 1, rest].map(|n| i32::try_from(n).unwrap_or(i32::MAX))
}

#[cfg(test)]
#[path = "space_tests.rs"]
mod tests;
