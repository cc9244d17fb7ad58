//! Replies as they go over the bus: dictionaries whose values have the types that the schemas name.

use std::sync::LazyLock;

use aulos_protocol::{Reply, wire};
use serde_json::Value as Json;
use zbus::zvariant::{Array, Dict, Signature, StructureBuilder, Value};

static SCHEMA: LazyLock<Json> = LazyLock::new(|| wire::schemas()["reply"].take());

/// A dictionary of names and values.
pub type Named = Dict<'static, 'static>;

/// An empty dictionary of names and values.
pub fn named() -> Named {
    Dict::new(&Signature::Str, &Signature::Variant)
}

/// Adds to a dictionary. What cannot be added would be a defect of this program, and is logged.
pub fn put(named: &mut Named, name: &str, value: Value<'static>) {
    if let Err(error) = named.append(Value::from(name.to_owned()), Value::Value(Box::new(value))) {
        tracing::error!("\"{name}\" cannot be put into a dictionary: {error}");
    }
}

/// What a schema says of a value.
enum Shape<'a> {
    Text,
    Number,
    /// A number, or silence.
    Gain,
    Whole,
    Signed,
    Switch,
    /// The value of a parameter.
    Parameter,
    List(&'a Json),
    Tuple(&'a [Json]),
    /// Named fields.
    Record(&'a Json),
    /// Any names, with values of one schema.
    Named(&'a Json),
    /// One of several records.
    Either(&'a [Json]),
}

/// What a reference refers to, and its name; or the schema itself.
fn resolved<'a>(root: &'a Json, schema: &'a Json) -> (&'a str, &'a Json) {
    let name = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/"));
    name.map_or(("", schema), |name| (name, &root["$defs"][name]))
}

fn shape<'a>(root: &'a Json, schema: &'a Json) -> Option<Shape<'a>> {
    let (name, schema) = resolved(root, schema);
    match name {
        "Decibels" => return Some(Shape::Gain),
        "Value" => return Some(Shape::Parameter),
        _ => {}
    }
    if let Some([inner, null]) = schema["anyOf"].as_array().map(Vec::as_slice)
        && null["type"] == "null"
    {
        return shape(root, inner);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let are_words = choices.iter().all(|choice| choice["type"] == "string");
        return Some(if are_words { Shape::Text } else { Shape::Either(choices) });
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str())?;
    Some(match kind {
        "string" => Shape::Text,
        "number" => Shape::Number,
        "integer" if schema["format"].as_str().is_some_and(|format| format.starts_with("int")) => {
            Shape::Signed
        }
        "integer" => Shape::Whole,
        "boolean" => Shape::Switch,
        "array" => match schema["prefixItems"].as_array() {
            Some(items) => Shape::Tuple(items),
            None => Shape::List(&schema["items"]),
        },
        "object" => match &schema["additionalProperties"] {
            inner @ Json::Object(_) => Shape::Named(inner),
            _ => Shape::Record(&schema["properties"]),
        },
        _ => return None,
    })
}

/// The D-Bus type of what a schema describes.
fn signature(root: &Json, schema: &Json) -> Option<String> {
    Some(match shape(root, schema)? {
        Shape::Text => "s".into(),
        Shape::Number | Shape::Gain => "d".into(),
        Shape::Whole => "t".into(),
        Shape::Signed => "x".into(),
        Shape::Switch => "b".into(),
        Shape::Parameter => "v".into(),
        Shape::List(items) => format!("a{}", signature(root, items)?),
        Shape::Tuple(items) => {
            let items = items.iter().map(|item| signature(root, item)).collect::<Option<String>>()?;
            format!("({items})")
        }
        Shape::Record(_) | Shape::Named(_) | Shape::Either(_) => "a{sv}".into(),
    })
}

/// A number, or minus infinity for silence.
fn gain(json: &Json) -> Option<f64> {
    if json == "-inf" { Some(f64::NEG_INFINITY) } else { json.as_f64() }
}

/// The value of a parameter as a D-Bus value.
pub fn parameter(value: aulos_protocol::Value) -> Value<'static> {
    use aulos_protocol::Value as Parameter;
    match value {
        Parameter::Switch(on) => Value::Bool(on),
        Parameter::Number(number) => Value::F64(number),
        Parameter::Silence => Value::F64(f64::NEG_INFINITY),
        Parameter::Name(name) => Value::from(name.as_str().to_owned()),
    }
}

fn typed(root: &Json, schema: &Json, json: &Json) -> Option<Value<'static>> {
    Some(match shape(root, schema)? {
        Shape::Text => Value::from(json.as_str()?.to_owned()),
        Shape::Number => Value::F64(json.as_f64()?),
        Shape::Gain => Value::F64(gain(json)?),
        Shape::Whole => Value::U64(json.as_u64()?),
        Shape::Signed => Value::I64(json.as_i64()?),
        Shape::Switch => Value::Bool(json.as_bool()?),
        Shape::Parameter => parameter(serde_json::from_value(json.clone()).ok()?),
        Shape::List(items) => {
            let mut array = Array::new(&Signature::try_from(signature(root, items)?.as_str()).ok()?);
            for item in json.as_array()? {
                array.append(variant_if(root, items, typed(root, items, item)?)).ok()?;
            }
            Value::Array(array)
        }
        Shape::Tuple(items) => {
            let mut tuple = StructureBuilder::new();
            for (schema, item) in items.iter().zip(json.as_array()?) {
                tuple = tuple.append_field(typed(root, schema, item)?);
            }
            Value::Structure(tuple.build().ok()?)
        }
        Shape::Record(properties) => Value::Dict(record(root, properties, json)?),
        Shape::Named(inner) => {
            let mut all = named();
            for (name, value) in json.as_object()? {
                put(&mut all, name, typed(root, inner, value)?);
            }
            Value::Dict(all)
        }
        Shape::Either(choices) => {
            let object = json.as_object()?;
            let fits = |choice: &&Json| {
                let properties = choice["properties"].as_object();
                properties.is_some_and(|known| object.keys().all(|name| known.contains_key(name)))
            };
            let choice = choices.iter().find(fits)?;
            Value::Dict(record(root, &choice["properties"], json)?)
        }
    })
}

/// A list of parameters' values is one of variants.
fn variant_if(root: &Json, items: &Json, value: Value<'static>) -> Value<'static> {
    match shape(root, items) {
        Some(Shape::Parameter) => Value::Value(Box::new(value)),
        _ => value,
    }
}

/// What is missing is not there; what the schema does not know is of a newer version's file, and left out.
fn record(root: &Json, properties: &Json, json: &Json) -> Option<Named> {
    let mut all = named();
    for (name, schema) in properties.as_object()? {
        if let Some(value) = json.get(name).filter(|value| !value.is_null()) {
            put(&mut all, name, typed(root, schema, value)?);
        }
    }
    Some(all)
}

/// The schema of what a reply of this name carries.
fn data(reply: &str) -> Option<&'static Json> {
    let variants = SCHEMA["oneOf"].as_array()?;
    let variant = variants.iter().find(|variant| variant["properties"]["reply"]["const"] == reply)?;
    Some(&variant["properties"]["data"])
}

/// The name and D-Bus type of each entry of the reply of this name.
pub fn entries(reply: &str) -> Vec<(String, String)> {
    if reply == "schema" {
        return vec![("schema".into(), "s".into())];
    }
    let Some(data) = data(reply) else { return Vec::new() };
    let Some(Shape::Record(properties)) = shape(&SCHEMA, data) else { return Vec::new() };
    let named = properties.as_object().into_iter().flatten();
    named.filter_map(|(name, schema)| Some((name.clone(), signature(&SCHEMA, schema)?))).collect()
}

/// A reply as a dictionary; none if it does not fit its own schema, which would be a defect.
pub fn dictionary(reply: &Reply) -> Option<Named> {
    if let Reply::Schema(schema) = reply {
        // It is JSON by what it is.
        let mut all = named();
        put(&mut all, "schema", Value::from(schema.to_string()));
        return Some(all);
    }
    let json = serde_json::to_value(reply).ok()?;
    let name = json["reply"].as_str()?;
    match data(name) {
        None | Some(Json::Null) => Some(named()),
        Some(schema) => match typed(&SCHEMA, schema, &json["data"])? {
            Value::Dict(dictionary) => Some(dictionary),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use aulos_protocol::{Applied, Change, Frames, Rate, Session};

    use super::*;

    #[test]
    fn every_type_of_the_replies_has_a_form_on_the_bus() {
        for (name, schema) in SCHEMA["$defs"].as_object().unwrap() {
            // By its name, as some are known by that.
            let reference = serde_json::json!({ "$ref": format!("#/$defs/{name}") });
            let found = signature(&SCHEMA, &reference);
            assert!(found.is_some(), "{name}: {schema}");
            let Some(Shape::Record(properties)) = shape(&SCHEMA, schema) else { continue };
            for (field, schema) in properties.as_object().into_iter().flatten() {
                assert!(signature(&SCHEMA, schema).is_some(), "{name}.{field}: {schema}");
            }
        }
        let names = |reply: &str| entries(reply).into_iter().map(|(name, kind)| format!("{name}:{kind}"));
        assert!(names("applied").any(|entry| entry == "nodes:as"));
        assert!(names("status").any(|entry| entry == "loop_range:(tt)"));
        assert!(names("latency").any(|entry| entry == "links:aa{sv}"));
    }

    #[test]
    fn replies_keep_their_types_where_they_are_empty_or_silent() {
        let told = dictionary(&Reply::Applied(Applied { frame: Frames(7), ..Applied::default() })).unwrap();
        assert_eq!(told.get::<_, u64>(&"frame").unwrap(), Some(7));
        let session = Session::new("x", Rate::default());
        let told = dictionary(&Reply::Session(Box::new(session))).unwrap();
        let nodes = told.iter().find(|(name, _)| **name == Value::from("nodes")).unwrap().1;
        assert_eq!(nodes.to_string().split(' ').next(), Some("<@aa{sv}"), "{nodes}");
        let changes = vec![Change::NodeGone(aulos_protocol::NodeId(3))];
        assert!(dictionary(&Reply::WouldChange { changes }).is_some());
        assert_eq!(dictionary(&Reply::Done), Some(named()));
        let told = dictionary(&Reply::Schema(serde_json::json!({ "a": 1 }))).unwrap();
        assert_eq!(told.get::<_, String>(&"schema").unwrap().as_deref(), Some("{\"a\":1}"));
    }
}
