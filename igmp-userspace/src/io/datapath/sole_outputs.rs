//! The short way to outputs that have a replication set for themselves.

use anyhow::Result;
use aya::Ebpf;
use aya::maps::xdp::XdpMapError;
use aya::maps::{Array, DevMap, MapData, MapError};
use igmp_common::maps::{Port, SoleOutput};

use super::pod::Raw;
use crate::fib::sets::SetId;

/// The maps of the short way.
pub struct SoleOutputs {
    by_set: Array<MapData, Raw<SoleOutput>>,
    devices: DevMap<MapData>,
}

impl SoleOutputs {
    /// Takes them.
    pub fn take(ebpf: &mut Ebpf) -> Result<Self> {
        Ok(Self {
            by_set: super::take(ebpf, "SOLE_OUTPUTS")?.try_into()?,
            devices: super::take(ebpf, "DEVICES")?.try_into()?,
        })
    }

    /// Makes a port's device one to send to. The kernel forgets it when the device goes (`dev_map_notification`).
    ///
    /// # Errors
    ///
    /// There is no such device.
    pub fn put_device(&mut self, port: &Port) -> Result<(), XdpMapError> {
        self.devices.set(port.slot, port.device, None, 0)
    }

    /// Says whether the only output of a set can be reached past it, and how.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn put(&mut self, set: SetId, output: Option<SoleOutput>) -> Result<(), MapError> {
        self.by_set.set(set.0, Raw(output.unwrap_or_default()), 0)
    }
}
