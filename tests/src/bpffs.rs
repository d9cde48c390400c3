//! A BPF filesystem of a test's own.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::daemon::MODE;
use crate::netns::Namespace;
use crate::scratch::ScratchDir;
use crate::topology::Topology;

/// A mounted bpffs; dropping it unmounts it, and with it everything that is pinned there.
#[must_use = "dropping it unpins everything"]
pub struct Bpffs {
    scratch: ScratchDir,
}

impl Bpffs {
    /// Mounts one.
    ///
    /// # Panics
    /// Without `CAP_SYS_ADMIN`.
    #[expect(clippy::new_without_default, reason = "it mounts something")]
    pub fn new() -> Self {
        let bpffs = Self {
            scratch: ScratchDir::new(),
        };
        let mount = Command::new("mount")
            .args(["-t", "bpf", "bpf"])
            .arg(bpffs.scratch.path())
            .status();
        assert!(
            mount.is_ok_and(|status| status.success()),
            "a bpffs can be mounted"
        );
        bpffs
    }

    /// A directory in it that igmpd may make.
    pub fn pin_path(&self) -> PathBuf {
        self.scratch.path().join("igmpd")
    }

    /// The `[daemon]` section of an igmpd that persists there.
    pub fn config(&self) -> String {
        format!(
            "[daemon]\npersist = true\npin_path = \"{}\"\n",
            self.pin_path().display()
        )
    }

    /// The `[daemon]` section of an igmpd that persists there, before the rest of its configuration.
    pub fn config_of(&self, topology: &Topology, igmp: &str) -> String {
        format!("{}{}", self.config(), topology.config(igmp))
    }

    /// Asserts that there is one generation of maps, and the links of these devices.
    #[track_caller]
    pub fn assert_whole(&self, namespace: &Namespace, devices: &[&str]) {
        const MAPS: usize = 5;
        let links = links(namespace, devices);
        assert_eq!(self.links(), links);
        assert_eq!(self.pins().len(), links.len() + MAPS, "{:?}", self.pins());
    }

    /// What is pinned, by path from the directory on, sorted.
    pub fn pins(&self) -> Vec<String> {
        let mut pins = Vec::new();
        collect(&self.pin_path(), "", &mut pins);
        pins.sort();
        pins
    }

    /// The pins of devices, sorted.
    pub fn links(&self) -> Vec<String> {
        let pins = self.pins().into_iter();
        pins.filter_map(|pin| Some(pin.split_once("links-")?.1.split_once('/')?.1.to_owned()))
            .collect()
    }
}

/// The names of the pins of these devices' programs in the mode of the test, sorted.
pub fn links(namespace: &Namespace, devices: &[&str]) -> Vec<String> {
    let mode = env::var(MODE);
    links_in(mode.as_deref().unwrap_or("xdp-native"), namespace, devices)
}

/// The same in this mode.
pub fn links_in(mode: &str, namespace: &Namespace, devices: &[&str]) -> Vec<String> {
    // What XDP leaves to it is TC's in any mode.
    let hooks = BTreeSet::from([mode, "tc"]);
    let mut links = Vec::new();
    for device in devices {
        let index = namespace.interface_index(device);
        links.extend(hooks.iter().map(|hook| format!("{hook}-{index}")));
    }
    links.sort();
    links
}

fn collect(directory: &Path, prefix: &str, pins: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{name}/"), pins);
        } else {
            pins.push(name);
        }
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.scratch.path())
            .status();
    }
}
