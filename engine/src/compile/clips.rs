//! The clips of tracks: their files, and what players are told of them.

use std::{collections::BTreeSet, sync::Arc};

use aulos_nodes::{ClipSource, PlacedClip, Playlist};
use aulos_protocol::{Clip, ClipId, Error, Node, NodeId, NodeKind, Range, Rate, Session};

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

/// The clips of the tracks that are not as in `old`, each with its track and with what it was.
fn changed_clips<'a>(
    old: Option<&'a Session>,
    session: &'a Session,
) -> impl Iterator<Item = (&'a Arc<Node>, &'a Clip, Option<&'a Clip>)> {
    let tracks = session.nodes.values().filter(|node| node.kind == NodeKind::Track);
    let pairs = tracks.map(move |track| (track, old.and_then(|old| old.nodes.get(&track.id))));
    let changed = pairs.filter(|(track, before)| before.is_none_or(|before| !Arc::ptr_eq(before, track)));
    changed.flat_map(|(track, before)| {
        track.clips.iter().map(move |clip| {
            let had = before.and_then(|before| {
                let n = before.clips.binary_search_by_key(&clip.id, |clip| clip.id).ok()?;
                before.clips.get(n)
            });
            (track, clip, had)
        })
    })
}

/// Whether `clip` of a file of `frames` frames begins before the end of its file.
fn is_heard(clip: &Clip, frames: u64) -> Result<(), Error> {
    let offset = clip.offset.0;
    if offset == 0 || offset < frames {
        return Ok(());
    }
    let range = Range { min: 0.0, max: frames.saturating_sub(1) as f64, unit: "frames".into() };
    let mut error = Error::out_of_range("the offset", offset as f64, range);
    error.message += &format!(", as {} has {frames} at the session's rate", clip.file);
    Err(error.remedy("let the clip begin before the end of its file, or remove it"))
}

impl Rack {
    /// Opens the files of the clips that `session` has and `old` had not. What cannot be opened is left silent
    /// and told; it is not tried again as long as the clip stays. So is a clip that begins behind the end of its
    /// file, whenever its offset changes.
    pub fn open_clips(
        &mut self,
        old: Option<&Session>,
        session: &Session,
        library: &mut dyn ClipLibrary,
    ) -> Vec<Error> {
        let mut errors = Vec::new();
        for (track, clip, before) in changed_clips(old, session) {
            let opened = match (self.clips.get(&clip.id), before) {
                (Some(_), Some(before)) if before.offset == clip.offset => continue,
                (Some(source), _) => Ok(source.clone()),
                // It could not be opened.
                (None, Some(_)) => continue,
                (None, None) => library.open(clip, session.rate),
            };
            let heard = opened.and_then(|source| {
                let heard = is_heard(clip, source.frames());
                self.clips.insert(clip.id, source);
                heard
            });
            if let Err(mut error) = heard {
                error.message = format!("clip {} of {}: {}", clip.id, track.slug, error.message);
                errors.push(error);
            }
        }
        errors
    }

    /// Whether [`Rack::open_clips`] would have nothing to tell.
    ///
    /// # Errors
    /// The first that it would tell.
    pub fn try_clips(
        &self,
        old: &Session,
        session: &Session,
        library: &mut dyn ClipLibrary,
    ) -> Result<(), Error> {
        for (_, clip, before) in changed_clips(Some(old), session) {
            match (self.clips.get(&clip.id), before) {
                (Some(source), Some(before)) if before.offset != clip.offset => {
                    is_heard(clip, source.frames())?;
                }
                (_, Some(_)) => {}
                (_, None) => is_heard(clip, library.open(clip, session.rate)?.frames())?,
            }
        }
        Ok(())
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
