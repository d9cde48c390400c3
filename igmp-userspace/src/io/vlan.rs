//! VLANs that have no device: the numbers and the links that stand for them among those of devices.
//!
//! A number follows from device and tag alone, so that what outlives igmpd means the same to the next one. The kernel gives
//! no device a number with the top bit set.
//!
//! ```text
//!  31  30            13   12   11         0
//! ┌───┬────────────────┬────┬──────────────┐
//! │ 1 │ device         │ ad │ identifier   │
//! └───┴────────────────┴────┴──────────────┘
//! ```

use igmp_common::frame::{ETHERTYPE_SERVICE_VLAN, ETHERTYPE_VLAN};
use igmp_common::maps::vlan_tag;

use super::links::{Link, Snapshot, Vlan};
use crate::config::InterfaceConfig;
use crate::proto::IfIndex;

const IS_VLAN: u32 = 1 << 31;
const DEVICE_SHIFT: u32 = 13;
/// The kernel counts devices from 1 on, and gives no number twice.
const LARGEST_DEVICE: u32 = (1 << 18) - 1;
const IS_SERVICE: u32 = 1 << 12;
const ID_MASK: u32 = 0xfff;

/// The index of a VLAN without a device; `None` = its device's own index is too large.
pub fn index(vlan: Vlan) -> Option<IfIndex> {
    if vlan.device.0 > LARGEST_DEVICE {
        return None;
    }
    let is_service = vlan.tag >> 16 == u32::from(ETHERTYPE_SERVICE_VLAN);
    let service = if is_service { IS_SERVICE } else { 0 };
    let device = vlan.device.0 << DEVICE_SHIFT;
    Some(IfIndex(IS_VLAN | device | service | vlan.tag & ID_MASK))
}

/// What such an index stands for; `None` = a device.
pub fn of_index(index: IfIndex) -> Option<Vlan> {
    if index.0 & IS_VLAN == 0 {
        return None;
    }
    let is_service = index.0 & IS_SERVICE != 0;
    let ethertype = if is_service {
        ETHERTYPE_SERVICE_VLAN
    } else {
        ETHERTYPE_VLAN
    };
    Some(Vlan {
        device: IfIndex((index.0 & !IS_VLAN) >> DEVICE_SHIFT),
        tag: vlan_tag(ethertype, 0) | index.0 & ID_MASK,
    })
}

/// The device with this index, or the one that a VLAN is on.
pub fn device(index: IfIndex) -> IfIndex {
    of_index(index).map_or(index, |vlan| vlan.device)
}

/// A tag as a person calls it.
pub fn describe(tag: u32) -> String {
    let id = tag & ID_MASK;
    if tag >> 16 == u32::from(ETHERTYPE_SERVICE_VLAN) {
        format!("{id} (802.1ad)")
    } else {
        id.to_string()
    }
}

/// Has `snapshot` show the VLANs of `rules` like devices, each as able as the device that it is on, unless there is a
/// device for the VLAN, of this name or another.
pub fn add_to(snapshot: &mut Snapshot, rules: &[InterfaceConfig]) {
    for rule in rules.iter().filter(|rule| rule.is_used()) {
        if let Some((device, vlan)) = wanted(rule, snapshot)
            && !snapshot.links.contains_key(&rule.name)
            && device_of(vlan, snapshot).is_none()
            && let Some(index) = index(vlan)
        {
            let link = Link {
                index,
                name: rule.name.clone(),
                vlan: Some(vlan),
                addresses: Vec::new(),
                ..device.clone()
            };
            if snapshot.flapped.contains(&vlan.device) {
                snapshot.flapped.insert(index);
            }
            snapshot.links.insert(rule.name.clone(), link);
        }
    }
}

/// Why there is no link for an interface.
pub fn absence(config: &InterfaceConfig, snapshot: &Snapshot) -> String {
    let Some((device, vlan)) = wanted(config, snapshot) else {
        return "no such device".into();
    };
    match device_of(vlan, snapshot) {
        Some(other) => format!(
            "{} is VLAN {} of {}: write name = \"{0}\", without vlan",
            other.name,
            describe(vlan.tag),
            device.name
        ),
        None => format!(
            "{} has the index {}, and VLANs without a device need one up to {LARGEST_DEVICE}: make a VLAN device",
            device.name, device.index.0
        ),
    }
}

/// The VLAN that is configured, and the device that it is on.
fn wanted<'a>(config: &InterfaceConfig, snapshot: &'a Snapshot) -> Option<(&'a Link, Vlan)> {
    let vlan = config.vlan.as_ref()?;
    let device = snapshot.links.get(&vlan.device)?;
    let (device_index, tag) = (device.index, vlan.tag);
    Some((
        device,
        Vlan {
            device: device_index,
            tag,
        },
    ))
}

fn device_of(vlan: Vlan, snapshot: &Snapshot) -> Option<&Link> {
    let mut links = snapshot.links.values();
    links.find(|link| link.vlan == Some(vlan))
}

#[cfg(test)]
mod tests;
