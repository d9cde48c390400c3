//! Builds the kernel programs: the package igmp-ebpf, for BPF, with the toolchain that was found.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::toolchain::{Core, TARGET, Toolchain};

#[cfg(test)]
mod tests;

/// The two objects that igmpd loads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Objects {
    /// Classifies and replicates, one program for all interfaces.
    pub ingress: PathBuf,
    /// Rewrites each copy, loaded once per output port.
    pub egress: PathBuf,
}

impl Objects {
    /// The objects in `directory`, by the names that the build gives them.
    ///
    /// # Errors
    /// The path of the one that is not there.
    pub fn in_directory(directory: &Path) -> Result<Self, PathBuf> {
        let object = |name| {
            let path = directory.join(name);
            if path.is_file() { Ok(path) } else { Err(path) }
        };
        Ok(Self {
            ingress: object("igmp-ingress")?,
            egress: object("igmp-egress")?,
        })
    }

    /// The objects that [`command`] leaves under `target_dir`.
    ///
    /// # Errors
    /// The path of the one that is not there.
    pub fn built_in(target_dir: &Path) -> Result<Self, PathBuf> {
        Self::in_directory(&target_dir.join(TARGET).join("release"))
    }
}

/// The object with the benchmark's own programs that [`command`] leaves under `target_dir`.
#[must_use]
pub fn benchmark_object(target_dir: &Path) -> PathBuf {
    let directory = target_dir.join(TARGET).join("release");
    directory.join("igmp-bench-programs")
}

/// The cargo command that builds the objects into `target_dir`.
///
/// `target_dir` must not be one that a cargo which waits for this command is using: cargo locks it. `arch` is the
/// architecture of the kernel they will run on, as in `CARGO_CFG_TARGET_ARCH`: it decides the layout of kernel types.
#[must_use]
pub fn command(toolchain: &Toolchain, workspace: &Path, target_dir: &Path, arch: &str) -> Command {
    let compiler = &toolchain.compiler;
    let mut cargo = Command::new(&compiler.cargo);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| !inherits(name)) {
            cargo.env_remove(name);
        }
    }
    let flags = [
        &format!("--cfg=bpf_target_arch=\"{arch}\""),
        // The kernel wants BTF for some map types and for readable verifier logs; it is made from debug information.
        "-Cdebuginfo=2",
        "-Clink-arg=--btf",
        // Headers lie at odd offsets. Both x86_64 and aarch64 load words from there; without this LLVM loads bytes.
        // A bpf-linker built with an LLVM before 22 says that it ignores it.
        "-Clink-arg=--cpu-features=+allows-misaligned-mem-access",
    ];
    cargo
        .current_dir(workspace) // for .cargo/config.toml
        .args([
            "build",
            "--package",
            "igmp-ebpf",
            "--bins",
            "--release",
            "--locked",
            "--target",
            TARGET,
        ])
        .arg("--target-dir")
        .arg(target_dir)
        .env("RUSTC", &compiler.rustc)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env(
            "CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER",
            &toolchain.linker.path,
        );
    match compiler.core {
        Core::BuildStd => cargo.arg("-Zbuild-std=core"),
        // The BPF intrinsics that aya uses are unstable; this is the distribution's stable compiler.
        Core::Shipped => cargo.env("RUSTC_BOOTSTRAP", "1"),
    };
    cargo
}

/// Whether a nested cargo may see this variable.
///
/// cargo sets many for build scripts and for `cargo run`, which describe *that* build: its compiler, wrapper (clippy!),
/// flags, profile, target directory. Those would be obeyed, or would make cargo rebuild from one caller to the next.
/// Where things are (homes, registries, network, terminal) and the jobserver, which shares the cores, stay.
fn inherits(name: &str) -> bool {
    const KEPT: [&str; 7] = [
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_MAKEFLAGS",
        "CARGO_NET_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
        "CARGO_TERM_",
    ];
    const DROPPED: [&str; 5] = ["AYA_", "CARGO", "DEP_", "RUSTC", "RUSTDOC"];
    const DROPPED_NAMES: [&str; 9] = [
        "DEBUG",
        "HOST",
        "NUM_JOBS",
        "OPT_LEVEL",
        "OUT_DIR",
        "PROFILE",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
        "TARGET",
    ];
    let begins = |prefix: &&str| name.starts_with(prefix);
    KEPT.iter().any(&begins) || !(DROPPED.iter().any(begins) || DROPPED_NAMES.contains(&name))
}
