//! smcroute, which puts static routes into the kernel's multicast router.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::Process;
use crate::netns::Namespace;
use crate::scratch::ScratchDir;
use crate::wait::wait_until;

const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A running smcrouted.
#[must_use = "dropping it kills smcrouted, and the routes go with it"]
pub struct Smcroute {
    _process: Process,
    _scratch: ScratchDir,
}

impl Smcroute {
    /// Starts it in `gateway` with this configuration, and returns once all of its routes are the kernel's.
    pub fn start(gateway: &Namespace, configuration: &str) -> Self {
        let scratch = ScratchDir::new();
        let path = |name: &str| scratch.path().join(name);
        fs::write(path("smcroute.conf"), configuration).expect("the scratch directory is writable");
        let mut command = Command::new("smcrouted");
        command
            // In the foreground, no interface that is not asked for.
            .args(["-n", "-N", "-f"])
            .arg(path("smcroute.conf"))
            .arg("-P")
            .arg(path("smcroute.pid"))
            .arg("-u")
            .arg(path("smcroute.sock"));
        let mut process = Process::start(gateway, command, path("smcroute.log"));
        let routes = configuration
            .lines()
            .filter(|line| line.starts_with("mroute"))
            .count();
        wait_until(
            "smcroute to have its routes in the kernel",
            START_TIMEOUT,
            || {
                process.assert_running();
                // The first line names the columns.
                let table = gateway.run(&["cat", "/proc/net/ip_mr_cache"]);
                (table.lines().count() == routes + 1).then_some(())
            },
        );
        Self {
            _process: process,
            _scratch: scratch,
        }
    }
}
