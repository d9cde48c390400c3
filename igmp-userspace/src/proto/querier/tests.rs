use std::net::Ipv4Addr;

use super::super::sim::{G, LAN, Sim, Time as _, changed, general_query, group_query, query};
use super::super::{Counter, Input, InterfaceParams, Querier};
use crate::wire::{self, Query, RecordType, Version};

const RIVAL: &str = "10.0.0.1";

fn querier(sim: &Sim) -> (String, bool) {
    let Querier { address, is_self } = sim.interface().querier().unwrap();
    (address.to_string(), is_self)
}

fn ours() -> (String, bool) {
    ("10.0.0.2".to_owned(), true)
}

fn rivals() -> (String, bool) {
    (RIVAL.to_owned(), false)
}

#[test]
fn startup_queries_then_one_every_query_interval() {
    let mut sim = Sim::new();
    sim.at(2.s())
        .ready(InterfaceParams::default(), &["10.0.0.2/24"]);
    sim.expects([general_query("2s")]);
    assert_eq!(querier(&sim), ours());
    // Sections 8.6 and 8.7: [Startup Query Count] 2 queries, 125 s / 4 apart.
    sim.at(300.s()).expects([
        general_query("33.25s"),
        general_query("158.25s"),
        general_query("283.25s"),
    ]);
}

#[test]
fn startup_count_and_interval_can_be_set() {
    let params = InterfaceParams {
        startup_query_count: Some(3),
        startup_query_interval: Some(5.s()),
        query_interval: 60.s(),
        query_response_interval: 4.s(),
        robustness: 3,
        ..InterfaceParams::default()
    };
    let mut sim = Sim::new();
    sim.ready(params, &["10.0.0.2/24"]);
    let line = |at| format!("{at} 10.0.0.2 > 224.0.0.1: v3 general query, max 4s, qrv 3, qqi 60s");
    sim.at(130.s()).expects([
        line("0s"),
        line("5s"),
        line("10s"),
        line("70s"),
        line("130s"),
    ]);
}

#[test]
fn routers_of_older_versions_send_that_version() {
    for (version, line) in [
        (
            Version::V2,
            "0s 10.0.0.2 > 224.0.0.1: v2 general query, max 4s",
        ),
        // RFC 2236 section 4: the Max Response Time of an IGMPv1 query is always 10 s.
        (
            Version::V1,
            "0s 10.0.0.2 > 224.0.0.1: v1 general query, max 10s",
        ),
    ] {
        let mut sim = Sim::new();
        let params = InterfaceParams {
            version,
            query_response_interval: 4.s(),
            ..InterfaceParams::default()
        };
        sim.ready(params, &["10.0.0.2/24"]);
        sim.expects([line]);
    }
}

#[test]
fn a_lower_address_takes_over_until_it_is_silent_for_the_other_querier_present_interval() {
    for version in [Version::V1, Version::V2, Version::V3] {
        let mut sim = Sim::started(InterfaceParams::default());
        sim.at(10.s()).host(RIVAL).general_query(version);
        assert_eq!(querier(&sim), rivals());
        sim.at(135.s()).host(RIVAL).general_query(version);
        // Section 8.5: 2 x 125 s + 10 s / 2 = 255 s after the last one.
        sim.at(389_999.ms()).expects_nothing();
        assert_eq!(querier(&sim), rivals());
        sim.at(390.s()).expects([general_query("390s")]);
        assert_eq!(querier(&sim), ours());
        sim.at(515.s()).expects([general_query("515s")]);
    }
}

#[test]
fn a_higher_address_does_not() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(10.s()).host("10.0.0.3").general_query(Version::V3);
    assert_eq!(querier(&sim), ours());
    sim.at(31_250.ms()).expects([general_query("31.25s")]);
}

#[test]
fn neither_does_a_query_from_0_0_0_0_nor_one_sent_to_us_alone() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(10.s()).host("0.0.0.0").general_query(Version::V2);
    assert_eq!(sim.counter(Counter::SourceNotAccepted), 1);
    sim.host(RIVAL).to("10.0.0.2").general_query(Version::V2);
    assert_eq!(sim.counter(Counter::WrongDestination), 1);
    assert_eq!(querier(&sim), ours());
}

#[test]
fn a_hundred_queries_are_one_election() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(5.s()).host("10.0.0.7").report_v2(G);
    sim.forget();
    for _ in 0..100 {
        sim.at(10.s()).host(RIVAL).general_query(Version::V3);
    }
    // Only the querier forwards (RFC 4605 section 4.2): the flows of every group are looked at again, once.
    sim.expects([changed("10s", G)]);
}

#[test]
fn the_role_changes_flows_both_ways_and_no_membership() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(5.s()).host("10.0.0.7").report_v2(G);
    sim.at(10.s()).host(RIVAL).general_query(Version::V3);
    sim.at(200.s()).host("10.0.0.7").report_v2(G);
    sim.forget();
    sim.at(265.s())
        .expects([general_query("265s"), changed("265s", G)]);
    assert_eq!(sim.state(G), "EXCLUDE@470");
}

#[test]
fn a_non_querier_uses_the_queriers_robustness_and_interval() {
    let mut sim = Sim::started(InterfaceParams::default());
    let other = Query {
        robustness: 3,
        query_interval: 60.s(),
        ..query(Version::V3, Ipv4Addr::UNSPECIFIED)
    };
    sim.at(10.s()).host(RIVAL).query(other.clone());
    assert_eq!(sim.interface().params().robustness, 3);
    assert_eq!(sim.interface().params().query_interval, 60.s());
    // Group Membership Interval: 3 x 60 s + 2 x 10 s = 200 s.
    sim.at(20.s()).host("10.0.0.7").report_v2(G);
    assert_eq!(sim.state(G), "EXCLUDE@220");

    // Zero says nothing: our own values (sections 4.1.6 and 4.1.7).
    sim.at(30.s()).host(RIVAL).query(Query {
        robustness: 0,
        query_interval: 0.s(),
        ..other.clone()
    });
    assert_eq!(sim.interface().params(), &InterfaceParams::default());

    // A Group-Specific Query says it too, and Other Querier Present is 3 x 60 s + 5 s = 185 s after a General one.
    sim.at(40.s()).host(RIVAL).query(other);
    sim.forget();
    sim.at(220.s()).expects([changed("220s", G)]);
    sim.at(225.s()).expects([general_query("225s")]);
    assert_eq!(
        sim.interface().params(),
        &InterfaceParams::default(),
        "a querier uses its own"
    );
}

#[test]
fn the_querier_does_not_use_anyone_elses_values() {
    let mut sim = Sim::started(InterfaceParams::default());
    let other = Query {
        robustness: 7,
        query_interval: 31.s(),
        ..query(Version::V3, Ipv4Addr::UNSPECIFIED)
    };
    sim.at(10.s()).host("10.0.0.3").query(other);
    assert_eq!(sim.interface().params(), &InterfaceParams::default());
}

#[test]
fn a_new_address_is_used_at_once_and_memberships_stay() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(5.s()).host("10.0.0.7").report_v2(G);
    sim.forget();
    sim.at(10.s())
        .ready(InterfaceParams::default(), &["10.0.0.9/24"]);
    sim.expects(["10s 10.0.0.9 > 224.0.0.1: v3 general query, max 10s, qrv 2, qqi 125s"]);
    assert_eq!(sim.state(G), "EXCLUDE@275");
    // 10.0.0.3 lost against 10.0.0.2 and wins against 10.0.0.9.
    sim.at(11.s()).host("10.0.0.3").general_query(Version::V3);
    assert_eq!(querier(&sim), ("10.0.0.3".to_owned(), false));
}

#[test]
fn a_new_address_can_win_the_election() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(5.s()).host("10.0.0.1").general_query(Version::V3);
    sim.at(10.s())
        .ready(InterfaceParams::default(), &["10.0.0.3/24"]);
    sim.expects_nothing();
    assert_eq!(querier(&sim), rivals());
    sim.at(20.s()).ready(
        InterfaceParams {
            robustness: 3,
            ..InterfaceParams::default()
        },
        &["10.0.0.1/24"],
    );
    sim.expects(["20s 10.0.0.1 > 224.0.0.1: v3 general query, max 10s, qrv 3, qqi 125s"]);
    // A querier whose address is not on the link any more is not waited for.
    sim.at(30.s())
        .ready(InterfaceParams::default(), &["10.0.0.2/24"]);
    sim.host("10.0.0.1").general_query(Version::V3);
    sim.forget();
    sim.at(40.s())
        .ready(InterfaceParams::default(), &["192.0.2.9/24"]);
    sim.expects(["40s 192.0.2.9 > 224.0.0.1: v3 general query, max 10s, qrv 2, qqi 125s"]);
}

#[test]
fn new_parameters_are_announced_and_nothing_is_for_an_unchanged_interface() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(10.s())
        .ready(InterfaceParams::default(), &["10.0.0.2/24", "192.0.2.1/24"]);
    sim.expects_nothing();
    let params = InterfaceParams {
        query_interval: 60.s(),
        ..InterfaceParams::default()
    };
    sim.at(20.s()).ready(params, &["10.0.0.2/24"]);
    let line = |at| format!("{at} 10.0.0.2 > 224.0.0.1: v3 general query, max 10s, qrv 2, qqi 60s");
    sim.expects([line("20s")]);
    // It was the second of the startup queries: the next comes after the new Query Interval.
    sim.at(100.s()).expects([line("80s")]);
}

#[test]
fn an_interface_set_to_an_older_version_asks_in_that_version_only() {
    let mut sim = Sim::started(InterfaceParams::default());
    let source = Ipv4Addr::new(10, 9, 0, 1);
    sim.at(40.s())
        .host("10.0.0.7")
        .report_v3(RecordType::ModeIsInclude, G, &[source]);
    sim.at(50.s())
        .host("10.0.0.7")
        .report_v3(RecordType::BlockOldSources, G, &[source]);
    sim.forget();
    let params = InterfaceParams {
        version: Version::V2,
        ..InterfaceParams::default()
    };
    sim.at(50_500.ms()).ready(params, &["10.0.0.2/24"]);
    sim.at(60.s()).expects([
        "50.5s 10.0.0.2 > 224.0.0.1: v2 general query, max 10s".to_owned(),
        changed("52s", G),
    ]);
}

#[test]
fn a_gone_interface_forgets_everything_and_says_so() {
    let mut sim = Sim::started(InterfaceParams::default());
    let other = Ipv4Addr::new(239, 1, 1, 0);
    sim.at(5.s()).host("10.0.0.7").report_v2(G);
    sim.host("10.0.0.7").report_v2(other);
    sim.forget();
    sim.at(6.s()).input(Input::InterfaceGone { interface: LAN });
    sim.expects([changed("6s", other), changed("6s", G)]);
    assert!(sim.router.interface(LAN).is_none());
    assert_eq!(sim.router.poll_timeout(), None);
    sim.at(7.s())
        .ready(InterfaceParams::default(), &["10.0.0.2/24"]);
    sim.expects([general_query("7s")]);
}

#[test]
fn lost_messages_are_asked_for_at_once_but_once_per_query_response_interval() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(40.s()).forget(); // the second startup query went out at 31.25 s
    sim.input(Input::MessagesLost);
    sim.input(Input::MessagesLost);
    sim.expects_nothing();
    sim.at(41_250.ms()).expects([general_query("41.25s")]);
    sim.at(100.s()).input(Input::MessagesLost);
    sim.expects([general_query("100s")]);
    sim.at(101.s()).input(Input::MessagesLost);
    sim.at(111.s()).expects([general_query("110s")]);
    sim.at(235.s()).expects([general_query("235s")]);
}

#[test]
fn lost_messages_never_put_a_query_off() {
    let mut sim = Sim::started(InterfaceParams {
        startup_query_interval: Some(5.s()),
        ..InterfaceParams::default()
    });
    sim.at(2.s()).input(Input::MessagesLost); // the next startup query is due before 0 s + 10 s
    sim.at(20.s()).expects([general_query("5s")]);
}

#[test]
fn a_non_querier_asks_nothing_when_messages_are_lost() {
    let mut sim = Sim::non_querier(InterfaceParams::default());
    sim.at(100.s()).input(Input::MessagesLost);
    sim.expects_nothing();
}

#[test]
fn a_querier_that_asks_for_a_group_finishes_that_before_it_yields() {
    // RFC 2236 section 3: "Any Querier to non-Querier transition is ignored during this time".
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(40.s()).host("10.0.0.7").report_v2(G);
    sim.at(50.s()).host("10.0.0.7").leave(G);
    sim.forget();
    sim.at(50_500.ms()).host(RIVAL).general_query(Version::V3);
    assert_eq!(querier(&sim), ours());
    sim.at(51_999.ms()).expects([group_query("51s", G)]);
    assert_eq!(querier(&sim), ours());
    sim.at(60.s())
        .expects([changed("52s", G), changed("52s", G)]);
    assert_eq!(querier(&sim), rivals());
    sim.expects_events([
        "52s 10.0.0.1 is the querier",
        "52s nobody left in 239.1.1.1",
    ]);
    // Other Querier Present runs from when the rival was heard: 50.5 s + 255 s.
    sim.at(400.s()).expects([general_query("305.5s")]);
}

#[test]
fn a_group_that_is_kept_delays_the_election_no_longer() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(40.s()).host("10.0.0.7").report_v2(G);
    sim.at(50.s()).host("10.0.0.7").leave(G);
    sim.at(50_500.ms()).host(RIVAL).general_query(Version::V3);
    sim.at(50_700.ms()).host("10.0.0.8").report_v2(G);
    sim.forget();
    sim.at(60.s()).expects([
        "51s 10.0.0.2 > 239.1.1.1: v3 query 239.1.1.1 S, max 1s, qrv 2, qqi 125s".to_owned(),
        changed("52s", G),
    ]);
    assert_eq!(sim.state(G), "EXCLUDE@320.7");
}

#[test]
fn leaves_without_end_do_not_put_the_election_off_without_end() {
    let mut sim = Sim::started(InterfaceParams {
        last_member_query_count: Some(3),
        ..InterfaceParams::default()
    });
    let group = |number| Ipv4Addr::new(239, 2, 2, number);
    for number in 0..10 {
        sim.at(40.s()).host("10.0.0.7").report_v2(group(number));
    }
    sim.forget();
    for number in 0..6 {
        let now = 50_000 + 500 * u64::from(number);
        sim.at(now.ms()).host("10.0.0.7").leave(group(number));
        sim.at((now + 100).ms())
            .host(RIVAL)
            .general_query(Version::V3);
    }
    // What ran at 50.1 s, when the rival was first heard, was done at 53 s.
    assert_eq!(querier(&sim), ours());
    sim.at(53.s()).forget();
    assert_eq!(querier(&sim), rivals());
    let asks = |sim: &mut Sim| sim.counter(Counter::SentGroupQuery);
    let asked = asks(&mut sim);
    sim.at(60.s());
    assert_eq!(asks(&mut sim), asked, "a non-querier asks nothing");
    for number in 0..6 {
        assert_eq!(sim.state(group(number)), "none", "its timer was lowered");
    }
}

#[test]
fn source_queries_delay_the_election_too() {
    let mut sim = Sim::started(InterfaceParams::default());
    let source = Ipv4Addr::new(10, 9, 0, 1);
    sim.at(40.s())
        .host("10.0.0.7")
        .report_v3(RecordType::AllowNewSources, G, &[source]);
    sim.at(50.s())
        .host("10.0.0.7")
        .report_v3(RecordType::BlockOldSources, G, &[source]);
    sim.at(50_500.ms()).host(RIVAL).general_query(Version::V3);
    sim.at(51_999.ms());
    assert_eq!(querier(&sim), ours());
    assert_eq!(sim.counter(Counter::SentGroupAndSourceQuery), 2);
    sim.at(52.s());
    assert_eq!(querier(&sim), rivals());
}

#[test]
fn an_heir_that_is_not_lower_any_more_takes_nothing_over() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(40.s()).host("10.0.0.7").report_v2(G);
    sim.at(50.s()).host("10.0.0.7").leave(G);
    sim.at(50_500.ms()).host(RIVAL).general_query(Version::V3);
    sim.at(51.s())
        .ready(InterfaceParams::default(), &["10.0.0.1/24"]);
    sim.at(60.s());
    assert_eq!(querier(&sim), ("10.0.0.1".to_owned(), true));
}

#[test]
fn a_router_that_becomes_querier_lets_what_the_last_one_asked_for_run_out() {
    let mut sim = Sim::non_querier(InterfaceParams::default());
    sim.at(100.s()).host("10.0.0.7").report_v2(G);
    // The rival hears a leave and asks, 1 s before it has been silent for 255 s.
    sim.at(255.s()).host(RIVAL).query(query(Version::V3, G));
    sim.forget();
    sim.at(260.s()).expects([
        general_query("256s"),
        changed("256s", G),
        changed("257s", G),
    ]);
    sim.expects_events([
        "256s 10.0.0.2 is the querier: self",
        "257s nobody left in 239.1.1.1",
    ]);
}

#[test]
fn every_query_is_counted() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(10.s()).host(RIVAL).general_query(Version::V1);
    sim.host(RIVAL).general_query(Version::V2);
    sim.host(RIVAL).general_query(Version::V3);
    for counter in [
        Counter::ReceivedQueryV1,
        Counter::ReceivedQueryV2,
        Counter::ReceivedQueryV3,
        Counter::SentGeneralQuery,
    ] {
        assert_eq!(sim.counter(counter), 1, "{}", counter.name());
    }
    assert_eq!(wire::ALL_SYSTEMS, Ipv4Addr::new(224, 0, 0, 1));
}
