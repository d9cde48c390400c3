//! The egress program, on frames that really leave through a device: what each copy looks like, and the TTL threshold.

use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_tests::capture::Capture;
use igmp_tests::fixtures::datagram::{Datagram, PORT_MAC};
use igmp_tests::fixtures::{World, can_run_live};
use igmp_tests::frame::Frame;
use igmp_tests::netns::Namespace;
use igmp_userspace::proto::{FilterMode, IfIndex};

const G: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const SOON: Duration = Duration::from_secs(5);

/// The way of copies to a set's only output: past the set where the port allows it, or through it.
const WAYS: [Way; 2] = [Way::Short, Way::Set];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Short,
    Set,
}

impl Way {
    fn take(self, world: &mut World) {
        if self == Self::Short {
            world.take_short_way().unwrap();
        }
    }
}

/// Sends a packet of each TTL out of a device with this threshold; returns the frames that came out at the far end, and
/// how many copies were counted as dropped. The last packet has to come out.
fn copies(way: Way, ttl_threshold: u8, ttls: &[u8]) -> (Vec<Vec<u8>>, u64) {
    let namespace = Namespace::new("egress");
    namespace.ip("link add lan0 type veth peer name far\nlink set lan0 up\nlink set far up\n");
    namespace.behave_like_hardware("lan0");
    namespace.behave_like_hardware("far");
    let capture = Capture::start(&namespace, "far");
    let output = IfIndex(namespace.interface_index("lan0"));
    let drops = namespace.enter(|| {
        let mut world = World::sending_to(output, ttl_threshold).unwrap();
        way.take(&mut world);
        world.join(G, FilterMode::Exclude, &[]).unwrap();
        for ttl in ttls {
            world.run_live(&datagram(*ttl).frame()).unwrap();
        }
        world.egress_drops().unwrap().ttl_threshold
    });
    let last = copy(*ttls.last().unwrap());
    let is_last = |frame: &Frame| frame.bytes == last;
    capture.all().wait_for("the last copy", SOON, is_last);
    (sent_to_group(&capture), drops)
}

fn sent_to_group(capture: &Capture) -> Vec<Vec<u8>> {
    let is_copy = |frame: &Frame| {
        let packet = frame.packet.as_ref();
        packet.is_some_and(|packet| packet.destination == G)
    };
    let frames = capture.all().frames(is_copy);
    frames.into_iter().map(|frame| frame.bytes).collect()
}

fn datagram(ttl: u8) -> Datagram {
    Datagram {
        ttl,
        ..Datagram::to(G)
    }
}

/// What a router sends for it: the port's address for a source, TTL one lower (RFC 1812 section 5.3.1).
fn copy(ttl: u8) -> Vec<u8> {
    let mut frame = datagram(ttl).forwarded();
    frame[6..12].copy_from_slice(&PORT_MAC);
    frame
}

#[test]
fn copies_carry_the_ports_address_and_all_leave_without_a_threshold() {
    if !can_run_live() {
        return;
    }
    let ttls = [2, 9, 255];
    for way in WAYS {
        let (frames, drops) = copies(way, 1, &ttls);
        assert_eq!(frames, ttls.map(copy), "{way:?}");
        assert_eq!(drops, 0);
    }
}

/// The gate of a gateway that is backup: one map write opens it, and one closes it.
#[test]
fn nothing_leaves_through_a_closed_gate_and_everything_through_an_open_one() {
    if !can_run_live() {
        return;
    }
    let namespace = Namespace::new("egress");
    namespace.ip("link add lan0 type veth peer name far\nlink set lan0 up\nlink set far up\n");
    namespace.behave_like_hardware("lan0");
    namespace.behave_like_hardware("far");
    let capture = Capture::start(&namespace, "far");
    let output = IfIndex(namespace.interface_index("lan0"));
    let drops = namespace.enter(|| {
        let mut world = World::sending_to(output, 1).unwrap();
        world.gate_output().unwrap();
        // There is none past a gate.
        Way::Short.take(&mut world);
        world.join(G, FilterMode::Exclude, &[]).unwrap();
        // Closed before anybody says so.
        for (ttl, gate) in [
            (10, None),
            (20, Some(true)),
            (30, Some(false)),
            (40, Some(true)),
        ] {
            if let Some(is_open) = gate {
                world.set_gate(is_open).unwrap();
            }
            world.run_live(&datagram(ttl).frame()).unwrap();
        }
        world.egress_drops().unwrap()
    });
    let is_last = |frame: &Frame| frame.bytes == copy(40);
    capture.all().wait_for("the last copy", SOON, is_last);
    assert_eq!(sent_to_group(&capture), [copy(20), copy(40)]);
    assert_eq!((drops.gate_closed, drops.ttl_threshold), (2, 0));
}

#[test]
fn a_copy_leaves_only_if_its_ttl_was_above_the_threshold() {
    if !can_run_live() {
        return;
    }
    for (threshold, way) in [2, 16, 254].into_iter().zip(WAYS.into_iter().cycle()) {
        // The kernel's router: `ip_hdr(skb)->ttl > vif threshold`, TTL as received (ipmr_queue_xmit's caller).
        let ttls = [2, 3, 15, 16, 17, 254, 255];
        let above: Vec<u8> = ttls.into_iter().filter(|ttl| *ttl > threshold).collect();
        let (frames, drops) = copies(way, threshold, &ttls);
        let expected: Vec<_> = above.iter().map(|ttl| copy(*ttl)).collect();
        assert_eq!(frames, expected, "threshold {threshold}");
        assert_eq!(drops, (ttls.len() - above.len()) as u64);
    }
}
