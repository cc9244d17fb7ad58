//! A thread of another process that stands still.

use nix::{
    sys::{
        ptrace,
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};

use crate::server::Server;

/// A thread of a server that was stopped as a debugger does, while everything else of it goes on.
pub struct Stopped(Pid);

impl Stopped {
    /// Stops the thread of this name.
    ///
    /// # Panics
    /// If there is none, or it cannot be stopped.
    pub fn new(server: &Server, name: &str) -> Self {
        let tasks = format!("/proc/{}/task", server.pid());
        let tasks = std::fs::read_dir(&tasks).unwrap_or_else(|e| panic!("{tasks}: {e}"));
        let find = |task: std::fs::DirEntry| {
            let is_it = std::fs::read_to_string(task.path().join("comm")).ok()?.trim() == name;
            if is_it { task.file_name().to_str()?.parse().ok() } else { None }
        };
        let thread = tasks.flatten().find_map(find).map(Pid::from_raw);
        let thread = thread.unwrap_or_else(|| panic!("the server has no thread {name}"));
        let stopped = ptrace::seize(thread, ptrace::Options::empty())
            .and_then(|()| ptrace::interrupt(thread))
            .and_then(|()| waitpid(thread, Some(WaitPidFlag::__WALL)));
        stopped.unwrap_or_else(|e| panic!("{name} cannot be stopped: {e}"));
        Self(thread)
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// If it does not.
    pub fn go_on(self) {
        ptrace::detach(self.0, None).unwrap_or_else(|e| panic!("the thread does not go on: {e}"));
    }
}
