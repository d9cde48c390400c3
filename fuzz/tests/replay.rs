//! The corpora on stable: every file, and then what comes of mutating them.

use std::collections::BTreeMap;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use igmp_fuzz::{TARGETS, Target};

/// Inputs made from each corpus by mutation.
const EXECUTIONS: u64 = 200_000;
/// Another seed can be given as `IGMPD_FUZZ_SEED`.
const SEED: u64 = 1;

/// The files of a target's corpus by name, in the order of their names.
fn corpus(target: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let files: BTreeMap<_, _> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

#[test]
fn every_file_of_every_corpus_passes() {
    for Target { name, run } in TARGETS {
        for (file, octets) in corpus(name) {
            assert!(catch_unwind(|| run(&octets)).is_ok(), "{name}: {file}");
        }
    }
}

#[test]
fn mutations_of_every_corpus_pass() {
    let seed = std::env::var("IGMPD_FUZZ_SEED").map_or(SEED, |seed| {
        seed.parse().expect("a number as IGMPD_FUZZ_SEED")
    });
    for Target { name, run } in TARGETS {
        let corpus: Vec<_> = corpus(name).into_values().collect();
        let mut random = Random(seed);
        for execution in 0..EXECUTIONS {
            let input = mutate(&corpus, &mut random);
            let passed = catch_unwind(|| run(&input)).is_ok();
            assert!(
                passed,
                "{name}, seed {seed}, execution {execution}: {input:02x?}"
            );
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers from the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, or 0 when there is none.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    fn octet(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

/// A file of the corpus, changed in one to four ways.
fn mutate(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len());
        match random.below(7) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.octet(),
            2 if at < input.len() => input[at] = [0x00, 0x01, 0x7f, 0x80, 0xff][random.below(5)],
            3 => input.truncate(at),
            4 => input.extend((0..random.below(24)).map(|_| random.octet())),
            // A stretch of another file, in place or in between.
            5 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len());
                let stretch = &other[from..from + random.below(other.len() - from)];
                let until = if random.below(2) == 0 {
                    at
                } else {
                    input.len().min(at + stretch.len())
                };
                input.splice(at..until, stretch.iter().copied());
            }
            // The IPv4 total length is what it should be, so that a change of length is no end.
            _ => {
                let len = u16::try_from(input.len()).unwrap_or(u16::MAX).to_be_bytes();
                if let Some(field) = input.get_mut(2..4) {
                    field.copy_from_slice(&len);
                }
            }
        }
    }
    input
}
