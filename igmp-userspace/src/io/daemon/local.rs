//! This host's own sockets: what they joined is let through to them, and asked for upstream.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use tracing::{info, warn};

use super::Daemon;
use crate::io::local_listeners;
use crate::io::ports::ConfiguredPort;

impl Daemon {
    /// Looks which groups sockets of this host have joined on our interfaces.
    ///
    /// On the upstream they count as one more subscription: the kernel reports them there too, from the same address, and
    /// our own leave must not end what it asked for. Downstream nothing is asked for upstream: a socket is given what
    /// comes in on the interface it joined on, and the stream comes in upstream.
    pub(super) fn follow_local_listeners(&mut self) {
        let mut joined = match local_listeners::read() {
            Ok(joined) => joined,
            Err(error) => {
                return warn!("reading the groups that this host's sockets joined: {error}");
            }
        };
        joined.retain(|interface, _| self.ports.by_index(*interface).is_some());
        let untracked = &self.config.policy.untracked_groups;
        for groups in joined.values_mut() {
            groups.retain(|group, _| !untracked.iter().any(|network| network.contains(group)));
        }
        let groups: BTreeSet<Ipv4Addr> =
            joined.values().flat_map(BTreeMap::keys).copied().collect();
        let changed = self.fib.set_local_groups(groups.clone());
        for group in &changed {
            let what = if groups.contains(group) {
                "listen"
            } else {
                "no longer listen"
            };
            info!(%group, "sockets of this host {what}");
        }
        self.dirty.extend(changed);

        let upstream = self.ports.upstream().and_then(ConfiguredPort::index);
        let local = upstream.and_then(|upstream| joined.remove(&upstream));
        let local = local.unwrap_or_default();
        if local != self.local {
            self.dirty.extend(self.local.keys().chain(local.keys()));
            self.local = local;
        }
    }
}
