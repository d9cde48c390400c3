//! The command line.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod bench;
mod build;
mod run;
mod setup;
mod test;
mod vm_test;

/// igmpd's own commands. Each installs what it needs the first time it runs.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "\
Start here:
  cargo xtask run                     see it work: a lab of network namespaces on this machine
  cargo xtask run -- --iface eth0     build igmpd and run it on real interfaces
  cargo xtask test                    every test there is
  cargo xtask bench                   what it costs, beside others"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Setup(setup::Setup),
    Build(build::Build),
    Run(run::Run),
    Test(test::Test),
    VmTest(vm_test::VmTest),
    Bench(bench::Bench),
}

impl Cli {
    /// Runs the command that was given; the exit code is what it found (a test that failed), an error that it could
    /// not do its work.
    ///
    /// # Errors
    /// What could not be done, as one chain of causes.
    pub fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Setup(setup) => setup.run(),
            Command::Build(build) => build.run(),
            Command::Run(run) => run.run(),
            Command::Test(test) => test.run(),
            Command::VmTest(test) => test.run(),
            Command::Bench(bench) => bench.run(),
        }
    }
}
