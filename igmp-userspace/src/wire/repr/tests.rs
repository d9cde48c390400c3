use super::*;
use crate::wire::RecordType;
use crate::wire::strategies::with_checksum;

pub(super) fn parse(octets: &[u8]) -> Result<Repr, Error> {
    Repr::parse(&Packet::new_checked(octets)?)
}

pub(super) fn emit(message: &Repr) -> Vec<u8> {
    let mut octets = vec![0xa5; message.buffer_len()];
    message.emit(&mut octets);
    octets
}

const fn ip(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

fn record(record_type: RecordType, group: Ipv4Addr, sources: &[Ipv4Addr]) -> GroupRecord {
    GroupRecord {
        record_type,
        group,
        sources: sources.to_vec(),
    }
}

/// A version 3 General Query with the defaults of RFC 9776 section 8.
fn general_query_v3() -> Query {
    Query {
        version: Version::V3,
        max_response_time: Duration::from_secs(10),
        group: Ipv4Addr::UNSPECIFIED,
        suppress_router_side_processing: false,
        robustness: 2,
        query_interval: Duration::from_secs(125),
        sources: vec![],
    }
}

fn older_query(version: Version, group: Ipv4Addr, max_response_time: Duration) -> Repr {
    let query_interval = Duration::ZERO;
    Repr::Query(Query {
        version,
        group,
        max_response_time,
        robustness: 0,
        query_interval,
        ..general_query_v3()
    })
}

/// Messages written by hand from the RFCs' diagrams, with what they mean. Each is read and written.
fn vectors() -> Vec<(&'static str, Vec<u8>, Repr)> {
    vec![
        (
            "version 1 query (RFC 1112 appendix I)",
            vec![0x11, 0x00, 0xee, 0xff, 0, 0, 0, 0],
            older_query(Version::V1, Ipv4Addr::UNSPECIFIED, Duration::from_secs(10)),
        ),
        (
            "version 2 General Query, 10 s",
            vec![0x11, 0x64, 0xee, 0x9b, 0, 0, 0, 0],
            older_query(Version::V2, Ipv4Addr::UNSPECIFIED, Duration::from_secs(10)),
        ),
        (
            "version 2 General Query, 25.5 s: the code is a plain number (RFC 2236 section 2.2)",
            vec![0x11, 0xff, 0xee, 0x00, 0, 0, 0, 0],
            older_query(
                Version::V2,
                Ipv4Addr::UNSPECIFIED,
                Duration::from_millis(25_500),
            ),
        ),
        (
            "version 2 Group-Specific Query, 1 s",
            vec![0x11, 0x0a, 0xfe, 0xf1, 239, 1, 1, 2],
            older_query(Version::V2, ip(239, 1, 1, 2), Duration::from_secs(1)),
        ),
        (
            "version 3 General Query: QRV 2, QQIC 125",
            vec![0x11, 0x64, 0xec, 0x1e, 0, 0, 0, 0, 0x02, 0x7d, 0, 0],
            Repr::Query(general_query_v3()),
        ),
        (
            "version 3 General Query, largest codes, QRV 7",
            vec![0x11, 0xff, 0xe6, 0x01, 0, 0, 0, 0, 0x07, 0xff, 0, 0],
            Repr::Query(Query {
                max_response_time: Duration::from_millis(3_174_400),
                robustness: 7,
                query_interval: Duration::from_secs(31_744),
                ..general_query_v3()
            }),
        ),
        (
            "version 3 Group-Specific Query, 1 s, S flag",
            vec![0x11, 0x0a, 0xf4, 0x74, 239, 1, 1, 2, 0x0a, 0x7d, 0, 0],
            Repr::Query(Query {
                max_response_time: Duration::from_secs(1),
                group: ip(239, 1, 1, 2),
                suppress_router_side_processing: true,
                ..general_query_v3()
            }),
        ),
        (
            "version 3 Group-and-Source-Specific Query",
            vec![
                0x11, 0x0a, 0xef, 0x68, 232, 1, 1, 1, 0x02, 0x7d, 0, 2, 10, 0, 0, 5, 10, 0, 0, 6,
            ],
            Repr::Query(Query {
                max_response_time: Duration::from_secs(1),
                group: ip(232, 1, 1, 1),
                sources: vec![ip(10, 0, 0, 5), ip(10, 0, 0, 6)],
                ..general_query_v3()
            }),
        ),
        (
            "version 1 report",
            vec![0x12, 0x00, 0xfb, 0xf8, 239, 3, 3, 3],
            Repr::ReportV1 {
                group: ip(239, 3, 3, 3),
            },
        ),
        (
            "version 2 report",
            vec![0x16, 0x00, 0xfe, 0xea, 225, 10, 10, 10],
            Repr::ReportV2 {
                group: ip(225, 10, 10, 10),
            },
        ),
        (
            "leave",
            vec![0x17, 0x00, 0x06, 0xfb, 225, 1, 1, 3],
            Repr::Leave {
                group: ip(225, 1, 1, 3),
            },
        ),
        (
            "version 3 report of nothing",
            vec![0x22, 0, 0xdd, 0xff, 0, 0, 0, 0],
            Repr::ReportV3(vec![]),
        ),
        (
            "version 3 report of all six types",
            ALL_SIX.to_vec(),
            all_six(),
        ),
    ]
}

const ALL_SIX: [u8; 76] = [
    0x22, 0, 0xf6, 0xc8, 0, 0, 0, 6, //
    1, 0, 0, 1, 239, 1, 1, 1, 10, 0, 0, 1, //
    2, 0, 0, 0, 239, 1, 1, 2, //
    3, 0, 0, 0, 239, 1, 1, 3, //
    4, 0, 0, 2, 239, 1, 1, 4, 10, 0, 0, 1, 10, 0, 0, 2, //
    5, 0, 0, 1, 239, 1, 1, 5, 10, 0, 0, 3, //
    6, 0, 0, 1, 239, 1, 1, 6, 10, 0, 0, 4,
];

fn all_six() -> Repr {
    Repr::ReportV3(vec![
        record(
            RecordType::ModeIsInclude,
            ip(239, 1, 1, 1),
            &[ip(10, 0, 0, 1)],
        ),
        record(RecordType::ModeIsExclude, ip(239, 1, 1, 2), &[]),
        record(RecordType::ChangeToInclude, ip(239, 1, 1, 3), &[]),
        record(
            RecordType::ChangeToExclude,
            ip(239, 1, 1, 4),
            &[ip(10, 0, 0, 1), ip(10, 0, 0, 2)],
        ),
        record(
            RecordType::AllowNewSources,
            ip(239, 1, 1, 5),
            &[ip(10, 0, 0, 3)],
        ),
        record(
            RecordType::BlockOldSources,
            ip(239, 1, 1, 6),
            &[ip(10, 0, 0, 4)],
        ),
    ])
}

#[test]
fn messages_of_the_rfcs_are_read() {
    for (name, octets, message) in vectors() {
        assert_eq!(parse(&octets), Ok(message), "{name}");
    }
}

#[test]
fn messages_of_the_rfcs_are_written() {
    for (name, octets, message) in vectors() {
        assert_eq!(emit(&message), octets, "{name}");
    }
}

#[test]
fn query_version_is_told_by_length_and_max_resp_code() {
    // RFC 9776 section 7.1, every length from nothing to two sources.
    for code in [0x00, 0x01, 0xff] {
        for len in 0..=20 {
            let mut octets = vec![0; len];
            for (octet, value) in octets.iter_mut().zip([0x11, code]) {
                *octet = value;
            }
            let octets = if len < 4 {
                octets
            } else {
                with_checksum(&octets)
            };
            let version = parse(&octets).map(|message| match message {
                Repr::Query(query) => query.version,
                other => panic!("{other} is no query"),
            });
            let expected = match len {
                8 if code == 0 => Ok(Version::V1),
                8 => Ok(Version::V2),
                12.. => Ok(Version::V3),
                _ => Err(Error::Length),
            };
            assert_eq!(version, expected, "{len} octets, code {code:#04x}");
        }
    }
}

#[test]
fn group_of_a_version_1_query_is_ignored() {
    let octets = with_checksum(&[0x11, 0, 0, 0, 239, 1, 1, 1]);
    assert_eq!(
        parse(&octets),
        Ok(older_query(
            Version::V1,
            Ipv4Addr::UNSPECIFIED,
            Duration::from_secs(10)
        ))
    );
}

#[test]
fn max_resp_code_0_of_version_3_is_zero_time() {
    let octets = with_checksum(&[0x11, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x7d, 0, 0]);
    let expected = Query {
        max_response_time: Duration::ZERO,
        ..general_query_v3()
    };
    assert_eq!(parse(&octets), Ok(Repr::Query(expected)));
}

#[test]
fn reserved_bits_of_a_query_are_ignored() {
    let octets = with_checksum(&[0x11, 0x64, 0, 0, 0, 0, 0, 0, 0xf2, 0x7d, 0, 0]);
    assert_eq!(parse(&octets), Ok(Repr::Query(general_query_v3())));
}

#[test]
fn octets_beyond_the_message_are_ignored_but_in_the_checksum() {
    for (name, octets, message) in vectors() {
        // What follows 8 octets of a query changes its version: RFC 9776 section 7.1.
        if matches!(&message, Repr::Query(query) if query.version < Version::V3) {
            continue;
        }
        let longer = with_checksum(&[&octets[..], &[1, 2, 3, 4, 5]].concat());
        assert_eq!(parse(&longer), Ok(message), "{name}");
        // The checksum of the counted part alone does not do.
        assert_eq!(
            parse(&[&octets[..], &[1, 2]].concat()),
            Err(Error::Checksum),
            "{name}"
        );
    }
}

#[test]
fn auxiliary_data_is_skipped_in_32_bit_words() {
    let octets = [
        0x22, 0, 0x94, 0x48, 0, 0, 0, 2, //
        4, 2, 0, 1, 239, 1, 1, 1, 10, 0, 0, 1, 0xde, 0xad, 0xbe, 0xef, 0xca, 0xfe, 0xf0,
        0x0d, //
        3, 0, 0, 0, 239, 1, 1, 2,
    ];
    let records = vec![
        record(
            RecordType::ChangeToExclude,
            ip(239, 1, 1, 1),
            &[ip(10, 0, 0, 1)],
        ),
        record(RecordType::ChangeToInclude, ip(239, 1, 1, 2), &[]),
    ];
    assert_eq!(parse(&octets), Ok(Repr::ReportV3(records)));
}

#[test]
fn records_of_unknown_type_are_skipped_with_all_they_hold() {
    for unknown in [0, 7, 255] {
        let octets = with_checksum(&[
            0x22, 0, 0, 0, 0, 0, 0, 2, //
            unknown, 1, 0, 1, 10, 0, 0, 1, 10, 0, 0, 9, 4, 0, 0, 0, //
            4, 0, 0, 0, 239, 1, 1, 1,
        ]);
        let records = vec![record(RecordType::ChangeToExclude, ip(239, 1, 1, 1), &[])];
        assert_eq!(
            parse(&octets),
            Ok(Repr::ReportV3(records)),
            "type {unknown}"
        );
        let nothing_else =
            with_checksum(&[0x22, 0, 0, 0, 0, 0, 0, 1, unknown, 0, 0, 0, 239, 1, 1, 1]);
        assert_eq!(
            parse(&nothing_else),
            Ok(Repr::ReportV3(vec![])),
            "type {unknown}"
        );
    }
}

#[test]
fn counts_that_run_past_the_end_are_refused() {
    let refused: [(&str, &[u8]); 7] = [
        (
            "65535 sources, one there",
            &[
                0x11, 10, 0, 0, 239, 1, 1, 1, 2, 125, 0xff, 0xff, 10, 0, 0, 1,
            ],
        ),
        (
            "one source, three octets of it",
            &[0x11, 10, 0, 0, 239, 1, 1, 1, 2, 125, 0, 1, 10, 0, 0],
        ),
        ("one record, none there", &[0x22, 0, 0, 0, 0, 0, 0, 1]),
        (
            "one record, four octets of it",
            &[0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0],
        ),
        (
            "65535 records, one there",
            &[0x22, 0, 0, 0, 0, 0, 0xff, 0xff, 4, 0, 0, 0, 239, 1, 1, 1],
        ),
        (
            "a record of 65535 sources, none there",
            &[0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0xff, 0xff, 239, 1, 1, 1],
        ),
        (
            "a record of 255 words of data, none there",
            &[0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0xff, 0, 0, 239, 1, 1, 1],
        ),
    ];
    for (name, octets) in refused {
        assert_eq!(parse(&with_checksum(octets)), Err(Error::Count), "{name}");
    }
}

#[test]
fn groups_that_nobody_can_be_member_of_are_refused() {
    for (group, reason) in [
        (ip(10, 0, 0, 1), Error::GroupNotMulticast),
        (ip(223, 255, 255, 255), Error::GroupNotMulticast),
        (ip(240, 0, 0, 0), Error::GroupNotMulticast),
        (ip(224, 0, 0, 0), Error::GroupLinkLocal),
        (ip(224, 0, 0, 1), Error::GroupLinkLocal),
        (ip(224, 0, 0, 255), Error::GroupLinkLocal),
    ] {
        let [a, b, c, d] = group.octets();
        let messages: [&[u8]; 7] = [
            &[0x11, 10, 0, 0, a, b, c, d],
            &[0x11, 10, 0, 0, a, b, c, d, 2, 125, 0, 0],
            &[0x11, 10, 0, 0, a, b, c, d, 2, 125, 0, 1, 10, 0, 0, 1],
            &[0x12, 0, 0, 0, a, b, c, d],
            &[0x16, 0, 0, 0, a, b, c, d],
            &[0x17, 0, 0, 0, a, b, c, d],
            &[0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, a, b, c, d],
        ];
        for message in messages {
            assert_eq!(
                parse(&with_checksum(message)),
                Err(reason),
                "{group} in {message:02x?}"
            );
        }
    }
    for (a, b, c, d) in [(224, 0, 1, 0), (239, 255, 255, 255)] {
        let octets = with_checksum(&[0x16, 0, 0, 0, a, b, c, d]);
        assert_eq!(
            parse(&octets),
            Ok(Repr::ReportV2 {
                group: ip(a, b, c, d)
            })
        );
    }
}

#[test]
fn reports_and_leave_for_group_0_are_refused() {
    for kind in [0x12, 0x16, 0x17] {
        assert_eq!(
            parse(&with_checksum(&[kind, 0, 0, 0, 0, 0, 0, 0])),
            Err(Error::GroupNotMulticast),
            "{kind:#04x}"
        );
    }
}

#[test]
fn sources_for_no_group_are_refused() {
    // Neither a General nor a Group-and-Source-Specific Query (RFC 9776 section 4.1.11).
    let octets = with_checksum(&[0x11, 10, 0, 0, 0, 0, 0, 0, 2, 125, 0, 1, 10, 0, 0, 1]);
    assert_eq!(parse(&octets), Err(Error::GroupNotMulticast));
}

#[test]
fn a_bad_record_does_not_spoil_the_others() {
    let link_local = [4, 0, 0, 0, 224, 0, 0, 22];
    let unicast = [4, 0, 0, 0, 10, 0, 0, 1];
    let good = [4, 0, 0, 0, 239, 1, 1, 1];
    let report = |records: [[u8; 8]; 2]| {
        parse(&with_checksum(
            &[&[0x22, 0, 0, 0, 0, 0, 0, 2], &*records.concat()].concat(),
        ))
    };
    let good_only = Repr::ReportV3(vec![record(
        RecordType::ChangeToExclude,
        ip(239, 1, 1, 1),
        &[],
    )]);

    assert_eq!(report([link_local, good]), Ok(good_only.clone()));
    assert_eq!(report([good, unicast]), Ok(good_only));
    assert_eq!(report([link_local, unicast]), Err(Error::GroupLinkLocal));
    assert_eq!(report([unicast, link_local]), Err(Error::GroupNotMulticast));
}

#[test]
fn what_the_wire_cannot_say_is_rounded_down() {
    let query = |version, max_response_time| {
        emit(&older_query(
            version,
            Ipv4Addr::UNSPECIFIED,
            max_response_time,
        ))[1]
    };
    assert_eq!(query(Version::V2, Duration::from_millis(1_099)), 10);
    assert_eq!(query(Version::V2, Duration::from_mins(1)), 255);
    // Code 0 would make it a version 1 query.
    assert_eq!(query(Version::V2, Duration::from_millis(99)), 1);
    assert_eq!(query(Version::V2, Duration::ZERO), 1);
    // 13.5 s = 135 tenths; 128 and 136 can be said.
    assert_eq!(query(Version::V3, Duration::from_millis(13_500)), 0x80);
    assert_eq!(query(Version::V3, Duration::MAX), 0xff);

    // RFC 9776 section 4.1.6: more than 7 is sent as 0. QQIC: 130 s becomes 128 s.
    let query = Query {
        robustness: 8,
        query_interval: Duration::from_secs(130),
        ..general_query_v3()
    };
    assert_eq!(emit(&Repr::Query(query))[8..10], [0, 0x80]);
}
