//! State-Change Reports (RFC 9776 section 5.1).

use std::time::Duration;

use super::super::super::super::InterfaceParams;
use super::super::super::super::sim::{A, B, C, G, Time as _};
use super::super::super::{State, Subscription};
use super::{H, Link, any_source, exclude, include, on_links, report, report_within};

fn robustness(robustness: u8) -> InterfaceParams {
    InterfaceParams {
        robustness,
        ..InterfaceParams::default()
    }
}

#[test]
fn a_join_is_reported_at_once_and_again_within_the_unsolicited_report_interval() {
    on_links(&InterfaceParams::default(), |link| {
        assert_eq!(link.state(G), None);
        link.at(5.s()).wants(G, any_source());
        assert_eq!(link.state(G), Some(State::Delaying));
        link.at(3600.s()).expects([
            report(5.s(), "TO_EX(G, {})"),
            report_within(5.s(), 1.s(), "TO_EX(G, {})"),
        ]);
        assert_eq!(link.state(G), Some(State::Idle));
        assert_eq!(link.host.poll_timeout(), None);
    });
}

#[test]
fn a_leave_is_reported_as_often_and_nothing_is_left() {
    on_links(&InterfaceParams::default(), |link| {
        link.wants(G, any_source()).at(5.s()).forget();
        link.leaves(G);
        assert_eq!(link.state(G), None);
        link.at(3600.s()).expects([
            report(5.s(), "TO_IN(G, {})"),
            report_within(5.s(), 1.s(), "TO_IN(G, {})"),
        ]);
        assert!(link.host.groups.is_empty());
        assert_eq!(link.host.poll_timeout(), None);
    });
}

/// The table of section 5.1, with and without sources that are common; empty ALLOW and BLOCK are left out.
#[test]
fn the_records_tell_the_difference() {
    for (before, after, records) in [
        (
            include(&[A, B]),
            include(&[B, C]),
            "ALLOW(G, {c}) BLOCK(G, {a})",
        ),
        (include(&[A]), include(&[A, B]), "ALLOW(G, {b})"),
        (include(&[A, B]), include(&[A]), "BLOCK(G, {b})"),
        (
            exclude(&[A, B]),
            exclude(&[B, C]),
            "ALLOW(G, {a}) BLOCK(G, {c})",
        ),
        (exclude(&[A]), exclude(&[]), "ALLOW(G, {a})"),
        (exclude(&[]), exclude(&[A]), "BLOCK(G, {a})"),
        (include(&[A, B]), exclude(&[B, C]), "TO_EX(G, {b, c})"),
        (exclude(&[A, B]), include(&[B, C]), "TO_IN(G, {b, c})"),
        // A state that does not exist is INCLUDE of nothing.
        (include(&[]), include(&[A]), "ALLOW(G, {a})"),
        (include(&[A]), include(&[]), "BLOCK(G, {a})"),
        (include(&[]), exclude(&[A]), "TO_EX(G, {a})"),
        (exclude(&[A]), include(&[]), "TO_IN(G, {})"),
    ] {
        let mut link = Link::new(robustness(1), 0);
        link.wants(G, before).at(5.s()).forget();
        link.wants(G, after)
            .at(60.s())
            .expects([report(5.s(), records)]);
    }
}

#[test]
fn a_change_is_reported_robustness_variable_times() {
    for times in 1..=7 {
        let mut link = Link::new(robustness(times), 7);
        link.wants(G, any_source()).at(3600.s());
        let sent: Vec<_> = link.sent.iter().map(|(at, _)| *at).collect();
        assert_eq!(sent.len(), usize::from(times));
        for pair in sent.windows(2) {
            let interval = pair[1].checked_sub(pair[0]).unwrap();
            assert!(interval > Duration::ZERO && interval <= 1.s(), "{sent:?}");
        }
    }
}

#[test]
fn what_stays_the_same_is_not_reported() {
    let mut link = Link::new(robustness(1), 0);
    link.wants(G, include(&[A])).forget();
    link.wants(G, include(&[A]))
        .leaves(H)
        .wants(H, include(&[]));
    link.at(60.s()).expects_nothing();
    assert_eq!(link.state(H), None);
}

/// A second change at the very same time: it merges with what is pending and is sent at once, Robustness Variable times
/// from then on.
fn changes(params: &InterfaceParams, states: &[Subscription], reports: &'static [&str]) {
    on_links(params, |link| {
        for state in states {
            link.wants(G, state.clone());
        }
        link.at(60.s());
        let sent: Vec<_> = link
            .sent
            .iter()
            .map(|(_, message)| message.as_str())
            .collect();
        let expected: Vec<_> = reports
            .iter()
            .map(|records| format!("224.0.0.22 {records}"))
            .collect();
        assert_eq!(sent, expected, "{states:?}");
        let at_once = link.sent.iter().filter(|(at, _)| at.is_zero()).count();
        assert_eq!(at_once, states.len(), "each change is reported at once");
    });
}

#[test]
fn source_changes_merge_and_each_source_is_in_robustness_variable_reports() {
    changes(
        &robustness(2),
        &[include(&[A]), include(&[A, B])],
        &["ALLOW(G, {a})", "ALLOW(G, {a, b})", "ALLOW(G, {b})"],
    );
}

#[test]
fn a_source_that_comes_and_goes_is_reported_as_it_is_at_last() {
    changes(
        &robustness(2),
        &[include(&[A, B]), include(&[A])],
        &[
            "ALLOW(G, {a, b})",
            "ALLOW(G, {a}) BLOCK(G, {b})",
            "BLOCK(G, {b})",
        ],
    );
}

#[test]
fn a_filter_mode_change_goes_first_and_source_changes_follow_it() {
    changes(
        &robustness(2),
        &[exclude(&[]), exclude(&[A])],
        &["TO_EX(G, {})", "TO_EX(G, {a})", "BLOCK(G, {a})"],
    );
    changes(
        &robustness(3),
        &[exclude(&[]), exclude(&[A])],
        &[
            "TO_EX(G, {})",
            "TO_EX(G, {a})",
            "TO_EX(G, {a})",
            "BLOCK(G, {a})",
        ],
    );
}

#[test]
fn a_filter_mode_change_says_what_source_changes_were_to_say() {
    changes(
        &robustness(2),
        &[include(&[A]), exclude(&[B])],
        &["ALLOW(G, {a})", "TO_EX(G, {b})", "TO_EX(G, {b})"],
    );
    changes(
        &robustness(2),
        &[exclude(&[B]), include(&[A])],
        &["TO_EX(G, {b})", "TO_IN(G, {a})", "TO_IN(G, {a})"],
    );
}

#[test]
fn a_group_that_is_left_and_joined_again_is_reported_joined() {
    on_links(&InterfaceParams::default(), |link| {
        link.wants(G, any_source()).at(60.s()).forget();
        link.leaves(G).wants(G, any_source()).at(120.s()).expects([
            report(60.s(), "TO_IN(G, {})"),
            report(60.s(), "TO_EX(G, {})"),
            report_within(60.s(), 1.s(), "TO_EX(G, {})"),
        ]);
    });
}

/// Not in the RFC: changes made together share their reports.
#[test]
fn changes_of_one_moment_are_one_report_and_one_repetition() {
    on_links(&InterfaceParams::default(), |link| {
        link.host
            .handle_subscription(link.now, G, Some(any_source()));
        link.host
            .handle_subscription(link.now, H, Some(include(&[A])));
        link.drain();
        link.at(60.s()).expects([
            report(0.s(), "TO_EX(G, {}) ALLOW(H, {a})"),
            report_within(0.s(), 1.s(), "TO_EX(G, {}) ALLOW(H, {a})"),
        ]);
    });
}

#[test]
fn repetitions_spread_over_the_whole_interval() {
    let (mut early, mut late) = (0, 0);
    on_links_counted(|delay| {
        if delay < 500.ms() {
            early += 1;
        } else {
            late += 1;
        }
    });
    assert!(
        early >= 16 && late >= 16,
        "{early} early, {late} late of 64"
    );
}

fn on_links_counted(mut count: impl FnMut(Duration)) {
    for seed in 0..64 {
        let mut link = Link::new(InterfaceParams::default(), seed);
        link.wants(G, any_source()).at(60.s());
        count(link.sent[1].0);
    }
}
