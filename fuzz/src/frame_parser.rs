//! The header parser that the kernel programs run, `igmp_common::frame`.

use igmp_common::frame::{Frame, Link};

/// The station address that frames may be sent to.
const OWN: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];

/// `data` as a frame, as it is and with a right IPv4 header checksum.
///
/// # Panics
/// When the parser would have a packet forwarded that a router must not forward, judged by conditions written out anew;
/// or when it finds a plain forwardable packet not forwardable.
pub fn frame_parser(data: &[u8]) {
    check(data);
    let mut repaired = data.to_vec();
    repair(&mut repaired);
    check(&repaired);
}

fn check(data: &[u8]) {
    // As the port of the VLAN that the frame is in.
    let parsed = Link::read(&data).and_then(|link| link.parse(&data, OWN, link.tag));
    match parsed {
        Ok(Frame::Multicast(packet)) => {
            assert_eq!(packet.ipv4_offset, offset(data));
            assert_eq!(data[packet.ipv4_offset - 2..][..2], [0x08, 0x00]);
            let ipv4 = &data[packet.ipv4_offset..];
            assert!(data[0] & 1 == 1 || data[..6] == OWN);
            assert!(is_forwardable(ipv4));
            assert_eq!(packet.total_len, total_len(ipv4));
            assert_eq!(packet.source, ipv4[12..16]);
            assert_eq!(packet.group, ipv4[16..20]);
            assert_eq!(packet.ttl, ipv4[8]);
            assert_eq!(packet.checksum.to_be_bytes(), ipv4[10..12]);
        }
        Ok(Frame::Igmp) => {
            let offset = offset(data);
            assert_eq!(data[offset] >> 4, 4);
            assert_eq!(data[offset + 9], 2);
        }
        Err(reason) => assert!(!is_plain(data), "{reason:?}"),
    }
}

/// Where the IPv4 header is: behind a tag (IEEE 802.1Q: 8100, 802.1ad: 88a8), if there is one.
fn offset(data: &[u8]) -> usize {
    match data.get(12..14) {
        Some([0x81, 0x00] | [0x88, 0xa8]) => 18,
        _ => 14,
    }
}

/// A router forwards this IPv4 multicast packet.
fn is_forwardable(ipv4: &[u8]) -> bool {
    let header_len = usize::from(ipv4[0] & 0x0f) * 4;
    let options = &ipv4[20..header_len];
    ipv4[0] >> 4 == 4
        && ipv4[9] != 2
        && total_len(ipv4) >= header_len
        && total_len(ipv4) <= ipv4.len()
        && sum(&ipv4[..header_len]) == 0xffff
        && (224..240).contains(&ipv4[16])
        && ipv4[16..19] != [224, 0, 0]
        && ipv4[8] > 1
        && options_may_stay(options)
}

/// Nothing but No Operation and Router Alert up to an End of List: no source route, nothing to fill in.
fn options_may_stay(options: &[u8]) -> bool {
    match options {
        [] | [0, ..] => true,
        [1, rest @ ..] | [148, 4, _, _, rest @ ..] => options_may_stay(rest),
        _ => false,
    }
}

/// An untagged frame to a group address around a forwardable packet without options.
fn is_plain(data: &[u8]) -> bool {
    data.len() >= 34
        && data[0] & 1 == 1
        && data[12..15] == [8, 0, 0x45]
        && is_forwardable(&data[14..])
}

fn total_len(ipv4: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([ipv4[2], ipv4[3]]))
}

fn sum(header: &[u8]) -> u16 {
    let words = header
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}

/// Puts the header checksum right, where there is a header.
fn repair(data: &mut [u8]) {
    let offset = offset(data);
    let Some(ipv4) = data.get_mut(offset..).filter(|ipv4| ipv4.len() >= 20) else {
        return;
    };
    let header_len = (usize::from(ipv4[0] & 0x0f) * 4).clamp(20, ipv4.len() / 2 * 2);
    ipv4[10..12].fill(0);
    let checksum = !sum(&ipv4[..header_len]);
    ipv4[10..12].copy_from_slice(&checksum.to_be_bytes());
}
