//! What follows from an input: packets out, flows into the kernel maps, words to other gateways.

use std::net::Ipv4Addr;

use tracing::{debug, error, warn};

use super::Daemon;
use crate::fib::Change;
use crate::fib::routes::Member;
use crate::io::datapath::pool::Job;
use crate::io::tally::Occurrence;
use crate::proto::{EventKind, IfIndex, Output};
use crate::wire;

impl Daemon {
    /// Lets everything that follows from the last input happen.
    pub(super) fn settle(&mut self) {
        self.settle_peers();
        loop {
            self.settle_router();
            let now = self.now();
            self.peers.pump(now);
            // A peer that takes something may ask for more.
            if !self.settle_peers() {
                return;
            }
        }
    }

    fn settle_router(&mut self) {
        while let Some(output) = self.router.poll_output() {
            self.carry_out(output);
        }
        self.departed.clear();
        let now = self.now();
        for group in std::mem::take(&mut self.dirty) {
            let demand = self.demand(group);
            self.proxy.set_demand(now, group, demand);
            let members = self.members(group);
            if let Err(refusal) = self.fib.update_group(group, &members) {
                self.tally.count(Occurrence::FlowRefused);
                if self.fib.refused_len() == 1 {
                    warn!(%group, "flow refused: {refusal}; the others are counted");
                }
            }
        }
        self.write_maps();
        self.settle_upstream();
        self.stock_pool();
    }

    pub(super) fn carry_out(&mut self, output: Output) {
        match output {
            Output::Transmit {
                interface,
                source,
                destination,
                message,
            } => self.transmit(interface, source, destination, &message),
            Output::MembershipChanged { group, .. } => {
                self.dirty.insert(group);
            }
            // Asked for where a message is copied, and taken there.
            Output::Accepted { .. } => {}
            Output::Event(event) => {
                if matches!(event.kind, EventKind::QuerierChanged { .. }) {
                    self.open_ports();
                }
                self.tell(event);
            }
        }
    }

    pub(super) fn transmit(
        &mut self,
        interface: IfIndex,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        message: &wire::Repr,
    ) {
        debug!(ifindex = interface.0, %destination, "sending {message}");
        let port = self.ports.by_index(interface);
        let Some(device) = port.and_then(|port| port.device.as_ref()) else {
            return; // it went while the message was on its way
        };
        for part in wire::split(message, device.link.mtu) {
            let packet = wire::ipv4::emit(source, destination, &part);
            if let Err(error) = self.socket.send(interface, destination, &packet) {
                self.tally.count(Occurrence::SendFailed);
                warn!(ifindex = interface.0, "sending {part}: {error}");
            }
        }
    }

    /// Who wants `group` and is forwarded to, by ascending interface.
    fn members(&self, group: Ipv4Addr) -> Vec<Member> {
        let member = |(interface, state): (IfIndex, &crate::proto::Interface)| {
            // Where another router is the querier, that one forwards (RFC 4605 section 4.2).
            let reception = state.group(group).filter(|_| state.forwards())?.reception();
            Some(Member {
                interface,
                mode: reception.filter_mode,
                sources: reception.sources().collect(),
            })
        };
        self.router.interfaces().filter_map(member).collect()
    }

    pub(super) fn write_maps(&mut self) {
        while let Some(change) = self.fib.poll_change() {
            self.tally.add(Occurrence::MapWritten, change.map_writes());
            let ports = &self.ports;
            let result = self.datapath.apply(&change, &|output| ports.egress(output));
            if let Err(map_error) = result {
                self.tally.count(Occurrence::MapWriteFailed);
                error!("kernel map not written: {change:?}: {map_error}");
                if let Change::PutFlow(id, _) = change {
                    self.fib.write_failed(id);
                }
            }
        }
    }

    pub(super) fn stock_pool(&mut self) {
        if self.pool.is_busy() {
            return;
        }
        let make = self.fib.request_spares();
        if !make.is_empty() || self.fib.has_retired() {
            let retired = self.fib.begin_grace();
            self.pool.submit(Job { make, retired });
        }
    }
}
