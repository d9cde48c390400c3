//! The codec's corpus holds what its names say: a file that falls at an earlier check than meant is no seed at all.

use std::fs;
use std::path::Path;

use igmp_userspace::wire::{Error, ipv4};

/// Each file that was made by hand, with what comes of it.
const FILES: &[(&str, Result<&str, Error>)] = &[
    ("dvmrp", Err(Error::UnknownType)),
    ("fragment", Err(Error::Ipv4Fragment)),
    ("header-length-beyond-frame", Err(Error::Ipv4Header)),
    ("leave", Ok("Leave(G=239.1.1.1)")),
    ("leave-for-10.0.0.1", Err(Error::GroupNotMulticast)),
    ("mtrace", Err(Error::UnknownType)),
    ("no-message", Err(Error::Length)),
    ("option-beyond-header", Err(Error::Ipv4Header)),
    ("option-length-0", Err(Error::Ipv4Header)),
    ("query-11-octets", Err(Error::Length)),
    ("query-65535-sources", Err(Error::Count)),
    ("query-7-octets", Err(Error::Length)),
    ("query-9-octets", Err(Error::Length)),
    ("query-for-10.0.0.1", Err(Error::GroupNotMulticast)),
    ("query-for-224.0.0.1", Err(Error::GroupLinkLocal)),
    ("query-sources-no-group", Err(Error::GroupNotMulticast)),
    ("query-v1", Ok("Query(G=0.0.0.0, v1, 10s)")),
    ("query-v2-padded", Ok("Query(G=0.0.0.0, v2, 10s)")),
    ("query-v2-specific", Ok("Query(G=239.1.1.1, v2, 1s)")),
    ("query-v3", Ok("Query(G=0.0.0.0, v3, 10s)")),
    (
        "query-v3-largest-codes",
        Ok("Query(G=0.0.0.0, v3, 3174.4s)"),
    ),
    ("query-v3-max-resp-0", Ok("Query(G=0.0.0.0, v3, 0s)")),
    (
        "query-v3-sources",
        Ok("Query(G=232.1.1.1, S={10.0.0.5, 10.0.0.6}, v3, 1s)"),
    ),
    (
        "query-v3-specific",
        Ok("Query(G=239.1.1.1, v3, 1s, suppress)"),
    ),
    ("report-v1", Ok("Report(G=239.1.1.1, v1)")),
    ("report-v2", Ok("Report(G=239.1.1.1, v2)")),
    ("report-v3-255-aux-words", Err(Error::Count)),
    ("report-v3-65535-records", Err(Error::Count)),
    ("report-v3-65535-sources", Err(Error::Count)),
    (
        "report-v3-all-types",
        Ok(
            "IS_IN(239.1.1.1, {10.0.0.1}) IS_EX(239.1.1.2, {}) TO_IN(239.1.1.3, {}) \
            TO_EX(239.1.1.4, {10.0.0.1, 10.0.0.2}) ALLOW(239.1.1.5, {10.0.0.3}) BLOCK(239.1.1.6, {10.0.0.4})",
        ),
    ),
    (
        "report-v3-aux-data",
        Ok("TO_EX(239.1.1.1, {10.0.0.1}) TO_IN(239.1.1.2, {})"),
    ),
    (
        "report-v3-contradictory",
        Ok("TO_EX(239.1.1.1, {}) TO_IN(239.1.1.1, {}) ALLOW(239.1.1.1, {10.0.0.1})"),
    ),
    ("report-v3-link-local", Err(Error::GroupLinkLocal)),
    ("report-v3-link-local-and-good", Ok("TO_EX(239.1.1.1, {})")),
    ("report-v3-no-records", Ok("Report(no records, v3)")),
    ("report-v3-record-cut-short", Err(Error::Count)),
    ("report-v3-trailing-data", Ok("TO_EX(239.1.1.1, {})")),
    ("report-v3-unknown-type", Ok("TO_EX(239.1.1.1, {})")),
    ("total-length-beyond-frame", Err(Error::Ipv4Length)),
    ("total-length-in-header", Err(Error::Ipv4Length)),
    ("ttl-64", Err(Error::Ttl)),
    ("version-6", Err(Error::Ipv4Header)),
    ("wrong-checksum", Err(Error::Checksum)),
    ("wrong-header-checksum", Err(Error::Ipv4Checksum)),
];

#[test]
fn every_file_is_what_its_name_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/codec");
    for (name, expected) in FILES {
        let packet = fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let message = ipv4::parse(&packet).map(|received| received.message.to_string());
        assert_eq!(
            message.as_deref(),
            expected.as_ref().map(|display| *display),
            "{name}"
        );
    }
}
