//! Interfaces as they come, go and change, from the ports to the router and the forwarding table.

use std::time::Instant as SystemInstant;

use tracing::info;

use super::{Daemon, upstream};
use crate::config::Role;
use crate::io::links::Snapshot;
use crate::io::netdev;
use crate::io::ports::{ConfiguredPort, PortEvent};
use crate::proto::{IfIndex, Input, InterfacePolicy};

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
        self.fib.set_tc_outputs(self.ports.tc_outputs());
        self.fib.set_output_mtus(self.ports.output_mtus());
        self.follow_upstream();
        self.open_ports();
        self.follow_copied();
        self.follow_pins();
    }

    /// Goes on with attaching to many devices that came at once.
    pub(super) fn attach_more(&mut self) {
        self.follow_links(self.snapshot.clone());
    }

    /// Puts back what somebody has taken off.
    pub(super) fn put_back(&mut self) {
        if self.ports.put_back(&mut self.datapath) {
            self.follow_links(self.snapshot.clone());
        }
    }

    /// What devices can do has changed.
    pub(super) fn follow_features(&mut self, features: Option<netdev::Devices>) {
        self.ports.set_features(features);
        self.follow_links(self.snapshot.clone());
    }

    pub(super) fn handle_port_events(&mut self, events: Vec<PortEvent>) {
        let now = self.now();
        for event in events {
            match event {
                PortEvent::Ready(interface) => self.bring_up(interface),
                PortEvent::Gone(interface, name) => {
                    info!(interface = name, ifindex = interface.0, "no longer ready");
                    self.departed.insert(interface, name);
                    self.router
                        .handle_input(now, Input::InterfaceGone { interface });
                    self.proxy.handle_link_gone(interface);
                }
                PortEvent::EgressChanged(interface) => {
                    let output = self.ports.egress(interface);
                    for set in self.fib.sets().with_output(interface) {
                        let is_alone = self.fib.outputs(Some(set)).len() == 1;
                        self.datapath.put_output(set, interface, is_alone, output);
                    }
                }
            }
        }
    }
}

impl Daemon {
    /// An interface can work, or something of it has changed.
    fn bring_up(&mut self, interface: IfIndex) {
        let now = self.now();
        let Some(port) = self.ports.by_index(interface) else {
            return;
        };
        if let Some(address) = port.running().and_then(<[_]>::first) {
            info!(interface = port.config.name, %address, "ready");
        }
        if port.config.role == Role::Upstream {
            if let Some(link) = upstream::link(port) {
                self.proxy.handle_link_ready(now, link);
            }
        } else if let Some(input) = ready(port, self.tells_accepted(port)) {
            // Before it says anything.
            let standby = self.peers.is_standby(&port.config.name);
            let standby = Input::Standby { interface, standby };
            self.router.handle_input(now, standby);
            self.router.handle_input(now, input);
        }
    }

    /// Closes the ports whose link another router forwards for, and opens the others.
    pub(super) fn open_ports(&mut self) {
        let router = &self.router;
        self.ports.open_where(&mut self.datapath, |interface| {
            let state = router.interface(interface);
            state.is_none_or(crate::proto::Interface::forwards)
        });
    }
}

/// What the router has to know of a port that it runs on; `tell_accepted`: another gateway hears what is accepted there.
pub(super) fn ready(port: &ConfiguredPort, tell_accepted: bool) -> Option<Input> {
    if port.config.role != Role::Downstream {
        return None;
    }
    Some(Input::InterfaceReady {
        interface: port.index()?,
        params: port.config.params.clone(),
        addresses: port.running()?.to_vec(),
        alt_subnets: port.config.alt_subnets.clone(),
        policy: InterfacePolicy {
            tell_accepted,
            ..port.config.policy.clone()
        },
    })
}
