//! The world: BPF maps, netlink, sockets, the event loop.
