//! `cargo xtask setup`: finds or installs what the other commands need.

use std::env;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;

use crate::apt::{Apt, as_root};
use crate::ebpf;
use crate::progress::Progress;
use crate::toolchain::{self, Compiler, Toolchain};
use crate::workspace::{self, find_program};

/// The bpf-linker that is installed where there is none, and the LLVM versions it can be built with.
const BPF_LINKER: &str = "0.13.0";
const BPF_LINKER_LLVM: std::ops::RangeInclusive<u32> = 21..=23;

/// Debian's toolchain with `core` for BPF, and the cargo that goes with it.
const DISTRIBUTION_RUST: [&str; 3] = ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];

/// A program that something here calls, and the package it comes in.
#[derive(Clone, Copy)]
struct Tool {
    program: &'static str,
    package: &'static str,
}

const fn tool(program: &'static str, package: &'static str) -> Tool {
    Tool { program, package }
}

/// What the lab calls.
const LAB_TOOLS: [Tool; 2] = [tool("ip", "iproute2"), tool("ethtool", "ethtool")];

/// What the tests call: the same, judges that are not ours, and routers that are not.
const TEST_TOOLS: [Tool; 9] = [
    LAB_TOOLS[0],
    LAB_TOOLS[1],
    tool("tshark", "tshark"),
    tool("bpftool", "bpftool"),
    tool("vtysh", "frr"),
    tool("igmpproxy", "igmpproxy"),
    tool("keepalived", "keepalived"),
    tool("nft", "nftables"),
    tool("openssl", "openssl"),
];

/// What the benchmark calls: the lab's tools, and those that igmpd is compared with.
const BENCHMARK_TOOLS: [Tool; 4] = [
    LAB_TOOLS[0],
    LAB_TOOLS[1],
    tool("smcrouted", "smcroute"),
    tool("igmpproxy", "igmpproxy"),
];

/// What running tests in virtual machines calls.
const VM_TOOLS: [Tool; 6] = [
    LAB_TOOLS[0],
    LAB_TOOLS[1],
    tool("qemu-system-x86_64", "qemu-system-x86"),
    tool("busybox", "busybox-static"),
    tool("xz", "xz-utils"),
    tool("zstd", "zstd"),
];
/// Packages among them whose service would start with the installation and take the multicast routing of the machine;
/// the service has the package's name. The tests start the programs themselves, in namespaces.
const SERVICES: [&str; 4] = ["frr", "igmpproxy", "keepalived", "smcroute"];

/// Find or install what building and testing need
///
/// The kernel programs take a Rust compiler with `core` for BPF, and bpf-linker. Two compilers will do: rustup's
/// nightly with the component rust-src, or a distribution's rustc that ships `core` for BPF (on Debian the packages
/// rustc-web, cargo-web and libstd-rust-web-dev-bpf). What is there already is used as it is; the rest is installed
/// with apt-get (through sudo when not root), rustup and cargo install.
#[derive(Args)]
pub struct Setup {
    /// Also install what the tests call: tshark, bpftool, frr, igmpproxy, keepalived, rustfmt, clippy
    #[arg(long)]
    tests: bool,
    /// Show the output of every step as it comes (else: only when it fails, and in target/xtask/setup.log)
    #[arg(short, long)]
    verbose: bool,
}

impl Setup {
    pub fn run(self) -> Result<ExitCode> {
        let progress = Progress::new(self.verbose)?;
        let toolchain = ensure_toolchain(&progress)?;
        println!("compiler: {}", toolchain.compiler);
        println!("linker: {}", toolchain.linker);
        if self.tests {
            for_kernel_tests(&progress)?;
            for_lint(&progress)?;
            println!("tools of the tests: all there");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What every build needs.
pub fn for_build(progress: &Progress) -> Result<()> {
    ensure_toolchain(progress).map(drop)
}

/// What the lab needs.
pub fn for_lab(progress: &Progress) -> Result<()> {
    ensure_toolchain(progress)?;
    ensure_tools(progress, &LAB_TOOLS)
}

/// What the benchmark needs.
pub fn for_benchmark(progress: &Progress) -> Result<()> {
    ensure_toolchain(progress)?;
    ensure_tools(progress, &BENCHMARK_TOOLS)
}

/// What the tests on real kernels need beyond a build.
pub fn for_kernel_tests(progress: &Progress) -> Result<()> {
    ensure_tools(progress, &TEST_TOOLS)
}

/// What tests in virtual machines need beyond a build.
pub fn for_virtual_machines(progress: &Progress) -> Result<()> {
    ensure_tools(progress, &VM_TOOLS)
}

/// What the floor `lint` needs beyond a build.
pub fn for_lint(progress: &Progress) -> Result<()> {
    ensure_component(progress, "rustfmt", "fmt")?;
    ensure_component(progress, "clippy", "clippy")
}

/// Finds or installs the toolchain, and proves it by building the kernel programs.
fn ensure_toolchain(progress: &Progress) -> Result<Toolchain> {
    let toolchain = match toolchain::survey().choose() {
        Ok(toolchain) => toolchain,
        Err(_) => install_toolchain(progress)?,
    };
    // The build script of igmp-userspace uses the same directory, so nothing is built twice.
    let target_dir = workspace::target_dir()?.join("ebpf");
    let mut build = ebpf::command(
        &toolchain,
        workspace::root(),
        &target_dir,
        env::consts::ARCH,
    );
    let Toolchain { compiler, linker } = &toolchain;
    progress
        .step("building the kernel programs", &mut build)
        .with_context(|| {
            format!("the kernel programs do not build with {compiler} and {linker}")
        })?;
    Ok(toolchain)
}

/// Tries what could complete a toolchain, surest first, until one does.
fn install_toolchain(progress: &Progress) -> Result<Toolchain> {
    let apt = Apt::find(progress);
    let ways: [(&str, &dyn Fn() -> Result<()>); 3] = [
        ("with what is here", &|| Ok(())),
        ("with the distribution's compiler", &|| {
            install_distribution_rust(apt.as_ref())
        }),
        ("with rustup's nightly", &|| install_nightly(progress)),
    ];
    let mut failures = String::new();
    for (way, install_compiler) in ways {
        match install_compiler().and_then(|()| complete_with_linker(progress, apt.as_ref())) {
            Ok(toolchain) => return Ok(toolchain),
            Err(error) => writeln!(failures, "  {way}: {error:#}")?,
        }
    }
    bail!("{}", cannot_build(&failures))
}

/// Gives one of the compilers that are here a linker that can read what it writes.
fn complete_with_linker(progress: &Progress, apt: Option<&Apt>) -> Result<Toolchain> {
    let survey = toolchain::survey();
    if let Ok(toolchain) = survey.choose() {
        return Ok(toolchain);
    }
    let mut failures = Vec::new();
    for compiler in survey.compilers() {
        match install_linker(progress, apt, compiler) {
            Ok(()) => {
                return toolchain::survey()
                    .choose()
                    .map_err(|missing| anyhow!(missing.join("; ")));
            }
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    if failures.is_empty() {
        bail!("there is no compiler for BPF");
    }
    bail!(failures.join("; "))
}

fn install_distribution_rust(apt: Option<&Apt>) -> Result<()> {
    let apt = apt.context("there is no apt-get here")?;
    for package in DISTRIBUTION_RUST {
        if !apt.offers(package)? {
            bail!("this release has no package {package}");
        }
    }
    apt.install(&DISTRIBUTION_RUST)
}

fn install_nightly(progress: &Progress) -> Result<()> {
    find_program("rustup").context("rustup is not installed")?;
    // A machine that cannot reach rustup's server fails in seconds; one that is only slow gets its time.
    let mut rustup = Command::new("timeout");
    rustup.args([
        "600",
        "rustup",
        "toolchain",
        "install",
        "nightly",
        "--profile",
        "minimal",
    ]);
    rustup.args(["--component", "rust-src", "--no-self-update"]);
    progress.step("installing rustup's nightly with rust-src", &mut rustup)
}

/// Builds bpf-linker against an LLVM that reads what `compiler` writes: its own version, or a newer one.
fn install_linker(progress: &Progress, apt: Option<&Apt>, compiler: &Compiler) -> Result<()> {
    let apt = apt.context("there is no apt-get here to install LLVM with")?;
    for llvm in BPF_LINKER_LLVM.filter(|&llvm| llvm >= compiler.llvm) {
        let package = format!("llvm-{llvm}-dev");
        if !apt.offers(&package)? {
            continue;
        }
        // bpf-linker's build links the C++ library that LLVM is written against.
        apt.install(&[&package, "g++", "zlib1g-dev", "libzstd-dev"])?;
        let mut install =
            workspace::cargo(["install", "bpf-linker", "--version", BPF_LINKER, "--locked"]);
        install
            .args([
                "--no-default-features",
                "--features",
                &format!("llvm-{llvm}"),
            ])
            .env("LLVM_PREFIX", format!("/usr/lib/llvm-{llvm}"));
        return progress.step(
            &format!("installing bpf-linker {BPF_LINKER} for LLVM {llvm}"),
            &mut install,
        );
    }
    bail!(
        "bpf-linker {BPF_LINKER} needs LLVM {} or newer; apt has none it knows",
        compiler.llvm
    )
}

fn cannot_build(failures: &str) -> String {
    let missing = toolchain::survey().choose().err().unwrap_or_default();
    format!(
        "the kernel programs cannot be built on this machine\n\
         missing:\n  {}\n\
         tried:\n{failures}\
         to do by hand, one of:\n  \
         apt-get install {}    (Debian 12 or newer)\n  \
         rustup toolchain install nightly --component rust-src\n\
         and:\n  \
         cargo install cargo-binstall && cargo binstall bpf-linker",
        missing.join("\n  "),
        DISTRIBUTION_RUST.join(" ")
    )
}

fn ensure_tools(progress: &Progress, tools: &[Tool]) -> Result<()> {
    let missing = tools
        .iter()
        .filter(|tool| find_program(tool.program).is_none());
    let packages: Vec<&str> = missing.map(|tool| tool.package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    let by_hand = || format!("install these packages: {}", packages.join(" "));
    for service in packages.iter().filter(|name| SERVICES.contains(name)) {
        mask(progress, service)?;
    }
    Apt::find(progress)
        .with_context(by_hand)?
        .install(&packages)
        .with_context(by_hand)
}

/// Keeps systemd from starting the service of a package that is about to be installed, now and at boot. In a
/// container, where no init runs, invoke-rc.d starts nothing anyway.
fn mask(progress: &Progress, service: &str) -> Result<()> {
    // sd_booted(3)
    if !Path::new("/run/systemd/system").exists() {
        return Ok(());
    }
    progress.step(
        &format!("keeping the service {service} off (systemctl unmask {service} undoes it)"),
        as_root("systemctl")?.args(["mask", service]),
    )
}

/// A part of the Rust toolchain that a minimal installation leaves out.
fn ensure_component(progress: &Progress, component: &str, subcommand: &str) -> Result<()> {
    if workspace::cargo([subcommand, "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
    {
        return Ok(());
    }
    let mut add = Command::new("rustup");
    add.args(["component", "add", component]);
    progress.step(&format!("adding {component}"), &mut add)
}
