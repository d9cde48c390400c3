//! Attaching the ingress program to a device, and saying why a device refuses.

use aya::programs::xdp::XdpLink;
use aya::programs::{Xdp, XdpMode};
use std::io;

use crate::proto::IfIndex;

/// The ingress program on one device. Dropping it detaches the program, and so does the end of the process.
#[derive(Debug)]
pub struct Attachment {
    _link: XdpLink,
}

/// Why the program is not on a device.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The device refused native XDP.
    #[error("native XDP refused: {reason} ({source})")]
    Refused {
        /// What that means and what to do.
        reason: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Anything else aya reports.
    #[error("attaching the ingress program: {0}")]
    Aya(#[from] aya::programs::ProgramError),
    /// The kernel object is not what we built.
    #[error(transparent)]
    Program(anyhow::Error),
}

/// Attaches `program` in native mode.
pub fn attach(program: &mut Xdp, interface: IfIndex) -> Result<Attachment, AttachError> {
    let id = program
        .attach_to_if_index(interface.0, XdpMode::Driver)
        .map_err(explain)?;
    Ok(Attachment {
        _link: program.take_link(id)?,
    })
}

fn explain(error: aya::programs::ProgramError) -> AttachError {
    match os_error(&error) {
        Some(code) => AttachError::Refused {
            reason: reason(code),
            source: io::Error::from_raw_os_error(code),
        },
        None => AttachError::Aya(error),
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

fn reason(code: i32) -> &'static str {
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
