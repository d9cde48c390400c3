//! Which programs a device gets, and whether copies reach it by XDP. `docs/devices.md` explains the choice.

use igmp_common::maps::{PORT_LOCAL_SENDERS, PORT_NO_LINK_HEADER, PORT_REPLICATES_IN_TC, PORT_TC};

use super::super::datapath::Hook;
use super::super::links::Link;
use super::super::netdev::Features;
use crate::api;
use crate::config::Mode;

/// What is attached to a device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Choice {
    /// XDP first: what it leaves undone TC does.
    pub hooks: &'static [Hook],
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
}

impl Facts {
    /// Of a device; `own_xdp` is the id of our program.
    pub fn new(link: &Link, features: Option<Features>, own_xdp: u32) -> Self {
        Self {
            mtu: link.mtu,
            foreign_xdp: link.xdp.filter(|id| *id != own_xdp),
            has_xdp: features.map(|features| features.basic && features.redirect),
        }
    }
}

impl Choice {
    /// What `mode` means for a device; `foreign` names the XDP program of somebody else. `Err` = the mode is not for such
    /// a device, and why.
    pub fn new(
        mode: Mode,
        link: &Link,
        facts: &Facts,
        foreign: Option<&str>,
    ) -> Result<Self, String> {
        let has_link_header = link.mac.is_some();
        match mode {
            Mode::Tc => Ok(Self::tc(link, "mode = \"tc\"".into())),
            Mode::XdpNative | Mode::XdpGeneric if !has_link_header => Err(format!(
                "not an Ethernet device, and mode = \"{}\" needs one; choose \"auto\" or \"tc\"",
                mode.name()
            )),
            Mode::XdpNative | Mode::XdpGeneric if foreign.is_some() => Err(format!(
                "{} is attached; take it off (`ip link set dev {} xdp off`), or choose mode = \"auto\" or \"tc\", which \
                 leave it there",
                foreign.unwrap_or_default(),
                link.name
            )),
            Mode::XdpNative => Ok(Self::native(link, "mode = \"xdp-native\"".into())),
            Mode::XdpGeneric => Ok(Self {
                hooks: &[Hook::XdpGeneric, Hook::Tc],
                flags: PORT_REPLICATES_IN_TC,
                reason: "mode = \"xdp-generic\"".into(),
            }),
            Mode::Auto if !has_link_header => {
                Ok(Self::tc(link, "packets have no Ethernet header".into()))
            }
            Mode::Auto if facts.has_xdp == Some(false) => {
                Ok(Self::tc(link, "the driver has no native XDP".into()))
            }
            Mode::Auto => Ok(match foreign {
                Some(foreign) => Self::tc(link, format!("{foreign} is attached")),
                None => Self::native(link, "the driver has native XDP".into()),
            }),
        }
    }

    fn native(link: &Link, reason: String) -> Self {
        Self {
            hooks: &[Hook::XdpNative, Hook::Tc],
            flags: if link.is_veth { PORT_LOCAL_SENDERS } else { 0 },
            reason,
        }
    }

    /// TC alone.
    pub fn tc(link: &Link, reason: String) -> Self {
        let header = if link.mac.is_some() {
            0
        } else {
            PORT_NO_LINK_HEADER
        };
        Self {
            hooks: &[Hook::Tc],
            flags: PORT_TC | header,
            reason,
        }
    }

    /// The same without TC, which the kernel `refused`; `None` = there is nothing else.
    pub fn without_tc(&self, refused: &str) -> Option<Self> {
        let is_native = self.hooks[0] == Hook::XdpNative;
        is_native.then(|| Self {
            hooks: &[Hook::XdpNative],
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

    /// Why no XDP redirect reaches the device; `None` = it does.
    pub fn no_redirect(
        &self,
        mode: Mode,
        link: &Link,
        features: Option<Features>,
    ) -> Option<&'static str> {
        if link.mac.is_none() || mode == Mode::Tc {
            return Some("copies to it go by tc too");
        }
        match features {
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
