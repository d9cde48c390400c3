//! `igmp-lab`: igmpd at work between real kernel hosts, on one machine, with nothing to set up.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Parser;
use igmp_tests::lab;

/// Run igmpd between a source and receivers in network namespaces, and show who receives what.
///
/// Receivers join and leave channels with ordinary sockets while the source streams them all. At the end a table says
/// what was delivered and lost, how long joins and leaves took, and whether anyone got what they had not asked for; the
/// exit status is 1 if so. Nothing of this machine's own network is touched. Needs root.
#[derive(Parser)]
struct Options {
    /// Receivers, each on a link of its own
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=50))]
    receivers: u8,
    /// Length of the run in seconds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(lab::SHORTEST_RUN.as_secs()..))]
    seconds: u64,
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
    let length = Duration::from_secs(options.seconds);
    if lab::run(options.receivers.into(), length, &interrupted) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
