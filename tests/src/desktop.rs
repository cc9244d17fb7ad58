//! A desktop's sound: PipeWire with its session manager, which PulseAudio's clients use as well, and a sink that is no
//! sound card.

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::jackd::wait_for;

/// PipeWire, its session manager, and what speaks PulseAudio's protocol. None outlives the one that started it.
const PROGRAMS: &str = "
    run='setpriv --pdeathsig=KILL'
    $run pipewire &
    until [ -S \"$XDG_RUNTIME_DIR/pipewire-0\" ]; do sleep 0.1; done
    $run wireplumber &
    $run pipewire -c \"$XDG_RUNTIME_DIR/pulse.conf\" &
    wait";

/// That part alone, so that nothing need be installed that takes the place of somebody's PulseAudio.
const PULSE: &str = "
    context.modules = [
        { name = libpipewire-module-protocol-native }
        { name = libpipewire-module-client-node }
        { name = libpipewire-module-adapter }
        { name = libpipewire-module-metadata }
        { name = libpipewire-module-protocol-pulse }
    ]
    context.spa-libs = {
        audio.convert.* = audioconvert/libspa-audioconvert
        support.* = support/libspa-support
    }
    pulse.properties = { server.address = [ \"unix:native\" ] }";

/// A desktop whose default device for ALSA is that of PulseAudio.
pub struct Desktop {
    folder: tempfile::TempDir,
    programs: Child,
}

impl Desktop {
    /// Starts it, and waits until its sink is there.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("no temporary folder: {e}"));
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap_or_else(|e| panic!("{name}: {e}"));
        };
        write("pulse.conf", PULSE);
        write(".asoundrc", "pcm.!default { type pulse }\nctl.!default { type pulse }\n");
        let log = std::fs::File::create(folder.path().join("log")).unwrap_or_else(|e| panic!("{e}"));
        let errors = log.try_clone().unwrap_or_else(|e| panic!("{e}"));
        let programs = Command::new("setpriv")
            .args(["--pdeathsig=KILL", "dbus-run-session", "--", "setpriv", "--pdeathsig=KILL"])
            .args(["sh", "-c", PROGRAMS])
            .envs(environment(folder.path()))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|e| panic!("dbus-run-session is installed by make test: {e}"));
        let desktop = Self { folder, programs };
        let sink = ["load-module", "module-null-sink", "sink_name=desk", "rate=48000", "channels=2"];
        wait_for("PipeWire", || desktop.pactl(&sink));
        wait_for("the sink", || {
            desktop.pactl(&["info"]).filter(|info| info.contains("Default Sink: desk")).map(drop)
        });
        desktop
    }

    fn pactl(&self, words: &[&str]) -> Option<String> {
        let output = Command::new("pactl").args(words).envs(self.environment()).stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|e| panic!("pactl is installed by make test: {e}"));
        output.status.success().then(|| crate::server::text(&output.stdout))
    }

    /// What leads programs there.
    pub fn environment(&self) -> Vec<(&'static str, std::ffi::OsString)> {
        environment(self.folder.path())
    }

    /// Records what the sink plays, as interleaved floats, until the answer is dropped.
    ///
    /// # Panics
    /// If that cannot be begun.
    pub fn record(&self) -> Recording {
        let file = self.folder.path().join("heard");
        let out = std::fs::File::create(&file).unwrap_or_else(|e| panic!("{e}"));
        let child = Command::new("parec")
            .args(["-d", "desk.monitor", "--raw", "--format=float32le", "--rate=48000", "--channels=2"])
            .envs(self.environment())
            .stdin(Stdio::null())
            .stdout(out)
            .spawn()
            .unwrap_or_else(|e| panic!("parec is installed by make test: {e}"));
        Recording { child, file }
    }
}

fn environment(folder: &Path) -> Vec<(&'static str, std::ffi::OsString)> {
    let pulse = format!("unix:{}", folder.join("pulse/native").display()).into();
    let folder = folder.as_os_str().to_owned();
    vec![("HOME", folder.clone()), ("XDG_RUNTIME_DIR", folder), ("PULSE_SERVER", pulse)]
}

impl Drop for Desktop {
    fn drop(&mut self) {
        // All of them, at once; those that are gone already are as they should be.
        let _ = kill_process_group(Pid::from_child(&self.programs), Signal::KILL);
        self.programs.wait().unwrap_or_else(|e| panic!("{e}"));
    }
}

/// What is recorded.
pub struct Recording {
    child: Child,
    file: PathBuf,
}

impl Recording {
    /// What was heard so far, by channel.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn heard(&self) -> [Vec<f32>; 2] {
        let bytes = std::fs::read(&self.file).unwrap_or_else(|e| panic!("{e}"));
        let (samples, _) = bytes.as_chunks::<4>();
        let channel =
            |at: usize| samples.iter().skip(at).step_by(2).map(|x| f32::from_le_bytes(*x)).collect();
        let mut channels: [Vec<f32>; 2] = [channel(0), channel(1)];
        // It may be in the middle of a frame.
        let frames = channels[1].len();
        channels[0].truncate(frames);
        channels
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).map(drop).unwrap_or_else(|e| panic!("{e}"));
    }
}
