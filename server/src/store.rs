//! Sessions on disk.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Component, Path, PathBuf},
    time::Duration,
};

use aulos_engine::session;
use aulos_protocol::{Error, ErrorCode, FORMAT, Session};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

/// The file in a session's folder that holds the session.
const FILE: &str = "session.json";
/// The file in a session's folder that a server holds while the session is open.
const LOCK: &str = "lock";
/// How the names of session files begin and end that are being written.
const UNFINISHED: (&str, &str) = (".session-", ".partial");
/// How long is waited for those who look whether a session is held; each of them takes some microseconds.
const LOOKERS_MAY_TAKE: Duration = Duration::from_millis(500);
/// The largest session file that is read, in bytes.
const MOST_BYTES: u64 = 1 << 30;

/// A session's folder, held by this server: no other server can open it meanwhile.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Held by flock; none where the folder is read-only and has none.
    _lock: Option<File>,
    /// Why nothing can be written here, if that is so.
    read_only: Option<Error>,
}

impl Folder {
    /// Takes hold of the folder at `path`, which must hold a session, and reads it. One that is
    /// read-only is opened to be played, without a lock if it has none.
    ///
    /// # Errors
    /// `NotFound` if there is none, `Busy` if another server holds it, `Io`, or what is wrong with the session.
    pub fn open(path: &Path) -> Result<(Self, Session), Error> {
        let file = path.join(FILE);
        if !file.is_file() {
            return Err(no_session(path));
        }
        let folder = Self::hold(path, true)?;
        let session = read(&file)?;
        Ok((folder, session))
    }

    /// Takes hold of a new folder at `path` for a session that is written at once.
    ///
    /// # Errors
    /// As [`Folder::claim`].
    pub fn create(path: &Path, session: &Session) -> Result<Self, Error> {
        let folder = Self::claim(path)?;
        folder.save(session)?;
        Ok(folder)
    }

    /// Takes hold of a folder at `path` for a session that is yet to be written; makes the folder if need be.
    ///
    /// # Errors
    /// `Exists` if a session is there already, `Busy`, `Io`.
    pub fn claim(path: &Path) -> Result<Self, Error> {
        if path.join(FILE).exists() {
            return Err(Error::new(
                ErrorCode::Exists,
                format!("there is a session in {} already", path.display()),
            )
            .remedy("open it with: aulosctl session open PATH, or choose another folder"));
        }
        fs::create_dir_all(path)
            .map_err(|e| Error::io(&format!("make the folder {}", path.display()), &e))?;
        Self::hold(path, false)
    }

    /// Takes hold of a folder; of one in which nothing can be written only `to_play`.
    fn hold(path: &Path, to_play: bool) -> Result<Self, Error> {
        let path =
            path.canonicalize().map_err(|e| Error::io(&format!("find the folder {}", path.display()), &e))?;
        let file = path.join(LOCK);
        let opened = File::options().create(true).truncate(false).write(true).open(&file);
        let (lock, read_only) = match opened {
            Ok(lock) => (Some(lock), None),
            Err(error) => {
                let refused =
                    matches!(error.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied);
                let told = Error::io(&format!("open {}", file.display()), &error);
                if !(refused && to_play) {
                    return Err(told);
                }
                // There may be a lock of a server that can write here.
                (File::open(&file).ok(), Some(told))
            }
        };
        if let Some(lock) = &lock {
            let mut left = LOOKERS_MAY_TAKE.as_millis();
            let passed = || {
                std::thread::sleep(Duration::from_millis(1));
                left -= 1;
                left > 0
            };
            take(lock, passed).map_err(|_| {
                Error::new(ErrorCode::Busy, format!("another server has the session {} open", path.display()))
                    .remedy("shut that server down, or open another session")
            })?;
            // One that gives up a folder which it has made removes the lock, too.
            if !is_same(lock, &file) {
                let message = format!("another server has just given up the folder {}", path.display());
                return Err(Error::new(ErrorCode::Busy, message).remedy("try again"));
            }
        }
        if read_only.is_none() {
            clear_up(&path);
        }
        Ok(Self { path, _lock: lock, read_only })
    }

    /// Why the session cannot be saved in this folder, if that was seen when it was opened.
    pub fn read_only(&self) -> Option<Error> {
        let why = self.read_only.as_ref()?;
        let message = format!("the session can be played, but not saved in {}: {why}", self.path.display());
        Some(Error::new(why.code, message).remedy("save it elsewhere: aulosctl session save PATH"))
    }

    /// Reads the session once more, as it was saved last.
    ///
    /// # Errors
    /// `Io`, or what is wrong with the session.
    pub fn reread(&self) -> Result<Session, Error> {
        read(&self.path.join(FILE))
    }

    /// Whether `path` leads to this folder.
    pub fn is_at(&self, path: &Path) -> bool {
        path.canonicalize().is_ok_and(|path| path == self.path)
    }

    /// The file that a server holds while the session in the folder at `path` is open.
    pub fn lock_in(path: &Path) -> PathBuf {
        path.join(LOCK)
    }

    /// The file that holds the session.
    pub fn session_file(&self) -> PathBuf {
        self.path.join(FILE)
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the session beside the old one and puts it in its place, so that there is a whole one at any time.
    ///
    /// # Errors
    /// `Io`; the session on disk is then the one from before.
    pub fn save(&self, session: &Session) -> Result<(), Error> {
        let target = self.path.join(FILE);
        let doing = format!("save the session to {}", target.display());
        let io = |e: std::io::Error| Error::io(&doing, &e);
        let mut file = tempfile::Builder::new()
            .prefix(UNFINISHED.0)
            .suffix(UNFINISHED.1)
            .tempfile_in(&self.path)
            .map_err(io)?;
        let mut text = serde_json::to_string_pretty(session)
            .map_err(|e| Error::new(ErrorCode::Internal, format!("could not {doing}: {e}")))?;
        text.push('\n');
        file.write_all(text.as_bytes()).map_err(io)?;
        // Temporary files are for their owner only; a session may be read by whoever could read the one before.
        let mode = fs::metadata(&target).map_or(0o644, |before| before.permissions().mode() & 0o777);
        file.as_file().set_permissions(fs::Permissions::from_mode(mode)).map_err(io)?;
        file.as_file().sync_all().map_err(io)?;
        file.persist(&target).map_err(|e| io(e.error))?;
        File::open(&self.path).and_then(|folder| folder.sync_all()).map_err(io)
    }

    /// The name that a clip of the session has for the file `file`, if that lies in this folder: its path from there,
    /// without `..`. What the folder reaches by a symbolic link in it lies in it, too.
    pub fn inside(&self, file: &str) -> Option<String> {
        let file = self.path.join(file);
        let within = self.folder_inside(file.parent()?)?.join(file.file_name()?);
        within.to_str().map(str::to_owned)
    }

    /// The session with the files that lie in this folder named by their paths from there.
    pub fn gathered(&self, session: &Session) -> Session {
        // Most clips lie in a few folders.
        let mut known: BTreeMap<PathBuf, Option<PathBuf>> = BTreeMap::new();
        session::name_files(session, |clip| {
            let file = Path::new(&clip.file);
            if !file.is_absolute() {
                return None;
            }
            let folder = file.parent()?;
            let within = known.entry(folder.to_owned()).or_insert_with(|| self.folder_inside(folder));
            within.as_ref()?.join(file.file_name()?).to_str().map(str::to_owned)
        })
    }

    /// The path from this folder to `folder`, if that lies in it: as it is named, or where it really is.
    fn folder_inside(&self, folder: &Path) -> Option<PathBuf> {
        let real = folder.canonicalize().ok();
        [Some(folder), real.as_deref()].into_iter().flatten().find_map(|folder| {
            let within = folder.ancestors().find(|above| self.is_at(above))?;
            let rest = folder.strip_prefix(within).ok()?;
            rest.components().all(|part| matches!(part, Component::Normal(_))).then(|| rest.to_owned())
        })
    }
}

/// The refusal of a folder without a session.
pub fn no_session(path: &Path) -> Error {
    Error::new(ErrorCode::NotFound, format!("there is no session in {}", path.display()))
        .expected(format!("a folder with a {FILE} in it"))
        .remedy("make one with: aulosctl session new PATH")
}

/// Reads the session in the folder at `path` without taking hold of it: as it was saved last.
///
/// # Errors
/// As [`Folder::open`], but for `Busy`.
pub fn look(path: &Path) -> Result<Session, Error> {
    let file = path.join(FILE);
    if file.is_file() { read(&file) } else { Err(no_session(path)) }
}

/// Takes the lock of a session. Those who look whether it is held hold it for a moment, but together: as long as they
/// are all, this is tried again when `passed` has let some time go by, until it says that it was enough.
fn take(lock: &File, mut passed: impl FnMut() -> bool) -> io::Result<()> {
    loop {
        match flock(lock, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => {}
            result => return Ok(result?),
        }
        // A server shares it with nobody.
        flock(lock, FlockOperation::NonBlockingLockShared)?;
        flock(lock, FlockOperation::Unlock)?;
        if !passed() {
            return Err(Errno::WOULDBLOCK.into());
        }
    }
}

/// Whether `path` still leads to this open file.
fn is_same(open: &File, path: &Path) -> bool {
    let place = |file: fs::Metadata| (file.dev(), file.ino());
    let there = fs::metadata(path).map(place);
    open.metadata().map(place).is_ok_and(|open| there.is_ok_and(|there| open == there))
}

/// Whether a server has the session in the folder at `path` open.
pub fn is_held(path: &Path) -> bool {
    File::open(path.join(LOCK)).is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockShared).is_err())
}

/// Removes what servers have left unfinished that were killed while they saved.
fn clear_up(folder: &Path) {
    let (prefix, suffix) = UNFINISHED;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let unfinished = name.to_str().is_some_and(|name| name.starts_with(prefix) && name.ends_with(suffix));
        if unfinished && let Err(error) = fs::remove_file(entry.path()) {
            tracing::warn!("could not remove {}: {error}", entry.path().display());
        }
    }
}

fn read(file: &Path) -> Result<Session, Error> {
    let doing = format!("read {}", file.display());
    let io = |e: std::io::Error| Error::io(&doing, &e);
    let opened = File::open(file).map_err(io)?;
    if opened.metadata().map_err(io)?.len() > MOST_BYTES {
        return Err(Error::new(ErrorCode::InvalidArgument, format!("{} is too large", file.display()))
            .expected("a session of at most 1 GiB"));
    }
    let mut bytes = Vec::new();
    opened.take(MOST_BYTES).read_to_end(&mut bytes).map_err(io)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        Error::new(ErrorCode::InvalidArgument, format!("the session is damaged: {error}")).remedy(MEND)
    });
    text.and_then(parse).map_err(|mut error| {
        error.message = format!("{}: {}", file.display(), error.message);
        error
    })
}

const MEND: &str = "mend the file at that place, or restore it from a backup";

/// Reads a session from its text and checks it.
///
/// # Errors
/// What is wrong with it, and where.
pub fn parse(text: &str) -> Result<Session, Error> {
    let damaged = |e: serde_json::Error| {
        Error::new(ErrorCode::InvalidArgument, format!("the session is damaged: {e}")).remedy(MEND)
    };
    let json: serde_json::Value = serde_json::from_str(text).map_err(damaged)?;
    // The format comes first: a newer one may have any shape.
    match json.get("format").and_then(serde_json::Value::as_u64) {
        Some(format) if format == u64::from(FORMAT) => {}
        Some(format) => {
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                format!("the session has the format {format}"),
            )
            .expected(format!("format {FORMAT}"))
            .remedy("open it with a server of the version that wrote it"));
        }
        None => {
            return Err(Error::new(ErrorCode::InvalidArgument, "this is not a session: it names no format")
                .expected(format!("\"format\": {FORMAT}")));
        }
    }
    let session: Session = serde_json::from_value(json).map_err(damaged)?;
    session::validate(&session)?;
    Ok(session)
}

#[cfg(test)]
mod tests {
    use aulos_protocol::Rate;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_session_survives_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let session = crate::control::fresh_session("s", Rate::default()).unwrap();
        let folder = Folder::create(&path, &session).unwrap();
        assert_eq!(Folder::open(&path).unwrap_err().code, ErrorCode::Busy);
        drop(folder);
        assert_eq!(Folder::open(&path).unwrap().1, session);
        assert_eq!(Folder::create(&path, &session).unwrap_err().code, ErrorCode::Exists);
    }

    #[test]
    fn who_looks_at_a_session_does_not_keep_a_server_from_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(LOCK);
        let open = || File::options().create(true).truncate(false).write(true).open(&file).unwrap();
        let looker = || {
            let file = open();
            flock(&file, FlockOperation::NonBlockingLockShared).unwrap();
            file
        };
        let mut lookers = vec![looker(), looker()];
        let lock = open();
        take(&lock, || lookers.pop().is_some()).unwrap();
        assert!(lookers.is_empty() && is_held(dir.path()));
        // Another server is not waited for, and one that only looks not for ever.
        assert!(take(&open(), || unreachable!("it is held")).is_err());
        drop(lock);
        let (_looker, mut times) = (looker(), 0);
        let passed = || {
            times += 1;
            times < 3
        };
        assert!(take(&open(), passed).is_err());
        assert_eq!(times, 3);
        assert!(!is_held(dir.path()));
    }

    #[test]
    fn what_lies_in_the_folder_is_named_from_there() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let session = crate::control::fresh_session("s", Rate::default()).unwrap();
        let folder = Folder::create(&base.join("s"), &session).unwrap();
        for made in ["s/audio/takes", "outside/deep"] {
            fs::create_dir_all(base.join(made)).unwrap();
        }
        symlink(base.join("s"), base.join("link")).unwrap();
        symlink(base.join("s/audio"), base.join("outside/in")).unwrap();
        symlink(base.join("outside/deep"), base.join("s/disk")).unwrap();
        for (file, expected) in [
            ("s/audio/a.wav", Some("audio/a.wav")),
            ("s/a.wav", Some("a.wav")),
            ("s/audio/takes/../a.wav", Some("audio/a.wav")),
            ("s/../s/audio/./a.wav", Some("audio/a.wav")),
            ("link/audio/a.wav", Some("audio/a.wav")),
            ("outside/in/a.wav", Some("audio/a.wav")),
            // It goes where the link in the session's folder leads.
            ("s/disk/a.wav", Some("disk/a.wav")),
            ("outside/deep/a.wav", None),
            ("s/disk/../a.wav", None),
            ("s/../a.wav", None),
            ("sessions/a.wav", None),
            ("s/gone/a.wav", Some("gone/a.wav")),
            ("s", None),
        ] {
            let whole = base.join(file).to_str().unwrap().to_owned();
            assert_eq!(folder.inside(&whole).as_deref(), expected, "{file}");
        }
        assert_eq!(folder.inside("audio/../a.wav").as_deref(), Some("a.wav"));
        assert_eq!(folder.inside("../a.wav"), None);
    }

    #[test]
    fn unknown_fields_of_a_session_are_kept() {
        let session = crate::control::fresh_session("s", Rate::default()).unwrap();
        let mut json = serde_json::to_value(&session).unwrap();
        json["colour"] = serde_json::json!("red");
        json["nodes"][0]["icon"] = serde_json::json!({ "x": 1 });
        let read = parse(&json.to_string()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), json);
    }

    /// Numbers of all kinds, those at the ends of the ranges above all, and what is no number.
    fn value() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::json;
        prop_oneof![
            8 => (0u64..2000).prop_map(|n| json!(n)),
            4 => (0u64..1000).prop_map(|n| json!(session::MAX_POSITION - 500 + n)),
            1 => any::<u64>().prop_map(|n| json!(n)),
            1 => any::<i64>().prop_map(|n| json!(n)),
            1 => any::<f64>().prop_map(|n| json!(n)),
            1 => ".{0,5}".prop_map(|text| json!(text)),
            1 => Just(serde_json::Value::Null),
        ]
    }

    proptest! {
        #[test]
        fn a_loop_is_read_as_it_is_written_or_refused(
            list in prop::collection::vec(value(), 0..4),
            alone in value(),
            is_list in prop::bool::weighted(0.9),
        ) {
            let mut json = serde_json::to_value(crate::control::fresh_session("s", Rate::default()).unwrap()).unwrap();
            json["loop_range"] = if is_list { list.into() } else { alone };
            let frame = |value: &serde_json::Value| value.as_u64().filter(|n| *n <= session::MAX_POSITION);
            let wanted = match json["loop_range"].as_array().map(Vec::as_slice) {
                Some([start, end]) => frame(start).zip(frame(end)).filter(|(start, end)| *end >= start + 480).map(Some),
                Some(_) => None,
                None => json["loop_range"].is_null().then_some(None),
            };
            let read = parse(&json.to_string());
            prop_assert_eq!(read.as_ref().ok().map(Session::loop_frames), wanted, "{}: {:?}", json["loop_range"], read);
            if let Ok(session) = read {
                prop_assert_eq!(parse(&serde_json::to_string(&session).unwrap()).unwrap(), session);
            }
        }

        #[test]
        fn any_text_is_a_session_or_refused(text in ".{0,300}") {
            prop_assert!(parse(&text).is_err());
        }

        #[test]
        fn a_session_with_a_hole_is_read_or_refused(at in 0usize..4000, len in 1usize..40) {
            let session = crate::control::fresh_session("s", Rate::default()).unwrap();
            let text = serde_json::to_string_pretty(&session).unwrap();
            let at = at % text.len();
            let end = (at + len).min(text.len());
            let cut = format!("{}{}", &text[..at], &text[end..]);
            // Whatever is read must be valid.
            if let Ok(session) = parse(&cut) {
                prop_assert!(session::validate(&session).is_ok());
            }
        }
    }
}
