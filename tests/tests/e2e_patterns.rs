//! Interfaces by pattern: devices that come and go, with addresses and without.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use igmp_tests::capture::Capture;
use igmp_tests::daemon::{Daemon, rows};
use igmp_tests::frame::Frame;
use igmp_tests::igmp::Igmp;
use igmp_tests::netns::Namespace;
use igmp_tests::stream::{StreamSpec, receiver_of_all_copies, sequence_of};
use igmp_tests::topology::{Topology, UPSTREAM, gateway_address};
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const SOON: Duration = Duration::from_secs(5);

/// `wan0` upstream and every `v*` downstream, with these keys.
fn config(keys: &str) -> String {
    format!(
        "[igmp]\nquery_interval = \"60s\"\n[[interface]]\nname = \"{UPSTREAM}\"\nrole = \"upstream\"\n\
         [[interface]]\nname = \"v*\"\nrole = \"downstream\"\n{keys}\n"
    )
}

/// A namespace of hosts, whose devices are the peers of the gateway's.
fn hosts() -> Namespace {
    let hosts = Namespace::new("hosts");
    hosts.set_sysctl("net.ipv4.conf.all.rp_filter", 0);
    hosts.set_sysctl("net.ipv4.conf.default.rp_filter", 0);
    hosts.set_sysctl("net.ipv4.igmp_max_memberships", 1000);
    hosts
}

/// One host: `v0` of the gateway, down, and `h0`, up.
fn one_host(topology: &Topology) -> Namespace {
    let hosts = hosts();
    topology.gateway.ip(&format!(
        "link add v0 type veth peer name h0 netns {}",
        hosts.name()
    ));
    hosts.ip("link set h0 up");
    hosts
}

fn is_query(frame: &Frame) -> bool {
    frame.received_igmp(Igmp::is_general_query)
}

fn source(frame: &Frame) -> Ipv4Addr {
    frame.packet.as_ref().expect("an IGMP message").source
}

#[test]
fn a_device_that_appears_is_queried_and_one_that_goes_is_forgotten() {
    let topology = Topology::new(&[]);
    let daemon = Daemon::start(&topology.gateway, &config("unnumbered = \"wan0\""));
    let pattern = daemon.interface("v*");
    assert_eq!(pattern["state"], "absent");
    assert_eq!(pattern["datapath_reason"], "no device matches");

    let hosts = one_host(&topology);
    let wire = Capture::start(&hosts, "h0");
    topology.gateway.ip("link set v0 up");
    let query = wire.all().wait_for("a query", SOON, is_query);
    assert_eq!(source(&query), gateway_address(0), "borrowed from wan0");

    let v0 = daemon.interface("v0");
    assert_eq!(v0["state"], "ready");
    assert_eq!(v0["address"], gateway_address(0).to_string());
    assert!(!names(&daemon).contains("v*"), "it has a device");

    // A device of its own address is queried from there.
    topology.gateway.ip("addr add 10.9.0.1/24 dev v0");
    let own = Ipv4Addr::new(10, 9, 0, 1);
    wire.all()
        .wait_for("a query from its own address", SOON, |frame| {
            is_query(frame) && source(frame) == own
        });

    topology.gateway.ip("link del v0");
    wait_until("it to be forgotten", SOON, || {
        (names(&daemon) == expected(&[UPSTREAM, "v*"])).then_some(())
    });
}

#[test]
fn what_is_not_matched_or_disabled_by_name_is_left_alone() {
    let topology = Topology::new(&[]);
    let rules = "[[interface]]\nname = \"v1\"\nrole = \"disabled\"\n\
                 [[interface]]\nname = \"v[0-9]\"\nrole = \"downstream\"\n";
    let config = config("unnumbered = \"wan0\"") + rules;
    let daemon = Daemon::start(&topology.gateway, &config);
    topology.gateway.ip(
        "link add v0 type veth peer name x0\nlink add v1 type veth peer name x1\nlink set x0 up\nlink set x1 up\n\
         link set v0 up\nlink set v1 up",
    );
    wait_until("v0", SOON, || names(&daemon).contains("v0").then_some(()));
    assert_eq!(names(&daemon), expected(&[UPSTREAM, "v0", "v[0-9]"]));
    // The first of the two patterns counts, and that is said.
    assert!(
        daemon.log().contains("matches v* and v[0-9]: v* counts"),
        "{}",
        daemon.log()
    );
}

#[test]
fn without_an_address_to_borrow_queries_come_from_0_0_0_0_and_yield_to_any_other() {
    let topology = Topology::new(&[]);
    let keys = "alt_subnets = [\"10.9.0.0/24\"]\nsource_policy = { queries = 3000 }";
    let acl =
        "[[acl]]\nnumber = 3000\nrules = [{ action = \"permit\", source = \"10.9.0.0/24\" }]\n";
    let daemon = Daemon::start(&topology.gateway, &(config(keys) + acl));
    let hosts = one_host(&topology);
    let wire = Capture::start(&hosts, "h0");
    topology.gateway.ip("link set v0 up");
    let query = wire.all().wait_for("a query", SOON, is_query);
    assert_eq!(source(&query), Ipv4Addr::UNSPECIFIED);
    assert_eq!(daemon.interface("v0")["querier_is_self"], true);
    assert!(daemon.log().contains("queries are sent from 0.0.0.0"));

    // Which hosts there are accepted, `alt_subnets` alone decide.
    hosts.ip("addr add 10.9.0.2/32 dev h0\naddr add 239.1.1.1/32 dev h0 autojoin");
    wait_until("the membership", SOON, || daemon.group("v0", GROUP));

    // The kernel's bridge asks from its own address. It is the querier from now on, although no address is below 0.0.0.0.
    hosts.ip("link add br0 type bridge mcast_snooping 1\nlink set h0 master br0\naddr add 10.9.0.7/24 dev br0\n\
              link set br0 up\nlink set br0 type bridge mcast_igmp_version 3 mcast_query_use_ifaddr 1\n\
              link set br0 type bridge mcast_querier 1");
    daemon.wait_for_querier("v0", Ipv4Addr::new(10, 9, 0, 7));
}

#[test]
fn a_named_interface_without_an_address_stays_silent() {
    let topology = Topology::new(&[]);
    let hosts = one_host(&topology);
    let config = config("").replace("v*", "v0");
    let daemon = Daemon::start(&topology.gateway, &config);
    let wire = Capture::start(&hosts, "h0");
    topology.gateway.ip("link set v0 up");
    wait_until("v0 to be up", SOON, || {
        (daemon.interface("v0")["state"] == "no-address").then_some(())
    });
    // Longer than a device has to get an address.
    wire.all()
        .assert_none("a query", Duration::from_secs(3), is_query);
}

const MANY: usize = 200;

/// The kernel's own router takes 32 (MAXVIFS).
#[test]
fn two_hundred_devices_come_get_the_stream_and_go_twice() {
    let topology = Topology::new(&[]);
    let hosts = hosts();
    let daemon = Daemon::start_with(
        &topology.gateway,
        &config("unnumbered = \"wan0\"\nalt_subnets = [\"10.200.0.0/16\"]"),
        "info",
    );
    let receiver = receiver_of_all_copies(&hosts, GROUP);
    let mut before = None;
    for round in 0..2 {
        topology.gateway.ip(&each(|n| {
            format!(
                "link add v{n} group 7 type veth peer name h{n} netns {}\nlink set v{n} up\n",
                hosts.name()
            )
        }));
        hosts.ip(&each(|n| {
            format!("link set h{n} up\naddr add 10.200.0.{n}/32 dev h{n}\naddr add {GROUP}/32 dev h{n} autojoin\n")
        }));
        wait_until("all to be members", Duration::from_mins(1), || {
            let groups = daemon.ctl(&["show", "groups"]);
            (rows(&groups).len() == MANY).then_some(())
        });
        let interfaces = daemon.ctl(&["show", "interfaces"]);
        assert_eq!(rows(&interfaces).len(), MANY + 1, "and wan0");
        for row in rows(&interfaces) {
            assert_eq!(row["state"], "ready", "{row}");
            let queries = row["counters"]["sent_general_query"].as_u64();
            assert!(row["name"] == UPSTREAM || queries > Some(0), "{row}");
        }

        let stream = StreamSpec::to(GROUP)
            .every(Duration::from_millis(20))
            .start(&topology.source);
        every_device_gets_one(&receiver);
        drop(stream);

        topology.gateway.ip("link del group 7");
        wait_until("all to be forgotten", Duration::from_mins(1), || {
            (names(&daemon) == expected(&[UPSTREAM, "v*"])).then_some(())
        });
        wait_until("the flow to be gone", SOON, || {
            rows(&daemon.ctl(&["show", "flows"]))
                .is_empty()
                .then_some(())
        });
        let after = (open_files(&daemon), daemon.resident_memory());
        let (files, memory) = *before.get_or_insert(after);
        // A port holds several. Replication sets hold one each, and how many are kept in stock varies.
        assert!(
            after.0 < files + MANY / 4,
            "{} files open after round {round}, {files} after the first",
            after.0
        );
        // What an allocator keeps; a port is several hundred kilobytes of maps and programs when it leaks.
        let limit = memory + memory / 10;
        assert!(after.1 < limit, "{} after {memory} bytes", after.1);
    }
}

/// Waits for one datagram that arrives as often as there are devices: once on each, since no device gets two.
fn every_device_gets_one(receiver: &UdpSocket) {
    let mut buffer = [0; 2048];
    let mut copies = std::collections::BTreeMap::<u64, usize>::new();
    loop {
        let length = receiver.recv(&mut buffer).expect("the stream arrives");
        let sequence = sequence_of(&buffer[..length]).expect("the bytes that were sent");
        let count = copies.entry(sequence).or_default();
        *count += 1;
        assert!(*count <= MANY, "more copies than devices");
        if *count == MANY {
            return;
        }
    }
}

fn each(command: impl Fn(usize) -> String) -> String {
    (0..MANY).fold(String::new(), |mut batch, n| {
        let _ = write!(batch, "{}", command(n));
        batch
    })
}

fn open_files(daemon: &Daemon) -> usize {
    let directory = format!("/proc/{}/fd", daemon.pid());
    fs::read_dir(directory).expect("igmpd runs").count()
}

fn names(daemon: &Daemon) -> BTreeSet<String> {
    let interfaces = daemon.ctl(&["show", "interfaces"]);
    let name = |row: &serde_json::Value| row["name"].as_str().expect("a name").to_owned();
    rows(&interfaces).iter().map(name).collect()
}

fn expected(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
