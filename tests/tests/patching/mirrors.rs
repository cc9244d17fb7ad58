//! Subscribers that only apply the events they are told have the server's session.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command as Process, Stdio},
};

use aulos_protocol::{
    Bpm, Command, Decibels, Endpoint, Event, Frames, NewNode, Node, NodeKind, Place, Query, Reply, Session,
    State, Status, Value,
    client::{Client, Notice},
    mirror,
    params::{self, Param, Unit},
    ports::{self, Direction},
};
use aulos_tests::{
    random::Rng,
    server::{Server, ask, aulosctl},
};

use crate::desk::{noise, write_wav};

/// A replica that is kept by a client in this process.
struct Mirror {
    client: Client,
    state: State,
}

impl Mirror {
    fn new(server: &Server) -> Self {
        let mut client = server.client();
        match ask(&mut client, Query::Subscribe { telemetry_hz: 0.0 }) {
            Reply::Subscribed(state) => Self { client, state: *state },
            other => panic!("{other:?}"),
        }
    }

    /// Takes in one event.
    fn follow(&mut self) {
        if let Notice::Event(event) = self.client.notice().unwrap() {
            mirror::follow(&mut self.state, &event);
        }
    }

    /// Takes in events up to a revision.
    fn follow_to(&mut self, revision: u64) {
        while self.state.revision != revision {
            self.follow();
        }
    }
}

/// A replica that is kept from the lines of `aulosctl watch --json`.
struct Watch {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    state: State,
}

impl Watch {
    fn new(server: &Server) -> Self {
        let mut child = Process::new(aulosctl())
            .args(["watch", "--json"])
            .env("AULOS_SOCKET", server.socket())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        match serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() {
            Event::Opened(state) => Self { child, lines, state: *state },
            other => panic!("{other:?}"),
        }
    }

    fn follow(&mut self) {
        let event = serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap();
        mirror::follow(&mut self.state, &event);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}

/// What a random musician does.
struct Musician {
    rng: Rng,
    file: String,
}

impl Musician {
    fn node<'a>(&mut self, session: &'a Session) -> Option<&'a Node> {
        let nodes: Vec<_> = session.nodes.values().collect();
        (!nodes.is_empty()).then(|| &***self.rng.pick(&nodes))
    }

    /// An end of a link: the node, a group, or one port.
    fn end(&mut self, session: &Session, direction: Direction) -> Option<Endpoint> {
        let node = self.node(session)?;
        let groups: Vec<_> = ports::groups(node.kind, node.channels);
        let groups: Vec<_> = groups.into_iter().filter(|group| group.direction == direction).collect();
        let port = match self.rng.below(3) {
            0 => None,
            _ if groups.is_empty() => None,
            1 => Some(self.rng.pick(&groups).name.to_owned()),
            _ => {
                let ports: Vec<_> = groups.iter().flat_map(ports::Group::port_names).collect();
                Some(self.rng.pick(&ports).clone())
            }
        };
        Some(Endpoint { node: node.slug.to_string(), port })
    }

    fn value(&mut self, param: &Param) -> Value {
        match param.unit {
            Unit::Switch => Value::Switch(self.rng.percent(50)),
            Unit::Decibels if self.rng.percent(10) => Value::Silence,
            Unit::Frames => Value::Number(self.rng.below(3000) as f64),
            Unit::Count => Value::Number(self.rng.range(1, 4) as f64),
            _ => {
                let part = self.rng.below(1001) as f64 / 1000.0;
                Value::Number(param.min + (param.max - param.min) * part)
            }
        }
    }

    /// One edit; it may be refused.
    fn edit(&mut self, session: &Session) -> Option<Command> {
        Some(match self.rng.below(23) {
            0..4 => Command::AddNode(NewNode {
                kind: *self.rng.pick(&NodeKind::ALL),
                name: self.rng.percent(70).then(|| format!("node-{}", self.rng.below(30))),
                channels: self.rng.percent(70).then(|| self.rng.range(1, 4) as u16),
                params: Default::default(),
            }),
            4 => Command::RemoveNode { node: self.node(session)?.slug.to_string() },
            5..9 => {
                let node = self.node(session)?;
                let param = self
                    .rng
                    .pick(&params::of(node.kind, node.channels).iter().collect::<Vec<_>>())
                    .to_owned();
                let value = self.value(param);
                Command::SetParam { node: node.slug.to_string(), param: param.name.to_owned(), value }
            }
            9..14 => Command::Link {
                from: self.end(session, Direction::Out)?,
                to: self.end(session, Direction::In)?,
                gain: if self.rng.percent(50) { Decibels::new(self.rng.tenths(-600, 60)) } else { None },
            },
            14 | 15 => {
                let links: Vec<_> = session.links.values().collect();
                if links.is_empty() {
                    return None;
                }
                let link = (*self.rng.pick(&links)).clone();
                let end = |port| session.port_text(port).parse().unwrap();
                Command::Unlink { from: end(&link.from), to: end(&link.to) }
            }
            16 | 17 => Command::AddClip {
                track: self.track(session)?.slug.to_string(),
                file: self.file.clone(),
                at: Frames(self.rng.below(10_000)),
                offset: Frames(self.rng.below(1000)),
                length: self.rng.percent(50).then(|| Frames(self.rng.range(1, 2000))),
            },
            18 => {
                let track = self.track(session)?;
                let clip = track.clips.first()?.id;
                Command::RemoveClip { track: track.slug.to_string(), clip }
            }
            19 => {
                let (node, name) = (self.node(session)?.slug.to_string(), self.rng.below(30));
                Command::RenameNode { node, name: format!("node-{name}") }
            }
            20 => Command::DuplicateNode { node: self.node(session)?.slug.to_string(), name: None },
            21 => {
                let (node, other) =
                    (self.node(session)?.slug.to_string(), self.node(session)?.slug.to_string());
                let to = match self.rng.below(4) {
                    0 => Place::First,
                    1 => Place::Last,
                    2 => Place::Before(other),
                    _ => Place::After(other),
                };
                Command::MoveNode { node, to }
            }
            _ => Command::SetSession {
                name: self.rng.percent(50).then(|| format!("take {}", self.rng.below(100))),
                signature: None,
                tempo: Bpm::new(self.rng.tenths(100, 10_000)),
                edit_fade_ms: self.rng.percent(50).then(|| self.rng.tenths(0, 200)),
                max_latency_ms: self.rng.percent(50).then(|| self.rng.tenths(0, 600_000)),
            },
        })
    }

    fn track<'a>(&mut self, session: &'a Session) -> Option<&'a Node> {
        let tracks: Vec<_> = session.nodes.values().filter(|node| node.kind == NodeKind::Track).collect();
        if tracks.is_empty() { None } else { Some(&***self.rng.pick(&tracks)) }
    }

    /// Something to do.
    fn command(&mut self, session: &Session) -> Command {
        loop {
            let command = match self.rng.below(100) {
                0..12 => Some(Command::Undo),
                12..20 => Some(Command::Redo),
                20..23 => Some(Command::Play),
                23..25 => Some(Command::Stop),
                25..28 => Some(Command::Locate { position: Frames(self.rng.below(10_000)) }),
                28..30 => {
                    let start = self.rng.below(5000);
                    Some(Command::Loop { start: Some(Frames(start)), end: Some(Frames(start + 1000)) })
                }
                30..40 => Some(Command::Step { blocks: vec![self.rng.range(1, 1024) as u32; 3] }),
                40..50 => {
                    let commands = (0..self.rng.range(1, 5)).filter_map(|_| self.edit(session)).collect();
                    Some(Command::Batch { commands })
                }
                _ => self.edit(session),
            };
            if let Some(command) = command {
                return command;
            }
        }
    }
}

fn status(client: &mut Client) -> Status {
    match ask(client, Query::Status) {
        Reply::Status(status) => *status,
        other => panic!("{other:?}"),
    }
}

fn session(client: &mut Client) -> Session {
    match ask(client, Query::Session) {
        Reply::Session(session) => *session,
        other => panic!("{other:?}"),
    }
}

#[test]
fn replicas_have_the_servers_session_after_any_commands() {
    const DONE: usize = 400;
    let server = Server::stepped();
    let file = server.folder().join("noise.wav");
    write_wav(&file, &[noise(3000, 1), noise(3000, 2)]);
    let mut client = server.client();
    let mut mirrors = vec![Mirror::new(&server)];
    let mut watch = Watch::new(&server);
    let mut musician = Musician { rng: Rng::new(2), file: file.to_str().unwrap().to_owned() };
    let (mut done, mut edits, mut undone, mut refused, mut cycles) = (0, 0, 0, 0, 0);
    while done < DONE {
        let before = session(&mut client);
        let command = musician.command(&before);
        match client.command(command.clone()) {
            Ok(_) => {
                done += 1;
                edits += usize::from(session(&mut client) != before);
                undone += usize::from(matches!(command, Command::Undo | Command::Redo));
            }
            Err(error) => {
                refused += 1;
                cycles += usize::from(!error.path.is_empty());
                assert_eq!(session(&mut client), before, "{command:?} is refused and changes something");
            }
        }
        // Subscribers come at any time.
        if done % 100 == 50 && mirrors.len() < done / 100 + 2 {
            mirrors.push(Mirror::new(&server));
        }
        if done % 20 == 0 {
            let (status, session) = (status(&mut client), session(&mut client));
            for mirror in &mut mirrors {
                mirror.follow_to(status.revision);
                assert_eq!(mirror.state.session, session, "after {done} commands");
            }
        }
    }
    let counts =
        format!("{edits} edits, {undone} of them undo or redo; {refused} refused, {cycles} for cycles");
    assert!(edits > 200 && undone > 30 && refused > 30 && cycles > 0 && mirrors.len() == 5, "{counts}");

    // Where the transport is at the end, where the session is saved, and another that is opened.
    client.command(Command::Loop { start: None, end: None }).unwrap();
    client.command(Command::Stop).unwrap();
    let folder = server.folder().join("saved").to_str().unwrap().to_owned();
    client.command(Command::SaveSession { path: Some(folder) }).unwrap();
    let wanted = match ask(&mut server.client(), Query::Subscribe { telemetry_hz: 0.0 }) {
        Reply::Subscribed(state) => *state,
        other => panic!("{other:?}"),
    };
    let is_there = |state: &State| state.path == wanted.path;
    for mirror in &mut mirrors {
        while !is_there(&mirror.state) {
            mirror.follow();
        }
        assert_eq!((&mirror.state.session, mirror.state.revision), (&wanted.session, wanted.revision));
        assert_eq!(mirror.state.session.loop_range, None);
        assert!(!mirror.state.transport.rolling);
    }
    while !is_there(&watch.state) {
        watch.follow();
    }
    assert_eq!((&watch.state.session, watch.state.revision), (&wanted.session, wanted.revision));

    let folder = server.folder().join("new").to_str().unwrap().to_owned();
    let new = Command::NewSession { path: folder, rate: None, max_block: Some(256), discard: false };
    client.command(new).unwrap();
    let empty = session(&mut client);
    for mirror in &mut mirrors {
        while mirror.state.session != empty {
            mirror.follow();
        }
        assert_eq!(mirror.state.revision, 0);
    }
}
