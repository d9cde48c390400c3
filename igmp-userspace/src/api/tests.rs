//! The JSON is the public interface: it is spelled out here, field by field, and not made from the types.

mod events;

use serde_json::{Value, json};

use super::*;

#[track_caller]
fn assert_json<T>(value: &T, expected: &Value)
where
    T: Serialize + for<'a> Deserialize<'a> + PartialEq + std::fmt::Debug,
{
    assert_eq!(&serde_json::to_value(value).unwrap(), expected);
    assert_eq!(
        &serde_json::from_value::<T>(expected.clone()).unwrap(),
        value
    );
}

#[test]
fn requests() {
    let lan0 = || Some("lan0".to_owned());
    let group = Some(Ipv4Addr::new(239, 1, 1, 1));
    assert_json(
        &Request::ShowInterfaces {},
        &json!({"command": "show interfaces"}),
    );
    assert_json(
        &Request::ShowGroups {
            interface: None,
            group: None,
            hosts: false,
        },
        &json!({"command": "show groups"}),
    );
    assert_json(
        &Request::ShowGroups {
            interface: lan0(),
            group,
            hosts: true,
        },
        &json!({"command": "show groups", "interface": "lan0", "group": "239.1.1.1", "hosts": true}),
    );
    assert_json(
        &Request::ShowFlows { group: None },
        &json!({"command": "show flows"}),
    );
    assert_json(
        &Request::ShowFlows { group },
        &json!({"command": "show flows", "group": "239.1.1.1"}),
    );
    assert_json(
        &Request::ShowCounters { interface: None },
        &json!({"command": "show counters"}),
    );
    assert_json(
        &Request::ShowCounters { interface: lan0() },
        &json!({"command": "show counters", "interface": "lan0"}),
    );
    assert_json(&Request::ShowAcl {}, &json!({"command": "show acl"}));
    assert_json(&Request::ShowConfig {}, &json!({"command": "show config"}));
    assert_json(
        &Request::Reload { dry_run: false },
        &json!({"command": "reload"}),
    );
    assert_json(
        &Request::Reload { dry_run: true },
        &json!({"command": "reload", "dry_run": true}),
    );
    assert_json(&Request::Events {}, &json!({"command": "events"}));
}

#[test]
fn a_request_that_is_not_understood_whole_is_refused() {
    for text in [
        "{}",
        "[]",
        r#"{"command":"show"}"#,
        r#"{"command":"show flows","interface":"lan0"}"#,
        r#"{"command":"show interfaces","interface":"lan0"}"#,
        r#"{"command":"show groups","group":"ff02::1"}"#,
        r#"{"command":"reload","file":"/etc/other.toml"}"#,
        r#"{"command":"events","interface":"lan0"}"#,
    ] {
        assert!(serde_json::from_str::<Request>(text).is_err(), "{text}");
    }
}

#[test]
fn interfaces() {
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
        groups: 2,
        counters: BTreeMap::from([("forwarded".into(), 12)]),
    };
    let absent = Interface {
        name: "wan0".into(),
        ifindex: None,
        role: Role::Upstream,
        state: InterfaceState::Absent,
        address: None,
        datapath: Datapath::None,
        datapath_reason: "no such interface".into(),
        igmp_version: 2,
        querier: None,
        querier_is_self: false,
        groups: 0,
        counters: BTreeMap::new(),
    };
    assert_json(
        &Response::Interfaces(vec![ready, absent]),
        &json!({"interfaces": [
            {
                "name": "lan0", "ifindex": 7, "role": "downstream", "state": "ready", "address": "192.0.2.1",
                "datapath": "xdp-native", "datapath_reason": "the driver does native XDP", "igmp_version": 3,
                "querier": "192.0.2.1", "querier_is_self": true, "groups": 2, "counters": {"forwarded": 12},
            },
            {
                "name": "wan0", "ifindex": null, "role": "upstream", "state": "absent", "address": null,
                "datapath": "none", "datapath_reason": "no such interface", "igmp_version": 2,
                "querier": null, "querier_is_self": false, "groups": 0, "counters": {},
            },
        ]}),
    );
    assert_json(&InterfaceState::Down, &json!("down"));
    assert_json(&InterfaceState::NoAddress, &json!("no-address"));
    assert_json(&Role::Disabled, &json!("disabled"));
}

#[test]
fn groups() {
    let exclude = Group {
        interface: "lan0".into(),
        group: Ipv4Addr::new(239, 1, 1, 1),
        filter_mode: proto::FilterMode::Exclude.into(),
        compatibility: 3,
        timer_ms: 259_000,
        sources: vec![Source {
            address: Ipv4Addr::new(10, 0, 0, 5),
            timer_ms: 0,
        }],
        last_reporter: Some(Ipv4Addr::new(192, 0, 2, 20)),
        uptime_ms: 1_500,
        is_static: false,
        hosts: None,
    };
    let include = Group {
        filter_mode: proto::FilterMode::Include.into(),
        compatibility: 2,
        sources: vec![],
        last_reporter: None,
        is_static: true,
        hosts: Some(vec![Host {
            address: Ipv4Addr::new(192, 0, 2, 20),
            filter_mode: FilterMode::Exclude,
            last_heard_ms: 1_200,
        }]),
        ..exclude.clone()
    };
    assert_json(
        &Response::Groups(vec![exclude, include]),
        &json!({"groups": [
            {
                "interface": "lan0", "group": "239.1.1.1", "filter_mode": "exclude", "compatibility": 3,
                "timer_ms": 259_000, "sources": [{"address": "10.0.0.5", "timer_ms": 0}],
                "last_reporter": "192.0.2.20", "uptime_ms": 1_500, "static": false,
            },
            {
                "interface": "lan0", "group": "239.1.1.1", "filter_mode": "include", "compatibility": 2,
                "timer_ms": 259_000, "sources": [], "last_reporter": null, "uptime_ms": 1_500, "static": true,
                "hosts": [{"address": "192.0.2.20", "filter_mode": "exclude", "last_heard_ms": 1_200}],
            },
        ]}),
    );
}

#[test]
fn flows() {
    let any_source = Flow {
        source: None,
        group: Ipv4Addr::new(239, 1, 1, 1),
        upstream: Some("wan0".into()),
        outputs: vec!["lan0".into(), "lan1".into()],
        path: Path::Xdp,
        path_reason: "XDP redirects reach every output".into(),
        packets: 3,
        bytes: 4_000,
        set: Some(17),
    };
    let nowhere = Flow {
        source: Some(Ipv4Addr::new(10, 0, 0, 5)),
        upstream: None,
        outputs: vec![],
        set: None,
        ..any_source.clone()
    };
    assert_json(
        &Response::Flows(vec![any_source, nowhere]),
        &json!({"flows": [
            {
                "source": null, "group": "239.1.1.1", "upstream": "wan0", "outputs": ["lan0", "lan1"],
                "path": "xdp", "path_reason": "XDP redirects reach every output", "packets": 3, "bytes": 4_000, "set": 17,
            },
            {
                "source": "10.0.0.5", "group": "239.1.1.1", "upstream": null, "outputs": [],
                "path": "xdp", "path_reason": "XDP redirects reach every output", "packets": 3, "bytes": 4_000, "set": null,
            },
        ]}),
    );
}

#[test]
fn counters_and_errors() {
    let on_lan0 = Counter {
        interface: Some("lan0".into()),
        name: "ttl_expired".into(),
        value: u64::MAX,
        description: "TTL 1 or 0".into(),
    };
    let whole = Counter {
        interface: None,
        value: 0,
        ..on_lan0.clone()
    };
    assert_json(
        &Response::Counters(vec![on_lan0, whole]),
        &json!({"counters": [
            {"interface": "lan0", "name": "ttl_expired", "value": u64::MAX, "description": "TTL 1 or 0"},
            {"interface": null, "name": "ttl_expired", "value": 0, "description": "TTL 1 or 0"},
        ]}),
    );
    assert_json(
        &Response::Error("no interface lan9".into()),
        &json!({"error": "no interface lan9"}),
    );
}

#[test]
fn access_lists() {
    let list = Acl {
        number: Some(2000),
        name: Some("stb".into()),
        defined: true,
        rules: vec![AclRule {
            sequence: 5,
            action: Action::Permit,
            group: Some("239.1.0.0/16".parse().unwrap()),
            source: None,
            hits: 7,
        }],
        no_match: 3,
        used_by: vec!["lan0 group_policy".into()],
    };
    let missing = Acl {
        number: None,
        name: Some("iptv".into()),
        defined: false,
        rules: vec![],
        no_match: 0,
        used_by: vec!["lan1 prompt_leave.group_policy".into()],
    };
    assert_json(
        &Response::Acl(vec![list, missing]),
        &json!({"acl": [
            {
                "number": 2000, "name": "stb", "defined": true, "no_match": 3, "used_by": ["lan0 group_policy"],
                "rules": [
                    {"sequence": 5, "action": "permit", "group": "239.1.0.0/16", "source": null, "hits": 7},
                ],
            },
            {
                "number": null, "name": "iptv", "defined": false, "no_match": 0,
                "used_by": ["lan1 prompt_leave.group_policy"], "rules": [],
            },
        ]}),
    );
    assert_json(&Action::Deny, &json!("deny"));
}

#[test]
fn configurations_have_the_keys_of_the_file() {
    let text = "[policy]\nssm_ranges = [\"232.0.0.0/8\"]\nmax_groups = 5\n[[interface]]\nname = \"lan0\"\n";
    assert_json(
        &Response::Config(vec![text.parse().unwrap()]),
        &json!({"config": [
            {"policy": {"ssm_ranges": ["232.0.0.0/8"], "max_groups": 5}, "interface": [{"name": "lan0"}]},
        ]}),
    );
}

#[test]
fn reloads() {
    let change = |section: &str, key: Option<&str>, old: Option<&str>, new: Option<&str>| Change {
        section: section.into(),
        key: key.map(Into::into),
        old: old.map(Into::into),
        new: new.map(Into::into),
    };
    let reload = Reload {
        file: "/etc/igmpd/igmpd.toml".into(),
        applied: true,
        changes: vec![
            change("interface lan0", Some("max_groups"), Some("5"), Some("6")),
            change("interface lan1", None, None, Some("downstream")),
        ],
        warnings: vec!["odd".into()],
    };
    assert_json(
        &Response::Reload(reload),
        &json!({"reload": {
            "file": "/etc/igmpd/igmpd.toml", "applied": true, "warnings": ["odd"],
            "changes": [
                {"section": "interface lan0", "key": "max_groups", "old": "5", "new": "6"},
                {"section": "interface lan1", "key": null, "old": null, "new": "downstream"},
            ],
        }}),
    );
}

#[test]
fn readers_of_answers_ignore_fields_they_do_not_know() {
    let text = r#"{"counters":[{"interface":null,"name":"n","value":1,"description":"","unit":"packets"}]}"#;
    assert!(serde_json::from_str::<Response>(text).is_ok());
}
