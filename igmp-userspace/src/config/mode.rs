//! Which kernel hooks handle packets.

use std::str::FromStr;

use super::error::Problem;

/// How packets that come in on an interface are handled; `docs/devices.md` says which suits which device.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// XDP in the driver where the device can, TC where it cannot or copies have to be made there.
    #[default]
    Auto,
    /// XDP in the driver; a device without it is refused.
    XdpNative,
    /// XDP on socket buffers.
    XdpGeneric,
    /// TC only.
    Tc,
}

impl Mode {
    const ALL: [Self; 4] = [Self::Auto, Self::XdpNative, Self::XdpGeneric, Self::Tc];

    /// The word that stands for it in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::XdpNative => "xdp-native",
            Self::XdpGeneric => "xdp-generic",
            Self::Tc => "tc",
        }
    }
}

impl FromStr for Mode {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let found = Self::ALL.into_iter().find(|mode| mode.name() == text);
        found.ok_or_else(|| {
            Problem::new(
                format!("\"{text}\" is no mode"),
                "write \"auto\", \"xdp-native\", \"xdp-generic\" or \"tc\"",
            )
        })
    }
}
