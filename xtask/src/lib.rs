//! The project's own commands, and the part of them that build scripts need too.
//!
//! [`toolchain`] finds what can build the kernel programs and [`ebpf`] builds them. They use the standard library only,
//! because `igmp-userspace/build.rs` depends on them. Everything else is the command line, behind the feature `cli`:
//! one file per command under `commands/`.

pub mod ebpf;
pub mod toolchain;

#[cfg(feature = "cli")]
mod apt;
#[cfg(feature = "cli")]
pub mod commands;
#[cfg(feature = "cli")]
mod lint;
#[cfg(feature = "cli")]
mod progress;
#[cfg(feature = "cli")]
mod tally;
#[cfg(feature = "cli")]
mod tidy;
#[cfg(feature = "cli")]
mod workspace;
