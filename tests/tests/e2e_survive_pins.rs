//! What an igmpd with `persist` leaves in its BPF filesystem, and who removes it when.

use std::net::Ipv4Addr;
use std::time::Duration;

use aya::maps::{Map, MapData, ProgramArray};
use igmp_tests::bpffs::{self, Bpffs};
use igmp_tests::daemon::{Daemon, describe, igmpctl_at};
use igmp_tests::receiver::Receiver;
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{Lan, Topology};
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const PACE: Duration = Duration::from_micros(500);
const SOON: Duration = Duration::from_secs(5);
const SHORT: &str = "query_interval = \"3s\"\nquery_response_interval = \"1s\"";

#[test]
fn another_device_with_the_index_of_one_that_was_deleted_is_attached_to() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let bpffs = Bpffs::new();
    let config = bpffs.config_of(&topology, "");
    let gateway = &topology.gateway;
    let daemon = Daemon::start(gateway, &config);
    let index = gateway.interface_index("lan1");
    daemon.kill();
    gateway.ip(&format!(
        "link del lan1\nlink add lan1 index {index} type veth peer name spare\naddr add 10.2.0.1/24 dev lan1\n\
         link set spare up\nlink set lan1 up"
    ));
    let daemon = Daemon::start(gateway, &config);
    assert!(gateway.programs(&["lan1"]) > 0);
    daemon.kill();
    assert!(gateway.programs(&["lan1"]) > 0, "{:?}", bpffs.pins());
}

/// The kernel empties a program array that no process and no pin holds.
#[test]
fn what_continues_the_tc_program_outlives_igmpd() {
    let topology = Topology::new(&[Lan::host()]);
    let bpffs = Bpffs::new();
    let daemon = Daemon::start(&topology.gateway, &bpffs.config_of(&topology, ""));
    daemon.kill();
    let pin = bpffs.pin_path().join("v2-1/tc_more");
    let map = Map::ProgramArray(MapData::from_pin(pin).expect("it is pinned"));
    let programs = ProgramArray::try_from(&map).expect("a program array");
    let indices: Vec<_> = programs.indices().collect();
    assert!(matches!(indices[..], [Ok(0)]), "{indices:?}");
}

#[test]
fn detach_removes_everything_and_not_under_a_running_igmpd() {
    let topology = Topology::new(&[Lan::host()]);
    let bpffs = Bpffs::new();
    let daemon = Daemon::start(&topology.gateway, &bpffs.config_of(&topology, ""));
    let socket = daemon.control_socket();
    let stream = StreamSpec::to(GROUP).every(PACE).start(&topology.source);
    let receiver = Receiver::new(topology.receivers[0].join(GROUP));
    let pin_path = bpffs.pin_path();
    let detach = || {
        let pin_path = pin_path.to_str().expect("a plain path");
        igmpctl_at(&socket, &["detach", "--pin-path", pin_path])
    };
    let refused = detach();
    assert_eq!(refused.status.code(), Some(1), "{}", describe(&refused));
    assert!(describe(&refused).contains("an igmpd is running with these pins; stop it first"));
    receiver.goes_on(&stream);
    assert!(daemon.stop().success());
    receiver.goes_on(&stream);

    let output = detach();
    assert!(output.status.success(), "{}", describe(&output));
    assert!(describe(&output).contains("programs detached from 2 devices"));
    receiver.wait_for_silence(SOON);
    for device in ["wan0", "lan0"] {
        assert_eq!(topology.gateway.programs(&[device]), 0);
    }
    assert!(!pin_path.exists());
    let again = detach();
    assert!(again.status.success(), "{}", describe(&again));
    assert!(describe(&again).contains("no programs are pinned there"));
}

#[test]
fn the_pin_of_a_device_that_was_deleted_meanwhile_goes() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let bpffs = Bpffs::new();
    let config = bpffs.config_of(&topology, SHORT);
    let daemon = Daemon::start(&topology.gateway, &config);
    let stream = StreamSpec::to(GROUP).every(PACE).start(&topology.source);
    let receiver = Receiver::new(topology.receivers[0].join(GROUP));
    let devices = ["wan0", "lan0", "lan1"];
    let links = || bpffs::links(&topology.gateway, &devices);
    let old = links();
    assert_eq!(bpffs.links(), old);
    daemon.kill();
    topology.recreate_downstream(1);
    assert_ne!(links(), old);
    let daemon = Daemon::start(&topology.gateway, &config);
    assert_eq!(bpffs.links(), links());
    receiver.goes_on(&stream);
    receiver.assert_gapless();
    // And under a running igmpd too.
    topology.recreate_downstream(1);
    wait_until("the new device to be pinned", SOON, || {
        (bpffs.links() == links()).then_some(())
    });
    drop(daemon);
}

#[test]
fn an_igmpd_that_does_not_persist_takes_over_for_the_last_time() {
    let topology = Topology::new(&[Lan::host()]);
    let bpffs = Bpffs::new();
    let persistent = bpffs.config_of(&topology, "");
    let daemon = Daemon::start(&topology.gateway, &persistent);
    let stream = StreamSpec::to(GROUP).every(PACE).start(&topology.source);
    let receiver = Receiver::new(topology.receivers[0].join(GROUP));
    assert!(daemon.stop().success());
    let transient = persistent.replace("persist = true", "persist = false");
    let daemon = Daemon::start(&topology.gateway, &transient);
    assert_eq!(bpffs.pins(), [""; 0]);
    receiver.goes_on(&stream);
    receiver.assert_gapless();
    daemon.kill();
    receiver.wait_for_silence(SOON);
    assert_eq!(topology.gateway.programs(&["lan0"]), 0);
}
