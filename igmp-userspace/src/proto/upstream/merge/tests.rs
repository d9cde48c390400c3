//! RFC 9776 section 3.2: the two examples of the RFC, its rules at their edges, and the preprocessing of RFC 4605
//! section 4.1.

use std::net::Ipv4Addr;

use super::super::super::sim::{A, B, C, D, E, F, Sim, Time as _};
use super::super::super::{FilterMode, InterfaceParams};
use super::super::{Subscription, merge};
use crate::wire::RecordType;

fn include(sources: &[Ipv4Addr]) -> Subscription {
    Subscription {
        mode: FilterMode::Include,
        sources: sources.iter().copied().collect(),
    }
}

fn exclude(sources: &[Ipv4Addr]) -> Subscription {
    Subscription {
        mode: FilterMode::Exclude,
        ..include(sources)
    }
}

/// Whatever the order of the subscriptions is.
fn check(subscriptions: &[Subscription], merged: Option<&Subscription>) {
    for start in 0..subscriptions.len().max(1) {
        let mut turned = subscriptions.to_vec();
        turned.rotate_left(start);
        assert_eq!(merge(turned.clone()).as_ref(), merged, "{turned:?}");
        turned.reverse();
        assert_eq!(merge(turned.clone()).as_ref(), merged, "{turned:?}");
    }
}

#[test]
fn any_exclude_makes_it_exclude_what_all_of_them_do_and_nobody_includes() {
    check(
        &[
            exclude(&[A, B, C, D]),
            exclude(&[B, C, D, E]),
            include(&[D, E, F]),
        ],
        Some(&exclude(&[B, C])),
    );
    check(&[exclude(&[A]), exclude(&[B])], Some(&exclude(&[])));
    check(&[exclude(&[A, B]), exclude(&[])], Some(&exclude(&[])));
    check(&[exclude(&[A]), include(&[A])], Some(&exclude(&[])));
    check(&[exclude(&[A])], Some(&exclude(&[A])));
}

#[test]
fn includes_alone_make_their_union() {
    check(
        &[include(&[A, B, C]), include(&[B, C, D]), include(&[E, F])],
        Some(&include(&[A, B, C, D, E, F])),
    );
}

#[test]
fn nothing_is_wanted_by_nobody() {
    check(&[], None);
    check(&[include(&[]), include(&[])], None);
    check(&[include(&[]), include(&[A])], Some(&include(&[A])));
}

/// RFC 4605 section 4.1: "remove every source whose source timer > 0".
#[test]
fn sources_whose_timer_runs_are_not_excluded() {
    let group = Ipv4Addr::new(239, 9, 9, 9);
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(1.s())
        .host("10.0.0.7")
        .report_v3(RecordType::ChangeToExclude, group, &[A, B]);
    sim.host("10.0.0.7")
        .report_v3(RecordType::AllowNewSources, group, &[B, C]);
    let reception = sim.interface().group(group).expect("a member").reception();
    assert_eq!(Subscription::from(reception), exclude(&[A]));
}
