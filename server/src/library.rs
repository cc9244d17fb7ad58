//! The audio files of a session: which clip plays which, and what of them must be in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use aulos_engine::{ClipLibrary, Counters};
use aulos_nodes::ClipSource;
use aulos_protocol::{Clip, ClipId, Error, ErrorCode, Rate, Session};

use crate::disk::{Stream, Streams, Wanted};

/// How long the disk is waited for before something is given up.
pub const DISK_TIMEOUT: Duration = Duration::from_secs(30);

/// Opens the files of clips. Short files that lie under several clips are opened once.
pub struct Library {
    streams: Arc<Streams>,
    folder: Option<PathBuf>,
    by_clip: BTreeMap<ClipId, Weak<Stream>>,
    shared: BTreeMap<(PathBuf, Rate), Weak<Stream>>,
    /// Files of clips of which it was told that they are cut short.
    told: BTreeSet<PathBuf>,
    /// What is told of clips before they are heard.
    read_ahead: Option<Arc<ReadAhead>>,
}

impl Library {
    /// A library whose relative paths begin at `folder`.
    pub fn new(streams: Arc<Streams>, folder: Option<PathBuf>) -> Self {
        Self {
            streams,
            folder,
            by_clip: BTreeMap::new(),
            shared: BTreeMap::new(),
            told: BTreeSet::new(),
            read_ahead: None,
        }
    }

    /// Has `read_ahead` told of new clips before they are heard.
    pub fn that_plays(mut self, read_ahead: Arc<ReadAhead>) -> Self {
        self.read_ahead = Some(read_ahead);
        self
    }

    /// A library of the same disk thread for another session, in another folder.
    pub fn for_session(&self, folder: Option<PathBuf>) -> Self {
        Self::new(self.streams.clone(), folder)
    }

    /// Another folder for relative paths.
    pub fn set_folder(&mut self, folder: PathBuf) {
        self.folder = Some(folder);
    }

    fn path(&self, file: &str) -> Result<PathBuf, Error> {
        let file = Path::new(file);
        if file.is_absolute() {
            return Ok(file.to_owned());
        }
        match &self.folder {
            Some(folder) => Ok(folder.join(file)),
            None => Err(Error::new(
                ErrorCode::InvalidArgument,
                format!("\"{}\" is a relative path, and the session has no folder yet", file.display()),
            )
            .expected("an absolute path")
            .remedy("save the session to a folder first, or name the whole path")),
        }
    }

    fn stream(&mut self, path: PathBuf, rate: Rate) -> Result<Arc<Stream>, Error> {
        let key = (path, rate);
        if let Some(stream) = self.shared.get(&key).and_then(Weak::upgrade) {
            return Ok(stream);
        }
        let stream = self.streams.open_at(&key.0, rate)?;
        // A file that fits into memory as a whole serves any number of clips.
        if stream.capacity() >= stream.info().frames {
            self.shared.insert(key, Arc::downgrade(&stream));
        }
        Ok(stream)
    }

    /// What is to be told of files of `session` that end before what they say is their end: once of each, as long as
    /// it has a clip.
    pub fn shortages(&mut self, session: &Session) -> Vec<Error> {
        let clips = session.nodes.values().flat_map(|node| &node.clips);
        let streams = clips.filter_map(|clip| self.by_clip.get(&clip.id)?.upgrade());
        let short: BTreeMap<_, _> =
            streams.filter_map(|s| Some((s.path().to_owned(), s.shortage()?.clone()))).collect();
        let new = short.iter().filter(|(path, _)| !self.told.contains(*path));
        let errors = new.map(|(_, error)| error.clone()).collect();
        self.told = short.into_keys().collect();
        errors
    }

    /// Forgets what is closed, and says which files the clips of `session` play.
    pub fn spans(&mut self, session: &Session) -> Vec<Span> {
        self.by_clip.retain(|_, stream| stream.strong_count() > 0);
        self.shared.retain(|_, stream| stream.strong_count() > 0);
        let clips = session.nodes.values().flat_map(|node| &node.clips);
        clips
            .filter_map(|clip| {
                let stream = self.by_clip.get(&clip.id)?.upgrade()?;
                let present = stream.info().frames.saturating_sub(clip.offset.0);
                let len = clip.length.map_or(present, |length| length.0.min(present));
                Some(Span { at: clip.at.0, len, offset: clip.offset.0, stream })
            })
            .collect()
    }
}

impl ClipLibrary for Library {
    fn open(&mut self, clip: &Clip, rate: Rate) -> Result<Arc<dyn ClipSource>, Error> {
        let path = self.path(&clip.file)?;
        let stream = self.stream(path, rate)?;
        self.by_clip.insert(clip.id, Arc::downgrade(&stream));
        Ok(stream)
    }

    fn opened(&mut self, session: &Session) {
        /// What is heard before the read-ahead comes to it by itself.
        const AT_ONCE: u64 = 16_384;
        /// A slow disk must not keep everything else from being commanded.
        const PATIENCE: Duration = Duration::from_secs(1);
        let Some(read_ahead) = self.read_ahead.clone() else { return };
        read_ahead.set_spans(self.spans(session));
        if let Err(error) = read_ahead.wait_for(AT_ONCE, PATIENCE) {
            tracing::warn!("{error}; what is new may begin with silence");
        }
    }
}

/// Where a clip's samples lie on the timeline.
#[derive(Clone, Debug)]
pub struct Span {
    at: u64,
    len: u64,
    offset: u64,
    stream: Arc<Stream>,
}

impl Span {
    /// The frame of the timeline after its last.
    pub fn end(&self) -> u64 {
        self.at.saturating_add(self.len)
    }
}

/// Where the timeline goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// The position.
    pub position: u64,
    /// First and one-after-last frame of the loop.
    pub loop_range: Option<(u64, u64)>,
}

/// What must be in memory while `ahead` frames are played along each of `courses`, the most urgent first.
pub fn wanted(spans: &[Span], courses: &[Course], ahead: u64) -> Wanted {
    let mut wanted = Wanted::new();
    courses.iter().for_each(|course| want(&mut wanted, spans, *course, ahead));
    wanted
}

fn want(wanted: &mut Wanted, spans: &[Span], course: Course, ahead: u64) {
    for (from, to) in stretches(course, ahead) {
        for span in spans {
            let first = from.max(span.at);
            let last = to.min(span.end());
            if first < last {
                let file = span.offset + (first - span.at);
                wanted.add(&span.stream, file..file + (last - first));
            }
        }
    }
}

/// The stretches of the timeline that `ahead` frames go through.
fn stretches(course: Course, ahead: u64) -> Vec<(u64, u64)> {
    let Course { position, loop_range } = course;
    match loop_range {
        Some((start, end)) if position < end => {
            let to_end = end - position;
            if ahead <= to_end {
                return vec![(position, position + ahead)];
            }
            // More than once round needs no more than once round.
            vec![(position, end), (start, end.min(start + (ahead - to_end)))]
        }
        _ => vec![(position, position.saturating_add(ahead))],
    }
}

/// Keeps what the transport is about to play in memory. Shared by the control thread and by drivers that can
/// wait for the disk; never locked by a driver that cannot.
pub struct ReadAhead {
    streams: Arc<Streams>,
    ahead: u64,
    timeline: Mutex<Timeline>,
}

/// What is to be played.
#[derive(Default)]
struct Timeline {
    spans: Vec<Span>,
    counters: Option<Arc<Counters>>,
    loop_range: Option<(u64, u64)>,
    /// Where the transport is about to go.
    next: Option<Course>,
    /// Where it was a moment ago, the newest first: what fades out there is still read.
    last: Vec<Course>,
}

/// How many courses can fade out at once.
const FADING: usize = 3;
/// How much of a course that fades out is read.
const FADE_AHEAD: u64 = 8192;
/// What the streams must have room for beside the present window and the next: what fades out.
pub const FADE_ROOM: u64 = FADING as u64 * (FADE_AHEAD + 8192);

impl ReadAhead {
    /// Reads `ahead` frames ahead.
    pub fn new(streams: Arc<Streams>, ahead: u64) -> Self {
        Self { streams, ahead, timeline: Mutex::default() }
    }

    fn timeline(&self) -> MutexGuard<'_, Timeline> {
        self.timeline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The streams that are read.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Other clips.
    pub fn set_spans(&self, spans: Vec<Span>) {
        self.timeline().spans = spans;
        self.refresh();
    }

    /// How many files are open.
    pub fn open(&self) -> usize {
        let timeline = self.timeline();
        let mut files: Vec<*const Stream> = timeline.spans.iter().map(|s| Arc::as_ptr(&s.stream)).collect();
        files.sort_unstable();
        files.dedup();
        files.len()
    }

    /// Another engine, whose transport is followed from now on.
    pub fn follow(&self, counters: Arc<Counters>, loop_range: Option<(u64, u64)>) {
        let mut timeline = self.timeline();
        timeline.counters = Some(counters);
        timeline.loop_range = loop_range;
        (timeline.next, timeline.last) = (None, Vec::new());
        drop(timeline);
        self.refresh();
    }

    /// Another loop.
    pub fn set_loop(&self, loop_range: Option<(u64, u64)>) {
        self.timeline().loop_range = loop_range;
        self.refresh();
    }

    /// Reads ahead where the transport is about to go, too. `None` when it is there; where it was stays for a
    /// while.
    pub fn prepare(&self, next: Option<Course>) {
        let mut timeline = self.timeline();
        if next.is_none() {
            let here = timeline.counters.as_ref().map(|counters| counters.position());
            let here = here.map(|position| Course { position, loop_range: None });
            timeline.last.splice(0..0, here);
            timeline.last.truncate(FADING);
        }
        timeline.next = next;
        drop(timeline);
        self.refresh();
    }

    /// Whether everything is in memory that is needed to play from `course` on.
    pub fn ready(&self, course: Course) -> bool {
        let timeline = self.timeline();
        self.streams.ready(&wanted(&timeline.spans, &[course], self.ahead))
    }

    /// Tells the disk thread what is needed now.
    fn refresh(&self) {
        let timeline = self.timeline();
        let Some(counters) = &timeline.counters else { return };
        let here = Course { position: counters.position(), loop_range: timeline.loop_range };
        let mut needed = Wanted::new();
        want(&mut needed, &timeline.spans, here, self.ahead);
        timeline.last.iter().for_each(|course| want(&mut needed, &timeline.spans, *course, FADE_AHEAD));
        if let Some(next) = timeline.next {
            want(&mut needed, &timeline.spans, next, self.ahead);
        }
        self.streams.want(needed);
    }

    /// Refreshes what is read many times a second, on a thread of its own that ends with `this`: whatever the
    /// control thread is busy with, what plays goes on.
    ///
    /// # Errors
    /// `Io` if the thread cannot be started.
    pub fn keep_fresh(this: &Arc<Self>) -> Result<(), Error> {
        const PERIOD: Duration = Duration::from_millis(20);
        let this = Arc::downgrade(this);
        std::thread::Builder::new()
            .name("aulos-ahead".into())
            .spawn(move || {
                while let Some(read_ahead) = this.upgrade() {
                    read_ahead.refresh();
                    drop(read_ahead);
                    std::thread::sleep(PERIOD);
                }
            })
            .map(|_| ())
            .map_err(|error| Error::io("start the read-ahead thread", &error))
    }

    /// Waits until the next `frames` frames are in memory. For drivers that can wait.
    ///
    /// # Errors
    /// `Io` if the disk is too slow.
    pub fn wait(&self, frames: u64) -> Result<(), Error> {
        self.wait_for(frames, DISK_TIMEOUT)
    }

    fn wait_for(&self, frames: u64, timeout: Duration) -> Result<(), Error> {
        let needed = {
            let timeline = self.timeline();
            let Some(counters) = &timeline.counters else { return Ok(()) };
            let here = Course { position: counters.position(), loop_range: timeline.loop_range };
            let needed = wanted(&timeline.spans, &[here], frames);
            if self.streams.ready(&needed) {
                return Ok(());
            }
            self.streams.want(wanted(&timeline.spans, &[here], self.ahead));
            needed
        };
        self.streams.wait_ready(&needed, timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_read_ahead_across_its_seam() {
        let course = |position| Course { position, loop_range: Some((100, 200)) };
        assert_eq!(stretches(course(150), 20), [(150, 170)]);
        assert_eq!(stretches(course(150), 80), [(150, 200), (100, 130)]);
        assert_eq!(stretches(course(150), 1000), [(150, 200), (100, 200)]);
        assert_eq!(stretches(course(200), 10), [(200, 210)]);
    }
}
