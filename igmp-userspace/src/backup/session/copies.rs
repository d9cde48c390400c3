//! What the peer is to have: copies and snapshots as they come from this gateway's router.

use super::connection::{Connection, Received, Snapshot};
use super::{Direction, Output, Session};
use crate::backup::counters::DropReason;
use crate::backup::event::Event;
use crate::backup::outgoing::Outgoing;
use crate::backup::queue::Copied;
use crate::backup::record::MAX_PACKET;
use crate::backup::role::Role;
use crate::proto::GroupState;
use crate::proto::Instant;

impl Session {
    /// A message was accepted on one of this gateway's interfaces. It is copied when this gateway is master and has a peer
    /// that is backup, and the interface is one that is copied. Messages that came out as [`Output::Feed`] must not come
    /// back here.
    pub fn copy(&mut self, interface: &str, packet: &[u8], arrived: Instant) {
        let Some(place) = self.place(interface) else {
            return;
        };
        if !self.interfaces[place].copied || self.roles.role() != Role::Master {
            return;
        }
        let send_blocked = self.send_blocked;
        let Some(stream) = self.connection.as_mut().and_then(Connection::stream_mut) else {
            return;
        };
        let dropped = if send_blocked {
            stream.resync_needed = true;
            Some((DropReason::SendBlocked, 1))
        } else if stream.resync_needed || matches!(stream.snapshot, Snapshot::Asked) {
            Some((DropReason::AwaitingSync, 1))
        } else if packet.len() > MAX_PACKET {
            stream.resync_needed = true;
            Some((DropReason::TooLong, 1))
        } else if stream.queue.push(Copied {
            interface: wire_index(place),
            arrived,
            packet: packet.into(),
        }) {
            None
        } else {
            let dropped = stream.drop_queue() + 1;
            let event = Event::QueueFull { dropped };
            self.outputs.push_back(Output::Event(event));
            Some((DropReason::QueueFull, dropped))
        };
        if let Some((reason, count)) = dropped {
            self.counters.drop_some(reason, count);
        }
    }

    /// The groups of one interface that [`Output::NeedSnapshot`] asks for, as they are at `now`; with static groups only as
    /// far as hosts brought them about. Without being asked for it is ignored.
    pub fn snapshot(
        &mut self,
        now: Instant,
        interface: &str,
        groups: impl IntoIterator<Item = GroupState>,
    ) {
        let Some(place) = self
            .place(interface)
            .filter(|&at| self.interfaces[at].copied)
        else {
            return;
        };
        let Some(stream) = self.connection.as_mut().and_then(Connection::stream_mut) else {
            return;
        };
        if matches!(stream.snapshot, Snapshot::Asked) {
            stream.snapshot = Snapshot::Building(Outgoing::new(now));
        }
        if let Snapshot::Building(outgoing) = &mut stream.snapshot {
            outgoing.add(wire_index(place), groups);
        }
    }

    /// That was the last interface of the snapshot.
    pub fn snapshot_end(&mut self, now: Instant) {
        let Some(stream) = self.connection.as_mut().and_then(Connection::stream_mut) else {
            return;
        };
        let outgoing = match std::mem::take(&mut stream.snapshot) {
            Snapshot::Asked => Outgoing::new(now),
            Snapshot::Building(outgoing) => outgoing,
            other @ (Snapshot::None | Snapshot::Ready(_)) => {
                stream.snapshot = other;
                return;
            }
        };
        let left_out = u64::from(outgoing.left_out());
        self.counters.drop_some(DropReason::TooMuchState, left_out);
        stream.snapshot = Snapshot::Ready(outgoing);
    }

    /// Messages of that interface are copied, or not: what `access` and `dhcp_stb_igmp_copy` come to. They are until this
    /// is called. Switched off, what was copied stays where it is; switched on, a snapshot follows.
    pub fn set_copied(&mut self, interface: &str, copied: bool) {
        let Some(place) = self.place(interface) else {
            return;
        };
        let was_copied = std::mem::replace(&mut self.interfaces[place].copied, copied);
        if copied && !was_copied {
            self.resync();
        }
    }

    /// Blocks copies in a direction, or lets them through again, which brings a snapshot.
    pub fn set_blocked(&mut self, direction: Direction, blocked: bool) {
        let was_blocked = match direction {
            Direction::Send => std::mem::replace(&mut self.send_blocked, blocked),
            Direction::Receive => std::mem::replace(&mut self.receive_blocked, blocked),
        };
        match (direction, was_blocked, blocked) {
            (Direction::Send, false, true) => {
                if let Some(stream) = self.connection.as_mut().and_then(Connection::stream_mut) {
                    stream.snapshot = Snapshot::None;
                    let dropped = stream.drop_queue();
                    self.counters.drop_some(DropReason::SendBlocked, dropped);
                }
            }
            (Direction::Receive, false, true) => {
                if let Some(peer) = self.peer_mut() {
                    peer.received = Received::None;
                }
            }
            (Direction::Receive, true, false) => self.request_sync(),
            (Direction::Send, true, false) | (_, true, true) | (_, false, false) => {}
        }
    }

    /// Asks the peer for a snapshot: what was restored on an interface may have been lost since.
    pub fn request_sync(&mut self) {
        if let Some(peer) = self.peer_mut() {
            peer.received = Received::None;
            peer.sync_request_due = true;
        }
    }

    /// The peer's state may differ from ours.
    pub(super) fn resync(&mut self) {
        if let Some(stream) = self.connection.as_mut().and_then(Connection::stream_mut) {
            stream.resync_needed = true;
        }
    }
}

/// A place in our Hello, as records have it.
fn wire_index(place: usize) -> u32 {
    u32::try_from(place).expect("interfaces are fewer than 4 Gi")
}
