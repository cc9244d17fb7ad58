//! What comes over the bus, made the fields of a method.

use aulos_protocol::{
    Error, ErrorCode,
    registry::{self, Field, Form, Method},
};
use serde_json::{Map, Value as Json, json};
use zbus::zvariant::{Dict, Value};

/// The D-Bus type of what a field takes.
pub fn signature(form: &Form) -> &'static str {
    match form {
        Form::Text | Form::Choice(_) | Form::Place => "s",
        Form::Whole => "t",
        Form::Number | Form::Gain => "d",
        Form::Switch => "b",
        Form::Value => "v",
        Form::Texts => "as",
        Form::Wholes => "at",
        Form::Values => "a{sv}",
        Form::Commands => "a(sa{sv})",
    }
}

/// What a field takes, in words.
pub fn expected(form: &Form) -> String {
    match form {
        Form::Text => "text (s)".into(),
        Form::Choice(words) => format!("one of {} (s)", words.join(", ")),
        Form::Place => "first, last, before:NAME or after:NAME (s)".into(),
        Form::Whole => "a whole number, 0 or more (t, or another type of integers)".into(),
        Form::Number => "a finite number (d)".into(),
        Form::Gain => "a number of dB, minus infinity for silence (d)".into(),
        Form::Switch => "on or off (b)".into(),
        Form::Value => "a number (d), on or off (b), or a name (s)".into(),
        Form::Texts => "texts (as)".into(),
        Form::Wholes => "whole numbers (at)".into(),
        Form::Values => "names of parameters with their values (a{sv})".into(),
        Form::Commands => "commands, each its name and its fields (a(sa{sv}))".into(),
    }
}

/// A field from what was sent for it.
///
/// # Errors
/// [`ErrorCode::InvalidArgument`] with what was expected.
pub fn field(field: &Field, value: &Value<'_>) -> Result<Json, Error> {
    one(&field.form, value).unwrap_or_else(|| {
        let text = format!("{} does not fit", field.name);
        Err(Error::new(ErrorCode::InvalidArgument, text).expected(expected(&field.form)))
    })
}

/// The fields of a method from names and values.
///
/// # Errors
/// [`ErrorCode::InvalidArgument`] for a field that the method does not have, or a value that does not fit.
pub fn fields(method: &Method, given: &Dict<'_, '_>) -> Result<Map<String, Json>, Error> {
    let mut fields = Map::new();
    for (name, value) in given.iter() {
        let name = text(name).unwrap_or_default();
        let known = method.fields.iter().find(|field| field.name == name).ok_or_else(|| {
            let names = method.fields.iter().map(|field| field.name);
            let error = Error::not_found(&format!("field of {}", method.name), name, names);
            Error { code: ErrorCode::InvalidArgument, ..error }
        })?;
        fields.insert(name.to_owned(), field(known, value)?);
    }
    Ok(fields)
}

/// None where the value does not fit.
fn one(form: &Form, value: &Value<'_>) -> Option<Result<Json, Error>> {
    if let Value::Value(inner) = value {
        return one(form, inner);
    }
    let json = match form {
        Form::Text | Form::Choice(_) => json!(text(value)?),
        Form::Place => place(text(value)?)?,
        Form::Whole => json!(whole(value)?),
        Form::Number => json!(number(value).filter(|number| number.is_finite())?),
        Form::Gain => level(number(value)?)?,
        Form::Switch => json!(switch(value)?),
        Form::Value => parameter(value)?,
        Form::Texts => several(value, |item| text(item).map(Json::from))?,
        Form::Wholes => several(value, |item| whole(item).map(Json::from))?,
        Form::Values => {
            let Value::Dict(dict) = value else { return None };
            let pairs = dict.iter().map(|(name, value)| Some((text(name)?.to_owned(), parameter(value)?)));
            Json::Object(pairs.collect::<Option<_>>()?)
        }
        Form::Commands => return commands(value),
    };
    Some(Ok(json))
}

/// A value without the variants around it. They cannot be deep: the bus allows so many containers in each other.
pub fn bare<'a, 'v>(value: &'a Value<'v>) -> &'a Value<'v> {
    match value {
        Value::Value(inner) => bare(inner),
        value => value,
    }
}

/// A value as text, if it is.
pub fn text<'a>(value: &'a Value<'_>) -> Option<&'a str> {
    match bare(value) {
        Value::Str(text) => Some(text.as_str()),
        _ => None,
    }
}

/// A value as a whole number of 0 or more, if it is one.
pub fn whole(value: &Value<'_>) -> Option<u64> {
    match bare(value) {
        Value::U8(number) => Some(u64::from(*number)),
        Value::U16(number) => Some(u64::from(*number)),
        Value::U32(number) => Some(u64::from(*number)),
        Value::U64(number) => Some(*number),
        Value::I16(number) => u64::try_from(*number).ok(),
        Value::I32(number) => u64::try_from(*number).ok(),
        Value::I64(number) => u64::try_from(*number).ok(),
        Value::F64(number) if *number >= 0.0 && number.fract() == 0.0 && *number < 2f64.powi(53) => {
            Some(*number as u64)
        }
        _ => None,
    }
}

/// A value as a number, if it is one.
pub fn number(value: &Value<'_>) -> Option<f64> {
    match bare(value) {
        Value::F64(number) => Some(*number),
        Value::I16(number) => Some(f64::from(*number)),
        Value::I32(number) => Some(f64::from(*number)),
        Value::I64(number) => Some(*number as f64),
        value => whole(value).map(|number| number as f64),
    }
}

/// A value as on or off, if it is.
pub fn switch(value: &Value<'_>) -> Option<bool> {
    match bare(value) {
        Value::Bool(on) => Some(*on),
        _ => None,
    }
}

/// The value of a parameter.
fn parameter(value: &Value<'_>) -> Option<Json> {
    match bare(value) {
        Value::Bool(on) => Some(json!(on)),
        Value::Str(text) => Some(json!(text.as_str())),
        value => level(number(value)?),
    }
}

/// A number that may be silence.
fn level(number: f64) -> Option<Json> {
    if number == f64::NEG_INFINITY {
        return Some(json!("-inf"));
    }
    number.is_finite().then(|| json!(number))
}

fn place(text: &str) -> Option<Json> {
    match text.split_once(':') {
        None if matches!(text, "first" | "last") => Some(json!(text)),
        Some((side @ ("before" | "after"), name)) => Some(json!({ side: name })),
        _ => None,
    }
}

fn several(value: &Value<'_>, read: impl Fn(&Value<'_>) -> Option<Json>) -> Option<Json> {
    let Value::Array(array) = bare(value) else { return None };
    array.inner().iter().map(read).collect::<Option<Vec<_>>>().map(Json::Array)
}

/// The commands of a batch.
fn commands(value: &Value<'_>) -> Option<Result<Json, Error>> {
    let Value::Array(array) = bare(value) else { return None };
    let mut commands = Vec::new();
    for (at, item) in array.inner().iter().enumerate() {
        let Value::Structure(item) = bare(item) else { return None };
        let [name, given] = item.fields() else { return None };
        let (name, Value::Dict(given)) = (text(name)?, bare(given)) else { return None };
        let read = registry::method(name).and_then(|method| {
            let params = fields(method, given)?;
            Ok(match method.fields.is_empty() {
                true => json!({ "method": name }),
                false => json!({ "method": name, "params": params }),
            })
        });
        match read {
            Ok(command) => commands.push(command),
            Err(error) => return Some(Err(Error { index: Some(at), ..error })),
        }
    }
    Some(Ok(Json::Array(commands)))
}

#[cfg(test)]
mod tests {
    use zbus::zvariant::{Array, Signature, StructureBuilder};

    use super::*;

    fn read(form: &Form, value: Value<'_>) -> Result<Json, Error> {
        field(&Field { name: "x", form: form.clone(), required: true, text: String::new() }, &value)
    }

    #[test]
    fn numbers_are_taken_from_any_type_that_holds_them() {
        for value in [Value::U8(7), Value::I16(7), Value::U32(7), Value::I64(7), Value::F64(7.0)] {
            assert_eq!(read(&Form::Whole, value.try_clone().unwrap()).unwrap(), json!(7));
            assert_eq!(read(&Form::Number, Value::new(value)).unwrap().as_f64(), Some(7.0));
        }
        for value in [Value::I32(-1), Value::F64(0.5), Value::F64(f64::NAN), Value::Bool(true)] {
            let error = read(&Form::Whole, value).unwrap_err();
            assert!(error.code == ErrorCode::InvalidArgument && error.expected.is_some());
        }
    }

    #[test]
    fn silence_is_minus_infinity_and_nothing_else_that_is_not_finite_passes() {
        for form in [Form::Gain, Form::Value] {
            assert_eq!(read(&form, Value::F64(f64::NEG_INFINITY)).unwrap(), json!("-inf"));
            for number in [f64::INFINITY, f64::NAN] {
                assert!(read(&form, Value::F64(number)).is_err(), "{form:?} {number}");
            }
        }
        assert!(read(&Form::Number, Value::F64(f64::NEG_INFINITY)).is_err());
    }

    #[test]
    fn places_are_words() {
        assert_eq!(read(&Form::Place, Value::from("last")).unwrap(), json!("last"));
        assert_eq!(read(&Form::Place, Value::from("before:drums")).unwrap(), json!({ "before": "drums" }));
        for text in ["", "before", "under:drums", "first:drums"] {
            assert!(read(&Form::Place, Value::from(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_batch_says_which_command_is_wrong() {
        let item = |name: &str, field: &str| {
            let mut given = Dict::new(&Signature::Str, &Signature::Variant);
            given.append(Value::from(field.to_owned()), Value::new(Value::from("drums"))).unwrap();
            let item = StructureBuilder::new().append_field(Value::from(name.to_owned()));
            Value::Structure(item.append_field(Value::Dict(given)).build().unwrap())
        };
        let signature = Signature::try_from("(sa{sv})").unwrap();
        let batch = |items: Vec<Value<'static>>| {
            let mut array = Array::new(&signature);
            items.into_iter().for_each(|item| array.append(item).unwrap());
            read(&Form::Commands, Value::Array(array))
        };
        let good = batch(vec![item("node_remove", "node")]).unwrap();
        assert_eq!(good, json!([{ "method": "node_remove", "params": { "node": "drums" } }]));
        let error = batch(vec![item("node_remove", "node"), item("node_remove", "nod")]).unwrap_err();
        assert_eq!((error.index, error.close), (Some(1), vec!["node".to_owned()]));
        assert_eq!(batch(vec![item("nod_remove", "node")]).unwrap_err().index, Some(0));
    }
}
