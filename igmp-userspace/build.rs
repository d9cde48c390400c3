//! Builds the kernel programs, which igmpd carries inside itself. Without the feature `io` there is nothing to do.
//!
//! `IGMP_EBPF_DIR` names a directory with `igmp-ingress` and `igmp-egress` already built, for packagers whose build
//! machine has no BPF toolchain.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "io")]
    kernel_programs::provide();
}

#[cfg(feature = "io")]
mod kernel_programs {
    use std::path::{Path, PathBuf};
    use std::{env, fs, process};

    use xtask::ebpf::{self, Objects};
    use xtask::toolchain;

    /// Gives the crate the paths of the objects, as `env!("IGMP_INGRESS_OBJECT")` and `env!("IGMP_EGRESS_OBJECT")`.
    pub fn provide() {
        println!("cargo::rerun-if-env-changed=IGMP_EBPF_DIR");
        let objects = match env::var_os("IGMP_EBPF_DIR") {
            Some(directory) => prebuilt(Path::new(&directory)),
            None => build(),
        };
        let objects = objects.unwrap_or_else(|message| {
            for line in message.lines() {
                println!("cargo::error={line}");
            }
            process::exit(1);
        });
        println!(
            "cargo::rustc-env=IGMP_INGRESS_OBJECT={}",
            objects.ingress.display()
        );
        println!(
            "cargo::rustc-env=IGMP_EGRESS_OBJECT={}",
            objects.egress.display()
        );
    }

    fn prebuilt(directory: &Path) -> Result<Objects, String> {
        println!("cargo::rerun-if-changed={}", directory.display());
        let directory = directory
            .canonicalize()
            .map_err(|error| format!("IGMP_EBPF_DIR {}: {error}", directory.display()))?;
        Objects::in_directory(&directory)
            .map_err(|missing| format!("IGMP_EBPF_DIR: there is no {}", missing.display()))
    }

    fn build() -> Result<Objects, String> {
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("this crate lies in the workspace");
        for input in [
            "igmp-ebpf/src",
            "igmp-ebpf/Cargo.toml",
            "igmp-common/src",
            "igmp-common/Cargo.toml",
            "Cargo.toml",
            "Cargo.lock",
        ] {
            println!(
                "cargo::rerun-if-changed={}",
                workspace.join(input).display()
            );
        }
        let toolchain = toolchain::survey().choose().map_err(|missing| {
            format!("the kernel programs cannot be built here: {}\nrun `cargo xtask setup` to install what is missing", missing.join("; "))
        })?;
        println!(
            "cargo::rerun-if-changed={}",
            toolchain.compiler.rustc.display()
        );
        println!(
            "cargo::rerun-if-changed={}",
            toolchain.linker.path.display()
        );

        // From target/PROFILE/build/PACKAGE-HASH/out up to target: one build of the kernel programs serves every
        // profile, clippy and rustdoc. The objects are copied, so that what this crate embeds changes only with it.
        let target_dir = out.ancestors().nth(4).unwrap_or(&out).join("ebpf");
        let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("set by cargo");
        let mut command = ebpf::command(&toolchain, workspace, &target_dir, &arch);
        let status = command
            .status()
            .map_err(|error| format!("running {}: {error}", command.get_program().display()))?;
        if !status.success() {
            return Err(format!(
                "the kernel programs do not build with {} and {}",
                toolchain.compiler, toolchain.linker
            ));
        }
        let built = Objects::built_in(&target_dir)
            .map_err(|missing| format!("the build left no {}", missing.display()))?;
        let copy = |object: &Path| {
            let copy = out.join(object.file_name().expect("an object has a name"));
            fs::copy(object, &copy)
                .map_err(|error| format!("copying {}: {error}", object.display()))?;
            Ok::<_, String>(copy)
        };
        Ok(Objects {
            ingress: copy(&built.ingress)?,
            egress: copy(&built.egress)?,
        })
    }
}
