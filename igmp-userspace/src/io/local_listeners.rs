//! Groups that sockets of this host have joined, as the kernel lists them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::Ipv4Addr;

use crate::proto::upstream::Subscription;
use crate::proto::{FilterMode, IfIndex};

/// Interfaces and their groups, with the number of sockets that joined each.
const GROUPS: &str = "/proc/net/igmp";
/// Their sources, with the number of sockets that include and exclude each.
const SOURCES: &str = "/proc/net/mcfilter";

/// What was joined on each interface, by group.
pub type Joined = BTreeMap<IfIndex, BTreeMap<Ipv4Addr, Subscription>>;

/// Reads what is joined now in this process's network namespace.
///
/// # Errors
///
/// There is no /proc.
pub fn read() -> io::Result<Joined> {
    let groups = fs::read_to_string(GROUPS)?;
    Ok(joined(&groups, &fs::read_to_string(SOURCES)?))
}

/// Sockets that include and sockets that exclude a source.
struct Counts {
    source: Ipv4Addr,
    include: u64,
    exclude: u64,
}

fn joined(groups: &str, sources: &str) -> Joined {
    let mut counts: BTreeMap<(IfIndex, Ipv4Addr), Vec<Counts>> = BTreeMap::new();
    for (key, count) in sources.lines().filter_map(source_row) {
        counts.entry(key).or_default().push(count);
    }
    let mut joined = Joined::new();
    let mut interface = None;
    for row in groups.lines() {
        // Rows of interfaces begin with a number, those of their groups are indented.
        if !row.starts_with(char::is_whitespace) {
            interface = number(row).map(IfIndex);
        } else if let Some(interface) = interface
            && let Some((group, sockets)) = group_row(row)
        {
            let counts = counts
                .get(&(interface, group))
                .map_or(&[][..], Vec::as_slice);
            let groups = joined.entry(interface).or_default();
            groups.insert(group, subscription(sockets, counts));
        }
    }
    joined
}

fn number(row: &str) -> Option<u32> {
    row.split_whitespace().next()?.parse().ok()
}

/// `010000E0 1 0:00000000 0`: the group as a number in the host's byte order, its sockets, a timer.
fn group_row(row: &str) -> Option<(Ipv4Addr, u64)> {
    let mut columns = row.split_whitespace();
    let group = u32::from_str_radix(columns.next()?, 16).ok()?;
    Some((group.to_ne_bytes().into(), columns.next()?.parse().ok()?))
}

/// `2 eth0 0xe8010101 0x0a000002 1 0`: interface, group, source, sockets that include and that exclude it.
fn source_row(row: &str) -> Option<((IfIndex, Ipv4Addr), Counts)> {
    let columns: Vec<&str> = row.split_whitespace().collect();
    let [interface, _, group, source, include, exclude] = columns[..] else {
        return None;
    };
    let address = |text: &str| {
        let digits = text.strip_prefix("0x")?;
        u32::from_str_radix(digits, 16).ok().map(Ipv4Addr::from)
    };
    let counts = Counts {
        source: address(source)?,
        include: include.parse().ok()?,
        exclude: exclude.parse().ok()?,
    };
    Some(((IfIndex(interface.parse().ok()?), address(group)?), counts))
}

/// What so many sockets want together. The kernel does not list how many of them are in which mode, so this is never less
/// than they want: only what every socket includes or excludes is known to be no other's wish.
fn subscription(sockets: u64, counts: &[Counts]) -> Subscription {
    let with = |is_listed: &dyn Fn(&Counts) -> bool| -> BTreeSet<Ipv4Addr> {
        let listed = counts.iter().filter(|count| is_listed(count));
        listed.map(|count| count.source).collect()
    };
    if counts.iter().any(|count| count.include == sockets) {
        Subscription {
            mode: FilterMode::Include,
            sources: with(&|count| count.include > 0),
        }
    } else {
        Subscription {
            mode: FilterMode::Exclude,
            sources: with(&|count| count.exclude == sockets),
        }
    }
}

#[cfg(test)]
mod tests;
