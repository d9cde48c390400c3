mod policy;

use std::collections::BTreeMap;

use crate::api::{
    Counter, Datapath, FilterMode, Flow, Group, Interface, InterfaceState, Path, Source,
};
use crate::config::Role;

use super::*;

/// What the command line would ask the daemon.
fn request(line: &str) -> Request {
    let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
    match arguments.command {
        Command::Show(show) => show.request(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_table(response: &Response, zeros: bool, expected: &str) {
    let detail = show::Detail {
        zeros,
        hosts: false,
    };
    assert_text(response, detail, expected);
}

#[track_caller]
fn assert_text(response: &Response, detail: show::Detail, expected: &str) {
    let mut out = Vec::new();
    show::text(&mut out, response, detail, false).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn each_command_asks_its_question() {
    assert_eq!(
        request("igmpctl show interfaces"),
        Request::ShowInterfaces {}
    );
    assert_eq!(
        request("igmpctl show groups"),
        Request::ShowGroups {
            interface: None,
            group: None,
            hosts: false
        }
    );
    assert_eq!(
        request("igmpctl show groups --interface lan0 --group 239.1.1.1 --hosts"),
        Request::ShowGroups {
            interface: Some("lan0".into()),
            group: Some(Ipv4Addr::new(239, 1, 1, 1)),
            hosts: true
        }
    );
    assert_eq!(request("igmpctl show acl"), Request::ShowAcl {});
    assert_eq!(request("igmpctl show config"), Request::ShowConfig {});
    assert_eq!(
        request("igmpctl show flows --group 239.1.1.1"),
        Request::ShowFlows {
            group: Some(Ipv4Addr::new(239, 1, 1, 1))
        }
    );
    assert_eq!(
        request("igmpctl show counters --interface lan0 --all"),
        Request::ShowCounters {
            interface: Some("lan0".into())
        }
    );
}

#[test]
fn options_of_the_whole_command_may_stand_anywhere() {
    for line in [
        "igmpctl --json --socket /s show flows",
        "igmpctl show flows --json --socket /s",
    ] {
        let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
        assert!(arguments.json, "{line}");
        assert_eq!(arguments.socket, PathBuf::from("/s"), "{line}");
    }
    let arguments = Arguments::try_parse_from(["igmpctl", "show", "flows"]).unwrap();
    assert!(!arguments.json);
    assert_eq!(arguments.socket, PathBuf::from("/run/igmpd/control.sock"));
}

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn interfaces_as_a_table() {
    let ready = Interface {
        name: "lan0".into(),
        ifindex: Some(7),
        role: Role::Downstream,
        state: InterfaceState::Ready,
        address: Some(Ipv4Addr::new(192, 0, 2, 1)),
        datapath: Datapath::XdpNative,
        datapath_reason: "the driver does native XDP".into(),
        igmp_version: 3,
        querier: Some(Ipv4Addr::new(192, 0, 2, 1)),
        querier_is_self: true,
        groups: 1_000,
        counters: BTreeMap::new(),
    };
    let other_querier = Interface {
        name: "lan1".into(),
        querier: Some(Ipv4Addr::new(198, 51, 100, 9)),
        querier_is_self: false,
        groups: 2,
        ..ready.clone()
    };
    let absent = Interface {
        name: "wan0".into(),
        ifindex: None,
        role: Role::Upstream,
        state: InterfaceState::Absent,
        address: None,
        datapath: Datapath::None,
        datapath_reason: "no such interface".into(),
        querier: None,
        querier_is_self: false,
        groups: 0,
        ..ready.clone()
    };
    assert_table(
        &Response::Interfaces(vec![ready, other_querier, absent]),
        false,
        "\
INTERFACE  ROLE        STATE   ADDRESS    IGMP  QUERIER       GROUPS  DATAPATH    REASON
lan0       downstream  ready   192.0.2.1     3  self            1000  xdp-native  the driver does native XDP
lan1       downstream  ready   192.0.2.1     3  198.51.100.9       2  xdp-native  the driver does native XDP
wan0       upstream    absent  -             3  -                  0  none        no such interface
",
    );
}

#[test]
fn groups_as_a_table() {
    let source = |last: u8, timer_ms: u64| Source {
        address: Ipv4Addr::new(10, 0, 0, last),
        timer_ms,
    };
    let exclude = Group {
        interface: "lan0".into(),
        group: Ipv4Addr::new(239, 1, 1, 1),
        filter_mode: FilterMode::Exclude,
        compatibility: 2,
        timer_ms: 252_000,
        sources: vec![],
        last_reporter: Some(Ipv4Addr::new(192, 0, 2, 20)),
        uptime_ms: 1_500,
        is_static: false,
        hosts: None,
    };
    // A source that some host asked for although others take all: it is no part of what is kept out.
    let exclude_one = Group {
        group: Ipv4Addr::new(239, 1, 1, 2),
        compatibility: 3,
        sources: vec![source(1, 9_000), source(2, 0)],
        ..exclude.clone()
    };
    let include = Group {
        group: Ipv4Addr::new(232, 1, 1, 1),
        filter_mode: FilterMode::Include,
        compatibility: 3,
        timer_ms: 0,
        sources: (1..=5)
            .map(|last| source(last, 1_000 * u64::from(last)))
            .collect(),
        uptime_ms: 90_000_000,
        ..exclude.clone()
    };
    let fixed = Group {
        is_static: true,
        last_reporter: None,
        timer_ms: 0,
        ..exclude.clone()
    };
    assert_table(
        &Response::Groups(vec![exclude, exclude_one, include, fixed]),
        false,
        "\
INTERFACE  GROUP      MODE     IGMP  EXPIRES  UPTIME  REPORTER    SOURCES
lan0       239.1.1.1  exclude     2    4m12s    1.5s  192.0.2.20  -
lan0       239.1.1.2  exclude     3    4m12s    1.5s  192.0.2.20  10.0.0.2
lan0       232.1.1.1  include     3     5.0s   1d01h  192.0.2.20  10.0.0.1 10.0.0.2 10.0.0.3 +2
lan0       239.1.1.1  exclude     2   static    1.5s  -           -
",
    );
}

#[test]
fn flows_as_a_table() {
    let any_source = Flow {
        source: None,
        group: Ipv4Addr::new(239, 1, 1, 1),
        upstream: Some("wan0".into()),
        outputs: vec!["lan0".into(), "lan1".into()],
        path: Path::Xdp,
        path_reason: "XDP redirects reach every output".into(),
        packets: 123_456,
        bytes: 161_000_000,
        set: Some(17),
    };
    let nowhere = Flow {
        source: Some(Ipv4Addr::new(10, 0, 0, 5)),
        upstream: None,
        outputs: vec![],
        packets: 0,
        bytes: 0,
        set: None,
        ..any_source.clone()
    };
    assert_table(
        &Response::Flows(vec![any_source, nowhere]),
        false,
        "\
SOURCE    GROUP      FROM  PATH  SET  PACKETS      BYTES  OUTPUTS    REASON
*         239.1.1.1  wan0  xdp    17   123456  161000000  lan0 lan1  XDP redirects reach every output
10.0.0.5  239.1.1.1  -     xdp     -        0          0  -          XDP redirects reach every output
",
    );
}

#[test]
fn counters_at_zero_are_left_out_unless_asked_for() {
    let counter = |interface: Option<&str>, name: &str, value: u64| Counter {
        interface: interface.map(Into::into),
        name: name.into(),
        value,
        description: format!("about {name}"),
    };
    let response = Response::Counters(vec![
        counter(Some("lan0"), "forwarded", 12),
        counter(None, "messages_lost", 0),
    ]);
    assert_table(
        &response,
        false,
        "\
INTERFACE  COUNTER    VALUE  MEANING
lan0       forwarded     12  about forwarded
",
    );
    assert_table(
        &response,
        true,
        "\
INTERFACE  COUNTER        VALUE  MEANING
lan0       forwarded         12  about forwarded
-          messages_lost      0  about messages_lost
",
    );
}

#[test]
fn times_are_told_in_the_two_largest_units() {
    for (milliseconds, expected) in [
        (0, "0.0s"),
        (449, "0.4s"),
        (9_999, "9.9s"),
        (10_000, "10s"),
        (59_999, "59s"),
        (60_000, "1m00s"),
        (252_000, "4m12s"),
        (3_599_999, "59m59s"),
        (3_600_000, "1h00m"),
        (11_040_000, "3h04m"),
        (86_400_000, "1d00h"),
        (183_600_000, "2d03h"),
    ] {
        assert_eq!(show::time(milliseconds), expected);
    }
}

#[test]
fn json_is_the_array_of_rows() {
    let mut out = Vec::new();
    print_json(&mut out, &Response::Flows(vec![])).unwrap();
    assert_eq!(out, b"[]\n");
}
