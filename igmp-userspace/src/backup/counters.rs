//! What a session counted, over all its connections.

use super::refusal::Refusal;

/// Why a message or a snapshot was not copied, or not acted upon.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum DropReason {
    /// The peer takes them more slowly than they come; a snapshot follows.
    QueueFull,
    /// The snapshot that is due anyway will contain them.
    AwaitingSync,
    /// The packet is longer than a record; a snapshot follows.
    TooLong,
    /// A group with more sources, or beyond more groups, than a snapshot holds.
    TooMuchState,
    /// An operator blocked sending; a snapshot follows when it is unblocked.
    SendBlocked,
    /// An operator blocked receiving; a snapshot is asked for when it is unblocked.
    ReceiveBlocked,
    /// The peer believes this gateway to be backup; it was told again.
    NotBackup,
}

impl DropReason {
    /// Every one, in the order they are shown.
    pub const ALL: &[Self] = &[
        Self::QueueFull,
        Self::AwaitingSync,
        Self::TooLong,
        Self::TooMuchState,
        Self::SendBlocked,
        Self::ReceiveBlocked,
        Self::NotBackup,
    ];

    /// Stable name, snake_case: a metric's label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::AwaitingSync => "awaiting_sync",
            Self::TooLong => "too_long",
            Self::TooMuchState => "too_much_state",
            Self::SendBlocked => "send_blocked",
            Self::ReceiveBlocked => "receive_blocked",
            Self::NotBackup => "not_backup",
        }
    }
}

/// What happened, from zero when the session was made.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Copied messages handed to the transport.
    pub sent: u64,
    /// Copied messages that were fed on.
    pub received: u64,
    /// Snapshots handed to the transport whole.
    pub snapshots_sent: u64,
    /// Snapshots received whole.
    pub snapshots_received: u64,
    /// Snapshots made in mid-stream: after something was dropped or blocked, or because the peer asked for one.
    pub resyncs: u64,
    dropped: [u64; DropReason::ALL.len()],
    refused: [u64; Refusal::ALL.len()],
}

impl Counters {
    /// Messages, groups or snapshots dropped for that reason.
    #[must_use]
    pub const fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    /// All that was dropped.
    #[must_use]
    pub fn dropped_in_all(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Connections refused or ended for that reason, by this gateway.
    #[must_use]
    pub const fn refused(&self, reason: Refusal) -> u64 {
        self.refused[reason as usize]
    }

    pub(super) const fn drop_some(&mut self, reason: DropReason, count: u64) {
        self.dropped[reason as usize] += count;
    }

    pub(super) const fn refuse(&mut self, reason: Refusal) {
        self.refused[reason as usize] += 1;
    }
}
