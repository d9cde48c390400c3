use super::*;

/// A good file with these keys of `[proxy]`.
fn with_proxy(keys: &str) -> String {
    format!("[proxy]\n{keys}\n{TWO_INTERFACES}")
}

/// The refusal of these keys of an interface in each role; the first is line 4.
#[track_caller]
fn assert_refused_on_interface(keys: &str, expected: &str) {
    for role in ["upstream", "downstream"] {
        let text = format!("[[interface]]\nname = \"eth1\"\nrole = \"{role}\"\n{keys}\n");
        assert_eq!(refusal(&text), expected, "{role}");
    }
}

#[test]
fn every_key_of_the_proxy_is_read() {
    let text = with_proxy("disabled = true\nquick_leave = false\nleave_linger = \"1h\"");
    let expected = ProxyConfig {
        disabled: true,
        quick_leave: false,
        leave_linger: Duration::from_hours(1),
    };
    assert_eq!(parse(&text, "f.toml").unwrap().proxy, expected);
    let expected = ProxyConfig {
        disabled: false,
        quick_leave: true,
        leave_linger: Duration::ZERO,
    };
    assert_eq!(parse(TWO_INTERFACES, "f.toml").unwrap().proxy, expected);
}

#[test]
fn a_proxy_that_cannot_be_is_refused() {
    for (line, expected) in [
        (
            "disabled = \"yes\"",
            "disabled is a string; write true or false",
        ),
        (
            "quick_leave = 1",
            "quick_leave is an integer; write true or false",
        ),
        (
            "leave_linger = 5",
            "leave_linger is an integer; write a duration in quotes, such as \"125s\"",
        ),
        (
            "leave_linger = \"3601s\"",
            "leave_linger is 3601s; write \"0s\" to \"3600s\" (a stream that nobody watches loads the upstream link \
             that long)",
        ),
        (
            "alt_subnets = [\"10.0.0.0/8\"]",
            "unknown key alt_subnets; the keys here are disabled, quick_leave, leave_linger",
        ),
    ] {
        assert_eq!(
            refusal_of("[proxy]", line),
            format!("f.toml:2: {expected}"),
            "{line}"
        );
    }
}

#[test]
fn a_multicast_filter_may_have_no_room_at_all() {
    let none = format!("[datapath]\nmulticast_filter = 0\n{TWO_INTERFACES}");
    assert_eq!(parse(&none, "f.toml").unwrap().multicast_filter, 0);
    assert_eq!(
        refusal_of("[datapath]", "multicast_filter = 4_097"),
        "f.toml:2: multicast_filter is 4097; write 0 to 4096 (0: always all multicast)"
    );
}

#[test]
fn hosts_are_tracked_for_quick_leave_only_where_there_is_an_upstream() {
    let quick_leave = |text: &str| parse(text, "f.toml").unwrap().policy.quick_leave;
    assert!(quick_leave(TWO_INTERFACES));
    assert!(!quick_leave(&with_proxy("quick_leave = false")));
    assert!(!quick_leave(
        &with_proxy("quick_leave = true").replace("upstream", "disabled")
    ));
    let flags = |upstream| Config::from_flags(&["eth1".into()], upstream).unwrap();
    assert!(flags(Some("eth0")).policy.quick_leave);
    assert!(!flags(None).policy.quick_leave);
}

#[test]
fn a_disabled_proxy_is_checked_all_the_same() {
    let second = "[[interface]]\nname = \"eth2\"\nrole = \"upstream\"\n";
    assert_eq!(
        refusal(&format!("{}{second}", with_proxy("disabled = true"))),
        "f.toml:11: eth2 is a second upstream (the first is eth0 at f.toml:4); make one of the two downstream or disabled"
    );
    assert_eq!(
        refusal(&with_proxy("disabled = true").replace("downstream", "disabled")),
        "f.toml:4: no interface is downstream; name at least one where the receivers are"
    );
}

#[test]
fn an_upstream_takes_a_group_filter_too() {
    let text = TWO_INTERFACES.replace(
        "\"upstream\"",
        "\"upstream\"\nwhitelist = [\"239.0.0.0/8\"]\nblacklist = [\"239.9.0.0/16\"]",
    );
    let config = parse(&text, "f.toml").unwrap();
    let filter = &config.interfaces[0].policy.group_filter;
    assert_eq!(filter.whitelist, ["239.0.0.0/8".parse().unwrap()]);
    assert_eq!(filter.blacklist, ["239.9.0.0/16".parse().unwrap()]);
    assert!(config.interfaces[1].policy.group_filter.is_open());
}

#[test]
fn a_group_filter_holds_groups() {
    for (keys, expected) in [
        (
            "whitelist = [\"10.0.0.0/8\"]",
            "f.toml:4: \"10.0.0.0/8\" is not multicast; groups are 224.0.0.0 to 239.255.255.255",
        ),
        (
            "blacklist = [\"0.0.0.0/0\"]",
            "f.toml:4: \"0.0.0.0/0\" is not multicast; groups are 224.0.0.0 to 239.255.255.255",
        ),
        (
            "blacklist = [\n  \"232.0.0.0/8\",\n  \"239.1.2.0/16\",\n]",
            "f.toml:6: \"239.1.2.0/16\" has host bits set; write \"239.1.0.0/16\"",
        ),
        (
            "whitelist = [\"iptv\"]",
            "f.toml:4: \"iptv\" is neither a group nor a network of groups; write ADDRESS or ADDRESS/PREFIX, such as \
             \"239.1.0.0/16\"",
        ),
        (
            "whitelist = \"239.0.0.0/8\"",
            "f.toml:4: whitelist is a string; write strings, such as whitelist = [\"239.0.0.0/8\"]",
        ),
        (
            "blacklist = [239]",
            "f.toml:4: blacklist holds an integer; write strings, such as blacklist = [\"239.9.0.0/16\"]",
        ),
    ] {
        assert_refused_on_interface(keys, expected);
    }
}

#[test]
fn a_network_is_in_one_list_once() {
    assert_refused_on_interface(
        "whitelist = [\n  \"239.0.0.0/8\",\n  \"232.0.0.0/8\",\n  \"239.0.0.0/8\",\n]",
        "f.toml:7: 239.0.0.0/8 is in whitelist twice (first at f.toml:5); keep one of the two",
    );
    // One group and its network of one address are the same.
    assert_refused_on_interface(
        "whitelist = [\"239.1.2.3\"]\nblacklist = [\"239.0.0.0/8\", \"239.1.2.3/32\"]",
        "f.toml:5: 239.1.2.3/32 is in blacklist and in whitelist (at f.toml:4); keep one of the two",
    );
    // Whichever is written last is the one to look at.
    assert_refused_on_interface(
        "blacklist = [\"239.0.0.0/8\"]\nwhitelist = [\"239.0.0.0/8\"]",
        "f.toml:5: 239.0.0.0/8 is in whitelist and in blacklist (at f.toml:4); keep one of the two",
    );
}

#[test]
fn static_groups_are_served() {
    let static_groups =
        |keys: &str| format!("[[interface]]\nname = \"eth1\"\nrole = \"downstream\"\n{keys}\n");
    assert_eq!(
        refusal(&static_groups(
            "whitelist = [\"239.0.0.0/8\"]\nstatic_groups = [\n  \"239.1.1.1\",\n  \"225.1.1.1\",\n]"
        )),
        "f.toml:7: static group 225.1.1.1 is not served here: it is not in whitelist (at f.toml:4); leave it out, or let \
         the lists serve it"
    );
    // The longest prefix refuses it.
    assert_eq!(
        refusal(&static_groups(
            "whitelist = [\"232.0.0.0/8\"]\nblacklist = [\n  \"224.0.0.0/4\",\n  \"232.1.0.0/16\",\n]\n\
             static_groups = [{ group = \"232.1.1.1\", source = \"10.0.0.5\" }]"
        )),
        "f.toml:9: static group 232.1.1.1 is not served here: it is in blacklist 232.1.0.0/16 (at f.toml:7); leave it out, \
         or let the lists serve it"
    );
    let served = static_groups(
        "whitelist = [\"239.1.1.1\"]\nblacklist = [\"239.0.0.0/8\"]\nstatic_groups = [\"239.1.1.1\"]",
    );
    assert!(parse(&served, "f.toml").is_ok());
}

#[test]
fn keys_without_an_upstream_are_a_warning() {
    let warnings = |proxy: &str| {
        let text = with_proxy(proxy).replace("upstream", "disabled");
        parse(&text, "f.toml").unwrap().warnings()
    };
    assert_eq!(
        warnings("quick_leave = false\nleave_linger = \"5s\""),
        [
            "proxy.quick_leave, proxy.leave_linger: no interface is upstream; nothing is joined there, so nothing is \
             left"
        ]
    );
    assert_eq!(
        warnings("leave_linger = \"5s\""),
        [
            "proxy.leave_linger: no interface is upstream; nothing is joined there, so nothing is left"
        ]
    );
    // What `show config` prints of a router without upstream is no mistake, and disabling one is none either.
    assert!(warnings("disabled = true\nquick_leave = true\nleave_linger = \"0s\"").is_empty());
    let with_upstream = with_proxy("quick_leave = false\nleave_linger = \"5s\"");
    assert!(
        parse(&with_upstream, "f.toml")
            .unwrap()
            .warnings()
            .is_empty()
    );
}

#[test]
fn an_upstream_that_serves_no_static_group_is_a_warning() {
    let warnings = |upstream: &str, downstream: &str| {
        let text = format!(
            "[[interface]]\nname = \"eth0\"\nrole = \"upstream\"\n{upstream}\n\
             [[interface]]\nname = \"eth1\"\nrole = \"downstream\"\n{downstream}\n\
             [[interface]]\nname = \"eth2\"\nrole = \"disabled\"\nstatic_groups = [\"239.2.0.1\"]\n"
        );
        parse(&text, "f.toml").unwrap().warnings()
    };
    let static_groups = "static_groups = [\"239.1.1.1\", \"239.1.1.2\"]";
    assert_eq!(
        warnings("whitelist = [\"239.2.0.0/16\"]", static_groups),
        [
            "whitelist of eth0: no static group is served there; what is sent to them upstream reaches nobody"
        ]
    );
    assert_eq!(
        warnings("blacklist = [\"239.1.0.0/16\"]", static_groups),
        [
            "blacklist of eth0: no static group is served there; what is sent to them upstream reaches nobody"
        ]
    );
    assert!(warnings("whitelist = [\"239.1.1.2\"]", static_groups).is_empty());
    assert!(warnings("whitelist = [\"239.2.0.0/16\"]", "").is_empty());
    assert!(warnings("", static_groups).is_empty());
}

#[test]
fn any_source_on_a_downstream_interface_is_a_warning() {
    let any = |role: &str| {
        format!(
            "[[interface]]\nname = \"{role}9\"\nrole = \"{role}\"\nalt_subnets = [\"0.0.0.0/0\"]\n"
        )
    };
    let downstream = format!(
        "{}{}",
        TWO_INTERFACES.replace("upstream", "disabled"),
        any("downstream")
    );
    assert_eq!(
        parse(&downstream, "f.toml").unwrap().warnings(),
        [
            "alt_subnets of downstream9: 0.0.0.0/0; hosts there may report, and send to any group, under every source \
             address"
        ]
    );
    let upstream = format!(
        "{}{}",
        TWO_INTERFACES.replace("upstream", "disabled"),
        any("upstream")
    );
    assert!(parse(&upstream, "f.toml").unwrap().warnings().is_empty());
}
