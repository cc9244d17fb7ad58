//! The control socket: JSON-RPC 2.0, a line each, for processes of the same user.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc::{SyncSender, TrySendError},
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
    sync::{mpsc, oneshot, watch},
};

use crate::{control::ToControl, hub::Outlet};

/// How many connections there can be at once.
const MOST_CONNECTIONS: usize = 256;
/// How many lines wait for a connection that reads slowly.
const MOST_LINES: usize = 1024;

/// The socket and the right to it: a lock beside it, so that a second server is refused and what a server
/// that died has left is cleared away.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
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
        let lock_path = path.with_extension("lock");
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
        match fs::symlink_metadata(path) {
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
        Ok(Self { listener, path: path.to_owned(), _lock: lock })
    }

    /// Takes connections until it is dropped.
    pub async fn serve(self: Arc<Self>, control: SyncSender<ToControl>) {
        let next = AtomicU64::new(1);
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
            let id = next.fetch_add(1, Relaxed);
            let (control, open) = (control.clone(), open.clone());
            tokio::spawn(async move {
                Connection::run(id, stream, control).await;
                open.fetch_sub(1, Relaxed);
            });
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("could not remove the socket {}: {error}", self.path.display());
        }
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
    let guessable = folder.starts_with("/tmp/aulos-");
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
    id: u64,
    control: SyncSender<ToControl>,
    outlet: Outlet,
}

impl Connection {
    async fn run(id: u64, stream: UnixStream, control: SyncSender<ToControl>) {
        let (read, write) = stream.into_split();
        let (lines, outgoing) = mpsc::channel(MOST_LINES);
        let (drop, dropped) = watch::channel(None);
        let writer = tokio::spawn(write_lines(write, outgoing, dropped));
        let mut drop_reason = drop.subscribe();
        let connection = Self { id, control, outlet: Outlet { lines, drop } };
        tokio::select! {
            () = connection.read(read) => {}
            _ = drop_reason.changed() => {}
        }
        // The control thread may have gone down first.
        if connection.control.send(ToControl::Unsubscribe { connection: id }).is_err() {
            tracing::debug!("connection {id} outlived the control thread");
        }
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
                    tracing::debug!("connection {} broke: {error}", self.id);
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
        let (tell, told) = oneshot::channel();
        let id = request.id.clone();
        let answer = Box::new(move |result| {
            if tell.send(result).is_err() {
                tracing::debug!("a connection did not wait for its answer");
            }
        });
        let message = match request.ask {
            Ask::Query(Query::Subscribe { telemetry_hz }) => {
                let outlet = self.outlet.clone();
                ToControl::Subscribe { connection: self.id, outlet, telemetry_hz, answer }
            }
            _ => ToControl::Request { connection: self.id, request, answer },
        };
        let result = match self.control.try_send(message) {
            Ok(()) => told.await.unwrap_or_else(|_| {
                Err(Error::new(ErrorCode::Unavailable, "the server ended before it could answer"))
            }),
            Err(TrySendError::Full(_)) => {
                Err(Error::new(ErrorCode::Busy, "the server has too much to do")
                    .remedy("try again in a moment"))
            }
            Err(TrySendError::Disconnected(_)) => {
                Err(Error::new(ErrorCode::Unavailable, "the server is going down"))
            }
        };
        if id.is_some() {
            self.answer(id, result).await;
        }
    }

    async fn answer(&self, id: Option<serde_json::Value>, result: Result<Reply, Error>) {
        let id = id.unwrap_or(serde_json::Value::Null);
        let line = write_from_server(&FromServer::Answer { id, result });
        if self.outlet.lines.send(line).await.is_err() {
            tracing::debug!("connection {} does not read any more", self.id);
        }
    }
}

async fn write_lines(
    mut write: OwnedWriteHalf,
    mut outgoing: mpsc::Receiver<String>,
    mut drop: watch::Receiver<Option<String>>,
) {
    const LAST_WORD: Duration = Duration::from_secs(1);
    loop {
        let line = tokio::select! {
            line = outgoing.recv() => line,
            _ = drop.wait_for(Option::is_some) => None,
        };
        let Some(mut line) = line else { break };
        line.push('\n');
        let written = tokio::select! {
            written = write.write_all(line.as_bytes()) => written.is_ok(),
            // A line that is half written cannot be followed by another.
            _ = drop.wait_for(Option::is_some) => return,
        };
        if !written {
            return;
        }
    }
    let reason = drop.borrow().clone();
    if let Some(reason) = reason {
        let line = dropped(reason);
        let said = tokio::time::timeout(LAST_WORD, write.write_all(line.as_bytes())).await;
        if !matches!(said, Ok(Ok(()))) {
            tracing::debug!("a dropped connection could not be told why");
        }
    }
}
