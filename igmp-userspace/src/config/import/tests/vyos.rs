use super::*;

fn converted(text: &str) -> (Config, Imported) {
    super::converted(Format::Vyos, text)
}

#[test]
fn commands() {
    let (config, imported) = converted(include_str!("fixtures/vyos-commands"));
    assert!(!config.proxy.quick_leave && !config.proxy.disabled);
    let upstream = interface(&config, "eth0");
    assert_eq!(upstream.role, Role::Upstream);
    assert_eq!(
        texts(&upstream.alt_subnets),
        ["10.0.0.0/23", "203.0.113.0/24"]
    );
    let downstream = interface(&config, "eth1");
    assert_eq!(downstream.role, Role::Downstream);
    assert_eq!(downstream.ttl_threshold, 3);
    assert_eq!(
        texts(&downstream.policy.group_filter.whitelist),
        ["239.1.0.0/16", "239.2.0.0/16"]
    );
    assert_eq!(interface(&config, "eth2").role, Role::Downstream);
    assert_eq!(config.interfaces.len(), 3);

    assert_warned(
        &imported,
        3,
        &["interfaces bridge br0 igmp snooping", "left out"],
    );
    assert_warned(&imported, 5, &["IGMPv2", "version = 2"]);
    assert_warned(&imported, 12, &["eth2", "no role", "downstream"]);
    assert_warned(
        &imported,
        13,
        &["protocols igmp interface eth7 version 2", "left out"],
    );
    assert_eq!(lines(&imported), [3, 5, 12, 13]);
}

#[test]
fn a_tree() {
    let (config, imported) = converted(include_str!("fixtures/config.boot"));
    // igmp-proxy leaves quickly unless told not to.
    assert!(config.proxy.quick_leave && config.proxy.disabled);
    assert_eq!(
        texts(&interface(&config, "eth0").alt_subnets),
        ["0.0.0.0/0"]
    );
    assert_eq!(interface(&config, "eth0").role, Role::Upstream);
    assert_eq!(interface(&config, "switch0.20").role, Role::Downstream);
    assert_eq!(lines(&imported), [21]);
}

#[test]
fn both_forms_say_the_same() {
    let commands = "set protocols igmp-proxy interface eth0 role upstream\nset protocols igmp-proxy interface eth1 \
                    whitelist 239.0.0.0/8\nset protocols igmp-proxy interface \"eth1\" role \"downstream\"\n";
    let tree = "protocols { igmp-proxy { interface eth0 { role upstream\n }\n interface eth1 { whitelist \
                '239.0.0.0/8'\n role downstream\n } } }";
    assert_eq!(converted(commands).0, converted(tree).0);
}

#[test]
fn what_is_not_known_is_said() {
    let (_, imported) = converted(
        "set protocols igmp-proxy interface eth1 role downstream\nset protocols igmp-proxy colour red\nset protocols \
         igmp-proxy interface eth1 colour red\ndelete protocols igmp-proxy interface eth5\n",
    );
    assert_eq!(lines(&imported), [1, 2, 3, 4]);
}

#[test]
fn what_cannot_become_a_configuration_is_refused() {
    assert_refused(Format::Vyos, "", "no `protocols igmp-proxy`");
    assert_refused(
        Format::Vyos,
        "set service ssh port 22\n",
        "no `protocols igmp-proxy`",
    );
    assert_refused(
        Format::Vyos,
        "set protocols igmp-proxy disable\n",
        "no interface in it is downstream",
    );
}
