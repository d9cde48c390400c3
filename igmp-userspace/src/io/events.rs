//! IGMP from the kernel: ring buffer records -> packets.

use std::mem::size_of;

use igmp_common::frame::{ETHERNET_LEN, VLAN_TAG_LEN};
use igmp_common::maps::RecordHeader;

use crate::proto::IfIndex;
use crate::wire;

/// One IGMP packet.
pub struct Event {
    /// Where it came in.
    pub interface: IfIndex,
    /// What it says, or why that is nothing.
    pub packet: Result<wire::Received, wire::Error>,
    /// From its IPv4 header on.
    pub octets: Vec<u8>,
}

/// Reads a record of the ring; `None` when it is not one.
#[must_use]
pub fn parse(record: &[u8]) -> Option<Event> {
    let (header, frame) = record.split_at_checked(size_of::<RecordHeader>())?;
    let ifindex = u32::from_ne_bytes(header[8..12].try_into().ok()?);
    let frame_len = u32::from_ne_bytes(header[12..16].try_into().ok()?) as usize;
    let frame = frame.get(..frame_len)?;
    // The program sends IPv4 only, at most behind one tag.
    let is_tagged = matches!(frame.get(12..14)?, [0x81, 0x00] | [0x88, 0xa8]);
    let ipv4_offset = ETHERNET_LEN + if is_tagged { VLAN_TAG_LEN } else { 0 };
    let octets = frame.get(ipv4_offset..)?;
    Some(Event {
        interface: IfIndex(ifindex),
        packet: wire::ipv4::parse(octets),
        octets: octets.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(frame: &[u8]) -> Vec<u8> {
        let mut record = vec![0; 8];
        record.extend(7_u32.to_ne_bytes());
        record.extend(u32::try_from(frame.len()).unwrap().to_ne_bytes());
        record.extend(frame);
        record
    }

    #[test]
    fn tagged_and_untagged_frames_say_the_same() {
        let source = [10, 1, 0, 2].into();
        let group = [239, 1, 1, 1].into();
        let packet = wire::ipv4::emit(source, group, &wire::Repr::ReportV2 { group });
        let untagged = [&[0; 12][..], &[0x08, 0x00], &packet].concat();
        let tagged = |ethertype: [u8; 2], tag: [u8; 2]| {
            [&[0; 12][..], &ethertype, &tag, &[0x08, 0x00], &packet].concat()
        };
        // With priority only, in a VLAN (802.1Q), in a service VLAN (802.1ad).
        let priority = tagged([0x81, 0x00], [0xe0, 0x00]);
        let vlan = tagged([0x81, 0x00], [0x00, 0x64]);
        let service_vlan = tagged([0x88, 0xa8], [0x6f, 0xfe]);
        for frame in [untagged, priority, vlan, service_vlan] {
            let event = parse(&record(&frame)).unwrap();
            assert_eq!(event.interface, IfIndex(7));
            assert_eq!(
                event.packet.unwrap().message,
                wire::Repr::ReportV2 { group }
            );
        }
    }

    #[test]
    fn a_record_cut_short_is_no_event() {
        assert!(parse(&record(&[0; 40])[..30]).is_none());
        assert!(parse(&[]).is_none());
    }
}
