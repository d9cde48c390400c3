//! Source lists longer than a packet.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_tests::daemon::Daemon;
use igmp_tests::igmp::{Igmp, Record, RecordType};
use igmp_tests::topology::{Lan, Topology};
use igmp_tests::tshark;
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const ALL_IGMPV3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
const SOON: Duration = Duration::from_secs(3);

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
        let mut asked = BTreeMap::<Ipv4Addr, usize>::new();
        for query in &queries {
            assert!(
                query.bytes.len() <= 14 + mtu,
                "a query of {} octets",
                query.bytes.len()
            );
            if let Some(Igmp::Query { sources, .. }) = query.igmp() {
                for source in sources {
                    *asked.entry(*source).or_default() += 1;
                }
            }
        }
        let expected = kept.into_iter().map(|source| (source, 2)).collect();
        assert_eq!(asked, expected);
    }
}
