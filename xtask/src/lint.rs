//! The floor `lint`: what can be judged without running the product.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::tally::Tally;
use crate::tidy;
use crate::workspace::{self, cargo};

/// Runs every check, also after one fails; each counts as one test.
pub fn run() -> Result<Tally> {
    let mut tally = Tally::default();
    for (name, mut command) in commands() {
        eprintln!("lint: {name}");
        let passed = command
            .status()
            .with_context(|| format!("running cargo for {name}"))?
            .success();
        count(&mut tally, name, passed);
    }
    eprintln!("lint: tidy");
    let report = tidy::check(workspace::root()).context("reading the sources")?;
    for warning in &report.warnings {
        eprintln!("warning: {warning}");
    }
    for error in &report.errors {
        eprintln!("error: {error}");
    }
    count(&mut tally, "tidy", report.errors.is_empty());
    Ok(tally)
}

fn count(tally: &mut Tally, name: &str, passed: bool) {
    if passed {
        tally.passed += 1;
    } else {
        eprintln!("lint: {name} FAILED");
        tally.failed += 1;
    }
}

fn commands() -> [(&'static str, Command); 6] {
    // The kernel programs have no unwinder, on the host no more than in the kernel: they are checked there for want of
    // a clippy that has `core` for BPF.
    let kernel = |mut cargo: Command| {
        cargo.env("CARGO_PROFILE_DEV_PANIC", "abort");
        cargo
    };
    let strict = |mut cargo: Command| {
        cargo.env("RUSTDOCFLAGS", "-Dwarnings");
        cargo
    };
    [
        ("format", cargo(["fmt", "--all", "--check"])),
        (
            "clippy",
            cargo([
                "clippy",
                "--workspace",
                "--exclude",
                "igmp-ebpf",
                "--all-targets",
                "--",
                "-Dwarnings",
            ]),
        ),
        (
            "clippy of the kernel programs",
            kernel(cargo([
                "clippy",
                "--package",
                "igmp-ebpf",
                "--",
                "-Dwarnings",
            ])),
        ),
        (
            "documentation",
            strict(cargo([
                "doc",
                "--workspace",
                "--exclude",
                "igmp-ebpf",
                "--no-deps",
            ])),
        ),
        (
            "documentation of the kernel programs",
            strict(kernel(cargo([
                "doc",
                "--package",
                "igmp-ebpf",
                "--no-deps",
                "--document-private-items",
            ]))),
        ),
        (
            "the pure core alone",
            cargo([
                "check",
                "--package",
                "igmp-userspace",
                "--lib",
                "--no-default-features",
            ]),
        ),
    ]
}
