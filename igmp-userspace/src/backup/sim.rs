//! Two gateways on virtual time, for tests: A, configured as master, and B, with a connection between them that can be cut,
//! stalled, reset and slow.
//!
//! What hosts say goes to the gateways that are master, as the access network would have it. The membership is a table
//! that says until when each group is wanted; a message is a group, and whether it is joined or left.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::{Config, Direction, Output, Role, Session, Status};
use crate::proto::GroupState;
use crate::proto::{FilterMode, Instant};

mod setting;

pub(super) use setting::*;

/// Octets the transport takes before it waits for the peer.
const SOCKET_BUFFER: usize = 256 * 1024;

/// Until when each group is wanted, by link.
pub(super) type Table = BTreeMap<(usize, Ipv4Addr), Instant>;

/// A gateway: a session, what it makes of it, and its end of the connection.
pub(super) struct Gateway {
    pub(super) session: Session,
    pub(super) table: Table,
    pub(super) told: Vec<String>,
    /// Groups restored, and messages fed.
    pub(super) restored: usize,
    pub(super) fed: usize,
    connected: bool,
    /// Its transport takes nothing.
    pub(super) stalled: bool,
    /// On their way to it.
    arriving: VecDeque<(Instant, Option<Vec<u8>>)>,
    /// Everything it was ever sent, by connection.
    pub(super) recordings: Vec<Vec<u8>>,
}

/// See the module.
pub(super) struct Pair {
    pub(super) now: Instant,
    pub(super) gateways: [Gateway; 2],
    /// Nothing arrives, and neither end is told.
    pub(super) cut: bool,
    configs: [Config; 2],
    nonce: u64,
}

impl Gateway {
    fn new(now: Instant, config: Config, seed: u64) -> Self {
        let role = config.role;
        Self {
            session: Session::new(now, config, role, seed),
            table: Table::new(),
            told: Vec::new(),
            restored: 0,
            fed: 0,
            connected: false,
            stalled: false,
            arriving: VecDeque::new(),
            recordings: Vec::new(),
        }
    }

    /// What it tells since it was last asked.
    pub(super) fn tells(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }
}

fn link(gateway: usize, name: &str) -> usize {
    LINKS
        .iter()
        .position(|names| names[gateway] == name)
        .unwrap_or_else(|| panic!("{name} is no link of {gateway}"))
}

fn apply(table: &mut Table, link: usize, packet: &[u8], arrived: Instant) {
    let [joins, address @ ..] = <[u8; 5]>::try_from(packet).expect("a message as they are here");
    let key = (link, Ipv4Addr::from(address));
    if joins == 1 {
        table.insert(key, arrived + GMI);
    } else {
        table.remove(&key);
    }
}

impl Pair {
    /// Both start now, and are not connected before [`run`](Self::run).
    pub(super) fn new() -> Self {
        Self::configured(config(A), config(B))
    }

    pub(super) fn configured(a: Config, b: Config) -> Self {
        let now = Instant::from_start(seconds(100));
        Self {
            now,
            gateways: [
                Gateway::new(now, a.clone(), 1000),
                Gateway::new(now, b.clone(), 2000),
            ],
            cut: false,
            configs: [a, b],
            nonce: 0,
        }
    }

    /// They have met, A is master, and what they told of it is taken for granted.
    pub(super) fn met() -> Self {
        let mut pair = Self::new();
        pair.run(seconds(1));
        assert_eq!(pair.roles(), [Role::Master, Role::Backup]);
        for gateway in &mut pair.gateways {
            gateway.told.clear();
        }
        pair
    }

    pub(super) fn roles(&self) -> [Role; 2] {
        [A, B].map(|gateway| self.gateways[gateway].session.role())
    }

    pub(super) fn status(&self, gateway: usize) -> Status {
        self.gateways[gateway].session.status(self.now)
    }

    pub(super) fn connected(&self) -> bool {
        [A, B].iter().all(|&at| self.status(at).peer.is_some())
    }

    /// A host joins or leaves.
    pub(super) fn host(&mut self, at: usize, joins: bool, number: u32) {
        self.say(at, joins, number);
        self.settle();
    }

    /// The gateways that are master hear a host, and have no time yet for anything else.
    pub(super) fn say(&mut self, at: usize, joins: bool, number: u32) {
        let mut packet = vec![u8::from(joins)];
        packet.extend(group(number).octets());
        for (index, gateway) in self.gateways.iter_mut().enumerate() {
            if gateway.session.role() == Role::Master {
                apply(&mut gateway.table, at, &packet, self.now);
                gateway.session.copy(LINKS[at][index], &packet, self.now);
            }
        }
    }

    pub(super) fn join(&mut self, number: u32) {
        self.host(0, true, number);
    }

    pub(super) fn leave(&mut self, number: u32) {
        self.host(0, false, number);
    }

    pub(super) fn set_role(&mut self, gateway: usize, role: Role) {
        self.gateways[gateway].session.set_role(role);
        self.settle();
    }

    pub(super) fn set_copied(&mut self, at: usize, copied: bool) {
        for (index, gateway) in self.gateways.iter_mut().enumerate() {
            gateway.session.set_copied(LINKS[at][index], copied);
        }
        self.settle();
    }

    pub(super) fn block(&mut self, gateway: usize, direction: Direction, blocked: bool) {
        self.gateways[gateway]
            .session
            .set_blocked(direction, blocked);
        self.settle();
    }

    /// The process starts anew, knowing nothing; its peer sees the connection closed.
    pub(super) fn restart(&mut self, gateway: usize) {
        self.reset();
        self.nonce += 1;
        let config = self.configs[gateway].clone();
        let fresh = Gateway::new(self.now, config, 10_000 + self.nonce);
        self.gateways[gateway] = fresh;
        self.settle();
    }

    /// The connection is closed under both.
    pub(super) fn reset(&mut self) {
        let now = self.now;
        for gateway in &mut self.gateways {
            gateway.arriving.clear();
            if std::mem::take(&mut gateway.connected) {
                gateway.session.handle_disconnected(now, "reset");
            }
        }
        self.settle();
    }

    /// Lets that much time pass, jumping from one thing that is due to the next.
    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        for step in 0.. {
            assert!(step < 1_000_000, "it never comes to rest");
            self.settle();
            let due = self.next_due().filter(|due| *due <= end);
            self.now = due.map_or(end, |due| due.max(self.now));
            if due.is_none() {
                return;
            }
            self.connect();
            self.deliver();
            for gateway in &mut self.gateways {
                if gateway
                    .session
                    .poll_timeout()
                    .is_some_and(|at| at <= self.now)
                {
                    gateway.session.handle_timeout(self.now);
                }
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let each = self.gateways.iter();
        let arrivals = each.clone().filter(|_| !self.cut);
        let arrivals = arrivals.filter_map(|to| to.arriving.front().map(|(at, _)| *at));
        let timeouts = each.filter_map(|gateway| gateway.session.poll_timeout());
        arrivals.chain(timeouts).chain(self.reconnect_at()).min()
    }

    /// When both will be connected anew.
    fn reconnect_at(&self) -> Option<Instant> {
        let each = self.gateways.iter();
        let idle = !self.cut && each.clone().all(|gateway| !gateway.connected);
        let at = each.map(|gateway| gateway.session.reconnect_at()).max();
        at.filter(|_| idle)
    }

    fn connect(&mut self) {
        if self.reconnect_at().is_some_and(|at| at <= self.now) {
            for gateway in &mut self.gateways {
                self.nonce += 0x9e37_79b9;
                gateway.session.handle_connected(self.now, self.nonce);
                gateway.connected = true;
                gateway.arriving.clear();
                gateway.recordings.push(Vec::new());
            }
        }
    }

    fn deliver(&mut self) {
        for gateway in &mut self.gateways {
            while !self.cut
                && gateway
                    .arriving
                    .front()
                    .is_some_and(|(at, _)| *at <= self.now)
                && let Some((_, octets)) = gateway.arriving.pop_front()
            {
                match octets {
                    _ if !gateway.connected => {}
                    Some(octets) => gateway.session.handle_bytes(self.now, &octets),
                    None => {
                        gateway.session.handle_disconnected(self.now, "closed");
                        gateway.connected = false;
                    }
                }
            }
        }
    }

    /// Everything that both have to do now is done.
    pub(super) fn settle(&mut self) {
        while [A, B].into_iter().any(|gateway| self.drain(gateway)) {}
    }

    /// What the module tells an owner to do; true when anything was.
    fn drain(&mut self, index: usize) -> bool {
        let now = self.now;
        let [a, b] = &mut self.gateways;
        let (own, peer) = if index == A { (a, b) } else { (b, a) };
        let mut progress = false;
        let in_flight = |to: &Gateway| -> usize {
            let octets = to.arriving.iter().flat_map(|(_, octets)| octets);
            octets.map(Vec::len).sum()
        };
        while own.connected
            && !own.stalled
            && in_flight(peer) < SOCKET_BUFFER
            && let Some(octets) = own.session.poll_transmit(now, 16 * 1024)
        {
            progress = true;
            if let Some(recording) = peer.recordings.last_mut() {
                recording.extend(&octets);
            }
            peer.arriving.push_back((now + LATENCY, Some(octets)));
        }
        let mut closed = false;
        while let Some(output) = own.session.poll_output() {
            progress = true;
            match output {
                Output::RoleChanged { role, cause } => own.told.push(format!("{role}: {cause}")),
                Output::Event(event) => own.told.push(event.to_string()),
                Output::Feed {
                    interface,
                    packet,
                    age,
                } => {
                    own.fed += 1;
                    let arrived = Instant::from_start(now.since_start().saturating_sub(age));
                    apply(&mut own.table, link(index, &interface), &packet, arrived);
                }
                Output::Restore { interface, states } => {
                    own.restored += states.len();
                    for state in states {
                        let left = state.group_timer.expect("all groups here have one");
                        let key = (link(index, &interface), state.group);
                        own.table.insert(key, now + left);
                    }
                }
                Output::Retain { interface, groups } => {
                    let at = link(index, &interface);
                    own.table
                        .retain(|(link, group), _| *link != at || groups.contains(group));
                }
                Output::NeedSnapshot { interfaces } => {
                    for interface in &interfaces {
                        let at = link(index, interface);
                        let groups = own.table.iter().filter(|((link, _), _)| *link == at);
                        let states = groups.map(|((_, group), until)| state(*group, *until, now));
                        own.session.snapshot(now, interface, states);
                    }
                    own.session.snapshot_end(now);
                }
                Output::Disconnect(_) => closed = true,
            }
        }
        if closed {
            if let Some(farewell) = own.session.poll_transmit(now, 1) {
                peer.arriving.push_back((now + LATENCY, Some(farewell)));
            }
            own.connected = false;
            own.arriving.clear();
            peer.arriving.push_back((now + LATENCY, None));
        }
        progress
    }
}

fn state(group: Ipv4Addr, until: Instant, now: Instant) -> GroupState {
    GroupState {
        group,
        filter_mode: FilterMode::Exclude,
        group_timer: Some(until.saturating_since(now)),
        sources: Vec::new(),
        v1_host_present: None,
        v2_host_present: None,
        last_reporter: None,
    }
}

/// Both have the same groups, and each timer differs by no more than octets may be on their way before the peer is dead.
pub(super) fn assert_equal_state(pair: &Pair) {
    let [a, b] = &pair.gateways;
    let keys = |gateway: &Gateway| gateway.table.keys().copied().collect::<Vec<_>>();
    assert_eq!(keys(a), keys(b));
    for (key, until) in &a.table {
        let other = b.table[key];
        let apart = until
            .saturating_since(other)
            .max(other.saturating_since(*until));
        assert!(apart <= seconds(1), "{key:?}: {apart:?} apart");
    }
}
