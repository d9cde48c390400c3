use super::*;

const CONF: &str = include_str!("fixtures/igmpproxy.conf");

fn converted(text: &str) -> (Config, Imported) {
    super::converted(Format::Igmpproxy, text)
}

#[test]
fn a_whole_file() {
    let (config, imported) = converted(CONF);
    assert!(config.proxy.quick_leave);
    let roles: Vec<_> = config
        .interfaces
        .iter()
        .map(|i| (&*i.name, i.role))
        .collect();
    assert_eq!(
        roles,
        [
            ("eth1.204", Role::Upstream),
            ("br0", Role::Downstream),
            ("ppp0", Role::Disabled),
            ("wlan0", Role::Disabled),
            ("tap0", Role::Disabled),
        ]
    );
    let upstream = interface(&config, "eth1.204");
    assert_eq!(
        texts(&upstream.alt_subnets),
        ["198.51.100.0/22", "10.199.0.0/16"]
    );
    assert_eq!(
        texts(&upstream.policy.group_filter.blacklist),
        ["239.255.255.250/32"]
    );
    assert_eq!(upstream.ttl_threshold, 1);
    let downstream = interface(&config, "br0");
    assert_eq!(texts(&downstream.alt_subnets), ["192.168.7.0/24"]);
    assert_eq!(
        texts(&downstream.policy.group_filter.whitelist),
        ["239.0.0.0/8", "239.10.1.1/32"]
    );
    assert_eq!(
        texts(&downstream.policy.group_filter.blacklist),
        ["239.10.0.0/16"]
    );
    assert_eq!(downstream.ttl_threshold, 2);

    assert_warned(&imported, 3, &["hashtablesize 1024", "no counterpart"]);
    assert_warned(&imported, 4, &["user nobody", "no counterpart"]);
    assert_warned(&imported, 5, &["chroot /var/empty", "no counterpart"]);
    assert_warned(&imported, 10, &["224.0.0.0/4", "left out"]);
    assert_warned(&imported, 13, &["IGMPv2", "version = 2"]);
    assert_warned(&imported, 13, &["ratelimit 100", "no counterpart"]);
    assert_warned(
        &imported,
        14,
        &["192.168.7.5/24", "matches nothing there", "192.168.7.0/24"],
    );
    assert_warned(
        &imported,
        15,
        &[
            "blacklist 239.9.0.0/16",
            "no effect there",
            "whitelist 239.0.0.0/8 on line 16",
        ],
    );
    assert_warned(&imported, 20, &["eth1.204:1", "alias"]);
    assert_warned(
        &imported,
        21,
        &["ppp0", "second upstream", "eth1.204 is the upstream"],
    );
    assert_warned(&imported, 23, &["br0", "again"]);
    assert_warned(&imported, 24, &["tap0", "no role", "disabled"]);
    assert_eq!(
        lines(&imported),
        [3, 4, 5, 10, 13, 13, 14, 15, 20, 21, 23, 24]
    );
}

#[test]
fn each_section_says_where_it_comes_from() {
    let (_, imported) = converted(CONF);
    assert!(
        imported
            .toml
            .contains("# line 13\n[[interface]]\nname = \"br0\"\n"),
        "{}",
        imported.toml
    );
}

#[test]
fn igmpproxy_leaves_quickly_only_when_told() {
    let (config, _) = converted("phyint eth0 upstream\nphyint eth1 downstream\n");
    assert!(!config.proxy.quick_leave);
}

#[test]
fn statements_may_share_a_line_and_cross_it() {
    let (config, imported) = converted(
        "quickleave rescanvif phyint eth0\nupstream altnet\n0.0.0.0/0 phyint eth1 downstream#boxes\n",
    );
    assert!(config.proxy.quick_leave);
    assert_eq!(
        texts(&interface(&config, "eth0").alt_subnets),
        ["0.0.0.0/0"]
    );
    assert_eq!(interface(&config, "eth1").role, Role::Downstream);
    assert_eq!(lines(&imported), [3]);
}

#[test]
fn defaultdown_is_a_role_for_those_below_it_and_names_the_others() {
    let (config, imported) =
        converted("phyint eth2\ndefaultdown\nphyint eth0 upstream\nphyint eth1\n");
    assert_eq!(interface(&config, "eth2").role, Role::Disabled);
    assert_eq!(interface(&config, "eth1").role, Role::Downstream);
    assert_warned(&imported, 2, &["defaultdown", "eth2 eth0 eth1"]);
    assert_warned(&imported, 4, &["no role", "downstream"]);
}

#[test]
fn a_whitelist_that_is_blacklisted_again_serves_nothing() {
    let (config, imported) =
        converted("phyint eth1 downstream\nwhitelist 239.1.0.0/16\nblacklist 239.0.0.0/8\n");
    let filter = &interface(&config, "eth1").policy.group_filter;
    assert!(
        !filter.serves("239.1.1.1".parse().unwrap())
            && !filter.serves("232.1.1.1".parse().unwrap())
    );
    assert_warned(&imported, 2, &["no effect"]);
    assert_warned(&imported, 2, &["no group at all"]);
}

#[test]
fn values_out_of_range_and_unknown_words_are_left_out() {
    let (config, imported) =
        converted("phyint eth1 downstream threshold 0\nbanana\nwhitelist banana\naltnet x\n");
    assert_eq!(interface(&config, "eth1").ttl_threshold, 1);
    assert!(interface(&config, "eth1").policy.group_filter.is_open());
    assert_eq!(lines(&imported), [1, 1, 2, 3, 4]);
}

#[test]
fn what_cannot_become_a_configuration_is_refused() {
    assert_refused(Format::Igmpproxy, "", "no `phyint`");
    assert_refused(
        Format::Igmpproxy,
        "[daemon]\nmode = \"auto\"\n",
        "no `phyint`",
    );
    assert_refused(
        Format::Igmpproxy,
        "phyint eth0 upstream\n",
        "no interface in it is downstream",
    );
    assert_refused(
        Format::Igmpproxy,
        "defaultdown\nphyint eth0 upstream\n",
        "defaultdown on line 1",
    );
    assert_refused(
        Format::Igmpproxy,
        "phyint eth0:1 downstream\n",
        "no interface in it is downstream",
    );
}
