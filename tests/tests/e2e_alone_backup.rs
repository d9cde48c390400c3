//! A backup knows what its master knows, and forwards from the moment it is told to. Alone, because it measures.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use igmp_tests::backup::{
    Gateway, PROFILE, Pair, SYNC, doubles, memberships, profile, set_role, wait_for_role,
    wait_for_sync,
};
use igmp_tests::bpffs::Bpffs;
use igmp_tests::capture::Capture;
use igmp_tests::daemon::Daemon;
use igmp_tests::frame::Frame;
use igmp_tests::host::{Arrival, Subscription, assert_gapless};
use igmp_tests::receiver::Receiver;
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{Topology, UPSTREAM, downstream};
use igmp_tests::wait::{assert_never, wait_until};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);
const SPECIFIC: Ipv4Addr = Ipv4Addr::new(232, 1, 1, 1);
const SOON: Duration = Duration::from_secs(10);
/// A receiver's stream is there again so long after the backup has become master.
const TAKES_OVER_WITHIN: Duration = Duration::from_millis(100);
const IGMP: &str = "";
/// Datagrams of a stream's usual pace that two gateways may send both while the role changes hands.
const HANDED_OVER_WITHIN: usize = 50;

fn has_group(daemon: &Daemon, group: Ipv4Addr) -> Option<()> {
    daemon.group(&downstream(0), group).map(|_| ())
}

/// A host says something of its memberships.
fn is_from_host(frame: &Frame) -> bool {
    frame
        .igmp()
        .is_some_and(|message| !message.wishes().is_empty())
}

/// Waits until the host has repeated what it said (RFC 9776 section 5.1: within 1 s) and answered what it was asked (within
/// 2 s here).
fn wait_for_silence(words: &Capture) {
    wait_until("the host to be silent", SOON, || {
        let last = words.all().frames(is_from_host).pop()?;
        let silence = last.at.elapsed().unwrap_or_default();
        (silence > Duration::from_millis(2_500)).then_some(())
    });
}

/// The first that arrived after `when`.
fn first_after(subscription: &Subscription, when: SystemTime) -> Arrival {
    wait_until("the stream to go on", SOON, || {
        let mut arrivals = subscription.arrivals().into_iter();
        arrivals.find(|arrival| arrival.at > when)
    })
}

#[test]
fn what_the_master_hears_the_backup_knows_and_no_host_gets_anything_twice() {
    let pair = Pair::new();
    let (master, backup) = pair.start(IGMP, "");
    pair.connect_hosts_to_both();
    let [h1, h2] = &pair.topology.receivers[..] else {
        panic!("two hosts");
    };
    let member = h1.join(GROUP);
    let specific = h2.join_source(SPECIFIC, Topology::SOURCE);
    wait_until("the backup to know both", SOON, || {
        has_group(&backup, GROUP).and(has_group(&backup, SPECIFIC))
    });
    assert_eq!(memberships(&backup), memberships(&master));
    let stream = StreamSpec::to(GROUP).start(&pair.topology.source);
    let other = StreamSpec::to(SPECIFIC).start(&pair.topology.source);
    let last = stream.sent() + 500;
    let arrivals = member.arrivals_until(last, SOON);
    assert_gapless(&arrivals);
    assert_gapless(&specific.arrivals_until(other.sent(), SOON));
    // The data was at hand on the backup, behind its gate.
    assert!(backup.counter_on(&downstream(0), "egress_gate_closed") > 0);
    member.leave();
    wait_until("the backup to forget it too", SOON, || {
        has_group(&backup, GROUP).is_none().then_some(())
    });
    assert!(has_group(&backup, SPECIFIC).is_some());
}

/// How a master ends.
enum End {
    Killed,
    LinksDown,
}

/// Has the backup take over from a master that ends; says how long after it was told to the stream was there again, and
/// whether a host said anything in between.
fn take_over(pair: &Pair, end: &End, copies: bool) -> (Duration, bool) {
    let keys = if copies {
        ""
    } else {
        "dhcp_stb_igmp_copy = false"
    };
    let (master, backup) = pair.start("query_response_interval = \"2s\"", keys);
    let host = &pair.topology.receivers[0];
    let words = host.capture();
    let member = host.join(GROUP);
    wait_until("the master to know", SOON, || has_group(&master, GROUP));
    if copies {
        wait_until("the backup to know", SOON, || has_group(&backup, GROUP));
    } else {
        assert_never("the backup to know", Duration::from_secs(1), || {
            has_group(&backup, GROUP)
        });
    }
    let stream = StreamSpec::to(GROUP)
        .every(Duration::from_millis(2))
        .start(&pair.topology.source);
    member.arrivals_until(stream.sent() + 50, SOON);
    wait_for_silence(&words);

    let _master = match end {
        End::Killed => {
            master.kill();
            None
        }
        End::LinksDown => {
            let gateway = pair.namespace(Gateway::Master);
            for device in [UPSTREAM, &downstream(0), SYNC] {
                gateway.ip(&format!("link set {device} down"));
            }
            Some(master)
        }
    };
    pair.connect_hosts_to(Gateway::Backup);
    let alone = SystemTime::now();
    assert_never("a copy from the backup", Duration::from_millis(300), || {
        let mut arrivals = member.arrivals().into_iter();
        arrivals.find(|arrival| arrival.at > alone)
    });
    let told = SystemTime::now();
    set_role(&backup, "master");
    let again = first_after(&member, told);
    let took = again.at.duration_since(told).unwrap_or_default();
    let spoke = words
        .all()
        .frames(|frame| is_from_host(frame) && (alone..again.at).contains(&frame.at));
    (took, !spoke.is_empty())
}

#[test]
fn the_backup_of_a_killed_master_forwards_at_once_without_a_word_from_any_host() {
    forwards_at_once(&End::Killed);
}

#[test]
fn the_backup_of_a_master_without_links_forwards_at_once_without_a_word_from_any_host() {
    forwards_at_once(&End::LinksDown);
}

fn forwards_at_once(end: &End) {
    let (took, a_host_spoke) = take_over(&Pair::new(), end, true);
    assert!(!a_host_spoke);
    assert!(took <= TAKES_OVER_WITHIN, "{took:?}");
    println!("the stream was there again after {took:?}");
}

#[test]
fn without_copies_the_stream_waits_for_a_host_to_answer() {
    for end in [End::Killed, End::LinksDown] {
        let (took, a_host_spoke) = take_over(&Pair::new(), &end, false);
        assert!(a_host_spoke);
        println!("the stream was there again after {took:?}");
    }
}

/// With `persist`: what the igmpd before forwarded goes on, also while its successor looks for the peer.
#[test]
fn a_master_that_is_restarted_at_once_is_master_again_and_loses_nothing() {
    let pair = Pair::new();
    let bpffs = Bpffs::new();
    let persistent = format!(
        "{}{}",
        bpffs.config(),
        pair.config(Gateway::Master, IGMP, "")
    );
    let gateway = pair.namespace(Gateway::Master);
    let (mut master, backup) =
        pair.start_as(&[persistent.clone(), pair.config(Gateway::Backup, IGMP, "")]);
    let member = pair.topology.receivers[0].join(GROUP);
    let stream = StreamSpec::to(GROUP).start(&pair.topology.source);
    let receiver = Receiver::new(member);
    receiver.goes_on(&stream);

    // With the peer there, and without it.
    for peer_is_there in [true, false] {
        if !peer_is_there {
            gateway.ip("link set sync0 down");
        }
        master.end_process();
        receiver.goes_on(&stream);
        master.start_again(gateway, &persistent);
        wait_for_role(&master, "master");
        receiver.goes_on(&stream);
    }
    assert_eq!(profile(&backup)["role"], "backup");
    receiver.assert_gapless();
}

/// Row R7 and the way back: a gateway that was replaced while it was gone learns first.
#[test]
fn a_master_that_comes_back_takes_over_again_after_the_delay() {
    let pair = Pair::new();
    let delay = "switch_back_delay = \"2s\"";
    let (mut master, backup) = pair.start(IGMP, delay);
    let member = pair.topology.receivers[0].join(GROUP);
    wait_until("the backup to know", SOON, || has_group(&backup, GROUP));
    pair.connect_hosts_to_both();
    let stream = StreamSpec::to(GROUP).start(&pair.topology.source);
    master.end_process();
    set_role(&backup, "master");
    let mut arrivals = member.arrivals_until(stream.sent() + 100, SOON);

    let config = pair.config(Gateway::Master, IGMP, delay);
    master.start_again(pair.namespace(Gateway::Master), &config);
    wait_until("it to know what there is", SOON, || {
        has_group(&master, GROUP)
    });
    let synced = SystemTime::now();
    assert_eq!(profile(&master)["role"], "backup");
    wait_for_role(&master, "master");
    let waited = synced.elapsed().unwrap_or_default();
    assert!(waited > Duration::from_millis(1_500), "{waited:?}");
    wait_for_role(&backup, "backup");
    arrivals.extend(member.arrivals_until(stream.sent() + 100, SOON));
    // One gate opens before the other closes, by the way between the two.
    assert!(
        doubles(&arrivals) <= HANDED_OVER_WITHIN,
        "{}",
        doubles(&arrivals)
    );
}

#[test]
fn a_partition_heals_into_equal_state() {
    let pair = Pair::new();
    let (master, backup) = pair.start(IGMP, "");
    let host = &pair.topology.receivers[0];
    let leaver = host.join(OTHER);
    wait_until("the backup to know", SOON, || has_group(&backup, OTHER));
    let gateway = pair.namespace(Gateway::Master);
    gateway.ip("link set sync0 down");
    wait_until("both to notice", SOON, || {
        let connected = [&master, &backup].map(|daemon| profile(daemon)["connected"] == true);
        (connected == [false, false]).then_some(())
    });
    leaver.leave();
    let _members: Vec<_> = (1..=15)
        .map(|n| host.join(Ipv4Addr::new(239, 2, 0, n)))
        .collect();
    wait_until("the master to have forgotten", SOON, || {
        has_group(&master, OTHER).is_none().then_some(())
    });
    assert!(has_group(&backup, OTHER).is_some());
    gateway.ip("link set sync0 up");
    wait_for_sync(&backup);
    wait_until("equal state", SOON, || {
        (memberships(&backup) == memberships(&master)).then_some(())
    });
    assert_eq!(profile(&backup)["role"], "backup");
}

#[test]
fn of_two_masters_the_lower_gives_way() {
    let pair = Pair::new();
    let (master, backup) = pair.start(IGMP, "");
    let gateway = pair.namespace(Gateway::Master);
    gateway.ip("link set sync0 down");
    wait_until("the backup to be alone", SOON, || {
        (profile(&backup)["connected"] == false).then_some(())
    });
    set_role(&backup, "master");
    wait_for_role(&backup, "master");
    gateway.ip("link set sync0 up");
    wait_for_role(&backup, "backup");
    assert_eq!(profile(&master)["role"], "master");
    let unknown = master.ctl_output(&["backup", "set-role", "iptv", "master"]);
    assert_eq!(unknown.status.code(), Some(1));
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(said.contains(PROFILE), "{said}");
}
