//! The world: BPF maps, netlink, sockets, the event loop.

pub mod cli;
pub mod control;
pub mod ctl;
mod table;
mod usage;
