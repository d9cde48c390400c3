//! Attaching the ingress program to a device, and saying why a device refuses.

use std::io;
use std::path::Path;

use aya::pin::PinError;
use aya::programs::links::{FdLink, LinkError};
use aya::programs::xdp::{XdpLink, XdpLinkId};
use aya::programs::{ProgramError, Xdp, XdpMode};

use crate::proto::IfIndex;

/// The ingress program on one device. Dropping it detaches the program, and so does the end of the process, unless it is
/// pinned.
#[derive(Debug)]
pub struct Attachment {
    interface: IfIndex,
    link: Link,
    is_pinned: bool,
}

#[derive(Debug)]
enum Link {
    Ours(FdLink),
    /// Of the igmpd before, whose program still runs.
    Inherited(FdLink),
    /// Lost on the way from one to the other.
    None,
}

impl Attachment {
    /// The pinned link of the igmpd before, with its program.
    pub(super) const fn inherited(interface: IfIndex, link: FdLink) -> Self {
        Self {
            interface,
            link: Link::Inherited(link),
            is_pinned: true,
        }
    }

    /// Whether it outlives the process.
    #[must_use]
    pub const fn is_pinned(&self) -> bool {
        self.is_pinned
    }

    /// Puts `program` in the place of the one before, with no packet between the two. Nothing happens when it is there.
    pub(super) fn take_over(&mut self, program: &mut Xdp) -> Result<(), AttachError> {
        let link = match std::mem::replace(&mut self.link, Link::None) {
            Link::Inherited(link) => link,
            other => {
                self.link = other;
                return Ok(());
            }
        };
        let link = XdpLink::try_from(link)?;
        match program.attach_to_link(link) {
            Ok(id) => self.link = Link::Ours(take(program, id)?),
            // The device it was on is gone, and another has its index.
            Err(error) if os_error(&error) == Some(libc::ENOLINK) => {
                *self = attach(program, self.interface)?;
            }
            Err(error) => return Err(explain(error)),
        }
        Ok(())
    }

    /// Pins it, so that it outlives the process.
    pub(super) fn pin(&mut self, program: &mut Xdp, path: &Path) -> Result<(), AttachError> {
        let link = match std::mem::replace(&mut self.link, Link::None) {
            Link::Ours(link) => link,
            other => {
                self.link = other;
                return Ok(());
            }
        };
        match link.pin(path) {
            Ok(link) => {
                self.link = Link::Ours(link.into());
                self.is_pinned = true;
                Ok(())
            }
            Err(error) => {
                // A link that could not be pinned is detached.
                *self = attach(program, self.interface)?;
                Err(error.into())
            }
        }
    }
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
    Aya(#[from] ProgramError),
    /// A link that is not of XDP, or a kernel before 5.9, which has none.
    #[error("attaching the ingress program: {0}")]
    Link(#[from] LinkError),
    /// The program is attached, and will not outlive the process.
    #[error("pinning a link: {0}")]
    Pin(#[from] PinError),
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
        interface,
        link: Link::Ours(take(program, id)?),
        is_pinned: false,
    })
}

fn take(program: &mut Xdp, id: XdpLinkId) -> Result<FdLink, AttachError> {
    Ok(program.take_link(id)?.try_into()?)
}

fn explain(error: ProgramError) -> AttachError {
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
