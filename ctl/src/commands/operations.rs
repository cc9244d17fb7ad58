//! `operation`: what long pieces of work are doing.

use aulos_protocol::{Command, OperationState, Query, Reply, client::unexpected};

use crate::{args::OperationVerb, context::Context, failure::Failure, text::plain};

/// Shows or cancels an operation.
///
/// # Errors
/// The server's refusal; showing a failed operation is no failure.
pub fn run(cx: &mut Context, verb: &OperationVerb) -> Result<(), Failure> {
    match *verb {
        OperationVerb::Show { operation } => match cx.query_or_print(Query::Operation { operation })? {
            None => Ok(()),
            Some(Reply::Operation(state)) => cx.out.lines(lines(&state)),
            Some(_) => Err(unexpected("the operation").into()),
        },
        OperationVerb::Cancel { operation } => cx.change(Command::CancelOperation { operation }, |_, _| {
            Ok(format!("operation {operation} is cancelled"))
        }),
    }
}

/// How an operation is getting on.
pub fn lines(state: &OperationState) -> Vec<String> {
    let progress = match (&state.error, state.ended) {
        (Some(error), _) => format!("failed: {}", plain(&error.message)),
        (None, true) => "done".into(),
        (None, false) => format!("{:.0} %", state.progress * 100.0),
    };
    let mut lines = vec![format!("{}  {}  {progress}", state.operation, plain(&state.title))];
    lines.extend(state.report.iter().map(|line| format!("   {}", plain(line))));
    lines
}
