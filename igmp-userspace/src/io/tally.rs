//! What happens in the daemon itself, counted by name.

/// A kind of occurrence.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Occurrence {
    /// An element of a kernel map was written or removed.
    MapWritten,
    /// A flow was not installed.
    FlowRefused,
    /// The kernel did not take a map write.
    MapWriteFailed,
    /// A message was not sent.
    SendFailed,
}

impl Occurrence {
    /// All kinds.
    pub const ALL: [Self; 4] = [
        Self::MapWritten,
        Self::FlowRefused,
        Self::MapWriteFailed,
        Self::SendFailed,
    ];

    /// Stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MapWritten => "map_writes",
            Self::FlowRefused => "flow_refused",
            Self::MapWriteFailed => "map_write_failed",
            Self::SendFailed => "send_failed",
        }
    }

    /// One line for people.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::MapWritten => "elements of kernel maps written or removed for flows",
            Self::FlowRefused => {
                "flows not installed: table full, no spare replication set, too many outputs"
            }
            Self::MapWriteFailed => "writes to kernel maps that failed",
            Self::SendFailed => "IGMP messages that the kernel did not send",
        }
    }
}

/// How often each happened since start.
#[derive(Clone, Debug, Default)]
pub struct Tally([u64; Occurrence::ALL.len()]);

impl Tally {
    /// It happened once.
    pub fn count(&mut self, occurrence: Occurrence) {
        self.add(occurrence, 1);
    }

    /// It happened so often.
    pub fn add(&mut self, occurrence: Occurrence, times: usize) {
        self.0[occurrence as usize] += times as u64;
    }

    /// How often.
    #[must_use]
    pub fn get(&self, occurrence: Occurrence) -> u64 {
        self.0[occurrence as usize]
    }
}
