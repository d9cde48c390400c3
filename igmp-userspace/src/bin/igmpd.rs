//! igmpd: reads the command line, starts the event loop, says how it ended.

use std::io::IsTerminal;
use std::process::ExitCode;

use igmp_userspace::config::Config;
use igmp_userspace::io::{cli, daemon};
use tokio::runtime::Builder;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let start = match cli::parse(std::env::args_os()) {
        Ok(start) => start,
        Err(stop) => return stop.report(),
    };
    log(&start);
    let options = daemon::Options {
        kernel_log: start.log_level == tracing::Level::TRACE,
        interfaces_must_exist: start.interfaces_must_exist,
        file: start.file,
    };
    let result = run(start.config, options);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("igmpd: {error:#}");
            if error.is::<daemon::NoSuchInterface>() {
                cli::MISTAKE.into()
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// Runs the event loop on this thread, with an I/O driver to itself: what arrives wakes the thread that acts on it. Clients
/// are served beside it, however much they want.
fn run(config: Config, options: daemon::Options) -> anyhow::Result<()> {
    let clients = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("clients")
        .enable_all()
        .build()?;
    let event_loop = Builder::new_current_thread().enable_all().build()?;
    event_loop.block_on(daemon::run(config, options, clients.handle().clone()))
}

/// Logs to standard error; standard output belongs to the `ready` line.
fn log(start: &cli::Start) {
    let level = EnvFilter::new(format!(
        "igmp_userspace={0},igmp_ingress={0},warn",
        start.log_level
    ));
    let log = tracing_subscriber::fmt()
        .with_env_filter(level)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_writer(std::io::stderr);
    match start.log_format {
        cli::LogFormat::Text => log.init(),
        cli::LogFormat::Json => log.json().init(),
    }
}
