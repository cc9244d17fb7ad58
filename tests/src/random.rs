//! Sessions made from a seed, to compare the engine with the oracle.
//!
//! One seed is one scene, for ever: the random numbers are our own, and a test pins what comes of them.
//! Everything in a scene is something that commands could have made.

mod build;
mod distribution;
mod effects;
mod level;
mod links;
mod loops;
mod mixing;
mod numbers;
mod patterns;
mod rng;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use aulos_nodes::{ClipSource, Pcm};
use aulos_protocol::Session;

pub use distribution::{Distribution, describe, table};

use crate::oracle::{self, Outcome, Start};
use build::Builder;
pub use rng::Rng;

/// A session and all that it needs to sound.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The session.
    pub session: Session,
    /// The audio files of its clips.
    pub files: BTreeMap<String, Arc<Pcm>>,
    /// How the transport stands at frame 0.
    pub start: Start,
    /// What the driver records, by channel.
    pub capture: Vec<Vec<f32>>,
    /// How many channels the driver plays.
    pub playback_channels: usize,
}

impl Scene {
    /// What the first `frames` frames sound like.
    pub fn evaluate(&self, frames: usize) -> Outcome {
        let files = |name: &str| self.files.get(name).cloned();
        oracle::evaluate(&self.session, &files, self.start, &self.capture, frames, self.playback_channels)
    }

    /// A number of frames in which everything is heard: the longest way through the session and some more.
    pub fn frames(&self) -> usize {
        distribution::longest_way(&self.session) as usize + 6000
    }
}

/// The scene of `seed`.
pub fn scene(seed: u64) -> Scene {
    made(seed, false)
}

/// A scene of `seed` that has no memory: after some seconds nothing is heard of how it began or what was changed.
pub fn forgetful_scene(seed: u64) -> Scene {
    made(seed, true)
}

fn made(seed: u64, forgets: bool) -> Scene {
    let mut rng = Rng::new(seed);
    let start = start(&mut rng);
    let mut files = files(&mut rng);
    let lengths: Vec<_> = files.iter().map(|(name, pcm)| (name.clone(), pcm.frames())).collect();
    let mut capture: Vec<_> = (0..rng.range(1, 6)).map(|_| noise(&mut rng, 8000)).collect();
    if rng.percent(12) {
        capture.iter_mut().for_each(|channel| spoil(&mut rng, channel));
        files.values_mut().for_each(|pcm| *pcm = Arc::new(spoiled(&mut rng, pcm)));
    }
    let playback_channels = if rng.percent(70) { 2 } else { rng.range(1, 8) as usize };
    let session = Builder::new(&mut rng, &lengths, start, forgets).session(format!("seed {seed}"));
    Scene { session, files, start, capture, playback_channels }
}

fn start(rng: &mut Rng) -> Start {
    let position = if rng.percent(50) { 0 } else { rng.range(1, 200_000) };
    let loop_range = rng.percent(35).then(|| {
        // Often around the position, sometimes before it, where it is never reached; short ones wrap several
        // times in a block.
        let start = (position + rng.range(0, 3000)).saturating_sub(2000);
        let length = if rng.percent(20) { rng.range(480, 700) } else { rng.range(700, 5000) };
        (start, start + length)
    });
    Start { position, rolling: !rng.percent(6), loop_range }
}

fn files(rng: &mut Rng) -> BTreeMap<String, Arc<Pcm>> {
    let mut files = BTreeMap::new();
    for number in 0..rng.range(1, 4) {
        let channels = *rng.pick(&[1, 1, 2, 2, 2, 3]);
        let frames = rng.range(200, 9000) as usize;
        let channels = (0..channels).map(|_| signal(rng, frames)).collect();
        let pcm = Pcm::new(channels).expect("channels of one length");
        files.insert(format!("file{number}.wav"), Arc::new(pcm));
    }
    files
}

/// The loudest sample of every file and of what is recorded.
const PEAK: f32 = 0.5;

fn signal(rng: &mut Rng, frames: usize) -> Vec<f32> {
    match rng.below(3) {
        0 => noise(rng, frames),
        1 => {
            let step = rng.range(1, 64) as usize;
            (0..frames).map(|n| PEAK * (((n * step) % 1024) as f32 / 512.0 - 1.0)).collect()
        }
        _ => {
            let every = rng.range(1, 128) as usize;
            let clicks = noise(rng, frames).into_iter().enumerate();
            clicks.map(|(n, sample)| if n % every == 0 { sample } else { 0.0 }).collect()
        }
    }
}

fn noise(rng: &mut Rng, frames: usize) -> Vec<f32> {
    // 24 bits, so that each sample is exact.
    (0..frames).map(|_| PEAK * (rng.below(1 << 24) as f32 / (1 << 23) as f32 - 1.0)).collect()
}

/// Puts in a few samples that are no sound.
fn spoil(rng: &mut Rng, samples: &mut [f32]) {
    for _ in 0..rng.range(1, 20) {
        let place = rng.below(samples.len() as u64) as usize;
        samples[place] = *rng.pick(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-40, -1e-40]);
    }
}

fn spoiled(rng: &mut Rng, pcm: &Pcm) -> Pcm {
    let mut channels: Vec<_> = (0..pcm.channels()).map(|channel| pcm.channel(channel).to_vec()).collect();
    channels.iter_mut().for_each(|channel| spoil(rng, channel));
    Pcm::new(channels).expect("channels of one length")
}
