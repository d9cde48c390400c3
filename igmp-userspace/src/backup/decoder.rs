//! Octets as they come, cut into records.

use bytes::{Buf as _, BytesMut};

use super::record::{LENGTH_OCTETS, MAX_RECORD, Record};
use super::refusal::{Refusal, Refused};

/// Cuts a stream of octets into records.
///
/// It holds what was fed and not yet taken: no more than one record, when the caller takes records after each feeding
/// until there is none.
#[derive(Debug, Default)]
pub struct Decoder(BytesMut);

impl Decoder {
    /// The next octets.
    pub fn feed(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }

    /// The next record; `None` until all of it is there.
    ///
    /// # Errors
    /// When what came is no record. The stream has no next record then, and every later call says the same.
    pub fn next_record(&mut self) -> Result<Option<Record>, Refused> {
        let Some(length) = self.0.first_chunk::<LENGTH_OCTETS>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_RECORD {
            return Err(Refused {
                reason: Refusal::TooLong,
                text: format!("a record of {length} octets"),
            });
        }
        let Some(body) = self.0.get(LENGTH_OCTETS..LENGTH_OCTETS + length) else {
            return Ok(None);
        };
        let record = Record::decode(body)?;
        self.0.advance(LENGTH_OCTETS + length);
        Ok(Some(record))
    }

    /// Octets that were fed and are not yet part of a record.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.len()
    }
}
