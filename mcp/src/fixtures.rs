//! Tools, resources and prompts that the official conformance suite calls by name. They say nothing of Aulos, and only
//! builds with the feature `conformance-fixtures` have them: what they show is that the protocol is spoken rightly, also
//! where the tools of Aulos make no use of it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock,
        CustomRequest, GetPromptRequestParams, GetPromptResponse, GetPromptResult, InputRequests,
        InputRequiredResult, InputResponses, JsonObject, ProgressNotificationParam, Prompt, PromptArgument,
        ReadResourceResult, Resource, ResourceTemplate, ServerNotification, ServerRequest, Tool,
    },
    service::RequestContext,
};
use serde_json::{Value as Json, json};

/// A picture of one red pixel.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQD3A0FDAAAAAElFTkSuQmCC";
/// A sound without samples.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";
const NAP: Duration = Duration::from_millis(50);

fn object(json: Json) -> JsonObject {
    json.as_object().cloned().unwrap_or_default()
}

/// What is asked of a person by a form.
fn form(message: &str, properties: Json, required: &[&str]) -> Json {
    let schema = json!({ "type": "object", "properties": properties, "required": required });
    json!({ "method": "elicitation/create", "params": { "message": message, "requestedSchema": schema } })
}

/// What is asked of the client's model.
fn sampling(text: &str, most: u64) -> Json {
    let message = json!({ "role": "user", "content": { "type": "text", "text": text } });
    json!({ "method": "sampling/createMessage", "params": { "messages": [message], "maxTokens": most } })
}

fn roots() -> Json {
    json!({ "method": "roots/list", "params": {} })
}

/// The tools.
pub fn tools() -> Vec<Tool> {
    let nothing = json!({ "type": "object", "properties": {} });
    let with = |name: &str| json!({ "type": "object", "properties": { name: { "type": "string" } }, "required": [name] });
    let plain = [
        "test_simple_text",
        "test_reconnection",
        "test_image_content",
        "test_audio_content",
        "test_embedded_resource",
        "test_multiple_content_types",
        "test_tool_with_logging",
        "test_logging_tool",
        "test_error_handling",
        "test_tool_with_progress",
        "test_elicitation_sep1034_defaults",
        "test_elicitation_sep1330_enums",
        "test_missing_capability",
        "test_streaming_elicitation",
        "test_input_required_result_elicitation",
        "test_input_required_result_sampling",
        "test_input_required_result_list_roots",
        "test_input_required_result_request_state",
        "test_input_required_result_multiple_inputs",
        "test_input_required_result_multi_round",
        "test_input_required_result_tampered_state",
        "test_input_required_result_capabilities",
    ];
    let header = json!({
        "type": "object",
        "properties": { "region": { "type": "string", "x-mcp-header": "Region" } },
    });
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": { "street": { "type": "string" }, "city": { "type": "string" } },
            },
        },
        "properties": {
            "name": { "type": "string" },
            "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": { "type": "string" },
            "email": { "type": "string" },
        },
        "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
        "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
        "then": { "required": ["phone"] },
        "else": { "required": ["email"] },
        "additionalProperties": false,
    });
    let tool = |name: &str, schema: &Json| {
        Tool::new(name.to_owned(), "For the conformance suite.", object(schema.clone()))
    };
    plain
        .iter()
        .map(|name| tool(name, &nothing))
        .chain([
            tool("test_sampling", &with("prompt")),
            tool("test_elicitation", &with("message")),
            tool("test_header_tool", &header),
            tool("json_schema_2020_12_tool", &schema),
        ])
        .collect()
}

/// The resources.
pub fn resources() -> Vec<Resource> {
    ["static-text", "static-binary", "watched-resource"]
        .map(|name| Resource::new(format!("test://{name}"), name).with_mime_type("text/plain"))
        .to_vec()
}

/// The template.
pub fn templates() -> Vec<ResourceTemplate> {
    vec![ResourceTemplate::new("test://template/{id}/data", "template").with_mime_type("application/json")]
}

/// The prompts.
pub fn prompts() -> Vec<Prompt> {
    let prompt = |name: &str, arguments: &[&str]| {
        let argument = |name: &&str| PromptArgument::new(*name).with_required(true);
        Prompt::new(name, Some("For the conformance suite."), Some(arguments.iter().map(argument).collect()))
    };
    vec![
        prompt("test_simple_prompt", &[]),
        prompt("test_prompt_with_arguments", &["arg1", "arg2"]),
        prompt("test_prompt_with_embedded_resource", &["resourceUri"]),
        prompt("test_prompt_with_image", &[]),
        prompt("test_input_required_result_prompt", &[]),
    ]
}

/// What a resource holds, if it is one of these.
pub fn read(uri: &str) -> Option<ReadResourceResult> {
    let contents = match uri {
        "test://static-text" | "test://watched-resource" => json!({
            "uri": uri, "mimeType": "text/plain", "text": "This is the content of the static text resource.",
        }),
        "test://static-binary" => json!({ "uri": uri, "mimeType": "image/png", "blob": PNG }),
        _ => {
            let id = uri.strip_prefix("test://template/")?.strip_suffix("/data")?;
            let text = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
            json!({ "uri": uri, "mimeType": "application/json", "text": text.to_string() })
        }
    };
    Some(ReadResourceResult::new(vec![serde_json::from_value(contents).ok()?]))
}

/// What a prompt says, if it is one of these.
pub fn prompt(request: &GetPromptRequestParams) -> Option<Result<GetPromptResponse, ErrorData>> {
    let arguments = request.arguments.clone().unwrap_or_default();
    let word = |name: &str| arguments.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let text = |text: String| json!({ "type": "text", "text": text });
    let contents = match request.name.as_str() {
        "test_simple_prompt" => vec![text("This is a simple prompt for testing.".into())],
        "test_prompt_with_arguments" => {
            vec![text(format!("Prompt with arguments: arg1='{}', arg2='{}'", word("arg1"), word("arg2")))]
        }
        "test_prompt_with_embedded_resource" => {
            let said = "Embedded resource content for testing.";
            let resource = json!({ "uri": word("resourceUri"), "mimeType": "text/plain", "text": said });
            vec![
                json!({ "type": "resource", "resource": resource }),
                text("Please process the embedded resource above.".into()),
            ]
        }
        "test_prompt_with_image" => vec![
            json!({ "type": "image", "data": PNG, "mimeType": "image/png" }),
            text("Please analyze the image above.".into()),
        ],
        "test_input_required_result_prompt" => {
            match answered(request.input_responses.as_ref(), "user_context")
                .map(|answer| answer["content"].clone())
            {
                Some(context) => vec![text(format!("The context is {}.", context["context"]))],
                None => {
                    let question = "What context should the prompt use?";
                    let asked = form(question, json!({ "context": { "type": "string" } }), &["context"]);
                    return Some(
                        required([("user_context", asked)], None).map(GetPromptResponse::InputRequired),
                    );
                }
            }
        }
        _ => return None,
    };
    let messages = contents.into_iter().map(|content| json!({ "role": "user", "content": content }));
    let read = serde_json::from_value(messages.collect());
    Some(read.map(|messages| GetPromptResult::new(messages).into()).map_err(defect))
}

fn defect(error: impl std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

/// That so much is wanted from the client.
fn required<const N: usize>(
    requests: [(&str, Json); N],
    state: Option<String>,
) -> Result<InputRequiredResult, ErrorData> {
    let read = |(name, request): (&str, Json)| {
        Ok((name.to_owned(), serde_json::from_value(request).map_err(defect)?))
    };
    let requests: InputRequests = requests.into_iter().map(read).collect::<Result<_, ErrorData>>()?;
    Ok(InputRequiredResult::new(Some(requests), state))
}

/// What the client has answered to a question.
fn answered<'a>(responses: Option<&'a InputResponses>, name: &str) -> Option<&'a Json> {
    responses?.get(name).filter(|answer| answer.is_object())
}

/// The states that were handed out, with how far each is; one that is not among them was made up.
static STATES: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());
const MOST_STATES: usize = 1024;

fn new_state(round: u32) -> Result<String, ErrorData> {
    let mut chance = [0; 16];
    let flags = rustix::rand::GetRandomFlags::empty();
    rustix::rand::getrandom(&mut chance[..], flags).map_err(defect)?;
    let state: String = chance.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut states = STATES.lock().unwrap_or_else(PoisonError::into_inner);
    if states.len() == MOST_STATES {
        states.pop_first();
    }
    states.insert(state.clone(), round);
    Ok(state)
}

fn round_of(state: Option<&String>) -> Result<u32, ErrorData> {
    let states = STATES.lock().unwrap_or_else(PoisonError::into_inner);
    match state {
        None => Ok(0),
        Some(state) => states
            .get(state)
            .copied()
            .ok_or_else(|| ErrorData::invalid_params("the request state is none that was handed out", None)),
    }
}

fn said(text: impl Into<String>) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text.into())]).into()
}

fn contents(contents: Json) -> Result<CallToolResponse, ErrorData> {
    Ok(CallToolResult::success(serde_json::from_value(contents).map_err(defect)?).into())
}

/// Asks the client something while the call goes on, as the older protocol does.
async fn ask(context: &RequestContext<RoleServer>, request: Json) -> Result<Json, ErrorData> {
    let request: ServerRequest = serde_json::from_value(request).map_err(defect)?;
    if matches!(request, ServerRequest::CustomRequest(CustomRequest { .. })) {
        return Err(defect("the question has a wrong form"));
    }
    let answer = context.peer.send_request(request).await.map_err(defect)?;
    serde_json::to_value(answer).map_err(defect)
}

async fn log(context: &RequestContext<RoleServer>, text: &str) -> Result<(), ErrorData> {
    let params = json!({ "level": "info", "data": text });
    let note: ServerNotification =
        serde_json::from_value(json!({ "method": "notifications/message", "params": params }))
            .map_err(defect)?;
    context.peer.send_notification(note).await.map_err(defect)
}

/// Carries a tool out, if it is one of these.
pub async fn call(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResponse, ErrorData>> {
    let known = tools().iter().any(|tool| tool.name == request.name);
    if known { Some(carry_out(request, context).await) } else { None }
}

async fn carry_out(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let arguments = request.arguments.clone().unwrap_or_default();
    let word = |name: &str| arguments.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let answers = request.input_responses.as_ref();
    let name_form = |question: &str| form(question, json!({ "name": { "type": "string" } }), &["name"]);
    let wanted = |result: Result<InputRequiredResult, ErrorData>| result.map(CallToolResponse::InputRequired);
    let image = json!({ "type": "image", "data": PNG, "mimeType": "image/png" });
    match request.name.as_ref() {
        "test_simple_text" => Ok(said("This is a simple text response for testing.")),
        "test_image_content" => contents(json!([image])),
        "test_audio_content" => contents(json!([{ "type": "audio", "data": WAV, "mimeType": "audio/wav" }])),
        "test_embedded_resource" => {
            let text = "This is an embedded resource content.";
            let resource =
                json!({ "uri": "test://embedded-resource", "mimeType": "text/plain", "text": text });
            contents(json!([{ "type": "resource", "resource": resource }]))
        }
        "test_multiple_content_types" => {
            let text = json!({ "test": "data", "value": 123 }).to_string();
            let uri = "test://mixed-content-resource";
            let resource = json!({ "uri": uri, "mimeType": "application/json", "text": text });
            contents(json!([
                { "type": "text", "text": "Multiple content types test:" },
                image,
                { "type": "resource", "resource": resource },
            ]))
        }
        // The stream of an answer is not closed before the answer is in it.
        "test_reconnection" => Ok(said("Answered at once.")),
        "test_error_handling" => {
            let text = "This tool intentionally returns an error for testing";
            Ok(CallToolResult::error(vec![ContentBlock::text(text)]).into())
        }
        "test_tool_with_logging" => {
            for text in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
                log(context, text).await?;
                tokio::time::sleep(NAP).await;
            }
            Ok(said("Logged three messages."))
        }
        // Nobody has asked for a log.
        "test_logging_tool" => Ok(said("Nothing was logged.")),
        "test_tool_with_progress" => {
            for progress in [0.0, 50.0, 100.0] {
                if let Some(token) = context.meta.get_progress_token() {
                    let progress = ProgressNotificationParam::new(token, progress).with_total(100.0);
                    context.peer.notify_progress(progress).await.map_err(defect)?;
                }
                tokio::time::sleep(NAP).await;
            }
            Ok(said("Told three steps."))
        }
        "test_sampling" => {
            let answer = ask(context, sampling(&word("prompt"), 100)).await?;
            Ok(said(format!("LLM response: {}", answer["content"]["text"].as_str().unwrap_or_default())))
        }
        "test_elicitation" => {
            let text = |text: &str| json!({ "type": "string", "description": text });
            let properties =
                json!({ "username": text("User's response"), "email": text("User's email address") });
            let answer = ask(context, form(&word("message"), properties, &["username", "email"])).await?;
            Ok(said(format!("User response: action: {}, content: {}", answer["action"], answer["content"])))
        }
        "test_elicitation_sep1034_defaults" => {
            let properties = json!({
                "name": { "type": "string", "default": "John Doe" },
                "age": { "type": "integer", "default": 30 },
                "score": { "type": "number", "default": 95.5 },
                "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
                "verified": { "type": "boolean", "default": true },
            });
            elicited(context, form("Please fill this in", properties, &[])).await
        }
        "test_elicitation_sep1330_enums" => {
            let titled = |word: &str, title: &str| {
                let number = ["First", "Second", "Third"];
                let one = |(n, name): (usize, &&str)| json!({ "const": format!("{word}{}", n + 1), "title": format!("{name} {title}") });
                number.iter().enumerate().map(one).collect::<Vec<_>>()
            };
            let options = json!(["option1", "option2", "option3"]);
            let properties = json!({
                "untitledSingle": { "type": "string", "enum": options },
                "titledSingle": { "type": "string", "oneOf": titled("value", "Option") },
                "legacyEnum": {
                    "type": "string",
                    "enum": ["opt1", "opt2", "opt3"],
                    "enumNames": ["Option One", "Option Two", "Option Three"],
                },
                "untitledMulti": { "type": "array", "items": { "type": "string", "enum": options } },
                "titledMulti": { "type": "array", "items": { "anyOf": titled("value", "Choice") } },
            });
            elicited(context, form("Please choose", properties, &[])).await
        }
        "test_missing_capability" | "test_streaming_elicitation" => {
            let (needs, is_there) = match request.name.as_ref() {
                "test_missing_capability" => ("sampling", declares(context, "sampling")),
                _ => ("elicitation", declares(context, "elicitation")),
            };
            if !is_there {
                let needed: ClientCapabilities =
                    serde_json::from_value(json!({ needs: {} })).map_err(defect)?;
                return Err(ErrorData::missing_required_client_capability(needed));
            }
            match answered(answers, "user_name") {
                Some(_) => Ok(said("Thank you.")),
                None => wanted(required([("user_name", name_form("What is your name?"))], None)),
            }
        }
        "test_header_tool" => Ok(said(format!("The region is {}.", word("region")))),
        "json_schema_2020_12_tool" => Ok(said(Json::Object(arguments).to_string())),
        "test_input_required_result_elicitation" => match answered(answers, "user_name") {
            Some(answer) if answer["content"]["name"].is_string() => {
                Ok(said(format!("Hello, {}!", answer["content"]["name"].as_str().unwrap_or_default())))
            }
            _ => wanted(required([("user_name", name_form("What is your name?"))], None)),
        },
        "test_input_required_result_sampling" => match answered(answers, "capital_question") {
            Some(answer) => Ok(said(format!("The answer is {}", answer["content"]["text"]))),
            None => wanted(required(
                [("capital_question", sampling("What is the capital of France?", 100))],
                None,
            )),
        },
        "test_input_required_result_list_roots" => match answered(answers, "client_roots") {
            Some(answer) => Ok(said(format!("The roots are {}", answer["roots"]))),
            None => wanted(required([("client_roots", roots())], None)),
        },
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => {
            let round = round_of(request.request_state.as_ref())?;
            match answered(answers, "confirm") {
                Some(_) if round > 0 => Ok(said("state-ok")),
                _ => {
                    let asked = form("Please confirm", json!({ "ok": { "type": "boolean" } }), &["ok"]);
                    wanted(required([("confirm", asked)], Some(new_state(1)?)))
                }
            }
        }
        "test_input_required_result_multiple_inputs" => {
            let round = round_of(request.request_state.as_ref())?;
            let all = ["user_name", "greeting", "client_roots"]
                .iter()
                .all(|name| answered(answers, name).is_some());
            if all && round > 0 {
                return Ok(said("All three were answered."));
            }
            let asked = [
                ("user_name", name_form("What is your name?")),
                ("greeting", sampling("Generate a greeting", 50)),
                ("client_roots", roots()),
            ];
            wanted(required(asked, Some(new_state(1)?)))
        }
        "test_input_required_result_multi_round" => match round_of(request.request_state.as_ref())? {
            1 if answered(answers, "step1").is_some() => {
                let question = "Step 2: What is your favorite color?";
                let asked = form(question, json!({ "color": { "type": "string" } }), &["color"]);
                wanted(required([("step2", asked)], Some(new_state(2)?)))
            }
            2 if answered(answers, "step2").is_some() => Ok(said("Both steps were answered.")),
            _ => wanted(required([("step1", name_form("Step 1: What is your name?"))], Some(new_state(1)?))),
        },
        "test_input_required_result_capabilities" => {
            if answers.is_some() {
                return Ok(said("What was asked was answered."));
            }
            match (declares(context, "elicitation"), declares(context, "sampling")) {
                (true, _) => wanted(required([("user_name", name_form("What is your name?"))], None)),
                (false, true) => wanted(required([("greeting", sampling("Generate a greeting", 50))], None)),
                (false, false) => Ok(said("There is nothing that could be asked.")),
            }
        }
        name => Err(defect(format!("{name} is listed and does nothing"))),
    }
}

async fn elicited(
    context: &RequestContext<RoleServer>,
    request: Json,
) -> Result<CallToolResponse, ErrorData> {
    let answer = ask(context, request).await?;
    let action = answer["action"].as_str().unwrap_or_default();
    Ok(said(format!("Elicitation completed: action={action}, content={}", answer["content"])))
}

/// Whether the client has said that it can do this.
fn declares(context: &RequestContext<RoleServer>, capability: &str) -> bool {
    let capabilities = context.client_capabilities().and_then(|client| serde_json::to_value(client).ok());
    capabilities.is_some_and(|client| client.get(capability).is_some())
}
