//! igmpd's test world: network namespaces, real kernel hosts, captures, the real daemon.
//!
//! Everything here is a value that cleans up after itself when dropped, a panic included, and has a name of its own, so
//! that tests run in parallel. Helpers panic rather than return errors: a test wants the backtrace.

#![allow(
    clippy::must_use_candidate,
    reason = "helpers are called as much for what they check as for what they return"
)]

pub mod backup;
pub mod bench;
pub mod bpffs;
pub mod capture;
pub mod contested_lan;
pub mod daemon;
pub mod events;
pub mod fixtures;
pub mod frame;
pub mod host;
pub mod igmp;
pub mod kernel_router;
pub mod lab;
pub mod netns;
pub mod peers;
pub mod proxy;
pub mod receiver;
pub mod scratch;
pub mod stream;
mod sys;
pub mod tagged;
pub mod topology;
pub mod tshark;
pub mod wait;
