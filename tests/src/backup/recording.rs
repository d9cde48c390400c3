//! What two gateways said to each other, as somebody on the link between them recorded it.

use std::collections::BTreeMap;

use etherparse::{SlicedPacket, TransportSlice};

use super::{Gateway, SYNC, endpoint};
use crate::capture::Capture;
use crate::frame::Frame;
use crate::netns::Namespace;

/// A running recording.
#[must_use = "dropping it ends the recording"]
pub struct Recording(Capture);

impl Recording {
    /// Begins it on a gateway's end of the link.
    pub fn start(namespace: &Namespace) -> Self {
        Self(Capture::start(namespace, SYNC))
    }

    /// What the master has said on the last connection that it made.
    ///
    /// # Panics
    /// When it made none, or octets are missing.
    pub fn of_master(&self) -> Vec<u8> {
        let mut connections: Vec<Stream> = Vec::new();
        for segment in self.0.all().frames(|_| true).iter().filter_map(segment) {
            if segment.syn {
                connections.retain(|known| known.port != segment.port);
                connections.push(Stream {
                    port: segment.port,
                    first: segment.sequence.wrapping_add(1),
                    pieces: BTreeMap::new(),
                });
            } else if let Some(stream) = connections
                .iter_mut()
                .find(|known| known.port == segment.port)
            {
                let offset = segment.sequence.wrapping_sub(stream.first) as usize;
                stream.pieces.insert(offset, segment.data);
            }
        }
        connections.pop().expect("a connection").octets()
    }
}

struct Stream {
    port: u16,
    first: u32,
    /// By their place.
    pieces: BTreeMap<usize, Vec<u8>>,
}

impl Stream {
    fn octets(self) -> Vec<u8> {
        let mut octets = Vec::new();
        for (offset, data) in self.pieces {
            assert!(offset <= octets.len(), "octets are missing");
            let known = octets.len() - offset;
            octets.extend(data.get(known..).unwrap_or_default());
        }
        octets
    }
}

struct Segment {
    port: u16,
    sequence: u32,
    syn: bool,
    data: Vec<u8>,
}

/// A segment from the master to its backup's port.
fn segment(frame: &Frame) -> Option<Segment> {
    if !frame.is_from(*endpoint(Gateway::Master).ip()) {
        return None;
    }
    let sliced = SlicedPacket::from_ethernet(&frame.bytes).ok()?;
    let Some(TransportSlice::Tcp(tcp)) = sliced.transport else {
        return None;
    };
    (tcp.destination_port() == endpoint(Gateway::Backup).port()).then(|| Segment {
        port: tcp.source_port(),
        sequence: tcp.sequence_number(),
        syn: tcp.syn(),
        data: tcp.payload().to_vec(),
    })
}
