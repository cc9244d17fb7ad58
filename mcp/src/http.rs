//! Streamable HTTP, for this machine and those who have the token.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use aulos_protocol::{Error, ErrorCode};
use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, CONTENT_LENGTH, HOST, ORIGIN, WWW_AUTHENTICATE},
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    serve::Listener,
};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;

use crate::{surface::Surface, token::Token};

/// The largest body of a request, in bytes.
pub const MOST_BODY: usize = 4 << 20;
/// How long answers are kept for clients whose connection broke while they were sent. What is asked in this time is in
/// memory.
const ANSWERS_KEPT: Duration = Duration::from_secs(2);
/// How many connections there can be at once; others wait.
const MOST_CONNECTIONS: usize = 64;
/// How many clients there can be at once, and how many requests of clients that have no sessions.
const MOST_CLIENTS: usize = 256;

/// Serves at `address` until `stop` is cancelled. `ready` is told the address that it came to.
///
/// # Errors
/// [`ErrorCode::InvalidArgument`] for an address that others can reach, `Io` if it cannot be listened at.
pub async fn serve(
    surface: Surface,
    address: SocketAddr,
    origins: Vec<String>,
    token: Token,
    stop: CancellationToken,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), Error> {
    if !address.ip().is_loopback() {
        return Err(Error::new(
            ErrorCode::InvalidArgument,
            format!("{address} can be reached by other machines"),
        )
        .expected("an address of this machine alone, such as 127.0.0.1:8765 or [::1]:8765")
        .remedy("to use it from elsewhere, forward the port by ssh -L"));
    }
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| Error::io(&format!("listen at {address}"), &error))?;
    let address = listener.local_addr().map_err(|error| Error::io("tell the address", &error))?;
    let own = [format!("localhost:{}", address.port()), address.to_string()];
    // Nothing is served that could be a page of this origin; what says so is a client of this machine.
    let origins = own.iter().map(|own| format!("http://{own}")).chain(origins);
    let config = StreamableHttpServerConfig::default()
        .with_allowed_hosts(own.clone())
        .with_allowed_origins(origins.collect::<Vec<_>>())
        .enforce_origin_validation()
        .with_max_request_body_bytes(MOST_BODY)
        .with_sse_keep_alive(Some(Duration::from_secs(15)))
        .with_cancellation_token(stop.clone());
    let another = move || match surface.clients() {
        clients if clients > MOST_CLIENTS => {
            Err(io::Error::other(format!("there are {MOST_CLIENTS} clients already")))
        }
        _ => Ok(surface.for_another()),
    };
    let mut sessions = LocalSessionManager::default();
    sessions.session_config.completed_cache_ttl = ANSWERS_KEPT;
    let service = StreamableHttpService::new(another, Arc::new(sessions), config);
    let app = Router::new()
        .nest_service("/mcp", service)
        .layer(middleware::from_fn_with_state(Arc::new(token), admit));
    ready(address);
    let listener = Limited { listener, room: Arc::new(Semaphore::new(MOST_CONNECTIONS)) };
    axum::serve(listener, app)
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await
        .map_err(|error| Error::io("serve HTTP", &error))
}

/// Lets through what carries the token, and writes down what is refused, here or further on.
async fn admit(State(token): State<Arc<Token>>, request: Request, next: Next) -> Response {
    let what = told(request.headers());
    let refused = if !carries(request.headers(), &token) {
        let mut response = (StatusCode::UNAUTHORIZED, "a bearer token is wanted\n").into_response();
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"aulos\""));
        Some(response)
    } else if is_huge(request.headers()) {
        Some((StatusCode::PAYLOAD_TOO_LARGE, format!("at most {MOST_BODY} bytes are read\n")).into_response())
    } else {
        None
    };
    let response = match refused {
        Some(response) => response,
        None => next.run(request).await,
    };
    if response.status().is_client_error() {
        tracing::warn!("an HTTP request is refused with {}: {what}", response.status());
    }
    response
}

/// Where a request says that it comes from and goes to, for the log.
fn told(headers: &HeaderMap) -> String {
    const MOST: usize = 100;
    let word = |name| {
        let value =
            headers.get(name).map_or("none".into(), |value| String::from_utf8_lossy(value.as_bytes()));
        value.escape_debug().take(MOST).collect::<String>()
    };
    format!("host {}, origin {}", word(HOST), word(ORIGIN))
}

fn carries(headers: &HeaderMap, token: &Token) -> bool {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return false };
    let value = value.as_bytes();
    // The scheme may be written large or small.
    let (scheme, rest) = value.split_at(value.len().min(7));
    scheme.eq_ignore_ascii_case(b"Bearer ") && token.is(rest)
}

fn is_huge(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length > MOST_BODY as u64)
}

/// Takes connections as long as there is room.
struct Limited {
    listener: TcpListener,
    room: Arc<Semaphore>,
}

/// A connection that gives its room back when it is closed.
struct Held {
    stream: TcpStream,
    _room: Option<OwnedSemaphorePermit>,
}

impl Listener for Limited {
    type Io = Held;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Held, SocketAddr) {
        // The semaphore is never closed.
        let room = self.room.clone().acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Held { stream, _room: room }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl AsyncRead for Held {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, to)
    }
}

impl AsyncWrite for Held {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
