//! igmpd: a multicast router and proxy for Linux gateways whose data path is XDP.
//!
//! ```text
//!             io      sockets, netlink, BPF maps, the event loop      (feature `io`)
//!      ┌──────┼───────────┬──────────┬──────────┐
//!    proto   fib        config      api      backup
//!      │      │
//!    wire   igmp-common
//! ```
//!
//! Everything but [`io`] is pure: no socket, no clock, no map, no tokio. `cargo check -p igmp-userspace --lib
//! --no-default-features` builds that core alone.

pub mod api;
pub mod backup;
pub mod config;
pub mod fib;
#[cfg(feature = "io")]
pub mod io;
pub mod proto;
pub mod wire;
