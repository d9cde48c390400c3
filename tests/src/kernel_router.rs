//! The kernel's own multicast router, as routing daemons start it.

use std::os::fd::{FromRawFd, OwnedFd};

use crate::netns::Namespace;
use crate::sys;

// linux/mroute.h
const MRT_INIT: libc::c_int = 200;
const MRT_ADD_VIF: libc::c_int = 202;
const VIFF_USE_IFINDEX: u8 = 8;

/// `struct vifctl`.
#[repr(C)]
struct Vif {
    index: u16,
    flags: u8,
    threshold: u8,
    rate_limit: u32,
    ifindex: u32,
    remote: [u8; 4],
}

/// The router of a namespace; dropping it ends it.
#[must_use = "dropping it ends the router"]
pub struct KernelRouter {
    _socket: OwnedFd,
}

impl KernelRouter {
    /// Starts it with one interface.
    ///
    /// # Panics
    /// When the namespace has a multicast router already.
    #[track_caller]
    pub fn start(namespace: &Namespace, device: &str) -> Self {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        let socket = namespace.enter(|| {
            // SAFETY: socket takes plain integers.
            let fd = unsafe { libc::socket(libc::AF_INET, kind, libc::IPPROTO_IGMP) };
            assert!(fd >= 0, "a raw socket");
            // SAFETY: a fresh descriptor that nobody else owns.
            unsafe { OwnedFd::from_raw_fd(fd) }
        });
        let vif = Vif {
            index: 0,
            flags: VIFF_USE_IFINDEX,
            threshold: 1,
            rate_limit: 0,
            ifindex: namespace.interface_index(device),
            remote: [0; 4],
        };
        sys::set_option(&socket, libc::IPPROTO_IP, MRT_INIT, &1).expect("no other router");
        sys::set_option(&socket, libc::IPPROTO_IP, MRT_ADD_VIF, &vif).expect("a vif");
        Self { _socket: socket }
    }
}
