//! `watch`: events as they come.

use std::time::Instant;

use aulos_protocol::{
    Error, ErrorCode, Event, Query, Reply, State, Telemetry, TransportState,
    client::{Client, Notice, timed_out, unexpected},
    mirror,
};
use serde_json::json;

use super::{list, operations};
use crate::{
    args, changes,
    context::Context,
    failure::Failure,
    meters::decibels,
    position::Clock,
    text::{count, plain},
};

/// Prints events until the server hangs up, a signal ends the program, or the time is over.
///
/// # Errors
/// That the server cannot be reached or hung up.
pub fn run(cx: &mut Context, args: &args::Watch) -> Result<(), Failure> {
    cx.refuse_dry_run("watching")?;
    let telemetry_hz = args.telemetry.map_or(0.0, f64::from);
    let Reply::Subscribed(state) = cx.query(Query::Subscribe { telemetry_hz })? else {
        return Err(unexpected("the full state").into());
    };
    let mut state = *state;
    let opened = Event::Opened(Box::new(state.clone()));
    if cx.out.is_json() {
        cx.out.json_line(&opened)?;
    } else {
        cx.out.note(&format!("watching {}", summary(&state)));
    }
    let mut client = cx.take_client()?;
    let end = args.time.and_then(|time| Instant::now().checked_add(time));
    let mut is_over = false;
    loop {
        let notice = match next(&mut client, end, is_over)? {
            Next::Notice(notice) => notice,
            Next::End if is_over => return Ok(()),
            Next::End => {
                // What has happened before that is printed, too.
                is_over = true;
                client.set_timeout(cx.timeout())?;
                client.query(Query::Unsubscribe)?;
                continue;
            }
        };
        match notice {
            Notice::Event(event) => {
                let reason = match &event {
                    Event::Dropped { reason } => Some(reason.clone()),
                    _ => None,
                };
                if cx.out.is_json() {
                    cx.out.json_line(&event)?;
                } else {
                    let lines = lines(&mut state, &event);
                    cx.out.lines(lines)?;
                }
                if let Some(reason) = reason {
                    let message = format!("the server hung up: {reason}");
                    return Err(Error::new(ErrorCode::Unreachable, message).into());
                }
            }
            Notice::Telemetry(telemetry) if cx.out.is_json() => {
                cx.out.json_line(&json!({ "event": "telemetry", "data": telemetry }))?;
            }
            Notice::Telemetry(telemetry) => {
                let line = telemetry_line(list::clock(&state.session), &telemetry);
                cx.out.line(line)?;
            }
        }
        cx.out.flush()?;
    }
}

/// What comes next.
enum Next {
    Notice(Notice),
    End,
}

/// Waits for what happens, for as long as nobody does anything, or until `end`; when that `is_over`, only takes what has
/// come already.
fn next(client: &mut Client, end: Option<Instant>, is_over: bool) -> Result<Next, Error> {
    if let Some(notice) = client.kept() {
        return Ok(Next::Notice(notice));
    }
    let left = end.map(|end| end.saturating_duration_since(Instant::now()));
    if is_over || left.is_some_and(|left| left.is_zero()) {
        return Ok(Next::End);
    }
    client.set_timeout(left)?;
    match client.notice() {
        Err(error) if left.is_some() && timed_out(&error) => Ok(Next::End),
        notice => notice.map(Next::Notice),
    }
}

fn summary(state: &State) -> String {
    let session = &state.session;
    let (nodes, links) = (count(session.nodes.len(), "node"), count(session.links.len(), "link"));
    format!("{}: {nodes}, {links}, revision {}", session.name, state.revision)
}

/// The event in lines of text; `state` follows it.
fn lines(state: &mut State, event: &Event) -> Vec<String> {
    let lines = match event {
        Event::Changed { revision, frame, changes } => {
            let mut lines = vec![format!("revision {revision}  at frame {frame}")];
            let mut session = state.session.clone();
            lines.extend(changes::lines(&mut session, changes).into_iter().map(|line| format!("   {line}")));
            lines
        }
        Event::Aligned { revision, frame } => {
            vec![format!("aligned    revision {revision}  from frame {frame}")]
        }
        Event::Opened(state) => vec![format!("opened     {}", plain(&summary(state)))],
        Event::Saved { path } => vec![format!("saved      {}", plain(path))],
        Event::Transport { frame, transport } => {
            let clock = list::clock(&state.session);
            vec![format!("transport  {}  at frame {frame}", transport_text(clock, transport))]
        }
        Event::Driver(driver) => {
            let text = match (&driver.device, &driver.lost) {
                (_, Some(lost)) => format!("{} lost: {}", driver.name, plain(lost)),
                (Some(device), None) => format!("{} runs: {}", driver.name, plain(device)),
                (None, None) => format!("{} runs", driver.name),
            };
            vec![format!("driver     {text}  at frame {}", driver.frame)]
        }
        Event::Operation(operation) => {
            operations::lines(operation).into_iter().map(|line| format!("operation  {line}")).collect()
        }
        Event::Warning { message } => vec![format!("warning    {}", plain(message))],
        Event::Dropped { reason } => vec![format!("dropped    {}", plain(reason))],
    };
    mirror::follow(state, event);
    lines
}

fn transport_text(clock: Clock, transport: &TransportState) -> String {
    let verb = match (transport.rolling, transport.waiting) {
        (true, _) => "rolling",
        (false, true) => "waiting",
        (false, false) => "stopped",
    };
    format!("{verb} {}", clock.both(transport.position))
}

fn telemetry_line(clock: Clock, telemetry: &Telemetry) -> String {
    let mut line = format!(
        "telemetry  {}  load {:.1} %, {} late, {}",
        transport_text(clock, &telemetry.transport),
        telemetry.load * 100.0,
        telemetry.late,
        count(telemetry.underruns as usize, "underrun"),
    );
    for meter in &telemetry.meters {
        let peaks: Vec<_> = meter.peaks.iter().map(|peak| decibels(*peak)).collect();
        line.push_str(&format!("  {} {}", meter.node, peaks.join(" ")));
    }
    line
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aulos_protocol::{
        Bpm, Change, Decibels, Frames, LinkId, MeterReading, NodeId, OperationState, Slug, Value,
    };

    use super::*;
    use crate::samples::{self, snapshot};

    fn changed(session: &aulos_protocol::Session) -> Vec<Change> {
        let mut new = (**session.node("voice").unwrap()).clone();
        new.id = NodeId(41);
        new.slug = Slug::new("choir").unwrap();
        new.params.insert("gain".into(), Value::Silence);
        let mut drums = (**session.node("drums").unwrap()).clone();
        drums.params.insert("gain".into(), Value::Number(-6.0));
        drums.params.remove("mute");
        drums.clips.remove(1);
        let mut renamed = (**session.node("room").unwrap()).clone();
        renamed.slug = Slug::new("hall").unwrap();
        let mut link = (*session.links[&LinkId(30)]).clone();
        link.gain = Decibels::new(-3.0).unwrap();
        let mut fresh = link.clone();
        fresh.id = LinkId(42);
        fresh.from = aulos_protocol::PortRef { node: NodeId(41), port: "out_L".into() };
        vec![
            Change::Node(Arc::new(new)),
            Change::Node(Arc::new(drums)),
            Change::Node(Arc::new(renamed)),
            Change::Link(Arc::new(link)),
            Change::Link(Arc::new(fresh)),
            Change::LinkGone(LinkId(36)),
            Change::NodeGone(NodeId(4)),
            Change::Session {
                name: "night\n".into(),
                tempo: Bpm::new(90.0).unwrap(),
                signature: "6/8".parse().unwrap(),
                loop_range: Some((Frames(0), Frames(96_000))),
                edit_fade_ms: 10.0,
                max_latency_ms: 20_000.0,
                next_id: 43,
            },
        ]
    }

    #[test]
    fn events_are_lines_of_text() {
        let session = samples::session();
        let changes = changed(&session);
        let mut state = State { revision: 17, session, path: None, transport: TransportState::default() };
        let rolling = TransportState { rolling: true, position: Frames(72_000), ..Default::default() };
        let mut operation = OperationState {
            operation: 3,
            title: "render /tmp/mix.wav".into(),
            progress: 0.456,
            ended: false,
            error: None,
            report: Vec::new(),
        };
        let events = [
            Event::Transport { frame: Frames(100), transport: rolling },
            Event::Changed { revision: 18, frame: Frames(592_560), changes },
            Event::Aligned { revision: 18, frame: Frames(593_040) },
            Event::Transport { frame: Frames(200), transport: TransportState { rolling: false, ..rolling } },
            Event::Saved { path: "/home/me/evening".into() },
            Event::Driver(Box::new(aulos_protocol::DriverStatus {
                lost: Some("no server runs".into()),
                ..crate::samples::status().driver
            })),
            Event::Operation(operation.clone()),
            Event::Operation({
                operation.ended = true;
                operation.report = vec!["2 inputs were silent".into()];
                operation.clone()
            }),
            Event::Operation({
                operation.error = Some(Error::new(ErrorCode::Io, "the disk is full"));
                operation
            }),
            Event::Warning { message: "a file is missing".into() },
            Event::Opened(Box::new(state.clone())),
            Event::Dropped { reason: "too slow".into() },
        ];
        let mut text: Vec<String> = events.iter().flat_map(|event| lines(&mut state, event)).collect();
        let telemetry = Telemetry {
            frame: Frames(300),
            transport: rolling,
            load: 0.034,
            late: 1,
            underruns: 0,
            meters: vec![MeterReading { node: "drums".into(), peaks: vec![0.5, 0.0], ..Default::default() }],
        };
        text.push(telemetry_line(list::clock(&state.session), &telemetry));
        snapshot("watch", &text.join("\n"));
    }
}
