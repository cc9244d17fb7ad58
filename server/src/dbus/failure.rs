//! Refusals by name, with a sentence.

use aulos_protocol::{Error, ErrorCode};

use super::members::camel;

/// A refusal as it goes over the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The name of the error.
    pub name: String,
    /// What is wrong, what was expected, and what to do.
    pub text: String,
}

impl Failure {
    /// One that the specification of D-Bus names, such as `UnknownMethod`.
    pub fn standard(name: &str, text: impl Into<String>) -> Self {
        Self { name: format!("org.freedesktop.DBus.Error.{name}"), text: text.into() }
    }

    /// There is no `what` called `name`; `known` are those that there are.
    pub fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let error = Error::not_found(&what.to_lowercase(), name, known);
        Self::standard(&format!("Unknown{what}"), sentence(&error))
    }

    /// What was sent is not of the type that was expected.
    pub fn wrong_signature(member: &str, expected: &str, got: &str) -> Self {
        let got: String = got.chars().take(80).collect();
        Self::standard(
            "InvalidArgs",
            format!("{member} takes arguments of type \"{expected}\", not \"{got}\""),
        )
    }
}

/// All that an error says, as one text.
fn sentence(error: &Error) -> String {
    let mut text = match error.index {
        Some(at) => format!("command {at} of the batch, counted from 0: {}", error.message),
        None => error.message.clone(),
    };
    if let Some(expected) = &error.expected {
        text += &format!("; expected {expected}");
    }
    if let Some(remedy) = &error.remedy {
        text += &format!("; {remedy}");
    }
    // A text on the bus must not hold a zero.
    text.replace('\0', "\u{fffd}")
}

/// The name of an error's code on the bus.
pub fn name(code: ErrorCode) -> String {
    let word = serde_json::to_value(code).ok();
    let word = word.as_ref().and_then(serde_json::Value::as_str).unwrap_or("internal");
    format!("org.aulos.Error.{}", camel(word))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { name: name(error.code), text: sentence(&error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_keep_their_kind_and_all_that_they_say() {
        let error = Error { index: Some(2), ..Error::not_found("node", "drms", ["drums"]) }
            .expected("one that is there");
        let failure = Failure::from(error);
        assert_eq!(failure.name, "org.aulos.Error.NotFound");
        for part in ["command 2", "drms", "expected one that is there", "did you mean \"drums\"?"] {
            assert!(failure.text.contains(part), "{}", failure.text);
        }
        assert_eq!(name(ErrorCode::OutOfRange), "org.aulos.Error.OutOfRange");
        assert_eq!(Failure::unknown("Method", "x", []).name, "org.freedesktop.DBus.Error.UnknownMethod");
    }
}
