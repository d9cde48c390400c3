//! Who asks on a link: the election of the querier, its loss, and the queries that must not decide it.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant, SystemTime};

use igmp_tests::capture::View;
use igmp_tests::daemon::Daemon;
use igmp_tests::frame::{Frame, IgmpPacket};
use igmp_tests::host::{FrameSender, Host, assert_gapless};
use igmp_tests::igmp::{Igmp, Record, RecordType, seal};
use igmp_tests::netns::mac_of;
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{BRIDGE, Lan, Topology, gateway_address, rival_address};
use igmp_tests::tshark;
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const ALL_IGMPV3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
/// igmpd's address where frames made by hand come from a lower one.
const HIGH_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 200);
/// A router that exists in frames made by hand only.
const LOW_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 11);

/// Query Interval 2 s, Query Response Interval 1 s, Robustness Variable 2.
const IGMP: &str =
    "query_interval = \"2s\"\nquery_response_interval = \"1s\"\nstartup_query_interval = \"500ms\"";
/// 2 x 2 s + 1 s / 2 (RFC 9776 section 8.5).
const OTHER_QUERIER_PRESENT_INTERVAL: Duration = Duration::from_millis(4_500);
/// 2 x 2 s + 2 x 1 s (RFC 9776 section 8.4).
const GROUP_MEMBERSHIP_INTERVAL: Duration = Duration::from_secs(6);
/// 2 x 1 s (RFC 9776 section 8.10).
const LAST_MEMBER_QUERY_TIME: Duration = Duration::from_secs(2);
/// How much later than its time a timer may run out on a busy machine, and how much a time stamp may be off.
const TIMER_TOLERANCE: Duration = Duration::from_millis(500);
const STAMP_TOLERANCE: Duration = Duration::from_millis(10);
const SOON: Duration = Duration::from_secs(3);
const A_WHILE: Duration = Duration::from_millis(200);

#[test]
fn of_two_gateways_one_asks_and_forwards_and_the_other_takes_over_when_it_dies() {
    let topology = Topology::with_rival(Lan::hosts(2));
    let [member, bystander] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let wire = member.capture();
    let config = topology.config(IGMP);
    let rival = Daemon::start(topology.rival(), &config);
    let gateway = Daemon::start(&topology.gateway, &config);
    let (address, other_address) = (gateway_address(1), rival_address(1));
    wait_for_querier(&rival, address);
    wait_for_querier(&gateway, address);

    // In normal operation: queries of the lower address, one copy of each datagram, its frames.
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let after = wire.from_now();
    let subscription = member.join(GROUP);
    let first = subscription.wait_for_arrival(SOON);
    for daemon in [&gateway, &rival] {
        wait_until("both to know the member", SOON, || {
            daemon.group("lan0", GROUP)
        });
    }
    after.wait_for("two more queries", 2 * SOON, |frame| {
        is_general_query_from(frame, address) && frame.at > SystemTime::now() - A_WHILE
    });
    assert_gapless(&subscription.arrivals_until(first.sequence + 1_000, SOON));
    after.assert_none("a query of the other", Duration::ZERO, |frame| {
        is_query_from(frame, other_address)
    });
    after.assert_none("a copy of the other's", Duration::ZERO, |frame| {
        is_copy_sent_by(frame, other_address)
    });

    // The querier dies: its process and its ports at once.
    let before_death = wire.all();
    topology
        .gateway
        .ip("link set lan0 down\nlink set wan0 down");
    drop(gateway);
    let last_query = before_death
        .frames(|frame| is_general_query_from(frame, address))
        .pop();
    let last_query = last_query.expect("queries were seen").at;
    let takeover = after.wait_for(
        "the other's query",
        OTHER_QUERIER_PRESENT_INTERVAL + SOON,
        |frame| is_general_query_from(frame, other_address),
    );
    assert_after(last_query, takeover.at, OTHER_QUERIER_PRESENT_INTERVAL);
    // The other knows the members: it forwards without waiting for reports.
    let copy = after.wait_for("a copy of the other's", SOON, |frame| {
        is_copy_sent_by(frame, other_address)
    });
    assert_after(last_query, copy.at, OTHER_QUERIER_PRESENT_INTERVAL);
    subscription.arrivals();
    let from = subscription.wait_for_arrival(SOON).sequence;
    let arrivals = subscription.arrivals_until(stream.sent() + 100, SOON);
    assert!(arrivals[0].sequence <= from + 1);
    assert_gapless(&arrivals);

    // It comes back with the lower address: it asks at once, and forwards what it learns; the other stops.
    topology.gateway.ip("link set lan0 up\nlink set wan0 up");
    let gateway = Daemon::start(&topology.gateway, &config);
    wait_for_querier(&rival, address);
    wait_for_querier(&gateway, address);
    wire.from_now()
        .wait_for("a copy of the first", SOON, |frame| {
            is_copy_sent_by(frame, address)
        });
    let after = wire.from_now();
    subscription.arrivals();
    assert_gapless(&subscription.arrivals_until(stream.sent() + 500, SOON));
    after.assert_none("a copy of the other's", Duration::ZERO, |frame| {
        is_copy_sent_by(frame, other_address)
    });
    // Its group is nobody's business but the member's.
    assert_eq!(
        bystander
            .join(GROUP)
            .arrivals()
            .first()
            .map(|arrival| arrival.sequence),
        None
    );
}

#[test]
fn a_query_of_a_lower_address_silences_until_it_is_not_repeated() {
    let lan = LanWithHighGateway::new("");
    let wire = lan.member().capture();
    let stream = StreamSpec::to(GROUP).start(&lan.topology.source);
    let subscription = lan.member().join(GROUP);
    subscription.wait_for_arrival(SOON);

    let after = wire.from_now();
    // IGMPv2, Max Response Time 2 s: it says neither Robustness Variable nor Query Interval.
    lan.send(&lan.general_query(2, 20));
    let query = after.wait_for("the query", SOON, |frame| is_query_from(frame, LOW_ADDRESS));
    wait_for_querier(&lan.daemon, LOW_ADDRESS);
    assert!(
        lan.daemon.group("lan0", GROUP).is_some(),
        "its members stay known"
    );
    // RFC 4605 section 4.2: only the querier of a link forwards to it.
    let stopped = wire
        .all()
        .wait_for_last("the stream", SOON, A_WHILE, |frame| {
            frame.is_copy_for(GROUP)
        });
    assert!(stopped < query.at + A_WHILE);

    let own = after.wait_for(
        "a query of our own",
        OTHER_QUERIER_PRESENT_INTERVAL + SOON,
        |frame| is_query_from(frame, HIGH_ADDRESS),
    );
    assert_after(query.at, own.at, OTHER_QUERIER_PRESENT_INTERVAL);
    wait_for_querier(&lan.daemon, HIGH_ADDRESS);
    after.wait_for("the stream again", SOON, |frame| {
        frame.is_copy_for(GROUP) && frame.at > own.at
    });
    after.assert_none("a copy between the two", Duration::ZERO, |frame| {
        frame.is_copy_for(GROUP) && frame.at > stopped && frame.at < own.at - STAMP_TOLERANCE
    });
    subscription.arrivals();
    assert_gapless(&subscription.arrivals_until(stream.sent() + 100, SOON));
}

#[test]
fn queries_that_are_not_a_router_s_change_nothing() {
    let lan = LanWithHighGateway::new("");
    let wire = lan.member().capture();
    let stream = StreamSpec::to(GROUP).start(&lan.topology.source);
    let subscription = lan.member().join(GROUP);
    subscription.wait_for_arrival(SOON);

    for (what, counter, frame) in lan.queries_to_refuse() {
        let before = lan.daemon.counter_on("lan0", counter);
        lan.sender.send(&frame);
        wait_until(&format!("{what} counted as {counter}"), SOON, || {
            (lan.daemon.counter_on("lan0", counter) > before).then_some(())
        });
        assert_eq!(lan.daemon.counter_on("lan0", counter), before + 1, "{what}");
        assert_eq!(lan.querier(), HIGH_ADDRESS, "after {what}");
    }
    assert_gapless(&subscription.arrivals_until(stream.sent(), SOON));
    // Nor did any of them delay our own.
    let after = wire.from_now();
    after.wait_for("our own query", SOON, |frame| {
        is_general_query_from(frame, HIGH_ADDRESS)
    });
    // A good one does change it: the frames above were refused for what is wrong with them.
    lan.send(&lan.general_query(3, 10));
    wait_for_querier(&lan.daemon, LOW_ADDRESS);
}

#[test]
fn a_bridge_that_asks_from_0_0_0_0_never_wins() {
    let topology = Topology::new(&[Lan::hosts(2)]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    let [member, bystander] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let (wire, bystander_wire) = (member.capture(), bystander.capture());
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let subscription = member.join(GROUP);
    subscription.wait_for_arrival(SOON);
    let refused_before = daemon.counter_on("lan0", "refused_source_not_accepted");

    // Hundredths of a second. It forgets the real querier sooner than that asks again, and then asks itself.
    topology.switch(0).ip(&format!(
        "link set {BRIDGE} type bridge mcast_snooping 1 mcast_querier 1 mcast_query_use_ifaddr 0 \
         mcast_querier_interval 100 mcast_query_interval 100 mcast_query_response_interval 50 \
         mcast_startup_query_interval 100"
    ));
    let after = wire.from_now();
    let bridge_query = |frame: &Frame| is_general_query_from(frame, Ipv4Addr::UNSPECIFIED);
    after.wait_for("a query of the bridge", 3 * SOON, bridge_query);
    wait_until("it to be refused", SOON, || {
        (daemon.counter_on("lan0", "refused_source_not_accepted") > refused_before).then_some(())
    });
    let first = after.frames(bridge_query)[0].at;
    after.wait_for("our own query after it", SOON, |frame| {
        is_general_query_from(frame, gateway_address(1)) && frame.at > first
    });
    let lan0 = daemon.interface("lan0");
    assert_eq!(lan0["querier"], gateway_address(1).to_string());
    assert_eq!(lan0["querier_is_self"], true);
    assert_gapless(&subscription.arrivals_until(stream.sent(), SOON));
    // Once the bridge knows who wants the stream, nobody else gets it.
    bystander_wire
        .all()
        .wait_for_last("the flood", 2 * SOON, A_WHILE, |frame| {
            frame.is_copy_for(GROUP)
        });
    assert_gapless(&subscription.arrivals_until(stream.sent(), SOON));
}

#[test]
fn robustness_and_interval_are_the_elected_querier_s() {
    // RFC 9776 sections 4.1.6 and 4.1.7; a value of zero is none, then our own holds. Seen in the Group Membership
    // Interval, RV x QI + 2 x 1 s, that the next report gets.
    let seconds = Duration::from_secs;
    let lan = LanWithHighGateway::new("");
    let group_timer_after_a_report = || {
        let report = Igmp::ReportV3(vec![Record::new(RecordType::IsEx, GROUP, &[])]);
        let received = lan.daemon.counter_on("lan0", "received_report_v3");
        lan.send(&lan.member().igmp_packet(ALL_IGMPV3_ROUTERS, &report));
        wait_until("the report", SOON, || {
            (lan.daemon.counter_on("lan0", "received_report_v3") > received).then_some(())
        });
        group_timer(&lan.daemon).expect("a member")
    };
    let assert_close = |timer: Duration, interval: Duration| {
        assert!(
            timer <= interval && timer + seconds(1) > interval,
            "{timer:?}, not {interval:?}"
        );
    };

    // From a higher address: we are the querier, and our own values hold.
    let mut higher = lan.general_query(3, 10);
    higher.source = Ipv4Addr::new(10, 1, 0, 201);
    lan.send(&with_robustness_and_interval(higher, 7, 4));
    wait_until("the query", SOON, || {
        (lan.daemon.counter_on("lan0", "received_query_v3") == 1).then_some(())
    });
    assert_close(group_timer_after_a_report(), GROUP_MEMBERSHIP_INTERVAL);
    assert_eq!(lan.querier(), HIGH_ADDRESS);

    for (robustness, interval_code, expected) in [
        (0, 0, GROUP_MEMBERSHIP_INTERVAL),
        (7, 0, seconds(7 * 2 + 2)),
        (0, 9, seconds(2 * 9 + 2)),
        (7, 4, seconds(7 * 4 + 2)),
        (1, 125, seconds(125 + 2)),
        // The code is a floating-point number from 128 on: 31 << 10 s.
        (7, 0xff, seconds(7 * 31_744 + 2)),
    ] {
        let received = lan.daemon.counter_on("lan0", "received_query_v3");
        let query = lan.general_query(3, 10);
        lan.send(&with_robustness_and_interval(
            query,
            robustness,
            interval_code,
        ));
        wait_until("the query", SOON, || {
            (lan.daemon.counter_on("lan0", "received_query_v3") > received).then_some(())
        });
        assert_eq!(lan.querier(), LOW_ADDRESS);
        assert_close(group_timer_after_a_report(), expected);
    }
}

#[test]
fn a_non_querier_lowers_its_timer_on_a_specific_query_unless_the_s_flag_says_not_to() {
    // RFC 9776 section 6.6.1.
    let lan = LanWithHighGateway::new("");
    let query = with_robustness_and_interval(lan.general_query(3, 10), 2, 125);
    lan.send(&query);
    wait_for_querier(&lan.daemon, LOW_ADDRESS);
    let report = Igmp::ReportV3(vec![Record::new(RecordType::IsEx, GROUP, &[])]);
    lan.send(&lan.member().igmp_packet(ALL_IGMPV3_ROUTERS, &report));
    let before = wait_until("a member", SOON, || group_timer(&lan.daemon));
    assert!(
        before > Duration::from_secs(200),
        "2 x 125 s + 2 x 1 s, not {before:?}"
    );

    let specific = |s_flag: u8| {
        let mut packet = lan.query_about(GROUP, 3, 10, &[]);
        packet.message[8] = s_flag << 3 | 2;
        seal(&mut packet.message);
        packet
    };
    lan.send(&specific(1));
    wait_until("the query with the S flag", SOON, || {
        (lan.daemon.counter_on("lan0", "received_query_v3") == 2).then_some(())
    });
    let kept = group_timer(&lan.daemon).expect("a member");
    assert!(kept + SOON > before, "{before:?} became {kept:?}");

    lan.send(&specific(0));
    wait_until("the query without it", SOON, || {
        (lan.daemon.counter_on("lan0", "received_query_v3") == 3).then_some(())
    });
    let lowered = group_timer(&lan.daemon).expect("a member");
    assert!(
        lowered <= LAST_MEMBER_QUERY_TIME && lowered > LAST_MEMBER_QUERY_TIME / 2,
        "{lowered:?}"
    );
    wait_until("the group to be gone", 2 * LAST_MEMBER_QUERY_TIME, || {
        lan.daemon.group("lan0", GROUP).is_none().then_some(())
    });
}

#[test]
fn a_hundred_queries_a_second_change_the_querier_once() {
    const FLOOD: Duration = Duration::from_secs(3);
    let lan = LanWithHighGateway::new("");
    let wire = lan.member().capture();
    wire.all()
        .wait_for("the second startup query", SOON, |frame| {
            is_general_query_from(frame, HIGH_ADDRESS)
        });
    let query = lan.general_query(2, 10);
    lan.send(&query);
    wait_for_querier(&lan.daemon, LOW_ADDRESS);

    let (after, cpu_before, begun) = (wire.from_now(), lan.daemon.cpu_time(), Instant::now());
    let mut sent = 0;
    wait_until("the flood to end", 2 * FLOOD, || {
        let due = begun.elapsed().as_millis() / 10;
        while sent < due {
            lan.send(&query);
            sent += 1;
        }
        (begun.elapsed() > FLOOD).then_some(())
    });
    let cpu = lan.daemon.cpu_time() - cpu_before;
    assert!(
        cpu < FLOOD / 10,
        "{sent} queries took {cpu:?} of the processor"
    );
    let last = last_query_of(&after, LOW_ADDRESS);
    let own = after.wait_for(
        "our own query",
        OTHER_QUERIER_PRESENT_INTERVAL + SOON,
        |frame| is_query_from(frame, HIGH_ADDRESS),
    );
    // The first one of ours is that after the last of theirs.
    assert_after(last, own.at, OTHER_QUERIER_PRESENT_INTERVAL);
    wait_for_querier(&lan.daemon, HIGH_ADDRESS);
}

#[test]
fn a_query_that_leaves_no_time_to_answer_breaks_nothing() {
    // RFC 9776 section 4.1.1: a Max Resp Code of zero.
    let lan = LanWithHighGateway::new("");
    let stream = StreamSpec::to(GROUP).start(&lan.topology.source);
    let subscription = lan.member().join(GROUP);
    subscription.wait_for_arrival(SOON);
    for version in [3, 2] {
        let query = with_robustness_and_interval(lan.general_query(version, 0), 2, 2);
        lan.send(&query);
        wait_for_querier(&lan.daemon, LOW_ADDRESS);
        wait_until(
            "our own turn again",
            OTHER_QUERIER_PRESENT_INTERVAL + SOON,
            || (lan.querier() == HIGH_ADDRESS).then_some(()),
        );
    }
    subscription.arrivals();
    assert_gapless(&subscription.arrivals_until(stream.sent() + 100, SOON));
}

#[test]
fn thousands_of_sources_are_asked_about_in_queries_that_fit() {
    // RFC 9776 section 6.6.3.2: each source in Last Member Query Count queries; section 4.1.8: as many queries as the
    // link's MTU needs.
    const SOURCES: u32 = 5_000;
    const KEPT: u64 = 1_024;
    for mtu in [1_500, 600] {
        let topology = Topology::new(&[Lan::host()]);
        let host = &topology.receivers[0];
        topology.gateway.ip(&format!("link set lan0 mtu {mtu}"));
        host.namespace.ip(&format!("link set eth0 mtu {mtu}"));
        let mut daemon = Daemon::start_with(&topology.gateway, &topology.config(""), "info");
        let sender = host.frame_sender();
        let sources: Vec<Ipv4Addr> = (0..SOURCES)
            .map(|index| Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 50, 0, 0)) + index))
            .collect();
        let in_a_report = (mtu - 24 - 8 - 8) / 4;
        let report = |kind| {
            for some in sources.chunks(in_a_report) {
                let report = Igmp::ReportV3(vec![Record::new(kind, GROUP, some)]);
                sender.send(&host.igmp_packet(ALL_IGMPV3_ROUTERS, &report).frame());
            }
        };
        report(RecordType::Allow);
        let reports = sources.len().div_ceil(in_a_report) as u64;
        wait_until("all reports", SOON, || {
            (daemon.counter_on("lan0", "received_report_v3") == reports).then_some(())
        });
        let group = daemon.group("lan0", GROUP).expect("a member");
        let kept: Vec<Ipv4Addr> = group["sources"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|source| {
                source["address"]
                    .as_str()
                    .expect("an address")
                    .parse()
                    .expect("one")
            })
            .collect();
        assert_eq!(kept.len() as u64, KEPT);
        assert_eq!(
            daemon.counter_on("lan0", "refused_source_limit"),
            u64::from(SOURCES) - KEPT
        );

        let wire = host.capture();
        report(RecordType::Block);
        wait_until("nobody to want it", 2 * SOON, || {
            daemon.group("lan0", GROUP).is_none().then_some(())
        });
        daemon.assert_running();
        let queries = wire.all().frames(|frame| {
            frame.received_igmp(|igmp| matches!(igmp, Igmp::Query { group, .. } if *group == GROUP))
        });
        tshark::judge(&queries, &[]);
        let mut asked = std::collections::BTreeMap::<Ipv4Addr, usize>::new();
        for query in &queries {
            assert!(
                query.bytes.len() <= 14 + mtu,
                "a query of {} octets",
                query.bytes.len()
            );
            if let Some(Igmp::Query { sources, .. }) = query.igmp() {
                sources
                    .iter()
                    .for_each(|source| *asked.entry(*source).or_default() += 1);
            }
        }
        let expected = kept.into_iter().map(|source| (source, 2)).collect();
        assert_eq!(asked, expected);
    }
}

/// A LAN with igmpd, at an address above [`LOW_ADDRESS`], a member and a host that sends frames made by hand.
struct LanWithHighGateway {
    daemon: Daemon,
    sender: FrameSender,
    topology: Topology,
}

impl LanWithHighGateway {
    fn new(interface: &str) -> Self {
        let topology = Topology::new(&[Lan::hosts(2)]);
        topology.gateway.ip(&format!(
            "addr del {}/24 dev lan0\naddr add {HIGH_ADDRESS}/24 dev lan0",
            gateway_address(1)
        ));
        let daemon = Daemon::start(
            &topology.gateway,
            &format!("{}\n{interface}", topology.config(IGMP)),
        );
        let sender = topology.receivers[1].frame_sender();
        Self {
            daemon,
            sender,
            topology,
        }
    }

    fn member(&self) -> &Host {
        &self.topology.receivers[0]
    }

    fn querier(&self) -> Ipv4Addr {
        querier_of(&self.daemon)
    }

    fn send(&self, packet: &IgmpPacket) {
        self.sender.send(&packet.frame());
    }

    /// A General Query from [`LOW_ADDRESS`], with a Max Response Time in tenths of a second.
    fn general_query(&self, version: u8, max_response: u64) -> IgmpPacket {
        self.query_about(Ipv4Addr::UNSPECIFIED, version, max_response, &[])
    }

    fn query_about(
        &self,
        group: Ipv4Addr,
        version: u8,
        max_response: u64,
        sources: &[Ipv4Addr],
    ) -> IgmpPacket {
        let query = Igmp::Query {
            version,
            group,
            max_response: Duration::from_millis(100 * max_response),
            sources: sources.to_vec(),
        };
        let destination = if group.is_unspecified() {
            ALL_SYSTEMS
        } else {
            group
        };
        IgmpPacket {
            source: LOW_ADDRESS,
            ..self.topology.receivers[1].igmp_packet(destination, &query)
        }
    }

    /// What is wrong with each, and the counter it must be refused under.
    fn queries_to_refuse(&self) -> Vec<(&'static str, &'static str, Vec<u8>)> {
        let good = self.general_query(3, 10);
        let from = |source| {
            IgmpPacket {
                source,
                ..good.clone()
            }
            .frame()
        };
        let message = |bytes: &[u8]| {
            let mut message = bytes.to_vec();
            seal(&mut message);
            IgmpPacket {
                message,
                ..good.clone()
            }
            .frame()
        };
        let mut unicast = IgmpPacket {
            destination: HIGH_ADDRESS,
            ..good.clone()
        }
        .frame();
        unicast[..6].copy_from_slice(&mac_of(gateway_address(1)));
        let mut bad_checksum = good.clone();
        bad_checksum.message[2] ^= 0xff;
        // The count of sources is in octets 10 and 11 (RFC 9776 section 4.1).
        let mut too_many_sources = self.query_about(GROUP, 3, 10, &[Topology::SOURCE]);
        too_many_sources.message[10..12].fill(0xff);
        seal(&mut too_many_sources.message);
        let about = |group| {
            let query = self.query_about(group, 3, 10, &[]);
            IgmpPacket {
                destination: ALL_SYSTEMS,
                ..query
            }
            .frame()
        };
        vec![
            ("a unicast query", "refused_wrong_destination", unicast),
            (
                "a query from our own address",
                "refused_own_address",
                from(HIGH_ADDRESS),
            ),
            (
                "a query from 0.0.0.0",
                "refused_source_not_accepted",
                from(Ipv4Addr::UNSPECIFIED),
            ),
            (
                "a query from another network",
                "refused_source_not_accepted",
                from(Ipv4Addr::new(10, 0, 7, 1)),
            ),
            (
                "a query with TTL 2",
                "refused_ttl",
                IgmpPacket {
                    ttl: 2,
                    ..good.clone()
                }
                .frame(),
            ),
            (
                "a query with a wrong checksum",
                "refused_checksum",
                bad_checksum.frame(),
            ),
            (
                "a query of 7 octets",
                "refused_length",
                message(&good.message[..7]),
            ),
            (
                "a query of 9 octets",
                "refused_length",
                message(&good.message[..9]),
            ),
            (
                "a query of 11 octets",
                "refused_length",
                message(&good.message[..11]),
            ),
            (
                "65535 sources of which one is there",
                "refused_count",
                too_many_sources.frame(),
            ),
            (
                "a query about all systems",
                "refused_group_link_local",
                about(ALL_SYSTEMS),
            ),
            (
                "a query about a unicast address",
                "refused_group_not_multicast",
                about(Ipv4Addr::new(10, 0, 0, 1)),
            ),
        ]
    }
}

/// A version 3 query with this Robustness Variable and Querier's Query Interval Code; a version 2 query has neither.
fn with_robustness_and_interval(mut query: IgmpPacket, robustness: u8, code: u8) -> IgmpPacket {
    if let Some(fields) = query.message.get_mut(8..10) {
        fields.copy_from_slice(&[robustness, code]);
        seal(&mut query.message);
    }
    query
}

fn querier_of(daemon: &Daemon) -> Ipv4Addr {
    let lan0 = daemon.interface("lan0");
    let querier = lan0["querier"].as_str().expect("an address");
    assert_eq!(lan0["querier_is_self"], lan0["address"] == querier);
    querier.parse().expect("an address")
}

fn wait_for_querier(daemon: &Daemon, querier: Ipv4Addr) {
    wait_until(&format!("{querier} to be the querier"), SOON, || {
        (querier_of(daemon) == querier).then_some(())
    });
}

fn group_timer(daemon: &Daemon) -> Option<Duration> {
    let group = daemon.group("lan0", GROUP)?;
    Some(Duration::from_millis(group["timer_ms"].as_u64()?))
}

fn is_query_from(frame: &Frame, source: Ipv4Addr) -> bool {
    frame.received_igmp(|igmp| matches!(igmp, Igmp::Query { .. }))
        && frame
            .packet
            .as_ref()
            .is_some_and(|packet| packet.source == source)
}

fn is_general_query_from(frame: &Frame, source: Ipv4Addr) -> bool {
    is_query_from(frame, source) && frame.igmp().is_some_and(Igmp::is_general_query)
}

fn last_query_of(view: &View<'_>, source: Ipv4Addr) -> SystemTime {
    view.frames(|frame| is_query_from(frame, source))
        .pop()
        .expect("a query")
        .at
}

/// A copy of the stream in a frame of the gateway with this address.
fn is_copy_sent_by(frame: &Frame, gateway: Ipv4Addr) -> bool {
    frame.is_copy_for(GROUP)
        && frame
            .packet
            .as_ref()
            .is_some_and(|packet| packet.source_mac == mac_of(gateway))
}

#[track_caller]
fn assert_after(from: SystemTime, at: SystemTime, interval: Duration) {
    let took = at.duration_since(from).expect("in this order");
    assert!(
        took + STAMP_TOLERANCE >= interval && took <= interval + TIMER_TOLERANCE,
        "after {took:?} instead of {interval:?}"
    );
}
