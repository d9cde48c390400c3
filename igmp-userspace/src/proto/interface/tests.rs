//! Which messages are told to be accepted.

use super::super::acl::tests::{acl, acl_ref};
use super::super::sim::{A, B, G, Sim, Time as _, changed, group_query};
use super::super::{InterfaceParams, InterfacePolicy, Policy, PromptLeave};
use crate::wire::RecordType::{
    AllowNewSources, BlockOldSources, ChangeToInclude, ModeIsExclude, ModeIsInclude,
};
use crate::wire::{GroupRecord, Version};
use std::net::Ipv4Addr;

const HOST: &str = "10.0.0.7";
const G2: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);

fn telling() -> InterfacePolicy {
    InterfacePolicy {
        tell_accepted: true,
        ..InterfacePolicy::default()
    }
}

fn accepted(at: &str) -> String {
    format!("{at} accepted")
}

#[test]
fn nobody_is_told_who_has_not_asked() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.host(HOST).report_v2(G);
    sim.expects([changed("0s", G)]);
}

#[test]
fn it_comes_behind_what_the_message_brought_about() {
    let mut sim = Sim::with_policy(telling());
    sim.at(1.s()).host(HOST).report_v2(G);
    sim.at(2.s()).host(HOST).leave(G);
    sim.expects([
        changed("1s", G),
        accepted("1s"),
        group_query("2s", G),
        accepted("2s"),
    ]);
    let policy = InterfacePolicy {
        prompt_leave: Some(PromptLeave::default()),
        ..telling()
    };
    let mut sim = Sim::with_policy(policy);
    sim.at(1.s()).host(HOST).report_v1(G2);
    sim.host(HOST).report_v2(G);
    sim.host(HOST).leave(G);
    sim.expects([
        changed("1s", G2),
        accepted("1s"),
        changed("1s", G),
        accepted("1s"),
        changed("1s", G),
        accepted("1s"),
    ]);
}

#[test]
fn what_changes_nothing_but_timers_is_accepted_too() {
    let mut sim = Sim::with_policy(telling());
    sim.host(HOST).report_v3(ModeIsExclude, G, &[A]);
    sim.forget();
    sim.host(HOST).report_v3(ModeIsExclude, G, &[A]);
    sim.host(HOST).report_v3(BlockOldSources, G, &[A]);
    sim.expects([accepted("0s"), accepted("0s")]);
}

#[test]
fn a_message_is_accepted_once_if_one_of_its_records_is() {
    let mut sim = Sim::with_policy(telling());
    let record = |record_type, group, sources: &[Ipv4Addr]| GroupRecord {
        record_type,
        group,
        sources: sources.to_vec(),
    };
    let source_specific = Ipv4Addr::new(232, 1, 1, 1);
    sim.host(HOST).records(vec![
        record(ModeIsExclude, source_specific, &[]),
        record(AllowNewSources, G, &[A]),
        record(AllowNewSources, G2, &[A]),
        record(ChangeToInclude, Ipv4Addr::new(239, 1, 1, 3), &[]),
    ]);
    sim.expects([changed("0s", G), changed("0s", G2), accepted("0s")]);
}

#[test]
fn what_says_nothing_new_of_nobody_is_not_accepted() {
    let mut sim = Sim::with_policy(telling());
    sim.host(HOST).leave(G);
    sim.host(HOST).report_v3(ChangeToInclude, G, &[]);
    sim.host(HOST).report_v3(BlockOldSources, G, &[A]);
    sim.host(HOST).report_v3(ModeIsInclude, G, &[]);
    sim.host(HOST).records(vec![]);
    sim.expects_nothing();
    sim.host(HOST).report_v3(AllowNewSources, G, &[A]);
    sim.forget();
    sim.host(HOST).report_v3(AllowNewSources, G, &[]);
    sim.expects_nothing();
}

#[test]
fn queries_are_never_accepted() {
    let mut sim = Sim::with_policy(telling());
    sim.host("10.0.0.9").general_query(Version::V3);
    sim.host("10.0.0.1").general_query(Version::V3);
    sim.expects_nothing();
}

/// Admission, then policy, then limits.
#[test]
fn what_is_refused_is_not_accepted() {
    let mut sim = Sim::with_policy(InterfacePolicy {
        group_policy: Some(acl_ref("join")),
        max_groups: 1,
        max_sources: 1,
        ..telling()
    });
    sim.policy(Policy {
        acls: vec![acl("join", &["deny any 10.9.0.2/32", "permit any any"])],
        ..Policy::default()
    });
    sim.host("192.0.2.1").report_v2(G);
    sim.host(HOST).to("10.0.0.99").report_v2(G);
    sim.host(HOST).report_v2(Ipv4Addr::new(232, 1, 1, 1));
    sim.host(HOST).report_v3(AllowNewSources, G, &[B]);
    sim.expects_nothing();
    sim.host(HOST).report_v3(AllowNewSources, G, &[A]);
    sim.expects([changed("0s", G), accepted("0s")]);
    sim.host(HOST).report_v2(G2);
    sim.host(HOST).report_v3(AllowNewSources, G, &[B]);
    sim.expects_nothing();

    let mut sim = Sim::with_policy(InterfacePolicy {
        max_sources: 0,
        ..telling()
    });
    sim.host(HOST).report_v3(AllowNewSources, G, &[A]);
    sim.expects_nothing();
}

/// Only the querier acts on leaves (RFC 2236 section 3); reports are for all routers.
#[test]
fn a_non_querier_accepts_reports_and_no_leaves() {
    let mut sim = Sim::with_policy(telling());
    sim.host("10.0.0.1").general_query(Version::V3);
    sim.host(HOST).report_v2(G);
    sim.expects([changed("0s", G), accepted("0s")]);
    sim.host(HOST).leave(G);
    sim.expects_nothing();
}

#[test]
fn on_standby_nothing_goes_back() {
    let mut sim = Sim::on_standby(InterfaceParams::default(), telling());
    sim.host(HOST).report_v2(G);
    sim.expects([changed("0s", G)]);
    sim.standby(false);
    sim.forget();
    sim.host(HOST).report_v2(G);
    sim.expects([accepted("0s")]);
}
