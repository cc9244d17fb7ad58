//! JSON Schemas as the clients of all makers understand them, and those of operations, made of the registry.

use aulos_protocol::{
    Command, Error, ErrorCode, Undo, registry,
    wire::{Ask, read_ask},
};
use rmcp::model::JsonObject;
use schemars::JsonSchema;
use serde_json::{Map, Value as Json, json};

/// The schema of what a tool takes.
pub fn of<T: JsonSchema>() -> JsonObject {
    object(schemars::schema_for!(T).to_value())
}

/// The schema of what a tool answers.
pub fn of_answer<T: JsonSchema>() -> JsonObject {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    object(settings.into_generator().into_root_schema_for::<T>().to_value())
}

fn object(mut schema: Json) -> JsonObject {
    tidy(&mut schema);
    match schema {
        Json::Object(mut object) => {
            object.remove("title");
            object.remove("description");
            // A tool without parameters takes an object all the same.
            object.entry("type").or_insert_with(|| json!("object"));
            object.entry("properties").or_insert_with(|| json!({}));
            object
        }
        _ => JsonObject::new(),
    }
}

/// Takes out what says no more than that a field may be left out, and what many clients do not understand.
pub fn tidy(schema: &mut Json) {
    match schema {
        Json::Object(object) => {
            if object.get("default").is_some_and(Json::is_null) {
                object.remove("default");
            }
            object.remove("format");
            if let Some(kinds) = object.get("type").and_then(Json::as_array) {
                let kinds: Vec<_> = kinds.iter().filter(|kind| *kind != "null").cloned().collect();
                if let [only] = kinds.as_slice() {
                    object.insert("type".into(), only.clone());
                }
            }
            if let Some(choices) = object.get("anyOf").and_then(Json::as_array) {
                let is_null = |choice: &Json| choice["type"] == "null";
                let rest: Vec<_> = choices.iter().filter(|choice| !is_null(choice)).cloned().collect();
                match rest.as_slice() {
                    [Json::Object(only)] => {
                        let only = only.clone();
                        object.remove("anyOf");
                        for (key, value) in only {
                            object.entry(key).or_insert(value);
                        }
                    }
                    _ => {
                        object.insert("anyOf".into(), Json::Array(rest));
                    }
                }
            }
            if let Some(word) = object.get("const").filter(|word| word.is_string()).cloned() {
                object.remove("const");
                object.insert("type".into(), json!("string"));
                object.insert("enum".into(), json!([word]));
            }
            object.values_mut().for_each(tidy);
        }
        Json::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// Whether a command of this name is an edit of the session that can be part of a batch.
pub fn is_edit(name: &str) -> bool {
    // By the enum's own word on an example of each: commands without their fields are not to be had.
    !matches!(name, "batch") && example(name).is_some_and(|command| command.undo() == Undo::Step)
}

/// A command of this name with something in every field that must be there.
fn example(name: &str) -> Option<Command> {
    use registry::Form;
    let method = registry::methods().iter().find(|method| method.name == name && method.is_command)?;
    let mut params = Map::new();
    for field in method.fields.iter().filter(|field| field.required) {
        let value = match &field.form {
            Form::Choice(words) => json!(words.first()?),
            Form::Whole | Form::Number | Form::Gain | Form::Value => json!(1),
            Form::Switch => json!(true),
            Form::Place => json!("first"),
            Form::Texts | Form::Wholes | Form::Commands => json!([]),
            Form::Values => json!({}),
            Form::Text => json!("a"),
        };
        params.insert(field.name.to_owned(), value);
    }
    match read_ask(name, Some(Json::Object(params))) {
        Ok(Ask::Command(command)) => Some(command),
        _ => None,
    }
}

/// The names of all edits.
pub fn edits() -> impl Iterator<Item = &'static str> {
    registry::methods().iter().map(|method| method.name).filter(|name| is_edit(name))
}

/// The schemas of all edits as operations, `{"op": NAME, its fields…}`, and the definitions that they refer to.
pub fn operations() -> (Vec<Json>, Map<String, Json>) {
    let mut root = schemars::schema_for!(Command).to_value();
    let variants = root["oneOf"].take();
    let definitions = root["$defs"].as_object().cloned().unwrap_or_default();
    let mut operations = Vec::new();
    for variant in variants.as_array().into_iter().flatten() {
        let Some(name) = variant.pointer("/properties/method/const").and_then(Json::as_str) else { continue };
        if !is_edit(name) {
            continue;
        }
        let params = &variant["properties"]["params"];
        let referred = params["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/"));
        let params = referred.and_then(|name| definitions.get(name)).unwrap_or(params);
        let mut properties = Map::new();
        properties.insert("op".into(), json!({ "type": "string", "enum": [name] }));
        properties.extend(params["properties"].as_object().cloned().unwrap_or_default());
        let required = params["required"].as_array().into_iter().flatten().cloned();
        let required: Vec<Json> = std::iter::once(json!("op")).chain(required).collect();
        let mut operation = json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        });
        if let Some(text) = variant["description"].as_str() {
            operation["description"] = json!(text.replace('\n', " "));
        }
        tidy(&mut operation);
        operations.push(operation);
    }
    let mut referred = json!({});
    refer(&json!(operations), &Json::Object(definitions), &mut referred);
    tidy(&mut referred);
    (operations, referred.as_object().cloned().unwrap_or_default())
}

/// Collects the definitions that a schema refers to.
pub fn refer(schema: &Json, all: &Json, into: &mut Json) {
    match schema {
        Json::Object(object) => {
            if let Some(name) =
                object.get("$ref").and_then(Json::as_str).and_then(|r| r.strip_prefix("#/$defs/"))
                && into.get(name).is_none()
                && let Some(definition) = all.get(name)
            {
                into[name] = definition.clone();
                refer(definition, all, into);
            }
            object.values().for_each(|value| refer(value, all, into));
        }
        Json::Array(items) => items.iter().for_each(|item| refer(item, all, into)),
        _ => {}
    }
}

/// The command of an operation.
///
/// # Errors
/// [`ErrorCode::InvalidArgument`] for what is no edit, or has other fields.
pub fn read_edit(mut operation: Map<String, Json>) -> Result<Command, Error> {
    let Some(Json::String(op)) = operation.remove("op") else {
        return Err(Error::new(ErrorCode::InvalidArgument, "the operation has no \"op\"")
            .expected(format!("one of {}", edits().collect::<Vec<_>>().join(", "))));
    };
    if !is_edit(&op) {
        let mut error = Error::not_found("operation", &op, edits());
        error.code = ErrorCode::InvalidArgument;
        return Err(error.expected(format!("one of {}", edits().collect::<Vec<_>>().join(", "))));
    }
    let fields = registry::method(&op)?.fields.iter().map(|field| field.name).collect::<Vec<_>>();
    match read_ask(&op, Some(Json::Object(operation))) {
        Ok(Ask::Command(command)) => Ok(command),
        Ok(Ask::Query(_)) => Err(Error::new(ErrorCode::InvalidArgument, format!("{op} changes nothing"))),
        Err(mut error) => {
            error.remedy = Some(format!("{op} takes {}", fields.join(", ")));
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edit_of_the_registry_is_an_operation_with_its_fields() {
        let (operations, _) = operations();
        let names: Vec<_> = operations.iter().map(|o| o["properties"]["op"]["enum"][0].clone()).collect();
        assert_eq!(names, edits().map(Json::from).collect::<Vec<_>>());
        for operation in &operations {
            let name = operation["properties"]["op"]["enum"][0].as_str().unwrap();
            let own = operation["properties"].as_object().unwrap().len() - 1;
            assert_eq!(own, registry::method(name).unwrap().fields.len(), "{name}");
        }
        assert!(names.contains(&json!("node_add")) && names.contains(&json!("clip_set")));
        assert!(!names.contains(&json!("undo")) && !names.contains(&json!("batch")));
        assert!(names.len() >= 14, "{names:?}");
    }

    #[test]
    fn an_operation_is_read_as_its_command() {
        let read = |json: Json| read_edit(json.as_object().unwrap().clone());
        let command = read(json!({ "op": "set", "node": "a", "param": "gain", "value": -3 })).unwrap();
        assert!(matches!(command, Command::SetParam { .. }));
        let wrong = read(json!({ "op": "set", "node": "a" })).unwrap_err();
        assert!(wrong.remedy.unwrap().contains("node, param, value"));
        for other in [json!({}), json!({ "op": "undo" }), json!({ "op": "ste" }), json!({ "op": 3 })] {
            assert!(read(other).unwrap_err().expected.unwrap().contains("node_add"));
        }
    }

    #[test]
    fn no_schema_has_null_in_it() {
        let (operations, definitions) = operations();
        let text = json!([operations, definitions]).to_string();
        assert!(!text.contains("null"), "{text}");
    }
}
