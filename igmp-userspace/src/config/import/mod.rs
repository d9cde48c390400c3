//! Other products' configurations -> ours, as commented TOML. Pure: reading the file is the caller's.
//!
//! Whatever means something else here, or nothing, is a [`Warning`], and stands in the TOML where it would have been.
//! What comes out is a good configuration: a file that cannot become one is refused. `docs/migration.md` has the tables.

mod document;
mod group_filter;
mod huawei;
mod igmpproxy;
mod phyint;
#[cfg(test)]
mod tests;
mod vyos;

use std::str::FromStr;

use super::error::Problem;

/// Whose configuration it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// igmpproxy.conf(5).
    Igmpproxy,
    /// `set protocols igmp-proxy ...` of VyOS and EdgeOS, or the same as a config.boot with braces.
    Vyos,
    /// `display current-configuration` of a router with Huawei VRP.
    Huawei,
}

impl FromStr for Format {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        match text {
            "igmpproxy" => Ok(Self::Igmpproxy),
            "vyos" => Ok(Self::Vyos),
            "huawei" => Ok(Self::Huawei),
            _ => Err(Problem::new(
                format!("\"{text}\" is no format that can be read"),
                "write igmpproxy, vyos or huawei",
            )),
        }
    }
}

/// A configuration taken over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Imported {
    /// A configuration of ours, with comments that say where each part comes from.
    pub toml: String,
    /// What means something else here, or has no counterpart; in the order of the file.
    pub warnings: Vec<Warning>,
}

/// Something in the file that is not, or not quite, taken over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Warning {
    /// Where in the file it is, from 1.
    pub line: usize,
    /// What differs and what to do, as one line.
    pub text: String,
}

/// Reads `text`, a configuration of `format`.
///
/// # Errors
///
/// It is no such file, or nothing in it can become a downstream interface.
pub fn import(format: Format, text: &str) -> Result<Imported, Problem> {
    match format {
        Format::Igmpproxy => igmpproxy::import(text),
        Format::Vyos => vyos::import(text),
        Format::Huawei => huawei::import(text),
    }
}

/// Something, and the line that it stands on.
#[derive(Clone, Debug, Eq, PartialEq)]
struct At<T> {
    line: usize,
    value: T,
}

fn at<T>(line: usize, value: T) -> At<T> {
    At { line, value }
}
