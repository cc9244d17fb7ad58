//! What there is to say: every command and query with its fields, from which surfaces make their addresses, members
//! and tools. Names, texts and forms come from the schemas of the enums; only what a schema cannot say, the order of
//! the fields and the OSC address, is written here.

use std::sync::LazyLock;

use serde_json::Value as Json;

use crate::{Command, Error, ErrorCode, Query};

/// What a field takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Text.
    Text,
    /// One of these words.
    Choice(Vec<String>),
    /// A whole number, 0 or more.
    Whole,
    /// A number.
    Number,
    /// A gain in dB; silence is minus infinity.
    Gain,
    /// On or off.
    Switch,
    /// The value of a parameter: a number, on or off, or a name.
    Value,
    /// A place in a list: `first`, `last`, `before:NAME` or `after:NAME`.
    Place,
    /// Several texts.
    Texts,
    /// Several whole numbers.
    Wholes,
    /// Names of parameters with their values.
    Values,
    /// Several commands.
    Commands,
}

/// A field of a command or query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub form: Form,
    /// Whether it must be there.
    pub required: bool,
    /// What it is, as sentences.
    pub text: String,
}

/// A command or query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name on the control socket.
    pub name: &'static str,
    /// Whether it changes something.
    pub is_command: bool,
    /// What it does, as sentences.
    pub text: String,
    /// Its OSC address; none if OSC has a form of its own for it.
    pub address: Option<&'static str>,
    /// Its fields, in the order in which they are said where they have no names.
    pub fields: Vec<Field>,
}

/// Name, OSC address, fields in order. Required fields come first, what takes the rest comes last.
type Door = (&'static str, Option<&'static str>, &'static [&'static str]);

const DOORS: &[Door] = &[
    ("node_add", Some("/node/add"), &["kind", "name", "channels", "params"]),
    ("node_remove", Some("/node/remove"), &["node"]),
    ("node_rename", Some("/node/rename"), &["node", "name"]),
    ("node_duplicate", Some("/node/duplicate"), &["node", "name"]),
    ("node_move", Some("/node/move"), &["node", "to"]),
    ("set", Some("/node/set"), &["node", "param", "value"]),
    ("session_set", Some("/session/set"), &["name", "tempo", "signature", "edit_fade_ms", "max_latency_ms"]),
    ("link", Some("/graph/connect"), &["from", "to", "gain"]),
    ("unlink", Some("/graph/disconnect"), &["from", "to"]),
    ("clip_add", Some("/clip/add"), &["track", "file", "at", "offset", "length"]),
    ("clip_remove", Some("/clip/remove"), &["track", "clip"]),
    ("clip_set", Some("/clip/set"), &["track", "clip", "at", "offset", "length", "whole"]),
    ("members_add", Some("/members/add"), &["group", "nodes"]),
    ("members_remove", Some("/members/remove"), &["group", "nodes"]),
    // A bundle is one.
    ("batch", None, &["commands"]),
    ("undo", Some("/sys/undo"), &[]),
    ("redo", Some("/sys/redo"), &[]),
    ("play", Some("/transport/play"), &[]),
    ("pause", Some("/transport/pause"), &[]),
    ("stop", Some("/transport/stop"), &[]),
    ("locate", Some("/transport/locate"), &["position"]),
    // A value with an address of its own.
    ("loop", None, &["start", "end"]),
    ("schedule_clear", Some("/sys/sched/clear"), &[]),
    ("session_new", Some("/session/new"), &["path", "rate", "max_block", "discard"]),
    ("session_open", Some("/session/open"), &["path", "discard"]),
    ("session_save", Some("/session/save"), &["path"]),
    (
        "render",
        Some("/render"),
        &["path", "start", "end", "tail", "format", "depth", "dither", "rate", "raw", "block", "stems"],
    ),
    ("operation_cancel", Some("/operation/cancel"), &["operation"]),
    ("driver_set", Some("/driver/set"), &["driver", "device", "block"]),
    ("loudness_reset", Some("/loudness/reset"), &["node"]),
    ("step", Some("/sys/step"), &["blocks"]),
    ("shutdown", Some("/sys/shutdown"), &["discard"]),
    ("hello", Some("/sys/hello"), &["protocol"]),
    ("status", Some("/sys/status"), &[]),
    ("session", Some("/session/show"), &[]),
    ("node", Some("/node/show"), &["node"]),
    ("get", Some("/node/get"), &["node", "param"]),
    ("latency", Some("/engine/latency"), &[]),
    // OSC tells it with time tags.
    ("clock", None, &[]),
    ("meters", Some("/engine/meters"), &[]),
    ("analyze", Some("/node/analyze"), &["node", "seconds"]),
    ("operation", Some("/operation/show"), &["operation"]),
    ("drivers", Some("/driver/list"), &[]),
    ("schema", Some("/sys/schema"), &[]),
    // OSC has subscriptions of its own, to addresses.
    ("subscribe", None, &["telemetry_hz"]),
    ("unsubscribe", None, &[]),
];

static METHODS: LazyLock<Vec<Method>> = LazyLock::new(|| {
    let commands = read(&schemars::schema_for!(Command), true);
    commands.into_iter().chain(read(&schemars::schema_for!(Query), false)).collect()
});

/// Every command, then every query.
pub fn methods() -> &'static [Method] {
    &METHODS
}

/// The command or query of this name on the control socket.
///
/// # Errors
/// [`ErrorCode::InvalidRequest`] with close names, if there is none.
pub fn method(name: &str) -> Result<&'static Method, Error> {
    methods().iter().find(|method| method.name == name).ok_or_else(|| {
        let mut error = Error::not_found("method", name, methods().iter().map(|method| method.name));
        error.code = ErrorCode::InvalidRequest;
        error
    })
}

/// The methods of a schema that have a door; a test sees to it that all have.
fn read(schema: &schemars::Schema, is_command: bool) -> Vec<Method> {
    let root = schema.as_value();
    let variants = root["oneOf"].as_array().into_iter().flatten();
    let method = |variant: &Json| {
        let name = variant.pointer("/properties/method/const")?.as_str()?;
        let (name, address, order) = DOORS.iter().find(|door| door.0 == name)?;
        let params = &variant["properties"]["params"];
        let params = definition(root, params).map_or(params, |(_, found)| found);
        let required: Vec<_> = params["required"].as_array().into_iter().flatten().collect();
        let fields = order.iter().filter_map(|field| {
            let property = params["properties"].get(*field)?;
            Some(Field {
                name: field,
                form: form(root, property)?,
                required: required.iter().any(|name| *name == field),
                text: text(property),
            })
        });
        Some(Method { name, is_command, text: text(variant), address: *address, fields: fields.collect() })
    };
    variants.filter_map(method).collect()
}

/// The description, without the line breaks of the source.
fn text(schema: &Json) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n")
}

/// What a reference refers to, and its name.
fn definition<'a>(root: &'a Json, schema: &'a Json) -> Option<(&'a str, &'a Json)> {
    let name = schema["$ref"].as_str()?.strip_prefix("#/$defs/")?;
    Some((name, root["$defs"].get(name)?))
}

fn form(root: &Json, schema: &Json) -> Option<Form> {
    if schema["$ref"] == "#" {
        return Some(Form::Commands);
    }
    if let Some((name, found)) = definition(root, schema) {
        return match name {
            "Decibels" => Some(Form::Gain),
            "Value" => Some(Form::Value),
            "Place" => Some(Form::Place),
            _ => form(root, found),
        };
    }
    // What may be missing is a choice between itself and null.
    if let Some([inner, null]) = schema["anyOf"].as_array().map(Vec::as_slice)
        && null["type"] == "null"
    {
        return form(root, inner);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let word = |choice: &Json| choice["const"].as_str().map(ToOwned::to_owned);
        return choices.iter().map(word).collect::<Option<_>>().map(Form::Choice);
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str())?;
    Some(match kind {
        "string" => Form::Text,
        "integer" => Form::Whole,
        "number" => Form::Number,
        "boolean" => Form::Switch,
        "object" => Form::Values,
        "array" => match form(root, &schema["items"])? {
            Form::Text => Form::Texts,
            Form::Whole => Form::Wholes,
            Form::Commands => Form::Commands,
            _ => return None,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_method_and_field_of_the_enums_has_its_door_and_form() {
        let mut names = BTreeSet::new();
        for (schema, is_command) in
            [(schemars::schema_for!(Command), true), (schemars::schema_for!(Query), false)]
        {
            let root = schema.as_value();
            for variant in root["oneOf"].as_array().unwrap() {
                let name = variant["properties"]["method"]["const"].as_str().unwrap();
                let method = method(name).unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(method.is_command, is_command, "{name}");
                let params = &variant["properties"]["params"];
                let params = definition(root, params).map_or(params, |(_, found)| found);
                let own: BTreeSet<_> = params["properties"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, _)| name.as_str())
                    .collect();
                let read: BTreeSet<_> = method.fields.iter().map(|field| field.name).collect();
                assert_eq!(own, read, "{name}");
                assert!(
                    method.text.len() > 5 && method.fields.iter().all(|field| field.text.len() > 5),
                    "{name}"
                );
                names.insert(name.to_owned());
            }
        }
        assert_eq!(names.len(), methods().len());
        assert_eq!(names.len(), DOORS.len(), "a door without a method");
    }

    #[test]
    fn what_has_no_names_can_be_told_apart_by_its_order() {
        for method in methods() {
            let required: Vec<_> = method.fields.iter().map(|field| field.required).collect();
            assert!(required.is_sorted_by(|a, b| a >= b), "{}: required fields come first", method.name);
            let rest =
                |form: &Form| matches!(form, Form::Texts | Form::Wholes | Form::Values | Form::Commands);
            let open = method.fields.iter().position(|field| rest(&field.form));
            assert!(open.is_none_or(|at| at + 1 == method.fields.len()), "{}", method.name);
        }
        let addresses: Vec<_> = methods().iter().filter_map(|method| method.address).collect();
        assert_eq!(addresses.iter().collect::<BTreeSet<_>>().len(), addresses.len());
    }

    #[test]
    fn forms_are_those_of_the_types() {
        let form = |name: &str, field: &str| {
            method(name).unwrap().fields.iter().find(|found| found.name == field).unwrap().form.clone()
        };
        assert_eq!(form("set", "value"), Form::Value);
        assert_eq!(form("link", "gain"), Form::Gain);
        assert_eq!(form("node_move", "to"), Form::Place);
        assert_eq!(form("node_add", "params"), Form::Values);
        assert_eq!(form("batch", "commands"), Form::Commands);
        assert_eq!(form("render", "stems"), Form::Texts);
        assert_eq!(form("render", "format"), Form::Choice(vec!["wav".into(), "flac".into()]));
        assert_eq!(form("session_set", "tempo"), Form::Number);
        assert_eq!(form("session_set", "signature"), Form::Text);
        assert_eq!(form("clip_set", "whole"), Form::Switch);
        assert_eq!(form("locate", "position"), Form::Whole);
        assert!(method("lock").unwrap_err().to_string().contains("lock"));
    }
}
