//! Tools that change what there is.

use aulos_protocol::{
    Command, Decibels, Endpoint, Error, ErrorCode, Query, Reply, Value, client::unexpected, params,
    show::show,
};
use rmcp::model::JsonObject;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value as Json, json};

use super::{Effect, Nothing, Tool, make::Composite};
use crate::{
    call::{Call, Changed, node},
    schema,
};

pub fn tools() -> Vec<Tool> {
    let mut edits: Vec<&str> = schema::edits().collect();
    edits.push("batch");
    vec![
        Tool::new(
            "apply",
            "Apply edits",
            Effect::Adds,
            &edits,
            "Makes several edits as ONE step: all of them, or none; one undo takes all of it back. Use it for
             everything larger than a change or two. Operations are carried out in order, and later ones can use the
             names of nodes that earlier ones make. add_track, add_send and click make what belongs together at once;
             the others are the server's own edits. Answers with what changed, a line each. With dry_run it only tells
             what would change.",
            apply,
        )
        .answers::<Changed>(),
        Tool::new(
            "set",
            "Set parameters",
            Effect::Sets,
            &["set", "batch", "get"],
            "Sets parameters of nodes to values in their units, several as one step: gain, pan, mute, solo, trim and
             all that get_params tells. Answers with the values that they have reached. Changes glide over the
             session's fade, so they do not click.",
            set,
        )
        .answers::<Reached>(),
        Tool::new(
            "connect",
            "Connect",
            Effect::Sets,
            &["link", "batch"],
            "Links outputs to inputs, several as one step: \"drums\" to \"master\", \"drums:pre\" to a send,
             \"drums:out_L\" to \"fx:in_L\". A bare name means its group out or in; groups of different width are
             linked by their channels. A link that is there gets the gain, if one is given.",
            connect,
        )
        .answers::<Changed>(),
        Tool::new(
            "disconnect",
            "Disconnect",
            Effect::Sets,
            &["unlink", "batch"],
            "Takes away links, several as one step: between two ports, or all between two groups or nodes. They fade
             out. What is not linked is refused.",
            disconnect,
        )
        .answers::<Changed>(),
        Tool::new(
            "remove",
            "Remove nodes",
            Effect::Destroys,
            &["node_remove", "batch"],
            "Removes nodes with their links and clips, several as one step. Undo brings them back, until another
             session is opened. Look with dry_run what else goes.",
            remove,
        )
        .answers::<Changed>(),
        Tool::new(
            "undo",
            "Undo",
            Effect::Adds,
            &["undo"],
            "Takes the last step back, whoever made it: a whole apply, a set of several parameters. Answers with what
             changed. The transport and renders are no steps.",
            |call: &mut Call<'_>, _: Nothing| call.restore(&Command::Undo),
        )
        .answers::<Changed>(),
        Tool::new(
            "redo",
            "Redo",
            Effect::Adds,
            &["redo"],
            "Makes the last step again that was taken back by undo. Answers with what changed.",
            |call: &mut Call<'_>, _: Nothing| call.restore(&Command::Redo),
        )
        .answers::<Changed>(),
    ]
}

/// An operation of `apply`.
#[derive(Debug)]
enum Operation {
    Edit(Command),
    Composite(Box<Composite>),
}

impl<'de> Deserialize<'de> for Operation {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let json = Map::<String, Json>::deserialize(d)?;
        let op = json.get("op").and_then(Json::as_str);
        if op.is_some_and(Composite::is_one) {
            let read = serde_json::from_value(Json::Object(json.clone()));
            return read
                .map(|composite| Self::Composite(Box::new(composite)))
                .map_err(|error| de::Error::custom(format!("{}: {error}", op.unwrap_or_default())));
        }
        schema::read_edit(json).map(Self::Edit).map_err(|error| de::Error::custom(told(&error)))
    }
}

fn told(error: &Error) -> String {
    let mut text = error.message.clone();
    for more in [&error.expected, &error.remedy].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(more);
    }
    text
}

impl JsonSchema for Operation {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Operation".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (edits, definitions) = schema::operations();
        for (name, definition) in definitions {
            generator.definitions_mut().entry(name).or_insert(definition);
        }
        let composites = generator.subschema_for::<Composite>();
        let choices: Vec<Json> = std::iter::once(composites.to_value()).chain(edits).collect();
        let mut schema = JsonObject::new();
        schema.insert("anyOf".into(), json!(choices));
        schema.into()
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Apply {
    /// The edits in order, at most 1000.
    operations: Vec<Operation>,
    /// Only tells what would change.
    #[serde(default)]
    dry_run: bool,
    /// Is refused if the session has another revision by now.
    if_revision: Option<u64>,
}

/// The most operations of a call.
const MOST_OPERATIONS: usize = 1000;

fn apply(call: &mut Call<'_>, asked: Apply) -> Result<Changed, Error> {
    if asked.operations.is_empty() || asked.operations.len() > MOST_OPERATIONS {
        let message = format!("{} operations cannot be applied at once", asked.operations.len());
        return Err(Error::new(ErrorCode::OutOfRange, message).expected(format!("1 to {MOST_OPERATIONS}")));
    }
    if let Some(wanted) = asked.if_revision {
        let revision = call.status()?.revision;
        if revision != wanted {
            return Err(Error::new(
                ErrorCode::Busy,
                format!("the session has revision {revision}, not {wanted}"),
            )
            .remedy("look at what has changed with get_overview and since_revision"));
        }
    }
    call.edit(asked.dry_run, |session| {
        let mut commands = Vec::new();
        for operation in &asked.operations {
            match operation {
                Operation::Edit(command) => commands.push(command.clone()),
                Operation::Composite(composite) => composite.expand(session, &mut commands)?,
            }
        }
        Ok(Command::Batch { commands })
    })
}

/// Several commands as one step; one is one anyway.
fn batch(mut commands: Vec<Command>) -> Result<Command, Error> {
    match commands.len() {
        0 => {
            Err(Error::new(ErrorCode::InvalidArgument, "there is nothing to do")
                .expected("at least one entry"))
        }
        1 => Ok(commands.remove(0)),
        _ => Ok(Command::Batch { commands }),
    }
}

/// A parameter that is set.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Setting {
    /// The node's name.
    node: String,
    /// The parameter's name.
    param: String,
    /// The value: a number in the parameter's unit, true or false, "-inf" for silence, or one of its choices.
    value: Value,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Set {
    /// What is set.
    values: Vec<Setting>,
    /// Only tells what would change.
    #[serde(default)]
    dry_run: bool,
}

/// What was set, and the values that were reached.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Reached {
    /// What changed.
    #[serde(flatten)]
    changed: Changed,
    /// The values that the parameters have now.
    values: Vec<Value1>,
}

/// A value that was reached.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ReachedValue")]
pub(super) struct Value1 {
    /// The node's name.
    node: String,
    /// The parameter's name.
    param: String,
    /// Its value.
    value: Value,
    /// Its value as people read it.
    shown: String,
}

fn set(call: &mut Call<'_>, asked: Set) -> Result<Reached, Error> {
    let changed = call.edit(asked.dry_run, |session| {
        // The server says which parameter of a node there is none of; here, which node.
        for setting in &asked.values {
            params::find(node(session, &setting.node)?, &setting.param)?;
        }
        let of = |setting: &Setting| Command::SetParam {
            node: setting.node.clone(),
            param: setting.param.clone(),
            value: setting.value,
        };
        batch(asked.values.iter().map(of).collect())
    })?;
    let session = call.session()?;
    let mut values = Vec::new();
    for Setting { node: name, param, .. } in asked.values {
        let reading = match call.query(Query::Get { node: name.clone(), param: Some(param.clone()) })? {
            Reply::Params { params } => params.into_iter().next(),
            _ => None,
        };
        let value = reading.ok_or_else(|| unexpected("the parameter"))?.value;
        let shown = show(params::find(node(&session, &name)?, &param)?.unit, value);
        values.push(Value1 { node: name, param, value, shown });
    }
    Ok(Reached { changed, values })
}

/// A connection.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Cord {
    /// The source: NODE, NODE:GROUP or NODE:PORT.
    from: Endpoint,
    /// The destination: NODE, NODE:GROUP or NODE:PORT.
    to: Endpoint,
    /// The gain in dB; 0 unless said, and as it is where the link is there.
    gain_db: Option<Decibels>,
}

/// The ends of a connection.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Ends {
    /// The source: NODE, NODE:GROUP or NODE:PORT.
    from: Endpoint,
    /// The destination: NODE, NODE:GROUP or NODE:PORT.
    to: Endpoint,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Connect {
    /// What is linked.
    links: Vec<Cord>,
    /// Only tells what would change.
    #[serde(default)]
    dry_run: bool,
}

fn connect(call: &mut Call<'_>, asked: Connect) -> Result<Changed, Error> {
    call.edit(asked.dry_run, |session| {
        for cord in &asked.links {
            node(session, &cord.from.node)?;
            node(session, &cord.to.node)?;
        }
        let link = |Cord { from, to, gain_db }: Cord| Command::Link { from, to, gain: gain_db };
        batch(asked.links.iter().cloned().map(link).collect())
    })
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Disconnect {
    /// What is unlinked.
    links: Vec<Ends>,
    /// Only tells what would change.
    #[serde(default)]
    dry_run: bool,
}

fn disconnect(call: &mut Call<'_>, asked: Disconnect) -> Result<Changed, Error> {
    call.edit(asked.dry_run, |session| {
        for ends in &asked.links {
            node(session, &ends.from.node)?;
            node(session, &ends.to.node)?;
        }
        batch(asked.links.iter().cloned().map(|Ends { from, to }| Command::Unlink { from, to }).collect())
    })
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Remove {
    /// The names of the nodes.
    nodes: Vec<String>,
    /// Only tells what would change.
    #[serde(default)]
    dry_run: bool,
}

fn remove(call: &mut Call<'_>, asked: Remove) -> Result<Changed, Error> {
    call.edit(asked.dry_run, |session| {
        let remove = |name: &String| {
            node(session, name)?;
            Ok(Command::RemoveNode { node: name.clone() })
        };
        batch(asked.nodes.iter().map(remove).collect::<Result<_, Error>>()?)
    })
}
