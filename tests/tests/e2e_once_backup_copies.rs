//! What a master copies to its backup, and what it does not.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use igmp_tests::backup::faults::Paused;
use igmp_tests::backup::{
    GATEWAYS, Gateway, PROFILE, Pair, has_group_on, memberships, profile, profile_named, reload,
    wait_for_sync,
};
use igmp_tests::daemon::Daemon;
use igmp_tests::frame::IgmpPacket;
use igmp_tests::host::{Host, assert_gapless};
use igmp_tests::igmp::{Igmp, Record, RecordType};
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::Lan;
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);
const THIRD: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 3);
const DENIED: Ipv4Addr = Ipv4Addr::new(239, 9, 0, 1);
const SOON: Duration = Duration::from_secs(10);
const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const ALL_IGMPV3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
const IGMP: &str = "query_interval = \"2s\"\nquery_response_interval = \"1s\"";
/// With [`IGMP`], 2 x 2 s + 2 x 1 s (RFC 9776 section 8.4).
const GROUP_MEMBERSHIP_INTERVAL: Duration = Duration::from_secs(6);
/// For what is due to be seen.
const SLACK: Duration = Duration::from_secs(2);
const NO_DHCP: &str = "dhcp_stb_igmp_copy = false";

/// A configuration with further keys for an interface.
fn with_keys(config: &str, interface: &str, keys: &str) -> String {
    let block = format!("name = \"{interface}\"\nrole = \"downstream\"\n");
    let changed = config.replace(&block, &format!("{block}{keys}\n"));
    assert_ne!(changed, config);
    changed
}

fn wait_for_group(daemon: &Daemon, interface: &str, group: Ipv4Addr) {
    wait_until(&format!("{group} on {interface}"), SOON, || {
        has_group_on(daemon, interface, group)
    });
}

fn dropped(daemon: &Daemon, reason: &str) -> u64 {
    profile(daemon)["dropped_by"][reason].as_u64().unwrap_or(0)
}

#[test]
fn access_decides_whose_messages_are_copied() {
    let pair = Pair::on(&[Lan::hosts(2); 2]);
    let configs = GATEWAYS.map(|gateway| {
        with_keys(
            &pair.config(gateway, "", NO_DHCP),
            "lan1",
            "access = \"pppoe\"",
        )
    });
    let (master, backup) = pair.start_as(&configs);
    let [dhcp, pppoe] = [0, 1].map(|lan| &pair.topology.lan_receivers(lan)[0]);
    let _by_dhcp = dhcp.join(GROUP);
    wait_for_group(&master, "lan0", GROUP);
    // What is said later arrives later: had the first been copied, it would be there.
    let _by_pppoe = pppoe.join(GROUP);
    wait_for_group(&backup, "lan1", GROUP);
    assert!(has_group_on(&backup, "lan0", GROUP).is_none());

    // By default both are.
    for (daemon, gateway) in [(&master, Gateway::Master), (&backup, Gateway::Backup)] {
        reload(daemon, &pair.config(gateway, "", ""));
    }
    wait_for_group(&backup, "lan0", GROUP);
    assert_eq!(memberships(&backup), memberships(&master));
}

#[test]
fn what_was_copied_before_copying_ended_ages_by_the_backups_own_timers() {
    let pair = Pair::new();
    let (master, backup) = pair.start(IGMP, "");
    let [h1, h2] = &pair.topology.receivers[..] else {
        panic!("two hosts");
    };
    let _before = h1.join(GROUP);
    wait_for_group(&backup, "lan0", GROUP);
    let events = backup.events();
    reload(&master, &pair.config(Gateway::Master, IGMP, NO_DHCP));
    let switched = Instant::now();
    let _after = h2.join(OTHER);
    wait_for_group(&master, "lan0", OTHER);
    let row = backup.group("lan0", GROUP).expect("it stays for a while");
    let left = Duration::from_millis(row["timer_ms"].as_u64().expect("it ages"));
    assert!(left <= GROUP_MEMBERSHIP_INTERVAL, "{left:?}");

    let limit = GROUP_MEMBERSHIP_INTERVAL + SLACK;
    wait_until("it to age", limit, || {
        // What is new does not come meanwhile.
        assert!(has_group_on(&backup, "lan0", OTHER).is_none());
        has_group_on(&backup, "lan0", GROUP).is_none().then_some(())
    });
    println!(
        "gone {:?} after the switch, {left:?} were left",
        switched.elapsed()
    );
    assert!(switched.elapsed() >= left.saturating_sub(SLACK));
    assert!(has_group_on(&master, "lan0", GROUP).is_some());
    assert_eq!(memberships(&master).len(), 2);

    reload(&master, &pair.config(Gateway::Master, IGMP, ""));
    wait_until("both to hold the same", SOON, || {
        (memberships(&backup) == memberships(&master)).then_some(())
    });
    assert_eq!(memberships(&backup).len(), 2);
    let ended = events.all(|event| event["event"] == "backup-disconnected");
    assert!(ended.is_empty(), "{ended:?}");
}

#[test]
fn a_new_snapshot_does_not_take_away_what_is_no_longer_copied() {
    let pair = Pair::new();
    let (master, backup) = pair.start("", "");
    let host = &pair.topology.receivers[0];
    let _before = host.join(GROUP);
    wait_for_group(&backup, "lan0", GROUP);
    reload(&master, &pair.config(Gateway::Master, "", NO_DHCP));
    let _after = host.join(OTHER);
    wait_for_group(&master, "lan0", OTHER);

    let events = backup.events();
    let stopped = Paused::new(&master);
    wait_until("the backup to be alone", SOON, || {
        (profile(&backup)["connected"] == false).then_some(())
    });
    drop(stopped);
    let synced = events.wait_for("the next snapshot", SOON, |event| {
        event["event"] == "backup-synced"
    });
    assert_eq!(synced["groups"], 0);
    assert!(has_group_on(&backup, "lan0", GROUP).is_some());
    assert!(has_group_on(&backup, "lan0", OTHER).is_none());
}

#[test]
fn nothing_passes_while_a_direction_is_blocked_and_all_of_it_afterwards() {
    let pair = Pair::new();
    let (master, backup) = pair.start("", "");
    let host = &pair.topology.receivers[0];
    let _member = host.join(GROUP);
    wait_for_group(&backup, "lan0", GROUP);
    for (daemon, direction, group) in [(&master, "send", OTHER), (&backup, "receive", THIRD)] {
        let counter = format!("{direction}_blocked");
        daemon.ctl(&["backup", "block", PROFILE, direction]);
        assert_eq!(profile(daemon)["blocked"][0], direction);
        wait_until_all_arrived(&master, &backup);
        let before = (received(&backup), synced_by(&backup));
        let _member = host.join(group);
        wait_for_group(&master, "lan0", group);
        wait_until_all_arrived(&master, &backup);
        assert!(dropped(daemon, &counter) > 0);
        assert!(has_group_on(&backup, "lan0", group).is_none());
        assert_eq!((received(&backup), synced_by(&backup)), before);
        assert_eq!(profile(&backup)["connected"], true);
        // Only who blocks can know of the gap.
        assert_eq!(profile(daemon)["synced"], false);

        daemon.ctl(&["backup", "unblock", PROFILE, direction]);
        assert!(
            profile(daemon)["blocked"]
                .as_array()
                .is_some_and(Vec::is_empty)
        );
        wait_for_group(&backup, "lan0", group);
        wait_for_sync(&backup);
        assert_eq!(memberships(&backup), memberships(&master));
    }
}

/// Every copy that was sent has come in, or was dropped there.
fn wait_until_all_arrived(master: &Daemon, backup: &Daemon) {
    wait_until("the copies to arrive", SOON, || {
        let sent = profile(master)["sent"].as_u64();
        (sent == Some(received(backup) + dropped(backup, "receive_blocked"))).then_some(())
    });
}

fn received(daemon: &Daemon) -> u64 {
    profile(daemon)["received"].as_u64().expect("a count")
}

/// Groups of the last snapshot.
fn synced_by(daemon: &Daemon) -> serde_json::Value {
    profile(daemon)["last_sync_groups"].clone()
}

/// A report for all sources of a group.
fn report(host: &Host, group: Ipv4Addr) -> IgmpPacket {
    let record = Record::new(RecordType::IsEx, group, &[]);
    host.igmp_packet(ALL_IGMPV3_ROUTERS, &Igmp::ReportV3(vec![record]))
}

fn general_query(host: &Host) -> IgmpPacket {
    let query = Igmp::Query {
        version: 3,
        group: Ipv4Addr::UNSPECIFIED,
        max_response: Duration::from_secs(10),
        sources: Vec::new(),
    };
    host.igmp_packet(ALL_SYSTEMS, &query)
}

#[test]
fn queries_and_what_the_master_refuses_are_not_copied() {
    let pair = Pair::new();
    // The backup refuses none of it: if it were copied, it would be there.
    let list =
        "[[acl]]\nname = \"iptv\"\nrules = [{ action = \"permit\", group = \"239.1.0.0/16\" }]\n";
    let strict = with_keys(
        &pair.config(Gateway::Master, "", ""),
        "lan0",
        "group_policy = \"iptv\"",
    );
    let lenient = with_keys(
        &pair.config(Gateway::Backup, "", ""),
        "lan0",
        "alt_subnets = [\"172.16.0.0/12\"]",
    );
    let (master, backup) = pair.start_as(&[strict + list, lenient]);
    let [h1, h2] = &pair.topology.receivers[..] else {
        panic!("two hosts");
    };
    let foreign = IgmpPacket {
        source: Ipv4Addr::new(172, 16, 0, 9),
        ..report(h2, OTHER)
    };
    let sender = h2.frame_sender();
    let send_all = || {
        for packet in [report(h2, DENIED), foreign.clone(), general_query(h2)] {
            sender.send(&packet.frame());
        }
    };
    send_all();
    let _member = h1.join(GROUP);
    wait_for_group(&backup, "lan0", GROUP);
    assert_eq!(memberships(&backup).len(), 1);
    assert_eq!(memberships(&backup), memberships(&master));
    for counter in ["refused_group_policy", "refused_source_not_accepted"] {
        assert!(master.counter_on("lan0", counter) > 0, "{counter}");
    }
    let asked = |daemon: &Daemon| daemon.counter_on("lan0", "received_query_v3");
    assert!(asked(&master) > 0);
    assert_eq!(asked(&backup), 0);

    // Heard by itself, it accepts the same.
    pair.connect_hosts_to_both();
    send_all();
    for group in [DENIED, OTHER] {
        wait_for_group(&backup, "lan0", group);
    }
    wait_until("it to hear a query", SOON, || {
        (asked(&backup) > 0).then_some(())
    });
}

/// Configurations of two profiles with opposite roles: `stb` is `lan0`, of which the first gateway is master; `iptv` is the
/// first one's `lan1`, which its master, the second gateway, calls `acc1`.
fn crossed(pair: &Pair) -> [String; 2] {
    GATEWAYS.map(|gateway| {
        let config = pair.config(gateway, "", "");
        let both = "interfaces = [\"lan0\", \"lan1\"]";
        let stb = config.replace(both, "interfaces = [\"lan0\"]");
        assert_ne!(stb, config);
        let at = stb.find("[[remote_backup_profile]]").expect("a profile");
        let iptv = stb[at..]
            .replace("\"stb\"", "\"iptv\"")
            .replace(":7464", ":7465");
        match gateway {
            Gateway::Master => {
                let iptv = iptv.replace("role = \"master\"", "role = \"backup\"");
                stb + &iptv.replace("[\"lan0\"]", "[{ local = \"lan1\", remote = \"acc1\" }]")
            }
            Gateway::Backup => {
                let iptv = iptv.replace("role = \"backup\"", "role = \"master\"");
                let iptv = iptv.replace("[\"lan0\"]", "[{ local = \"acc1\", remote = \"lan1\" }]");
                stb.replace("\"lan1\"", "\"acc1\"") + &iptv
            }
        }
    })
}

#[test]
fn two_profiles_with_opposite_roles_and_interfaces_of_different_names() {
    let pair = Pair::on(&[Lan::hosts(2); 2]);
    pair.namespace(Gateway::Backup)
        .ip("link set lan1 down\nlink set lan1 name acc1\nlink set acc1 up");
    let [a, b] = crossed(&pair);
    let a = Daemon::start_with(pair.namespace(Gateway::Master), &a, "info");
    let b = Daemon::start_with(pair.namespace(Gateway::Backup), &b, "info");
    for (daemon, name, role) in [
        (&a, "stb", "master"),
        (&a, "iptv", "backup"),
        (&b, "stb", "backup"),
        (&b, "iptv", "master"),
    ] {
        wait_until(&format!("{name} to be {role}, in sync"), SOON, || {
            let row = profile_named(daemon, name);
            (row["role"] == role && row["synced"] == true).then_some(())
        });
    }
    pair.connect_lan_to(1, Gateway::Backup);
    let [h1, h3] = [0, 1].map(|lan| &pair.topology.lan_receivers(lan)[0]);
    let (by_a, by_b) = (h1.join(GROUP), h3.join(GROUP));
    wait_for_group(&b, "lan0", GROUP);
    wait_for_group(&a, "lan1", GROUP);
    assert!(has_group_on(&a, "lan0", GROUP).is_some());
    assert!(has_group_on(&b, "acc1", GROUP).is_some());

    let stream = StreamSpec::to(GROUP).start(&pair.topology.source);
    let last = stream.sent() + 300;
    for member in [&by_a, &by_b] {
        assert_gapless(&member.arrivals_until(last, SOON));
    }
    // Each has the other's data at hand.
    for (daemon, interface, gate) in [
        (&a, "lan0", false),
        (&a, "lan1", true),
        (&b, "lan0", true),
        (&b, "acc1", false),
    ] {
        let held = daemon.counter_on(interface, "egress_gate_closed");
        assert_eq!(held > 0, gate, "{interface}: {held}");
    }
}
