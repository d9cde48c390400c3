//! Where XDP sees the frames of a port: a VLAN's on the device below it.

use igmp_common::maps::{UNTAGGED, VlanKey};

use super::super::links::{Link, Snapshot};
use super::super::vlan;
use crate::config::Mode;

/// That device.
#[derive(Debug)]
pub struct Trunk<'a> {
    /// The device.
    pub link: &'a Link,
    /// The tag that the port's frames have there.
    pub tag: u32,
    /// What keeps tags that matter from XDP, as `ethtool -K` calls it: the port's own, or, where the port is the device
    /// itself, those of VLANs on it, whose frames would pass for the port's.
    pub hides_tags: Option<&'static str>,
}

impl<'a> Trunk<'a> {
    /// Where frames of `link` are to be handled in this mode. A VLAN device is as good as any but for native XDP.
    pub fn of(mode: Mode, link: &'a Link, snapshot: &'a Snapshot) -> Self {
        let has_device = vlan::of_index(link.index).is_none();
        let is_below = !has_device || matches!(mode, Mode::Auto | Mode::XdpNative);
        if let Some(vlan) = link.vlan.filter(|_| is_below)
            && let Some(below) = snapshot.by_index(vlan.device)
        {
            return Self {
                link: below,
                tag: vlan.tag,
                hides_tags: below.tag_offload.taking_off(vlan.tag),
            };
        }
        let vlans = snapshot.links.values().filter_map(|link| link.vlan);
        let mut tags = vlans
            .filter(|vlan| vlan.device == link.index)
            .map(|vlan| vlan.tag);
        Self {
            link,
            tag: UNTAGGED,
            hides_tags: tags.find_map(|tag| link.tag_offload.taking_off(tag)),
        }
    }

    /// The same as the kernel programs name it.
    pub fn seat(&self) -> VlanKey {
        VlanKey {
            device: self.link.index.0,
            tag: self.tag,
        }
    }
}
