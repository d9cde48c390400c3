//! igmpctl: ask igmpd, show the answer.

mod backup;
mod client;
mod import;
mod show;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::api::{Request, Response};
use crate::config::import::Format;
use crate::config::{DEFAULT_CONTROL_SOCKET, DEFAULT_PIN_PATH};

use super::cli;
use super::datapath::pins;
use super::usage::{self, Stop};

const EXAMPLES: &str = "\
Examples:
  igmpctl show groups --interface eth1
  igmpctl --json show flows | jq '.[] | select(.packets == 0)'
  igmpctl events | grep leaves
  igmpctl reload --dry-run
  igmpctl completions bash > /etc/bash_completion.d/igmpctl

Exit status: 0 done, 1 failed, 2 bad usage or bad configuration.";

/// Asks a running igmpd.
#[derive(Debug, Parser)]
#[command(name = "igmpctl", version, after_help = EXAMPLES)]
struct Arguments {
    /// Control socket of the daemon
    #[arg(long, global = true, value_name = "PATH", default_value = DEFAULT_CONTROL_SOCKET)]
    socket: PathBuf,

    /// Print JSON: an array of objects, or an object an event
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what the daemon knows
    #[command(subcommand)]
    Show(Show),
    /// Print what happens, a line an event, until interrupted
    Events,
    /// Have the daemon forget everything learnt, leave upstream, and learn again; interfaces stay attached
    Restart,
    /// Have the daemon forget something
    #[command(subcommand)]
    Clear(Clear),
    /// Have the daemon read its configuration file again; a file that is not good changes nothing
    Reload {
        /// Only print what would change
        #[arg(long)]
        dry_run: bool,
    },
    /// Say whether a configuration file is good; needs no daemon
    CheckConfig {
        /// The TOML file
        file: PathBuf,
    },
    /// Print another product's configuration as TOML; what differs is told on standard error
    Import {
        /// Whose configuration it is: igmpproxy, vyos (EdgeOS too) or huawei (VRP)
        #[arg(value_parser = Format::from_str)]
        format: Format,
        /// The file; - is standard input
        file: PathBuf,
    },
    /// Remove what an igmpd with persist = true has left in the kernel when it stopped; needs no daemon
    Detach {
        /// Where it was pinned: the daemon's pin_path
        #[arg(long, value_name = "PATH", default_value = DEFAULT_PIN_PATH)]
        pin_path: PathBuf,
    },
    /// Another gateway that serves the same hosts
    #[command(subcommand)]
    Backup(backup::Command),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
enum Clear {
    /// Who is a member of what: members are asked at once, and lose what comes until they answer
    Groups {
        /// Only on this interface
        #[arg(value_name = "IFACE")]
        interface: Option<String>,
        /// Only this group
        #[arg(value_name = "GROUP")]
        group: Option<Ipv4Addr>,
    },
}

#[derive(Debug, Subcommand)]
enum Show {
    /// Interfaces: role, state, querier, how packets are handled
    Interfaces,
    /// Who is a member of what, and for how much longer
    Groups {
        /// Only those on this interface
        #[arg(long, value_name = "IF")]
        interface: Option<String>,
        /// Only this group
        #[arg(long, value_name = "ADDRESS")]
        group: Option<Ipv4Addr>,
        /// The hosts known to be members, a row each
        #[arg(long)]
        hosts: bool,
    },
    /// What the kernel replicates, and where to
    Flows {
        /// Only flows of this group
        #[arg(long, value_name = "ADDRESS")]
        group: Option<Ipv4Addr>,
    },
    /// The groups joined upstream, and what is asked for of each
    Upstream,
    /// What was counted, by reason
    Counters {
        /// Only those of this interface
        #[arg(long, value_name = "IF")]
        interface: Option<String>,
        /// Counters at zero too (JSON always has them)
        #[arg(long)]
        all: bool,
    },
    /// The gateways that serve the same hosts: who is master, whether both hold the same
    Backup,
    /// Access lists: rules, how often each has decided, and the policies that name the list
    Acl,
    /// The configuration in force with every default, as TOML
    Config,
}

impl Show {
    fn request(&self) -> Request {
        match self {
            Self::Interfaces => Request::ShowInterfaces {},
            Self::Groups {
                interface,
                group,
                hosts,
            } => Request::ShowGroups {
                interface: interface.clone(),
                group: *group,
                hosts: *hosts,
            },
            Self::Flows { group } => Request::ShowFlows { group: *group },
            Self::Upstream => Request::ShowUpstream {},
            Self::Counters { interface, .. } => Request::ShowCounters {
                interface: interface.clone(),
            },
            Self::Backup => Request::ShowBackup {},
            Self::Acl => Request::ShowAcl {},
            Self::Config => Request::ShowConfig {},
        }
    }

    fn detail(&self) -> show::Detail {
        show::Detail {
            zeros: matches!(self, Self::Counters { all: true, .. }),
            hosts: matches!(self, Self::Groups { hosts: true, .. }),
        }
    }
}

/// What stood between the command and its end.
#[derive(Debug)]
enum Failure {
    /// Bad usage or configuration, or a question that needs no daemon.
    Stop(Stop),
    /// Nobody to ask, or no answer.
    Ask(client::Error),
    /// A file that cannot be read.
    Input(String),
    /// Standard output does not take it.
    Output(io::Error),
}

/// Runs the command line (the program's name first); the status is for `main` to return.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let stdout = io::stdout().lock();
    let bold =
        stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut out = BufWriter::new(stdout);
    let result =
        execute(arguments, &mut out, bold).and_then(|()| out.flush().map_err(Failure::Output));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Stop(stop)) => stop.report(),
        // The reader has seen enough: `igmpctl show groups | head`.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Failure::Output(error)) => fail(&format_args!("cannot write the output: {error}")),
        Err(Failure::Ask(error)) => fail(&error),
        Err(Failure::Input(message)) => fail(&message),
    }
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "igmpctl: {error}");
    ExitCode::FAILURE
}

fn execute(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut impl Write,
    bold: bool,
) -> Result<(), Failure> {
    let arguments: Arguments = usage::parse(arguments).map_err(Failure::Stop)?;
    let (socket, json) = (arguments.socket, arguments.json);
    let ask = |out: &mut _, request: &Request, detail| {
        let response = client::ask(&socket, request).map_err(Failure::Ask)?;
        if json {
            print_json(out, &response).map_err(Failure::Output)
        } else {
            show::text(out, &response, detail, bold).map_err(Failure::Output)
        }
    };
    let order = |out: &mut _, request: &Request| ask(out, request, show::Detail::default());
    match arguments.command {
        Command::Show(show) => ask(out, &show.request(), show.detail()),
        Command::Events => follow_events(&socket, out, json),
        Command::Reload { dry_run } => order(out, &Request::Reload { dry_run }),
        Command::Restart => order(out, &Request::Restart {}),
        Command::Clear(Clear::Groups { interface, group }) => {
            order(out, &Request::ClearGroups { interface, group })
        }
        Command::CheckConfig { file } => {
            let config = cli::read_file(&file, "name a file that you may read")
                .map_err(|error| Failure::Stop(Stop::mistake(format!("igmpctl: {error}"))))?;
            writeln!(
                out,
                "{}",
                cli::verdict(&file.display().to_string(), &config)
            )
            .map_err(Failure::Output)
        }
        Command::Import { format, file } => import::run(format, &file, out, &mut io::stderr()),
        Command::Detach { pin_path } => {
            let devices =
                pins::detach(&pin_path).map_err(|error| Failure::Input(error.to_string()))?;
            let pin_path = pin_path.display();
            let result = match devices {
                0 => writeln!(out, "{pin_path}: no programs are pinned there"),
                _ => writeln!(out, "{pin_path}: programs detached from {devices} devices"),
            };
            result.map_err(Failure::Output)
        }
        Command::Backup(command) => backup::run(command, &socket, out, order),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "igmpctl", &mut script);
            out.write_all(&script).map_err(Failure::Output)
        }
    }
}

/// Prints events as they come; ends only when the daemon or the reader does.
fn follow_events(socket: &Path, out: &mut impl Write, json: bool) -> Result<(), Failure> {
    let mut stream =
        client::Stream::open(socket, &Request::Events {}, None).map_err(Failure::Ask)?;
    loop {
        let Response::Event(event) = stream.next().map_err(Failure::Ask)? else {
            continue;
        };
        let mut print = || {
            if json {
                serde_json::to_writer(&mut *out, &event)?;
                writeln!(out)?;
            } else {
                let interface = event.interface.as_deref().unwrap_or("-");
                writeln!(out, "{}  {interface}  {}", event.time, event.kind)?;
            }
            out.flush()
        };
        print().map_err(Failure::Output)?;
    }
}

/// The rows alone, as an array on one line.
fn print_json(out: &mut impl Write, response: &Response) -> io::Result<()> {
    match response {
        Response::Interfaces(rows) => serde_json::to_writer(&mut *out, rows)?,
        Response::Groups(rows) => serde_json::to_writer(&mut *out, rows)?,
        Response::Flows(rows) => serde_json::to_writer(&mut *out, rows)?,
        Response::Upstream(rows) => serde_json::to_writer(&mut *out, rows)?,
        Response::Counters(rows) => serde_json::to_writer(&mut *out, rows)?,
        Response::Backup(rows) => serde_json::to_writer(&mut *out, rows)?,
        Response::Acl(rows) => serde_json::to_writer(&mut *out, rows)?,
        Response::Config(rows) => serde_json::to_writer(&mut *out, rows)?,
        Response::Reload(reload) => serde_json::to_writer(&mut *out, &[reload])?,
        Response::Event(event) => serde_json::to_writer(&mut *out, event)?,
        Response::Done(message) | Response::Error(message) => {
            serde_json::to_writer(&mut *out, message)?;
        }
    }
    writeln!(out)
}
