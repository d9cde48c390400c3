//! Packages of Debian and its kin.

use std::cell::Cell;
use std::process::Command;

use anyhow::{Result, bail};

use crate::progress::Progress;
use crate::workspace::{find_program, is_root};

/// apt-get, with the package lists brought up to date once, before the first answer is taken from them.
pub struct Apt<'a> {
    progress: &'a Progress,
    updated: Cell<bool>,
}

impl<'a> Apt<'a> {
    /// None where there is no apt.
    pub fn find(progress: &'a Progress) -> Option<Self> {
        find_program("apt-get")?;
        Some(Self {
            progress,
            updated: Cell::new(false),
        })
    }

    /// Whether apt could install this package.
    pub fn offers(&self, package: &str) -> Result<bool> {
        self.update()?;
        let policy = Command::new("apt-cache")
            .env("LC_ALL", "C")
            .args(["policy", package])
            .output()?;
        let policy = String::from_utf8_lossy(&policy.stdout);
        let candidate = policy
            .lines()
            .find_map(|line| line.trim().strip_prefix("Candidate: "));
        Ok(candidate.is_some_and(|version| version != "(none)"))
    }

    /// Installs the packages, and never removes another: Debian's rustc-web and its package rustup exclude each other.
    pub fn install(&self, packages: &[&str]) -> Result<()> {
        self.update()?;
        let mut command = apt_get()?;
        command
            .args(["install", "--yes", "--no-install-recommends", "--no-remove"])
            .args(packages);
        self.progress
            .step(&format!("installing {}", packages.join(" ")), &mut command)
    }

    fn update(&self) -> Result<()> {
        if !self.updated.get() {
            self.progress
                .step("updating the package lists", apt_get()?.arg("update"))?;
            self.updated.set(true);
        }
        Ok(())
    }
}

/// apt-get as root, asking nothing and waiting for another apt to finish.
fn apt_get() -> Result<Command> {
    let mut command = as_root("env")?;
    command.args([
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-o",
        "DPkg::Lock::Timeout=300",
    ]);
    Ok(command)
}

/// A command that runs as root, through sudo when this process does not.
pub fn as_root(program: &str) -> Result<Command> {
    if is_root() {
        return Ok(Command::new(program));
    }
    if find_program("sudo").is_none() {
        bail!("installing packages takes root, and there is no sudo here");
    }
    let mut sudo = Command::new("sudo");
    sudo.arg(program);
    Ok(sudo)
}
