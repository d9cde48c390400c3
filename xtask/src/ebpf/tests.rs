use std::ffi::OsStr;

use super::*;
use crate::toolchain::{Compiler, Linker};

fn toolchain(core: Core) -> Toolchain {
    Toolchain {
        compiler: Compiler {
            core,
            rustc: "/opt/rust/bin/rustc".into(),
            cargo: "/opt/rust/bin/cargo".into(),
            release: "1.96.0".to_owned(),
            llvm: 22,
        },
        linker: Linker {
            path: "/opt/bin/bpf-linker".into(),
            version: "bpf-linker 0.13.0".to_owned(),
            llvm: Some(22),
        },
    }
}

fn value<'a>(command: &'a Command, name: &str) -> Option<&'a OsStr> {
    command
        .get_envs()
        .find(|(variable, _)| *variable == name)?
        .1
}

#[test]
fn core_is_built_or_allowed_as_the_compiler_needs() {
    let build = |core| {
        command(
            &toolchain(core),
            Path::new("/src"),
            Path::new("/target"),
            "aarch64",
        )
    };
    let nightly = build(Core::BuildStd);
    assert!(nightly.get_args().any(|arg| arg == "-Zbuild-std=core"));
    assert_eq!(value(&nightly, "RUSTC_BOOTSTRAP"), None);
    let distribution = build(Core::Shipped);
    assert!(!distribution.get_args().any(|arg| arg == "-Zbuild-std=core"));
    assert_eq!(
        value(&distribution, "RUSTC_BOOTSTRAP"),
        Some(OsStr::new("1"))
    );
    for command in [nightly, distribution] {
        assert_eq!(
            value(&command, "RUSTC"),
            Some(OsStr::new("/opt/rust/bin/rustc"))
        );
        let flags = value(&command, "CARGO_ENCODED_RUSTFLAGS")
            .unwrap()
            .to_str()
            .unwrap();
        assert_eq!(
            flags.split('\x1f').next(),
            Some("--cfg=bpf_target_arch=\"aarch64\"")
        );
    }
}

#[test]
fn what_describes_the_callers_build_does_not_reach_the_nested_one() {
    for name in [
        "CARGO",
        "CARGO_BUILD_TARGET",
        "CARGO_CFG_TARGET_ARCH",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_INCREMENTAL",
        "CARGO_PKG_NAME",
        "CARGO_PROFILE_RELEASE_LTO",
        "CARGO_TARGET_DIR",
        "HOST",
        "OUT_DIR",
        "PROFILE",
        "RUSTC",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTDOCFLAGS",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
        "TARGET",
    ] {
        assert!(!inherits(name), "{name}");
    }
}

#[test]
fn where_things_are_does_reach_it() {
    for name in [
        "CARGO_HOME",
        "CARGO_HTTP_PROXY",
        "CARGO_MAKEFLAGS",
        "CARGO_NET_OFFLINE",
        "CARGO_REGISTRIES_MINE_INDEX",
        "CARGO_TERM_COLOR",
        "HOME",
        "HOSTNAME",
        "PATH",
        "RUSTUP_HOME",
        "RUST_BACKTRACE",
    ] {
        assert!(inherits(name), "{name}");
    }
}

#[test]
fn objects_that_are_not_there_are_named() {
    let nowhere = Path::new("/nonexistent");
    assert_eq!(
        Objects::in_directory(nowhere),
        Err(nowhere.join("igmp-ingress"))
    );
    assert_eq!(
        Objects::built_in(nowhere),
        Err(nowhere.join("bpfel-unknown-none/release/igmp-ingress"))
    );
}
