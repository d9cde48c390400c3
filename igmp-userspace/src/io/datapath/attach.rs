//! Attaching a program to a device, having it outlive the process, and saying why a device refuses.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aya::pin::PinError;
use aya::programs::links::{FdLink, LinkError};
use aya::programs::tc::{SchedClassifierLink, qdisc_add_clsact, qdisc_detach_program};
use aya::programs::xdp::XdpLink;
use aya::programs::{ProgramError, SchedClassifier, TcAttachType, Xdp, XdpMode};
use aya::util::KernelVersion;
use tracing::warn;

use super::sys;
use crate::proto::IfIndex;

/// Where a program sees the frames of a device.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Hook {
    /// XDP in the driver.
    XdpNative,
    /// XDP in the kernel's generic code. Copies made there share their bytes, so that it needs [`Hook::Tc`] beside it and
    /// [`igmp_common::maps::PORT_REPLICATES_IN_TC`].
    XdpGeneric,
    /// TC: tcx, or clsact before kernel 6.6.
    Tc,
}

impl Hook {
    /// The hook that must be empty for this one: a device runs XDP in one mode.
    pub(super) const fn excludes(self) -> Option<Self> {
        match self {
            Self::XdpNative => Some(Self::XdpGeneric),
            Self::XdpGeneric => Some(Self::XdpNative),
            Self::Tc => None,
        }
    }
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

/// A hook of a device: where one program of ours can be.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// The device.
    pub interface: IfIndex,
    /// Its hook.
    pub hook: Hook,
}

/// A program of ours that can be put somewhere.
pub enum Program<'a> {
    /// In XDP.
    Xdp(&'a mut Xdp),
    /// In TC.
    Tc(&'a mut SchedClassifier),
}

/// A pinned link of the igmpd before, with its program.
#[derive(Debug)]
pub struct Inherited {
    /// Where it is pinned.
    pub path: PathBuf,
    /// The link.
    pub link: FdLink,
}

impl Inherited {
    pub(super) fn program_id(&self) -> Result<u32, AttachError> {
        Ok(self.link.info()?.program_id())
    }

    /// Detaches its program.
    pub(super) fn end(self) {
        unpin(&self.path);
    }
}

/// A program on one device. Dropping it detaches the program, and so does the end of the process, unless it is pinned; but
/// a clsact filter stays after a kill until igmpd starts again on the device.
#[derive(Debug)]
pub struct Attachment {
    place: Place,
    link: Link,
    pin: Option<PathBuf>,
}

#[derive(Debug)]
enum Link {
    Ours(FdLink),
    /// Of the igmpd before, whose program still runs.
    Inherited(FdLink),
    /// Nothing that could be pinned.
    Clsact {
        _link: SchedClassifierLink,
    },
    /// Detached, or lost on the way from one to the other.
    None,
}

impl Attachment {
    pub(super) fn inherited(place: Place, inherited: Inherited) -> Self {
        Self {
            place,
            link: Link::Inherited(inherited.link),
            pin: Some(inherited.path),
        }
    }

    /// Where it is.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.place
    }

    /// Whether it ends with the process now, and need not.
    #[must_use]
    pub const fn is_to_be_pinned(&self) -> bool {
        self.pin.is_none() && matches!(self.link, Link::Ours(_))
    }

    /// Detaches the program, pinned or not.
    pub fn end(self) {
        if let Some(path) = &self.pin {
            unpin(path);
        }
    }

    /// Puts `program` in the place of the one before, with no packet between the two. Nothing happens when it is there.
    pub(super) fn take_over(&mut self, program: Program<'_>) -> Result<(), AttachError> {
        match std::mem::replace(&mut self.link, Link::None) {
            // Detached: the device it was on is gone, and another has its index.
            Link::Inherited(link) => self.give(link, program).map(|_| ()),
            other => {
                self.link = other;
                Ok(())
            }
        }
    }

    /// Puts `program`, which is ours, back if somebody has detached it; says whether that was so. Of a clsact filter it is
    /// not known.
    pub(super) fn put_back(&mut self, program: Program<'_>) -> Result<bool, AttachError> {
        match std::mem::replace(&mut self.link, Link::None) {
            // There is no cheaper question: the kernel does nothing when the link has the program that it is given.
            Link::Ours(link) => self.give(link, program),
            Link::None => self.attach_again(program),
            other => {
                self.link = other;
                Ok(false)
            }
        }
    }

    /// Gives a link this program, or, where the link has been detached, attaches it anew; says whether that was so.
    fn give(&mut self, link: FdLink, mut program: Program<'_>) -> Result<bool, AttachError> {
        match program.replace(link) {
            Ok(link) => {
                self.link = Link::Ours(link);
                Ok(false)
            }
            Err(AttachError::Aya(error)) if os_error(&error) == Some(libc::ENOLINK) => {
                self.attach_again(program)
            }
            Err(AttachError::Aya(error)) => Err(explain(error, self.place.hook)),
            Err(error) => Err(error),
        }
    }

    /// A program goes with its device, and that is nothing to put back.
    fn attach_again(&mut self, mut program: Program<'_>) -> Result<bool, AttachError> {
        if sys::interface_name(self.place.interface.0).is_err() {
            return Ok(false);
        }
        if let Some(path) = self.pin.take() {
            unpin(&path);
        }
        *self = attach(&mut program, self.place)?;
        Ok(true)
    }

    /// Pins it, so that it outlives the process.
    pub(super) fn pin(
        &mut self,
        mut program: Program<'_>,
        path: PathBuf,
    ) -> Result<(), AttachError> {
        let link = match std::mem::replace(&mut self.link, Link::None) {
            Link::Ours(link) => link,
            other => {
                self.link = other;
                return Ok(());
            }
        };
        match link.pin(&path) {
            Ok(link) => {
                self.link = Link::Ours(link.into());
                self.pin = Some(path);
                Ok(())
            }
            Err(error) => {
                // A link that could not be pinned is detached.
                *self = attach(&mut program, self.place)?;
                Err(error.into())
            }
        }
    }
}

/// Removes a pin, which may be gone already.
pub(super) fn unpin(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        warn!("{}: not unpinned: {error}", path.display());
    }
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
    Aya(#[from] ProgramError),
    /// A link that is of another kind than its pin says, or cannot be asked.
    #[error("attaching the program: {0}")]
    Link(#[from] LinkError),
    /// The program is attached, and will not outlive the process.
    #[error("pinning a link: {0}")]
    Pin(#[from] PinError),
    /// The kernel object is not what we built.
    #[error(transparent)]
    Program(anyhow::Error),
}

/// Attaches `program`, which is of that hook.
pub fn attach(program: &mut Program<'_>, place: Place) -> Result<Attachment, AttachError> {
    let link = match program {
        Program::Xdp(program) => xdp(program, place),
        Program::Tc(program) => tc(program, place.interface),
    };
    Ok(Attachment {
        place,
        link: link?,
        pin: None,
    })
}

impl Program<'_> {
    /// Gives a link this program instead of the one that it has.
    fn replace(&mut self, link: FdLink) -> Result<FdLink, AttachError> {
        match self {
            Self::Xdp(program) => {
                let id = program.attach_to_link(link.try_into()?)?;
                Ok(program.take_link(id)?.try_into()?)
            }
            Self::Tc(program) => {
                let id = program.attach_to_link(link.try_into()?)?;
                Ok(program.take_link(id)?.try_into()?)
            }
        }
    }
}

fn xdp(program: &mut Xdp, place: Place) -> Result<Link, AttachError> {
    let mode = match place.hook {
        Hook::XdpGeneric => XdpMode::Skb,
        Hook::XdpNative | Hook::Tc => XdpMode::Driver,
    };
    let id = program
        .attach_to_if_index(place.interface.0, mode)
        .map_err(|error| explain(error, place.hook))?;
    let link: XdpLink = program.take_link(id)?;
    Ok(Link::Ours(link.try_into()?))
}

/// Whether programs in TC have links, and so can outlive the process. Before kernel 6.6 aya falls back to clsact.
#[must_use]
pub fn has_tcx() -> bool {
    const FIRST: KernelVersion = KernelVersion::new(6, 6, 0);
    KernelVersion::current().is_ok_and(|version| version >= FIRST)
}

/// Attaches the TC program on the way in, behind those that are there.
fn tc(program: &mut SchedClassifier, interface: IfIndex) -> Result<Link, AttachError> {
    let name = sys::interface_name(interface.0).map_err(|error| refusal(error, Hook::Tc))?;
    let has_tcx = has_tcx();
    if !has_tcx {
        // What a process left behind that was killed. None is no concern, and neither is a qdisc that is there.
        let _ = qdisc_detach_program(&name, TcAttachType::Ingress, "igmp_tc");
        let _ = qdisc_add_clsact(&name);
    }
    let id = program
        .attach(&name, TcAttachType::Ingress)
        .map_err(|error| explain(error, Hook::Tc))?;
    let link = program.take_link(id)?;
    if has_tcx {
        Ok(Link::Ours(link.try_into()?))
    } else {
        Ok(Link::Clsact { _link: link })
    }
}

fn explain(error: ProgramError, hook: Hook) -> AttachError {
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
