//! The ALSA driver, through the PCMs that alsa-lib has for want of a sound card: `file` keeps what is played, `jack`
//! is a clock, `null` is none.

mod desktop;
mod heard;
mod loss;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use aulos_protocol::{DriverStatus, Query, Reply};
use aulos_tests::{
    jackd::Jackd,
    server::{Server, ask},
};

fn driver(server: &Server) -> DriverStatus {
    match ask(&mut server.client(), Query::Status) {
        Reply::Status(status) => status.driver,
        other => panic!("{other:?}"),
    }
}

/// A home whose .asoundrc has a device `witness`, which plays to JACK and keeps what it plays in a file, and two that
/// do that and record what is in another file: `memory` in all forms, `memory32` in those of integers. JACK is the
/// default device.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("played");
        let asoundrc = format!(
            "pcm.jackout {{\n\
             type jack\n\
             playback_ports {{ 0 system:playback_1 1 system:playback_2 }}\n\
             capture_ports {{ 0 system:capture_1 1 system:capture_2 }}\n\
             }}\n\
             pcm.witness {{\n\
             type file\n\
             slave.pcm {{ type plug slave.pcm jackout }}\n\
             file \"{0}\"\n\
             format raw\n\
             hint {{ show on description \"Keeps what it plays\" }}\n\
             }}\n\
             pcm.rigid {{\n\
             type jack\n\
             playback_ports {{ 0 system:playback_1 1 system:playback_2 }}\n\
             hint {{ show on description \"Converts nothing\" }}\n\
             }}\n\
             pcm.remembered {{\n\
             type file\n\
             slave.pcm {{ type plug slave.pcm jackout }}\n\
             file \"/dev/null\"\n\
             infile \"{1}\"\n\
             format raw\n\
             }}\n\
             pcm.remembered32 {{\n\
             type file\n\
             slave.pcm {{ type lfloat slave {{ pcm jackout format FLOAT }} }}\n\
             file \"/dev/null\"\n\
             infile \"{1}\"\n\
             format raw\n\
             }}\n\
             pcm.memory {{\n\
             type asym playback.pcm witness capture.pcm remembered\n\
             hint {{ show on description \"Records a file\" }}\n\
             }}\n\
             pcm.memory32 {{\n\
             type asym playback.pcm witness capture.pcm remembered32\n\
             hint {{ show on description \"Records a file of integers\" }}\n\
             }}\n\
             pcm.!default {{ type plug slave.pcm jackout }}\n",
            file.display(),
            folder.path().join("recorded").display()
        );
        std::fs::write(folder.path().join(".asoundrc"), asoundrc).unwrap();
        Self { folder }
    }

    fn played(&self) -> PathBuf {
        self.folder.path().join("played")
    }

    /// The file that `memory` and `memory32` record.
    fn recorded(&self) -> PathBuf {
        self.folder.path().join("recorded")
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn aulosd<S: AsRef<OsStr>>(&self, jackd: &Jackd, args: impl IntoIterator<Item = S>) -> Server {
        let mut server = self.spawn(jackd, args);
        server.answering();
        server
    }

    fn spawn<S: AsRef<OsStr>>(&self, jackd: &Jackd, args: impl IntoIterator<Item = S>) -> Server {
        let environment: Vec<_> =
            jackd.environment().into_iter().chain([("HOME", self.path().as_os_str())]).collect();
        Server::spawn_with(None, &environment, args)
    }
}
