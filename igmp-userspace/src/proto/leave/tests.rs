use super::super::acl::tests::{acl, acl_ref};
use super::super::sim::{A, B, G, Sim, Time as _, changed, group_query, source_query};
use super::super::{InterfaceParams, InterfacePolicy, Policy, PromptLeave};
use super::*;
use crate::wire::RecordType::{AllowNewSources, BlockOldSources, ChangeToExclude, ChangeToInclude};

const HOST: &str = "10.0.0.7";
const OTHER: &str = "10.0.0.8";

fn prompt(prompt_leave: PromptLeave) -> InterfacePolicy {
    InterfacePolicy {
        prompt_leave: Some(prompt_leave),
        ..InterfacePolicy::default()
    }
}

fn by_list(name: &str) -> PromptLeave {
    PromptLeave {
        group_policy: Some(acl_ref(name)),
        ..PromptLeave::default()
    }
}

/// A querier with this prompt-leave and a version 2 member of G, past the startup queries.
fn with_member(prompt_leave: PromptLeave) -> Sim {
    let mut sim = Sim::with_policy(prompt(prompt_leave));
    sim.at(40.s()).host(HOST).report_v2(G);
    sim.forget();
    sim
}

/// Asserts that a Leave at 50 s was decided like this, and what it brings about.
#[track_caller]
fn decided(sim: &mut Sim, decision: &str) {
    sim.at(60.s());
    let leaves = format!("50s {HOST} leaves {G}: {decision}");
    let (counter, outputs, left) = if decision.starts_with("prompt") {
        (Counter::LeavePrompt, vec![changed("50s", G)], "50s")
    } else {
        let outputs = vec![
            group_query("50s", G),
            group_query("51s", G),
            changed("52s", G),
        ];
        (Counter::LeaveQueried, outputs, "52s")
    };
    sim.expects(outputs);
    sim.expects_events([leaves, format!("{left} nobody left in {G}")]);
    let counters = [
        Counter::LeavePrompt,
        Counter::LeaveQueried,
        Counter::LeaveIgnored,
    ];
    for each in counters {
        assert_eq!(
            sim.counter(each),
            u64::from(each == counter),
            "{}",
            each.name()
        );
    }
    assert_eq!(sim.state(G), "none");
}

/// The table of `docs/policy.md`, row by row.
#[test]
fn every_row_of_the_prompt_leave_table() {
    let rows: [(&str, Option<&[&str]>, &str); 6] = [
        (
            "2000",
            Some(&["permit 239.1.0.0/16 any"]),
            "prompt (permit rule 10)",
        ),
        (
            "2000",
            Some(&["permit 239.2.0.0/16 any", "deny 239.1.0.0/16 any"]),
            "query (deny rule 20)",
        ),
        (
            "2000",
            Some(&["permit 239.2.0.0/16 any"]),
            "query (no match)",
        ),
        ("2000", Some(&[]), "query (acl 2000 empty)"),
        ("2000", None, "query (acl 2000 missing)"),
        ("stb", None, "query (acl stb missing)"),
    ];
    for (name, rules, decision) in rows {
        let mut sim = with_member(by_list(name));
        sim.policy(Policy {
            acls: rules.map(|rules| acl(name, rules)).into_iter().collect(),
            ..Policy::default()
        });
        sim.at(50.s()).host(HOST).leave(G);
        decided(&mut sim, decision);
    }
}

#[test]
fn without_a_policy_every_group_is_prompt() {
    let mut sim = with_member(PromptLeave::default());
    sim.at(50.s()).host(HOST).leave(G);
    decided(&mut sim, "prompt (no policy)");
}

#[test]
fn without_prompt_leave_hosts_are_asked() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(40.s()).host(HOST).report_v2(G);
    sim.forget();
    sim.at(50.s()).host(HOST).leave(G);
    decided(&mut sim, "query (no prompt-leave)");
}

#[test]
fn a_rule_for_some_sources_says_nothing_about_a_leave() {
    let mut sim = with_member(by_list("3000"));
    sim.policy(Policy {
        acls: vec![acl("3000", &["permit any 10.9.0.0/24"])],
        ..Policy::default()
    });
    sim.at(50.s()).host(HOST).leave(G);
    decided(&mut sim, "query (no match)");
}

#[test]
fn a_changed_list_applies_to_the_next_leave_and_its_hits_are_counted() {
    let mut sim = with_member(by_list("2000"));
    let policy = |rule| Policy {
        acls: vec![acl("2000", &[rule])],
        ..Policy::default()
    };
    sim.policy(policy("deny any any"));
    sim.at(50.s()).host(HOST).leave(G);
    assert_eq!(sim.router.acl_hits(0).unwrap().rules, [1]);
    sim.at(50_500.ms()).host(HOST).report_v2(G);
    sim.policy(policy("permit any any"));
    sim.forget();
    sim.at(50_600.ms()).host(HOST).leave(G);
    sim.at(60.s()).expects([changed("50.6s", G)]);
    assert_eq!(sim.router.acl_hits(0).unwrap().rules, [1]);
}

#[test]
fn prompt_leave_stops_the_queries_that_run() {
    let mut sim = with_member(PromptLeave::default());
    sim.host(HOST).report_v3(ChangeToExclude, G, &[]);
    sim.at(50.s()).host(HOST).report_v3(ChangeToInclude, G, &[]);
    sim.expects([group_query("50s", G)]);
    sim.at(50_500.ms()).host(HOST).leave(G);
    sim.at(60.s()).expects([changed("50.5s", G)]);
}

#[test]
fn the_leave_of_a_version_3_host_is_prompt_only_where_configured() {
    for (v3, decision) in [
        (false, "query (version 3 leave)"),
        (true, "prompt (no policy)"),
    ] {
        let mut sim = Sim::with_policy(prompt(PromptLeave {
            v3,
            ..PromptLeave::default()
        }));
        sim.at(40.s()).host(HOST).report_v3(ChangeToExclude, G, &[]);
        sim.forget();
        sim.at(50.s()).host(HOST).report_v3(ChangeToInclude, G, &[]);
        decided(&mut sim, decision);
    }
}

#[test]
fn to_in_of_nothing_is_a_leave_of_known_groups_only() {
    let mut sim = Sim::with_policy(prompt(PromptLeave {
        v3: true,
        ..PromptLeave::default()
    }));
    sim.host(HOST).report_v3(ChangeToInclude, G, &[]);
    sim.expects_nothing();
    sim.expects_events::<&str>([]);
    sim.host(HOST).report_v3(ChangeToExclude, G, &[]);
    sim.forget();
    // Neither is TO_IN with sources one, nor BLOCK.
    sim.host(HOST).report_v3(ChangeToInclude, G, &[A]);
    sim.host(HOST).report_v3(BlockOldSources, G, &[A]);
    sim.expects_events::<&str>([]);
    assert_eq!(sim.state(G), "EXCLUDE@2 a@2");
}

/// Row L1 of the fault table: nothing happens, and it is told.
#[test]
fn a_leave_of_a_group_nobody_joined() {
    let mut sim = Sim::with_policy(prompt(PromptLeave::default()));
    sim.host(HOST).leave(G);
    sim.expects_nothing();
    sim.expects_events(["0s 10.0.0.7 leaves 239.1.1.1: ignored (no member)"]);
    assert_eq!(sim.counter(Counter::LeaveIgnored), 1);
}

/// Row L5: for the Older Host Present Interval, 260 s.
#[test]
fn a_leave_while_a_version_1_host_is_a_member() {
    let mut sim = Sim::with_policy(prompt(PromptLeave::default()));
    sim.at(40.s()).host(OTHER).report_v1(G);
    sim.host(HOST).report_v2(G);
    sim.forget();
    sim.at(50.s()).host(HOST).leave(G);
    sim.expects_nothing();
    sim.expects_events(["50s 10.0.0.7 leaves 239.1.1.1: ignored (version 1 host present)"]);
    sim.at(250.s()).host(HOST).report_v2(G);
    sim.at(300.s()).forget();
    sim.host(HOST).leave(G);
    sim.expects([changed("300s", G)]);
}

/// Row L6.
#[test]
fn a_leave_while_another_router_is_the_querier() {
    let mut sim = with_member(PromptLeave {
        v3: true,
        ..PromptLeave::default()
    });
    sim.host("10.0.0.1").general_query(Version::V3);
    sim.forget();
    sim.at(50.s()).host(HOST).leave(G);
    sim.host(HOST).report_v3(ChangeToInclude, G, &[]);
    sim.at(60.s()).expects_nothing();
    let line = "50s 10.0.0.7 leaves 239.1.1.1: ignored (not the querier)";
    sim.expects_events([line, line]);
    assert_eq!(sim.state(G), "EXCLUDE@310");
}

#[test]
fn a_leave_in_include_mode_asks_for_the_sources() {
    let mut sim = Sim::with_policy(InterfacePolicy::default());
    sim.at(40.s())
        .host(HOST)
        .report_v3(AllowNewSources, G, &[A, B]);
    sim.forget();
    sim.at(50.s()).host(HOST).report_v3(ChangeToInclude, G, &[]);
    sim.at(60.s()).expects([
        source_query("50s", G, "a b"),
        source_query("51s", G, "a b"),
        changed("52s", G),
    ]);
}
