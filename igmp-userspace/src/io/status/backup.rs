//! `igmpctl show backup`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::{Backup, Direction};
use crate::backup::{self, DropReason, Refusal, Status};
use crate::io::backup::peers::Peer;
use crate::io::daemon::Daemon;
use crate::proto::Instant;

/// A row each.
pub(super) fn profiles(daemon: &Daemon) -> Vec<Backup> {
    let now = daemon.now();
    daemon.peers.iter().map(|peer| profile(peer, now)).collect()
}

/// The same in the terms of a session.
pub(super) const fn direction(direction: Direction) -> backup::Direction {
    match direction {
        Direction::Send => backup::Direction::Send,
        Direction::Receive => backup::Direction::Receive,
    }
}

fn profile(peer: &Peer, now: Instant) -> Backup {
    let status = peer.session.status(now);
    let dropped = DropReason::ALL.iter();
    let dropped = dropped.map(|reason| (reason.name(), status.counters.dropped(*reason)));
    let refused = Refusal::ALL.iter();
    let refused = refused.map(|reason| (reason.name(), status.counters.refused(*reason)));
    let refused_early = peer.refused.iter();
    let refused_early = refused_early.map(|(reason, count)| (reason.name(), *count));
    let blocked = [
        (status.send_blocked, Direction::Send),
        (status.receive_blocked, Direction::Receive),
    ];
    Backup {
        lag_ms: lag(&status).map(|lag| lag.as_secs_f64() * 1e3),
        profile: status.profile,
        role: status.role,
        role_cause: status.cause.to_string(),
        switch_back_ms: status
            .switch_back_at
            .map(|at| millis(at.saturating_since(now))),
        peer: peer.config.peer,
        connected: status.peer.is_some(),
        peer_role: status.peer.map(|peer| peer.role),
        synced: status.synced,
        last_sync_ms: status
            .last_sync
            .map(|sync| millis(now.saturating_since(sync.at))),
        last_sync_groups: status.last_sync.map(|sync| sync.groups),
        sent: status.counters.sent,
        received: status.counters.received,
        dropped: status.counters.dropped_in_all(),
        dropped_by: not_zero(dropped),
        refused: not_zero(refused.chain(refused_early)),
        last_refusal: status.last_refusal.map(|refusal| {
            let by = if refusal.by_peer {
                " (by the peer)"
            } else {
                ""
            };
            format!("{}{by}: {}", refusal.reason, refusal.text)
        }),
        blocked: blocked
            .into_iter()
            .filter_map(|(is_blocked, direction)| is_blocked.then_some(direction))
            .collect(),
    }
}

/// Where something waits, how long it has been; otherwise what the way took.
fn lag(status: &Status) -> Option<Duration> {
    let peer = status.peer.as_ref()?;
    let way = peer.round_trip.map(|round_trip| round_trip / 2);
    match status.role {
        backup::Role::Master => status.queue.age.or(way),
        backup::Role::Backup => Some(peer.message_age? + way?).or(way),
    }
}

fn not_zero<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (name, count) in counts.filter(|(_, count)| *count > 0) {
        *sums.entry(name.to_owned()).or_default() += count;
    }
    sums
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
