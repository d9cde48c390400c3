//! Where a contender works: a gateway with one device that packets come in through and many that copies leave through.
//!
//! ```text
//!   far ── src ── wan0 10.0.0.1  gateway  out0 10.1.0.1 ── r0 ── far
//!                                         out1 10.2.0.1 ── r1 ── far ...
//! ```

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use crate::netns::{Namespace, mac_text};

/// The gateway's device that packets come in through.
pub const INPUT: &str = "wan0";
/// Who sends the packets.
pub const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// The most outputs: their networks are 10.1.0.0/24 and so on.
pub const MOST_OUTPUTS: usize = 200;

/// A gateway, and everything that is connected to it. All of it vanishes on drop.
#[must_use = "dropping it takes the network down"]
pub struct Site {
    /// The gateway.
    pub gateway: Namespace,
    /// All that is at the other ends of its cables.
    pub far: Namespace,
    outputs: usize,
}

impl Site {
    /// Builds it.
    ///
    /// # Panics
    /// With more than [`MOST_OUTPUTS`].
    pub fn new(label: &str, outputs: usize) -> Self {
        assert!(outputs <= MOST_OUTPUTS, "{outputs} outputs");
        let gateway = Namespace::new(label);
        let far = Namespace::new(&format!("{label}-far"));
        gateway.set_sysctl("net.ipv4.ip_forward", 1);
        for which in ["all", "default"] {
            gateway.set_sysctl(&format!("net.ipv4.conf.{which}.rp_filter"), 0);
        }
        let mut commands = String::new();
        let mut cable = |network: usize, device: &str, peer: &str| {
            let address = address(network);
            let _ = writeln!(
                commands,
                "link add {device} address {} type veth peer name {peer} netns {}\n\
                 addr add {address}/24 dev {device}\n\
                 link set {device} up",
                mac_text(address),
                far.name()
            );
        };
        cable(0, INPUT, "src");
        for index in 0..outputs {
            cable(index + 1, &output(index), &receiver(index));
        }
        gateway.ip(&commands);
        let mut commands = String::from("link set src up\n");
        for name in (0..outputs).map(receiver) {
            let _ = writeln!(commands, "link set {name} up");
        }
        far.ip(&commands);
        Self {
            gateway,
            far,
            outputs,
        }
    }

    /// The gateway's devices that copies leave through.
    pub fn outputs(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.outputs).map(output)
    }

    /// The devices at the other ends of those, and of the input.
    pub fn far_ends(&self) -> impl Iterator<Item = String> + use<> {
        std::iter::once("src".to_owned()).chain((0..self.outputs).map(receiver))
    }
}

fn output(index: usize) -> String {
    format!("out{index}")
}

fn receiver(index: usize) -> String {
    format!("r{index}")
}

fn address(network: usize) -> Ipv4Addr {
    Ipv4Addr::new(
        10,
        u8::try_from(network).expect("at most 200 outputs"),
        0,
        1,
    )
}
