use super::*;

const fn key(source: [u8; 4], group: [u8; 4]) -> FlowKey {
    FlowKey { source, group }
}

#[test]
fn words_are_what_they_were_made_of() {
    for key in [
        key([0; 4], [224, 0, 1, 1]),
        key([10, 1, 2, 3], [239, 255, 255, 255]),
        key([255, 255, 255, 254], [232, 0, 0, 1]),
    ] {
        let word = key.to_word();
        assert_eq!(FlowKey::from_word(word), Some(key));
        assert!(word < 1 << 63, "{key:?}");
    }
    assert_eq!(FlowKey::from_word(FlowKey::EMPTY), None);
    assert_eq!(FlowKey::from_word(FlowKey::TOMBSTONE), None);
    let entry = FlowEntry {
        set_from_upstream: 0xfffe,
        set_from_downstream: 0x0102,
        flags: 1500 << 16 | 3,
    };
    assert_eq!(FlowEntry::from_word(entry.to_word()), entry);
}

/// A new map is zero: no flow, and no search goes on.
#[test]
fn what_is_zero_is_empty() {
    assert_eq!(FlowBucket::default().keys, [FlowKey::EMPTY; 4]);
    assert_eq!(FlowEntry::from_word(0), FlowEntry::default());
    assert_eq!(
        u32::from(FlowEntry::default().set_from_upstream),
        crate::maps::NO_SET
    );
}

#[test]
fn a_table_has_room_for_its_flows() {
    for max_flows in [0, 1, 3, 4, 1024, 65_536, 1_048_576] {
        let homes = homes(max_flows);
        assert!(homes >= 1);
        assert!(
            homes * SLOTS >= max_flows + max_flows / 3,
            "a quarter is free"
        );
        assert!((homes - 1) * 3 <= max_flows, "and no more");
    }
}

/// Some buckets, of which a search sees one word after the other change.
struct Racing<'a> {
    bucket: &'a core::cell::Cell<FlowBucket>,
    /// Done once the entry has been read.
    after_entry: FlowBucket,
}

impl Bucket for &Racing<'_> {
    fn key(&self, slot: u32) -> u64 {
        self.bucket.get().keys[slot as usize]
    }

    fn entry(&self, slot: u32) -> u64 {
        let entry = self.bucket.get().entries[slot as usize];
        self.bucket.set(self.after_entry);
        entry
    }
}

#[test]
fn an_entry_that_is_no_longer_the_flows_is_not_taken() {
    const SPREAD: Spread = Spread { homes: 1, seed: 1 };
    let (flow, other) = (key([0; 4], [239, 1, 1, 1]), key([0; 4], [239, 1, 1, 2]));
    let holding = |key: FlowKey| FlowBucket {
        keys: [FlowKey::TOMBSTONE, key.to_word(), 0, 0],
        entries: [0, 7, 0, 0],
    };
    let find = |before, after_entry| {
        let bucket = core::cell::Cell::new(before);
        let racing = Racing {
            bucket: &bucket,
            after_entry,
        };
        look_up(SPREAD, flow.to_word(), |number| {
            (number == 0).then_some(&racing)
        })
        .map(|(_, slot, entry)| (slot, entry))
    };
    let (slot, entry) = find(holding(flow), holding(flow)).expect("it stays");
    assert_eq!((slot, entry.to_word()), (1, 7));
    assert_eq!(find(holding(flow), holding(other)), None, "given away");
    assert_eq!(
        find(holding(other), holding(flow)),
        None,
        "just come: the entry is older"
    );
}
