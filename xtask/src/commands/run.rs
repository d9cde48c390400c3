//! `cargo xtask run`: the lab, or igmpd on this machine's interfaces.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::build::{Profile, as_root, build, name_binaries};
use super::setup;
use crate::progress::Progress;

/// See it work in a lab of network namespaces, or run igmpd on interfaces of this machine
///
/// Without --iface or --config among the flags: the lab. It builds a source, a gateway and receivers out of network
/// namespaces, starts the real igmpd in the gateway, has real kernel hosts join and leave, shows who receives what and
/// ends with a summary. It touches none of this machine's interfaces.
///
/// With --iface or --config: builds igmpd and becomes it, with the flags as they are.
///
/// Both need root, and call sudo when they are not.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask run                                            the lab
  cargo xtask run --receivers 8 --seconds 60                 a larger one, for a minute
  cargo xtask run -- --iface eth1 --iface eth2 --upstream eth0
  cargo xtask run -- --help                                  igmpd's own flags")]
pub struct Run {
    /// Lab: end after this many seconds
    #[arg(long, value_name = "N")]
    seconds: Option<u32>,
    /// Lab: this many receivers, each on a link of its own
    #[arg(long, value_name = "N")]
    receivers: Option<u32>,
    /// Flags of igmpd (or of the lab)
    #[arg(
        value_name = "FLAGS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    flags: Vec<OsString>,
}

impl Run {
    pub fn run(self) -> Result<ExitCode> {
        let lab = self.lab_flags();
        let progress = Progress::new(false)?;
        let mut command = if self.flags.iter().any(|flag| means_igmpd(flag)) {
            if !lab.is_empty() {
                bail!(
                    "--seconds and --receivers belong to the lab, which --iface and --config leave out"
                );
            }
            setup::for_build(&progress)?;
            as_root(&build(Profile::Release, &["igmp-userspace"])?.join("igmpd"))?
        } else {
            setup::for_lab(&progress)?;
            let directory = build(Profile::Release, &["igmp-userspace", "igmp-tests"])?;
            let mut command = as_root(&directory.join("igmp-lab"))?;
            name_binaries(&mut command, &directory);
            command
        };
        // Becoming the program leaves signals and the exit status to it.
        let error = command.args(lab).args(self.flags).exec();
        Err(error).with_context(|| format!("starting {}", command.get_program().display()))
    }

    fn lab_flags(&self) -> Vec<OsString> {
        let flags = [("--seconds", self.seconds), ("--receivers", self.receivers)];
        let given = flags
            .into_iter()
            .filter_map(|(flag, value)| Some([flag.into(), value?.to_string().into()]));
        given.flatten().collect()
    }
}

/// Whether this flag asks for igmpd itself rather than the lab.
fn means_igmpd(flag: &OsStr) -> bool {
    const IGMPD: [&str; 6] = ["--iface", "--config", "--help", "-h", "--version", "-V"];
    let flag = flag.to_string_lossy();
    IGMPD.contains(&flag.split('=').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        run: Run,
    }

    fn parse<const N: usize>(words: [&str; N]) -> Run {
        Line::parse_from(std::iter::once("run").chain(words)).run
    }

    #[test]
    fn only_flags_that_name_interfaces_or_ask_igmpd_itself_leave_the_lab() {
        for flag in [
            "--iface",
            "--iface=eth0",
            "--config",
            "--config=/etc/igmpd/igmpd.toml",
            "--help",
            "-V",
        ] {
            assert!(means_igmpd(OsStr::new(flag)), "{flag}");
        }
        for flag in ["--seconds", "30", "--log-level=debug", "eth0", "--ifaces"] {
            assert!(!means_igmpd(OsStr::new(flag)), "{flag}");
        }
    }

    #[test]
    fn flags_pass_through_as_they_are_with_and_without_dashes_before_them() {
        for run in [
            parse(["--", "--iface", "eth0", "-h"]),
            parse(["--iface", "eth0", "-h"]),
        ] {
            assert_eq!(run.flags, ["--iface", "eth0", "-h"]);
            assert!(run.lab_flags().is_empty());
        }
    }

    #[test]
    fn the_labs_own_flags_may_stand_on_either_side_of_the_dashes() {
        let run = parse(["--seconds", "20", "--", "--receivers", "5"]);
        assert_eq!(run.lab_flags(), ["--seconds", "20"]);
        assert_eq!(run.flags, ["--receivers", "5"]);
    }
}
