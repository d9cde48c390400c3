//! Memory that a process holds in the kernel.

use std::collections::BTreeMap;
use std::fs;

/// Bytes of the BPF maps that a process has open, by the kernel's account.
pub fn of_maps(pid: u32) -> u64 {
    let directory = format!("/proc/{pid}/fdinfo");
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{directory}: {error}"));
    // A map may be open more than once.
    let mut maps = BTreeMap::new();
    for entry in entries.flatten() {
        // What was closed meanwhile is no map that is held.
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        if let (Some(id), Some(bytes)) = (field(&text, "map_id"), field(&text, "memlock")) {
            maps.insert(id, bytes);
        }
    }
    maps.values().sum()
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.strip_prefix(':')?.trim().parse().ok()
}
