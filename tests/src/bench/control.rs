//! What memberships cost: reports a second, and thousands of static groups at start and at a reload.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use super::Run;
use super::load;
use super::programs::{Programs, Sink, TTL, Way, attached_to_input};
use super::report::{Bound, Figure, Subject, Target, find};
use super::scale::{static_group, static_groups};
use super::site::{INPUT, Site};
use crate::daemon::{Daemon, describe};
use crate::igmp::Igmp;
use crate::sys;
use crate::topology::{Lan, Topology};
use crate::wait::wait_until;

/// Name of the group.
pub const GROUP: &str = "control";
const IGMPD: &str = "igmpd";
const LOST: &str = "reports lost";
const FORWARDING: &str = "start to forwarding";

const REPORTS_A_SECOND: u32 = 50_000;
const SECONDS: u32 = 10;
const QUICK_SECONDS: u32 = 2;
/// As many as a large LAN watches; each is reported again and again.
const GROUPS_REPORTED: u32 = 1_000;
const STATIC_GROUPS: usize = 10_000;
/// How many frames reach every static group: a power of two above [`STATIC_GROUPS`].
const SWEEP: usize = 16_384;
const FRAME_LEN: usize = 64;
const JUDGED_WITHIN: Duration = Duration::from_secs(30);
const SETTLED_WITHIN: Duration = Duration::from_secs(30);

/// Measures everything.
pub fn run(run: &Run) -> Option<Vec<Figure>> {
    let mut values: BTreeMap<(Subject, &str), Vec<f64>> = BTreeMap::new();
    for round in 0..run.rounds {
        run.say(&format!("round {} of {}, reports", round + 1, run.rounds))?;
        let seconds = if run.quick { QUICK_SECONDS } else { SECONDS };
        let mut found = reports(seconds, run.cpu);
        run.say(&format!(
            "round {} of {}, static groups",
            round + 1,
            run.rounds
        ))?;
        found.extend(static_starts());
        for (measure, unit, value) in found {
            let subject = Subject::new(GROUP, IGMPD, measure);
            values.entry((subject, unit)).or_default().push(value);
        }
    }
    let figure = |((subject, unit), values): ((Subject, &str), Vec<f64>)| {
        Figure::new(subject, unit, &values)
    };
    Some(values.into_iter().map(figure).collect())
}

type Found = Vec<(&'static str, &'static str, f64)>;

/// Reports as fast as they shall come, to an igmpd that has one core and polices nothing.
fn reports(seconds: u32, cpu: usize) -> Found {
    let topology = Topology::new(&[Lan::host()]);
    let config = format!("[datapath]\nigmp_rate = 0\n{}", topology.config(""));
    let daemon = Daemon::start_with(&topology.gateway, &config, "warn");
    sys::pin_process(daemon.pid(), cpu).expect("igmpd runs");
    let host = &topology.receivers[0];
    let frames: Vec<Vec<u8>> = (0..GROUPS_REPORTED)
        .map(|index| {
            let group = Ipv4Addr::from(u32::from(Ipv4Addr::new(239, 3, 0, 0)) + index);
            host.igmp_packet(group, &Igmp::ReportV2(group)).frame()
        })
        .collect();
    let sender = host.frame_sender();
    let received = || daemon.counter_on("lan0", "received_report_v2");
    let lost = || daemon.counter_on("lan0", "igmp_ring_full");

    let cpu_before = daemon.cpu_time();
    let count = REPORTS_A_SECOND * seconds;
    let began = Instant::now();
    for (index, frame) in (0..count).zip(frames.iter().cycle()) {
        // A millisecond's at once: to sleep and wake up takes longer than one.
        if index % (REPORTS_A_SECOND / 1_000) == 0 {
            let due = Duration::from_secs(1) * index / REPORTS_A_SECOND;
            thread::sleep(due.saturating_sub(began.elapsed()));
        }
        sender.send(frame);
    }
    let took = began.elapsed();
    wait_until("every report to be judged", JUDGED_WITHIN, || {
        (received() + lost() >= u64::from(count)).then_some(())
    });
    let cpu = daemon.cpu_time().saturating_sub(cpu_before).as_secs_f64();
    let thousands = f64::from(count) / 1e3;
    vec![
        ("reports sent", "1/s", f64::from(count) / took.as_secs_f64()),
        (LOST, "reports", lost() as f64),
        (
            "processor time of 1,000 reports",
            "ms",
            cpu * 1e3 / thousands,
        ),
    ]
}

/// Many static groups: until all of them are forwarded, and until one more is.
fn static_starts() -> Found {
    let site = Site::new("static", 1);
    let mut programs = Programs::load(TTL - 1);
    programs.receive(&site, Sink::Xdp);
    let all: Vec<Ipv4Addr> = (0..SWEEP)
        .map(|index| static_group(index % STATIC_GROUPS))
        .collect();
    programs.send_to(&all);

    let began = Instant::now();
    let config = static_groups(&site, STATIC_GROUPS);
    let daemon = Daemon::start_with(&site.gateway, &config, "warn");
    let ready = began.elapsed();
    programs.hand_to(&attached_to_input(&site.gateway));
    wait_until_delivered(&site, &programs);
    let forwarding = began.elapsed();

    programs.send_to(&[static_group(STATIC_GROUPS)]);
    daemon.rewrite_config(&static_groups(&site, STATIC_GROUPS + 1));
    let began = Instant::now();
    let output = daemon.ctl_output(&["reload"]);
    assert!(output.status.success(), "{}", describe(&output));
    let reloaded = began.elapsed();
    wait_until_delivered(&site, &programs);
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    vec![
        ("start to ready", "ms", milliseconds(ready)),
        (FORWARDING, "ms", milliseconds(forwarding)),
        ("reload", "ms", milliseconds(reloaded)),
        ("reload to forwarding", "ms", milliseconds(began.elapsed())),
    ]
}

/// Sends to every group until all of it arrives. One look takes some tens of milliseconds.
fn wait_until_delivered(site: &Site, programs: &Programs) {
    let frame = load::frame(FRAME_LEN);
    let ifindex = site.gateway.interface_index(INPUT);
    wait_until("every static group to be forwarded", SETTLED_WITHIN, || {
        let before = programs.received();
        let count = u32::try_from(SWEEP).expect("few");
        let send = || programs.send(Way::Into, &frame, ifindex, count, 64);
        site.gateway.enter(send);
        (programs.received() - before == SWEEP as u64).then_some(())
    });
}

/// How the figures stand against what must hold.
pub fn targets(figures: &[Figure]) -> Vec<Target> {
    let figure = |measure| find(figures, &Subject::new(GROUP, IGMPD, measure));
    let lost = figure(LOST).map(|lost| {
        let what = format!("reports lost at {REPORTS_A_SECOND} a second on one core");
        Target::new(what, Bound::AtMost, 0.0, lost.max, "reports")
    });
    let start = figure(FORWARDING).map(|start| {
        let what = format!("start to forwarding with {STATIC_GROUPS} static groups");
        Target::new(what, Bound::AtMost, 1_000.0, start.median, "ms")
    });
    lost.into_iter().chain(start).collect()
}
