//! `cargo xtask`: the project's own commands. `cargo xtask --help` lists them.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match xtask::commands::Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
