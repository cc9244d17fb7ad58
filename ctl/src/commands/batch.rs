//! `batch`: several commands as one.

use std::{
    io::{self, Read},
    path::Path,
};

use aulos_protocol::{
    Command, Error, ErrorCode,
    wire::{Ask, read_request},
};
use serde_json::{Value as Json, json};

use crate::{context::Context, failure::Failure, text::count};

/// Runs the list of commands in `file`, or on stdin for `-`.
///
/// # Errors
/// A file that cannot be read, a list that cannot be understood, or the server's refusal.
pub fn run(cx: &mut Context, file: &Path) -> Result<(), Failure> {
    let mut text = String::new();
    if file == Path::new("-") {
        io::stdin().read_to_string(&mut text).map_err(|e| Error::io("read the commands from stdin", &e))?;
    } else {
        text = std::fs::read_to_string(file)
            .map_err(|e| Error::io(&format!("read the commands of {}", file.display()), &e))?;
    }
    let commands = commands(&text).map_err(Failure::Usage)?;
    let done = count(commands.len(), "command");
    cx.change(Command::Batch { commands }, |applied, _| {
        let mut text = done;
        if !applied.nodes.is_empty() {
            text.push_str(&format!("; added {}", applied.nodes.join(", ")));
        }
        if !applied.clips.is_empty() {
            let clips: Vec<_> = applied.clips.iter().map(ToString::to_string).collect();
            text.push_str(&format!("; added clip {}", clips.join(", ")));
        }
        if applied.links > 0 {
            text.push_str(&format!("; {} made or removed", count(applied.links, "link")));
        }
        Ok(text)
    })
}

fn commands(text: &str) -> Result<Vec<Command>, Error> {
    const EXPECTED: &str =
        "[{\"method\":\"node_add\",\"params\":{\"kind\":\"track\",\"name\":\"drums\"}}, …]";
    let list: Vec<Json> = serde_json::from_str(text).map_err(|error| {
        let message = format!("the batch is not a JSON list: {error}");
        Error::new(ErrorCode::InvalidArgument, message).expected(EXPECTED)
    })?;
    list.into_iter().enumerate().map(|(index, json)| command(json).map_err(|e| at(e, index))).collect()
}

fn at(mut error: Error, index: usize) -> Error {
    error.index = Some(index);
    error
}

/// Reads one command as the server reads requests, so that it is refused in the same words.
fn command(mut json: Json) -> Result<Command, Error> {
    if let Some(object) = json.as_object_mut() {
        // What a request may carry beside them holds for the batch as a whole.
        if let Some(field) = object.keys().find(|field| !matches!(field.as_str(), "method" | "params")) {
            let message = format!("a command of a batch has no field \"{field}\"");
            return Err(Error::new(ErrorCode::InvalidArgument, message).expected("\"method\" and \"params\""));
        }
        object.insert("jsonrpc".into(), json!("2.0"));
    }
    match read_request(&json.to_string()).map_err(|(_, error)| error)?.ask {
        Ask::Command(command) => Ok(command),
        Ask::Query(_) => Err(Error::new(ErrorCode::InvalidArgument, "a batch has no room for questions")
            .expected("commands that change the session")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_as_on_the_wire() {
        let text = r#"[
            {"method": "node_add", "params": {"kind": "track", "name": "drums"}},
            {"method": "set", "params": {"node": "drums", "param": "gain", "value": -3}},
            {"method": "undo"}
        ]"#;
        let commands = commands(text).unwrap();
        assert!(matches!(commands[0], Command::AddNode(_)));
        assert_eq!(commands[2], Command::Undo);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, index, part) in [
            ("{}", None, "not a JSON list"),
            ("[1]", Some(0), "malformed"),
            (r#"[{"method":"undo"},{"method":"lnik"}]"#, Some(1), "lnik"),
            (r#"[{"method":"play"},{"method":"undo","dry_run":true}]"#, Some(1), "no field \"dry_run\""),
            (r#"[{"method":"undo","parms":{}}]"#, Some(0), "no field \"parms\""),
            (r#"[{"method":"status"}]"#, Some(0), "questions"),
            (r#"[{"method":"link","params":{"from":"a"}}]"#, Some(0), "link"),
        ] {
            let error = commands(text).unwrap_err();
            assert_eq!(error.index, index, "{text}");
            assert!(error.message.contains(part), "{text}: {}", error.message);
        }
    }
}
