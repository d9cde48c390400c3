//! Which programs a device gets, by mode and by what it can do, and that packets arrive whatever they are.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use aya::programs::links::LinkType;
use aya::programs::{ProgramInfo, SchedClassifier, TcAttachType, loaded_links};
use igmp_tests::daemon::{Daemon, describe, rows, run_igmpd};
use igmp_tests::host::assert_gapless;
use igmp_tests::kernel_router::KernelRouter;
use igmp_tests::stream::{PORT, StreamSpec};
use igmp_tests::topology::{Lan, Topology, UPSTREAM, gateway_address};
use igmp_tests::wait::{assert_never, wait_until};
use igmp_userspace::io::datapath::{Attachment, Datapath, Hook, Options};
use igmp_userspace::proto::IfIndex;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const OTHER_GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);
const SOON: Duration = Duration::from_secs(5);

fn config(topology: &Topology, mode: &str) -> String {
    format!(
        "[datapath]\nmode = \"{mode}\"\n{}",
        topology.config("query_interval = \"60s\"")
    )
}

/// The stream reaches a member without a gap, a host that did not join gets nothing.
fn check_delivery(topology: &Topology) {
    let [member, bystander] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let wire = bystander.capture();
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let subscription = member.join(GROUP);
    let first = subscription.wait_for_arrival(SOON);
    assert_gapless(&subscription.arrivals_until(first.sequence + 100, SOON));
    wire.all()
        .assert_none("a copy", Duration::ZERO, |frame| frame.is_copy_for(GROUP));
    subscription.leave();
    drop(stream);
}

fn path(daemon: &Daemon, group: Ipv4Addr) -> Option<String> {
    let flows = daemon.ctl(&["show", "flows", "--group", &group.to_string()]);
    let row = rows(&flows).first()?;
    Some(row["path"].as_str()?.to_owned())
}

#[test]
fn every_mode_delivers() {
    for mode in ["auto", "xdp-native", "xdp-generic", "tc"] {
        let topology = Topology::new(&[Lan::host(), Lan::host()]);
        let daemon = Daemon::start(&topology.gateway, &config(&topology, mode));
        let expected = if mode == "auto" { "xdp-native" } else { mode };
        for name in [UPSTREAM, "lan0", "lan1"] {
            assert_eq!(daemon.interface(name)["datapath"], expected, "{mode}");
        }
        check_delivery(&topology);
    }
}

#[test]
fn copies_follow_what_the_peer_of_a_veth_takes() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &config(&topology, "auto"));
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let member = &topology.receivers[0];
    let subscription = member.join(GROUP);
    subscription.wait_for_arrival(SOON);
    assert_eq!(path(&daemon, GROUP).as_deref(), Some("xdp"));

    let gro = |state: &str| {
        member
            .namespace
            .run(&["ethtool", "-K", "eth0", "gro", state])
    };
    for (state, expected) in [("off", "tc"), ("on", "xdp")] {
        gro(state);
        wait_until("the path to change", SOON, || {
            (path(&daemon, GROUP).as_deref() == Some(expected)).then_some(())
        });
        let reason = daemon.interface("lan0")["datapath_reason"].to_string();
        assert_eq!(
            reason.contains("has neither XDP nor GRO"),
            expected == "tc",
            "{reason}"
        );
        let from = stream.sent();
        let arrivals = subscription.arrivals_until(from + 100, SOON);
        let later: Vec<_> = arrivals
            .into_iter()
            .filter(|one| one.sequence >= from)
            .collect();
        assert_gapless(&later);
    }
}

/// Our own program, loaded once more, is as good as any other: without entries it passes everything.
fn attach_foreign(topology: &Topology, device: &str) -> (Datapath, Attachment) {
    let mut foreign = Datapath::load(Options {
        max_flows: 16,
        kernel_log: false,
    })
    .expect("it loads")
    .datapath;
    let index = IfIndex(topology.gateway.interface_index(device));
    let attachment = topology
        .gateway
        .enter(|| foreign.attach(index, Hook::XdpNative))
        .expect("nothing else is there");
    (foreign, attachment)
}

#[test]
fn a_foreign_xdp_program_stays_and_igmpd_works_around_it_or_says_whose_it_is() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let foreign = attach_foreign(&topology, UPSTREAM);

    let refused = run_igmpd(
        &topology.gateway,
        &[
            "--iface",
            "lan0",
            "--upstream",
            UPSTREAM,
            "--mode",
            "xdp-native",
            "--control-socket",
            "/tmp/igmpd-never-bound.sock",
        ],
    );
    assert_eq!(refused.status.code(), Some(1), "{}", describe(&refused));
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(
        text.contains("another XDP program (igmp_ingress, id "),
        "{text}"
    );

    let daemon = Daemon::start(&topology.gateway, &config(&topology, "auto"));
    let wan0 = daemon.interface(UPSTREAM);
    assert_eq!(wan0["datapath"], "tc", "{wan0}");
    let reason = wan0["datapath_reason"].to_string();
    assert!(
        reason.contains("another XDP program (igmp_ingress, id "),
        "{reason}"
    );
    assert_eq!(daemon.interface("lan0")["datapath"], "xdp-native");
    check_delivery(&topology);

    // When its owner takes it off, the place is ours.
    drop(foreign);
    wait_until("native XDP", SOON, || {
        (daemon.interface(UPSTREAM)["datapath"] == "xdp-native").then_some(())
    });
    check_delivery(&topology);
}

/// The id of the link that holds our first program of this kind, which is on the upstream: that is attached to first.
fn first_link(kind: LinkType, program: u32) -> u32 {
    let links = loaded_links().filter_map(Result::ok);
    let ours = links.filter(|link| {
        link.program_id() == program && link.link_type().is_ok_and(|found| found == kind)
    });
    ours.map(|link| link.id()).min().expect("our link")
}

/// The kernel refuses `ip link set dev wan0 xdp off` for a program that holds its device by a link.
fn take_off(topology: &Topology, link: u32) {
    let id = link.to_string();
    topology
        .gateway
        .run(&["bpftool", "link", "detach", "id", &id]);
}

#[test]
fn a_program_that_somebody_takes_off_is_put_back() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &config(&topology, "auto"));
    let xdp = || {
        let links = topology
            .gateway
            .run(&["ip", "-j", "link", "show", UPSTREAM]);
        let links: serde_json::Value = serde_json::from_str(&links).expect("JSON");
        u32::try_from(links[0]["xdp"]["prog"]["id"].as_u64()?).ok()
    };
    let tc = || {
        let query = || SchedClassifier::query_tcx(UPSTREAM, TcAttachType::Ingress);
        let (_, programs) = topology.gateway.enter(query).expect("kernel 6.6");
        programs.first().map(ProgramInfo::id)
    };
    check_delivery(&topology);

    for (kind, link_type) in [("XDP", LinkType::Xdp), ("TC", LinkType::Tcx)] {
        let program = || if kind == "XDP" { xdp() } else { tc() };
        let ours = program().expect("our program");
        take_off(&topology, first_link(link_type, ours));
        assert_eq!(program(), None);
        wait_until("our program again", SOON, || {
            (program() == Some(ours)).then_some(())
        });
        let told = format!("somebody took our {kind} program off: put back interface=\"wan0\"");
        wait_until("that to be told", SOON, || {
            daemon.log().contains(&told).then_some(())
        });
        check_delivery(&topology);
    }
    assert_eq!(daemon.interface(UPSTREAM)["datapath"], "xdp-native");
}

#[test]
fn sockets_of_the_gateway_get_the_stream_that_is_replicated_too() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &config(&topology, "auto"));
    let member = &topology.receivers[0];
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let subscription = member.join(GROUP);
    subscription.wait_for_arrival(SOON);
    assert_eq!(path(&daemon, GROUP).as_deref(), Some("xdp"));

    let socket = topology
        .gateway
        .enter(|| UdpSocket::bind((GROUP, PORT)))
        .expect("a socket");
    socket.set_read_timeout(Some(SOON)).expect("above zero");
    socket
        .join_multicast_v4(&GROUP, &gateway_address(0))
        .expect("a member");
    wait_until("the path to be TC", SOON, || {
        (path(&daemon, GROUP).as_deref() == Some("tc")).then_some(())
    });
    let mut buffer = [0; 2048];
    for _ in 0..100 {
        socket
            .recv(&mut buffer)
            .expect("the gateway's socket gets the stream");
    }
    assert_gapless(&subscription.arrivals_until(stream.sent(), SOON));

    // Upstream the gateway's own membership outlives the receiver's.
    subscription.leave();
    wait_until("the receiver to be gone", SOON, || {
        daemon.group("lan0", GROUP).is_none().then_some(())
    });
    let upstream = || {
        let joined = daemon.ctl(&["show", "upstream"]);
        rows(&joined)
            .iter()
            .any(|row| row["group"] == GROUP.to_string())
    };
    assert_never("GROUP left upstream", Duration::from_millis(500), || {
        (!upstream()).then_some(())
    });
    drop(socket);
    wait_until("it to be left", SOON, || (!upstream()).then_some(()));

    // Groups that nobody here listens to are not concerned.
    let other = StreamSpec::to(OTHER_GROUP).start(&topology.source);
    member.join(OTHER_GROUP).wait_for_arrival(SOON);
    assert_eq!(path(&daemon, OTHER_GROUP).as_deref(), Some("xdp"));
    drop(other);
}

#[test]
fn a_mode_that_changes_with_a_reload_costs_no_membership() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &config(&topology, "auto"));
    let _stream = StreamSpec::to(GROUP).start(&topology.source);
    let subscription = topology.receivers[0].join(GROUP);
    subscription.wait_for_arrival(SOON);
    let uptime =
        |daemon: &Daemon| daemon.group("lan0", GROUP).expect("a member")["uptime_ms"].as_u64();
    let before = uptime(&daemon);
    daemon.rewrite_config(&config(&topology, "tc"));
    daemon.ctl(&["reload"]);
    assert_eq!(daemon.interface(UPSTREAM)["datapath"], "tc");
    let last = subscription
        .arrivals()
        .last()
        .map_or(0, |arrival| arrival.sequence);
    let later = subscription.arrivals_until(last + 100, SOON);
    assert!(later.len() >= 100, "the stream goes on: {}", later.len());
    assert!(uptime(&daemon) > before, "the same membership");
}

#[test]
fn another_multicast_router_is_told_of() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &config(&topology, "auto"));
    assert!(!daemon.log().contains("another multicast router"));
    let router = KernelRouter::start(&topology.gateway, UPSTREAM);
    daemon.ctl(&["reload"]);
    assert!(
        daemon
            .log()
            .contains("another multicast router runs on wan0;"),
        "{}",
        daemon.log()
    );
    drop(router);
}

#[test]
fn a_device_without_ethernet_header_is_for_tc() {
    let topology = Topology::new(&[Lan::host()]);
    topology.gateway.ip("tuntap add t0 mode tun");
    let config = |mode: &str| {
        let tun = "[[interface]]\nname = \"t0\"\nrole = \"downstream\"\nunnumbered = \"wan0\"\n";
        [&config(&topology, "auto"), tun, "mode = \"", mode, "\"\n"].concat()
    };
    let daemon = Daemon::start(&topology.gateway, &config("auto"));
    let t0 = daemon.interface("t0");
    assert_eq!(t0["datapath"], "tc");
    assert_eq!(
        t0["datapath_reason"],
        "packets have no Ethernet header; copies to it go by tc too"
    );
    drop(daemon);

    let scratch = igmp_tests::scratch::ScratchDir::new();
    let file = scratch.path().join("igmpd.toml");
    std::fs::write(&file, config("xdp-native")).expect("writable");
    let socket = scratch.path().join("control.sock");
    let arguments = [
        "--config",
        file.to_str().expect("UTF-8"),
        "--control-socket",
    ];
    let arguments = [&arguments[..], &[socket.to_str().expect("UTF-8")]].concat();
    let refused = run_igmpd(&topology.gateway, &arguments);
    assert_eq!(refused.status.code(), Some(1), "{}", describe(&refused));
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(text.contains("t0: not an Ethernet device"), "{text}");
}
