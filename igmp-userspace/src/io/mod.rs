//! The world: BPF maps, netlink, sockets, the event loop.

pub mod cli;
pub mod control;
pub mod ctl;
pub mod notify;
mod table;
mod usage;
