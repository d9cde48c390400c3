use std::net::Ipv4Addr;

use super::*;
use crate::proto::{AclRef, GroupFilter, PromptLeave};

/// The policy of the interface `eth1` with these keys, in a good file.
#[track_caller]
fn policy(keys: &str) -> InterfacePolicy {
    policy_under("", keys)
}

/// The same, under these keys of `[igmp]`.
#[track_caller]
fn policy_under(igmp: &str, keys: &str) -> InterfacePolicy {
    let text = format!("[igmp]\n{igmp}\n{TWO_INTERFACES}{keys}\n");
    let mut config = parse(&text, "f.toml").unwrap();
    config.interfaces.remove(1).policy
}

/// The refusal of these keys of a downstream interface; the first is line 4.
#[track_caller]
fn refusal_on_interface(keys: &str) -> String {
    refusal(&format!(
        "[[interface]]\nname = \"eth1\"\nrole = \"downstream\"\n{keys}\n"
    ))
}

#[test]
fn nothing_said_is_no_policy() {
    assert_eq!(policy(""), InterfacePolicy::default());
    let config = parse(TWO_INTERFACES, "f.toml").unwrap();
    let with_upstream = Policy {
        quick_leave: true,
        ..Policy::default()
    };
    assert_eq!(config.policy, with_upstream);
    // RFC 4607 section 1 and RFC 5771 section 4.
    assert_eq!(config.policy.ssm_ranges, ["232.0.0.0/8".parse().unwrap()]);
    assert_eq!(
        config.policy.untracked_groups,
        ["224.0.0.0/24".parse().unwrap()]
    );
}

#[test]
fn prompt_leave_is_a_switch_or_a_table() {
    let number = |acl| Some(AclRef::Number(acl));
    for (value, expected) in [
        ("false", None),
        ("true", Some(PromptLeave::default())),
        ("{}", Some(PromptLeave::default())),
        (
            "{ group_policy = 2000 }",
            Some(PromptLeave {
                group_policy: number(2000),
                v3: false,
                tracked: false,
            }),
        ),
        (
            "{ group_policy = \"stb\", v3 = true, tracked = true }",
            Some(PromptLeave {
                group_policy: Some(AclRef::Name("stb".into())),
                v3: true,
                tracked: true,
            }),
        ),
    ] {
        assert_eq!(
            policy(&format!("prompt_leave = {value}")).prompt_leave,
            expected,
            "{value}"
        );
    }
}

#[test]
fn every_key_of_an_interface_is_read() {
    let read = policy(
        r#"
        prompt_leave = true
        whitelist = ["232.0.0.0/8", "239.1.0.0/16"]
        blacklist = ["239.1.2.3"]
        group_policy = "iptv"
        source_policy = { reports = 3000, queries = "routers" }
        require_router_alert = true
        max_groups = 1_000
        max_sources = 2_000
        static_groups = ["239.1.1.1", { group = "239.1.1.2" }, { group = "232.1.1.1", source = "10.0.0.5" }]
        forward_as_non_querier = true
        "#,
    );
    let expected = InterfacePolicy {
        prompt_leave: Some(PromptLeave::default()),
        group_filter: GroupFilter {
            whitelist: vec![
                "232.0.0.0/8".parse().unwrap(),
                "239.1.0.0/16".parse().unwrap(),
            ],
            blacklist: vec!["239.1.2.3/32".parse().unwrap()],
        },
        group_policy: Some(AclRef::Name("iptv".into())),
        report_sources: Some(AclRef::Number(3000)),
        query_sources: Some(AclRef::Name("routers".into())),
        require_router_alert: true,
        max_groups: 1_000,
        max_sources: 2_000,
        static_groups: vec![
            (Ipv4Addr::new(239, 1, 1, 1), None),
            (Ipv4Addr::new(239, 1, 1, 2), None),
            (
                Ipv4Addr::new(232, 1, 1, 1),
                Some(Ipv4Addr::new(10, 0, 0, 5)),
            ),
        ],
        forward_as_non_querier: true,
        tell_accepted: false,
    };
    assert_eq!(read, expected);
}

#[test]
fn an_interface_overrides_the_defaults_of_all() {
    let igmp = "prompt_leave = { v3 = true }\nrequire_router_alert = true\nmax_groups = 10\nmax_sources = 20\n\
                forward_as_non_querier = true";
    let default = policy_under(igmp, "");
    let expected = InterfacePolicy {
        prompt_leave: Some(PromptLeave {
            v3: true,
            ..PromptLeave::default()
        }),
        require_router_alert: true,
        max_groups: 10,
        max_sources: 20,
        forward_as_non_querier: true,
        ..InterfacePolicy::default()
    };
    assert_eq!(default, expected);
    let own = policy_under(
        igmp,
        "prompt_leave = false\nrequire_router_alert = false\nmax_groups = 1\nmax_sources = 2\n\
         forward_as_non_querier = false",
    );
    let expected = InterfacePolicy {
        max_groups: 1,
        max_sources: 2,
        ..InterfacePolicy::default()
    };
    assert_eq!(own, expected);
}

#[test]
fn what_holds_for_all_interfaces_is_read() {
    let text = format!(
        r#"
        [policy]
        ssm_ranges = ["232.0.0.0/8", "239.232.0.0/16"]
        ssm_mapping = [{{ group = "232.1.0.0/16", sources = ["10.0.0.5", "10.0.0.6"] }}]
        untracked_groups = ["239.255.255.250"]
        max_groups = 5_000
        max_sources = 6_000
        {TWO_INTERFACES}"#
    );
    let expected = Policy {
        acls: vec![],
        quick_leave: true,
        ssm_ranges: vec![
            "232.0.0.0/8".parse().unwrap(),
            "239.232.0.0/16".parse().unwrap(),
        ],
        ssm_mapping: vec![(
            "232.1.0.0/16".parse().unwrap(),
            vec![Ipv4Addr::new(10, 0, 0, 5), Ipv4Addr::new(10, 0, 0, 6)],
        )],
        // The link-local block is never forwarded, whatever the list says.
        untracked_groups: vec![
            "224.0.0.0/24".parse().unwrap(),
            "239.255.255.250/32".parse().unwrap(),
        ],
        max_groups: 5_000,
        max_sources: 6_000,
    };
    assert_eq!(parse(&text, "f.toml").unwrap().policy, expected);
}

#[test]
fn no_group_need_be_source_specific() {
    let text = format!("[policy]\nssm_ranges = []\n{TWO_INTERFACES}");
    assert!(parse(&text, "f.toml").unwrap().policy.ssm_ranges.is_empty());
}

#[test]
fn a_policy_that_cannot_be_is_refused() {
    for (keys, expected) in [
        (
            "prompt_leave = 2000",
            "prompt_leave is an integer; write true, false, or { group_policy = 2000 }",
        ),
        (
            "prompt_leave = { v2 = true }",
            "unknown key v2; the keys here are group_policy, v3, tracked",
        ),
        (
            "prompt_leave = { group_policy = 4000 }",
            "group_policy is 4000; write the number of an acl, 2000 to 3999, or its name in quotes",
        ),
        (
            "group_policy = true",
            "group_policy is a boolean; write the number of an acl, 2000 to 3999, or its name in quotes",
        ),
        (
            "group_policy = \"2000\"",
            "\"2000\" is no name for an acl; use 1 to 63 characters without spaces, not all digits",
        ),
        (
            "source_policy = { reports = 2000 }",
            "reports is 2000; write the number of an acl, 3000 to 3999, or its name in quotes",
        ),
        (
            "source_policy = 3000",
            "source_policy is an integer; write it as a table",
        ),
        (
            "source_policy = { leaves = 3000 }",
            "unknown key leaves; the keys here are reports, queries",
        ),
        (
            "require_router_alert = 1",
            "require_router_alert is an integer; write true or false",
        ),
        ("max_groups = 0", "max_groups is 0; write 1 to 1048576"),
        (
            "max_sources = 1_048_577",
            "max_sources is 1048577; write 1 to 1048576",
        ),
        (
            "static_groups = [\"10.0.0.1\"]",
            "\"10.0.0.1\" is not multicast; groups are 224.0.0.0 to 239.255.255.255",
        ),
        (
            "static_groups = [\"239.1.0.0/16\"]",
            "\"239.1.0.0/16\" is no group; write one address, such as \"239.1.1.1\"",
        ),
        (
            "static_groups = [{ source = \"10.0.0.5\" }]",
            "this static group has no group; write { group = \"232.1.1.1\", source = \"10.0.0.5\" }",
        ),
        (
            "static_groups = [{ group = \"239.1.1.1\", source = \"0.0.0.0\" }]",
            "\"0.0.0.0\" is no source; write the address of one host, such as \"10.0.0.5\"",
        ),
        (
            "static_groups = [7]",
            "static_groups holds an integer; write static_groups = [\"239.1.1.1\", { group = \"232.1.1.1\", source = \
             \"10.0.0.5\" }]",
        ),
        (
            "static_groups = [\"224.0.0.251\"]",
            "static group 224.0.0.251 is one of untracked_groups; such a group is never forwarded: leave it out",
        ),
        (
            "static_groups = [\"232.1.1.1\"]",
            "static group 232.1.1.1 is source-specific (ssm_ranges) and has no source; write { group = \"232.1.1.1\", \
             source = \"...\" } (RFC 4607 section 1)",
        ),
        (
            "static_groups = [\"239.1.1.1\", { group = \"239.1.1.1\" }]",
            "static group 239.1.1.1 is given twice; keep one of the two",
        ),
    ] {
        assert_eq!(
            refusal_on_interface(keys),
            format!("f.toml:4: {expected}"),
            "{keys}"
        );
    }
}

#[test]
fn the_line_is_that_of_the_element() {
    assert_eq!(
        refusal_on_interface("static_groups = [\n  \"239.1.1.1\",\n  \"239.1.1.1\",\n]"),
        "f.toml:6: static group 239.1.1.1 is given twice; keep one of the two"
    );
}

#[test]
fn a_policy_for_all_that_cannot_be_is_refused() {
    for (line, expected) in [
        (
            "ssm_ranges = [\"10.0.0.0/8\"]",
            "\"10.0.0.0/8\" is not multicast; groups are 224.0.0.0 to 239.255.255.255",
        ),
        (
            "untracked_groups = \"224.0.0.0/24\"",
            "untracked_groups is a string; write strings, such as untracked_groups = [\"239.255.255.250/32\"]",
        ),
        (
            "ssm_mapping = [{ group = \"232.1.0.0/16\" }]",
            "this mapping has no sources; write ssm_mapping = [{ group = \"232.1.0.0/16\", sources = [\"10.0.0.5\"] }]",
        ),
        (
            "ssm_mapping = [{ sources = [\"10.0.0.5\"] }]",
            "this mapping has no group; write ssm_mapping = [{ group = \"232.1.0.0/16\", sources = [\"10.0.0.5\"] }]",
        ),
        (
            "ssm_mapping = [{ group = \"232.1.0.0/16\", sources = [\"232.1.1.1\"] }]",
            "\"232.1.1.1\" is no source; write the address of one host, such as \"10.0.0.5\"",
        ),
        (
            "max_groups = \"many\"",
            "max_groups is a string; write 1 to 1048576",
        ),
        (
            "group_policy = 2000",
            "unknown key group_policy; the keys here are ssm_ranges, ssm_mapping, untracked_groups, max_groups, \
             max_sources",
        ),
    ] {
        assert_eq!(
            refusal_of("[policy]", line),
            format!("f.toml:2: {expected}"),
            "{line}"
        );
    }
}

#[test]
fn an_upstream_takes_no_policy() {
    assert_eq!(
        refusal(
            "[[interface]]\nname = \"eth0\"\nrole = \"upstream\"\nmax_groups = 5\nprompt_leave = true\n"
        ),
        "f.toml:4: max_groups on eth0, which is upstream; leave it out: hosts join and leave on downstream interfaces"
    );
}

#[test]
fn a_list_that_is_not_there_is_a_warning_that_says_what_follows() {
    let text = r#"
        [[interface]]
        name = "eth1"
        role = "downstream"
        prompt_leave = { group_policy = 2001 }
        group_policy = "iptv"
        source_policy = { reports = 3000, queries = 3001 }

        [[interface]]
        name = "eth2"
        role = "downstream"
        prompt_leave = { group_policy = 2000 }
        group_policy = "iptv"

        [[interface]]
        name = "eth3"
        role = "disabled"
        group_policy = "iptv"

        [[acl]]
        number = 2000
        rules = [{ action = "permit" }]

        [[acl]]
        number = 3001
    "#;
    assert_eq!(
        parse(text, "f.toml").unwrap().warnings(),
        [
            "prompt_leave.group_policy of eth1: acl 2001 does not exist; every Leave there follows the last member \
             procedure",
            "group_policy of eth1, eth2: acl iptv does not exist; hosts there may join nothing",
            "source_policy.reports of eth1: acl 3000 does not exist; no host's reports are accepted there",
            "source_policy.queries of eth1: acl 3001 has no rules; no other querier is accepted there",
        ]
    );
    assert!(
        parse(TWO_INTERFACES, "f.toml")
            .unwrap()
            .warnings()
            .is_empty()
    );
}
