//! The per-port egress program: loaded once per port with that port's constants.

use anyhow::{Context, Result};
use aya::maps::{MapData, MapError, PerCpuArray};
use aya::programs::{ProgramFd, Xdp};
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};
use igmp_common::maps::Mac;

static EGRESS_OBJECT: &[u8] = include_bytes_aligned!(env!("IGMP_EGRESS_OBJECT"));

/// The name of [`Egress::drops`] in output and metrics.
pub const EGRESS_DROPS: &str = "egress_ttl_threshold";
/// What it means, in one line.
pub const EGRESS_DROPS_DESCRIPTION: &str =
    "copies not sent because their TTL was not above the interface's threshold";

/// A loaded egress program.
pub struct Egress {
    ebpf: Ebpf,
    drops: PerCpuArray<MapData, u64>,
}

impl Egress {
    /// Loads the program that gives copies `source` as their Ethernet source address, and sends only those whose TTL was
    /// above `ttl_threshold` when they came in; 1 sends all. They get `tag` ([`igmp_common::maps::Port::tag`]).
    ///
    /// # Errors
    ///
    /// The kernel refuses the program; its log is part of the error.
    pub fn load(source: Mac, ttl_threshold: u8, tag: u32) -> Result<Self> {
        let mut ebpf = EbpfLoader::new()
            .btf(None)
            .override_global("SOURCE_MAC", &source, true)
            .override_global("TTL_THRESHOLD", &ttl_threshold, true)
            .override_global("TAG", &tag, true)
            .load(EGRESS_OBJECT)
            .context("loading the egress object")?;
        let program: &mut Xdp = ebpf
            .program_mut("igmp_egress")
            .context("kernel object: no igmp_egress")?
            .try_into()?;
        program.load().context("loading the egress program")?;
        let drops = super::take(&mut ebpf, "DROPS")?.try_into()?;
        Ok(Self { ebpf, drops })
    }

    /// Copies not sent because of the TTL threshold, since the program was loaded.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn drops(&self) -> Result<u64, MapError> {
        Ok(self.drops.get(&0, 0)?.iter().sum())
    }

    /// The program, for `BPF_PROG_TEST_RUN`.
    ///
    /// # Errors
    ///
    /// The kernel object is not the one this was built with.
    pub fn program(&self) -> Result<&Xdp> {
        let program = self.ebpf.program("igmp_egress");
        let program = program.context("kernel object: no igmp_egress")?;
        Ok(program.try_into()?)
    }

    /// The program, as a devmap entry takes it.
    #[must_use]
    pub fn fd(&self) -> Option<&ProgramFd> {
        self.program().ok()?.fd().ok()
    }
}
