//! Reading the configuration file again: all of it or nothing.

use igmp_common::police::Rate;
use tracing::{error, info, warn};

use super::interfaces::ready;
use super::{Daemon, backup};
use crate::api::Reload;
use crate::config::{self, Config, Role};
use crate::io::multicast_router;
use crate::proto::{Input, Policy};

impl Daemon {
    /// Reads the configuration file again and follows what has changed; with `dry_run` it only says what that is.
    ///
    /// # Errors
    ///
    /// One line for a person: there is no file, it is not good, it changes what a running daemon cannot, or a new
    /// interface refuses. Nothing has changed then.
    pub(in crate::io) fn reload(&mut self, dry_run: bool) -> Result<Reload, String> {
        let Some(file) = &self.file else {
            return Err(
                "igmpd was started with flags: there is no file to read again; restart it with other flags".into(),
            );
        };
        let name = file.path.display().to_string();
        let config = file.read().map_err(|error| error.to_string())?;
        let changes =
            config::diff(&self.config, &config).map_err(|fixed| format!("{name}: {fixed}"))?;
        let reload = Reload {
            warnings: config.warnings(),
            applied: !dry_run,
            changes,
            file: name,
        };
        if !dry_run {
            self.follow_config(config)
                .map_err(|error| format!("{}: {error:#}; nothing has changed", reload.file))?;
            log(&reload);
        }
        Ok(reload)
    }

    /// [`reload`](Self::reload) as SIGHUP asks for it, with nobody to answer.
    pub(super) fn reload_on_signal(&mut self) {
        if let Err(reason) = self.reload(false) {
            error!("not reloaded: {reason}");
        }
    }

    fn follow_config(&mut self, config: Config) -> anyhow::Result<()> {
        let profiles = backup::prepare(&config)?;
        // An interface that comes in shares its hosts before it forwards to them.
        let events = self.ports.set_gates(
            backup::gates_ahead(&config, &self.peers),
            &mut self.datapath,
            &self.socket,
        );
        self.handle_port_events(events);
        if upstream_name(&self.config) != upstream_name(&config) {
            // While there still is a way to say so. What is wanted is asked for again on the new one.
            self.leave_upstream();
            self.router_groups_are_dirty();
        }
        let events = self.ports.reconfigure(
            config.interface_rules(),
            igmp_rate(&config),
            &self.snapshot,
            &mut self.datapath,
            &self.socket,
        );
        let events = events.inspect_err(|_| self.follow_roles())?;
        self.follow_profiles(profiles, &config.control_socket);
        self.handle_port_events(events);
        if self.config.policy != config.policy {
            self.replace_policy(config.policy.clone());
        }
        self.proxy.set_linger(config.proxy.leave_linger);
        let limit = config.multicast_filter as usize;
        if let Err(error) = self.multicast.set_limit(&self.socket, limit) {
            warn!("multicast_filter: {error}");
        }
        multicast_router::warn_if_active(&config);
        self.config = config;
        self.follow_links(self.snapshot.clone());
        Ok(())
    }

    /// The router is told of lists and of the interfaces that name them one after the other. No list is asked in
    /// between: no member goes because its list has not come yet, or is gone already.
    fn replace_policy(&mut self, policy: Policy) {
        let now = self.now();
        let running: Vec<_> = self
            .ports
            .iter()
            .filter_map(|port| ready(port, self.tells_accepted(port)))
            .collect();
        for mut input in running.clone() {
            if let Input::InterfaceReady { policy, .. } = &mut input {
                policy.group_policy = None;
            }
            self.router.handle_input(now, input);
        }
        self.router.handle_input(now, Input::Policy(policy));
        for input in running {
            self.router.handle_input(now, input);
        }
    }
}

/// The interface that is upstream while `config` is in force.
fn upstream_name(config: &Config) -> Option<String> {
    let mut interfaces = config.interface_rules().into_iter();
    let upstream = interfaces.find(|interface| interface.role == Role::Upstream)?;
    Some(upstream.name)
}

/// How many IGMP messages of one interface reach userspace.
pub(super) fn igmp_rate(config: &Config) -> Rate {
    Rate::new(config.igmp_rate, config.igmp_burst)
}

fn log(reload: &Reload) {
    info!(
        file = reload.file,
        changes = reload.changes.len(),
        "reloaded"
    );
    for change in &reload.changes {
        info!("{change}");
    }
    for warning in &reload.warnings {
        warn!("{warning}");
    }
}
