use std::net::Ipv4Addr;
use std::time::Duration;

use super::super::sim::{A, B, G, Time as _};
use super::super::{EventKind, FilterMode, GroupFilter, IfIndex, Instant, InterfaceParams};
use super::upstream::{State, Subscription};
use super::{Demand, Link, Output, Proxy};
use crate::wire::{self, Query, Received, Repr, Version};

const WAN: IfIndex = IfIndex(2);
const H: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);

fn any_source() -> Subscription {
    Subscription {
        mode: FilterMode::Exclude,
        sources: [].into(),
    }
}

fn only(source: Ipv4Addr) -> Subscription {
    Subscription {
        mode: FilterMode::Include,
        sources: [source].into(),
    }
}

fn link(address: &str) -> Link {
    Link {
        interface: WAN,
        params: InterfaceParams::default(),
        addresses: vec![address.parse().unwrap()],
        alt_subnets: Vec::new(),
        filter: GroupFilter::default(),
    }
}

/// A proxy on virtual time. What it does is compared whole, in the order it is done.
struct Sim {
    now: Instant,
    proxy: Proxy,
}

impl Sim {
    fn new() -> Self {
        Self {
            now: Instant::START,
            proxy: Proxy::new(1),
        }
    }

    /// A proxy whose upstream is ready and silent.
    fn ready() -> Self {
        let mut sim = Self::new();
        sim.proxy.handle_link_ready(sim.now, link("10.0.0.1/24"));
        sim.expects(&[]);
        sim
    }

    fn wants(&mut self, group: Ipv4Addr, subscription: Subscription) -> &mut Self {
        self.proxy
            .set_demand(self.now, group, Demand::Wanted(subscription));
        self
    }

    fn wants_no_more(&mut self, group: Ipv4Addr) -> &mut Self {
        self.proxy.set_demand(self.now, group, Demand::Nothing);
        self
    }

    fn receives(&mut self, source: Ipv4Addr, message: Repr) -> &mut Self {
        let destination = match &message {
            Repr::Query(query) if query.group.is_unspecified() => wire::ALL_SYSTEMS,
            Repr::Query(query) => query.group,
            Repr::ReportV1 { group } | Repr::ReportV2 { group } | Repr::Leave { group } => *group,
            Repr::ReportV3(_) => wire::ALL_IGMPV3_ROUTERS,
        };
        let received = Received {
            source,
            destination,
            router_alert: true,
            message,
        };
        self.proxy.handle_received(self.now, Ok(received));
        self
    }

    fn at(&mut self, time: Duration) -> &mut Self {
        let end = Instant::from_start(time);
        while let Some(due) = self.proxy.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.proxy.handle_timeout(self.now);
        }
        self.now = end;
        self
    }

    /// All that was done since it was last asked.
    #[track_caller]
    fn expects(&mut self, expected: &[&str]) -> &mut Self {
        let mut done = Vec::new();
        while let Some(output) = self.proxy.poll_output() {
            done.push(match output {
                Output::Transmit {
                    source,
                    destination,
                    message,
                    ..
                } => format!("{source} -> {destination}: {message}"),
                Output::Listen { group, wanted, .. } => {
                    format!("{} {group}", if wanted { "listen" } else { "unlisten" })
                }
                Output::Event(event) => match event.kind {
                    EventKind::UpstreamJoined { group } => format!("joined {group}"),
                    EventKind::UpstreamLeft { group } => format!("left {group}"),
                    EventKind::SourceRefused { source } => format!("refused {source}"),
                    EventKind::QuerierChanged { querier, .. } => format!("querier {querier}"),
                    other => panic!("{other:?}"),
                },
            });
        }
        assert_eq!(done, expected);
        self
    }

    /// What was done is of no interest.
    fn whatever(&mut self) -> &mut Self {
        while self.proxy.poll_output().is_some() {}
        self
    }
}

fn general_query() -> Repr {
    Repr::Query(Query {
        version: Version::V3,
        max_response_time: 1.s(),
        group: Ipv4Addr::UNSPECIFIED,
        suppress_router_side_processing: false,
        robustness: 2,
        query_interval: 125.s(),
        sources: Vec::new(),
    })
}

#[test]
fn what_is_wanted_downstream_is_joined_and_left_upstream() {
    let mut sim = Sim::ready();
    sim.wants(G, any_source()).expects(&[
        "listen 239.1.1.1",
        "joined 239.1.1.1",
        "10.0.0.1 -> 224.0.0.22: TO_EX(239.1.1.1, {})",
    ]);
    // Robustness Variable times (RFC 9776 section 5.1).
    sim.at(2.s())
        .expects(&["10.0.0.1 -> 224.0.0.22: TO_EX(239.1.1.1, {})"]);
    sim.wants(G, any_source()).at(100.s()).expects(&[]);
    sim.wants_no_more(G).expects(&[
        "left 239.1.1.1",
        "unlisten 239.1.1.1",
        "10.0.0.1 -> 224.0.0.22: TO_IN(239.1.1.1, {})",
    ]);
    assert_eq!(sim.proxy.memberships().count(), 0);
}

#[test]
fn groups_wanted_between_two_polls_share_a_report() {
    let mut sim = Sim::ready();
    sim.wants(G, any_source()).wants(H, only(A)).expects(&[
        "listen 239.1.1.1",
        "joined 239.1.1.1",
        "listen 239.1.1.2",
        "joined 239.1.1.2",
        "10.0.0.1 -> 224.0.0.22: TO_EX(239.1.1.1, {}) ALLOW(239.1.1.2, {10.9.0.1})",
    ]);
}

#[test]
fn what_is_wanted_before_there_is_an_upstream_is_joined_when_it_is_ready() {
    let mut sim = Sim::new();
    sim.wants(G, any_source())
        .wants(H, any_source())
        .wants_no_more(H);
    sim.expects(&[]);
    sim.proxy.handle_link_ready(sim.now, link("10.0.0.1/24"));
    sim.expects(&[
        "listen 239.1.1.1",
        "joined 239.1.1.1",
        "10.0.0.1 -> 224.0.0.22: TO_EX(239.1.1.1, {})",
    ]);
}

#[test]
fn an_upstream_that_goes_and_comes_back_is_told_everything_again() {
    let mut sim = Sim::ready();
    sim.wants(G, any_source()).at(10.s()).whatever();
    sim.proxy.handle_link_gone(IfIndex(9));
    sim.expects(&[]);
    sim.proxy.handle_link_gone(WAN);
    sim.expects(&["left 239.1.1.1", "unlisten 239.1.1.1"]);
    assert_eq!(sim.proxy.version(), None);
    sim.wants(H, any_source()).expects(&[]);
    let back = Link {
        interface: IfIndex(7),
        ..link("10.0.9.1/24")
    };
    sim.proxy.handle_link_ready(sim.now, back);
    sim.expects(&[
        "listen 239.1.1.1",
        "joined 239.1.1.1",
        "listen 239.1.1.2",
        "joined 239.1.1.2",
        "10.0.9.1 -> 224.0.0.22: TO_EX(239.1.1.1, {}) TO_EX(239.1.1.2, {})",
    ]);
}

#[test]
fn another_address_is_reported_from_at_once() {
    let mut sim = Sim::ready();
    sim.wants(G, any_source()).at(10.s()).whatever();
    sim.proxy.handle_link_ready(sim.now, link("10.0.0.1/24"));
    sim.expects(&[]);
    sim.proxy.handle_link_ready(sim.now, link("10.0.0.77/24"));
    sim.expects(&["10.0.0.77 -> 224.0.0.22: TO_EX(239.1.1.1, {})"]);
}

#[test]
fn another_version_starts_anew() {
    let mut sim = Sim::ready();
    sim.wants(G, any_source()).at(10.s()).whatever();
    let mut older = link("10.0.0.1/24");
    older.params.version = Version::V2;
    sim.proxy.handle_link_ready(sim.now, older);
    sim.expects(&[
        "left 239.1.1.1",
        "unlisten 239.1.1.1",
        "listen 239.1.1.1",
        "joined 239.1.1.1",
        "10.0.0.1 -> 239.1.1.1: Report(G=239.1.1.1, v2)",
    ]);
}

#[test]
fn groups_the_filter_does_not_serve_are_not_joined() {
    let mut sim = Sim::new();
    let mut filtered = link("10.0.0.1/24");
    filtered.filter.blacklist = vec!["239.1.1.2/32".parse().unwrap()];
    sim.proxy.handle_link_ready(sim.now, filtered.clone());
    sim.wants(H, any_source()).expects(&[]);
    sim.wants(G, any_source()).at(10.s()).whatever();

    // Another filter joins and leaves what follows from it.
    filtered.filter.blacklist = vec!["239.1.1.1/32".parse().unwrap()];
    sim.proxy.handle_link_ready(sim.now, filtered);
    sim.expects(&[
        "left 239.1.1.1",
        "unlisten 239.1.1.1",
        "listen 239.1.1.2",
        "joined 239.1.1.2",
        "10.0.0.1 -> 224.0.0.22: TO_IN(239.1.1.1, {}) TO_EX(239.1.1.2, {})",
    ]);
}

#[test]
fn a_group_lingers_and_is_back_without_a_message() {
    let mut sim = Sim::ready();
    sim.proxy.set_linger(5.s());
    sim.wants(G, any_source()).at(10.s()).whatever();
    sim.wants_no_more(G).at(14.s()).expects(&[]);
    sim.wants(G, any_source()).at(30.s()).expects(&[]);
    // The time counts from the first moment nobody wants it.
    sim.wants_no_more(G)
        .at(33.s())
        .wants_no_more(G)
        .at(34_999.ms())
        .expects(&[]);
    sim.at(35.s()).expects(&[
        "left 239.1.1.1",
        "unlisten 239.1.1.1",
        "10.0.0.1 -> 224.0.0.22: TO_IN(239.1.1.1, {})",
    ]);
}

#[test]
fn a_lingering_group_is_still_asked_for_as_it_was() {
    let mut sim = Sim::ready();
    sim.proxy.set_linger(5.s());
    sim.wants(G, only(A)).at(10.s()).whatever();
    sim.wants_no_more(G);
    let membership = sim.proxy.memberships().next().unwrap();
    assert_eq!(
        (membership.state, membership.subscription.clone()),
        (State::Idle, only(A))
    );
    sim.wants(G, only(B)).expects(&[
        "10.0.0.1 -> 224.0.0.22: ALLOW(239.1.1.1, {10.9.0.2}) BLOCK(239.1.1.1, {10.9.0.1})",
    ]);
}

#[test]
fn queries_are_answered_and_their_sender_is_the_querier() {
    let mut sim = Sim::ready();
    sim.wants(G, any_source()).at(10.s()).whatever();
    sim.receives(ROUTER, general_query())
        .expects(&["querier 10.0.0.254"]);
    assert_eq!(sim.proxy.querier(), Some(ROUTER));
    assert_eq!(
        sim.proxy.memberships().next().unwrap().state,
        State::Delaying
    );
    sim.at(11.s())
        .expects(&["10.0.0.1 -> 224.0.0.22: IS_EX(239.1.1.1, {})"]);
    assert_eq!(sim.proxy.memberships().next().unwrap().state, State::Idle);
    sim.receives(ROUTER, general_query()).at(20.s());
    sim.expects(&["10.0.0.1 -> 224.0.0.22: IS_EX(239.1.1.1, {})"]);
}

#[test]
fn a_querier_that_is_not_accepted_is_not_answered() {
    let mut sim = Sim::ready();
    sim.wants(G, any_source()).at(10.s()).whatever();
    let stranger = Ipv4Addr::new(172, 16, 0, 1);
    sim.receives(stranger, general_query()).at(30.s());
    sim.expects(&["refused 172.16.0.1"]);

    let mut wider = link("10.0.0.1/24");
    wider.alt_subnets = vec!["172.16.0.0/12".parse().unwrap()];
    sim.proxy.handle_link_ready(sim.now, wider);
    sim.receives(stranger, general_query()).at(40.s());
    sim.expects(&[
        "querier 172.16.0.1",
        "10.0.0.1 -> 224.0.0.22: IS_EX(239.1.1.1, {})",
    ]);
}

#[test]
fn a_restart_leaves_everything_and_forgets_it() {
    let mut sim = Sim::ready();
    sim.proxy.set_linger(5.s());
    sim.wants(G, any_source())
        .wants(H, any_source())
        .at(10.s())
        .whatever();
    sim.wants_no_more(H);
    sim.receives(ROUTER, general_query()).at(12.s()).whatever();
    sim.proxy.handle_restart(sim.now);
    sim.expects(&[
        "left 239.1.1.1",
        "unlisten 239.1.1.1",
        "left 239.1.1.2",
        "unlisten 239.1.1.2",
        "10.0.0.1 -> 224.0.0.22: TO_IN(239.1.1.1, {}) TO_IN(239.1.1.2, {})",
    ]);
    assert_eq!(sim.proxy.querier(), None);
    sim.at(60.s()).expects(&[]);
    sim.wants(G, any_source()).expects(&[
        "listen 239.1.1.1",
        "joined 239.1.1.1",
        "10.0.0.1 -> 224.0.0.22: TO_EX(239.1.1.1, {})",
    ]);
}

#[test]
fn an_abandoned_group_is_left_and_still_listened_to() {
    let mut sim = Sim::ready();
    sim.wants(G, any_source()).at(10.s()).whatever();
    sim.proxy.set_demand(sim.now, G, Demand::Abandoned);
    sim.expects(&[
        "left 239.1.1.1",
        "10.0.0.1 -> 224.0.0.22: TO_IN(239.1.1.1, {})",
    ]);
    // Somebody answers, and leaves for good.
    sim.at(20.s()).whatever();
    sim.wants(G, any_source()).expects(&[
        "joined 239.1.1.1",
        "10.0.0.1 -> 224.0.0.22: TO_EX(239.1.1.1, {})",
    ]);
    sim.at(30.s()).whatever();
    sim.proxy.set_demand(sim.now, G, Demand::Abandoned);
    sim.at(32.s()).whatever();
    sim.wants_no_more(G).expects(&["unlisten 239.1.1.1"]);
}
