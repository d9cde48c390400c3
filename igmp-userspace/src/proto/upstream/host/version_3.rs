//! The host in version 3 (RFC 9776 section 5).

use std::net::Ipv4Addr;
use std::time::Duration;

use super::super::super::Instant;
use super::super::Subscription;
use super::super::response::{PendingResponse, current_state};
use super::{Host, Timer};
use crate::wire::Query;

/// Unsolicited Report Interval (RFC 9776 section 8.11): the longest time between a State-Change Report and the next.
const UNSOLICITED_REPORT_INTERVAL: Duration = Duration::from_secs(1);

impl Host {
    /// Section 5.1: what differs from `before` is reported at once, together with what is pending.
    pub(super) fn report_change(&mut self, now: Instant, group: Ipv4Addr, before: &Subscription) {
        let robustness = self.params.robustness.max(1);
        if let Some(member) = self.groups.get_mut(&group) {
            member
                .change
                .merge(before, &member.subscription, robustness);
        }
        self.send_change(now, group);
        self.settle(group);
    }

    pub(super) fn send_change(&mut self, now: Instant, group: Ipv4Addr) {
        let again = self.retransmission(now);
        let Some(member) = self.groups.get_mut(&group) else {
            return;
        };
        let (records, more) = member.change.records(group, &member.subscription);
        member.change.at = more.then_some(again);
        self.records.extend(records);
    }

    /// When what is sent now is sent again. It is drawn once for all groups, so that they share their reports.
    fn retransmission(&mut self, now: Instant) -> Instant {
        match self.retransmission {
            Some((drawn, at)) if drawn == now => at,
            _ => {
                let at = now + self.random.delay(UNSOLICITED_REPORT_INTERVAL);
                self.retransmission = Some((now, at));
                at
            }
        }
    }

    /// Section 5.2: the first rule that matches decides.
    pub(super) fn schedule_response(&mut self, now: Instant, query: &Query) {
        let at = now + self.random.delay(query.max_response_time);
        if self.general_response.is_some_and(|pending| pending < at) {
            return;
        }
        if query.group.is_unspecified() {
            if self.members().next().is_some() {
                self.set_general_response(Some(at));
            }
            return;
        }
        let member = self.groups.get_mut(&query.group);
        if let Some(member) = member.filter(|member| !member.subscription.is_nothing()) {
            let pending = member.response.take();
            member.response = Some(PendingResponse::merge(pending, at, &query.sources));
            self.settle(query.group);
        }
    }

    /// One record for each group. What is pending for single groups is said by it too.
    pub(super) fn respond_to_general_query(&mut self) {
        let groups: Vec<_> = self.members().map(|(group, _)| group).collect();
        for group in groups {
            if let Some(member) = self.groups.get_mut(&group) {
                member.response = None;
                let record = current_state(group, &member.subscription);
                self.records.extend(record);
            }
            self.settle(group);
        }
    }

    pub(super) fn set_general_response(&mut self, at: Option<Instant>) {
        self.deadlines
            .set(Timer::GeneralResponse, &mut self.general_response, at);
    }
}
