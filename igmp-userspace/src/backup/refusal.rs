//! Why a connection is refused or ended over what the peer sent.

use std::fmt;

macro_rules! refusals {
    ($($variant:ident, $name:literal, $description:literal;)*) => {
        /// Why a connection was refused, or ended over what came in.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Refusal {
            $(#[doc = $description] $variant,)*
        }

        impl Refusal {
            /// Every one, in the order they are shown.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Stable name, snake_case: on the wire, as a metric's label, in JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it means, in one line.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$variant => $description,)*
                }
            }
        }
    };
}

refusals! {
    TooLong, "too_long", "A record longer than the 64 KiB one may have.";
    Malformed, "malformed", "A record that is cut short, has octets left over or holds an impossible value.";
    UnknownType, "unknown_type", "A record of a type that this version does not have.";
    NotHello, "not_hello", "Something else than igmpd's Hello came first.";
    Version, "version", "The peer speaks another version of the protocol.";
    Profile, "profile", "The peer means another profile.";
    Interfaces, "interfaces", "The two gateways do not map the same interfaces to each other.";
    DeadAfter, "dead_after", "The peer wants keepalives oftener than is allowed.";
    Reflected, "reflected", "The Hello is our own: this gateway is connected to itself, or played back to itself.";
    Nonce, "nonce", "A record made for another connection: played back.";
    Sequence, "sequence", "A record is missing, repeated or out of order.";
    OutOfPlace, "out_of_place", "A record that must not come here.";
    UnknownInterface, "unknown_interface", "A record about an interface that was not agreed upon.";
    TooMuchState, "too_much_state", "A snapshot of more groups, or a group of more sources, than is allowed.";
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A refusal with what exactly was wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// Why.
    pub reason: Refusal,
    /// In words, for both operators.
    pub text: String,
}

impl From<Refusal> for Refused {
    fn from(reason: Refusal) -> Self {
        Self {
            reason,
            text: reason.description().to_owned(),
        }
    }
}
