//! The exchange every subscriber goes through: answer a query, leave, join unasked, leave. One complete list of messages
//! and changes, in IGMPv2 and in IGMPv3.
//!
//! ```text
//!   router 10.0.0.1/24                               host 2, 10.0.0.3
//!      |-- General Query ------------------------------->|
//!      |<--------- reports 225.10.10.10 and 225.1.1.3 ---|
//!      |<------------------------------ leaves 225.1.1.3 |
//!      |-- one Group-Specific Query, 1 s --------------->|
//!      |          (silence: stops after exactly 1 s)     |
//!      |<------------ joins 225.1.1.4 unasked, twice ----|
//!      |<------------------------------ leaves 225.1.1.4 |
//!      |-- one Group-Specific Query, 1 s --------------->|
//! ```

use std::net::Ipv4Addr;

use super::sim::{Host, Sim, Time as _};
use super::{FilterMode, InterfaceParams};
use crate::wire::RecordType::{ChangeToExclude, ChangeToInclude, ModeIsExclude};
use crate::wire::Version;

const NEWS: Ipv4Addr = Ipv4Addr::new(225, 10, 10, 10);
const SPORT: Ipv4Addr = Ipv4Addr::new(225, 1, 1, 3);
const FILM: Ipv4Addr = Ipv4Addr::new(225, 1, 1, 4);

/// How host 2 speaks in each version.
fn answer(host: Host<'_>, version: Version, group: Ipv4Addr) {
    match version {
        Version::V3 => host.report_v3(ModeIsExclude, group, &[]),
        _ => host.report_v2(group),
    }
}

fn join(host: Host<'_>, version: Version, group: Ipv4Addr) {
    match version {
        Version::V3 => host.report_v3(ChangeToExclude, group, &[]),
        _ => host.report_v2(group),
    }
}

fn leave(host: Host<'_>, version: Version, group: Ipv4Addr) {
    match version {
        Version::V3 => host.report_v3(ChangeToInclude, group, &[]),
        _ => host.leave(group),
    }
}

fn query_join_and_leave(version: Version) {
    let mut sim = Sim::new();
    let params = InterfaceParams {
        version,
        last_member_query_count: Some(1),
        ..InterfaceParams::default()
    };
    sim.ready(params, &["10.0.0.1/24"]);
    // What is forwarded to the link at each step.
    let flows = |sim: &Sim| -> Vec<Ipv4Addr> {
        let flows = sim.interface().groups().filter(|(_, group)| {
            group.filter_mode() == FilterMode::Exclude
                && group.reception().sources().next().is_none()
        });
        flows.map(|(address, _)| address).collect()
    };
    assert!(flows(&sim).is_empty());

    // Host 2 answers the General Query for both groups within the Max Response Time.
    answer(sim.at(3.s()).host("10.0.0.3"), version, NEWS);
    answer(sim.at(7.s()).host("10.0.0.3"), version, SPORT);
    assert_eq!(flows(&sim), [SPORT, NEWS]);

    // It leaves 225.1.1.3. Nobody answers the query: not before 1 s, but then.
    leave(sim.at(20.s()).host("10.0.0.3"), version, SPORT);
    sim.at(20_999_999.us());
    assert_eq!(flows(&sim), [SPORT, NEWS]);
    sim.at(21.s());
    assert_eq!(flows(&sim), [NEWS]);

    // It joins 225.1.1.4 without being asked, and again because no query came.
    join(sim.at(40.s()).host("10.0.0.3"), version, FILM);
    assert_eq!(flows(&sim), [FILM, NEWS]);
    join(sim.at(50.s()).host("10.0.0.3"), version, FILM);

    // It leaves that one too.
    leave(sim.at(60.s()).host("10.0.0.3"), version, FILM);
    sim.at(60_999_999.us());
    assert_eq!(flows(&sim), [FILM, NEWS]);
    sim.at(61.s());
    assert_eq!(flows(&sim), [NEWS]);

    // Next General Query, answered: 225.10.10.10 has flowed all along.
    answer(sim.at(160.s()).host("10.0.0.3"), version, NEWS);
    sim.at(200.s());
    assert_eq!(flows(&sim), [NEWS]);

    let name = format!("{version:?}").to_lowercase();
    let v3_fields = if version == Version::V3 {
        ", qrv 2, qqi 125s"
    } else {
        ""
    };
    let general =
        |at| format!("{at} 10.0.0.1 > 224.0.0.1: {name} general query, max 10s{v3_fields}");
    let specific =
        |at, group| format!("{at} 10.0.0.1 > {group}: {name} query {group}, max 1s{v3_fields}");
    let changed = |at, group| format!("{at} changed {group}");
    sim.expects([
        general("0s"),
        changed("3s", NEWS),
        changed("7s", SPORT),
        specific("20s", SPORT),
        changed("21s", SPORT),
        general("31.25s"),
        changed("40s", FILM),
        specific("60s", FILM),
        changed("61s", FILM),
        general("156.25s"),
    ]);
}

#[test]
fn query_join_and_leave_in_version_2() {
    query_join_and_leave(Version::V2);
}

#[test]
fn query_join_and_leave_in_version_3() {
    query_join_and_leave(Version::V3);
}
