//! What is in a directory of pins, by name.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use igmp_common::maps::LAYOUT_VERSION;

use super::super::{Hook, Place};
use super::{CONTROL, EVENTS, FLOWS, Generation, OUTPUTS, TC_MORE};
use crate::config::DEFAULT_PIN_PATH;
use crate::proto::IfIndex;

/// What stands between igmpd and a directory of pins.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The path is on a disk, or nowhere.
    #[error(
        "pin_path {path} is in no BPF filesystem: run `mount -t bpf bpf {mount_point}`, or set persist = false",
        path = .0.display(),
        mount_point = mount_point(.0).display()
    )]
    NoBpffs(PathBuf),
    /// Another process has it locked.
    #[error(
        "{path}: an igmpd is running with these pins; stop it first, or use another pin_path",
        path = .0.display()
    )]
    InUse(PathBuf),
    /// Something that igmpd does not make.
    #[error("{path} is not igmpd's; remove it, or use a pin_path of its own", path = .0.display())]
    Foreign(PathBuf),
    /// Pins of devices that are not here.
    #[error(
        "{path} holds programs on devices of another network namespace; `igmpctl detach` removes them, or use another \
         pin_path",
        path = .0.display()
    )]
    OtherNamespace(PathBuf),
    /// The kernel refuses.
    #[error("pin_path {path}: cannot {1}: {2}", path = .0.display())]
    Io(PathBuf, &'static str, io::Error),
}

/// Where a BPF filesystem belongs for this path.
fn mount_point(directory: &Path) -> &Path {
    let usual = Path::new(DEFAULT_PIN_PATH).parent();
    let usual = usual.filter(|usual| directory.starts_with(usual));
    usual.or(directory.parent()).unwrap_or(directory)
}

/// The links of one network namespace.
#[derive(Debug)]
pub struct Links {
    pub(super) path: PathBuf,
    pub(super) cookie: u64,
    pub(super) places: BTreeSet<Place>,
}

impl Links {
    pub(super) fn none(directory: &Path, cookie: u64) -> Self {
        Self {
            path: directory.join(format!("{LINKS}{cookie}")),
            cookie,
            places: BTreeSet::new(),
        }
    }

    pub(super) fn path_of(&self, place: Place) -> PathBuf {
        let Place { interface, hook } = place;
        self.path
            .join(format!("{}-{}", hook_name(hook), interface.0))
    }
}

const LINKS: &str = "links-";
const HOOKS: [Hook; 3] = [Hook::XdpNative, Hook::XdpGeneric, Hook::Tc];

/// As `mode` calls it in the configuration.
const fn hook_name(hook: Hook) -> &'static str {
    match hook {
        Hook::XdpNative => "xdp-native",
        Hook::XdpGeneric => "xdp-generic",
        Hook::Tc => "tc",
    }
}

/// `tc-7` is TC on the device with index 7.
fn place(name: &str) -> Option<Place> {
    let (name, index) = name.rsplit_once('-')?;
    Some(Place {
        hook: HOOKS.into_iter().find(|hook| hook_name(*hook) == name)?,
        interface: IfIndex(index.parse().ok()?),
    })
}

/// Everything that igmpds have left.
#[derive(Debug)]
pub struct Listing {
    pub(super) links: Vec<Links>,
    /// Oldest first.
    pub(super) generations: Vec<Generation>,
}

/// Whether there is such a directory with anything in it.
pub fn is_anything_in(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

/// Lists a directory; anything whose name igmpd does not give is an error.
pub fn list(directory: &Path) -> Result<Listing, Error> {
    let mut listing = Listing {
        links: Vec::new(),
        generations: Vec::new(),
    };
    for (name, path) in entries(directory)? {
        if let Some(cookie) = name
            .strip_prefix(LINKS)
            .and_then(|cookie| cookie.parse().ok())
        {
            let places = entries(&path)?
                .into_iter()
                .map(|(name, path)| place(&name).ok_or(Error::Foreign(path)));
            listing.links.push(Links {
                places: places.collect::<Result<_, _>>()?,
                path,
                cookie,
            });
        } else if let Some((layout, number)) = generation(&name) {
            // What another layout holds is that version's affair.
            let foreign = entries(&path)?.into_iter().find(|(name, _)| {
                layout == LAYOUT_VERSION
                    && ![TC_MORE, EVENTS, CONTROL, OUTPUTS, FLOWS].contains(&name.as_str())
            });
            if let Some((_, path)) = foreign {
                return Err(Error::Foreign(path));
            }
            listing.generations.push(Generation {
                path,
                layout,
                number,
            });
        } else {
            return Err(Error::Foreign(path));
        }
    }
    listing
        .generations
        .sort_by_key(|generation| generation.number);
    Ok(listing)
}

/// `v2-3` is layout 2, number 3.
fn generation(name: &str) -> Option<(u32, u32)> {
    let (layout, number) = name.strip_prefix('v')?.split_once('-')?;
    Some((layout.parse().ok()?, number.parse().ok()?))
}

/// The names and paths in a directory; a name that is not text is shown as well as it can be, and is nobody's of ours.
fn entries(directory: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let read = || -> io::Result<_> {
        let entries = fs::read_dir(directory)?;
        let named = entries.map(|entry| {
            let entry = entry?;
            Ok((
                entry.file_name().to_string_lossy().into_owned(),
                entry.path(),
            ))
        });
        named.collect()
    };
    match read() {
        // A file where a directory of ours would be.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(Error::Foreign(directory.into()))
        }
        result => result.map_err(|error| Error::Io(directory.into(), "read it", error)),
    }
}

/// Removes a directory of pins; it need not be there.
pub fn remove(directory: &Path) -> Result<(), Error> {
    let failed = |error| Error::Io(directory.into(), "remove it", error);
    if !directory.exists() {
        return Ok(());
    }
    for (_, path) in entries(directory)? {
        fs::remove_file(path).map_err(failed)?;
    }
    fs::remove_dir(directory).map_err(failed)
}

#[cfg(test)]
mod tests;
