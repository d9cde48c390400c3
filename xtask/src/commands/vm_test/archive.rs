//! Kernels from the archives of Debian and Ubuntu: found, downloaded and unpacked by apt, with sources, lists and cache of
//! our own, so that the system's stay as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::apt::Apt;
use crate::progress::Progress;

#[cfg(test)]
mod tests;

/// Debian's kernels from 5.10 (bullseye) to the newest, which its stable release's backports have.
const DEBIAN: [&str; 5] = [
    "bullseye",
    "bookworm",
    "bookworm-backports",
    "trixie",
    "trixie-backports",
];
/// Ubuntu's for what lies between, 5.15 most of all.
const UBUNTU: [&str; 4] = ["focal", "focal-updates", "jammy", "jammy-updates"];

/// The flavours to look for, best first: Debian's cloud kernel boots fastest.
const FLAVOURS: [&str; 3] = ["-cloud-amd64", "-generic", "-oem"];

const DEBIAN_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// An unpacked kernel.
pub struct Kernel {
    /// As `uname -r` says it.
    pub release: String,
    /// What QEMU loads.
    pub image: PathBuf,
    /// Where its modules are.
    pub modules: PathBuf,
}

impl Kernel {
    /// The kernel in a directory as `dpkg-deb -x` leaves it.
    fn in_directory(directory: &Path) -> Result<Self> {
        let modules = ["lib/modules", "usr/lib/modules"]
            .iter()
            .filter_map(|parent| fs::read_dir(directory.join(parent)).ok())
            .find_map(|mut releases| releases.next()?.ok())
            .with_context(|| format!("there is no lib/modules/* in {}", directory.display()))?;
        let release = modules.file_name().to_string_lossy().into_owned();
        let modules = modules.path();
        let boot = directory.join("boot").join(format!("vmlinuz-{release}"));
        let image = [boot, modules.join("vmlinuz")]
            .into_iter()
            .find(|image| image.is_file())
            .with_context(|| format!("{release} has no vmlinuz in {}", directory.display()))?;
        Ok(Self {
            release,
            image,
            modules,
        })
    }
}

/// Gets a kernel: from a directory that is there, or from the archives into a directory below `cache`.
pub fn obtain(cache: &Path, wanted: &str, progress: &Progress) -> Result<Kernel> {
    if Path::new(wanted).is_dir() {
        return Kernel::in_directory(Path::new(wanted));
    }
    let archive = Archive::open(cache, progress)?;
    let names = archive.kernels()?;
    let package = choose(&names, wanted).with_context(|| {
        format!(
            "no kernel of that name in {} of Debian and {} of Ubuntu (lists in {}: remove them to get new ones)",
            DEBIAN.join(", "),
            UBUNTU.join(", "),
            archive.directory.display()
        )
    })?;
    let unpacked = cache.join("kernels").join(package);
    if !unpacked.is_dir() {
        let mut packages = vec![package];
        packages.extend(companions(&names, package));
        archive.unpack(&packages, &unpacked)?;
    }
    Kernel::in_directory(&unpacked)
}

/// The package that `wanted` means: itself, the newest of a version, or the newest of all.
fn choose<'a>(names: &'a [String], wanted: &str) -> Option<&'a str> {
    let names = || names.iter().map(String::as_str);
    if let Some(name) = names().find(|name| *name == wanted) {
        return Some(name);
    }
    // `6.1.0-47`; `6.1` alone is a package that only depends on one.
    let is_wanted = |release: &str| {
        release.split('.').count() > 2
            && release.starts_with(|c: char| c.is_ascii_digit())
            && (wanted == "newest"
                || (release.strip_prefix(wanted))
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-'])))
    };
    FLAVOURS.iter().find_map(|flavour| {
        names()
            .filter(|name| {
                let release = name.strip_prefix("linux-image-");
                let release = release.and_then(|release| release.strip_suffix(flavour));
                release.is_some_and(is_wanted)
            })
            .max_by_key(|name| numbers(name))
    })
}

/// The packages that hold the rest of a kernel: Ubuntu ships modules on their own, Debian's newer ones the image too.
fn companions<'a>(names: &'a [String], package: &str) -> impl Iterator<Item = &'a str> {
    let companions = ["modules", "binary"].map(|part| package.replacen("image", part, 1));
    let names = names.iter().map(String::as_str);
    names.filter(move |name| companions.iter().any(|companion| companion == name))
}

/// The numbers in a name, which order its versions.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

/// apt with a configuration of its own.
struct Archive<'a> {
    directory: PathBuf,
    progress: &'a Progress,
}

impl<'a> Archive<'a> {
    /// Gets the lists of packages when they are not there yet.
    fn open(cache: &Path, progress: &'a Progress) -> Result<Self> {
        let archive = Self {
            directory: cache.join("apt"),
            progress,
        };
        let complete = archive.directory.join("complete");
        if !complete.exists() {
            archive.create()?;
            fs::write(&complete, "")?;
        }
        Ok(archive)
    }

    fn create(&self) -> Result<()> {
        let directory = self.directory.display();
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(self.directory.join(part))?;
        }
        let configuration = format!(
            "Dir::Etc::SourceList \"{directory}/sources.list\";\n\
             Dir::Etc::SourceParts \"/dev/null\";\n\
             Dir::State::Lists \"{directory}/lists\";\n\
             Dir::State::Status \"/dev/null\";\n\
             Dir::Cache \"{directory}/cache\";\n\
             APT::Architecture \"amd64\";\n\
             APT::Sandbox::User \"root\";\n"
        );
        fs::write(self.directory.join("apt.conf"), configuration)?;
        if !Path::new(DEBIAN_KEYRING).exists() {
            let apt = Apt::find(self.progress).context("there is no apt-get here")?;
            apt.install(&["debian-archive-keyring"])?;
        }
        let debian = sources("http://deb.debian.org/debian", &DEBIAN, DEBIAN_KEYRING);
        self.update("Debian", &debian)?;
        // Debian's signature vouches for Ubuntu's keys.
        let keys = self.directory.join("keys");
        if !keys.is_dir() {
            self.unpack(&["ubuntu-keyring"], &keys)?;
        }
        let keyring = keys.join("usr/share/keyrings/ubuntu-archive-keyring.gpg");
        let ubuntu = sources(
            "http://archive.ubuntu.com/ubuntu",
            &UBUNTU,
            &keyring.display().to_string(),
        );
        self.update("Debian and Ubuntu", &(debian + &ubuntu))
    }

    fn update(&self, whose: &str, sources: &str) -> Result<()> {
        fs::write(self.directory.join("sources.list"), sources)?;
        let mut update = self.apt("apt-get");
        update.args(["update", "--error-on=any"]);
        self.progress.step(
            &format!("getting the package lists of {whose}"),
            &mut update,
        )
    }

    /// Names of all packages with a kernel or a part of one.
    fn kernels(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for prefix in ["linux-image-", "linux-modules-", "linux-binary-"] {
            let output = self.apt("apt-cache").args(["pkgnames", prefix]).output()?;
            if !output.status.success() {
                bail!("apt-cache: {}", String::from_utf8_lossy(&output.stderr));
            }
            let output = String::from_utf8(output.stdout)?;
            names.extend(output.lines().map(str::to_owned));
        }
        Ok(names)
    }

    /// Downloads packages and unpacks them into `directory`, which is there only when all went well.
    fn unpack(&self, packages: &[&str], directory: &Path) -> Result<()> {
        let partial = directory.with_file_name("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        fs::create_dir_all(partial.join("packages"))?;
        let mut download = self.apt("apt-get");
        download
            .arg("download")
            .args(packages)
            .current_dir(partial.join("packages"));
        self.progress.step(
            &format!("downloading {}", packages.join(" ")),
            &mut download,
        )?;
        let unpacked = partial.join("unpacked");
        for package in fs::read_dir(partial.join("packages"))? {
            let mut unpack = Command::new("dpkg-deb");
            unpack.arg("-x").arg(package?.path()).arg(&unpacked);
            self.progress.step("unpacking", &mut unpack)?;
        }
        fs::rename(&unpacked, directory)?;
        Ok(fs::remove_dir_all(&partial)?)
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("APT_CONFIG", self.directory.join("apt.conf"))
            .env("LC_ALL", "C");
        command
    }
}

/// Lines of a sources.list: the packages only, of the main section.
fn sources(mirror: &str, suites: &[&str], keyring: &str) -> String {
    let source = |suite| {
        format!("deb [arch=amd64 target=Packages signed-by={keyring}] {mirror} {suite} main\n")
    };
    suites.iter().map(source).collect::<Vec<_>>().concat()
}
