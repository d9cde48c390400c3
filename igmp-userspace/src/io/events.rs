//! The ring buffer's reader: kernel records -> IGMP packets.

use std::io;
use std::mem::size_of;

use aya::maps::{MapData, RingBuf};
use igmp_common::frame::{ETHERNET_LEN, VLAN_TAG_LEN};
use igmp_common::maps::RecordHeader;
use tokio::io::unix::AsyncFd;

use crate::proto::IfIndex;
use crate::wire;

/// Records taken at once, so that a flood on one interface lets timers and netlink have their turn.
const BATCH: usize = 1024;

/// The ring buffer the ingress program writes IGMP into.
pub struct Events {
    ring: AsyncFd<RingBuf<MapData>>,
}

/// One IGMP packet.
pub struct Event {
    /// Where it came in.
    pub interface: IfIndex,
    /// What it says, or why that is nothing.
    pub packet: Result<wire::Received, wire::Error>,
}

impl Events {
    /// Wraps the ring; needs a running tokio reactor.
    ///
    /// # Errors
    ///
    /// The ring buffer cannot be waited for.
    pub fn new(ring: RingBuf<MapData>) -> io::Result<Self> {
        // SAFETY: the ring owns its map's descriptor and keeps it open for its life.
        let ring = unsafe { AsyncFd::register(ring) }?;
        Ok(Self { ring })
    }

    /// Waits for records and takes some, oldest first. Cancel safe: nothing is taken before the wait is over.
    ///
    /// # Errors
    ///
    /// The ring buffer cannot be waited for.
    pub async fn next_batch(&mut self, batch: &mut Vec<Event>) -> io::Result<()> {
        let mut guard = self.ring.readable_mut().await?;
        let ring = guard.get_inner_mut();
        while batch.len() < BATCH {
            let Some(record) = ring.next() else {
                guard.clear_ready();
                break;
            };
            batch.extend(parse(&record));
        }
        Ok(())
    }
}

fn parse(record: &[u8]) -> Option<Event> {
    let (header, frame) = record.split_at_checked(size_of::<RecordHeader>())?;
    let ifindex = u32::from_ne_bytes(header[8..12].try_into().ok()?);
    let frame_len = u32::from_ne_bytes(header[12..16].try_into().ok()?) as usize;
    let frame = frame.get(..frame_len)?;
    // The program sends IPv4 only, at most behind a priority tag.
    let is_tagged = frame.get(12..14)? == [0x81, 0x00];
    let ipv4_offset = ETHERNET_LEN + if is_tagged { VLAN_TAG_LEN } else { 0 };
    Some(Event {
        interface: IfIndex(ifindex),
        packet: wire::ipv4::parse(frame.get(ipv4_offset..)?),
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
        let tagged = [&[0; 12][..], &[0x81, 0x00, 0xe0, 0x00, 0x08, 0x00], &packet].concat();
        for frame in [untagged, tagged] {
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
