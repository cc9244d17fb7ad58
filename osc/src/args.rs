//! Arguments without names, made the fields of a method: of whatever type they are, as far as one can be had from it.

use aulos_protocol::{
    Error, ErrorCode,
    registry::{Field, Form, Method},
    wire::{self, Ask},
};
use rosc::OscType;
use serde_json::{Map, Value as Json, json};

/// What a message to the address of `method` asks: its arguments are the fields in their order; a nil is a field that
/// is not said. Arguments beyond the last field are ignored, as many surfaces send some.
///
/// # Errors
/// [`ErrorCode::InvalidArgument`] where an argument is missing or cannot be made what the field takes.
pub fn ask(method: &Method, args: &[OscType]) -> Result<Ask, Error> {
    let wrong = |field: &Field, expected: &str| {
        Error::new(ErrorCode::InvalidArgument, format!("the argument {} does not fit", field.name))
            .expected(expected)
            .remedy(usage(method))
    };
    let mut params = Map::new();
    let mut rest = args;
    for field in &method.fields {
        let Some((first, after)) = rest.split_first() else {
            if field.required {
                let text = format!("the argument {} is missing", field.name);
                return Err(Error::new(ErrorCode::InvalidArgument, text).remedy(usage(method)));
            }
            break;
        };
        let value = match &field.form {
            Form::Texts => several(rest, text).ok_or_else(|| wrong(field, "texts"))?,
            Form::Wholes => several(rest, whole).ok_or_else(|| wrong(field, "whole numbers"))?,
            Form::Values => pairs(rest).ok_or_else(|| wrong(field, "names, each with a value"))?,
            // No address leads to a method that takes them.
            Form::Commands => return Err(wrong(field, "a bundle of messages")),
            _ if *first == OscType::Nil => {
                rest = after;
                continue;
            }
            form => one(form, first).ok_or_else(|| wrong(field, &expected(form)))?,
        };
        params.insert(field.name.to_owned(), value);
        rest = if matches!(field.form, Form::Texts | Form::Wholes | Form::Values) { &[] } else { after };
    }
    wire::read_ask(method.name, Some(Json::Object(params)))
}

/// The arguments of a method, as a line: `/clip/add track:s file:s [at:h] [offset:h] [length:h]`.
pub fn usage(method: &Method) -> String {
    let fields = method.fields.iter().map(|field| {
        let named = format!("{}:{}", field.name, tag(&field.form));
        if field.required { named } else { format!("[{named}]") }
    });
    let address = method.address.unwrap_or_default().to_owned();
    std::iter::once(address).chain(fields).collect::<Vec<_>>().join(" ")
}

fn tag(form: &Form) -> &'static str {
    match form {
        Form::Text | Form::Choice(_) | Form::Place => "s",
        Form::Whole => "h",
        Form::Number | Form::Gain => "f",
        Form::Switch => "i",
        Form::Value => "value",
        Form::Texts => "s...",
        Form::Wholes => "h...",
        Form::Values | Form::Commands => "name:s value...",
    }
}

/// The types of a method's arguments, one of each that can be several; a value is taken as a number.
pub fn type_tags(method: &Method) -> String {
    let said = method.fields.iter().take_while(|field| field.required || field.form != Form::Values);
    said.filter_map(
        |field| if field.form == Form::Value { Some('f') } else { tag(&field.form).chars().next() },
    )
    .collect()
}

/// The type of an argument, as the type tags of a message have it; of texts and what is like them, `s`.
pub fn type_tag(arg: &OscType) -> char {
    match arg {
        OscType::Int(_) => 'i',
        OscType::Long(_) => 'h',
        OscType::Float(_) => 'f',
        OscType::Double(_) => 'd',
        _ => 's',
    }
}

fn expected(form: &Form) -> String {
    match form {
        Form::Text => "text".into(),
        Form::Choice(words) => format!("one of {}", words.join(", ")),
        Form::Whole => "a whole number, 0 or more".into(),
        Form::Number => "a number".into(),
        Form::Gain => "a number of dB, or \"-inf\"".into(),
        Form::Switch => "0 or 1".into(),
        Form::Value => "a number, a switch or a name".into(),
        Form::Place => "first, last, before:NAME or after:NAME".into(),
        Form::Texts | Form::Wholes | Form::Values | Form::Commands => "several".into(),
    }
}

fn one(form: &Form, arg: &OscType) -> Option<Json> {
    match form {
        Form::Text | Form::Choice(_) => text(arg),
        Form::Whole => whole(arg),
        Form::Number => number(arg).filter(|number| number.is_finite()).map(Json::from),
        Form::Gain => gain(arg),
        Form::Switch => switch(arg).map(Json::from),
        Form::Value => value(arg),
        Form::Place => place(arg),
        Form::Texts | Form::Wholes | Form::Values | Form::Commands => None,
    }
}

/// An argument as a number, if it is one.
pub fn number(arg: &OscType) -> Option<f64> {
    match arg {
        OscType::Int(number) => Some(f64::from(*number)),
        OscType::Long(number) => Some(*number as f64),
        // As it is written: 0.7 is not to become 0.699999988.
        OscType::Float(number) => number.to_string().parse().ok(),
        OscType::Double(number) => Some(*number),
        OscType::Bool(on) => Some(f64::from(u8::from(*on))),
        OscType::Inf => Some(1.0),
        OscType::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// An argument as on or off, if it is.
pub fn switch(arg: &OscType) -> Option<bool> {
    match arg {
        OscType::String(text) => match text.as_str() {
            "on" | "true" => Some(true),
            "off" | "false" => Some(false),
            _ => switch(&OscType::Double(number(arg)?)),
        },
        _ => number(arg).filter(|number| !number.is_nan()).map(|number| number >= 0.5),
    }
}

fn text(arg: &OscType) -> Option<Json> {
    match arg {
        OscType::String(text) => Some(json!(text)),
        OscType::Int(_) | OscType::Long(_) => Some(json!(number(arg)?.to_string())),
        _ => None,
    }
}

/// An argument as a whole number, if it is one, 0 or more.
pub fn whole_number(arg: &OscType) -> Option<u64> {
    if let OscType::Long(number) = arg {
        return u64::try_from(*number).ok();
    }
    let number = number(arg)?;
    (number >= 0.0 && number.fract() == 0.0 && number < 2f64.powi(63)).then_some(number as u64)
}

fn whole(arg: &OscType) -> Option<Json> {
    whole_number(arg).map(Json::from)
}

fn gain(arg: &OscType) -> Option<Json> {
    let number = number(arg)?;
    if number == f64::NEG_INFINITY { Some(json!("-inf")) } else { number.is_finite().then(|| json!(number)) }
}

fn value(arg: &OscType) -> Option<Json> {
    match arg {
        OscType::Bool(on) => Some(json!(on)),
        OscType::String(text) => Some(json!(text)),
        _ => gain(arg),
    }
}

fn place(arg: &OscType) -> Option<Json> {
    let OscType::String(text) = arg else { return None };
    match text.split_once(':') {
        None => Some(json!(text)),
        Some((side @ ("before" | "after"), name)) => Some(json!({ side: name })),
        Some(_) => None,
    }
}

fn several(args: &[OscType], read: impl Fn(&OscType) -> Option<Json>) -> Option<Json> {
    args.iter().map(read).collect::<Option<Vec<_>>>().map(Json::Array)
}

fn pairs(args: &[OscType]) -> Option<Json> {
    let pair = |pair: &[OscType]| match pair {
        [OscType::String(name), arg] => Some((name.clone(), value(arg)?)),
        _ => None,
    };
    args.chunks(2).map(pair).collect::<Option<Map<_, _>>>().map(Json::Object)
}

#[cfg(test)]
mod tests {
    use aulos_protocol::{Command, registry};
    use proptest::prelude::*;

    use super::*;

    fn read(method: &str, args: &[OscType]) -> Result<Json, Error> {
        match ask(registry::method(method).unwrap(), args)? {
            Ask::Command(command) => Ok(serde_json::to_value(command).unwrap()["params"].clone()),
            Ask::Query(query) => Ok(serde_json::to_value(query).unwrap()["params"].clone()),
        }
    }

    fn s(text: &str) -> OscType {
        OscType::String(text.into())
    }

    #[test]
    fn arguments_become_fields_whatever_their_type() {
        use OscType::{Bool, Double, Float, Int, Long, Nil};
        for (method, args, params) in [
            (
                "clip_add",
                vec![s("drums"), s("a.wav"), Int(480), Float(10.0), Long(99)],
                json!({
                "track": "drums", "file": "a.wav", "at": 480, "offset": 10, "length": 99 }),
            ),
            (
                "clip_add",
                vec![s("drums"), s("a.wav"), Nil, Nil, Double(5.0), s("more")],
                json!({
                "track": "drums", "file": "a.wav", "at": 0, "offset": 0, "length": 5 }),
            ),
            (
                "node_add",
                vec![s("track"), s("drums"), Int(1), s("gain"), Int(-3), s("mute"), Bool(true)],
                json!({
                "kind": "track", "name": "drums", "channels": 1, "params": { "gain": -3.0, "mute": true } }),
            ),
            ("node_add", vec![s("bus")], json!({ "kind": "bus" })),
            (
                "link",
                vec![s("a"), s("b"), Float(f32::NEG_INFINITY)],
                json!({ "from": "a", "to": "b", "gain": "-inf" }),
            ),
            ("node_move", vec![s("a"), s("before:b")], json!({ "node": "a", "to": { "before": "b" } })),
            ("members_add", vec![s("g"), s("a"), s("b")], json!({ "group": "g", "nodes": ["a", "b"] })),
            ("step", vec![Int(64), Float(32.0)], json!({ "blocks": [64, 32] })),
            ("session_open", vec![s("x"), Float(1.0)], json!({ "path": "x", "discard": true })),
            ("session_set", vec![Nil, s("120.5")], json!({ "tempo": 120.5 })),
            ("node", vec![Int(7)], json!({ "node": "7" })),
        ] {
            assert_eq!(read(method, &args).unwrap(), params, "{method}");
        }
        let plain = ask(registry::method("play").unwrap(), &[Float(1.0)]).unwrap();
        assert_eq!(plain, Ask::Command(Command::Play));
    }

    #[test]
    fn what_does_not_fit_is_told_with_what_would() {
        use OscType::{Float, Int};
        for (method, args, part) in [
            ("clip_add", vec![s("drums")], "argument file is missing"),
            ("locate", vec![Int(-1)], "argument position"),
            ("locate", vec![Float(0.5)], "argument position"),
            ("session_set", vec![OscType::Nil, Float(f32::NAN)], "argument tempo"),
            ("node_add", vec![s("track"), s("a"), Int(2), s("gain")], "argument params"),
            ("node_add", vec![s("truck")], "do not fit"),
            ("node_move", vec![s("a"), s("beside:b")], "argument to"),
        ] {
            let error = read(method, &args).unwrap_err();
            assert!(error.message.contains(part) && error.remedy.is_some(), "{method}: {error:?}");
        }
        let usage = usage(registry::method("clip_add").unwrap());
        assert_eq!(usage, "/clip/add track:s file:s [at:h] [offset:h] [length:h]");
    }

    proptest! {
        #[test]
        fn no_arguments_panic(numbers in prop::collection::vec(any::<f64>(), 0..6), text in ".{0,9}") {
            for method in registry::methods() {
                let mut args: Vec<_> = numbers.iter().map(|number| OscType::Double(*number)).collect();
                let _ = ask(method, &args);
                args.insert(0, s(&text));
                let _ = ask(method, &args);
            }
        }
    }
}
