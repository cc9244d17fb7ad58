//! `get` and `set`: parameters, with units and relative to what is.

use aulos_protocol::{
    Command, Error, NodeKind, ParamReading, Query, Rate, Reply, Value,
    client::unexpected,
    params::{self, Unit},
};

use crate::{
    args::{Get, Set},
    context::Context,
    describe::a,
    failure::Failure,
    paint::Style,
    text::{Side, Table, count},
    values::{self, Wish, show},
};

/// Prints a parameter, or all of a node.
///
/// # Errors
/// The server's refusal.
pub fn get(cx: &mut Context, args: Get) -> Result<(), Failure> {
    let (node, param) = match args.node.split_once('/') {
        Some((node, param)) if args.param.is_none() => (node.to_owned(), Some(param.to_owned())),
        _ => (args.node, args.param),
    };
    let single = param.is_some();
    match cx.query_or_print(Query::Get { node, param })? {
        None => Ok(()),
        Some(Reply::Params { params }) if single => {
            cx.out.lines(params.iter().map(|reading| show(unit(reading), reading.value)))
        }
        Some(Reply::Params { params }) => {
            let paint = cx.out.paint();
            cx.out.lines(table(&params).lines(paint))
        }
        Some(_) => Err(unexpected("parameters").into()),
    }
}

fn table(params: &[ParamReading]) -> Table {
    let mut table = Table::new(&[Side::Left, Side::Right, Side::Left, Side::Left]);
    for reading in params {
        let range = &reading.range;
        let range = match unit(reading) {
            Unit::Switch => "on, off".to_owned(),
            Unit::Choice(_) if reading.choices.is_empty() => "a pattern, or auto".to_owned(),
            Unit::Choice(_) => reading.choices.join(", "),
            Unit::Pan => "L100 to R100".to_owned(),
            Unit::Decibels => format!("{} to {} dB, -inf", range.min, range.max),
            _ => format!("{} to {} {}", range.min, range.max, range.unit).trim_end().to_owned(),
        };
        table.row([
            (reading.name.clone(), Style::Bold),
            (show(unit(reading), reading.value), Style::Plain),
            (range, Style::Dim),
            (reading.text.clone(), Style::Dim),
        ]);
    }
    table
}

/// The unit of a reading, which says it by its name and range only.
fn unit(reading: &ParamReading) -> Unit {
    match (reading.range.unit.as_str(), reading.value) {
        (_, Value::Switch(_)) => Unit::Switch,
        (_, Value::Name(_)) => Unit::Choice(&[]),
        // Gains go down to -144 dB and to silence, other levels do not.
        ("dB", Value::Number(_)) if reading.range.min > -144.0 => Unit::Level,
        ("dB", _) => Unit::Decibels,
        ("Hz", _) => Unit::Hertz,
        ("frames", _) => Unit::Frames,
        ("ms", _) => Unit::Milliseconds,
        (":1", _) => Unit::Ratio,
        _ if reading.range.min == -1.0 && reading.range.max == 1.0 => Unit::Pan,
        _ => Unit::Factor,
    }
}

/// Sets a parameter: `NODE/PARAM VALUE` or `NODE PARAM VALUE`.
///
/// # Errors
/// A value that cannot be read, or the server's refusal.
pub fn set(cx: &mut Context, args: Set) -> Result<(), Failure> {
    match (args.node.split_once('/'), args.third) {
        (Some((node, param)), None) => set_param(cx, None, node, param, &args.second),
        (None, Some(value)) => set_param(cx, None, &args.node, &args.second, &value),
        (Some(_), Some(value)) => {
            Err(Failure::usage(format!("{} names the parameter already, so {value} is too much", args.node)))
        }
        (None, None) => Err(Failure::usage(format!(
            "set {} {} lacks a value, or the name of a parameter",
            args.node, args.second
        ))),
    }
}

/// Sets a parameter of a node, which must be of `kind` if one is given.
///
/// # Errors
/// A value that cannot be read, a node of another kind, or the server's refusal.
pub fn set_param(
    cx: &mut Context,
    kind: Option<NodeKind>,
    name: &str,
    param: &str,
    text: &str,
) -> Result<(), Failure> {
    let node = cx.node(name)?;
    if let Some(kind) = kind {
        super::nodes::check_kind(&node, kind)?;
    }
    let param = params::find(&node, param)?;
    let was = params::get(&node, param);
    let wish = values::parse(param.unit, text, true).map_err(Failure::Usage)?;
    let resolved = wish.resolve(param, was, rate_for(cx, wish)?);
    let target = format!("{} {}", node.slug, param.name);
    if resolved.clamped {
        let end = show(param.unit, resolved.value);
        cx.out.note(&format!("{target} was held at the end of its range, {end}"));
    }
    if was == Value::Silence && matches!(wish, Wish::By(_)) {
        cx.out.note(&format!("{target} is silent, and so many dB more of silence is silence; set a level"));
    }
    let command = Command::SetParam {
        node: node.slug.to_string(),
        param: param.name.to_owned(),
        value: resolved.value,
    };
    cx.change(command, |_, _| {
        // The form in which the server keeps it: 1 for a switch is on.
        let now = param.accept(resolved.value).unwrap_or(resolved.value);
        Ok(format!("{target} {} (was {})", show(param.unit, now), show(param.unit, was)))
    })
}

/// The rate, where the wish is a time and it has to be known.
fn rate_for(cx: &mut Context, wish: Wish) -> Result<Rate, Failure> {
    if wish.needs_rate() { Ok(cx.clock()?.rate) } else { Ok(Rate::default()) }
}

/// Reads a value for a parameter of a node that is yet to be added.
///
/// # Errors
/// No such parameter, or a value that cannot be read.
pub fn for_new(
    cx: &mut Context,
    kind: NodeKind,
    channels: u16,
    name: &str,
    text: &str,
) -> Result<Value, Failure> {
    let all = params::of(kind, channels);
    let Some(param) = all.iter().find(|param| param.name == name) else {
        let names: Vec<_> = all.iter().map(|param| param.name).collect();
        let what = format!("parameter of {} with {}", a(kind), count(channels.into(), "channel"));
        let error = Error::not_found(&what, name, names.iter().copied());
        return Err(error.expected(format!("one of {}", names.join(", "))).into());
    };
    let wish = values::parse(param.unit, text, false).map_err(Failure::Usage)?;
    Ok(wish.resolve(param, param.default, rate_for(cx, wish)?).value)
}
