//! Where clips take their samples from.

/// The samples of an audio file at the session's rate, as the audio thread sees them.
///
/// Sample `n` depends on the file and `n` only, however it is reached.
pub trait ClipSource: Send + Sync + std::fmt::Debug {
    /// How many channels it has.
    fn channels(&self) -> u16;

    /// How long it is, in frames.
    fn frames(&self) -> u64;

    /// [audio thread] Copies the frames from `from` on of `channel` to `out`; frames past the end are 0.
    /// Answers `false` if some were not there in time (an underrun): `out` is 0 there.
    fn read(&self, channel: u16, from: u64, out: &mut [f32]) -> bool;
}

/// Samples that are in memory as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Pcm {
    channels: Vec<Vec<f32>>,
}

impl Pcm {
    /// Samples by channel; all channels have the same length, or `None`.
    pub fn new(channels: Vec<Vec<f32>>) -> Option<Self> {
        let frames = channels.first()?.len();
        channels.iter().all(|c| c.len() == frames).then_some(Self { channels })
    }

    /// The samples of one channel.
    pub fn channel(&self, channel: u16) -> &[f32] {
        &self.channels[usize::from(channel)]
    }
}

impl ClipSource for Pcm {
    fn channels(&self) -> u16 {
        self.channels.len() as u16
    }

    fn frames(&self) -> u64 {
        self.channels[0].len() as u64
    }

    fn read(&self, channel: u16, from: u64, out: &mut [f32]) -> bool {
        let samples = self.channel(channel);
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(samples.len());
        let present = out.len().min(samples.len() - from);
        out[..present].copy_from_slice(&samples[from..from + present]);
        out[present..].fill(0.0);
        true
    }
}
