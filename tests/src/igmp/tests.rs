use super::*;

#[test]
fn a_linux_host_s_version_3_report_is_read() {
    // Sent by Linux for IP_ADD_MEMBERSHIP of 239.1.1.1: one record, CHANGE_TO_EXCLUDE_MODE, no sources.
    let bytes = [0x22, 0, 0xe9, 0xfb, 0, 0, 0, 1, 4, 0, 0, 0, 239, 1, 1, 1];
    let group = Ipv4Addr::new(239, 1, 1, 1);
    let report = Igmp::ReportV3(vec![Record::new(RecordType::ToEx, group, &[])]);
    assert_eq!(Igmp::decode(&bytes), Ok(report.clone()));
    assert_eq!(report.encode(), bytes);
    assert!(report.joins(group) && !report.leaves(group));
}

#[test]
fn a_version_2_query_captured_in_the_field_is_read() {
    // 11 64 ee 9b: General Query, 10 s.
    let query = Igmp::decode(&[0x11, 0x64, 0xee, 0x9b, 0, 0, 0, 0]).unwrap();
    assert!(query.is_general_query());
    assert!(
        matches!(query, Igmp::Query { version: 2, max_response, .. } if max_response == Duration::from_secs(10))
    );
}

#[test]
fn the_floating_point_code_ends_where_rfc_9776_says() {
    assert_eq!(floating_point(127), 127);
    assert_eq!(floating_point(128), 128);
    assert_eq!(floating_point(255), 31744);
}

#[test]
fn one_flipped_bit_is_noticed() {
    let mut bytes = Igmp::Leave(Ipv4Addr::new(239, 1, 1, 1)).encode();
    bytes[7] ^= 1;
    assert_eq!(Igmp::decode(&bytes), Err("checksum wrong".into()));
}

#[test]
fn a_count_past_the_end_is_noticed() {
    let mut bytes = Igmp::ReportV3(vec![]).encode();
    bytes[7] = 1;
    seal(&mut bytes);
    assert_eq!(Igmp::decode(&bytes), Err("too short".into()));
}
