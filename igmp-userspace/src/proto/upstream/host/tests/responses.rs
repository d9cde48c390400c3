//! Current-State Records in answer to queries (RFC 9776 section 5.2).
//!
//! "Soon" and "late" are Max Response Times so far apart that a random delay within the one is sooner than one within
//! the other, for every seed that is used here.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::super::super::super::InterfaceParams;
use super::super::super::super::sim::{A, B, C, G, Time as _};
use super::super::super::{State, Subscription};
use super::{
    H, Link, any_source, exclude, general_query, include, on_links, query, report, report_within,
};

const SOON: Duration = Duration::from_millis(100);
const LATE: Duration = Duration::from_mins(50);

/// Links where `state` of G was reported long ago; the test starts at 60 s.
fn on_members(state: &Subscription, test: impl Fn(&mut Link)) {
    on_links(&InterfaceParams::default(), |link| {
        link.wants(G, state.clone()).at(60.s()).forget();
        test(link);
        assert_eq!(link.host.poll_timeout(), None);
    });
}

#[test]
fn a_general_query_is_answered_with_the_state_of_every_group() {
    on_members(&any_source(), |link| {
        link.wants(H, include(&[A, B])).at(70.s()).forget();
        link.hears(&general_query(10.s()));
        assert_eq!([link.state(G), link.state(H)], [Some(State::Delaying); 2]);
        link.at(9999.s()).expects([report_within(
            70.s(),
            10.s(),
            "IS_EX(G, {}) IS_IN(H, {a, b})",
        )]);
        assert_eq!([link.state(G), link.state(H)], [Some(State::Idle); 2]);
        assert_eq!(link.host.querier(), Some(super::QUERIER));
    });
}

#[test]
fn a_max_response_time_of_zero_is_answered_without_delay() {
    on_members(&any_source(), |link| {
        link.hears(&general_query(Duration::ZERO)).at(9999.s());
        link.expects([report(60.s(), "IS_EX(G, {})")]);
    });
}

#[test]
fn who_is_no_member_has_nothing_to_say() {
    on_links(&InterfaceParams::default(), |link| {
        link.hears(&general_query(10.s()))
            .hears(&query(G, 1.s(), &[]));
        assert_eq!(link.host.poll_timeout(), None);
        link.wants(H, any_source()).at(60.s()).forget();
        link.hears(&query(G, 1.s(), &[]))
            .at(9999.s())
            .expects_nothing();
    });
}

/// Rule 1.
#[test]
fn a_general_response_that_is_sooner_is_enough() {
    on_members(&any_source(), |link| {
        link.hears(&general_query(SOON))
            .hears(&query(G, LATE, &[A]))
            .hears(&general_query(LATE))
            .at(9999.s())
            .expects([report_within(60.s(), SOON, "IS_EX(G, {})")]);
    });
}

/// Rule 2.
#[test]
fn a_general_query_that_must_be_answered_sooner_replaces_the_pending_one() {
    on_members(&any_source(), |link| {
        link.hears(&general_query(LATE))
            .hears(&general_query(SOON))
            .at(9999.s())
            .expects([report_within(60.s(), SOON, "IS_EX(G, {})")]);
    });
}

/// Rule 3, and what the response says: the whole state.
#[test]
fn a_group_query_is_answered_with_the_state_of_that_group() {
    for (state, record) in [
        (exclude(&[A]), "IS_EX(G, {a})"),
        (include(&[A, B]), "IS_IN(G, {a, b})"),
    ] {
        on_members(&state, |link| {
            link.wants(H, any_source()).at(70.s()).forget();
            link.hears(&query(G, 1.s(), &[]));
            let states = [link.state(G), link.state(H)];
            assert_eq!(states, [Some(State::Delaying), Some(State::Idle)]);
            link.at(9999.s())
                .expects([report_within(70.s(), 1.s(), record)]);
        });
    }
}

/// Rule 3, and what the response says: INCLUDE (A), B: IS_IN (A*B); EXCLUDE (A), B: IS_IN (B-A); nothing when empty.
#[test]
fn a_source_query_is_answered_with_the_sources_that_are_wanted() {
    for (state, sources, record) in [
        (include(&[A, B]), &[B, C][..], Some("IS_IN(G, {b})")),
        (exclude(&[A, B]), &[B, C][..], Some("IS_IN(G, {c})")),
        (include(&[A]), &[B, C][..], None),
        (exclude(&[B, C]), &[B, C][..], None),
    ] {
        on_members(&state, |link| {
            link.hears(&query(G, 1.s(), sources)).at(9999.s());
            match record {
                Some(record) => link.expects([report_within(60.s(), 1.s(), record)]),
                None => link.expects_nothing(),
            }
        });
    }
}

/// Rule 4, for both orders; the response is sent at the earlier time.
#[test]
fn a_group_query_and_a_source_query_are_answered_together_with_the_whole_state() {
    for queries in [[&[][..], &[A][..]], [&[A][..], &[][..]]] {
        for times in [[SOON, LATE], [LATE, SOON]] {
            on_members(&any_source(), |link| {
                link.hears(&query(G, times[0], queries[0]))
                    .hears(&query(G, times[1], queries[1]))
                    .at(9999.s())
                    .expects([report_within(60.s(), SOON, "IS_EX(G, {})")]);
            });
        }
    }
}

/// Rule 5.
#[test]
fn source_queries_are_answered_together() {
    for times in [[SOON, LATE], [LATE, SOON]] {
        on_members(&any_source(), |link| {
            link.hears(&query(G, times[0], &[A, B]))
                .hears(&query(G, times[1], &[B, C]))
                .at(9999.s())
                .expects([report_within(60.s(), SOON, "IS_IN(G, {a, b, c})")]);
        });
    }
}

/// Not in the RFC: what queries make a host keep has a bound, and the whole state answers them too.
#[test]
fn queries_for_very_many_sources_are_answered_with_the_whole_state() {
    let sources: Vec<_> = (0..1025).map(|n| Ipv4Addr::from(0x0a10_0000 + n)).collect();
    on_members(&any_source(), |link| {
        for some in sources.chunks(300) {
            link.hears(&query(G, LATE, some));
        }
        link.at(9999.s())
            .expects([report_within(60.s(), LATE, "IS_EX(G, {})")]);
    });
}

#[test]
fn a_general_response_answers_the_queries_for_groups_that_are_pending() {
    on_members(&any_source(), |link| {
        link.hears(&query(G, LATE, &[]))
            .hears(&general_query(SOON))
            .at(9999.s())
            .expects([report_within(60.s(), SOON, "IS_EX(G, {})")]);
    });
}

#[test]
fn the_response_tells_the_state_at_the_time_it_is_sent() {
    on_members(&include(&[A]), |link| {
        link.hears(&query(G, LATE, &[A, B])).wants(G, include(&[B]));
        link.at(9999.s()).expects([
            report(60.s(), "ALLOW(G, {b}) BLOCK(G, {a})"),
            report_within(60.s(), 1.s(), "ALLOW(G, {b}) BLOCK(G, {a})"),
            report_within(60.s(), LATE, "IS_IN(G, {b})"),
        ]);
    });
}

#[test]
fn a_group_that_was_left_meanwhile_is_not_answered_for() {
    on_members(&any_source(), |link| {
        link.hears(&query(G, LATE, &[])).hears(&general_query(LATE));
        link.leaves(G).at(9999.s()).expects([
            report(60.s(), "TO_IN(G, {})"),
            report_within(60.s(), 1.s(), "TO_IN(G, {})"),
        ]);
    });
}
