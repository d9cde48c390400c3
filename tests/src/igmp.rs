//! IGMP bytes as the RFCs draw them. Written apart from the product's own codec, which it judges.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

/// IPv4 protocol number of IGMP.
pub const PROTOCOL: u8 = 2;

/// What a group record says (RFC 9776 section 4.2.13); the numbers are on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the RFC's own short names")]
pub enum RecordType {
    IsIn = 1,
    IsEx = 2,
    ToIn = 3,
    ToEx = 4,
    Allow = 5,
    Block = 6,
}

/// A group record of a version 3 report.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// What it says.
    pub kind: RecordType,
    /// About which group.
    pub group: Ipv4Addr,
    /// And which sources.
    pub sources: Vec<Ipv4Addr>,
}

impl Record {
    /// A record.
    pub fn new(kind: RecordType, group: Ipv4Addr, sources: &[Ipv4Addr]) -> Self {
        Self {
            kind,
            group,
            sources: sources.to_vec(),
        }
    }
}

/// A message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Igmp {
    /// Membership Query; the length tells the version (RFC 9776 section 7.1).
    Query {
        /// 1, 2 or 3.
        version: u8,
        /// Group asked about, 0.0.0.0 for a General Query.
        group: Ipv4Addr,
        /// Max Response Time; zero in version 1, which has none.
        max_response: Duration,
        /// Sources of a Group-and-Source-Specific Query.
        sources: Vec<Ipv4Addr>,
    },
    /// Version 1 report.
    ReportV1(Ipv4Addr),
    /// Version 2 report.
    ReportV2(Ipv4Addr),
    /// Version 2 Leave Group.
    Leave(Ipv4Addr),
    /// Version 3 report.
    ReportV3(Vec<Record>),
}

impl Igmp {
    /// Reads a message, checksum included.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        if checksum(bytes) != 0 {
            return Err("checksum wrong".into());
        }
        let group = address(bytes, 4)?;
        match (bytes[0], bytes.len()) {
            (0x11, 8) => Ok(Self::Query {
                version: if bytes[1] == 0 { 1 } else { 2 },
                group,
                max_response: Duration::from_millis(u64::from(bytes[1]) * 100),
                sources: Vec::new(),
            }),
            (0x11, 12..) => Ok(Self::Query {
                version: 3,
                group,
                max_response: Duration::from_millis(u64::from(floating_point(bytes[1])) * 100),
                sources: addresses(bytes, 12, word(bytes, 10)?)?,
            }),
            (0x12, _) => Ok(Self::ReportV1(group)),
            (0x16, _) => Ok(Self::ReportV2(group)),
            (0x17, _) => Ok(Self::Leave(group)),
            (0x22, _) => records(bytes).map(Self::ReportV3),
            (kind, length) => Err(format!("type {kind:#04x} of {length} bytes")),
        }
    }

    /// The bytes, checksum included. Queries carry Robustness Variable 2 and Query Interval 125 s.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = match self {
            Self::Query {
                version,
                group,
                max_response,
                sources,
            } => {
                let code = u8::try_from(max_response.as_millis() / 100)
                    .expect("below the floating-point range");
                let mut bytes = short(0x11, code, *group);
                if *version == 3 {
                    bytes.extend([2, 125]);
                    bytes.extend(count(sources.len()));
                    bytes.extend(sources.iter().flat_map(Ipv4Addr::octets));
                }
                bytes
            }
            Self::ReportV1(group) => short(0x12, 0, *group),
            Self::ReportV2(group) => short(0x16, 0, *group),
            Self::Leave(group) => short(0x17, 0, *group),
            Self::ReportV3(records) => {
                let mut bytes = vec![0x22, 0, 0, 0, 0, 0];
                bytes.extend(count(records.len()));
                for record in records {
                    bytes.extend([record.kind as u8, 0]);
                    bytes.extend(count(record.sources.len()));
                    bytes.extend(record.group.octets());
                    bytes.extend(record.sources.iter().flat_map(Ipv4Addr::octets));
                }
                bytes
            }
        };
        seal(&mut bytes);
        bytes
    }

    /// True for a Group-Specific Query about `group`.
    pub fn asks_about(&self, group: Ipv4Addr) -> bool {
        matches!(self, Self::Query { group: asked, sources, .. } if *asked == group && sources.is_empty())
    }

    /// True for a General Query.
    pub fn is_general_query(&self) -> bool {
        self.asks_about(Ipv4Addr::UNSPECIFIED)
    }

    /// What the message says of whole groups: `(group, true)` for wanted, `(group, false)` for left. Records that only
    /// change a source list say nothing.
    pub fn wishes(&self) -> Vec<(Ipv4Addr, bool)> {
        match self {
            Self::Query { .. } => Vec::new(),
            Self::ReportV1(group) | Self::ReportV2(group) => vec![(*group, true)],
            Self::Leave(group) => vec![(*group, false)],
            Self::ReportV3(records) => records
                .iter()
                .filter_map(|record| match record.kind {
                    RecordType::IsEx | RecordType::ToEx | RecordType::Allow => {
                        Some((record.group, true))
                    }
                    RecordType::IsIn | RecordType::ToIn => {
                        Some((record.group, !record.sources.is_empty()))
                    }
                    RecordType::Block => None,
                })
                .collect(),
        }
    }

    /// True when the message says that its sender wants `group`.
    pub fn joins(&self, group: Ipv4Addr) -> bool {
        self.wishes().contains(&(group, true))
    }

    /// True when the message says that its sender no longer wants `group`.
    pub fn leaves(&self, group: Ipv4Addr) -> bool {
        self.wishes().contains(&(group, false))
    }
}

impl fmt::Display for Igmp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query {
                version,
                group,
                max_response,
                sources,
            } => {
                write!(
                    f,
                    "Query(v{version}, {group}, {max_response:?}, {sources:?})"
                )
            }
            Self::ReportV1(group) => write!(f, "ReportV1({group})"),
            Self::ReportV2(group) => write!(f, "ReportV2({group})"),
            Self::Leave(group) => write!(f, "Leave({group})"),
            Self::ReportV3(records) => {
                write!(f, "ReportV3")?;
                records
                    .iter()
                    .try_for_each(|r| write!(f, " {:?}({}, {:?})", r.kind, r.group, r.sources))
            }
        }
    }
}

/// Internet checksum (RFC 1071) of `bytes`: zero when they contain a right one.
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded above")
}

/// Writes the right IGMP checksum into a message.
pub fn seal(message: &mut [u8]) {
    message[2..4].fill(0);
    let sum = checksum(message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
}

/// RFC 9776 section 4.1.1: from 128 on, one bit, three bits of exponent and four of mantissa.
fn floating_point(code: u8) -> u32 {
    if code < 128 {
        return u32::from(code);
    }
    let mantissa = u32::from(code & 0x0f) | 0x10;
    mantissa << (u32::from(code >> 4 & 0x07) + 3)
}

fn short(kind: u8, code: u8, group: Ipv4Addr) -> Vec<u8> {
    let [a, b, c, d] = group.octets();
    vec![kind, code, 0, 0, a, b, c, d]
}

fn count(n: usize) -> [u8; 2] {
    u16::try_from(n).expect("a 16-bit count").to_be_bytes()
}

fn word(bytes: &[u8], at: usize) -> Result<usize, String> {
    let pair = bytes.get(at..at + 2).ok_or("too short")?;
    Ok(usize::from(pair[0]) << 8 | usize::from(pair[1]))
}

fn address(bytes: &[u8], at: usize) -> Result<Ipv4Addr, String> {
    let octets: [u8; 4] = bytes
        .get(at..at + 4)
        .ok_or("too short")?
        .try_into()
        .expect("four bytes");
    Ok(Ipv4Addr::from(octets))
}

fn addresses(bytes: &[u8], at: usize, n: usize) -> Result<Vec<Ipv4Addr>, String> {
    (0..n).map(|index| address(bytes, at + 4 * index)).collect()
}

fn records(bytes: &[u8]) -> Result<Vec<Record>, String> {
    let mut at = 8;
    let mut records = Vec::new();
    for _ in 0..word(bytes, 6)? {
        let kind = match *bytes.get(at).ok_or("too short")? {
            1 => RecordType::IsIn,
            2 => RecordType::IsEx,
            3 => RecordType::ToIn,
            4 => RecordType::ToEx,
            5 => RecordType::Allow,
            6 => RecordType::Block,
            other => return Err(format!("record type {other}")),
        };
        let auxiliary_words = usize::from(bytes[at + 1]);
        let sources = word(bytes, at + 2)?;
        records.push(Record {
            kind,
            group: address(bytes, at + 4)?,
            sources: addresses(bytes, at + 8, sources)?,
        });
        at += 8 + 4 * (sources + auxiliary_words);
    }
    Ok(records)
}

#[cfg(test)]
mod tests;
