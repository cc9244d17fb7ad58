//! What is answered, as arguments.

use aulos_protocol::{Error, ErrorCode, Frames, Reply};
use rosc::{OscMessage, OscType};
use serde_json::Value as Json;

/// An answer.
pub enum Answer {
    /// One message with these arguments behind the address.
    One(Vec<OscType>),
    /// One for each of these, and one without any more at the end.
    Many(Vec<Vec<OscType>>),
}

pub fn text(text: impl Into<String>) -> OscType {
    // A NUL would end it, and cannot be sent.
    let text: String = text.into();
    OscType::String(if text.contains('\0') { text.replace('\0', "") } else { text })
}

pub fn frames(frames: Frames) -> OscType {
    OscType::Long(i64::try_from(frames.0).unwrap_or(i64::MAX))
}

/// What came of a command or query. Of an edit: the frame from which it is heard, then the names of nodes and numbers of
/// clips that were made; of an operation its number. What has many parts is told part by part, name and value.
pub fn of(reply: Reply) -> Answer {
    match reply {
        Reply::Done => Answer::One(Vec::new()),
        Reply::Applied(applied) => {
            let clips = applied.clips.iter().map(|clip| whole(clip.0));
            let nodes = applied.nodes.into_iter().map(text);
            Answer::One(std::iter::once(frames(applied.frame)).chain(nodes).chain(clips).collect())
        }
        Reply::Started { operation } => Answer::One(vec![whole(operation)]),
        reply => match serde_json::to_value(&reply) {
            Ok(json) => {
                let mut parts = Vec::new();
                flatten(String::new(), json.get("data").unwrap_or(&Json::Null), &mut parts);
                Answer::Many(parts)
            }
            Err(error) => Answer::One(vec![text(format!("it cannot be told: {error}"))]),
        },
    }
}

/// The parts of an answer, each with its name, such as `driver.block`; those of lists are counted from 1.
fn flatten(name: String, json: &Json, out: &mut Vec<Vec<OscType>>) {
    let below = |part: &str| if name.is_empty() { part.to_owned() } else { format!("{name}.{part}") };
    let value = match json {
        Json::Null => return,
        Json::Array(list) => {
            return list.iter().zip(1..).for_each(|(json, at)| flatten(below(&at.to_string()), json, out));
        }
        Json::Object(parts) => return parts.iter().for_each(|(part, json)| flatten(below(part), json, out)),
        Json::Bool(on) => OscType::Int(i32::from(*on)),
        Json::String(string) => text(string),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => i32::try_from(number).map_or(OscType::Long(number), OscType::Int),
            (None, Some(number), _) => whole(number),
            (.., number) => OscType::Float(number.unwrap_or_default() as f32),
        },
    };
    out.push(vec![text(name), value]);
}

fn whole(number: u64) -> OscType {
    match i32::try_from(number) {
        Ok(number) => OscType::Int(number),
        Err(_) => OscType::Long(i64::try_from(number).unwrap_or(i64::MAX)),
    }
}

/// To what is answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The address.
    pub address: String,
    /// The number that the client has given it.
    pub id: Option<i32>,
}

impl Asked {
    fn head(&self) -> Vec<OscType> {
        match self.id {
            Some(id) => vec![text("/sys/req"), OscType::Int(id)],
            None => vec![text(&self.address)],
        }
    }

    /// The message that tells that it is done.
    pub fn reply(&self, args: Vec<OscType>) -> OscMessage {
        OscMessage { addr: "/reply".into(), args: self.head().into_iter().chain(args).collect() }
    }

    /// The message that tells why it is not done.
    pub fn error(&self, error: &Error) -> OscMessage {
        let code = OscType::Int(error.code.number());
        let address = text(if self.id.is_some() { "/sys/req" } else { &self.address });
        let id = self.id.map(OscType::Int);
        let args = [address, code, text(super::sentence(error))].into_iter().chain(id).collect();
        OscMessage { addr: "/error".into(), args }
    }
}

/// The error of an answer that is none to what was asked.
pub fn unexpected() -> Error {
    Error::new(ErrorCode::Internal, "the answer is not one to what was asked")
}

#[cfg(test)]
mod tests {
    use aulos_protocol::{Applied, ClipId};
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_are_told_as_arguments() {
        let nodes = vec!["drums".to_owned()];
        let applied =
            Applied { frame: Frames(7), nodes, clips: vec![ClipId(3)], revision: 2, ..Applied::default() };
        let Answer::One(args) = of(Reply::Applied(applied)) else { panic!("many") };
        assert_eq!(args, [OscType::Long(7), text("drums"), OscType::Int(3)]);
        let mut parts = Vec::new();
        let json = json!({ "a": { "b": [1, 0.5, null, true], "c": 1u64 << 40 }, "d": "e\0f" });
        flatten(String::new(), &json, &mut parts);
        let expected = [
            ("a.b.1", OscType::Int(1)),
            ("a.b.2", OscType::Float(0.5)),
            ("a.b.4", OscType::Int(1)),
            ("a.c", OscType::Long(1 << 40)),
            ("d", text("ef")),
        ];
        assert_eq!(parts, expected.map(|(name, value)| vec![text(name), value]));
    }

    #[test]
    fn what_has_a_number_is_answered_with_it() {
        let error = Error::new(ErrorCode::NotFound, "gone").remedy("did you mean x?");
        let plain = Asked { address: "/a".into(), id: None };
        assert_eq!(plain.reply(vec![]).args, [text("/a")]);
        let numbered = Asked { address: "/a".into(), id: Some(5) };
        assert_eq!(
            numbered.reply(vec![OscType::Int(1)]).args,
            [text("/sys/req"), OscType::Int(5), OscType::Int(1)]
        );
        let told = [text("/sys/req"), OscType::Int(-32001), text("gone (did you mean x?)"), OscType::Int(5)];
        assert_eq!(numbered.error(&error).args, told);
    }
}
