//! What forwarding a packet costs, by how many copies it becomes and how large it is.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use super::Run;
use super::contenders::{Contender, Who};
use super::load::{self, Rounds};
use super::plot::{self, Curves, Picture};
use super::report::{Bound, Figure, Subject, Target, find};

/// Name of the group.
pub const GROUP: &str = "forwarding";
/// Name of the measurement, all copies of a packet included.
pub const COST: &str = "cost";
/// The generator alone.
pub const GENERATOR: &str = "generator";
/// Unit of the figures.
pub const UNIT: &str = "ns/packet";
/// Name of the circumstances.
pub const FAN_OUT: &str = "fan_out";
/// Octets of a frame.
pub const FRAME_LEN: &str = "frame_len";
/// The size that targets are judged with: the one at which the program itself weighs most.
pub const JUDGED_LEN: usize = 64;

const FAN_OUTS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
const QUICK_FAN_OUTS: [usize; 3] = [1, 8, 16];
const FRAME_LENS: [usize; 3] = [JUDGED_LEN, 512, 1400];
const QUICK_FRAME_LENS: [usize; 1] = [JUDGED_LEN];

/// Measures everyone.
pub fn run(run: &Run) -> Option<Vec<Figure>> {
    let fan_outs = run.choose(&FAN_OUTS[..], &QUICK_FAN_OUTS);
    let frame_lens = run.choose(&FRAME_LENS[..], &QUICK_FRAME_LENS);
    let mut contenders = Vec::new();
    for who in Who::ALL {
        run.say(&format!("setting up {}", who.name()))?;
        contenders.push(Contender::new(who, fan_outs, run.cpu));
    }
    let mut rounds = Rounds::new();
    for round in 0..run.rounds {
        for frame_len in frame_lens {
            run.say(&format!(
                "round {} of {}, frames of {frame_len} octets",
                round + 1,
                run.rounds
            ))?;
            load::round(&mut rounds, run.bursts, 1, |_| {
                let subject = Subject::new(GROUP, GENERATOR, COST).with(FRAME_LEN, frame_len);
                Some((subject, contenders[0].sample_generator(*frame_len, run.cpu)))
            });
            for fan_out in fan_outs {
                // Whoever is first in one round is last in the next: what else the machine does hits all alike.
                let count = contenders.len();
                load::round(&mut rounds, run.bursts, count, |turn| {
                    let contender = &mut contenders[(round + turn) % count];
                    if *fan_out > contender.who.most_outputs() {
                        return None;
                    }
                    let subject = subject(contender.who, *fan_out, *frame_len);
                    Some((subject, contender.sample(*fan_out, *frame_len, run.cpu)))
                });
            }
        }
    }
    Some(load::figures(rounds, UNIT).collect())
}

fn subject(who: Who, fan_out: usize, frame_len: usize) -> Subject {
    Subject::new(GROUP, who.name(), COST)
        .with(FAN_OUT, &fan_out)
        .with(FRAME_LEN, &frame_len)
}

/// How the figures stand against what must hold.
///
/// A ratio with the kernel's router is of the figures as they are; for one with the floor the generator's own cost, which
/// would bring the two together, is taken off both. Each is the less favourable way.
pub fn targets(figures: &[Figure]) -> Vec<Target> {
    let cost = |who, fan_out| {
        find(figures, &subject(who, fan_out, JUDGED_LEN)).map(|figure| figure.median)
    };
    let generator = Subject::new(GROUP, GENERATOR, COST).with(FRAME_LEN, &JUDGED_LEN);
    let generator = find(figures, &generator).map(|figure| figure.median);
    let times = |who: Who, fan_out: usize, limit: f64| {
        let ratio = cost(Who::KernelRouter, fan_out)? / cost(who, fan_out)?;
        let what = format!(
            "{} against the kernel's router at fan-out {fan_out}",
            who.name()
        );
        Some(Target::new(what, Bound::AtLeast, limit, ratio, "x"))
    };
    let above_floor = |fan_out: usize, limit: f64| {
        let ours = cost(Who::XdpNative, fan_out)? - generator?;
        let ratio = ours / (cost(Who::Floor, fan_out)? - generator?);
        let what = format!(
            "{} above the floor at fan-out {fan_out}",
            Who::XdpNative.name()
        );
        Some(Target::new(what, Bound::AtMost, limit, ratio, "x"))
    };
    let targets = [
        times(Who::XdpNative, 1, 7.0),
        times(Who::XdpNative, 8, 6.0),
        times(Who::XdpNative, 16, 6.0),
        times(Who::Tc, 1, 1.5),
        times(Who::Tc, 8, 1.8),
        above_floor(1, 1.5),
        above_floor(8, 1.10),
        above_floor(16, 1.10),
        above_floor(32, 1.10),
        above_floor(64, 1.10),
    ];
    targets.into_iter().flatten().collect()
}

/// One picture a size.
pub fn draw(figures: &[Figure], directory: &Path) -> Result<(), Box<dyn Error>> {
    let mut pictures: BTreeMap<u64, Curves> = BTreeMap::new();
    for figure in figures.iter().filter(|figure| figure.is_valid()) {
        let subject = &figure.subject;
        if let (Some(fan_out), Some(len)) = (subject.number(FAN_OUT), subject.number(FRAME_LEN)) {
            let curves = pictures.entry(len).or_default();
            let curve = curves.entry(subject.contender.clone()).or_default();
            curve.push((fan_out as f64, figure.median));
        }
    }
    for (len, mut curves) in pictures {
        for curve in curves.values_mut() {
            curve.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        let picture = Picture {
            title: &format!("Cost of a packet of {len} octets, one core"),
            x: "copies of a packet",
            y: "ns a packet",
        };
        plot::log_log(
            &directory.join(format!("forwarding-{len}.svg")),
            &picture,
            &curves,
        )?;
    }
    Ok(())
}
