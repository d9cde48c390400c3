//! Following a changed configuration, and the devices that a pattern stands for: interfaces come, go and change, and
//! those that stay as they were see nothing.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use igmp_common::maps::MAX_PORTS;
use igmp_common::police::Rate;
use tracing::{info, warn};

use super::super::datapath::Datapath;
use super::super::links::Snapshot;
use super::super::packet_socket::PacketSocket;
use super::device::{
    World, attach, end_multicast, load_egress, receive_multicast, release, tell_program,
};
use super::follow::{attach_again, stop};
use super::{ConfiguredPort, Gate, PortEvent, Ports, gate_of};
use crate::config::{InterfaceConfig, pattern};

impl Ports {
    /// Takes over `rules` and `igmp_rate`. [`Ports::reconcile`] then starts what can start.
    ///
    /// # Errors
    ///
    /// A new interface that is named refuses our programs, or there are too many. Nothing has changed then.
    pub fn reconfigure(
        &mut self,
        rules: Vec<InterfaceConfig>,
        igmp_rate: Rate,
        snapshot: &Snapshot,
        datapath: &mut Datapath,
        socket: &PacketSocket,
    ) -> Result<Vec<PortEvent>> {
        check_number(&rules)?;
        let snapshot = &self.complete(snapshot, &rules);
        let hooks = std::mem::take(&mut self.hooks);
        let mut world = World::new(igmp_rate, hooks, datapath, socket);
        let mut added = match self.attach_named(&rules, snapshot, &mut world) {
            Ok(added) => added,
            Err(error) => {
                self.hooks = world.hooks;
                return Err(error);
            }
        };
        let rate_changed = self.igmp_rate != igmp_rate;
        self.igmp_rate = igmp_rate;
        self.rules = rules;
        let mut events = Vec::new();
        self.take_over(snapshot, &mut added, &mut world, &mut events);
        if rate_changed {
            for port in &self.configured {
                tell_program(port, igmp_rate, world.datapath);
            }
        }
        self.hooks = world.hooks;
        Ok(events)
    }

    /// Has one port for each interface that the rules stand for now, in their order. Those that are in `added` already
    /// are used; others are new, without a device yet.
    pub(super) fn take_over(
        &mut self,
        snapshot: &Snapshot,
        added: &mut BTreeMap<String, ConfiguredPort>,
        world: &mut World<'_>,
        events: &mut Vec<PortEvent>,
    ) {
        let wanted = self.wanted(snapshot);
        let mut free = self.free_slots(added.values().map(|port| port.slot));
        let ports = std::mem::take(&mut self.configured);
        let mut present: BTreeMap<String, ConfiguredPort> = ports
            .into_iter()
            .map(|port| (port.config.name.clone(), port))
            .collect();
        let mut left_out = 0;
        for config in wanted {
            if let Some(mut port) = present.remove(&config.name) {
                if port.config != config {
                    change(&mut port, config, snapshot, world, events);
                }
                self.configured.push(port);
            } else if let Some(port) = added.remove(&config.name) {
                self.configured.push(port);
            } else if let Some(slot) = free.pop_first() {
                self.warn_of_two_patterns(&config);
                let gate = gate_of(&self.gates, &config);
                self.configured
                    .push(new_port(config, slot, gate, world.datapath));
            } else {
                left_out += 1;
            }
        }
        if left_out > 0 && left_out != self.left_out {
            warn!(
                left_out,
                "more devices match than the {} that are possible",
                MAX_PORTS - 1
            );
        }
        self.left_out = left_out;
        for (name, mut port) in present {
            info!(interface = name, "no longer an interface of ours");
            stop(&mut port, events);
            if let Some(index) = port.index() {
                release(index, port.config.role, world);
            }
        }
    }

    /// The interfaces that the rules stand for, given the devices there are.
    pub(super) fn wanted(&self, snapshot: &Snapshot) -> Vec<InterfaceConfig> {
        let devices: Vec<&str> = snapshot.links.keys().map(String::as_str).collect();
        pattern::expand(&self.rules, &devices)
    }

    fn free_slots(&self, taken: impl Iterator<Item = u32>) -> BTreeSet<u32> {
        let mut free: BTreeSet<u32> = (1..MAX_PORTS).collect();
        for slot in self.configured.iter().map(|port| port.slot).chain(taken) {
            free.remove(&slot);
        }
        free
    }

    fn warn_of_two_patterns(&self, config: &InterfaceConfig) {
        let rules = pattern::rules_for(&self.rules, &config.name);
        let patterns: Vec<&str> = rules.map(|rule| &*rule.name).collect();
        if config.pattern.is_some()
            && let [first, second, ..] = patterns[..]
        {
            warn!(
                interface = config.name,
                "matches {first} and {second}: {first} counts, which comes first"
            );
        }
    }

    /// The interfaces that are named and not used yet, attached where they have a device; on an error none is.
    fn attach_named(
        &self,
        rules: &[InterfaceConfig],
        snapshot: &Snapshot,
        world: &mut World<'_>,
    ) -> Result<BTreeMap<String, ConfiguredPort>> {
        let mut added = BTreeMap::new();
        let mut attach_one = |config: InterfaceConfig, slot: u32| {
            let gate = gate_of(&self.gates, &config);
            let mut port = new_port(config, slot, gate, world.datapath);
            let name = port.config.name.clone();
            if let Some(link) = snapshot.links.get(&name) {
                let device = attach(&mut port, link, snapshot, world);
                port.device = Some(device.with_context(|| name.clone())?);
            }
            added.insert(name, port);
            Ok(())
        };
        let present: BTreeSet<&str> = self
            .configured
            .iter()
            .map(|port| &*port.config.name)
            .collect();
        let mut slots = self.free_slots(std::iter::empty());
        // Without devices the rules stand for what they name.
        let mut named = pattern::expand(rules, &[]).into_iter();
        let result: Result<()> = named.try_for_each(|config| {
            if present.contains(&*config.name) {
                return Ok(());
            }
            let slot = slots
                .pop_first()
                .context("too many interfaces come and go at once; reload in two steps")?;
            attach_one(config, slot)
        });
        match result {
            Ok(()) => {
                added.values().for_each(log_attached);
                Ok(added)
            }
            Err(error) => {
                for port in added.values() {
                    if let Some(index) = port.index() {
                        release(index, port.config.role, world);
                    }
                }
                Err(error)
            }
        }
    }
}

/// What has become of a new port, told when nothing can take it back any more.
fn log_attached(port: &ConfiguredPort) {
    let interface = &port.config.name;
    if let Some(device) = &port.device {
        let (index, how) = (device.link.index.0, &device.choice.reason);
        info!(interface, ifindex = index, "attached: {how}");
    } else {
        warn!(interface, "no such device yet");
    }
}

/// A port without a device, whose counters start at zero.
fn new_port(
    config: InterfaceConfig,
    slot: u32,
    gate: Gate,
    datapath: &mut Datapath,
) -> ConfiguredPort {
    if let Err(error) = datapath.reset_counters(slot) {
        warn!(interface = config.name, "counters not zeroed: {error}");
    }
    ConfiguredPort {
        gate,
        ..ConfiguredPort::new(config, slot)
    }
}

/// Gives a port its new configuration, which is another one.
fn change(
    port: &mut ConfiguredPort,
    config: InterfaceConfig,
    snapshot: &Snapshot,
    world: &mut World<'_>,
    events: &mut Vec<PortEvent>,
) {
    if port.config.role != config.role {
        stop(port, events);
        if let Some(index) = port.index() {
            end_multicast(port.config.role, index, world.socket);
            if let Err(error) = receive_multicast(config.role, index, world.socket) {
                warn!(interface = config.name, "{error:#}");
            }
        }
    }
    let is_other_mode = port.config.mode != config.mode;
    let is_other_egress = port.config.ttl_threshold != config.ttl_threshold;
    port.config = config;
    port.reconfigured = true;
    if is_other_mode {
        attach_again(port, snapshot, world, events);
    } else if is_other_egress {
        load_egress(port, world, events);
    } else {
        tell_program(port, world.igmp_rate, world.datapath);
    }
}

/// Whether the kernel's tables have room for so many.
pub(super) fn check_number(rules: &[InterfaceConfig]) -> Result<()> {
    ensure!(
        rules.len() < MAX_PORTS as usize,
        "{} interfaces configured, at most {} are possible",
        rules.len(),
        MAX_PORTS - 1
    );
    Ok(())
}
