//! What cannot be taken back is done only when it was agreed to: by a person whom the client can ask, else by the
//! agent, which is told what would be lost and a code that holds for just that.

use std::hash::{BuildHasher, RandomState};

use aulos_protocol::{Error, ErrorCode};
use rmcp::{
    ErrorData, RoleServer,
    model::{InputRequests, InputRequiredResult, InputResponses, ProtocolVersion, ServerRequest},
    service::RequestContext,
};
use serde_json::{Value as Json, json};

/// Makes codes that nobody can make up, and that are gone with the process.
#[derive(Debug, Default)]
pub struct Codes(RandomState);

/// What a person is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What would be done, and what is lost by it.
    pub what: String,
    /// Says that it may be.
    pub code: String,
}

/// The name of the question among those of a call, and of its field.
const SURE: &str = "sure";

impl Codes {
    /// Whether `act` was agreed to by `given`, its code. An act says in words all that the agreement is about, the
    /// revision of the session too if something of it is lost.
    ///
    /// # Errors
    /// The question, if not.
    pub fn agreed(&self, act: &str, what: &str, given: Option<&str>) -> Result<(), Question> {
        let code = format!("{:016x}", self.0.hash_one(act));
        if given == Some(code.as_str()) { Ok(()) } else { Err(Question { what: what.to_owned(), code }) }
    }
}

impl Question {
    /// As an answer to the agent, where nobody can be asked.
    pub fn refusal(&self) -> Error {
        Error::new(ErrorCode::Unavailable, format!("this cannot be taken back: {}", self.what))
            .expected(format!(
                "\"confirm\": \"{}\" beside the same arguments, while nothing changes",
                self.code
            ))
            .remedy("ask the person first, unless they have asked for it")
    }

    fn form(&self) -> Json {
        let sure = json!({ "type": "boolean", "title": "Go on", "default": false });
        let schema = json!({ "type": "object", "properties": { SURE: sure }, "required": [SURE] });
        let message = format!("This cannot be taken back: {}. Go on?", self.what);
        let params = json!({ "message": message, "requestedSchema": schema });
        json!({ "method": "elicitation/create", "params": params })
    }

    /// Asks by an answer that wants more, as the newer protocol does.
    ///
    /// # Errors
    /// None that is expected: the form is as it must be.
    pub fn wanted(&self) -> Result<InputRequiredResult, ErrorData> {
        let requests = InputRequests::from([(SURE.to_owned(), read(self.form())?)]);
        Ok(InputRequiredResult::new(Some(requests), Some(self.code.clone())))
    }

    /// Asks while the call goes on, as the older protocol does.
    ///
    /// # Errors
    /// That the client does not answer.
    pub async fn ask(&self, context: &RequestContext<RoleServer>) -> Result<bool, ErrorData> {
        let request: ServerRequest = read(self.form())?;
        let answer = context.peer.send_request(request).await.map_err(defect)?;
        Ok(is_yes(&serde_json::to_value(answer).map_err(defect)?))
    }
}

/// How a person can be asked by way of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By an answer that wants more.
    Answer,
    /// By a request while the call goes on.
    Request,
    /// Not at all.
    None,
}

/// How a person can be asked in this call.
pub fn way(context: &RequestContext<RoleServer>) -> Way {
    // A client that says nothing of its forms has them.
    let can_ask = context
        .client_capabilities()
        .and_then(|client| client.elicitation)
        .is_some_and(|asks| asks.form.is_some() || asks.url.is_none());
    match context.protocol_version() {
        Some(version) if can_ask && version >= ProtocolVersion::V_2026_07_28 => Way::Answer,
        Some(_) if can_ask => Way::Request,
        _ => Way::None,
    }
}

/// What a person has answered to [`Question::wanted`], if it was asked.
pub fn answer(responses: Option<&InputResponses>) -> Option<bool> {
    responses?.get(SURE).map(is_yes)
}

fn is_yes(answer: &Json) -> bool {
    answer["action"] == "accept" && answer["content"][SURE] == true
}

fn read<T: serde::de::DeserializeOwned>(json: Json) -> Result<T, ErrorData> {
    serde_json::from_value(json).map_err(defect)
}

fn defect(error: impl std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_for_one_act_of_one_process() {
        let codes = Codes::default();
        let question = codes.agreed("open /a", "changes are lost", None).unwrap_err();
        codes.agreed("open /a", "changes are lost", Some(&question.code)).unwrap();
        assert!(codes.agreed("open /b", "changes are lost", Some(&question.code)).is_err());
        assert!(Codes::default().agreed("open /a", "", Some(&question.code)).is_err());
        let said = question.refusal();
        assert!(said.expected.unwrap().contains(&question.code) && said.message.contains("changes are lost"));
    }

    #[test]
    fn only_a_yes_is_one() {
        let yes = json!({ "action": "accept", "content": { "sure": true } });
        assert!(is_yes(&yes));
        for other in [
            json!({ "action": "accept", "content": { "sure": false } }),
            json!({ "action": "decline", "content": { "sure": true } }),
            json!({ "action": "accept" }),
            json!("yes"),
        ] {
            assert!(!is_yes(&other), "{other}");
        }
        let asked = serde_json::to_value(Question { what: "x".into(), code: "c".into() }.wanted().unwrap());
        assert_eq!(asked.unwrap()["requestState"], "c");
    }
}
