//! More outputs than one run of the TC program serves (128): the map through which it continues must outlive igmpd too.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use igmp_tests::bpffs::Bpffs;
use igmp_tests::daemon::{Daemon, rows};
use igmp_tests::netns::Namespace;
use igmp_tests::stream::{StreamSpec, receiver_of_all_copies, sequence_of};
use igmp_tests::topology::{Topology, UPSTREAM};
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const OUTPUTS: usize = 150;
const LONG: Duration = Duration::from_mins(1);

/// No peer has GRO on: a veth takes no frame from XDP then, and TC sends the copies in every mode.
#[test]
fn a_stream_to_150_devices_goes_on_without_igmpd() {
    let topology = Topology::new(&[]);
    let hosts = Namespace::new("hosts");
    hosts.set_sysctl("net.ipv4.conf.all.rp_filter", 0);
    hosts.set_sysctl("net.ipv4.conf.default.rp_filter", 0);
    hosts.set_sysctl("net.ipv4.igmp_max_memberships", 1000);
    topology.gateway.ip(&each(|n| {
        format!(
            "link add v{n} type veth peer name h{n} netns {}\nlink set v{n} up\n",
            hosts.name()
        )
    }));
    hosts.ip(&each(|n| {
        format!("link set h{n} up\naddr add 10.200.0.{n}/32 dev h{n}\naddr add {GROUP}/32 dev h{n} autojoin\n")
    }));
    let bpffs = Bpffs::new();
    let config = format!(
        "{}[[interface]]\nname = \"{UPSTREAM}\"\nrole = \"upstream\"\n[[interface]]\nname = \"v*\"\n\
         role = \"downstream\"\nunnumbered = \"{UPSTREAM}\"\nalt_subnets = [\"10.200.0.0/16\"]\n",
        bpffs.config()
    );
    let daemon = Daemon::start_with(&topology.gateway, &config, "info");
    wait_until("all to be members", LONG, || {
        let groups = daemon.ctl(&["show", "groups"]);
        (rows(&groups).len() == OUTPUTS).then_some(())
    });
    let flows = daemon.ctl(&["show", "flows"]);
    assert_eq!(rows(&flows)[0]["path"], "tc", "{flows:#}");

    let receiver = receiver_of_all_copies(&hosts, GROUP);
    let stream = StreamSpec::to(GROUP)
        .every(Duration::from_millis(20))
        .start(&topology.source);
    assert_every_device_gets_one(&receiver, 0);
    daemon.kill();
    assert_every_device_gets_one(&receiver, stream.sent());
}

/// Reads until a datagram that is not older than `first` has arrived as often as there are devices, ten times.
fn assert_every_device_gets_one(receiver: &UdpSocket, first: u64) {
    let mut buffer = [0; 2048];
    let mut copies = BTreeMap::<u64, usize>::new();
    while copies.values().filter(|copies| **copies == OUTPUTS).count() < 10 {
        let length = receiver.recv(&mut buffer).expect("the stream arrives");
        let sequence = sequence_of(&buffer[..length]).expect("the bytes that were sent");
        if sequence >= first {
            let copies = copies.entry(sequence).or_default();
            *copies += 1;
            assert!(*copies <= OUTPUTS, "more copies than devices");
        }
        assert!(
            copies.len() < 1000,
            "no datagram reaches all devices: {copies:?}"
        );
    }
}

fn each(command: impl Fn(usize) -> String) -> String {
    (0..OUTPUTS).fold(String::new(), |mut batch, n| {
        let _ = write!(batch, "{}", command(n));
        batch
    })
}
