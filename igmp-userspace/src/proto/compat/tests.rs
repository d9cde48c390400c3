//! RFC 9776 section 7.3.2. With default parameters the Older Host Present Interval is 260 s, GMI 270 s.

use super::super::sim::{A, B, G, Sim, Time as _, changed, group_query, source_query};
use super::super::{Counter, InterfaceParams};
use super::*;
use RecordType::{
    AllowNewSources, BlockOldSources, ChangeToExclude, ChangeToInclude, ModeIsExclude,
    ModeIsInclude,
};

const HOST: &str = "10.0.0.7";

fn mode(sim: &Sim) -> Version {
    sim.interface().group(G).unwrap().compatibility()
}

/// At 40 s, past the startup queries.
fn started() -> Sim {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(40.s()).forget();
    sim
}

#[test]
fn older_reports_set_the_mode_until_the_older_host_present_interval_ends() {
    let mut sim = started();
    sim.host(HOST).report_v3(ModeIsExclude, G, &[]);
    assert_eq!(mode(&sim), Version::V3);
    sim.at(50.s()).host(HOST).report_v2(G);
    assert_eq!(mode(&sim), Version::V2);
    sim.at(60.s()).host(HOST).report_v1(G);
    assert_eq!(mode(&sim), Version::V1);
    sim.at(100.s()).host(HOST).report_v2(G);
    assert_eq!(
        mode(&sim),
        Version::V1,
        "as long as the IGMPv1-Host-Present timer runs"
    );
    sim.at(200.s()).host(HOST).report_v3(ModeIsExclude, G, &[]);
    sim.at(319_999.ms());
    assert_eq!(mode(&sim), Version::V1);
    sim.at(320.s());
    assert_eq!(
        mode(&sim),
        Version::V2,
        "60 s + 260 s; version 2 was heard at 100 s"
    );
    sim.at(359_999.ms());
    assert_eq!(mode(&sim), Version::V2);
    sim.at(360.s());
    assert_eq!(mode(&sim), Version::V3);
}

#[test]
fn the_mode_goes_with_the_group() {
    let mut sim = started();
    sim.host(HOST).report_v2(G);
    sim.host(HOST).leave(G);
    sim.at(42.s()).host(HOST).report_v3(ModeIsExclude, G, &[]);
    assert_eq!(mode(&sim), Version::V3);
}

#[test]
fn an_older_report_means_is_ex_of_nothing() {
    for version in [Version::V1, Version::V2] {
        let mut sim = started();
        sim.host(HOST).report_v3(ModeIsInclude, G, &[A]);
        sim.at(50.s());
        if version == Version::V1 {
            sim.host(HOST).report_v1(G);
        } else {
            sim.host(HOST).report_v2(G);
        }
        // INCLUDE (A) IS_EX ({}): EXCLUDE ({},{}), Delete (A), Group Timer=GMI
        assert_eq!(sim.state(G), "EXCLUDE@320");
        sim.expects([changed("40s", G), changed("50s", G)]);
    }
}

#[test]
fn a_leave_means_to_in_of_nothing() {
    let mut sim = started();
    sim.host(HOST).report_v2(G);
    sim.host(HOST).report_v3(AllowNewSources, G, &[A]);
    sim.forget();
    sim.at(50.s()).host(HOST).leave(G);
    // EXCLUDE (X,Y) TO_IN ({}): Send Q(G,X), Send Q(G)
    sim.expects([source_query("50s", G, "a"), group_query("50s", G)]);
    assert_eq!(sim.state(G), "EXCLUDE@52 a@52");
}

#[test]
fn with_a_version_2_member_block_and_the_sources_of_to_ex_are_ignored() {
    let mut sim = started();
    sim.host(HOST).report_v2(G);
    sim.forget();
    sim.host("10.0.0.8").report_v3(BlockOldSources, G, &[A]);
    sim.expects_nothing();
    assert_eq!(sim.counter(Counter::OlderHostPresent), 1);
    sim.at(50.s())
        .host("10.0.0.8")
        .report_v3(ChangeToExclude, G, &[A, B]);
    assert_eq!(sim.state(G), "EXCLUDE@320", "as TO_EX of nothing");
    sim.at(60.s())
        .host("10.0.0.8")
        .report_v3(ChangeToInclude, G, &[A]);
    assert_eq!(sim.state(G), "EXCLUDE@62 a@330", "TO_IN is not ignored");
    sim.expects([group_query("60s", G)]);
}

#[test]
fn with_a_version_1_member_leave_and_to_in_are_ignored_too() {
    let mut sim = started();
    sim.host(HOST).report_v1(G);
    sim.forget();
    sim.at(50.s()).host("10.0.0.8").leave(G);
    sim.host("10.0.0.8").report_v3(ChangeToInclude, G, &[A]);
    sim.host("10.0.0.8").report_v3(BlockOldSources, G, &[A]);
    assert_eq!(sim.counter(Counter::OlderHostPresent), 3);
    assert_eq!(sim.state(G), "EXCLUDE@310");
    sim.host("10.0.0.8").report_v3(ChangeToExclude, G, &[A]);
    assert_eq!(sim.state(G), "EXCLUDE@320", "as TO_EX of nothing");
    sim.expects_nothing();

    // The version 1 host falls silent: from 300 s on Leave is heeded again.
    sim.at(290.s()).host("10.0.0.8").report_v2(G);
    sim.at(299_999.ms()).forget();
    sim.host("10.0.0.8").leave(G);
    sim.expects_nothing();
    sim.at(300.s()).host("10.0.0.8").leave(G);
    sim.expects([group_query("300s", G)]);
}

#[test]
fn records_every_mode_takes_as_they_are() {
    for mode in [Version::V1, Version::V2, Version::V3] {
        for record_type in [ModeIsInclude, ModeIsExclude, AllowNewSources] {
            assert_eq!(
                in_mode(mode, record_type, &[A]),
                Some((record_type, [A].as_slice()))
            );
        }
    }
}

#[test]
fn after_the_older_host_is_gone_sources_can_be_blocked_again() {
    let mut sim = started();
    sim.host(HOST).report_v2(G);
    sim.at(100.s())
        .host("10.0.0.8")
        .report_v3(ModeIsExclude, G, &[]);
    sim.at(200.s())
        .host("10.0.0.8")
        .report_v3(ModeIsExclude, G, &[]);
    sim.at(300.s()).forget(); // 40 s + 260 s
    sim.host("10.0.0.8").report_v3(BlockOldSources, G, &[A]);
    sim.expects([source_query("300s", G, "a")]);
    sim.at(302.s());
    assert_eq!(sim.state(G), "EXCLUDE@470 !a");
}
