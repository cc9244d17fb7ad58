//! The program as it is run, against a server that only pretends.

mod fake;
mod meters;
mod render;
#[allow(dead_code)]
#[path = "../../src/samples.rs"]
mod samples;
mod streams;
mod words;

use std::{
    ffi::OsStr,
    process::{Command, Output, Stdio},
};

use fake::Fake;

/// The program with arguments that are separated by spaces, and nothing of this process's environment that it
/// listens to.
fn aulosctl(fake: &Fake, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aulosctl"));
    command.args(line.split(' ').map(OsStr::new)).stdin(Stdio::null());
    command.env("AULOS_SOCKET", fake.path()).env_remove("NO_COLOR").env("TERM", "xterm-256color");
    command
}

/// What came of it: exit code, stdout, stderr.
fn run(fake: &Fake, line: &str) -> (i32, String, String) {
    told(aulosctl(fake, line).output().unwrap())
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
}

/// Stdout of a run that must succeed without talk.
fn answer(fake: &Fake, line: &str) -> String {
    let (code, out, err) = run(fake, line);
    assert_eq!((code, err.as_str()), (0, ""), "{line}: {out}");
    out
}
