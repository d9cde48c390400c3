//! `igmpctl backup`: roles, maintenance, keys.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};

use super::{Failure, client};
use crate::api::{Direction, Request};
use crate::backup::Role;
use crate::io::backup::keygen;
use crate::io::daemon::backup::{keep_role, role_file};

/// What can be done.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make this gateway master or backup of a profile; keepalived's notify scripts call this. While no igmpd runs, it is
    /// the role that the next one begins with
    SetRole {
        /// The remote_backup_profile
        profile: String,
        /// Which role
        role: RoleArgument,
    },
    /// Copy nothing to the peer, or act on nothing that it copies, until unblocked
    Block {
        /// The remote_backup_profile
        profile: String,
        /// Which copies
        direction: DirectionArgument,
    },
    /// Let copies through again; both gateways are synchronised then
    Unblock {
        /// The remote_backup_profile
        profile: String,
        /// Which copies
        direction: DirectionArgument,
    },
    /// Make keys and certificates for two gateways: DIR/a is for the one, DIR/b for the other. Good for tests and for a
    /// pair that nobody else has to trust; needs no daemon
    Keygen {
        /// Where to
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// How long they are good for
        #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u16).range(1..))]
        days: u16,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum RoleArgument {
    Master,
    Backup,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum DirectionArgument {
    Send,
    Receive,
}

impl From<DirectionArgument> for Direction {
    fn from(direction: DirectionArgument) -> Self {
        match direction {
            DirectionArgument::Send => Self::Send,
            DirectionArgument::Receive => Self::Receive,
        }
    }
}

/// Does it; `order` asks the daemon.
pub(super) fn run<W: Write>(
    command: Command,
    socket: &Path,
    out: &mut W,
    order: impl Fn(&mut W, &Request) -> Result<(), Failure>,
) -> Result<(), Failure> {
    match command {
        Command::SetRole { profile, role } => {
            let role = match role {
                RoleArgument::Master => Role::Master,
                RoleArgument::Backup => Role::Backup,
            };
            let request = Request::SetBackupRole {
                profile: profile.clone(),
                role,
            };
            match order(out, &request) {
                Err(Failure::Ask(client::Error::NotRunning(_))) => {
                    let file = role_file(socket, &profile);
                    keep_role(&file, role, None).map_err(|error| {
                        Failure::Input(format!("no igmpd runs, and {}: {error}", file.display()))
                    })?;
                    writeln!(out, "{profile}: {role}, once igmpd runs").map_err(Failure::Output)
                }
                result => result,
            }
        }
        Command::Block { profile, direction } => order(
            out,
            &Request::BlockBackup {
                profile,
                direction: direction.into(),
                blocked: true,
            },
        ),
        Command::Unblock { profile, direction } => order(
            out,
            &Request::BlockBackup {
                profile,
                direction: direction.into(),
                blocked: false,
            },
        ),
        Command::Keygen { directory, days } => {
            keygen::run(&directory, days).map_err(|error| Failure::Input(error.to_string()))?;
            let [a, b] = keygen::GATEWAYS.map(|gateway| directory.join(gateway));
            let [cert, key, ca] = keygen::FILES;
            writeln!(
                out,
                "{} is for the one gateway, {} for the other; in each:\n\
                 tls = {{ cert = \"DIR/{cert}\", key = \"DIR/{key}\", ca = \"DIR/{ca}\" }}",
                a.display(),
                b.display()
            )
            .map_err(Failure::Output)
        }
    }
}
