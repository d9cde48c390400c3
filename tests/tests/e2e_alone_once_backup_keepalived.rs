//! keepalived, with the configuration that we ship, decides who is master. Alone, because it measures.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use igmp_tests::backup::{Gateway, Keepalived, Pair, doubles, wait_for_role, wait_for_sync};
use igmp_tests::daemon::Daemon;
use igmp_tests::events::Events;
use igmp_tests::proxy::longest_gap;
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::downstream;
use igmp_tests::wait::{assert_never, wait_until};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const SOON: Duration = Duration::from_secs(10);
const EVERY: Duration = Duration::from_millis(2);
const TAKES_OVER_WITHIN: Duration = Duration::from_millis(100);
/// Row R6: three advertisements and the skew time (RFC 5798 section 6.1: 0.36 s), a take-over, and what a busy machine adds.
const GAP: Duration = Duration::from_millis(800);

/// A pair in sync with keepalived beside each; the one of higher priority is master.
struct Watched {
    master: Daemon,
    backup: Daemon,
    beside_master: Keepalived,
    _beside_backup: Keepalived,
}

impl Watched {
    fn start(pair: &Pair) -> Self {
        let (master, backup) = pair.start("", "");
        let start = |gateway, daemon| Keepalived::start(pair.namespace(gateway), gateway, daemon);
        let watched = Self {
            beside_master: start(Gateway::Master, &master),
            _beside_backup: start(Gateway::Backup, &backup),
            master,
            backup,
        };
        // Both begin as backup; keepalived finds out.
        wait_until("keepalived to have decided", SOON, || {
            let decided = watched.master.log().contains("cause=operator");
            decided.then_some(())
        });
        wait_for_role(&watched.master, "master");
        wait_for_role(&watched.backup, "backup");
        wait_for_sync(&watched.backup);
        watched
    }
}

fn role_change(events: &Events, role: &str) -> SystemTime {
    let event = events.wait_for(&format!("the role {role}"), SOON, |event| {
        event["event"] == "backup-role" && event["role"] == role
    });
    let time = event["time"].as_str().expect("an event has a time");
    OffsetDateTime::parse(time, &Rfc3339)
        .expect("RFC 3339")
        .into()
}

#[test]
fn when_the_master_is_gone_its_backup_takes_over_within_vrrp_s_time() {
    let pair = Pair::new();
    let Watched {
        master,
        backup,
        beside_master,
        _beside_backup,
    } = Watched::start(&pair);
    let host = &pair.topology.receivers[0];
    let member = host.join(GROUP);
    wait_until("the backup to know", SOON, || {
        backup.group(&downstream(0), GROUP)
    });
    let events = backup.events();
    let stream = StreamSpec::to(GROUP)
        .every(EVERY)
        .start(&pair.topology.source);
    let mut arrivals = member.arrivals_until(stream.sent() + 50, SOON);

    beside_master.kill();
    master.kill();
    pair.connect_hosts_to(Gateway::Backup);

    arrivals.extend(member.arrivals_until(stream.sent() + 500, SOON));
    let became = role_change(&events, "master");
    let again = arrivals.iter().find(|arrival| arrival.at >= became);
    let again = again.expect("the stream goes on").at;
    let took = again.duration_since(became).unwrap_or_default();
    assert!(took <= TAKES_OVER_WITHIN, "{took:?}");
    let gap = longest_gap(&arrivals, EVERY);
    assert!(gap <= GAP, "{gap:?}");
    assert_eq!(doubles(&arrivals), 0);
    println!("without the stream for {gap:?}, of that {took:?} as master");
}

#[test]
fn a_dead_igmpd_hands_over_and_the_gateway_that_comes_back_takes_over_again() {
    let pair = Pair::new();
    let Watched {
        mut master,
        backup,
        beside_master,
        _beside_backup,
    } = Watched::start(&pair);
    let member = pair.topology.receivers[0].join(GROUP);
    wait_until("the backup to know", SOON, || {
        backup.group(&downstream(0), GROUP)
    });
    let stream = StreamSpec::to(GROUP)
        .every(EVERY)
        .start(&pair.topology.source);
    let mut arrivals = member.arrivals_until(stream.sent() + 50, SOON);
    // Nobody switches the access network over this time: it reaches both.
    pair.connect_hosts_to_both();

    master.end_process();
    wait_for_role(&backup, "master");
    arrivals.extend(member.arrivals_until(stream.sent() + 200, SOON));

    let config = pair.config(Gateway::Master, "", "");
    master.start_again(pair.namespace(Gateway::Master), &config);
    wait_for_role(&master, "master");
    wait_for_role(&backup, "backup");
    arrivals.extend(member.arrivals_until(stream.sent() + 200, SOON));
    assert_never("two masters", Duration::from_secs(1), || {
        let roles =
            [&master, &backup].map(|daemon| igmp_tests::backup::profile(daemon)["role"].clone());
        (roles != ["master", "backup"]).then_some(roles)
    });
    assert_eq!(
        master
            .group(&downstream(0), GROUP)
            .map(|group| group["filter_mode"].clone()),
        Some("exclude".into())
    );
    println!("without the stream for {:?}", longest_gap(&arrivals, EVERY));
    drop(beside_master);
}
