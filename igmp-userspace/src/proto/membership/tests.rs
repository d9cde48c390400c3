use super::super::InterfacePolicy;
use super::super::sim::{A, B, C, G, Sim, Time as _, changed, group_query};
use super::*;
use crate::wire::RecordType::{
    AllowNewSources, BlockOldSources, ChangeToExclude, ChangeToInclude, ModeIsExclude,
};

const HOST: &str = "10.0.0.7";

fn numbered_group(number: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(239, 2, 0, 0).to_bits() + u32::try_from(number).unwrap())
}

fn numbered_sources(first: u32, count: usize) -> Vec<Ipv4Addr> {
    let base = Ipv4Addr::new(10, 128, 0, 0).to_bits() + first;
    (base..).take(count).map(Ipv4Addr::from_bits).collect()
}

#[test]
fn records_of_one_report_apply_in_order() {
    let mut sim = Sim::started(InterfaceParams::default());
    let record = |record_type, sources: &[Ipv4Addr]| GroupRecord {
        record_type,
        group: G,
        sources: sources.to_vec(),
    };
    sim.host(HOST).records(vec![
        record(AllowNewSources, &[A, B]), // INCLUDE (a,b)
        record(ChangeToExclude, &[B, C]), // EXCLUDE (b,c): b is asked for
        record(ChangeToInclude, &[C]),    // EXCLUDE (b,c; {}): b already is, then the group
        record(BlockOldSources, &[A]), // EXCLUDE (a,b,c): a gets the group timer, which is at LMQT already
    ]);
    assert_eq!(sim.state(G), "EXCLUDE@2 a@2 b@2 c@270");
    sim.expects([
        changed("0s", G),
        changed("0s", G),
        "0s 10.0.0.2 > 239.1.1.1: v3 query 239.1.1.1 b, max 1s, qrv 2, qqi 125s".to_owned(),
        changed("0s", G),
        group_query("0s", G),
    ]);
}

#[test]
fn the_group_limit_refuses_the_newcomer_and_nobody_else() {
    let limit = InterfacePolicy::default().max_groups;
    let mut sim = Sim::started(InterfaceParams::default());
    for number in 0..limit {
        sim.host(HOST).report_v2(numbered_group(number));
    }
    assert_eq!(sim.interface().group_count(), limit);
    assert_eq!(sim.counter(Counter::GroupLimit), 0);
    sim.forget();

    let newcomer = numbered_group(limit);
    sim.at(1.s()).host(HOST).report_v2(newcomer);
    sim.host(HOST).report_v3(AllowNewSources, newcomer, &[A]);
    sim.host(HOST).leave(newcomer); // asks for no room
    assert_eq!(sim.counter(Counter::GroupLimit), 2);
    assert_eq!(sim.state(newcomer), "none");
    sim.host(HOST).report_v2(numbered_group(0));
    assert_eq!(
        sim.state(numbered_group(0)),
        "EXCLUDE@271",
        "members are refreshed"
    );
    sim.expects_nothing();

    sim.host(HOST).leave(numbered_group(5));
    sim.at(3.s()).forget();
    sim.host(HOST).report_v2(newcomer);
    sim.expects([changed("3s", newcomer)]);
    assert_eq!(
        sim.counter(Counter::GroupLimit),
        2,
        "the slot is used again"
    );
}

#[test]
fn the_source_limit_of_a_group() {
    let mut sim = Sim::started(InterfaceParams::default());
    let sources = |sim: &Sim| {
        sim.interface()
            .group(G)
            .map_or(0, |group| group.sources().count())
    };
    sim.host(HOST).report_v3(
        AllowNewSources,
        G,
        &numbered_sources(0, MAX_SOURCES_PER_GROUP + 5),
    );
    assert_eq!(
        (sources(&sim), sim.counter(Counter::SourceLimit)),
        (MAX_SOURCES_PER_GROUP, 5)
    );
    // Those that are in are refreshed; a newcomer is not let in.
    sim.at(1.s())
        .host(HOST)
        .report_v3(AllowNewSources, G, &[numbered_sources(3, 1)[0], A]);
    assert_eq!(
        (sources(&sim), sim.counter(Counter::SourceLimit)),
        (MAX_SOURCES_PER_GROUP, 6)
    );
    // Replacing the list needs no room beside the old one.
    sim.host(HOST).report_v3(
        ModeIsExclude,
        G,
        &numbered_sources(5_000, MAX_SOURCES_PER_GROUP),
    );
    assert_eq!(
        (sources(&sim), sim.counter(Counter::SourceLimit)),
        (MAX_SOURCES_PER_GROUP, 6)
    );
    sim.host(HOST).report_v3(
        ModeIsExclude,
        G,
        &numbered_sources(9_000, MAX_SOURCES_PER_GROUP + 1),
    );
    assert_eq!(
        (sources(&sim), sim.counter(Counter::SourceLimit)),
        (MAX_SOURCES_PER_GROUP, 7)
    );
}

#[test]
fn the_source_limit_of_an_interface() {
    let mut sim = Sim::started(InterfaceParams::default());
    let full = InterfacePolicy::default().max_sources / MAX_SOURCES_PER_GROUP;
    for number in 0..full {
        sim.host(HOST).report_v3(
            AllowNewSources,
            numbered_group(number),
            &numbered_sources(0, MAX_SOURCES_PER_GROUP),
        );
    }
    assert_eq!(sim.counter(Counter::SourceLimit), 0);
    sim.forget();
    sim.at(1.s()).host(HOST).report_v3(AllowNewSources, G, &[A]);
    sim.expects_nothing();
    assert_eq!(
        (sim.state(G).as_str(), sim.counter(Counter::SourceLimit)),
        ("none", 1)
    );
    assert_eq!(
        sim.interface().group_count(),
        full,
        "a group without its sources is not kept"
    );
    // Groups joined for all sources need none.
    sim.host(HOST).report_v3(ChangeToExclude, G, &[]);
    assert_eq!(sim.state(G), "EXCLUDE@271");
    // A full group can be reported again as it is.
    let sources = numbered_sources(0, MAX_SOURCES_PER_GROUP);
    sim.host(HOST)
        .report_v3(ModeIsExclude, numbered_group(1), &sources);
    assert_eq!(sim.counter(Counter::SourceLimit), 1);
    // When the sources of a group go, their room is there again.
    sim.host(HOST)
        .report_v3(ModeIsExclude, numbered_group(0), &[]);
    sim.host(HOST).report_v3(AllowNewSources, G, &[A]);
    assert_eq!(sim.state(G), "EXCLUDE@271 a@271");
}

#[test]
fn refreshing_is_silent() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.host(HOST).report_v2(G);
    sim.expects([changed("0s", G)]);
    sim.at(1.s()).host("10.0.0.8").report_v2(G);
    sim.host("10.0.0.8").report_v3(ModeIsExclude, G, &[]);
    sim.host("10.0.0.8").report_v3(ChangeToExclude, G, &[]);
    sim.host("10.0.0.8").report_v3(AllowNewSources, G, &[A]); // EXCLUDE: forwarded all along
    sim.expects_nothing();
}
