//! The world: BPF maps, netlink, sockets, the event loop.

pub mod control;
