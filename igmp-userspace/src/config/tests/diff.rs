use super::effective::FULL;
use super::*;

/// The lines of the difference when, in [`FULL`], `from` becomes `to`.
#[track_caller]
fn lines(replacements: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let mut text = FULL.to_owned();
    for (from, to) in replacements {
        assert_eq!(text.matches(from).count(), 1, "{from} is not there once");
        text = text.replace(from, to);
    }
    let old = parse(FULL, "old.toml").unwrap();
    let new = parse(&text, "new.toml").unwrap();
    match diff(&old, &new) {
        Ok(changes) => Ok(changes.iter().map(ToString::to_string).collect()),
        Err(fixed) => Err(fixed.to_string()),
    }
}

#[test]
fn nothing_changed_is_no_difference() {
    assert_eq!(lines(&[]), Ok(vec![]));
    // Other words for the same.
    assert_eq!(
        lines(&[
            ("\"60s\"", "\"1m\""),
            ("max_groups = 1000\n", "max_groups = 1_000\n")
        ]),
        Ok(vec![])
    );
}

#[test]
fn keys_are_told_one_by_one() {
    assert_eq!(
        lines(&[
            ("igmp_rate = 500", "igmp_rate = 0"),
            (", \"239.255.255.250/32\"", ""),
            ("query_interval = \"60s\"", "query_interval = \"30s\""),
            ("group_policy = \"iptv\"\n", ""),
            (
                "max_groups = 65536",
                "max_groups = 65536\ngroup_policy = 2000"
            ),
        ])
        .unwrap(),
        [
            "~ datapath: igmp_rate: 500 -> 0",
            "~ policy: untracked_groups: [\"224.0.0.0/24\", \"239.255.255.250/32\"] -> [\"224.0.0.0/24\"]",
            "~ interface eth1: query_interval: \"60s\" -> \"30s\"",
            "- interface eth1: group_policy: \"iptv\"",
            "+ interface eth2: group_policy: 2000",
        ]
    );
}

#[test]
fn keys_of_the_proxy_are_told_one_by_one() {
    assert_eq!(
        lines(&[
            ("hold_time = \"300s\"", "hold_time = \"0s\""),
            ("multicast_filter = 32", "multicast_filter = 0"),
            ("disabled = true", "disabled = false"),
            ("quick_leave = false", "quick_leave = true"),
            ("\"1500ms\"", "\"2s\""),
            (", \"239.0.0.0/8\"", ""),
            ("\"239.2.0.0/16\"", "\"239.3.0.0/16\""),
            ("threshold = 255", "threshold = 8"),
        ])
        .unwrap(),
        [
            "~ daemon: hold_time: \"300s\" -> \"0s\"",
            "~ datapath: multicast_filter: 32 -> 0",
            "~ proxy: disabled: true -> false",
            "~ proxy: quick_leave: false -> true",
            "~ proxy: leave_linger: \"1500ms\" -> \"2s\"",
            "~ interface eth0: whitelist: [\"232.0.0.0/8\", \"239.0.0.0/8\"] -> [\"232.0.0.0/8\"]",
            "~ interface eth1: blacklist: [\"239.1.2.3/32\", \"239.2.0.0/16\"] -> [\"239.1.2.3/32\", \
             \"239.3.0.0/16\"]",
            "~ interface eth1: threshold: 255 -> 8",
        ]
    );
}

#[test]
fn rules_are_told_one_by_one() {
    assert_eq!(
        lines(&[
            (
                "{ sequence = 5, action = \"permit\"",
                "{ sequence = 5, action = \"deny\""
            ),
            (
                "    { sequence = 10, action = \"deny\" },\n",
                "    { sequence = 20, action = \"deny\" },\n"
            ),
        ])
        .unwrap(),
        [
            "~ acl 2000: rule 5: { action = \"permit\", group = \"239.1.0.0/16\" } -> { action = \"deny\", group = \
             \"239.1.0.0/16\" }",
            "- acl 2000: rule 10: { action = \"deny\" }",
            "+ acl 2000: rule 20: { action = \"deny\" }",
        ]
    );
}

#[test]
fn whole_sections_come_and_go() {
    assert_eq!(
        lines(&[
            ("name = \"eth1\"", "name = \"eth9\""),
            ("number = 2000\n", "number = 2001\n"),
        ])
        .unwrap(),
        [
            "- interface eth1: downstream",
            "- acl 2000: 2 rules",
            "+ interface eth9: downstream",
            "+ acl 2001: 2 rules",
        ]
    );
}

#[test]
fn what_a_running_daemon_cannot_change_is_refused_by_name() {
    for (from, to, expected) in [
        (
            "max_flows = 1024",
            "max_flows = 2048",
            "datapath.max_flows cannot change while igmpd runs (1024 -> 2048); restart igmpd, or put it back",
        ),
        (
            "\"/run/igmpd/control.sock\"",
            "\"/run/other.sock\"",
            "daemon.control_socket cannot change while igmpd runs (\"/run/igmpd/control.sock\" -> \"/run/other.sock\"); \
             restart igmpd, or put it back",
        ),
        (
            "\"/sys/fs/bpf/igmpd\"",
            "\"/sys/fs/bpf/other\"",
            "daemon.pin_path cannot change while igmpd runs (\"/sys/fs/bpf/igmpd\" -> \"/sys/fs/bpf/other\"); restart \
             igmpd, or put it back",
        ),
        (
            "persist = true",
            "persist = true\nmetrics = \"127.0.0.1:9464\"",
            "daemon.metrics cannot change while igmpd runs (none -> \"127.0.0.1:9464\"); restart igmpd, or put it back",
        ),
        (
            "persist = true",
            "persist = false",
            "daemon.persist cannot change while igmpd runs (true -> false); restart igmpd, or put it back",
        ),
    ] {
        // Whatever else changes with it.
        assert_eq!(
            lines(&[(from, to), ("robustness = 3", "robustness = 4")]),
            Err(expected.to_owned())
        );
    }
}

#[test]
fn every_key_of_a_policy_is_compared() {
    let old = parse(FULL, "old.toml").unwrap();
    let mut new = old.clone();
    new.interfaces[1].policy = InterfacePolicy::default();
    assert_eq!(
        diff(&old, &new).unwrap().len(),
        10,
        "whitelist, blacklist, prompt_leave, group_policy, source_policy, require_router_alert, two limits, static_groups, \
         forward_as_non_querier"
    );
}
