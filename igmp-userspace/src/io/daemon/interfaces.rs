//! Interfaces as they come, go and change, from the ports to the router and the forwarding table.

use std::time::Instant as SystemInstant;

use tracing::{info, warn};

use super::Daemon;
use crate::fib::Upstream;
use crate::io::links::Snapshot;
use crate::io::ports::{ConfiguredPort, PortEvent};
use crate::io::tally::Occurrence;
use crate::proto::Input;

impl Daemon {
    /// Brings everything in line with the devices there are.
    pub(super) fn follow_links(&mut self, snapshot: Snapshot) {
        let events = self.ports.reconcile(
            &snapshot,
            &mut self.datapath,
            &self.socket,
            SystemInstant::now(),
        );
        self.snapshot = snapshot;
        self.snapshot.flapped.clear();
        self.handle_port_events(events);
    }

    pub(super) fn handle_port_events(&mut self, events: Vec<PortEvent>) {
        let now = self.now();
        for event in events {
            match event {
                PortEvent::Ready(interface) => {
                    let Some(port) = self.ports.by_index(interface) else {
                        continue;
                    };
                    let Some(input) = ready(port) else { continue };
                    if let Input::InterfaceReady { addresses, .. } = &input {
                        info!(interface = port.config.name, address = %addresses[0], "ready");
                    }
                    self.router.handle_input(now, input);
                }
                PortEvent::Gone(interface, name) => {
                    info!(interface = name, ifindex = interface.0, "no longer ready");
                    self.departed.insert(interface, name);
                    let input = Input::InterfaceGone { interface };
                    self.router.handle_input(now, input);
                }
                PortEvent::EgressChanged(interface) => {
                    let egress = self.ports.egress(interface);
                    for set in self.fib.sets().with_output(interface) {
                        self.datapath.put_output(set, interface, egress);
                    }
                }
                PortEvent::Upstream(_) => self.set_upstream(),
            }
        }
    }

    /// Tells the forwarding table about the upstream interface.
    pub(super) fn set_upstream(&mut self) {
        let upstream = self.ports.upstream().and_then(|interface| {
            let port = self.ports.by_index(interface)?;
            Some(Upstream {
                interface,
                filter: port.config.policy.group_filter.clone(),
                untracked: self.config.policy.untracked_groups.clone(),
            })
        });
        if let Err(refusal) = self.fib.set_upstream(upstream) {
            self.tally.count(Occurrence::FlowRefused);
            warn!("packets without a flow do not go upstream yet: {refusal}");
        }
        self.dirty.extend(self.fib.groups());
    }
}

/// What the router has to know of a port that it runs on.
pub(super) fn ready(port: &ConfiguredPort) -> Option<Input> {
    Some(Input::InterfaceReady {
        interface: port.index()?,
        params: port.config.params.clone(),
        addresses: port.running()?.to_vec(),
        alt_subnets: port.config.alt_subnets.clone(),
        policy: port.config.policy.clone(),
    })
}
