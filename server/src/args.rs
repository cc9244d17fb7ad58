//! The command line of `aulosd`.

use std::path::PathBuf;

use aulos_protocol::{Error, ErrorCode, Rate};
use clap::Parser;

use crate::{control, drivers};

/// An audio server in which everything that makes, changes or carries sound is a patchable node. Controlled by
/// aulosctl.
#[derive(Debug, Parser)]
#[command(name = "aulosd", version)]
pub struct Args {
    /// The folder of the session to open; without it, a new session in memory
    #[arg(long, value_name = "FOLDER")]
    session: Option<PathBuf>,
    /// The control socket [default: aulos/control.sock in $XDG_RUNTIME_DIR]
    #[arg(long, value_name = "PATH", env = "AULOS_SOCKET")]
    pub socket: Option<PathBuf>,
    /// What calls the engine
    #[arg(long, value_enum, default_value_t = drivers::Kind::Auto)]
    driver: drivers::Kind,
    /// Frames in a cycle; of the stepped driver, the most
    #[arg(long, value_name = "FRAMES", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    block: u32,
    /// The rate of a new session, in Hz
    #[arg(long, value_name = "HZ", default_value_t = 48_000)]
    rate: u32,
    /// The ALSA device, as aulosctl driver ls names it [default: that of the desktop or of the asoundrc]
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// In which form the ALSA device gets samples [default: the best one that it has]
    #[arg(long, value_enum, value_name = "FORMAT")]
    sample_format: Option<drivers::SampleForm>,
    /// The name of the JACK client
    #[arg(long, value_name = "NAME", default_value = "aulos")]
    jack_name: String,
    /// Leaves the JACK ports of outputs unconnected
    #[arg(long)]
    no_connect: bool,
    /// Channels that the driver plays; of JACK, as many as the session's outputs use
    #[arg(long, value_name = "CHANNELS", default_value_t = 2, value_parser = clap::value_parser!(u16).range(0..=64))]
    playback: u16,
    /// Channels that the driver records, where there is a device; else they are silent
    #[arg(long, value_name = "CHANNELS", default_value_t = 2, value_parser = clap::value_parser!(u16).range(0..=64))]
    record: u16,
    /// Starts with the transport rolling, as soon as the audio files are read ahead
    #[arg(long)]
    play: bool,
    /// Writes what the driver plays to a file: .flac (24 bit), else WAV (32-bit float)
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
    /// Ends after so many frames
    #[arg(long, value_name = "FRAMES", value_parser = clap::value_parser!(u64).range(1..))]
    frames: Option<u64>,
    /// What is logged to stderr: error, warn, info, debug, or a filter of tracing-subscriber
    #[arg(long, value_name = "FILTER", env = "AULOS_LOG", default_value = "info")]
    pub log: String,
}

impl Args {
    /// How the control thread is set up.
    ///
    /// # Errors
    /// `OutOfRange` for a rate that no session can have.
    pub fn setup(&self) -> Result<control::Setup, Error> {
        let rate = Rate::new(self.rate).ok_or_else(|| {
            let range = aulos_protocol::Range {
                min: f64::from(Rate::MIN),
                max: f64::from(Rate::MAX),
                unit: "Hz".into(),
            };
            Error::out_of_range("the rate", f64::from(self.rate), range)
        })?;
        if self.driver == drivers::Kind::Offline && self.frames.is_none() {
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                "the offline driver would run for ever, as fast as it can",
            )
            .expected("a number of frames: --frames FRAMES"));
        }
        Ok(control::Setup {
            session: self.session.clone(),
            rate,
            driver: drivers::Setup {
                kind: self.driver,
                block: self.block,
                playback: usize::from(self.playback),
                capture: usize::from(self.record),
                file: self.capture.clone(),
                frames: self.frames,
                device: self.device.clone(),
                format: self.sample_format,
                jack_name: self.jack_name.clone(),
                connect: !self.no_connect,
            },
            play: self.play,
        })
    }
}
