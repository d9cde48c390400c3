//! What many flows and many outputs cost: time a packet, and memory.

use std::error::Error;
use std::fmt::Write as _;
use std::iter;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use super::Run;
use super::contenders::{Contender, Who, hand_to_igmpd};
use super::load::{self, Load, Rounds, Sample};
use super::memory;
use super::plot::{self, Curves, Picture};
use super::programs::{LONGEST_SCHEDULE, Programs, Sink, TTL, Way};
use super::report::{Bound, Figure, Subject, Target, find};
use super::site::{INPUT, Site};
use crate::daemon::{Daemon, rows};
use crate::wait::wait_until;

/// Name of the group.
pub const GROUP: &str = "scale";
const COST: &str = "cost";
const COST_UNIT: &str = "ns/packet";
const FLOWS: &str = "flows";
const OUTPUTS: &str = "outputs";
const ORDER: &str = "order";
const IGMPD: &str = "xdp-native";

const FLOW_COUNTS: [usize; 4] = [1, 1_000, 10_000, LONGEST_SCHEDULE];
const QUICK_FLOW_COUNTS: [usize; 2] = [1, LONGEST_SCHEDULE];
const OUTPUT_COUNTS: [usize; 8] = [1, 2, 5, 10, 20, 50, 100, 200];
const QUICK_OUTPUT_COUNTS: [usize; 2] = [1, 50];
const FRAME_LEN: usize = 64;
/// How often a burst goes through the schedule. In the first pass no cache has anything of flows that are met once in it.
const PASSES: u32 = 8;
const SETTLED_WITHIN: Duration = Duration::from_mins(1);

/// In which order packets of the flows come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Order {
    /// Each as often as the others, in no order: the worst for caches.
    Uniform,
    /// The second half as often as the first, the third a third as often, as viewers choose channels.
    Zipf,
}

impl Order {
    const ALL: [Self; 2] = [Self::Uniform, Self::Zipf];

    fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Zipf => "zipf",
        }
    }

    /// As many groups out of `flows` as a schedule holds, the same in every run.
    fn schedule(self, flows: usize) -> Vec<Ipv4Addr> {
        let mut random = fastrand::Rng::with_seed(flows as u64);
        match self {
            Self::Uniform => {
                let mut all: Vec<usize> = (0..flows).collect();
                let rounds = iter::repeat_with(|| {
                    random.shuffle(&mut all);
                    all.clone()
                });
                rounds
                    .flatten()
                    .take(LONGEST_SCHEDULE)
                    .map(static_group)
                    .collect()
            }
            Self::Zipf => {
                let mut sum = 0.0;
                let sums: Vec<f64> = (1..=flows)
                    .map(|rank| {
                        sum += 1.0 / rank as f64;
                        sum
                    })
                    .collect();
                let draw = || {
                    let point = random.f64() * sum;
                    sums.partition_point(|upto| *upto < point).min(flows - 1)
                };
                iter::repeat_with(draw)
                    .take(LONGEST_SCHEDULE)
                    .map(static_group)
                    .collect()
            }
        }
    }
}

/// One igmpd with as many static groups, all to one output.
struct Forwarder {
    flows: usize,
    site: Site,
    programs: Programs,
    daemon: Daemon,
}

impl Forwarder {
    fn new(flows: usize, cpu: usize) -> Self {
        let site = Site::new(&format!("flows-{flows}"), 1);
        let mut programs = Programs::load(TTL - 1);
        programs.receive(&site, Sink::Xdp);
        let daemon = Daemon::start_with(&site.gateway, &static_groups(&site, flows), "warn");
        wait_until("every group to be there", SETTLED_WITHIN, || {
            let interfaces = daemon.ctl(&["show", "interfaces"]);
            let has_all = |row: &serde_json::Value| row["groups"] == flows;
            rows(&interfaces).iter().any(has_all).then_some(())
        });
        hand_to_igmpd(&mut programs, &site);
        let mut forwarder = Self {
            flows,
            site,
            programs,
            daemon,
        };
        wait_until("every flow to be forwarded", SETTLED_WITHIN, || {
            (forwarder.sample(Order::Uniform, cpu).astray == 0).then_some(())
        });
        forwarder
    }

    fn sample(&mut self, order: Order, cpu: usize) -> Sample {
        self.programs.send_to(&order.schedule(self.flows));
        let load = Load {
            frame_len: FRAME_LEN,
            copies: 1,
            way: Way::Into,
            at_least: PASSES * LONGEST_SCHEDULE as u32,
        };
        load::sample(&self.site, &self.programs, load, cpu)
    }
}

/// One of many groups.
pub fn static_group(index: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(239, 64, 0, 0)) + index as u32)
}

/// A configuration of igmpd with as many of them, all to every output.
pub fn static_groups(site: &Site, flows: usize) -> String {
    let groups: Vec<String> = (0..flows)
        .map(|index| format!("\"{}\"", static_group(index)))
        .collect();
    let mut config = format!(
        "[datapath]\nmode = \"{IGMPD}\"\n[[interface]]\nname = \"{INPUT}\"\nrole = \"upstream\"\n"
    );
    for device in site.outputs() {
        let _ = writeln!(
            config,
            "[[interface]]\nname = \"{device}\"\nrole = \"downstream\"\nstatic_groups = [{}]",
            groups.join(", ")
        );
    }
    config
}

/// Measures flows, then outputs.
pub fn run(run: &Run) -> Option<Vec<Figure>> {
    let mut figures = flows(run)?;
    figures.extend(outputs(run)?);
    Some(figures)
}

fn flows(run: &Run) -> Option<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut forwarders = Vec::new();
    for flows in run.choose(&FLOW_COUNTS[..], &QUICK_FLOW_COUNTS) {
        run.say(&format!("setting up {flows} flows"))?;
        let forwarder = Forwarder::new(*flows, run.cpu);
        let mut note = |measure, bytes: u64| {
            let subject = Subject::new(GROUP, IGMPD, measure).with(FLOWS, flows);
            let mebibytes = bytes as f64 / f64::from(1 << 20);
            figures.push(Figure::new(subject, "MiB", &[mebibytes]));
        };
        note("resident memory", forwarder.daemon.resident_memory());
        note("memory of maps", memory::of_maps(forwarder.daemon.pid()));
        forwarders.push(forwarder);
    }
    let mut rounds = Rounds::new();
    for round in 0..run.rounds {
        run.say(&format!("round {} of {}, flows", round + 1, run.rounds))?;
        let count = forwarders.len() * Order::ALL.len();
        load::round(&mut rounds, run.bursts, count, |turn| {
            let order = Order::ALL[turn % Order::ALL.len()];
            let forwarder = &mut forwarders[turn / Order::ALL.len()];
            let sample = forwarder.sample(order, run.cpu);
            Some((flow_cost(forwarder.flows, order), sample))
        });
    }
    figures.extend(load::figures(rounds, COST_UNIT));
    Some(figures)
}

fn outputs(run: &Run) -> Option<Vec<Figure>> {
    let counts = run.choose(&OUTPUT_COUNTS[..], &QUICK_OUTPUT_COUNTS);
    run.say("setting up many outputs")?;
    let mut contender = Contender::new(Who::XdpNative, counts, run.cpu);
    let mut rounds = Rounds::new();
    for round in 0..run.rounds {
        run.say(&format!("round {} of {}, outputs", round + 1, run.rounds))?;
        load::round(&mut rounds, run.bursts, counts.len(), |turn| {
            let subject = Subject::new(GROUP, IGMPD, COST).with(OUTPUTS, &counts[turn]);
            let sample = contender.sample(counts[turn], FRAME_LEN, run.cpu);
            Some((subject, sample))
        });
    }
    Some(load::figures(rounds, COST_UNIT).collect())
}

fn flow_cost(flows: usize, order: Order) -> Subject {
    Subject::new(GROUP, IGMPD, COST)
        .with(FLOWS, &flows)
        .with(ORDER, order.name())
}

/// How the figures stand against what must hold.
pub fn targets(figures: &[Figure]) -> Vec<Target> {
    let cost = |flows| find(figures, &flow_cost(flows, Order::Uniform)).map(|figure| figure.median);
    let target = || {
        let ratio = cost(LONGEST_SCHEDULE)? / cost(1)?;
        let what =
            format!("cost of a packet of one in {LONGEST_SCHEDULE} flows, above that of one");
        Some(Target::new(what, Bound::AtMost, 1.3, ratio, "x"))
    };
    target().into_iter().collect()
}

/// One picture for flows, one for outputs.
pub fn draw(figures: &[Figure], directory: &Path) -> Result<(), Box<dyn Error>> {
    for (axis, what, file) in [
        (FLOWS, "flows, one output each", "scale-flows.svg"),
        (OUTPUTS, "copies of a packet", "scale-outputs.svg"),
    ] {
        let curves = curves(figures, axis);
        if curves.is_empty() {
            continue;
        }
        let picture = Picture {
            title: &format!("Cost of a packet by {axis}, one core"),
            x: what,
            y: "ns a packet",
        };
        plot::log_log(&directory.join(file), &picture, &curves)?;
    }
    Ok(())
}

fn curves(figures: &[Figure], axis: &str) -> Curves {
    let mut curves = Curves::new();
    for figure in figures {
        let subject = &figure.subject;
        if let Some(x) = subject.number(axis)
            && subject.measure == COST
            && figure.is_valid()
        {
            let order = subject.parameters.get(ORDER);
            let name = order.unwrap_or(&subject.contender).clone();
            curves
                .entry(name)
                .or_default()
                .push((x as f64, figure.median));
        }
    }
    for curve in curves.values_mut() {
        curve.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    curves
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_uniform_schedule_has_every_group_as_often_as_the_others() {
        let all = Order::Uniform.schedule(LONGEST_SCHEDULE);
        assert_eq!(all.len(), LONGEST_SCHEDULE);
        let distinct: HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), LONGEST_SCHEDULE);
        let one = Order::Uniform.schedule(1);
        assert!(one.len() == LONGEST_SCHEDULE && one.iter().all(|at| *at == static_group(0)));
    }

    #[test]
    fn a_zipf_schedule_has_the_first_group_twice_as_often_as_the_second() {
        let schedule = Order::Zipf.schedule(1_000);
        let count = |index| {
            schedule
                .iter()
                .filter(|at| **at == static_group(index))
                .count() as f64
        };
        let ratio = count(0) / count(1);
        assert!((1.8..2.2).contains(&ratio), "{ratio}");
        assert!(count(0) > 50.0 * count(999));
    }
}
