//! Five thousand groups through the proxy: all are asked for upstream, none waits for the others, and all flow.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use igmp_tests::capture::Capture;
use igmp_tests::daemon::{Daemon, rows};
use igmp_tests::fixtures::datagram::Datagram;
use igmp_tests::host::Host;
use igmp_tests::igmp::{Igmp, Record, RecordType};
use igmp_tests::proxy::counter;
use igmp_tests::topology::{Lan, Topology, UPSTREAM};
use igmp_tests::tshark;
use igmp_tests::wait::wait_until;

const GROUPS: u32 = 5_000;
const ALL_IGMPV3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
/// How long the joins take.
const JOINING: Duration = Duration::from_secs(10);
/// Each report joins so many.
const GROUPS_A_REPORT: u32 = 10;
const REPORTED_WITHIN: Duration = Duration::from_secs(15);
/// RFC 9776 section 5.1, the default Robustness Variable.
const TIMES_REPORTED: usize = 2;
const SOON: Duration = Duration::from_secs(10);
/// A datagram of 8 octets from port 5000 to port 5000, without checksum.
const UDP: [u8; 16] = [0x13, 0x88, 0x13, 0x88, 0, 16, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
/// Of a largest Ethernet frame, in octets.
const MTU: usize = 1500;

#[test]
fn five_thousand_groups_are_all_reported_upstream_and_all_flow() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let mut daemon = Daemon::start_with(&topology.gateway, &topology.config(""), "info");
    let link = topology.source.capture();

    let last = join_over_time(&topology);
    wait_until("every group joined upstream", REPORTED_WITHIN, || {
        (rows(&daemon.ctl(&["show", "upstream"])).len() == GROUPS as usize).then_some(())
    });
    let reported = wait_until(
        "every group reported as often as the RFC says",
        SOON,
        || {
            let reported = reports(&link);
            let all = reported.len() == GROUPS as usize;
            (all && reported.values().all(|at| at.len() >= TIMES_REPORTED)).then_some(reported)
        },
    );
    daemon.assert_running();
    for (group, at) in &reported {
        assert_eq!(at.len(), TIMES_REPORTED, "{group} was reported at {at:?}");
        let delay = at[0].duration_since(last).unwrap_or_default();
        assert!(delay < REPORTED_WITHIN, "{group} after {delay:?}");
    }
    let reports = link.all().frames(|frame| frame.received_igmp(|_| true));
    tshark::judge(&reports, &[]);
    for report in &reports {
        assert!(report.bytes.len() <= 14 + MTU, "{report:?}");
    }

    every_group_flows(&topology);
    // More addresses than a network card filters: it takes all multicast, and gives it back.
    assert!(takes_all_multicast(&topology));
    for name in [
        "flow_refused",
        "map_write_failed",
        "send_failed",
        "igmp_policed",
        "igmp_ring_full",
    ] {
        assert_eq!(counter(&daemon, name), 0, "{name}");
    }
    assert!(daemon.stop().success());
    assert!(!takes_all_multicast(&topology));
}

fn group(index: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(239, 10, 0, 0)) + index)
}

/// Two hosts on two LANs join all groups within [`JOINING`]; returns when the last report was sent.
fn join_over_time(topology: &Topology) -> SystemTime {
    let reports = GROUPS / GROUPS_A_REPORT;
    let pause = JOINING / reports;
    let start = Instant::now();
    let senders: Vec<_> = topology
        .receivers
        .iter()
        .map(|host| (host, host.frame_sender()))
        .collect();
    for report in 0..reports {
        let records = (0..GROUPS_A_REPORT)
            .map(|index| {
                Record::new(
                    RecordType::ToEx,
                    group(report * GROUPS_A_REPORT + index),
                    &[],
                )
            })
            .collect();
        let message = Igmp::ReportV3(records);
        for (host, sender) in &senders {
            sender.send(&host.igmp_packet(ALL_IGMPV3_ROUTERS, &message).frame());
        }
        thread::sleep((pause * (report + 1)).saturating_sub(start.elapsed()));
    }
    SystemTime::now()
}

/// When each group was joined on the upstream link.
fn reports(link: &Capture) -> BTreeMap<Ipv4Addr, Vec<SystemTime>> {
    let mut reports: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for frame in link.all().frames(|frame| frame.received_igmp(|_| true)) {
        let Some(Igmp::ReportV3(records)) = frame.igmp() else {
            panic!("{frame:?}")
        };
        for record in records {
            assert_eq!(
                (record.kind, &record.sources[..]),
                (RecordType::ToEx, &[][..])
            );
            reports.entry(record.group).or_default().push(frame.at);
        }
    }
    reports
}

/// One packet to each group, and to as many others; each of the first comes to both LANs, and none of the others.
fn every_group_flows(topology: &Topology) {
    let wires: Vec<Capture> = topology.receivers.iter().map(Host::capture).collect();
    let sender = topology.source.frame_sender();
    for index in 0..2 * GROUPS {
        let datagram = Datagram {
            payload: UDP.to_vec(),
            ..Datagram::to(group(index))
        };
        sender.send(&datagram.frame());
        // A veth's queue holds a thousand.
        if index % 100 == 99 {
            thread::sleep(Duration::from_millis(2));
        }
    }
    for wire in &wires {
        let arrived = || -> Vec<Ipv4Addr> {
            let copies = wire.all().frames(|frame| {
                let packet = frame.packet.as_ref();
                packet.is_some_and(|packet| frame.is_copy_for(packet.destination))
            });
            let groups = copies
                .into_iter()
                .filter_map(|frame| Some(frame.packet?.destination));
            groups.collect()
        };
        wait_until("a packet of every group", SOON, || {
            (arrived().len() >= GROUPS as usize).then_some(())
        });
        let mut arrived = arrived();
        arrived.sort();
        let expected: Vec<Ipv4Addr> = (0..GROUPS).map(group).collect();
        assert!(arrived == expected, "{} packets came", arrived.len());
    }
}

fn takes_all_multicast(topology: &Topology) -> bool {
    let link = topology
        .gateway
        .run(&["ip", "-d", "-j", "link", "show", UPSTREAM]);
    let link: serde_json::Value = serde_json::from_str(&link).expect("ip prints JSON");
    link[0]["allmulti"].as_u64().expect("a count") > 0
}
