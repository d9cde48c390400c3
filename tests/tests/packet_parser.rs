//! The parser gives the same answer in the kernel as on the host, whatever the frame.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers a test chose to fit"
)]

use std::net::Ipv4Addr;

use igmp_common::Counter;
use igmp_common::frame::{Frame, Link};
use igmp_common::maps::UNTAGGED;
use igmp_tests::fixtures::World;
use igmp_tests::fixtures::datagram::{Datagram, PORT_MAC};

/// xorshift64: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// Frames that get far into the parser.
fn seeds() -> Vec<Vec<u8>> {
    let plain = Datagram::to(Ipv4Addr::new(239, 1, 1, 1));
    let with = |change: &dyn Fn(&mut Datagram)| {
        let mut datagram = plain.clone();
        change(&mut datagram);
        datagram.frame()
    };
    vec![
        with(&|_| {}),
        with(&|d| d.options = vec![0x94, 4, 0, 0]),
        with(&|d| d.options = vec![1; 40]),
        with(&|d| d.vlan = Some(0)),
        with(&|d| d.destination_mac = Some(PORT_MAC)),
        with(&|d| d.protocol = 2),
        with(&|d| d.padding = 30),
    ]
}

/// Changes a few bytes, sometimes the length.
fn mutate(frame: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        // Mostly in the headers.
        let end = if random.below(4) == 0 {
            frame.len()
        } else {
            58
        };
        let at = random.below(end.min(frame.len()));
        frame[at] = match random.below(3) {
            0 => random.below(256) as u8,
            1 => frame[at] ^ (1 << random.below(8)),
            _ => [0, 1, 0x45, 0x46, 0x4f, 0x81, 0x94, 0xff][random.below(8)],
        };
    }
    if random.below(5) == 0 {
        frame.truncate(14 + random.below(frame.len() - 13));
    }
}

#[test]
fn kernel_and_host_agree_on_every_frame() {
    const FRAMES: u32 = 20_000;
    let mut world = World::new().unwrap();
    let seeds = seeds();
    let mut random = Random(0x1234_5678_9abc_def1);
    for number in 0..FRAMES {
        let mut frame = seeds[random.below(seeds.len())].clone();
        mutate(&mut frame, &mut random);
        let kernel = world.run(&frame).unwrap().counter;
        let octets = frame.as_slice();
        let parsed = Link::read(&octets).and_then(|link| link.parse(&octets, PORT_MAC, UNTAGGED));
        match parsed {
            Ok(Frame::Igmp) => {
                assert_eq!(kernel, Counter::IgmpToUserspace, "{number}: {frame:02x?}");
                assert!(world.next_record().is_some());
            }
            // No flow is installed.
            Ok(Frame::Multicast(_)) => {
                assert_eq!(kernel, Counter::PassNoFlow, "{number}: {frame:02x?}");
            }
            Err(reason) => assert_eq!(kernel, reason, "{number}: {frame:02x?}"),
        }
    }
}
