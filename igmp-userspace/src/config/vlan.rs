//! `vlan`: an interface that is a VLAN on a device, without a device of its own.

use igmp_common::frame::{ETHERTYPE_SERVICE_VLAN, ETHERTYPE_VLAN};
use igmp_common::maps::vlan_tag;
use toml::Spanned;
use toml::de::DeValue;

use super::error::{Error, Problem};
use super::reader::{Section, integer_in, wrong_type};

const KEY: &str = "vlan";
const REMEDY: &str = "write vlan = 100, or { id = 100, protocol = \"802.1ad\" }";
/// 0 is a priority tag, 4095 is reserved (IEEE 802.1Q table 9-2).
const IDS: std::ops::RangeInclusive<u16> = 1..=4094;

/// A VLAN on a device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Vlan {
    /// The device that its frames come and go through.
    pub device: String,
    /// As [`vlan_tag`] makes it.
    pub tag: u32,
}

impl Vlan {
    /// Its identifier, 1 to 4094.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.tag & 0xfff
    }

    /// Whether its frames have the tag of a service provider (802.1ad), not of 802.1Q.
    #[must_use]
    pub const fn is_service(&self) -> bool {
        self.tag >> 16 == ETHERTYPE_SERVICE_VLAN as u32
    }

    /// What igmpd calls the interface: as `ip link` would, were there a device.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.device, self.id())
    }
}

/// Reads the key: the tag.
pub(super) fn read(section: &mut Section<'_>) -> Result<Option<Spanned<u32>>, Error> {
    let Some(value) = section.take(KEY) else {
        return Ok(None);
    };
    let span = value.span();
    let place = section.source().place(&span);
    let tag = match value.get_ref() {
        DeValue::Integer(_) => {
            let id = integer_in(KEY, value.get_ref(), &IDS, "").map_err(|what| what.at(place))?;
            vlan_tag(ETHERTYPE_VLAN, id)
        }
        DeValue::Table(_) => {
            let mut keys = Section::from_value(section.source(), KEY, value)?;
            let id = keys.integer("id", &IDS, "")?;
            let protocol = keys.parsed("protocol", "802.1Q", ethertype)?;
            keys.finish()?;
            let id = id.ok_or_else(|| Problem::new("this vlan has no id", REMEDY).at(place))?;
            let protocol = protocol.map_or(ETHERTYPE_VLAN, Spanned::into_inner);
            vlan_tag(protocol, id.into_inner())
        }
        other => return Err(wrong_type(KEY, other, REMEDY).at(place)),
    };
    Ok(Some(Spanned::new(span, tag)))
}

fn ethertype(protocol: &str) -> Result<u16, Problem> {
    match protocol {
        "802.1Q" => Ok(ETHERTYPE_VLAN),
        "802.1ad" => Ok(ETHERTYPE_SERVICE_VLAN),
        _ => Err(Problem::new(
            format!("\"{protocol}\" is no VLAN protocol"),
            "write \"802.1Q\" or \"802.1ad\"",
        )),
    }
}
