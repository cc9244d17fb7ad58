//! What can be read, and subscribed to, without a tool.

use aulos_protocol::{Error, ErrorCode};
use rmcp::model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate};
use serde_json::{Map, Value as Json, json};

use crate::{
    call::{Call, node},
    follow::Touched,
    overview::{Detail, Patch},
    tools,
};

const OVERVIEW: &str = "audio://overview";
const SESSION: &str = "audio://session";
const LOG: &str = "audio://log/recent";
const NODE: &str = "audio://node/";
const JSON: &str = "application/json";

/// The resources that are always there.
pub fn all() -> Vec<Resource> {
    vec![
        Resource::new(OVERVIEW, "overview")
            .with_title("Overview")
            .with_description("The whole session in few words, as get_overview tells it.")
            .with_mime_type(JSON),
        Resource::new(SESSION, "session")
            .with_title("Session")
            .with_description("The session as it is saved: every node, parameter, clip and link.")
            .with_mime_type(JSON),
        Resource::new(LOG, "log")
            .with_title("What happened lately")
            .with_description(
                "Edits, transport, driver, warnings: a line each, with the time in seconds since 1970.",
            )
            .with_mime_type("text/plain"),
    ]
}

/// The resources of which there are several.
pub fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new("audio://node/{name}", "node")
            .with_title("Node")
            .with_description("A node: all its parameters, clips, and where it goes.")
            .with_mime_type(JSON),
    ]
}

/// Whether a resource can have this address.
pub fn is_one(uri: &str) -> bool {
    #[cfg(feature = "conformance-fixtures")]
    if crate::fixtures::read(uri).is_some() {
        return true;
    }
    matches!(uri, OVERVIEW | SESSION | LOG) || uri.strip_prefix(NODE).is_some_and(|name| !name.is_empty())
}

/// The address of what changed.
pub fn uri(touched: &Touched) -> Option<String> {
    match touched {
        Touched::Overview => Some(OVERVIEW.into()),
        Touched::Session => Some(SESSION.into()),
        Touched::Log => Some(LOG.into()),
        Touched::Node(name) => Some(format!("{NODE}{name}")),
        Touched::All => None,
    }
}

/// The error of an address that no resource has.
pub fn unknown(uri: &str) -> Error {
    let known = [OVERVIEW, SESSION, LOG, "audio://node/NAME"];
    Error::not_found("resource", uri, known).expected(format!("one of {}", known.join(", ")))
}

/// Reads a resource.
///
/// # Errors
/// That there is none of that address, or that the server cannot be reached.
pub fn read(call: &mut Call<'_>, uri: &str) -> Result<ReadResourceResult, Error> {
    let json = |json: &Json| ResourceContents::text(json.to_string(), uri).with_mime_type(JSON);
    let contents = match uri {
        OVERVIEW => {
            let tool = tools::named("get_overview").ok_or_else(|| unknown(uri))?;
            json(&tool.run(call, Map::new())?)
        }
        SESSION => {
            let session = serde_json::to_value(call.session()?).map_err(|error| {
                Error::new(ErrorCode::Internal, format!("the session cannot be written: {error}"))
            })?;
            json(&session)
        }
        LOG => ResourceContents::text(call.door.follower.lines().join("\n"), uri),
        _ => {
            let name = uri.strip_prefix(NODE).ok_or_else(|| unknown(uri))?;
            let session = call.session()?;
            json(&json!(Patch::new(&session).node(node(&session, name)?, Detail::Full)))
        }
    };
    Ok(ReadResourceResult::new(vec![contents]))
}
