//! The maps that one igmpd has left.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, Map, MapData, MapType, RingBuf};
use igmp_common::maps::{Control, LAYOUT_VERSION};

use super::super::memory::Words;
use super::super::outputs::PinnedLists;
use super::super::pod::Raw;
use super::super::sys;
use super::{CONTROL, EVENTS, FLOWS, OUTPUTS};
use crate::fib::flow_table::flows;
use crate::fib::members::members;
use crate::fib::routes::{Member, Outputs};
use crate::fib::sets::SetId;

/// One igmpd's maps.
#[derive(Debug)]
pub struct Generation {
    pub(super) path: PathBuf,
    pub(super) layout: u32,
    pub(super) number: u32,
}

/// What an igmpd knew when it ended.
pub struct Known {
    /// Who was forwarded what, by group.
    pub members: BTreeMap<Ipv4Addr, Vec<Member>>,
    /// IGMP messages that it has not read, and those that came after it.
    pub events: RingBuf<MapData>,
}

impl Generation {
    /// Whether its maps say what this version understands.
    #[must_use]
    pub const fn is_readable(&self) -> bool {
        self.layout == LAYOUT_VERSION
    }

    /// Reads what its igmpd knew; `None` when that is too old to be true (`hold_time` has passed), or it ended before it
    /// forwarded anything.
    ///
    /// # Errors
    ///
    /// A map is not what its name says.
    pub fn read(&self) -> Result<Option<Known>> {
        if !self.path.join(FLOWS).exists() {
            return Ok(None);
        }
        let control: Array<_, Raw<Control>> =
            Map::Array(self.open(CONTROL, MapType::Array)?).try_into()?;
        let Raw(control) = control.get(&0, 0)?;
        if control.alive_until_ns != 0 && control.alive_until_ns < sys::monotonic_ns() {
            return Ok(None);
        }
        let events = Map::RingBuf(self.open(EVENTS, MapType::RingBuf)?).try_into()?;
        Ok(Some(Known {
            members: self.members(control)?,
            events,
        }))
    }

    fn members(&self, control: Control) -> Result<BTreeMap<Ipv4Addr, Vec<Member>>> {
        let lists = PinnedLists::open(self.open(OUTPUTS, MapType::Hash)?)?;
        // What goes out of the upstream goes there for nobody's wish (RFC 4605 section 4.2).
        let upstream = lists.get(SetId(control.set_without_flow));
        let table = Words::of(&self.open(FLOWS, MapType::Array)?).context(FLOWS)?;
        let mut groups: BTreeMap<Ipv4Addr, BTreeMap<Option<Ipv4Addr>, Outputs>> = BTreeMap::new();
        for (key, entry) in flows(&table) {
            let mut outputs = lists.get(SetId(entry.set_from_downstream.into()));
            outputs.retain(|output| !upstream.contains(output));
            let source = Ipv4Addr::from(key.source);
            let source = (!source.is_unspecified()).then_some(source);
            let group = groups.entry(key.group.into()).or_default();
            group.insert(source, outputs);
        }
        let groups = groups.into_iter();
        Ok(groups
            .map(|(group, flows)| (group, members(&flows)))
            .collect())
    }

    fn open(&self, name: &str, map_type: MapType) -> Result<MapData> {
        let path = self.path.join(name);
        let open = || -> Result<MapData> {
            let map = MapData::from_pin(&path)?;
            let found = map.info()?.map_type()?;
            ensure!(found == map_type, "it is {found:?}");
            Ok(map)
        };
        open().with_context(|| format!("{} is not igmpd's map", path.display()))
    }
}
