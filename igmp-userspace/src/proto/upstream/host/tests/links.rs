//! The link comes back: whoever is there is told everything anew.

use super::super::super::super::InterfaceParams;
use super::super::super::super::sim::{A, G, Time as _};
use super::{
    G_V2, H, Link, any_source, exclude, general_query, include, message, message_within, on_links,
    query, report, report_within, v2_general_query,
};

#[test]
fn every_membership_is_reported_as_if_it_were_new() {
    on_links(&InterfaceParams::default(), |link| {
        link.wants(G, exclude(&[A])).wants(H, include(&[A]));
        link.at(60.s()).forget();
        // Answers that were pending are in what is reported.
        link.hears(&general_query(100.s()));
        link.hears(&query(G, 100.s(), &[])).comes_up();
        link.at(600.s()).expects([
            report(60.s(), "TO_EX(G, {a}) ALLOW(H, {a})"),
            report_within(60.s(), 1.s(), "TO_EX(G, {a}) ALLOW(H, {a})"),
        ]);
    });
}

#[test]
fn a_leave_that_was_being_reported_still_is() {
    on_links(&InterfaceParams::default(), |link| {
        link.wants(G, any_source()).at(60.s()).leaves(G).forget();
        link.comes_up().at(600.s());
        link.expects([report_within(60.s(), 1.s(), "TO_IN(G, {})")]);
    });
}

#[test]
fn in_version_2_too_and_the_mode_stays() {
    on_links(&InterfaceParams::default(), |link| {
        link.hears(&v2_general_query()).wants(G, any_source());
        link.at(60.s()).forget();
        link.comes_up().at(300.s());
        link.expects([message(60.s(), G_V2), message_within(60.s(), 10.s(), G_V2)]);
    });
}

#[test]
fn without_a_membership_there_is_nothing_to_say() {
    let mut link = Link::new(InterfaceParams::default(), 0);
    link.comes_up().at(60.s()).expects_nothing();
}
