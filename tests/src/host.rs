//! Real kernel hosts: memberships by ordinary sockets, streams received and frames sent by hand.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime};

use libc::c_int;

use crate::capture::Capture;
use crate::frame::IgmpPacket;
use crate::igmp::{Igmp, Record};
use crate::netns::{Namespace, mac_of};
use crate::stream::{self, PORT};
use crate::sys::{self, GroupSourceReq, in_addr};
use crate::wait::wait_until;

/// Every host's device.
pub const DEVICE: &str = "eth0";
/// `MCAST_JOIN_SOURCE_GROUP` of `linux/in.h`, which the libc crate lacks for this target.
const MCAST_JOIN_SOURCE_GROUP: c_int = 46;
/// `IP_MSFILTER` of `linux/in.h`.
const IP_MSFILTER: c_int = 41;
const ALL_IGMPV3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
/// Records of one source that fit a report of 1500 bytes: (1500 - 24 - 8) / 12 (RFC 9776 section 4.2).
const RECORDS_IN_A_REPORT: usize = 122;
/// Room for a few seconds of stream while the test looks elsewhere.
const RECEIVE_BUFFER_BYTES: i32 = 16 << 20;
const PORT_FREE_WITHIN: Duration = Duration::from_secs(2);

/// A host: a namespace with one device, `eth0`.
pub struct Host {
    /// `src`, `h1`, `h2` ...
    pub name: String,
    /// Where it lives.
    pub namespace: Namespace,
    /// Its primary address.
    pub address: Ipv4Addr,
}

/// A socket filter mode (RFC 3376 section 2).
#[derive(Clone, Copy, Debug)]
pub enum Mode {
    /// Only these sources: `MCAST_INCLUDE`.
    Include = 1,
    /// All but these: `MCAST_EXCLUDE`.
    Exclude = 0,
}

impl Host {
    /// Joins a group with every source wanted (`IP_ADD_MEMBERSHIP`).
    #[track_caller]
    pub fn join(&self, group: Ipv4Addr) -> Subscription {
        let subscription = self.listen(group);
        subscription.set(libc::IP_ADD_MEMBERSHIP, &subscription.membership());
        subscription
    }

    /// Joins one source of a group (`MCAST_JOIN_SOURCE_GROUP`); more with [`Subscription::add_source`].
    #[track_caller]
    pub fn join_source(&self, group: Ipv4Addr, source: Ipv4Addr) -> Subscription {
        let subscription = self.listen(group);
        subscription.add_source(source);
        subscription
    }

    fn listen(&self, group: Ipv4Addr) -> Subscription {
        let (socket, interface) = self.namespace.enter(|| {
            // A process that another test has just forked holds this one's closed sockets until it executes its program.
            let socket =
                wait_until(
                    "the port to be free",
                    PORT_FREE_WITHIN,
                    || match UdpSocket::bind((group, PORT)) {
                        Ok(socket) => Some(socket),
                        Err(error) if error.kind() == io::ErrorKind::AddrInUse => None,
                        Err(error) => panic!("bind {group}:{PORT}: {error}"),
                    },
                );
            (
                socket,
                sys::interface_index(DEVICE).expect("a host has its device"),
            )
        });
        let subscription = Subscription {
            socket,
            group,
            interface,
            address: self.address,
        };
        // Deliver what this socket asked for, not what any socket of the host asked for.
        subscription.set(libc::IP_MULTICAST_ALL, &0);
        for (name, value) in [
            (libc::SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES),
            (libc::SO_TIMESTAMPNS, 1),
        ] {
            sys::set_option(&subscription.socket, libc::SOL_SOCKET, name, &value)
                .expect("a socket option");
        }
        subscription
    }

    /// Captures on its device.
    pub fn capture(&self) -> Capture {
        Capture::start(&self.namespace, DEVICE)
    }

    /// A socket that sends frames as they are given.
    pub fn frame_sender(&self) -> FrameSender {
        FrameSender::on(&self.namespace, DEVICE)
    }

    /// Sends these records, of one source at most, in a few IGMPv3 reports, without the kernel's knowing.
    pub fn report(&self, records: &[Record]) {
        let sender = self.frame_sender();
        for some in records.chunks(RECORDS_IN_A_REPORT) {
            let report = Igmp::ReportV3(some.to_vec());
            sender.send(&self.igmp_packet(ALL_IGMPV3_ROUTERS, &report).frame());
        }
    }

    /// An IGMP packet as this host would send it.
    pub fn igmp_packet(&self, destination: Ipv4Addr, message: &Igmp) -> IgmpPacket {
        IgmpPacket {
            source_mac: mac_of(self.address),
            source: self.address,
            destination,
            ttl: 1,
            message: message.encode(),
        }
    }

    /// Makes its kernel speak this IGMP version (1 to 3).
    pub fn force_igmp_version(&self, version: u32) {
        self.namespace.set_sysctl(
            &format!("net.ipv4.conf.{DEVICE}.force_igmp_version"),
            version,
        );
    }

    /// Takes its link down or up, as pulling and plugging the cable does.
    pub fn set_link(&self, up: bool) {
        self.namespace.ip(&format!(
            "link set {DEVICE} {}",
            if up { "up" } else { "down" }
        ));
    }
}

/// Sends frames made by hand.
pub struct FrameSender(OwnedFd);

impl FrameSender {
    /// Out of a device of a namespace.
    ///
    /// # Panics
    /// When there is no such device.
    pub fn on(namespace: &Namespace, device: &str) -> Self {
        let socket = namespace.enter(|| sys::packet_socket(device, false));
        Self(socket.expect("a packet socket"))
    }

    /// Sends one frame.
    #[track_caller]
    pub fn send(&self, frame: &[u8]) {
        sys::send_frame(&self.0, frame).expect("the device is up and the frame fits its MTU");
    }
}

/// One datagram of a stream that reached a socket.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// When the kernel took it in.
    pub at: SystemTime,
    /// Who sent it.
    pub source: Ipv4Addr,
    /// Its number in the stream.
    pub sequence: u64,
}

/// Panics unless every datagram follows the one before: none lost, none twice, none out of order.
#[track_caller]
pub fn assert_gapless(arrivals: &[Arrival]) {
    for pair in arrivals.windows(2) {
        assert_eq!(
            pair[1].sequence,
            pair[0].sequence + 1,
            "datagrams lost, doubled or out of order"
        );
    }
}

/// A socket that is a member of one group. Dropping it leaves the group.
#[must_use = "dropping it leaves the group"]
pub struct Subscription {
    socket: UdpSocket,
    group: Ipv4Addr,
    interface: u32,
    address: Ipv4Addr,
}

impl Subscription {
    /// The group.
    pub fn group(&self) -> Ipv4Addr {
        self.group
    }

    /// Wants one more source (`MCAST_JOIN_SOURCE_GROUP`).
    #[track_caller]
    pub fn add_source(&self, source: Ipv4Addr) {
        self.set(
            MCAST_JOIN_SOURCE_GROUP,
            &GroupSourceReq::new(self.interface, self.group, source),
        );
    }

    /// Refuses one source of a group joined with every source (`IP_BLOCK_SOURCE`).
    #[track_caller]
    pub fn block(&self, source: Ipv4Addr) {
        self.set(libc::IP_BLOCK_SOURCE, &self.source_request(source));
    }

    /// Stops wanting one source (`IP_DROP_SOURCE_MEMBERSHIP`).
    #[track_caller]
    pub fn drop_source(&self, source: Ipv4Addr) {
        self.set(
            libc::IP_DROP_SOURCE_MEMBERSHIP,
            &self.source_request(source),
        );
    }

    /// Replaces filter mode and source list at once (`IP_MSFILTER`, RFC 3678 section 4.2).
    #[track_caller]
    pub fn set_filter(&self, mode: Mode, sources: &[Ipv4Addr]) {
        // struct ip_msfilter: group, interface, mode, count, sources; all but the two numbers in network order.
        let network_order = |address: Ipv4Addr| u32::from(address).to_be();
        let count = u32::try_from(sources.len()).expect("a short list");
        let mut filter = vec![
            network_order(self.group),
            network_order(self.address),
            mode as u32,
            count,
        ];
        filter.extend(sources.iter().copied().map(network_order));
        self.set(IP_MSFILTER, filter.as_slice());
    }

    /// Leaves the group (`IP_DROP_MEMBERSHIP`).
    #[track_caller]
    pub fn leave(self) {
        self.set(libc::IP_DROP_MEMBERSHIP, &self.membership());
    }

    /// What has arrived since this was last asked; panics when a payload is not what was sent.
    #[track_caller]
    pub fn arrivals(&self) -> Vec<Arrival> {
        std::iter::from_fn(|| self.next_arrival()).collect()
    }

    /// The next datagram; panics when none comes in time.
    #[track_caller]
    pub fn wait_for_arrival(&self, timeout: Duration) -> Arrival {
        wait_until(&format!("a datagram to {}", self.group), timeout, || {
            self.next_arrival()
        })
    }

    /// Waits until datagram `sequence` has arrived and returns all that came until then.
    #[track_caller]
    pub fn arrivals_until(&self, sequence: u64, timeout: Duration) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        wait_until(
            &format!("datagram {sequence} to {}", self.group),
            timeout,
            || {
                arrivals.extend(self.arrivals());
                arrivals
                    .last()
                    .is_some_and(|last| last.sequence >= sequence)
                    .then_some(())
            },
        );
        arrivals
    }

    /// Datagrams that the socket had no room for because they were not read in time.
    pub fn overflowed(&self) -> u32 {
        sys::overflowed(&self.socket).expect("a socket has statistics")
    }

    fn next_arrival(&self) -> Option<Arrival> {
        let mut buffer = [0; 2048];
        let message = sys::receive(&self.socket, &mut buffer, libc::MSG_DONTWAIT).ok()?;
        let sequence = stream::sequence_of(&buffer[..message.length])
            .unwrap_or_else(|| panic!("payload damaged on its way to {}", self.group));
        Some(Arrival {
            at: message.at,
            source: message.source(),
            sequence,
        })
    }

    fn membership(&self) -> libc::ip_mreqn {
        libc::ip_mreqn {
            imr_multiaddr: in_addr(self.group),
            imr_address: in_addr(self.address),
            imr_ifindex: self.interface.cast_signed(),
        }
    }

    fn source_request(&self, source: Ipv4Addr) -> libc::ip_mreq_source {
        libc::ip_mreq_source {
            imr_multiaddr: in_addr(self.group),
            imr_interface: in_addr(self.address),
            imr_sourceaddr: in_addr(source),
        }
    }

    #[track_caller]
    fn set<T: ?Sized>(&self, name: c_int, value: &T) {
        sys::set_option(&self.socket, libc::IPPROTO_IP, name, value)
            .unwrap_or_else(|error| panic!("socket option {name} for {}: {error}", self.group));
    }
}
