//! Which groups an interface serves, both ways, and which frames the upstream device is asked for.

use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_tests::daemon::Daemon;
use igmp_tests::host::{Host, Subscription};
use igmp_tests::proxy::{IGMP, SOON, joined_upstream, reload, wait_for_upstream_join};
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{Lan, Topology, UPSTREAM};
use igmp_tests::wait::wait_until;
use serde_json::Value;

const SERVED: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const REFUSED: Ipv4Addr = Ipv4Addr::new(239, 9, 1, 1);
/// Of the refused network, but listed by itself.
const EXCEPTION: Ipv4Addr = Ipv4Addr::new(239, 9, 7, 7);
const LISTS: &str =
    "whitelist = [\"239.0.0.0/8\", \"239.9.7.7/32\"]\nblacklist = [\"239.9.0.0/16\"]";
const A_WHILE: Duration = Duration::from_millis(300);

#[test]
fn what_a_lan_does_not_serve_is_neither_joined_there_nor_forwarded_to_nor_from_it() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config_with(IGMP, &[LISTS]));
    let [filtered, open] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let [filtered_wire, open_wire] = [filtered, open].map(Host::capture);
    let provider_wire = topology.source.capture();
    let groups = [SERVED, REFUSED, EXCEPTION];
    let _subscriptions = groups.map(|group| [filtered.join(group), open.join(group)]);
    let streams = groups.map(|group| StreamSpec::to(group).start(&topology.source));
    for group in groups {
        open_wire
            .all()
            .wait_for("the stream where all is open", SOON, |frame| {
                frame.is_copy_for(group)
            });
    }
    for group in [SERVED, EXCEPTION] {
        filtered_wire
            .all()
            .wait_for("what is served", SOON, |frame| frame.is_copy_for(group));
    }
    assert!(daemon.group("lan0", REFUSED).is_none());
    assert!(daemon.counter_on("lan0", "refused_group_filter") > 0);
    assert_eq!(daemon.counter_on("lan1", "refused_group_filter"), 0);
    filtered_wire
        .all()
        .assert_none("what is not", A_WHILE, |frame| frame.is_copy_for(REFUSED));
    drop(streams);

    // The other way.
    let after = [open_wire.from_now(), provider_wire.from_now()];
    let _streams = groups.map(|group| StreamSpec::to(group).start(filtered));
    for wire in after {
        for group in [SERVED, EXCEPTION] {
            wire.wait_for("what is served", SOON, |frame| frame.is_copy_for(group));
        }
        wire.assert_none("what is not", A_WHILE, |frame| frame.is_copy_for(REFUSED));
    }
    assert!(daemon.counter_on("lan0", "pass_group_filter") > 0);
}

#[test]
fn what_the_upstream_does_not_serve_is_neither_joined_there_nor_forwarded_to_nor_from_it() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let config = topology.proxy_config(IGMP, LISTS, &[]);
    let daemon = Daemon::start(&topology.gateway, &config);
    let [member, sender] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let wire = member.capture();
    let provider_wire = topology.source.capture();
    let groups = [SERVED, REFUSED, EXCEPTION];
    let _subscriptions = groups.map(|group| member.join(group));
    for group in [SERVED, EXCEPTION] {
        wait_for_upstream_join(provider_wire.all(), group);
    }
    wait_until("the member downstream", SOON, || {
        daemon.group("lan0", REFUSED)
    });
    let streams = groups.map(|group| StreamSpec::to(group).start(&topology.source));
    for group in [SERVED, EXCEPTION] {
        wire.all()
            .wait_for("what is served", SOON, |frame| frame.is_copy_for(group));
    }
    wire.all()
        .assert_none("what is not", A_WHILE, |frame| frame.is_copy_for(REFUSED));
    assert_eq!(joined_upstream(&daemon, REFUSED), None);
    provider_wire
        .all()
        .assert_none("a report of it", Duration::ZERO, |frame| {
            frame.received_igmp(|igmp| igmp.wishes().iter().any(|(group, _)| *group == REFUSED))
        });
    drop(streams);

    // From one LAN to the other it goes all the same, but not upstream.
    let _streams = groups.map(|group| StreamSpec::to(group).start(sender));
    let after = wire.from_now();
    for group in groups {
        after.wait_for("each group between the LANs", SOON, |frame| {
            frame.is_copy_for(group)
        });
    }
    for group in [SERVED, EXCEPTION] {
        provider_wire
            .all()
            .wait_for("what is served", SOON, |frame| frame.is_copy_for(group));
    }
    provider_wire
        .all()
        .assert_none("what is not", A_WHILE, |frame| frame.is_copy_for(REFUSED));

    // Served from now on: joined at once, without waiting for the member to say it again.
    reload(&daemon, &topology.proxy_config(IGMP, "", &[]));
    wait_for_upstream_join(provider_wire.all(), REFUSED);
}

/// What the kernel has of a device, as ip(8) prints it.
fn ip_json(topology: &Topology, arguments: &[&str]) -> Value {
    let printed = topology
        .gateway
        .run(&[&["ip", "-d", "-j"], arguments].concat());
    serde_json::from_str(&printed).expect("ip prints JSON")
}

/// The Ethernet groups of the upstream device (`ip maddr`) under 01:00:5e, but for the kernel's own 224.0.0.1.
fn addresses(topology: &Topology) -> Vec<String> {
    let shown = ip_json(topology, &["maddr", "show", "dev", UPSTREAM]);
    let entries = shown[0]["maddr"].as_array().cloned().unwrap_or_default();
    let mut addresses: Vec<String> = entries
        .iter()
        .filter_map(|entry| entry["link"].as_str())
        .filter(|link| link.starts_with("01:00:5e") && *link != "01:00:5e:00:00:01")
        .map(str::to_owned)
        .collect();
    addresses.sort();
    addresses
}

fn all_multicast(topology: &Topology) -> u64 {
    let link = ip_json(topology, &["link", "show", "dev", UPSTREAM]);
    link[0]["allmulti"].as_u64().expect("a count")
}

fn wait_for_addresses(topology: &Topology, wanted: &[&str]) {
    wait_until(&format!("{wanted:?}"), SOON, || {
        (addresses(topology) == wanted && all_multicast(topology) == 0).then_some(())
    });
}

#[test]
fn the_upstream_device_is_asked_for_each_groups_address_and_beyond_the_threshold_for_all() {
    // 239.1.1.1 and 225.129.1.1 share an Ethernet address: only 23 bits of a group are in it (RFC 1112 section 6.4).
    let twin = Ipv4Addr::new(225, 129, 1, 1);
    let [second, third, fourth, fifth] = [2, 3, 4, 5].map(|low| Ipv4Addr::new(239, 1, 1, low));
    let topology = Topology::new(&[Lan::host()]);
    // Last Member Query Time 0.2 s: this is not about leaving.
    let igmp = "last_member_query_count = 2\nlast_member_query_interval = \"100ms\"\n\
                [datapath]\nmulticast_filter = 4";
    let before = (addresses(&topology), all_multicast(&topology));
    assert_eq!(before, (vec![], 0));
    let daemon = Daemon::start(&topology.gateway, &topology.config(igmp));
    let member = &topology.receivers[0];
    let kept = member.join(SERVED);
    wait_for_addresses(&topology, &["01:00:5e:01:01:01"]);
    let shared = member.join(twin);
    wait_until("the twin upstream", SOON, || joined_upstream(&daemon, twin));
    let _stays = member.join(second);
    let leaves = [third, fourth].map(|group| member.join(group));
    // Five groups, four addresses: the threshold is not passed.
    let four = ["01", "02", "03", "04"].map(|low| format!("01:00:5e:01:01:{low}"));
    let four: Vec<&str> = four.iter().map(String::as_str).collect();
    wait_for_addresses(&topology, &four);
    let beyond = member.join(fifth);
    wait_until("all multicast", SOON, || {
        (all_multicast(&topology) == 1).then_some(())
    });

    // Back at half of it, so that zapping about the threshold does not reprogram the device.
    beyond.leave();
    wait_until("the fifth to be left", SOON, || {
        joined_upstream(&daemon, fifth).is_none().then_some(())
    });
    assert_eq!(all_multicast(&topology), 1);
    leaves.into_iter().for_each(Subscription::leave);
    wait_for_addresses(&topology, &four[..2]);
    // The address that two shared stays until both have left.
    kept.leave();
    wait_until("the first to be left", SOON, || {
        let is_member = daemon.group("lan0", SERVED).is_some();
        (!is_member && joined_upstream(&daemon, SERVED).is_none()).then_some(())
    });
    wait_for_addresses(&topology, &four[..2]);
    shared.leave();
    wait_for_addresses(&topology, &four[1..2]);

    // Beyond it at the end, so that everything is there to be restored.
    let _all = [SERVED, third, fourth, fifth].map(|group| member.join(group));
    wait_until("all multicast again", SOON, || {
        (all_multicast(&topology) == 1).then_some(())
    });
    assert!(daemon.stop().success());
    assert_eq!((addresses(&topology), all_multicast(&topology)), before);
}

/// Quick leave leaves upstream at once, but the provider sends on for a while, and downstream it still flows: a device that
/// filters must not cut that short.
#[test]
fn a_groups_address_stays_while_somebody_may_still_answer() {
    // Last Member Query Time 2 s.
    let igmp = "last_member_query_count = 2\nlast_member_query_interval = \"1s\"";
    let topology = Topology::new(&[Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(igmp));
    let subscription = topology.receivers[0].join(SERVED);
    wait_for_addresses(&topology, &["01:00:5e:01:01:01"]);
    subscription.leave();
    wait_until("the group to be left upstream", SOON, || {
        joined_upstream(&daemon, SERVED).is_none().then_some(())
    });
    assert!(daemon.group("lan0", SERVED).is_some());
    assert_eq!(addresses(&topology), ["01:00:5e:01:01:01"]);
    wait_for_addresses(&topology, &[]);
    assert!(daemon.group("lan0", SERVED).is_none());
}

#[test]
fn what_was_asked_of_the_device_ends_with_an_igmpd_that_is_killed() {
    let topology = Topology::new(&[Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    let _subscription = topology.receivers[0].join(SERVED);
    wait_for_addresses(&topology, &["01:00:5e:01:01:01"]);
    drop(daemon);
    wait_for_addresses(&topology, &[]);
}
