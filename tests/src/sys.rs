//! The system calls that std does not wrap; all `unsafe` of the test world is here.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libc::{c_int, c_void, socklen_t};

/// `ETH_P_ALL` of `linux/if_ether.h` in the width of the field that it goes into.
const ETH_P_ALL: u16 = 3;

/// `struct group_source_req` of `linux/in.h`, which the libc crate lacks (RFC 3678 section 5.1).
#[repr(C)]
pub struct GroupSourceReq {
    interface: u32,
    group: libc::sockaddr_storage,
    source: libc::sockaddr_storage,
}

impl GroupSourceReq {
    /// The request for traffic of `source` to `group` on the interface with this index.
    pub fn new(interface: u32, group: Ipv4Addr, source: Ipv4Addr) -> Self {
        Self {
            interface,
            group: storage(group),
            source: storage(source),
        }
    }
}

fn storage(address: Ipv4Addr) -> libc::sockaddr_storage {
    // SAFETY: sockaddr_storage is plain data for which zero is valid.
    let mut storage: libc::sockaddr_storage = unsafe { zeroed() };
    // SAFETY: sockaddr_storage is at least as large and as aligned as every sockaddr, sockaddr_in among them.
    let inet = unsafe { &mut *(&raw mut storage).cast::<libc::sockaddr_in>() };
    inet.sin_family = family(libc::AF_INET);
    inet.sin_addr = in_addr(address);
    storage
}

/// The kernel's form of an address.
pub fn in_addr(address: Ipv4Addr) -> libc::in_addr {
    libc::in_addr {
        s_addr: u32::from(address).to_be(),
    }
}

fn family(family: c_int) -> libc::sa_family_t {
    libc::sa_family_t::try_from(family).expect("the families are small numbers")
}

fn length_of<T>() -> socklen_t {
    socklen_t::try_from(size_of::<T>()).expect("a structure is small")
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Moves the calling thread into the network namespace that `namespace` is a handle of.
pub fn set_network_namespace(namespace: &File) -> io::Result<()> {
    // SAFETY: takes no pointer.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

/// Sends `signal` to the process `pid`.
pub fn kill(pid: u32, signal: c_int) -> io::Result<()> {
    // SAFETY: takes no pointer.
    check(unsafe { libc::kill(pid.cast_signed(), signal) }).map(drop)
}

/// kill(2) for a process and its children, when it is the first of a process group.
pub fn kill_group(pid: u32, signal: c_int) -> io::Result<()> {
    // SAFETY: takes no pointer.
    check(unsafe { libc::killpg(pid.cast_signed(), signal) }).map(drop)
}

/// Lets the calling thread run before all that is not real-time (`SCHED_FIFO`), where this process may.
pub fn come_first() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: `parameters` is the structure that this policy takes; 0 is the calling thread.
    check(unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) }).map(drop)
}

/// Keeps the calling thread on one core.
pub fn pin_to(cpu: usize) -> io::Result<()> {
    const THIS_THREAD: libc::pid_t = 0;
    pin_thread(THIS_THREAD, cpu)
}

/// Keeps all threads that a process has on one core.
pub fn pin_process(pid: u32, cpu: usize) -> io::Result<()> {
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let name = entry?.file_name();
        let thread = name.to_str().and_then(|name| name.parse().ok());
        pin_thread(thread.ok_or(io::ErrorKind::InvalidData)?, cpu)?;
    }
    Ok(())
}

fn pin_thread(thread: libc::pid_t, cpu: usize) -> io::Result<()> {
    // SAFETY: a set of cores is plain data for which zero, the empty set, is valid.
    let mut cores: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: `cores` is a set of cores.
    unsafe { libc::CPU_SET(cpu, &mut cores) };
    // SAFETY: the kernel reads as many bytes from `cores` as it has.
    check(unsafe { libc::sched_setaffinity(thread, size_of_val(&cores), &raw const cores) })
        .map(drop)
}

/// setsockopt(2) with the kernel's own structure, or a slice of words, as the value.
pub fn set_option<T: ?Sized>(
    socket: &impl AsFd,
    level: c_int,
    name: c_int,
    value: &T,
) -> io::Result<()> {
    let length = socklen_t::try_from(size_of_val(value)).expect("an option is small");
    // SAFETY: the kernel reads `length` bytes from `value`, which has as many.
    check(unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            (&raw const *value).cast::<c_void>(),
            length,
        )
    })
    .map(drop)
}

/// Datagrams that a socket had no room for (`SO_MEMINFO`, kernel 4.12).
pub fn overflowed(socket: &impl AsFd) -> io::Result<u32> {
    /// `linux/sock_diag.h`.
    const SK_MEMINFO_DROPS: usize = 8;
    let mut values = [0_u32; SK_MEMINFO_DROPS + 1];
    let mut length = length_of::<[u32; SK_MEMINFO_DROPS + 1]>();
    // SAFETY: the kernel writes at most `length` bytes into `values`, which has as many.
    check(unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            values.as_mut_ptr().cast(),
            &raw mut length,
        )
    })?;
    Ok(values[SK_MEMINFO_DROPS])
}

/// The index of a device in the calling thread's network namespace.
pub fn interface_index(device: &str) -> io::Result<u32> {
    let name = CString::new(device)?;
    // SAFETY: `name` is a NUL-terminated string that outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// Makes a tun device in the calling thread's network namespace.
pub fn tun(device: &str) -> io::Result<File> {
    let tun = File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")?;
    // SAFETY: ifreq is plain data for which zero is valid.
    let mut request: libc::ifreq = unsafe { zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(device.bytes()) {
        *to = from.cast_signed();
    }
    // Packets as they are, without the driver's own header.
    let flags = libc::IFF_TUN | libc::IFF_NO_PI;
    request.ifr_ifru.ifru_flags = flags.try_into().expect("both bits fit");
    // SAFETY: `request` is the ifreq that this call reads and writes.
    check(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
    Ok(tun)
}

/// A packet socket on one device, in the calling thread's network namespace. It sends whole frames; with `listen` it
/// also receives every frame in both directions.
pub fn packet_socket(device: &str, listen: bool) -> io::Result<OwnedFd> {
    // Protocol 0 receives nothing until bind() names the device: no frame of another device gets in between.
    // SAFETY: takes no pointer; a fresh descriptor is owned by nobody else.
    let socket = unsafe {
        OwnedFd::from_raw_fd(check(libc::socket(
            libc::AF_PACKET,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC,
            0,
        ))?)
    };
    // SAFETY: sockaddr_ll is plain data for which zero is valid.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = family(libc::AF_PACKET);
    address.sll_ifindex = interface_index(device)?.cast_signed();
    address.sll_protocol = if listen { ETH_P_ALL.to_be() } else { 0 };
    // SAFETY: `address` is a sockaddr_ll and the length says so.
    check(unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast::<libc::sockaddr>(),
            length_of::<libc::sockaddr_ll>(),
        )
    })?;
    Ok(socket)
}

/// Frames that a packet socket had to drop for want of buffer space since this was last asked.
pub fn packet_drops(socket: &impl AsFd) -> io::Result<u32> {
    // SAFETY: tpacket_stats is plain data for which zero is valid.
    let mut stats: libc::tpacket_stats = unsafe { zeroed() };
    let mut length = length_of::<libc::tpacket_stats>();
    // SAFETY: the kernel writes at most `length` bytes into `stats`.
    check(unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut stats).cast::<c_void>(),
            &raw mut length,
        )
    })?;
    Ok(stats.tp_drops)
}

/// Sends one whole frame through a packet socket.
pub fn send_frame(socket: &impl AsFd, frame: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel reads `frame.len()` bytes from `frame`.
    let sent = unsafe {
        libc::send(
            socket.as_fd().as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            0,
        )
    };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// One received message.
pub struct Message {
    /// Bytes written into the caller's buffer.
    pub length: usize,
    /// When the kernel took it in; needs the option `SO_TIMESTAMPNS`.
    pub at: SystemTime,
    /// The tag that the kernel has taken out of a frame, as it was there; needs the option `PACKET_AUXDATA`.
    pub tag: Option<[u8; 4]>,
    sender: libc::sockaddr_storage,
}

impl Message {
    /// For a message of a packet socket: whether this host sent it.
    pub fn is_outgoing(&self) -> bool {
        assert_eq!(c_int::from(self.sender.ss_family), libc::AF_PACKET);
        // SAFETY: the family says which sockaddr it is; sockaddr_storage is large and aligned enough for each.
        let address = unsafe { &*(&raw const self.sender).cast::<libc::sockaddr_ll>() };
        address.sll_pkttype == libc::PACKET_OUTGOING
    }

    /// For a message of an IPv4 socket: who sent it.
    pub fn source(&self) -> Ipv4Addr {
        assert_eq!(c_int::from(self.sender.ss_family), libc::AF_INET);
        // SAFETY: as in `is_outgoing`.
        let address = unsafe { &*(&raw const self.sender).cast::<libc::sockaddr_in>() };
        Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr))
    }
}

/// recvmsg(2): one message, with its sender and the kernel's time stamp.
pub fn receive(socket: &impl AsFd, buffer: &mut [u8], flags: c_int) -> io::Result<Message> {
    // Aligned as struct cmsghdr asks.
    let mut control = [0_u64; 16];
    let mut sender = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: msghdr is plain data for which zero is valid.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = sender.as_mut_ptr().cast();
    header.msg_namelen = length_of::<libc::sockaddr_storage>();
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control);
    // SAFETY: every pointer in `header` is to a live local with the length given beside it.
    let length = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut header, flags) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    Ok(Message {
        length,
        at: time_stamp(&header).unwrap_or_else(SystemTime::now),
        tag: tag(&header),
        // SAFETY: zero is valid for sockaddr_storage, and the kernel wrote over a part of it.
        sender: unsafe { sender.assume_init() },
    })
}

fn time_stamp(header: &libc::msghdr) -> Option<SystemTime> {
    // SAFETY: the data of this type is a timespec.
    let time: libc::timespec = unsafe { control(header, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS)? };
    let seconds = Duration::from_secs(time.tv_sec.cast_unsigned());
    Some(UNIX_EPOCH + seconds + Duration::from_nanos(time.tv_nsec.cast_unsigned()))
}

fn tag(header: &libc::msghdr) -> Option<[u8; 4]> {
    // SAFETY: the data of this type is a tpacket_auxdata.
    let aside: libc::tpacket_auxdata =
        unsafe { control(header, libc::SOL_PACKET, libc::PACKET_AUXDATA)? };
    if aside.tp_status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let [[a, b], [c, d]] = [aside.tp_vlan_tpid, aside.tp_vlan_tci].map(u16::to_be_bytes);
    Some([a, b, c, d])
}

/// The control message of this type.
///
/// # Safety
///
/// `header` was filled by recvmsg, and the data of this type is a `T`.
unsafe fn control<T>(header: &libc::msghdr, level: c_int, kind: c_int) -> Option<T> {
    // SAFETY: `header` was filled by recvmsg, so its control messages are well formed.
    let mut control = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !control.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR return null or a whole header within the buffer.
        let message = unsafe { &*control };
        if (message.cmsg_level, message.cmsg_type) == (level, kind) {
            // SAFETY: the caller says what the data is; it need not be aligned.
            return Some(unsafe { libc::CMSG_DATA(control).cast::<T>().read_unaligned() });
        }
        // SAFETY: as above.
        control = unsafe { libc::CMSG_NXTHDR(header, control) };
    }
    None
}
