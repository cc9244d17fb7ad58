//! `status`: the server on one screen.

use aulos_protocol::{Error, NodeFaults, OscStatus, Query, Reply, Status, client::unexpected};

use crate::{
    context::{Context, clock_of},
    failure::Failure,
    meters::transport_word,
    paint::{Paint, Style},
    text::{count, plain},
};

/// Load from which the number stands out: above it a busy moment can be too much.
const HIGH_LOAD: f64 = 0.7;

/// Shows the status.
///
/// # Errors
/// That the server cannot be reached.
pub fn run(cx: &mut Context) -> Result<(), Failure> {
    match cx.query_or_print(Query::Status)? {
        None => Ok(()),
        Some(Reply::Status(status)) => {
            let paint = cx.out.paint();
            cx.out.lines(lines(&status, paint)?)
        }
        Some(_) => Err(unexpected("its status").into()),
    }
}

fn lines(status: &Status, paint: Paint) -> Result<Vec<String>, Error> {
    let clock = clock_of(status)?;
    let driver = &status.driver;
    let transport = &status.transport;
    let mut lines = Vec::new();
    let mut row = |label: &str, text: String| {
        lines.push(format!("{}{text}", paint.dim(&format!("{label:<11}"))).trim_end().to_owned());
    };

    let saved = match (status.unsaved, &status.path) {
        (true, _) => paint.style(Style::Warn, "not saved"),
        (false, Some(_)) => paint.dim("saved"),
        // An empty session in memory has nothing that could be saved.
        (false, None) => "".into(),
    };
    row("session", format!("{}  {saved}", paint.bold(&plain(&status.session))));
    row(
        "",
        match &status.path {
            Some(path) => plain(path).into_owned(),
            None => "only in memory".into(),
        },
    );
    row(
        "",
        format!(
            "{} Hz, {} bpm in {}, {}, {}",
            status.rate.hz(),
            status.tempo,
            status.signature,
            count(status.nodes, "node"),
            count(status.links, "link"),
        ),
    );

    for (index, line) in super::driver::lines(driver, status.rate, paint).into_iter().enumerate() {
        row(if index == 0 { "driver" } else { "" }, line);
    }
    row("", format!("engine frame {}", driver.frame));

    let (word, style) = transport_word(transport);
    let state = paint.style(style, word);
    let position = transport.position;
    let frame = paint.dim(&format!("frame {position}")).into_owned();
    row(
        "transport",
        format!("{state}  {}  {}  {frame}", paint.bold(&clock.bar(position)), clock.time(position)),
    );
    if let Some(range) = status.loop_range {
        row("", super::transport::loop_text(clock, Some(range)));
    }

    if !status.soloed.is_empty() {
        let names: Vec<_> = status.soloed.iter().map(|name| plain(name)).collect();
        row("solo", paint.style(Style::Warn, &names.join(", ")).into_owned());
    }

    let percent = |load: f64| {
        let style = if load > HIGH_LOAD { Style::Bad } else { Style::Plain };
        paint.style(style, &format!("{:.1} %", load * 100.0)).into_owned()
    };
    let (load, worst) = (percent(driver.load), percent(status.worst_load));
    row("load", format!("{}  {load}, at most {worst} in the last minute", bar(driver.load)));
    let late = format!("{} late", driver.late);
    let late = paint.style(if driver.late > 0 { Style::Bad } else { Style::Plain }, &late);
    row("", format!("{}, {late}, {}", count(driver.cycles as usize, "cycle"), count(status.tasks, "task")));

    row("latency", format!("{} frames ({})", status.latency, clock.ms(status.latency)));
    let underruns = count(status.streams.underruns as usize, "underrun");
    let style = if status.streams.underruns > 0 { Style::Bad } else { Style::Plain };
    row("files", format!("{} open, {}", status.streams.open, paint.style(style, &underruns)));

    for (index, (text, style)) in osc_lines(&status.osc).into_iter().enumerate() {
        row(if index == 0 { "osc" } else { "" }, paint.style(style, &text).into_owned());
    }

    let step = |step: &Option<String>| step.as_deref().map_or("-".to_owned(), |s| plain(s).into_owned());
    row("undo", step(&status.undo));
    row("redo", step(&status.redo));
    for (index, state) in status.operations.iter().enumerate() {
        let text = super::operations::lines(state).remove(0);
        row(if index == 0 { "operations" } else { "" }, text);
    }
    let left_out = match status.warnings_left_out {
        0 => None,
        left_out => Some(format!("{} before these, see the log", count(left_out as usize, "warning"))),
    };
    let warnings = status.warnings.iter().map(|warning| plain(warning).into_owned());
    for (index, warning) in left_out.into_iter().chain(warnings).enumerate() {
        row(if index == 0 { "warnings" } else { "" }, paint.style(Style::Warn, &warning).into_owned());
    }
    for (index, faults) in status.faults.iter().enumerate() {
        row(
            if index == 0 { "faults" } else { "" },
            paint.style(Style::Bad, &fault_text(faults)).into_owned(),
        );
    }
    row(
        "server",
        format!("aulosd {}, process {}, revision {}", plain(&status.version), status.pid, status.revision),
    );
    Ok(lines)
}

/// Where OSC is listened to, and what went wrong with it; nothing if it is off.
fn osc_lines(osc: &OscStatus) -> Vec<(String, Style)> {
    let problem = osc.problem.iter().map(|problem| (plain(problem).into_owned(), Style::Warn));
    let place = osc.listens.iter().map(|place| {
        let (subscribers, connections) =
            (count(osc.subscribers, "subscriber"), count(osc.connections, "connection"));
        let query = osc.query.iter().map(|query| format!(", OSCQuery at http://{query}")).collect::<String>();
        (format!("{place}, {subscribers}, {connections}{query}"), Style::Plain)
    });
    let parts = [
        (osc.refused, "refused"),
        (osc.malformed, "malformed"),
        (osc.dropped, "dropped"),
        (osc.unsent, "not sent"),
        (osc.late, "late"),
        (osc.closed, "closed"),
    ];
    let parts = parts.into_iter().filter(|(number, _)| *number > 0);
    let parts: Vec<_> = parts.map(|(number, what)| format!("{number} {what}")).collect();
    let lost = (!parts.is_empty()).then(|| (parts.join(", "), Style::Warn));
    problem.chain(place).chain(lost).collect()
}

/// What a node did wrong, in words.
fn fault_text(faults: &NodeFaults) -> String {
    let parts = [
        (faults.not_finite, "sample", " infinite or not a number"),
        (faults.denormal, "sample", " denormal"),
        (faults.late, "block", " late"),
        (faults.midi_dropped, "MIDI message", " dropped"),
        (faults.hurried, "timed change", " carried out at once for want of room"),
    ];
    let parts: Vec<_> = parts
        .into_iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, what)| format!("{}{what}", count(number as usize, one)))
        .collect();
    format!("{}: {}", plain(&faults.node), parts.join(", "))
}

/// The load as a bar of twenty places.
fn bar(load: f64) -> String {
    const PLACES: usize = 20;
    let full = ((load.clamp(0.0, 1.0) * PLACES as f64).round() as usize).min(PLACES);
    "█".repeat(full) + &"░".repeat(PLACES - full)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, snapshot};

    #[test]
    fn the_server_fits_on_a_screen() {
        let text = lines(&samples::status(), Paint::off()).unwrap().join("\n");
        snapshot("status", &text);
    }

    #[test]
    fn an_impossible_tempo_is_an_error_and_no_panic() {
        let mut status = samples::status();
        status.tempo = f64::NAN;
        assert!(lines(&status, Paint::off()).is_err());
        assert_eq!(bar(7.0).chars().count(), 20);
    }
}
