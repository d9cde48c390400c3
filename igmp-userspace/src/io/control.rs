//! The control socket: lines of JSON from clients, turned into questions for the event loop.
//!
//! The event loop owns all state. What runs here parses, waits and writes; it knows nothing to answer with, so there
//! is nothing to lock. A client can be slow, silent or mad, and costs no more than its one task.

mod answer;
mod stream;
#[cfg(test)]
mod tests;

use std::fs::{DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time;

use crate::api::{Request, Response};
use crate::config;
pub use stream::Publisher;

/// Longest request line in bytes, without its newline; the longest sensible one has about 100.
const LONGEST_REQUEST: usize = 4_096;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 64;

/// How long to leave the listener alone when it cannot accept, which is when the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What one client, and all of them, may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Connections at a time.
    clients: usize,
    /// Time to send one whole request.
    idle: Duration,
    /// Time to take one piece of an answer.
    write: Duration,
    /// Events kept for a client that is behind.
    events: usize,
}

const LIMITS: Limits = Limits {
    clients: 16,
    idle: Duration::from_secs(30),
    write: Duration::from_secs(10),
    events: 8_192,
};

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody accepts connections there.
    #[error("control socket {}: another igmpd is listening; stop it, or choose another --control-socket", .0.display())]
    InUse(PathBuf),
    /// There is a file that is not ours to remove.
    #[error("control socket {}: a file that is no socket is in the way; remove it, or choose another --control-socket",
        .0.display())]
    NotASocket(PathBuf),
    /// The path does not fit into a socket address.
    #[error("control socket {}: {}", .0.display(), .1)]
    Path(PathBuf, config::Problem),
    /// The kernel refused.
    #[error("control socket {}: cannot {action}: {error}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The kernel's reason.
        error: io::Error,
    },
}

/// A question that waits for its answer.
#[derive(Debug)]
pub struct Pending {
    /// The question.
    pub request: Request,
    reply: oneshot::Sender<Response>,
}

impl Pending {
    /// Answers it. A client that is gone by now is no concern.
    pub fn answer(self, response: Response) {
        let _ = self.reply.send(response);
    }
}

/// Asks the event loop, as a client of the socket does.
#[derive(Clone, Debug)]
pub struct Asker(mpsc::Sender<Pending>);

impl Asker {
    /// The answer; `None` when the event loop has ended.
    pub async fn ask(&self, request: Request) -> Option<Response> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Pending { request, reply }).await.ok()?;
        answer.await.ok()
    }

    /// One whose questions the caller answers.
    #[cfg(test)]
    pub(super) fn for_tests() -> (Self, mpsc::Receiver<Pending>) {
        let (sender, questions) = mpsc::channel(1);
        (Self(sender), questions)
    }
}

/// The listening socket. Dropping it closes every connection and removes the file.
#[derive(Debug)]
pub struct ControlServer {
    questions: mpsc::Receiver<Pending>,
    asker: Asker,
    events: Publisher,
    acceptor: JoinHandle<()>,
    _file: SocketFile,
}

impl ControlServer {
    /// Listens on `path`, readable and writable by owner and group (mode 0660). Makes the directory, and replaces the
    /// socket of a daemon that died.
    ///
    /// # Errors
    ///
    /// See [`BindError`].
    pub async fn bind(path: &Path) -> Result<Self, BindError> {
        Self::bind_with(path, LIMITS).await
    }

    async fn bind_with(path: &Path, limits: Limits) -> Result<Self, BindError> {
        config::check_socket_path(path).map_err(|problem| BindError::Path(path.into(), problem))?;
        let failed = |action| {
            move |error| BindError::Io {
                path: path.into(),
                action,
                error,
            }
        };

        if let Some(directory) = path
            .parent()
            .filter(|directory| !directory.as_os_str().is_empty())
        {
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(directory)
                .map_err(failed("make its directory"))?;
        }
        remove_stale(path).await?;
        let socket = UnixSocket::new_stream().map_err(failed("make a socket"))?;
        socket.bind(path).map_err(failed("bind"))?;
        let file = SocketFile::at(path).map_err(failed("see the file"))?;
        // Before `listen`, so that nobody connects under another mode.
        std::fs::set_permissions(path, Permissions::from_mode(0o660))
            .map_err(failed("set its mode"))?;
        let listener = socket.listen(BACKLOG).map_err(failed("listen"))?;

        let (sender, questions) = mpsc::channel(limits.clients);
        let events = Publisher::new(limits.events);
        let asker = Asker(sender.clone());
        let acceptor = tokio::spawn(accept_clients(listener, sender, events.clone(), limits));
        Ok(Self {
            questions,
            asker,
            events,
            acceptor,
            _file: file,
        })
    }

    /// Tells every client that follows events.
    #[must_use]
    pub fn publisher(&self) -> Publisher {
        self.events.clone()
    }

    /// Asks what igmpctl may ask.
    #[must_use]
    pub fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// The next question; never [`Request::Events`], which is no business of the event loop. Cancel safe: one not returned stays queued.
    pub async fn next(&mut self) -> Pending {
        match self.questions.recv().await {
            Some(pending) => pending,
            // `self` holds a sender.
            None => std::future::pending().await,
        }
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

/// The socket's name in the file system, removed when dropped unless someone else has taken it over.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.into(),
            identity: Self::identity(path)?,
        })
    }

    fn identity(path: &Path) -> io::Result<(u64, u64)> {
        path.symlink_metadata()
            .map(|metadata| (metadata.dev(), metadata.ino()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if Self::identity(&self.path).is_ok_and(|identity| identity == self.identity)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "control socket not removed");
        }
    }
}

/// Removes what a dead daemon left at `path`; refuses to touch anything else.
async fn remove_stale(path: &Path) -> Result<(), BindError> {
    let failed = |action| {
        move |error| BindError::Io {
            path: path.into(),
            action,
            error,
        }
    };
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at what is there")(error)),
        // Connecting to a plain file is refused just as connecting to a stale socket is: ask first.
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NotASocket(path.into()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed("remove a stale socket"))
        }
        // A full backlog is somebody's too.
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(BindError::InUse(path.into())),
        Err(error) => Err(failed("connect to the socket that is there")(error)),
        Ok(_) => Err(BindError::InUse(path.into())),
    }
}

async fn accept_clients(
    listener: UnixListener,
    questions: mpsc::Sender<Pending>,
    events: Publisher,
    limits: Limits,
) {
    // Dropped, and with it every client, when this task is aborted.
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = clients.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if clients.len() < limits.clients => {
                    clients.spawn(serve(stream, questions.clone(), events.clone(), limits));
                }
                Ok((stream, _)) => refuse(&stream, limits.clients),
                Err(error) => {
                    tracing::warn!(%error, "control socket cannot accept");
                    time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Says why, without waiting: the line fits into an empty socket buffer.
fn refuse(stream: &UnixStream, clients: usize) {
    let response = Response::Error(format!(
        "igmpd is busy with {clients} other clients; try again"
    ));
    let mut line = serde_json::to_vec(&response).expect("a string serializes");
    line.push(b'\n');
    let _ = stream.try_write(&line);
}

/// Answers one client until it hangs up, errs or dawdles.
async fn serve(
    mut stream: UnixStream,
    questions: mpsc::Sender<Pending>,
    events: Publisher,
    limits: Limits,
) {
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = (&mut reader).take(LONGEST_REQUEST as u64 + 1);
        match time::timeout(limits.idle, bounded.read_until(b'\n', &mut line)).await {
            Ok(Ok(length)) if length > 0 => {}
            // Silence, an error, or the end: nobody waits for an answer.
            _ => return,
        }
        let whole = line.last() == Some(&b'\n') || line.len() <= LONGEST_REQUEST;
        let response = if whole {
            match serde_json::from_slice(&line) {
                Ok(Request::Events {}) => {
                    return events.stream_to(&mut reader, &mut writer).await;
                }
                Ok(request) => ask(request, &questions).await,
                Err(error) => Response::Error(format!("not a request: {error}")),
            }
        } else {
            Response::Error(format!("request longer than {LONGEST_REQUEST} bytes"))
        };
        // After a line that was cut off there is no telling where the next one starts.
        if answer::write(&mut writer, &response, limits.write)
            .await
            .is_err()
            || !whole
        {
            return;
        }
    }
}

/// Has the event loop answer `request`.
async fn ask(request: Request, questions: &mpsc::Sender<Pending>) -> Response {
    let (reply, answer) = oneshot::channel();
    // Both fail only when the event loop has ended.
    match questions.send(Pending { request, reply }).await {
        Ok(()) => answer
            .await
            .unwrap_or_else(|_| Response::Error("igmpd is stopping".into())),
        Err(_) => Response::Error("igmpd is stopping".into()),
    }
}
