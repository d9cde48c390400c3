//! The records that two gateways exchange, and their octets: a length of four octets (big-endian), then so many octets of
//! a body. `docs/backup-protocol.md` shows them.
//!
//! A body is an octet that says its kind, then the fields in the order they have here, as
//! [postcard](https://postcard.jamesmunns.com/wire-format) writes them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::config::InterfacePair;
use super::refusal::{Refusal, Refused};
use super::role::{Role, Statement};

mod group;

pub use group::GroupRecord;
pub(super) use group::{Regroup, split_group};

/// The longest body. A snapshot goes out in such pieces, so that a keepalive never waits for long behind one.
pub const MAX_RECORD: usize = 64 * 1024;
/// The longest packet a [`Payload::Message`] has room for; IGMP messages are no longer than a link's MTU.
pub const MAX_PACKET: usize = MAX_RECORD - 64;
/// Octets of the length before each body.
pub const LENGTH_OCTETS: usize = 4;
/// The version of the protocol. Gateways of different versions refuse each other.
pub const VERSION: u16 = 1;
/// What a Hello begins with, in every version.
pub const MAGIC: [u8; 4] = *b"igmR";
/// The longest text of a [`Record::Refuse`] that is shown; more is cut off.
pub const MAX_TEXT: usize = 256;

const HELLO: u8 = 1;
const REFUSE: u8 = 2;
const STAMPED: u8 = 3;

/// One record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Record {
    /// What each side says first.
    Hello(Hello),
    /// What a side says before it closes the connection over what came in. The same in every version.
    Refuse {
        /// [`Refusal::name`]; another version may have others.
        reason: String,
        /// In words.
        text: String,
    },
    /// Everything else.
    Stamped(Stamp, Payload),
}

/// Who a gateway is. What it says about roles comes later, under a stamp: a Hello may be an old one, played back.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Hello {
    /// The profile's name.
    pub profile: String,
    /// What the other side has to put into each record: drawn at random for this connection.
    pub nonce: u64,
    /// The role that is configured.
    pub role: Role,
    /// [`Config::priority`](super::Config::priority).
    pub priority: u8,
    /// [`Config::address`](super::Config::address).
    pub address: IpAddr,
    /// The mapped interfaces; `local` is what the sender of the Hello calls it. [`Payload`]s of the sender refer to them
    /// by their place in this list.
    pub interfaces: Vec<InterfacePair>,
    /// The sender takes its peer for dead when it has heard nothing for so many milliseconds.
    pub dead_after_ms: u32,
}

/// What proves that a record belongs here.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Stamp {
    /// The *receiver's* nonce of this connection.
    pub nonce: u64,
    /// 0 for the first record with a stamp, then one more each time.
    pub sequence: u64,
}

/// What a record with a stamp says.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Payload {
    /// The sender's role. The first record with a stamp, and again whenever it changes.
    Role(Statement),
    /// An IGMP message that the master accepted.
    Message {
        /// Where: place in the sender's Hello.
        interface: u32,
        /// How long ago it had come in when this record was made, in microseconds.
        age_us: u64,
        /// From the IPv4 header on.
        packet: Vec<u8>,
    },
    /// A snapshot of the groups on these interfaces follows; one that was not finished is void.
    SyncBegin {
        /// Places in the sender's Hello.
        interfaces: Vec<u32>,
    },
    /// Groups of a snapshot.
    SyncGroups {
        /// Where: place in the sender's Hello.
        interface: u32,
        /// How old the timers are, in milliseconds.
        age_ms: u32,
        /// The groups.
        groups: Vec<GroupRecord>,
    },
    /// The snapshot is complete.
    SyncEnd {
        /// How many groups had to be left out because they are beyond what a snapshot holds. When there are any, the
        /// receiver must not take a group's absence for its end.
        left_out: u32,
    },
    /// Send a snapshot.
    SyncRequest,
    /// The sender lives.
    Keepalive {
        /// The sender's clock, in microseconds.
        clock_us: u64,
        /// The last keepalive that the sender heard.
        echo: Option<Echo>,
    },
}

/// A keepalive that was heard, so that its sender can tell the round trip.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Echo {
    /// Its `clock_us`.
    pub clock_us: u64,
    /// How long ago it was heard, in microseconds.
    pub held_us: u64,
}

/// Kinds of [`Payload`].
const PAYLOADS: u8 = 7;

impl Record {
    /// Appends the record with its length.
    ///
    /// # Panics
    /// When the body has 4 GiB.
    pub fn encode(&self, octets: &mut Vec<u8>) {
        let start = octets.len();
        octets.extend([0; LENGTH_OCTETS]);
        match self {
            Self::Hello(hello) => append(octets, HELLO, &(MAGIC, VERSION, hello)),
            Self::Refuse { reason, text } => append(octets, REFUSE, &(reason, text)),
            Self::Stamped(stamp, payload) => append(octets, STAMPED, &(stamp, payload)),
        }
        let length = octets.len() - start - LENGTH_OCTETS;
        let length = u32::try_from(length).expect("a body is far shorter than 4 GiB");
        octets[start..start + LENGTH_OCTETS].copy_from_slice(&length.to_be_bytes());
    }

    /// Reads a body.
    ///
    /// # Errors
    /// Why it is none.
    pub fn decode(body: &[u8]) -> Result<Self, Refused> {
        let (&kind, fields) = body.split_first().ok_or(Refusal::Malformed)?;
        match kind {
            HELLO => decode_hello(fields),
            REFUSE => {
                let (reason, text): (&str, &str) = whole(fields)?;
                Ok(Self::Refuse {
                    reason: printable(reason),
                    text: printable(text),
                })
            }
            STAMPED => {
                let (stamp, payload) =
                    postcard::take_from_bytes::<Stamp>(fields).map_err(|_| Refusal::Malformed)?;
                if payload.first().is_some_and(|&kind| kind >= PAYLOADS) {
                    return Err(Refusal::UnknownType.into());
                }
                Ok(Self::Stamped(stamp, whole(payload)?))
            }
            _ => Err(Refusal::UnknownType.into()),
        }
    }
}

fn append<T: Serialize>(octets: &mut Vec<u8>, kind: u8, fields: &T) {
    octets.push(kind);
    *octets = postcard::to_extend(fields, std::mem::take(octets))
        .expect("every sequence in a record knows its length, and a Vec takes all");
}

/// The version is read before what depends on it.
fn decode_hello(fields: &[u8]) -> Result<Record, Refused> {
    let (magic, rest) =
        postcard::take_from_bytes::<[u8; 4]>(fields).map_err(|_| Refusal::NotHello)?;
    if magic != MAGIC {
        return Err(Refusal::NotHello.into());
    }
    let (version, rest) = postcard::take_from_bytes::<u16>(rest).map_err(|_| Refusal::Malformed)?;
    if version != VERSION {
        return Err(Refused {
            reason: Refusal::Version,
            text: format!("protocol version {VERSION} here, {version} there"),
        });
    }
    Ok(Record::Hello(whole(rest)?))
}

/// A value that takes up all the octets.
fn whole<'a, T: Deserialize<'a>>(octets: &'a [u8]) -> Result<T, Refused> {
    match postcard::take_from_bytes(octets) {
        Ok((value, [])) => Ok(value),
        Ok(_) | Err(_) => Err(Refusal::Malformed.into()),
    }
}

/// What the peer wants to be read goes to logs and terminals: no control characters, and not too much of it.
pub(super) fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().take(MAX_TEXT).map(shown).collect()
}

#[cfg(test)]
mod tests;
