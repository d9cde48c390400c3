//! Taking over from the igmpd before, and leaving all to the next: no packet is lost on the way, and no IGMP message.
//!
//! The programs before run on with their own maps until ours hold every flow that they did. Only then is each link given
//! our program, in one step. What hosts have said in between is in the rings before and is heard now.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, bail};
use tracing::{error, info, warn};

use super::Daemon;
use crate::io::datapath::pins::{Known, Pins};
use crate::io::datapath::{Place, has_tcx};
use crate::io::events;
use crate::proto::{Event, EventKind, Input, Output};

impl Daemon {
    /// Takes over what is pinned, if anything is, and pins what is ours, if it is to outlive us.
    ///
    /// # Errors
    ///
    /// A pin is not what its name says, or the kernel refuses. What was forwarded is forwarded still.
    pub(super) async fn succeed(&mut self, mut pins: Pins) -> Result<()> {
        let known = read(&pins);
        let memberships = self.adopt(&known);
        self.install_all().await?;
        pins.commit();
        for attachment in self.ports.attachments_mut() {
            self.datapath.take_over(attachment)?;
        }
        self.datapath.end_inheritance();
        self.inherited_events = known.into_iter().map(|known| known.events).collect();
        let messages = self.hear_inherited();
        if !pins.generations().is_empty() {
            let groups = self.fib.groups().len();
            info!(
                memberships,
                groups, messages, "took over from the igmpd before"
            );
        }
        pins.finish()?;
        if self.config.persist && !has_tcx() {
            warn!(
                "what TC forwards ends with igmpd: before kernel 6.6 there is no tcx; `igmpctl show interfaces` says where \
                 TC forwards"
            );
        }
        self.pins = Some(pins);
        self.follow_pins();
        Ok(())
    }

    /// Pins the programs on new devices and unpins those of devices that are no longer ours.
    pub(super) fn follow_pins(&mut self) {
        let Some(pins) = &mut self.pins else { return };
        let mut places = BTreeSet::new();
        for attachment in self.ports.attachments_mut() {
            let place = attachment.place();
            places.insert(place);
            if attachment.is_to_be_pinned()
                && let Some(path) = pins.path_for(place)
                && let Err(error) = self.datapath.pin(attachment, path)
            {
                let Place { interface, hook } = place;
                error!(
                    ifindex = interface.0,
                    "{hook} will not outlive igmpd: {error}"
                );
            }
        }
        pins.retain_links(&places);
    }

    /// Says to the kernel programs that igmpd lives, where they would outlive it.
    pub(super) fn keep_alive(&mut self) {
        let hold_time = if self.config.persist {
            self.config.hold_time
        } else {
            Duration::ZERO
        };
        if let Err(error) = self.datapath.keep_alive(hold_time) {
            error!("kernel map not written: {error}");
        }
    }

    /// The last thing before the end.
    pub(super) fn stop(&mut self) {
        if self.config.persist {
            // In full from now on. The upstream is not left: the next igmpd asks for the same.
            self.keep_alive();
            info!("stopping; what is forwarded goes on without igmpd, `igmpctl detach` ends it");
        } else {
            info!("stopping");
            self.leave_upstream();
        }
    }

    /// Handles what has come in through the programs before, and says how many messages that were. The last may come a
    /// little after our programs have taken their place: those that ran on another processor had to end.
    pub(super) fn hear_inherited(&mut self) -> usize {
        let mut messages = Vec::new();
        for ring in &mut self.inherited_events {
            while let Some(record) = ring.next() {
                messages.extend(events::parse(&record));
            }
        }
        let count = messages.len();
        self.receive(messages.into_iter());
        self.settle();
        count
    }

    /// Makes memberships of what was forwarded; says how many. It is news to this process only, so nobody is told of each.
    fn adopt(&mut self, known: &[Known]) -> usize {
        let now = self.now();
        // Oldest first: what a later one knew of a group counts.
        for (&group, members) in known.iter().flat_map(|known| &known.members) {
            for member in members {
                let input = Input::Adopt {
                    interface: member.interface,
                    group,
                    filter_mode: member.mode,
                    sources: member.sources.clone(),
                };
                self.router.handle_input(now, input);
            }
        }
        while let Some(output) = self.router.poll_output() {
            if !is_join(&output) {
                self.carry_out(output);
            }
        }
        self.settle();
        self.memberships()
    }

    /// Returns when every flow is in our maps; what there is no room for is told.
    async fn install_all(&mut self) -> Result<()> {
        while self.fib.refused_len() > 0 && self.pool.is_busy() {
            let Some(done) = self.pool.done().await else {
                bail!("the set pool's thread ended");
            };
            self.take_over(done);
            self.settle();
        }
        if self.fib.refused_len() > 0 {
            let groups = self.fib.refused_len();
            warn!(groups, "no room for all that was forwarded");
        }
        Ok(())
    }
}

/// What the igmpds before knew. One that cannot be read costs its memberships, which hosts report again, and no more.
fn read(pins: &Pins) -> Vec<Known> {
    let mut known = Vec::new();
    for generation in pins.generations() {
        if !generation.is_readable() {
            warn!(
                "pinned by another version: what it forwarded is forwarded again when hosts have answered the first query"
            );
            continue;
        }
        match generation.read() {
            Ok(Some(read)) => known.push(read),
            Ok(None) => info!("what is pinned is older than hold_time: it is learnt again"),
            Err(error) => warn!("not taken over, but learnt again: {error:#}"),
        }
    }
    known
}

fn is_join(output: &Output) -> bool {
    let Output::Event(Event { kind, .. }) = output else {
        return false;
    };
    matches!(kind, EventKind::Joined { .. })
}
