//! The programs by themselves: without a server, as they are installed, configured, and started by a machine.

mod alone;
mod captured;
mod completions;
mod configured;
mod manual;
mod started;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use aulos_tests::server::{aulosctl, aulosd, text};

/// A folder that stands for a user's home, with nothing of the real one.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        for folder in ["tmp", "config", "state"] {
            std::fs::create_dir(home.path(folder)).unwrap();
        }
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.0.path())
            .env("TMPDIR", self.path("tmp"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_RUNTIME_DIR", self.0.path())
            .env("TERM", "dumb")
            .env("AULOS_OSC", "off")
            .stdin(Stdio::null());
        command
    }

    fn ctl(&self) -> Command {
        self.command(&aulosctl())
    }

    fn daemon(&self) -> Command {
        self.command(&aulosd())
    }

    /// Runs `aulosctl` with words: the exit code, stdout and stderr.
    fn run(&self, words: &str) -> (i32, String, String) {
        told(&self.ctl().args(words.split_whitespace()).output().unwrap())
    }

    /// Runs words that must succeed.
    #[track_caller]
    fn say(&self, words: &str) -> String {
        let (code, out, err) = self.run(words);
        assert_eq!(code, 0, "{words}: {out}{err}");
        out
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

fn told(output: &Output) -> (i32, String, String) {
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Waits up to half a minute.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed().as_secs() < 30, "not within 30 s: {what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
