use super::super::sim::{A, B, C, G, LAN, Sim, Time as _, changed, group_query};
use super::super::{Input, InterfacePolicy, PromptLeave};
use super::*;
use crate::wire::RecordType::{
    AllowNewSources, BlockOldSources, ChangeToExclude, ChangeToInclude, ModeIsExclude,
    ModeIsInclude,
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

/// Row C6 of the fault table: 180 records of one group that contradict each other.
#[test]
fn one_report_of_many_records_is_as_good_as_many_reports() {
    let types = [
        ModeIsInclude,
        ChangeToExclude,
        BlockOldSources,
        AllowNewSources,
        ChangeToInclude,
        ModeIsExclude,
    ];
    let lists: [&[Ipv4Addr]; 5] = [&[A], &[B, C], &[], &[C], &[A, B, C]];
    let records: Vec<GroupRecord> = (0..180)
        .map(|number| GroupRecord {
            record_type: types[number % types.len()],
            group: G,
            sources: lists[number % lists.len()].to_vec(),
        })
        .collect();
    let (mut one, mut many) = (
        Sim::started(InterfaceParams::default()),
        Sim::started(InterfaceParams::default()),
    );
    one.host(HOST).records(records.clone());
    for record in records {
        many.host(HOST).records(vec![record]);
    }
    // The last is IS_EX (a,b,c), whatever was before: a, b and c are in it, and the group timer starts again.
    assert!(one.state(G).starts_with("EXCLUDE@270"), "{}", one.state(G));
    assert_eq!(one.state(G), many.state(G));
    one.at(600.s());
    many.at(600.s());
    assert_eq!(one.seen(), many.seen());
}

/// Row C7 of the fault table, as far as it is the router's.
#[test]
fn nothing_is_left_of_groups_that_came_and_went() {
    let mut sim = Sim::with_policy(InterfacePolicy {
        max_groups: 10,
        max_sources: 10,
        prompt_leave: Some(PromptLeave {
            tracked: true,
            ..PromptLeave::default()
        }),
        ..InterfacePolicy::default()
    });
    for round in 0..1_000 {
        for number in 0..10 {
            let host = format!("10.0.0.{}", 3 + (round + number) % 50);
            sim.host(&host).report_v2(numbered_group(number));
            sim.host(&host)
                .report_v3(AllowNewSources, numbered_group(number), &[A]);
        }
        let now = 10 * (1 + u64::try_from(round).unwrap());
        sim.at(now.s());
        for number in 0..10 {
            sim.host(HOST).leave(numbered_group(number));
        }
        sim.at((now + 3).s());
        for number in 0..10 {
            sim.host(HOST)
                .report_v3(BlockOldSources, numbered_group(number), &[A]);
        }
        sim.at((now + 6).s());
    }
    sim.at(20_000.s());
    let interface = sim.interface();
    assert_eq!(interface.group_count(), 0);
    assert_eq!((interface.source_count, interface.host_count), (0, 0));
    assert_eq!(sim.counter(Counter::GroupLimit), 0);
    assert_eq!(sim.counter(Counter::SourceLimit), 0);
    sim.input(Input::InterfaceGone { interface: LAN });
    assert_eq!(sim.router.poll_timeout(), None);
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
