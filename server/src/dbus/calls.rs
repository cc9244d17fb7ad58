//! What is called over the bus, and the answers.

use std::{future::Future, pin::Pin, sync::Arc};

use aulos_protocol::{
    Error, ErrorCode, Frames, Node, Query, Reply, Status,
    registry::Method,
    wire::{self, Ask, Request},
};
use serde_json::{Map, Value as Json};
use zbus::{
    message::Message,
    zvariant::{Dict, Fd, Signature, Structure, Value},
};

use super::{
    failure::Failure,
    introspect,
    members::{self, Act, Member, Object},
    paths,
    properties::{self, Property, View},
    replies, signals,
    streams::Streams,
    tables, values,
};
use crate::inner::Inner;

/// The values of an answer.
pub type Answer = Result<Vec<Value<'static>>, Failure>;

/// An answer, or what it will be.
pub enum Outcome {
    /// It is there.
    Now(Answer),
    /// It has been asked for.
    Later(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

impl Outcome {
    fn later(answer: impl Future<Output = Answer> + Send + 'static) -> Self {
        Self::Later(Box::pin(answer))
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self::Now(Err(failure))
    }
}

const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";
const PEER: &str = "org.freedesktop.DBus.Peer";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";

/// What lies at a path.
enum Target {
    /// Nothing but the way to the root object.
    Branch(&'static str),
    Object(&'static Object),
    Node(Arc<Node>),
}

impl Target {
    fn find(path: &str, view: &View) -> Option<Self> {
        if let Some(object) = members::objects().iter().find(|object| object.path == path) {
            return Some(Self::Object(object));
        }
        if let Some(child) = paths::towards_root(path) {
            return Some(Self::Branch(child));
        }
        view.state.session.node(&paths::slug(path)?).cloned().map(Self::Node)
    }

    fn node(&self) -> Option<&Node> {
        match self {
            Self::Node(node) => Some(node),
            _ => None,
        }
    }

    /// Its own interfaces with their properties.
    fn interfaces(&self) -> Vec<(String, Vec<Property>)> {
        match self {
            Self::Branch(_) => Vec::new(),
            Self::Object(object) => vec![(object.interface.clone(), object.properties.clone())],
            Self::Node(node) => vec![
                (properties::NODE_INTERFACE.into(), tables::of_node().to_vec()),
                (properties::interface_of(node.kind), properties::of_kind(node.kind, node.channels)),
            ],
        }
    }
}

/// What calls are answered with.
pub struct Desk {
    /// By which the control thread is asked.
    pub inner: Inner,
    /// The descriptors that are handed out.
    pub streams: Arc<Streams>,
}

impl Desk {
    /// Answers a call, or begins to.
    pub fn answer(&self, view: &View, call: &Message) -> Outcome {
        let header = call.header();
        let (Some(path), Some(member)) = (header.path(), header.member()) else {
            return Failure::standard("InvalidArgs", "the call names no object or no member").into();
        };
        let (path, member) = (path.as_str(), member.as_str());
        let Some(target) = Target::find(path, view) else {
            let text = format!("there is no object \"{path}\"; see GetManagedObjects of {}", members::ROOT);
            return Failure::standard("UnknownObject", text).into();
        };
        let interface = header.interface().map(|name| name.as_str());
        let body = call.body();
        let signature = body.signature().to_string_no_parens();
        let given = match body.signature() {
            Signature::Unit => Ok(Vec::new()),
            _ => body.deserialize::<Structure<'_>>().map(Structure::into_fields),
        };
        let given = match given {
            Ok(given) => given,
            Err(error) => {
                let text = format!("the arguments of {member} cannot be read: {error}");
                return Failure::standard("InvalidArgs", text).into();
            }
        };
        let client = header.sender().map_or("", |sender| sender.as_str());
        if let Target::Object(object) = &target
            && interface.is_none_or(|name| name == object.interface)
        {
            let known = object.members.iter().map(|member| member.name.as_str());
            match object.members.iter().find(|known| known.name == member) {
                Some(member) => {
                    let expected: String =
                        member.inputs.iter().map(|input| input.signature.as_str()).collect();
                    if signature != expected {
                        return Failure::wrong_signature(&member.name, &expected, &signature).into();
                    }
                    return self.act(view, member, &given, client);
                }
                None if interface.is_some() => return Failure::unknown("Method", member, known).into(),
                None => {}
            }
        }
        let of = |name: &str| interface.is_none_or(|interface| interface == name);
        let has_properties = !matches!(target, Target::Branch(_));
        let is_root = matches!(&target, Target::Object(object) if object.word == members::MANAGER);
        match (member, signature.as_str(), given.as_slice()) {
            ("Introspect", "", _) if of(INTROSPECTABLE) => {
                Outcome::Now(Ok(vec![Value::from(introspection(&target, view))]))
            }
            ("Ping", "", _) if of(PEER) => Outcome::Now(Ok(Vec::new())),
            ("GetMachineId", "", _) if of(PEER) => Outcome::Now(machine_id()),
            ("Get", "ss", [interface, name]) if has_properties && of(PROPERTIES) => {
                self.get(view, target, text(interface), text(name))
            }
            ("GetAll", "s", [interface]) if has_properties && of(PROPERTIES) => {
                self.get_all(view, target, text(interface))
            }
            ("Set", "ssv", [interface, name, value]) if has_properties && of(PROPERTIES) => {
                self.set(&target, text(interface), text(name), value)
            }
            ("GetManagedObjects", "", _) if is_root && of(OBJECT_MANAGER) => self.managed(view),
            _ => not_there(&target, interface, member, &signature).into(),
        }
    }

    /// Asks for the status, and has the values made of it.
    fn with_status(
        &self,
        make: impl FnOnce(Option<&Status>) -> Answer + Send + 'static,
        is_needed: bool,
    ) -> Outcome {
        if !is_needed {
            return Outcome::Now(make(None));
        }
        let asked = self.inner.query(Query::Status);
        Outcome::later(async move {
            match asked.await? {
                Reply::Status(status) => make(Some(&status)),
                _ => Err(Error::new(ErrorCode::Internal, "the status was answered by something else").into()),
            }
        })
    }

    fn get(&self, view: &View, target: Target, interface: &str, name: &str) -> Outcome {
        let property = match property(&target, interface, name) {
            Ok(property) => property,
            Err(failure) => return failure.into(),
        };
        let (view, is_needed) = (view.clone(), property.needs_status());
        let read = move |status: Option<&Status>| match property.read(&view, status, target.node()) {
            Some(value) => Ok(vec![Value::Value(Box::new(value))]),
            None => Err(unreadable(&property.name)),
        };
        self.with_status(read, is_needed)
    }

    fn get_all(&self, view: &View, target: Target, interface: &str) -> Outcome {
        let all = match properties_of(&target, interface) {
            Ok(all) => all,
            Err(failure) => return failure.into(),
        };
        let (view, is_needed) = (view.clone(), all.iter().any(Property::needs_status));
        let read = move |status: Option<&Status>| {
            Ok(vec![Value::Dict(signals::values(&all, |property| {
                property.read(&view, status, target.node())
            }))])
        };
        self.with_status(read, is_needed)
    }

    fn set(&self, target: &Target, interface: &str, name: &str, value: &Value<'_>) -> Outcome {
        let property = match property(target, interface, name) {
            Ok(property) => property,
            Err(failure) => return failure.into(),
        };
        if !property.is_writable() {
            return Failure::standard("PropertyReadOnly", format!("{name} can only be read")).into();
        }
        let setting = property.setting(target.node(), value);
        match setting.and_then(|(method, params)| wire::read_ask(method, Some(params))) {
            Ok(Ask::Command(command)) => {
                let asked = self.inner.command(command);
                Outcome::later(async move { Ok(asked.await.map(|_| Vec::new())?) })
            }
            Ok(Ask::Query(_)) => unreadable(name).into(),
            Err(error) => Failure::from(error).into(),
        }
    }

    /// All objects below the root with their interfaces and properties.
    fn managed(&self, view: &View) -> Outcome {
        let view = view.clone();
        let read = move |status: Option<&Status>| all_objects(&view, status).map_err(unsayable);
        self.with_status(read, true)
    }

    fn ask(&self, request: Request, make: impl FnOnce(Reply) -> Answer + Send + 'static) -> Outcome {
        // Asked here, not where the answer is waited for: what is called first is carried out first.
        let asked = self.inner.ask(request);
        Outcome::later(async move { make(asked.await?) })
    }

    fn act(&self, view: &View, member: &Member, given: &[Value<'_>], client: &str) -> Outcome {
        match member.act {
            Act::Method(method) => self.call(method, member, given, client),
            Act::GetGraph => {
                let known = given.first().and_then(values::whole).unwrap_or_default();
                Outcome::Now(graph(view, known).map_err(unsayable))
            }
            Act::OpenMeters => {
                let hz = given.first().and_then(values::number).unwrap_or_default();
                let opened = self.streams.clone().meters(client.to_owned(), hz);
                Outcome::later(async move { Ok(vec![Value::Fd(Fd::from(opened.await?))]) })
            }
        }
    }

    /// Calls a method of the registry.
    fn call(&self, method: &'static Method, member: &Member, given: &[Value<'_>], client: &str) -> Outcome {
        let request = match request(method, member, given) {
            Ok(request) => request,
            Err(error) => return Failure::from(error).into(),
        };
        match request.ask {
            Ask::Query(Query::Subscribe { telemetry_hz }) => {
                let opened = self.streams.clone().subscribe(client.to_owned(), telemetry_hz);
                Outcome::later(async move { Ok(vec![Value::Fd(Fd::from(opened.await?))]) })
            }
            Ask::Query(Query::Unsubscribe) => {
                self.streams.unsubscribe(client);
                Outcome::Now(Ok(vec![Value::Dict(replies::named())]))
            }
            _ => self.ask(request, |reply| match replies::dictionary(&reply) {
                Some(dictionary) => Ok(vec![Value::Dict(dictionary)]),
                None => Err(Error::new(ErrorCode::Internal, "the reply does not fit its schema").into()),
            }),
        }
    }
}

/// Asks for a change that is to hold at once.
fn plain(ask: Ask) -> Request {
    Request { id: None, ask, dry_run: false, revision: None, at: None, fade_ms: None }
}

/// What is asked by arguments and options.
fn request(method: &Method, member: &Member, given: &[Value<'_>]) -> Result<Request, Error> {
    let mut fields = Map::new();
    let (mut dry_run, mut revision, mut at) = (false, None, None);
    for (input, value) in member.inputs.iter().zip(given) {
        match method.fields.iter().find(|field| field.required && field.name == input.name) {
            Some(field) => {
                fields.insert(field.name.to_owned(), values::field(field, value)?);
            }
            None => {
                let Value::Dict(options) = value else { continue };
                let mut named = Dict::new(&Signature::Str, &Signature::Variant);
                for (name, value) in options.iter() {
                    let wrong = |expected: &str| {
                        let name = values::text(name).unwrap_or_default();
                        let text = format!("the option {name} does not fit");
                        Error::new(ErrorCode::InvalidArgument, text).expected(expected)
                    };
                    let whole = || values::whole(value).ok_or_else(|| wrong("a whole number (t)"));
                    match values::text(name) {
                        Some("dry_run") if method.is_command => {
                            dry_run = values::switch(value).ok_or_else(|| wrong("true or false (b)"))?;
                        }
                        Some("if_revision") if method.is_command => revision = Some(whole()?),
                        Some("at_frame") if method.is_command => at = Some(Frames(whole()?)),
                        Some(name) if fields.contains_key(name) => {
                            return Err(wrong("what is no argument already"));
                        }
                        _ => named
                            .append(name.try_clone().map_err(strange)?, value.try_clone().map_err(strange)?)
                            .map_err(strange)?,
                    }
                }
                fields.append(&mut values::fields(method, &named)?);
            }
        }
    }
    let ask = wire::read_ask(method.name, Some(Json::Object(fields)))?;
    Ok(Request { dry_run, revision, at, ..plain(ask) })
}

fn strange(error: zbus::zvariant::Error) -> Error {
    Error::new(ErrorCode::InvalidArgument, format!("the options cannot be read: {error}"))
}

fn text<'a>(value: &'a Value<'_>) -> &'a str {
    values::text(value).unwrap_or_default()
}

fn unreadable(name: &str) -> Failure {
    Error::new(ErrorCode::Internal, format!("{name} cannot be read")).into()
}

/// What cannot be put into a message.
pub fn unsayable(error: zbus::Error) -> Failure {
    Failure::standard("LimitsExceeded", format!("the answer cannot be sent over D-Bus: {error}"))
}

fn properties_of(target: &Target, interface: &str) -> Result<Vec<Property>, Failure> {
    let interfaces = target.interfaces();
    let names: Vec<_> = interfaces.iter().map(|(name, _)| name.clone()).collect();
    if interface.is_empty() {
        // Any interface, by the specification.
        return Ok(interfaces.into_iter().flat_map(|(_, properties)| properties).collect());
    }
    match interfaces.into_iter().find(|(name, _)| name == interface) {
        Some((_, properties)) => Ok(properties),
        // Interfaces of the specification have none.
        None if [INTROSPECTABLE, PEER, PROPERTIES, OBJECT_MANAGER].contains(&interface) => Ok(Vec::new()),
        None => Err(Failure::unknown("Interface", interface, names.iter().map(String::as_str))),
    }
}

fn property(target: &Target, interface: &str, name: &str) -> Result<Property, Failure> {
    let all = properties_of(target, interface)?;
    let found = all.iter().find(|property| property.name == name).cloned();
    found.ok_or_else(|| Failure::unknown("Property", name, all.iter().map(|property| property.name.as_str())))
}

fn introspection(target: &Target, view: &View) -> String {
    match target {
        Target::Branch(child) => introspect::of_branch(child),
        Target::Node(node) => introspect::of_node(node.kind, node.channels),
        Target::Object(object) => {
            let children: Vec<String> = match object.word {
                members::MANAGER => {
                    let words = members::objects().iter().map(|object| object.word);
                    words.filter(|word| *word != members::MANAGER).map(str::to_owned).collect()
                }
                "node" => {
                    let nodes = view.state.session.nodes.in_order();
                    nodes.into_iter().map(|node| paths::element(node.slug.as_str())).collect()
                }
                _ => Vec::new(),
            };
            introspect::of_object(object, children.iter().map(String::as_str))
        }
    }
}

fn machine_id() -> Answer {
    let places = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
    let read = places.iter().find_map(|place| std::fs::read_to_string(place).ok());
    match read {
        Some(id) => Ok(vec![Value::from(id.trim().to_owned())]),
        None => {
            Err(Failure::standard("Failed", format!("this machine has no id in {}", places.join(" or "))))
        }
    }
}

/// Why nothing answers to an interface and a member.
fn not_there(target: &Target, interface: Option<&str>, member: &str, signature: &str) -> Failure {
    let standard = [INTROSPECTABLE, PEER, PROPERTIES, OBJECT_MANAGER];
    let own = target.interfaces();
    let names = || own.iter().map(|(name, _)| name.as_str()).chain(standard);
    let expected = match member {
        "Introspect" | "Ping" | "GetMachineId" | "GetManagedObjects" => Some(""),
        "Get" => Some("ss"),
        "GetAll" => Some("s"),
        "Set" => Some("ssv"),
        _ => None,
    };
    match (interface, expected) {
        (Some(name), _) if !names().any(|known| known == name) => {
            Failure::unknown("Interface", name, names())
        }
        (_, Some(expected)) if expected != signature => Failure::wrong_signature(member, expected, signature),
        _ => Failure::unknown("Method", member, []),
    }
}

fn all_objects(view: &View, status: Option<&Status>) -> zbus::Result<Vec<Value<'static>>> {
    let interfaces = signals::interfaces();
    let mut all = Dict::new(&Signature::ObjectPath, interfaces.signature());
    for object in members::objects().iter().filter(|object| object.word != members::MANAGER) {
        let values = signals::values(&object.properties, |property| property.read(view, status, None));
        let mut own = signals::interfaces();
        own.append(object.interface.clone().into(), Value::Dict(values))?;
        all.append(paths::value(object.path.clone())?, Value::Dict(own))?;
    }
    for node in view.state.session.nodes.values() {
        all.append(paths::value(paths::of_node(node.slug.as_str()))?, signals::node_interfaces(view, node)?)?;
    }
    Ok(vec![Value::Dict(all)])
}

/// The graph, without nodes and links if its revision is known.
fn graph(view: &View, known: u64) -> zbus::Result<Vec<Value<'static>>> {
    let session = &view.state.session;
    let mut nodes: Vec<(u64, String, String, u16)> = Vec::new();
    let mut links: Vec<(u64, String, String, f64)> = Vec::new();
    if view.state.revision != known {
        nodes.extend(
            session
                .nodes
                .in_order()
                .into_iter()
                .map(|node| (node.id.0, node.slug.to_string(), node.kind.name().to_owned(), node.channels)),
        );
        links.extend(session.links.values().map(|link| {
            let (from, to) = (session.port_text(&link.from), session.port_text(&link.to));
            (link.id.0, from, to, link.gain.get())
        }));
    }
    Ok(vec![Value::U64(view.state.revision), Value::from(nodes), Value::from(links)])
}
