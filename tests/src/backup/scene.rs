//! Two gateways in sync in front of two members, for whoever wants to come between them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::Value;

use super::faults::Paused;
use super::intruder::Intruder;
use super::{
    GATEWAYS, Gateway, Pair, endpoint, has_group_on, insecure, memberships, profile, wait_for_role,
    wait_for_sync,
};
use crate::daemon::Daemon;
use crate::events::Events;
use crate::host::Subscription;
use crate::topology::{Topology, downstream};
use crate::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);
const SPECIFIC: Ipv4Addr = Ipv4Addr::new(232, 1, 1, 1);
const SOON: Duration = Duration::from_secs(10);

/// Two gateways in sync, and the memberships of two hosts.
#[must_use = "dropping it ends both"]
pub struct Scene {
    /// Their network.
    pub pair: Pair,
    /// The master.
    pub master: Daemon,
    /// Its backup, who is connected to.
    pub backup: Daemon,
    /// The members.
    pub members: Vec<Subscription>,
}

impl Scene {
    /// With these configurations, made of the ordinary ones.
    #[track_caller]
    pub fn new(configs: impl Fn(String) -> String) -> Self {
        Self::of(Pair::new(), configs)
    }

    /// The same in a network that is there already.
    ///
    /// # Panics
    /// When the backup does not learn of both members.
    #[track_caller]
    pub fn of(pair: Pair, configs: impl Fn(String) -> String) -> Self {
        let (master, backup) =
            pair.start_as(&GATEWAYS.map(|gateway| configs(pair.config(gateway, "", ""))));
        let [h1, h2] = &pair.topology.receivers[..] else {
            panic!("two hosts");
        };
        let members = vec![h1.join(GROUP), h2.join_source(SPECIFIC, Topology::SOURCE)];
        wait_until("the backup to know both", SOON, || {
            has_group(&backup, GROUP).and(has_group(&backup, SPECIFIC))
        });
        Self {
            pair,
            master,
            backup,
            members,
        }
    }

    /// With certificates.
    #[track_caller]
    pub fn tls() -> Self {
        Self::new(|config| config)
    }

    /// Without.
    #[track_caller]
    pub fn insecure() -> Self {
        Self::new(|config| insecure(&config))
    }

    /// Somebody at the master's address who connects to the backup.
    #[track_caller]
    pub fn intruder(&self) -> Intruder {
        let from = self.pair.namespace(Gateway::Master);
        Intruder::connect(from, endpoint(Gateway::Backup))
    }

    /// While the master stands still, which its backup has noticed.
    #[track_caller]
    pub fn without_master(&self) -> Paused {
        let paused = Paused::new(&self.master);
        wait_until("the backup to be alone", SOON, || {
            (profile(&self.backup)["connected"] == false).then_some(())
        });
        paused
    }

    /// The two are still a pair, and what a host says reaches both.
    #[track_caller]
    pub fn assert_in_step(&self) {
        wait_for_sync(&self.backup);
        wait_for_role(&self.master, "master");
        let member = self.pair.topology.receivers[0].join(OTHER);
        wait_until("both to know a new member", SOON, || {
            has_group(&self.master, OTHER).and(has_group(&self.backup, OTHER))
        });
        member.leave();
        wait_until("both to forget it", SOON, || {
            let [by_master, by_backup] = [&self.master, &self.backup].map(memberships);
            (by_master.len() == self.members.len() && by_master == by_backup).then_some(())
        });
    }
}

/// What must not change.
#[derive(Debug, PartialEq)]
pub struct Kept {
    memberships: Vec<Value>,
    role: Value,
}

impl Kept {
    /// By this gateway.
    #[track_caller]
    pub fn by(daemon: &Daemon) -> Self {
        Self {
            memberships: memberships(daemon),
            role: profile(daemon)["role"].clone(),
        }
    }
}

fn has_group(daemon: &Daemon, group: Ipv4Addr) -> Option<()> {
    has_group_on(daemon, &downstream(0), group)
}

/// How many connections a gateway has refused, by reason.
///
/// # Panics
/// When `show backup` has no such table.
#[track_caller]
pub fn refused(daemon: &Daemon) -> BTreeMap<String, u64> {
    serde_json::from_value(profile(daemon)["refused"].clone()).expect("counts by reason")
}

/// What it says of the last of them.
///
/// # Panics
/// When there was none.
#[track_caller]
pub fn last_refusal(daemon: &Daemon) -> String {
    let last = profile(daemon)["last_refusal"].clone();
    last.as_str().expect("something was refused").to_owned()
}

/// How many connections with the peer have ended.
pub fn connections_lost(events: &Events) -> usize {
    let lost = events.all(|event| event["event"] == "backup-disconnected");
    lost.len()
}

/// Waits until a gateway has refused for this reason once more than `before`.
#[track_caller]
pub fn wait_for_refusal(daemon: &Daemon, before: &BTreeMap<String, u64>, reason: &str) {
    let count = |counts: &BTreeMap<String, u64>| counts.get(reason).copied().unwrap_or(0);
    wait_until(&format!("a refusal as {reason}"), SOON, || {
        (count(&refused(daemon)) > count(before)).then_some(())
    });
}
