//! The four source filters a socket can have (RFC 9776 section 3.1), in every combination on two hosts: each host gets
//! exactly the sources that it asked for.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant, SystemTime};

use igmp_tests::capture::Capture;
use igmp_tests::daemon::Daemon;
use igmp_tests::host::{Host, Mode, Subscription};
use igmp_tests::stream::{Stream, StreamSpec};
use igmp_tests::topology::{Lan, Topology};
use igmp_tests::wait::wait_until;

const A: Ipv4Addr = Topology::SOURCE;
const B: Ipv4Addr = Topology::SECOND_SOURCE;
const FILTERS: [Filter; 6] = [
    Filter(Mode::Include, &[A]),
    Filter(Mode::Include, &[B]),
    Filter(Mode::Include, &[]),
    Filter(Mode::Exclude, &[]),
    Filter(Mode::Exclude, &[A]),
    Filter(Mode::Exclude, &[B]),
];

/// Last Member Query Time 1 s.
const IGMP: &str = "last_member_query_count = 2\nlast_member_query_interval = \"500ms\"";
const INTERVAL: Duration = Duration::from_millis(25);
/// Ten datagrams of a stream.
const WINDOW: Duration = Duration::from_millis(250);
const SETTLED_WITHIN: Duration = Duration::from_secs(10);

/// What a socket asks for.
#[derive(Clone, Copy)]
struct Filter(Mode, &'static [Ipv4Addr]);

impl Filter {
    fn wants(self, source: Ipv4Addr) -> bool {
        match self.0 {
            Mode::Include => self.1.contains(&source),
            Mode::Exclude => !self.1.contains(&source),
        }
    }
}

/// The sources of groups that came somewhere.
type Received = BTreeSet<(Ipv4Addr, Ipv4Addr)>;

/// Two hosts that want a group, each with its filter.
struct Pair {
    group: Ipv4Addr,
    filters: [Filter; 2],
    subscriptions: [Subscription; 2],
}

#[test]
fn two_hosts_on_two_lans_get_what_each_asked_for() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let pairs = |host: usize, pair: &Pair, source| pair.filters[host].wants(source);
    assert_each_gets_what_it_asked_for(&topology, pairs);
}

#[test]
fn two_hosts_on_one_lan_get_what_each_asked_for() {
    // What either wants is on the cable of both: RFC 9776 section 3.2, merged by the router.
    let topology = Topology::new(&[Lan::hosts(2)]);
    let either =
        |_: usize, pair: &Pair, source| pair.filters.iter().any(|filter| filter.wants(source));
    assert_each_gets_what_it_asked_for(&topology, either);
}

/// `carried` tells whether the cable of a host (0 or 1) carries a source to a pair.
fn assert_each_gets_what_it_asked_for(
    topology: &Topology,
    carried: impl Fn(usize, &Pair, Ipv4Addr) -> bool,
) {
    let _daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    let hosts = [&topology.receivers[0], &topology.receivers[1]];
    let wires = hosts.map(Host::capture);
    let pairs = every_combination(hosts);
    let _streams = both_sources_to_all(topology, &pairs);
    let shall_carry = [0, 1].map(|host| among(&pairs, |pair, source| carried(host, pair, source)));
    let shall_receive =
        [0, 1].map(|host| among(&pairs, |pair, source| pair.filters[host].wants(source)));
    assert_ne!(shall_receive[0], shall_receive[1]);

    // Every host began with all sources, and what it no longer wants stops after the Last Member Query Time.
    let deadline = Instant::now() + SETTLED_WITHIN;
    wait_until("the time to settle", 2 * SETTLED_WITHIN, || {
        let from = SystemTime::now() - WINDOW;
        let settled = [0, 1].map(|host| copies_since(&wires[host], from) == shall_carry[host]);
        (settled == [true, true] || Instant::now() > deadline).then_some(())
    });

    for pair in &pairs {
        pair.subscriptions
            .iter()
            .for_each(|subscription| drop(subscription.arrivals()));
    }
    let from = SystemTime::now();
    wait_until("some datagrams", SETTLED_WITHIN, || {
        (from.elapsed().ok()? > 2 * WINDOW).then_some(())
    });
    for host in [0, 1] {
        assert_eq!(
            copies_since(&wires[host], from),
            shall_carry[host],
            "on the cable of host {host}"
        );
        let received: Received = pairs
            .iter()
            .flat_map(|pair| {
                let arrivals = pair.subscriptions[host].arrivals();
                arrivals
                    .into_iter()
                    .map(|arrival| (pair.group, arrival.source))
            })
            .collect();
        assert_eq!(
            received, shall_receive[host],
            "in the sockets of host {host}"
        );
    }
}

/// A filter for each host in every combination, each combination with a group of its own.
fn every_combination(hosts: [&Host; 2]) -> Vec<Pair> {
    let combinations = FILTERS
        .iter()
        .flat_map(|&first| FILTERS.map(|second| [first, second]));
    (0..)
        .zip(combinations)
        .map(|(index, filters)| {
            let group = Ipv4Addr::new(239, 1, 2, index);
            let subscribe = |host: usize| {
                let subscription = hosts[host].join(group);
                subscription.set_filter(filters[host].0, filters[host].1);
                subscription
            };
            Pair {
                group,
                filters,
                subscriptions: [subscribe(0), subscribe(1)],
            }
        })
        .collect()
}

fn both_sources_to_all(topology: &Topology, pairs: &[Pair]) -> Vec<Stream> {
    pairs
        .iter()
        .flat_map(|pair| [A, B].map(|source| StreamSpec::to(pair.group).from(source)))
        .map(|stream| stream.every(INTERVAL).start(&topology.source))
        .collect()
}

fn among(pairs: &[Pair], wanted: impl Fn(&Pair, Ipv4Addr) -> bool) -> Received {
    pairs
        .iter()
        .flat_map(|pair| [A, B].map(|source| (pair, source)))
        .filter(|(pair, source)| wanted(pair, *source))
        .map(|(pair, source)| (pair.group, source))
        .collect()
}

fn copies_since(wire: &Capture, from: SystemTime) -> Received {
    wire.all()
        .frames(|frame| frame.at > from)
        .into_iter()
        .filter_map(|frame| {
            let packet = frame.packet.as_ref()?;
            frame
                .is_copy_for(packet.destination)
                .then_some((packet.destination, packet.source))
        })
        .collect()
}
