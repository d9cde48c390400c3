//! The gateways that serve the same hosts.

use crate::api::{Backup, Direction};

use super::super::super::table::Align::{Left, Right};
use super::super::super::table::Table;
use super::or_dash;

pub(super) fn table(rows: &[Backup]) -> Table<11> {
    let mut table = Table::new([
        ("PROFILE", Left),
        ("ROLE", Left),
        ("PEER", Left),
        ("PEER ROLE", Left),
        ("SYNCED", Left),
        ("LAG", Right),
        ("SENT", Right),
        ("RECEIVED", Right),
        ("DROPPED", Right),
        ("REFUSED", Right),
        ("NOTE", Left),
    ]);
    for row in rows {
        let refused: u64 = row.refused.values().sum();
        let peer_role = match row.peer_role {
            Some(role) => role.to_string(),
            None => "not connected".into(),
        };
        table.push([
            row.profile.clone(),
            row.role.to_string(),
            row.peer.to_string(),
            peer_role,
            if row.synced { "yes" } else { "no" }.into(),
            or_dash(row.lag_ms.map(|lag| format!("{lag:.1} ms"))),
            row.sent.to_string(),
            row.received.to_string(),
            row.dropped.to_string(),
            refused.to_string(),
            note(row),
        ]);
    }
    table
}

/// What is out of the ordinary; otherwise why the role is what it is.
fn note(row: &Backup) -> String {
    let mut notes = Vec::new();
    for direction in &row.blocked {
        notes.push(match direction {
            Direction::Send => "send blocked".to_owned(),
            Direction::Receive => "receive blocked".to_owned(),
        });
    }
    if let Some(left) = row.switch_back_ms {
        notes.push(format!("master again in {} s", left.div_ceil(1000)));
    }
    if let Some(refusal) = &row.last_refusal {
        notes.push(format!("refused last: {refusal}"));
    }
    if notes.is_empty() {
        row.role_cause.clone()
    } else {
        notes.join("; ")
    }
}
