//! What a session on disk holds, told without opening it: nothing is played, held or written.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use aulos_engine::{Setup, Start};
use aulos_protocol::{Error, ErrorCode};
use serde_json::{Value as Json, json};

use crate::{
    disk::{READ_AHEAD, Streams},
    library::{Library, Span},
    store,
};

/// Describes the session in the folder at `path`, as it was saved last: `path`, `name`, `rate`, `tempo`, `signature`,
/// `loop_range` (`null` without a loop), `nodes` by kind, `links`, `clips`, `files`, `length` in frames, `held` (whether a server has it open), and `problems`, such as files
/// that are missing or cut short.
///
/// # Errors
/// `NotFound` if there is no session, `Io`, or what is wrong with it.
pub fn inspect(path: &Path) -> Result<Json, Error> {
    let path = path.canonicalize().map_err(|_| store::no_session(path))?;
    let session = store::look(&path)?;
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    session.nodes.values().for_each(|node| *kinds.entry(node.kind.name()).or_default() += 1);
    let clips: Vec<_> = session.nodes.values().flat_map(|node| &node.clips).collect();
    let mut files: Vec<&str> = clips.iter().map(|clip| clip.file.as_str()).collect();
    files.sort_unstable();
    files.dedup();

    let mut library = Library::new(Arc::new(Streams::new(READ_AHEAD)?), Some(path.clone()));
    let setup = Setup { max_block: session.max_block as usize, start: Start::default() };
    let (_controller, _engine, mut problems) = aulos_engine::engine(session.clone(), &mut library, setup)?;
    problems.extend(library.shortages(&session));
    let length = library.spans(&session).iter().map(Span::end).max().unwrap_or(0);
    let text = path.to_str().ok_or_else(|| {
        Error::new(ErrorCode::InvalidArgument, format!("the path {} is not UTF-8", path.display()))
    })?;
    Ok(json!({
        "path": text,
        "name": session.name,
        "rate": session.rate,
        "tempo": session.tempo,
        "signature": session.signature,
        "loop_range": session.loop_range,
        "nodes": kinds,
        "links": session.links.len(),
        "clips": clips.len(),
        "files": files.len(),
        "length": length,
        "held": store::is_held(&path),
        "problems": problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
    }))
}
