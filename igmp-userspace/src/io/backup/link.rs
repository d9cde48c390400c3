//! One connection to each peer: made, accepted, guarded and made again. What is said on it is not known here.
//!
//! Of two gateways the one with the lower address connects, when it is told to, and the other accepts, so that there is one
//! connection and no two that cross. Whatever happens comes to the event loop as [`Incoming`]; it writes as long as there
//! is [`room`](Connection::room).

mod accept;

use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;

use super::tls::Tls;

/// TCP and TLS between two gateways take milliseconds.
const HANDSHAKE_TIME: Duration = Duration::from_secs(3);
/// TCP alone. The kernel asks again after 1 s, 2 s, 4 s ... (RFC 6298); a cable that is plugged in again is noticed sooner by
/// connecting anew.
const CONNECT_TIME: Duration = Duration::from_secs(1);
/// The peer takes what is written within this time, or the connection is of no use.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// Pieces that wait to be written. Few: what waits here is no longer the session's to drop.
const PIECES: usize = 4;
/// The largest piece that is read at once.
const READ: usize = 64 << 10;
/// What waits for the event loop, of all connections.
const INCOMING: usize = 64;

/// Both ends of a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoints {
    /// Which profile it is for.
    pub profile: String,
    /// This gateway.
    pub listen: SocketAddrV4,
    /// The other.
    pub peer: SocketAddrV4,
}

impl Endpoints {
    /// Whether this gateway is the one that connects.
    #[must_use]
    pub fn connects(&self) -> bool {
        self.listen < self.peer
    }
}

/// What happened to a connection.
#[derive(Debug)]
pub enum Incoming {
    /// There is one.
    Connected(Connection),
    /// The peer has said something.
    Received {
        /// On which connection.
        connection: ConnectionId,
        /// What: never empty.
        bytes: Bytes,
    },
    /// There is room again.
    Writable(ConnectionId),
    /// It has ended.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// Why, for a person.
        reason: String,
    },
    /// [`Link::connect`] came to nothing.
    Unreachable {
        /// The profile it was for.
        profile: String,
    },
    /// Somebody is not let in, or the peer does not let us in.
    Refused {
        /// The profile it was for.
        profile: String,
        /// Under which it is counted.
        reason: RefusedBy,
        /// For a person.
        detail: String,
    },
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum RefusedBy {
    /// Comes from an address that is no peer's.
    Stranger,
    /// TLS failed: no certificate, a wrong one, or no TLS at all.
    Tls,
    /// Took too long to get through the handshake.
    Handshake,
    /// Had to make room for others that were in the handshake as well.
    Crowd,
    /// The peer is there, on another connection.
    Occupied,
}

impl RefusedBy {
    /// Its name in output and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stranger => "not_the_peer",
            Self::Tls => "tls",
            Self::Handshake => "handshake_timeout",
            Self::Crowd => "too_many_handshakes",
            Self::Occupied => "already_connected",
        }
    }
}

/// Names a connection; no two have the same.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConnectionId {
    /// The profile it is for.
    pub profile: String,
    /// Counts the connections of the profile.
    pub number: u64,
}

/// A connection, as the event loop holds it. Dropping it closes it at once.
#[derive(Debug)]
pub struct Connection {
    /// Its name.
    pub id: ConnectionId,
    pieces: mpsc::Sender<Bytes>,
    task: Option<AbortHandle>,
}

impl Connection {
    /// Whether [`send`](Self::send) takes another piece.
    #[must_use]
    pub fn room(&self) -> bool {
        self.pieces.capacity() > 0
    }

    /// Has `piece` written. Without room, or when the connection has ended, it is lost; the end is on its way then.
    pub fn send(&self, piece: Bytes) {
        let _ = self.pieces.try_send(piece);
    }

    /// Closes it as soon as the peer has taken what was sent.
    pub fn finish(mut self) {
        self.task = None;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// The events of all connections.
#[must_use]
pub fn channel() -> (mpsc::Sender<Incoming>, mpsc::Receiver<Incoming>) {
    mpsc::channel(INCOMING)
}

/// Makes the connections of one profile. Dropping it ends that; a connection that there is stays with its holder.
#[derive(Debug)]
pub struct Link {
    maker: JoinHandle<()>,
    /// For the side that connects.
    attempts: Option<mpsc::Sender<()>>,
}

impl Link {
    /// Accepts connections, or makes one for each [`connect`](Self::connect). `tls` is `None` where the profile is insecure.
    #[must_use]
    pub fn start(endpoints: Endpoints, tls: Option<Tls>, incoming: mpsc::Sender<Incoming>) -> Self {
        let maker = Maker {
            endpoints,
            tls,
            incoming,
            number: 0,
        };
        if maker.endpoints.connects() {
            let (attempts, wanted) = mpsc::channel(1);
            Self {
                maker: tokio::spawn(maker.connect_when_wanted(wanted)),
                attempts: Some(attempts),
            }
        } else {
            Self {
                maker: tokio::spawn(maker.accept_for_ever()),
                attempts: None,
            }
        }
    }

    /// Tries to connect once; [`Incoming`] tells what came of it. False = that is the other side's business.
    #[must_use]
    pub fn connect(&self) -> bool {
        let Some(attempts) = &self.attempts else {
            return false;
        };
        // Full while an attempt runs, which is as good.
        let _ = attempts.try_send(());
        true
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.maker.abort();
    }
}

/// Makes the connections of one profile.
struct Maker {
    endpoints: Endpoints,
    tls: Option<Tls>,
    incoming: mpsc::Sender<Incoming>,
    number: u64,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Maker {
    async fn connect_when_wanted(mut self, mut wanted: mpsc::Receiver<()>) {
        while wanted.recv().await.is_some() {
            let failure = match timeout(HANDSHAKE_TIME, self.connect()).await {
                Ok(Ok(stream)) => {
                    self.hand_over(stream).await;
                    continue;
                }
                Ok(Err(failure)) => failure,
                Err(_) => Failure::Unreachable,
            };
            if let Failure::Refused(reason, detail) = failure {
                self.refused(reason, detail).await;
            }
            let profile = self.endpoints.profile.clone();
            let unreachable = Incoming::Unreachable { profile };
            let _ = self.incoming.send(unreachable).await;
        }
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, Failure> {
        let Endpoints { listen, peer, .. } = self.endpoints;
        let unreachable = |_: io::Error| Failure::Unreachable;
        let socket = TcpSocket::new_v4().map_err(unreachable)?;
        // The peer lets in whoever has the address that it knows.
        socket
            .bind(SocketAddr::from((*listen.ip(), 0)))
            .map_err(unreachable)?;
        let stream = timeout(CONNECT_TIME, socket.connect(peer.into())).await;
        let stream = stream
            .map_err(|_| Failure::Unreachable)?
            .map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::from(std::net::IpAddr::V4(*peer.ip()));
        let stream = tls.connector.connect(name, stream).await;
        let stream = stream.map_err(|error| Failure::Refused(RefusedBy::Tls, error.to_string()))?;
        Ok(Box::new(stream))
    }

    /// Gives a stream, whose other end is the peer, to the event loop.
    async fn hand_over(&mut self, stream: Box<dyn Stream>) {
        self.number += 1;
        let id = ConnectionId {
            profile: self.endpoints.profile.clone(),
            number: self.number,
        };
        let (pieces, to_write) = mpsc::channel(PIECES);
        let (start, started) = tokio::sync::oneshot::channel::<()>();
        let task = tokio::spawn({
            let (id, incoming) = (id.clone(), self.incoming.clone());
            async move {
                // Nothing is told of a connection before it is.
                if started.await.is_ok() {
                    carry(stream, id, to_write, incoming).await;
                }
            }
        });
        let connection = Connection {
            id,
            pieces,
            task: Some(task.abort_handle()),
        };
        let told = self.incoming.send(Incoming::Connected(connection)).await;
        if told.is_ok() {
            let _ = start.send(());
        }
    }

    async fn refused(&self, reason: RefusedBy, detail: String) {
        let refused = Incoming::Refused {
            profile: self.endpoints.profile.clone(),
            reason,
            detail,
        };
        // Fails when the event loop has ended.
        let _ = self.incoming.send(refused).await;
    }
}

enum Failure {
    Unreachable,
    Refused(RefusedBy, String),
}

/// Reads and writes until the connection ends.
async fn carry(
    stream: Box<dyn Stream>,
    id: ConnectionId,
    mut to_write: mpsc::Receiver<Bytes>,
    incoming: mpsc::Sender<Incoming>,
) {
    let (mut reader, mut writer) = split(stream);
    let read = async {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(READ);
            match reader.read_buf(&mut buffer).await {
                Ok(1..) => {}
                Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                    if is_tls_refusal(&error) {
                        let refused = Incoming::Refused {
                            profile: id.profile.clone(),
                            reason: RefusedBy::Tls,
                            detail: format!("by the peer: {error}"),
                        };
                        let _ = incoming.send(refused).await;
                    }
                    return error.to_string();
                }
                // A process that is killed says no word of farewell in TLS either.
                Ok(0) | Err(_) => return "the peer has closed the connection".into(),
            }
            let received = Incoming::Received {
                connection: id.clone(),
                bytes: buffer.split().freeze(),
            };
            if incoming.send(received).await.is_err() {
                return String::new();
            }
        }
    };
    let write = async {
        while let Some(piece) = to_write.recv().await {
            let written = async {
                writer.write_all(&piece).await?;
                // TLS keeps what is written until it is flushed.
                writer.flush().await
            };
            match timeout(WRITE_TIME, written).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error.to_string(),
                Err(_) => return "the peer does not take what is sent".into(),
            }
            let _ = incoming.send(Incoming::Writable(id.clone())).await;
        }
        // The event loop has let go of it.
        String::new()
    };
    let reason = tokio::select! {
        reason = read => reason,
        reason = write => reason,
    };
    let closed = Incoming::Closed {
        connection: id,
        reason,
    };
    let _ = incoming.send(closed).await;
}

/// In TLS 1.3 the side that connects is done before the other one has seen its certificate, and hears only then that it is
/// not good.
fn is_tls_refusal(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(rustls::Error::AlertReceived(_)))
}

/// A fresh socket that listens there.
fn listener(address: SocketAddrV4) -> io::Result<tokio::net::TcpListener> {
    /// Connections that wait to be looked at.
    const BACKLOG: u32 = 1024;
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address.into())?;
    socket.listen(BACKLOG)
}

/// The other end's address, if it is an IPv4 one.
fn is_from(stream: &TcpStream, peer: SocketAddrV4) -> bool {
    let from = stream.peer_addr().map(|from| from.ip());
    from.is_ok_and(|from| from == *peer.ip())
}

#[cfg(test)]
mod tests;
