//! What tools take, where several take it.

use aulos_protocol::{
    Error, ErrorCode, Frames,
    position::{Clock, Position},
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

/// A place or a length on the timeline.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Time {
    /// Frames.
    Frames(u64),
    /// As people write it.
    Text(String),
}

impl Time {
    /// The frame.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] for a text that is no place.
    pub fn frames(&self, clock: Clock) -> Result<Frames, Error> {
        match self {
            Self::Frames(frames) => Ok(Frames(*frames)),
            Self::Text(text) => {
                let position: Position =
                    text.parse().map_err(|e: String| Error::new(ErrorCode::InvalidArgument, e))?;
                position.frames(clock)
            }
        }
    }
}

impl JsonSchema for Time {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "Frames as a number, or a text: \"1.5s\", \"250ms\", \"1:23.5\", or bar|beat such as \"3|1\".",
            "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string" }],
        })
    }
}
