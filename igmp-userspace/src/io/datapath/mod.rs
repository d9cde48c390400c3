//! The kernel side as userspace holds it: the loaded programs of incoming interfaces and their maps.
//!
//! One owner writes the maps: the event loop, through [`Datapath`]. Only making replication sets, which waits for RCU
//! grace periods, happens elsewhere ([`pool`]).

mod attach;
mod egress;
mod flows;
mod kernel_version;
mod memory;
mod outputs;
pub mod pins;
mod pod;
pub mod pool;
mod ports;
mod sole_outputs;
mod sys;

pub use attach::{AttachError, Attachment, Hook, Inherited, Place, has_tcx};
pub use egress::{Constants as EgressConstants, Egress, EgressDrops};
pub use flows::WriteError;
pub use sys::interface_name;

use std::collections::{BTreeMap, BTreeSet, HashMap as StdHashMap};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use aya::maps::lpm_trie::Key;
use aya::maps::{
    Array, HashMap, IterableMap, LpmTrie, MapData, MapError, PerCpuArray, PerCpuValues, RingBuf,
};
use aya::programs::{ProgramFd, SchedClassifier, Xdp};
use aya::util::nr_cpus;
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};
use igmp_common::Counter;
use igmp_common::flow_table::FlowStats;
use igmp_common::maps::{
    Control, FLOW_LOCAL, FLOW_MTU_SHIFT, FLOW_TC, NO_SET, OutputDrops, Port, SoleOutput, SourceKey,
    VlanKey,
};
use ipnet::Ipv4Net;
use tracing::warn;

use crate::fib::groups::GroupPrefix;
use crate::fib::sets::SetId;
use crate::fib::sources::SourcePrefix;
use crate::fib::{Change, FlowId, Path};
use crate::proto::IfIndex;
use flows::Flows;
use outputs::OutputLists;
use pins::Pins;
use pod::Raw;
use pool::Set;
use ports::PortMaps;
use sole_outputs::SoleOutputs;

static INGRESS_OBJECT: &[u8] = include_bytes_aligned!(env!("IGMP_INGRESS_OBJECT"));

/// How to load the datapath.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Capacity of the flow table.
    pub max_flows: u32,
    /// Whether the kernel programs write debug messages to the log, one a frame.
    pub kernel_log: bool,
}

/// The programs of incoming interfaces, their maps, and the replication sets.
pub struct Datapath {
    ebpf: Ebpf,
    ports: PortMaps,
    vlans: HashMap<MapData, Raw<VlanKey>, u32>,
    flows: Flows,
    sources: LpmTrie<MapData, Raw<SourceKey>, u32>,
    groups: LpmTrie<MapData, Raw<SourceKey>, u32>,
    control_map: Array<MapData, Raw<Control>>,
    /// What `control_map` holds; it can only be written whole.
    control: Control,
    counters: PerCpuArray<MapData, [u64; Counter::COUNT]>,
    output_lists: OutputLists,
    sole_outputs: SoleOutputs,
    sets: StdHashMap<SetId, Set>,
    /// Links of the igmpd before, until their devices are attached to.
    inherited: BTreeMap<Place, Inherited>,
    /// The ids of their programs in XDP. Kept, because netlink does not tell when one of them goes.
    inherited_xdp: BTreeSet<u32>,
}

/// A loaded datapath with the parts of it that have other owners.
pub struct Loaded {
    /// All the rest.
    pub datapath: Datapath,
    /// IGMP messages, as [`igmp_common::maps::RecordHeader`] and the frame.
    pub events: RingBuf<MapData>,
    /// Refused sources, as [`igmp_common::maps::Refusal`].
    pub refusals: RingBuf<MapData>,
    /// The outer map of the replication sets.
    pub sets: MapData,
}

impl Datapath {
    /// Loads the programs of incoming interfaces into the kernel. Nothing is attached yet.
    ///
    /// # Errors
    ///
    /// The kernel refuses a map or a program (no CAP_BPF, no memory); its log is part of the error.
    pub fn load(options: Options) -> Result<Loaded> {
        kernel_version::check()?;
        sys::raise_open_files_limit();
        let log_level: u8 = if options.kernel_log { u8::MAX } else { 0 };
        let plan = flows::Plan::new(options.max_flows)?;
        let mut loader = EbpfLoader::new();
        plan.apply(&mut loader);
        let mut ebpf = loader
            .btf(None) // nothing to relocate: the programs read no kernel structures
            .override_global("AYA_LOG_LEVEL", &log_level, false)
            .load(INGRESS_OBJECT)
            .context("loading the kernel maps")?;
        ingress(&mut ebpf)?
            .load()
            .context("loading the ingress program")?;
        tc(&mut ebpf)?.load().context("loading the TC program")?;
        let events = take(&mut ebpf, "EVENTS")?.try_into()?;
        let refusals = take(&mut ebpf, "REFUSALS")?.try_into()?;
        let aya::maps::Map::ArrayOfMaps(sets) = take(&mut ebpf, "SETS")? else {
            anyhow::bail!("kernel object: SETS is not an array of maps");
        };
        let datapath = Self {
            ports: PortMaps::take(&mut ebpf)?,
            vlans: take(&mut ebpf, "VLANS")?.try_into()?,
            flows: Flows::take(&mut ebpf, &plan)?,
            sources: take(&mut ebpf, "SOURCES")?.try_into()?,
            groups: take(&mut ebpf, "GROUPS")?.try_into()?,
            control_map: take(&mut ebpf, "CONTROL")?.try_into()?,
            control: Control::default(),
            counters: take(&mut ebpf, "COUNTERS")?.try_into()?,
            output_lists: OutputLists::take(&mut ebpf)?,
            sole_outputs: SoleOutputs::take(&mut ebpf)?,
            sets: StdHashMap::new(),
            inherited: BTreeMap::new(),
            inherited_xdp: BTreeSet::new(),
            ebpf,
        };
        Ok(Loaded {
            datapath,
            events,
            refusals,
            sets,
        })
    }

    /// Where the kernel programs' debug messages come from, when [`Options::kernel_log`] asked for them.
    ///
    /// # Errors
    ///
    /// The kernel object has no log, or it was taken before.
    pub fn logger(&mut self) -> Result<aya_log::EbpfLogger<&'static dyn log::Log>> {
        aya_log::EbpfLogger::init(&mut self.ebpf).context("opening the kernel programs' log")
    }

    /// The loaded XDP program, for `BPF_PROG_TEST_RUN`.
    ///
    /// # Errors
    ///
    /// The kernel object is not the one this was built with.
    pub fn ingress(&mut self) -> Result<&mut Xdp> {
        ingress(&mut self.ebpf)
    }

    /// The loaded TC program, for `BPF_PROG_TEST_RUN`.
    ///
    /// # Errors
    ///
    /// The kernel object is not the one this was built with.
    pub fn tc(&mut self) -> Result<&mut SchedClassifier> {
        tc(&mut self.ebpf)
    }

    /// The igmpd before left these links: [`Self::attach`] leaves its programs on their devices until
    /// [`Self::take_over`].
    ///
    /// # Errors
    ///
    /// The kernel does not say which programs they have.
    pub fn inherit(&mut self, links: BTreeMap<Place, Inherited>) -> Result<(), AttachError> {
        let in_xdp = links.iter().filter(|(place, _)| place.hook != Hook::Tc);
        let ids = in_xdp.map(|(_, inherited)| inherited.program_id());
        self.inherited_xdp = ids.collect::<Result<_, _>>()?;
        self.inherited = links;
        Ok(())
    }

    /// The inherited links that were not asked for end now, unless they are pinned still.
    pub fn end_inheritance(&mut self) {
        self.inherited.clear();
    }

    /// Whether the XDP program with this id is, or was, one that the igmpd before has left.
    #[must_use]
    pub fn is_inherited_xdp(&self, id: u32) -> bool {
        self.inherited_xdp.contains(&id)
    }

    /// Puts our program in the place of the one of the igmpd before, where that one still runs.
    ///
    /// # Errors
    ///
    /// See [`AttachError`]. The program before runs on.
    pub fn take_over(&mut self, attachment: &mut Attachment) -> Result<(), AttachError> {
        attachment.take_over(self.program(attachment.place().hook)?)
    }

    /// Puts our program back where somebody has detached it; says whether that was so.
    ///
    /// # Errors
    ///
    /// See [`AttachError`]. There is no program then.
    pub fn put_back(&mut self, attachment: &mut Attachment) -> Result<bool, AttachError> {
        attachment.put_back(self.program(attachment.place().hook)?)
    }

    /// Has an attachment outlive the process, under this path.
    ///
    /// # Errors
    ///
    /// See [`AttachError`].
    pub fn pin(&mut self, attachment: &mut Attachment, path: PathBuf) -> Result<(), AttachError> {
        attachment.pin(self.program(attachment.place().hook)?, path)
    }

    fn program(&mut self, hook: Hook) -> Result<attach::Program<'_>, AttachError> {
        let program = match hook {
            Hook::XdpNative | Hook::XdpGeneric => ingress(&mut self.ebpf).map(attach::Program::Xdp),
            Hook::Tc => tc(&mut self.ebpf).map(attach::Program::Tc),
        };
        program.map_err(AttachError::Program)
    }

    /// Pins what the next igmpd reads when it takes over, and what the programs need somebody to hold.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn pin_maps(&self, events: &RingBuf<MapData>, pins: &Pins) -> Result<()> {
        let events = MapData::from_fd(events.as_fd().try_clone_to_owned()?)?;
        pins.pin_maps(&[
            (pins::TC_MORE, self.output_lists.more()),
            (pins::EVENTS, &events),
            (pins::CONTROL, IterableMap::map(&self.control_map)),
            (pins::OUTPUTS, self.output_lists.blocks()),
            // The last: where it is, the others are.
            (pins::FLOWS, self.flows.map()),
        ])
    }

    /// Says that igmpd lives: packets are forwarded for so long from now on; zero is for ever.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn keep_alive(&mut self, hold_time: Duration) -> Result<(), MapError> {
        let hold_time = u64::try_from(hold_time.as_nanos()).unwrap_or(u64::MAX);
        self.control.alive_until_ns = match hold_time {
            0 => 0,
            _ => sys::monotonic_ns().saturating_add(hold_time),
        };
        self.write_control()
    }

    /// Attaches the program for `hook` to a device of the calling thread's network namespace. A device may have one in
    /// XDP and one in TC at once; the flags of its [`Port`] say who does what. What the igmpd before has left in the same
    /// hook stays there until [`Self::take_over`].
    ///
    /// # Errors
    ///
    /// See [`AttachError`].
    pub fn attach(&mut self, interface: IfIndex, hook: Hook) -> Result<Attachment, AttachError> {
        let place = Place { interface, hook };
        if let Some(inherited) = self.inherited.remove(&place) {
            return Ok(Attachment::inherited(place, inherited));
        }
        if let Some(hook) = hook.excludes()
            && let Some(inherited) = self.inherited.remove(&Place { interface, hook })
        {
            inherited.end();
        }
        attach::attach(&mut self.program(hook)?, place)
    }

    /// Tells the programs about a device, as input and as output.
    ///
    /// # Errors
    ///
    /// The map is full, or the kernel refuses.
    pub fn put_port(&mut self, interface: IfIndex, port: Port) -> Result<(), MapError> {
        if let Err(error) = self.sole_outputs.put_device(&port) {
            warn!(port = interface.0, error = %chain(&error), "device not made an output");
        }
        self.ports.put(interface, port)
    }

    /// Forgets a device.
    ///
    /// # Errors
    ///
    /// There is no such entry.
    pub fn delete_port(&mut self, interface: IfIndex) -> Result<(), MapError> {
        self.ports.delete(interface)
    }

    /// Makes frames with a tag, on the device below, frames of `port`.
    ///
    /// # Errors
    ///
    /// The map is full, or the kernel refuses.
    pub fn put_vlan(&mut self, vlan: VlanKey, port: IfIndex) -> Result<(), MapError> {
        self.vlans.insert(Raw(vlan), port.0, 0)
    }

    /// Leaves frames with this tag to the kernel again.
    ///
    /// # Errors
    ///
    /// There is no such entry.
    pub fn delete_vlan(&mut self, vlan: VlanKey) -> Result<(), MapError> {
        self.vlans.remove(&Raw(vlan))
    }

    /// Sets what happens to packets from sources in `prefix`.
    ///
    /// # Errors
    ///
    /// The map is full, or the kernel refuses.
    pub fn put_source(&mut self, prefix: SourcePrefix, class: u32) -> Result<(), MapError> {
        self.sources
            .insert(&prefix_key(prefix.interface, prefix.network), class, 0)?;
        self.forget_accepted_sources()
    }

    /// Forgets a source prefix.
    ///
    /// # Errors
    ///
    /// There is no such entry.
    pub fn delete_source(&mut self, prefix: SourcePrefix) -> Result<(), MapError> {
        self.sources
            .remove(&prefix_key(prefix.interface, prefix.network))?;
        self.forget_accepted_sources()
    }

    /// The kernel programs ask the prefixes anew.
    fn forget_accepted_sources(&mut self) -> Result<(), MapError> {
        self.control.sources_generation = self.control.sources_generation.wrapping_add(1);
        self.write_control()
    }

    /// Sets what happens to packets to groups in `prefix`.
    ///
    /// # Errors
    ///
    /// The map is full, or the kernel refuses.
    pub fn put_group(&mut self, prefix: GroupPrefix, class: u32) -> Result<(), MapError> {
        self.groups
            .insert(&prefix_key(prefix.interface, prefix.network), class, 0)
    }

    /// Forgets a group prefix.
    ///
    /// # Errors
    ///
    /// There is no such entry.
    pub fn delete_group(&mut self, prefix: GroupPrefix) -> Result<(), MapError> {
        self.groups
            .remove(&prefix_key(prefix.interface, prefix.network))
    }

    /// Takes over sets the pool has made.
    pub fn add_sets(&mut self, sets: Vec<(SetId, Set)>) {
        self.sets.extend(sets);
    }

    /// Carries out one change. `outputs` says how copies leave through each output port. One whose device has just gone is
    /// left out: its removal is on its way.
    ///
    /// # Errors
    ///
    /// See [`WriteError`].
    pub fn apply<'a>(
        &mut self,
        change: &Change,
        outputs: &dyn Fn(IfIndex) -> Option<Output<'a>>,
    ) -> Result<(), WriteError> {
        match change {
            Change::FillSet {
                set,
                outputs: ports,
            } => {
                for port in ports {
                    self.put_output(*set, *port, ports.len() == 1, outputs(*port));
                }
                self.output_lists.fill(*set, ports)?;
            }
            Change::ClearSet { set, outputs } => {
                self.output_lists.clear(*set, outputs);
                if outputs.len() == 1 {
                    self.put_sole_output(*set, None);
                }
                if let Some(set) = self.sets.get_mut(set) {
                    for output in outputs {
                        // Gone already when the device is: the kernel purges its entries (dev_map_notification).
                        let _ = set.remove(output.0);
                    }
                }
            }
            Change::PutFlow(id, flow) => self.flows.put(*id, *flow)?,
            Change::DeleteFlow(id) => self.flows.delete(*id)?,
            Change::SourceSpecific(on) => {
                self.control.source_specific_flows = u32::from(*on);
                self.write_control()?;
            }
            Change::SetWithoutFlow(set, path, mtu) => {
                self.control.set_without_flow = set_index(*set);
                self.control.flags_without_flow = flow_flags(*path, *mtu);
                self.write_control()?;
            }
            Change::FilterWithoutFlow(on) => {
                self.control.filters_towards_upstream = u32::from(*on);
                self.write_control()?;
            }
        }
        Ok(())
    }

    fn write_control(&mut self) -> Result<(), MapError> {
        self.control_map.set(0, Raw(self.control), 0)
    }

    /// Puts one output into a set, of which it may be the only one, or replaces its egress program.
    pub fn put_output(
        &mut self,
        set: SetId,
        port: IfIndex,
        is_alone: bool,
        output: Option<Output<'_>>,
    ) {
        let Some(devices) = self.sets.get_mut(&set) else {
            return;
        };
        let Some(Output {
            device,
            program,
            sole,
        }) = output
        else {
            return;
        };
        if let Err(error) = devices.insert(port.0, device.0, Some(program), 0) {
            warn!(port = port.0, error = %chain(&error), "output not added to a replication set");
        }
        if is_alone {
            self.put_sole_output(set, sole);
        }
    }

    fn put_sole_output(&mut self, set: SetId, sole: Option<SoleOutput>) {
        if let Err(error) = self.sole_outputs.put(set, sole) {
            warn!(set = set.0, error = %chain(&error), "kernel map not written");
        }
    }

    /// The counts of the port in `slot`, summed over CPUs, by [`Counter`].
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn counters(&self, slot: u32) -> Result<[u64; Counter::COUNT], MapError> {
        let mut sums = [0; Counter::COUNT];
        for cpu in self.counters.get(&slot, 0)?.iter() {
            for (sum, count) in sums.iter_mut().zip(cpu) {
                *sum += count;
            }
        }
        Ok(sums)
    }

    /// Zeroes the counts of the port in `slot`, for another port to use it.
    ///
    /// # Errors
    ///
    /// The kernel refused: no such slot.
    pub fn reset_counters(&mut self, slot: u32) -> Result<(), MapError> {
        self.output_lists.reset_drops(slot)?;
        self.counters
            .set(slot, on_all_cpus([0; Counter::COUNT])?, 0)
    }

    /// Copies that the TC program did not send out of the port in `slot`, summed over CPUs, by reason.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn output_drops(&self, slot: u32) -> Result<OutputDrops, MapError> {
        self.output_lists.drops(slot)
    }

    /// Packets and bytes of a flow since it was installed, summed over CPUs; `None` = the kernel does not have it.
    #[must_use]
    pub fn flow_stats(&self, flow: FlowId) -> Option<FlowStats> {
        self.flows.stats(flow)
    }
}

/// How copies leave through a port in XDP.
#[derive(Clone, Copy)]
pub struct Output<'a> {
    /// The device they leave through.
    pub device: IfIndex,
    /// The egress program that they pass.
    pub program: &'a ProgramFd,
    /// How they leave where no other port has a copy; `None` = the same way.
    pub sole: Option<SoleOutput>,
}

fn ingress(ebpf: &mut Ebpf) -> Result<&mut Xdp> {
    ebpf.program_mut("igmp_ingress")
        .context("kernel object: no igmp_ingress")?
        .try_into()
        .context("kernel object: igmp_ingress is not XDP")
}

fn tc(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier> {
    ebpf.program_mut("igmp_tc")
        .context("kernel object: no igmp_tc")?
        .try_into()
        .context("kernel object: igmp_tc is not a classifier")
}

fn take(ebpf: &mut Ebpf, name: &str) -> Result<aya::maps::Map> {
    ebpf.take_map(name)
        .with_context(|| format!("kernel object: no map {name}"))
}

/// The same value for each CPU.
fn on_all_cpus<T: aya::Pod>(value: T) -> Result<PerCpuValues<T>, MapError> {
    let cpus = nr_cpus().unwrap_or(1);
    Ok(PerCpuValues::try_from(vec![value; cpus])?)
}

fn flow_flags(path: Path, mtu: u16) -> u32 {
    let path = match path {
        Path::Xdp => 0,
        Path::Tc => FLOW_TC,
        Path::TcAndLocal => FLOW_TC | FLOW_LOCAL,
    };
    path | u32::from(mtu) << FLOW_MTU_SHIFT
}

fn set_index(set: Option<SetId>) -> u32 {
    set.map_or(NO_SET, |set| set.0)
}

fn prefix_key(interface: IfIndex, network: Ipv4Net) -> Key<Raw<SourceKey>> {
    let address = SourceKey::new(interface.0, network.addr().octets());
    let bits = SourceKey::prefix_len(network.prefix_len());
    Key::new(bits, Raw(address))
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// File descriptor of a map.
fn fd(map: &MapData) -> BorrowedFd<'_> {
    map.fd().as_fd()
}
