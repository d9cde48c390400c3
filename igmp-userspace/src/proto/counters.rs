//! What happened on an interface, by name: every message received, sent or refused is counted once under its reason, and
//! every Leave once under its decision.

use crate::wire::{self, Repr, Version};

macro_rules! counters {
    ($($variant:ident, $name:literal, $description:literal;)*) => {
        /// One counter of an interface.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Counter {
            $(#[doc = $description] $variant,)*
        }

        impl Counter {
            /// Every counter, in the order they are shown.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Stable name, snake_case: `received_...`, `sent_...`, `leave_...` (a decision) or `refused_...`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it counts, in one line.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$variant => $description,)*
                }
            }
        }
    };
}

counters! {
    ReceivedQueryV1, "received_query_v1", "IGMPv1 queries received.";
    ReceivedQueryV2, "received_query_v2", "IGMPv2 queries received.";
    ReceivedQueryV3, "received_query_v3", "IGMPv3 queries received.";
    ReceivedReportV1, "received_report_v1", "IGMPv1 reports received.";
    ReceivedReportV2, "received_report_v2", "IGMPv2 reports received.";
    ReceivedReportV3, "received_report_v3", "IGMPv3 reports received.";
    ReceivedLeave, "received_leave", "IGMPv2 Leave Group messages received.";
    SentGeneralQuery, "sent_general_query", "General Queries sent.";
    SentGroupQuery, "sent_group_query", "Group-Specific Queries sent.";
    SentGroupAndSourceQuery, "sent_group_and_source_query", "Group-and-Source-Specific Queries sent.";
    SentReportV1, "sent_report_v1", "IGMPv1 reports sent upstream.";
    SentReportV2, "sent_report_v2", "IGMPv2 reports sent upstream.";
    SentReportV3, "sent_report_v3", "IGMPv3 reports sent upstream, before they are split over packets.";
    SentLeave, "sent_leave", "IGMPv2 Leave Group messages sent upstream.";
    LeavePrompt, "leave_prompt", "Leaves on which the group was deleted at once.";
    LeaveQueried, "leave_queried", "Leaves on which the last member procedure was to run.";
    LeaveIgnored, "leave_ignored", "Leaves that brought nothing about.";
    Ipv4Header, "refused_ipv4_header", "Packets whose IPv4 header is truncated or malformed.";
    Ipv4Length, "refused_ipv4_length", "Packets whose IPv4 total length does not fit the frame.";
    Ipv4Checksum, "refused_ipv4_checksum", "Packets whose IPv4 header checksum is wrong.";
    Ipv4Fragment, "refused_ipv4_fragment", "IPv4 fragments.";
    Ttl, "refused_ttl", "Messages whose TTL is not 1.";
    Checksum, "refused_checksum", "Messages whose IGMP checksum is wrong.";
    Length, "refused_length", "Messages of a length wrong for their type.";
    Count, "refused_count", "Messages whose record or source count runs past the end.";
    UnknownType, "refused_unknown_type", "Messages of a type this router does not know.";
    GroupNotMulticast, "refused_group_not_multicast", "Messages about an address that is not multicast.";
    GroupLinkLocal, "refused_group_link_local", "Messages about a group in 224.0.0.0/24, which is never tracked.";
    VersionDisabled, "refused_version_disabled", "Messages of a higher version than the interface speaks.";
    OwnAddress, "refused_own_address", "Messages from one of our own addresses: looped back, or a duplicate address.";
    SourceNotAccepted, "refused_source_not_accepted",
        "Messages from a source that is not accepted: outside the interface's subnets, or not permitted.";
    ForRouters, "refused_for_routers",
        "Version 3 reports and Leaves of other hosts, heard on the upstream interface: only routers act on them.";
    WrongDestination, "refused_wrong_destination", "Messages sent to a destination wrong for their type.";
    RouterAlert, "refused_router_alert", "Messages without the Router Alert option, where it is required.";
    UntrackedGroup, "refused_untracked_group", "Reports for a group that is configured not to be tracked.";
    GroupFilter, "refused_group_filter", "Reports for a group that the interface's whitelist or blacklist leaves out.";
    AnySource, "refused_any_source", "Reports for all sources of a source-specific group, and Leaves of it.";
    GroupPolicy, "refused_group_policy", "Joins for all sources, and sources, that the group policy does not permit.";
    NotQuerier, "refused_not_querier", "Leaves heard while another router is the querier.";
    QueryWhileQuerier, "refused_query_while_querier",
        "Specific queries from another router, heard while this one is the querier.";
    QueryWhileStandby, "refused_query_while_standby",
        "General Queries heard on standby: whoever asks, this router is the backup of its peer.";
    OlderHostPresent, "refused_older_host_present",
        "Leaves and source changes ignored while an IGMPv1 or IGMPv2 host is a member of the group.";
    GroupLimit, "refused_group_limit", "Reports for a new group refused because the interface or the router has too many.";
    SourceLimit, "refused_source_limit", "Sources refused because the group, the interface or the router has too many.";
    HostLimit, "refused_host_limit", "Hosts that are not tracked because the interface has too many.";
}

/// The counters of one interface, from zero when it became ready.
#[derive(Clone, Debug)]
pub struct Counters([u64; Counter::ALL.len()]);

impl Counters {
    /// How often it happened.
    #[must_use]
    pub const fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// Every counter with its value, in the order of [`Counter::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> {
        Counter::ALL
            .iter()
            .map(|&counter| (counter, self.get(counter)))
    }

    pub(super) const fn count(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    pub(super) const fn add(&mut self, counter: Counter, times: u64) {
        let value = &mut self.0[counter as usize];
        *value = value.wrapping_add(times);
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self([0; Counter::ALL.len()])
    }
}

impl From<wire::Error> for Counter {
    fn from(error: wire::Error) -> Self {
        match error {
            wire::Error::Ipv4Header => Self::Ipv4Header,
            wire::Error::Ipv4Length => Self::Ipv4Length,
            wire::Error::Ipv4Checksum => Self::Ipv4Checksum,
            wire::Error::Ipv4Fragment => Self::Ipv4Fragment,
            wire::Error::Ttl => Self::Ttl,
            wire::Error::Checksum => Self::Checksum,
            wire::Error::Length => Self::Length,
            wire::Error::Count => Self::Count,
            wire::Error::UnknownType => Self::UnknownType,
            wire::Error::GroupNotMulticast => Self::GroupNotMulticast,
            wire::Error::GroupLinkLocal => Self::GroupLinkLocal,
        }
    }
}

impl Counter {
    /// The counter a well-formed message is received under.
    pub(super) const fn received(message: &Repr) -> Self {
        match message {
            Repr::Query(query) => match query.version {
                Version::V1 => Self::ReceivedQueryV1,
                Version::V2 => Self::ReceivedQueryV2,
                Version::V3 => Self::ReceivedQueryV3,
            },
            Repr::ReportV1 { .. } => Self::ReceivedReportV1,
            Repr::ReportV2 { .. } => Self::ReceivedReportV2,
            Repr::ReportV3(_) => Self::ReceivedReportV3,
            Repr::Leave { .. } => Self::ReceivedLeave,
        }
    }
}

impl Counter {
    /// The counter a message of the host side is sent under.
    pub(super) const fn sent_report(message: &Repr) -> Self {
        match message {
            Repr::ReportV1 { .. } => Self::SentReportV1,
            Repr::ReportV2 { .. } => Self::SentReportV2,
            Repr::ReportV3(_) => Self::SentReportV3,
            Repr::Leave { .. } => Self::SentLeave,
            // A host asks nobody.
            Repr::Query(_) => Self::SentGeneralQuery,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_say_what_kind_of_counter_it_is() {
        let names: std::collections::BTreeSet<_> =
            Counter::ALL.iter().map(|counter| counter.name()).collect();
        assert_eq!(names.len(), Counter::ALL.len());
        for name in names {
            assert!(
                ["received_", "sent_", "leave_", "refused_"]
                    .iter()
                    .any(|kind| name.starts_with(kind)),
                "{name}"
            );
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            );
        }
    }

    #[test]
    fn each_counter_has_its_own_value() {
        let mut counters = Counters::default();
        for (times, &counter) in (1..).zip(Counter::ALL) {
            counters.add(counter, times);
        }
        assert!(
            counters
                .iter()
                .map(|(_, value)| value)
                .eq(1..=Counter::ALL.len() as u64)
        );
    }
}
