//! The other gateways: for each profile its session and the connection that carries it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::Bytes;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::link::{self, Connection, ConnectionId, Endpoints, Incoming, Link, RefusedBy};
use super::tls::{Certificates, SetupError, Tls};
use crate::backup::{self, Event, Role, Session};
use crate::config::RemoteBackupProfile;
use crate::io::ports::Gate;
use crate::proto::Instant;

/// Octets that a connection is given at once.
const PIECE: usize = 64 << 10;

/// The profiles of the configuration, in its order.
#[derive(Debug)]
pub struct Peers {
    all: Vec<Peer>,
    tell: mpsc::Sender<Incoming>,
    incoming: mpsc::Receiver<Incoming>,
}

/// The other gateway of one profile.
#[derive(Debug)]
pub struct Peer {
    /// The profile.
    pub config: RemoteBackupProfile,
    /// What both gateways say to each other.
    pub session: Session,
    /// Connections that came to nothing before the session had a word, by reason.
    pub refused: BTreeMap<RefusedBy, u64>,
    /// `None` where the profile is insecure.
    certificates: Option<Certificates>,
    /// The igmpd before this one was master and left its gates open; they stay so while the session waits for the peer.
    left_open: bool,
    link: Link,
    connection: Option<Connection>,
    is_connecting: bool,
    /// The last that was told of a connection that ended: a peer that refuses does so again and again.
    told: Option<String>,
}

/// Profiles whose keys and certificates are good.
pub struct Prepared(Vec<(RemoteBackupProfile, Option<Tls>)>);

impl Prepared {
    /// Reads their files.
    ///
    /// # Errors
    ///
    /// The first file that is not what it should be.
    pub fn new(profiles: &[RemoteBackupProfile]) -> Result<Self, SetupError> {
        let load = |profile: &RemoteBackupProfile| {
            let tls = profile.tls.as_ref().map(Tls::load).transpose()?;
            Ok((profile.clone(), tls))
        };
        Ok(Self(profiles.iter().map(load).collect::<Result<_, _>>()?))
    }
}

impl Peers {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        let (tell, incoming) = link::channel();
        Self {
            all: Vec::new(),
            tell,
            incoming,
        }
    }

    /// Takes over the profiles of another configuration. Those that stay keep their roles, and their connections unless
    /// the other side has to hear of the difference. `last_role` is what a new one was when igmpd ended, if that is known;
    /// `seed` is random.
    pub fn configure(
        &mut self,
        now: Instant,
        prepared: Prepared,
        last_role: impl Fn(&RemoteBackupProfile) -> Option<Role>,
        seed: impl Fn() -> u64,
    ) {
        let mut before = std::mem::take(&mut self.all);
        for (config, tls) in prepared.0 {
            let known = before
                .iter()
                .position(|peer| peer.config.name == config.name);
            let peer = if let Some(known) = known {
                let mut peer = before.swap_remove(known);
                peer.session.reconfigure(now, session_config(&config));
                // The same files may hold others by now.
                let renewed = certificates(tls.as_ref());
                let certificates = std::mem::replace(&mut peer.certificates, renewed);
                if moved(&peer.config, &config) || certificates != peer.certificates {
                    peer.connection = None;
                    peer.is_connecting = false;
                    peer.session
                        .handle_disconnected(now, "another address or other certificates");
                    peer.link = Link::start(endpoints(&config), tls, self.tell.clone());
                }
                peer.config = config;
                peer
            } else {
                let role = last_role(&config).unwrap_or(config.role);
                let session = Session::new(now, session_config(&config), role, seed());
                if tls.is_none() {
                    warn!(
                        profile = config.name,
                        "insecure = true: whoever reaches {} can say what is forwarded",
                        config.listen
                    );
                }
                Peer {
                    certificates: certificates(tls.as_ref()),
                    link: Link::start(endpoints(&config), tls, self.tell.clone()),
                    config,
                    session,
                    refused: BTreeMap::new(),
                    connection: None,
                    left_open: false,
                    is_connecting: false,
                    told: None,
                }
            };
            self.all.push(peer);
        }
    }

    /// What happens next on a connection. Cancel safe.
    pub async fn next(&mut self) -> Incoming {
        match self.incoming.recv().await {
            Some(incoming) => incoming,
            // We hold a sender ourselves.
            None => std::future::pending().await,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.all.iter()
    }

    /// All of them, to be told something.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.all.iter_mut()
    }

    /// The one of this profile.
    pub fn get_mut(&mut self, profile: &str) -> Option<&mut Peer> {
        self.iter_mut().find(|peer| peer.config.name == profile)
    }

    /// The one that has this interface as well.
    #[must_use]
    pub fn of_interface(&self, name: &str) -> Option<&Peer> {
        self.iter().find(|peer| peer.config.maps(name))
    }

    /// Whether another gateway serves the hosts of this interface.
    #[must_use]
    pub fn is_standby(&self, name: &str) -> bool {
        let peer = self.of_interface(name);
        peer.is_some_and(|peer| peer.session.role() == Role::Backup)
    }

    /// What is forwarded already goes on while sessions wait for their peers.
    pub fn leave_open(&mut self) {
        for peer in &mut self.all {
            peer.left_open = peer.session.is_waiting();
        }
    }

    /// Whether a peer has been met, or waited for in vain, since the last time; gates have to follow then.
    pub fn has_waited(&mut self) -> bool {
        let mut has_waited = false;
        for peer in &mut self.all {
            if peer.left_open && !peer.session.is_waiting() {
                peer.left_open = false;
                has_waited = true;
            }
        }
        has_waited
    }

    /// The gates of all interfaces that another gateway may serve.
    #[must_use]
    pub fn gates(&self) -> BTreeMap<String, Gate> {
        let gates = self.iter().flat_map(|peer| {
            let names = peer.config.interfaces.iter();
            names.map(move |interface| (interface.local.clone(), peer.gate()))
        });
        gates.collect()
    }

    /// The gate of the interfaces of a profile; `None` = there is no such profile.
    #[must_use]
    pub fn gate(&self, profile: &str) -> Option<Gate> {
        let mut peers = self.iter();
        let peer = peers.find(|peer| peer.config.name == profile)?;
        Some(peer.gate())
    }

    /// Something happened on a connection; `nonce` is random.
    pub fn handle(&mut self, now: Instant, incoming: Incoming, nonce: u64) {
        match incoming {
            Incoming::Connected(connection) => {
                if let Some(peer) = self.get_mut(&connection.id.profile) {
                    if peer.session.has_peer() {
                        *peer.refused.entry(RefusedBy::Occupied).or_default() += 1;
                        return;
                    }
                    peer.is_connecting = false;
                    peer.connection = Some(connection);
                    peer.session.handle_connected(now, nonce);
                }
            }
            Incoming::Received { connection, bytes } => {
                if let Some(peer) = self.on(&connection) {
                    peer.session.handle_bytes(now, &bytes);
                }
            }
            // What waits is written after whatever happens.
            Incoming::Writable(_) => {}
            Incoming::Closed { connection, reason } => {
                if let Some(peer) = self.on(&connection) {
                    peer.connection = None;
                    peer.session.handle_disconnected(now, &reason);
                }
            }
            Incoming::Unreachable { profile } => {
                if let Some(peer) = self.get_mut(&profile) {
                    peer.is_connecting = false;
                    peer.session.handle_connect_failed(now);
                }
            }
            Incoming::Refused {
                profile,
                reason,
                detail,
            } => {
                debug!(
                    profile,
                    reason = reason.name(),
                    "connection refused: {detail}"
                );
                if let Some(peer) = self.get_mut(&profile) {
                    *peer.refused.entry(reason).or_default() += 1;
                    if reason == RefusedBy::Tls {
                        let name = reason.name();
                        peer.session.handle_refused(now, name, &detail);
                    }
                }
            }
        }
    }

    /// The peer on a connection that is not a former one.
    fn on(&mut self, connection: &ConnectionId) -> Option<&mut Peer> {
        let peer = self.get_mut(&connection.profile)?;
        let current = peer.connection.as_ref()?;
        (current.id == *connection).then_some(peer)
    }

    /// What is due at `now` happens.
    pub fn handle_timeout(&mut self, now: Instant) {
        for peer in &mut self.all {
            if peer.session.poll_timeout().is_some_and(|due| due <= now) {
                peer.session.handle_timeout(now);
            }
            if peer.wants_connection() && peer.session.reconnect_at() <= now {
                peer.is_connecting = peer.link.connect();
            }
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = |peer: &Peer| {
            let connect = peer.wants_connection().then(|| peer.session.reconnect_at());
            peer.session.poll_timeout().into_iter().chain(connect).min()
        };
        self.all.iter().filter_map(due).min()
    }

    /// Writes what there is to write, as far as connections take it.
    pub fn pump(&mut self, now: Instant) {
        for peer in &mut self.all {
            peer.pump(now);
        }
    }
}

impl Default for Peers {
    fn default() -> Self {
        Self::new()
    }
}

impl Peer {
    fn gate(&self) -> Gate {
        if self.session.role() == Role::Master || self.left_open {
            Gate::Open
        } else {
            Gate::Closed
        }
    }

    fn wants_connection(&self) -> bool {
        self.connection.is_none() && !self.is_connecting && endpoints(&self.config).connects()
    }

    fn pump(&mut self, now: Instant) {
        let Some(connection) = &self.connection else {
            return;
        };
        while connection.room()
            && let Some(octets) = self.session.poll_transmit(now, PIECE)
        {
            connection.send(Bytes::from(octets));
        }
    }

    /// Whether there is any use in telling of an event.
    pub fn is_news(&mut self, event: &Event) -> bool {
        match event {
            Event::Disconnected(cause) => {
                let cause = Some(cause.to_string());
                std::mem::replace(&mut self.told, cause.clone()) != cause
            }
            Event::Connected { .. } => {
                self.told = None;
                true
            }
            _ => true,
        }
    }

    /// Says the last words and closes the connection.
    pub fn hang_up(&mut self, now: Instant) {
        self.pump(now);
        if let Some(connection) = self.connection.take() {
            connection.finish();
        }
    }
}

fn endpoints(config: &RemoteBackupProfile) -> Endpoints {
    Endpoints {
        profile: config.name.clone(),
        listen: config.listen,
        peer: config.peer,
    }
}

fn certificates(tls: Option<&Tls>) -> Option<Certificates> {
    tls.map(|tls| tls.certificates.clone())
}

fn moved(before: &RemoteBackupProfile, after: &RemoteBackupProfile) -> bool {
    (before.listen, before.peer) != (after.listen, after.peer)
}

fn session_config(config: &RemoteBackupProfile) -> backup::Config {
    backup::Config {
        profile: config.name.clone(),
        role: config.role,
        priority: config.priority,
        address: IpAddr::V4(*config.listen.ip()),
        interfaces: config.interfaces.clone(),
        dead_after: config.dead_after,
        peer_wait: backup::DEFAULT_PEER_WAIT,
        switch_back_delay: config.switch_back_delay,
    }
}
