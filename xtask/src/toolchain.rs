//! Finds a compiler and a linker for the kernel programs.
//!
//! Rust ships no compiled `core` for the BPF targets, so an ordinary stable toolchain cannot build them. Two can:
//!
//! 1. rustup's nightly with the component rust-src: cargo compiles `core` itself (`-Z build-std=core`);
//! 2. a distribution's rustc that comes with `core` for BPF compiled, as Debian's `libstd-rust-web-dev-bpf` does.
//!
//! Either needs `bpf-linker`. Nothing is installed here: that is `cargo xtask setup`.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[cfg(test)]
mod tests;

/// The target every kernel program is built for: little-endian BPF.
pub const TARGET: &str = "bpfel-unknown-none";

/// Where a compiler takes `core` for BPF from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Core {
    /// cargo builds it from rustup's rust-src.
    BuildStd,
    /// It lies compiled in the compiler's sysroot.
    Shipped,
}

/// A rustc that can compile for BPF, with the cargo that belongs to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Compiler {
    /// Where `core` comes from.
    pub core: Core,
    /// The rustc itself, not a rustup proxy.
    pub rustc: PathBuf,
    /// The cargo beside it.
    pub cargo: PathBuf,
    /// As rustc tells it: `1.96.0`, `1.97.0-nightly`.
    pub release: String,
    /// Major version of the LLVM inside. The linker's must not be older: it reads this compiler's bitcode.
    pub llvm: u32,
}

/// A bpf-linker that runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Linker {
    /// The executable.
    pub path: PathBuf,
    /// Its first line of `--version`: `bpf-linker 0.13.0`.
    pub version: String,
    /// Major version of the libLLVM it loads; none when LLVM is inside it, which it does not tell.
    pub llvm: Option<u32>,
}

impl Linker {
    /// Whether it can read what the compiler writes. An older LLVM fails on it with "Invalid record".
    fn reads(&self, compiler: &Compiler) -> bool {
        self.llvm.is_none_or(|llvm| llvm >= compiler.llvm)
    }
}

/// All that building the kernel programs takes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Toolchain {
    /// What compiles.
    pub compiler: Compiler,
    /// What links.
    pub linker: Linker,
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = match self.core {
            Core::BuildStd => "core built from rust-src",
            Core::Shipped => "core for BPF shipped with it",
        };
        let Self {
            release,
            rustc,
            llvm,
            ..
        } = self;
        write!(
            f,
            "rustc {release} ({}, {core}, LLVM {llvm})",
            rustc.display()
        )
    }
}

impl fmt::Display for Linker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.version, self.path.display())?;
        match self.llvm {
            Some(llvm) => write!(f, ", LLVM {llvm})"),
            None => write!(f, ")"),
        }
    }
}

/// What this machine has, part by part; a part that is missing says why.
#[derive(Debug)]
pub struct Survey {
    /// rustup's nightly with rust-src.
    pub nightly: Result<Compiler, String>,
    /// A distribution's rustc with `core` for BPF.
    pub distribution: Result<Compiler, String>,
    /// bpf-linker.
    pub linker: Result<Linker, String>,
}

impl Survey {
    /// The compilers that are complete, best first.
    pub fn compilers(&self) -> impl Iterator<Item = &Compiler> {
        [&self.nightly, &self.distribution].into_iter().flatten()
    }

    /// The toolchain to build with: nightly where it is complete, since its user chose it; else the distribution's.
    ///
    /// # Errors
    /// What is missing, one reason an entry.
    pub fn choose(&self) -> Result<Toolchain, Vec<String>> {
        let mut missing = Vec::new();
        if let Ok(linker) = &self.linker {
            for compiler in self.compilers() {
                if linker.reads(compiler) {
                    return Ok(Toolchain {
                        compiler: compiler.clone(),
                        linker: linker.clone(),
                    });
                }
                missing.push(format!("{linker} is too old for {compiler}"));
            }
        }
        if let (Err(nightly), Err(distribution)) = (&self.nightly, &self.distribution) {
            missing.extend([nightly.clone(), distribution.clone()]);
        }
        missing.extend(self.linker.as_ref().err().cloned());
        Err(missing)
    }
}

/// Where to look, and how to ask what is found there.
struct Host<'a> {
    /// Directories searched for executables, in order.
    path: Vec<PathBuf>,
    /// Standard output of a command that succeeds.
    ask: &'a dyn Fn(&Path, &[&str]) -> Option<String>,
}

/// Surveys this machine: `PATH`, then cargo's own bin directory, then the system's.
#[must_use]
pub fn survey() -> Survey {
    let mut path: Vec<PathBuf> = env::var_os("PATH")
        .map(|path| env::split_paths(&path).collect())
        .unwrap_or_default();
    path.extend(cargo_bin());
    path.push("/usr/bin".into());
    Host { path, ask: &ask }.survey()
}

/// Where `cargo install` puts executables: `$CARGO_HOME/bin`, by default `~/.cargo/bin`.
fn cargo_bin() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| Some(env::home_dir()?.join(".cargo")))
        .map(|home| home.join("bin"))
}

fn ask(program: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(args)
        // Asking must not start a download.
        .env("RUSTUP_AUTO_INSTALL", "0")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Host<'_> {
    fn survey(&self) -> Survey {
        Survey {
            nightly: self.nightly(),
            distribution: self.distribution(),
            linker: self.linker(),
        }
    }

    fn executables<'s>(&'s self, name: &'s str) -> impl Iterator<Item = PathBuf> + 's {
        self.path
            .iter()
            .map(move |dir| dir.join(name))
            .filter(|file| file.is_file())
    }

    fn nightly(&self) -> Result<Compiler, String> {
        let rustup = self
            .executables("rustup")
            .next()
            .ok_or("rustup is not installed")?;
        let sysroot = (self.ask)(&rustup, &["run", "nightly", "rustc", "--print", "sysroot"])
            .ok_or("rustup has no nightly toolchain")?;
        let sysroot = Path::new(&sysroot);
        if !sysroot
            .join("lib/rustlib/src/rust/library/core/Cargo.toml")
            .is_file()
        {
            return Err("rustup's nightly lacks the component rust-src".to_owned());
        }
        self.compiler(Core::BuildStd, &sysroot.join("bin/rustc"))
    }

    fn distribution(&self) -> Result<Compiler, String> {
        let mut reason = format!(
            "no rustc ships core for {TARGET} (Debian: rustc-web and libstd-rust-web-dev-bpf)"
        );
        for rustc in self
            .executables("rustc")
            .filter(|rustc| !is_rustup_proxy(rustc))
        {
            let Some(sysroot) = (self.ask)(&rustc, &["--print", "sysroot"]) else {
                continue;
            };
            if ships_core(Path::new(&sysroot)) {
                match self.compiler(Core::Shipped, &rustc) {
                    Ok(compiler) => return Ok(compiler),
                    Err(incomplete) => reason = incomplete,
                }
            }
        }
        Err(reason)
    }

    fn compiler(&self, core: Core, rustc: &Path) -> Result<Compiler, String> {
        let cargo = rustc.with_file_name("cargo");
        if !cargo.is_file() {
            return Err(format!(
                "{} has no cargo beside it (Debian: cargo-web)",
                rustc.display()
            ));
        }
        let version = (self.ask)(rustc, &["-vV"])
            .ok_or_else(|| format!("{} does not run", rustc.display()))?;
        let field = |name: &str| version.lines().find_map(|line| line.strip_prefix(name));
        let release = field("release: ").unwrap_or("unknown").to_owned();
        let llvm = field("LLVM version: ").and_then(|llvm| llvm.split('.').next()?.parse().ok());
        let llvm =
            llvm.ok_or_else(|| format!("{} does not tell its LLVM version", rustc.display()))?;
        Ok(Compiler {
            core,
            rustc: rustc.to_owned(),
            cargo,
            release,
            llvm,
        })
    }

    fn linker(&self) -> Result<Linker, String> {
        let mut reason = "bpf-linker is not installed".to_owned();
        for path in self.executables("bpf-linker") {
            match (self.ask)(&path, &["--version"]) {
                Some(version) => {
                    let version = version.lines().next().unwrap_or_default().to_owned();
                    let llvm = self.loaded_llvm(&path);
                    return Ok(Linker {
                        path,
                        version,
                        llvm,
                    });
                }
                None => reason = format!("{} does not run (is its libLLVM gone?)", path.display()),
            }
        }
        Err(reason)
    }

    fn loaded_llvm(&self, program: &Path) -> Option<u32> {
        llvm_version(&(self.ask)(
            &self.executables("ldd").next()?,
            &[program.to_str()?],
        )?)
    }
}

/// The major version in `libLLVM.so.22.1` (or `libLLVM-22.so`, as it was called before) among what a program loads.
fn llvm_version(libraries: &str) -> Option<u32> {
    let (_, version) = libraries.split_once("libLLVM")?;
    let digits = version.trim_start_matches(".so.").trim_start_matches('-');
    digits
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// rustup's proxies are named like the tools and answer for whichever toolchain is active.
fn is_rustup_proxy(rustc: &Path) -> bool {
    // rustup installs them as links to itself: symbolic ones, or hard ones beside `rustup`.
    let same_file = |other: &Path| {
        use std::os::unix::fs::MetadataExt as _;
        let id = |file: &Path| fs::metadata(file).ok().map(|data| (data.dev(), data.ino()));
        id(rustc).is_some() && id(rustc) == id(other)
    };
    same_file(&rustc.with_file_name("rustup"))
}

fn ships_core(sysroot: &Path) -> bool {
    let Ok(libraries) = fs::read_dir(sysroot.join("lib/rustlib").join(TARGET).join("lib")) else {
        return false;
    };
    libraries
        .flatten()
        .any(|library| library.file_name().to_string_lossy().starts_with("libcore"))
}
