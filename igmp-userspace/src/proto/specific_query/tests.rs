use super::super::sim::{
    A, B, C, G, Sim, Time as _, changed, general_query, group_query, query, source_query,
};
use super::super::{Counter, InterfaceParams};
use crate::wire::RecordType::{
    AllowNewSources, BlockOldSources, ChangeToExclude, ChangeToInclude, ModeIsExclude,
    ModeIsInclude,
};
use crate::wire::{Query, Version};

const HOST: &str = "10.0.0.7";
const OTHER: &str = "10.0.0.8";

/// A querier at 40 s, past its startup queries, with a member of G that joined with version 2.
fn with_member(params: InterfaceParams) -> Sim {
    let mut sim = Sim::started(params);
    sim.at(40.s()).host(HOST).report_v2(G);
    sim.forget();
    sim
}

#[test]
fn a_leave_nobody_objects_to_ends_the_group_after_exactly_lmqt() {
    let mut sim = with_member(InterfaceParams::default());
    sim.at(50.s()).host(HOST).leave(G);
    sim.at(51_999.ms())
        .expects([group_query("50s", G), group_query("51s", G)]);
    assert_eq!(
        sim.state(G),
        "EXCLUDE@52",
        "forwarded until then (section 6.4.2)"
    );
    sim.at(52.s()).expects([changed("52s", G)]);
    assert_eq!(sim.state(G), "none");
    assert_eq!(sim.counter(Counter::SentGroupQuery), 2);
}

#[test]
fn count_and_interval_of_last_member_queries_can_be_set() {
    let mut sim = with_member(InterfaceParams {
        last_member_query_count: Some(3),
        last_member_query_interval: 500.ms(),
        ..InterfaceParams::default()
    });
    sim.at(50.s()).host(HOST).leave(G);
    let line =
        |at| format!("{at} 10.0.0.2 > 239.1.1.1: v3 query 239.1.1.1, max 0.5s, qrv 2, qqi 125s");
    sim.at(60.s())
        .expects([line("50s"), line("50.5s"), line("51s"), changed("51.5s", G)]);
}

#[test]
fn a_report_keeps_the_group_and_the_queries_that_remain_carry_the_s_flag() {
    let mut sim = with_member(InterfaceParams::default());
    sim.at(50.s()).host(HOST).leave(G);
    sim.at(50_300.ms()).host(OTHER).report_v2(G);
    sim.at(60.s()).expects([
        group_query("50s", G),
        // Section 6.6.3.1: S is set when the group timer is larger than LMQT.
        "51s 10.0.0.2 > 239.1.1.1: v3 query 239.1.1.1 S, max 1s, qrv 2, qqi 125s".to_owned(),
    ]);
    assert_eq!(sim.state(G), "EXCLUDE@320.3");
}

#[test]
fn in_version_2_a_report_ends_the_queries() {
    let mut sim = with_member(InterfaceParams {
        version: Version::V2,
        ..InterfaceParams::default()
    });
    sim.at(50.s()).host(HOST).leave(G);
    sim.at(50_300.ms()).host(OTHER).report_v2(G);
    sim.at(60.s())
        .expects(["50s 10.0.0.2 > 239.1.1.1: v2 query 239.1.1.1, max 1s"]);
}

#[test]
fn in_version_2_the_queries_are_version_2() {
    let mut sim = with_member(InterfaceParams {
        version: Version::V2,
        ..InterfaceParams::default()
    });
    sim.at(50.s()).host(HOST).leave(G);
    sim.at(60.s()).expects([
        "50s 10.0.0.2 > 239.1.1.1: v2 query 239.1.1.1, max 1s".to_owned(),
        "51s 10.0.0.2 > 239.1.1.1: v2 query 239.1.1.1, max 1s".to_owned(),
        changed("52s", G),
    ]);
}

#[test]
fn a_leave_repeated_or_flooded_starts_nothing_anew() {
    let mut sim = with_member(InterfaceParams {
        last_member_query_count: Some(1),
        ..InterfaceParams::default()
    });
    for time in [50_000, 50_100, 50_999] {
        sim.at(time.ms()).host(HOST).leave(G);
        sim.host(HOST).report_v3(ChangeToInclude, G, &[]);
    }
    sim.at(60.s())
        .expects([group_query("50s", G), changed("51s", G)]);
}

#[test]
fn a_second_leave_after_an_answer_asks_again() {
    let mut sim = with_member(InterfaceParams {
        last_member_query_count: Some(1),
        ..InterfaceParams::default()
    });
    sim.at(50.s()).host(HOST).leave(G);
    sim.at(50_300.ms()).host(OTHER).report_v2(G);
    sim.at(50_600.ms()).host(OTHER).leave(G);
    sim.at(60.s()).expects([
        group_query("50s", G),
        group_query("50.6s", G),
        changed("51.6s", G),
    ]);
}

#[test]
fn a_leave_of_a_group_nobody_joined_is_nothing() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(10.s()).host(HOST).leave(G);
    sim.expects_nothing();
    assert_eq!(sim.counter(Counter::ReceivedLeave), 1);
}

#[test]
fn each_source_is_asked_for_exactly_lmqc_times() {
    let mut sim = Sim::started(InterfaceParams {
        last_member_query_count: Some(3),
        ..InterfaceParams::default()
    });
    sim.at(40.s())
        .host(HOST)
        .report_v3(ModeIsInclude, G, &[A, B, C]);
    sim.forget();
    sim.at(50.s())
        .host(HOST)
        .report_v3(BlockOldSources, G, &[A, B]);
    sim.at(50_200.ms())
        .host(HOST)
        .report_v3(BlockOldSources, G, &[A, B]); // repeated: already being asked for
    // C joins the pending queries (section 6.4.2: new and pending queries are merged).
    sim.at(50_500.ms())
        .host(HOST)
        .report_v3(BlockOldSources, G, &[C]);
    sim.at(60.s()).expects([
        source_query("50s", G, "a b"),
        source_query("50.5s", G, "a b c"),
        source_query("51.5s", G, "a b c"),
        source_query("52.5s", G, "c"),
        changed("53s", G),
        changed("53.5s", G),
    ]);
    assert_eq!(sim.state(G), "none");
}

#[test]
fn answered_sources_are_asked_for_with_the_s_flag_in_a_message_of_their_own() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(40.s())
        .host(HOST)
        .report_v3(ModeIsInclude, G, &[A, B]);
    sim.forget();
    sim.at(50.s())
        .host(HOST)
        .report_v3(BlockOldSources, G, &[A, B]);
    sim.at(50_500.ms())
        .host(OTHER)
        .report_v3(ModeIsInclude, G, &[B]);
    sim.at(60.s()).expects([
        source_query("50s", G, "a b"),
        source_query("51s", G, "b S"),
        source_query("51s", G, "a"),
        changed("52s", G),
    ]);
    assert_eq!(sim.state(G), "INCLUDE b@320.5");
}

#[test]
fn group_and_source_queries_keep_their_own_time() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(40.s()).host(HOST).report_v3(ModeIsExclude, G, &[]);
    sim.host(OTHER).report_v3(AllowNewSources, G, &[A]);
    sim.forget();
    sim.at(50.s())
        .host(HOST)
        .report_v3(BlockOldSources, G, &[B]);
    sim.at(50_400.ms())
        .host(HOST)
        .report_v3(ChangeToInclude, G, &[]);
    sim.at(60.s()).expects([
        source_query("50s", G, "b"),
        source_query("50.4s", G, "a b"),
        group_query("50.4s", G),
        source_query("51.4s", G, "a"),
        group_query("51.4s", G),
        changed("52s", G),
        changed("52.4s", G),
    ]);
    assert_eq!(sim.state(G), "none");
}

#[test]
fn a_source_deleted_from_the_list_is_not_asked_for_again() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(40.s()).host(HOST).report_v3(ModeIsExclude, G, &[]);
    sim.at(50.s())
        .host(HOST)
        .report_v3(BlockOldSources, G, &[A]);
    sim.forget();
    sim.at(50_500.ms())
        .host(OTHER)
        .report_v3(ModeIsExclude, G, &[]);
    sim.at(60.s()).expects_nothing();
    assert_eq!(sim.state(G), "EXCLUDE@320.5");
}

#[test]
fn switching_to_exclude_asks_for_the_sources_that_stay() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(40.s())
        .host(HOST)
        .report_v3(ModeIsInclude, G, &[A, B]);
    sim.forget();
    sim.at(50.s())
        .host(HOST)
        .report_v3(ChangeToExclude, G, &[A]);
    sim.at(60.s()).expects([
        changed("50s", G),
        source_query("50s", G, "a"),
        source_query("51s", G, "a"),
        changed("52s", G), // a is blocked now
    ]);
    assert_eq!(sim.state(G), "EXCLUDE@320 !a");
}

// Section 6.6.1: queries heard from the elected querier.

#[test]
fn a_non_querier_lowers_its_timers_with_the_querier() {
    let mut sim = Sim::non_querier(InterfaceParams::default());
    sim.at(40.s()).host(HOST).report_v3(ModeIsExclude, G, &[]);
    sim.host(HOST).report_v3(AllowNewSources, G, &[A, B]);
    sim.forget();
    let asked = Query {
        sources: vec![A],
        ..query(Version::V3, G)
    };
    sim.at(50.s()).host("10.0.0.1").query(asked.clone());
    assert_eq!(sim.state(G), "EXCLUDE@310 a@52 b@310");
    sim.host("10.0.0.1").query(Query {
        suppress_router_side_processing: true,
        ..query(Version::V3, G)
    });
    assert_eq!(sim.state(G), "EXCLUDE@310 a@52 b@310", "the S flag");
    sim.at(51.s()).host("10.0.0.1").query(query(Version::V3, G));
    assert_eq!(sim.state(G), "EXCLUDE@53 a@52 b@310");
    sim.at(52_500.ms())
        .host("10.0.0.1")
        .query(query(Version::V3, G));
    assert_eq!(sim.state(G), "EXCLUDE@53 !a b@310", "lowered, never raised");
    sim.at(60.s())
        .expects([changed("52s", G), changed("53s", G)]);
    assert_eq!(sim.state(G), "INCLUDE b@310");
}

#[test]
fn a_version_2_query_lowers_the_group_timer_to_lmqc_times_its_max_response_time() {
    let mut sim = Sim::non_querier(InterfaceParams {
        version: Version::V2,
        ..InterfaceParams::default()
    });
    sim.at(40.s()).host(HOST).report_v2(G);
    sim.at(50.s()).host("10.0.0.1").query(Query {
        max_response_time: 3.s(),
        ..query(Version::V2, G)
    });
    assert_eq!(sim.state(G), "EXCLUDE@56");
}

#[test]
fn the_querier_leaves_its_timers_alone_when_another_asks() {
    let mut sim = with_member(InterfaceParams::default());
    sim.at(50.s()).host("10.0.0.1").query(query(Version::V3, G));
    assert_eq!(sim.state(G), "EXCLUDE@310");
    assert_eq!(sim.counter(Counter::QueryWhileQuerier), 1);
    assert!(
        sim.interface().querier().unwrap().is_self,
        "only General Queries elect (section 6.6.2)"
    );
}

#[test]
fn a_non_querier_ignores_leaves_and_asks_nothing() {
    let mut sim = Sim::non_querier(InterfaceParams::default());
    sim.at(40.s()).host(HOST).report_v2(G);
    sim.forget();
    sim.at(50.s()).host(HOST).leave(G);
    sim.host(HOST).report_v3(ChangeToInclude, G, &[]);
    sim.at(60.s()).expects_nothing();
    assert_eq!(sim.state(G), "EXCLUDE@310");
    assert_eq!(sim.counter(Counter::NotQuerier), 2);
}

#[test]
fn an_answer_that_waited_in_a_queue_rescues_the_group() {
    let mut sim = with_member(InterfaceParams {
        last_member_query_count: Some(1),
        ..InterfaceParams::default()
    });
    sim.at(50.s()).host(HOST).leave(G);
    sim.expects([group_query("50s", G)]);
    // The caller was late: the report is handed in before the timeout that was due at 51 s.
    sim.late(51_200.ms()).host(OTHER).report_v2(G);
    sim.at(60.s()).expects_nothing();
    assert_eq!(sim.state(G), "EXCLUDE@321.2");
    sim.at(160.s()).expects([general_query("156.25s")]);
}

#[test]
fn what_ended_during_a_stall_is_not_asked_for_any_more() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(40.s()).host(HOST).report_v3(ModeIsExclude, G, &[]);
    sim.host(HOST).report_v3(AllowNewSources, G, &[A]);
    sim.at(50.s())
        .host(HOST)
        .report_v3(BlockOldSources, G, &[B]);
    sim.forget();
    sim.late(53.s()).at(53.s()).expects([changed("53s", G)]); // b is blocked, its second query was due at 51 s
    assert_eq!(sim.state(G), "EXCLUDE@310 a@310 !b");

    sim.at(60.s())
        .host(HOST)
        .report_v3(ChangeToInclude, G, &[A]);
    sim.forget();
    sim.late(63.s()).at(70.s()).expects([changed("63s", G)]);
    assert_eq!(sim.state(G), "INCLUDE a@330");
}
