//! What the programs know about ports.

use std::collections::HashMap as StdHashMap;

use anyhow::Result;
use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData, MapError};
use igmp_common::maps::{Port, PortRow, port_row};

use super::pod::Raw;
use crate::proto::IfIndex;

/// The maps of ports.
pub struct PortMaps {
    all: HashMap<MapData, u32, Raw<Port>>,
    near: Array<MapData, Raw<PortRow>>,
    /// Whose the rows of `near` are. Who finds its row taken is found in `all` alone.
    owners: StdHashMap<u32, IfIndex>,
}

impl PortMaps {
    /// Takes them.
    pub fn take(ebpf: &mut Ebpf) -> Result<Self> {
        Ok(Self {
            all: super::take(ebpf, "PORTS")?.try_into()?,
            near: super::take(ebpf, "NEAR_PORTS")?.try_into()?,
            owners: StdHashMap::new(),
        })
    }

    /// Writes what there is to know of a port.
    ///
    /// # Errors
    ///
    /// There are too many ports, or the kernel refuses.
    pub fn put(&mut self, index: IfIndex, port: Port) -> Result<(), MapError> {
        self.all.insert(index.0, Raw(port), 0)?;
        let row = port_row(index.0);
        if *self.owners.entry(row).or_insert(index) != index {
            return Ok(());
        }
        let value = PortRow {
            index: index.0,
            reserved: 0,
            port,
        };
        self.near.set(row, Raw(value), 0)
    }

    /// Forgets a port.
    ///
    /// # Errors
    ///
    /// There is no such port, or the kernel refuses.
    pub fn delete(&mut self, index: IfIndex) -> Result<(), MapError> {
        let row = port_row(index.0);
        if self.owners.get(&row) == Some(&index) {
            self.near.set(row, Raw(PortRow::default()), 0)?;
            self.owners.remove(&row);
        }
        self.all.remove(&index.0)
    }
}
