//! Following a changed configuration: interfaces come, go and change, and those that stay as they were see nothing.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use igmp_common::maps::MAX_PORTS;
use igmp_common::police::Rate;
use tracing::{info, warn};

use super::super::datapath::Datapath;
use super::super::links::Snapshot;
use super::super::packet_socket::PacketSocket;
use super::{ConfiguredPort, PortEvent, Ports, attach, entry, release, stop};
use crate::config::{InterfaceConfig, Role};
use crate::proto::IfIndex;

impl Ports {
    /// Takes over `interfaces` and `igmp_rate`. [`Ports::reconcile`] then starts what can start.
    ///
    /// # Errors
    ///
    /// A new interface refuses our programs, or there are too many. Nothing has changed then.
    pub fn reconfigure(
        &mut self,
        interfaces: Vec<InterfaceConfig>,
        igmp_rate: Rate,
        snapshot: &Snapshot,
        datapath: &mut Datapath,
        socket: &PacketSocket,
    ) -> Result<Vec<PortEvent>> {
        let interfaces = enabled(interfaces)?;
        let mut added = self.attach_new(&interfaces, igmp_rate, snapshot, datapath, socket)?;

        let upstream_before = self.upstream();
        let mut events = Vec::new();
        let ports = std::mem::take(&mut self.configured);
        let mut present: BTreeMap<String, ConfiguredPort> = ports
            .into_iter()
            .map(|port| (port.config.name.clone(), port))
            .collect();
        let is_same_rate = self.igmp_rate == igmp_rate;
        self.igmp_rate = igmp_rate;
        for config in interfaces {
            if let Some(mut port) = present.remove(&config.name) {
                let is_same_role = port.config.role == config.role;
                change(&mut port, config, &mut events);
                if !(is_same_role && is_same_rate) {
                    tell_program(&port, igmp_rate, datapath);
                }
                self.configured.push(port);
            } else {
                self.configured.extend(added.remove(&config.name));
            }
        }
        for (name, mut port) in present {
            info!(interface = name, "no longer configured");
            stop(&mut port, &mut events);
            if let Some(index) = port.index() {
                release(index, datapath, socket);
            }
        }
        let upstream = self.upstream();
        if upstream != upstream_before {
            events.push(PortEvent::Upstream(upstream));
        }
        Ok(events)
    }

    /// The device of the upstream interface.
    #[must_use]
    pub fn upstream(&self) -> Option<IfIndex> {
        let mut ports = self.configured.iter();
        ports
            .find(|port| port.config.role == Role::Upstream)?
            .index()
    }

    /// The interfaces that are not configured yet, attached where they have a device; on an error none is.
    fn attach_new(
        &self,
        interfaces: &[InterfaceConfig],
        igmp_rate: Rate,
        snapshot: &Snapshot,
        datapath: &mut Datapath,
        socket: &PacketSocket,
    ) -> Result<BTreeMap<String, ConfiguredPort>> {
        let mut added = BTreeMap::new();
        let mut attach_one = |config: &InterfaceConfig, slot: u32| {
            datapath.reset_counters(slot)?;
            let mut port = ConfiguredPort::new(config.clone(), slot);
            if let Some(link) = snapshot.links.get(&config.name) {
                let device = attach(&mut port, link, igmp_rate, datapath, socket);
                port.device = Some(device.with_context(|| config.name.clone())?);
                info!(interface = config.name, ifindex = link.index.0, "attached");
            } else {
                warn!(interface = config.name, "no such device yet");
            }
            added.insert(config.name.clone(), port);
            Ok(())
        };
        let is_new = |config: &&InterfaceConfig| {
            let mut names = self.configured.iter().map(|port| &port.config.name);
            names.all(|name| *name != config.name)
        };
        let is_free = |slot: &u32| self.configured.iter().all(|port| port.slot != *slot);
        let mut slots = (1..MAX_PORTS).filter(is_free);
        let result: Result<()> = interfaces.iter().filter(is_new).try_for_each(|config| {
            let slot = slots
                .next()
                .context("too many interfaces come and go at once; reload in two steps")?;
            attach_one(config, slot)
        });
        match result {
            Ok(()) => Ok(added),
            Err(error) => {
                for index in added.values().filter_map(ConfiguredPort::index) {
                    release(index, datapath, socket);
                }
                Err(error)
            }
        }
    }
}

/// Gives a port its new configuration.
fn change(port: &mut ConfiguredPort, config: InterfaceConfig, events: &mut Vec<PortEvent>) {
    if port.config == config {
        return;
    }
    if port.config.role != config.role {
        stop(port, events);
    }
    port.config = config;
    port.reconfigured = true;
}

/// Tells the ingress program what has changed for it.
fn tell_program(port: &ConfiguredPort, igmp_rate: Rate, datapath: &mut Datapath) {
    let Some(device) = &port.device else { return };
    let entry = entry(port.slot, port.config.role, igmp_rate, device.mac);
    if let Err(error) = datapath.put_port(device.link.index, entry) {
        warn!(
            interface = port.config.name,
            "kernel map not written: {error}"
        );
    }
}

/// The interfaces that are not `disabled`, provided that the kernel's tables have room for them.
pub(super) fn enabled(mut interfaces: Vec<InterfaceConfig>) -> Result<Vec<InterfaceConfig>> {
    interfaces.retain(|interface| interface.role != Role::Disabled);
    ensure!(
        interfaces.len() < MAX_PORTS as usize,
        "{} interfaces configured, at most {} are possible",
        interfaces.len(),
        MAX_PORTS - 1
    );
    Ok(interfaces)
}
