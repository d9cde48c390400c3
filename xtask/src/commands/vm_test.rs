//! `cargo xtask vm-test`: the kernel programs on other kernels, each in a virtual machine.

mod archive;
mod cpio;
mod guest;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};

use self::archive::Kernel;
use super::setup;
use crate::progress::Progress;
use crate::tally::{Reader, Tally};
use crate::workspace;

/// A machine that hangs is given up.
const TIME_LIMIT_S: &str = "1800";

/// The console is the tests'; a panic is still shown, and ends the machine. Before 5.19 each replication set waits for an
/// RCU grace period of its own, and emulated ones are long.
const KERNEL_ARGS: &str = "console=ttyS0 quiet loglevel=1 panic=-1 rcupdate.rcu_expedited=1";

/// Run tests on other kernels, in virtual machines
///
/// Downloads kernels from the archives of Debian and Ubuntu, without installing them, and boots each in QEMU (which needs
/// no KVM) with the test binaries and nothing else on board. No root needed. All of it stays in target/vm.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask vm-test                                   the oldest kernel promised, Debian's, the newest there is
  cargo xtask vm-test --kernel 6.8 packet               the newest 6.8 of the archives, packet tests only
  cargo xtask vm-test --kernel linux-image-5.15.0-25-generic
  cargo xtask vm-test --kernel ~/my-kernel              with boot/vmlinuz-* and lib/modules, as dpkg-deb -x leaves it")]
pub struct VmTest {
    /// A version, `newest`, a package, or a directory; may be given many times
    #[arg(long = "kernel", value_name = "KERNEL", default_values = ["5.15", "6.1", "newest"])]
    kernels: Vec<String>,
    /// Which floors to run; none: all of these
    #[arg(value_enum, value_name = "FLOOR")]
    floors: Vec<Floor>,
}

/// A selection of the tests of a floor that needs little from the system around it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Floor {
    /// Single packets through the kernel programs: all of this floor
    Packet,
    /// igmpd on veths between real hosts: a join and a stream, VLAN devices, and what the kernel says about devices
    E2e,
}

impl Floor {
    /// Names of test binaries, with the arguments for each.
    const fn tests(self) -> &'static [(&'static str, &'static [&'static str])] {
        match self {
            Self::Packet => &[("packet_*", &[])],
            Self::E2e => &[
                (
                    "e2e_membership",
                    &[
                        "--exact",
                        "a_stream_reaches_the_hosts_that_joined_and_no_other",
                    ],
                ),
                ("e2e_devices", &[]),
                (
                    "e2e_vlan",
                    &[
                        "--exact",
                        "a_vlan_device_s_frames_are_handled_on_the_device_below_it",
                    ],
                ),
            ],
        }
    }
}

impl VmTest {
    pub fn run(self) -> Result<ExitCode> {
        if std::env::consts::ARCH != "x86_64" {
            bail!("vm-test knows kernels for x86_64 only: the guest runs this machine's binaries");
        }
        let progress = Progress::new(false)?;
        setup::for_build(&progress)?;
        setup::for_virtual_machines(&progress)?;
        let floors = if self.floors.is_empty() {
            Floor::value_variants()
        } else {
            &self.floors
        };
        let directory = workspace::target_dir()?.join("vm");
        let mut tests = Vec::new();
        for floor in floors {
            for (binaries, args) in floor.tests() {
                tests.extend(guest::build_tests(&directory, binaries, args)?);
            }
        }
        let programs = guest::build_programs(&directory)?;
        let mut sum = Tally::default();
        let mut summary = Vec::new();
        for kernel in &self.kernels {
            let started = Instant::now();
            let kernel = archive::obtain(&directory, kernel, &progress)
                .with_context(|| format!("getting the kernel {kernel}"))?;
            eprintln!("== Linux {}", kernel.release);
            let initramfs = directory.join("initramfs.cpio");
            guest::write_initramfs(&initramfs, &kernel, &tests, &programs)?;
            let tally = boot(&kernel, &initramfs)?;
            let seconds = started.elapsed().as_secs_f32();
            summary.push(format!("{:28} {tally} ({seconds:.0} s)", kernel.release));
            sum += tally;
        }
        println!("\n{}\n{sum}", summary.join("\n"));
        Ok(if sum.failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// Boots the kernel, passes on what the tests say, and counts.
fn boot(kernel: &Kernel, initramfs: &Path) -> Result<Tally> {
    let mut qemu = Command::new("timeout");
    qemu.args([TIME_LIMIT_S, "qemu-system-x86_64"])
        // Emulated: it works everywhere, also in a virtual machine whose /dev/kvm is there and does not.
        .args(["-accel", "tcg", "-cpu", "max"])
        .args(["-smp", "2", "-m", "3072", "-no-reboot", "-nodefaults"])
        .args(["-display", "none", "-serial", "stdio"])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initramfs)
        .args(["-append", KERNEL_ARGS])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut machine = qemu.spawn().context("starting QEMU")?;
    let mut console = BufReader::new(machine.stdout.take().expect("standard output is a pipe"));
    let mut reader = Reader::default();
    let (mut broken, mut ended) = (0, false);
    let mut line = Vec::new();
    while console.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        match guest::Report::parse(text) {
            Some(guest::Report::Ended) => ended = true,
            Some(guest::Report::Broken) => broken += 1,
            None if reader.line(text) => println!("{text}"),
            None => {}
        }
        line.clear();
    }
    machine.wait().context("waiting for QEMU")?;
    let mut tally = reader.tally();
    if !ended {
        eprintln!("error: the machine stopped before the tests were over");
        tally.failed += 1;
    } else if tally.failed == 0 && broken > 0 {
        eprintln!("error: {broken} test binaries died before they could say how many tests failed");
        tally.failed = broken;
    }
    if tally.ran() == 0 {
        eprintln!("error: no test ran");
        tally.failed = 1;
    }
    Ok(tally)
}
