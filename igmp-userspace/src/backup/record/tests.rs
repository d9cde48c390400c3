use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::backup::Decoder;
use crate::backup::role::{Cause, Claim};
use crate::proto::FilterMode;
use crate::proto::GroupState;

fn encoded(record: &Record) -> Vec<u8> {
    let mut octets = Vec::new();
    record.encode(&mut octets);
    octets
}

fn hello() -> Hello {
    Hello {
        profile: "stb".to_owned(),
        nonce: 0x0123_4567,
        role: Role::Master,
        priority: 150,
        address: [192, 0, 2, 1].into(),
        interfaces: vec![InterfacePair {
            local: "eth1".to_owned(),
            remote: "eth3".to_owned(),
        }],
        dead_after_ms: 1000,
    }
}

/// `octets` with their length before them.
fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&length, body].concat()
}

fn refusal(octets: &[u8]) -> Refusal {
    let mut decoder = Decoder::default();
    decoder.feed(octets);
    let refused = decoder.next_record().unwrap_err();
    assert_eq!(decoder.next_record(), Err(refused.clone()), "it stays so");
    refused.reason
}

/// Written from postcard's wire format: integers as varints of 7 bits, least significant first; strings and sequences with
/// their length; an option as 0 or 1; an enum as its variant's number.
#[test]
fn a_hello_has_the_octets_that_the_document_says() {
    let mut body = vec![1];
    body.extend(b"igmR");
    body.push(1); // version
    body.extend(b"\x03stb");
    body.extend([0xe7, 0x8a, 0x8d, 0x09]); // 0x0123_4567
    body.push(0); // master
    body.push(150);
    body.extend([0, 192, 0, 2, 1]); // IPv4
    body.extend(b"\x01\x04eth1\x04eth3");
    body.extend([0xe8, 0x07]); // 1000
    assert_eq!(encoded(&Record::Hello(hello())), framed(&body));
}

#[test]
fn a_message_has_the_octets_that_the_document_says() {
    let stamp = Stamp {
        nonce: 5,
        sequence: 300,
    };
    let payload = Payload::Message {
        interface: 1,
        age_us: 128,
        packet: vec![0x46, 0xc0],
    };
    let body = [3, 5, 0xac, 0x02, 1, 1, 0x80, 0x01, 2, 0x46, 0xc0];
    assert_eq!(encoded(&Record::Stamped(stamp, payload)), framed(&body));
}

#[test]
fn what_is_no_record_is_refused_by_name() {
    let good = encoded(&Record::Hello(hello()));
    let body = &good[LENGTH_OCTETS..];
    let with = |at: usize, octet: u8| {
        let mut changed = body.to_vec();
        changed[at] = octet;
        framed(&changed)
    };
    assert_eq!(refusal(&[0xff; 4]), Refusal::TooLong, "4 GiB");
    assert_eq!(refusal(&[0, 1, 0, 1]), Refusal::TooLong, "64 KiB and one");
    assert_eq!(refusal(&[0; 4]), Refusal::Malformed, "nothing");
    assert_eq!(refusal(&with(0, 0)), Refusal::UnknownType);
    assert_eq!(refusal(&with(0, 4)), Refusal::UnknownType);
    assert_eq!(refusal(&with(1, b'I')), Refusal::NotHello, "magic");
    assert_eq!(refusal(&with(5, 2)), Refusal::Version);
    assert_eq!(
        refusal(&framed(&body[..body.len() - 1])),
        Refusal::Malformed
    );
    assert_eq!(refusal(&framed(&[body, &[0]].concat())), Refusal::Malformed);
    assert_eq!(refusal(&framed(&[3, 5, 0, 7])), Refusal::UnknownType);
    assert_eq!(
        refusal(&framed(&[3, 5, 0, 0x80, 0x01])),
        Refusal::UnknownType
    );
    assert_eq!(
        refusal(&framed(&[3, 5, 0])),
        Refusal::Malformed,
        "no payload"
    );
    // 4 Gi sources in 13 octets.
    let groups = [3, 5, 0, 3, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 239, 1];
    assert_eq!(refusal(&framed(&groups)), Refusal::Malformed);
    assert_eq!(refusal(b"GET / HTTP/1.1\r\n\r\n"), Refusal::TooLong);
}

/// The layout after the version is that version's own business.
#[test]
fn another_version_is_told_from_garbage() {
    let mut body = vec![1];
    body.extend(b"igmR");
    body.push(2);
    assert_eq!(refusal(&framed(&body)), Refusal::Version);
}

#[test]
fn the_largest_record_is_taken_and_held_no_longer_than_it_takes() {
    let packet = vec![0xab; MAX_PACKET];
    let stamp = Stamp {
        nonce: u64::MAX,
        sequence: u64::MAX,
    };
    let (interface, age_us) = (u32::MAX, u64::MAX);
    let record = Record::Stamped(
        stamp,
        Payload::Message {
            interface,
            age_us,
            packet,
        },
    );
    let octets = encoded(&record);
    assert!(octets.len() <= LENGTH_OCTETS + MAX_RECORD);
    let mut decoder = Decoder::default();
    for octet in &octets[..octets.len() - 1] {
        decoder.feed(std::slice::from_ref(octet));
        assert_eq!(decoder.next_record(), Ok(None));
    }
    decoder.feed(&octets[octets.len() - 1..]);
    assert_eq!(decoder.next_record(), Ok(Some(record)));
    assert_eq!(decoder.held(), 0);
}

#[test]
fn a_refusal_is_fit_to_be_printed() {
    let record = Record::Refuse {
        reason: "version".to_owned(),
        text: format!("\x1b[2J{}", "x".repeat(1000)),
    };
    let Record::Refuse { text, .. } = Record::decode(&encoded(&record)[LENGTH_OCTETS..]).unwrap()
    else {
        panic!("it is a refusal");
    };
    assert!(text.starts_with("\u{fffd}[2Jxx"));
    assert_eq!(text.chars().count(), MAX_TEXT);
}

fn address() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from)
}

/// Whole milliseconds, as the wire has them.
fn left() -> impl Strategy<Value = Option<Duration>> {
    option::of(any::<u32>().prop_map(|ms| Duration::from_millis(ms.into())))
}

fn state(sources: usize) -> impl Strategy<Value = GroupState> {
    let timers = (left(), left(), left());
    let sources = vec((address(), left()), 0..=sources);
    (
        address(),
        any::<bool>(),
        timers,
        sources,
        option::of(address()),
    )
        .prop_map(
            |(group, exclude, (group_timer, v1, v2), sources, last_reporter)| GroupState {
                group,
                filter_mode: if exclude {
                    FilterMode::Exclude
                } else {
                    FilterMode::Include
                },
                group_timer,
                sources,
                v1_host_present: v1,
                v2_host_present: v2,
                last_reporter,
            },
        )
}

fn payload() -> impl Strategy<Value = Payload> {
    let cause = prop_oneof![
        Just(Cause::Waiting),
        Just(Cause::Operator),
        Just(Cause::GaveWay)
    ];
    let claim = option::of((any::<u64>(), any::<Option<u64>>()));
    let role = (cause, claim).prop_map(|(cause, claim)| {
        let claim = claim.map(|(number, over)| Claim { number, over });
        Payload::Role(Statement { cause, claim })
    });
    let message = (any::<u32>(), any::<u64>(), vec(any::<u8>(), 0..2000));
    let message = message.prop_map(|(interface, age_us, packet)| Payload::Message {
        interface,
        age_us,
        packet,
    });
    let groups = (any::<u32>(), any::<u32>(), vec(state(3), 0..4));
    let groups = groups.prop_map(|(interface, age_ms, states)| Payload::SyncGroups {
        interface,
        age_ms,
        groups: states
            .iter()
            .flat_map(|state| split_group(state).unwrap())
            .collect(),
    });
    let begin = vec(any::<u32>(), 0..4);
    let begin = begin.prop_map(|interfaces| Payload::SyncBegin { interfaces });
    let keepalive = (any::<u64>(), option::of((any::<u64>(), any::<u64>())));
    let keepalive = keepalive.prop_map(|(clock_us, echo)| Payload::Keepalive {
        clock_us,
        echo: echo.map(|(clock_us, held_us)| Echo { clock_us, held_us }),
    });
    prop_oneof![
        role,
        message,
        groups,
        begin,
        keepalive,
        any::<u32>().prop_map(|left_out| Payload::SyncEnd { left_out }),
        Just(Payload::SyncRequest),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    let stamped = (any::<u64>(), any::<u64>(), payload())
        .prop_map(|(nonce, sequence, payload)| Record::Stamped(Stamp { nonce, sequence }, payload));
    let refuse =
        ("[a-z_]{1,20}", "[ -~]{0,256}").prop_map(|(reason, text)| Record::Refuse { reason, text });
    prop_oneof![4 => stamped, 1 => refuse, 1 => Just(Record::Hello(hello()))]
}

proptest! {
    /// However the octets are cut up on their way.
    #[test]
    fn records_come_out_as_they_went_in(records in vec(record(), 0..6), piece in 1..300_usize) {
        let octets: Vec<u8> = records.iter().flat_map(encoded).collect();
        let mut decoder = Decoder::default();
        let mut out = Vec::new();
        for piece in octets.chunks(piece) {
            decoder.feed(piece);
            while let Some(record) = decoder.next_record().unwrap() {
                out.push(record);
            }
        }
        prop_assert_eq!(out, records);
        prop_assert_eq!(decoder.held(), 0);
    }

    #[test]
    fn any_octets_are_records_or_refused(octets in vec(any::<u8>(), 0..200)) {
        let _ = Record::decode(&octets);
        for kind in HELLO..=STAMPED {
            let _ = Record::decode(&[&[kind], &octets[..]].concat());
        }
    }

    /// A group is put together from its pieces, whatever its size, and each piece fits a record.
    #[test]
    fn groups_come_out_as_they_went_in(state in state(9000)) {
        let pieces = split_group(&state).unwrap();
        let mut regroup = Regroup::default();
        let mut out = None;
        for piece in pieces {
            let len = piece.max_len();
            let payload = Payload::SyncGroups { interface: u32::MAX, age_ms: u32::MAX, groups: vec![piece.clone()] };
            let octets = encoded(&Record::Stamped(Stamp { nonce: u64::MAX, sequence: u64::MAX }, payload));
            prop_assert!(octets.len() <= LENGTH_OCTETS + 64 + len && len + 64 <= MAX_RECORD);
            prop_assert_eq!(out, None, "the last piece is the last");
            out = regroup.piece(piece, Duration::ZERO).unwrap();
        }
        prop_assert_eq!(out, Some(state));
        prop_assert!(!regroup.is_open());
    }
}

#[test]
fn timers_age_on_their_way_and_never_arrive_shorter_than_they_are() {
    let state = GroupState {
        group: Ipv4Addr::new(239, 1, 1, 1),
        filter_mode: FilterMode::Include,
        group_timer: Some(Duration::from_micros(10_000_001)),
        sources: vec![
            (Ipv4Addr::new(10, 0, 0, 1), Some(Duration::from_secs(3))),
            (Ipv4Addr::new(10, 0, 0, 2), None),
        ],
        v1_host_present: Some(Duration::MAX),
        v2_host_present: None,
        last_reporter: None,
    };
    let piece = split_group(&state).unwrap().remove(0);
    let arrived = Regroup::default()
        .piece(piece, Duration::from_secs(4))
        .unwrap()
        .unwrap();
    assert_eq!(arrived.group_timer, Some(Duration::from_millis(6_001)));
    assert_eq!(arrived.sources[0].1, Some(Duration::ZERO));
    assert_eq!(
        arrived.sources[1].1, None,
        "blocked is not the same as run out"
    );
    assert_eq!(
        arrived.v1_host_present,
        Some(Duration::from_millis(u64::from(u32::MAX) - 4000))
    );
    assert_eq!(arrived.v2_host_present, None);
}

#[test]
fn a_group_of_too_many_sources_is_not_cut_short() {
    let mut state = GroupState {
        group: Ipv4Addr::new(232, 1, 1, 1),
        filter_mode: FilterMode::Include,
        group_timer: None,
        sources: vec![(Ipv4Addr::new(10, 0, 0, 1), None); 65_536],
        v1_host_present: None,
        v2_host_present: None,
        last_reporter: None,
    };
    let mut pieces = split_group(&state).unwrap();
    state.sources.push((Ipv4Addr::new(10, 0, 0, 2), None));
    assert_eq!(split_group(&state), None);

    // A sender that goes on all the same.
    let last = pieces.last_mut().unwrap();
    last.continued = true;
    let more = last.clone();
    pieces.push(more);
    let mut regroup = Regroup::default();
    let taken: Result<Vec<_>, _> = pieces
        .into_iter()
        .map(|piece| regroup.piece(piece, Duration::ZERO))
        .collect();
    assert_eq!(taken, Err(Refusal::TooMuchState));
}

#[test]
fn pieces_of_two_groups_are_not_put_together() {
    let state = |last| GroupState {
        group: Ipv4Addr::new(232, 1, 1, last),
        filter_mode: FilterMode::Include,
        group_timer: None,
        sources: vec![(Ipv4Addr::new(10, 0, 0, 1), None); 5000],
        v1_host_present: None,
        v2_host_present: None,
        last_reporter: None,
    };
    let [first, other] = [1, 2].map(|last| split_group(&state(last)).unwrap());
    let mut regroup = Regroup::default();
    assert_eq!(regroup.piece(first[0].clone(), Duration::ZERO), Ok(None));
    assert_eq!(
        regroup.piece(other[1].clone(), Duration::ZERO),
        Err(Refusal::OutOfPlace)
    );
}
