//! Refusals that say what was expected and what to do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What kind of failure it is; surfaces map it to their own codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The text is not a message at all.
    Parse,
    /// The message has a wrong shape, or names a method that does not exist.
    InvalidRequest,
    /// A value has the wrong form or does not fit what it is meant for.
    InvalidArgument,
    /// A number lies outside its range.
    OutOfRange,
    /// Nothing has that name.
    NotFound,
    /// Something has that name already.
    Exists,
    /// The link would close a cycle.
    Cycle,
    /// The server cannot take this at the moment; the same request may succeed later.
    Busy,
    /// The request is understood but cannot be done in this state (nothing to undo, another driver).
    Unavailable,
    /// A file or folder could not be read or written.
    Io,
    /// Client and server speak different versions of the protocol.
    Version,
    /// The server could not be reached, or went away.
    Unreachable,
    /// A defect of the server; please report it.
    Internal,
}

impl ErrorCode {
    /// Its number, where a surface has numbers: those of JSON-RPC.
    pub fn number(self) -> i32 {
        match self {
            Self::Parse => -32700,
            Self::InvalidRequest => -32600,
            Self::InvalidArgument | Self::OutOfRange => -32602,
            Self::Internal => -32603,
            Self::NotFound => -32001,
            Self::Exists => -32002,
            Self::Cycle => -32003,
            Self::Busy => -32004,
            Self::Unavailable => -32005,
            Self::Io => -32006,
            Self::Version => -32007,
            Self::Unreachable => -32008,
        }
    }
}

/// The range that a number must lie in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Range {
    /// The lowest allowed value.
    pub min: f64,
    /// The highest allowed value.
    pub max: f64,
    /// The unit of both.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
}

/// Why something was refused or failed. Nothing has been changed when a command answers with an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The kind of failure.
    pub code: ErrorCode,
    /// What is wrong, as a sentence.
    pub message: String,
    /// What was expected instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What can be done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Existing names that are close to the one that was not found, best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub close: Vec<String>,
    /// The nodes on a refused cycle, in the direction of the signal; the first is repeated at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// The range that the number must lie in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// Which command of a batch was refused, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
}

impl Error {
    /// An error of `code` that says `message`. A message that is too long loses its middle.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: without_middle(message.into()),
            expected: None,
            remedy: None,
            close: Vec::new(),
            path: Vec::new(),
            range: None,
            index: None,
        }
    }

    /// Adds what was expected.
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Adds what can be done.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// `what` (a node, a port …) has no `name`; `known` are the names that exist.
    pub fn not_found<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let mut error = Self::new(ErrorCode::NotFound, format!("there is no {what} \"{}\"", shortened(name)));
        error.close = close_names(name, known);
        if let Some(best) = error.close.first() {
            error.remedy = Some(format!("did you mean \"{best}\"?"));
        }
        error
    }

    /// `value` of `what` lies outside `range`.
    pub fn out_of_range(what: &str, value: f64, range: Range) -> Self {
        let unit = if range.unit.is_empty() { String::new() } else { format!(" {}", range.unit) };
        let message = format!("{what} cannot be {value}{unit}");
        let mut error = Self::new(ErrorCode::OutOfRange, message)
            .expected(format!("{} to {}{unit}", range.min, range.max));
        error.range = Some(range);
        error
    }

    /// The error of a failed file operation: `doing` is like `read the session file /a/b`.
    pub fn io(doing: &str, error: &std::io::Error) -> Self {
        Self::new(ErrorCode::Io, format!("could not {doing}: {error}"))
    }
}

/// The beginning and the end of a text that is longer than any honest message, so that hostile input cannot make
/// a message huge.
fn without_middle(text: String) -> String {
    /// In characters. Two long paths fit.
    const MOST: usize = 1000;
    const END: usize = 300;
    if text.len() <= MOST || text.chars().nth(MOST).is_none() {
        return text;
    }
    let end: Vec<char> = text.chars().rev().take(END).collect();
    let begin = text.chars().take(MOST - END - 1);
    begin.chain(['…']).chain(end.into_iter().rev()).collect()
}

/// Names in messages are cut so that hostile input cannot make them huge.
fn shortened(name: &str) -> String {
    const MOST: usize = 80;
    if name.chars().count() <= MOST {
        return name.to_owned();
    }
    name.chars().take(MOST).chain("…".chars()).collect()
}

/// Up to three of `known` that are close to `name`, best first.
pub fn close_names<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    const MOST: usize = 3;
    let name = shortened(name).to_lowercase();
    let mut scored: Vec<(f64, &str)> = known
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let contained = name.len() > 1 && (lower.contains(&name) || name.contains(&lower));
            let score = strsim::jaro_winkler(&name, &lower).max(if contained { 0.85 } else { 0.0 });
            (score >= 0.78).then_some((score, candidate))
        })
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().take(MOST).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_gets_the_close_ones() {
        let error = Error::not_found("node", "drms", ["drums", "bass", "drums-bus"]);
        assert_eq!(error.close.first().map(String::as_str), Some("drums"));
        assert!(!error.close.contains(&"bass".to_owned()));
        assert_eq!(error.remedy.as_deref(), Some("did you mean \"drums\"?"));
    }

    #[test]
    fn a_huge_name_does_not_make_a_huge_message() {
        let error = Error::not_found("node", &"x".repeat(1 << 20), ["drums"]);
        assert!(error.message.len() < 200);
        let error = Error::new(ErrorCode::Io, format!("could not read {}: it is gone", "ö".repeat(1 << 20)));
        assert_eq!(error.message.chars().count(), 1000);
        assert!(error.message.starts_with("could not read ö") && error.message.ends_with("ö: it is gone"));
    }
}
