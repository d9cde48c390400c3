//! The command line of igmpd.

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, ValueEnum};

use crate::config::{self, Config, Mode, Problem, Role};

use super::usage;
pub use super::usage::{MISTAKE, Stop};

const EXAMPLES: &str = "\
Examples:
  igmpd --iface eth1 --iface eth2 --upstream eth0
      Receivers on eth1 and eth2, sources behind eth0.
  igmpd --iface eth1 --iface eth2
      Only local sources: what is sent on eth1 reaches the members on eth2, and the other way round.
  igmpd --config igmpd.toml --check
      Say whether the file is good, and start nothing.

Exit status: 0 stopped cleanly, 1 failed, 2 bad usage or bad configuration.";

/// Multicast router whose packets never climb the kernel's network stack: hosts join and leave with IGMP, an XDP
/// program replicates.
///
/// Interfaces come from a file or from flags, not from both. A *downstream* interface has receivers behind it: igmpd
/// is the IGMP router there, asks who listens, and sends each group only where it has members. The *upstream* interface
/// leads to the sources; there is at most one. With neither --config nor --iface, the file is /etc/igmpd/igmpd.toml.
#[derive(Parser)]
#[command(name = "igmpd", version, after_help = EXAMPLES)]
struct Arguments {
    /// Read interfaces and timers from this TOML file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["iface", "upstream"])]
    config: Option<PathBuf>,

    /// Be the IGMP router on this interface, which has receivers behind it (downstream); may be repeated
    #[arg(long, value_name = "IF")]
    iface: Vec<String>,

    /// Forward what comes in on this interface, which leads to the sources
    #[arg(long, value_name = "IF", requires = "iface")]
    upstream: Option<String>,

    /// How to replicate: auto, xdp-native, xdp-generic or tc [default: the file's, else auto]
    #[arg(long, value_name = "MODE", value_parser = Mode::from_str)]
    mode: Option<Mode>,

    /// Unix socket to serve igmpctl on [default: the file's, else /run/igmpd/control.sock]
    #[arg(long, value_name = "PATH")]
    control_socket: Option<PathBuf>,

    /// Directory in a bpffs for pinned links and maps [default: the file's, else /sys/fs/bpf/igmpd]
    #[arg(long, value_name = "PATH")]
    pin_path: Option<PathBuf>,

    /// Serve /metrics (Prometheus) and /healthz on this address [default: the file's, else not at all]
    #[arg(long, value_name = "ADDR:PORT", value_parser = metrics_address)]
    metrics: Option<SocketAddr>,

    /// Least important message to log
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = log_level())]
    log_level: tracing::Level,

    /// One log line a message, or one JSON object
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,

    /// Check the configuration and exit: status 0 if it is good, 2 if not
    #[arg(long)]
    check: bool,
}

/// What a log message looks like.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// What the command line asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Start {
    /// From the file or the flags.
    pub config: Config,
    /// True when the interfaces are flags: one that does not exist is a mistake then, not something to wait for.
    pub interfaces_must_exist: bool,
    /// Least important message to log.
    pub log_level: tracing::Level,
    /// How to log.
    pub log_format: LogFormat,
    /// Where a reload reads; `None` when the interfaces are flags.
    pub file: Option<ConfigFile>,
}

/// A configuration file, and the flags that override some of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigFile {
    /// The file.
    pub path: PathBuf,
    overrides: Overrides,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Overrides {
    mode: Option<Mode>,
    control_socket: Option<PathBuf>,
    pin_path: Option<PathBuf>,
    metrics: Option<SocketAddr>,
}

impl ConfigFile {
    /// Reads and checks it.
    ///
    /// # Errors
    ///
    /// It cannot be read or is no good configuration.
    pub fn read(&self) -> Result<Config, config::Error> {
        let remedy = "name a file with --config, or interfaces with --iface";
        let mut config = read_file(&self.path, remedy)?;
        self.overrides.apply(&mut config)?;
        Ok(config)
    }
}

impl Overrides {
    fn apply(&self, config: &mut Config) -> Result<(), config::Error> {
        if let Some(mode) = self.mode {
            config.mode = mode;
        }
        if let Some(path) = &self.control_socket {
            config::check_socket_path(path).map_err(|problem| problem.at("--control-socket"))?;
            config.control_socket.clone_from(path);
        }
        if let Some(path) = &self.pin_path {
            config.pin_path.clone_from(path);
        }
        config.metrics = self.metrics.or(config.metrics);
        Ok(())
    }
}

fn metrics_address(text: &str) -> Result<SocketAddr, String> {
    config::metrics_address(text).map_err(|problem| problem.to_string())
}

/// Reads the command line (the program's name first) and the file that it names.
///
/// # Errors
///
/// A [`Stop`] wherever igmpd is not to start: `--help`, `--version` and `--check` of a good configuration with
/// status 0; bad usage and a bad configuration with status 2 and one line.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Start, Stop> {
    let arguments: Arguments = usage::parse(arguments)?;
    let overrides = Overrides {
        mode: arguments.mode,
        control_socket: arguments.control_socket,
        pin_path: arguments.pin_path,
        metrics: arguments.metrics,
    };
    let file = arguments.iface.is_empty().then(|| ConfigFile {
        path: arguments
            .config
            .unwrap_or_else(|| config::DEFAULT_FILE.into()),
        overrides: overrides.clone(),
    });
    let config = match &file {
        Some(file) => file.read(),
        None => Config::from_flags(&arguments.iface, arguments.upstream.as_deref()).and_then(
            |mut config| {
                overrides.apply(&mut config)?;
                Ok(config)
            },
        ),
    };
    let config = config.map_err(|error| Stop::mistake(format!("igmpd: {error}")))?;
    if arguments.check {
        let origin = file.as_ref().map_or_else(
            || "flags".to_owned(),
            |file| file.path.display().to_string(),
        );
        return Err(Stop::done(verdict(&origin, &config)));
    }
    Ok(Start {
        config,
        interfaces_must_exist: file.is_none(),
        log_level: arguments.log_level,
        log_format: arguments.log_format,
        file,
    })
}

/// Reads and checks a configuration file; `remedy` is what to do when it cannot be read.
pub(super) fn read_file(file: &Path, remedy: &str) -> Result<Config, config::Error> {
    let name = file.display().to_string();
    match std::fs::read_to_string(file) {
        Ok(text) => config::parse(&text, &name),
        Err(error) => Err(Problem::new(format!("cannot read it: {error}"), remedy).at(name)),
    }
}

/// What `--check` and `check-config` say of a good configuration: a line, and one for each warning.
pub(super) fn verdict(origin: &str, config: &Config) -> String {
    let mut text = format!("{origin}: {}", summary(config));
    for warning in config.warnings() {
        text.push_str("\nwarning: ");
        text.push_str(&warning);
    }
    text
}

fn summary(config: &Config) -> String {
    let names = |role: Role| {
        let names: Vec<_> = config
            .interfaces
            .iter()
            .filter(|interface| interface.role == role)
            .map(|i| &*i.name)
            .collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(" ")
        }
    };
    format!(
        "good; upstream {}, downstream {}",
        names(Role::Upstream),
        names(Role::Downstream)
    )
}

fn log_level() -> impl TypedValueParser<Value = tracing::Level> {
    PossibleValuesParser::new(["error", "warn", "info", "debug", "trace"])
        .try_map(|name| name.parse::<tracing::Level>())
}
