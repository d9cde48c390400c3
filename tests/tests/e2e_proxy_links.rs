//! The upstream interface goes and comes back, in every way it can: its state is shown, and everything is reported again
//! as soon as it is ready.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use igmp_tests::capture::Capture;
use igmp_tests::daemon::Daemon;
use igmp_tests::host::Subscription;
use igmp_tests::igmp::Igmp;
use igmp_tests::proxy::{ALT_SUBNETS, IGMP, SOON, joined_upstream, wait_for_upstream_state};
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{ACCESS, Lan, Provider, Topology, UPSTREAM, WAN_ADDRESS};
use igmp_tests::wait::{assert_never, wait_until};

const GROUPS: u8 = 200;
const REPORTED_WITHIN: Duration = Duration::from_secs(2);
/// How long a link stays down.
const DOWN: Duration = Duration::from_secs(10);

/// A member of many groups behind a gateway whose upstream link ends in a switch that floods.
struct World {
    daemon: Daemon,
    /// What the source's host sees of the upstream link. It lives longer than the link.
    link: Capture,
    subscriptions: Vec<Subscription>,
    topology: Topology,
}

impl World {
    fn new() -> Self {
        let topology = Topology::behind(Provider::Switch, &[Lan::host()]);
        let link = topology.source.capture();
        let config = topology.proxy_config(IGMP, ALT_SUBNETS, &[]);
        let daemon = Daemon::start_with(&topology.gateway, &config, "info");
        let member = &topology.receivers[0];
        let subscriptions: Vec<_> = groups().map(|group| member.join(group)).collect();
        let world = Self {
            daemon,
            link,
            subscriptions,
            topology,
        };
        wait_for_upstream_state(&world.daemon, "ready");
        world.wait_for_reports(SystemTime::UNIX_EPOCH, WAN_ADDRESS);
        // And their repetition, which must not be taken for what comes after.
        let quiet = Duration::from_millis(1_500);
        world
            .link
            .all()
            .wait_for_last("reports", 2 * SOON, quiet, |frame| {
                frame.received_igmp(|igmp| !igmp.wishes().is_empty())
            });
        world
    }

    fn gateway(&self, commands: &str) {
        self.topology.gateway.ip(commands);
    }

    /// The upstream interface is ready again, or about to be: every group is reported in time, from `address`, and flows.
    fn assert_all_is_well_again(&self, address: Ipv4Addr) {
        wait_for_upstream_state(&self.daemon, "ready");
        let ready = SystemTime::now();
        let last = self.wait_for_reports(ready - REPORTED_WITHIN, address);
        let delay = last.duration_since(ready).unwrap_or_default();
        assert!(delay < REPORTED_WITHIN, "{delay:?}");
        let some_group = &self.subscriptions[0];
        some_group.arrivals();
        let _stream = StreamSpec::to(some_group.group()).start(&self.topology.source);
        some_group.wait_for_arrival(SOON);
        assert!(joined_upstream(&self.daemon, some_group.group()).is_some());
    }

    /// Waits until each group has been joined by `address` since `from`; returns when the last was.
    fn wait_for_reports(&self, from: SystemTime, address: Ipv4Addr) -> SystemTime {
        let wanted: BTreeSet<Ipv4Addr> = groups().collect();
        wait_until("every group to be reported", SOON, || {
            let mut missing = wanted.clone();
            let reports = self.link.all().frames(|frame| {
                frame.at > from && frame.received_igmp(|_| true) && frame.is_from(address)
            });
            reports.iter().find_map(|frame| {
                for (group, is_wanted) in frame.igmp().map(Igmp::wishes).unwrap_or_default() {
                    if is_wanted {
                        missing.remove(&group);
                    }
                }
                missing.is_empty().then_some(frame.at)
            })
        })
    }

    /// Nothing is reported while the interface cannot work.
    fn assert_silence(&self, duration: Duration) {
        let after = self.link.from_now();
        after.assert_none("a report", duration, |frame| frame.received_igmp(|_| true));
    }
}

fn groups() -> impl Iterator<Item = Ipv4Addr> {
    (0..GROUPS).map(|index| Ipv4Addr::new(239, 4, 4, index))
}

#[test]
fn a_link_that_was_down_for_ten_seconds() {
    let world = World::new();
    world
        .topology
        .provider()
        .ip(&format!("link set {ACCESS} down"));
    wait_for_upstream_state(&world.daemon, "down");
    // Downstream goes on being served, and what is wanted is remembered.
    assert_never("an upstream that is not down", DOWN, || {
        let state = world.daemon.interface(UPSTREAM)["state"].clone();
        (state != "down").then_some(state)
    });
    world
        .topology
        .provider()
        .ip(&format!("link set {ACCESS} up"));
    world.assert_all_is_well_again(WAN_ADDRESS);
}

#[test]
fn an_interface_that_was_taken_down() {
    let world = World::new();
    world.gateway(&format!("link set {UPSTREAM} down"));
    wait_for_upstream_state(&world.daemon, "down");
    world.gateway(&format!("link set {UPSTREAM} up"));
    world.assert_all_is_well_again(WAN_ADDRESS);
}

#[test]
fn another_address() {
    let world = World::new();
    let other = Ipv4Addr::new(192, 0, 2, 77);
    // As a DHCP client renumbers: the new one comes before the old one goes.
    world.gateway(&format!(
        "addr add {other}/24 dev {UPSTREAM}\naddr del {WAN_ADDRESS}/24 dev {UPSTREAM}"
    ));
    // Without promote_secondaries the kernel takes the second address of a network away with the first.
    world.gateway(&format!("addr replace {other}/24 dev {UPSTREAM}"));
    wait_until("the new address", SOON, || {
        (world.daemon.interface(UPSTREAM)["address"] == other.to_string()).then_some(())
    });
    world.assert_all_is_well_again(other);
}

#[test]
fn no_address_for_a_while() {
    let world = World::new();
    world.gateway(&format!("addr del {WAN_ADDRESS}/24 dev {UPSTREAM}"));
    wait_for_upstream_state(&world.daemon, "no-address");
    // Longer than the second within which a DHCP client that renews costs nothing.
    world.assert_silence(Duration::from_secs(3));
    world.gateway(&format!("addr add {WAN_ADDRESS}/24 dev {UPSTREAM}"));
    world.assert_all_is_well_again(WAN_ADDRESS);
}

#[test]
fn a_device_that_was_deleted_and_made_again() {
    let world = World::new();
    let before = world.topology.gateway.interface_index(UPSTREAM);
    world.gateway(&format!("link del {UPSTREAM}"));
    wait_for_upstream_state(&world.daemon, "absent");
    world.assert_silence(Duration::from_secs(1));
    world.topology.connect_upstream();
    assert_ne!(world.topology.gateway.interface_index(UPSTREAM), before);
    world.assert_all_is_well_again(WAN_ADDRESS);
}

#[test]
fn a_start_before_the_device_is_there() {
    let topology = Topology::behind(Provider::Switch, &[Lan::host()]);
    let link = topology.source.capture();
    topology.gateway.ip(&format!("link del {UPSTREAM}"));
    let config = topology.proxy_config(IGMP, ALT_SUBNETS, &[]);
    let daemon = Daemon::start(&topology.gateway, &config);
    wait_for_upstream_state(&daemon, "absent");
    let subscriptions: Vec<_> = groups()
        .map(|group| topology.receivers[0].join(group))
        .collect();
    wait_until("the groups downstream", SOON, || {
        (daemon.interface("lan0")["groups"] == GROUPS).then_some(())
    });
    topology.connect_upstream();
    let world = World {
        daemon,
        link,
        subscriptions,
        topology,
    };
    world.assert_all_is_well_again(WAN_ADDRESS);
}
