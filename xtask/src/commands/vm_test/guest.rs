//! What is on board of a virtual machine: busybox, the test binaries and what they call, their libraries, a few modules.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::archive::Kernel;
use super::cpio::Cpio;
use crate::commands::build::{Profile, build};
use crate::workspace::{cargo, find_program};

/// The first process. Its reports are what [`Report`] reads.
const INIT: &str = include_str!("guest/init.sh");
/// Programs of this system that tests call.
const TOOLS: [&str; 2] = ["ip", "ethtool"];
/// Devices that tests make, each after what it depends on, and what TC needs before tcx. What a kernel has built in or lacks
/// is left out.
const MODULES: [&str; 10] = [
    "llc",
    "stp",
    "bridge",
    "veth",
    "tun",
    "sch_ingress",
    "cls_bpf",
    "garp",
    "mrp",
    "8021q",
];

/// A test binary, where it lies on this machine, and its arguments.
pub struct Test {
    binary: PathBuf,
    args: &'static [&'static str],
}

/// What the first process says about the tests.
#[derive(Debug, Eq, PartialEq)]
pub enum Report {
    /// A test binary did not end with success.
    Broken,
    /// All have run.
    Ended,
}

impl Report {
    /// Reads a line of the console.
    pub fn parse(line: &str) -> Option<Self> {
        match line.strip_prefix("vm-test: ")? {
            "broken" => Some(Self::Broken),
            "ended" => Some(Self::Ended),
            _ => None,
        }
    }
}

/// Builds test binaries of igmp-tests whose names match, and puts them below `directory` without debug information.
pub fn build_tests(
    directory: &Path,
    binaries: &str,
    args: &'static [&'static str],
) -> Result<Vec<Test>> {
    let collected = directory.join("tests").join(binaries.trim_end_matches('*'));
    empty(&collected)?;
    // cargo knows where the binaries are, and tells a runner.
    let runner = format!(
        "target.'cfg(all())'.runner = ['cp', '--target-directory={}']",
        collected.display()
    );
    let mut cargo = cargo(["test", "--package", "igmp-tests", "--test", binaries]);
    let status = cargo.arg("--config").arg(runner).status()?;
    if !status.success() {
        bail!("building the tests {binaries} failed");
    }
    let mut tests = Vec::new();
    for binary in files(&collected)? {
        strip(&binary, &binary)?;
        tests.push(Test { binary, args });
    }
    Ok(tests)
}

/// Builds igmpd and igmpctl, and puts them below `directory` without debug information.
pub fn build_programs(directory: &Path) -> Result<Vec<PathBuf>> {
    let built = build(Profile::Dev, &["igmp-userspace"])?;
    let stripped = directory.join("programs");
    empty(&stripped)?;
    ["igmpd", "igmpctl"]
        .iter()
        .map(|name| {
            let program = stripped.join(name);
            strip(&built.join(name), &program)?;
            Ok(program)
        })
        .collect()
}

/// Writes the root file system of the machine.
pub fn write_initramfs(
    path: &Path,
    kernel: &Kernel,
    tests: &[Test],
    programs: &[PathBuf],
) -> Result<()> {
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    let mut root = Cpio::new(BufWriter::new(file));
    for directory in ["proc", "sys", "dev", "run", "tmp", "var"] {
        root.directory(directory)?;
    }
    root.link("var/run", "/run")?;
    root.program("bin/busybox", &fs::read(program("busybox")?)?)?;
    root.program("init", INIT.as_bytes())?;

    let mut binaries = Vec::new();
    let mut script = String::new();
    for Test { binary, args } in tests {
        let name = name(binary)?;
        writeln!(script, "run /tests/{name} --show-output {}", args.join(" "))?;
        root.program(&format!("tests/{name}"), &fs::read(binary)?)?;
        binaries.push(binary.clone());
    }
    root.program("tests.sh", script.as_bytes())?;
    let tools = TOOLS.iter().map(|tool| program(tool));
    for program in programs.iter().cloned().map(Ok).chain(tools) {
        let program = program?;
        root.program(
            &format!("usr/bin/{}", name(&program)?),
            &fs::read(&program)?,
        )?;
        binaries.push(program);
    }
    for library in libraries(&binaries)? {
        root.program(library.trim_start_matches('/'), &fs::read(&library)?)?;
    }
    let mut modules = Vec::new();
    collect_modules(&kernel.modules, &mut modules)?;
    for (number, module) in MODULES.iter().enumerate() {
        if let Some(path) = modules.iter().find(|path| is_module(path, module)) {
            root.program(
                &format!("modules/{number:02}-{module}"),
                &uncompressed(path)?,
            )?;
        }
    }
    Ok(root.finish()?)
}

/// What the dynamic linker says that these binaries load.
fn libraries(binaries: &[PathBuf]) -> Result<BTreeSet<String>> {
    let output = Command::new("ldd")
        .args(binaries)
        .output()
        .context("running ldd")?;
    let output = String::from_utf8(output.stdout)?;
    // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)`, and the linker itself without an arrow. A line that ends
    // with a colon names the binary that the next ones are about.
    Ok(output
        .lines()
        .filter(|line| !line.ends_with(':'))
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(str::to_owned)
        .collect())
}

fn collect_modules(directory: &Path, modules: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect_modules(&entry.path(), modules)?;
        } else {
            modules.push(entry.path());
        }
    }
    Ok(())
}

/// Whether this is the module's file: `veth.ko`, `veth.ko.xz`, `veth.ko.zst`.
fn is_module(path: &Path, module: &str) -> bool {
    let name = path.file_name().and_then(OsStr::to_str);
    name.is_some_and(|name| {
        name.split_once(".ko")
            .is_some_and(|(stem, _)| stem == module)
    })
}

fn uncompressed(path: &Path) -> Result<Vec<u8>> {
    let tool = match path.extension().and_then(OsStr::to_str) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => return Ok(fs::read(path)?),
    };
    let output = Command::new(tool)
        .arg("--decompress")
        .arg("--stdout")
        .arg(path)
        .output()
        .with_context(|| format!("running {tool}"))?;
    if !output.status.success() {
        bail!("{tool}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}

fn strip(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("strip").arg("-o").arg(to).arg(from).status();
    let status = status.context("running strip (package binutils)")?;
    if !status.success() {
        bail!("strip {}: {status}", from.display());
    }
    Ok(())
}

fn program(name: &str) -> Result<PathBuf> {
    find_program(name).with_context(|| format!("there is no {name}"))
}

fn name(path: &Path) -> Result<&str> {
    let name = path.file_name().and_then(OsStr::to_str);
    name.with_context(|| format!("{} is no file", path.display()))
}

/// Makes an empty directory.
fn empty(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))
}

fn files(directory: &Path) -> Result<BTreeSet<PathBuf>> {
    let entries = fs::read_dir(directory)?.map(|entry| Ok(entry?.path()));
    entries.collect()
}
