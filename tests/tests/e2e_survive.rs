//! What was forwarded goes on to be forwarded where `persist` is on, and the next igmpd knows what the one before knew.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant, SystemTime};

use igmp_tests::bpffs::{Bpffs, links_in};
use igmp_tests::daemon::{Daemon, describe, rows};
use igmp_tests::igmp::Igmp;
use igmp_tests::receiver::{Receiver, SILENCE};
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{Lan, Topology};
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const OTHER_GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);
const PACE: Duration = Duration::from_micros(500);
const SOON: Duration = Duration::from_secs(5);
/// Group Membership Interval (RFC 9776 section 8.4): 2 x 3 s + 2 x 1 s.
const SHORT: &str = "query_interval = \"3s\"\nquery_response_interval = \"1s\"";
const GROUP_MEMBERSHIP_INTERVAL: Duration = Duration::from_secs(8);

/// Wherever it is killed on its way to take over, what is pinned is whole.
#[test]
fn an_igmpd_that_is_killed_while_it_takes_over_loses_nothing() {
    let topology = Topology::new(&[Lan::host()]);
    let bpffs = Bpffs::new();
    let config = bpffs.config_of(&topology, "");
    let daemon = Daemon::start_with(&topology.gateway, &config, "info");
    let stream = StreamSpec::to(GROUP).every(PACE).start(&topology.source);
    let receiver = Receiver::new(topology.receivers[0].join(GROUP));
    daemon.kill();
    for delay in (0..30).map(|step| Duration::from_millis(5 * step)) {
        Daemon::start_and_kill_after(&topology.gateway, &config, delay);
        receiver.goes_on(&stream);
    }
    let daemon = Daemon::start_with(&topology.gateway, &config, "info");
    receiver.goes_on(&stream);
    receiver.assert_gapless();
    assert_eq!(daemon.outputs(), ["lan0"]);
    bpffs.assert_whole(&topology.gateway, &["wan0", "lan0"]);
}

#[test]
fn without_persist_a_killed_igmpd_forwards_no_more() {
    let topology = Topology::new(&[Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(""));
    let stream = StreamSpec::to(GROUP).every(PACE).start(&topology.source);
    let receiver = Receiver::new(topology.receivers[0].join(GROUP));
    receiver.goes_on(&stream);
    daemon.kill();
    receiver.wait_for_silence(SOON);
    assert_eq!(topology.gateway.programs(&["lan0"]), 0);
}

/// From any mode to any other, at a start and by a reload. A device changes from one mode of XDP to the other with a gap.
#[test]
fn another_mode_takes_the_place_of_the_one_before() {
    const MODES: [&str; 7] = [
        "tc",
        "xdp-native",
        "xdp-generic",
        "tc",
        "xdp-generic",
        "xdp-native",
        "tc",
    ];
    let topology = Topology::new(&[Lan::host()]);
    let bpffs = Bpffs::new();
    let config = |mode| {
        let config = bpffs.config_of(&topology, "");
        format!("{config}[datapath]\nmode = \"{mode}\"\n")
    };
    let links = |mode| links_in(mode, &topology.gateway, &["wan0", "lan0"]);
    let mut daemon = Daemon::start(&topology.gateway, &config("xdp-native"));
    let stream = StreamSpec::to(GROUP).every(PACE).start(&topology.source);
    let receiver = Receiver::new(topology.receivers[0].join(GROUP));
    for mode in MODES {
        daemon.kill();
        daemon = Daemon::start(&topology.gateway, &config(mode));
        assert_eq!(daemon.outputs(), ["lan0"]);
        assert_eq!(bpffs.links(), links(mode));
        receiver.goes_on(&stream);
        let shown = daemon.ctl(&["show", "interfaces"]);
        assert!(rows(&shown).iter().all(|row| row["datapath"] == mode));
    }
    for mode in MODES.into_iter().rev() {
        daemon.rewrite_config(&config(mode));
        let output = daemon.ctl_output(&["reload"]);
        assert!(output.status.success(), "{}", describe(&output));
        assert_eq!(bpffs.links(), links(mode));
        receiver.goes_on(&stream);
    }
    daemon.kill();
    receiver.goes_on(&stream);
}

#[test]
fn a_member_that_fell_silent_meanwhile_is_forgotten_in_time() {
    let topology = Topology::new(&[Lan::hosts(2)]);
    let bpffs = Bpffs::new();
    let config = bpffs.config_of(&topology, SHORT);
    let daemon = Daemon::start(&topology.gateway, &config);
    let stream = StreamSpec::to(GROUP).every(PACE).start(&topology.source);
    let member = &topology.receivers[0];
    let receiver = Receiver::new(member.join(GROUP));
    receiver.goes_on(&stream);
    daemon.kill();
    // Its cable is pulled: nothing says that it has gone.
    member.set_link(false);
    let started = Instant::now();
    let daemon = Daemon::start(&topology.gateway, &config);
    let adopted = daemon.group("lan0", GROUP).expect("adopted");
    assert_eq!(adopted["filter_mode"], "exclude");
    let timer = adopted["timer_ms"].as_u64().expect("milliseconds");
    assert!(u128::from(timer) <= GROUP_MEMBERSHIP_INTERVAL.as_millis());
    wait_until(
        "the end of the membership",
        GROUP_MEMBERSHIP_INTERVAL + SOON,
        || daemon.group("lan0", GROUP).is_none().then_some(()),
    );
    assert!(started.elapsed() >= GROUP_MEMBERSHIP_INTERVAL);
    assert_eq!(rows(&daemon.ctl(&["show", "flows"])).len(), 0);
}

/// With the default timers, so that no answer to the first query comes in time to be mistaken for what was heard before.
#[test]
fn what_hosts_said_while_nobody_was_there_is_heard() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let [leaver, joiner] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let bpffs = Bpffs::new();
    let config = bpffs.config_of(&topology, "");
    let daemon = Daemon::start(&topology.gateway, &config);
    let stream = StreamSpec::to(GROUP).every(PACE).start(&topology.source);
    let receiver = Receiver::new(leaver.join(GROUP));
    receiver.goes_on(&stream);
    daemon.kill();
    receiver.end().leave();
    // From a host that answers no query.
    let report = joiner.igmp_packet(OTHER_GROUP, &Igmp::ReportV2(OTHER_GROUP));
    joiner.frame_sender().send(&report.frame());

    let daemon = Daemon::start(&topology.gateway, &config);
    let joined = daemon.group("lan1", OTHER_GROUP).expect("heard");
    assert_eq!(joined["last_reporter"], joiner.address.to_string());
    // Adopted, and then asked about: Last Member Query Time is 2 s.
    wait_until("the leave to be acted on", SOON, || {
        daemon.group("lan0", GROUP).is_none().then_some(())
    });
}

#[test]
fn a_dead_igmpd_is_obeyed_for_its_hold_time() {
    const HOLD_TIME: Duration = Duration::from_secs(10);
    let topology = Topology::new(&[Lan::host()]);
    let bpffs = Bpffs::new();
    let config = format!(
        "{}hold_time = \"10s\"\n{}",
        bpffs.config(),
        topology.config(SHORT)
    );
    let daemon = Daemon::start(&topology.gateway, &config);
    let stream = StreamSpec::to(GROUP).every(PACE).start(&topology.source);
    let receiver = Receiver::new(topology.receivers[0].join(GROUP));
    receiver.goes_on(&stream);
    daemon.kill();
    let killed = SystemTime::now();
    let ended = receiver.wait_for_silence(HOLD_TIME + SOON);
    // It last said that it lived at most a second before, or a little more when it was busy.
    let lasted = ended.duration_since(killed).expect("it went on");
    assert!(
        lasted + Duration::from_secs(3) > HOLD_TIME && lasted <= HOLD_TIME + SILENCE,
        "{lasted:?}"
    );
    receiver.assert_gapless();
    // What is that old is learnt again, from an answer to the first query.
    let daemon = Daemon::start(&topology.gateway, &config);
    assert!(daemon.log().contains("older than hold_time"));
    receiver.goes_on(&stream);
}
