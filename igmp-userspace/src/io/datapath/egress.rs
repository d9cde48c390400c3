//! The per-port egress program: loaded once per port with that port's constants.

use anyhow::{Context, Result};
use aya::programs::{ProgramFd, Xdp};
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};
use igmp_common::maps::Mac;

static EGRESS_OBJECT: &[u8] = include_bytes_aligned!(env!("IGMP_EGRESS_OBJECT"));

/// A loaded egress program.
pub struct Egress {
    ebpf: Ebpf,
}

impl Egress {
    /// Loads the program that gives copies `source` as their Ethernet source address.
    ///
    /// # Errors
    ///
    /// The kernel refuses the program; its log is part of the error.
    pub fn load(source: Mac) -> Result<Self> {
        let mut ebpf = EbpfLoader::new()
            .btf(None)
            .override_global("SOURCE_MAC", &source, true)
            .load(EGRESS_OBJECT)
            .context("loading the egress object")?;
        let program: &mut Xdp = ebpf
            .program_mut("igmp_egress")
            .context("kernel object: no igmp_egress")?
            .try_into()?;
        program.load().context("loading the egress program")?;
        Ok(Self { ebpf })
    }

    /// The program, as a devmap entry takes it.
    #[must_use]
    pub fn fd(&self) -> Option<&ProgramFd> {
        let program: &Xdp = self.ebpf.program("igmp_egress")?.try_into().ok()?;
        program.fd().ok()
    }
}
