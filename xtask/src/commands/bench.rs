//! `cargo xtask bench`: igmpd beside what else forwards multicast on this kernel.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use super::build::{Profile, as_root, build, name_binaries};
use super::setup;
use crate::ebpf;
use crate::progress::Progress;
use crate::workspace::{root, target_dir};

/// Measure igmpd beside the kernel's multicast router, its bridge, and the least that forwarding can cost
///
/// Builds for release, and measures in network namespaces; this machine's own network is not touched. Prints tables and
/// writes target/bench/report.json, with pictures beside it. docs/performance.md says how to read them. The exit status
/// is 0 when the run was valid: every copy arrived that was counted on. Needs root, and calls sudo when it is not.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask bench                                 everything
  cargo xtask bench --quick                         less of it, in under two minutes
  cargo xtask bench forwarding --rounds 9           one group, more often
  cargo xtask bench --compare older/report.json     beside an older report")]
pub struct Bench {
    /// What to measure; none: all
    #[arg(value_enum, value_name = "GROUP")]
    groups: Vec<Group>,
    /// Measure less, in under two minutes
    #[arg(long)]
    quick: bool,
    /// How often everyone is measured [default: 5, with --quick 3]
    #[arg(long, value_name = "N")]
    rounds: Option<u16>,
    /// The core that forwards [default: the last one]
    #[arg(long, value_name = "N")]
    cpu: Option<usize>,
    /// Compare with this report
    #[arg(long, value_name = "REPORT")]
    compare: Option<PathBuf>,
    /// Fail when a target is missed
    #[arg(long)]
    check: bool,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Group {
    /// Cost of a packet and of a copy, by fan-out and size, beside the kernel's router, its bridge, and the floor
    Forwarding,
    /// Cost of a packet by flows and by outputs, and memory
    Scale,
    /// Latency of joins and leaves on the wire, idle and under load, beside igmpproxy
    Join,
    /// Reports a second, start and reload with thousands of static groups
    Control,
}

impl Bench {
    pub fn run(self) -> Result<ExitCode> {
        let progress = Progress::new(false)?;
        setup::for_benchmark(&progress)?;
        let directory = build(Profile::Release, &["igmp-userspace", "igmp-tests"])?;
        let mut command = as_root(&directory.join("igmp-bench"))?;
        name_binaries(&mut command, &directory);
        command
            .env(
                "IGMP_BENCH_PROGRAMS",
                ebpf::benchmark_object(&target_dir()?.join("ebpf")),
            )
            .arg("--output")
            .arg(target_dir()?.join("bench"))
            .arg("--commit")
            .arg(commit())
            .args(self.flags());
        // Waited for, not replaced by it: what it starts must not see the end of this process as its own.
        let status = command
            .status()
            .with_context(|| format!("running {}", command.get_program().display()))?;
        Ok(if status.success() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    fn flags(self) -> Vec<OsString> {
        let mut flags: Vec<OsString> = Vec::new();
        for group in self.groups {
            let value = group.to_possible_value().expect("no group is hidden");
            flags.push(value.get_name().into());
        }
        let mut option = |name: &str, value: Option<OsString>| {
            flags.extend(value.into_iter().flat_map(|value| [name.into(), value]));
        };
        option(
            "--rounds",
            self.rounds.map(|rounds| rounds.to_string().into()),
        );
        option("--cpu", self.cpu.map(|cpu| cpu.to_string().into()));
        option("--compare", self.compare.map(Into::into));
        for (name, is_set) in [("--quick", self.quick), ("--check", self.check)] {
            flags.extend(is_set.then(|| name.into()));
        }
        flags
    }
}

/// What is measured, as git calls it.
fn commit() -> String {
    let described = Command::new("git")
        .current_dir(root())
        .args(["describe", "--always", "--dirty=+changes", "--exclude=*"])
        .output();
    let described =
        described.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    described
        .ok()
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "unknown".into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        bench: Bench,
    }

    #[test]
    fn flags_reach_the_benchmark_as_they_were_given() {
        let line = [
            "bench",
            "forwarding",
            "--quick",
            "--rounds",
            "9",
            "--compare",
            "a b.json",
        ];
        let flags = Line::parse_from(line).bench.flags();
        assert_eq!(
            flags,
            [
                "forwarding",
                "--rounds",
                "9",
                "--compare",
                "a b.json",
                "--quick"
            ]
        );
        assert!(Line::parse_from(["bench"]).bench.flags().is_empty());
    }
}
