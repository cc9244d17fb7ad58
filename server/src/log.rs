//! The log: what is let through, and where it goes.
//!
//! It goes to stderr, which may be a full disk, or a pipe or a terminal that nobody reads any more. A thread of its own
//! writes it, so that nobody waits; what cannot be written is counted and left out, as the sound must not depend on it.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use aulos_protocol::{Error, ErrorCode};
use tracing_subscriber::EnvFilter;

/// The crates whose words a filter may name without a level, for all that they have to say.
const TARGETS: [&str; 5] = ["aulosd", "aulos_server", "aulos_engine", "aulos_nodes", "aulos_protocol"];

/// How many lines wait for stderr; what comes when there are as many is left out.
const MOST_LINES: usize = 1024;

/// What the thread is told that writes.
enum Turn {
    Line(Vec<u8>),
    /// To say when all that came before is written.
    Finish(SyncSender<()>),
}

static QUEUE: OnceLock<SyncSender<Turn>> = OnceLock::new();

/// Lets what `filter` lets through go to stderr from now on.
///
/// # Errors
/// `InvalidArgument` for what is no filter, or if there is a log already; `Io` if there can be no thread for it.
pub fn start(filter: &str) -> Result<(), Error> {
    let invalid = |why: String| Error::new(ErrorCode::InvalidArgument, why);
    let filter = parse(filter).map_err(invalid)?;
    let (queue, lines) = sync_channel(MOST_LINES);
    std::thread::Builder::new()
        .name("aulos-log".into())
        .spawn(move || write_all(&lines, Lines { to: io::stderr(), lost: &LOST }))
        .map_err(|error| Error::io("start the thread of the log", &error))?;
    let queue = QUEUE.get_or_init(|| queue);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Queued { queue, lost: &LOST })
        // They would be printed to the same stderr, with a panic if that fails.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .try_init()
        .map_err(|error| invalid(error.to_string()))
}

/// Waits until what was logged is written, but not for ever. To be called before the process ends.
pub fn finish() {
    const PATIENCE: Duration = Duration::from_secs(1);
    let (written, all) = sync_channel(1);
    if let Some(queue) = QUEUE.get()
        && queue.try_send(Turn::Finish(written)).is_ok()
    {
        // Where nobody reads there is nothing more to do.
        let _ = all.recv_timeout(PATIENCE);
    }
}

/// Why the log could not be written, if that has happened since this was asked last.
pub fn take_failure() -> Option<Error> {
    LOST.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Checks a filter, as an argument of the command line.
///
/// # Errors
/// What is wrong with it, and what is expected.
pub fn checked(filter: &str) -> Result<String, String> {
    parse(filter).map(|_| filter.to_owned())
}

fn parse(filter: &str) -> Result<EnvFilter, String> {
    const EXPECTED: &str =
        "expected off, error, warn, info, debug or trace, or a filter such as info,aulos_server=debug";
    let no_filter = |why: String| format!("{why}; {EXPECTED}");
    for word in filter.split(',').map(str::trim) {
        // What names a span or a level is left to the parser: a lone word it takes for a target, whatever it is.
        let lone = !word.is_empty() && !word.contains(['=', '[', ']', '{', '}', '"']);
        let target = word.split("::").next().unwrap_or_default();
        if lone && word.parse::<tracing::level_filters::LevelFilter>().is_err() && !TARGETS.contains(&target)
        {
            return Err(no_filter(format!("\"{word}\" is no level")));
        }
    }
    // What decoders say names no file, and they warn of good ones, too. What is damaged is told by us; who wants more
    // asks for it, and what comes later in a filter holds.
    EnvFilter::try_new(format!("symphonia=off,{filter}"))
        .map_err(|error| no_filter(format!("it is no filter: {error}")))
}

/// What could not be written.
struct Lost {
    lines: AtomicU64,
    failure: Mutex<Option<Error>>,
}

static LOST: Lost = Lost { lines: AtomicU64::new(0), failure: Mutex::new(None) };

impl Lost {
    /// Counts a line; the first one is told.
    fn count(&self, error: impl FnOnce() -> Error) {
        if self.lines.fetch_add(1, Relaxed) == 0 {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error());
        }
    }
}

fn write_all<W: Write>(turns: &Receiver<Turn>, mut lines: Lines<'_, W>) {
    for turn in turns {
        match turn {
            // It never fails.
            Turn::Line(line) => drop(lines.write_all(&line)),
            // Nobody may wait any more.
            Turn::Finish(written) => drop(written.send(())),
        }
    }
}

/// Hands lines to the thread that writes them, or leaves them out; never waits.
struct Queued<'a> {
    queue: &'a SyncSender<Turn>,
    lost: &'a Lost,
}

impl Write for Queued<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Turn::Line(line.to_vec())).is_err() {
            self.lost.count(|| {
                Error::new(ErrorCode::Unavailable, "the log is not read: some of its lines are left out")
                    .remedy("have what reads the server's stderr go on")
            });
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes whole lines, or leaves them out; never fails.
struct Lines<'a, W> {
    to: W,
    lost: &'a Lost,
}

impl<W: Write> Write for Lines<'_, W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let lost = self.lost.lines.load(Relaxed);
        let told = match lost {
            0 => Ok(()),
            lost => writeln!(self.to, "{lost} lines of the log could not be written and are missing here"),
        };
        match told.and_then(|()| self.to.write_all(line)) {
            // Others may have lost lines meanwhile.
            Ok(()) => drop(self.lost.lines.fetch_sub(lost, Relaxed)),
            Err(error) => self.lost.count(|| Error::io("write the log", &error)),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for so many writes.
    struct Disk<'a>(&'a mut usize, &'a mut Vec<u8>);

    impl Write for Disk<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            *self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_filter_names_levels_and_what_is_there() {
        for filter in [
            "info",
            "WARN",
            "off",
            "3",
            "info,aulos_server=debug",
            "aulos_server",
            "aulos_engine::compile,warn",
        ] {
            assert_eq!(checked(filter).as_deref(), Ok(filter));
        }
        for filter in ["wran", "shout", "info,wran", "aulos_server=wran", "Wran ", "aulos"] {
            assert!(checked(filter).unwrap_err().contains("expected off, error, warn"), "{filter}");
        }
    }

    #[test]
    fn what_is_not_read_is_counted_and_nobody_waits() {
        let lost = Lost { lines: AtomicU64::new(0), failure: Mutex::new(None) };
        let (queue, turns) = sync_channel(2);
        for line in ["a\n", "b\n", "c\n", "d\n"] {
            Queued { queue: &queue, lost: &lost }.write_all(line.as_bytes()).unwrap();
        }
        assert!(lost.failure.lock().unwrap().take().unwrap().message.contains("not read"));
        drop(queue);
        let mut text = Vec::new();
        write_all(&turns, Lines { to: &mut text, lost: &lost });
        let expected = "2 lines of the log could not be written and are missing here\na\nb\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_counted_where_it_is_missing() {
        let lost = Lost { lines: AtomicU64::new(0), failure: Mutex::new(None) };
        let mut text = Vec::new();
        for (mut room, line) in [(1, "a\n"), (0, "b\n"), (0, "c\n"), (9, "d\n"), (9, "e\n")] {
            let mut lines = Lines { to: Disk(&mut room, &mut text), lost: &lost };
            lines.write_all(line.as_bytes()).unwrap();
        }
        let expected = "a\n2 lines of the log could not be written and are missing here\nd\ne\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        assert!(lost.failure.lock().unwrap().take().unwrap().message.contains("write the log"));
    }
}
