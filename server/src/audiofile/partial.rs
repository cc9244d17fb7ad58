//! Files that appear only when they are whole.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aulos_protocol::{Error, ErrorCode};
use rustix::fs::{FlockOperation, OFlags, flock};

/// A file `PATH.partial` that becomes `PATH` by [`Partial::finish`], and is removed if it is dropped before.
#[derive(Debug)]
pub struct Partial {
    file: File,
    partial: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl Partial {
    /// Makes `PATH.partial`, or empties the one that a killed server has left.
    ///
    /// Errors: `not_found` if there is no such folder, `invalid_argument` if `target` is a folder or no name,
    /// `busy` if the file is being written already, `io` for all else.
    pub fn create(target: &Path) -> Result<Self, Error> {
        check(target)?;
        let mut name = OsString::from(target);
        name.push(".partial");
        let partial = PathBuf::from(name);
        let file = open(&partial).map_err(|error| refused(target, &error))?;
        Ok(Self { file, partial, target: target.to_owned(), finished: false })
    }

    /// The file, to write to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes the contents durable, then puts the file in its place, over any file that is there.
    pub fn finish(mut self) -> Result<(), Error> {
        self.try_finish().map_err(|error| refused(&self.target, &error))
    }

    fn try_finish(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.partial, &self.target)?;
        self.finished = true;
        // The new name is durable only with the folder that it is in.
        File::open(folder(&self.target))?.sync_all()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = std::fs::remove_file(&self.partial)
        {
            tracing::warn!(file = %self.partial.display(), %error, "could not remove an unfinished file");
        }
    }
}

/// The error of writing to `target`.
pub fn refused(target: &Path, error: &io::Error) -> Error {
    let path = target.display();
    match error.kind() {
        io::ErrorKind::WouldBlock => Error::new(ErrorCode::Busy, format!("{path} is being written already"))
            .remedy("wait until that is done, or take another name"),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Error::io(&format!("write {path}"), error).remedy("choose a folder that the server may write to")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::io(&format!("write {path}"), error).remedy("free some space, or choose another disk")
        }
        _ => Error::io(&format!("write {path}"), error),
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn check(target: &Path) -> Result<(), Error> {
    let path = target.display();
    let invalid = |message| {
        Error::new(ErrorCode::InvalidArgument, message)
            .expected("the path of a file to write")
            .remedy("add a name")
    };
    if target.is_dir() {
        return Err(invalid(format!("{path} is a folder")));
    }
    if target.file_name().is_none() {
        return Err(invalid(format!("\"{path}\" is not the name of a file")));
    }
    if target.exists() && !target.is_file() {
        return Err(invalid(format!("{path} is not a file")));
    }
    let folder = folder(target);
    if !folder.is_dir() {
        let message = format!("there is no folder {}", folder.display());
        return Err(Error::new(ErrorCode::NotFound, message)
            .expected("a path in a folder that exists")
            .remedy("make the folder, or choose another"));
    }
    Ok(())
}

/// Opens and empties the file at `path`, which nobody else has locked; else `WouldBlock`.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    // In a folder that others may write to, a link could stand there that leads to a file of ours.
    options.custom_flags(OFlags::NOFOLLOW.bits() as i32);
    loop {
        let file = options.open(path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        // Another writer may have finished in between: then this is its file, under its final name.
        let ours = file.metadata()?;
        match std::fs::metadata(path) {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => {
                file.set_len(0)?;
                return Ok(file);
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
}
