//! Follows the session by the server's events: which nodes changed since when, what happened lately, and whom to
//! tell.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use aulos_protocol::{
    Change, Event, NodeId, PROTOCOL, Query, Reply, State, changes,
    client::{Client, Notice, unexpected},
    mirror,
};
use tokio::sync::broadcast;

/// How many nodes that are gone are remembered.
const MOST_GONE: usize = 256;
/// How many lines of what happened are remembered.
const MOST_LINES: usize = 200;
/// How many changes of resources wait for whoever tells them; who misses some takes all as changed.
const MOST_WAITING: usize = 1024;

/// Which resource changed: its address, or all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touched {
    /// The overview.
    Overview,
    /// The session: nodes came or went.
    Session,
    /// The log.
    Log,
    /// A node.
    Node(Arc<str>),
    /// Everything, as another session was opened or the server is back.
    All,
}

/// What is known of the session's changes.
#[derive(Debug)]
pub struct Follower {
    known: Arc<Mutex<Known>>,
    touched: broadcast::Sender<Touched>,
}

#[derive(Debug, Default)]
struct Known {
    /// The state, while the server is there.
    state: Option<State>,
    /// From which revision on every change is known.
    since: u64,
    /// When each node changed last.
    nodes: BTreeMap<NodeId, u64>,
    /// What is gone, and since when.
    gone: VecDeque<(u64, String)>,
    lines: VecDeque<String>,
}

/// What changed since a revision.
#[derive(Debug, PartialEq)]
pub struct Since {
    /// The nodes that changed or were added.
    pub nodes: BTreeSet<NodeId>,
    /// The names of nodes that are gone.
    pub gone: Vec<String>,
}

impl Default for Follower {
    fn default() -> Self {
        Self { known: Arc::default(), touched: broadcast::channel(MOST_WAITING).0 }
    }
}

impl Follower {
    /// Follows the server for as long as the process runs, on a thread of its own. `connect` is tried again when the
    /// connection is lost.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(
        &self,
        connect: impl Fn() -> Result<Client, aulos_protocol::Error> + Send + 'static,
    ) -> std::io::Result<()> {
        let (known, touched) = (self.known.clone(), self.touched.clone());
        std::thread::Builder::new().name("aulos-mcp-follow".into()).spawn(move || {
            loop {
                let lost = connect().and_then(|client| follow(client, &known, &touched));
                let mut known = lock(&known);
                if known.state.take().is_some() {
                    let why = lost.err().map_or_else(|| "it ended".to_owned(), |error| error.to_string());
                    known.note(format!("the server is gone: {why}"));
                    drop(known);
                    tell(&touched, Touched::All);
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        })?;
        Ok(())
    }

    /// Hears which resources change from now on.
    pub fn listen(&self) -> broadcast::Receiver<Touched> {
        self.touched.subscribe()
    }

    /// What changed from `revision` up to `now`, if that is known. Waits a moment for the events of what has just
    /// been done.
    pub fn since(&self, revision: u64, now: u64) -> Option<Since> {
        const PATIENCE: Duration = Duration::from_secs(1);
        let begun = Instant::now();
        loop {
            let known = lock(&self.known);
            let at = known.state.as_ref()?.revision;
            if at >= now {
                let lost =
                    known.gone.len() == MOST_GONE && known.gone.front().is_some_and(|g| g.0 > revision);
                if revision < known.since || revision > at || lost {
                    return None;
                }
                let nodes = known.nodes.iter().filter(|(_, at)| **at > revision).map(|(id, _)| *id).collect();
                let gone = known.gone.iter().filter(|(at, _)| *at > revision).map(|(_, name)| name.clone());
                return Some(Since { nodes, gone: gone.collect() });
            }
            drop(known);
            if begun.elapsed() > PATIENCE {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What happened lately, the newest last.
    pub fn lines(&self) -> Vec<String> {
        lock(&self.known).lines.iter().cloned().collect()
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tell(touched: &broadcast::Sender<Touched>, what: Touched) {
    // Nobody may be listening.
    let _ = touched.send(what);
}

fn follow(
    mut client: Client,
    known: &Mutex<Known>,
    touched: &broadcast::Sender<Touched>,
) -> Result<(), aulos_protocol::Error> {
    let Reply::Subscribed(state) = client.query(Query::Subscribe { telemetry_hz: 0.0 })? else {
        return Err(unexpected("the state"));
    };
    client.set_timeout(None)?;
    tracing::info!("connected to a server of protocol {PROTOCOL}");
    lock(known).begin(*state);
    tell(touched, Touched::All);
    loop {
        if let Notice::Event(event) = client.notice()? {
            for what in lock(known).note_event(&event) {
                tell(touched, what);
            }
        }
    }
}

impl Known {
    fn begin(&mut self, state: State) {
        self.since = state.revision;
        self.nodes.clear();
        self.gone.clear();
        self.note(format!("revision {} of the session {}", state.revision, state.session.name));
        self.state = Some(state);
    }

    fn note(&mut self, line: String) {
        if self.lines.len() == MOST_LINES {
            self.lines.pop_front();
        }
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        self.lines.push_back(format!("{seconds} {line}"));
    }

    fn note_event(&mut self, event: &Event) -> BTreeSet<Touched> {
        let mut touched = BTreeSet::from([Touched::Log]);
        match event {
            Event::Changed { revision, changes, .. } => {
                let Some(state) = &mut self.state else { return touched };
                let before = state.session.clone();
                let lines = changes::lines(&mut before.clone(), changes);
                mirror::follow(state, event);
                let after = state.session.clone();
                touched.insert(Touched::Overview);
                for change in changes {
                    let ids = match change {
                        Change::Node(node) => {
                            if before.nodes.get(&node.id).is_none_or(|old| old.slug != node.slug) {
                                touched.insert(Touched::Session);
                            }
                            vec![node.id]
                        }
                        Change::NodeGone(id) => {
                            touched.insert(Touched::Session);
                            vec![*id]
                        }
                        Change::Link(link) => vec![link.from.node, link.to.node],
                        Change::LinkGone(id) => {
                            let link = before.links.get(id);
                            link.map(|link| vec![link.from.node, link.to.node]).unwrap_or_default()
                        }
                        Change::Session { .. } => Vec::new(),
                    };
                    for id in ids {
                        for node in [before.nodes.get(&id), after.nodes.get(&id)].into_iter().flatten() {
                            touched.insert(Touched::Node(node.slug.as_str().into()));
                        }
                        if after.nodes.get(&id).is_some() {
                            self.nodes.insert(id, *revision);
                        } else if let Some(node) = before.nodes.get(&id) {
                            self.nodes.remove(&id);
                            let gone = (*revision, node.slug.to_string());
                            if !self.gone.contains(&gone) {
                                if self.gone.len() == MOST_GONE {
                                    self.gone.pop_front();
                                }
                                self.gone.push_back(gone);
                            }
                        }
                    }
                }
                for line in lines.into_iter().take(MOST_LINES / 4) {
                    self.note(format!("revision {revision}: {line}"));
                }
            }
            Event::Opened(state) => {
                self.begin((**state).clone());
                touched.insert(Touched::All);
            }
            Event::Transport { transport, .. } => {
                touched.insert(Touched::Overview);
                let does = if transport.rolling { "plays" } else { "stands" };
                self.note(format!("the transport {does} at {}", transport.position));
            }
            Event::Driver(driver) => {
                touched.insert(Touched::Overview);
                let lost = driver.lost.as_ref().map(|why| format!(", lost: {why}")).unwrap_or_default();
                self.note(format!("the driver is {}{lost}", driver.name));
            }
            Event::Saved { path } => {
                touched.insert(Touched::Overview);
                self.note(format!("saved to {path}"));
            }
            Event::Operation(state) if state.ended => {
                touched.insert(Touched::Overview);
                let how = state.error.as_ref().map_or_else(|| "done".to_owned(), ToString::to_string);
                self.note(format!("{}: {how}", state.title));
            }
            Event::Warning { message } => {
                touched.insert(Touched::Overview);
                self.note(format!("warning: {message}"));
            }
            Event::Aligned { .. } | Event::Operation(_) | Event::Dropped { .. } => touched.clear(),
        }
        touched
    }
}

#[cfg(test)]
mod tests {
    use aulos_protocol::{Frames, Node, NodeKind, Rate, Session, Slug, TransportState};

    use super::*;

    fn known(revision: u64) -> Known {
        let session = Session::new("s", Rate::default());
        let mut known = Known::default();
        known.begin(State { revision, session, path: None, transport: TransportState::default() });
        known
    }

    fn changed(revision: u64, change: Change) -> Event {
        Event::Changed { revision, frame: Frames(0), changes: vec![change] }
    }

    #[test]
    fn what_changed_since_a_revision_is_known_and_what_came_before_is_not() {
        let node = Arc::new(Node::new(NodeId(1), Slug::new("drums").unwrap(), NodeKind::Track, 2));
        let mut known = known(5);
        let touched = known.note_event(&changed(6, Change::Node(node)));
        assert!(touched.contains(&Touched::Session) && touched.contains(&Touched::Node("drums".into())));
        let follower = Follower { known: Arc::new(Mutex::new(known)), ..Default::default() };
        assert_eq!(follower.since(5, 6).unwrap().nodes, [NodeId(1)].into());
        assert_eq!(follower.since(6, 6).unwrap().nodes, [].into());
        assert_eq!(follower.since(4, 6), None);
        lock(&follower.known).note_event(&changed(7, Change::NodeGone(NodeId(1))));
        let since = follower.since(6, 7).unwrap();
        assert_eq!((since.nodes.len(), since.gone), (0, vec!["drums".to_owned()]));
    }

    #[test]
    fn what_happened_is_remembered_only_so_long() {
        let mut known = known(0);
        for n in 0..1000 {
            known.note_event(&Event::Warning { message: n.to_string() });
        }
        assert_eq!(known.lines.len(), MOST_LINES);
        assert!(known.lines.back().unwrap().ends_with("warning: 999"));
    }
}
