//! Telling what happens: to the log, and to whoever follows `igmpctl events`.

use std::net::Ipv4Addr;

use tracing::{debug, info, warn};

use super::Daemon;
use crate::api::EventKind;
use crate::io::refusals::Refused;
use crate::proto::{self, IfIndex};

impl Daemon {
    pub(super) fn tell(&mut self, event: proto::Event) {
        if let proto::EventKind::SourceRefused { source } = event.kind {
            return self.tell_source(event.interface, source, None);
        }
        self.publish(event.interface, EventKind::from(event.kind));
    }

    /// Data packets were not forwarded because of their sources.
    pub(super) fn tell_refused(&mut self, refused: impl Iterator<Item = Refused>) {
        for packet in refused {
            self.tell_source(packet.interface, packet.source, Some(packet.group));
        }
    }

    fn tell_source(&mut self, interface: IfIndex, source: Ipv4Addr, group: Option<Ipv4Addr>) {
        let now = self.now();
        if !self.told.is_news(now, interface, source) {
            return;
        }
        let port = self.ports.by_index(interface);
        let alt_subnets = port.map_or(&[][..], |port| &port.config.alt_subnets);
        let kind = EventKind::source_refused(source, group, alt_subnets);
        self.publish(interface, kind);
    }

    /// Tells what concerns no interface in particular.
    pub(super) fn publish_for_all(&self, kind: EventKind) {
        self.publisher.publish(None, kind);
    }

    fn publish(&self, interface: IfIndex, kind: EventKind) {
        let interface = self.name_of(interface);
        match &kind {
            EventKind::HighWater { .. } | EventKind::SourceRefused { .. } => {
                warn!(interface, "{kind}");
            }
            EventKind::QuerierChanged { .. } => info!(interface, "{kind}"),
            _ => debug!(interface, "{kind}"),
        }
        self.publisher.publish(interface, kind);
    }

    /// The name of an interface, also of one that has just gone.
    fn name_of(&self, index: IfIndex) -> Option<&str> {
        let port = self.ports.by_index(index);
        let name = port
            .map(|port| &port.config.name)
            .or_else(|| self.departed.get(&index))?;
        Some(name)
    }
}
