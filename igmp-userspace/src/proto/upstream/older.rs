//! A membership on a network whose querier speaks version 1 or 2 (RFC 2236 section 6).
//!
//! ```text
//! state             event             action                               next state
//! Non-Member        join              report, set flag, start timer        Delaying Member
//! Delaying Member   timer ends        report, set flag                     Idle Member
//! Delaying Member   report heard      stop timer, clear flag               Idle Member
//! Delaying Member   query             sooner timer if it must be           Delaying Member
//! Delaying Member   leave             stop timer, Leave if flag is set     Non-Member
//! Idle Member       query             start timer                          Delaying Member
//! Idle Member       leave             Leave if flag is set                 Non-Member
//! ```
//!
//! Beyond the RFC's one repetition, an unsolicited report is sent Robustness Variable times.

use std::time::Duration;

use super::super::Instant;
use super::super::random::Random;

/// Unsolicited Report Interval (RFC 2236 section 8.10): the longest time between an unsolicited report and the next.
const UNSOLICITED_REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The state of one membership; with a timer it is a Delaying Member.
#[derive(Debug, Default)]
pub(super) struct OlderMember {
    pub(super) timer: Option<Instant>,
    /// Unsolicited reports still to be sent.
    reports_left: u8,
    /// "We were the last host to send a report for the group."
    pub(super) last_reporter: bool,
}

impl OlderMember {
    /// The group was joined: a report is due now, and `robustness` in all.
    pub(super) fn join(&mut self, now: Instant, robustness: u8, random: &mut Random) {
        self.reports_left = robustness;
        self.reported(now, random);
    }

    /// Nothing more is to be sent.
    pub(super) fn stop(&mut self) {
        self.timer = None;
        self.reports_left = 0;
    }

    /// A query for the group, or for all groups, was heard.
    pub(super) fn query(&mut self, now: Instant, max_response_time: Duration, random: &mut Random) {
        if self
            .timer
            .is_none_or(|timer| max_response_time < timer.saturating_since(now))
        {
            self.timer = Some(now + random.delay(max_response_time));
        }
    }

    /// Another member's report was heard. It says all that ours would have said.
    pub(super) fn report_heard(&mut self) {
        if self.timer.is_some() {
            self.stop();
            self.last_reporter = false;
        }
    }

    /// When the timer has ended: a report is due now.
    pub(super) fn expire(&mut self, now: Instant, random: &mut Random) -> bool {
        let expired = self.timer.is_some_and(|timer| timer <= now);
        if expired {
            self.reported(now, random);
        }
        expired
    }

    fn reported(&mut self, now: Instant, random: &mut Random) {
        self.last_reporter = true;
        self.reports_left = self.reports_left.saturating_sub(1);
        self.timer =
            (self.reports_left > 0).then(|| now + random.delay(UNSOLICITED_REPORT_INTERVAL));
    }
}
