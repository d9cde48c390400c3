//! A member's wire: what it asks for, what the source sends meanwhile, and when copies come.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::bench::load;
use crate::capture::Capture;
use crate::frame::{Frame, multicast_mac};
use crate::host::{FrameSender, Host};
use crate::igmp::Igmp;
use crate::topology::Topology;

use super::feeder::Feeder;

/// Between two looks at the wire.
const LOOK: Duration = Duration::from_millis(2);
/// What has been there before anybody joins.
const UNWATCHED: Duration = Duration::from_millis(4);
/// No copies for so long: there are no more.
const SILENCE: Duration = Duration::from_millis(150);
/// igmpproxy asks twice and gives ten seconds each time.
const GIVE_UP: Duration = Duration::from_mins(1);
const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
const FRAME_LEN: usize = 128;

/// The wire of a topology's first member, with the source and the member in hand.
pub(super) struct Wire<'a> {
    capture: Capture,
    member: &'a Host,
    member_sends: FrameSender,
    feeder: Feeder,
}

impl<'a> Wire<'a> {
    /// The source sends from the core `cpu`, which the router should not need.
    pub(super) fn new(topology: &'a Topology, cpu: usize) -> Self {
        let member = &topology.receivers[0];
        Self {
            capture: member.capture(),
            member,
            member_sends: member.frame_sender(),
            feeder: Feeder::start(&topology.source, cpu),
        }
    }

    /// Milliseconds from a report to the first copy.
    ///
    /// # Panics
    /// When none comes.
    pub(super) fn join(&self, group: Ipv4Addr) -> f64 {
        self.feeder.send(vec![packet_to(group)]);
        thread::sleep(UNWATCHED);
        let view = self.capture.from_now();
        self.say(group, &Igmp::ReportV2(group));
        let asked = Instant::now();
        let first = loop {
            thread::sleep(LOOK);
            if let Some(copy) = view.frames(|frame| frame.is_copy_for(group)).first() {
                break copy.at;
            }
            assert!(asked.elapsed() < GIVE_UP, "nothing came of joining {group}");
        };
        let asked = view.frames(|frame| frame.sent_igmp(|igmp| igmp.joins(group)));
        milliseconds(asked[0].at, first)
    }

    /// Milliseconds from a Leave to the last copy.
    pub(super) fn leave(&self, group: Ipv4Addr) -> f64 {
        let [time] = self.leave_together(&[group])[..] else {
            unreachable!("as many times as groups");
        };
        time
    }

    /// The same of several groups that are left at once.
    ///
    /// # Panics
    /// When copies never end.
    pub(super) fn leave_together(&self, groups: &[Ipv4Addr]) -> Vec<f64> {
        self.feeder
            .send(groups.iter().copied().map(packet_to).collect());
        let view = self.capture.from_now();
        for group in groups {
            self.say(ALL_ROUTERS, &Igmp::Leave(*group));
        }
        let asked = Instant::now();
        let is_copy = |frame: &Frame| groups.iter().any(|group| frame.is_copy_for(*group));
        let mut seen = 0;
        let mut changed = Instant::now();
        // At first copies may be on their way without having come.
        while changed.elapsed() < SILENCE {
            thread::sleep(LOOK);
            let copies = view.count(is_copy);
            if copies != seen {
                (seen, changed) = (copies, Instant::now());
            }
            assert!(asked.elapsed() < GIVE_UP, "copies never end");
        }
        let time = |group: &Ipv4Addr| {
            let left = view.frames(|frame| frame.sent_igmp(|igmp| igmp.leaves(*group)));
            let last = view.frames(|frame| frame.is_copy_for(*group));
            last.last()
                .map_or(0.0, |last| milliseconds(left[0].at, last.at))
        };
        groups.iter().map(time).collect()
    }

    /// Leaves groups without looking what becomes of them.
    pub(super) fn forget(&self, groups: &[Ipv4Addr]) {
        for group in groups {
            self.say(ALL_ROUTERS, &Igmp::Leave(*group));
        }
    }

    fn say(&self, destination: Ipv4Addr, message: &Igmp) {
        let packet = self.member.igmp_packet(destination, message);
        self.member_sends.send(&packet.frame());
    }
}

fn milliseconds(from: SystemTime, to: SystemTime) -> f64 {
    to.duration_since(from).unwrap_or_default().as_secs_f64() * 1e3
}

fn packet_to(group: Ipv4Addr) -> Vec<u8> {
    load::packet(FRAME_LEN, group, multicast_mac(group))
}
