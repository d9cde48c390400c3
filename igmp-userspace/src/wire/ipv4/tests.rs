use std::collections::HashSet;

use etherparse::{IgmpSlice, IpNumber, Ipv4Slice};
use proptest::prelude::*;

use super::captured::captured;
use super::*;
use crate::wire::strategies::message;
use crate::wire::{ALL_SYSTEMS, Version};

const HOST: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);

#[test]
fn packets_of_linux_are_read() {
    for (name, packet, source, destination, message) in captured() {
        let received = Received {
            source,
            destination,
            router_alert: true,
            message,
        };
        assert_eq!(parse(&packet), Ok(received), "{name}");
    }
}

#[test]
fn packets_are_written_as_linux_writes_them() {
    for (name, packet, source, destination, message) in captured() {
        assert_eq!(emit(source, destination, &message), packet, "{name}");
    }
}

#[test]
fn only_the_total_length_counts_not_the_padding_of_the_frame() {
    // A version 2 query in the 46 octets that a frame carries at least is no version 3 query.
    for (name, mut packet, source, destination, message) in captured() {
        packet.resize(packet.len() + 18, 0x5a);
        let received = Received {
            source,
            destination,
            router_alert: true,
            message,
        };
        assert_eq!(parse(&packet), Ok(received), "{name}");
    }
}

#[test]
fn link_local_join_of_linux_has_a_reason_of_its_own() {
    // A bridge with snooping joins 224.0.0.106 like this.
    let packet = [
        0x46, 0xc0, 0x00, 0x28, 0x00, 0x00, 0x40, 0x00, 0x01, 0x02, 0xf9, 0xf7, 10, 1, 0,
        1, //
        224, 0, 0, 22, 0x94, 0x04, 0x00, 0x00, 0x22, 0x00, 0xf9, 0x93, 0x00, 0x00, 0x00,
        0x01, //
        0x04, 0x00, 0x00, 0x00, 224, 0, 0, 0x6a,
    ];
    assert_eq!(parse(&packet), Err(Error::GroupLinkLocal));
}

/// A version 2 report for 239.2.2.2 behind a header with `options`, checksums right after `change`.
fn report_with(options: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let header_len = 20 + options.len();
    let mut packet = vec![0; 20];
    packet[0] = 0x40 + u8::try_from(header_len / 4).unwrap();
    packet[8] = 1;
    packet[9] = 2;
    packet[12..16].copy_from_slice(&HOST.octets());
    packet[16..20].copy_from_slice(&[239, 2, 2, 2]);
    packet.extend(options);
    packet.extend([0x16, 0x00, 0xf8, 0xfa, 239, 2, 2, 2]);
    packet[3] = u8::try_from(packet.len()).unwrap();
    change(&mut packet);
    if let Some(header) = packet.get_mut(..header_len) {
        let checksum = internet_checksum(header).to_be_bytes();
        header[10..12].copy_from_slice(&checksum);
    }
    packet
}

#[test]
fn options_are_walked_for_router_alert() {
    let router_alert =
        |options: &[u8]| parse(&report_with(options, |_| ())).map(|it| it.router_alert);
    assert_eq!(router_alert(&[]), Ok(false));
    assert_eq!(router_alert(&[0x94, 4, 0, 0]), Ok(true));
    assert_eq!(router_alert(&[1, 1, 1, 1]), Ok(false));
    // Behind No Operation and behind another option (Record Route, length 3).
    assert_eq!(router_alert(&[1, 7, 3, 4, 0x94, 4, 0, 0]), Ok(true));
    // A value other than 0 is reserved (RFC 2113 section 2.1).
    assert_eq!(router_alert(&[0x94, 4, 0, 1]), Ok(false));
    // Behind End of Option List there is only padding; inside another option there is only its data.
    assert_eq!(router_alert(&[0, 0, 0, 0, 0x94, 4, 0, 0]), Ok(false));
    assert_eq!(router_alert(&[7, 8, 4, 0, 0x94, 4, 0, 0]), Ok(false));
    // Options that run past the header, and lengths that do not count themselves.
    for malformed in [
        [0x94, 8, 0, 0],
        [1, 1, 1, 0x94],
        [7, 0, 0, 0],
        [7, 1, 0, 0],
        [1, 1, 7, 3],
    ] {
        assert_eq!(
            router_alert(&malformed),
            Err(Error::Ipv4Header),
            "{malformed:02x?}"
        );
    }
}

/// Packets that the IPv4 header refuses; those of `wrong_later` are also wrong in every later way, so that the order
/// shows.
fn refused_by_ipv4() -> Vec<(&'static str, Vec<u8>, Error)> {
    let report = |change: fn(&mut Vec<u8>)| report_with(&[], change);
    let wrong_later = |change: fn(&mut Vec<u8>)| {
        let mut packet = report_with(&[], |packet| {
            packet[6] = 0x20;
            packet[8] = 2;
            packet[20] = 0x99;
        });
        change(&mut packet);
        packet
    };
    vec![
        ("nothing", vec![], Error::Ipv4Header),
        (
            "19 octets",
            wrong_later(|p| p.truncate(19)),
            Error::Ipv4Header,
        ),
        ("version 6", wrong_later(|p| p[0] = 0x65), Error::Ipv4Header),
        ("IHL 4", wrong_later(|p| p[0] = 0x44), Error::Ipv4Header),
        (
            "IHL 15, no room",
            wrong_later(|p| p[0] = 0x4f),
            Error::Ipv4Header,
        ),
        ("UDP", wrong_later(|p| p[9] = 17), Error::Ipv4Header),
        (
            "total length 0",
            wrong_later(|p| p[3] = 0),
            Error::Ipv4Length,
        ),
        (
            "total length 19",
            wrong_later(|p| p[3] = 19),
            Error::Ipv4Length,
        ),
        (
            "total length beyond the frame",
            wrong_later(|p| p[3] += 1),
            Error::Ipv4Length,
        ),
        (
            "header checksum",
            wrong_later(|p| p[10] ^= 1),
            Error::Ipv4Checksum,
        ),
        ("first fragment", wrong_later(|_| ()), Error::Ipv4Fragment),
        ("last fragment", report(|p| p[7] = 1), Error::Ipv4Fragment),
        ("TTL 0", report(|p| p[8] = 0), Error::Ttl),
        (
            "TTL 2, wrong IGMP checksum",
            report(|p| (p[8], p[20]) = (2, 0x99)),
            Error::Ttl,
        ),
        ("TTL 255", report(|p| p[8] = 255), Error::Ttl),
    ]
}

/// Packets that the IGMP message refuses.
fn refused_by_igmp() -> Vec<(&'static str, Vec<u8>, Error)> {
    let igmp = |message: &[u8]| {
        report_with(&[], |packet| {
            packet.truncate(20);
            packet.extend(message);
            packet[3] = u8::try_from(packet.len()).unwrap();
        })
    };
    vec![
        (
            "wrong checksum, unknown type, no group",
            igmp(&[0x99, 0, 0, 0]),
            Error::Checksum,
        ),
        ("nothing", igmp(&[]), Error::Length),
        (
            "7 octets of unknown type",
            igmp(&[0x99, 0, 0x66, 0xff, 0, 0, 0]),
            Error::Length,
        ),
        (
            "query of 9 octets",
            igmp(&[0x11, 0, 0xee, 0xff, 0, 0, 0, 0, 0]),
            Error::Length,
        ),
        (
            "a record that is not there",
            igmp(&[0x22, 0, 0xdd, 0xfe, 0, 0, 0, 1]),
            Error::Count,
        ),
        (
            "DVMRP",
            igmp(&[0x13, 0, 0xec, 0xff, 0, 0, 0, 0]),
            Error::UnknownType,
        ),
        (
            "leave for 10.0.0.1",
            igmp(&[0x17, 0, 0xde, 0xfe, 10, 0, 0, 1]),
            Error::GroupNotMulticast,
        ),
        (
            "leave for 224.0.0.22",
            igmp(&[0x17, 0, 0x08, 0xe9, 224, 0, 0, 22]),
            Error::GroupLinkLocal,
        ),
    ]
}

#[test]
fn each_reason_is_reached_in_its_order() {
    let refused = [refused_by_ipv4(), refused_by_igmp()].concat();
    for (name, packet, reason) in &refused {
        assert_eq!(parse(packet), Err(*reason), "{name}");
    }

    let all = HashSet::from([
        Error::Ipv4Header,
        Error::Ipv4Length,
        Error::Ipv4Checksum,
        Error::Ipv4Fragment,
        Error::Ttl,
        Error::Checksum,
        Error::Length,
        Error::Count,
        Error::UnknownType,
        Error::GroupNotMulticast,
        Error::GroupLinkLocal,
    ]);
    assert_eq!(
        refused
            .iter()
            .map(|(_, _, reason)| *reason)
            .collect::<HashSet<_>>(),
        all
    );
    // A new variant does not compile here until it stands in the list above.
    match Error::Length {
        Error::Ipv4Header
        | Error::Ipv4Length
        | Error::Ipv4Checksum
        | Error::Ipv4Fragment
        | Error::Ttl
        | Error::Checksum
        | Error::Length
        | Error::Count
        | Error::UnknownType
        | Error::GroupNotMulticast
        | Error::GroupLinkLocal => (),
    }
}

proptest! {
    #[test]
    fn another_implementation_agrees_on_what_is_written(
        message in message(8), source in any::<Ipv4Addr>(), destination in any::<Ipv4Addr>()
    ) {
        let packet = emit(source, destination, &message);
        let judge = Ipv4Slice::from_slice(&packet).unwrap();
        let header = judge.header();
        prop_assert_eq!(header.to_header().calc_header_checksum(), header.header_checksum());
        prop_assert_eq!(usize::from(header.total_len()), packet.len());
        prop_assert_eq!((header.source_addr(), header.destination_addr()), (source, destination));
        prop_assert_eq!((header.ttl(), header.protocol()), (1, IpNumber::IGMP));
        prop_assert_eq!((header.dcp().value() << 2 | header.ecn().value(), header.dont_fragment()), (0xc0, true));
        prop_assert_eq!(header.options(), [0x94, 0x04, 0x00, 0x00]);

        let igmp = IgmpSlice::from_slice(judge.payload().payload).unwrap();
        prop_assert!(igmp.is_checksum_valid());
        match (&message, igmp) {
            (Repr::Query(query), IgmpSlice::MembershipQueryWithSources(judge)) => {
                let tenths = u128::from(judge.max_response_code().as_10th_secs());
                prop_assert_eq!(query.max_response_time.as_millis(), tenths * 100);
                prop_assert_eq!(judge.source_addresses().map(Ipv4Addr::from).collect::<Vec<_>>(), &query.sources[..]);
                prop_assert_eq!(judge.s_flag(), query.suppress_router_side_processing);
                prop_assert_eq!(judge.qrv().value(), query.robustness);
                prop_assert_eq!(query.version, Version::V3);
            }
            (Repr::Query(query), IgmpSlice::MembershipQuery(_)) => prop_assert!(query.version < Version::V3),
            (Repr::ReportV3(records), IgmpSlice::MembershipReportV3(judge)) => {
                let read: Vec<_> = judge
                    .group_records()
                    .map(|record| {
                        let record = record.unwrap();
                        let sources = record.source_addresses().map(Ipv4Addr::from).collect();
                        (record.multicast_address().into(), sources)
                    })
                    .collect();
                let said: Vec<(Ipv4Addr, Vec<_>)> =
                    records.iter().map(|record| (record.group, record.sources.clone())).collect();
                prop_assert_eq!(read, said);
            }
            (Repr::ReportV1 { .. }, IgmpSlice::MembershipReportV1(_))
            | (Repr::ReportV2 { .. }, IgmpSlice::MembershipReportV2(_))
            | (Repr::Leave { .. }, IgmpSlice::LeaveGroup(_)) => {}
            (message, igmp) => prop_assert!(false, "{message} is read as {igmp:?}"),
        }
    }

    #[test]
    fn written_and_read_are_the_same(message in message(8), source in any::<Ipv4Addr>()) {
        let destination = ALL_SYSTEMS;
        let packet = emit(source, destination, &message);
        prop_assert_eq!(parse(&packet), Ok(Received { source, destination, router_alert: true, message }));
    }

    #[test]
    fn a_packet_cut_short_is_refused(message in message(4)) {
        let packet = emit(HOST, ALL_SYSTEMS, &message);
        for len in 0..packet.len() {
            let reason = if len < 24 { Error::Ipv4Header } else { Error::Ipv4Length };
            prop_assert_eq!(parse(&packet[..len]), Err(reason));
        }
    }

    #[test]
    fn any_one_bit_wrong_is_refused(message in message(4), bit in any::<prop::sample::Index>()) {
        let mut packet = emit(HOST, ALL_SYSTEMS, &message).to_vec();
        let bit = bit.index(packet.len() * 8);
        packet[bit / 8] ^= 1 << (bit % 8);
        let refused = parse(&packet);
        prop_assert!(refused.is_err(), "bit {bit}: {refused:?}");
    }

    #[test]
    fn no_octets_make_it_panic(mut octets in proptest::collection::vec(any::<u8>(), 0..120), header in any::<bool>()) {
        if header && octets.len() >= 60 {
            // What random octets seldom are: an IPv4 header that passes.
            octets[0] = 0x40 | (octets[0] & 0xf);
            let header_len = usize::from(octets[0] & 0xf) * 4;
            octets[2..4].copy_from_slice(&[0, 60]);
            octets[6..8].copy_from_slice(&[0, 0]);
            octets[8..10].copy_from_slice(&[1, 2]);
            octets[10..12].copy_from_slice(&[0, 0]);
            let checksum = internet_checksum(&octets[..header_len]).to_be_bytes();
            octets[10..12].copy_from_slice(&checksum);
        }
        // The source's own judgement is made where the field lies.
        if let Ok(received) = parse(&octets) {
            prop_assert_eq!(&received.source.octets()[..], &octets[12..16]);
        }
    }
}
