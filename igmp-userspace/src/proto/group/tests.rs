//! The tables of RFC 9776 sections 6.2.2, 6.3, 6.4.1, 6.4.2 and 6.5, typed from the RFC.
//!
//! Every row runs twice at 100 s: in a router that is the querier and asks, and in one that is not, whose timers are
//! those the row itself sets. With default parameters GMI is 270 s and LMQT is 2 s, so GMI ends at 370 s.

use RecordType::{
    AllowNewSources, BlockOldSources, ChangeToExclude, ChangeToInclude, ModeIsExclude,
    ModeIsInclude,
};

use super::super::InterfaceParams;
use super::super::sim::{A, B, C, D, E, F, G, Sim, Time as _, changed, group_query, source_query};
use super::*;

const HOST: &str = "10.0.0.7";

/// The router state a row starts from.
#[derive(Clone, Copy)]
enum Before {
    /// INCLUDE (A): source timers end at 280 s.
    Include(&'static [Ipv4Addr]),
    /// EXCLUDE (X,Y): source timers end at 280 s, the group timer at 275 s.
    Exclude(&'static [Ipv4Addr], &'static [Ipv4Addr]),
}
use Before::{Exclude, Include};

impl Before {
    fn set_up(self, sim: &mut Sim) {
        if let Exclude(_, blocked) = self {
            sim.at(5.s())
                .host(HOST)
                .report_v3(ModeIsExclude, G, blocked);
        }
        let (Include(forwarded) | Exclude(forwarded, _)) = self;
        sim.at(10.s())
            .host(HOST)
            .report_v3(ModeIsInclude, G, forwarded);
        sim.at(100.s()).forget();
    }
}

/// One row: `without_queries` is the state as the row's other columns say, `result` the state once the queries of
/// "Send Q(...)" have lowered the timers of what they ask for to LMQT (at 102 s).
#[track_caller]
fn row<const N: usize>(
    before: Before,
    record_type: RecordType,
    sources: &[Ipv4Addr],
    without_queries: &str,
    result: &str,
    outputs: [String; N],
) {
    let mut sim = Sim::non_querier(InterfaceParams::default());
    before.set_up(&mut sim);
    sim.host(HOST).report_v3(record_type, G, sources);
    assert_eq!(sim.state(G), without_queries, "not the querier");

    let mut sim = Sim::started(InterfaceParams::default());
    before.set_up(&mut sim);
    sim.host(HOST).report_v3(record_type, G, sources);
    assert_eq!(sim.state(G), result, "the querier");
    sim.expects(outputs);
}

/// A row without "Send Q(...)".
#[track_caller]
fn quiet_row<const N: usize>(
    before: Before,
    record_type: RecordType,
    sources: &[Ipv4Addr],
    result: &str,
    outputs: [String; N],
) {
    row(before, record_type, sources, result, result, outputs);
}

fn change() -> [String; 1] {
    [changed("100s", G)]
}

// Section 6.4.1: Current-State Records.

#[test]
fn include_a_is_in_b() {
    // INCLUDE (A+B), (B)=GMI
    quiet_row(
        Include(&[A, B]),
        ModeIsInclude,
        &[B, C],
        "INCLUDE a@280 b@370 c@370",
        change(),
    );
}

#[test]
fn include_a_is_ex_b() {
    // EXCLUDE (A*B,B-A), (B-A)=0, Delete (A-B), Group Timer=GMI
    quiet_row(
        Include(&[A, B]),
        ModeIsExclude,
        &[B, C],
        "EXCLUDE@370 b@280 !c",
        change(),
    );
}

#[test]
fn exclude_x_y_is_in_a() {
    // EXCLUDE (X+A,Y-A), (A)=GMI
    quiet_row(
        Exclude(&[A, B, C], &[D, E]),
        ModeIsInclude,
        &[B, D, F],
        "EXCLUDE@275 a@280 b@370 c@280 d@370 !e f@370",
        change(),
    );
}

#[test]
fn exclude_x_y_is_ex_a() {
    // EXCLUDE (A-Y,Y*A), (A-X-Y)=GMI, Delete (X-A), Delete (Y-A), Group Timer=GMI
    quiet_row(
        Exclude(&[A, B, C], &[D, E]),
        ModeIsExclude,
        &[B, D, F],
        "EXCLUDE@370 b@280 !d f@370",
        change(),
    );
}

// Section 6.4.2: Filter-Mode-Change and Source-List-Change Records.

#[test]
fn include_a_allow_b() {
    // INCLUDE (A+B), (B)=GMI
    quiet_row(
        Include(&[A, B]),
        AllowNewSources,
        &[B, C],
        "INCLUDE a@280 b@370 c@370",
        change(),
    );
}

#[test]
fn include_a_block_b() {
    // INCLUDE (A), Send Q(G,A*B)
    row(
        Include(&[A, B]),
        BlockOldSources,
        &[B, C],
        "INCLUDE a@280 b@280",
        "INCLUDE a@280 b@102",
        [source_query("100s", G, "b")],
    );
}

#[test]
fn include_a_to_ex_b() {
    // EXCLUDE (A*B,B-A), (B-A)=0, Delete (A-B), Send Q(G,A*B), Group Timer=GMI
    row(
        Include(&[A, B]),
        ChangeToExclude,
        &[B, C],
        "EXCLUDE@370 b@280 !c",
        "EXCLUDE@370 b@102 !c",
        [changed("100s", G), source_query("100s", G, "b")],
    );
}

#[test]
fn include_a_to_in_b() {
    // INCLUDE (A+B), (B)=GMI, Send Q(G,A-B)
    row(
        Include(&[A, B]),
        ChangeToInclude,
        &[B, C],
        "INCLUDE a@280 b@370 c@370",
        "INCLUDE a@102 b@370 c@370",
        [changed("100s", G), source_query("100s", G, "a")],
    );
}

#[test]
fn exclude_x_y_allow_a() {
    // EXCLUDE (X+A,Y-A), (A)=GMI
    quiet_row(
        Exclude(&[A, B, C], &[D, E]),
        AllowNewSources,
        &[B, D, F],
        "EXCLUDE@275 a@280 b@370 c@280 d@370 !e f@370",
        change(),
    );
}

#[test]
fn exclude_x_y_block_a() {
    // EXCLUDE (X+(A-Y),Y), (A-X-Y)=Group Timer, Send Q(G,A-Y)
    row(
        Exclude(&[A, B, C], &[D, E]),
        BlockOldSources,
        &[B, D, F],
        "EXCLUDE@275 a@280 b@280 c@280 !d !e f@275",
        "EXCLUDE@275 a@280 b@102 c@280 !d !e f@102",
        [source_query("100s", G, "b f")],
    );
}

#[test]
fn exclude_x_y_to_ex_a() {
    // EXCLUDE (A-Y,Y*A), (A-X-Y)=Group Timer, Delete (X-A), Delete (Y-A), Send Q(G,A-Y), Group Timer=GMI
    row(
        Exclude(&[A, B, C], &[D, E]),
        ChangeToExclude,
        &[B, D, F],
        "EXCLUDE@370 b@280 !d f@275",
        "EXCLUDE@370 b@102 !d f@102",
        [changed("100s", G), source_query("100s", G, "b f")],
    );
}

#[test]
fn exclude_x_y_to_in_a() {
    // EXCLUDE (X+A,Y-A), (A)=GMI, Send Q(G,X-A), Send Q(G)
    row(
        Exclude(&[A, B, C], &[D, E]),
        ChangeToInclude,
        &[B, D, F],
        "EXCLUDE@275 a@280 b@370 c@280 d@370 !e f@370",
        "EXCLUDE@102 a@102 b@370 c@102 d@370 !e f@370",
        [
            changed("100s", G),
            source_query("100s", G, "a c"),
            group_query("100s", G),
        ],
    );
}

// The same rows where a set is empty.

#[test]
fn a_group_that_is_not_kept_is_include_of_nothing() {
    for (record_type, sources) in [
        (ModeIsInclude, [].as_slice()),
        (ChangeToInclude, &[]),
        (AllowNewSources, &[]),
        (BlockOldSources, &[]),
        (BlockOldSources, &[A, B]),
    ] {
        quiet_row(Include(&[]), record_type, sources, "none", []);
    }
    quiet_row(Include(&[]), ChangeToExclude, &[], "EXCLUDE@370", change());
    quiet_row(
        Include(&[]),
        ModeIsExclude,
        &[A],
        "EXCLUDE@370 !a",
        change(),
    );
    quiet_row(
        Include(&[]),
        ChangeToInclude,
        &[A],
        "INCLUDE a@370",
        change(),
    );
}

#[test]
fn leaving_everything_asks_for_everything() {
    row(
        Include(&[A, B]),
        ChangeToInclude,
        &[],
        "INCLUDE a@280 b@280",
        "INCLUDE a@102 b@102",
        [source_query("100s", G, "a b")],
    );
    row(
        Exclude(&[], &[]),
        ChangeToInclude,
        &[],
        "EXCLUDE@275",
        "EXCLUDE@102",
        [group_query("100s", G)],
    );
}

#[test]
fn reporting_the_same_again_changes_timers_only() {
    quiet_row(Include(&[A]), ModeIsInclude, &[A], "INCLUDE a@370", []);
    quiet_row(Exclude(&[], &[]), ModeIsExclude, &[], "EXCLUDE@370", []);
    quiet_row(
        Exclude(&[], &[D]),
        ModeIsExclude,
        &[D],
        "EXCLUDE@370 !d",
        [],
    );
}

#[test]
fn a_source_listed_twice_counts_once() {
    quiet_row(
        Include(&[]),
        AllowNewSources,
        &[B, A, B],
        "INCLUDE a@370 b@370",
        change(),
    );
}

// Sections 6.2.2, 6.2.3, 6.3 and 6.5: what the timers do.

#[test]
fn in_include_mode_a_source_is_forwarded_until_its_timer_ends_and_then_deleted() {
    let mut sim = Sim::non_querier(InterfaceParams::default());
    sim.at(10.s()).host(HOST).report_v3(ModeIsInclude, G, &[A]);
    sim.at(20.s()).host(HOST).report_v3(ModeIsInclude, G, &[B]);
    sim.expects([changed("10s", G), changed("20s", G)]);
    sim.at(200.s()).host("10.0.0.1").general_query(Version::V3); // still the querier
    sim.at(279_999.ms()).expects_nothing();
    assert_eq!(sim.state(G), "INCLUDE a@280 b@290");
    sim.at(280.s());
    assert_eq!(sim.state(G), "INCLUDE b@290");
    sim.expects([changed("280s", G)]);
    sim.at(290.s());
    assert_eq!(sim.state(G), "none", "the last source deletes the group");
    sim.expects([changed("290s", G)]);
}

#[test]
fn in_exclude_mode_a_source_whose_timer_ends_is_blocked_but_kept() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(10.s()).host(HOST).report_v3(ModeIsExclude, G, &[]);
    sim.at(20.s())
        .host(HOST)
        .report_v3(BlockOldSources, G, &[A]);
    assert_eq!(sim.state(G), "EXCLUDE@280 a@22");
    assert_eq!(
        sim.interface()
            .group(G)
            .unwrap()
            .reception()
            .sources()
            .count(),
        0,
        "forwarded while it is asked for"
    );
    sim.forget();
    sim.at(22.s());
    assert_eq!(sim.state(G), "EXCLUDE@280 !a");
    assert!(
        sim.interface()
            .group(G)
            .unwrap()
            .reception()
            .sources()
            .eq([A])
    );
    sim.expects([source_query("21s", G, "a"), changed("22s", G)]);
}

#[test]
fn when_the_group_timer_ends_sources_with_a_running_timer_become_the_include_list() {
    let mut sim = Sim::non_querier(InterfaceParams::default());
    sim.at(10.s())
        .host(HOST)
        .report_v3(ModeIsExclude, G, &[C, D]);
    sim.at(100.s())
        .host(HOST)
        .report_v3(ModeIsInclude, G, &[A, B]);
    sim.host("10.0.0.1").general_query(Version::V3);
    sim.forget();
    sim.at(280.s());
    assert_eq!(sim.state(G), "INCLUDE a@370 b@370");
    sim.expects([changed("280s", G)]);
}

#[test]
fn when_the_group_timer_ends_and_no_source_timer_runs_the_group_is_deleted() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(10.s())
        .host(HOST)
        .report_v3(ModeIsExclude, G, &[C, D]);
    sim.forget();
    sim.at(280.s());
    assert_eq!(sim.state(G), "none");
    assert_eq!(sim.interface().group_count(), 0);
    sim.expects([
        super::super::sim::general_query("31.25s"),
        super::super::sim::general_query("156.25s"),
        changed("280s", G),
    ]);
}

#[test]
fn source_and_group_timers_that_end_together_leave_nothing() {
    let mut sim = Sim::non_querier(InterfaceParams::default());
    sim.at(10.s()).host(HOST).report_v3(ModeIsExclude, G, &[]);
    sim.host(HOST).report_v3(ModeIsInclude, G, &[A]);
    sim.host("10.0.0.1").general_query(Version::V3);
    sim.at(279.s()).host("10.0.0.1").general_query(Version::V3);
    sim.forget();
    sim.at(280.s()).expects([changed("280s", G)]);
    assert_eq!(sim.state(G), "none");
}

#[test]
fn what_is_shown_of_a_group() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(10.s()).host(HOST).report_v3(ModeIsExclude, G, &[B]);
    sim.at(20.s())
        .host("10.0.0.8")
        .report_v3(AllowNewSources, G, &[A]);
    sim.at(30.s())
        .host("10.0.0.9")
        .report_v3(BlockOldSources, G, &[C]);
    let group = sim.interface().group(G).unwrap();
    assert_eq!(
        group.last_reporter(),
        Some(Ipv4Addr::new(10, 0, 0, 8)),
        "blocking is no interest"
    );
    assert_eq!(group.since(), Instant::from_start(10.s()));
    assert_eq!(group.group_timer(), Some(Instant::from_start(280.s())));
    let ends = |seconds: u64| Some(Instant::from_start(seconds.s()));
    assert!(group.sources().eq([
        Source {
            address: A,
            timer: ends(290)
        },
        Source {
            address: B,
            timer: None
        },
        Source {
            address: C,
            timer: ends(32)
        },
    ]));
    let reception = group.reception();
    assert_eq!(reception.filter_mode, FilterMode::Exclude);
    assert!(reception.sources().eq([B]));
}
