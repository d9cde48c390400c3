//! What goes wrong between two gateways.

use super::{GATEWAYS, Pair, SYNC};
use crate::daemon::Daemon;
use crate::netns::Namespace;
use crate::sys;

/// A gateway that stands still (SIGSTOP) until this is dropped.
#[must_use = "dropping it lets the gateway go on"]
pub struct Paused(u32);

impl Paused {
    /// Stops it.
    ///
    /// # Panics
    /// When it does not run.
    pub fn new(daemon: &Daemon) -> Self {
        sys::kill(daemon.pid(), libc::SIGSTOP).expect("igmpd is our child");
        Self(daemon.pid())
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        // It may have been killed meanwhile.
        let _ = sys::kill(self.0, libc::SIGCONT);
    }
}

/// Frames lost on the link between two gateways, both ways, until this is dropped.
#[must_use = "dropping it ends the loss"]
pub struct Loss<'a>([&'a Namespace; 2]);

impl<'a> Loss<'a> {
    /// So many of a hundred.
    #[track_caller]
    pub fn of(percent: u32, pair: &'a Pair) -> Self {
        let ends = GATEWAYS.map(|gateway| pair.namespace(gateway));
        for end in ends {
            let ruleset = format!(
                "table netdev loss {{ chain in {{ type filter hook ingress device {SYNC} priority 0; \
                 numgen random mod 100 < {percent} counter drop; }}; }}"
            );
            end.run(&["nft", &ruleset]);
        }
        Self(ends)
    }

    /// Frames lost so far.
    ///
    /// # Panics
    /// When the rules are gone.
    pub fn frames(&self) -> u64 {
        let lost = |end: &Namespace| {
            let shown = end.run(&["nft", "list", "table", "netdev", "loss"]);
            let words: Vec<_> = shown.split_whitespace().collect();
            let at = words.iter().position(|word| *word == "packets");
            let count = at.and_then(|at| words.get(at + 1));
            let count = count.and_then(|count| count.parse::<u64>().ok());
            count.expect("a counter")
        };
        self.0.into_iter().map(lost).sum()
    }
}

impl Drop for Loss<'_> {
    fn drop(&mut self) {
        for end in self.0 {
            end.run(&["nft", "delete", "table", "netdev", "loss"]);
        }
    }
}
