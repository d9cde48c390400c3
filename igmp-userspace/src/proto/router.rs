//! The router: inputs to interfaces, outputs and deadlines of all of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::common::Common;
use super::interface::{Context, Interface};
use super::timers::{Deadlines, Timer};
use super::{AclHits, IfIndex, Input, Instant, Output};

/// The IGMP router of all downstream interfaces.
///
/// The caller hands in what happened and when, drains [`poll_output`](Self::poll_output) to `None`, and calls
/// [`handle_timeout`](Self::handle_timeout) when [`poll_timeout`](Self::poll_timeout) has come. It should hand in what
/// was already received *before* it calls `handle_timeout`: a report that waited in a queue then still rescues the
/// group whose timer ran out meanwhile.
#[derive(Debug, Default)]
pub struct Router {
    interfaces: BTreeMap<IfIndex, Interface>,
    /// Interfaces on standby, ready or not.
    standby: BTreeSet<IfIndex>,
    common: Common,
    deadlines: Deadlines,
    outputs: VecDeque<Output>,
}

/// How late a timeout may be before it is a stall: the host was suspended or the process stopped, and reports may never
/// have been received. It is as long as hosts have to answer a query by default.
const STALL: Duration = Duration::from_secs(10);

impl Router {
    /// A router without interfaces.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Something happened at `now`.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::InterfaceReady {
                interface: index,
                params,
                addresses,
                alt_subnets,
                policy,
            } => {
                if addresses.is_empty() {
                    return self.remove(now, index);
                }
                let standby = self.standby.contains(&index);
                let (interfaces, mut cx) = self.split(now, index);
                if let Some(interface) = interfaces.get_mut(&index) {
                    interface.set_policy(&mut cx, policy);
                    interface.reconfigure(&mut cx, params, addresses, alt_subnets);
                } else {
                    let mut interface = Interface::new(&cx, params, addresses, alt_subnets, policy);
                    interface.start(&mut cx, standby);
                    interfaces.insert(index, interface);
                }
            }
            Input::InterfaceGone { interface } => self.remove(now, interface),
            Input::Received { interface, packet } => {
                self.one(now, interface, |state, cx| state.receive(cx, packet));
            }
            Input::Adopt {
                interface,
                group,
                filter_mode,
                sources,
            } => self.one(now, interface, |state, cx| {
                state.adopt_membership(cx, group, filter_mode, sources);
            }),
            Input::Standby { interface, standby } => {
                if standby {
                    self.standby.insert(interface);
                } else {
                    self.standby.remove(&interface);
                }
                self.one(now, interface, |state, cx| state.set_standby(cx, standby));
            }
            Input::Restore { interface, state } => {
                self.one(now, interface, |known, cx| known.restore(cx, &state));
            }
            Input::Retain { interface, groups } => {
                self.one(now, interface, |state, cx| state.retain(cx, &groups));
            }
            Input::Policy(policy) => {
                self.common.replace_policy(policy);
                self.each(now, Interface::enforce);
            }
            Input::Clear { interface, group } => {
                self.each(now, |state, cx| {
                    if interface.is_none_or(|only| only == cx.interface) {
                        state.clear(cx, group);
                    }
                });
            }
            Input::Restart => self.each(now, Interface::restart),
            Input::MessagesLost => self.each(now, Interface::messages_lost),
        }
    }

    /// Everything whose time has come at `now` happens, each at most once.
    ///
    /// When that comes far too late, memberships are asked for before they expire.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.deadlines.next().is_some_and(|due| due + STALL < now) {
            self.each(now, Interface::after_stall);
        }
        for timer in self.deadlines.take_due(now) {
            let (Timer::Querier(index) | Timer::Group(index, _)) = timer;
            self.one(now, index, |interface, cx| match timer {
                Timer::Querier(_) => interface.role_timeout(cx),
                Timer::Group(_, group) => interface.group_timeout(cx, group),
            });
        }
    }

    /// The next thing to do, in the order of the events; `None` when all is done.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout). Every `handle_` call may change it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// The state of an interface that is ready.
    #[must_use]
    pub fn interface(&self, interface: IfIndex) -> Option<&Interface> {
        self.interfaces.get(&interface)
    }

    /// Every interface that is ready, ordered by index.
    pub fn interfaces(&self) -> impl Iterator<Item = (IfIndex, &Interface)> {
        self.interfaces
            .iter()
            .map(|(&index, interface)| (index, interface))
    }

    /// Hits of the access list at this place of [`Policy::acls`](super::Policy::acls).
    #[must_use]
    pub fn acl_hits(&self, acl: usize) -> Option<&AclHits> {
        self.common.lists.hits(acl)
    }

    /// Nothing happens on an interface that is not ready.
    fn one(
        &mut self,
        now: Instant,
        index: IfIndex,
        act: impl FnOnce(&mut Interface, &mut Context<'_>),
    ) {
        let (interfaces, mut cx) = self.split(now, index);
        if let Some(interface) = interfaces.get_mut(&index) {
            act(interface, &mut cx);
        }
    }

    fn each(&mut self, now: Instant, act: impl Fn(&mut Interface, &mut Context<'_>)) {
        let Self {
            interfaces,
            common,
            deadlines,
            outputs,
            ..
        } = self;
        for (&interface, state) in interfaces {
            let mut cx = Context {
                now,
                interface,
                common,
                deadlines,
                outputs,
            };
            act(state, &mut cx);
        }
    }

    fn remove(&mut self, now: Instant, index: IfIndex) {
        let (interfaces, mut cx) = self.split(now, index);
        if let Some(interface) = interfaces.remove(&index) {
            interface.stop(&mut cx);
        }
    }

    const fn split(
        &mut self,
        now: Instant,
        interface: IfIndex,
    ) -> (&mut BTreeMap<IfIndex, Interface>, Context<'_>) {
        let Self {
            interfaces,
            common,
            deadlines,
            outputs,
            ..
        } = self;
        (
            interfaces,
            Context {
                now,
                interface,
                common,
                deadlines,
                outputs,
            },
        )
    }
}

#[cfg(test)]
mod tests;
