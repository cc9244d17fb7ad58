//! Bundles: what they change, they change together, at once or at their time.

use aulos_osc::{
    meaning::{Meaning, meaning},
    packet::AT_ONCE,
};
use aulos_protocol::{
    Applied, Clock, Command, Error, ErrorCode, Frames, Query, Reply, State, Undo, mirror,
    wire::{Ask, Request},
};
use rosc::{OscMessage, OscTime};

use super::{access, answers, invalid};
use crate::inner::Inner;

/// How far ahead a bundle may be timed, in s.
const HORIZON: u64 = 30;
/// Between the beginning of the years of time tags, 1900, and that of Unix, in s.
const UNIX: u64 = 2_208_988_800;
/// How often the numbers of seconds of time tags begin anew; the first time is in 2036.
const ERA: u64 = 1 << 32;

/// What came of a bundle.
pub struct Outcome {
    /// What came of what it changes; none if it changes nothing.
    pub changed: Option<Result<Applied, Error>>,
    /// Whether its time had passed.
    pub late: bool,
    /// What else it asks, in order.
    pub rest: Vec<OscMessage>,
}

/// A time tag as ns since 1970, of the time tags' era that is the nearest to `now_ns`.
pub fn unix_ns(time: OscTime, now_ns: u64) -> u64 {
    let ns = (u64::from(time.fractional) * 1_000_000_000 + (1 << 31)) >> 32;
    let now = now_ns / 1_000_000_000 + UNIX;
    let seconds = u64::from(time.seconds);
    let nearest = [now / ERA, (now / ERA).saturating_sub(1), now / ERA + 1]
        .map(|era| era * ERA + seconds)
        .into_iter()
        .min_by_key(|moment| moment.abs_diff(now))
        .unwrap_or(seconds);
    nearest.saturating_sub(UNIX).saturating_mul(1_000_000_000).saturating_add(ns)
}

/// A moment as a time tag.
pub fn time_tag(unix_ns: u64) -> OscTime {
    let seconds = (unix_ns / 1_000_000_000 + UNIX) % ERA;
    let fractional = ((unix_ns % 1_000_000_000) << 32) / 1_000_000_000;
    OscTime { seconds: seconds as u32, fractional: fractional as u32 }
}

/// How the clocks go together.
pub async fn clock(inner: &Inner) -> Result<Clock, Error> {
    match inner.query(Query::Clock).await? {
        Reply::Clock(clock) => Ok(clock),
        _ => Err(answers::unexpected()),
    }
}

/// Carries out a bundle of a client that sees this state.
pub async fn run(
    inner: &Inner,
    state: State,
    trusted: bool,
    time: OscTime,
    messages: Vec<OscMessage>,
) -> Outcome {
    let mut rest = Vec::new();
    let commands = match read(inner, state, trusted, messages, &mut rest).await {
        Ok(commands) => commands,
        Err(error) => return Outcome { changed: Some(Err(error)), late: false, rest: Vec::new() },
    };
    if commands.is_empty() {
        return Outcome { changed: None, late: false, rest };
    }
    let mut late = false;
    let changed =
        if time == AT_ONCE { now(inner, commands).await } else { at(inner, time, commands, &mut late).await };
    // What comes after something that was refused is not what was meant.
    if changed.is_err() {
        rest.clear();
    }
    Outcome { changed: Some(changed), late, rest }
}

/// The commands in order; what is none goes into `rest`.
async fn read(
    inner: &Inner,
    mut state: State,
    trusted: bool,
    messages: Vec<OscMessage>,
    rest: &mut Vec<OscMessage>,
) -> Result<Vec<Command>, Error> {
    let mut commands: Vec<Command> = Vec::new();
    // How many of them the state has in it.
    let mut seen = 0;
    for message in messages {
        let mut found = meaning(&state, &message);
        // It may be about what an earlier one makes.
        if found.as_ref().is_err_and(|error| error.code == ErrorCode::NotFound) && seen < commands.len() {
            state = look_ahead(inner, state, &commands[seen..]).await?;
            seen = commands.len();
            found = meaning(&state, &message);
        }
        let found = found.map_err(|mut error| {
            error.message = format!("{}: {}", message.addr, error.message);
            error
        })?;
        match found {
            Meaning::Nothing => {}
            Meaning::Ask(Ask::Command(_)) | Meaning::Set(_) => {
                let Some(command) = found.command() else { continue };
                access::check(&command, trusted)?;
                match command {
                    Command::Batch { commands: several } => commands.extend(several),
                    command => commands.push(command),
                }
            }
            Meaning::Ask(Ask::Query(_)) | Meaning::Get(_) | Meaning::Own(_) => rest.push(message),
        }
    }
    Ok(commands)
}

/// The state as it will be after these commands.
async fn look_ahead(inner: &Inner, mut state: State, commands: &[Command]) -> Result<State, Error> {
    let edits = commands.iter().filter(|command| command.undo() == Undo::Step).cloned().collect();
    let request = Request {
        id: None,
        ask: Ask::Command(Command::Batch { commands: edits }),
        dry_run: true,
        revision: None,
        at: None,
        fade_ms: None,
    };
    match inner.ask(request).await? {
        Reply::WouldChange { changes } => {
            changes.iter().for_each(|change| mirror::apply(&mut state.session, change));
            Ok(state)
        }
        _ => Err(answers::unexpected()),
    }
}

/// The edits, and the commands to the transport.
fn sorted(commands: Vec<Command>) -> Result<(Vec<Command>, Vec<Command>), Error> {
    let (mut edits, mut transport) = (Vec::new(), Vec::new());
    for command in commands {
        match command {
            Command::Play
            | Command::Pause
            | Command::Stop
            | Command::Locate { .. }
            | Command::Loop { .. } => {
                transport.push(command);
            }
            command if command.undo() == Undo::Step => edits.push(command),
            command => {
                return Err(invalid(format!("\"{}\" cannot be part of a bundle", command.title()))
                    .expected("edits of the session, and commands to the transport")
                    .remedy("send it as a message by itself"));
            }
        }
    }
    Ok((edits, transport))
}

fn batch(mut edits: Vec<Command>) -> Option<Command> {
    match edits.len() {
        0 => None,
        1 => edits.pop(),
        _ => Some(Command::Batch { commands: edits }),
    }
}

/// Carries out commands at once: the edits as one, then what the transport is told.
async fn now(inner: &Inner, mut commands: Vec<Command>) -> Result<Applied, Error> {
    if commands.len() == 1 {
        return match commands.pop() {
            Some(command) => applied(inner.command(command).await),
            None => Ok(Applied::default()),
        };
    }
    let (edits, transport) = sorted(commands)?;
    let mut told = None;
    if let Some(edit) = batch(edits) {
        told = Some(applied(inner.command(edit).await)?);
    }
    // All are sent before any is waited for.
    let asked: Vec<_> = transport.into_iter().map(|command| inner.command(command)).collect();
    for asked in asked {
        let done = applied(asked.await)?;
        told.get_or_insert(done);
    }
    Ok(told.unwrap_or_default())
}

/// Carries out commands at the frame of a time.
async fn at(inner: &Inner, time: OscTime, commands: Vec<Command>, late: &mut bool) -> Result<Applied, Error> {
    let clock = clock(inner).await?;
    let time = unix_ns(time, clock.now_ns);
    if time <= clock.now_ns {
        *late = true;
        return now(inner, commands).await;
    }
    if time - clock.now_ns > HORIZON * 1_000_000_000 {
        let ahead = (time - clock.now_ns) / 1_000_000_000;
        return Err(Error::new(ErrorCode::OutOfRange, format!("the bundle's time is {ahead} s ahead"))
            .expected(format!("at most {HORIZON} s"))
            .remedy("compare the clocks: /sys/time/ping"));
    }
    let frame = clock.frame_at(time);
    let (edits, transport) = sorted(commands)?;
    if transport.len() > 1 {
        return Err(Error::new(ErrorCode::Unavailable, "the transport takes one timed change at a time")
            .remedy("locate first, and time the start"));
    }
    let timed = |command: &Command, dry_run: bool| Request {
        id: None,
        ask: Ask::Command(command.clone()),
        dry_run,
        revision: None,
        at: Some(frame),
        fade_ms: None,
    };
    let edit = batch(edits);
    // All or nothing: what could be refused is looked at before anything is done.
    if let (Some(edit), false) = (&edit, transport.is_empty()) {
        inner.ask(timed(edit, true)).await?;
    }
    let mut told = Applied { frame, ..Applied::default() };
    for command in transport.iter().chain(&edit) {
        let done = applied(inner.ask(timed(command, false)).await)?;
        told = Applied { frame: Frames(done.frame.0.max(frame.0)), ..done };
    }
    *late = told.frame > frame;
    Ok(told)
}

fn applied(result: Result<Reply, Error>) -> Result<Applied, Error> {
    match result? {
        Reply::Applied(applied) => Ok(applied),
        _ => Ok(Applied::default()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_moment_is_its_time_tag(unix in 0u64..16_000_000_000_000_000_000, off in -1_000_000_000_000i64..1_000_000_000_000) {
            let now = unix.saturating_add_signed(off);
            let read = unix_ns(time_tag(unix), now);
            prop_assert!(read.abs_diff(unix) <= 1, "{} {}", read, unix);
        }
    }

    #[test]
    fn the_years_of_time_tags_go_on_after_2036() {
        let unix = OscTime { seconds: 2_208_988_800, fractional: 1 << 31 };
        assert_eq!(unix_ns(unix, 0), 500_000_000);
        let after = (ERA - UNIX) * 1_000_000_000;
        assert_eq!(time_tag(after), OscTime { seconds: 0, fractional: 0 });
        assert_eq!(unix_ns(OscTime { seconds: 5, fractional: 0 }, after), after + 5_000_000_000);
    }
}
