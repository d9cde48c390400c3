//! The world: BPF maps, netlink, sockets, the event loop.

pub mod backup;
pub mod cli;
pub mod control;
pub mod ctl;
pub mod daemon;
pub mod datapath;
pub mod events;
mod kernel_log;
pub mod links;
mod local_listeners;
mod losses;
pub mod multicast_filter;
mod multicast_router;
pub mod netdev;
pub mod notify;
pub mod packet_socket;
pub mod ports;
mod refusals;
pub mod ring;
mod status;
mod table;
mod tag_offload;
mod tally;
mod timestamp;
mod usage;
mod vlan;
