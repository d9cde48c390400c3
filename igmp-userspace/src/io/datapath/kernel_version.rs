//! Refusing kernels that would take the programs and forward nothing.

use std::fs;

use anyhow::{Result, ensure};

/// The first kernel that replicates in XDP (`BPF_F_BROADCAST`, e624d4ed4aa8). Older ones ignore the flag.
const OLDEST: (u32, u32) = (5, 14);

/// Whether the running kernel is new enough. One whose name says nothing is taken at its word.
///
/// # Errors
///
/// It is not: which one runs, and which is needed.
pub(super) fn check() -> Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let (major, minor) = OLDEST;
    ensure!(
        parse(&release).is_none_or(|version| version >= OLDEST),
        "this is Linux {}: igmpd needs {major}.{minor} or newer, the first that replicates in XDP",
        release.trim()
    );
    Ok(())
}

/// Major and minor number of `6.1.0-50-cloud-amd64`.
fn parse(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_compare_as_numbers() {
        assert_eq!(parse("6.1.0-50-cloud-amd64\n"), Some((6, 1)));
        assert_eq!(parse("5.4-rc1"), Some((5, 4)));
        assert!(parse("5.9.16").unwrap() < OLDEST);
        assert!(parse("5.14.0").unwrap() >= OLDEST && parse("10.0").unwrap() > OLDEST);
        assert_eq!(parse("mainline"), None);
    }

    #[test]
    fn this_kernel_will_do() {
        check().unwrap();
    }
}
