//! The proxy's two ends: what downstream wants goes in, what upstream is told comes out.

use std::net::Ipv4Addr;

use tracing::warn;

use super::Daemon;
use crate::fib::Upstream;
use crate::io::ports::ConfiguredPort;
use crate::io::tally::Occurrence;
use crate::proto::proxy::{Demand, Link, Output};
use crate::proto::upstream::merge;
use crate::proto::{Group, IfIndex, Input};

impl Daemon {
    /// Tells the forwarding table which interface is upstream, and which groups are forwarded from and to where.
    pub(super) fn follow_upstream(&mut self) {
        let upstream = self.ports.upstream().and_then(|port| {
            Some(Upstream {
                interface: port.index()?,
                filter: port.config.policy.group_filter.clone(),
                untracked: self.config.policy.untracked_groups.clone(),
            })
        });
        // What is not to be forwarded first.
        self.ports
            .update_groups(upstream.as_ref(), &mut self.datapath);
        if upstream.as_ref() == self.fib.upstream() {
            return;
        }
        if let Err(refusal) = self.fib.set_upstream(upstream) {
            self.tally.count(Occurrence::FlowRefused);
            warn!("packets without a flow do not go upstream yet: {refusal}");
        }
        self.dirty.extend(self.fib.groups());
    }

    /// What all downstream interfaces and this host's own sockets want of `group` together (RFC 4605 section 4.1).
    pub(super) fn demand(&self, group: Ipv4Addr) -> Demand {
        let states = || {
            let interfaces = self.router.interfaces();
            interfaces
                .filter(|(index, interface)| self.counts_upstream(*index, interface))
                .filter_map(|(_, interface)| interface.group(group))
        };
        let subscriptions = states().map(|state| state.reception().into());
        let members = merge(subscriptions);
        let is_abandoned = members.is_some() && states().all(Group::is_abandoned);
        let local = self.local.get(&group).cloned();
        match merge(members.filter(|_| !is_abandoned).into_iter().chain(local)) {
            Some(wanted) => Demand::Wanted(wanted),
            None if is_abandoned => Demand::Abandoned,
            None => Demand::Nothing,
        }
    }

    /// Lets everything happen that the proxy has to say.
    pub(super) fn settle_upstream(&mut self) {
        while let Some(output) = self.proxy.poll_output() {
            match output {
                Output::Transmit {
                    interface,
                    source,
                    destination,
                    message,
                } => self.transmit(interface, source, destination, &message),
                Output::Listen {
                    interface,
                    group,
                    wanted,
                } => {
                    let result = self
                        .multicast
                        .listen(&self.socket, interface, group, wanted);
                    if let Err(error) = result {
                        warn!(ifindex = interface.0, %group, "device not asked for the group: {error}");
                    }
                }
                Output::Event(event) => self.tell(event),
            }
        }
    }

    /// Whether `interface` is the upstream one.
    pub(super) fn is_upstream(&self, interface: IfIndex) -> bool {
        let upstream = self.ports.upstream();
        upstream.is_some_and(|port| port.index() == Some(interface))
    }

    /// Forgets everything learnt, and learns it again.
    pub(in crate::io) fn restart(&mut self) -> String {
        let now = self.now();
        let before = self.memberships();
        self.proxy.handle_restart(now);
        self.settle_upstream();
        self.router.handle_input(now, Input::Restart);
        // Static groups are wanted as before.
        self.dirty.extend(self.fib.groups());
        self.router_groups_are_dirty();
        format!("restarted: {before} memberships forgotten, hosts are asked again")
    }

    /// Forgets who is a member of what, and asks.
    ///
    /// # Errors
    ///
    /// One line for a person: there is no such interface, or it has no members.
    pub(in crate::io) fn clear_groups(
        &mut self,
        interface: Option<&str>,
        group: Option<Ipv4Addr>,
    ) -> Result<String, String> {
        let index = match interface {
            None => None,
            Some(name) => Some(self.downstream(name)?),
        };
        let now = self.now();
        let before = self.memberships();
        let input = Input::Clear {
            interface: index,
            group,
        };
        self.router.handle_input(now, input);
        let forgotten = before - self.memberships();
        Ok(format!(
            "{forgotten} memberships forgotten, hosts are asked again"
        ))
    }

    /// Before the end: the provider need not stream until memberships run out.
    pub(super) fn leave_upstream(&mut self) {
        self.proxy.handle_restart(self.now());
        self.settle_upstream();
    }

    fn downstream(&self, name: &str) -> Result<IfIndex, String> {
        let mut ports = self.ports.iter();
        let port = ports
            .find(|port| port.config.name == name)
            .ok_or_else(|| format!("{name}: not an interface of igmpd"))?;
        let index = port.index();
        index
            .filter(|index| self.router.interface(*index).is_some())
            .ok_or_else(|| format!("{name} has no groups: it is not downstream, or not ready"))
    }

    pub(super) fn memberships(&self) -> usize {
        let interfaces = self.router.interfaces();
        interfaces.map(|(_, state)| state.group_count()).sum()
    }

    /// Every group that somebody wants is looked at again.
    pub(super) fn router_groups_are_dirty(&mut self) {
        for (_, interface) in self.router.interfaces() {
            self.dirty
                .extend(interface.groups().map(|(group, _)| group));
        }
    }
}

/// What the proxy has to know of the upstream port.
pub(super) fn link(port: &ConfiguredPort) -> Option<Link> {
    Some(Link {
        interface: port.index()?,
        params: port.config.params.clone(),
        addresses: port.running()?.to_vec(),
        alt_subnets: port.config.alt_subnets.clone(),
        filter: port.config.policy.group_filter.clone(),
    })
}
