//! Calls of tools while they run: on threads of their own, as tasks, with progress, until nobody waits any more.

use std::sync::atomic::Ordering::Relaxed;

use aulos_protocol::{Error, ErrorCode, text};
use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CreateTaskResult,
        ProgressNotificationParam,
    },
    service::RequestContext,
    task_manager::{TaskExit, TaskOptions},
};
use serde_json::{Map, Value as Json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    call::{Call, Step},
    confirm::{self, Question, Way},
    surface::{MOST_CALLS, Surface, told},
    tools::Tool,
    words,
};

/// How long a render may take as a task, in ms.
const LONGEST_TASK: u64 = 6 * 3600 * 1000;

/// What a tool came to.
struct Outcome {
    result: CallToolResult,
    /// What is to be confirmed before it can go on.
    question: Option<Question>,
}

fn refused(error: &Error) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text::describe(error).trim_end().to_owned())])
}

impl Surface {
    /// Carries something out that blocks.
    async fn blocking<T: Send + 'static>(
        &self,
        stop: CancellationToken,
        step: watch::Sender<Step>,
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
            .map_err(words::of_error)
    }

    /// Looks at something for what is no tool.
    ///
    /// # Errors
    /// Why that is not possible.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        context: &RequestContext<RoleServer>,
        work: impl FnOnce(&mut Call<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, ErrorData> {
        let step = watch::channel(Step::default()).0;
        self.blocking(context.ct.child_token(), step, work).await.map_err(|error| told(&error))
    }

    async fn run(
        &self,
        tool: &'static Tool,
        arguments: Map<String, Json>,
        stop: CancellationToken,
        step: watch::Sender<Step>,
    ) -> Outcome {
        let work = move |call: &mut Call<'_>| {
            let result = tool.run(call, arguments);
            Ok((result.map_err(words::of_error), call.question()))
        };
        let (result, question) = match self.blocking(stop, step, work).await {
            Ok(done) => done,
            Err(error) => (Err(error), None),
        };
        let result = result.map_or_else(
            |error| {
                tracing::info!("{} is refused: {error}", tool.name);
                refused(&error)
            },
            CallToolResult::structured,
        );
        Outcome { result, question }
    }

    /// Carries out what a client calls: as a task where that may take long and the client has tasks. What cannot be
    /// taken back is asked of a person first, where the client can.
    ///
    /// # Errors
    /// That too many tasks run, or that a client that can ask does not.
    pub(crate) async fn call(
        &self,
        tool: &'static Tool,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let mut arguments = request.arguments.unwrap_or_default();
        let has_tasks = context.client_capabilities().is_some_and(|client| client.supports_tasks());
        if tool.is_long && has_tasks {
            return self.task(tool, arguments);
        }
        match confirm::answer(request.input_responses.as_ref()) {
            Some(true) => confirm_with(&mut arguments, request.request_state),
            Some(false) => return Ok(declined(tool).into()),
            None => {}
        }
        let Outcome { result, question } = self.attended(tool, arguments.clone(), &context).await;
        let Some(question) = question else { return Ok(result.into()) };
        match confirm::way(&context) {
            Way::Answer => question.wanted().map(Into::into),
            Way::Request => {
                let is_sure = tokio::select! {
                    answer = question.ask(&context) => answer?,
                    () = context.ct.cancelled() => false,
                };
                if !is_sure {
                    return Ok(declined(tool).into());
                }
                confirm_with(&mut arguments, Some(question.code));
                Ok(self.attended(tool, arguments, &context).await.result.into())
            }
            Way::None => Ok(result.into()),
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
                let (step, mut steps) = watch::channel(Step::default());
                let run = this.run(tool, arguments, stop.clone(), step);
                tokio::pin!(run);
                let (mut cancelled, mut tells) = (false, true);
                let result = loop {
                    tokio::select! {
                        outcome = &mut run => break outcome.result,
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
        context: &RequestContext<RoleServer>,
    ) -> Outcome {
        let (step, mut steps) = watch::channel(Step::default());
        // A request that is dropped, as its connection is gone, is given up as one that is cancelled.
        let stop = self.shared.stop.child_token();
        let _given_up = stop.clone().drop_guard();
        let run = self.run(tool, arguments, stop.clone(), step);
        tokio::pin!(run);
        let mut token = context.meta.get_progress_token();
        let mut last = -1.0;
        loop {
            tokio::select! {
                outcome = &mut run => return outcome,
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
}

/// Puts the code of what a person has agreed to where an agent would.
fn confirm_with(arguments: &mut Map<String, Json>, code: Option<String>) {
    arguments.extend(code.map(|code| ("confirm".to_owned(), code.into())));
}

fn declined(tool: &Tool) -> CallToolResult {
    tracing::info!("{} is refused: the person did not agree", tool.name);
    refused(&Error::new(ErrorCode::Unavailable, "the person did not agree: nothing was done"))
}
