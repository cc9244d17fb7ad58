//! How messages travel over the control socket: JSON-RPC 2.0, one object on each line.
//!
//! A request is `{"jsonrpc":"2.0","id":1,"method":"link","params":{"from":"drums","to":"master"}}`; the
//! methods are the variants of [`Command`] and [`Query`]. Beside `method` a request may carry `dry_run`
//! (answers with what the command would change) and `revision` (refuses the command with
//! [`crate::ErrorCode::Busy`] if the session has another), and `at` (the engine's frame from which parameters,
//! solo and the transport are to change; see [`Request::at`]). Answers carry a [`Reply`] as `result`, or an
//! `error` with a JSON-RPC number, the sentence, and the whole [`Error`] as `data`. Events and telemetry come
//! as notifications with the methods `event` and `telemetry`.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::{Command, Error, ErrorCode, Event, Frames, Query, Reply, Telemetry, registry};

/// The longest line that the server reads, in bytes.
pub const MAX_LINE: usize = 16 << 20;

/// What is asked of the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// To change something.
    Command(Command),
    /// To tell something.
    Query(Query),
}

/// A request as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The number or text that the answer carries; a request without one gets no answer.
    pub id: Option<Json>,
    /// What is asked.
    pub ask: Ask,
    /// Whether only to say what would change.
    pub dry_run: bool,
    /// The revision that the session must have.
    pub revision: Option<u64>,
    /// The engine's frame from which it is to hold; at once if not said.
    pub at: Option<Frames>,
    /// How long what an edit changes takes to fade, in ms; as long as the session says if not said.
    pub fade_ms: Option<f64>,
}

/// A message from the server to a client.
#[derive(Clone, Debug, PartialEq)]
pub enum FromServer {
    /// An answer.
    Answer {
        /// The request's id.
        id: Json,
        /// What came of it.
        result: Result<Reply, Error>,
    },
    /// Something happened.
    Event(Event),
    /// The newest of what moves.
    Telemetry(Telemetry),
    /// A notification of a newer server that this version does not know; to be left alone. New messages do not
    /// raise the protocol's version.
    Unknown,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRequest {
    jsonrpc: Option<String>,
    /// Read before the rest, so that whatever else is wrong can be answered to it.
    #[serde(rename = "id")]
    _id: Option<serde::de::IgnoredAny>,
    method: Option<Json>,
    params: Option<Json>,
    #[serde(default)]
    dry_run: bool,
    revision: Option<u64>,
    at: Option<Frames>,
    fade_ms: Option<f64>,
}

/// The names of all methods: the commands, then the queries.
pub fn methods() -> impl Iterator<Item = &'static str> {
    registry::methods().iter().map(|method| method.name)
}

/// Reads one line.
///
/// # Errors
/// [`ErrorCode::Parse`] for text that is not JSON, [`ErrorCode::InvalidRequest`] for JSON that is not a request
/// or names no method, [`ErrorCode::InvalidArgument`] for parameters that do not fit the method; each with the
/// id as far as it could be read.
pub fn read_request(line: &str) -> Result<Request, (Option<Json>, Error)> {
    let json: Json = serde_json::from_str(line).map_err(|error| {
        let error = Error::new(ErrorCode::Parse, format!("the line is not JSON: {error}"))
            .expected("one JSON-RPC 2.0 object on a line");
        (None, error)
    })?;
    let given = json.get("id").filter(|id| !id.is_null());
    let id = given.filter(|id| id.is_number() || id.is_string()).cloned();
    let unusable_id = given.is_some() && id.is_none();
    let refuse = |error: Error| (id.clone(), error);
    let shape = |message: String| {
        Error::new(ErrorCode::InvalidRequest, message)
            .expected("{\"jsonrpc\":\"2.0\",\"id\":…,\"method\":\"…\",\"params\":{…}}")
    };
    let raw: RawRequest =
        serde_json::from_value(json).map_err(|e| refuse(shape(format!("the request is malformed: {e}"))))?;
    if raw.jsonrpc.as_deref() != Some("2.0") {
        return Err(refuse(shape("the request does not say \"jsonrpc\":\"2.0\"".into())));
    }
    if unusable_id {
        return Err(refuse(shape("the id is neither a number nor a text".into())));
    }
    let Some(Json::String(method)) = raw.method else {
        return Err(refuse(shape("the request has no method".into())));
    };
    let ask = read_ask(&method, raw.params).map_err(refuse)?;
    let RawRequest { dry_run, revision, at, fade_ms, .. } = raw;
    Ok(Request { id, ask, dry_run, revision, at, fade_ms })
}

const SCHEMA: &str = "the query \"schema\" tells the parameters of every method";

/// What the method of this name asks with these parameters.
///
/// # Errors
/// [`ErrorCode::InvalidRequest`] if there is no such method, [`ErrorCode::InvalidArgument`] for parameters that do not
/// fit it.
pub fn read_ask(name: &str, params: Option<Json>) -> Result<Ask, Error> {
    let method = registry::method(name)?;
    let mut message = json!({ "method": name });
    // Methods without parameters are unit variants, which serde refuses to read from an empty object.
    let params = params.filter(|p| !p.is_null() && p.as_object().is_none_or(|o| !o.is_empty()));
    if !method.fields.is_empty() {
        if params.as_ref().is_some_and(|params| !params.is_object()) {
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                format!("the parameters of {name} have no names"),
            )
            .expected("an object, such as {\"node\":\"drums\"}")
            .remedy(SCHEMA));
        }
        message["params"] = params.unwrap_or_else(|| json!({}));
    } else if params.is_some() {
        return Err(Error::new(ErrorCode::InvalidArgument, format!("{name} takes no parameters")));
    }
    let culprit = unreadable(&message);
    let ask = if method.is_command {
        serde_json::from_value(message).map(Ask::Command)
    } else {
        serde_json::from_value(message).map(Ask::Query)
    };
    ask.map_err(|e| {
        let mut error =
            Error::new(ErrorCode::InvalidArgument, format!("the parameters of {name} do not fit: {e}"))
                .remedy(SCHEMA);
        error.index = culprit;
        error
    })
}

/// Which command of a batch cannot be read.
fn unreadable(message: &Json) -> Option<usize> {
    let commands = message.pointer("/params/commands").filter(|_| message["method"] == "batch")?;
    commands.as_array()?.iter().position(|command| Command::deserialize(command).is_err())
}

/// The line of a request.
pub fn write_request(request: &Request) -> String {
    let mut json = match &request.ask {
        Ask::Command(command) => serde_json::to_value(command),
        Ask::Query(query) => serde_json::to_value(query),
    }
    .unwrap_or_else(|error| unreachable!("commands and queries are plain data: {error}"));
    json["jsonrpc"] = json!("2.0");
    if let Some(id) = &request.id {
        json["id"] = id.clone();
    }
    if request.dry_run {
        json["dry_run"] = json!(true);
    }
    if let Some(revision) = request.revision {
        json["revision"] = json!(revision);
    }
    if let Some(at) = request.at {
        json["at"] = json!(at);
    }
    if let Some(fade_ms) = request.fade_ms {
        json["fade_ms"] = json!(fade_ms);
    }
    json.to_string()
}

/// The line of a message from the server.
pub fn write_from_server(message: &FromServer) -> String {
    #[derive(Serialize)]
    struct Notification<'a, T> {
        jsonrpc: &'static str,
        method: &'static str,
        params: &'a T,
    }
    let line = match message {
        FromServer::Answer { id, result: Ok(reply) } => {
            serde_json::to_string(&json!({ "jsonrpc": "2.0", "id": id, "result": reply }))
        }
        FromServer::Answer { id, result: Err(error) } => serde_json::to_string(&json!({
            "jsonrpc": "2.0",
            "id": id,
            "error": { "code": error.code.number(), "message": error.message, "data": error },
        })),
        FromServer::Event(event) => {
            serde_json::to_string(&Notification { jsonrpc: "2.0", method: "event", params: event })
        }
        FromServer::Telemetry(telemetry) => {
            serde_json::to_string(&Notification { jsonrpc: "2.0", method: "telemetry", params: telemetry })
        }
        FromServer::Unknown => Ok(String::new()),
    };
    line.unwrap_or_else(|error| unreachable!("messages are plain data: {error}"))
}

/// Reads a line from the server.
///
/// # Errors
/// [`ErrorCode::Parse`] or [`ErrorCode::InvalidRequest`] if it is not a message of this protocol.
pub fn read_from_server(line: &str) -> Result<FromServer, Error> {
    let parse = |e: serde_json::Error| {
        Error::new(ErrorCode::Parse, format!("the server sent something that cannot be read: {e}"))
            .remedy("use a client of the server's version")
    };
    let mut json: Json = serde_json::from_str(line).map_err(parse)?;
    if !json.is_object() {
        return Err(Error::new(ErrorCode::Parse, "the server sent something that is not a message")
            .expected("a JSON-RPC 2.0 object"));
    }
    match json.get("method").and_then(Json::as_str) {
        Some("event") => {
            Ok(serde_json::from_value(take(&mut json, "params"))
                .map_or(FromServer::Unknown, FromServer::Event))
        }
        Some("telemetry") => {
            serde_json::from_value(take(&mut json, "params")).map(FromServer::Telemetry).map_err(parse)
        }
        Some(_) => Ok(FromServer::Unknown),
        None => {
            let id = take(&mut json, "id");
            let result = if let Some(error) = json.get_mut("error") {
                Err(serde_json::from_value(take(error, "data")).map_err(parse)?)
            } else {
                Ok(serde_json::from_value(take(&mut json, "result")).map_err(parse)?)
            };
            Ok(FromServer::Answer { id, result })
        }
    }
}

/// Takes a member out of an object; null of anything else.
fn take(json: &mut Json, member: &str) -> Json {
    json.get_mut(member).map(Json::take).unwrap_or_default()
}

/// The JSON Schemas of everything that crosses the socket, by type name.
pub fn schemas() -> Json {
    json!({
        "protocol": crate::PROTOCOL,
        "command": schemars::schema_for!(Command),
        "query": schemars::schema_for!(Query),
        "reply": schemars::schema_for!(Reply),
        "event": schemars::schema_for!(Event),
        "telemetry": schemars::schema_for!(Telemetry),
        "error": schemars::schema_for!(Error),
        "session": schemars::schema_for!(crate::Session),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(line: &str) -> Result<Request, Error> {
        read_request(line).map_err(|(_, error)| error)
    }

    #[test]
    fn every_method_is_known_by_its_schema() {
        let names: Vec<_> = methods().collect();
        for name in ["node_add", "set", "link", "batch", "undo", "play", "render", "status", "subscribe"] {
            assert!(names.contains(&name), "{name} of {names:?}");
        }
    }

    #[test]
    fn requests_survive_the_wire() {
        let ask = Ask::Command(Command::Link {
            from: "drums".parse().unwrap(),
            to: "master:in_L".parse().unwrap(),
            gain: None,
        });
        let request = Request {
            id: Some(json!(7)),
            ask,
            dry_run: true,
            revision: Some(3),
            at: Some(Frames(5)),
            fade_ms: Some(12.5),
        };
        assert_eq!(read(&write_request(&request)).unwrap(), request);
        for method in ["play", "status"] {
            for params in ["", ",\"params\":{}", ",\"params\":null"] {
                let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\"{params}}}");
                read(&line).unwrap();
            }
        }
        read(r#"{"jsonrpc":"2.0","id":1,"method":"subscribe"}"#).unwrap();
    }

    #[test]
    fn what_is_wrong_with_a_request_is_said() {
        let table = [
            ("", ErrorCode::Parse, "not JSON"),
            ("{}", ErrorCode::InvalidRequest, "jsonrpc"),
            ("[1,2]", ErrorCode::InvalidRequest, "malformed"),
            (r#"{"jsonrpc":"2.0","id":1}"#, ErrorCode::InvalidRequest, "no method"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"lnik"}"#, ErrorCode::InvalidRequest, "lnik"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"link"}"#, ErrorCode::InvalidArgument, "from"),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"play","params":[1]}"#,
                ErrorCode::InvalidArgument,
                "takes no",
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"link","params":{"from":"","to":"x"}}"#,
                ErrorCode::InvalidArgument,
                "no end of a link",
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"undo","dryrun":true}"#,
                ErrorCode::InvalidRequest,
                "dryrun",
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"link","params":{"from":"a","to":"x","gian":-20}}"#,
                ErrorCode::InvalidArgument,
                "gian",
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"node_add","params":{"kind":"bus","nmae":"x"}}"#,
                ErrorCode::InvalidArgument,
                "nmae",
            ),
        ];
        for (line, code, part) in table {
            let error = read(line).unwrap_err();
            assert_eq!(error.code, code, "{line}");
            assert!(error.message.contains(part), "{line}: {}", error.message);
        }
        let error = read(r#"{"jsonrpc":"2.0","id":1,"method":"lnik"}"#).unwrap_err();
        assert!(error.close.contains(&"link".to_owned()));
    }

    #[test]
    fn what_a_newer_server_tells_is_left_alone() {
        let line = r#"{"jsonrpc":"2.0","method":"event","params":{"event":"weather","data":{"rain":true}}}"#;
        assert_eq!(read_from_server(line).unwrap(), FromServer::Unknown);
    }

    #[test]
    fn what_is_no_message_of_a_server_is_refused() {
        for line in
            ["2", "[]", "null", "\"x\"", "{}", "{\"id\":1}", "{\"error\":3}", "{\"method\":\"telemetry\"}"]
        {
            assert!(read_from_server(line).is_err(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in ".{0,200}") {
            let _ = read(&line);
            let _ = read_from_server(&line);
        }

        #[test]
        fn any_json_is_read_or_refused(method in "[a-z_]{0,12}", params in any::<Option<u8>>()) {
            let line = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
            let _ = read(&line);
        }
    }
}
