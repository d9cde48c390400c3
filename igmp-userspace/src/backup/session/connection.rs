//! What is known for as long as one connection lasts.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::backup::config::MIN_DEAD_AFTER;
use crate::backup::decoder::Decoder;
use crate::backup::incoming::Incoming;
use crate::backup::outgoing::Outgoing;
use crate::backup::queue::Queue;
use crate::backup::record::Hello;
use crate::backup::role::{Role, Statement};
use crate::proto::Instant;

/// Keepalives in a dead-after time, so that three may be late and the peer still lives.
const KEEPALIVES: u32 = 4;

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) since: Instant,
    /// What the peer has to put into each record.
    pub(super) nonce: u64,
    pub(super) decoder: Decoder,
    pub(super) hello_sent: bool,
    /// Who is there, when its Hello has been agreed with.
    pub(super) peer: Option<Peer>,
}

/// Who wins when nothing else decides: the higher priority, then the higher address, and for two that are configured alike
/// a coin that both see the same side of.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Standing {
    pub(super) priority: u8,
    pub(super) address: IpAddr,
    pub(super) nonce: u64,
}

/// A peer whose Hello has been agreed with.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) standing: Standing,
    pub(super) configured: Role,
    /// What this gateway calls the interfaces of the peer's Hello, in their order.
    pub(super) interfaces: Vec<Arc<str>>,
    pub(super) heard: Instant,

    /// What it was told of our role.
    pub(super) told: Option<Statement>,
    /// What it said of its own; until then it may be a recording of it.
    pub(super) said: Option<Statement>,
    pub(super) next_sent: u64,
    pub(super) next_received: u64,

    pub(super) keepalive_interval: Duration,
    pub(super) keepalive_at: Instant,
    pub(super) keepalive_due: bool,
    /// The clock in its last keepalive, and when that came.
    pub(super) its_clock: Option<(u64, Instant)>,
    pub(super) round_trip: Option<Duration>,

    /// What it is to have of ours; `None` while the roles are such that it is to have nothing.
    pub(super) stream: Option<Stream>,

    pub(super) sync_request_due: bool,
    pub(super) received: Received,
    pub(super) message_age: Option<Duration>,
}

/// Our state and the copies that follow, on their way to the peer.
#[derive(Debug)]
pub(super) struct Stream {
    /// It has a gap, or has not begun.
    pub(super) resync_needed: bool,
    /// Snapshots that the owner was asked for.
    pub(super) snapshots: u64,
    pub(super) snapshot: Snapshot,
    pub(super) queue: Queue,
}

/// How far the peer's state has come here.
#[derive(Debug, Default)]
pub(super) enum Received {
    /// Not at all, or with a gap.
    #[default]
    None,
    /// A snapshot of it is coming in.
    Incoming(Incoming),
    /// All of it.
    Whole,
}

/// How far the snapshot for the peer is.
#[derive(Debug, Default)]
pub(super) enum Snapshot {
    /// None is on its way.
    #[default]
    None,
    /// The owner was asked for one.
    Asked,
    /// The owner is handing it in.
    Building(Outgoing),
    /// It is being sent.
    Ready(Outgoing),
}

impl Connection {
    pub(super) fn new(now: Instant, nonce: u64) -> Self {
        Self {
            since: now,
            nonce,
            decoder: Decoder::default(),
            hello_sent: false,
            peer: None,
        }
    }

    /// The peer that has said its role, and what it said.
    pub(super) fn met(&self) -> Option<(&Peer, Statement)> {
        let peer = self.peer.as_ref()?;
        Some((peer, peer.said?))
    }

    pub(super) fn met_mut(&mut self) -> Option<&mut Peer> {
        self.peer.as_mut().filter(|peer| peer.said.is_some())
    }

    pub(super) fn stream_mut(&mut self) -> Option<&mut Stream> {
        self.met_mut()?.stream.as_mut()
    }

    /// When the peer is given up. Octets from somebody who has not proved to be there do not postpone that.
    pub(super) fn dead_at(&self, dead_after: Duration) -> Instant {
        self.met().map_or(self.since, |(peer, _)| peer.heard) + dead_after.max(MIN_DEAD_AFTER)
    }
}

impl Peer {
    pub(super) fn new(now: Instant, hello: &Hello, interfaces: Vec<Arc<str>>) -> Self {
        let dead_after = Duration::from_millis(hello.dead_after_ms.into());
        let keepalive_interval = dead_after / KEEPALIVES;
        Self {
            standing: Standing {
                priority: hello.priority,
                address: hello.address,
                nonce: hello.nonce,
            },
            configured: hello.role,
            interfaces,
            heard: now,
            told: None,
            said: None,
            next_sent: 0,
            next_received: 0,
            keepalive_interval,
            keepalive_at: now + keepalive_interval,
            keepalive_due: false,
            its_clock: None,
            round_trip: None,
            stream: None,
            sync_request_due: false,
            received: Received::None,
            message_age: None,
        }
    }
}

impl Stream {
    /// One that begins with a snapshot.
    pub(super) fn new() -> Self {
        Self {
            resync_needed: true,
            snapshots: 0,
            snapshot: Snapshot::None,
            queue: Queue::default(),
        }
    }

    /// A snapshot is needed or on its way.
    pub(super) const fn owes_snapshot(&self) -> bool {
        self.resync_needed || !matches!(self.snapshot, Snapshot::None)
    }

    /// Drops what waits: how many copies that was. A snapshot takes their place.
    pub(super) fn drop_queue(&mut self) -> u64 {
        self.resync_needed = true;
        self.queue.clear()
    }
}
