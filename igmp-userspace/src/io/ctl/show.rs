//! Answers for people: tables, and TOML where the answer is a configuration.

mod acl;
mod backup;

use std::io::{self, Write};
use std::net::Ipv4Addr;

use crate::api::{
    Counter, Datapath, FilterMode, Flow, Group, Interface, InterfaceState, MemberState, Path,
    Reload, Response, UpstreamGroup,
};
use crate::config;

use super::super::table::Align::{Left, Right};
use super::super::table::Table;

/// Sources named in one cell; JSON has them all.
const MOST_SOURCES: usize = 3;

/// How much of an answer to show.
#[derive(Clone, Copy, Default)]
pub(super) struct Detail {
    /// Counters at zero too.
    pub(super) zeros: bool,
    /// The hosts of each group instead of the groups.
    pub(super) hosts: bool,
}

/// Writes the answer.
pub(super) fn text(
    out: &mut impl Write,
    response: &Response,
    detail: Detail,
    bold: bool,
) -> io::Result<()> {
    match response {
        Response::Interfaces(rows) => interfaces(rows).write(out, bold),
        Response::Groups(rows) if detail.hosts => hosts(rows).write(out, bold),
        Response::Groups(rows) => groups(rows).write(out, bold),
        Response::Flows(rows) => flows(rows).write(out, bold),
        Response::Upstream(rows) => upstream(rows).write(out, bold),
        Response::Counters(rows) => {
            let shown = rows
                .iter()
                .filter(|counter| detail.zeros || counter.value > 0);
            counters(shown).write(out, bold)
        }
        Response::Backup(rows) => backup::table(rows).write(out, bold),
        Response::Acl(rows) => acl::table(rows).write(out, bold),
        Response::Config(configs) => configs
            .iter()
            .try_for_each(|table| write!(out, "{}", config::to_toml(table))),
        Response::Reload(reload) => changes(out, reload),
        Response::Event(event) => writeln!(out, "{}", event.kind),
        Response::Done(message) | Response::Error(message) => writeln!(out, "{message}"),
    }
}

fn interfaces(rows: &[Interface]) -> Table<9> {
    let mut table = Table::new([
        ("INTERFACE", Left),
        ("ROLE", Left),
        ("STATE", Left),
        ("ADDRESS", Left),
        ("IGMP", Right),
        ("QUERIER", Left),
        ("GROUPS", Right),
        ("DATAPATH", Left),
        ("REASON", Left),
    ]);
    for row in rows {
        let state = match row.state {
            InterfaceState::Ready => "ready",
            InterfaceState::Down => "down",
            InterfaceState::NoAddress => "no-address",
            InterfaceState::Absent => "absent",
        };
        let datapath = match row.datapath {
            Datapath::None => "none",
            Datapath::XdpNative => "xdp-native",
            Datapath::XdpGeneric => "xdp-generic",
            Datapath::Tc => "tc",
        };
        let querier = if row.querier_is_self {
            "self".to_owned()
        } else {
            or_dash(row.querier)
        };
        table.push([
            row.name.clone(),
            row.role.name().to_owned(),
            state.to_owned(),
            or_dash(row.address),
            row.igmp_version.to_string(),
            querier,
            row.groups.to_string(),
            datapath.to_owned(),
            row.datapath_reason.clone(),
        ]);
    }
    table
}

fn groups(rows: &[Group]) -> Table<8> {
    let mut table = Table::new([
        ("INTERFACE", Left),
        ("GROUP", Left),
        ("MODE", Left),
        ("IGMP", Right),
        ("EXPIRES", Right),
        ("UPTIME", Right),
        ("REPORTER", Left),
        ("SOURCES", Left),
    ]);
    for row in rows {
        // The sources that make the filter: those let in, or those kept out. In EXCLUDE mode the source timer tells.
        let filter: Vec<Ipv4Addr> = match row.filter_mode {
            FilterMode::Include => row.sources.iter().map(|source| source.address).collect(),
            FilterMode::Exclude => {
                let excluded = row.sources.iter().filter(|source| source.timer_ms == 0);
                excluded.map(|source| source.address).collect()
            }
        };
        // In INCLUDE mode the group lives as long as its last source (RFC 9776 section 6.2.2).
        let expires_ms = match row.filter_mode {
            FilterMode::Include => row
                .sources
                .iter()
                .map(|source| source.timer_ms)
                .max()
                .unwrap_or_default(),
            FilterMode::Exclude => row.timer_ms,
        };
        table.push([
            row.interface.clone(),
            row.group.to_string(),
            mode(row.filter_mode).to_owned(),
            row.compatibility.to_string(),
            if row.is_static {
                "static".to_owned()
            } else {
                time(expires_ms)
            },
            time(row.uptime_ms),
            or_dash(row.last_reporter),
            some_of(&filter),
        ]);
    }
    table
}

fn upstream(rows: &[UpstreamGroup]) -> Table<5> {
    let mut table = Table::new([
        ("INTERFACE", Left),
        ("GROUP", Left),
        ("STATE", Left),
        ("MODE", Left),
        ("SOURCES", Left),
    ]);
    for row in rows {
        let state = match row.state {
            MemberState::Delaying => "delaying",
            MemberState::Idle => "idle",
        };
        table.push([
            row.interface.clone(),
            row.group.to_string(),
            state.to_owned(),
            mode(row.filter_mode).to_owned(),
            some_of(&row.sources),
        ]);
    }
    table
}

fn hosts(rows: &[Group]) -> Table<5> {
    let mut table = Table::new([
        ("INTERFACE", Left),
        ("GROUP", Left),
        ("HOST", Left),
        ("MODE", Left),
        ("HEARD", Right),
    ]);
    for row in rows {
        for host in row.hosts.iter().flatten() {
            table.push([
                row.interface.clone(),
                row.group.to_string(),
                host.address.to_string(),
                mode(host.filter_mode).to_owned(),
                time(host.last_heard_ms),
            ]);
        }
    }
    table
}

const fn mode(mode: FilterMode) -> &'static str {
    match mode {
        FilterMode::Include => "include",
        FilterMode::Exclude => "exclude",
    }
}

/// A line a difference, and what became of them.
fn changes(out: &mut impl Write, reload: &Reload) -> io::Result<()> {
    let Reload {
        file,
        applied,
        changes,
        warnings,
    } = reload;
    for change in changes {
        writeln!(out, "{change}")?;
    }
    for warning in warnings {
        writeln!(out, "warning: {warning}")?;
    }
    match (changes.len(), applied) {
        (0, _) => writeln!(out, "{file}: nothing has changed"),
        (1, true) => writeln!(out, "{file}: 1 change applied"),
        (1, false) => writeln!(out, "{file}: 1 change, not applied"),
        (count, true) => writeln!(out, "{file}: {count} changes applied"),
        (count, false) => writeln!(out, "{file}: {count} changes, not applied"),
    }
}

fn flows(rows: &[Flow]) -> Table<9> {
    let mut table = Table::new([
        ("SOURCE", Left),
        ("GROUP", Left),
        ("FROM", Left),
        ("PATH", Left),
        ("SET", Right),
        ("PACKETS", Right),
        ("BYTES", Right),
        ("OUTPUTS", Left),
        ("REASON", Left),
    ]);
    for row in rows {
        let path = match row.path {
            Path::Xdp => "xdp",
            Path::Tc => "tc",
        };
        table.push([
            row.source
                .map_or_else(|| "*".to_owned(), |source| source.to_string()),
            row.group.to_string(),
            or_dash(row.upstream.as_ref()),
            path.to_owned(),
            or_dash(row.set),
            row.packets.to_string(),
            row.bytes.to_string(),
            if row.outputs.is_empty() {
                "-".to_owned()
            } else {
                row.outputs.join(" ")
            },
            row.path_reason.clone(),
        ]);
    }
    table
}

fn counters<'a>(rows: impl Iterator<Item = &'a Counter>) -> Table<4> {
    let mut table = Table::new([
        ("INTERFACE", Left),
        ("COUNTER", Left),
        ("VALUE", Right),
        ("MEANING", Left),
    ]);
    for row in rows {
        table.push([
            or_dash(row.interface.as_ref()),
            row.name.clone(),
            row.value.to_string(),
            row.description.clone(),
        ]);
    }
    table
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn some_of(addresses: &[Ipv4Addr]) -> String {
    if addresses.is_empty() {
        return "-".to_owned();
    }
    let (named, rest) = addresses.split_at(addresses.len().min(MOST_SOURCES));
    let mut words: Vec<_> = named.iter().map(ToString::to_string).collect();
    if !rest.is_empty() {
        words.push(format!("+{}", rest.len()));
    }
    words.join(" ")
}

/// Milliseconds as people say them, in the two largest units: `0.4s`, `12s`, `4m12s`, `3h04m`, `2d03h`.
pub(super) fn time(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..10 => format!("{seconds}.{}s", milliseconds % 1_000 / 100),
        10..60 => format!("{seconds}s"),
        60..3_600 => format!("{minutes}m{:02}s", seconds % 60),
        3_600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}
