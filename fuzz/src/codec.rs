//! The IGMP codec, `igmp_userspace::wire`.

use std::net::Ipv4Addr;

use igmp_userspace::wire::{Packet, Repr, internet_checksum, ipv4, split};

/// Least an IPv4 link carries, the least a host takes, and Ethernet.
const MTUS: [usize; 3] = [68, 576, 1500];

/// `data` as an IPv4 packet, as one whose checksums are right, and as a bare IGMP message whose checksum is.
///
/// The checksums are put right because otherwise nearly no input would get past them.
///
/// # Panics
/// When a message that was read is not the same after it is written and read again, or a part that it is split into
/// does not fit.
pub fn codec(data: &[u8]) {
    let mut repaired = data.to_vec();
    repair_packet(&mut repaired);
    for packet in [data, &repaired] {
        if let Ok(received) = ipv4::parse(packet) {
            check(&received.message);
        }
    }

    let mut message = data.to_vec();
    repair_checksum(&mut message, 2);
    if let Ok(message) = Packet::new_checked(message).and_then(|packet| Repr::parse(&packet)) {
        check(&message);
    }
}

fn check(message: &Repr) {
    let mut octets = vec![0; message.buffer_len()];
    message.emit(&mut octets);
    let again = Packet::new_checked(octets).and_then(|packet| Repr::parse(&packet));
    assert_eq!(again.as_ref(), Ok(message));
    assert_eq!(message.to_string().lines().count(), 1);

    for mtu in MTUS {
        for part in split(message, mtu) {
            let packet = ipv4::emit(Ipv4Addr::LOCALHOST, Ipv4Addr::BROADCAST, &part);
            assert!(
                packet.len() <= mtu,
                "{} octets for an MTU of {mtu}",
                packet.len()
            );
            assert_eq!(
                ipv4::parse(&packet).map(|received| received.message),
                Ok(part)
            );
        }
    }
}

/// Puts both checksums of an IPv4 packet right, as far as its lengths tell where they are.
fn repair_packet(packet: &mut [u8]) {
    let Some(header_len) = packet.first().map(|octet| usize::from(octet & 0xf) * 4) else {
        return;
    };
    if let Some(header) = packet.get_mut(..header_len) {
        repair_checksum(header, 10);
    }
    if let Some([high, low]) = packet.get(2..4).and_then(<[u8]>::first_chunk).copied() {
        let total_length = usize::from(u16::from_be_bytes([high, low]));
        if let Some(message) = packet.get_mut(header_len..total_length) {
            repair_checksum(message, 2);
        }
    }
}

/// Puts the checksum at `at` right.
fn repair_checksum(octets: &mut [u8], at: usize) {
    if octets.len() < at + 2 {
        return;
    }
    octets[at..at + 2].fill(0);
    let checksum = internet_checksum(octets).to_be_bytes();
    octets[at..at + 2].copy_from_slice(&checksum);
}
