//! What calls the engine, as it is told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Frames;

/// A driver that can take the place of another while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DriverKind {
    /// A running JACK, else the default sound device, else the dummy clock.
    Auto,
    /// A JACK server.
    Jack,
    /// A sound device by ALSA.
    Alsa,
    /// Real time without a device.
    Dummy,
}

impl DriverKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Jack, Self::Alsa, Self::Dummy];

    /// The driver's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Jack => "jack",
            Self::Alsa => "alsa",
            Self::Dummy => "dummy",
        }
    }
}

impl std::str::FromStr for DriverKind {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| crate::Error::not_found("driver", text, Self::ALL.into_iter().map(Self::name)))
    }
}

/// The driver at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DriverStatus {
    /// `jack`, `alsa`, `dummy`, `stepped` or `offline`: what is used, also while its device is lost.
    pub name: String,
    /// Whether it calls the engine. If not, the dummy clock does.
    #[serde(default = "yes")]
    pub running: bool,
    /// Why this driver is used, where that was left to the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The device that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Why the device does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
    /// How often the device was lost.
    #[serde(default)]
    pub losses: u64,
    /// The rate at which the device runs, in Hz, if it is not the session's: sound is resampled between the two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_rate: Option<u32>,
    /// Frames in a cycle, at the device's rate; the most, where cycles vary.
    pub block: u32,
    /// Cycles so far.
    pub cycles: u64,
    /// The engine's frame.
    pub frame: Frames,
    /// Cycles that ended after their deadline.
    pub late: u64,
    /// How often the device had to go without samples, or lost some.
    #[serde(default)]
    pub xruns: u64,
    /// How many frames of the session after the engine's time the device is heard, by what it says itself.
    #[serde(default)]
    pub playback_latency: Frames,
    /// How many frames of the session before the engine's time the device has heard what it records.
    #[serde(default)]
    pub capture_latency: Frames,
    /// Time spent in cycles divided by the time that they stand for, over the last second.
    pub load: f64,
    /// Whether the audio thread has real-time priority; the reason why not, else.
    pub realtime: Result<u8, String>,
    /// Why the server's memory is not locked, so that the kernel may take it away; none if it is locked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlocked: Option<String>,
}

fn yes() -> bool {
    true
}

/// A driver that there is, and what it can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DriverInfo {
    /// Which one.
    pub driver: DriverKind,
    /// What it is.
    pub text: String,
    /// Whether it can be used now.
    pub available: bool,
    /// Why it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The rate that it runs at, if that is fixed, in Hz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// The frames in a cycle, if they are fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<u32>,
    /// Its devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceInfo>,
}

/// A sound device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceInfo {
    /// The name by which it is used.
    pub name: String,
    /// What it is.
    pub description: String,
    /// The most channels that it plays.
    pub playback: u16,
    /// The most channels that it records.
    pub capture: u16,
    /// The lowest and the highest rate in Hz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<(u32, u32)>,
    /// The forms of samples that it plays: `S16`, `S24`, `S32`, `F32`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formats: Vec<String>,
    /// Why it can do nothing at the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
