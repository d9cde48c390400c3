//! Load: bursts of frames on one core, and what the core spends until every copy has arrived.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use etherparse::PacketBuilder;

use super::programs::{Programs, TTL, Way};
use super::report::{Figure, Subject};
use super::site::{INPUT, SOURCE, Site};
use super::softirq::SoftirqThread;
use crate::sys;

/// UDP port that the packets go to.
const PORT: u16 = 5001;
/// Long enough that its first frames, which the kernel has yet to make, are few.
const BURST: Duration = Duration::from_millis(6);
/// Packets of the shortest burst.
pub const FEWEST: u32 = 512;
const MOST: u32 = 65_536;
/// What has not arrived so long after the last that did is lost.
const LOST_AFTER: Duration = Duration::from_millis(50);
/// Copies that may be under way at once: half of what one core's queue of received packets holds (`netdev_max_backlog`),
/// and what the kernel processes before it leaves the rest to another thread.
const UNDER_WAY: u32 = 480;
/// Frames that a driver takes from its ring at once (`NAPI_POLL_WEIGHT`).
const LARGEST_BATCH: u32 = 64;

/// What a burst is made of.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Octets of a frame, from the Ethernet header on, without the checksum that hardware adds.
    pub frame_len: usize,
    /// Copies that each packet becomes.
    pub copies: u32,
    /// What becomes of the frames.
    pub way: Way,
    /// Packets that a burst has at least, so that whatever the load goes through has been met before; [`FEWEST`] where it is
    /// always the same.
    pub at_least: u32,
}

/// A burst, or several.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// What a packet cost with all of its copies, in the burst that other work on the machine disturbed least.
    pub ns_a_packet: f64,
    /// Copies that did not arrive, or that should not have, in all of them.
    pub astray: u64,
}

impl Sample {
    /// Both together.
    #[must_use]
    fn and(self, other: Self) -> Self {
        Self {
            ns_a_packet: self.ns_a_packet.min(other.ns_a_packet),
            astray: self.astray + other.astray,
        }
    }
}

/// What each round has found of each subject.
pub type Rounds = BTreeMap<Subject, Vec<Sample>>;

/// One round more: `count` measurements of so many bursts each, all in turn, so that what disturbs the machine for a second hits
/// none of them alone. `sample` takes a burst of the measurement with a number, if it is to be made.
pub fn round(
    rounds: &mut Rounds,
    bursts: u32,
    count: usize,
    mut sample: impl FnMut(usize) -> Option<(Subject, Sample)>,
) {
    let mut samples: BTreeMap<Subject, Sample> = BTreeMap::new();
    for burst in 0..bursts as usize {
        for turn in 0..count {
            if let Some((subject, one)) = sample((burst + turn) % count) {
                let all = samples.entry(subject);
                all.and_modify(|all| *all = all.and(one)).or_insert(one);
            }
        }
    }
    for (subject, sample) in samples {
        rounds.entry(subject).or_default().push(sample);
    }
}

/// One figure of the samples of each subject, one a round.
pub fn figures(rounds: Rounds, unit: &str) -> impl Iterator<Item = Figure> {
    rounds.into_iter().map(move |(subject, samples)| {
        let costs: Vec<f64> = samples.iter().map(|sample| sample.ns_a_packet).collect();
        let mut figure = Figure::new(subject, unit, &costs);
        figure.astray = samples.iter().map(|sample| sample.astray).sum();
        figure
    })
}

/// Sends a burst of `load` on the core `cpu`.
pub fn sample(site: &Site, programs: &Programs, load: Load, cpu: usize) -> Sample {
    let ifindex = site.gateway.interface_index(INPUT);
    let frame = frame(load.frame_len);
    let softirq_thread = SoftirqThread::of(cpu);
    let send = |count| burst(programs, load, &frame, ifindex, count, &softirq_thread);
    site.gateway.enter(|| {
        sys::pin_to(cpu).expect("one of the cores of this machine");
        // Where this is not allowed, more bursts are cut by other work.
        let _ = sys::come_first();
        // The first finds out how many packets a burst takes, and brings the caches up to date.
        let first = send(FEWEST);
        let count = BURST.as_nanos() as f64 / first.ns_a_packet;
        let count = (count as u32).min(MOST).max(load.at_least);
        send(count)
    })
}

fn burst(
    programs: &Programs,
    load: Load,
    frame: &[u8],
    ifindex: u32,
    count: u32,
    softirq_thread: &SoftirqThread,
) -> Sample {
    let batch = (UNDER_WAY / load.copies.max(1)).clamp(2, LARGEST_BATCH);
    let expected = u64::from(count) * u64::from(load.copies);
    let received_before = programs.received();
    let elsewhere_before = softirq_thread.run_ns();
    // The kernel's own account: making the first frames and waiting for the last to be freed takes milliseconds, which
    // are not the contender's.
    let spent = programs.send(load.way, frame, ifindex, count, batch);
    let arrived = wait_for(programs, received_before, expected);
    let elsewhere = softirq_thread.run_ns() - elsewhere_before;
    Sample {
        ns_a_packet: spent.as_nanos() as f64 + elsewhere as f64 / f64::from(count),
        astray: arrived.abs_diff(expected),
    }
}

/// Copies that have arrived since `before`, once they are `expected` or no more come.
fn wait_for(programs: &Programs, before: u64, expected: u64) -> u64 {
    let mut arrived = 0;
    let mut last = Instant::now();
    loop {
        let now = programs.received() - before;
        if now > arrived {
            (arrived, last) = (now, Instant::now());
        }
        if arrived >= expected || last.elapsed() > LOST_AFTER {
            return arrived;
        }
        // The core is needed for what is to arrive.
        thread::sleep(Duration::from_micros(20));
    }
}

/// A UDP datagram in a frame of `len` octets. The generator writes where it goes.
pub fn frame(len: usize) -> Vec<u8> {
    packet(len, Ipv4Addr::new(239, 1, 1, 1), [0x01, 0, 0x5e, 1, 1, 1])
}

/// A UDP datagram in a frame of `len` octets from [`SOURCE`] to `group`, whose Ethernet address is `mac`.
pub fn packet(len: usize, group: Ipv4Addr, mac: [u8; 6]) -> Vec<u8> {
    const HEADERS: usize = 14 + 20 + 8;
    let payload = vec![0x5a; len - HEADERS];
    let mut frame = Vec::with_capacity(len);
    PacketBuilder::ethernet2([0x02, 0, 10, 0, 0, 2], mac)
        .ipv4(SOURCE.octets(), group.octets(), TTL)
        .udp(PORT, PORT)
        .write(&mut frame, &payload)
        .expect("a vector takes everything");
    frame
}
