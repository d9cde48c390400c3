use std::net::Ipv4Addr;

use super::super::sim::{
    A, B, G, LAN, Sim, Time as _, changed, general_query, group_query, query, source_query,
};
use super::super::{
    Counter, Input, InterfaceParams, InterfacePolicy, Policy, PromptLeave, Querier,
};
use crate::wire::Query;
use crate::wire::RecordType::{AllowNewSources, BlockOldSources, ChangeToInclude, ModeIsExclude};
use crate::wire::Version;

const HOST: &str = "10.0.0.7";
const OTHER: &str = "10.0.0.8";
/// The other gateway, and a third router.
const PEER: &str = "10.0.0.3";
const LOWER: &str = "10.0.0.1";

fn standby() -> Sim {
    Sim::on_standby(InterfaceParams::default(), InterfacePolicy::default())
}

/// A member for any source, whose report came at 40 s: it ends at 310 s.
fn with_member() -> Sim {
    let mut sim = standby();
    sim.at(40.s()).host(HOST).report_v2(G);
    sim.forget();
    sim
}

fn querier(sim: &Sim) -> Option<(String, bool)> {
    let Querier { address, is_self } = sim.interface().querier()?;
    Some((address.to_string(), is_self))
}

#[test]
fn nothing_is_sent_whatever_happens() {
    let mut sim = Sim::new();
    sim.standby(true);
    sim.ready(InterfaceParams::default(), &["10.0.0.2/24"]);
    let other_group = Ipv4Addr::new(239, 1, 1, 2);
    sim.at(10.s()).host(HOST).report_v2(G);
    sim.host(HOST).report_v3(AllowNewSources, other_group, &[A]);
    sim.at(20.s()).host(HOST).leave(G);
    sim.host(HOST).report_v3(BlockOldSources, other_group, &[A]);
    sim.at(30.s()).input(Input::MessagesLost);
    sim.expects([
        changed("10s", G),
        changed("10s", other_group),
        changed("22s", G),
        changed("22s", other_group),
    ]);
    sim.host(HOST).report_v2(G);
    sim.forget();
    sim.input(Input::Clear {
        interface: None,
        group: Some(G),
    });
    sim.input(Input::Clear {
        interface: None,
        group: None,
    });
    sim.expects([changed("30s", G)]);
    sim.input(Input::Restart);
    let other = InterfaceParams {
        query_interval: 60.s(),
        ..InterfaceParams::default()
    };
    sim.ready(other, &["10.0.0.9/24"]);
    sim.late(1_000.s()).at(2_000.s()).expects_nothing();
    let sent = [
        Counter::SentGeneralQuery,
        Counter::SentGroupQuery,
        Counter::SentGroupAndSourceQuery,
    ];
    assert_eq!(sent.map(|counter| sim.counter(counter)), [0; 3]);
}

/// Section 6.4.2 with section 6.6.3, as on the gateway that asks: LMQT is 2 s.
#[test]
fn a_copied_leave_lowers_the_timer_and_a_copied_report_raises_it() {
    let mut sim = with_member();
    sim.at(50.s()).host(HOST).leave(G);
    assert_eq!(sim.state(G), "EXCLUDE@52");
    sim.at(51.s()).host(OTHER).report_v2(G);
    assert_eq!(sim.state(G), "EXCLUDE@321");
    sim.at(60.s()).host(OTHER).leave(G);
    sim.at(61_999.ms()).expects_nothing();
    sim.at(62.s()).expects([changed("62s", G)]);
    assert_eq!(sim.state(G), "none");
}

#[test]
fn copied_source_changes_lower_and_raise_source_timers() {
    let mut sim = standby();
    sim.at(40.s())
        .host(HOST)
        .report_v3(AllowNewSources, G, &[A, B]);
    sim.at(50.s())
        .host(HOST)
        .report_v3(BlockOldSources, G, &[A, B]);
    assert_eq!(sim.state(G), "INCLUDE a@52 b@52");
    sim.at(51.s())
        .host(OTHER)
        .report_v3(AllowNewSources, G, &[B]);
    assert_eq!(sim.state(G), "INCLUDE a@52 b@321");
    sim.at(55.s());
    assert_eq!(sim.state(G), "INCLUDE b@321");
}

#[test]
fn prompt_leave_is_prompt() {
    let policy = InterfacePolicy {
        prompt_leave: Some(PromptLeave::default()),
        ..InterfacePolicy::default()
    };
    let mut sim = Sim::on_standby(InterfaceParams::default(), policy);
    sim.at(40.s()).host(HOST).report_v2(G);
    sim.forget();
    sim.at(50.s()).host(HOST).leave(G);
    sim.expects([changed("50s", G)]);
    sim.expects_events([
        "50s 10.0.0.7 leaves 239.1.1.1: prompt (no policy)",
        "50s nobody left in 239.1.1.1",
    ]);
}

#[test]
fn a_version_1_member_makes_leaves_be_ignored() {
    let mut sim = standby();
    sim.at(40.s()).host(HOST).report_v1(G);
    sim.at(50.s()).host(OTHER).leave(G);
    assert_eq!(sim.state(G), "EXCLUDE@310");
    assert_eq!(sim.counter(Counter::OlderHostPresent), 1);
}

#[test]
fn queries_heard_elect_nobody_and_teach_nothing() {
    let mut sim = with_member();
    assert_eq!(querier(&sim), None);
    sim.at(50.s()).host(PEER).query(Query {
        robustness: 7,
        query_interval: 60.s(),
        ..query(Version::V3, Ipv4Addr::UNSPECIFIED)
    });
    assert_eq!(querier(&sim), Some((PEER.to_owned(), false)));
    assert!(sim.interface().forwards() && sim.interface().is_standby());
    assert_eq!(*sim.interface().params(), InterfaceParams::default());
    assert_eq!(sim.counter(Counter::QueryWhileStandby), 1);
    sim.expects_nothing();
    sim.expects_events(["50s 10.0.0.3 is the querier"]);
}

/// Sections 6.6.2 and 8.5: of several the lowest is the querier, for 2 x 125 s + 10 s / 2 after its last query.
#[test]
fn who_asks_is_known_for_the_other_querier_present_interval() {
    let mut sim = standby();
    sim.at(10.s()).host(PEER).general_query(Version::V3);
    sim.at(20.s()).host(LOWER).general_query(Version::V3);
    sim.at(30.s()).host(PEER).general_query(Version::V3);
    assert_eq!(querier(&sim), Some((LOWER.to_owned(), false)));
    sim.at(274_999.ms());
    assert_eq!(querier(&sim), Some((LOWER.to_owned(), false)));
    sim.at(275.s());
    assert_eq!(querier(&sim), None);
    sim.at(280.s()).host(PEER).general_query(Version::V3);
    assert_eq!(querier(&sim), Some((PEER.to_owned(), false)));
    assert_eq!(sim.counter(Counter::QueryWhileStandby), 4);
    sim.expects_nothing();
}

/// Section 6.6.1: the peer asks on the same link, and the leave it asks about was not copied, or comes later.
#[test]
fn the_specific_query_of_the_peer_lowers_what_it_asks_for() {
    let mut sim = with_member();
    sim.at(45.s())
        .host(HOST)
        .report_v3(AllowNewSources, G, &[A]);
    sim.at(50.s()).host(PEER).query(Query {
        suppress_router_side_processing: true,
        ..query(Version::V3, G)
    });
    assert_eq!(
        sim.state(G),
        "EXCLUDE@310 a@315",
        "S: somebody has answered"
    );
    sim.host(PEER).query(Query {
        robustness: 7,
        sources: vec![A],
        ..query(Version::V3, G)
    });
    assert_eq!(sim.state(G), "EXCLUDE@310 a@52");
    sim.host(PEER).query(query(Version::V3, G));
    assert_eq!(sim.state(G), "EXCLUDE@52 a@52");
    assert_eq!(*sim.interface().params(), InterfaceParams::default());
    sim.host(HOST).leave(G);
    sim.at(51.s()).host(PEER).query(query(Version::V3, G));
    assert_eq!(sim.state(G), "EXCLUDE@52 a@52", "lowered, never raised");
}

/// Sections 8.6 and 8.7: 2 startup queries, 125 s / 4 apart.
#[test]
fn who_takes_over_asks_at_once_and_loses_nobody() {
    let mut sim = with_member();
    sim.host(HOST).report_v3(AllowNewSources, G, &[A]);
    sim.host(PEER).general_query(Version::V3);
    sim.forget();
    sim.at(100.s()).standby(false);
    assert_eq!(querier(&sim), Some(("10.0.0.2".to_owned(), true)));
    assert!(sim.interface().forwards() && !sim.interface().is_standby());
    assert_eq!(sim.state(G), "EXCLUDE@310 a@310");
    sim.at(256_250.ms()).expects([
        general_query("100s"),
        general_query("131.25s"),
        general_query("256.25s"),
    ]);
    sim.expects_events(["100s 10.0.0.2 is the querier: self"]);
}

/// Section 6.6.3.1. The one that asked at 50 s is dead, and who answered it was not heard.
#[test]
fn who_takes_over_asks_again_for_what_was_asked_for() {
    let mut sim = with_member();
    sim.at(50.s()).host(HOST).leave(G);
    sim.at(51_500.ms()).standby(false);
    assert_eq!(sim.state(G), "EXCLUDE@53.5");
    sim.at(60.s()).expects([
        general_query("51.5s"),
        group_query("51.5s", G),
        group_query("52.5s", G),
        changed("53.5s", G),
    ]);
    assert_eq!(sim.state(G), "none");
}

/// Section 6.6.3.2.
#[test]
fn who_takes_over_asks_again_for_sources() {
    let mut sim = standby();
    sim.at(40.s())
        .host(HOST)
        .report_v3(AllowNewSources, G, &[A, B]);
    sim.at(50.s())
        .host(HOST)
        .report_v3(BlockOldSources, G, &[A]);
    sim.forget();
    sim.at(51.s()).standby(false);
    sim.at(51_500.ms())
        .host(OTHER)
        .report_v3(AllowNewSources, G, &[A]);
    sim.at(60.s()).expects([
        general_query("51s"),
        source_query("51s", G, "a"),
        source_query("52s", G, "a S"),
    ]);
    assert_eq!(sim.state(G), "INCLUDE a@321.5 b@310");
}

#[test]
fn what_was_answered_is_not_asked_for_again() {
    let mut sim = with_member();
    sim.at(50.s()).host(HOST).leave(G);
    sim.at(50_500.ms()).host(OTHER).report_v2(G);
    sim.at(50_600.ms()).standby(false);
    sim.at(60.s()).expects([general_query("50.6s")]);
    assert_eq!(sim.state(G), "EXCLUDE@320.5");
}

/// Nobody has confirmed them for two query rounds, and yet: 2 x Query Response Interval for the answers.
#[test]
fn memberships_about_to_end_last_until_hosts_have_been_asked() {
    let mut sim = with_member();
    sim.at(309.s()).standby(false);
    sim.expects([general_query("309s")]);
    assert_eq!(sim.state(G), "EXCLUDE@329");
}

/// A source whose timer is that low is taken for one that is being asked for.
#[test]
fn sources_about_to_end_are_asked_for() {
    let mut sim = standby();
    sim.at(40.s())
        .host(HOST)
        .report_v3(AllowNewSources, G, &[A]);
    sim.at(50.s())
        .host(HOST)
        .report_v3(AllowNewSources, G, &[B]);
    sim.forget();
    sim.at(309.s()).standby(false);
    sim.expects([general_query("309s"), source_query("309s", G, "a")]);
    assert_eq!(sim.state(G), "INCLUDE a@311 b@329");
}

/// Section 7.3.1: version 2 asks for groups, version 1 for nothing.
#[test]
fn older_versions_ask_again_for_what_they_can() {
    let with_version = |version| {
        let params = InterfaceParams {
            version,
            ..InterfaceParams::default()
        };
        let mut sim = Sim::on_standby(params, InterfacePolicy::default());
        sim.at(40.s()).host(HOST).report_v1(G);
        sim.at(305.s()).host(HOST).leave(G);
        sim.forget();
        sim.at(306.s()).standby(false);
        (sim.seen().to_vec(), sim.state(G))
    };
    let general = "306s 10.0.0.2 > 224.0.0.1: v2 general query, max 10s".to_owned();
    let group = "306s 10.0.0.2 > 239.1.1.1: v2 query 239.1.1.1, max 1s".to_owned();
    assert_eq!(
        with_version(Version::V2),
        (vec![general, group], "EXCLUDE@308".to_owned()),
        "the version 1 host is not present any more since 300 s"
    );
    let general = "306s 10.0.0.2 > 224.0.0.1: v1 general query, max 10s".to_owned();
    assert_eq!(
        with_version(Version::V1),
        (vec![general], "EXCLUDE@326".to_owned())
    );
}

#[test]
fn who_falls_silent_does_not_finish_asking() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(40.s()).host(HOST).report_v2(G);
    sim.at(50.s()).host(HOST).leave(G);
    sim.forget();
    sim.at(50_500.ms()).standby(true);
    assert_eq!(querier(&sim), None);
    assert_eq!(sim.state(G), "EXCLUDE@52");
    sim.at(600.s()).expects([changed("52s", G)]);
}

/// RFC 4605 section 4.2: a non-querier does not forward; a backup is ready to. Sections 4.1.6 and 4.1.7: what it had
/// adopted was the elected querier's.
#[test]
fn a_non_querier_on_standby_has_its_flows_and_parameters_again() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(1.s()).host(LOWER).query(Query {
        query_interval: 60.s(),
        ..query(Version::V3, Ipv4Addr::UNSPECIFIED)
    });
    sim.at(2.s()).host(HOST).report_v2(G);
    sim.forget();
    assert!(!sim.interface().forwards());
    sim.at(3.s()).standby(true);
    sim.expects([changed("3s", G)]);
    assert!(sim.interface().forwards());
    assert_eq!(*sim.interface().params(), InterfaceParams::default());
    sim.standby(false);
    sim.expects([general_query("3s")]);
    assert_eq!(querier(&sim), Some(("10.0.0.2".to_owned(), true)));
}

#[test]
fn standby_lasts_while_the_interface_comes_and_goes() {
    let mut sim = with_member();
    sim.at(50.s())
        .ready(InterfaceParams::default(), &["10.0.0.9/24"]);
    assert!(sim.interface().is_standby());
    sim.input(Input::InterfaceGone { interface: LAN });
    sim.at(60.s())
        .ready(InterfaceParams::default(), &["10.0.0.2/24"]);
    assert!(sim.interface().is_standby());
    sim.expects([changed("50s", G)]);
    sim.input(Input::InterfaceGone { interface: LAN });
    sim.standby(false);
    sim.ready(InterfaceParams::default(), &["10.0.0.2/24"]);
    sim.expects([general_query("60s")]);
}

#[test]
fn what_is_said_twice_is_said_once() {
    let mut sim = with_member();
    sim.at(45.s()).host(PEER).general_query(Version::V3);
    sim.standby(true);
    assert_eq!(querier(&sim), Some((PEER.to_owned(), false)));
    sim.at(50.s()).standby(false);
    sim.at(60.s()).standby(false);
    sim.at(70.s()).expects([general_query("50s")]);
}

/// As a non-querier that waits for the next query of another: 125 s + 2 x 10 s.
#[test]
fn after_a_stall_memberships_wait_for_the_peer_to_ask() {
    let mut sim = with_member();
    sim.late(400.s()).at(400.s()).expects_nothing();
    assert_eq!(sim.state(G), "EXCLUDE@545");
}

#[test]
fn a_restart_forgets_the_members_and_stays_on_standby() {
    let mut sim = with_member();
    sim.host(PEER).general_query(Version::V3);
    sim.at(50.s()).input(Input::Restart);
    assert!(sim.interface().is_standby());
    assert_eq!(querier(&sim), None);
    sim.at(600.s()).expects([changed("50s", G)]);
}

/// A host that was heard at 10 s is forgotten with the third Query Interval, at 375 s: the first after 270 s.
#[test]
fn silent_hosts_are_forgotten_though_nobody_is_heard_asking() {
    let mut sim = standby();
    sim.policy(Policy {
        quick_leave: true,
        ..Policy::default()
    });
    sim.at(10.s()).host(HOST).report_v2(G);
    for round in 1..4 {
        sim.at((100 * round).s()).host(OTHER).report_v2(G);
    }
    sim.at(374.s());
    assert_eq!(sim.interface().hosts(G).count(), 2);
    sim.at(375.s());
    let hosts: Vec<_> = sim.interface().hosts(G).map(|host| host.address).collect();
    assert_eq!(hosts, [OTHER.parse::<Ipv4Addr>().unwrap()]);
}

/// The leave of the last known member is passed on upstream by both gateways; who answers wants the group back.
#[test]
fn quick_leave_goes_on_over_the_take_over() {
    let mut sim = standby();
    sim.policy(Policy {
        quick_leave: true,
        ..Policy::default()
    });
    sim.at(40.s()).host(HOST).report_v2(G);
    sim.at(50.s()).host(HOST).leave(G);
    assert_eq!(sim.state(G), "EXCLUDE@52 abandoned");
    sim.at(51.s()).standby(false);
    assert_eq!(sim.state(G), "EXCLUDE@53 abandoned");
    sim.host(OTHER).report_v2(G);
    assert_eq!(sim.state(G), "EXCLUDE@321");
}

/// What was on its way when the other gateway died may be a join: who leaves is asked about.
#[test]
fn tracked_hosts_have_to_be_learnt_again_after_a_take_over() {
    let policy = InterfacePolicy {
        prompt_leave: Some(PromptLeave {
            tracked: true,
            ..PromptLeave::default()
        }),
        ..InterfacePolicy::default()
    };
    let mut sim = Sim::on_standby(InterfaceParams::default(), policy);
    sim.at(300.s()).host(HOST).report_v2(G);
    sim.at(301.s()).standby(false);
    sim.forget();
    sim.at(302.s()).host(HOST).report_v3(ModeIsExclude, G, &[]);
    sim.host(HOST).leave(G);
    sim.expects_events(["302s 10.0.0.7 leaves 239.1.1.1: query (still learning hosts)"]);
    sim.host(HOST).report_v3(ChangeToInclude, G, &[]);
    sim.expects([group_query("302s", G)]);
}
