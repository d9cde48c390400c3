//! Hot backup: what the sessions with other gateways mean for the interfaces here.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{info, warn};

use super::{Daemon, seed};
use crate::api::EventKind;
use crate::backup::{Direction, Event, Output, Role};
use crate::config::{Access, Config, RemoteBackupProfile};
use crate::io::backup::link::Incoming;
use crate::io::backup::peers::{Peer, Peers, Prepared};
use crate::io::ports::{ConfiguredPort, Gate};
use crate::proto::{self, IfIndex, Input};
use crate::wire;

impl Daemon {
    /// Something happened on a connection to another gateway.
    pub(super) fn hear_peer(&mut self, incoming: Incoming) {
        let now = self.now();
        self.peers.handle(now, incoming, seed());
    }

    /// Takes over the profiles of a configuration whose files are good.
    pub(super) fn follow_profiles(&mut self, prepared: Prepared, control_socket: &Path) {
        let now = self.now();
        let last_role = |profile: &RemoteBackupProfile| {
            read_role(&role_file(control_socket, &profile.name), profile.role)
        };
        let clients = self.clients.clone();
        let entered = clients.enter();
        self.peers.configure(now, prepared, last_role, seed);
        drop(entered);
        self.follow_roles();
    }

    /// Lets everything happen that sessions have to say; says whether there was anything.
    pub(super) fn settle_peers(&mut self) -> bool {
        let mut is_any = false;
        while let Some((profile, output)) = self.next_of_peers() {
            is_any = true;
            self.carry_out_for(&profile, output);
        }
        if self.peers.has_waited() {
            self.follow_roles();
        }
        is_any
    }

    fn next_of_peers(&mut self) -> Option<(String, Output)> {
        self.peers.iter_mut().find_map(|peer| {
            let output = peer.session.poll_output()?;
            Some((peer.config.name.clone(), output))
        })
    }

    fn carry_out_for(&mut self, profile: &str, output: Output) {
        let now = self.now();
        match output {
            Output::RoleChanged { role, cause } => {
                info!(profile, %cause, "now {role}");
                self.follow_roles();
                let file = role_file(&self.config.control_socket, profile);
                let configured = self.peers.get_mut(profile).map(|peer| peer.config.role);
                if let Err(error) = keep_role(&file, role, configured) {
                    warn!(
                        "{}: role not kept for the next start: {error}",
                        file.display()
                    );
                }
                let (profile, cause) = (profile.to_owned(), cause.to_string());
                self.publish_for_all(EventKind::BackupRole {
                    profile,
                    role,
                    cause,
                });
            }
            Output::Feed {
                interface, packet, ..
            } => {
                if let Some(interface) = self.index_of(&interface) {
                    let packet = wire::ipv4::parse(&packet);
                    let input = Input::Received { interface, packet };
                    self.router.handle_input(now, input);
                }
            }
            Output::Restore { interface, states } => {
                if let Some(interface) = self.index_of(&interface) {
                    for state in states {
                        let input = Input::Restore { interface, state };
                        self.router.handle_input(now, input);
                    }
                }
            }
            Output::Retain { interface, groups } => {
                if let Some(interface) = self.index_of(&interface) {
                    let input = Input::Retain { interface, groups };
                    self.router.handle_input(now, input);
                }
            }
            Output::NeedSnapshot { interfaces } => self.give_snapshot(profile, &interfaces),
            Output::Disconnect(_) => {
                if let Some(peer) = self.peers.get_mut(profile) {
                    peer.hang_up(now);
                }
            }
            Output::Event(event) => self.tell_of_peer(profile, &event),
        }
    }

    fn give_snapshot(&mut self, profile: &str, interfaces: &[Arc<str>]) {
        let now = self.now();
        let indexes: Vec<_> = interfaces
            .iter()
            .map(|name| (name, self.index_of(name)))
            .collect();
        let Some(peer) = self.peers.get_mut(profile) else {
            return;
        };
        for (name, index) in indexes {
            if let Some(state) = index.and_then(|index| self.router.interface(index)) {
                peer.session.snapshot(now, name, state.export(now));
            }
        }
        peer.session.snapshot_end(now);
    }

    fn tell_of_peer(&mut self, profile: &str, event: &Event) {
        if *event == (Event::BothMaster { gave_way: false }) {
            self.be_querier_again(profile);
        }
        let is_news = (self.peers.get_mut(profile)).is_some_and(|peer| peer.is_news(event));
        if !is_news {
            return;
        }
        match event {
            Event::BothMaster { .. } | Event::BothBackup | Event::QueueFull { .. } => {
                warn!(profile, "{event}");
            }
            _ => info!(profile, "{event}"),
        }
        self.publish_for_all(EventKind::backup(profile, event));
    }

    /// Brings gates and routers in line with the roles. Closed before anything is silent, open before anybody is asked.
    pub(super) fn follow_roles(&mut self) {
        let gates = self.peers.gates();
        let events = self
            .ports
            .set_gates(gates, &mut self.datapath, &self.socket);
        self.handle_port_events(events);
        let now = self.now();
        let standby: Vec<_> = self
            .ports
            .iter()
            .filter_map(|port| Some((port.index()?, self.peers.is_standby(&port.config.name))))
            .collect();
        for (interface, standby) in standby {
            let input = Input::Standby { interface, standby };
            self.router.handle_input(now, input);
        }
        // Who forwards may be another one, and with it which members count upstream.
        self.open_ports();
        self.router_groups_are_dirty();
    }

    /// While both were master, the other one may have been elected querier, which it no longer is.
    fn be_querier_again(&mut self, profile: &str) {
        let now = self.now();
        let Some(peer) = self.peers.get_mut(profile) else {
            return;
        };
        let names: Vec<_> = peer.config.interfaces.clone();
        for mapped in names {
            if let Some(interface) = self.index_of(&mapped.local) {
                for standby in [true, false] {
                    let input = Input::Standby { interface, standby };
                    self.router.handle_input(now, input);
                }
            }
        }
        self.open_ports();
    }

    /// Says which interfaces are copied, as configuration and devices are now.
    pub(super) fn follow_copied(&mut self) {
        let ports = &self.ports;
        for peer in self.peers.iter_mut() {
            let names = peer.config.interfaces.clone();
            for interface in names {
                let port = ports
                    .iter()
                    .find(|port| port.config.name == interface.local);
                let is_copied = peer.config.dhcp_stb_igmp_copy || port.is_some_and(is_pppoe);
                peer.session.set_copied(&interface.local, is_copied);
            }
        }
    }

    /// Whether what is accepted on an interface is of interest to another gateway.
    pub(super) fn is_copied(&self, interface: IfIndex) -> bool {
        // Most gateways are alone.
        if self.peers.is_empty() {
            return false;
        }
        let port = self.ports.by_index(interface);
        port.is_some_and(|port| self.tells_accepted(port))
    }

    /// Whether the router has to tell what it accepts on a port.
    pub(super) fn tells_accepted(&self, port: &ConfiguredPort) -> bool {
        self.peers.of_interface(&port.config.name).is_some()
    }

    /// Carries out what the message just received brought about, and copies it if it was accepted.
    pub(super) fn copy_if_accepted(&mut self, interface: IfIndex, packet: &[u8]) {
        let mut is_accepted = false;
        while let Some(output) = self.router.poll_output() {
            if matches!(output, proto::Output::Accepted { .. }) {
                is_accepted = true;
            } else {
                self.carry_out(output);
            }
        }
        let now = self.now();
        let Some(port) = self.ports.by_index(interface).filter(|_| is_accepted) else {
            return;
        };
        let name = port.config.name.clone();
        for peer in self.peers.iter_mut() {
            peer.session.copy(&name, packet, now);
        }
    }

    /// Whether the members of an interface count upstream.
    pub(super) fn counts_upstream(&self, interface: IfIndex, state: &proto::Interface) -> bool {
        if !state.is_standby() {
            return true;
        }
        let port = self.ports.by_index(interface);
        let peer = port.and_then(|port| self.peers.of_interface(&port.config.name));
        peer.is_none_or(|peer| peer.config.upstream_join)
    }

    /// An operator, or a script of keepalived, says who is master.
    ///
    /// # Errors
    ///
    /// One line for a person: there is no such profile.
    pub(in crate::io) fn set_backup_role(
        &mut self,
        profile: &str,
        role: Role,
    ) -> Result<String, String> {
        let peer = self.peer(profile)?;
        peer.session.set_role(role);
        Ok(format!("{profile}: {role}"))
    }

    /// An operator blocks copies in a direction, or lets them through again.
    ///
    /// # Errors
    ///
    /// One line for a person: there is no such profile.
    pub(in crate::io) fn block_backup(
        &mut self,
        profile: &str,
        direction: Direction,
        blocked: bool,
    ) -> Result<String, String> {
        let peer = self.peer(profile)?;
        peer.session.set_blocked(direction, blocked);
        let what = match direction {
            Direction::Send => "send",
            Direction::Receive => "receive",
        };
        let how = if blocked {
            "blocked"
        } else {
            "no longer blocked"
        };
        Ok(format!("{profile}: {what} {how}"))
    }

    fn peer(&mut self, profile: &str) -> Result<&mut Peer, String> {
        let known: Vec<_> = self.peers.iter().map(|peer| &*peer.config.name).collect();
        let unknown = match known[..] {
            [] => format!("{profile}: no remote_backup_profile is configured"),
            _ => format!(
                "{profile}: no such remote_backup_profile; there are {}",
                known.join(", ")
            ),
        };
        self.peers.get_mut(profile).ok_or(unknown)
    }

    fn index_of(&self, name: &str) -> Option<IfIndex> {
        let mut ports = self.ports.iter();
        ports.find(|port| port.config.name == name)?.index()
    }
}

/// PPP devices carry PPPoE sessions unless the configuration says otherwise.
fn is_pppoe(port: &ConfiguredPort) -> bool {
    let is_ppp = || {
        port.device
            .as_ref()
            .is_some_and(|device| device.link.is_ppp)
    };
    match port.config.access {
        Some(access) => access == Access::Pppoe,
        None => is_ppp(),
    }
}

/// Where the last role of a profile is kept while the machine runs: igmpd may be restarted, or dead when a script of
/// keepalived tells it.
#[must_use]
pub fn role_file(control_socket: &Path, profile: &str) -> PathBuf {
    control_socket.with_file_name(format!("backup-{profile}.role"))
}

/// The role kept in a file, unless it was kept under a configuration that said otherwise than now.
fn read_role(path: &Path, configured: Role) -> Option<Role> {
    let text = fs::read_to_string(path).ok()?;
    let role = |word: &str| {
        let roles = [Role::Master, Role::Backup];
        roles.into_iter().find(|role| role.to_string() == word)
    };
    let mut words = text.split_whitespace();
    let last = role(words.next()?)?;
    let was_configured = words.next().and_then(role).unwrap_or(configured);
    (was_configured == configured).then_some(last)
}

/// Keeps a role for the next start; `configured` is what the configuration says, if that is known.
///
/// # Errors
///
/// The directory is not there, or not ours to write to.
pub fn keep_role(path: &Path, role: Role, configured: Option<Role>) -> io::Result<()> {
    // Nobody reads half of it.
    let fresh = path.with_extension("new");
    let configured = configured.map(|role| format!(" {role}"));
    fs::write(
        &fresh,
        format!("{role}{}\n", configured.unwrap_or_default()),
    )?;
    fs::rename(fresh, path)
}

/// The gates with which the interfaces of `config` begin: as they are, that of its profile where an interface comes into one,
/// and closed where the profile is new.
pub(super) fn gates_ahead(config: &Config, peers: &Peers) -> BTreeMap<String, Gate> {
    let profiles = config.remote_backup_profiles.iter();
    let begin = profiles.flat_map(|profile| {
        let gate = peers.gate(&profile.name).unwrap_or(Gate::Closed);
        let names = profile.interfaces.iter();
        names.map(move |interface| (interface.local.clone(), gate))
    });
    begin.chain(peers.gates()).collect()
}

/// The profiles of `config`, if their files are good.
///
/// # Errors
///
/// The first file that is not.
pub(super) fn prepare(config: &Config) -> anyhow::Result<Prepared> {
    Ok(Prepared::new(&config.remote_backup_profiles)?)
}
