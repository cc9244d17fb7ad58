//! The clips of a track.

use std::sync::Arc;

use aulos_protocol::ClipId;

use crate::{ClipSource, Cycle, Fade, Io, Patch, Processor, Progress};

/// A clip with its samples.
#[derive(Clone, Debug)]
pub struct PlacedClip {
    /// Its number.
    pub id: ClipId,
    /// Its first frame on the timeline.
    pub at: u64,
    /// Its length, in frames.
    pub len: u64,
    /// The file's frame that its first frame is.
    pub offset: u64,
    /// The samples.
    pub source: Arc<dyn ClipSource>,
    /// Whether it is taken off the track and only fades out.
    pub dying: bool,
    fade: Fade,
}

impl PlacedClip {
    /// A clip; `len` is cut to what the source has behind `offset`.
    pub fn new(id: ClipId, at: u64, len: Option<u64>, offset: u64, source: Arc<dyn ClipSource>) -> Self {
        let present = source.frames().saturating_sub(offset);
        let len = len.map_or(present, |len| len.min(present));
        Self { id, at, len, offset, source, dying: false, fade: Fade::still(1.0) }
    }

    /// What tells it from others: its number, and which stretch of its file lies where. A clip that is moved or cut is
    /// another, which takes over from what it was.
    pub fn key(&self) -> (ClipId, u64, u64, u64) {
        (self.id, self.at, self.offset, self.len)
    }
}

/// The clips that a player plays, in the order of their keys.
pub type Playlist = Vec<PlacedClip>;

/// Plays the clips that lie under the transport, and silence where it stands.
pub struct Player {
    channels: u16,
    clips: Playlist,
    /// What is read from one channel of a clip.
    samples: Vec<f32>,
    /// One course of the timeline, while there are several.
    course: Vec<f32>,
}

impl Player {
    pub(crate) fn new(channels: u16, max_block: usize, clips: Playlist) -> Self {
        Self { channels, clips, samples: vec![0.0; max_block], course: vec![0.0; max_block] }
    }
}

/// Adds what one channel of the track plays in one course of the timeline to `out`, which was cleared.
fn play(
    clips: &[PlacedClip],
    channel: u16,
    channels: u16,
    segments: &[crate::Segment],
    frame: u64,
    samples: &mut [f32],
    out: &mut [f32],
) {
    for clip in clips.iter().filter(|clip| !clip.fade.is_silent(frame)) {
        let clip_end = clip.at.saturating_add(clip.len);
        for segment in segments.iter().filter(|segment| segment.rolling) {
            let from = segment.position.max(clip.at);
            let to = (segment.position + segment.len as u64).min(clip_end);
            if from >= to {
                continue;
            }
            let first = segment.offset + (from - segment.position) as usize;
            let run = (to - from) as usize;
            let out = &mut out[first..first + run];
            let samples = &mut samples[..run];
            let file_frame = clip.offset + (from - clip.at);
            for_mapped(clip.source.channels(), channels, channel, |source, gain| {
                clip.source.read(source, file_frame, samples);
                if clip.fade.is_still(frame) {
                    out.iter_mut().zip(samples.iter()).for_each(|(y, x)| *y += x * gain);
                } else {
                    let faded = out.iter_mut().zip(samples.iter()).zip(frame + first as u64..);
                    faded.for_each(|((y, x), n)| *y += x * gain * clip.fade.at(n));
                }
            });
        }
    }
}

/// Calls `each` with every channel of a file that goes to `channel` of the track, and its gain. This is
/// [`ports::channel_map`] without the memory that it takes; a test holds them together.
fn for_mapped(file: u16, track: u16, channel: u16, mut each: impl FnMut(u16, f32)) {
    match (file, track) {
        (1, 2) => each(0, 1.0),
        (2, 1) => {
            each(0, SUMMED);
            each(1, SUMMED);
        }
        _ if channel < file => each(channel, 1.0),
        _ => {}
    }
}

/// −3 dB, as [`aulos_protocol::Decibels::factor`] gives it.
const SUMMED: f32 = 0.707_945_76;

impl Processor for Player {
    fn start(&mut self, cycle: &Cycle<'_>, io: &mut Io<'_>) -> Progress {
        for channel in 0..self.channels {
            let out = io.output(usize::from(channel));
            out.fill(0.0);
            let mut render = |segments, out: &mut [f32]| {
                play(&self.clips, channel, self.channels, segments, cycle.frame, &mut self.samples, out);
            };
            match cycle.views {
                [view] if view.fade.is_still(cycle.frame) && view.fade.target() == 1.0 => {
                    render(view.segments, out);
                }
                views => {
                    for view in views.iter().filter(|view| view.segments.iter().any(|s| s.rolling)) {
                        let course = &mut self.course[..cycle.frames];
                        course.fill(0.0);
                        render(view.segments, course);
                        // A player has nothing in front of it: its stage time is the engine's.
                        view.fade.add(cycle.frame, course, out);
                    }
                }
            }
        }
        Progress::Done
    }

    fn patch(&mut self, patch: &mut Patch, frame: u64, fade: u64) {
        let Some(new) = patch.downcast_mut::<Playlist>() else { return };
        let mut old = self.clips.iter().peekable();
        for clip in new.iter_mut() {
            while old.next_if(|before| before.key() < clip.key()).is_some() {}
            clip.fade = match old.next_if(|before| before.key() == clip.key()) {
                Some(before) => before.fade,
                None => Fade::still(0.0),
            };
            let target = if clip.dying { 0.0 } else { 1.0 };
            if clip.fade.target() != target {
                clip.fade.turn(target, frame, frame, fade);
            }
        }
        std::mem::swap(&mut self.clips, new);
    }
}

#[cfg(test)]
mod tests {
    use aulos_protocol::ports;

    use super::*;
    use crate::{Pcm, Segment, View};

    #[test]
    fn the_channel_map_is_the_one_of_links() {
        for file in 1..=6 {
            for track in 1..=6 {
                for channel in 0..track {
                    let mut got = Vec::new();
                    for_mapped(file, track, channel, |source, gain| got.push((source, gain)));
                    let map = ports::channel_map(file, track).into_iter();
                    let want: Vec<_> =
                        map.filter(|m| m.1 == channel).map(|(s, _, gain)| (s, gain.factor())).collect();
                    assert_eq!(got, want, "{file} to {track}, channel {channel}");
                }
            }
        }
    }

    fn run(player: &mut Player, frame: u64, position: u64, frames: usize) -> Vec<f32> {
        let segments = [Segment { offset: 0, len: frames, position, rolling: true, jumped: false }];
        let views = [View::whole(&segments, frames)];
        let mut outputs = vec![vec![9.0; frames]];
        let cycle = Cycle::new(frame, frames, &views);
        player.start(&cycle, &mut Io::new(&[], &[], &mut outputs, frames));
        outputs.remove(0)
    }

    #[test]
    fn clips_sound_where_they_lie_and_new_ones_fade_in() {
        let ones: Arc<dyn ClipSource> = Arc::new(Pcm::new(vec![vec![1.0; 100]]).unwrap());
        let clip = |id, at| PlacedClip::new(ClipId(id), at, None, 0, ones.clone());
        let mut player = Player::new(1, 64, vec![clip(1, 10)]);
        assert_eq!(run(&mut player, 0, 8, 4), [0.0, 0.0, 1.0, 1.0]);

        let mut gone = clip(1, 10);
        gone.dying = true;
        let mut patch: Patch = Box::new(vec![gone, clip(2, 10)]);
        player.patch(&mut patch, 4, 4);
        let mixed = run(&mut player, 4, 12, 5);
        assert!(mixed.iter().all(|x| (x - 1.0).abs() < 1e-6), "{mixed:?}");
        assert!(player.clips[0].fade.is_silent(8) && !player.clips[0].fade.is_silent(7));
        let returned = patch.downcast_ref::<Playlist>().unwrap();
        assert_eq!(returned.len(), 1);
    }
}
