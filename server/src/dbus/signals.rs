//! What the objects tell by themselves: the difference between what was told last and what is now. However much happens
//! between two looks, it is told as one change.

use std::{collections::VecDeque, sync::Arc};

use aulos_protocol::{Change, Node, mirror};
use zbus::{
    message::Message,
    zvariant::{Dict, Signature, Value},
};

use super::{
    members::{self, Object},
    paths,
    properties::{self, Emits, Property, View},
    replies::{self, Named},
    tables,
};

/// Something to be told.
enum Step {
    Added(Arc<Node>),
    Removed(Arc<Node>),
    /// A change of a node in one of its two interfaces.
    Changed {
        old: Arc<Node>,
        new: Arc<Node>,
        part: Part,
    },
    Object {
        object: &'static Object,
        changed: Vec<(String, Value<'static>)>,
        invalidated: Vec<String>,
    },
}

/// One of the interfaces of a node.
#[derive(Clone, Copy)]
enum Part {
    Common,
    OfKind,
}

/// What was told, and what is still to be.
pub struct Teller {
    told: View,
    /// The view before that, which the steps below lead away from.
    before: View,
    steps: VecDeque<Step>,
}

impl Teller {
    /// Begins with what is there, of which nothing has to be told.
    pub fn new(view: &View) -> Self {
        Self { told: view.clone(), before: view.clone(), steps: VecDeque::new() }
    }

    /// Takes a look at what is now, if all that was seen before has been told; says whether it did.
    pub fn look(&mut self, now: &View) -> bool {
        if !self.steps.is_empty() {
            return false;
        }
        let (old, new) = (&self.told.state.session, &now.state.session);
        // What goes must go first: its name may be that of what comes.
        let (mut gone, mut after) = (VecDeque::new(), VecDeque::new());
        for change in mirror::difference(old, new) {
            match change {
                Change::Node(node) => match old.nodes.get(&node.id) {
                    Some(old) if is_same_object(old, &node) => {
                        for part in [Part::Common, Part::OfKind] {
                            after.push_back(Step::Changed { old: old.clone(), new: node.clone(), part });
                        }
                    }
                    Some(old) => {
                        gone.push_back(Step::Removed(old.clone()));
                        after.push_back(Step::Added(node));
                    }
                    None => after.push_back(Step::Added(node)),
                },
                Change::NodeGone(id) => gone.extend(old.nodes.get(&id).cloned().map(Step::Removed)),
                Change::Link(_) | Change::LinkGone(_) | Change::Session { .. } => {}
            }
        }
        if !gone.is_empty() {
            // The members of a group that stays may have other names now.
            let stays = new.nodes.iter().filter(|(id, node)| old.nodes.get(*id) == Some(*node));
            let groups = stays.map(|(_, node)| node).filter(|node| node.kind.has_members());
            after.extend(groups.map(|node| Step::Changed {
                old: node.clone(),
                new: node.clone(),
                part: Part::Common,
            }));
        }
        self.steps = gone;
        self.steps.append(&mut after);
        for object in members::objects() {
            let changed = changed(&object.properties, |property| {
                (property.read(&self.told, None, None), property.read(now, None, None))
            });
            let may_differ = |property: &&Property| {
                property.emits == Emits::Invalidates && now.happened != self.told.happened
            };
            let invalidated = object.properties.iter().filter(may_differ);
            let invalidated: Vec<_> = invalidated.map(|property| property.name.clone()).collect();
            if !changed.is_empty() || !invalidated.is_empty() {
                self.steps.push_back(Step::Object { object, changed, invalidated });
            }
        }
        self.before = std::mem::replace(&mut self.told, now.clone());
        true
    }

    /// Whether something is still to be told.
    pub fn has_more(&self) -> bool {
        !self.steps.is_empty()
    }

    /// The signal of the next step, which may turn out to be none.
    pub fn next(&mut self) -> Option<zbus::Result<Option<Message>>> {
        let step = self.steps.pop_front()?;
        Some(match step {
            Step::Added(node) => added(&self.told, &node).map(Some),
            Step::Removed(node) => removed(&node).map(Some),
            Step::Changed { old, new, part } => self.node_changed(&old, &new, part),
            Step::Object { object, changed, invalidated } => {
                properties_changed(&object.path, &object.interface, changed, invalidated).map(Some)
            }
        })
    }

    fn node_changed(&self, old: &Node, new: &Node, part: Part) -> zbus::Result<Option<Message>> {
        let differ = |property: &Property| {
            (property.read(&self.before, None, Some(old)), property.read(&self.told, None, Some(new)))
        };
        let (interface, changed) = match part {
            Part::Common => (properties::NODE_INTERFACE.to_owned(), changed(tables::of_node(), differ)),
            Part::OfKind => {
                let properties = properties::of_kind(new.kind, new.channels);
                (properties::interface_of(new.kind), changed(&properties, differ))
            }
        };
        if changed.is_empty() {
            return Ok(None);
        }
        properties_changed(&paths::of_node(new.slug.as_str()), &interface, changed, Vec::new()).map(Some)
    }
}

/// Whether a node has kept its name and its interfaces.
fn is_same_object(old: &Node, new: &Node) -> bool {
    old.slug == new.slug && old.kind == new.kind && old.channels == new.channels
}

/// The properties whose changes are told, and that differ.
fn changed(
    properties: &[Property],
    read: impl Fn(&Property) -> (Option<Value<'static>>, Option<Value<'static>>),
) -> Vec<(String, Value<'static>)> {
    let told = properties.iter().filter(|property| property.emits == Emits::True);
    told.filter_map(|property| {
        let (old, new) = read(property);
        let new = new.filter(|new| old.as_ref() != Some(new))?;
        Some((property.name.clone(), new))
    })
    .collect()
}

/// The values of properties as a dictionary.
pub fn values(properties: &[Property], read: impl Fn(&Property) -> Option<Value<'static>>) -> Named {
    let mut all = replies::named();
    for property in properties {
        if let Some(value) = read(property) {
            replies::put(&mut all, &property.name, value);
        }
    }
    all
}

/// The interfaces of a node with their properties, as ObjectManager tells them.
pub fn node_interfaces(view: &View, node: &Node) -> zbus::Result<Value<'static>> {
    let read = |property: &Property| property.read(view, None, Some(node));
    let mut all = interfaces();
    let of_kind = properties::of_kind(node.kind, node.channels);
    all.append(properties::NODE_INTERFACE.into(), Value::Dict(values(tables::of_node(), read)))?;
    all.append(properties::interface_of(node.kind).into(), Value::Dict(values(&of_kind, read)))?;
    Ok(Value::Dict(all))
}

/// An empty dictionary of interfaces.
pub fn interfaces() -> Dict<'static, 'static> {
    let named = Signature::Dict { key: Signature::Str.into(), value: Signature::Variant.into() };
    Dict::new(&Signature::Str, &named)
}

const MANAGER: &str = "org.freedesktop.DBus.ObjectManager";

fn added(view: &View, node: &Node) -> zbus::Result<Message> {
    let path = paths::value(paths::of_node(node.slug.as_str()))?;
    let body = body([path, node_interfaces(view, node)?])?;
    Message::signal(members::ROOT, MANAGER, "InterfacesAdded")?.build(&body)
}

fn removed(node: &Node) -> zbus::Result<Message> {
    let path = paths::value(paths::of_node(node.slug.as_str()))?;
    let names = vec![properties::NODE_INTERFACE.to_owned(), properties::interface_of(node.kind)];
    Message::signal(members::ROOT, MANAGER, "InterfacesRemoved")?.build(&body([path, Value::from(names)])?)
}

fn properties_changed(
    path: &str,
    interface: &str,
    changed: Vec<(String, Value<'static>)>,
    invalidated: Vec<String>,
) -> zbus::Result<Message> {
    let mut values = replies::named();
    changed.into_iter().for_each(|(name, value)| replies::put(&mut values, &name, value));
    let body = body([Value::from(interface.to_owned()), Value::Dict(values), Value::from(invalidated)])?;
    Message::signal(path, "org.freedesktop.DBus.Properties", "PropertiesChanged")?.build(&body)
}

/// A signal of one of the objects that are always there.
pub fn of_object(
    word: &str,
    name: &'static str,
    values: impl IntoIterator<Item = Value<'static>>,
) -> zbus::Result<Option<Message>> {
    let Some(object) = members::objects().iter().find(|object| object.word == word) else { return Ok(None) };
    let signal = Message::signal(object.path.as_str(), object.interface.as_str(), name)?;
    signal.build(&body(values)?).map(Some)
}

/// Values as the body of a message.
pub fn body(
    values: impl IntoIterator<Item = Value<'static>>,
) -> zbus::Result<zbus::zvariant::Structure<'static>> {
    let mut body = zbus::zvariant::StructureBuilder::new();
    for value in values {
        body = body.append_field(value);
    }
    Ok(body.build()?)
}
