//! Machines that are made up for tests.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use super::{Finding, Machine, checks};

/// A tree of files that a machine could have, gone when this is dropped.
pub struct Tree(PathBuf);

impl Tree {
    /// Without files.
    pub fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let name = format!("aulos-doctor-{}-{}", std::process::id(), LAST.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Where a file of it is.
    pub fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    fn folder_of(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
    }

    /// With this file.
    pub fn write(&self, path: &str, text: &str) -> &Self {
        let path = self.path(path);
        Self::folder_of(&path);
        fs::write(path, text).unwrap();
        self
    }

    /// With a link to something; to nothing, it is what nobody can open, root included.
    pub fn link(&self, path: &str, to: &str) -> &Self {
        let path = self.path(path);
        Self::folder_of(&path);
        std::os::unix::fs::symlink(to, path).unwrap();
        self
    }

    /// What is found there, by its name.
    pub fn look(&self, env: &dyn Fn(&str) -> Option<String>) -> BTreeMap<&'static str, Finding> {
        let machine = Machine { root: self.0.clone(), env };
        checks::all(&machine).into_iter().map(|finding| (finding.name, finding)).collect()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
