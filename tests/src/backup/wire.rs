//! The octets of the backup protocol, written by hand from docs/backup-protocol.md: they judge the product's own.

const MAGIC: &[u8] = b"igmR";
const HELLO: u8 = 1;
const REFUSE: u8 = 2;
const STAMPED: u8 = 3;
const LENGTH: usize = 4;

/// What a side says first.
#[derive(Clone, Copy, Debug)]
pub struct Hello<'a> {
    /// Of the protocol.
    pub version: u64,
    /// The profile's name.
    pub profile: &'a str,
    /// What the other side is to put into its records.
    pub nonce: u64,
    /// Own name and the peer's.
    pub interfaces: &'a [(&'a str, &'a str)],
    /// Milliseconds.
    pub dead_after: u64,
}

impl Hello<'_> {
    /// A record of a master with the default priority at 192.0.2.1.
    pub fn record(&self) -> Vec<u8> {
        let mut fields = [MAGIC, &varint(self.version), &text(self.profile)].concat();
        fields.extend(varint(self.nonce));
        fields.extend([0, 150, 0, 192, 0, 2, 1]);
        fields.extend(varint(self.interfaces.len() as u64));
        for (own, peers) in self.interfaces {
            fields.extend([text(own), text(peers)].concat());
        }
        fields.extend(varint(self.dead_after));
        record(HELLO, &fields)
    }
}

/// A record of this kind.
pub fn record(kind: u8, fields: &[u8]) -> Vec<u8> {
    let length = u32::try_from(1 + fields.len()).expect("a short record");
    [&length.to_be_bytes()[..], &[kind], fields].concat()
}

/// A record that follows the Hello.
pub fn stamped(nonce: u64, sequence: u64, payload: &[u8]) -> Vec<u8> {
    record(
        STAMPED,
        &[&varint(nonce), &varint(sequence), payload].concat(),
    )
}

/// The Refuse record that says this.
pub fn refusal(reason: &str, words: &str) -> Vec<u8> {
    record(REFUSE, &[text(reason), text(words)].concat())
}

/// The reason of the Refuse record among these octets, which begin with a record.
pub fn refused_because(octets: &[u8]) -> Option<String> {
    let mut rest = octets;
    while let Some((length, body)) = rest.split_first_chunk::<LENGTH>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (record, after) = body.split_at_checked(length)?;
        if let [REFUSE, reason_length, fields @ ..] = record {
            let reason = fields.get(..usize::from(*reason_length))?;
            return String::from_utf8(reason.to_vec()).ok();
        }
        rest = after;
    }
    None
}

/// 7 bits an octet, the least significant first.
fn varint(mut value: u64) -> Vec<u8> {
    let mut octets = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            octets.push(low);
            return octets;
        }
        octets.push(low | 0x80);
    }
}

fn text(text: &str) -> Vec<u8> {
    [&varint(text.len() as u64), text.as_bytes()].concat()
}
