//! A LAN on which frames made by hand compete with igmpd for the querier's role.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::daemon::Daemon;
use crate::frame::IgmpPacket;
use crate::host::{FrameSender, Host};
use crate::igmp::{Igmp, seal};
use crate::topology::{Lan, Topology, gateway_address};

/// igmpd's address here: one that others are below.
pub const HIGH_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 200);
/// A router that exists in frames made by hand only.
pub const LOW_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 11);
/// Query Interval 2 s, Query Response Interval 1 s, Robustness Variable 2.
pub const IGMP: &str =
    "query_interval = \"2s\"\nquery_response_interval = \"1s\"\nstartup_query_interval = \"500ms\"";
/// With [`IGMP`], 2 x 2 s + 1 s / 2 (RFC 9776 section 8.5).
pub const OTHER_QUERIER_PRESENT_INTERVAL: Duration = Duration::from_millis(4_500);
const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);

/// `lan0` with igmpd at [`HIGH_ADDRESS`], a host, and another host's device to send from.
pub struct ContestedLan {
    /// igmpd.
    pub daemon: Daemon,
    /// All around it.
    pub topology: Topology,
    sender: FrameSender,
}

impl ContestedLan {
    /// Builds it; `igmp` is the body of the `[igmp]` table, `keys` are further ones of `lan0`.
    pub fn new(igmp: &str, keys: &str) -> Self {
        let topology = Topology::new(&[Lan::hosts(2)]);
        topology.gateway.ip(&format!(
            "addr del {}/24 dev lan0\naddr add {HIGH_ADDRESS}/24 dev lan0",
            gateway_address(1)
        ));
        let daemon = Daemon::start(&topology.gateway, &topology.config_with(igmp, &[keys]));
        let sender = topology.receivers[1].frame_sender();
        Self {
            daemon,
            topology,
            sender,
        }
    }

    /// A host on it.
    pub fn member(&self) -> &Host {
        &self.topology.receivers[0]
    }

    /// Who igmpd takes for the querier.
    pub fn querier(&self) -> Ipv4Addr {
        self.daemon.querier("lan0")
    }

    /// Puts a packet on the wire.
    pub fn send(&self, packet: &IgmpPacket) {
        self.send_frame(&packet.frame());
    }

    /// The same with a frame.
    pub fn send_frame(&self, frame: &[u8]) {
        self.sender.send(frame);
    }

    /// A General Query from [`LOW_ADDRESS`], with a Max Response Time in tenths of a second.
    pub fn general_query(&self, version: u8, max_response: u64) -> IgmpPacket {
        self.query_about(Ipv4Addr::UNSPECIFIED, version, max_response, &[])
    }

    /// A query from [`LOW_ADDRESS`] about a group, or some sources of it.
    pub fn query_about(
        &self,
        group: Ipv4Addr,
        version: u8,
        max_response: u64,
        sources: &[Ipv4Addr],
    ) -> IgmpPacket {
        let query = Igmp::Query {
            version,
            group,
            max_response: Duration::from_millis(100 * max_response),
            sources: sources.to_vec(),
        };
        let destination = if group.is_unspecified() {
            ALL_SYSTEMS
        } else {
            group
        };
        IgmpPacket {
            source: LOW_ADDRESS,
            ..self.topology.receivers[1].igmp_packet(destination, &query)
        }
    }
}

/// A version 3 query with this Robustness Variable and Querier's Query Interval Code; a version 2 query has neither.
pub fn with_robustness_and_interval(mut query: IgmpPacket, robustness: u8, code: u8) -> IgmpPacket {
    if let Some(fields) = query.message.get_mut(8..10) {
        fields.copy_from_slice(&[robustness, code]);
        seal(&mut query.message);
    }
    query
}
