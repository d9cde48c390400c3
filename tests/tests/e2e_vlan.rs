//! VLANs on a trunk, each an interface of its own: membership and streams stay within theirs, tagged.
//!
//! ```text
//!   src ── wan0 ── gateway ── lan0 ══ trunk ══ hosts of VLAN 10, 100, 200 ... (frames that the test makes)
//! ```

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use igmp_tests::bpffs::Bpffs;
use igmp_tests::capture::{Capture, View};
use igmp_tests::daemon::{Daemon, MODE, describe, igmpctl_at, rows, run_igmpd};
use igmp_tests::frame::Frame;
use igmp_tests::host::Host;
use igmp_tests::igmp::Igmp;
use igmp_tests::scratch::ScratchDir;
use igmp_tests::stream::StreamSpec;
use igmp_tests::tagged::{SERVICE, TaggedHost, carry_tags, tag_of};
use igmp_tests::topology::{Lan, Topology};
use igmp_tests::wait::wait_until;
use igmp_userspace::io::datapath::has_tcx;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const TRUNK: &str = "lan0";
const SOON: Duration = Duration::from_secs(10);
/// For copies that must not come, while others do.
const QUIET: Duration = Duration::from_millis(300);

fn topology() -> Topology {
    let topology = Topology::new(&[Lan::host()]);
    carry_tags(&topology.gateway, TRUNK, trunk(&topology));
    topology
}

/// What is at the other end of the trunk.
fn trunk(topology: &Topology) -> &Host {
    &topology.receivers[0]
}

fn interface(name: &str, role: &str, keys: &str) -> String {
    format!("[[interface]]\nname = \"{name}\"\nrole = \"{role}\"\n{keys}\n")
}

/// A VLAN on the trunk with the hosts that [`TaggedHost`] makes.
fn vlan(id: u16, role: &str) -> String {
    let [_, network] = id.to_be_bytes();
    let keys = format!("vlan = {id}\nalt_subnets = [\"10.{network}.0.0/24\"]");
    interface(TRUNK, role, &keys)
}

fn config(parts: &[&str]) -> String {
    let igmp = "[igmp]\nlast_member_query_interval = \"200ms\"\n".to_owned();
    igmp + &parts.concat()
}

/// The upstream is a device of its own; VLANs 100 and 200 are downstream.
fn two_vlans() -> String {
    config(&[
        &interface("wan0", "upstream", ""),
        &vlan(100, "downstream"),
        &vlan(200, "downstream"),
    ])
}

#[track_caller]
fn wait_for_copy(host: &TaggedHost, seen: View<'_>) -> Frame {
    seen.wait_for(&format!("a copy in VLAN {}", host.tag.1), SOON, |frame| {
        host.is_reached_by(frame) && frame.is_copy_for(GROUP)
    })
}

/// Copies come, and all of them with this tag.
#[track_caller]
fn assert_only(host: &TaggedHost, wire: &Capture) {
    let seen = wire.from_now();
    wait_for_copy(host, seen);
    seen.assert_none("a copy elsewhere", QUIET, |frame| {
        frame.is_copy_for(GROUP) && !host.is_reached_by(frame)
    });
}

fn datapath_is(daemon: &Daemon, expected: &str) {
    let expected = std::env::var(MODE).unwrap_or(expected.to_owned());
    for row in rows(&daemon.ctl(&["show", "interfaces"])) {
        assert_eq!(row["datapath"], *expected, "{row}");
    }
}

#[test]
fn a_stream_goes_to_the_vlans_that_joined_it_and_to_no_other() {
    let topology = topology();
    let wire = trunk(&topology).capture();
    let daemon = Daemon::start(&topology.gateway, &two_vlans());
    datapath_is(&daemon, "xdp-native");
    let [one, two, stranger] = [100, 200, 300].map(|id| TaggedHost::new(trunk(&topology), id));
    for host in [&one, &two] {
        wire.all().wait_for("a query with its tag", SOON, |frame| {
            host.is_reached_by(frame) && frame.igmp().is_some_and(Igmp::is_general_query)
        });
    }
    let stream = StreamSpec::to(GROUP).start(&topology.source);

    // Nobody serves this VLAN.
    stranger.join(GROUP);
    one.join(GROUP);
    let copy = wait_for_copy(&one, wire.all());
    let packet = copy.packet.expect("whole");
    assert!(packet.checksum_good && packet.source == Topology::SOURCE);
    assert_only(&one, &wire);
    assert!(daemon.group("lan0.100", GROUP).is_some());
    assert_eq!(daemon.group("lan0.200", GROUP), None);

    two.join(GROUP);
    wait_for_copy(&two, wire.from_now());
    one.leave(GROUP);
    wait_until("the membership in VLAN 100 to end", SOON, || {
        daemon.group("lan0.100", GROUP).is_none().then_some(())
    });
    assert_only(&two, &wire);

    let shown = daemon.ctl(&["show", "interfaces"]);
    let trunk_index = topology.gateway.interface_index(TRUNK);
    for row in rows(&shown).iter().filter(|row| row["name"] != "wan0") {
        assert_eq!(row["ifindex"], trunk_index, "{row}");
        assert_eq!(row["address"], "10.1.0.1", "the trunk's: {row}");
    }
    two.leave(GROUP);
    wait_until("the flow to go", SOON, || {
        rows(&daemon.ctl(&["show", "flows"]))
            .is_empty()
            .then_some(())
    });
    let seen = wire.from_now();
    let sent = stream.sent();
    wait_until("more to be sent", SOON, || {
        (stream.sent() > sent + 20).then_some(())
    });
    seen.assert_none("a copy", QUIET, |frame| frame.is_copy_for(GROUP));
}

#[test]
fn the_upstream_may_be_a_vlan_of_the_same_trunk() {
    let topology = topology();
    let wire = trunk(&topology).capture();
    let config = config(&[
        &vlan(10, "upstream"),
        &vlan(100, "downstream"),
        &vlan(200, "downstream"),
        &interface(TRUNK, "downstream", ""),
    ]);
    let daemon = Daemon::start(&topology.gateway, &config);
    datapath_is(&daemon, "xdp-native");
    let [provider, one, two] = [10, 100, 200].map(|id| TaggedHost::new(trunk(&topology), id));
    one.join(GROUP);
    wire.all().wait_for("a report upstream", SOON, |frame| {
        provider.is_reached_by(frame) && frame.igmp().is_some_and(|message| message.joins(GROUP))
    });

    for sequence in 0..10 {
        provider.send_data(GROUP, sequence);
    }
    let ten: Vec<u64> = (0..10).collect();
    wait_until("all copies", SOON, || {
        (one.arrivals(wire.all(), GROUP) == ten).then_some(())
    });
    wire.all().assert_none("a copy elsewhere", QUIET, |frame| {
        frame.is_copy_for(GROUP) && !one.is_reached_by(frame)
    });

    // Both VLANs, and the trunk itself, whose frames have no tag.
    two.join(GROUP);
    let untagged = trunk(&topology).join(GROUP);
    wait_until("all to be members", SOON, || {
        let names = ["lan0", "lan0.100", "lan0.200"];
        let is_member = |name: &&str| daemon.group(name, GROUP).is_some();
        names.iter().all(is_member).then_some(())
    });
    let seen = wire.from_now();
    for sequence in 10..20 {
        provider.send_data(GROUP, sequence);
    }
    let ten: Vec<u64> = (10..20).collect();
    for host in [&one, &two] {
        wait_until("all copies", SOON, || {
            (host.arrivals(seen, GROUP) == ten).then_some(())
        });
    }
    let arrivals = untagged.arrivals_until(19, SOON);
    let numbers: Vec<u64> = arrivals.iter().map(|arrival| arrival.sequence).collect();
    assert_eq!(numbers, ten);
    assert_eq!(
        provider.arrivals(wire.all(), GROUP),
        Vec::<u64>::new(),
        "back upstream"
    );
}

#[test]
fn a_source_in_one_vlan_reaches_the_others_and_not_its_own_again() {
    let topology = topology();
    let wire = trunk(&topology).capture();
    let upstream = topology.source.capture();
    let daemon = Daemon::start(&topology.gateway, &two_vlans());
    let [one, two] = [100, 200].map(|id| TaggedHost::new(trunk(&topology), id));
    for (host, name) in [(&one, "lan0.100"), (&two, "lan0.200")] {
        host.join(GROUP);
        wait_until("a membership", SOON, || daemon.group(name, GROUP));
    }
    for sequence in 0..20 {
        one.send_data(GROUP, sequence);
    }
    let sent: Vec<u64> = (0..20).collect();
    wait_until("all in the other VLAN", SOON, || {
        (two.arrivals(wire.all(), GROUP) == sent).then_some(())
    });
    wait_until("all upstream", SOON, || {
        let copies = upstream.all().frames(|frame| frame.is_copy_for(GROUP));
        assert!(copies.iter().all(|frame| tag_of(frame).is_none()));
        (copies.len() == sent.len()).then_some(())
    });
    wire.all()
        .assert_none("a copy in its own VLAN", QUIET, |frame| {
            frame.is_copy_for(GROUP) && !two.is_reached_by(frame)
        });
}

#[test]
fn a_service_tag_is_another_vlan_than_a_customer_s_of_the_same_number() {
    let topology = topology();
    let wire = trunk(&topology).capture();
    let service = interface(
        TRUNK,
        "downstream",
        "vlan = { id = 100, protocol = \"802.1ad\" }\nalt_subnets = [\"10.100.0.0/24\"]",
    );
    let config = config(&[&interface("wan0", "upstream", ""), &service]);
    let daemon = Daemon::start(&topology.gateway, &config);
    datapath_is(&daemon, "xdp-native");
    let customer = TaggedHost::new(trunk(&topology), 100);
    let service = TaggedHost::with_tag(trunk(&topology), (SERVICE, 100));
    wire.all().wait_for("a query with its tag", SOON, |frame| {
        service.is_reached_by(frame) && frame.igmp().is_some_and(Igmp::is_general_query)
    });
    let _stream = StreamSpec::to(GROUP).start(&topology.source);
    customer.join(Ipv4Addr::new(239, 9, 9, 9));
    service.join(GROUP);
    assert_only(&service, &wire);
    assert_eq!(rows(&daemon.ctl(&["show", "groups"])).len(), 1);

    // An XDP redirect reaches a VLAN that is alone on its device.
    let is_in_xdp = daemon.interface("lan0.100")["datapath"] != "tc";
    assert_eq!(path(&daemon), if is_in_xdp { "xdp" } else { "tc" });
    daemon.rewrite_config(&(config + &vlan(200, "downstream")));
    daemon.ctl(&["reload"]);
    assert_eq!(path(&daemon), "tc");
    assert_only(&service, &wire);
}

/// Sends a datagram every two milliseconds while `work` runs; returns what was sent.
fn while_sending(host: &TaggedHost, work: impl FnOnce()) -> Vec<u64> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sent = Vec::new();
            for sequence in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                host.send_data(GROUP, sequence);
                sent.push(sequence);
                thread::sleep(Duration::from_millis(2));
            }
            sent
        });
        work();
        is_over.store(true, Ordering::Relaxed);
        sender.join().expect("it sends")
    })
}

#[test]
fn forwarding_between_vlans_outlives_igmpd() {
    if !has_tcx() {
        println!("SKIP before kernel 6.6 what TC forwards ends with igmpd");
        return;
    }
    let topology = topology();
    let wire = trunk(&topology).capture();
    let bpffs = Bpffs::new();
    let config = [
        bpffs.config(),
        config(&[&vlan(10, "upstream"), &vlan(100, "downstream")]),
    ]
    .concat();
    let [provider, one] = [10, 100].map(|id| TaggedHost::new(trunk(&topology), id));
    let daemon = Daemon::start(&topology.gateway, &config);
    one.join(GROUP);
    wait_until("a membership", SOON, || daemon.group("lan0.100", GROUP));
    let sent = while_sending(&provider, || {
        wait_for_copy(&one, wire.all());
        daemon.kill();
        let links = bpffs.links();
        let index = topology.gateway.interface_index(TRUNK);
        let in_tc = format!("tc-{index}");
        assert!(links.contains(&in_tc), "{links:?}");
        assert!(links.len() <= 2, "both VLANs share them: {links:?}");
        let daemon = Daemon::start(&topology.gateway, &config);
        assert!(daemon.group("lan0.100", GROUP).is_some(), "taken over");
        wait_for_copy(&one, wire.from_now());
        assert_eq!(daemon.stop().code(), Some(0));
        wait_for_copy(&one, wire.from_now());
    });
    wait_until("every datagram", SOON, || {
        (one.arrivals(wire.all(), GROUP) == sent).then_some(())
    });
    let path = bpffs.pin_path();
    let path = path.to_str().expect("UTF-8");
    let detached = igmpctl_at(Path::new("/nonexistent"), &["detach", "--pin-path", path]);
    assert!(detached.status.success(), "{}", describe(&detached));
    wait_until("the programs to go with their pins", SOON, || {
        (topology.gateway.programs(&[TRUNK]) == 0).then_some(())
    });
}

#[test]
fn a_reload_that_adds_and_removes_vlans_costs_the_others_nothing() {
    let topology = topology();
    let wire = trunk(&topology).capture();
    let base = config(&[
        &interface("wan0", "upstream", ""),
        &vlan(100, "downstream"),
        &vlan(150, "downstream"),
    ]);
    let more = base.clone() + &vlan(200, "downstream") + &interface(TRUNK, "downstream", "");
    let daemon = Daemon::start(&topology.gateway, &base);
    let [one, two] = [100, 200].map(|id| TaggedHost::new(trunk(&topology), id));
    let stream = StreamSpec::to(GROUP)
        .every(Duration::from_millis(2))
        .start(&topology.source);
    one.join(GROUP);
    wait_for_copy(&one, wire.all());
    for _ in 0..3 {
        daemon.rewrite_config(&more);
        daemon.ctl(&["reload"]);
        two.join(GROUP);
        wait_for_copy(&two, wire.from_now());
        daemon.rewrite_config(&base);
        daemon.ctl(&["reload"]);
        let seen = wire.from_now();
        wait_for_copy(&one, seen);
        assert_eq!(two.arrivals(seen, GROUP), Vec::<u64>::new());
    }
    let last = stream.stop() - 1;
    let arrivals = wait_until("the last datagram", SOON, || {
        let arrivals = one.arrivals(wire.all(), GROUP);
        arrivals.ends_with(&[last]).then_some(arrivals)
    });
    let expected: Vec<u64> = (arrivals[0]..=last).collect();
    assert_eq!(arrivals, expected);
    assert_eq!(rows(&daemon.ctl(&["show", "interfaces"])).len(), 3);
}

/// The path of the only flow.
#[track_caller]
fn path(daemon: &Daemon) -> String {
    let flows = daemon.ctl(&["show", "flows"]);
    let [flow] = rows(&flows) else {
        panic!("one flow: {flows}")
    };
    flow["path"].as_str().expect("a path").to_owned()
}

#[test]
fn hardware_that_takes_tags_off_leaves_vlans_to_tc() {
    let topology = topology();
    let rxvlan = |state: &str| {
        topology
            .gateway
            .run(&["ethtool", "-K", TRUNK, "rxvlan", state])
    };
    rxvlan("on");
    let config = |mode: &str| {
        [
            format!("[datapath]\nmode = \"{mode}\"\n"),
            interface("wan0", "upstream", ""),
            interface(TRUNK, "downstream", ""),
            vlan(100, "downstream"),
        ]
        .concat()
    };
    let remedy = "lan0 takes VLAN tags off in hardware: `ethtool -K lan0 rxvlan off`";

    let scratch = ScratchDir::new();
    let file = scratch.path().join("igmpd.toml");
    std::fs::write(&file, config("xdp-native")).expect("writable");
    let socket = scratch.path().join("control.sock");
    let paths = [&file, &socket].map(|path| path.to_str().expect("UTF-8"));
    let refused = run_igmpd(
        &topology.gateway,
        &["--config", paths[0], "--control-socket", paths[1]],
    );
    assert_eq!(refused.status.code(), Some(1), "{}", describe(&refused));
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(text.contains(remedy), "{text}");
    assert_eq!(
        topology.gateway.programs(&[TRUNK, "wan0"]),
        0,
        "nothing stays"
    );

    let daemon = Daemon::start(&topology.gateway, &config("auto"));
    let one = TaggedHost::new(trunk(&topology), 100);
    one.join(GROUP);
    for (state, datapath) in [("on", "tc"), ("off", "xdp-native"), ("on", "tc")] {
        rxvlan(state);
        for name in [TRUNK, "lan0.100"] {
            wait_until(&format!("{datapath} on {name}"), SOON, || {
                (daemon.interface(name)["datapath"] == datapath).then_some(())
            });
            let reason = daemon.interface(name)["datapath_reason"].to_string();
            assert_eq!(reason.contains(remedy), state == "on", "{reason}");
        }
        wait_until("the membership, all along", SOON, || {
            daemon.group("lan0.100", GROUP)
        });
    }
    assert_eq!(daemon.interface("wan0")["datapath"], "xdp-native");
}

#[test]
fn a_vlan_device_s_frames_are_handled_on_the_device_below_it() {
    let topology = topology();
    for id in [100, 200] {
        let made = topology.gateway.enter(|| {
            std::process::Command::new("ip")
                .args(["link", "add", "link", TRUNK, "name"])
                .arg(format!("iptv{id}"))
                .args(["type", "vlan", "id", &id.to_string()])
                .output()
        });
        let made = made.expect("ip(8) is here");
        if !made.status.success() {
            println!(
                "SKIP this kernel has no VLAN devices (8021q): {}",
                describe(&made)
            );
            return;
        }
        let commands = format!("addr add 10.{id}.0.1/24 dev iptv{id}\nlink set iptv{id} up\n");
        topology.gateway.ip(&commands);
    }
    let wire = trunk(&topology).capture();
    let config = config(&[
        &interface("wan0", "upstream", ""),
        &interface("iptv*", "downstream", ""),
    ]);
    let daemon = Daemon::start(&topology.gateway, &config);
    let mode = std::env::var(MODE).unwrap_or("xdp-native".into());
    for id in [100, 200] {
        let row = daemon.interface(&format!("iptv{id}"));
        assert_eq!(row["datapath"], *mode, "{row}");
        let index = topology.gateway.interface_index(&format!("iptv{id}"));
        assert_eq!(row["ifindex"], index);
        let below = format!("native XDP on lan0, VLAN {id}");
        let reason = row["datapath_reason"].as_str().expect("a reason");
        assert_eq!(reason.contains(&below), mode == "xdp-native", "{reason}");
    }
    let [one, two] = [100, 200].map(|id| TaggedHost::new(trunk(&topology), id));
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    for host in [&one, &two] {
        wire.all().wait_for("a query with its tag", SOON, |frame| {
            host.is_reached_by(frame) && frame.igmp().is_some_and(Igmp::is_general_query)
        });
    }
    one.join(GROUP);
    assert_only(&one, &wire);
    two.join(GROUP);
    wait_for_copy(&two, wire.from_now());
    one.leave(GROUP);
    wait_until("the membership to end", SOON, || {
        daemon.group("iptv100", GROUP).is_none().then_some(())
    });
    assert_only(&two, &wire);

    // Between the two, and not back.
    one.join(GROUP);
    wait_until("the membership", SOON, || daemon.group("iptv100", GROUP));
    drop(stream);
    let group = Ipv4Addr::new(239, 1, 1, 2);
    for (host, name) in [(&one, "iptv100"), (&two, "iptv200")] {
        host.join(group);
        wait_until("the membership", SOON, || daemon.group(name, group));
    }
    for sequence in 0..10 {
        one.send_data(group, sequence);
    }
    let sent: Vec<u64> = (0..10).collect();
    wait_until("all in the other VLAN", SOON, || {
        (two.arrivals(wire.all(), group) == sent).then_some(())
    });
    wire.all()
        .assert_none("a copy in its own VLAN", QUIET, |frame| {
            one.is_reached_by(frame) && frame.is_copy_for(group)
        });
}
