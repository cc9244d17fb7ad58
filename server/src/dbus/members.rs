//! Which object, interface and member each method of the registry is.
//!
//! The first word of its OSC address names object and interface, the rest the member: `/session/save` is `Save` of
//! `org.aulos.Session1` at `/org/aulos/Server/session`. What has no such address is a member of the root object.

use std::sync::LazyLock;

use aulos_protocol::registry::{self, Field, Method};

use super::{properties::Property, replies, tables, values};

/// The path of the root object.
pub const ROOT: &str = "/org/aulos/Server";
/// The word of the root object.
pub const MANAGER: &str = "sys";

/// Methods whose addresses do not say where they belong, with the word that does.
const ELSEWHERE: [(&str, &str); 1] = [("loop", "transport")];

/// What a member does when it is called.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// What the registry says.
    Method(&'static Method),
    /// Tells the graph, if it is another than the one that is known.
    GetGraph,
    /// Hands out a descriptor of which meters are read.
    OpenMeters,
}

/// An argument that comes in or goes out.
#[derive(Clone, Debug)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub signature: String,
    /// What it is.
    pub text: String,
}

/// A member that can be called.
#[derive(Debug)]
pub struct Member {
    /// What it does.
    pub act: Act,
    /// Its name.
    pub name: String,
    /// What it does, in words.
    pub text: String,
    /// What comes in.
    pub inputs: Vec<Argument>,
    /// What goes out.
    pub outputs: Vec<Argument>,
}

/// A signal that is no change of a property.
#[derive(Debug)]
pub struct Signal {
    /// Its name.
    pub name: &'static str,
    /// When it is sent.
    pub text: &'static str,
    /// What it carries: name, type, and what it is.
    pub arguments: &'static [(&'static str, &'static str, &'static str)],
}

/// An object that is always there, with its one interface.
#[derive(Debug)]
pub struct Object {
    /// The word by which it was found.
    pub word: &'static str,
    /// Its path.
    pub path: String,
    /// The interface's name.
    pub interface: String,
    /// What it is about.
    pub text: &'static str,
    /// The interface's members.
    pub members: Vec<Member>,
    /// The interface's properties.
    pub properties: Vec<Property>,
    /// The interface's signals.
    pub signals: &'static [Signal],
}

/// Options that every command has.
pub const COMMAND_OPTIONS: [(&str, &str, &str); 3] = [
    ("dry_run", "b", "Answers with the changes that it would make, and makes none."),
    ("if_revision", "t", "Refuses it if the session has another revision."),
    ("at_frame", "t", "The engine's frame from which parameters, solo and the transport are to change."),
];

const WARNING: &[Signal] = &[Signal {
    name: "Warning",
    text: "Something is wrong that a person should know.",
    arguments: &[("message", "s", "What, as a sentence.")],
}];
const ENDED: &[Signal] = &[Signal {
    name: "Ended",
    text: "An operation, such as a render, has ended.",
    arguments: &[
        ("operation", "t", "Its number."),
        ("title", "s", "What it was, such as the file that was rendered."),
        ("error", "s", "Why it failed; empty if it went well."),
        ("report", "as", "What should be known of what it made."),
    ],
}];

static OBJECTS: LazyLock<Vec<Object>> = LazyLock::new(|| {
    let mut objects: Vec<Object> = Vec::new();
    for method in registry::methods() {
        object_of(&mut objects, word(method)).members.push(member(method));
    }
    let graph = object_of(&mut objects, "graph");
    graph.members.push(get_graph());
    object_of(&mut objects, "engine").members.push(open_meters());
    for object in &mut objects {
        object.properties = tables::of_object(object.word);
    }
    // The root first.
    objects.sort_by_key(|object| object.word != MANAGER);
    objects
});

/// The objects that are always there, the root first.
pub fn objects() -> &'static [Object] {
    &OBJECTS
}

/// The object of this word, which is made where it is not there.
fn object_of<'a>(objects: &'a mut Vec<Object>, word: &'static str) -> &'a mut Object {
    let at = objects.iter().position(|object| object.word == word).unwrap_or_else(|| {
        objects.push(Object {
            word,
            path: if word == MANAGER { ROOT.to_owned() } else { format!("{ROOT}/{word}") },
            interface: interface(word),
            text: about(word),
            members: Vec::new(),
            properties: Vec::new(),
            signals: match word {
                MANAGER => WARNING,
                "operation" => ENDED,
                _ => &[],
            },
        });
        objects.len() - 1
    });
    &mut objects[at]
}

/// The word that names the object of a method.
fn word(method: &'static Method) -> &'static str {
    if let Some((_, word)) = ELSEWHERE.iter().find(|(name, _)| *name == method.name) {
        return word;
    }
    let mut words = method.address.unwrap_or_default().split('/').skip(1);
    match (words.next(), words.next()) {
        (Some(first), Some(_)) => first,
        _ => MANAGER,
    }
}

fn interface(word: &str) -> String {
    match word {
        MANAGER => "org.aulos.Manager1".into(),
        // Each node has an object of its own, with Node1.
        "node" => "org.aulos.Nodes1".into(),
        word => format!("org.aulos.{}1", camel(word)),
    }
}

/// What the interface of the object of this word is about.
fn about(word: &str) -> &'static str {
    match word {
        MANAGER => "The server, and what changes or tells all of it.",
        "node" => "The nodes as a whole; each has an object of its own, below this one.",
        "graph" => "How the nodes are linked.",
        "session" => "The session, its file and its settings.",
        "transport" => "Where it plays, and how fast.",
        "engine" => "What the engine does: its time, its latency, its meters.",
        "driver" => "What calls the engine: a device, or a clock.",
        "clip" => "The clips of the tracks.",
        "members" => "The members of VCAs and groups.",
        "operation" => "What takes long, such as a render.",
        "loudness" => "The loudness that masters measure.",
        _ => "",
    }
}

/// `pre_ignores_mute` as `PreIgnoresMute`.
pub fn camel(name: &str) -> String {
    let mut camel = String::new();
    for word in name.split(['_', '-', ' ']) {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

fn member(method: &'static Method) -> Member {
    let rest = method.address.and_then(|address| address.splitn(3, '/').nth(2));
    let name = camel(&rest.unwrap_or(method.name).replace('/', "_"));
    let input = |field: &Field| Argument {
        name: field.name,
        signature: values::signature(&field.form).to_owned(),
        text: format!("{} As {}.", field.text, values::expected(&field.form)),
    };
    let mut inputs: Vec<_> = method.fields.iter().filter(|field| field.required).map(input).collect();
    if let Some(text) = options(method) {
        inputs.push(Argument { name: "options", signature: "a{sv}".into(), text });
    }
    let outputs = match method.name {
        "subscribe" => {
            let text = "A socket to read from: the state, then what happens, as lines of JSON.";
            vec![Argument { name: "news", signature: "h".into(), text: text.into() }]
        }
        _ => {
            let text = match answer(method) {
                "done" => "Nothing to tell.".into(),
                reply => listed(&replies::entries(reply)),
            };
            vec![Argument { name: "reply", signature: "a{sv}".into(), text }]
        }
    };
    Member { act: Act::Method(method), name, text: method.text.clone(), inputs, outputs }
}

/// The name of the reply to a method that succeeds.
pub fn answer(method: &Method) -> &'static str {
    match method.name {
        "render" => "started",
        "session_new" | "session_open" | "session_save" | "operation_cancel" | "driver_set"
        | "loudness_reset" | "schedule_clear" | "shutdown" | "unsubscribe" => "done",
        "get" => "params",
        "analyze" => "analysis",
        name if !method.is_command => name,
        _ => "applied",
    }
}

/// What can be said in the options of a method; none if it has none.
fn options(method: &Method) -> Option<String> {
    let optional = method.fields.iter().filter(|field| !field.required);
    let optional = optional.map(|field| (field.name, values::signature(&field.form), field.text.as_str()));
    let all = optional.chain(COMMAND_OPTIONS.into_iter().filter(|_| method.is_command));
    let lines: Vec<_> = all.map(|(name, kind, text)| format!("{name} ({kind}): {text}")).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn listed(entries: &[(String, String)]) -> String {
    let entries = entries.iter().map(|(name, kind)| format!("{name} ({kind})"));
    entries.collect::<Vec<_>>().join(", ")
}

fn argument(name: &'static str, signature: &str, text: &str) -> Argument {
    Argument { name, signature: signature.to_owned(), text: text.to_owned() }
}

fn get_graph() -> Member {
    Member {
        act: Act::GetGraph,
        name: "GetGraph".into(),
        text: "Tells nodes and links, unless the session still has the revision that is known already."
            .into(),
        inputs: vec![argument("known", "t", "The revision that is known; 0 if none is.")],
        outputs: vec![
            argument("revision", "t", "The session's revision."),
            argument("nodes", "a(tssq)", "Number, name, kind and channels of each node, as they are listed."),
            argument("links", "a(tssd)", "Number, source, destination and gain in dB of each link."),
        ],
    }
}

fn open_meters() -> Member {
    Member {
        act: Act::OpenMeters,
        name: "OpenMeters".into(),
        text: "Hands out a socket of which transport, load and meters are read, a line of JSON for each reading. What is \
               not read in time is left out, and counted by MetersDropped."
            .into(),
        inputs: vec![argument("hz", "d", "How many readings a second, more than 0 and at most 60.")],
        outputs: vec![argument("meters", "h", "The socket.")],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_method_is_one_member_with_a_name_of_its_own() {
        let mut methods = BTreeSet::new();
        let mut members = BTreeSet::new();
        for object in objects() {
            for member in &object.members {
                assert!(members.insert((&object.interface, &member.name)), "{}", member.name);
                assert!(member.name.chars().all(|c| c.is_ascii_alphanumeric()), "{}", member.name);
                if let Act::Method(method) = member.act {
                    methods.insert(method.name);
                    assert!(!object.text.is_empty(), "{} is about nothing", object.interface);
                    assert!(
                        method.name == "subscribe"
                            || answer(method) == "done"
                            || !replies::entries(answer(method)).is_empty(),
                        "{}",
                        method.name
                    );
                }
            }
            for property in &object.properties {
                assert!(members.insert((&object.interface, &property.name)), "{}", property.name);
            }
        }
        assert_eq!(methods.len(), registry::methods().len());
        let find = |interface: &str, name: &str| {
            let object = objects().iter().find(|object| object.interface == interface).unwrap();
            object.members.iter().find(|member| member.name == name).unwrap()
        };
        assert!(
            matches!(find("org.aulos.Graph1", "Connect").act, Act::Method(method) if method.name == "link")
        );
        let add = find("org.aulos.Clip1", "Add");
        assert_eq!(add.inputs.iter().map(|input| input.signature.as_str()).collect::<String>(), "ssa{sv}");
        assert_eq!(objects()[0].path, ROOT);
        assert!(find("org.aulos.Transport1", "Loop").inputs.len() == 1);
    }
}
