//! Paced multicast streams with numbered datagrams whose every byte is checked on arrival.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::host::{DEVICE, Host};
use crate::netns::Namespace;
use crate::sys::{self, in_addr};

/// UDP port of every stream.
pub const PORT: u16 = 5000;
/// TTL that streams leave the source with.
pub const TTL: u8 = 16;
/// A faster stream is sent in bursts of so long: to sleep and wake up costs more than to send a few datagrams.
const SHORTEST_PAUSE: Duration = Duration::from_micros(200);
const SEQUENCE_BYTES: usize = size_of::<u64>();

/// What to send.
#[derive(Clone, Copy)]
#[must_use = "nothing is sent before `start`"]
pub struct StreamSpec {
    /// To which group.
    pub group: Ipv4Addr,
    /// From which of the host's addresses; `None` = its primary.
    pub source: Option<Ipv4Addr>,
    /// Time between two datagrams.
    pub interval: Duration,
    /// Bytes of payload, at least 8.
    pub size: usize,
}

impl StreamSpec {
    /// 500 datagrams a second of 200 bytes.
    pub fn to(group: Ipv4Addr) -> Self {
        Self {
            group,
            source: None,
            interval: Duration::from_millis(2),
            size: 200,
        }
    }

    /// The same from another address of the host.
    pub fn from(self, source: Ipv4Addr) -> Self {
        Self {
            source: Some(source),
            ..self
        }
    }

    /// The same with another pace.
    pub fn every(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// The same with another payload size.
    pub fn size(self, size: usize) -> Self {
        Self { size, ..self }
    }

    /// Starts to send from `host`, numbered from 0.
    pub fn start(self, host: &Host) -> Stream {
        let source = self.source.unwrap_or(host.address);
        let socket = host
            .namespace
            .enter(|| multicast_sender(source))
            .expect("a socket to send multicast with");
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let sender = thread::spawn({
            let (stop, sent) = (stop.clone(), sent.clone());
            move || send_paced(&socket, self, &stop, &sent)
        });
        Stream {
            group: self.group,
            stop,
            sent,
            sender: Some(sender),
        }
    }
}

/// A stream being sent; it ends when dropped.
#[must_use = "dropping it ends the stream"]
pub struct Stream {
    group: Ipv4Addr,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    sender: Option<JoinHandle<()>>,
}

impl Stream {
    /// The group it goes to.
    pub fn group(&self) -> Ipv4Addr {
        self.group
    }

    /// Datagrams sent so far; the last one's number is one less.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// Stops and returns the number of datagrams sent.
    ///
    /// # Panics
    /// When sending failed on the way.
    pub fn stop(mut self) -> u64 {
        self.end();
        self.sent()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(sender) = self.sender.take() {
            let ended = sender.join();
            assert!(
                ended.is_ok() || thread::panicking(),
                "the stream to {} failed",
                self.group
            );
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.end();
    }
}

/// A socket of a host that hands several datagrams of `segment` bytes to its kernel at once, which a device or the kernel
/// takes apart (`UDP_SEGMENT`).
pub fn segmenting_socket(host: &Host, segment: u16) -> UdpSocket {
    /// `linux/udp.h`.
    const UDP_SEGMENT: libc::c_int = 103;
    let socket = host
        .namespace
        .enter(|| multicast_sender(host.address))
        .expect("a socket to send multicast with");
    let segment = libc::c_int::from(segment);
    sys::set_option(&socket, libc::IPPROTO_UDP, UDP_SEGMENT, &segment).expect("kernel 4.18");
    socket
}

/// A socket that receives every copy of a stream that reaches a namespace, on whichever device; [`sequence_of`] reads what
/// it receives. Which devices are members is somebody else's affair.
pub fn receiver_of_all_copies(namespace: &Namespace, group: Ipv4Addr) -> UdpSocket {
    /// Room for a few hundred copies at once, each with the page that XDP gives a frame.
    const RECEIVE_BUFFER_BYTES: i32 = 16 << 20;
    const SOON: Duration = Duration::from_secs(5);
    let socket = namespace
        .enter(|| UdpSocket::bind((group, PORT)))
        .expect("a socket");
    sys::set_option(
        &socket,
        libc::SOL_SOCKET,
        libc::SO_RCVBUFFORCE,
        &RECEIVE_BUFFER_BYTES,
    )
    .expect("a socket option");
    socket
        .set_read_timeout(Some(SOON))
        .expect("a timeout above zero");
    socket
}

fn multicast_sender(source: Ipv4Addr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind((source, 0))?;
    socket.set_multicast_ttl_v4(TTL.into())?;
    socket.set_multicast_loop_v4(false)?;
    let interface = libc::ip_mreqn {
        imr_multiaddr: in_addr(Ipv4Addr::UNSPECIFIED),
        imr_address: in_addr(source),
        imr_ifindex: sys::interface_index(DEVICE)?.cast_signed(),
    };
    sys::set_option(&socket, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &interface)?;
    Ok(socket)
}

fn send_paced(socket: &UdpSocket, spec: StreamSpec, stop: &AtomicBool, sent: &AtomicU64) {
    // A sender that had to wait for other processes would send in bursts.
    let _ = sys::come_first();
    let start = Instant::now();
    let mut due = Duration::ZERO;
    for sequence in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let datagram = payload(sequence, spec.size);
        socket
            .send_to(&datagram, (spec.group, PORT))
            .unwrap_or_else(|error| panic!("send to {}: {error}", spec.group));
        sent.store(sequence + 1, Ordering::Release);
        // From the start, not from the last one: a late wake-up does not slow the stream down for good.
        due += spec.interval;
        let early = due.saturating_sub(start.elapsed());
        if early >= SHORTEST_PAUSE {
            thread::sleep(early);
        }
    }
}

/// A datagram of a stream: the number, then bytes that follow from it.
pub fn payload(sequence: u64, size: usize) -> Vec<u8> {
    let mut bytes = sequence.to_be_bytes().to_vec();
    let [.., low] = sequence.to_be_bytes();
    bytes.extend((SEQUENCE_BYTES..size).map(|index| low.wrapping_add(index.to_le_bytes()[0])));
    bytes
}

/// The number of a datagram; `None` when its bytes are not those that were sent.
pub fn sequence_of(data: &[u8]) -> Option<u64> {
    let sequence = u64::from_be_bytes(*data.first_chunk()?);
    (payload(sequence, data.len()) == data).then_some(sequence)
}
