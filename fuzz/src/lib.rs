//! Fuzz targets: functions that take any octets and panic when a promise is broken.
//!
//! `fuzz_targets/` makes a libFuzzer program of each; `tests/replay.rs` runs them all on stable. See `README.md`.

mod backup;
mod codec;
mod frame_parser;

pub use backup::{backup, connected};
pub use codec::codec;
pub use frame_parser::frame_parser;

/// A function to feed, and the folder in `corpus/` to feed it from.
pub struct Target {
    /// The folder's name, and the libFuzzer program's.
    pub name: &'static str,
    /// Panics when a promise is broken.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "backup",
        run: backup,
    },
    Target {
        name: "codec",
        run: codec,
    },
    Target {
        name: "frame_parser",
        run: frame_parser,
    },
];
