//! What an operator can have forgotten, to be learnt again: the members of groups, or all of it.

use std::net::Ipv4Addr;

use super::Counter;
use super::interface::{Context, Interface};
use crate::wire::Version;

impl Interface {
    /// Forgets the members of `group`, or of every group, and asks for them again. A group that is not there is not
    /// asked for, and on standby nothing is.
    pub(super) fn clear(&mut self, cx: &mut Context<'_>, group: Option<Ipv4Addr>) {
        if group.is_some_and(|group| !self.groups.contains_key(&group)) {
            return;
        }
        match group {
            Some(group) => self.forget_members(cx, group),
            None => self.forget_all_members(cx),
        }
        self.hosts_unknown(cx);
        if !self.is_querier() {
            return;
        }
        match group.filter(|_| self.params.version > Version::V1) {
            Some(group) => {
                let time = self.params.last_member_query_interval;
                // The S flag: it is we who have forgotten, and the other routers need not expect anybody to have left.
                self.send_query(cx, Counter::SentGroupQuery, group, time, true, Vec::new());
            }
            None => self.send_general_query(cx),
        }
    }

    /// Begins as if it had just become ready; what was counted stays counted.
    pub(super) fn restart(&mut self, cx: &mut Context<'_>) {
        self.forget_all_members(cx);
        if self.is_standby() {
            self.enter_standby(cx);
        } else {
            self.restart_election(cx);
        }
        self.hosts_unknown(cx);
    }

    fn forget_all_members(&mut self, cx: &mut Context<'_>) {
        let groups: Vec<Ipv4Addr> = self.groups.keys().copied().collect();
        for group in groups {
            self.forget_members(cx, group);
        }
    }

    pub(super) fn forget_members(&mut self, cx: &mut Context<'_>, group: Ipv4Addr) {
        self.change_group(cx, group, |group, _| {
            group.forget_members();
            Vec::new()
        });
    }
}

#[cfg(test)]
mod tests;
