//! `igmp-bench`: what igmpd costs, beside others.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use igmp_tests::bench::{self, Group, Outcome};

/// Measure igmpd beside the kernel's multicast router, its bridge, and the least that forwarding can cost.
///
/// Everything runs in network namespaces; nothing of this machine's own network is touched. Needs root. The exit status
/// is 1 when a figure is invalid because copies did not arrive.
#[derive(Parser)]
struct Options {
    /// What to measure; none: all
    #[arg(value_enum, value_name = "GROUP")]
    groups: Vec<Group>,
    /// Measure less, in under two minutes
    #[arg(long)]
    quick: bool,
    /// How often everyone is measured
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// The core that forwards; else the last one
    #[arg(long, value_name = "N")]
    cpu: Option<usize>,
    /// Compare with this report
    #[arg(long, value_name = "REPORT")]
    compare: Option<PathBuf>,
    /// Fail when a target is missed
    #[arg(long)]
    check: bool,
    /// Where the report and the pictures go
    #[arg(long, value_name = "DIRECTORY", default_value = "target/bench")]
    output: PathBuf,
    /// What the report calls the code
    #[arg(long, default_value = "unknown")]
    commit: String,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        if let Err(error) = signal_hook::flag::register(signal, Arc::clone(&interrupted)) {
            eprintln!("cannot handle signal {signal}: {error}");
            return ExitCode::FAILURE;
        }
    }
    let outcome = bench::run(
        &bench::Options {
            groups: options.groups,
            rounds: options.rounds.map(usize::from),
            quick: options.quick,
            cpu: options.cpu,
            compare: options.compare,
            output: options.output,
            commit: options.commit,
        },
        &interrupted,
    );
    match outcome {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::TargetsMissed) if !options.check => ExitCode::SUCCESS,
        Ok(Outcome::TargetsMissed | Outcome::Invalid | Outcome::Interrupted) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
