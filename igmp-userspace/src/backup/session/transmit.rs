//! What goes out. Nothing is made before the transport can take it: control records are flags, and the newest state is
//! what is sent.

use super::connection::{Connection, Peer, Snapshot};
use super::{Output, Session};
use crate::backup::record::{Echo, Hello, Payload, Record, Stamp};
use crate::backup::status::LastSync;
use crate::proto::Instant;

impl Session {
    /// The next octets for the peer; `None` when there are none now. As many records as there are until they come to
    /// `enough` octets; the last one may go beyond that, and one is always whole.
    ///
    /// To call it says that everything it gave before has left: what it gives next is no longer than one record behind
    /// the newest state, and a snapshot that is due is asked for now.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant, enough: usize) -> Option<Vec<u8>> {
        let mut octets = self.farewell.take().unwrap_or_default();
        while octets.len() < enough.max(1) {
            let Some(record) = self.next_record(now) else {
                break;
            };
            record.encode(&mut octets);
        }
        (!octets.is_empty()).then_some(octets)
    }

    fn next_record(&mut self, now: Instant) -> Option<Record> {
        let connection = self.connection.as_mut()?;
        if !connection.hello_sent {
            connection.hello_sent = true;
            let nonce = connection.nonce;
            return Some(Record::Hello(self.own_hello(nonce)));
        }
        connection.peer.as_ref()?;
        let payload = self.next_control(now).or_else(|| self.next_copy(now))?;
        let peer = self.connection.as_mut()?.peer.as_mut()?;
        let stamp = Stamp {
            nonce: peer.standing.nonce,
            sequence: peer.next_sent,
        };
        peer.next_sent += 1;
        Some(Record::Stamped(stamp, payload))
    }

    fn own_hello(&self, nonce: u64) -> Hello {
        Hello {
            profile: self.config.profile.clone(),
            nonce,
            role: self.config.role,
            priority: self.config.priority,
            address: self.config.address,
            interfaces: self.config.interfaces.clone(),
            dead_after_ms: u32::try_from(self.config.dead_after.as_millis()).unwrap_or(u32::MAX),
        }
    }

    /// Role, sync request, keepalive: before all copies, so that a long snapshot delays none of them.
    fn next_control(&mut self, now: Instant) -> Option<Payload> {
        let own = self.roles.statement();
        let peer = self.connection.as_mut()?.peer.as_mut()?;
        if peer.told != Some(own) {
            peer.told = Some(own);
            return Some(Payload::Role(own));
        }
        if std::mem::take(&mut peer.sync_request_due) {
            return Some(Payload::SyncRequest);
        }
        std::mem::take(&mut peer.keepalive_due).then(|| peer.keepalive(now))
    }

    /// The rest of a snapshot, or the next copy. When there is neither and a snapshot is needed, the owner is asked for it.
    fn next_copy(&mut self, now: Instant) -> Option<Payload> {
        let stream = self.connection.as_mut().and_then(Connection::stream_mut)?;
        if self.send_blocked {
            return None;
        }
        match &mut stream.snapshot {
            Snapshot::Ready(outgoing) => {
                let payload = outgoing.next(now);
                if matches!(payload, Payload::SyncEnd { .. }) {
                    let groups = outgoing.groups();
                    self.last_sync = Some(LastSync { at: now, groups });
                    self.counters.snapshots_sent += 1;
                    stream.snapshot = Snapshot::None;
                }
                Some(payload)
            }
            Snapshot::Asked | Snapshot::Building(_) => None,
            Snapshot::None => {
                if let Some(copy) = stream.queue.pop() {
                    self.counters.sent += 1;
                    let age = now.saturating_since(copy.arrived);
                    return Some(Payload::Message {
                        interface: copy.interface,
                        age_us: micros(age),
                        packet: copy.packet.into_vec(),
                    });
                }
                if std::mem::take(&mut stream.resync_needed) {
                    stream.snapshot = Snapshot::Asked;
                    self.counters.resyncs += u64::from(stream.snapshots > 0);
                    stream.snapshots += 1;
                    let copied = self.interfaces.iter().filter(|interface| interface.copied);
                    let interfaces = copied.map(|interface| interface.name.clone()).collect();
                    self.outputs.push_back(Output::NeedSnapshot { interfaces });
                }
                None
            }
        }
    }
}

impl Peer {
    fn keepalive(&self, now: Instant) -> Payload {
        Payload::Keepalive {
            clock_us: micros(now.since_start()),
            echo: self.its_clock.map(|(clock_us, heard)| Echo {
                clock_us,
                held_us: micros(now.saturating_since(heard)),
            }),
        }
    }
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
