//! The clips of tracks: their files, and what players are told of them.

use std::{collections::BTreeSet, sync::Arc};

use aulos_nodes::{ClipSource, PlacedClip, Playlist};
use aulos_protocol::{Clip, ClipId, Error, Node, NodeId, NodeKind, Rate, Session};

use super::rack::{Dying, Rack};

/// Where the engine gets the samples of clips from.
pub trait ClipLibrary: Send {
    /// [control thread] The samples of a clip's file, at the session's rate.
    ///
    /// # Errors
    /// Why they cannot be had.
    fn open(&mut self, clip: &Clip, rate: Rate) -> Result<Arc<dyn ClipSource>, Error>;

    /// [control thread] All clips of `session` are open that can be, and are about to be heard. May wait a
    /// little until what sounds at once is in memory.
    fn opened(&mut self, _session: &Session) {}
}

impl Rack {
    /// Opens the files of the clips that `session` has and `old` had not. What cannot be opened is left silent
    /// and told; it is not tried again as long as the clip stays.
    pub fn open_clips(
        &mut self,
        old: Option<&Session>,
        session: &Session,
        library: &mut dyn ClipLibrary,
    ) -> Vec<Error> {
        let mut errors = Vec::new();
        let before = |track: &Node| old.and_then(|old| old.nodes.get(&track.id));
        let tracks = session.nodes.values().filter(|node| node.kind == NodeKind::Track);
        let changed = tracks.filter(|track| before(track).is_none_or(|before| !Arc::ptr_eq(before, track)));
        for (track, clip) in changed.flat_map(|track| track.clips.iter().map(move |clip| (track, clip))) {
            let had = |track: &Arc<Node>| track.clips.binary_search_by_key(&clip.id, |clip| clip.id).is_ok();
            if before(track).is_some_and(had) || self.clips.contains_key(&clip.id) {
                continue;
            }
            match library.open(clip, session.rate) {
                Ok(source) => {
                    self.clips.insert(clip.id, source);
                }
                Err(mut error) => {
                    error.message = format!("clip {} of {}: {}", clip.id, track.slug, error.message);
                    errors.push(error);
                }
            }
        }
        errors
    }

    /// Closes the files of clips that are neither in `session` nor fading out.
    pub fn close_clips(&mut self, session: &Session) {
        let mut used: BTreeSet<ClipId> =
            session.nodes.values().flat_map(|node| node.clips.iter().map(|clip| clip.id)).collect();
        used.extend(self.dying_clips.values().flatten().map(|(clip, _)| clip.id));
        self.clips.retain(|id, _| used.contains(id));
    }

    /// What the player of `track` is to play: its clips, and those that fade out.
    pub(super) fn playlist(&self, track: &Node) -> Playlist {
        let placed = |clip: &Clip| {
            let source = self.clips.get(&clip.id)?.clone();
            Some(PlacedClip::new(clip.id, clip.at.0, clip.length.map(|l| l.0), clip.offset.0, source))
        };
        let mut playlist: Playlist = track.clips.iter().filter_map(placed).collect();
        let dying = self.dying_clips.get(&track.id).into_iter().flatten();
        playlist.extend(dying.map(|(clip, _)| clip.clone()));
        playlist.sort_by_key(PlacedClip::key);
        playlist
    }

    /// The playlists of the tracks whose clips are not those of `old`, with the clips that are gone, or lie elsewhere
    /// now, as dying.
    pub fn changed_playlists(&mut self, old: &Session, new: &Session) -> Vec<(NodeId, Playlist)> {
        let mut changed = Vec::new();
        for track in new.nodes.values().filter(|node| node.kind == NodeKind::Track) {
            let other = |before: &&Arc<Node>| !Arc::ptr_eq(before, track) && before.clips != track.clips;
            let Some(before) = old.nodes.get(&track.id).filter(other) else { continue };
            let wanted: BTreeSet<_> =
                self.playlist(track).iter().filter(|clip| !clip.dying).map(PlacedClip::key).collect();
            let mut gone = self.playlist(before);
            gone.retain(|clip| !clip.dying && !wanted.contains(&clip.key()));
            let dying = self.dying_clips.entry(track.id).or_default();
            dying.retain(|(clip, _)| !wanted.contains(&clip.key()));
            dying.extend(gone.into_iter().map(|mut clip| {
                clip.dying = true;
                (clip, Dying { batch: self.batch, ends: None })
            }));
            changed.push((track.id, self.playlist(track)));
        }
        changed
    }

    /// The playlists of tracks from which clips have faded out by `now`.
    pub fn thinned_playlists(&mut self, session: &Session, now: u64) -> Vec<(NodeId, Playlist)> {
        let mut thinned = Vec::new();
        self.dying_clips.retain(|track, dying| {
            let before = dying.len();
            dying.retain(|(_, dying)| !dying.is_over(now));
            if dying.len() < before {
                thinned.push(*track);
            }
            !dying.is_empty()
        });
        let playlist = |track: NodeId| Some((track, self.playlist(session.nodes.get(&track)?)));
        thinned.into_iter().filter_map(playlist).collect()
    }

    /// Notes that the clips which began to fade out with a batch will have at the frame `ends`.
    pub fn clips_fade_until(&mut self, batch: u64, ends: u64) {
        let dying = self.dying_clips.values_mut().flatten().map(|(_, dying)| dying);
        dying.filter(|dying| dying.batch == batch).for_each(|dying| dying.ends = Some(ends));
    }

    /// Whether clips have faded out by `now`.
    pub fn has_silent_clips(&self, now: u64) -> bool {
        self.dying_clips.values().flatten().any(|(_, dying)| dying.is_over(now))
    }
}
