//! Which programs a device gets, and whether copies reach it by XDP. `docs/devices.md` explains the choice.

use igmp_common::maps::{
    PORT_LOCAL_SENDERS, PORT_NO_LINK_HEADER, PORT_REPLICATES_IN_TC, PORT_TC, UNTAGGED, VlanKey,
};

use super::super::datapath::Hook;
use super::super::links::Link;
use super::super::vlan;
use super::trunk::Trunk;
use crate::api;
use crate::config::Mode;

/// What is attached to a device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Choice {
    /// XDP first: what it leaves undone TC does.
    pub hooks: &'static [Hook],
    /// Where the frames come and go: the device that has the programs, and the tag that they have there.
    pub seat: VlanKey,
    /// Of `PORT_*`: who does what.
    pub flags: u32,
    /// In words.
    pub reason: String,
}

/// What decides, as far as it changes while a device is there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    /// Octets of the largest IPv4 packet.
    mtu: usize,
    /// An XDP program of somebody else: its id.
    pub foreign_xdp: Option<u32>,
    /// Whether the driver runs XDP programs that redirect; `None` = the kernel does not say.
    has_xdp: Option<bool>,
    /// What keeps tags from XDP, as `ethtool -K` calls it.
    pub hides_tags: Option<&'static str>,
}

impl Facts {
    /// Of where XDP would run; `own_xdp` is the id of our program.
    pub fn new(trunk: &Trunk<'_>, own_xdp: u32) -> Self {
        let link = trunk.link;
        let features = link.features;
        Self {
            mtu: link.mtu,
            foreign_xdp: link.xdp.filter(|id| *id != own_xdp),
            has_xdp: features.map(|features| features.basic && features.redirect),
            hides_tags: trunk.hides_tags,
        }
    }
}

impl Choice {
    /// What `mode` means for a device whose frames XDP would see on `trunk`; `foreign` names the XDP program of somebody
    /// else. `Err` = the mode is not for such a device, and why.
    pub fn new(
        mode: Mode,
        link: &Link,
        trunk: &Trunk<'_>,
        facts: &Facts,
        foreign: Option<&str>,
    ) -> Result<Self, String> {
        let has_link_header = link.mac.is_some();
        let device = &trunk.link.name;
        let hides_tags = facts.hides_tags.map(|feature| {
            format!("{device} takes VLAN tags off in hardware: `ethtool -K {device} {feature} off`")
        });
        let tc = |reason: String| Ok(Self::tc(link, trunk, reason));
        match mode {
            Mode::Tc => tc("mode = \"tc\"".into()),
            Mode::XdpNative | Mode::XdpGeneric if !has_link_header => Err(format!(
                "not an Ethernet device, and mode = \"{}\" needs one; choose \"auto\" or \"tc\"",
                mode.name()
            )),
            Mode::XdpNative | Mode::XdpGeneric if foreign.is_some() => Err(format!(
                "{} is attached; take it off (`ip link set dev {device} xdp off`), or choose mode = \"auto\" or \"tc\", \
                 which leave it there",
                foreign.unwrap_or_default(),
            )),
            Mode::XdpNative | Mode::XdpGeneric if let Some(reason) = hides_tags => {
                Err(format!("{reason}, or choose mode = \"auto\" or \"tc\""))
            }
            Mode::XdpNative => Ok(Self::native(trunk, "mode = \"xdp-native\"")),
            Mode::XdpGeneric => Ok(Self {
                hooks: &[Hook::XdpGeneric, Hook::Tc],
                seat: trunk.seat(),
                flags: PORT_REPLICATES_IN_TC,
                reason: "mode = \"xdp-generic\"".into(),
            }),
            Mode::Auto if !has_link_header => tc("packets have no Ethernet header".into()),
            Mode::Auto if facts.has_xdp == Some(false) => tc(match trunk.tag {
                UNTAGGED => "the driver has no native XDP".into(),
                _ => format!("the driver of {device} has no native XDP"),
            }),
            Mode::Auto if let Some(reason) = hides_tags => tc(reason),
            Mode::Auto => match foreign {
                Some(foreign) => tc(format!("{foreign} is attached")),
                None => Ok(Self::native(trunk, "the driver has native XDP")),
            },
        }
    }

    fn native(trunk: &Trunk<'_>, reason: &str) -> Self {
        Self {
            hooks: &[Hook::XdpNative, Hook::Tc],
            seat: trunk.seat(),
            flags: if trunk.link.is_veth {
                PORT_LOCAL_SENDERS
            } else {
                0
            },
            reason: match trunk.tag {
                UNTAGGED => reason.into(),
                tag => format!(
                    "native XDP on {}, VLAN {}",
                    trunk.link.name,
                    vlan::describe(tag)
                ),
            },
        }
    }

    /// TC alone: on the device itself, also where that is a VLAN.
    pub fn tc(link: &Link, trunk: &Trunk<'_>, reason: String) -> Self {
        let header = if link.mac.is_some() {
            0
        } else {
            PORT_NO_LINK_HEADER
        };
        let own = VlanKey {
            device: link.index.0,
            tag: UNTAGGED,
        };
        let has_device = vlan::of_index(link.index).is_none();
        Self {
            hooks: &[Hook::Tc],
            seat: if has_device { own } else { trunk.seat() },
            flags: PORT_TC | header,
            reason,
        }
    }

    /// The same without TC, which the kernel `refused`; `None` = there is nothing else.
    pub fn without_tc(&self, refused: &str) -> Option<Self> {
        let is_native = self.hooks[0] == Hook::XdpNative;
        is_native.then(|| Self {
            hooks: &[Hook::XdpNative],
            seat: self.seat,
            flags: self.flags & !PORT_LOCAL_SENDERS,
            reason: format!(
                "{}; flows that need TC are not forwarded: {refused}",
                self.reason
            ),
        })
    }

    /// Whether there is a program in XDP.
    pub fn has_xdp(&self) -> bool {
        self.hooks[0] != Hook::Tc
    }

    /// How `show interfaces` calls it.
    pub fn datapath(&self) -> api::Datapath {
        match self.hooks {
            [Hook::XdpNative, ..] => api::Datapath::XdpNative,
            [Hook::XdpGeneric, ..] => api::Datapath::XdpGeneric,
            _ => api::Datapath::Tc,
        }
    }

    /// Why no XDP redirect reaches the device, whose programs are on `link`; `None` = it does. Where several ports share a
    /// device, the kernel would give one's copies the tag of another: it gathers what is redirected to a device, and passes
    /// all of it to the egress program of the first (`bq_enqueue`).
    pub fn no_redirect(&self, mode: Mode, link: &Link, is_shared: bool) -> Option<&'static str> {
        if link.mac.is_none() || mode == Mode::Tc {
            return Some("copies to it go by tc too");
        }
        if is_shared {
            return Some("copies go by tc: other interfaces share the device");
        }
        match link.features {
            Some(features) if features.ndo_xmit => None,
            Some(_) if link.is_veth => {
                Some("copies to it go by tc: the peer of the veth has neither XDP nor GRO")
            }
            Some(_) => Some("copies to it go by tc: the driver sends no redirected frames"),
            None if link.is_veth => Some(
                "copies to it go by tc: whether the peer of the veth takes redirected frames is unknown",
            ),
            // Drivers that have native XDP send redirected frames; before kernel 6.3 none says so.
            None if self.hooks[0] == Hook::XdpNative => None,
            None => Some("copies to it go by tc: whether it sends redirected frames is unknown"),
        }
    }
}

#[cfg(test)]
mod tests;
