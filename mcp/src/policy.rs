//! What agents may do.

use std::path::{Component, Path, PathBuf};

use aulos_protocol::{
    Change, Error, ErrorCode, Session,
    params::{self, Param, Unit},
};

/// What agents may do.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whether nothing may be changed.
    pub read_only: bool,
    /// The highest gain that may be set, in dB.
    pub ceiling_db: f64,
    /// How long what agents change takes to fade at least, in ms.
    pub ramp_ms: f64,
    /// The folders that files may be written to; anywhere if there are none.
    pub write_under: Vec<PathBuf>,
}

/// The shortest fade of edits that may be set, in ms: what an agent changes glides over it.
pub const SHORTEST_FADE_MS: f64 = 5.0;

impl Policy {
    /// Whether anything may be changed.
    ///
    /// # Errors
    /// [`ErrorCode::Unavailable`] if not.
    pub fn may_change(&self) -> Result<(), Error> {
        if self.read_only {
            return Err(Error::new(ErrorCode::Unavailable, "nothing can be changed: aulos-mcp is read-only")
                .expected("a tool that only looks, such as get_overview, query, get_meters or analyze")
                .remedy("only the person who started aulos-mcp with --read-only can change that"));
        }
        Ok(())
    }

    /// The fade of an edit, where it is longer than the session's own.
    pub fn fade_ms(&self, session: &Session) -> Option<f64> {
        (self.ramp_ms > session.edit_fade_ms).then_some(self.ramp_ms)
    }

    /// Whether these changes of `session` may be made. What was louder before, or is turned down, may stay.
    ///
    /// # Errors
    /// [`ErrorCode::OutOfRange`] for a gain above the ceiling and for fades that are too short.
    pub fn check(&self, session: &Session, changes: &[Change]) -> Result<(), Error> {
        for change in changes {
            match change {
                Change::Node(new) => {
                    let old = session.nodes.get(&new.id);
                    for param in params::of(new.kind, new.channels).iter().filter(|param| is_gain(param)) {
                        let db = params::get(new, param).as_f64();
                        let before = old.map(|old| params::get(old, param).as_f64());
                        self.gain(&format!("{}/{}", new.slug, param.name), db, before)?;
                    }
                }
                Change::Link(new) => {
                    let before = session.links.get(&new.id).map(|old| old.gain.get());
                    self.gain("the gain of a link", new.gain.get(), before)?;
                }
                Change::Session { edit_fade_ms, .. }
                    if *edit_fade_ms < SHORTEST_FADE_MS && *edit_fade_ms < session.edit_fade_ms =>
                {
                    let message = format!("an agent cannot make fades as short as {edit_fade_ms} ms");
                    return Err(Error::new(ErrorCode::OutOfRange, message)
                        .expected(format!("{SHORTEST_FADE_MS} ms or more, so that changes of gain glide")));
                }
                Change::Session { .. } | Change::NodeGone(_) | Change::LinkGone(_) => {}
            }
        }
        Ok(())
    }

    fn gain(&self, what: &str, db: f64, before: Option<f64>) -> Result<(), Error> {
        if db <= self.ceiling_db || before.is_some_and(|before| db <= before) {
            return Ok(());
        }
        Err(Error::new(ErrorCode::OutOfRange, format!("an agent cannot set {what} to {db} dB"))
            .expected(format!("at most {} dB, the gain ceiling for changes by agents", self.ceiling_db))
            .remedy("turn others down instead, or ask the person to do it or to raise --gain-ceiling"))
    }

    /// Whether a file or folder may be written at `path`.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] for a path that is not whole or lies outside of the folders that are allowed.
    pub fn may_write(&self, path: &str) -> Result<(), Error> {
        let whole = Path::new(path);
        if !whole.is_absolute() || whole.components().any(|part| part == Component::ParentDir) {
            return Err(Error::new(ErrorCode::InvalidArgument, format!("\"{path}\" is not a whole path"))
                .expected("a path that begins with / and has no .. in it"));
        }
        if self.write_under.is_empty() || self.write_under.iter().any(|folder| lies_in(whole, folder)) {
            return Ok(());
        }
        let folders: Vec<_> = self.write_under.iter().map(|folder| folder.display().to_string()).collect();
        Err(Error::new(ErrorCode::InvalidArgument, format!("agents may not write to {path}"))
            .expected(format!("a path in {}", folders.join(" or "))))
    }
}

/// Whether what is at `path`, or would be, lies in `folder`, whatever links lead there.
fn lies_in(path: &Path, folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    // A link that leads nowhere yet is there, too.
    let existing = path.ancestors().find(|part| part.symlink_metadata().is_ok());
    existing.and_then(|part| part.canonicalize().ok()).is_some_and(|part| part.starts_with(&folder))
}

/// Whether a parameter makes things louder.
fn is_gain(param: &Param) -> bool {
    param.unit == Unit::Decibels
        || (param.unit == Unit::Level && (param.name == "makeup" || param.name.ends_with("_gain")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aulos_protocol::{Node, NodeId, NodeKind, Rate, Slug, Value};

    use super::*;

    fn policy() -> Policy {
        Policy { read_only: false, ceiling_db: 6.0, ramp_ms: 100.0, write_under: Vec::new() }
    }

    fn track(gain: f64) -> Arc<Node> {
        let mut node = Node::new(NodeId(1), Slug::new("drums").unwrap(), NodeKind::Track, 2);
        node.params.insert("gain".into(), Value::Number(gain));
        Arc::new(node)
    }

    #[test]
    fn gains_above_the_ceiling_are_refused_unless_they_were_there() {
        let mut session = Session::new("s", Rate::default());
        let check = |session: &Session, gain| policy().check(session, &[Change::Node(track(gain))]);
        check(&session, 6.0).unwrap();
        let refused = check(&session, 6.5).unwrap_err();
        assert!(refused.message.contains("drums/gain"), "{refused}");
        session.nodes.insert(track(9.0));
        check(&session, 8.0).unwrap();
        assert!(check(&session, 9.5).is_err());
    }

    #[test]
    fn edits_of_agents_fade_no_faster_than_those_of_the_session() {
        let mut session = Session::new("s", Rate::default());
        assert_eq!(policy().fade_ms(&session), Some(100.0));
        session.edit_fade_ms = 250.0;
        assert_eq!(policy().fade_ms(&session), None);
    }

    #[test]
    fn whoever_may_only_look_is_told_what_there_is() {
        let only = Policy { read_only: true, ..policy() };
        assert!(only.may_change().unwrap_err().expected.unwrap().contains("get_overview"));
        policy().may_change().unwrap();
    }

    #[test]
    fn files_are_written_where_that_is_allowed() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let policy = Policy { write_under: vec![inside.path().to_owned()], ..policy() };
        let at = |folder: &Path, name: &str| folder.join(name).display().to_string();
        policy.may_write(&at(inside.path(), "new/mix.wav")).unwrap();
        std::os::unix::fs::symlink(outside.path(), inside.path().join("link")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("new"), inside.path().join("nowhere")).unwrap();
        for escape in [
            at(outside.path(), "mix.wav"),
            at(inside.path(), "../mix.wav"),
            at(inside.path(), "link/mix.wav"),
            at(inside.path(), "nowhere"),
            at(inside.path(), "nowhere/mix.wav"),
            "mix.wav".into(),
        ] {
            assert!(policy.may_write(&escape).is_err(), "{escape}");
        }
    }
}
