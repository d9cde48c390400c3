//! keepalived with the configuration that we ship.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::{Gateway, SYNC};
use crate::daemon::{Daemon, igmpctl};
use crate::netns::Namespace;
use crate::scratch::ScratchDir;
use crate::sys;
use crate::topology::{UPSTREAM, downstream};
use crate::wait::wait_until;

/// It ends in two steps, 1 s apart.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A running keepalived. Dropping it stops it.
#[must_use = "dropping it stops keepalived"]
pub struct Keepalived {
    parent: Child,
    scratch: ScratchDir,
}

impl Keepalived {
    /// Starts it beside the igmpd of this gateway, which it tells its role.
    pub fn start(namespace: &Namespace, gateway: Gateway, daemon: &Daemon) -> Self {
        let scratch = ScratchDir::new();
        let path = |name: &str| scratch.path().join(name);
        fs::write(path("keepalived.conf"), configuration(gateway, daemon))
            .expect("the scratch directory is writable");
        let log = File::create(path("log")).expect("the scratch directory is writable");
        let mut command = Command::new("keepalived");
        command
            .args(["--dont-fork", "--log-console", "--log-detail", "--vrrp"])
            .arg("--use-file")
            .arg(path("keepalived.conf"))
            .arg("--pid")
            .arg(path("pid"))
            .arg("--vrrp_pid")
            .arg(path("vrrp.pid"))
            .process_group(0)
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a file has another handle"))
            .stdout(log);
        let parent = namespace
            .enter(|| command.spawn())
            .expect("keepalived is there: cargo xtask setup --tests installs it");
        Self { parent, scratch }
    }

    /// Kills it, as a gateway that loses its power does: nobody is told.
    pub fn kill(mut self) {
        self.signal(libc::SIGKILL);
        let _ = self.parent.wait();
    }

    fn signal(&self, signal: libc::c_int) {
        // It and its children are a group.
        let _ = sys::kill_group(self.parent.id(), signal);
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = fs::read_to_string(self.scratch.path().join("log"));
            eprintln!("keepalived's log:\n{}", log.unwrap_or_default());
            self.signal(libc::SIGKILL);
        }
        if let Ok(None) = self.parent.try_wait() {
            self.signal(libc::SIGTERM);
            wait_until("keepalived to end", STOP_TIMEOUT, || {
                self.parent.try_wait().ok().flatten()
            });
        }
    }
}

/// What is in `deploy/`, with the names that programs and devices have here, and without the minutes of patience.
fn configuration(gateway: Gateway, daemon: &Daemon) -> String {
    let shipped = match gateway {
        Gateway::Master => include_str!("../../../deploy/keepalived/gateway-a.conf"),
        Gateway::Backup => include_str!("../../../deploy/keepalived/gateway-b.conf"),
    };
    let igmpctl = format!(
        "{} --socket {}",
        igmpctl().display(),
        daemon.control_socket().display()
    );
    let here = [
        ("/usr/sbin/igmpctl", &*igmpctl),
        ("preempt_delay 250", "preempt_delay 1"),
        ("eth0", UPSTREAM),
        ("eth1", &downstream(0)),
        ("eth2", SYNC),
    ];
    let mut text = shipped.to_owned();
    for (there, here) in here {
        assert!(text.contains(there), "{there} is in the configuration");
        text = text.replace(there, here);
    }
    text
}
