//! Telling what happens: to the log, and to whoever follows `igmpctl events`.

use tracing::{debug, info, warn};

use super::Daemon;
use crate::api::EventKind;
use crate::proto::{self, IfIndex};

impl Daemon {
    pub(super) fn tell(&self, event: proto::Event) {
        let interface = self.name_of(event.interface);
        let kind = EventKind::from(event.kind);
        match &kind {
            EventKind::HighWater { .. } => warn!(interface, "{kind}"),
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
