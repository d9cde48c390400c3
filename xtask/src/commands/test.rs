//! `cargo xtask test`: the tests, floor by floor.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use super::build::{Profile, build, name_binaries};
use super::setup;
use crate::lint;
use crate::progress::Progress;
use crate::tally::{Reader, Tally};
use crate::workspace::{cargo, find_program, is_root};

/// Run the tests: all of them, or the floors that are named
///
/// The last line is `N passed, N failed, N skipped` over all floors; the exit status is 0 only when nothing failed. A
/// floor in which no test ran counts as failed, and a test that cannot judge on this machine says why and counts as
/// skipped. The floors packet and e2e need root, and call sudo when they are not.
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
}

impl Test {
    pub fn run(self) -> Result<ExitCode> {
        let progress = Progress::new(false)?;
        setup::for_build(&progress)?;
        let floors = if self.floors.is_empty() {
            Floor::value_variants()
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
                "{name:8} {tally} ({:.0} s)",
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
            Self::Packet => in_the_kernel(progress, "packet*", None, args),
            Self::E2e => in_the_kernel(progress, "e2e*", None, args),
            Self::E2eTc => in_the_kernel(progress, "e2e*", Some("tc"), args),
        }
    }
}

/// Runs the test binaries of igmp-tests whose names match, as root.
///
/// `mode` is how igmpd handles packets in them; `None` leaves that to the environment, or to igmpd.
fn in_the_kernel(
    progress: &Progress,
    binaries: &str,
    mode: Option<&str>,
    args: &[OsString],
) -> Result<Tally> {
    setup::for_kernel_tests(progress)?;
    let directory = build(Profile::Dev, &["igmp-userspace", "igmp-tests"])?;
    let mut cargo = cargo(["test", "--package", "igmp-tests", "--test", binaries]);
    name_binaries(&mut cargo, &directory);
    cargo.envs(mode.map(|mode| ("IGMPD_MODE", mode)));
    if !is_root() {
        let sudo = find_program("sudo")
            .context("these tests need root, and there is no sudo here: run them as root")?;
        // cargo builds as this user; only the test binaries run as root.
        cargo.arg("--config").arg(runner(&sudo));
    }
    run_tests(cargo, &[], args)
}

fn runner(sudo: &Path) -> String {
    format!(
        "target.'cfg(all())'.runner = ['{}', '--preserve-env']",
        sudo.display()
    )
}

/// Runs `cargo test`, passing its output on, and counts.
fn run_tests(mut cargo: Command, own: &[&str], args: &[OsString]) -> Result<Tally> {
    cargo
        .args(["--no-fail-fast", "--", "--show-output"])
        .args(own)
        .args(args)
        .stdout(Stdio::piped());
    let mut child = cargo.spawn().context("running cargo test")?;
    let mut output = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
    let mut reader = Reader::default();
    let mut line = Vec::new();
    // Bytes, not strings: a failing test may print anything.
    while output
        .read_until(b'\n', &mut line)
        .context("reading the output of cargo test")?
        > 0
    {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches('\n');
        if reader.line(text) {
            println!("{text}");
        }
        line.clear();
    }
    let status = child.wait().context("waiting for cargo test")?;
    let mut tally = reader.tally();
    if !status.success() && tally.failed == 0 {
        // It did not compile, or a test binary died before it could say how many failed.
        eprintln!("error: cargo test: {status}");
        tally.failed = 1;
    }
    Ok(tally)
}
