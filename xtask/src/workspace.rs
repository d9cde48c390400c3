//! This workspace: where it lies, and cargo run in it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, os::unix::fs::MetadataExt as _};

use anyhow::{Context as _, Result};

/// The workspace's root directory.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
}

/// The target directory in use: cargo put this executable into a profile's directory there.
pub fn target_dir() -> Result<PathBuf> {
    let this = env::current_exe().context("finding the target directory")?;
    let target = this
        .ancestors()
        .nth(2)
        .context("finding the target directory")?;
    Ok(target.to_owned())
}

/// A cargo command in the workspace, by the cargo that runs this.
pub fn cargo<const N: usize>(args: [&str; N]) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args(args);
    // `cargo run` describes this package to us; what we start is another one.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        }) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Whether this process may do everything: effective user 0.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// The first executable of this name in `PATH` or where system tools live (often missing from a user's `PATH`).
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(system)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}
