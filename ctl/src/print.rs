//! Where everything that is said goes: answers to stdout, talk to stderr.

use std::{
    fmt::Display,
    io::{self, BufWriter, IsTerminal, Write},
};

use serde::Serialize;

use crate::{failure::Failure, paint::Paint, text::plain};

/// The way out. Writing to a closed pipe is an ordinary [`Failure::Output`], not a panic.
pub struct Out {
    sink: Box<dyn Write>,
    json: bool,
    quiet: bool,
    pretty: bool,
    paint: Paint,
}

impl Out {
    /// Answers go to stdout, as JSON if asked for; `quiet` leaves out what nobody asked.
    pub fn new(json: bool, quiet: bool) -> Self {
        let stdout = io::stdout();
        let pretty = stdout.is_terminal();
        Self { sink: Box::new(BufWriter::new(stdout)), json, quiet, pretty, paint: Paint::for_stdout() }
    }

    /// Whether answers are JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether only errors and answers to questions are wanted.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// The colours.
    pub fn paint(&self) -> Paint {
        self.paint
    }

    /// Prints a line of an answer.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        writeln!(self.sink, "{text}").map_err(Failure::Output)
    }

    /// Prints lines of an answer.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn lines(&mut self, lines: impl IntoIterator<Item = impl Display>) -> Result<(), Failure> {
        lines.into_iter().try_for_each(|line| self.line(line))
    }

    /// Prints what a command did, unless that is not wanted.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn did(&mut self, text: impl Display) -> Result<(), Failure> {
        if self.json || self.quiet { Ok(()) } else { self.line(text) }
    }

    /// Prints an answer as one JSON document: over several lines on a terminal, on one elsewhere.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn json<T: Serialize + ?Sized>(&mut self, answer: &T) -> Result<(), Failure> {
        let json = if self.pretty { serde_json::to_vec_pretty(answer) } else { serde_json::to_vec(answer) };
        self.bytes(json)
    }

    /// Prints one line of a stream of JSON, at once.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn json_line<T: Serialize + ?Sized>(&mut self, part: &T) -> Result<(), Failure> {
        self.bytes(serde_json::to_vec(part))?;
        self.flush()
    }

    fn bytes(&mut self, json: serde_json::Result<Vec<u8>>) -> Result<(), Failure> {
        let mut bytes = json.map_err(|error| Failure::Output(error.into()))?;
        bytes.push(b'\n');
        self.sink.write_all(&bytes).map_err(Failure::Output)
    }

    /// Prints a text that is its own format.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn raw(&mut self, text: &[u8]) -> Result<(), Failure> {
        self.sink.write_all(text).map_err(Failure::Output)
    }

    /// Sends everything on its way.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.sink.flush().map_err(Failure::Output)
    }

    /// Tells something beside the answer, on stderr, unless that is not wanted.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            // A note that nobody can read any more is no reason to fail.
            let _ = writeln!(io::stderr(), "aulosctl: {}", plain(text));
        }
    }
}
