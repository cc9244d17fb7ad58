//! The sessions that were opened lately: a small file which servers write and `aulosctl session recent` reads.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::Error;

/// How many are remembered.
pub const MOST: usize = 50;
/// The largest file that is read, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// A session that was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    /// Its folder.
    pub path: String,
    /// Its name.
    pub name: String,
    /// When it was opened last, in seconds since 1970.
    pub opened: u64,
}

/// Where they are remembered: `aulos/recent` in `$XDG_STATE_HOME`, else in `~/.local/state`; nowhere without either.
pub fn place(env: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name| env(name).filter(|path: &String| Path::new(path).is_absolute()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("aulos/recent"))
}

/// Those that `file` remembers, the last one first; none if there is no such file.
///
/// # Errors
/// `Io` if it cannot be read or is no such list.
pub fn read(file: &Path) -> Result<Vec<Recent>, Error> {
    let io = |error: std::io::Error| Error::io(&format!("read {}", file.display()), &error);
    let mut text = String::new();
    match File::open(file) {
        Ok(opened) => opened.take(MOST_BYTES).read_to_string(&mut text).map_err(io)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    let mut list: Vec<Recent> = serde_json::from_str(&text).map_err(|error| io(error.into()))?;
    list.truncate(MOST);
    Ok(list)
}

/// Puts a session at the front of those that `file` remembers. A file that cannot be read is begun anew.
///
/// # Errors
/// `Io` if it cannot be written; the file is then as it was.
pub fn note(file: &Path, recent: Recent) -> Result<(), Error> {
    let mut list = read(file).unwrap_or_default();
    list.retain(|old| old.path != recent.path);
    list.insert(0, recent);
    list.truncate(MOST);
    let write = || -> std::io::Result<()> {
        let folder = file.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)?;
        // Of this process alone, so that servers that write at once do not meet.
        let partial = folder.join(format!(".recent-{}.partial", std::process::id()));
        let written = File::create(&partial).and_then(|mut new| {
            serde_json::to_writer_pretty(&mut new, &list)?;
            new.write_all(b"\n")?;
            new.sync_all()
        });
        let done = written.and_then(|()| fs::rename(&partial, file));
        if done.is_err() {
            // What is in the way is not worth another error.
            let _ = fs::remove_file(&partial);
        }
        done
    };
    write().map_err(|error| Error::io(&format!("write {}", file.display()), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_is_first_and_none_is_there_twice() {
        let folder = std::env::temp_dir().join(format!("aulos-recent-{}", std::process::id()));
        let file = folder.join("deep/recent");
        assert_eq!(read(&file).unwrap(), []);
        let recent = |n: usize| Recent { path: format!("/s/{n}"), name: format!("s{n}"), opened: n as u64 };
        for n in 0..60 {
            note(&file, recent(n)).unwrap();
        }
        note(&file, Recent { opened: 99, ..recent(30) }).unwrap();
        let list = read(&file).unwrap();
        assert_eq!((list.len(), list[0].opened, list[1].opened), (MOST, 99, 59));
        assert_eq!(list.iter().filter(|one| one.path == "/s/30").count(), 1);
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "nothing is left over");
        // What is damaged is told, and begun anew.
        fs::write(&file, "[{]").unwrap();
        assert!(read(&file).is_err());
        note(&file, recent(1)).unwrap();
        assert_eq!(read(&file).unwrap(), [recent(1)]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn they_are_remembered_where_state_belongs() {
        let env = |name: &str| match name {
            "HOME" => Some("/home/me".to_owned()),
            "XDG_STATE_HOME" => Some("relative".to_owned()),
            _ => None,
        };
        assert_eq!(place(env).unwrap(), Path::new("/home/me/.local/state/aulos/recent"));
        assert_eq!(
            place(|name| (name == "XDG_STATE_HOME").then(|| "/x".into())).unwrap(),
            Path::new("/x/aulos/recent")
        );
        assert_eq!(place(|_| None), None);
    }
}
