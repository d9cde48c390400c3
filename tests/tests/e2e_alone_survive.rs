//! One fast stream, and whatever may become of igmpd: no datagram is lost. Alone in its test binary, because a machine
//! that is busy with other tests may drop frames of its own.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use igmp_tests::bpffs::Bpffs;
use igmp_tests::daemon::{Daemon, describe};
use igmp_tests::netns::Namespace;
use igmp_tests::receiver::Receiver;
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{Lan, Topology};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const PER_SECOND: u32 = 20_000;
const RECEIVERS: usize = 4;
const RELOADS: u64 = 20;
/// One of so many reloads is followed by a kill.
const RELOADS_PER_KILL: u64 = 4;
const KILLS: u64 = RELOADS / RELOADS_PER_KILL;
const DURATION: Duration = Duration::from_mins(1);
const DATAGRAMS_PER_RELOAD: u64 = DURATION.as_secs() / RELOADS * PER_SECOND as u64;
/// How late a datagram may be on a machine that is busy.
const LATENESS: Duration = Duration::from_secs(10);

#[test]
fn no_packet_is_lost_whatever_becomes_of_igmpd() {
    let topology = Topology::new(&[Lan::host(); RECEIVERS]);
    let outputs: Vec<String> = topology.downstreams().collect();
    let bpffs = Bpffs::new();
    let config = bpffs.config_of(&topology, "");
    let start = || Daemon::start_with(&topology.gateway, &config, "info");
    let mut daemon = start();
    let stream = StreamSpec::to(GROUP)
        .size(8)
        .every(Duration::from_secs(1) / PER_SECOND)
        .start(&topology.source);
    let receivers: Vec<Receiver> = topology
        .receivers
        .iter()
        .map(|host| Receiver::new(host.join(GROUP)))
        .collect();
    let wait_for = |sequence| {
        for receiver in &receivers {
            receiver.wait_for(sequence, LATENESS);
        }
    };
    let dropped = dropped_frames(&topology);
    let started = Instant::now();
    let first = stream.sent();
    for number in 1..=RELOADS {
        let section = format!("[policy]\nmax_groups = {}\n", 1000 + number);
        daemon.rewrite_config(&format!("{config}{section}"));
        let output = daemon.ctl_output(&["reload"]);
        assert!(output.status.success(), "{}", describe(&output));
        if number % RELOADS_PER_KILL == 0 {
            daemon.kill();
            assert!(topology.gateway.programs(&["lan0"]) > 0);
            // Nobody is there for a second.
            wait_for(stream.sent() + u64::from(PER_SECOND));
            daemon = start();
            assert_eq!(daemon.outputs(), outputs);
        }
        wait_for(first + number * DATAGRAMS_PER_RELOAD);
    }
    let lasted = started.elapsed();
    assert!(daemon.stop().success());
    wait_for(stream.sent() + u64::from(PER_SECOND));
    let sent = stream.stop();
    wait_for(sent - 1);

    println!("{KILLS} kills and {RELOADS} reloads in {lasted:?}");
    let dropped = dropped_frames(&topology) - dropped;
    println!("{dropped} frames dropped by devices");
    for receiver in &receivers {
        println!("{} of {sent} datagrams received", receiver.received());
        receiver.assert_gapless();
    }
    assert_eq!(dropped, 0, "a device dropped frames of something else");
    assert!(
        lasted < DURATION + DURATION / 20,
        "sent in {lasted:?} instead of {DURATION:?}: this machine is too slow for {PER_SECOND} datagrams a second"
    );
    let devices: Vec<&str> = outputs.iter().map(String::as_str).chain(["wan0"]).collect();
    bpffs.assert_whole(&topology.gateway, &devices);
}

/// What the devices between source and receivers had no room for, by their own account.
fn dropped_frames(topology: &Topology) -> u64 {
    let hosts = topology.receivers.iter().chain([&topology.source]);
    let hosts = hosts.map(|host| &host.namespace);
    hosts
        .chain([&topology.gateway])
        .map(Namespace::dropped_frames)
        .sum()
}
