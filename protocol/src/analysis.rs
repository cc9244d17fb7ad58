//! What can be said of a stretch of sound.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Frames;

/// What can be said of a stretch of sound. Levels are in dB re full scale, where a sine of full scale has a peak of 0
/// and an RMS of −3.01; what is silent, or too short to be measured, has none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Analysis {
    /// How many frames were heard.
    pub frames: Frames,
    /// How many seconds that is.
    pub seconds: f64,
    /// How many frames were missed meanwhile, because the machine was busy.
    #[serde(default)]
    pub lost: u64,
    /// Whether every sample was zero.
    pub silent: bool,
    /// The highest sample of all channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_db: Option<f64>,
    /// The highest value between samples, in dBTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub true_peak_db: Option<f64>,
    /// The root of the mean square over time and channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rms_db: Option<f64>,
    /// The loudness as EBU R 128 measures it, in LUFS; wants 0.4 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrated_lufs: Option<f64>,
    /// The loudest 0.4 s, in LUFS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loudest_momentary_lufs: Option<f64>,
    /// The loudness range, in LU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loudness_range_lu: Option<f64>,
    /// The RMS level of each octave, the mean of the channels; none of what is shorter than 8,192 frames.
    #[serde(default)]
    pub bands: Vec<Band>,
    /// The levels of each channel.
    #[serde(default)]
    pub channels: Vec<ChannelLevels>,
}

/// The level of an octave.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Band {
    /// The middle of the octave.
    pub hz: f64,
    /// Its RMS level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub db: Option<f64>,
}

/// The levels of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChannelLevels {
    /// The highest sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_db: Option<f64>,
    /// The root of the mean square.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rms_db: Option<f64>,
    /// The mean: what is not 0 is an offset.
    pub dc: f64,
}
