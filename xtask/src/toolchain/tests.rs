use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A machine in a temporary directory: its files are real, what its programs answer is written down.
struct Machine {
    root: PathBuf,
    answers: BTreeMap<(PathBuf, String), String>,
}

impl Machine {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let unique = format!(
            "xtask-toolchain-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        Self {
            root: env::temp_dir().join(unique),
            answers: BTreeMap::new(),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        let path = self.root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        path
    }

    fn answers(&mut self, program: &str, args: &str, answer: impl Into<String>) {
        self.answers
            .insert((self.file(program), args.to_owned()), answer.into());
    }

    /// Debian's packages rustc-web and cargo-web.
    fn distribution(&mut self) {
        let sysroot = self.root.join("usr").display().to_string();
        self.answers("usr/bin/rustc", "--print sysroot", sysroot);
        self.answers(
            "usr/bin/rustc",
            "-vV",
            "rustc 1.96.0\nrelease: 1.96.0\nLLVM version: 22.1.8",
        );
        self.file("usr/bin/cargo");
    }

    /// rustup with a stable toolchain behind its proxies and a nightly one.
    fn rustup(&mut self) {
        let nightly = self.root.join("rustup/nightly").display().to_string();
        self.answers(
            "cargo/bin/rustup",
            "run nightly rustc --print sysroot",
            nightly,
        );
        self.answers(
            "rustup/nightly/bin/rustc",
            "-vV",
            "release: 1.97.0-nightly\nLLVM version: 22.1.4",
        );
        self.file("rustup/nightly/bin/cargo");
        let proxy = self.root.join("cargo/bin/rustc");
        std::os::unix::fs::symlink("rustup", &proxy).unwrap();
        self.answers.insert(
            (proxy, "--print sysroot".to_owned()),
            self.root.join("usr").display().to_string(),
        );
    }

    /// bpf-linker, loading the LLVM of Debian's package libllvm22.
    fn linker(&mut self) {
        self.answers("cargo/bin/bpf-linker", "--version", "bpf-linker 0.13.0\n");
        let path = self.root.join("cargo/bin/bpf-linker").display().to_string();
        self.answers(
            "usr/bin/ldd",
            &path,
            "\tlibc.so.6 => /lib/libc.so.6\n\tlibLLVM.so.22.1 => /usr/lib/llvm-22/lib/libLLVM.so.22.1 (0x7f)",
        );
    }

    fn survey(&self) -> Survey {
        let ask = |program: &Path, args: &[&str]| {
            self.answers
                .get(&(program.to_owned(), args.join(" ")))
                .cloned()
        };
        Host {
            path: vec![self.root.join("cargo/bin"), self.root.join("usr/bin")],
            ask: &ask,
        }
        .survey()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

const CORE: &str = "usr/lib/rustlib/bpfel-unknown-none/lib/libcore-33a8f1b4a97a5bcd.rlib";
const RUST_SRC: &str = "rustup/nightly/lib/rustlib/src/rust/library/core/Cargo.toml";

#[test]
fn a_bare_machine_misses_all_three() {
    let missing = Machine::new().survey().choose().unwrap_err();
    assert_eq!(missing.len(), 3);
    assert!(missing[0].contains("rustup"), "{missing:?}");
    assert!(
        missing[1].contains("libstd-rust-web-dev-bpf"),
        "{missing:?}"
    );
    assert!(missing[2].contains("bpf-linker"), "{missing:?}");
}

#[test]
fn the_distribution_compiler_is_taken_where_nightly_lacks_rust_src() {
    let mut machine = Machine::new();
    machine.rustup();
    machine.distribution();
    machine.linker();
    machine.file(CORE);
    let survey = machine.survey();
    assert!(survey.nightly.as_ref().unwrap_err().contains("rust-src"));
    let toolchain = survey.choose().unwrap();
    assert_eq!(toolchain.compiler.core, Core::Shipped);
    assert_eq!(toolchain.compiler.rustc, machine.root.join("usr/bin/rustc"));
    assert_eq!(toolchain.compiler.cargo, machine.root.join("usr/bin/cargo"));
    assert_eq!(
        (toolchain.compiler.release.as_str(), toolchain.compiler.llvm),
        ("1.96.0", 22)
    );
    assert_eq!(toolchain.linker.version, "bpf-linker 0.13.0");
}

#[test]
fn a_complete_nightly_goes_first() {
    let mut machine = Machine::new();
    machine.rustup();
    machine.distribution();
    machine.linker();
    machine.file(CORE);
    machine.file(RUST_SRC);
    let compiler = machine.survey().choose().unwrap().compiler;
    assert_eq!(compiler.core, Core::BuildStd);
    assert_eq!(
        compiler.rustc,
        machine.root.join("rustup/nightly/bin/rustc")
    );
}

#[test]
fn a_compiler_newer_than_the_linkers_llvm_is_passed_over() {
    let mut machine = Machine::new();
    machine.rustup();
    machine.distribution();
    machine.linker();
    machine.file(CORE);
    machine.file(RUST_SRC);
    machine.answers(
        "rustup/nightly/bin/rustc",
        "-vV",
        "release: 1.101.0-nightly\nLLVM version: 23.1.4",
    );
    assert_eq!(
        machine.survey().choose().unwrap().compiler.core,
        Core::Shipped
    );
    machine.answers(
        "usr/bin/rustc",
        "-vV",
        "release: 1.101.0\nLLVM version: 23.1.4",
    );
    let missing = machine.survey().choose().unwrap_err();
    assert!(
        missing.len() == 2
            && missing
                .iter()
                .all(|reason| reason.contains("LLVM 22) is too old")),
        "{missing:?}"
    );
}

#[test]
fn a_linker_with_llvm_inside_is_trusted() {
    let mut machine = Machine::new();
    machine.distribution();
    machine.linker();
    machine.file(CORE);
    let path = machine
        .root
        .join("cargo/bin/bpf-linker")
        .display()
        .to_string();
    machine.answers("usr/bin/ldd", &path, "\tstatically linked");
    assert_eq!(machine.survey().choose().unwrap().linker.llvm, None);
}

#[test]
fn the_version_of_libllvm_is_read_under_its_old_and_new_name() {
    assert_eq!(
        llvm_version("\tlibLLVM.so.22.1 => /usr/lib/llvm-22/lib/libLLVM.so.22.1 (0x7f)"),
        Some(22)
    );
    assert_eq!(
        llvm_version("\tlibLLVM-17.so => /usr/lib/llvm-17/lib/libLLVM-17.so (0x7f)"),
        Some(17)
    );
    assert_eq!(llvm_version("\tlibc.so.6 => /lib/libc.so.6 (0x7f)"), None);
}

#[test]
fn a_rustc_without_core_for_bpf_will_not_do() {
    let mut machine = Machine::new();
    machine.distribution();
    machine.linker();
    machine.file("usr/lib/rustlib/x86_64-unknown-linux-gnu/lib/libcore-0.rlib");
    let missing = machine.survey().choose().unwrap_err();
    assert!(
        missing
            .iter()
            .any(|reason| reason.contains("no rustc ships core")),
        "{missing:?}"
    );
}

#[test]
fn a_rustup_proxy_is_no_compiler_of_its_own() {
    let mut machine = Machine::new();
    machine.rustup();
    machine.file(CORE); // where the proxy's answer would point
    assert!(machine.survey().distribution.is_err());
}

#[test]
fn a_rustc_needs_its_cargo() {
    let mut machine = Machine::new();
    machine.distribution();
    machine.file(CORE);
    fs::remove_file(machine.root.join("usr/bin/cargo")).unwrap();
    assert!(
        machine
            .survey()
            .distribution
            .unwrap_err()
            .contains("cargo-web")
    );
}

#[test]
fn a_linker_that_does_not_run_is_missing_and_the_reason_names_it() {
    let mut machine = Machine::new();
    machine.distribution();
    machine.file(CORE);
    let broken = machine.file("cargo/bin/bpf-linker");
    let missing = machine.survey().choose().unwrap_err();
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(
        missing[0].starts_with(&broken.display().to_string()),
        "{missing:?}"
    );
}
