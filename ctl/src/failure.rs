//! Ways to end badly: what is said of them, and with which exit code.

use std::{
    io::{self, ErrorKind, Write},
    process::ExitCode,
};

use aulos_protocol::{Error, ErrorCode, client, text::describe};
use serde_json::json;

/// The exit codes, as `--help` tells them.
pub const EXIT_CODES: &str = "\
Exit codes:
    0   done
    1   refused by the server, or failed
    2   the command line cannot be understood
    3   no server can be reached, or it speaks another version of the protocol
    4   nothing has that name
    5   conflict: the name exists, the link would close a cycle, the server is busy
    6   the doctor has found something missing
  124   the server did not answer in time (see --timeout)
  130   ended by Ctrl-C; 128 + N for any other signal N";

/// Why the program ends without having done what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// What was written on the command line cannot be understood; nothing was asked of the server.
    Usage(Error),
    /// The server refused or failed, or could not be reached.
    Refused(Error),
    /// The answer could not be written.
    Output(io::Error),
    /// A signal of this number ended the work.
    Signal(i32),
    /// The failure is part of what was printed already.
    Told,
    /// Something that real-time work needs is missing; it was printed already.
    Missing,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Failure {
    /// An argument that cannot be understood.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(Error::new(ErrorCode::InvalidArgument, message))
    }

    /// The exit code, 0 to 255.
    pub fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Refused(error) if client::timed_out(error) => 124,
            Self::Refused(error) => match error.code {
                ErrorCode::Unreachable | ErrorCode::Version => 3,
                ErrorCode::NotFound => 4,
                ErrorCode::Exists | ErrorCode::Cycle | ErrorCode::Busy => 5,
                ErrorCode::Parse
                | ErrorCode::InvalidRequest
                | ErrorCode::InvalidArgument
                | ErrorCode::OutOfRange
                | ErrorCode::Unavailable
                | ErrorCode::Io
                | ErrorCode::Internal => 1,
            },
            // Whoever closed the pipe has seen enough.
            Self::Output(error) if error.kind() == ErrorKind::BrokenPipe => 0,
            Self::Output(_) | Self::Told => 1,
            Self::Missing => 6,
            Self::Signal(number) => u8::try_from(128 + number).unwrap_or(1),
        }
    }

    /// Tells the failure on stderr, as text or as a JSON object, and gives the exit code.
    pub fn tell(&self, as_json: bool) -> ExitCode {
        let text = match self {
            Self::Usage(error) | Self::Refused(error) => told(error, as_json),
            Self::Output(error) if error.kind() == ErrorKind::BrokenPipe => String::new(),
            Self::Output(error) => told(&Error::io("write the answer", error), as_json),
            Self::Signal(_) | Self::Told | Self::Missing => String::new(),
        };
        // There is nobody left to tell that stderr is closed; the exit code says it all the same.
        let _ = io::stderr().write_all(text.as_bytes());
        ExitCode::from(self.code())
    }
}

fn told(error: &Error, as_json: bool) -> String {
    if as_json {
        format!("{}\n", json!({ "error": error }))
    } else {
        format!("aulosctl: {}", describe(error))
    }
}

#[cfg(test)]
mod tests {
    use aulos_protocol::Range;

    use super::*;

    fn refused(code: ErrorCode) -> u8 {
        Failure::Refused(Error::new(code, "no")).code()
    }

    #[test]
    fn exit_codes_tell_the_kinds_of_failure_apart() {
        let table = [
            (ErrorCode::Parse, 1),
            (ErrorCode::InvalidRequest, 1),
            (ErrorCode::InvalidArgument, 1),
            (ErrorCode::OutOfRange, 1),
            (ErrorCode::Unavailable, 1),
            (ErrorCode::Io, 1),
            (ErrorCode::Internal, 1),
            (ErrorCode::Version, 3),
            (ErrorCode::Unreachable, 3),
            (ErrorCode::NotFound, 4),
            (ErrorCode::Exists, 5),
            (ErrorCode::Cycle, 5),
            (ErrorCode::Busy, 5),
        ];
        for (code, exit) in table {
            assert_eq!(refused(code), exit, "{code:?}");
        }
        assert_eq!(Failure::usage("what?").code(), 2);
        assert_eq!(Failure::Signal(2).code(), 130);
        assert_eq!(Failure::Signal(15).code(), 143);
        assert_eq!(Failure::Output(ErrorKind::BrokenPipe.into()).code(), 0);
        assert_eq!(Failure::Output(ErrorKind::StorageFull.into()).code(), 1);
        for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "6 ", "124 ", "130 "] {
            assert!(EXIT_CODES.contains(&format!(" {code}")), "{code}is documented");
        }
    }

    #[test]
    fn nothing_of_an_error_is_lost() {
        let mut error =
            Error::not_found("node", "drms", ["drums", "drums-bus"]).expected("the name of a node");
        assert_eq!(
            describe(&error),
            "there is no node \"drms\"\n    expected: the name of a node\n    did you mean \"drums\"?\n    \
             close names: drums, drums-bus\n"
        );
        error.close.truncate(1);
        assert!(!describe(&error).contains("close names"), "the remedy names it");

        let mut error = Error::new(ErrorCode::Cycle, "the link would close a cycle");
        error.path = ["a", "b", "a"].map(str::to_owned).to_vec();
        error.index = Some(2);
        assert_eq!(
            describe(&error),
            "the link would close a cycle\n    in the batch: command 2, counted from 0\n    cycle: a → b → a\n"
        );

        let range = Range { min: -144.0, max: 12.0, unit: "dB".into() };
        let mut error = Error::out_of_range("gain", 13.0, range);
        assert_eq!(describe(&error), "gain cannot be 13 dB\n    expected: -144 to 12 dB\n");
        error.expected = None;
        assert_eq!(describe(&error), "gain cannot be 13 dB\n    range: -144 to 12 dB\n");
    }

    #[test]
    fn an_error_cannot_play_with_the_terminal() {
        let error = Error::new(ErrorCode::Io, "no file \u{1b}[2J\n");
        assert_eq!(describe(&error), "no file \\u{1b}[2J\\n\n");
    }
}
