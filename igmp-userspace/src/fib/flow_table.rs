//! The writer's side of the flow table ([`igmp_common::flow_table`]): pure, over any words.

use std::ops::{Deref, Range};
use std::sync::atomic::{AtomicU64, Ordering};

use igmp_common::flow_table::{
    Bucket, FlowEntry, FlowKey, MAX_PROBES, SLOTS, Spread, buckets, look_up, probe,
};

/// Words of a bucket: its keys, then its entries.
pub const BUCKET_WORDS: usize = 2 * SLOTS as usize;

/// All slots that a search for the key would come to have other flows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no slot of the flow table within reach")]
pub struct NoSlot;

/// A flow table and the only one who writes it, over words that others read meanwhile.
#[derive(Debug)]
pub struct FlowTable<W> {
    words: W,
    spread: Spread,
    /// By bucket: how many flows' searches go past it.
    passers: Vec<u32>,
}

impl<W: Deref<Target = [AtomicU64]>> FlowTable<W> {
    /// A table over `words`, which are all zero: [`BUCKET_WORDS`] for each of the [`buckets`] that `spread` has.
    #[must_use]
    pub fn new(words: W, spread: Spread) -> Self {
        let buckets = buckets(spread.homes) as usize;
        assert_eq!(words.len(), buckets * BUCKET_WORDS, "words of a table");
        Self {
            words,
            spread,
            passers: vec![0; buckets],
        }
    }

    /// Installs a flow, or replaces its entry. A slot that it did not have before is given to `taken` ahead of the first
    /// packet that finds it.
    ///
    /// # Errors
    ///
    /// [`NoSlot`]. Nothing has changed then. A flow that is there can always be replaced.
    pub fn put(
        &mut self,
        key: FlowKey,
        entry: FlowEntry,
        taken: impl FnOnce(u32),
    ) -> Result<(), NoSlot> {
        if let Some((slot, _)) = self.get(key) {
            self.entry(slot).store(entry.to_word(), Ordering::Release);
            return Ok(());
        }
        let word = key.to_word();
        debug_assert_eq!(FlowKey::from_word(word), Some(key), "not a group");
        let home = self.spread.home(word);
        let mut slots = path(home).flat_map(slots_of);
        let is_free = |slot: &u32| self.flow_in(*slot).is_none();
        let slot = slots.find(is_free).ok_or(NoSlot)?;
        for passed in path(home).take_while(|bucket| *bucket != slot / SLOTS) {
            self.passers[passed as usize] += 1;
        }
        taken(slot);
        self.entry(slot).store(entry.to_word(), Ordering::Release);
        self.key(slot).store(word, Ordering::Release);
        Ok(())
    }

    /// Removes a flow; false = it was not there.
    pub fn remove(&mut self, key: FlowKey) -> bool {
        let Some((slot, _)) = self.get(key) else {
            return false;
        };
        let bucket = slot / SLOTS;
        let vacant = match self.passers[bucket as usize] {
            0 => FlowKey::EMPTY,
            _ => FlowKey::TOMBSTONE,
        };
        self.key(slot).store(vacant, Ordering::Release);
        // For a CPU that reads the next flow's key after the entry, against the order of the program: it finds no outputs
        // rather than this flow's.
        self.entry(slot).store(0, Ordering::Release);
        let home = self.spread.home(key.to_word());
        for passed in path(home).take_while(|passed| *passed != bucket) {
            self.passers[passed as usize] -= 1;
            if self.passers[passed as usize] == 0 {
                self.clear_tombstones(passed);
            }
        }
        true
    }

    /// The slot and the entry of a flow, as a packet finds them.
    #[must_use]
    pub fn get(&self, key: FlowKey) -> Option<(u32, FlowEntry)> {
        get(&self.words, self.spread, key)
    }

    /// No search goes past `bucket` any more.
    fn clear_tombstones(&self, bucket: u32) {
        for slot in slots_of(bucket) {
            if self.flow_in(slot).is_none() {
                self.key(slot).store(FlowKey::EMPTY, Ordering::Release);
            }
        }
    }

    fn flow_in(&self, slot: u32) -> Option<FlowKey> {
        FlowKey::from_word(self.key(slot).load(Ordering::Relaxed))
    }

    fn key(&self, slot: u32) -> &AtomicU64 {
        key(bucket(&self.words, slot / SLOTS), slot % SLOTS)
    }

    fn entry(&self, slot: u32) -> &AtomicU64 {
        entry(bucket(&self.words, slot / SLOTS), slot % SLOTS)
    }
}

/// The buckets that a search reads, in its order.
fn path(home: u32) -> impl Iterator<Item = u32> {
    (0..MAX_PROBES).map(move |step| probe(home, step))
}

fn slots_of(bucket: u32) -> Range<u32> {
    bucket * SLOTS..(bucket + 1) * SLOTS
}

/// What a packet finds that looks for `key`.
#[must_use]
pub fn get(words: &[AtomicU64], spread: Spread, key: FlowKey) -> Option<(u32, FlowEntry)> {
    let bucket = |number| {
        Some(Words {
            number,
            bucket: bucket(words, number),
        })
    };
    let (found, slot, entry) = look_up(spread, key.to_word(), bucket)?;
    Some((found.number * SLOTS + slot, entry))
}

/// All flows of a table, in no order. It takes no knowledge of how they are spread.
pub fn flows(words: &[AtomicU64]) -> impl Iterator<Item = (FlowKey, FlowEntry)> {
    let slots = words.chunks_exact(BUCKET_WORDS).flat_map(|bucket| {
        (0..SLOTS).map(|slot| {
            let word = key(bucket, slot).load(Ordering::Acquire);
            (word, entry(bucket, slot).load(Ordering::Acquire))
        })
    });
    slots.filter_map(|(key, entry)| Some((FlowKey::from_word(key)?, FlowEntry::from_word(entry))))
}

fn bucket(words: &[AtomicU64], number: u32) -> &[AtomicU64] {
    let first = number as usize * BUCKET_WORDS;
    &words[first..first + BUCKET_WORDS]
}

fn key(bucket: &[AtomicU64], slot: u32) -> &AtomicU64 {
    &bucket[slot as usize]
}

fn entry(bucket: &[AtomicU64], slot: u32) -> &AtomicU64 {
    &bucket[(SLOTS + slot) as usize]
}

struct Words<'a> {
    number: u32,
    bucket: &'a [AtomicU64],
}

impl Bucket for Words<'_> {
    fn key(&self, slot: u32) -> u64 {
        key(self.bucket, slot).load(Ordering::Acquire)
    }

    fn entry(&self, slot: u32) -> u64 {
        entry(self.bucket, slot).load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests;
