//! `cargo xtask build`: the kernel programs, igmpd and igmpctl.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::setup;
use crate::progress::Progress;
use crate::workspace::{self, find_program, is_root};

/// Build igmpd and igmpctl, with the kernel programs inside
#[derive(Args)]
pub struct Build {
    /// Optimised, as it is installed (target/release); else for development (target/debug)
    #[arg(long)]
    release: bool,
}

impl Build {
    pub fn run(self) -> Result<ExitCode> {
        setup::for_build(&Progress::new(false)?)?;
        let profile = if self.release {
            Profile::Release
        } else {
            Profile::Dev
        };
        let directory = build(profile, &["igmp-userspace"])?;
        println!(
            "{}\n{}",
            directory.join("igmpd").display(),
            directory.join("igmpctl").display()
        );
        Ok(ExitCode::SUCCESS)
    }
}

/// How the binaries are compiled.
#[derive(Clone, Copy)]
pub enum Profile {
    Dev,
    Release,
}

/// Builds the binaries of these packages; returns the directory they are in.
pub fn build(profile: Profile, packages: &[&str]) -> Result<PathBuf> {
    let mut cargo = workspace::cargo(["build", "--bins"]);
    for package in packages {
        cargo.args(["--package", package]);
    }
    let directory = match profile {
        Profile::Dev => "debug",
        Profile::Release => {
            cargo.arg("--release");
            "release"
        }
    };
    let status = cargo.status().context("running cargo")?;
    if !status.success() {
        bail!("the build failed");
    }
    Ok(workspace::target_dir()?.join(directory))
}

/// Tells a program of ours where the binaries are that it starts.
pub fn name_binaries(command: &mut Command, directory: &Path) {
    command
        .env("IGMPD_BIN", directory.join("igmpd"))
        .env("IGMPCTL_BIN", directory.join("igmpctl"));
}

/// The command that runs one of them as root.
pub fn as_root(program: &Path) -> Result<Command> {
    if is_root() {
        return Ok(Command::new(program));
    }
    find_program("sudo").context("this needs root, and there is no sudo here: run it as root")?;
    let mut sudo = Command::new("sudo");
    sudo.arg("--preserve-env").arg(program);
    Ok(sudo)
}
