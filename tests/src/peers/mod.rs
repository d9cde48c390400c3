//! Multicast routers that are not ours, in namespaces: whom igmpd reports to upstream, and whom it is compared with.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::netns::Namespace;
use crate::topology::{self, Topology};

mod bridge;
mod frr;
mod igmpproxy;
pub mod reports;
mod smcroute;

pub use bridge::BridgeQuerier;
pub use frr::Frr;
pub use igmpproxy::IgmpProxy;
pub use smcroute::Smcroute;

/// Query Interval of every querier here.
pub const QUERY_INTERVAL: Duration = Duration::from_secs(3);
/// Query Response Interval of every querier here.
pub const QUERY_RESPONSE_INTERVAL: Duration = Duration::from_secs(1);
/// Their Robustness Variable (RFC 9776 section 8.1), which nobody changes.
pub const ROBUSTNESS: u32 = 2;

/// Group Membership Interval (RFC 9776 section 8.4): within it a querier forgets who says nothing more.
pub fn group_membership_interval() -> Duration {
    QUERY_INTERVAL * ROBUSTNESS + QUERY_RESPONSE_INTERVAL
}

/// The querier on the provider's side of a [`Topology::behind`].
pub trait Querier {
    /// The groups that it believes to have members on the link to the gateway.
    fn groups(&self) -> BTreeSet<Ipv4Addr>;
}

/// Which querier.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// FRR's pimd on a router.
    Frr,
    /// The kernel's bridge, which forwards to ports with members only.
    Bridge,
}

impl Kind {
    /// What the topology for it has between source and gateway.
    pub fn provider(self) -> topology::Provider {
        match self {
            Self::Frr => topology::Provider::Router,
            Self::Bridge => topology::Provider::Switch,
        }
    }

    /// Starts it in such a topology and returns when it forwards what is asked for only.
    pub fn start(self, topology: &Topology, igmp_version: u8) -> Box<dyn Querier> {
        match self {
            Self::Frr => Box::new(Frr::start(topology.provider(), igmp_version)),
            Self::Bridge => Box::new(BridgeQuerier::start(topology.provider(), igmp_version)),
        }
    }
}

/// A process in a namespace. Dropping it kills it; its output is printed when the test fails.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; its output goes to the file `log`.
    fn start(namespace: &Namespace, mut command: Command, log: PathBuf) -> Self {
        let output = File::create(&log).expect("the scratch directory is writable");
        let errors = output.try_clone().expect("a file has another handle");
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let program = command.get_program().to_owned();
        let child = namespace.enter(|| command.spawn()).unwrap_or_else(|error| {
            panic!(
                "{}: {error}; cargo xtask setup --tests installs it",
                program.display()
            )
        });
        Self { child, log }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    #[track_caller]
    fn assert_running(&mut self) {
        let ended = self.child.try_wait().expect("it is our child");
        assert!(ended.is_none(), "{} ended", self.log.display());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("{}:\n{}", self.log.display(), self.log());
        }
    }
}
