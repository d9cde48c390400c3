//! How soon a device that comes is one of ours. By itself, because other tests would be in that time.

use std::time::{Duration, SystemTime};

use igmp_tests::capture::Capture;
use igmp_tests::daemon::Daemon;
use igmp_tests::igmp::Igmp;
use igmp_tests::topology::{Topology, UPSTREAM};

const SOON: Duration = Duration::from_secs(5);
/// What docs/devices.md promises.
const AT_ONCE: Duration = Duration::from_millis(100);

#[test]
fn a_device_that_appears_is_attached_to_and_queried_at_once() {
    /// An odd number has a middle one. One after the other: they are attached to in turn.
    const DEVICES: usize = 9;
    let topology = Topology::new(&[]);
    let config = format!(
        "[[interface]]\nname = \"{UPSTREAM}\"\nrole = \"upstream\"\n\
         [[interface]]\nname = \"v*\"\nrole = \"downstream\"\nunnumbered = \"{UPSTREAM}\"\n"
    );
    let _daemon = Daemon::start_with(&topology.gateway, &config, "info");
    let mut took: Vec<Duration> = (0..DEVICES)
        .map(|n| {
            // Under another name first, so that nothing of what follows is missed.
            topology.gateway.ip(&format!(
                "link add new{n} type veth peer name h{n}\nlink set h{n} up\n"
            ));
            let wire = Capture::start(&topology.gateway, &format!("h{n}"));
            let appears = SystemTime::now();
            topology
                .gateway
                .ip(&format!("link set new{n} name v{n} up\n"));
            let query = wire.all().wait_for("a query", SOON, |frame| {
                frame.received_igmp(Igmp::is_general_query)
            });
            query.at.duration_since(appears).unwrap_or_default()
        })
        .collect();
    took.sort();
    println!("queried after {took:?}");
    assert!(took[DEVICES / 2] <= AT_ONCE, "queried after {took:?}");
}
