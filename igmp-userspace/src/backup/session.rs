//! A profile's session: what both gateways know of each other, over any number of connections.

use std::collections::{BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::config::{Config, MAX_RECONNECT_PAUSE, MIN_RECONNECT_PAUSE};
use super::counters::Counters;
use super::event::{Disconnect, Event};
use super::record::{Record, printable};
use super::refusal::Refused;
use super::role::{Cause, Meeting, Role, Roles};
use super::status::{LastRefusal, LastSync, PeerStatus, QueueStatus, Status};
use crate::proto::GroupState;
use crate::proto::Instant;
use connection::{Connection, Peer, Received, Stream};

mod connection;
mod copies;
mod receive;
mod transmit;

/// What the owner must do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Output {
    /// The role has changed.
    RoleChanged {
        /// The new one.
        role: Role,
        /// Why.
        cause: Cause,
    },
    /// The master accepted this message: it is to be treated as if it had come in here.
    Feed {
        /// Where, as this gateway calls it.
        interface: Arc<str>,
        /// From the IPv4 header on.
        packet: Vec<u8>,
        /// How long before now the master received it, not counting the way between the two.
        age: Duration,
    },
    /// These groups become what the master has.
    Restore {
        /// Where.
        interface: Arc<str>,
        /// Their state, timers as what is left of them now.
        states: Vec<GroupState>,
    },
    /// All other groups that hosts brought about on this interface are gone on the master, and go here.
    Retain {
        /// Where.
        interface: Arc<str>,
        /// Those that stay.
        groups: BTreeSet<Ipv4Addr>,
    },
    /// Call [`Session::snapshot`] for each of these interfaces that is ready, then [`Session::snapshot_end`]. One that is
    /// not ready is left out: what the peer knows of it stays.
    NeedSnapshot {
        /// The interfaces that are copied.
        interfaces: Vec<Arc<str>>,
    },
    /// Send what [`Session::poll_transmit`] still gives, as far as that is possible without waiting, and close the
    /// connection. [`Session::handle_disconnected`] need not be called.
    Disconnect(Disconnect),
    /// Something to tell.
    Event(Event),
}

/// What an operator can block for maintenance.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Direction {
    /// Copies and snapshots to the peer.
    Send,
    /// Those of the peer.
    Receive,
}

/// A mapped interface.
#[derive(Debug)]
struct Interface {
    name: Arc<str>,
    /// Messages that come in on it are copied.
    copied: bool,
}

/// One profile's session. See the [module](super).
#[derive(Debug)]
pub struct Session {
    config: Config,
    interfaces: Vec<Interface>,
    roles: Roles,
    connection: Option<Connection>,
    /// What is still to be sent on a connection that is being closed.
    farewell: Option<Vec<u8>>,
    send_blocked: bool,
    receive_blocked: bool,
    pause: Duration,
    reconnect_at: Instant,
    counters: Counters,
    last_sync: Option<LastSync>,
    last_refusal: Option<LastRefusal>,
    outputs: VecDeque<Output>,
}

impl Session {
    /// A session that starts at `now` in this role. `seed`: drawn at random for each start of the process.
    #[must_use]
    pub fn new(now: Instant, config: Config, role: Role, seed: u64) -> Self {
        Self {
            interfaces: interfaces(&config, &[]),
            roles: Roles::new(now, config.roles(), role, seed),
            config,
            connection: None,
            farewell: None,
            send_blocked: false,
            receive_blocked: false,
            pause: MIN_RECONNECT_PAUSE,
            reconnect_at: now,
            counters: Counters::default(),
            last_sync: None,
            last_refusal: None,
            outputs: VecDeque::new(),
        }
    }

    /// Another configuration from now on. Roles and what is switched off stay; a connection ends when the other side has
    /// to hear of the difference.
    pub fn reconfigure(&mut self, now: Instant, config: Config) {
        self.roles.reconfigure(config.roles());
        self.interfaces = interfaces(&config, &self.interfaces);
        let same = self.config.says_the_same(&config);
        self.config = config;
        if !same {
            self.pause = MIN_RECONNECT_PAUSE;
            self.disconnect(now, Disconnect::Reconfigured);
        }
    }

    /// A connection is there, authenticated as far as it ever will be. One that was there before is forgotten.
    ///
    /// `nonce`: drawn for this connection so that nobody can foresee it.
    pub fn handle_connected(&mut self, now: Instant, nonce: u64) {
        self.handle_disconnected(now, "another connection took its place");
        self.farewell = None;
        self.connection = Some(Connection::new(now, nonce));
    }

    /// True while there is a connection to a peer that has proved to be there. Another one that is made meanwhile is to be
    /// turned away: a peer that is gone without a word is known to be dead soon, and somebody else must not take its place.
    #[must_use]
    pub fn has_peer(&self) -> bool {
        self.connection
            .as_ref()
            .is_some_and(|connection| connection.met().is_some())
    }

    /// Octets came in. They should be handed in *before* [`handle_timeout`](Self::handle_timeout): a keepalive that waited
    /// in a socket while this process did not run still shows that the peer lives.
    pub fn handle_bytes(&mut self, now: Instant, octets: &[u8]) {
        self.receive(now, octets);
        self.settle();
    }

    /// The connection is gone; `cause` is for people to read. Nothing happens when there is none.
    pub fn handle_disconnected(&mut self, now: Instant, cause: &str) {
        self.close(now, Disconnect::Lost(cause.to_owned()));
    }

    /// Somebody at the peer's address was refused before there was a connection, or refuses this gateway; `text` is for
    /// people to read.
    pub fn handle_refused(&mut self, now: Instant, reason: &str, text: &str) {
        self.last_refusal = Some(LastRefusal {
            at: now,
            by_peer: false,
            reason: reason.to_owned(),
            text: printable(text),
        });
    }

    /// An attempt to connect has failed before there was a connection.
    pub fn handle_connect_failed(&mut self, now: Instant) {
        self.reconnect_at = now + self.pause;
        self.pause = (self.pause * 2).min(MAX_RECONNECT_PAUSE);
    }

    /// What is due at `now` happens.
    pub fn handle_timeout(&mut self, now: Instant) {
        let role = self.roles.role();
        self.roles.handle_timeout(now);
        self.role_may_have_changed(role);
        let dead_after = self.config.dead_after;
        if let Some(connection) = &mut self.connection {
            if connection.dead_at(dead_after) <= now {
                let cause = if connection.met().is_some() {
                    Disconnect::PeerDead
                } else {
                    Disconnect::Silent
                };
                self.disconnect(now, cause);
            } else if let Some(peer) = &mut connection.peer
                && peer.keepalive_at <= now
            {
                peer.keepalive_due = true;
                peer.keepalive_at = now + peer.keepalive_interval;
            }
        }
        self.settle();
    }

    /// An operator's word on the role.
    pub fn set_role(&mut self, role: Role) {
        let before = self.roles.role();
        let meeting = self.roles.set_role(role);
        self.role_may_have_changed(before);
        self.tell_of(meeting);
        self.settle();
    }

    /// The role it has.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.roles.role()
    }

    /// Whether it is to be master, and waits for its peer before.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.roles.statement().cause == Cause::Waiting
    }

    /// The next thing to do, in the order of the events; `None` when all is done.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout). Every other call may change it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let connection = self.connection.as_ref();
        let dead_at = connection.map(|connection| connection.dead_at(self.config.dead_after));
        let keepalive_at = connection
            .and_then(|connection| connection.peer.as_ref())
            .map(|peer| peer.keepalive_at);
        [self.roles.poll_timeout(), dead_at, keepalive_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// From when on a connection should be tried again: there is a pause after each that came to nothing, twice as long each
    /// time.
    #[must_use]
    pub const fn reconnect_at(&self) -> Instant {
        self.reconnect_at
    }

    /// What there is to show at `now`.
    #[must_use]
    pub fn status(&self, now: Instant) -> Status {
        let peer = self.connection.as_ref().and_then(|connection| {
            let (peer, said) = connection.met()?;
            Some(PeerStatus {
                address: peer.standing.address,
                role: said.role(),
                cause: said.cause,
                priority: peer.standing.priority,
                since: connection.since,
                round_trip: peer.round_trip,
                message_age: peer.message_age,
            })
        });
        let met = self.connection.as_ref().and_then(Connection::met);
        let stream = met.and_then(|(peer, _)| peer.stream.as_ref());
        Status {
            profile: self.config.profile.clone(),
            role: self.roles.role(),
            cause: self.roles.statement().cause,
            switch_back_at: self.roles.switch_back_at(),
            peer,
            synced: match self.roles.role() {
                Role::Master => stream.is_some_and(|stream| !stream.owes_snapshot()),
                Role::Backup => {
                    met.is_some_and(|(peer, _)| matches!(peer.received, Received::Whole))
                }
            },
            last_sync: self.last_sync,
            queue: stream.map_or_else(QueueStatus::default, |stream| QueueStatus {
                records: stream.queue.len(),
                octets: stream.queue.octets(),
                age: stream.queue.age(now),
            }),
            send_blocked: self.send_blocked,
            receive_blocked: self.receive_blocked,
            reconnect_at: self.reconnect_at,
            counters: self.counters.clone(),
            last_refusal: self.last_refusal.clone(),
        }
    }

    fn place(&self, interface: &str) -> Option<usize> {
        self.interfaces
            .iter()
            .position(|known| *known.name == *interface)
    }

    /// The peer, once it has said its role.
    fn peer_mut(&mut self) -> Option<&mut Peer> {
        self.connection.as_mut().and_then(Connection::met_mut)
    }

    fn role_may_have_changed(&mut self, before: Role) {
        let role = self.roles.role();
        if role != before {
            let cause = self.roles.statement().cause;
            self.outputs.push_back(Output::RoleChanged { role, cause });
            if role == Role::Backup {
                // What the peer copied before was not acted on, and it may not even have heard that this one was master.
                self.request_sync();
            }
        }
    }

    fn tell_of(&mut self, meeting: Option<Meeting>) {
        let event = meeting.map(|meeting| match meeting {
            Meeting::BothMaster { gave_way } => Event::BothMaster { gave_way },
            Meeting::BothBackup => Event::BothBackup,
        });
        self.outputs.extend(event.map(Output::Event));
    }

    /// The stream to the peer begins, with a snapshot, or ends, as the roles are now.
    ///
    /// It flows from a master to a backup. And a gateway that starts and is to be master gets a snapshot of its peer, so
    /// that it does not begin with nothing.
    fn settle(&mut self) {
        let own = self.roles.statement();
        let Some(peer) = self.peer_mut() else {
            return;
        };
        let Some(said) = peer.said else {
            return;
        };
        let in_stream = said.role() == Role::Backup
            && (own.role() == Role::Master
                || (said.cause == Cause::Waiting && own.cause != Cause::Waiting));
        if in_stream != peer.stream.is_some() {
            peer.stream = in_stream.then(Stream::new);
        }
        if own.role() == Role::Master {
            peer.received = Received::None;
        }
    }

    /// Ends the connection over what came in: the peer is told.
    fn refuse(&mut self, now: Instant, mut refused: Refused) {
        refused.text = printable(&refused.text);
        let mut farewell = Vec::new();
        Record::Refuse {
            reason: refused.reason.name().to_owned(),
            text: refused.text.clone(),
        }
        .encode(&mut farewell);
        self.counters.refuse(refused.reason);
        self.last_refusal = Some(LastRefusal {
            at: now,
            by_peer: false,
            reason: refused.reason.name().to_owned(),
            text: refused.text.clone(),
        });
        self.disconnect(now, Disconnect::Refused(refused));
        self.farewell = Some(farewell);
    }

    /// Ends the connection, and has the owner do so.
    fn disconnect(&mut self, now: Instant, cause: Disconnect) {
        if self.connection.is_some() {
            self.outputs.push_back(Output::Disconnect(cause.clone()));
            self.close(now, cause);
        }
    }

    /// Forgets the connection.
    fn close(&mut self, now: Instant, cause: Disconnect) {
        if self.connection.take().is_none() {
            return;
        }
        self.roles.peer_lost();
        self.handle_connect_failed(now);
        self.outputs
            .push_back(Output::Event(Event::Disconnected(cause)));
    }
}

/// Those of the configuration; what is known of them already stays.
fn interfaces(config: &Config, known: &[Interface]) -> Vec<Interface> {
    let interface = |name: &str| Interface {
        name: name.into(),
        copied: known
            .iter()
            .find(|known| *known.name == *name)
            .is_none_or(|known| known.copied),
    };
    let pairs = config.interfaces.iter();
    pairs.map(|pair| interface(&pair.local)).collect()
}

#[cfg(test)]
mod tests;
