//! The control socket: JSON-RPC 2.0, a line each, for processes of the same user.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::SyncSender,
    },
    time::Duration,
};

use aulos_protocol::{
    Error, ErrorCode, Event, Query, Reply,
    wire::{Ask, FromServer, MAX_LINE, Request, read_request, write_from_server},
};
use rustix::fs::{FlockOperation, flock};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
};

use crate::{
    control::ToControl,
    hub::{Connections, Outlet, Queue},
    inner::Inner,
};

/// How many connections there can be at once.
const MOST_CONNECTIONS: usize = 256;
/// How many lines wait for a connection that reads slowly.
const MOST_LINES: usize = 1024;

/// The socket and the right to it: a lock beside it, so that a second server is refused and what a server
/// that died has left is cleared away.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Whether it was made by somebody else, who keeps it when this server ends.
    is_adopted: bool,
    _lock: File,
}

impl Socket {
    /// Makes the socket at `path`, in a folder that only this user can enter. Must be called within a runtime.
    ///
    /// # Errors
    /// `Busy` if another server has it, `InvalidArgument` if something else is there or the folder belongs to
    /// somebody else, `Io`.
    pub fn bind(path: &Path) -> Result<Self, Error> {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        own_folder(folder)?;
        let lock = lock(path)?;
        match fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() && is_heard(path) => {
                return Err(Error::new(
                    ErrorCode::Busy,
                    format!("somebody listens at {} already", path.display()),
                )
                .remedy(
                    "start the server by systemctl --user start aulosd, or choose another with --socket",
                ));
            }
            Ok(found) if found.file_type().is_socket() => {
                fs::remove_file(path).map_err(|e| Error::io("remove a dead server's socket", &e))?;
            }
            Ok(_) => {
                return Err(Error::new(
                    ErrorCode::InvalidArgument,
                    format!("{} is there and is no socket", path.display()),
                )
                .remedy("choose another path with --socket"));
            }
            Err(_) => {}
        }
        let doing = format!("make the socket {}", path.display());
        let io = |e: std::io::Error| Error::io(&doing, &e);
        let listener = UnixListener::bind(path).map_err(io)?;
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(io)?;
        Ok(Self { listener, path: path.to_owned(), is_adopted: false, _lock: lock })
    }

    /// Takes over a socket that listens already. Must be called within a runtime.
    ///
    /// # Errors
    /// `Busy` if another server serves it, `InvalidArgument` if it has no path, `Io`.
    pub fn adopt(listener: std::os::unix::net::UnixListener) -> Result<Self, Error> {
        let io = |e: std::io::Error| Error::io("take over the socket", &e);
        let address = listener.local_addr().map_err(io)?;
        let path = address.as_pathname().ok_or_else(|| {
            Error::new(ErrorCode::InvalidArgument, "the socket that was handed over has no path")
                .expected("one in a folder that only this user can enter")
        })?;
        let lock = lock(path)?;
        listener.set_nonblocking(true).map_err(io)?;
        let listener = UnixListener::from_std(listener).map_err(io)?;
        Ok(Self { listener, path: path.to_owned(), is_adopted: true, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes connections until it is dropped.
    pub async fn serve(self: Arc<Self>, control: SyncSender<ToControl>, connections: Arc<Connections>) {
        let open = Arc::new(AtomicUsize::new(0));
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: those that are open may close meanwhile.
                    tracing::warn!("could not take a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            if let Err(reason) = admit(&stream, open.load(Relaxed)) {
                tracing::warn!("a connection is refused: {reason}");
                tokio::spawn(refuse(stream, reason));
                continue;
            }
            open.fetch_add(1, Relaxed);
            let inner = Inner::new(&connections, control.clone());
            let open = open.clone();
            tokio::spawn(async move {
                Connection::run(inner, stream).await;
                open.fetch_sub(1, Relaxed);
            });
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.is_adopted {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("could not remove the socket {}: {error}", self.path.display());
        }
    }
}

/// The right to the socket at `path`.
fn lock(path: &Path) -> Result<File, Error> {
    // Beside the socket, and not in the place of its ending: then `a.one` and `a.two` are two sockets.
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let lock_path = PathBuf::from(lock_path);
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .map_err(|e| Error::io(&format!("open {}", lock_path.display()), &e))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        Error::new(ErrorCode::Busy, format!("another server serves {} already", path.display()))
            .remedy("use that one, shut it down with: aulosctl shutdown, or choose another with --socket")
    })?;
    Ok(lock)
}

/// Whether somebody listens at the socket, such as a service manager that starts the server when it is needed.
fn is_heard(path: &Path) -> bool {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
    // Without waiting: the queue of who listens may be full.
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    match (socket, SocketAddrUnix::new(path)) {
        (Ok(socket), Ok(address)) => connect(&socket, &address) != Err(rustix::io::Errno::CONNREFUSED),
        _ => false,
    }
}

/// Makes the folder of the socket, or makes sure that an existing one is ours.
fn own_folder(folder: &Path) -> Result<(), Error> {
    let doing = format!("make the folder {}", folder.display());
    let io = |e: std::io::Error| Error::io(&doing, &e);
    if !folder.exists() {
        fs::create_dir_all(folder).map_err(io)?;
        fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(io)?;
    }
    let found = fs::symlink_metadata(folder).map_err(io)?;
    let uid = rustix::process::getuid().as_raw();
    // The well-known place in /tmp could have been made by anybody before us.
    let guessable = folder == Path::new(&format!("/tmp/aulos-{uid}"));
    if found.is_dir() && (!guessable || (found.uid() == uid && found.mode() & 0o077 == 0)) {
        return Ok(());
    }
    let found = format!("{} is not a folder that only this user can enter", folder.display());
    Err(Error::new(ErrorCode::InvalidArgument, found)
        .expected(format!("a folder of user {uid} with mode 0700"))
        .remedy("remove it, set XDG_RUNTIME_DIR, or choose another path with --socket"))
}

fn admit(stream: &UnixStream, open: usize) -> Result<(), String> {
    let peer = stream.peer_cred().map_err(|e| format!("its user cannot be told: {e}"))?;
    let (uid, own) = (peer.uid(), rustix::process::getuid().as_raw());
    if uid != own && uid != 0 {
        return Err(format!("it is of user {uid}, the server of user {own}"));
    }
    if open >= MOST_CONNECTIONS {
        return Err(format!("there are {MOST_CONNECTIONS} connections already"));
    }
    Ok(())
}

async fn refuse(mut stream: UnixStream, reason: String) {
    let line = dropped(reason);
    if let Err(error) = stream.write_all(line.as_bytes()).await {
        tracing::debug!("the refused connection went away: {error}");
    }
}

fn dropped(reason: String) -> String {
    write_from_server(&FromServer::Event(Event::Dropped { reason })) + "\n"
}

/// One client.
struct Connection {
    inner: Inner,
    lines: mpsc::Sender<String>,
    outlet: Outlet,
}

impl Connection {
    async fn run(inner: Inner, stream: UnixStream) {
        let (read, write) = stream.into_split();
        let (lines, outgoing) = mpsc::channel(MOST_LINES);
        let (drop, dropped) = watch::channel(None);
        let writer = tokio::spawn(write_lines(write, outgoing, dropped));
        let mut drop_reason = drop.subscribe();
        let outlet = Outlet { queue: Queue::Lines(lines.clone()), drop };
        let connection = Self { inner, lines, outlet };
        tokio::select! {
            () = connection.read(read) => {}
            _ = drop_reason.changed() => {}
        }
        connection.inner.unsubscribe().await;
        let id = connection.inner.id();
        std::mem::drop(connection);
        if writer.await.is_err() {
            tracing::error!("the writer of connection {id} panicked");
        }
    }

    async fn read(&self, read: OwnedReadHalf) {
        let mut reader = BufReader::new(read);
        let mut line = Vec::new();
        loop {
            line.clear();
            // One byte more than allowed tells a line that is too long from one that just fits.
            let mut limited = (&mut reader).take(MAX_LINE as u64 + 1);
            match limited.read_until(b'\n', &mut line).await {
                Ok(0) => return,
                Ok(_) if line.len() > MAX_LINE => {
                    let error = Error::new(ErrorCode::InvalidRequest, "the line is too long")
                        .expected(format!("at most {MAX_LINE} bytes"));
                    self.answer(None, Err(error)).await;
                    return;
                }
                // A request that was cut off by the end of the connection is not one.
                Ok(_) if line.last() != Some(&b'\n') => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!("connection {} broke: {error}", self.inner.id());
                    return;
                }
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let Ok(text) = std::str::from_utf8(&line) else {
                let error = Error::new(ErrorCode::Parse, "the line is not UTF-8").expected("JSON in UTF-8");
                self.answer(None, Err(error)).await;
                continue;
            };
            match read_request(text) {
                Ok(request) => self.ask(request).await,
                Err((id, error)) => self.answer(id, Err(error)).await,
            }
        }
    }

    /// Asks the control thread and waits for its answer, so that the requests of a connection are carried out
    /// one after the other.
    async fn ask(&self, request: Request) {
        let id = request.id.clone();
        let result = match request.ask {
            Ask::Query(Query::Subscribe { telemetry_hz }) => {
                let (own, give_up, id) = (self.lines.clone(), self.outlet.clone(), id.clone());
                // Queued at once: the full state must come before the first change.
                let put = move |result| {
                    let queued = id.is_none() || own.try_send(answer_line(id, result)).is_ok();
                    if !queued {
                        give_up.give_up();
                    }
                    queued
                };
                self.inner.subscribe_outlet(self.outlet.clone(), telemetry_hz, put).await.err()
            }
            _ => Some(self.inner.ask(request).await),
        };
        if let (Some(result), true) = (result, id.is_some()) {
            self.answer(id, result).await;
        }
    }

    async fn answer(&self, id: Option<serde_json::Value>, result: Result<Reply, Error>) {
        if self.lines.send(answer_line(id, result)).await.is_err() {
            tracing::debug!("connection {} does not read any more", self.inner.id());
        }
    }
}

fn answer_line(id: Option<serde_json::Value>, result: Result<Reply, Error>) -> String {
    write_from_server(&FromServer::Answer { id: id.unwrap_or(serde_json::Value::Null), result })
}

/// Writes the lines that come, those of a connection that has ended too, until it is to be dropped: then it is
/// told why, if it reads.
pub(crate) async fn write_lines(
    mut write: OwnedWriteHalf,
    mut outgoing: mpsc::Receiver<String>,
    mut drop: watch::Receiver<Option<String>>,
) {
    const LAST_WORD: Duration = Duration::from_secs(10);
    let mut line = Vec::new();
    let mut written = 0;
    let reason = loop {
        if written == line.len() {
            let next = tokio::select! {
                next = outgoing.recv() => next,
                reason = dropped_for(&mut drop) => break reason,
            };
            let Some(next) = next else { return };
            (line, written) = (next.into_bytes(), 0);
            line.push(b'\n');
        }
        tokio::select! {
            result = write.write(&line[written..]) => match result {
                Ok(bytes) if bytes > 0 => written += bytes,
                _ => return,
            },
            reason = dropped_for(&mut drop) => break reason,
        }
    };
    std::mem::drop(outgoing);
    // A line that is half written has to end before another can follow.
    let rest = if written > 0 { &line[written..] } else { &[] };
    let last = [rest, dropped(reason).as_bytes()].concat();
    if !matches!(tokio::time::timeout(LAST_WORD, write.write_all(&last)).await, Ok(Ok(()))) {
        tracing::debug!("a dropped connection could not be told why");
    }
}

/// Waits until the connection is to be dropped.
async fn dropped_for(drop: &mut watch::Receiver<Option<String>>) -> String {
    let reason = drop.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
    match reason {
        Some(reason) => reason,
        // The connection has ended by itself; what is queued is still to be written.
        None => std::future::pending().await,
    }
}
