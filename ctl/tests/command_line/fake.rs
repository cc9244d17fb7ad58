//! A server that answers from a sample session and changes nothing.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aulos_protocol::{
    Applied, Change, ClipId, Clock, Command, Error, ErrorCode, Event, Frames, Hello, LatencyReport,
    MeterReading, OperationState, PROTOCOL, ParamReading, Query, Reply, State, Telemetry, TransportState,
    params,
    wire::{Ask, FromServer, Request, read_request, write_from_server},
};
use serde_json::Value as Json;

use crate::samples;

/// How the server behaves.
#[derive(Clone, Debug, PartialEq)]
pub enum Mood {
    /// Answers everything.
    Willing,
    /// Refuses every command with this error.
    Refusing(Error),
    /// Takes connections and never answers.
    Deaf,
    /// Speaks another version of the protocol.
    Foreign,
    /// Hangs up on a subscriber after the first events.
    HangingUp,
    /// Never ends an operation unless it is cancelled.
    Endless,
}

/// A server at a socket of its own, which is gone when this is dropped.
pub struct Fake {
    path: PathBuf,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Fake {
    pub fn start(mood: Mood) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("aulosctl-test-{}-{number}.sock", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            let cancelled = Arc::new(AtomicUsize::new(0));
            for stream in listener.incoming() {
                let (mood, log, cancelled) = (mood.clone(), log.clone(), cancelled.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &mood, &log, &cancelled));
            }
        });
        Self { path, asked }
    }

    pub fn willing() -> Self {
        Self::start(Mood::Willing)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was asked since this was last asked, without the greetings.
    pub fn asked(&self) -> Vec<Request> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.retain(|request| !matches!(request.ask, Ask::Query(Query::Hello { .. })));
        asked
    }

    /// The commands among it.
    pub fn commands(&self) -> Vec<Command> {
        let command = |request: Request| match request.ask {
            Ask::Command(command) => Some(command),
            Ask::Query(_) => None,
        };
        self.asked().into_iter().filter_map(command).collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn serve(stream: UnixStream, mood: &Mood, log: &Mutex<Vec<Request>>, cancelled: &AtomicUsize) {
    let writer = stream.try_clone().unwrap();
    // A client that went away is no concern of the server.
    let say = |message| tell(&writer, &message);
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        if *mood == Mood::Deaf {
            continue;
        }
        let request = match read_request(&line) {
            Ok(request) => request,
            Err((id, error)) => {
                say(FromServer::Answer { id: id.unwrap_or(Json::Null), result: Err(error) });
                continue;
            }
        };
        log.lock().unwrap().push(request.clone());
        let result = match &request.ask {
            Ask::Command(_) if request.dry_run => Ok(would_change()),
            Ask::Command(command) => obey(command, mood, cancelled),
            Ask::Query(query) => reply(query, mood, cancelled),
        };
        let telemetry_hz = match (&request.ask, &result) {
            (Ask::Query(Query::Subscribe { telemetry_hz }), Ok(_)) => Some(*telemetry_hz),
            _ => None,
        };
        if let Some(id) = request.id {
            say(FromServer::Answer { id, result });
        }
        if let Ask::Command(Command::Shutdown { .. }) = request.ask {
            return;
        }
        if let Some(hz) = telemetry_hz {
            say(FromServer::Event(Event::Warning { message: "a file is missing".into() }));
            if *mood == Mood::HangingUp {
                if hz > 0.0 {
                    say(telemetry(0));
                    std::thread::sleep(Duration::from_millis(100));
                }
                say(FromServer::Event(Event::Dropped { reason: "too slow".into() }));
                return;
            }
            if hz > 0.0 {
                let writer = writer.try_clone().unwrap();
                std::thread::spawn(move || {
                    for round in 0.. {
                        if !tell(&writer, &telemetry(round)) {
                            return;
                        }
                        std::thread::sleep(Duration::from_millis(20));
                    }
                });
            }
        }
    }
}

/// Whether the client was there to hear it; one that went away is no concern of the server.
fn tell(mut stream: &UnixStream, message: &FromServer) -> bool {
    stream.write_all((write_from_server(message) + "\n").as_bytes()).is_ok()
}

/// The first has a peak that the others do not have.
fn telemetry(round: u64) -> FromServer {
    FromServer::Telemetry(Telemetry {
        frame: Frames(round * 960),
        transport: TransportState { rolling: true, position: Frames(round * 960), ..Default::default() },
        load: 0.1,
        late: 0,
        underruns: 0,
        meters: meters(if round == 0 { 1.0 } else { 0.5 }),
    })
}

fn meters(peak: f32) -> Vec<MeterReading> {
    vec![MeterReading { node: "drums".into(), peaks: vec![peak, 0.0], ..Default::default() }]
}

fn would_change() -> Reply {
    let mut drums = (**samples::session().node("drums").unwrap()).clone();
    drums.params.insert("gain".into(), aulos_protocol::Value::Number(-6.0));
    Reply::WouldChange { changes: vec![Change::Node(Arc::new(drums))] }
}

fn obey(command: &Command, mood: &Mood, cancelled: &AtomicUsize) -> Result<Reply, Error> {
    if let Mood::Refusing(error) = mood {
        return Err(error.clone());
    }
    let mut applied = Applied { revision: 18, frame: Frames(1000), ..Default::default() };
    match command {
        Command::Render(_) => return Ok(Reply::Started { operation: 7 }),
        Command::CancelOperation { .. } => {
            cancelled.store(1, Ordering::Relaxed);
            return Ok(Reply::Done);
        }
        Command::Play
        | Command::Pause
        | Command::Stop
        | Command::ResetLoudness { .. }
        | Command::Shutdown { .. } => return Ok(Reply::Done),
        Command::AddNode(new) => {
            applied.nodes = vec![new.name.clone().unwrap_or_else(|| new.kind.name().to_owned())];
        }
        Command::DuplicateNode { node, name } => {
            applied.nodes = vec![name.clone().unwrap_or_else(|| format!("{node}-2"))];
        }
        Command::AddClip { .. } => {
            applied.clips = vec![ClipId(40)];
            applied.warnings = vec!["the file is missing".into()];
        }
        Command::Link { .. } | Command::Unlink { .. } => applied.links = 2,
        Command::Undo => applied.step = Some("set drums gain".into()),
        _ => {}
    }
    Ok(Reply::Applied(applied))
}

fn reply(query: &Query, mood: &Mood, cancelled: &AtomicUsize) -> Result<Reply, Error> {
    let session = samples::session();
    let node = |name: &str| {
        let names = session.nodes.values().map(|node| node.slug.as_str());
        session.node(name).ok_or_else(|| Error::not_found("node", name, names))
    };
    Ok(match query {
        Query::Hello { .. } if *mood == Mood::Foreign => {
            return Err(Error::new(ErrorCode::Version, "the server speaks protocol 9")
                .remedy("use the aulosctl of the server's version"));
        }
        Query::Hello { .. } => Reply::Hello(Hello { protocol: PROTOCOL, version: "0.1.0".into() }),
        Query::Status => Reply::Status(Box::new(samples::status())),
        Query::Session => Reply::Session(Box::new(session)),
        Query::Node { node: name } => Reply::Node(node(name)?.clone()),
        Query::Get { node: name, param } => {
            let node = node(name)?;
            let reading = |p: &params::Param| ParamReading {
                name: p.name.into(),
                value: params::get(node, p),
                range: p.range(),
                choices: p.choices(),
                text: p.text.into(),
            };
            let params = match param {
                Some(name) => vec![reading(params::find(node, name)?)],
                None => params::of(node.kind, node.channels).iter().map(reading).collect(),
            };
            Reply::Params { params }
        }
        Query::Latency => {
            let (stages, links) = (Vec::new(), Vec::new());
            Reply::Latency(LatencyReport {
                rate: session.rate,
                total: Frames(0),
                stages,
                links,
                unaligned: Vec::new(),
            })
        }
        Query::Clock => Reply::Clock(Clock {
            number: 1,
            unix_ns: 1_800_000_000_000_000_000,
            frame: Frames(0),
            frames_per_second: 48_000.0,
            now_ns: 1_800_000_000_000_000_000,
        }),
        Query::Meters => Reply::Meters { meters: meters(0.5) },
        Query::Operation { operation } => Reply::Operation(progress(*operation, mood, cancelled)),
        Query::Analyze { .. } => Reply::Analysis(Box::default()),
        Query::Drivers => Reply::Drivers { drivers: samples::drivers() },
        Query::Schema => Reply::Schema(Json::Null),
        Query::Subscribe { .. } => Reply::Subscribed(Box::new(State {
            revision: 17,
            session,
            path: None,
            transport: TransportState::default(),
        })),
        Query::Unsubscribe => Reply::Done,
    })
}

fn progress(operation: u64, mood: &Mood, cancelled: &AtomicUsize) -> OperationState {
    let is_cancelled = cancelled.load(Ordering::Relaxed) > 0;
    OperationState {
        operation,
        title: "render /tmp/mix.wav".into(),
        progress: 0.5,
        ended: is_cancelled || *mood != Mood::Endless,
        error: is_cancelled.then(|| Error::new(ErrorCode::Unavailable, "the render was cancelled")),
        report: vec!["the input mic was silent".into()],
    }
}
