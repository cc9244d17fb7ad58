//! `render`: a file of the session, with a bar that tells how far it is.

use std::{
    io::{IsTerminal, stderr},
    time::Duration,
};

use aulos_protocol::{
    AudioFormat, Command, Dither, Error, ErrorCode, OperationState, Query, Render, Reply, SampleDepth,
    client::unexpected,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    args::{self, Depth, Format},
    context::Context,
    failure::Failure,
    files::absolute_path,
    programs::Private,
    signals::Signals,
    text::plain,
};

/// Asking more often would not make a difference to the eye.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Renders the session and waits for the end.
///
/// # Errors
/// The server's refusal, the failure of the render, or [`Failure::Signal`] when it was cancelled by Ctrl-C.
pub fn run(cx: &mut Context, args: &args::Render) -> Result<(), Failure> {
    cx.refuse_dry_run("a render")?;
    let [sessions @ .., out] = args.paths.as_slice() else {
        return Err(Failure::usage("render wants a file to write"));
    };
    let path = absolute_path(out)?;
    // From here on Ctrl-C must reach the server, or the render would go on without anybody who wants it.
    let signals = if args.no_wait { None } else { Some(Signals::notice_first()?) };
    // Ends, with its copy of the session, when this function does.
    let _private = match sessions.first() {
        None => None,
        Some(_) if args.no_wait => {
            let error = Error::new(ErrorCode::InvalidArgument, "a server of our own is waited for");
            return Err(Failure::Usage(error.expected("--no-wait without a session")));
        }
        Some(session) => {
            let private = Private::start(session)?;
            cx.speak_to(private.socket());
            Some(private)
        }
    };
    let render = Render {
        path: path.clone(),
        stems: args.stems.clone(),
        format: args.format.map(format),
        depth: args.depth.map(depth),
        dither: args.dither.map(dither),
        rate: args.rate,
        start: cx.frames(args.from)?,
        end: cx.frames_if(args.to)?,
        tail: cx.frames(args.tail)?,
        raw: args.raw,
        block: args.block,
    };
    let reply = cx.client()?.command(Command::Render(render))?;
    let Reply::Started { operation } = reply else {
        return Err(unexpected("the number of the operation").into());
    };
    let Some(signals) = signals else {
        return if cx.out.is_json() { cx.print_json(&reply) } else { cx.out.line(operation) };
    };
    let state = wait(cx, operation, &signals)?;
    if let Some(number) = signals.seen()
        && state.error.is_some()
    {
        cx.out.note("the render was cancelled");
        return Err(Failure::Signal(number));
    }
    if let Some(error) = state.error {
        return Err(error.into());
    }
    if cx.out.is_json() {
        return cx.out.json(&state);
    }
    // The server's report names the file and what became of it.
    if state.report.is_empty() {
        cx.out.did(format_args!("rendered {}", plain(&path)))?;
    }
    state.report.iter().try_for_each(|line| cx.out.did(plain(line)))
}

/// Follows the operation to its end; the first signal cancels it.
fn wait(cx: &mut Context, operation: u64, signals: &Signals) -> Result<OperationState, Failure> {
    let bar = bar(cx.out.is_quiet());
    let mut pause = Duration::from_millis(5);
    let mut cancelled = false;
    loop {
        let Reply::Operation(state) = cx.query(Query::Operation { operation })? else {
            return Err(unexpected("the operation").into());
        };
        bar.set_position((state.progress.clamp(0.0, 1.0) * 1000.0) as u64);
        if state.ended {
            bar.finish_and_clear();
            return Ok(state);
        }
        if signals.seen().is_some() && !cancelled {
            cancelled = true;
            bar.set_message("cancelling");
            cancel(cx, operation)?;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Cancels the operation. If it refuses, it has ended by itself just now, which the next question tells.
fn cancel(cx: &mut Context, operation: u64) -> Result<(), Failure> {
    match cx.client()?.command(Command::CancelOperation { operation }) {
        Err(error) if Failure::Refused(error.clone()).code() != 3 => {
            cx.out.note(&format!("the render could not be cancelled: {}", error.message));
            Ok(())
        }
        result => result.map(|_| ()).map_err(Failure::from),
    }
}

fn bar(quiet: bool) -> ProgressBar {
    let shown = !quiet && stderr().is_terminal();
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(1000), target);
    let template = "rendering {bar:40} {percent:>3} %  {elapsed_precise}  about {eta} left  {msg}";
    // The template is constant; were it wrong, the bar would look plain.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
    }
    bar
}

fn format(format: Format) -> AudioFormat {
    match format {
        Format::Wav => AudioFormat::Wav,
        Format::Flac => AudioFormat::Flac,
    }
}

fn dither(dither: args::Dither) -> Dither {
    match dither {
        args::Dither::None => Dither::None,
        args::Dither::Tpdf => Dither::Tpdf,
    }
}

fn depth(depth: Depth) -> SampleDepth {
    match depth {
        Depth::Int16 => SampleDepth::Int16,
        Depth::Int24 => SampleDepth::Int24,
        Depth::Float32 => SampleDepth::Float32,
    }
}
