//! What igmpd's kernel programs and userspace share: the frame parser, checksums, the IGMP policer, the layout of
//! every map key and value, and the names of the counters.
//!
//! The parser is generic over a byte source ([`Octets`]): the code the kernel runs is the code that host tests and the
//! fuzzer run. Map types are `repr(C)` without padding and their sizes are asserted at compile time. Addresses are
//! kept as the four bytes of the wire, so nothing here has a byte order to get wrong.

#![cfg_attr(not(test), no_std)]

pub mod checksum;
pub mod counters;
pub mod flow_table;
pub mod frame;
pub mod maps;
pub mod police;
pub mod udp;

pub use counters::Counter;
pub use frame::Octets;
