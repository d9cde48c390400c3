//! What a gateway makes of its peer's octets, `igmp_userspace::backup`.

use std::time::Duration;

use igmp_userspace::backup::record::{LENGTH_OCTETS, MAX_RECORD, Record};
use igmp_userspace::backup::{
    Config, Decoder, DropReason, InterfacePair, Output, Refusal, Role, Session,
};
use igmp_userspace::proto::Instant;

/// What the peer has to stamp its records with.
const NONCE: u64 = 7;

/// `data` as what comes in on a connection, in one piece and octet by octet.
///
/// # Panics
/// When a record that was read is not the same after it is written and read again, when more is held than a record, when
/// it matters how the octets are cut up, or when a refused connection still does anything.
pub fn backup(data: &[u8]) {
    records(data);
    let (whole, outputs) = feed(data, data.len().max(1));
    let (pieces, same_outputs) = feed(data, 1);
    assert_eq!(outputs, same_outputs);
    let now = Instant::START;
    let (status, same_status) = (whole.status(now), pieces.status(now));
    assert_eq!(status.counters, same_status.counters);
    assert_eq!(status.last_refusal, same_status.last_refusal);

    let refused: u64 = Refusal::ALL
        .iter()
        .map(|&reason| status.counters.refused(reason))
        .sum();
    assert!(refused <= 1, "one connection is refused once");
    let disconnected = outputs
        .iter()
        .position(|output| matches!(output, Output::Disconnect(_)));
    if let Some(at) = disconnected {
        assert_eq!(
            at + 2,
            outputs.len(),
            "nothing but the event comes after the end"
        );
        assert_eq!(status.peer, None);
    }
    assert_eq!(status.counters.dropped(DropReason::QueueFull), 0);
}

/// A backup of the profile `stb`, whose eth3 is the peer's eth1, with a connection on which it has given the nonce 7.
#[must_use]
pub fn connected() -> Session {
    let config = Config {
        profile: "stb".to_owned(),
        role: Role::Backup,
        priority: 100,
        address: [192, 0, 2, 2].into(),
        interfaces: vec![InterfacePair {
            local: "eth3".to_owned(),
            remote: "eth1".to_owned(),
        }],
        dead_after: Duration::from_secs(1),
        peer_wait: Duration::from_secs(2),
        switch_back_delay: Duration::from_secs(250),
    };
    let mut session = Session::new(Instant::START, config, Role::Backup, 1);
    session.handle_connected(Instant::START, NONCE);
    session
}

fn feed(data: &[u8], piece: usize) -> (Session, Vec<Output>) {
    let mut session = connected();
    let mut outputs = Vec::new();
    for piece in data.chunks(piece) {
        session.handle_bytes(Instant::START, piece);
        outputs.extend(std::iter::from_fn(|| session.poll_output()));
    }
    (session, outputs)
}

fn records(data: &[u8]) {
    let mut decoder = Decoder::default();
    for piece in data.chunks(1000) {
        decoder.feed(piece);
        while let Ok(Some(record)) = decoder.next_record() {
            let mut octets = Vec::new();
            record.encode(&mut octets);
            assert_eq!(Record::decode(&octets[LENGTH_OCTETS..]), Ok(record));
        }
        if decoder.next_record().is_err() {
            return;
        }
        assert!(decoder.held() < LENGTH_OCTETS + MAX_RECORD);
    }
}
