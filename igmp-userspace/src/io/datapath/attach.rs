//! Attaching a program to a device, and saying why a device refuses.

use std::fmt;
use std::io;

use aya::programs::tc::{SchedClassifierLink, qdisc_add_clsact, qdisc_detach_program};
use aya::programs::xdp::XdpLink;
use aya::programs::{SchedClassifier, TcAttachType, Xdp, XdpMode};
use aya::util::KernelVersion;

use super::sys;
use crate::proto::IfIndex;

/// Where a program sees the frames of a device.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Hook {
    /// XDP in the driver.
    XdpNative,
    /// XDP in the kernel's generic code. Copies made there share their bytes, so that it needs [`Hook::Tc`] beside it and
    /// [`igmp_common::maps::PORT_REPLICATES_IN_TC`].
    XdpGeneric,
    /// TC: tcx, or clsact before kernel 6.6.
    Tc,
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::XdpNative => "native XDP",
            Self::XdpGeneric => "generic XDP",
            Self::Tc => "TC",
        })
    }
}

/// A program on one device. Dropping it detaches the program, and so does the end of the process; but a clsact filter
/// stays until igmpd starts again on the device.
#[derive(Debug)]
pub struct Attachment {
    _link: Link,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held to be dropped")]
enum Link {
    Xdp(XdpLink),
    Tc(SchedClassifierLink),
}

/// Why the program is not on a device.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The device refused the program.
    #[error("{hook} refused: {reason} ({source})")]
    Refused {
        /// What was tried.
        hook: Hook,
        /// What that means and what to do.
        reason: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Anything else aya reports.
    #[error("attaching the program: {0}")]
    Aya(#[from] aya::programs::ProgramError),
    /// The kernel object is not what we built.
    #[error(transparent)]
    Program(anyhow::Error),
}

/// Attaches the XDP program in the mode of `hook`.
pub fn xdp(program: &mut Xdp, interface: IfIndex, hook: Hook) -> Result<Attachment, AttachError> {
    let mode = match hook {
        Hook::XdpGeneric => XdpMode::Skb,
        Hook::XdpNative | Hook::Tc => XdpMode::Driver,
    };
    let id = program
        .attach_to_if_index(interface.0, mode)
        .map_err(|error| explain(error, hook))?;
    Ok(Attachment {
        _link: Link::Xdp(program.take_link(id)?),
    })
}

/// Before it aya falls back to clsact.
const FIRST_WITH_TCX: KernelVersion = KernelVersion::new(6, 6, 0);

/// Attaches the TC program on the way in, behind those that are there.
pub fn tc(program: &mut SchedClassifier, interface: IfIndex) -> Result<Attachment, AttachError> {
    let name = sys::interface_name(interface.0).map_err(|error| refusal(error, Hook::Tc))?;
    let has_tcx = KernelVersion::current().is_ok_and(|version| version >= FIRST_WITH_TCX);
    if !has_tcx {
        // What a process left behind that was killed. None is no concern, and neither is a qdisc that is there.
        let _ = qdisc_detach_program(&name, TcAttachType::Ingress, "igmp_tc");
        let _ = qdisc_add_clsact(&name);
    }
    let id = program
        .attach(&name, TcAttachType::Ingress)
        .map_err(|error| explain(error, Hook::Tc))?;
    Ok(Attachment {
        _link: Link::Tc(program.take_link(id)?),
    })
}

fn explain(error: aya::programs::ProgramError, hook: Hook) -> AttachError {
    match os_error(&error) {
        Some(code) => refusal(io::Error::from_raw_os_error(code), hook),
        None => AttachError::Aya(error),
    }
}

fn refusal(source: io::Error, hook: Hook) -> AttachError {
    let code = source.raw_os_error().unwrap_or_default();
    let reason = match hook {
        Hook::Tc => tc_reason(code),
        Hook::XdpNative | Hook::XdpGeneric => xdp_reason(code),
    };
    AttachError::Refused {
        hook,
        reason,
        source,
    }
}

/// The errno at the bottom of an error chain.
fn os_error(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(code) = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error)
        {
            return Some(code);
        }
        next = error.source();
    }
    None
}

fn xdp_reason(code: i32) -> &'static str {
    match code {
        libc::EOPNOTSUPP => "the driver has no native XDP",
        libc::EBUSY => {
            "another XDP program is attached; `ip link show` names it, `ip link set dev IF xdp off` removes it"
        }
        libc::ERANGE | libc::E2BIG => {
            "the MTU is too large for XDP; lower it to one page (about 3,500 bytes)"
        }
        libc::EPERM => "not permitted; CAP_NET_ADMIN and CAP_BPF are needed",
        libc::ENODEV => "the device is gone",
        libc::EINVAL => {
            "the driver does not accept the program with its present settings (MTU, LRO, queues)"
        }
        libc::ENOMEM => "the driver has no memory for its XDP queues",
        _ => "the driver refused",
    }
}

fn tc_reason(code: i32) -> &'static str {
    match code {
        libc::EPERM => "not permitted; CAP_NET_ADMIN and CAP_BPF are needed",
        libc::ENODEV | libc::ENXIO => "the device is gone",
        libc::ERANGE => "too many programs on the device already; `bpftool net` names them",
        libc::EINVAL | libc::EOPNOTSUPP => {
            "the kernel has neither tcx (CONFIG_NET_XGRESS) nor clsact (CONFIG_NET_CLS_ACT, CONFIG_NET_CLS_BPF)"
        }
        _ => "the kernel refused",
    }
}
