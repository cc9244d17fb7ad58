//! OSC at the real server: by clients that are not ours, and by ours for what no other does.

mod bundles;
mod doors;
mod floods;
mod others;
mod query;
mod streams;
mod told;

use std::path::PathBuf;

use aulos_tests::{
    osc::Osc,
    server::{Server, read_wav},
};

/// Lets any free port be taken.
pub const ANY: &str = "127.0.0.1:0";

/// A server whose clock the test moves, which takes OSC.
pub fn stepped() -> Server {
    Server::start(["--driver", "stepped", "--block", "1024", "--osc", ANY, "--no-mdns"])
}

/// A server, a client of its OSC, and what it plays in a file.
pub struct Stage {
    /// The server.
    pub server: Server,
    /// The client.
    pub osc: Osc,
    capture: PathBuf,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// Runs these lines of `aulosctl`.
    pub fn new(driver: &str, lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let capture = folder.path().join("played.wav");
        let capture_text = capture.to_str().unwrap();
        let server = Server::start([
            "--driver",
            driver,
            "--block",
            "1024",
            "--osc",
            ANY,
            "--no-mdns",
            "--capture",
            capture_text,
        ]);
        lines.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(|line| drop(server.ok(line)));
        let osc = Osc::new(&server);
        Self { server, osc, capture, _folder: folder }
    }

    /// Ends the server; what was played on the left.
    pub fn played(self) -> Vec<f32> {
        let Self { server, osc, capture, _folder } = self;
        drop((osc, server));
        read_wav(&capture).swap_remove(0)
    }
}
