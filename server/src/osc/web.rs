//! OSCQuery: what the addresses are, by HTTP, and what they are worth, by WebSocket.
//!
//! A WebSocket is a connection like those by TCP, whose packets need no framing, and which may listen to addresses one
//! by one. Web pages of elsewhere reach this machine's ports by its own browser: they are told apart by the headers
//! that a browser cannot leave out.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr, TcpListener as StdListener},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64, atomic::Ordering::Relaxed},
    time::Duration,
};

use aulos_osc::{framing::MOST_BYTES, tree};
use aulos_protocol::{Error, State};
use axum::{
    Router,
    extract::{
        Extension, Request,
        ws::{Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{
        HeaderMap, HeaderName, Method, StatusCode,
        header::{CONTENT_TYPE, HOST, ORIGIN},
    },
    response::{IntoResponse, Response},
};
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use serde_json::{Map, Value as Json, json};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
};

use super::{
    access::Access,
    outbox::Out,
    tcp::{Connection, FromTcp, Line, MOST_CONNECTIONS, MOST_PACKETS, MOST_WRITTEN, PATIENCE},
};

/// The longest message of OSCQuery that is read, in bytes.
const MOST_TEXT: usize = 4096;
/// How many descriptions are made at once: one of all of a large session takes megabytes.
const MOST_DESCRIBED: usize = 4;
/// How long a connection can ask by HTTP, until it must come again: one that reads nothing is not to hold its place.
const LONGEST: Duration = Duration::from_secs(60);

/// What is served.
pub struct Door {
    /// Who is let in.
    pub access: Access,
    /// Where OSC is listened to.
    pub osc: SocketAddr,
    /// Numbers of connections.
    pub numbers: Arc<AtomicU64>,
    /// To the desk.
    pub out: mpsc::Sender<FromTcp>,
}

/// What handlers share.
struct Shared {
    access: Mutex<Access>,
    osc: SocketAddr,
    numbers: Arc<AtomicU64>,
    out: mpsc::Sender<FromTcp>,
    describing: Semaphore,
}

/// Who asks. The connection's place is held until it is closed, also as a WebSocket.
#[derive(Clone)]
struct Peer {
    address: SocketAddr,
    _place: Arc<OwnedSemaphorePermit>,
}

/// Serves until it is aborted.
///
/// # Errors
/// If the socket cannot be used.
pub async fn serve(listener: StdListener, door: Door) -> Result<Infallible, Error> {
    let io = |error: std::io::Error| Error::io("serve OSCQuery", &error);
    let listener = TcpListener::from_std(listener).map_err(io)?;
    let Door { access, osc, numbers, out } = door;
    let shared = Arc::new(Shared {
        access: Mutex::new(access),
        osc,
        numbers,
        out,
        describing: Semaphore::new(MOST_DESCRIBED),
    });
    let app = Router::new().fallback(answer).layer(Extension(shared.clone()));
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: those that are open may close meanwhile.
                tracing::warn!("could not take a connection for OSCQuery: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let place = places.clone().try_acquire_owned();
        let Ok(place) = place else {
            shared.refuse(address, "there are too many connections by HTTP");
            continue;
        };
        if !shared.admits(address) {
            shared.refuse(address, "it is not allowed, see osc.allow");
            continue;
        }
        let service = app.clone().layer(Extension(Peer { address, _place: Arc::new(place) }));
        tokio::spawn(async move {
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
                .with_upgrades();
            match tokio::time::timeout(LONGEST, served).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!("OSCQuery of {address} broke: {error}"),
                Err(_) => tracing::debug!("OSCQuery of {address} is closed after {} s", LONGEST.as_secs()),
            }
        });
    }
}

impl Shared {
    fn admits(&self, peer: SocketAddr) -> bool {
        self.access.lock().unwrap_or_else(PoisonError::into_inner).admits(peer)
    }

    fn refuse(&self, peer: SocketAddr, why: &str) {
        self.access.lock().unwrap_or_else(PoisonError::into_inner).refuse(peer, why);
        // Only counted; a desk that is busy counts the next one.
        let _ = self.out.try_send(FromTcp::Refused);
    }

    /// The state; none when the server goes down.
    async fn state(&self) -> Option<State> {
        let (answer, answered) = oneshot::channel();
        self.out.send(FromTcp::State { answer }).await.ok()?;
        answered.await.ok()
    }

    /// Who is served where, and how.
    fn host_info(&self) -> Json {
        let extensions: Map<_, _> = tree::ATTRIBUTES
            .into_iter()
            .filter(|name| !["FULL_PATH", "CONTENTS", "TYPE"].contains(name))
            .chain(["LISTEN", "PATH_CHANGED", "PATH_ADDED", "PATH_REMOVED", "PATH_RENAMED"])
            .map(|name| (name.to_owned(), Json::Bool(true)))
            .collect();
        let mut info = json!({
            "NAME": "Aulos",
            "EXTENSIONS": Json::Object(extensions),
            "OSC_PORT": self.osc.port(),
            "OSC_TRANSPORT": "UDP",
        });
        // Else it is where this was asked.
        if !self.osc.ip().is_unspecified() {
            info["OSC_IP"] = self.osc.ip().to_string().into();
        }
        info
    }
}

async fn answer(
    Extension(shared): Extension<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    if let Err(why) = trusted(request.headers()) {
        shared.refuse(peer.address, &why);
        return told(StatusCode::FORBIDDEN, &why);
    }
    if let Ok(upgrade) = upgrade {
        return upgrade
            .max_message_size(MOST_BYTES)
            .max_frame_size(MOST_BYTES)
            .on_upgrade(move |socket| speak(socket, peer, shared));
    }
    if request.method() != Method::GET {
        return told(StatusCode::METHOD_NOT_ALLOWED, "values are set by OSC; here is only GET");
    }
    let attribute = request.uri().query().unwrap_or_default();
    if attribute == "HOST_INFO" {
        return json(&shared.host_info());
    }
    if !attribute.is_empty() && !tree::ATTRIBUTES.contains(&attribute) {
        let known = tree::ATTRIBUTES.join(", ");
        return told(StatusCode::BAD_REQUEST, &format!("there are the attributes {known} and HOST_INFO"));
    }
    // Never closed.
    let _turn = shared.describing.acquire().await;
    let Some(state) = shared.state().await else {
        return told(StatusCode::SERVICE_UNAVAILABLE, "the server is going down");
    };
    let path = request.uri().path().to_owned();
    // A large session has many addresses.
    let described = tokio::task::spawn_blocking(move || tree::describe(&state, &path)).await;
    match described {
        Ok(Some(node)) if attribute.is_empty() => json(&node),
        Ok(Some(node)) => match node.get(attribute) {
            Some(value) => json(&json!({ attribute: value })),
            None => StatusCode::NO_CONTENT.into_response(),
        },
        Ok(None) => told(StatusCode::NOT_FOUND, "there is nothing at this path"),
        Err(error) => told(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn json(node: &Json) -> Response {
    ([(CONTENT_TYPE, "application/json")], node.to_string()).into_response()
}

fn told(status: StatusCode, text: &str) -> Response {
    (status, format!("{text}\n")).into_response()
}

/// Refuses what a browser asks for a page that is not of this server: its address may be a name that somebody else has
/// made mean this machine, and its origin may be any page.
///
/// # Errors
/// Why, as a sentence.
fn trusted(headers: &HeaderMap) -> Result<(), String> {
    let word = |name: HeaderName| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let (host, origin) = (word(HOST), word(ORIGIN));
    if let Some(host) = &host
        && !is_own(host)
    {
        return Err(format!(
            "the host {:?} is none of this server: ask by its address, or as localhost or NAME.local",
            shortened(host)
        ));
    }
    match origin {
        Some(origin) if !origin.split_once("://").is_some_and(|(_, page)| is_own(page)) => {
            Err(format!("pages of {:?} may not ask", shortened(&origin)))
        }
        _ => Ok(()),
    }
}

/// Whether a host, with or without a port, is an address, or a name that only a network of one's own gives.
fn is_own(host: &str) -> bool {
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => host.split(':').next(),
    };
    bare.is_some_and(|bare| {
        let name = bare.trim_end_matches('.').to_ascii_lowercase();
        let given = ["localhost".to_owned(), super::announce::host().to_ascii_lowercase()];
        bare.parse::<IpAddr>().is_ok() || given.contains(&name) || name.ends_with(".local")
    })
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

/// Serves a WebSocket.
async fn speak(socket: WebSocket, peer: Peer, shared: Arc<Shared>) {
    let connection = shared.numbers.fetch_add(1, Relaxed) + 1;
    let (sink, stream) = socket.split();
    let (sender, outgoing) = mpsc::channel(MOST_WRITTEN);
    let (begin, begun) = oneshot::channel();
    let (out, address) = (shared.out.clone(), peer.address);
    let reads = tokio::spawn(async move {
        // The desk knows of the connection before it hears of it.
        if begun.await.is_err() {
            return;
        }
        let mut writer = tokio::spawn(write(sink, outgoing, peer));
        let reason = tokio::select! {
            reason = read(connection, stream, address, &out) => reason,
            reason = &mut writer => reason.unwrap_or_else(|_| Some("its writer panicked".into())),
        };
        if out.send(FromTcp::Closed { connection, reason }).await.is_err() {
            tracing::debug!("OSC has ended before a WebSocket");
        }
    });
    let line = Connection { line: Line::Web(sender), reads: reads.abort_handle() };
    if shared.out.send(FromTcp::Joined { connection, peer: address, line }).await.is_ok() {
        // If it has been aborted, there is nothing to begin.
        let _ = begin.send(());
    }
}

/// Reads until the end; answers with what was wrong, if anything.
async fn read(
    connection: u64,
    mut stream: SplitStream<WebSocket>,
    peer: SocketAddr,
    out: &mpsc::Sender<FromTcp>,
) -> Option<String> {
    let room = Arc::new(Semaphore::new(MOST_PACKETS));
    while let Some(message) = stream.next().await {
        let heard = match message {
            Ok(Message::Binary(bytes)) => {
                let permit = room.clone().acquire_owned().await.ok()?;
                FromTcp::Packet { connection, peer, framing: None, bytes: bytes.to_vec(), permit }
            }
            Ok(Message::Text(text)) => match command(&text) {
                Ok((address, listens)) => FromTcp::Listen { connection, address, listens },
                Err(why) => return Some(why),
            },
            Ok(Message::Ping(_) | Message::Pong(_)) => continue,
            Ok(Message::Close(_)) => return None,
            Err(error) => return Some(format!("what came by a WebSocket of {peer} is none: {error}")),
        };
        out.send(heard).await.ok()?;
    }
    None
}

/// What a message of OSCQuery asks: an address, and whether it is listened to.
///
/// # Errors
/// A sentence.
fn command(text: &str) -> Result<(String, bool), String> {
    let wrong = || {
        let expected = r#"{"COMMAND":"LISTEN","DATA":"/path"}, or IGNORE"#;
        format!("a WebSocket sent what is no command of OSCQuery; expected {expected}")
    };
    if text.len() > MOST_TEXT {
        return Err(wrong());
    }
    let message: Json = serde_json::from_str(text).map_err(|_| wrong())?;
    match (message["COMMAND"].as_str(), message["DATA"].as_str()) {
        (Some("LISTEN"), Some(address)) => Ok((address.to_owned(), true)),
        (Some("IGNORE"), Some(address)) => Ok((address.to_owned(), false)),
        _ => Err(wrong()),
    }
}

/// Writes until nobody sends any more; answers with what was wrong. Holds the connection's place.
async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut outgoing: mpsc::Receiver<Out>,
    _peer: Peer,
) -> Option<String> {
    while let Some(out) = outgoing.recv().await {
        let message = match out {
            Out::Packet(bytes) => Message::Binary(bytes.into()),
            Out::Text(text) => Message::Text(text.into()),
        };
        match tokio::time::timeout(PATIENCE, sink.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return None,
            Err(_) => return Some(format!("it has read nothing for {} s", PATIENCE.as_secs())),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_elsewhere_and_names_of_others_are_refused() {
        let headers = |host: &str, origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse().unwrap());
            }
            headers
        };
        for (host, origin, is_trusted) in [
            ("127.0.0.1:9001", None, true),
            ("[::1]:9001", None, true),
            ("localhost:9001", Some("http://localhost:8080"), true),
            ("stage.local:9001", Some("http://192.168.1.7"), true),
            ("stage.local.", Some("http://[fd00::7]:80"), true),
            ("evil.example:9001", None, false),
            ("127.0.0.1.evil.example", None, false),
            ("localhost:9001", Some("https://evil.example"), false),
            ("localhost:9001", Some("null"), false),
            ("local", None, false),
        ] {
            let trusted = trusted(&headers(host, origin));
            assert_eq!(trusted.is_ok(), is_trusted, "{host} {origin:?}: {trusted:?}");
        }
        assert!(trusted(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn commands_of_oscquery_are_read() {
        let listen = r#"{"COMMAND":"LISTEN","DATA":"/track/a/gain"}"#;
        assert_eq!(command(listen), Ok(("/track/a/gain".into(), true)));
        let ignore = r#"{ "DATA": "/a", "COMMAND": "IGNORE", "MORE": 1 }"#;
        assert_eq!(command(ignore), Ok(("/a".into(), false)));
        let long = format!(r#"{{"COMMAND":"LISTEN","DATA":"/{}"}}"#, "a".repeat(MOST_TEXT));
        for wrong in ["", "LISTEN /a", r#"{"COMMAND":"LISTEN"}"#, r#"{"COMMAND":"PUT","DATA":"/a"}"#, &long] {
            assert!(command(wrong).unwrap_err().contains("LISTEN"), "{wrong}");
        }
    }
}
