//! What clients speak to.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use aulos_protocol::{Error, ErrorCode, text};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, CompleteRequestParams,
        CompleteResult, ContentBlock, CreateTaskResult, GetPromptRequestParams, GetPromptResponse,
        GetTaskParams, GetTaskResult, Implementation, ListPromptsResult, ListResourceTemplatesResult,
        ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProgressNotificationParam,
        ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, ResourceUpdatedNotificationParam,
        ServerCapabilities, ServerConfig, SubscribeRequestParams, SubscriptionFilter, Tool as McpTool,
        UnsubscribeRequestParams, UpdateTaskParams,
    },
    service::{Peer, RequestContext, SubscriptionContext},
    task_manager::{TaskExit, TaskManager, TaskOptions},
};
use serde_json::{Map, Value as Json};
use tokio::sync::{Semaphore, broadcast::error::RecvError, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    call::{Call, Door},
    follow::Touched,
    prompts, resources,
    tools::{self, Tool},
};

/// How many calls run at once, over all clients.
const MOST_CALLS: usize = 16;
/// How many resources a client may subscribe to.
const MOST_SUBSCRIBED: usize = 256;
/// How long a render may take as a task, in ms.
const LONGEST_TASK: u64 = 6 * 3600 * 1000;
/// Changes of resources are told together, so often at most.
const TOLD_EVERY: Duration = Duration::from_millis(100);

/// The words with which clients are met.
const INSTRUCTIONS: &str = "Aulos is an audio server: everything that makes, changes or carries sound is a node in a \
patch, and outputs are linked to inputs while it plays. Begin with get_overview. Nodes are addressed by name, levels \
are in dB, places on the timeline in frames, seconds (\"1.5s\") or bars (\"3|1\"). Make larger changes as one apply: \
it is one step, all of it or nothing, and one undo takes it back. Listen with analyze and get_meters rather than \
guess. When something is not heard, ask diagnose; when something is too loud, panic_mute.";

/// A surface for one client.
#[derive(Clone)]
pub struct Surface {
    shared: Arc<Shared>,
    /// The resources that a client of the older protocol subscribes to.
    subscribed: Arc<Mutex<BTreeSet<String>>>,
    /// Whether the subscriptions are being told.
    told: Arc<Mutex<bool>>,
}

struct Shared {
    door: Arc<Door>,
    room: Arc<Semaphore>,
    tasks: TaskManager,
    /// Cancelled when nobody is served any more.
    stop: CancellationToken,
}

impl Surface {
    /// A surface to the server behind `door`.
    pub fn new(door: Arc<Door>) -> Self {
        let room = Arc::new(Semaphore::new(MOST_CALLS));
        let shared = Shared { door, room, tasks: TaskManager::new(), stop: CancellationToken::new() };
        Self { shared: Arc::new(shared), subscribed: Arc::default(), told: Arc::default() }
    }

    /// A surface for another client, which shares the server and the room for calls.
    pub fn for_another(&self) -> Self {
        Self { shared: self.shared.clone(), subscribed: Arc::default(), told: Arc::default() }
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

    /// Carries something out that blocks.
    async fn blocking<T: Send + 'static>(
        &self,
        stop: CancellationToken,
        step: watch::Sender<(f64, String)>,
        work: impl FnOnce(&mut Call<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let door = self.shared.door.clone();
        let Ok(room) = self.shared.room.clone().try_acquire_owned() else {
            door.crowded.fetch_add(1, Relaxed);
            tracing::warn!("a call is refused: {MOST_CALLS} run already");
            return Err(Error::new(ErrorCode::Busy, format!("{MOST_CALLS} calls run already"))
                .remedy("wait until one of them has ended"));
        };
        let work = move || {
            let _room = room;
            work(&mut Call::new(&door, stop, step))
        };
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|_| Err(Error::new(ErrorCode::Internal, "the call panicked")))
    }

    async fn run(
        &self,
        tool: &'static Tool,
        arguments: Map<String, Json>,
        stop: CancellationToken,
        step: watch::Sender<(f64, String)>,
    ) -> CallToolResult {
        match self.blocking(stop, step, move |call| tool.run(call, arguments)).await {
            Ok(json) => CallToolResult::structured(json),
            Err(error) => {
                tracing::info!("{}: {error}", tool.name);
                CallToolResult::error(vec![ContentBlock::text(text::describe(&error).trim_end().to_owned())])
            }
        }
    }

    /// As a task, which the client asks for from time to time.
    fn task(&self, tool: &'static Tool, arguments: Map<String, Json>) -> Result<CallToolResponse, ErrorData> {
        if self.shared.tasks.running_task_count() >= MOST_CALLS {
            return Err(ErrorData::invalid_request(format!("{MOST_CALLS} tasks run already"), None));
        }
        let this = self.clone();
        let options = TaskOptions::new()
            .with_ttl_ms(LONGEST_TASK)
            .with_poll_interval_ms(250)
            .with_status_message(tool.title);
        let task = self.shared.tasks.spawn(options, move |context| {
            Box::pin(async move {
                let stop = this.shared.stop.child_token();
                // When the task is given up for any reason, the work is, too.
                let _given_up = stop.clone().drop_guard();
                let (step, mut steps) = watch::channel((0.0, String::new()));
                let run = this.run(tool, arguments, stop.clone(), step);
                tokio::pin!(run);
                let (mut cancelled, mut tells) = (false, true);
                let result = loop {
                    tokio::select! {
                        result = &mut run => break result,
                        () = context.cancelled(), if !cancelled => {
                            cancelled = true;
                            stop.cancel();
                        }
                        changed = steps.changed(), if tells => {
                            tells = changed.is_ok();
                            let (done, what) = steps.borrow_and_update().clone();
                            context.set_status_message(format!("{:.0} % of {what}", done * 100.0));
                        }
                    }
                };
                if cancelled && result.is_error == Some(true) { Err(TaskExit::Cancelled) } else { Ok(result) }
            })
        });
        Ok(CallToolResponse::Task(CreateTaskResult::new(task)))
    }

    /// Carries a tool out, and tells how far it is to a client that wants to know.
    async fn attended(
        &self,
        tool: &'static Tool,
        arguments: Map<String, Json>,
        context: RequestContext<RoleServer>,
    ) -> CallToolResult {
        let (step, mut steps) = watch::channel((0.0, String::new()));
        // A request that is dropped, as its connection is gone, is given up as one that is cancelled.
        let stop = self.shared.stop.child_token();
        let _given_up = stop.clone().drop_guard();
        let run = self.run(tool, arguments, stop.clone(), step);
        tokio::pin!(run);
        let mut token = context.meta.get_progress_token();
        let mut last = -1.0;
        loop {
            tokio::select! {
                result = &mut run => return result,
                () = context.ct.cancelled(), if !stop.is_cancelled() => stop.cancel(),
                changed = steps.changed(), if token.is_some() => {
                    let (done, what) = steps.borrow_and_update().clone();
                    let told = token.clone().filter(|_| changed.is_ok());
                    let Some(told) = told else { token = None; continue };
                    // Progress goes forward only.
                    if done > last {
                        last = done;
                        let progress = ProgressNotificationParam::new(told, done).with_total(1.0).with_message(what);
                        if context.peer.notify_progress(progress).await.is_err() {
                            token = None;
                        }
                    }
                }
            }
        }
    }

    async fn look<T: Send + 'static>(
        &self,
        context: &RequestContext<RoleServer>,
        work: impl FnOnce(&mut Call<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, ErrorData> {
        let step = watch::channel((0.0, String::new())).0;
        self.blocking(context.ct.child_token(), step, work).await.map_err(|error| told(&error))
    }
}

/// An error where there is no result to carry it.
fn told(error: &Error) -> ErrorData {
    let message = text::describe(error).trim_end().to_owned();
    match error.code {
        ErrorCode::NotFound => ErrorData::resource_not_found(message, None),
        ErrorCode::InvalidArgument | ErrorCode::OutOfRange => ErrorData::invalid_params(message, None),
        _ => ErrorData::internal_error(message, None),
    }
}

/// What a client that subscribes is to be told of.
fn of_interest(touched: &Touched, uri: &str) -> bool {
    *touched == Touched::All || resources::uri(touched).is_some_and(|changed| changed == uri)
}

/// Waits for changes of resources that `wanted` names, and answers with them; with those that were missed, too.
async fn changed(
    touched: &mut tokio::sync::broadcast::Receiver<Touched>,
    wanted: impl Fn() -> BTreeSet<String>,
) -> Option<BTreeSet<String>> {
    let mut uris = BTreeSet::new();
    let mut note = |what: Result<Touched, RecvError>| {
        let what = match what {
            Ok(what) => what,
            Err(RecvError::Lagged(_)) => Touched::All,
            Err(RecvError::Closed) => return false,
        };
        uris.extend(wanted().into_iter().filter(|uri| of_interest(&what, uri)));
        true
    };
    if !note(touched.recv().await) {
        return None;
    }
    // What comes in a moment is told together.
    let over = tokio::time::sleep(TOLD_EVERY);
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = &mut over => return Some(uris),
            what = touched.recv() => if !note(what) { return Some(uris) },
        }
    }
}

impl Surface {
    /// Tells a client of the older protocol what it subscribes to, until it is gone or wants nothing more.
    async fn tell_subscribed(self, peer: Peer<RoleServer>) {
        let mut touched = self.shared.door.follower.listen();
        let wanted = || self.subscribed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        while !peer.is_transport_closed() {
            let uris = tokio::select! {
                uris = changed(&mut touched, wanted) => uris,
                () = tokio::time::sleep(Duration::from_secs(5)) => continue,
            };
            let Some(uris) = uris else { break };
            for uri in uris {
                if peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await.is_err() {
                    break;
                }
            }
            if wanted().is_empty() {
                break;
            }
        }
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = false;
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
        let arguments = request.arguments.unwrap_or_default();
        let has_tasks = context.client_capabilities().is_some_and(|client| client.supports_tasks());
        if tool.is_long && has_tasks {
            return self.task(tool, arguments);
        }
        Ok(self.attended(tool, arguments, context).await.into())
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
        Ok(self.look(&context, move |call| resources::read(call, &uri)).await?.into())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        let mut accepted = SubscriptionFilter::default();
        accepted.resource_subscriptions = requested.resource_subscriptions.as_ref().map(|uris| {
            uris.iter().filter(|uri| resources::is_one(uri)).take(MOST_SUBSCRIBED).cloned().collect()
        });
        Some(accepted)
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let wanted: BTreeSet<String> =
            context.accepted().resource_subscriptions.iter().flatten().cloned().collect();
        let mut touched = self.shared.door.follower.listen();
        loop {
            let uris = tokio::select! {
                () = context.cancelled() => return Ok(()),
                uris = changed(&mut touched, || wanted.clone()) => uris,
            };
            let Some(uris) = uris else { return Ok(()) };
            for uri in uris {
                if context.sink().notify_resource_updated(uri).await.is_err() {
                    return Ok(());
                }
            }
        }
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if !resources::is_one(&request.uri) {
            return Err(told(&resources::unknown(&request.uri)));
        }
        let mut subscribed = self.subscribed.lock().unwrap_or_else(PoisonError::into_inner);
        if subscribed.len() >= MOST_SUBSCRIBED {
            let message = format!("{MOST_SUBSCRIBED} resources are subscribed to already");
            return Err(ErrorData::invalid_request(message, None));
        }
        subscribed.insert(request.uri);
        drop(subscribed);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut *told, true) {
            tokio::spawn(self.clone().tell_subscribed(context.peer));
        }
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner).remove(&request.uri);
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
