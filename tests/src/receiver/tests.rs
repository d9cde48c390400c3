use std::net::Ipv4Addr;

use super::*;

fn arrival(sequence: u64) -> Arrival {
    Arrival {
        at: SystemTime::UNIX_EPOCH,
        source: Ipv4Addr::LOCALHOST,
        sequence,
    }
}

fn breaks(sequences: &[u64]) -> Vec<(u64, u64)> {
    let mut progress = Progress {
        last: arrival(sequences[0]),
        received: 1,
        breaks: Vec::new(),
        overflowed: 0,
    };
    // However the reader's looks at the socket divide them.
    for sequences in sequences[1..].chunks(2) {
        let arrivals: Vec<Arrival> = sequences.iter().copied().map(arrival).collect();
        progress.take(&arrivals, 0);
    }
    assert_eq!(progress.received, sequences.len() as u64);
    progress.breaks
}

#[test]
fn a_datagram_that_is_lost_doubled_or_early_is_a_break() {
    assert_eq!(breaks(&[7, 8, 9, 10, 11]), []);
    assert_eq!(breaks(&[7, 8, 10, 11]), [(8, 10)]);
    assert_eq!(breaks(&[7, 8, 8, 9]), [(8, 8)]);
    assert_eq!(breaks(&[7, 9, 8, 10]), [(7, 9), (9, 8), (8, 10)]);
}
