//! What went wrong in the daemon itself, counted by name.

/// A kind of trouble.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// A flow was not installed.
    FlowRefused,
    /// The kernel did not take a map write.
    MapWriteFailed,
    /// A message was not sent.
    SendFailed,
}

impl Trouble {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::FlowRefused, Self::MapWriteFailed, Self::SendFailed];

    /// Stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FlowRefused => "flow_refused",
            Self::MapWriteFailed => "map_write_failed",
            Self::SendFailed => "send_failed",
        }
    }

    /// One line for people.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
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
pub struct Tally([u64; Trouble::ALL.len()]);

impl Tally {
    /// It happened.
    pub fn count(&mut self, trouble: Trouble) {
        self.0[trouble as usize] += 1;
    }

    /// How often.
    #[must_use]
    pub fn get(&self, trouble: Trouble) -> u64 {
        self.0[trouble as usize]
    }
}
