//! What comes in.

use std::sync::Arc;
use std::time::Duration;

use super::connection::{Peer, Received, Standing};
use super::{Connection, Output, Session};
use crate::backup::config::{MIN_DEAD_AFTER, disagreement};
use crate::backup::counters::DropReason;
use crate::backup::event::{Disconnect, Event};
use crate::backup::incoming::Incoming;
use crate::backup::record::{Hello, Payload, Record, Stamp};
use crate::backup::refusal::{Refusal, Refused};
use crate::backup::role::{Role, Statement};
use crate::backup::status::{LastRefusal, LastSync};
use crate::proto::Instant;

impl Session {
    /// Acts on each record in turn, until one ends the connection.
    pub(super) fn receive(&mut self, now: Instant, octets: &[u8]) {
        if let Some(connection) = &mut self.connection {
            connection.decoder.feed(octets);
        }
        while let Some(connection) = &mut self.connection {
            let taken = match connection.decoder.next_record() {
                Ok(None) => return,
                Ok(Some(record)) => self.record(now, record),
                Err(refused) => Err(refused),
            };
            if let Err(refused) = taken {
                self.refuse(now, refused);
            }
        }
    }

    fn record(&mut self, now: Instant, record: Record) -> Result<(), Refused> {
        match record {
            Record::Hello(hello) => self.hello(now, &hello),
            Record::Refuse { reason, text } => {
                self.last_refusal = Some(LastRefusal {
                    at: now,
                    by_peer: true,
                    reason: reason.clone(),
                    text: text.clone(),
                });
                self.disconnect(now, Disconnect::RefusedByPeer { reason, text });
                Ok(())
            }
            Record::Stamped(stamp, payload) => {
                self.check(now, stamp, &payload)?;
                self.payload(now, payload)
            }
        }
    }

    /// Both sides must mean the same.
    fn hello(&mut self, now: Instant, hello: &Hello) -> Result<(), Refused> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        if connection.peer.is_some() {
            return Err(Refusal::OutOfPlace.into());
        }
        if hello.nonce == connection.nonce {
            return Err(Refusal::Reflected.into());
        }
        if hello.profile != self.config.profile {
            return Err(Refused {
                reason: Refusal::Profile,
                text: format!(
                    "profile {} here, {} there",
                    self.config.profile, hello.profile
                ),
            });
        }
        if let Some(text) = disagreement(&self.config.interfaces, &hello.interfaces) {
            return Err(Refused {
                reason: Refusal::Interfaces,
                text,
            });
        }
        if Duration::from_millis(hello.dead_after_ms.into()) < MIN_DEAD_AFTER {
            return Err(Refused {
                reason: Refusal::DeadAfter,
                text: format!("dead after {} ms there", hello.dead_after_ms),
            });
        }
        let pairs = hello.interfaces.iter();
        let names = pairs.map(|pair| Arc::from(pair.remote.as_str())).collect();
        connection.peer = Some(Peer::new(now, hello, names));
        Ok(())
    }

    /// Whether a record belongs to this connection and is the next one.
    fn check(&mut self, now: Instant, stamp: Stamp, payload: &Payload) -> Result<(), Refused> {
        let connection = self.connection.as_mut();
        let (nonce, peer) = connection
            .and_then(|connection| Some((connection.nonce, connection.peer.as_mut()?)))
            .ok_or(Refusal::NotHello)?;
        if stamp.nonce != nonce {
            return Err(Refusal::Nonce.into());
        }
        if stamp.sequence != peer.next_received {
            return Err(Refused {
                reason: Refusal::Sequence,
                text: format!("record {} after {}", stamp.sequence, peer.next_received),
            });
        }
        if peer.said.is_none() && !matches!(payload, Payload::Role(_)) {
            return Err(Refusal::OutOfPlace.into());
        }
        peer.next_received += 1;
        peer.heard = now;
        Ok(())
    }

    fn payload(&mut self, now: Instant, payload: Payload) -> Result<(), Refused> {
        match payload {
            Payload::Role(said) => self.peer_says(said),
            Payload::Message {
                interface,
                age_us,
                packet,
            } => {
                let age = Duration::from_micros(age_us);
                return self.message(interface, age, packet);
            }
            Payload::SyncBegin { .. } | Payload::SyncGroups { .. } | Payload::SyncEnd { .. } => {
                return self.sync(now, payload);
            }
            Payload::SyncRequest => self.resync(),
            Payload::Keepalive { clock_us, echo } => {
                if let Some(peer) = self.peer_mut() {
                    peer.its_clock = Some((clock_us, now));
                    let there_and_back = echo.map(|echo| {
                        let sent = Duration::from_micros(echo.clock_us);
                        let held = Duration::from_micros(echo.held_us);
                        now.saturating_since(Instant::from_start(sent))
                            .saturating_sub(held)
                    });
                    peer.round_trip = there_and_back.or(peer.round_trip);
                }
            }
        }
        Ok(())
    }

    fn peer_says(&mut self, said: Statement) {
        let own = Standing {
            priority: self.config.priority,
            address: self.config.address,
            nonce: self.connection.as_ref().map_or(0, |own| own.nonce),
        };
        let Some(peer) = self.connection.as_mut().and_then(|own| own.peer.as_mut()) else {
            return;
        };
        let (standing, configured) = (peer.standing, peer.configured);
        if peer.said.replace(said).is_none() {
            self.pause = super::MIN_RECONNECT_PAUSE;
            self.outputs.push_back(Output::Event(Event::Connected {
                peer: standing.address,
                role: said.role(),
            }));
        }
        if said.role() == Role::Backup {
            // What it began to send as master it does not finish.
            peer.received = Received::None;
        }
        let role = self.roles.role();
        let meeting = self.roles.peer_says(said, standing > own, configured);
        self.role_may_have_changed(role);
        self.tell_of(meeting);
        self.settle();
    }

    /// Why what the peer copies is dropped.
    fn drop_reason(&mut self) -> Option<DropReason> {
        if self.roles.role() == Role::Master {
            // It cannot know yet; otherwise it did not hear it.
            if let Some(peer) = self.peer_mut() {
                peer.told = None;
            }
            Some(DropReason::NotBackup)
        } else {
            self.receive_blocked.then_some(DropReason::ReceiveBlocked)
        }
    }

    fn message(&mut self, interface: u32, age: Duration, packet: Vec<u8>) -> Result<(), Refused> {
        let (name, peer) = self.mapped(interface)?;
        if peer.said.is_none_or(|said| said.role() != Role::Master) {
            return Err(Refusal::OutOfPlace.into());
        }
        peer.message_age = Some(age);
        if let Some(reason) = self.drop_reason() {
            self.counters.drop_some(reason, 1);
            return Ok(());
        }
        self.counters.received += 1;
        self.outputs.push_back(Output::Feed {
            interface: name,
            packet,
            age,
        });
        Ok(())
    }

    /// What this gateway calls an interface that the peer names.
    fn mapped(&mut self, interface: u32) -> Result<(Arc<str>, &mut Peer), Refused> {
        let peer = self.connection.as_mut().and_then(Connection::met_mut);
        let peer = peer.ok_or(Refusal::OutOfPlace)?;
        let index = usize::try_from(interface).unwrap_or(usize::MAX);
        let name = peer.interfaces.get(index).cloned();
        Ok((name.ok_or(Refusal::UnknownInterface)?, peer))
    }

    fn sync(&mut self, now: Instant, payload: Payload) -> Result<(), Refused> {
        if let Some(reason) = self.drop_reason() {
            let whole = matches!(payload, Payload::SyncBegin { .. });
            self.counters.drop_some(reason, whole.into());
            return Ok(());
        }
        match payload {
            Payload::SyncBegin { interfaces } => {
                for &interface in &interfaces {
                    self.mapped(interface)?;
                }
                if let Some(peer) = self.peer_mut() {
                    peer.received = Received::Incoming(Incoming::new(interfaces));
                }
            }
            Payload::SyncGroups {
                interface,
                age_ms,
                groups,
            } => {
                let (name, peer) = self.mapped(interface)?;
                // Without a beginning: that came while receiving was blocked, or before the role changed.
                let Received::Incoming(incoming) = &mut peer.received else {
                    return Ok(());
                };
                let age = Duration::from_millis(age_ms.into());
                let states = incoming.add(interface, age, groups)?;
                if !states.is_empty() {
                    self.outputs.push_back(Output::Restore {
                        interface: name,
                        states,
                    });
                }
            }
            Payload::SyncEnd { left_out } => self.sync_end(now, left_out)?,
            Payload::Role(_)
            | Payload::Message { .. }
            | Payload::SyncRequest
            | Payload::Keepalive { .. } => {}
        }
        Ok(())
    }

    fn sync_end(&mut self, now: Instant, left_out: u32) -> Result<(), Refused> {
        let Some(peer) = self.peer_mut() else {
            return Ok(());
        };
        let Received::Incoming(incoming) = std::mem::take(&mut peer.received) else {
            return Ok(());
        };
        let (named, groups) = incoming.end()?;
        // Only a master's word on what is *not* there counts: a backup may never have been in sync itself.
        let from_master = peer.said.is_some_and(|said| said.role() == Role::Master);
        if from_master {
            peer.received = Received::Whole;
        }
        if from_master && left_out == 0 {
            for (interface, groups) in named {
                let (interface, _) = self.mapped(interface)?;
                self.outputs.push_back(Output::Retain { interface, groups });
            }
        }
        self.counters.snapshots_received += 1;
        self.last_sync = Some(LastSync { at: now, groups });
        self.outputs
            .push_back(Output::Event(Event::Synced { groups }));
        let role = self.roles.role();
        self.roles.synced(now);
        self.role_may_have_changed(role);
        self.settle();
        Ok(())
    }
}
