//! Lines on the socket that are no requests.

use aulos_protocol::{
    ErrorCode::{self, InvalidArgument, InvalidRequest, Parse},
    Reply,
};
use serde_json::json;

use crate::bench::{Bench, Raw, Says, check};

/// Lines, and what is said of them.
fn table() -> Vec<(Vec<u8>, ErrorCode, &'static str, Vec<Says>)> {
    let one_object = || vec![Says::Expected("one JSON-RPC 2.0 object on a line")];
    let shape = || vec![Says::Expected("\"jsonrpc\":\"2.0\"")];
    let row = |line: &str, code, part, says| (line.as_bytes().to_vec(), code, part, says);
    let nested = |open: &str, close: &str| open.repeat(200_000) + &close.repeat(200_000);
    let status = |rest: &str| format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"{rest}}}");
    let mut rows = vec![
        row("hello", Parse, "not JSON", one_object()),
        row("GET / HTTP/1.1", Parse, "not JSON", one_object()),
        row("{", Parse, "not JSON", one_object()),
        row(&(status("") + &status("")), Parse, "trailing characters", one_object()),
        row("{'jsonrpc':'2.0'}", Parse, "not JSON", one_object()),
        row("\u{feff}{}", Parse, "not JSON", one_object()),
        row("NaN", Parse, "not JSON", one_object()),
        row(&status(",\"params\":{\"a\":1e999}"), Parse, "number out of range", one_object()),
        row(&nested("[", "]"), Parse, "recursion limit", one_object()),
        row(&nested("{\"a\":", "}"), Parse, "recursion limit", one_object()),
        row(&status(&format!(",\"params\":{}", nested("[", "]"))), Parse, "recursion limit", one_object()),
        (b"\0\0\0\0".to_vec(), Parse, "not JSON", one_object()),
        (b"{\"jsonrpc\":\"2.0\",\"method\":\"sta\0tus\"}".to_vec(), Parse, "control character", one_object()),
        (b"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\xfe\"}".to_vec(), Parse, "not UTF-8", Vec::new()),
        ((0u8..=255).filter(|b| *b != b'\n').collect(), Parse, "not UTF-8", Vec::new()),
        row("null", InvalidRequest, "malformed", shape()),
        row("42", InvalidRequest, "malformed", shape()),
        row("\"status\"", InvalidRequest, "malformed", shape()),
        row("[]", InvalidRequest, "malformed", shape()),
        row(&format!("[{}]", status("")), InvalidRequest, "malformed", shape()),
        row("{}", InvalidRequest, "does not say \"jsonrpc\":\"2.0\"", shape()),
        row(r#"{"id":1,"method":"status"}"#, InvalidRequest, "does not say \"jsonrpc\"", shape()),
        row(r#"{"jsonrpc":"1.0","method":"status"}"#, InvalidRequest, "does not say \"jsonrpc\"", shape()),
        row(r#"{"jsonrpc":2.0,"method":"status"}"#, InvalidRequest, "malformed", shape()),
        row(r#"{"jsonrpc":"2.0","id":1}"#, InvalidRequest, "no method", shape()),
        row(r#"{"jsonrpc":"2.0","id":1,"method":7}"#, InvalidRequest, "no method", shape()),
        row(r#"{"jsonrpc":"2.0","id":{},"method":"status"}"#, InvalidRequest, "the id", shape()),
        row(r#"{"jsonrpc":"2.0","id":[1],"method":"status"}"#, InvalidRequest, "the id", shape()),
        row(r#"{"jsonrpc":"2.0","id":true,"method":"status"}"#, InvalidRequest, "the id", shape()),
        row(&status(",\"priority\":1"), InvalidRequest, "unknown field `priority`", shape()),
        row(&status(",\"dry_run\":\"yes\""), InvalidRequest, "malformed", shape()),
        row(&status(",\"revision\":-1"), InvalidRequest, "malformed", shape()),
        row(&status(",\"revision\":1.5"), InvalidRequest, "malformed", shape()),
        row(&status(",\"revision\":99999999999999999999"), InvalidRequest, "malformed", shape()),
        row(&status(",\"params\":[1]"), InvalidArgument, "status takes no parameters", Vec::new()),
        row(&status(",\"params\":\"x\""), InvalidArgument, "status takes no parameters", Vec::new()),
    ];
    for (method, close) in
        [("lnik", "link"), ("Link", "link"), ("node-add", "node_add"), ("stats", "status"), ("", "")]
    {
        let says = if close.is_empty() { Vec::new() } else { vec![Says::Close(close)] };
        let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\"}}");
        rows.push(row(&line, InvalidRequest, "there is no method", says));
    }
    let long = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{}\"}}", "link".repeat(250_000));
    rows.push(row(&long, InvalidRequest, "there is no method", Vec::new()));
    rows
}

#[test]
fn lines_that_are_no_requests_are_refused_and_the_connection_lives_on() {
    let mut bench = Bench::new();
    let mut raw = Raw::new(&bench.server);
    for (line, code, part, says) in table() {
        let what = String::from_utf8_lossy(&line).into_owned();
        let (id, result) = raw.ask(&line);
        let error = result.expect_err(&what);
        check(&what, &error, code, part, &says);
        let named = code == InvalidArgument || part == "no method" || part == "there is no method";
        assert!(id.is_null() || id == json!(1), "{id} for {what}");
        assert!(!named || id == json!(1), "{id} for {what}");
        bench.goes_on(&what);
        assert!(matches!(raw.call("status", "{}"), Ok(Reply::Status(_))), "after {what}");
    }
}

#[test]
fn an_error_is_one_of_json_rpc_too() {
    use std::io::{BufRead, BufReader, Write};
    let bench = Bench::new();
    let mut stream = std::os::unix::net::UnixStream::connect(bench.server.socket()).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    for (line, number) in [
        ("x", -32700),
        ("{}", -32600),
        (r#"{"jsonrpc":"2.0","id":"a","method":"nothing"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":"a","method":"link"}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":"a","method":"node","params":{"node":"nobody"}}"#, -32001),
    ] {
        stream.write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        lines.read_line(&mut answer).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["jsonrpc"], "2.0");
        assert_eq!(answer["error"]["code"], number, "{line}");
        assert_eq!(answer["error"]["message"], answer["error"]["data"]["message"]);
        assert_eq!(answer["id"].as_str(), line.contains("\"id\"").then_some("a"));
    }
}

#[test]
fn empty_lines_are_nothing_and_requests_without_an_id_get_no_answer() {
    let mut bench = Bench::new();
    let mut raw = Raw::new(&bench.server);
    raw.send(b"\n   \n\t\r\n").unwrap();
    raw.send(b"{\"jsonrpc\":\"2.0\",\"method\":\"status\"}\n").unwrap();
    raw.send(b"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"status\"}\r\n").unwrap();
    let (id, result) = raw.ask(b"{\"jsonrpc\":\"2.0\",\"id\":\"first\",\"method\":\"status\"}");
    assert_eq!(id, json!("first"));
    assert!(matches!(result, Ok(Reply::Status(_))), "{result:?}");
    bench.goes_on("lines without an answer");
}

#[test]
fn a_line_that_is_too_long_is_refused_and_ends_its_connection_only() {
    let mut bench = Bench::new();
    let mut raw = Raw::new(&bench.server);
    // The server may hang up in the middle, which is an error here.
    let line = vec![b' '; 17 << 20];
    let sent = raw.send(&line);
    let (id, result) = raw.answer();
    assert!(id.is_null());
    let error = result.unwrap_err();
    check("17 MiB", &error, InvalidRequest, "too long", &[Says::Expected("16777216 bytes")]);
    assert_eq!(raw.next(), None, "the connection ends; sent: {sent:?}");
    bench.goes_on("a line of 17 MiB");

    // One that just fits is read, whatever is in it.
    let mut raw = Raw::new(&bench.server);
    let mut line = vec![b' '; (16 << 20) - 1];
    line[0] = b'x';
    let (_, result) = raw.ask(&line);
    assert_eq!(result.unwrap_err().code, Parse);
    assert!(raw.call("status", "{}").is_ok());
    bench.goes_on("a line of 16 MiB");
}

#[test]
fn lines_that_are_never_finished_are_forgotten() {
    let mut bench = Bench::new();
    for part in [&b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"undo\"}"[..], b"{\"jsonrpc\"", b"\xff", b""] {
        let mut raw = Raw::new(&bench.server);
        raw.send(part).unwrap();
        drop(raw);
        bench.goes_on("half a line");
    }
    // One that comes in pieces is read as a whole.
    let mut raw = Raw::new(&bench.server);
    for byte in b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n" {
        raw.send(&[*byte]).unwrap();
    }
    assert!(raw.answer().1.is_ok());
}
