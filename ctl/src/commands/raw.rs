//! `raw`: the control socket as it is.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    time::Duration,
};

use aulos_protocol::{
    Error, ErrorCode,
    client::{no_answer, unexpected},
};
use serde_json::{Value as Json, json};

use crate::{args, context::Context, failure::Failure};

/// Calls a method, or passes lines through.
///
/// # Errors
/// Parameters that are not JSON, the server's refusal, or that it went away.
pub fn run(cx: &mut Context, args: &args::Raw) -> Result<(), Failure> {
    if args.method == "-" {
        if args.params.is_some() {
            return Err(Failure::usage("raw - takes its parameters from stdin"));
        }
        cx.refuse_dry_run("lines that are passed through; write \"dry_run\":true into them")?;
        return pass_through(cx);
    }
    let mut request = json!({ "jsonrpc": "2.0", "id": "raw", "method": args.method });
    if let Some(text) = &args.params {
        request["params"] = serde_json::from_str(text).map_err(|error| {
            let error =
                Error::new(ErrorCode::InvalidArgument, format!("the parameters are not JSON: {error}"));
            Failure::Usage(error.expected("an object such as {\"node\":\"drums\"}"))
        })?;
    }
    if cx.is_dry_run() {
        request["dry_run"] = json!(true);
    }
    if let Some(at) = cx.at()? {
        request["at"] = json!(at);
    }
    let client = cx.client()?;
    client.send_line(&request.to_string())?;
    let mut answer = loop {
        let json = parse(&client.read_line()?)?;
        // The answer to a line that the server could not read has no id.
        if json.get("method").is_none() && (json["id"] == "raw" || json["id"].is_null()) {
            break json;
        }
    };
    if let Some(error) = answer.get_mut("error") {
        return Err(refusal(error).into());
    }
    let result = answer.get_mut("result").map(Json::take).ok_or_else(|| unexpected("a result"))?;
    cx.out.json(&result)
}

fn parse(line: &str) -> Result<Json, Error> {
    serde_json::from_str(line).map_err(|error| {
        Error::new(ErrorCode::Parse, format!("the server sent something that is not JSON: {error}"))
    })
}

/// The refusal, also of a server that has kinds of error which are not known here.
fn refusal(error: &mut Json) -> Error {
    let message = error["message"].as_str().unwrap_or("the server refused without a word").to_owned();
    serde_json::from_value(error["data"].take()).unwrap_or_else(|_| Error::new(ErrorCode::Internal, message))
}

/// What the two threads tell.
enum Happening {
    /// A line is about to be sent that will be answered.
    Asked,
    /// Stdin has ended, or a line could not be sent.
    InputEnded(Result<(), Error>),
    /// A line came from the server.
    Line(String),
    /// The server hung up.
    HungUp(Error),
}

/// Sends the lines of stdin and prints those of the server, both as they come.
fn pass_through(cx: &mut Context) -> Result<(), Failure> {
    /// Lines that may wait for stdout before the server has to.
    const ROOM: usize = 1024;
    // The first connection only finds out whether the server can be talked to.
    drop(cx.take_client()?);
    let broken = |error: io::Error| {
        Error::new(ErrorCode::Unreachable, format!("the connection to the server broke: {error}"))
    };
    let stream = UnixStream::connect(cx.socket()).map_err(broken)?;
    let writer = stream.try_clone().map_err(broken)?;
    let (tell, told) = sync_channel(ROOM);
    let tell_read = tell.clone();
    std::thread::spawn(move || send_lines(writer, &tell));
    std::thread::spawn(move || read_lines(stream, &tell_read));

    let mut unanswered = 0_usize;
    let mut ended = false;
    let mut failed = false;
    while !ended || unanswered > 0 {
        let wait = if ended { cx.timeout() } else { None };
        let happening = match told.recv_timeout(wait.unwrap_or(Duration::MAX)) {
            Ok(happening) => happening,
            Err(RecvTimeoutError::Timeout) => return Err(no_answer().into()),
            Err(RecvTimeoutError::Disconnected) => return Err(unexpected("anything").into()),
        };
        match happening {
            Happening::Asked => unanswered += 1,
            Happening::InputEnded(result) => {
                result?;
                ended = true;
            }
            Happening::Line(line) => {
                let json = parse(&line)?;
                if json.get("method").is_none() {
                    unanswered = unanswered.saturating_sub(1);
                    failed |= json.get("error").is_some();
                }
                cx.out.line(line.trim_end())?;
                cx.out.flush()?;
            }
            Happening::HungUp(error) => return Err(error.into()),
        }
    }
    if failed { Err(Failure::Told) } else { Ok(()) }
}

/// Sends what stdin says. Ends when nobody listens any more, which only happens when the program ends.
fn send_lines(mut server: UnixStream, tell: &SyncSender<Happening>) {
    for line in io::stdin().lock().lines() {
        let line = match line {
            Ok(line) if line.trim().is_empty() => continue,
            Ok(line) => line,
            Err(error) => {
                let error = Error::io("read from stdin", &error);
                let _ = tell.send(Happening::InputEnded(Err(error)));
                return;
            }
        };
        // Said before it is sent, so that no answer comes to a question that is not counted yet.
        if is_answered(&line) && tell.send(Happening::Asked).is_err() {
            return;
        }
        if let Err(error) = server.write_all(format!("{line}\n").as_bytes()) {
            let message = format!("the connection to the server broke: {error}");
            let error = Error::new(ErrorCode::Unreachable, message);
            let _ = tell.send(Happening::InputEnded(Err(error)));
            return;
        }
    }
    let _ = tell.send(Happening::InputEnded(Ok(())));
}

/// Passes on what the server says. Ends as [`send_lines`] does.
fn read_lines(server: UnixStream, tell: &SyncSender<Happening>) {
    let mut server = BufReader::new(server);
    loop {
        let mut line = String::new();
        let hung_up = match server.read_line(&mut line) {
            Ok(0) => "the server closed the connection".to_owned(),
            Ok(_) => {
                if tell.send(Happening::Line(line)).is_err() {
                    return;
                }
                continue;
            }
            Err(error) => format!("the connection to the server broke: {error}"),
        };
        let _ = tell.send(Happening::HungUp(Error::new(ErrorCode::Unreachable, hung_up)));
        return;
    }
}

/// Whether the server answers the line: it does, unless it is a request that carries no id.
fn is_answered(line: &str) -> bool {
    match serde_json::from_str::<Json>(line) {
        Ok(json) if json.is_object() => !json["id"].is_null(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_without_an_id_are_not_answered() {
        assert!(is_answered(r#"{"jsonrpc":"2.0","id":1,"method":"play"}"#));
        assert!(is_answered("nonsense"));
        assert!(is_answered("[]"));
        assert!(is_answered(r#"{"jsonrpc":"2.0","id":[1],"method":"play"}"#), "refused, which is an answer");
        assert!(!is_answered(r#"{"jsonrpc":"2.0","method":"play"}"#));
    }

    #[test]
    fn refusals_of_other_versions_are_not_lost() {
        let mut known =
            json!({"code": -32001, "message": "x", "data": Error::new(ErrorCode::NotFound, "no node")});
        assert_eq!(refusal(&mut known), Error::new(ErrorCode::NotFound, "no node"));
        let mut unknown = json!({"code": -1, "message": "tired", "data": {"code": "sleepy"}});
        assert_eq!(refusal(&mut unknown).message, "tired");
        assert!(!refusal(&mut json!({})).message.is_empty());
    }
}
