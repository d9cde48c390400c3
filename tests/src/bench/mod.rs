//! The benchmark: igmpd beside what else forwards multicast on this kernel, and beside the least that it could cost.
//!
//! Contenders work at the same time, each on a site of its own, and are measured in turn, round after round. Nothing of
//! this machine's own network is touched. `docs/performance.md` says what the figures mean.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "nanoseconds and counts as the floating-point numbers that statistics are made of"
)]

mod contenders;
mod control;
mod forwarding;
mod join;
mod load;
mod machine;
mod memory;
mod plot;
mod programs;
mod report;
mod scale;
mod site;
mod softirq;
mod table;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::ValueEnum;

use machine::Machine;
use report::{Figure, Report, SCHEMA, Target};
use softirq::SoftirqThread;

/// What can be measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Group {
    /// Cost of a packet and of a copy, by fan-out and size, beside the kernel's router, its bridge, and the floor
    Forwarding,
    /// Cost of a packet by flows and by outputs, and memory
    Scale,
    /// Latency of joins and leaves on the wire, idle and under load, beside igmpproxy
    Join,
    /// Reports a second, start and reload with thousands of static groups
    Control,
}

/// What is measured, and how.
pub struct Options {
    /// None: all.
    pub groups: Vec<Group>,
    /// How often everyone is measured; `None` = as often as it takes for a figure.
    pub rounds: Option<usize>,
    /// A short run, for developers.
    pub quick: bool,
    /// The core that forwards; `None` = the last one.
    pub cpu: Option<usize>,
    /// A report to compare with.
    pub compare: Option<PathBuf>,
    /// Directory for the report and the pictures.
    pub output: PathBuf,
    /// The code that is measured.
    pub commit: String,
}

/// A run in progress.
struct Run<'a> {
    cpu: usize,
    rounds: usize,
    /// Bursts a round.
    bursts: u32,
    quick: bool,
    started: Instant,
    interrupted: &'a AtomicBool,
}

impl Run<'_> {
    /// Says what is being done; `None` = nobody wants it any more.
    fn say(&self, what: &str) -> Option<()> {
        eprintln!("[{:4.0} s] {what}", self.started.elapsed().as_secs_f32());
        (!self.interrupted.load(Ordering::Relaxed)).then_some(())
    }

    fn choose<'b, T>(&self, whole: &'b [T], quick: &'b [T]) -> &'b [T] {
        if self.quick { quick } else { whole }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Every figure means something, and all that must hold does.
    Good,
    /// Every figure means something.
    TargetsMissed,
    /// Some figures mean nothing.
    Invalid,
    /// It was interrupted.
    Interrupted,
}

/// Measures, prints what was found, and writes it down.
///
/// # Errors
/// A report cannot be read or written.
///
/// # Panics
/// When a contender cannot be set up.
pub fn run(options: &Options, interrupted: &AtomicBool) -> Result<Outcome, Box<dyn Error>> {
    let before = options.compare.as_deref().map(read).transpose()?;
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    let run = Run {
        cpu: options.cpu.unwrap_or(cores - 1),
        rounds: options.rounds.unwrap_or(if options.quick { 3 } else { 5 }),
        bursts: if options.quick { 2 } else { 6 },
        quick: options.quick,
        started: Instant::now(),
        interrupted,
    };
    if !SoftirqThread::of(run.cpu).is_visible() {
        eprintln!(
            "ksoftirqd/{} is out of sight: what it does is not counted",
            run.cpu
        );
    }
    let mut report = Report {
        schema: SCHEMA,
        machine: Machine::this(&options.commit, run.cpu),
        quick: options.quick,
        figures: Vec::new(),
        targets: Vec::new(),
    };
    fs::create_dir_all(&options.output)?;
    let all = Group::value_variants();
    let groups = if options.groups.is_empty() {
        all
    } else {
        &options.groups
    };
    for group in groups {
        let Some((figures, targets)) = group.run(&run) else {
            return Ok(Outcome::Interrupted);
        };
        println!("\n{}\n", table::figures(group.name(), &figures));
        group.draw(&figures, &options.output)?;
        report.figures.extend(figures);
        report.targets.extend(targets);
    }
    println!("{}", table::targets(&report.targets));
    if let Some(before) = before {
        println!("\n{}", table::comparison(&before, &report));
    }
    let file = options.output.join("report.json");
    fs::write(&file, serde_json::to_string_pretty(&report)?)?;
    println!("\n{} and pictures beside it", file.display());
    Ok(if !report.figures.iter().all(Figure::is_valid) {
        Outcome::Invalid
    } else if !report.targets.iter().all(|target| target.met) {
        Outcome::TargetsMissed
    } else {
        Outcome::Good
    })
}

impl Group {
    fn name(self) -> &'static str {
        match self {
            Self::Forwarding => forwarding::GROUP,
            Self::Scale => scale::GROUP,
            Self::Join => join::GROUP,
            Self::Control => control::GROUP,
        }
    }

    fn run(self, run: &Run) -> Option<(Vec<Figure>, Vec<Target>)> {
        match self {
            Self::Forwarding => {
                let figures = forwarding::run(run)?;
                let targets = forwarding::targets(&figures);
                Some((figures, targets))
            }
            Self::Scale => {
                let figures = scale::run(run)?;
                let targets = scale::targets(&figures);
                Some((figures, targets))
            }
            Self::Join => {
                let figures = join::run(run)?;
                let targets = join::targets(&figures);
                Some((figures, targets))
            }
            Self::Control => {
                let figures = control::run(run)?;
                let targets = control::targets(&figures);
                Some((figures, targets))
            }
        }
    }

    fn draw(self, figures: &[Figure], directory: &Path) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Forwarding => forwarding::draw(figures, directory),
            Self::Scale => scale::draw(figures, directory),
            Self::Join => join::draw(figures, directory),
            Self::Control => Ok(()),
        }
    }
}

fn read(file: &Path) -> Result<Report, Box<dyn Error>> {
    let report: Report = serde_json::from_slice(&fs::read(file)?)
        .map_err(|error| format!("{}: {error}", file.display()))?;
    if report.schema != SCHEMA {
        return Err(format!(
            "{}: schema {}, this is {SCHEMA}",
            file.display(),
            report.schema
        )
        .into());
    }
    Ok(report)
}
