//! `cargo xtask test`: the tests, floor by floor.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write, stdout};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

mod binaries;

use super::build::{Profile, build, name_binaries};
use super::setup;
use crate::lint;
use crate::progress::Progress;
use crate::tally::{Reader, Tally};
use crate::workspace::cargo;

/// Run the tests: all floors but e2e-generic, or those that are named
///
/// The last line is `N passed, N failed, N skipped` over all floors; the exit status is 0 only when nothing failed. A
/// floor in which no test ran counts as failed, and a test that cannot judge on this machine says why and counts as
/// skipped. A few tests of the floors packet and e2e that fail beside others are run once more, alone; those that pass
/// then are named and counted as flaky. These floors need root, and call sudo when they are not.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask test                     everything
  cargo xtask test lint unit           two floors
  cargo xtask test e2e -- leave        of one floor, the tests with `leave` in their name")]
pub struct Test {
    /// Which floors to run; none: all
    #[arg(value_enum, value_name = "FLOOR")]
    floors: Vec<Floor>,
    /// Given to every test binary: a filter (of several, any may match), --nocapture, --test-threads N ...
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<OsString>,
}

/// A kind of test; the higher, the more of the real world takes part.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Floor {
    /// Format, clippy, documentation, the rules of this repository
    Lint,
    /// Functions and modules, in microseconds
    Unit,
    /// The pure core on virtual time, against a model or the RFC's tables
    Model,
    /// Mutated input for everything that reads bytes from the network
    Fuzz,
    /// Single packets through the kernel programs
    Packet,
    /// The real igmpd between real kernel hosts in network namespaces; IGMPD_MODE says how it handles packets
    E2e,
    /// The same with IGMPD_MODE=tc
    E2eTc,
    /// The same with IGMPD_MODE=xdp-generic; only where it is named
    E2eGeneric,
}

/// The floors that run when none is named.
const DEFAULT: [Floor; 7] = [
    Floor::Lint,
    Floor::Unit,
    Floor::Model,
    Floor::Fuzz,
    Floor::Packet,
    Floor::E2e,
    Floor::E2eTc,
];
/// What is in the names of the test binaries that IGMPD_MODE changes nothing of.
const ONCE: &str = "_once_";

impl Test {
    pub fn run(self) -> Result<ExitCode> {
        let progress = Progress::new(false)?;
        setup::for_build(&progress)?;
        let floors = if self.floors.is_empty() {
            &DEFAULT[..]
        } else {
            &self.floors
        };
        let mut sum = Tally::default();
        let mut summary = Vec::new();
        for floor in floors {
            let name = floor
                .to_possible_value()
                .expect("no floor is hidden")
                .get_name()
                .to_owned();
            eprintln!("== {name}");
            let started = Instant::now();
            let mut tally = floor.run(&progress, &self.args).unwrap_or_else(|error| {
                eprintln!("error: {error:#}");
                Tally {
                    failed: 1,
                    ..Tally::default()
                }
            });
            if tally.ran() == 0 {
                eprintln!("error: no test ran on the floor {name}");
                tally.failed = 1;
            }
            summary.push(format!(
                "{name:11} {tally} ({:.0} s)",
                started.elapsed().as_secs_f32()
            ));
            sum += tally;
        }
        println!("\n{}\n{sum}", summary.join("\n"));
        Ok(if sum.failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

impl Floor {
    fn run(self, progress: &Progress, args: &[OsString]) -> Result<Tally> {
        // Unit and model tests stand side by side in the libraries and differ by their path: the same text divides
        // them, so that each runs on exactly one floor.
        const MODEL: &str = "::model";
        let libraries = || {
            cargo([
                "test",
                "--lib",
                "--package",
                "igmp-common",
                "--package",
                "igmp-userspace",
                "--package",
                "igmp-tests",
                "--package",
                "xtask",
            ])
        };
        match self {
            Self::Lint => {
                setup::for_lint(progress)?;
                lint::run()
            }
            Self::Unit => run_tests(libraries(), &["--skip", MODEL], args),
            Self::Model => run_tests(libraries(), &[MODEL], args),
            Self::Fuzz => run_tests(cargo(["test", "--package", "igmp-fuzz"]), &[], args),
            Self::Packet => in_the_kernel(progress, "packet_", None, args),
            Self::E2e => in_the_kernel(progress, "e2e_", None, args),
            Self::E2eTc => in_the_kernel(progress, "e2e_", Some("tc"), args),
            Self::E2eGeneric => in_the_kernel(progress, "e2e_", Some("xdp-generic"), args),
        }
    }
}

/// Runs the test binaries of igmp-tests whose names begin with `prefix`, as root.
///
/// `mode` is how igmpd handles packets in them; `None` leaves that to the environment, or to igmpd. Another mode changes
/// nothing of what has [`ONCE`] in its name.
fn in_the_kernel(
    progress: &Progress,
    prefix: &str,
    mode: Option<&str>,
    args: &[OsString],
) -> Result<Tally> {
    setup::for_kernel_tests(progress)?;
    let directory = build(Profile::Dev, &["igmp-userspace", "igmp-tests"])?;
    let prepare = |command: &mut Command| {
        name_binaries(command, &directory);
        command.envs(mode.map(|mode| ("IGMPD_MODE", mode)));
    };
    binaries::run(prefix, mode.map(|_| ONCE), &prepare, args)
}

/// Runs `cargo test` and counts.
fn run_tests(mut cargo: Command, own: &[&str], args: &[OsString]) -> Result<Tally> {
    cargo
        .args(["--no-fail-fast", "--", "--show-output"])
        .args(own)
        .args(args);
    Ok(judge(cargo, &mut stdout())?.tally())
}

/// Runs tests, passes on what of their output is worth showing, and counts.
fn judge(mut tests: Command, shown: &mut dyn Write) -> Result<Reader> {
    let program = tests.get_program().to_owned();
    let program = program.display();
    tests.stdout(Stdio::piped());
    let mut child = tests
        .spawn()
        .with_context(|| format!("running {program}"))?;
    let mut output = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
    let mut reader = Reader::default();
    let mut line = Vec::new();
    // Bytes, not strings: a failing test may print anything.
    while output
        .read_until(b'\n', &mut line)
        .with_context(|| format!("reading the output of {program}"))?
        > 0
    {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches('\n');
        if reader.line(text) {
            writeln!(shown, "{text}")?;
        }
        line.clear();
    }
    let status = child
        .wait()
        .with_context(|| format!("waiting for {program}"))?;
    if !status.success() && reader.tally().failed == 0 {
        // It did not compile, or a test binary died before it could say how many failed.
        eprintln!("error: {program}: {status}");
        reader.died();
    }
    Ok(reader)
}
