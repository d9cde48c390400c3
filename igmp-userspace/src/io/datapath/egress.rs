//! The per-port egress program: loaded once per port with that port's constants.

use anyhow::{Context, Result};
use aya::maps::{Array, MapData, MapError, PerCpuArray};
use aya::programs::{ProgramFd, Xdp};
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};
use igmp_common::maps::{EGRESS_DROP_GATE, EGRESS_DROP_TTL, GATE_OPEN, Mac, SoleOutput, UNTAGGED};

static EGRESS_OBJECT: &[u8] = include_bytes_aligned!(env!("IGMP_EGRESS_OBJECT"));

/// What the program holds as constants.
#[derive(Clone, Copy, Debug)]
pub struct Constants {
    /// The Ethernet source address of copies.
    pub source: Mac,
    /// Only packets are sent whose TTL was above this when they came in; 1 sends all.
    pub ttl_threshold: u8,
    /// The tag that copies get ([`igmp_common::maps::Port::tag`]).
    pub tag: u32,
    /// Nothing is sent unless [`Egress::set_gate`] has opened it.
    pub has_gate: bool,
}

/// Copies that were not sent, since the program was loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct EgressDrops {
    /// Their TTL was not above the port's threshold.
    pub ttl_threshold: u64,
    /// Another gateway serves the hosts.
    pub gate_closed: u64,
}

/// A loaded egress program.
pub struct Egress {
    constants: Constants,
    ebpf: Ebpf,
    gate: Array<MapData, u32>,
    drops: PerCpuArray<MapData, u64>,
}

impl Egress {
    /// Loads the program.
    ///
    /// # Errors
    ///
    /// The kernel refuses the program; its log is part of the error.
    pub fn load(constants: Constants) -> Result<Self> {
        let mut ebpf = EbpfLoader::new()
            .btf(None)
            .override_global("SOURCE_MAC", &constants.source, true)
            .override_global("TTL_THRESHOLD", &constants.ttl_threshold, true)
            .override_global("TAG", &constants.tag, true)
            .override_global("HAS_GATE", &u8::from(constants.has_gate), true)
            .load(EGRESS_OBJECT)
            .context("loading the egress object")?;
        let program: &mut Xdp = ebpf
            .program_mut("igmp_egress")
            .context("kernel object: no igmp_egress")?
            .try_into()?;
        program.load().context("loading the egress program")?;
        let gate = super::take(&mut ebpf, "GATE")?.try_into()?;
        let drops = super::take(&mut ebpf, "DROPS")?.try_into()?;
        Ok(Self {
            constants,
            ebpf,
            gate,
            drops,
        })
    }

    /// How copies leave through the port in this slot when no other port has one: without this program, if all that it does
    /// is to put its address into the frame.
    #[must_use]
    pub fn sole_output(&self, slot: u32) -> Option<SoleOutput> {
        let Constants {
            source: mac,
            ttl_threshold,
            tag,
            has_gate,
        } = self.constants;
        let slot = u16::try_from(slot).ok()?;
        let is_plain = ttl_threshold <= 1 && tag == UNTAGGED && !has_gate;
        is_plain.then_some(SoleOutput { slot, mac })
    }

    /// Opens or closes the gate.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn set_gate(&mut self, is_open: bool) -> Result<(), MapError> {
        self.gate.set(0, if is_open { GATE_OPEN } else { 0 }, 0)
    }

    /// Copies that were not sent, since the program was loaded.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn drops(&self) -> Result<EgressDrops, MapError> {
        let sum = |reason| Ok::<u64, MapError>(self.drops.get(&reason, 0)?.iter().sum());
        Ok(EgressDrops {
            ttl_threshold: sum(EGRESS_DROP_TTL)?,
            gate_closed: sum(EGRESS_DROP_GATE)?,
        })
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
