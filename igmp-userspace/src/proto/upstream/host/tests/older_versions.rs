//! Queriers of versions 1 and 2 (RFC 9776 section 7.2, RFC 2236 section 6).

use std::time::Duration;

use super::super::super::super::InterfaceParams;
use super::super::super::super::sim::{A, B, G, Time as _};
use super::super::super::State;
use super::{
    G_LEAVE, G_V2, H, H_V2, Link, TICK, any_source, general_query, include, message,
    message_within, older, on_links, query, report, report_within, v1_query, v2_general_query,
};
use crate::wire::{Query, Version};

const G_V1: &str = "239.1.1.1 Report(G=G, v1)";

fn v2_group_query() -> Query {
    older(Version::V2, query(G, 1.s(), &[]))
}

fn just_before(time: Duration) -> Duration {
    time.checked_sub(TICK).unwrap()
}

/// Links with a version 2 querier, heard at 0 s.
fn on_v2_links(test: impl Fn(&mut Link)) {
    on_links(&InterfaceParams::default(), |link| {
        link.hears(&v2_general_query());
        assert_eq!(link.host.mode(), Version::V2);
        test(link);
    });
}

/// Links with a version 2 querier where G was joined long ago; the test starts at 60 s.
fn on_v2_members(test: impl Fn(&mut Link)) {
    on_v2_links(|link| {
        link.wants(G, any_source()).at(60.s()).forget();
        assert_eq!(link.state(G), Some(State::Idle));
        test(link);
    });
}

#[test]
fn a_join_is_reported_at_once_and_again_within_ten_seconds() {
    on_v2_links(|link| {
        link.wants(G, any_source());
        assert_eq!(link.state(G), Some(State::Delaying));
        link.at(300.s())
            .expects([message(0.s(), G_V2), message_within(0.s(), 10.s(), G_V2)]);
        assert_eq!(link.state(G), Some(State::Idle));
    });
}

#[test]
fn a_general_query_is_answered_with_a_report_for_each_group() {
    on_v2_members(|link| {
        link.wants(H, any_source()).at(100.s()).forget();
        link.hears(&v2_general_query());
        assert_eq!([link.state(G), link.state(H)], [Some(State::Delaying); 2]);
        link.at(300.s());
        link.sent.sort_by(|(_, a), (_, b)| a.cmp(b));
        link.expects([
            message_within(100.s(), 10.s(), G_V2),
            message_within(100.s(), 10.s(), H_V2),
        ]);
    });
}

#[test]
fn a_group_query_is_answered_for_that_group_alone() {
    on_v2_members(|link| {
        link.wants(H, any_source()).at(100.s()).forget();
        link.hears(&v2_group_query());
        let states = [link.state(G), link.state(H)];
        assert_eq!(states, [Some(State::Delaying), Some(State::Idle)]);
        link.at(300.s())
            .expects([message_within(100.s(), 1.s(), G_V2)]);
    });
}

#[test]
fn a_query_makes_a_pending_report_sooner_and_never_later() {
    on_v2_members(|link| {
        link.hears(&older(Version::V2, query(G, 20.s(), &[])));
        link.hears(&older(Version::V2, query(G, 100.ms(), &[])));
        link.hears(&older(Version::V2, query(G, 20.s(), &[])));
        link.at(300.s())
            .expects([message_within(60.s(), 100.ms(), G_V2)]);
    });
}

#[test]
fn another_members_report_silences_ours_and_takes_the_leave_from_us() {
    on_v2_members(|link| {
        link.hears(&v2_group_query()).hears_report(G);
        assert_eq!(link.state(G), Some(State::Idle));
        link.at(100.s()).leaves(G).at(300.s()).expects_nothing();
        assert_eq!(link.state(G), None);
    });
}

#[test]
fn another_members_report_ends_the_repetitions_of_ours() {
    on_v2_links(|link| {
        link.wants(G, any_source()).hears_report(G);
        link.at(300.s()).expects([message(0.s(), G_V2)]);
    });
}

#[test]
fn whoever_reported_last_sends_the_leave() {
    on_v2_members(|link| {
        link.hears(&v2_group_query()).hears_report(G);
        link.at(70.s()).hears(&v2_group_query()).at(80.s());
        link.leaves(G).at(300.s()).expects([
            message_within(70.s(), 1.s(), G_V2),
            message(80.s(), G_LEAVE),
        ]);
        assert!(link.host.groups.is_empty());
    });
}

/// "Report received" is ignored in the Idle Member and the Non-Member states.
#[test]
fn a_report_heard_while_idle_changes_nothing() {
    on_v2_members(|link| {
        link.hears_report(G).hears_report(H);
        link.leaves(G)
            .at(300.s())
            .expects([message(60.s(), G_LEAVE)]);
    });
}

#[test]
fn a_leave_stops_the_report_that_is_pending() {
    on_v2_links(|link| {
        link.wants(G, any_source()).leaves(G);
        link.at(300.s())
            .expects([message(0.s(), G_V2), message(0.s(), G_LEAVE)]);
    });
}

/// RFC 4605 section 4.1: "only the multicast address field in the membership record is used".
#[test]
fn sources_do_not_matter() {
    on_v2_links(|link| {
        link.wants(G, include(&[A])).at(60.s()).forget();
        link.wants(G, include(&[A, B])).wants(G, any_source());
        link.at(100.s()).expects_nothing();
        link.hears(&query(G, 1.s(), &[A])).at(300.s());
        link.expects([message_within(100.s(), 1.s(), G_V2)]);
    });
}

#[test]
fn a_new_mode_cancels_what_is_pending_and_the_query_is_answered_in_it() {
    on_links(&InterfaceParams::default(), |link| {
        link.wants(G, any_source()).wants(H, any_source()).leaves(H);
        link.hears(&query(G, 1.s(), &[])).forget();
        link.hears(&v2_general_query());
        link.at(300.s())
            .expects([message_within(0.s(), 10.s(), G_V2)]);
        assert_eq!(link.host.groups.len(), 1);
    });
}

#[test]
fn what_version_3_reported_is_left_with_a_leave() {
    on_links(&InterfaceParams::default(), |link| {
        link.wants(G, any_source()).at(60.s());
        link.hears(&v2_general_query()).forget();
        link.leaves(G)
            .at(300.s())
            .expects([message(60.s(), G_LEAVE)]);
    });
}

/// 2 x 125 s + 10 x 10 s (sections 7.2.1 and 8.12).
#[test]
fn the_mode_lasts_for_the_older_version_querier_present_interval() {
    on_links(&InterfaceParams::default(), |link| {
        link.at(1.s()).hears(&v2_general_query());
        link.at(just_before(351.s())).wants(G, any_source());
        assert_eq!(link.host.mode(), Version::V2);
        link.at(351.s()).wants(H, any_source());
        assert_eq!(link.host.mode(), Version::V3);
        // The repetition for G is cancelled.
        link.at(900.s()).expects([
            message(just_before(351.s()), G_V2),
            report(351.s(), "TO_EX(H, {})"),
            report_within(351.s(), 1.s(), "TO_EX(H, {})"),
        ]);
        link.hears(&general_query(1.s())).at(999.s());
        link.expects([report_within(900.s(), 1.s(), "IS_EX(G, {}) IS_EX(H, {})")]);
    });
}

#[test]
fn every_older_general_query_and_no_other_query_prolongs_it() {
    let mut link = Link::new(InterfaceParams::default(), 3);
    link.hears(&v2_general_query());
    link.at(100.s()).hears(&v2_general_query());
    link.at(200.s()).hears(&v2_group_query());
    link.hears(&general_query(10.s()));
    link.at(just_before(450.s()));
    assert_eq!(link.host.mode(), Version::V2);
    link.at(450.s());
    assert_eq!(link.host.mode(), Version::V3);
    link.hears(&v2_group_query());
    assert_eq!(link.host.mode(), Version::V3);
}

#[test]
fn version_1_has_reports_but_no_leave() {
    on_links(&InterfaceParams::default(), |link| {
        link.hears(&v1_query()).wants(G, any_source());
        link.at(60.s())
            .expects([message(0.s(), G_V1), message_within(0.s(), 10.s(), G_V1)]);
        link.hears(&v1_query()).at(100.s());
        link.expects([message_within(60.s(), 10.s(), G_V1)]);
        link.leaves(G).at(300.s()).expects_nothing();
    });
}

#[test]
fn from_version_1_back_to_version_2_and_to_3() {
    let mut link = Link::new(InterfaceParams::default(), 3);
    link.hears(&v1_query());
    link.at(100.s()).hears(&v2_general_query());
    assert_eq!(link.host.mode(), Version::V1);
    link.at(350.s());
    assert_eq!(link.host.mode(), Version::V2);
    link.at(450.s());
    assert_eq!(link.host.mode(), Version::V3);
    assert_eq!(link.host.poll_timeout(), None);
}

#[test]
fn a_host_set_to_version_2_never_speaks_3() {
    let params = InterfaceParams {
        version: Version::V2,
        ..InterfaceParams::default()
    };
    on_links(&params, |link| {
        link.wants(G, any_source()).at(60.s());
        link.hears(&general_query(1.s())).at(100.s()).leaves(G);
        link.at(300.s()).expects([
            message(0.s(), G_V2),
            message_within(0.s(), 10.s(), G_V2),
            message_within(60.s(), 1.s(), G_V2),
            message(100.s(), G_LEAVE),
        ]);
    });
}

#[test]
fn in_version_3_nobody_is_silenced() {
    on_links(&InterfaceParams::default(), |link| {
        link.wants(G, any_source()).hears_report(G).at(60.s());
        link.hears(&query(G, 1.s(), &[]))
            .hears_report(G)
            .at(100.s());
        link.expects([
            report(0.s(), "TO_EX(G, {})"),
            report_within(0.s(), 1.s(), "TO_EX(G, {})"),
            report_within(60.s(), 1.s(), "IS_EX(G, {})"),
        ]);
    });
}
