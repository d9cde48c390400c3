//! UDP checksums that a sender has left to a device.

use crate::checksum::folds_to_ones;
use crate::frame::{Multicast, Octets};

const PROTOCOL_UDP: u8 = 17;
/// Offset of the checksum in a UDP header (RFC 768).
const CHECKSUM_AT: usize = 6;
/// More Fragments, and the fragment offset (RFC 791 section 3.1).
const FRAGMENT: u16 = 0x3fff;

/// Whether `packet` in `frame` is a UDP datagram whose checksum a device shall fill in: the field holds the sum of the
/// pseudo header, for the device to go on from (Linux, `CHECKSUM_PARTIAL`). One complete checksum in 65,535 is the same
/// number; what has none is 0, which is never that sum.
#[must_use]
#[inline(always)]
pub fn has_unfinished_checksum(frame: &impl Octets, packet: &Multicast) -> bool {
    let Some([fragment, ttl_and_protocol]) = frame.read::<[u32; 2]>(packet.ipv4_offset + 4) else {
        return false;
    };
    let [.., fragment_high, fragment_low] = fragment.to_ne_bytes();
    let [_, protocol, ..] = ttl_and_protocol.to_ne_bytes();
    let fragment = u16::from_be_bytes([fragment_high, fragment_low]);
    if protocol != PROTOCOL_UDP || fragment & FRAGMENT != 0 {
        return false;
    }
    let udp = packet.ipv4_offset + packet.header_len;
    let Some([checksum]) = frame.read::<[u16; 1]>(udp + CHECKSUM_AT) else {
        return false;
    };
    // Source, destination, protocol, UDP length; the byte order does not matter as long as it is one (RFC 1071 section 2).
    #[expect(
        clippy::cast_possible_truncation,
        reason = "an IPv4 total length is a u16"
    )]
    let len = (packet.total_len - packet.header_len) as u16;
    let pseudo_header = u64::from(u32::from_ne_bytes(packet.source))
        + u64::from(u32::from_ne_bytes(packet.group))
        + u64::from(u16::from(PROTOCOL_UDP).to_be())
        + u64::from(len.to_be());
    // Equal to the checksum means: together with its complement all ones.
    checksum != 0 && folds_to_ones(pseudo_header + u64::from(!checksum))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::fold;
    use crate::frame::{Frame, Link};
    use crate::maps::UNTAGGED;

    /// A frame with a UDP datagram of four octets from 10.0.0.2 to 239.1.1.1, whose pseudo header is
    /// 0a00 0002 ef01 0101 0011 000c: their sum is fa21.
    #[rustfmt::skip]
    const FRAME: [u8; 46] = [
        0x01, 0x00, 0x5e, 1, 1, 1, 2, 0, 0, 0, 0, 0x99, 0x08, 0x00,
        0x45, 0, 0, 32, 0x12, 0x34, 0, 0, 9, 17, 0x00, 0x00, 10, 0, 0, 2, 239, 1, 1, 1,
        0x13, 0x88, 0x13, 0x88, 0, 12, 0xfa, 0x21, 1, 2, 3, 4,
    ];
    const CHECKSUM: usize = 40;

    fn is_unfinished(change: impl FnOnce(&mut [u8])) -> bool {
        let mut frame = FRAME;
        change(&mut frame);
        frame[24..26].fill(0);
        let sum: u64 = (frame[14..34].chunks(2))
            .map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]])))
            .sum();
        frame[24..26].copy_from_slice(&(!fold(sum)).to_be_bytes());
        let frame = &frame[..];
        let parsed = Link::read(&frame).and_then(|link| link.parse(&frame, [0; 6], UNTAGGED));
        let Ok(Frame::Multicast(packet)) = parsed else {
            panic!("{parsed:?}");
        };
        has_unfinished_checksum(&frame, &packet)
    }

    #[test]
    fn the_sum_of_the_pseudo_header_is_an_unfinished_checksum() {
        assert!(is_unfinished(|_| {}));
        // What is in the datagram has no part in it.
        assert!(is_unfinished(|frame| frame[45] = 9));
    }

    #[test]
    fn another_sum_or_none_is_not() {
        for checksum in [0xfa20, 0xfa22, 0x21fa, !0xfa21, 0xffff, 0] {
            let is_it = is_unfinished(|frame| {
                frame[CHECKSUM..][..2].copy_from_slice(&u16::to_be_bytes(checksum));
            });
            assert!(!is_it, "{checksum:04x}");
        }
    }

    #[test]
    fn a_sum_of_ffff_is_one_and_a_field_of_zero_is_none() {
        // 05e0 for 0002: the words add up to ffff.
        let with = |checksum: [u8; 2]| {
            is_unfinished(|frame| {
                frame[28..30].copy_from_slice(&[0x05, 0xe0]);
                frame[CHECKSUM..][..2].copy_from_slice(&checksum);
            })
        };
        assert!(with([0xff, 0xff]));
        assert!(!with([0, 0]));
    }

    #[test]
    fn fragments_and_other_protocols_have_none() {
        for fragment in [0x2000_u16, 0x0001, 0x1fff, 0x2001] {
            let is_it = is_unfinished(|frame| {
                frame[20..22].copy_from_slice(&fragment.to_be_bytes());
            });
            assert!(!is_it, "{fragment:04x}");
        }
        assert!(is_unfinished(|frame| frame[20] = 0x40), "Don't Fragment");
        assert!(!is_unfinished(|frame| frame[23] = 6), "TCP");
    }

    #[test]
    fn a_datagram_cut_short_has_none() {
        let frame = &FRAME[..41];
        let packet = Multicast {
            ipv4_offset: 14,
            header_len: 20,
            total_len: 27,
            padding: 0,
            source: [10, 0, 0, 2],
            group: [239, 1, 1, 1],
            ttl: 9,
            checksum: 0,
        };
        assert!(!has_unfinished_checksum(&frame, &packet));
    }
}
