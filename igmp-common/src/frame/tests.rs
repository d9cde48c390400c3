use super::*;
use crate::checksum::{fold, sum_words};
use crate::maps::UNTAGGED;

/// UDP, four octets, from 10.0.0.2 to 239.1.1.1.
#[rustfmt::skip]
const FRAME: [u8; 46] = [
    0x01, 0x00, 0x5e, 1, 1, 1, 2, 0, 0, 0, 0, 0x99, 0x08, 0x00,
    0x45, 0, 0, 32, 0x12, 0x34, 0, 0, 9, 17, 0x00, 0x00, 10, 0, 0, 2, 239, 1, 1, 1,
    0x13, 0x88, 0x13, 0x88, 0, 12, 0, 0, 1, 2, 3, 4,
];
const CHECKSUM: usize = ETHERNET_LEN + 10;

fn with_checksum(mut frame: Vec<u8>) -> Vec<u8> {
    frame[CHECKSUM..][..2].fill(0);
    let header = (&frame[..]).read(ETHERNET_LEN).unwrap();
    frame[CHECKSUM..][..2].copy_from_slice(&(!fold(sum_words(header))).to_ne_bytes());
    frame
}

fn parse(frame: &[u8]) -> Result<Frame, Counter> {
    Link::read(&frame).and_then(|link| link.parse(&frame, [2, 0, 0, 0, 0, 1], UNTAGGED))
}

/// Whether the frame is usual; if it is, the parser says the same of it.
fn is_usual(frame: &[u8]) -> bool {
    let usual = usual(&frame);
    if let Some(packet) = usual {
        assert_eq!(parse(frame), Ok(Frame::Multicast(packet)), "{frame:02x?}");
    }
    usual.is_some()
}

#[test]
fn a_plain_datagram_is_usual() {
    assert!(is_usual(&with_checksum(FRAME.into())));
    assert!(!is_usual(&FRAME), "without its checksum");
}

#[test]
fn what_is_usual_is_what_the_parser_says_whichever_octet_is_another() {
    let mut usual = 0;
    for at in 0..ETHERNET_LEN + IPV4_MIN_HEADER {
        for octet in 0..=255 {
            let mut frame = FRAME.to_vec();
            frame[at] = octet;
            let frame = with_checksum(frame);
            usual += u32::from(is_usual(&frame));
            // The checksum is one of the things that can be wrong.
            let mut frame = frame;
            frame[CHECKSUM] ^= 1;
            assert!(!is_usual(&frame));
        }
    }
    // Among others every octet of the source, the identification and the last three of the group.
    assert!(usual > 9 * 256, "{usual}");
}

#[test]
fn neither_shorter_nor_longer_frames_are_usual() {
    let frame = with_checksum(FRAME.into());
    for len in 0..frame.len() {
        assert!(!is_usual(&frame[..len]), "{len}");
    }
    for padding in 1..20 {
        assert!(!is_usual(&[&frame[..], &vec![0; padding]].concat()));
    }
}

#[test]
fn tags_and_options_are_not_usual() {
    let frame = with_checksum(FRAME.into());
    let tagged = [&frame[..12], &[0x81, 0x00, 0, 0], &frame[12..]].concat();
    assert!(matches!(parse(&tagged), Ok(Frame::Multicast(_))));
    assert!(!is_usual(&tagged));

    let mut optioned = [&frame[..34], &[1; 4], &frame[34..]].concat();
    optioned[ETHERNET_LEN] = 0x46;
    optioned[ETHERNET_LEN + 3] += 4;
    assert!(!is_usual(&optioned));
}
