//! Files that clips play, which nothing may be written over.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::Path,
};

use aulos_protocol::{Error, ErrorCode, Session};

/// Refuses to write any of `targets` if a clip of `session`, whose relative paths begin at `folder`, plays it, by
/// whatever name; also what would be emptied while it is written.
///
/// # Errors
/// `InvalidArgument`, with the clip.
pub fn spare<'a>(
    session: &Session,
    folder: Option<&Path>,
    targets: impl IntoIterator<Item = &'a Path>,
) -> Result<(), Error> {
    let mut played = BTreeMap::new();
    for node in session.nodes.values() {
        for clip in &node.clips {
            let file = Path::new(&clip.file);
            let path = folder.map_or_else(|| file.to_owned(), |folder| folder.join(file));
            if let Ok(found) = fs::metadata(path) {
                played.entry(identity(&found)).or_insert((clip.id, &node.slug));
            }
        }
    }
    for target in targets {
        let mut partial = OsString::from(target);
        partial.push(".partial");
        // The first is replaced, the second emptied; where a link stands for it, that is refused anyway.
        let touched = [fs::metadata(target), fs::symlink_metadata(partial)];
        let touched = touched.into_iter().flatten().find_map(|found| played.get(&identity(&found)));
        if let Some((clip, track)) = touched {
            let message = format!("{} is played by clip {clip} of {track}", target.display());
            return Err(Error::new(ErrorCode::InvalidArgument, message)
                .expected("a file that no clip of the session plays")
                .remedy("take another name"));
        }
    }
    Ok(())
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}
