//! What clients speak to.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex},
    time::Duration,
};

use aulos_protocol::{Error, ErrorCode, text};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams, CompleteResult,
        GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult, Implementation,
        ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
        PaginatedRequestParams, ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse,
        ServerCapabilities, ServerConfig, SubscribeRequestParams, SubscriptionFilter, Tool as McpTool,
        UnsubscribeRequestParams, UpdateTaskParams,
    },
    service::{RequestContext, SubscriptionContext},
    task_manager::TaskManager,
};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    call::Door,
    prompts, resources,
    subscriptions::{MOST_LISTENING, MOST_SUBSCRIBED, Subscribed},
    tools::{self, Tool},
};

/// How many calls run at once, over all clients.
pub(crate) const MOST_CALLS: usize = 16;

/// The words with which clients are met.
const INSTRUCTIONS: &str = "Aulos is an audio server: everything that makes, changes or carries sound is a node in a \
patch, and outputs are linked to inputs while it plays. Begin with get_overview. Nodes are addressed by name, levels \
are in dB, places on the timeline in frames, seconds (\"1.5s\") or bars (\"3|1\"). Make larger changes as one apply: \
it is one step, all of it or nothing, and one undo takes it back. Listen with analyze and get_meters rather than \
guess. When something is not heard, ask diagnose; when something is too loud, panic_mute.";

/// A surface for one client.
#[derive(Clone)]
pub struct Surface {
    pub(crate) shared: Arc<Shared>,
    /// What a client of the older protocol subscribes to.
    pub(crate) subscribed: Arc<Mutex<Subscribed>>,
}

/// What the surfaces of all clients share.
pub(crate) struct Shared {
    pub(crate) door: Arc<Door>,
    /// Room for calls.
    pub(crate) room: Arc<Semaphore>,
    /// Room for requests that listen.
    pub(crate) listeners: Semaphore,
    pub(crate) tasks: TaskManager,
    /// Cancelled when nobody is served any more.
    pub(crate) stop: CancellationToken,
}

impl Surface {
    /// A surface to the server behind `door`.
    pub fn new(door: Arc<Door>) -> Self {
        let room = Arc::new(Semaphore::new(MOST_CALLS));
        let listeners = Semaphore::new(MOST_LISTENING);
        let shared =
            Shared { door, room, listeners, tasks: TaskManager::new(), stop: CancellationToken::new() };
        Self { shared: Arc::new(shared), subscribed: Arc::default() }
    }

    /// A surface for another client, which shares the server and the room for calls.
    pub fn for_another(&self) -> Self {
        Self { shared: self.shared.clone(), subscribed: Arc::default() }
    }

    /// How many surfaces there are: clients, and requests of those without a session.
    pub fn clients(&self) -> usize {
        Arc::strong_count(&self.shared)
    }

    /// Gives up what runs, such as a render that nobody waits for any more, and waits a moment until that is done.
    pub async fn end(&self) {
        const PATIENCE: Duration = Duration::from_secs(3);
        self.shared.stop.cancel();
        let all = self.shared.room.acquire_many(MOST_CALLS as u32);
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            tracing::warn!("a call does not end");
        }
    }
}

/// An error where there is no result to carry it.
pub(crate) fn told(error: &Error) -> ErrorData {
    let message = text::describe(error).trim_end().to_owned();
    match error.code {
        ErrorCode::NotFound => ErrorData::resource_not_found(message, None),
        ErrorCode::InvalidArgument | ErrorCode::OutOfRange => ErrorData::invalid_params(message, None),
        _ => ErrorData::internal_error(message, None),
    }
}

impl ServerHandler for Surface {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_prompts()
            .enable_completions()
            .enable_tasks()
            .build();
        #[cfg(feature = "conformance-fixtures")]
        let capabilities = {
            let mut capabilities = capabilities;
            capabilities.logging = Some(Default::default());
            capabilities
        };
        let me = Implementation::new("aulos-mcp", env!("CARGO_PKG_VERSION")).with_title("Aulos");
        ServerConfig::new(capabilities).with_server_info(me).with_instructions(INSTRUCTIONS)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(ProtocolVersion::KNOWN_VERSIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = tools::all().iter().map(Tool::described);
        #[cfg(feature = "conformance-fixtures")]
        let tools = tools.chain(crate::fixtures::tools());
        Ok(ListToolsResult::with_all_items(tools.collect()))
    }

    fn get_tool(&self, name: &str) -> Option<McpTool> {
        #[cfg(feature = "conformance-fixtures")]
        if let Some(tool) = crate::fixtures::tools().into_iter().find(|tool| tool.name == name) {
            return Some(tool);
        }
        tools::named(name).map(Tool::described)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        #[cfg(feature = "conformance-fixtures")]
        if let Some(answer) = crate::fixtures::call(&request, &context).await {
            return answer;
        }
        let Some(tool) = tools::named(&request.name) else {
            let error = Error::not_found("tool", &request.name, tools::all().iter().map(|tool| tool.name));
            return Err(ErrorData::invalid_params(text::describe(&error).trim_end().to_owned(), None));
        };
        self.call(tool, request, context).await
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        Ok(GetTaskResult::new(self.shared.tasks.get_task(&request.task_id)?))
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.shared.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.shared.tasks.cancel_task(&request.task_id)
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let resources = resources::all();
        #[cfg(feature = "conformance-fixtures")]
        let resources = [resources, crate::fixtures::resources()].concat();
        Ok(ListResourcesResult::with_all_items(resources))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let templates = resources::templates();
        #[cfg(feature = "conformance-fixtures")]
        let templates = [templates, crate::fixtures::templates()].concat();
        Ok(ListResourceTemplatesResult::with_all_items(templates))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri;
        #[cfg(feature = "conformance-fixtures")]
        if let Some(result) = crate::fixtures::read(&uri) {
            return Ok(result.into());
        }
        let named = uri.clone();
        let read = self.look(&context, move |call| resources::read(call, &uri)).await;
        read.map(Into::into).map_err(|error| ErrorData { data: Some(json!({ "uri": named })), ..error })
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        let mut accepted = SubscriptionFilter::default();
        accepted.resource_subscriptions = requested.resource_subscriptions.as_ref().map(|uris| {
            uris.iter().filter(|uri| resources::is_one(uri)).take(MOST_SUBSCRIBED).cloned().collect()
        });
        Some(accepted)
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.tell_listening(context).await
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if !resources::is_one(&request.uri) {
            return Err(told(&resources::unknown(&request.uri)));
        }
        self.begin_to_tell(request.uri, context.peer)
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tell_no_more(&request.uri);
        Ok(())
    }

    #[cfg(feature = "conformance-fixtures")]
    #[expect(deprecated, reason = "clients of the older protocol set it, and the suite asks for it")]
    async fn set_level(
        &self,
        _: rmcp::model::SetLevelRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let (name, value) = (request.argument.name, request.argument.value);
        let values = self.look(&context, move |call| prompts::complete(call, &name, &value)).await?;
        prompts::completion(values).map_err(|message| ErrorData::internal_error(message, None))
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let prompts = prompts::all();
        #[cfg(feature = "conformance-fixtures")]
        let prompts = [prompts, crate::fixtures::prompts()].concat();
        Ok(ListPromptsResult::with_all_items(prompts))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        #[cfg(feature = "conformance-fixtures")]
        if let Some(answer) = crate::fixtures::prompt(&request) {
            return answer;
        }
        prompts::get(&request.name, request.arguments.unwrap_or_default())
            .map(Into::into)
            .map_err(|error| ErrorData::invalid_params(text::describe(&error).trim_end().to_owned(), None))
    }
}
