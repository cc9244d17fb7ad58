//! Paths as seen from here, made fit for a server that sees them from elsewhere.

use std::path::{Path, absolute};

use aulos_protocol::Error;

use crate::failure::Failure;

/// The folder of a session that holds its own audio files.
const SESSION_AUDIO: &str = "audio";

/// The path as an absolute one.
///
/// # Errors
/// The current folder is gone, or the path is not UTF-8, which the protocol needs.
pub fn absolute_path(path: &Path) -> Result<String, Failure> {
    let whole = absolute(path)
        .map_err(|error| Error::io(&format!("tell the whole path of {}", path.display()), &error))?;
    text(&whole)
}

/// The path of an audio file: absolute, except that one below `audio/` which does not exist here is meant
/// relative to the session's folder.
///
/// # Errors
/// As [`absolute_path`].
pub fn audio_path(path: &Path) -> Result<String, Failure> {
    if path.is_relative() && path.starts_with(SESSION_AUDIO) && !path.exists() {
        return text(path);
    }
    absolute_path(path)
}

fn text(path: &Path) -> Result<String, Failure> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Failure::usage(format!("the path {} is not UTF-8, which the protocol needs", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    use super::*;

    #[test]
    fn relative_paths_are_those_of_the_caller() {
        // Tests run in the package's folder.
        let here = std::env::current_dir().unwrap();
        let here = |path: &str| here.join(path).to_str().unwrap().to_owned();
        assert_eq!(audio_path(Path::new("src/main.rs")).unwrap(), here("src/main.rs"));
        assert_eq!(audio_path(Path::new("missing.wav")).unwrap(), here("missing.wav"));
        assert_eq!(audio_path(Path::new("/tmp/a.wav")).unwrap(), "/tmp/a.wav");
        assert_eq!(audio_path(Path::new("audio/loop.wav")).unwrap(), "audio/loop.wav");
        assert_eq!(absolute_path(Path::new("audio/loop.wav")).unwrap(), here("audio/loop.wav"));
    }

    #[test]
    fn a_path_that_cannot_be_said_is_refused() {
        let path = Path::new(OsStr::from_bytes(b"/tmp/\xff.wav"));
        assert_eq!(absolute_path(path).unwrap_err().code(), 2);
    }
}
