//! The log: what is let through, and where it goes.
//!
//! It goes to stderr, which may be a full disk, or a pipe that nobody reads any more. What cannot be written there is
//! counted and left out, as the sound must not depend on it.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use aulos_protocol::{Error, ErrorCode};
use tracing_subscriber::EnvFilter;

/// The crates whose words a filter may name without a level, for all that they have to say.
const TARGETS: [&str; 5] = ["aulosd", "aulos_server", "aulos_engine", "aulos_nodes", "aulos_protocol"];

/// Lets what `filter` lets through go to stderr from now on.
///
/// # Errors
/// `InvalidArgument` for what is no filter, or if there is a log already.
pub fn start(filter: &str) -> Result<(), Error> {
    let invalid = |why: String| Error::new(ErrorCode::InvalidArgument, why);
    tracing_subscriber::fmt()
        .with_env_filter(parse(filter).map_err(invalid)?)
        .with_writer(|| Lines { to: io::stderr(), lost: &LOST })
        // They would be printed to the same stderr, with a panic if that fails.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .try_init()
        .map_err(|error| invalid(error.to_string()))
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
            Err(error) => {
                if self.lost.lines.fetch_add(1, Relaxed) == 0 {
                    let error = Error::io("write the log", &error);
                    *self.lost.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            }
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
