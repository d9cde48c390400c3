//! How long a viewer waits: from a report on the wire to the first copy, from a Leave to the last one.
//!
//! Both are taken from the member's own wire with the kernel's time stamps, so that neither a socket nor this process's
//! own delays are in them. smcroute is not here: its routes are static.

mod feeder;
mod wire;

use std::collections::BTreeMap;
use std::error::Error;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::Run;
use super::load;
use super::plot::{self, Curves, Picture};
use super::programs::{Programs, TTL, Way, attached_to_input};
use super::report::{Bound, Figure, Subject, Target, find};
use crate::daemon::Daemon;
use crate::host::Subscription;
use crate::peers::IgmpProxy;
use crate::topology::{Lan, Topology, UPSTREAM};
use crate::wait::SetOnDrop;
use wire::Wire;

/// Name of the group.
pub const GROUP: &str = "join";
const UNIT: &str = "ms";
const LOAD: &str = "load";
const OUR_PROMPT: &str = "igmpd, prompt-leave";
const OUR_NORMAL: &str = "igmpd, normal leave";
const IGMPPROXY: &str = "igmpproxy, quickleave";

/// Joins a round; and leaves, where each of them takes seconds and they are timed together.
const JOINS: usize = 100;
const QUICK_JOINS: usize = 20;
const SLOW_LEAVES: usize = 10;
/// The group that the load goes to.
const LOAD_GROUP: Ipv4Addr = Ipv4Addr::new(239, 9, 9, 9);
const LOAD_LEN: usize = 512;
/// Packets of the load that the kernel is asked for at once; between two requests it pauses for some milliseconds.
const LOAD_PACKETS: u32 = 200_000;
const LOAD_BATCH: u32 = 64;

/// A router with two LANs: the member on the first, the load on the second.
struct Contender {
    name: &'static str,
    topology: Topology,
    router: Router,
    load: Programs,
    #[expect(dead_code, reason = "dropping it leaves the group")]
    loaded: Subscription,
}

enum Router {
    Igmpd(#[expect(dead_code, reason = "dropping it ends it")] Daemon),
    IgmpProxy(#[expect(dead_code, reason = "dropping it ends it")] IgmpProxy),
}

impl Contender {
    fn new(name: &'static str) -> Self {
        let topology = Topology::new(&[Lan::host().igmp_version(2); 2]);
        let mut load = Programs::load(TTL - 1);
        let router = if name == IGMPPROXY {
            Router::IgmpProxy(IgmpProxy::start(&topology, &[]))
        } else {
            let leave = if name == OUR_PROMPT {
                "prompt_leave = true"
            } else {
                ""
            };
            let config = topology.config_with("version = 2", &[leave]);
            let daemon = Daemon::start_with(&topology.gateway, &config, "warn");
            load.hand_to(&attached_to_input(&topology.gateway));
            Router::Igmpd(daemon)
        };
        load.send_to(&[LOAD_GROUP]);
        let loaded = topology.receivers[1].join(LOAD_GROUP);
        Self {
            name,
            topology,
            router,
            load,
            loaded,
        }
    }

    /// Has the router forward as much as one core can while `work` is done.
    fn under_load<T>(&self, cpu: usize, work: impl FnOnce() -> T) -> T {
        let way = match self.router {
            Router::Igmpd(_) => Way::Into,
            Router::IgmpProxy(_) => Way::Up,
        };
        let gateway = &self.topology.gateway;
        let ifindex = gateway.interface_index(UPSTREAM);
        let frame = load::frame(LOAD_LEN);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                gateway.enter(|| {
                    crate::sys::pin_to(cpu).expect("one of the cores of this machine");
                    while !is_over.load(Ordering::Relaxed) {
                        (self.load).send(way, &frame, ifindex, LOAD_PACKETS, LOAD_BATCH);
                    }
                });
            });
            // Also when `work` panics: the scope waits for the thread.
            let _end = SetOnDrop(&is_over);
            work()
        })
    }
}

/// What one round has found, in milliseconds.
#[derive(Default)]
struct Times {
    joins: Vec<f64>,
    leaves: Vec<f64>,
}

/// Measures everyone, idle and under load.
pub fn run(run: &Run) -> Option<Vec<Figure>> {
    let mut contenders = Vec::new();
    for name in [OUR_PROMPT, OUR_NORMAL, IGMPPROXY] {
        run.say(&format!("setting up {name}"))?;
        contenders.push(Contender::new(name));
    }
    let joins = if run.quick { QUICK_JOINS } else { JOINS };
    let mut groups =
        (0..).map(|index: u32| Ipv4Addr::from(u32::from(Ipv4Addr::new(239, 2, 0, 0)) + index));
    let mut values: BTreeMap<Subject, Vec<f64>> = BTreeMap::new();
    for round in 0..run.rounds {
        for load in ["idle", "full"] {
            run.say(&format!("round {} of {}, {load}", round + 1, run.rounds))?;
            for turn in 0..contenders.len() {
                let contender = &contenders[(round + turn) % contenders.len()];
                let groups: Vec<Ipv4Addr> = groups.by_ref().take(joins).collect();
                let is_idle = load == "idle";
                // Some take half a minute, and differ little.
                let with_slow_leaves = round == 0 && (is_idle || !run.quick);
                let times = if is_idle {
                    measure(contender, &groups, run.cpu, with_slow_leaves)
                } else {
                    contender.under_load(run.cpu, || {
                        measure(contender, &groups, run.cpu, with_slow_leaves)
                    })
                };
                for (what, times) in [("join", times.joins), ("leave", times.leaves)] {
                    if times.is_empty() {
                        continue;
                    }
                    for (quantile, name) in [(0.5, "p50"), (0.99, "p99"), (1.0, "max")] {
                        let subject = subject(contender.name, &format!("{what} {name}"), load);
                        let value = at_quantile(&times, quantile);
                        values.entry(subject).or_default().push(value);
                    }
                }
            }
        }
    }
    let figure = |(subject, values): (Subject, Vec<f64>)| Figure::new(subject, UNIT, &values);
    Some(values.into_iter().map(figure).collect())
}

fn subject(contender: &str, measure: &str, load: &str) -> Subject {
    Subject::new(GROUP, contender, measure).with(LOAD, load)
}

fn measure(
    contender: &Contender,
    groups: &[Ipv4Addr],
    cpu: usize,
    with_slow_leaves: bool,
) -> Times {
    let wire = Wire::new(&contender.topology, cpu);
    let mut times = Times::default();
    if contender.name == OUR_PROMPT {
        for group in groups {
            times.joins.push(wire.join(*group));
            times.leaves.push(wire.leave(*group));
        }
    } else {
        times.joins = groups.iter().map(|group| wire.join(*group)).collect();
        let timed = if with_slow_leaves { SLOW_LEAVES } else { 0 };
        let (timed, others) = groups.split_at(timed);
        wire.forget(others);
        if !timed.is_empty() {
            times.leaves = wire.leave_together(timed);
        }
    }
    times
}

/// The least value that so large a part of all is not above.
fn at_quantile(values: &[f64], quantile: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (quantile * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// How the figures stand against what must hold.
pub fn targets(figures: &[Figure]) -> Vec<Target> {
    let idle = |contender, measure| {
        find(figures, &subject(contender, measure, "idle")).map(|figure| figure.median)
    };
    let mut targets = Vec::new();
    for (measure, what) in [("join p99", "join"), ("leave p99", "prompt-leave")] {
        let (Some(ours), Some(theirs)) = (idle(OUR_PROMPT, measure), idle(IGMPPROXY, measure))
        else {
            continue;
        };
        let p99 = format!("{what} latency p99, idle");
        targets.push(Target::new(p99, Bound::AtMost, 2.0, ours, UNIT));
        let ratio = format!("{what} latency p99 against igmpproxy, idle");
        targets.push(Target::new(ratio, Bound::AtLeast, 5.0, theirs / ours, "x"));
    }
    targets
}

/// One picture of the distribution of joins: what part of them took longer.
pub fn draw(figures: &[Figure], directory: &Path) -> Result<(), Box<dyn Error>> {
    let mut curves = Curves::new();
    for figure in figures {
        let subject = &figure.subject;
        let percent_above = [("join p50", 50.0), ("join p99", 1.0), ("join max", 0.5)];
        let Some((_, above)) = percent_above
            .into_iter()
            .find(|(measure, _)| *measure == subject.measure)
        else {
            continue;
        };
        let load = subject.parameters.get(LOAD).map_or("", String::as_str);
        let curve = curves.entry(format!("{}, {load}", subject.contender));
        curve.or_default().push((figure.median, above));
    }
    for curve in curves.values_mut() {
        curve.sort_by(|a, b| b.1.total_cmp(&a.1));
    }
    let picture = Picture {
        title: "From a report on the wire to the first copy",
        x: "ms",
        y: "% of joins that took longer",
    };
    plot::log_log(&directory.join("join.svg"), &picture, &curves)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        for (quantile, value) in [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            assert!((at_quantile(&values, quantile) - value).abs() < f64::EPSILON);
        }
        assert!((at_quantile(&[7.0], 0.5) - 7.0).abs() < f64::EPSILON);
    }
}
