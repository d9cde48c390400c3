//! `igmpctl import`: another product's configuration in, ours out.

use std::io::{self, Read, Write};
use std::path::Path;

use crate::config;
use crate::config::import::{Format, Imported, import};

use super::{Failure, Stop};

/// Standard input, as a file name.
const STANDARD_INPUT: &str = "-";

/// Prints `file` as TOML to `out`, and what was lost to `notes`, a line each.
pub(super) fn run(
    format: Format,
    file: &Path,
    out: &mut impl Write,
    notes: &mut impl Write,
) -> Result<(), Failure> {
    let name = file.display();
    let octets =
        read(file).map_err(|error| Failure::Input(format!("cannot read {name}: {error}")))?;
    // Descriptions are in whatever character set their writer had; all that counts is ASCII.
    let text = String::from_utf8_lossy(&octets);
    let Imported { toml, warnings } = import(format, &text)
        .map_err(|problem| Failure::Stop(Stop::mistake(format!("igmpctl: {name}: {problem}"))))?;
    out.write_all(toml.as_bytes()).map_err(Failure::Output)?;
    // The TOML has them too, so whoever does not listen here loses nothing.
    for warning in warnings {
        let _ = writeln!(notes, "{name}:{}: {}", warning.line, warning.text);
    }
    if let Err(error) = config::parse(&toml, "the result") {
        let _ = writeln!(notes, "igmpctl: the result needs a correction: {error}");
    }
    Ok(())
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    if file.as_os_str() == STANDARD_INPUT {
        let mut octets = Vec::new();
        io::stdin().lock().read_to_end(&mut octets)?;
        return Ok(octets);
    }
    std::fs::read(file)
}
