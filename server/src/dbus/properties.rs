//! Properties of the objects: what they are called, of which type they are, and how they are read and set.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use aulos_protocol::{
    DriverStatus, Error, ErrorCode, Node, NodeKind, State, Status,
    params::{self, Param, Unit},
};
use serde_json::{Value as Json, json};
use zbus::zvariant::Value;

use super::{members::camel, replies, values};

/// What the door counts.
#[derive(Debug, Default)]
pub struct Counts {
    /// Calls that were refused because too many were being answered.
    pub refused: AtomicU64,
    /// Readings of meters that nobody read in time.
    pub meters_dropped: AtomicU64,
    /// Signals that found no room.
    pub signals_dropped: AtomicU64,
}

/// The numbers of [`Counts`] at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Calls that were refused.
    pub refused: u64,
    /// Signals that found no room.
    pub signals: u64,
    /// Readings of meters that nobody read in time.
    pub meters: u64,
}

impl Counts {
    /// What they are now.
    pub fn left(&self) -> Left {
        Left {
            refused: self.refused.load(Relaxed),
            signals: self.signals_dropped.load(Relaxed),
            meters: self.meters_dropped.load(Relaxed),
        }
    }
}

/// What the server is, as it was told last.
#[derive(Clone, Debug)]
pub struct View {
    /// Session, its folder, and the transport.
    pub state: State,
    /// The driver.
    pub driver: DriverStatus,
    /// What the door counts.
    pub counts: Arc<Counts>,
    /// How much has happened, after any of which what has to be asked for may be another.
    pub happened: u64,
}

/// Whether a property's changes are told, by its annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emits {
    /// With the new value.
    True,
    /// That it may have changed, without the value.
    Invalidates,
    /// Never: it must be read.
    False,
    /// It does not change while the object is there.
    Const,
}

impl Emits {
    /// The value of the annotation.
    pub fn name(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::Invalidates => "invalidates",
            Self::False => "false",
            Self::Const => "const",
        }
    }
}

/// Where a property is read.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// In what is known anyway.
    View(fn(&View) -> Value<'static>),
    /// In the status, which has to be asked for.
    Status(fn(&Status) -> Value<'static>),
    /// In a node.
    Node(fn(&View, &Node) -> Value<'static>),
    /// In a node's parameters.
    Param(&'static Param),
}

/// The command that sets a property, made from the node's name, if it is one of a node, and the value.
pub type Set = fn(&str, Json) -> (&'static str, Json);

/// A property.
#[derive(Clone, Debug)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// Its type.
    pub signature: &'static str,
    /// Whether its changes are told.
    pub emits: Emits,
    /// What it is.
    pub text: String,
    /// Where it is read.
    pub source: Source,
    /// How it is set; none if it cannot be. Parameters are set by their own command.
    pub set: Option<Set>,
}

impl Property {
    /// Whether it can be set.
    pub fn is_writable(&self) -> bool {
        self.set.is_some() || matches!(self.source, Source::Param(_))
    }

    /// Whether the status has to be asked for to read it.
    pub fn needs_status(&self) -> bool {
        matches!(self.source, Source::Status(_))
    }

    /// Its value; none where what it is read in is not given.
    pub fn read(&self, view: &View, status: Option<&Status>, node: Option<&Node>) -> Option<Value<'static>> {
        match self.source {
            Source::View(read) => Some(read(view)),
            Source::Status(read) => status.map(read),
            Source::Node(read) => node.map(|node| read(view, node)),
            Source::Param(param) => node.map(|node| parameter(param, node)),
        }
    }

    /// The method and its parameters that set it.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] for a value of another type.
    pub fn setting(&self, node: Option<&Node>, value: &Value<'_>) -> Result<(&'static str, Json), Error> {
        let wrong = || {
            Error::new(ErrorCode::InvalidArgument, format!("{} does not fit", self.name))
                .expected(format!("a value of type {}", self.signature))
        };
        let value = values::bare(value);
        let json = match self.signature {
            "d" => match values::number(value).ok_or_else(wrong)? {
                f64::NEG_INFINITY => json!("-inf"),
                number if number.is_finite() => json!(number),
                _ => return Err(wrong()),
            },
            "b" => json!(values::switch(value).ok_or_else(wrong)?),
            "(tt)" => match value {
                Value::Structure(pair) => match pair.fields() {
                    [start, end] => {
                        json!([
                            values::whole(start).ok_or_else(wrong)?,
                            values::whole(end).ok_or_else(wrong)?
                        ])
                    }
                    _ => return Err(wrong()),
                },
                _ => return Err(wrong()),
            },
            _ => json!(values::text(value).ok_or_else(wrong)?),
        };
        let name = node.map_or("", |node| node.slug.as_str());
        match (self.set, self.source) {
            (Some(set), _) => Ok(set(name, json)),
            (None, Source::Param(param)) => {
                Ok(("set", json!({ "node": name, "param": param.name, "value": json })))
            }
            _ => Err(Error::new(ErrorCode::Unavailable, format!("{} can only be read", self.name))),
        }
    }
}

/// A parameter's value by its type: what is a number may be silence, what is a name never is.
fn parameter(param: &Param, node: &Node) -> Value<'static> {
    replies::parameter(params::get(node, param))
}

fn kind_of(unit: Unit) -> &'static str {
    match unit {
        Unit::Switch => "b",
        Unit::Choice(_) | Unit::Pattern => "s",
        _ => "d",
    }
}

/// What all nodes have.
pub const NODE_INTERFACE: &str = "org.aulos.Node1";

/// The name of the interface of the nodes of a kind.
pub fn interface_of(kind: NodeKind) -> String {
    format!("org.aulos.{}1", camel(kind.name()))
}

/// The properties of the interface of a kind: the parameters of a node of so many channels.
pub fn of_kind(kind: NodeKind, channels: u16) -> Vec<Property> {
    params::of(kind, channels).iter().map(of_param).collect()
}

fn of_param(param: &'static Param) -> Property {
    let range = match param.unit {
        Unit::Switch => String::new(),
        Unit::Choice(names) => format!(" One of {}.", names.join(", ")),
        Unit::Pattern => format!(" {}.", params::PATTERN),
        unit => {
            let space = if unit.name().is_empty() { "" } else { " " };
            let silence = if unit == Unit::Decibels { ", or minus infinity for silence" } else { "" };
            format!(" {} to {}{space}{}{silence}.", param.min, param.max, unit.name())
        }
    };
    Property {
        name: camel(param.name),
        signature: kind_of(param.unit),
        emits: Emits::True,
        text: format!("{}{range} {} unless set.", param.text, param.default),
        source: Source::Param(param),
        set: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_a_kind_have_names_of_their_own_and_values_of_their_type() {
        for kind in NodeKind::ALL {
            for channels in [1, 2, 6] {
                let node = Node::new(
                    aulos_protocol::NodeId(1),
                    aulos_protocol::Slug::new("x").unwrap(),
                    kind,
                    channels,
                );
                let properties = of_kind(kind, channels);
                let names: std::collections::BTreeSet<_> =
                    properties.iter().map(|property| &property.name).collect();
                assert_eq!(names.len(), properties.len());
                for property in &properties {
                    let Source::Param(param) = property.source else { panic!() };
                    let value = parameter(param, &node);
                    assert_eq!(value.value_signature().to_string(), property.signature, "{}", property.name);
                    let (method, params) = property.setting(Some(&node), &value).unwrap();
                    assert_eq!((method, params["param"].as_str()), ("set", Some(param.name)));
                    assert!(aulos_protocol::wire::read_ask(method, Some(params)).is_ok());
                    assert!(
                        property.setting(Some(&node), &Value::U8(3)).is_err() || property.signature == "d"
                    );
                }
            }
        }
    }
}
