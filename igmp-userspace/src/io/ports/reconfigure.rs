//! Following a changed configuration: interfaces come, go and change, and those that stay as they were see nothing.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use igmp_common::maps::MAX_PORTS;
use igmp_common::police::Rate;
use tracing::{info, warn};

use super::super::datapath::Datapath;
use super::super::links::Snapshot;
use super::super::packet_socket::PacketSocket;
use super::{
    ConfiguredPort, PortEvent, Ports, attach, end_multicast, load_egress, receive_multicast,
    release, stop, tell_program,
};
use crate::config::{InterfaceConfig, Role};

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
        check_number(&interfaces)?;
        let mut added = self.attach_new(&interfaces, igmp_rate, snapshot, datapath, socket)?;

        let mut events = Vec::new();
        let ports = std::mem::take(&mut self.configured);
        let mut present: BTreeMap<String, ConfiguredPort> = ports
            .into_iter()
            .map(|port| (port.config.name.clone(), port))
            .collect();
        let rate_changed = self.igmp_rate != igmp_rate;
        self.igmp_rate = igmp_rate;
        for config in interfaces {
            if let Some(mut port) = present.remove(&config.name) {
                if port.config != config {
                    change(&mut port, config, igmp_rate, datapath, socket, &mut events);
                } else if rate_changed {
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
                release(index, port.config.role, datapath, socket);
            }
        }
        Ok(events)
    }

    /// The upstream interface.
    #[must_use]
    pub fn upstream(&self) -> Option<&ConfiguredPort> {
        let mut ports = self.configured.iter();
        ports.find(|port| port.config.role == Role::Upstream)
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
                for port in added.values() {
                    if let Some(index) = port.index() {
                        release(index, port.config.role, datapath, socket);
                    }
                }
                Err(error)
            }
        }
    }
}

/// Gives a port its new configuration, which is another one.
fn change(
    port: &mut ConfiguredPort,
    config: InterfaceConfig,
    igmp_rate: Rate,
    datapath: &mut Datapath,
    socket: &PacketSocket,
    events: &mut Vec<PortEvent>,
) {
    if port.config.role != config.role {
        stop(port, events);
        if let Some(index) = port.index() {
            end_multicast(port.config.role, index, socket);
            if let Err(error) = receive_multicast(config.role, index, socket) {
                warn!(interface = config.name, "{error:#}");
            }
        }
    }
    let is_other_egress = port.config.ttl_threshold != config.ttl_threshold;
    port.config = config;
    port.reconfigured = true;
    if is_other_egress {
        load_egress(port, igmp_rate, datapath, events);
    } else {
        tell_program(port, igmp_rate, datapath);
    }
}

/// Whether the kernel's tables have room for so many.
pub(super) fn check_number(interfaces: &[InterfaceConfig]) -> Result<()> {
    ensure!(
        interfaces.len() < MAX_PORTS as usize,
        "{} interfaces configured, at most {} are possible",
        interfaces.len(),
        MAX_PORTS - 1
    );
    Ok(())
}
