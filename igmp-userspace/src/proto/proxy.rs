//! The proxy: what downstream interfaces want together, asked for upstream as one host would (RFC 4605 section 4.1).
//!
//! ```text
//! downstream reception states --Proxy::set_demand--> linger, filter --Host--> reports, leaves
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;

use super::random::Random;
use super::timers::Deadlines;
use super::upstream::{self, Host, Membership, Subscription};
use super::upstream_admission::UpstreamAdmission;
use super::{Counter, Counters, Event, EventKind, GroupFilter, IfIndex, Instant, InterfaceParams};
use crate::wire::{self, Received, Repr, Version};

/// What the world must do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Output {
    /// Send `message` out of `interface`.
    Transmit {
        /// The upstream interface.
        interface: IfIndex,
        /// IPv4 source.
        source: Ipv4Addr,
        /// IPv4 destination, from which the link-layer address follows.
        destination: Ipv4Addr,
        /// The message.
        message: Repr,
    },
    /// Frames to `group` are wanted from `interface`, or no longer.
    Listen {
        /// The upstream interface.
        interface: IfIndex,
        /// The group.
        group: Ipv4Addr,
        /// From now on, or no longer.
        wanted: bool,
    },
    /// Something to tell.
    Event(Event),
}

/// What the proxy has to know of an upstream interface that can work.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    /// Which one.
    pub interface: IfIndex,
    /// Its highest IGMP version, Robustness Variable and Query Interval.
    pub params: InterfaceParams,
    /// Its addresses with prefix lengths, primary first; never empty. Reports come from the first.
    pub addresses: Vec<Ipv4Net>,
    /// Queriers accepted beyond `addresses` (`alt_subnets`).
    pub alt_subnets: Vec<Ipv4Net>,
    /// The groups that are joined there.
    pub filter: GroupFilter,
}

/// What downstream interfaces want of a group together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Demand {
    /// Nobody has the group.
    Nothing,
    /// Quick leave: the last known member has left, but the group is still forwarded, for somebody may answer.
    Abandoned,
    /// The [`merge`](upstream::merge()) of all of them.
    Wanted(Subscription),
}

/// A group somebody wants downstream, or wanted a short while ago.
#[derive(Debug)]
struct Wanted {
    subscription: Subscription,
    /// Nobody wants it any more: when it is left.
    left_at: Option<Instant>,
}

/// The proxy. It keeps what is wanted while there is no upstream, and asks for it when there is one.
///
/// It is driven as the [`Router`](super::Router) is: `handle_...` and `set_...` calls, each followed by draining
/// [`poll_output`](Self::poll_output), and [`handle_timeout`](Self::handle_timeout) when
/// [`poll_timeout`](Self::poll_timeout) has come.
#[derive(Debug)]
pub struct Proxy {
    linger: Duration,
    seeds: Random,
    wanted: BTreeMap<Ipv4Addr, Wanted>,
    lingering: Deadlines<Ipv4Addr>,
    abandoned: BTreeSet<Ipv4Addr>,
    /// Groups whose frames are asked for on the link.
    listened: BTreeSet<Ipv4Addr>,
    link: Option<Link>,
    /// While there is a link.
    host: Option<Host>,
    counters: Counters,
    outputs: VecDeque<Output>,
}

impl Proxy {
    /// A proxy without an upstream. `seed` decides the random delays, so it must differ from gateway to gateway.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            linger: Duration::ZERO,
            seeds: Random::seeded(seed),
            wanted: BTreeMap::new(),
            lingering: Deadlines::default(),
            abandoned: BTreeSet::new(),
            listened: BTreeSet::new(),
            link: None,
            host: None,
            counters: Counters::default(),
            outputs: VecDeque::new(),
        }
    }

    /// How long a group stays joined when nobody wants it any more (`leave_linger`), from the next one on.
    pub fn set_linger(&mut self, linger: Duration) {
        self.linger = linger;
    }

    /// The upstream interface can work, or what is to be known of it has changed. Everything wanted is reported at once
    /// when it is another interface, another version or another address than before.
    pub fn handle_link_ready(&mut self, now: Instant, link: Link) {
        let Some(before) = self.link.clone() else {
            return self.start(now, link);
        };
        if before.interface != link.interface || before.params != link.params {
            self.handle_link_gone(before.interface);
            return self.start(now, link);
        }
        let is_other_address = source_address(&before) != source_address(&link);
        let is_other_filter = before.filter != link.filter;
        self.link = Some(link);
        if is_other_filter {
            let groups: Vec<Ipv4Addr> = self.wanted.keys().copied().collect();
            for group in groups {
                self.subscribe(now, group);
            }
        }
        if is_other_address && let Some(host) = &mut self.host {
            host.handle_link_up(now);
        }
    }

    /// `interface` can no longer work; when it is the upstream one, memberships there are void.
    pub fn handle_link_gone(&mut self, interface: IfIndex) {
        if self.link.as_ref().map(|link| link.interface) != Some(interface) {
            return;
        }
        let groups: Vec<_> = self.memberships().map(|member| member.group).collect();
        self.host = None;
        for group in groups {
            self.event(EventKind::UpstreamLeft { group });
        }
        for group in std::mem::take(&mut self.listened) {
            self.listen(interface, group, false);
        }
        self.link = None;
    }

    /// What downstream interfaces want of `group` together from now on.
    pub fn set_demand(&mut self, now: Instant, group: Ipv4Addr, demand: Demand) {
        if demand == Demand::Abandoned {
            self.abandoned.insert(group);
        } else {
            self.abandoned.remove(&group);
        }
        match demand {
            Demand::Wanted(subscription) => {
                let wanted = self.wanted.entry(group).or_insert_with(|| Wanted {
                    subscription: subscription.clone(),
                    left_at: None,
                });
                self.lingering.set(group, &mut wanted.left_at, None);
                wanted.subscription = subscription;
            }
            Demand::Nothing | Demand::Abandoned if self.linger.is_zero() => self.forget(group),
            Demand::Nothing | Demand::Abandoned => {
                if let Some(wanted) = self.wanted.get_mut(&group)
                    && wanted.left_at.is_none()
                {
                    let left_at = Some(now + self.linger);
                    self.lingering.set(group, &mut wanted.left_at, left_at);
                }
            }
        }
        self.subscribe(now, group);
    }

    /// An IGMP packet came in on the upstream interface, as `wire` judged it.
    pub fn handle_received(&mut self, now: Instant, packet: Result<Received, wire::Error>) {
        let (Some(link), Some(host)) = (&self.link, &mut self.host) else {
            return;
        };
        let received = match packet {
            Ok(received) => received,
            Err(error) => return self.counters.count(error.into()),
        };
        self.counters.count(Counter::received(&received.message));
        let admission = UpstreamAdmission {
            addresses: &link.addresses,
            alt_subnets: &link.alt_subnets,
        };
        if let Err(refusal) = admission.judge(&received) {
            self.counters.count(refusal);
            if refusal == Counter::SourceNotAccepted {
                let source = received.source;
                self.event(EventKind::SourceRefused { source });
            }
            return;
        }
        let querier = host.querier();
        match &received.message {
            Repr::Query(query) => host.handle_query(now, query, received.source),
            Repr::ReportV1 { group } | Repr::ReportV2 { group } => host.handle_report_heard(*group),
            Repr::ReportV3(_) | Repr::Leave { .. } => {}
        }
        if let Some(elected) = host.querier()
            && querier != Some(elected)
        {
            self.event(EventKind::QuerierChanged {
                querier: elected,
                is_self: false,
            });
        }
    }

    /// Leaves everything, as a host that is switched off properly, and forgets what was wanted and who the querier is.
    /// The caller then says anew what is wanted.
    pub fn handle_restart(&mut self, now: Instant) {
        let groups: Vec<Ipv4Addr> = self.wanted.keys().copied().collect();
        for group in groups
            .into_iter()
            .chain(std::mem::take(&mut self.abandoned))
        {
            self.forget(group);
            self.subscribe(now, group);
        }
        while let Some(leave) = self.poll_host() {
            self.outputs.push_back(leave);
        }
        if let Some(link) = self.link.take() {
            self.start(now, link);
        }
    }

    /// Everything whose time has come at `now` happens.
    pub fn handle_timeout(&mut self, now: Instant) {
        for group in self.lingering.take_due(now) {
            if let Some(wanted) = self.wanted.get_mut(&group) {
                wanted.left_at = None;
            }
            self.forget(group);
            self.subscribe(now, group);
        }
        if let Some(host) = &mut self.host {
            host.handle_timeout(now);
        }
    }

    /// The next thing to do; `None` when all is done.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        // The host last: what it is told between two polls it packs into one report.
        self.outputs.pop_front().or_else(|| self.poll_host())
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let host = self.host.as_ref().and_then(Host::poll_timeout);
        [host, self.lingering.next()].into_iter().flatten().min()
    }

    /// The groups joined upstream, by address.
    pub fn memberships(&self) -> impl Iterator<Item = Membership<'_>> {
        self.host.iter().flat_map(Host::memberships)
    }

    /// Who asks upstream: the source of the last General Query; `None` before the first.
    #[must_use]
    pub fn querier(&self) -> Option<Ipv4Addr> {
        self.host.as_ref()?.querier()
    }

    /// The version of our reports: the highest that the queriers heard lately speak (RFC 9776 section 7.2.1); `None`
    /// without an upstream.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.host.as_ref().map(Host::mode)
    }

    /// What happened on the upstream interface.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    fn start(&mut self, now: Instant, link: Link) {
        self.host = Some(Host::new(link.params.clone(), self.seeds.next()));
        self.link = Some(link);
        let groups: Vec<Ipv4Addr> = self.wanted.keys().copied().collect();
        for group in groups {
            self.subscribe(now, group);
        }
    }

    fn forget(&mut self, group: Ipv4Addr) {
        if let Some(mut wanted) = self.wanted.remove(&group) {
            self.lingering.set(group, &mut wanted.left_at, None);
        }
    }

    /// Brings the host's subscription to `group` in line with what is wanted and served.
    fn subscribe(&mut self, now: Instant, group: Ipv4Addr) {
        let (Some(link), Some(host)) = (&self.link, &mut self.host) else {
            return;
        };
        let wanted = self.wanted.get(&group);
        let wanted = wanted
            .filter(|_| link.filter.serves(group))
            .map(|wanted| wanted.subscription.clone());
        let was_member = host.is_member(group);
        host.handle_subscription(now, group, wanted);
        let is_member = host.is_member(group);
        let interface = link.interface;
        // What is still forwarded goes on, whether upstream is asked for it or not.
        let listens = is_member || (self.abandoned.contains(&group) && link.filter.serves(group));
        if listens && self.listened.insert(group) {
            self.listen(interface, group, true);
        }
        if is_member != was_member {
            self.event(if is_member {
                EventKind::UpstreamJoined { group }
            } else {
                EventKind::UpstreamLeft { group }
            });
        }
        if !listens && self.listened.remove(&group) {
            self.listen(interface, group, false);
        }
    }

    fn listen(&mut self, interface: IfIndex, group: Ipv4Addr, wanted: bool) {
        self.outputs.push_back(Output::Listen {
            interface,
            group,
            wanted,
        });
    }

    fn poll_host(&mut self) -> Option<Output> {
        let (link, host) = (self.link.as_ref()?, self.host.as_mut()?);
        let upstream::Output::Transmit {
            destination,
            message,
        } = host.poll_output()?;
        self.counters.count(Counter::sent_report(&message));
        Some(Output::Transmit {
            interface: link.interface,
            source: source_address(link),
            destination,
            message,
        })
    }

    fn event(&mut self, kind: EventKind) {
        if let Some(link) = &self.link {
            let interface = link.interface;
            self.outputs
                .push_back(Output::Event(Event { interface, kind }));
        }
    }
}

fn source_address(link: &Link) -> Ipv4Addr {
    link.addresses[0].addr()
}

#[cfg(test)]
mod tests;
