//! What is pinned so that it outlives the process: the programs on their devices, and what the next igmpd reads.
//!
//! ```text
//! /sys/fs/bpf/igmpd/
//!   links-4096/     links of the devices of one network namespace, named by its cookie
//!     xdp-native-7  the XDP program on the device with index 7, in the driver
//!     tc-7          the TC program there
//!   v2-3/           maps of layout 2, the third igmpd in a row
//!     tc_more events control outputs flows
//! ```
//!
//! Everything is said by names, because a bpffs holds nothing but maps, programs and links. An igmpd makes its own
//! generation of maps before it touches a link, so wherever it is killed, all that a link's program uses is there; the
//! next one reads every generation it finds. The directory is locked while an igmpd lives.

mod generation;
mod listing;

pub use generation::{Generation, Known};
pub use listing::Error;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use aya::maps::MapData;
use aya::programs::links::{FdLink, LinkType, PinnedLink};
use igmp_common::maps::LAYOUT_VERSION;
use tracing::debug;

use super::attach::unpin;
use super::{Hook, Inherited, Place, sys};
use crate::proto::IfIndex;
use listing::{Links, Listing};

/// The TC program's continuation: the kernel would empty that map if nobody held it.
pub const TC_MORE: &str = "tc_more";
/// The ring buffer of IGMP messages.
pub const EVENTS: &str = "events";
/// [`igmp_common::maps::Control`].
pub const CONTROL: &str = "control";
/// What each replication set holds.
pub const OUTPUTS: &str = "outputs";
/// The flows.
pub const FLOWS: &str = "flows";

/// The directory of pins, ours as long as this lives.
#[derive(Debug)]
pub struct Pins {
    directory: PathBuf,
    _lock: File,
    persist: bool,
    links: Links,
    /// Where our maps are, or are to be.
    own: PathBuf,
    /// Of the igmpds before, oldest first.
    before: Vec<Generation>,
    /// False until something is forwarded by what is pinned: an igmpd that does not start leaves nothing.
    is_committed: bool,
}

impl Pins {
    /// Takes the directory. `None` when nothing is there and nothing is to be pinned.
    ///
    /// # Errors
    ///
    /// It is in no BPF filesystem, cannot be made, belongs to a running igmpd, or holds something that is not igmpd's.
    /// Nothing has changed then.
    pub fn open(directory: &Path, persist: bool) -> Result<Option<Self>, Error> {
        if persist {
            return Self::take(directory, true).map(Some);
        }
        if !listing::is_anything_in(directory) {
            return Ok(None);
        }
        // What another igmpd left when it did persist is taken over for the last time; what is not ours is left alone.
        let taken = Self::take(directory, false);
        Ok(taken.inspect_err(|error| debug!("{error}")).ok())
    }

    fn take(directory: &Path, persist: bool) -> Result<Self, Error> {
        check_filesystem(directory)?;
        let failed = |action, error| Error::Io(directory.into(), action, error);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| failed("make it", error))?;
        let lock = lock(directory)?;
        let Listing { links, generations } = listing::list(directory)?;
        let cookie =
            sys::netns_cookie().map_err(|error| failed("name the network namespace", error))?;
        if let Some(other) = links.iter().find(|links| links.cookie != cookie) {
            return Err(Error::OtherNamespace(other.path.clone()));
        }
        let links = links
            .into_iter()
            .next()
            .unwrap_or_else(|| Links::none(directory, cookie));
        let last = generations.iter().map(|generation| generation.number).max();
        let own = last.unwrap_or_default() + 1;
        Ok(Self {
            own: directory.join(format!("v{LAYOUT_VERSION}-{own}")),
            directory: directory.into(),
            _lock: lock,
            persist,
            links,
            before: generations,
            is_committed: false,
        })
    }

    /// The links of the igmpd before. Those that are no longer of use go with [`Self::retain_links`].
    ///
    /// # Errors
    ///
    /// One is no link of such a program.
    pub fn links(&self) -> Result<BTreeMap<Place, Inherited>> {
        let open = |place: &Place| -> Result<_> {
            let path = self.links.path_of(*place);
            let link = PinnedLink::from_pin(&path).with_context(|| path.display().to_string())?;
            let link = FdLink::from(link);
            let expected = match place.hook {
                Hook::XdpNative | Hook::XdpGeneric => LinkType::Xdp,
                Hook::Tc => LinkType::Tcx,
            };
            if link.info()?.link_type().ok() != Some(expected) {
                return Err(Error::Foreign(path).into());
            }
            Ok((*place, Inherited { path, link }))
        };
        self.links.places.iter().map(open).collect()
    }

    /// The maps of the igmpds before, oldest first.
    #[must_use]
    pub fn generations(&self) -> &[Generation] {
        &self.before
    }

    /// Pins maps in this order, unless nothing is to outlive the process.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn pin_maps(&self, maps: &[(&str, &MapData)]) -> Result<()> {
        if !self.persist {
            return Ok(());
        }
        make_directory(&self.own)?;
        for (name, map) in maps {
            let path = self.own.join(name);
            map.pin(&path)
                .with_context(|| format!("pinning {}", path.display()))?;
        }
        Ok(())
    }

    /// From now on what is pinned forwards packets, and stays whatever becomes of this process.
    pub const fn commit(&mut self) {
        self.is_committed = true;
    }

    /// Ends the time of the igmpds before: their maps go, and all pins do when nothing is to outlive the process.
    ///
    /// # Errors
    ///
    /// The kernel refuses, or the directory for links cannot be made.
    pub fn finish(&mut self) -> Result<()> {
        for generation in self.before.drain(..) {
            listing::remove(&generation.path)?;
        }
        if self.persist {
            return make_directory(&self.links.path);
        }
        listing::remove(&self.links.path)?;
        self.links.places.clear();
        let _ = fs::remove_dir(&self.directory);
        Ok(())
    }

    /// Where a link is pinned, once nothing else is there; `None` when it is to end with the process.
    #[must_use]
    pub fn path_for(&mut self, place: Place) -> Option<PathBuf> {
        if !self.persist {
            return None;
        }
        let path = self.links.path_of(place);
        // Of a device that is gone and had the same index.
        let _ = fs::remove_file(&path);
        self.links.places.insert(place);
        Some(path)
    }

    /// Unpins the links in all other places: devices that were deleted took theirs along, others are no longer configured
    /// or have other programs.
    pub fn retain_links(&mut self, places: &BTreeSet<Place>) {
        let stale: Vec<Place> = self.links.places.difference(places).copied().collect();
        for place in stale {
            unpin(&self.links.path_of(place));
            self.links.places.remove(&place);
        }
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        if !self.is_committed {
            let _ = listing::remove(&self.own);
            // Only where they are empty.
            let _ = fs::remove_dir(&self.links.path);
            let _ = fs::remove_dir(&self.directory);
        }
    }
}

/// Removes every pin, and so every program, that an igmpd has left in `directory`. Says how many devices that were.
///
/// # Errors
///
/// An igmpd is running with them, or there is something that is not igmpd's; nothing has changed then. Or a pin cannot be
/// removed.
pub fn detach(directory: &Path) -> Result<usize, Error> {
    if !listing::is_anything_in(directory) {
        return Ok(0);
    }
    let _lock = lock(directory)?;
    let Listing { links, generations } = listing::list(directory)?;
    let places = links.iter().flat_map(|links| &links.places);
    let devices: BTreeSet<IfIndex> = places.map(|place| place.interface).collect();
    let devices = devices.len();
    let maps = generations.iter().map(|generation| &generation.path);
    // The programs first: they are safe without maps, but not half without.
    for path in links.iter().map(|links| &links.path).chain(maps) {
        listing::remove(path)?;
    }
    let _ = fs::remove_dir(directory);
    Ok(devices)
}

/// Whoever lives with these pins has it locked; the kernel gives it back when the process ends, however it does.
fn lock(directory: &Path) -> Result<File, Error> {
    let failed = |error| Error::Io(directory.into(), "lock it", error);
    let file = File::open(directory).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse(directory.into())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn check_filesystem(directory: &Path) -> Result<(), Error> {
    let mut existing = directory.ancestors().filter(|ancestor| ancestor.is_dir());
    let existing = existing.next().unwrap_or(Path::new("/"));
    match sys::is_bpffs(existing) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::NoBpffs(directory.into())),
        Err(error) => Err(Error::Io(directory.into(), "see its filesystem", error)),
    }
}

fn make_directory(path: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("making {}", path.display()))
        }
        _ => Ok(()),
    }
}
