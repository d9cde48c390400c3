//! Expectations come from docs/configuration.md and RFC 9776 section 8; every error is compared whole.

mod acl;
mod diff;
mod effective;
mod foreign;
mod policy;
mod proxy;
mod vlan;

use std::time::Duration;

use crate::wire::Version;

use super::*;

const TWO_INTERFACES: &str = r#"
[[interface]]
name = "eth0"
role = "upstream"

[[interface]]
name = "eth1"
role = "downstream"
"#;

/// The error that `text` is refused with.
#[track_caller]
fn refusal(text: &str) -> String {
    let error = parse(text, "f.toml")
        .expect_err("must be refused")
        .to_string();
    assert!(!error.contains('\n'), "more than one line: {error}");
    error
}

/// `header` and `line` in front of a good file: `line` is line 2.
#[track_caller]
fn refusal_of(header: &str, line: &str) -> String {
    refusal(&format!("{header}\n{line}\n{TWO_INTERFACES}"))
}

#[test]
fn nothing_but_interfaces_gets_every_default() {
    let config = parse(TWO_INTERFACES, "f.toml").unwrap();
    assert_eq!(config.control_socket, Path::new("/run/igmpd/control.sock"));
    assert_eq!(config.pin_path, Path::new("/sys/fs/bpf/igmpd"));
    assert!(!config.persist);
    assert_eq!(config.hold_time, Duration::from_mins(10));
    assert_eq!(config.mode, Mode::Auto);
    assert_eq!(config.max_flows, 65_536);
    assert_eq!((config.igmp_rate, config.igmp_burst), (10_000, 20_000));
    assert_eq!(config.multicast_filter, 64);
    assert_eq!(config.proxy, ProxyConfig::default());
    let [upstream, downstream] = &config.interfaces[..] else {
        panic!("{:?}", config.interfaces)
    };
    assert_eq!((&*upstream.name, upstream.role), ("eth0", Role::Upstream));
    assert_eq!(
        (&*downstream.name, downstream.role),
        ("eth1", Role::Downstream)
    );
    assert!(downstream.alt_subnets.is_empty());
    assert_eq!((upstream.ttl_threshold, downstream.ttl_threshold), (1, 1));
    // RFC 9776 section 8: Robustness Variable 2, Query Interval 125 s, Query Response Interval 10 s, Last Member
    // Query Interval 1 s; the counts and the Startup Query Interval are derived from them.
    let expected = InterfaceParams {
        version: Version::V3,
        robustness: 2,
        query_interval: Duration::from_secs(125),
        query_response_interval: Duration::from_secs(10),
        last_member_query_interval: Duration::from_secs(1),
        last_member_query_count: None,
        startup_query_interval: None,
        startup_query_count: None,
    };
    assert_eq!(downstream.params, expected);
}

#[test]
fn every_key_is_read_and_an_interface_overrides_the_defaults() {
    let text = r#"
        [daemon]
        control_socket = "/run/other.sock"
        pin_path = "/sys/fs/bpf/other"
        metrics = "[::1]:9464"
        persist = true
        hold_time = "10s"

        [datapath]
        mode = "xdp-native"
        max_flows = 1_024
        igmp_rate = 0
        igmp_burst = 1
        multicast_filter = 4_096

        [igmp]
        version = 2
        robustness = 3
        query_interval = "2m"
        query_response_interval = "500ms"
        last_member_query_interval = "2s"
        last_member_query_count = 1
        startup_query_interval = "30s"
        startup_query_count = 4

        [[interface]]
        name = "lan0"
        role = "downstream"
        alt_subnets = ["10.0.0.0/23", "192.0.2.7/32"]
        threshold = 255

        [[interface]]
        name = "lan1"
        role = "downstream"
        version = 3
        robustness = 7
        query_interval = "1h"
        query_response_interval = "20s"
        last_member_query_interval = "100ms"
        last_member_query_count = 5
        startup_query_interval = "1s"
        startup_query_count = 6

        [[interface]]
        name = "mgmt"
        role = "disabled"
    "#;
    let config = parse(text, "f.toml").unwrap();
    assert_eq!(config.control_socket, Path::new("/run/other.sock"));
    assert_eq!(config.pin_path, Path::new("/sys/fs/bpf/other"));
    assert_eq!(config.metrics, Some("[::1]:9464".parse().unwrap()));
    assert!(config.persist);
    assert_eq!(config.hold_time, Duration::from_secs(10));
    assert_eq!(config.mode, Mode::XdpNative);
    assert_eq!(config.max_flows, 1_024);
    assert_eq!((config.igmp_rate, config.igmp_burst), (0, 1));
    assert_eq!(config.multicast_filter, 4_096);
    let [lan0, lan1, mgmt] = &config.interfaces[..] else {
        panic!("{:?}", config.interfaces)
    };
    assert_eq!((lan0.ttl_threshold, lan1.ttl_threshold), (255, 1));
    let networks: Vec<_> = lan0.alt_subnets.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/23", "192.0.2.7/32"]);
    let defaults = InterfaceParams {
        version: Version::V2,
        robustness: 3,
        query_interval: Duration::from_mins(2),
        query_response_interval: Duration::from_millis(500),
        last_member_query_interval: Duration::from_secs(2),
        last_member_query_count: Some(1),
        startup_query_interval: Some(Duration::from_secs(30)),
        startup_query_count: Some(4),
    };
    assert_eq!(lan0.params, defaults);
    let own = InterfaceParams {
        version: Version::V3,
        robustness: 7,
        query_interval: Duration::from_hours(1),
        query_response_interval: Duration::from_secs(20),
        last_member_query_interval: Duration::from_millis(100),
        last_member_query_count: Some(5),
        startup_query_interval: Some(Duration::from_secs(1)),
        startup_query_count: Some(6),
    };
    assert_eq!(lan1.params, own);
    assert_eq!((mgmt.role, &mgmt.params), (Role::Disabled, &defaults));
}

#[test]
fn one_interface_may_override_a_default_that_would_not_suit_it() {
    let text = "[igmp]\nquery_interval = \"20s\"\n[[interface]]\nname = \"a\"\nrole = \"downstream\"\n\
                query_interval = \"60s\"\nquery_response_interval = \"30s\"\n";
    assert_eq!(
        parse(text, "f.toml").unwrap().interfaces[0]
            .params
            .query_interval,
        Duration::from_mins(1)
    );
}

#[test]
fn syntax_errors_name_their_line() {
    assert_eq!(
        refusal("[daemon]\n\nmode == 1\n"),
        "f.toml:3: extra `=`; expected nothing"
    );
    assert_eq!(
        refusal("[daemon\nx = 1\n"),
        "f.toml:1: unclosed table; expected `]`"
    );
    assert_eq!(
        refusal("[igmp]\nversion = 2\nversion = 3\n"),
        "f.toml:3: duplicate key; correct the TOML syntax"
    );
}

#[test]
fn unknown_keys_are_refused_where_they_stand() {
    assert_eq!(
        refusal_of("[daemon]", "presist = true"),
        "f.toml:2: unknown key presist; the keys here are control_socket, pin_path, metrics, persist, hold_time"
    );
    assert_eq!(
        refusal_of("[igmp]", "qeury_interval = \"1s\""),
        "f.toml:2: unknown key qeury_interval; the keys here are version, robustness, query_interval, \
         query_response_interval, last_member_query_interval, last_member_query_count, startup_query_interval, \
         startup_query_count, prompt_leave, require_router_alert, max_groups, max_sources, forward_as_non_querier"
    );
    assert_eq!(
        refusal_of("", "[[vlan]]\nid = 7"),
        "f.toml:2: unknown key vlan; the keys here are daemon, datapath, igmp, proxy, policy, acl, interface, remote_backup_profile"
    );
    assert_eq!(
        refusal("[[interface]]\nnmae = \"eth0\"\nrole = \"downstream\""),
        "f.toml:2: unknown key nmae; the keys here are name, vlan, role, mode, unnumbered, alt_subnets, threshold, access, version, robustness, \
         query_interval, query_response_interval, last_member_query_interval, last_member_query_count, startup_query_interval, \
         startup_query_count, prompt_leave, require_router_alert, max_groups, max_sources, forward_as_non_querier, \
         whitelist, blacklist, group_policy, source_policy, static_groups"
    );
}

#[test]
fn values_of_the_wrong_type_are_refused() {
    for (header, line, expected) in [
        (
            "",
            "daemon = 1",
            "daemon is an integer; write it as a table",
        ),
        (
            "",
            "interface = \"eth0\"",
            "interface is a string; write a header [[interface]] over each one",
        ),
        (
            "[daemon]",
            "pin_path = 1",
            "pin_path is an integer; write a string such as \"/sys/fs/bpf/igmpd\"",
        ),
        (
            "[datapath]",
            "mode = true",
            "mode is a boolean; write a string such as \"auto\"",
        ),
        (
            "[datapath]",
            "max_flows = 1.5",
            "max_flows is a floating-point number; write 1 to 1048576",
        ),
        (
            "[igmp]",
            "version = \"3\"",
            "version is a string; write 1 to 3",
        ),
        (
            "[igmp]",
            "query_interval = 125",
            "query_interval is an integer; write a duration in quotes, such as \"125s\"",
        ),
    ] {
        // What stands above the first table has no good file after it; the first error is still this one.
        assert_eq!(
            refusal(&format!("{header}\n{line}\n")),
            format!("f.toml:2: {expected}"),
            "{line}"
        );
    }
}

#[test]
fn values_out_of_range_are_refused() {
    for (header, line, expected) in [
        (
            "[datapath]",
            "max_flows = 0",
            "max_flows is 0; write 1 to 1048576",
        ),
        (
            "[datapath]",
            "max_flows = 1_048_577",
            "max_flows is 1048577; write 1 to 1048576",
        ),
        (
            "[datapath]",
            "igmp_rate = -1",
            "igmp_rate is -1; write 0 to 100000000 (0: no limit)",
        ),
        (
            "[datapath]",
            "igmp_burst = 0",
            "igmp_burst is 0; write 1 to 100000000",
        ),
        (
            "[datapath]",
            "mode = \"fast\"",
            "\"fast\" is no mode; write \"auto\", \"xdp-native\", \"xdp-generic\" or \"tc\"",
        ),
        (
            "[daemon]",
            "control_socket = \"igmpd.sock\"",
            "\"igmpd.sock\" is a relative path; write it from / on",
        ),
        ("[igmp]", "version = 4", "version is 4; write 1 to 3"),
        (
            "[igmp]",
            "robustness = 0",
            "robustness is 0; write 1 to 7 (RFC 9776 section 8.1)",
        ),
        (
            "[igmp]",
            "robustness = 8",
            "robustness is 8; write 1 to 7 (RFC 9776 section 8.1)",
        ),
        (
            "[igmp]",
            "robustness = -1",
            "robustness is -1; write 1 to 7 (RFC 9776 section 8.1)",
        ),
        (
            "[igmp]",
            "last_member_query_count = 0",
            "last_member_query_count is 0; write 1 to 255 (RFC 9776 section 8.9)",
        ),
        (
            "[igmp]",
            "startup_query_count = 256",
            "startup_query_count is 256; write 1 to 255 (RFC 9776 section 8.7)",
        ),
        (
            "[igmp]",
            "query_interval = \"31745s\"",
            "query_interval is 31745s; write \"1s\" to \"31744s\" (RFC 9776 section 4.1.7)",
        ),
        (
            "[igmp]",
            "query_interval = \"1500ms\"",
            "query_interval is 1500ms; write a multiple of 1s (RFC 9776 section 4.1.7)",
        ),
        (
            "[igmp]",
            "query_response_interval = \"3174500ms\"",
            "query_response_interval is 3174500ms; write \"100ms\" to \"3174400ms\" (RFC 9776 section 4.1.1)",
        ),
        (
            "[igmp]",
            "last_member_query_interval = \"0s\"",
            "last_member_query_interval is 0s; write \"100ms\" to \"3174400ms\" (RFC 9776 section 4.1.1)",
        ),
        (
            "[igmp]",
            "last_member_query_interval = \"250ms\"",
            "last_member_query_interval is 250ms; write a multiple of 100ms (RFC 9776 section 4.1.1)",
        ),
    ] {
        assert_eq!(
            refusal_of(header, line),
            format!("f.toml:2: {expected}"),
            "{line}"
        );
    }
}

#[test]
fn hold_times_out_of_range_are_refused() {
    for (value, expected) in [
        ("9s", "9s; write \"10s\" or more, or \"0s\" for no limit"),
        ("25h", "90000s; write \"0s\" to \"86400s\" (0s: for ever)"),
        ("10500ms", "10500ms; write a multiple of 1s (0s: for ever)"),
    ] {
        assert_eq!(
            refusal_of("[daemon]", &format!("hold_time = \"{value}\"")),
            format!("f.toml:2: hold_time is {expected}")
        );
    }
}

#[test]
fn the_protocols_largest_values_are_accepted() {
    let text = format!(
        "[igmp]\nrobustness = 7\nquery_interval = \"31744s\"\nquery_response_interval = \"3174400ms\"\n\
         last_member_query_interval = \"3174400ms\"\n{TWO_INTERFACES}"
    );
    let params = &parse(&text, "f.toml").unwrap().interfaces[1].params;
    assert_eq!(params.query_interval, Duration::from_secs(31_744));
    assert_eq!(
        params.query_response_interval,
        Duration::from_millis(3_174_400)
    );
}

#[test]
fn durations_are_a_whole_number_and_a_unit() {
    for (text, milliseconds) in [
        ("0ms", 0),
        ("500ms", 500),
        ("1s", 1_000),
        ("2m", 120_000),
        ("1h", 3_600_000),
    ] {
        assert_eq!(
            duration::parse(text),
            Some(Duration::from_millis(milliseconds)),
            "{text}"
        );
    }
    for text in [
        "",
        "5",
        "s",
        "1.5s",
        "-1s",
        "1 s",
        "1s ",
        "1S",
        "1d",
        "99999999999999999999s",
        "18446744073709551615s",
    ] {
        assert_eq!(duration::parse(text), None, "{text}");
    }
    assert_eq!(
        refusal_of("[igmp]", "query_interval = \"125\""),
        "f.toml:2: query_interval is \"125\"; write a whole number and ms, s, m or h, such as \"125s\""
    );
}

#[test]
fn the_response_interval_is_less_than_the_query_interval() {
    let text = "[igmp]\nquery_response_interval = \"20s\"\n[[interface]]\nname = \"eth1\"\nrole = \"downstream\"\n\
                query_interval = \"20s\"\n";
    assert_eq!(
        refusal(text),
        "f.toml:6: query_response_interval of eth1 is 20s; make it less than query_interval, which is 20s \
         (RFC 9776 section 8.3)"
    );
    // One of the two left at its default.
    assert_eq!(
        refusal_of("[igmp]", "query_interval = \"10s\""),
        "f.toml:2: query_response_interval of eth0 is 10s; make it less than query_interval, which is 10s \
         (RFC 9776 section 8.3)"
    );
}

#[test]
fn older_versions_have_shorter_response_times() {
    assert_eq!(
        refusal_of(
            "[igmp]",
            "version = 2\nlast_member_query_interval = \"26s\""
        ),
        "f.toml:3: last_member_query_interval of eth0 is 26s; make it at most 25500ms (RFC 2236 section 2.2), or \
         choose version 3"
    );
    assert_eq!(
        refusal_of("[igmp]", "query_response_interval = \"26s\"\nversion = 2"),
        "f.toml:3: query_response_interval of eth0 is 26s; make it at most 25500ms (RFC 2236 section 2.2), or choose \
         version 3"
    );
    assert_eq!(
        refusal_of("[igmp]", "version = 1\nquery_response_interval = \"5s\""),
        "f.toml:3: query_response_interval of eth0 is 5s; leave it at 10s, which version 1 prescribes (RFC 2236 \
         section 4), or choose version 2 or 3"
    );
    let fits =
        format!("[igmp]\nversion = 2\nlast_member_query_interval = \"25500ms\"\n{TWO_INTERFACES}");
    assert!(parse(&fits, "f.toml").is_ok());
}

#[test]
fn interfaces_are_checked_one_by_one() {
    let interface = |line: &str| refusal(&format!("[[interface]]\n{line}\n"));
    assert_eq!(
        interface("role = \"downstream\""),
        "f.toml:1: this interface has no name; add one, such as name = \"eth0\""
    );
    assert_eq!(
        interface("name = \"eth0\""),
        "f.toml:1: this interface has no role; add role = \"upstream\", \"downstream\" or \"disabled\""
    );
    assert_eq!(
        interface("role = \"down\""),
        "f.toml:2: \"down\" is no role; write \"upstream\", \"downstream\" or \"disabled\""
    );
    for (name, expected) in [
        (
            "veth[0-9",
            "\"veth[0-9\" has a [ without ]; close it, such as \"veth[0-9]*\"",
        ),
        (
            "v eth*",
            "\"v eth*\" matches no interface name; use names that `ip link` shows, with *, ? and [0-9]",
        ),
        (
            "sixteen-bytes-xx",
            "interface name \"sixteen-bytes-xx\" has 16 bytes; the kernel takes at most 15; see `ip link`",
        ),
        (
            "",
            "\"\" is no interface name; use a name that `ip link` shows",
        ),
        (
            "a b",
            "\"a b\" is no interface name; use a name that `ip link` shows",
        ),
        (
            "a/b",
            "\"a/b\" is no interface name; use a name that `ip link` shows",
        ),
    ] {
        assert_eq!(
            interface(&format!("name = \"{name}\"")),
            format!("f.toml:2: {expected}")
        );
    }
    assert!(interface::check_name("fifteen-bytes-x").is_ok());
}

#[test]
fn a_pattern_is_for_several_interfaces_and_never_upstream() {
    let interface = |role: &str| {
        let pattern = "[[interface]]\nrole = \"downstream\"\nname = \"veth[0-9]*\"\n";
        parse(&pattern.replace("downstream", role), "f.toml")
    };
    assert_eq!(
        interface("downstream").unwrap().interfaces[0].name,
        "veth[0-9]*"
    );
    assert_eq!(
        interface("upstream").unwrap_err().to_string(),
        "f.toml:3: \"veth[0-9]*\" is a pattern; name one interface here"
    );
}

#[test]
fn an_unnumbered_interface_borrows_from_another() {
    let interface = |lender: &str| {
        let text = format!(
            "[[interface]]\nname = \"ppp*\"\nrole = \"downstream\"\nunnumbered = \"{lender}\"\n"
        );
        parse(&text, "f.toml").map(|config| config.interfaces[0].unnumbered.clone())
    };
    assert_eq!(interface("eth0").unwrap().as_deref(), Some("eth0"));
    assert_eq!(
        interface("eth*").unwrap_err().to_string(),
        "f.toml:4: \"eth*\" is a pattern; name one interface here"
    );
    assert_eq!(
        refusal("[[interface]]\nname = \"eth1\"\nrole = \"downstream\"\nunnumbered = \"eth1\"\n"),
        "f.toml:4: unnumbered of eth1 is eth1; name an interface that has an address"
    );
}

#[test]
fn an_interface_has_the_mode_of_all_unless_it_says_otherwise() {
    let text = format!("[datapath]\nmode = \"tc\"\n{TWO_INTERFACES}mode = \"xdp-generic\"\n");
    let config = parse(&text, "f.toml").unwrap();
    let modes: Vec<_> = config
        .interfaces
        .iter()
        .map(|each| config.mode_of(each))
        .collect();
    assert_eq!(modes, [Mode::Tc, Mode::XdpGeneric]);
}

#[test]
fn alt_subnets_are_networks() {
    let list = |list: &str| {
        refusal(&format!(
            "[[interface]]\nname = \"eth0\"\nrole = \"downstream\"\nalt_subnets = {list}\n"
        ))
    };
    assert_eq!(
        list("[\n  \"10.0.0.0/8\",\n  \"10.0.1.5/23\",\n]"),
        "f.toml:6: \"10.0.1.5/23\" has host bits set; write \"10.0.0.0/23\""
    );
    assert_eq!(
        list("[\"10.0.0.1\"]"),
        "f.toml:4: \"10.0.0.1\" is no IPv4 network; write ADDRESS/PREFIX, such as \"10.0.0.0/23\"; one host is /32"
    );
    assert_eq!(
        list("[\"239.0.0.0/8\"]"),
        "f.toml:4: \"239.0.0.0/8\" is multicast; name the networks of the sources, not the groups"
    );
    assert_eq!(
        list("[7]"),
        "f.toml:4: alt_subnets holds an integer; write strings, such as alt_subnets = [\"10.0.0.0/23\"]"
    );
    assert_eq!(
        list("\"10.0.0.0/8\""),
        "f.toml:4: alt_subnets is a string; write strings, such as alt_subnets = [\"10.0.0.0/23\"]"
    );
}

#[test]
fn every_interface_takes_many_alt_subnets_and_any_source_is_a_network_too() {
    for role in ["upstream", "downstream", "disabled"] {
        let text = format!(
            "[[interface]]\nname = \"lan0\"\nrole = \"downstream\"\n[[interface]]\nname = \"eth0\"\nrole = \
             \"{role}\"\nalt_subnets = [\"10.0.0.0/23\", \"192.0.2.7/32\", \"0.0.0.0/0\"]\n"
        );
        let config = parse(&text, "f.toml").unwrap();
        let networks: Vec<_> = config.interfaces[1]
            .alt_subnets
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(networks, ["10.0.0.0/23", "192.0.2.7/32", "0.0.0.0/0"]);
    }
}

#[test]
fn a_threshold_is_a_ttl() {
    let threshold = |value: &str| {
        refusal(&format!(
            "[[interface]]\nname = \"eth0\"\nrole = \"upstream\"\nthreshold = {value}\n"
        ))
    };
    // What the TTL field of IPv4 can hold (RFC 791 section 3.1); 0 would let a packet out that had no hop left.
    assert_eq!(threshold("0"), "f.toml:4: threshold is 0; write 1 to 255");
    assert_eq!(
        threshold("256"),
        "f.toml:4: threshold is 256; write 1 to 255"
    );
    assert_eq!(
        threshold("\"16\""),
        "f.toml:4: threshold is a string; write 1 to 255"
    );
}

#[test]
fn interfaces_are_checked_together() {
    let second = |role: &str, name: &str| {
        refusal(&format!(
            "{TWO_INTERFACES}[[interface]]\nname = \"{name}\"\nrole = \"{role}\"\n"
        ))
    };
    assert_eq!(
        second("upstream", "eth2"),
        "f.toml:9: eth2 is a second upstream (the first is eth0 at f.toml:2); make one of the two downstream or disabled"
    );
    assert_eq!(
        second("downstream", "eth1"),
        "f.toml:9: eth1 is given twice (first at f.toml:6); keep one of the two"
    );
    assert_eq!(
        refusal(""),
        "f.toml:1: no interface is downstream; name at least one where the receivers are"
    );
    assert_eq!(
        refusal("\n[[interface]]\nname = \"eth0\"\nrole = \"upstream\"\n"),
        "f.toml:2: no interface is downstream; name at least one where the receivers are"
    );
}

#[test]
fn flags_make_the_same_configuration_as_a_file() {
    let flags = Config::from_flags(&["eth1".into()], Some("eth0")).unwrap();
    assert_eq!(flags, parse(TWO_INTERFACES, "f.toml").unwrap());
}

#[test]
fn flags_are_checked_like_a_file() {
    let refusal = |downstream: &[&str], upstream: Option<&str>| {
        let downstream: Vec<_> = downstream.iter().map(ToString::to_string).collect();
        Config::from_flags(&downstream, upstream)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refusal(&["eth0", "eth0"], None),
        "--iface eth0: eth0 is given twice (first at --iface eth0); keep one of the two"
    );
    assert_eq!(
        refusal(&["eth0"], Some("eth0")),
        "--iface eth0: eth0 is given twice (first at --upstream eth0); keep one of the two"
    );
    assert_eq!(
        refusal(&["veth*"], Some("eth*")),
        "--upstream eth*: \"eth*\" is a pattern; name one interface here"
    );
    assert_eq!(
        refusal(&[], Some("eth0")),
        "--iface: no interface is downstream; name at least one where the receivers are"
    );
}

#[test]
fn a_socket_path_fits_into_a_socket_address() {
    let path = |length: usize| format!("/{}", "x".repeat(length - 1));
    assert!(check_socket_path(Path::new(&path(107))).is_ok());
    assert_eq!(
        refusal_of("[daemon]", &format!("control_socket = \"{}\"", path(108))),
        "f.toml:2: the socket path has 108 bytes; a Unix socket takes at most 107: choose a shorter one"
    );
}

#[test]
fn metrics_are_served_where_there_is_a_port() {
    for address in ["127.0.0.1", "localhost:9464", "9464"] {
        assert_eq!(
            refusal_of("[daemon]", &format!("metrics = \"{address}\"")),
            format!(
                "f.toml:2: \"{address}\" is no address with a port; write 127.0.0.1:9464 or [::1]:9464"
            )
        );
    }
}

/// What is commented out in the installed example must be good too, and be the default where it says so.
#[test]
fn every_line_of_the_example_is_good() {
    let example = include_str!("../../../deploy/igmpd.toml");
    let is_key = |line: &str| {
        line.starts_with(['[', '{', ']', ' '])
            || line
                .split_once(" = ")
                .is_some_and(|(key, _)| !key.contains(' '))
    };
    let uncommented: Vec<_> = example
        .lines()
        .map(|line| {
            line.strip_prefix("# ")
                .filter(|rest| is_key(rest))
                .unwrap_or(line)
        })
        .collect();
    let mut all = parse(&uncommented.join("\n"), "igmpd.toml").unwrap();
    // Served nowhere by default.
    assert!(all.metrics.take().is_some());
    let plain = parse(example, "igmpd.toml").unwrap();
    let sections = |config: &Config| {
        let effective = config.effective();
        ["daemon", "datapath", "proxy", "policy"].map(|section| effective[section].clone())
    };
    assert_eq!(sections(&all), sections(&plain));
}
