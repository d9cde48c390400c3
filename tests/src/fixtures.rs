//! Packet fixtures: the programs of incoming interfaces on the real verifier, run by `BPF_PROG_TEST_RUN` on frames we
//! write.
//!
//! The kernel gives such frames the loopback device (ifindex 1) as their incoming interface and returns the verdict, the
//! bytes and the counters; a redirect is not carried out. In XDP no device is touched. The TC program asks for its
//! outputs' MTU, and its clones do leave: it runs in a namespace with a cable, [`Cable`].

#![allow(
    clippy::missing_errors_doc,
    reason = "a test unwraps: the error is the kernel's or the datapath's own"
)]

pub mod datagram;
mod ports;

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aya::maps::{MapData, RingBuf};
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions};
use igmp_common::Counter;
use igmp_common::flow_table::FlowStats;
use igmp_common::maps::{
    OutputDrops, PORT_CLOSED, PORT_FILTERS_GROUPS, PORT_TC, PORT_UPSTREAM, Port, Refusal,
    SoleOutput, UNTAGGED,
};
use igmp_common::police::Rate;
use igmp_userspace::fib::routes::Member;
use igmp_userspace::fib::sources::{self, InterfaceSources, SourcePrefix};
use igmp_userspace::fib::{Fib, FlowId, Upstream, groups};
use igmp_userspace::io::datapath::pool::{Job, Pool};
use igmp_userspace::io::datapath::{
    Attachment, Datapath, Egress, EgressConstants, EgressDrops, Hook, Loaded, Options, Output,
};
use igmp_userspace::proto::{FilterMode, GroupFilter, IfIndex};

use crate::capture::Capture;
use crate::host::FrameSender;
use crate::netns::Namespace;
use datagram::PORT_MAC;

/// The port that test frames come in on.
pub const PORT: IfIndex = IfIndex(1);
/// A device that exists everywhere and can be named as an output: the loopback device again.
pub const LOOPBACK: IfIndex = IfIndex(1);
/// The interface of the gateway's other subnet: no device has this index.
const ELSEWHERE: IfIndex = IfIndex(1 << 30);
/// Flows that the table of a [`World`] has room for.
pub const MAX_FLOWS: u32 = 1024;
const SLOT: u32 = 5;
const OUTPUT_SLOT: u32 = 6;
/// A VLAN of the device that test frames come in on, once [`World::add_vlan`] has made it a port. No device has this
/// index.
pub const VLAN_PORT: IfIndex = IfIndex(1 << 29);
const VLAN_SLOT: u32 = 7;
/// The Ethernet address of the device at the near end of a [`Cable`].
pub const OUTPUT_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];

/// A namespace with two devices joined by a cable.
pub struct Cable {
    /// The namespace.
    pub namespace: Namespace,
    /// The near end, `lan0`: an output.
    pub near: IfIndex,
}

impl Cable {
    /// The far end: what a [`Capture`] sees there has been sent.
    pub const FAR: &str = "far";

    /// Lays one.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it makes a namespace")]
    pub fn new() -> Self {
        let namespace = Namespace::new("cable");
        namespace.ip(&format!(
            "link add lan0 address 02:00:00:00:00:02 type veth peer name {far}\nlink set lan0 up\nlink set {far} up\n",
            far = Self::FAR
        ));
        let near = IfIndex(namespace.interface_index("lan0"));
        Self { namespace, near }
    }

    /// Captures at the far end.
    pub fn capture(&self) -> Capture {
        Capture::start(&self.namespace, Self::FAR)
    }

    /// Sends frames in at the far end.
    #[must_use]
    pub fn sender(&self) -> FrameSender {
        FrameSender::on(&self.namespace, Self::FAR)
    }

    /// Runs `test` with the world of [`World::new`] whose port has the TC program only, and whose output is the near end.
    pub fn with_tc<T: Send>(&self, test: impl FnOnce(&mut World) -> T + Send) -> T {
        self.namespace.enter(|| {
            let mut world = World::sending_to(self.near, 1).expect("a world");
            world.use_hook(Hook::Tc).expect("a TC port");
            test(&mut world)
        })
    }
}

/// What a program told the kernel to do with a frame (`enum xdp_action`, `TC_ACT_*`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// To the kernel.
    Pass,
    /// To a replication set, or the last output in TC.
    Redirect,
    /// Any other.
    Other(u32),
}

/// What the program did with a frame.
#[derive(Debug)]
pub struct Outcome {
    /// Its verdict.
    pub verdict: Verdict,
    /// The frame as it left it.
    pub frame: Vec<u8>,
    /// The one counter it bumped.
    pub counter: Counter,
    /// Of which port: [`PORT`] or [`VLAN_PORT`].
    pub port: IfIndex,
    /// Mean time of a run, in nanoseconds.
    pub nanoseconds: u128,
}

/// Whether [`World::run_live`] works: since kernel 5.18 (b530e9e1063e). Says that the test is skipped where it does not.
#[must_use]
pub fn can_run_live() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split('.')
        .map_while(|number| number.parse::<u32>().ok());
    let can = (numbers.next(), numbers.next()) >= (Some(5), Some(18));
    if !can {
        println!("SKIP: test runs send frames since kernel 5.18, this is {release}");
    }
    can
}

/// A loaded datapath with one port.
pub struct World {
    datapath: Datapath,
    events: RingBuf<MapData>,
    refusals: RingBuf<MapData>,
    fib: Fib,
    pool: Pool,
    runtime: tokio::runtime::Runtime,
    output: IfIndex,
    egress: Egress,
    sole: Option<SoleOutput>,
    port: Port,
    output_port: Port,
    hook: Hook,
}

impl World {
    /// Loads everything; the port is an upstream that accepts any source, the gateway has another subnet, 10.1.0.0/24.
    pub fn new() -> Result<Self> {
        Self::with_sources(&["10.0.0.1/24"], &["0.0.0.0/0"])
    }

    /// The same with a port of these addresses and `alt_subnets`.
    pub fn with_sources(addresses: &[&str], alt_subnets: &[&str]) -> Result<Self> {
        Self::load(LOOPBACK, 1, addresses, alt_subnets)
    }

    /// The world of [`Self::new`] that sends to another device, whose TTL threshold is this.
    pub fn sending_to(output: IfIndex, ttl_threshold: u8) -> Result<Self> {
        Self::load(output, ttl_threshold, &["10.0.0.1/24"], &["0.0.0.0/0"])
    }

    fn load(
        output: IfIndex,
        ttl_threshold: u8,
        addresses: &[&str],
        alt_subnets: &[&str],
    ) -> Result<Self> {
        let options = Options {
            max_flows: MAX_FLOWS,
            kernel_log: false,
        };
        let Loaded {
            datapath,
            events,
            refusals,
            sets,
        } = Datapath::load(options)?;
        let mut world = Self {
            datapath,
            events,
            refusals,
            fib: Fib::new(options.max_flows),
            pool: Pool::start(sets)?,
            runtime: tokio::runtime::Builder::new_current_thread().build()?,
            output,
            egress: Egress::load(EgressConstants {
                source: PORT_MAC,
                ttl_threshold,
                tag: UNTAGGED,
                has_gate: false,
            })?,
            sole: None,
            port: Port {
                igmp_rate: Rate::UNLIMITED,
                slot: SLOT,
                flags: PORT_UPSTREAM,
                mac: PORT_MAC,
                device: PORT.0,
                ..Port::default()
            },
            output_port: Port {
                slot: OUTPUT_SLOT,
                mac: OUTPUT_MAC,
                ttl_threshold,
                device: output.0,
                ..Port::default()
            },
            hook: Hook::XdpNative,
        };
        world.datapath.put_port(PORT, world.port)?;
        world.accept_sources(addresses, alt_subnets)?;
        let make = world.fib.request_spares();
        world.pool.submit(Job {
            make,
            ..Job::default()
        });
        let done = world.runtime.block_on(world.pool.done());
        let done = done.context("the pool's thread ended")?;
        world.datapath.add_sets(done.sets);
        world.fib.add_spares(&done.made);
        Ok(world)
    }

    /// Runs the program of another hook from now on: alone on the port when it is that of TC.
    pub fn use_hook(&mut self, hook: Hook) -> Result<()> {
        self.run_hook(hook);
        self.datapath.put_port(self.output, self.output_port)?;
        self.set_flag(PORT_TC, hook == Hook::Tc)
    }

    /// Runs the program of another hook from now on, beside that of the other one.
    pub fn run_hook(&mut self, hook: Hook) {
        self.hook = hook;
    }

    /// Has copies of what is joined from now on take the short way, past the replication set and the egress program, if the
    /// output allows it. They then carry its address, which is that of the port here.
    pub fn take_short_way(&mut self) -> Result<()> {
        self.datapath.put_port(self.output, self.output_port)?;
        self.sole = self.egress.sole_output(OUTPUT_SLOT);
        Ok(())
    }

    /// Gives the output another TTL threshold, for the TC program.
    pub fn set_ttl_threshold(&mut self, threshold: u8) -> Result<()> {
        self.output_port.ttl_threshold = threshold;
        Ok(self.datapath.put_port(self.output, self.output_port)?)
    }

    /// Sets the output's MTU.
    pub fn set_mtu(&mut self, mtu: usize) -> Result<()> {
        self.fib.set_output_mtus([(self.output, mtu)].into());
        self.write_maps()
    }

    /// Says that XDP does not reach the output, or that it does.
    pub fn send_by_tc(&mut self, by_tc: bool) -> Result<()> {
        let outputs = by_tc.then_some(self.output);
        self.fib.set_tc_outputs(outputs.into_iter().collect());
        self.write_maps()
    }

    /// Says which group a socket of this host has joined; its members are written by the next [`Self::join`].
    pub fn listen(&mut self, group: Option<Ipv4Addr>) {
        let _ = self.fib.set_local_groups(group.into_iter().collect());
    }

    /// What the TC program did not send to the output.
    pub fn output_drops(&self) -> Result<OutputDrops> {
        Ok(self.datapath.output_drops(OUTPUT_SLOT)?)
    }

    /// Makes the port a downstream one, or upstream again.
    pub fn set_upstream(&mut self, upstream: bool) -> Result<()> {
        self.set_flag(PORT_UPSTREAM, upstream)
    }

    /// Closes the port to data, as where another router is the querier, or opens it again.
    pub fn set_closed(&mut self, closed: bool) -> Result<()> {
        self.set_flag(PORT_CLOSED, closed)
    }

    /// Forwards only groups that `filter` serves from the port.
    pub fn filter_port(&mut self, filter: &GroupFilter) -> Result<()> {
        for (prefix, class) in groups::prefixes(&[(PORT, filter)], None) {
            self.datapath.put_group(prefix, class)?;
        }
        self.set_flag(PORT_FILTERS_GROUPS, !filter.is_open())
    }

    /// Forwards every group from the port again: `filter` goes.
    pub fn unfilter_port(&mut self, filter: &GroupFilter) -> Result<()> {
        self.set_flag(PORT_FILTERS_GROUPS, false)?;
        for prefix in groups::prefixes(&[(PORT, filter)], None).into_keys() {
            self.datapath.delete_group(prefix)?;
        }
        Ok(())
    }

    /// Makes the output the upstream interface, with this filter and these untracked groups: the port is a downstream one.
    pub fn send_upstream(&mut self, filter: GroupFilter, untracked: &[&str]) -> Result<()> {
        self.set_upstream(false)?;
        let untracked = untracked.iter().map(|text| Ok(text.parse()?));
        let upstream = Upstream {
            interface: self.output,
            filter,
            untracked: untracked.collect::<Result<_>>()?,
        };
        for (prefix, class) in groups::prefixes(&[], Some(&upstream)) {
            self.datapath.put_group(prefix, class)?;
        }
        self.fib.set_upstream(Some(upstream))?;
        self.write_maps()
    }

    /// There is no upstream interface any more.
    pub fn lose_upstream(&mut self) -> Result<()> {
        self.fib.set_upstream(None)?;
        self.write_maps()
    }

    /// Attaches a program to a device, which has these `PORT_*` and accepts packets from anywhere.
    pub fn attach(&mut self, interface: IfIndex, hook: Hook, flags: u32) -> Result<Attachment> {
        let port = Port {
            flags,
            device: interface.0,
            ..self.port
        };
        self.datapath.put_port(interface, port)?;
        let anywhere = InterfaceSources {
            interface,
            addresses: Vec::new(),
            alt_subnets: vec!["0.0.0.0/0".parse()?],
        };
        for (prefix, class) in sources::prefixes(&[anywhere], &[]) {
            self.datapath.put_source(prefix, class)?;
        }
        Ok(self.datapath.attach(interface, hook)?)
    }

    /// Sets or clears flags of the port.
    pub fn set_flag(&mut self, flag: u32, on: bool) -> Result<()> {
        self.port.flags = (self.port.flags & !flag) | if on { flag } else { 0 };
        Ok(self.datapath.put_port(PORT, self.port)?)
    }

    /// Polices IGMP on the port.
    pub fn set_igmp_rate(&mut self, rate: Rate) -> Result<()> {
        self.port.igmp_rate = rate;
        Ok(self.datapath.put_port(PORT, self.port)?)
    }

    /// Writes the source prefixes of a port with these addresses and `alt_subnets`, beside another interface with
    /// 10.1.0.1/24.
    pub fn accept_sources(&mut self, addresses: &[&str], alt_subnets: &[&str]) -> Result<()> {
        let nets = |texts: &[&str]| texts.iter().map(|text| Ok(text.parse()?)).collect();
        let addresses: Result<Vec<_>> = nets(addresses);
        let port = InterfaceSources {
            interface: PORT,
            addresses: addresses?,
            alt_subnets: (nets(alt_subnets) as Result<Vec<_>>)?,
        };
        let other = InterfaceSources {
            interface: ELSEWHERE,
            addresses: vec!["10.1.0.1/24".parse()?],
            alt_subnets: Vec::new(),
        };
        let own = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 1, 0, 1)];
        for (prefix, class) in sources::prefixes(&[port, other], &own) {
            self.datapath.put_source(prefix, class)?;
        }
        Ok(())
    }

    /// Says what sources of a network are that send through the port: a `SOURCE_*`, or nothing of their own any more.
    pub fn classify_source(&mut self, network: &str, class: Option<u32>) -> Result<()> {
        let prefix = SourcePrefix {
            interface: PORT,
            network: network.parse()?,
        };
        match class {
            Some(class) => self.datapath.put_source(prefix, class)?,
            None => self.datapath.delete_source(prefix)?,
        }
        Ok(())
    }

    /// Has one output interface want `group` from `sources` (INCLUDE) or from all but them (EXCLUDE).
    pub fn join(&mut self, group: Ipv4Addr, mode: FilterMode, sources: &[Ipv4Addr]) -> Result<()> {
        let member = Member {
            interface: self.output,
            mode,
            sources: sources.to_vec(),
        };
        self.fib.update_group(group, &[member])?;
        self.write_maps()
    }

    /// Has nobody want `group`.
    pub fn leave(&mut self, group: Ipv4Addr) -> Result<()> {
        self.fib.update_group(group, &[])?;
        self.write_maps()
    }

    fn write_maps(&mut self) -> Result<()> {
        while let Some(change) = self.fib.poll_change() {
            let (egress, device) = (&self.egress, self.output);
            let sole = self.sole;
            let output = |program| Output {
                device,
                program,
                sole,
            };
            self.datapath.apply(&change, &|_| egress.fd().map(output))?;
        }
        Ok(())
    }

    /// Packets and bytes counted on (*,G).
    pub fn flow_stats(&self, group: Ipv4Addr) -> Result<FlowStats> {
        let id = FlowId {
            group,
            source: None,
        };
        self.datapath.flow_stats(id).context("no such flow")
    }

    /// igmpd says that it lives, and is believed for so long; zero is for ever.
    pub fn keep_alive(&mut self, hold_time: Duration) -> Result<()> {
        Ok(self.datapath.keep_alive(hold_time)?)
    }

    /// Runs the program on `frame` once.
    pub fn run(&mut self, frame: &[u8]) -> Result<Outcome> {
        self.run_repeated(frame, 1)
    }

    /// Runs the program on `frame` `repeat` times; the frame of the outcome is the last run's.
    pub fn run_repeated(&mut self, frame: &[u8], repeat: u32) -> Result<Outcome> {
        const SLOTS: [(IfIndex, u32); 2] = [(PORT, SLOT), (VLAN_PORT, VLAN_SLOT)];
        let before = SLOTS.map(|(_, slot)| self.datapath.counters(slot));
        let (verdict, frame, nanoseconds) = self.test_run(frame, repeat)?;
        let mut bumped = Vec::new();
        for ((port, slot), before) in SLOTS.into_iter().zip(before) {
            let (before, after) = (before?, self.datapath.counters(slot)?);
            for counter in Counter::ALL {
                let count = after[*counter as usize] - before[*counter as usize];
                if count > 0 {
                    bumped.push((port, *counter, count));
                }
            }
        }
        let [(port, counter, count)] = bumped[..] else {
            bail!("not one counter: {bumped:?}");
        };
        ensure!(
            count == u64::from(repeat),
            "a frame bumps one counter, {repeat} bumped {count}"
        );
        Ok(Outcome {
            verdict,
            frame,
            counter,
            port,
            nanoseconds,
        })
    }

    /// Runs the program on `frame` once, where another program on the port has counted it: it counts nothing.
    pub fn run_second(&mut self, frame: &[u8]) -> Result<(Verdict, Vec<u8>)> {
        let before = self.datapath.counters(SLOT)?;
        let (verdict, frame, _) = self.test_run(frame, 1)?;
        ensure!(self.datapath.counters(SLOT)? == before, "counted again");
        Ok((verdict, frame))
    }

    fn test_run(&mut self, frame: &[u8], repeat: u32) -> Result<(Verdict, Vec<u8>, u128)> {
        const TC_ACT_UNSPEC: u32 = u32::MAX;
        let mut data_out = vec![0; 8192];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut data_out),
            repeat,
            ..TestRunOptions::default()
        };
        let result = match self.hook {
            Hook::Tc => self.datapath.tc()?.test_run(options)?,
            Hook::XdpNative | Hook::XdpGeneric => self.datapath.ingress()?.test_run(options)?,
        };
        data_out.truncate(result.data_size_out as usize);
        let verdict = match (self.hook, result.return_value) {
            (Hook::Tc, TC_ACT_UNSPEC) | (Hook::XdpNative | Hook::XdpGeneric, 2) => Verdict::Pass,
            (Hook::Tc, 7) | (Hook::XdpNative | Hook::XdpGeneric, 4) => Verdict::Redirect,
            (_, other) => Verdict::Other(other),
        };
        Ok((verdict, data_out, result.duration.as_nanos()))
    }

    /// Runs the program on `frame` and has the kernel send the copies: each passes its egress program and leaves through
    /// the device.
    pub fn run_live(&mut self, frame: &[u8]) -> Result<()> {
        self.datapath.ingress()?.test_run(TestRunOptions {
            data_in: Some(frame),
            attrs: TestRunAttrs::new().xdp_live_frames(1),
            ..TestRunOptions::default()
        })?;
        Ok(())
    }

    /// Copies that the output's egress program has dropped.
    pub fn egress_drops(&self) -> Result<EgressDrops> {
        Ok(self.egress.drops()?)
    }

    /// The next IGMP message on its way to userspace, as the program wrote it.
    pub fn next_record(&mut self) -> Option<Vec<u8>> {
        self.events.next().map(|record| record.to_vec())
    }

    /// The next refused source on its way to userspace.
    pub fn next_refusal(&mut self) -> Option<Refusal> {
        let record = self.refusals.next()?;
        let ([ifindex, counter, source, group], []) = record.as_chunks() else {
            return None;
        };
        Some(Refusal {
            ifindex: u32::from_ne_bytes(*ifindex),
            counter: u32::from_ne_bytes(*counter),
            source: *source,
            group: *group,
        })
    }
}
