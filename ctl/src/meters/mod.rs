//! `meters`: levels as they move, or a single reading.

mod levels;
mod screen;
mod view;

use std::{
    io::{IsTerminal, stdout},
    sync::mpsc::{Receiver, TryRecvError, sync_channel},
    time::{Duration, Instant},
};

use aulos_protocol::{
    Command, Error, Event, MeterReading, Query, Reply, State,
    client::{Client, Notice, timed_out, unexpected},
    mirror,
};
use crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use rustix::event::Timespec;
use signal_hook::consts::SIGHUP;

use crate::{
    args::Meters,
    commands::clock,
    context::{Context, clock_of},
    failure::Failure,
    paint::Style,
    signals::Signals,
    text::{Side, Table, plain},
};
use levels::{Levels, channel_name, notes};
use screen::Screen;
use view::View;

pub use levels::decibels;
pub use view::transport_word;

/// Shows the meters.
///
/// # Errors
/// That the server cannot be reached or went away, or a signal.
pub fn run(cx: &mut Context, args: &Meters) -> Result<(), Failure> {
    if let Some(node) = &args.reset {
        let text = node.as_ref().map_or_else(|| "every master".to_owned(), |node| plain(node).into_owned());
        return cx.change(Command::ResetLoudness { node: node.clone() }, |_, _| {
            Ok(format!("the loudness of {text} is measured from now on"))
        });
    }
    let live = !args.once && !cx.out.is_json() && stdout().is_terminal();
    match (live, args.time) {
        (true, _) => watch(cx, args),
        (false, None) => read_once(cx),
        (false, Some(time)) => read_for(cx, args.hz, time),
    }
}

/// The peaks since somebody last asked for them.
fn read_once(cx: &mut Context) -> Result<(), Failure> {
    let Some(reply) = cx.query_or_print(Query::Meters)? else {
        return Ok(());
    };
    let Reply::Meters { meters } = reply else {
        return Err(unexpected("its meters").into());
    };
    print(cx, &meters)
}

/// The highest peaks of the time to come.
fn read_for(cx: &mut Context, hz: u8, time: Duration) -> Result<(), Failure> {
    subscribe(cx, hz)?;
    let timeout = cx.timeout();
    let mut client = cx.take_client()?;
    let end = Instant::now() + time;
    let mut levels = Levels::default();
    let mut is_first = true;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let wait = timeout.map_or(left, |timeout| timeout.min(left));
        client.set_timeout(Some(wait))?;
        match client.notice() {
            // The first reading still holds what was before.
            Ok(Notice::Telemetry(_)) if is_first => is_first = false,
            Ok(Notice::Telemetry(telemetry)) => levels.update(&telemetry.meters, 0.0),
            Ok(Notice::Event(_)) => {}
            Err(error) if timed_out(&error) && Instant::now() >= end => break,
            Err(error) => return Err(error.into()),
        }
    }
    let meters = levels.highest();
    if cx.out.is_json() {
        return cx.print_json(&Reply::Meters { meters });
    }
    print(cx, &meters)
}

fn print(cx: &mut Context, meters: &[MeterReading]) -> Result<(), Failure> {
    let status = cx.status()?;
    let state = transport_word(&status.transport).0;
    let clock = clock_of(&status)?;
    let position = clock.both(status.transport.position);
    cx.out.line(format_args!("{state}  {position}  load {:.1} %", status.driver.load * 100.0))?;
    let mut table = Table::new(&[Side::Left, Side::Left, Side::Right, Side::Right, Side::Right]);
    for meter in meters {
        // The highest of a while have no other numbers.
        let beside = |name: &str, levels: &[f32], channel: usize| {
            let level = levels.get(channel).map(|level| format!("{name} {} dB", decibels(*level)));
            (level.unwrap_or_default(), Style::Dim)
        };
        for (channel, peak) in meter.peaks.iter().enumerate() {
            table.row([
                (plain(&meter.node).into_owned(), Style::Bold),
                (channel_name(meter.peaks.len(), channel), Style::Dim),
                (format!("{} dB", decibels(*peak)), Style::Plain),
                beside("rms", &meter.rms, channel),
                beside("held", &meter.hold, channel),
            ]);
        }
    }
    let paint = cx.out.paint();
    cx.out.lines(table.lines(paint))?;
    for meter in meters {
        for text in notes(meter.reduction, meter.loudness) {
            cx.out.line(format_args!("{}  {text}", plain(&meter.node)))?;
        }
    }
    Ok(())
}

fn subscribe(cx: &mut Context, hz: u8) -> Result<Box<State>, Failure> {
    match cx.query(Query::Subscribe { telemetry_hz: hz.into() })? {
        Reply::Subscribed(state) => Ok(state),
        _ => Err(unexpected("the full state").into()),
    }
}

/// Shows the meters until somebody has seen enough.
fn watch(cx: &mut Context, args: &Meters) -> Result<(), Failure> {
    /// Readings that may wait for the terminal before the server has to.
    const ROOM: usize = 64;
    let signals = Signals::notice()?;
    let state = *subscribe(cx, args.hz)?;
    let client = cx.take_client()?;
    let (tell, told) = sync_channel(ROOM);
    std::thread::spawn(move || read(client, &tell));
    let view = View::new(clock(&state.session), cx.out.paint());
    let end = args.time.and_then(|time| Instant::now().checked_add(time));
    cx.out.flush()?;
    let screen = Screen::open()?;
    screen::end_when_hung_up();
    // The screen closes, and the terminal is as it was, before anything is said of how it ended.
    live(screen, Live { state, view, told, signals, end }).map_err(|failure| {
        // Drawing, or reading keys, may meet the end of the terminal before whoever waits for it does.
        let is_hung_up = screen::is_hung_up(Some(&Timespec::default()));
        if is_hung_up { Failure::Signal(SIGHUP) } else { failure }
    })
}

/// Passes on what the server tells, until it hangs up or nobody listens any more.
fn read(mut client: Client, tell: &std::sync::mpsc::SyncSender<Result<Notice, Error>>) {
    loop {
        let notice = client.notice();
        let is_last = notice.is_err();
        if tell.send(notice).is_err() || is_last {
            return;
        }
    }
}

struct Live {
    state: State,
    view: View,
    told: Receiver<Result<Notice, Error>>,
    signals: Signals,
    end: Option<Instant>,
}

fn live(mut screen: Screen, mut live: Live) -> Result<(), Failure> {
    /// How long a key or a signal may wait.
    const PAUSE: Duration = Duration::from_millis(15);
    let mut is_stale = true;
    loop {
        is_stale |= live.hear()?;
        if is_stale {
            let (width, height) = screen.size()?;
            screen.draw(&live.view.lines(width, height))?;
            is_stale = false;
        }
        if let Some(signal) = live.signals.seen() {
            return Err(Failure::Signal(signal));
        }
        if live.end.is_some_and(|end| Instant::now() >= end) {
            return Ok(());
        }
        if !event::poll(PAUSE).map_err(keyboard)? {
            continue;
        }
        match event::read().map_err(keyboard)? {
            event::Event::Key(key) if key.kind != KeyEventKind::Release => {
                if ends(key) {
                    return Ok(());
                }
                live.view.key(key.code);
                is_stale = true;
            }
            event::Event::Resize(..) => is_stale = true,
            _ => {}
        }
    }
}

impl Live {
    /// Takes in what has come; whether that changes what is shown.
    fn hear(&mut self) -> Result<bool, Failure> {
        let mut is_changed = false;
        loop {
            match self.told.try_recv() {
                Ok(Ok(Notice::Telemetry(telemetry))) => {
                    self.state.transport = telemetry.transport;
                    self.view.take(telemetry);
                    is_changed = true;
                }
                Ok(Ok(Notice::Event(Event::Dropped { reason }))) => {
                    let message = format!("the server hung up: {reason}");
                    return Err(Error::new(aulos_protocol::ErrorCode::Unreachable, message).into());
                }
                Ok(Ok(Notice::Event(event))) => {
                    mirror::follow(&mut self.state, &event);
                    self.view.set_clock(clock(&self.state.session));
                }
                Ok(Err(error)) => return Err(error.into()),
                Err(TryRecvError::Empty) => return Ok(is_changed),
                Err(TryRecvError::Disconnected) => return Err(unexpected("anything more").into()),
            }
        }
    }
}

fn ends(key: KeyEvent) -> bool {
    let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
    matches!(key.code, KeyCode::Esc | KeyCode::Char('q' | 'Q'))
        || (ctrl && matches!(key.code, KeyCode::Char('c' | 'd')))
}

fn keyboard(error: std::io::Error) -> Failure {
    Error::io("read the keyboard", &error).into()
}
