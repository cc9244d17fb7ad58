//! A session that moves into another folder: its audio is copied there, and unless all of it arrives, nothing stays.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, ErrorKind, Read},
    path::{Component, Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use aulos_protocol::{Error, ErrorCode, Session};

use crate::store::Folder;

/// How much is copied at once, in bytes: after that much it is on the disk, and a cancellation is looked at. What
/// plays from the same disk is not kept waiting by gigabytes that are written at the end.
const PIECE: u64 = 16 << 20;

/// A new folder for a session. Dropped before it is [kept](Moving::keep), it removes what it has made.
#[derive(Debug)]
pub struct Moving {
    /// Where relative names begin now.
    from: Option<PathBuf>,
    /// The names of the files that are there.
    done: BTreeSet<String>,
    /// The names of the files that were nowhere.
    missing: BTreeSet<String>,
    made: Made,
    /// Behind what is removed: it is held until then.
    folder: Folder,
}

impl Moving {
    /// Takes hold of the folder at `to`, for a session whose relative names begin at `from`.
    ///
    /// # Errors
    /// As [`Folder::claim`].
    pub fn begin(from: Option<PathBuf>, to: &Path) -> Result<Self, Error> {
        let mut made = Made::default();
        let new = not_there(&Folder::lock_in(to));
        let folder = Folder::claim(to)?;
        // Not before it is held: whoever was faster needs what is there.
        made.0.extend(new);
        Ok(Self { from, done: BTreeSet::new(), missing: BTreeSet::new(), made, folder })
    }

    /// The names of the files that `session` plays and that are yet to be copied.
    ///
    /// # Errors
    /// `InvalidArgument` for a relative name that leads out of the folder.
    pub fn lacks(&self, session: &Session) -> Result<BTreeSet<String>, Error> {
        let Some(from) = &self.from else { return Ok(BTreeSet::new()) };
        let mut names = BTreeSet::new();
        for clip in session.nodes.values().flat_map(|node| &node.clips) {
            let file = Path::new(&clip.file);
            if file.is_absolute() || self.done.contains(&clip.file) || names.contains(&clip.file) {
                continue;
            }
            if file.components().any(|part| !matches!(part, Component::Normal(_))) {
                return Err(Error::new(
                    ErrorCode::InvalidArgument,
                    format!("clip {} plays {}, which leads out of the session's folder", clip.id, clip.file),
                )
                .remedy("add the clip by its whole path before the session moves"));
            }
            // What was missing may have come since.
            if !self.missing.contains(&clip.file) || from.join(file).exists() {
                names.insert(clip.file.clone());
            }
        }
        Ok(names)
    }

    /// Copies the files of these names, on this thread. `progress` is told how much is done, 0 to 1.
    ///
    /// # Errors
    /// `Io`, `Exists` if there is another file of a name, or `Unavailable` if it was cancelled.
    pub fn copy(
        &mut self,
        names: &BTreeSet<String>,
        cancel: &AtomicBool,
        progress: &dyn Fn(f64),
    ) -> Result<(), Error> {
        let Some(from) = self.from.clone() else { return Ok(()) };
        let len = |name: &String| fs::metadata(from.join(name)).map_or(0, |file| file.len());
        let all = names.iter().map(len).sum::<u64>().max(1);
        let mut done = 0;
        let mut told = 0.0;
        for name in names {
            let (source, target) = (from.join(name), self.folder.path().join(name));
            if !source.exists() {
                self.missing.insert(name.clone());
                continue;
            }
            let mut went = |bytes: u64| {
                done += bytes;
                let part = (done as f64 / all as f64).min(1.0);
                // A hundred times are enough.
                if part >= told + 0.01 {
                    told = part;
                    progress(part);
                }
                if cancel.load(Relaxed) { Err(cancelled()) } else { Ok(()) }
            };
            copy(&source, &target, &mut self.made, &mut went).map_err(|stop| match stop {
                Stop::Other(error) => error,
                Stop::Io(error) if error.kind() == ErrorKind::AlreadyExists => {
                    let message = format!("{} is there already and is another file", target.display());
                    Error::new(ErrorCode::Exists, message).remedy("choose another folder")
                }
                Stop::Io(error) => {
                    Error::io(&format!("copy {} to {}", source.display(), target.display()), &error)
                }
            })?;
            self.missing.remove(name);
            self.done.insert(name.clone());
        }
        Ok(())
    }

    /// Saves the session, all of whose audio has arrived, in the new folder; answers with its files named from there.
    ///
    /// # Errors
    /// `Io`.
    pub fn save(&mut self, session: &Session) -> Result<Session, Error> {
        let session = self.folder.gathered(session);
        self.made.0.push(self.folder.session_file());
        self.folder.save(&session)?;
        Ok(session)
    }

    /// The new folder, in which everything stays.
    pub fn keep(mut self) -> Folder {
        self.made.0.clear();
        self.folder
    }
}

/// What a copy that is cancelled ends with.
pub fn cancelled() -> Error {
    Error::new(ErrorCode::Unavailable, "the saving was cancelled")
        .remedy("the session is still in its folder")
}

/// What was made, each file and folder behind those that it lies in; removed when it is dropped.
#[derive(Debug, Default)]
struct Made(Vec<PathBuf>);

/// `path` and the folders above it, as far as they are not there; the uppermost first.
fn not_there(path: &Path) -> Vec<PathBuf> {
    let mut missing: Vec<_> = path.ancestors().take_while(|path| path.symlink_metadata().is_err()).collect();
    missing.reverse();
    missing.into_iter().map(Path::to_owned).collect()
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            let is_folder = path.symlink_metadata().is_ok_and(|file| file.is_dir());
            let removed = if is_folder { fs::remove_dir(path) } else { fs::remove_file(path) };
            match removed {
                // What others have put there stays.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {}
                Err(error) => tracing::warn!("could not remove {}: {error}", path.display()),
                Ok(()) => {}
            }
        }
    }
}

/// Why a copy ends early.
enum Stop {
    Io(io::Error),
    /// What the one who was told how far it is has said.
    Other(Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Tells how many bytes more are done; an error ends the copy.
type Went<'a> = &'a mut dyn FnMut(u64) -> Result<(), Error>;

/// Copies a file, which gets its name when it is whole. A file that is there already must be the same.
fn copy(source: &Path, target: &Path, made: &mut Made, went: Went<'_>) -> Result<(), Stop> {
    went(0).map_err(Stop::Other)?;
    // Whoever opens a pipe waits.
    if !fs::metadata(source)?.is_file() {
        return Err(io::Error::other("it is no file").into());
    }
    if target.exists() {
        return if same(source, target, went)? {
            Ok(())
        } else {
            Err(Stop::Io(ErrorKind::AlreadyExists.into()))
        };
    }
    let folder = target.parent().unwrap_or(Path::new("/"));
    made.0.extend(not_there(folder));
    fs::create_dir_all(folder)?;
    let partial = tempfile::Builder::new().prefix(".audio-").suffix(".partial").tempfile_in(folder)?;
    let file = File::open(source)?;
    loop {
        let bytes = io::copy(&mut (&file).take(PIECE), &mut partial.as_file())?;
        partial.as_file().sync_data()?;
        went(bytes).map_err(Stop::Other)?;
        if bytes == 0 {
            break;
        }
    }
    partial.as_file().set_permissions(file.metadata()?.permissions())?;
    partial.as_file().sync_all()?;
    partial.persist(target).map_err(|error| error.error)?;
    made.0.push(target.to_owned());
    Ok(File::open(folder)?.sync_all()?)
}

/// Whether two files have the same contents.
fn same(a: &Path, b: &Path, went: Went<'_>) -> Result<bool, Stop> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    let mut left = a.metadata()?.len();
    if b.metadata()?.len() != left {
        return Ok(false);
    }
    let (mut of_a, mut of_b) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    while left > 0 {
        let next = left.min(1 << 16);
        a.read_exact(&mut of_a[..next as usize])?;
        b.read_exact(&mut of_b[..next as usize])?;
        if of_a[..next as usize] != of_b[..next as usize] {
            return Ok(false);
        }
        left -= next;
        went(next).map_err(Stop::Other)?;
    }
    Ok(true)
}
