use std::time::Duration;

use super::*;
use crate::proto::{AclRef, Action, PromptLeave};
use crate::wire::Version;

fn converted(text: &str) -> (Config, Imported) {
    super::converted(Format::Huawei, text)
}

const VRP: &str = include_str!("fixtures/vrp.cfg");

#[test]
fn interfaces() {
    let (config, _) = converted(VRP);
    let roles: Vec<_> = config
        .interfaces
        .iter()
        .map(|i| (&*i.name, i.role))
        .collect();
    assert_eq!(
        roles,
        [
            ("ge0-1-0", Role::Upstream),
            ("ge0-2-0.333", Role::Downstream),
            ("vlan20", Role::Downstream),
            ("ge0-3-0", Role::Disabled),
        ]
    );
    let boxes = interface(&config, "ge0-2-0.333");
    assert_eq!(boxes.params.version, Version::V3);
    assert_eq!(boxes.params.query_interval, Duration::from_mins(1));
    assert_eq!(boxes.params.query_response_interval, Duration::from_secs(5));
    assert_eq!(
        boxes.params.last_member_query_interval,
        Duration::from_secs(2)
    );
    assert_eq!(boxes.params.robustness, 3);
    assert_eq!(boxes.policy.max_groups, 500);
    assert!(boxes.policy.require_router_alert);
    assert_eq!(boxes.policy.group_policy, Some(AclRef::Name("iptv".into())));
    let prompt_leave = PromptLeave {
        group_policy: Some(AclRef::Number(2000)),
        ..PromptLeave::default()
    };
    assert_eq!(boxes.policy.prompt_leave, Some(prompt_leave));
    let group = |text: &str| text.parse().unwrap();
    assert_eq!(
        boxes.policy.static_groups,
        [
            (group("225.1.1.1"), None),
            (group("225.1.1.2"), None),
            (group("225.1.1.3"), None),
            (group("232.1.1.1"), Some(group("10.20.0.5"))),
        ]
    );
    // The view igmp, and for the version VRP's default.
    let other = interface(&config, "vlan20");
    assert_eq!(other.params.version, Version::V2);
    assert_eq!(other.params.query_interval, Duration::from_secs(30));
    assert_eq!(other.policy.prompt_leave, Some(PromptLeave::default()));
}

#[test]
fn lists_and_policy() {
    let (config, _) = converted(VRP);
    let rules = |index: usize| {
        let rules = config.policy.acls[index].rules.iter();
        let text = |network: Option<ipnet::Ipv4Net>| network.map(|network| network.to_string());
        rules
            .map(|rule| (rule.action, text(rule.group), text(rule.source)))
            .collect::<Vec<_>>()
    };
    let net = |text: &str| Some(text.to_owned());
    assert_eq!(config.policy.acls.len(), 2);
    assert_eq!(
        (config.policy.acls[0].number, &config.policy.acls[0].name),
        (Some(2000), &None)
    );
    assert_eq!(
        rules(0),
        [
            (Action::Permit, net("239.1.0.0/16"), None),
            (Action::Deny, None, None)
        ]
    );
    assert_eq!(config.policy.acls[0].rules[1].sequence, 10);
    assert_eq!(config.policy.acls[1].number, Some(3001));
    assert_eq!(config.policy.acls[1].name.as_deref(), Some("iptv"));
    assert_eq!(
        rules(1),
        [
            (Action::Permit, net("232.0.0.0/8"), net("10.20.0.0/24")),
            (Action::Permit, net("239.0.0.0/8"), None),
            (Action::Deny, None, None),
        ]
    );
    assert_eq!(config.policy.max_groups, 2000);
    let (group, sources) = &config.policy.ssm_mapping[0];
    assert_eq!(
        (group.to_string(), texts(sources)),
        (
            "232.1.1.0/24".into(),
            vec!["10.20.0.5".into(), "10.20.0.6".into()]
        )
    );
    // A list that no IGMP policy names stays where it is.
    assert!(config.warnings().is_empty());
}

#[test]
fn everything_lost_is_said() {
    let (_, imported) = converted(VRP);
    // One interface of two has the mapping.
    assert_warned(&imported, 11, &["ssm_mapping", "Vlanif20"]);
    assert_warned(&imported, 20, &["a rule with a source"]);
    assert_warned(&imported, 21, &["0.0.255.0", "holes"]);
    assert_warned(&imported, 23, &["time-range", "no counterpart"]);
    assert_warned(&imported, 32, &["remote-backup-profile stb", "comment"]);
    assert_warned(&imported, 37, &["GigabitEthernet0/1/0", "ge0-1-0"]);
    assert_warned(&imported, 45, &["GigabitEthernet0/2/0.333", "ge0-2-0.333"]);
    assert_warned(&imported, 52, &["except 2000", "max_groups"]);
    assert_warned(&imported, 56, &["Other Querier Present Interval"]);
    assert_warned(&imported, 59, &["224.0.0.7"]);
    assert_warned(&imported, 63, &["Vlanif20", "vlan20"]);
    assert_warned(&imported, 66, &["igmp on-demand", "no counterpart"]);
    assert_warned(&imported, 68, &["GigabitEthernet0/3/0"]);
    assert_warned(&imported, 68, &["no `igmp enable`"]);
    assert_warned(&imported, 69, &["backup upstream"]);
    assert_eq!(
        lines(&imported),
        [11, 20, 21, 23, 32, 37, 45, 52, 56, 59, 63, 66, 68, 68, 69]
    );
}

#[test]
fn a_backup_profile_becomes_the_section_that_will_be_read() {
    let (_, imported) = converted(VRP);
    let section = "\
# [[remote_backup_profile]]
# name = \"stb\"
# listen = \"192.0.2.1:7000\"
# peer = \"192.0.2.2:7000\"
# interfaces = [\"ge0-2-0.333\"]
# dhcp_stb_igmp_copy = false  # line 35
";
    assert!(imported.toml.contains(section), "{}", imported.toml);
}

#[test]
fn without_a_proxy_interface_the_upstream_is_asked_for() {
    let (config, imported) = converted(
        "interface Vlanif2\n igmp enable\n#\ninterface GigabitEthernet0/0/1\n pim sm\n#\n",
    );
    assert!(
        config
            .interfaces
            .iter()
            .all(|interface| interface.role == Role::Downstream)
    );
    assert_warned(
        &imported,
        1,
        &["no interface has `igmp proxy`", "GigabitEthernet0/0/1"],
    );
    assert!(
        imported
            .toml
            .contains("# [[interface]]\n# name = \"eth0\"\n# role = \"upstream\"\n")
    );
}

#[test]
fn policy_of_the_upstream_is_left_out() {
    let (config, imported) = converted(
        "interface Vlanif2\n igmp enable\n#\ninterface Vlanif3\n igmp proxy\n igmp limit 5\n igmp static-group 225.1.1.1\n#\n\
         interface Vlanif4\n igmp proxy\n",
    );
    assert_eq!(interface(&config, "vlan3").role, Role::Upstream);
    assert_eq!(interface(&config, "vlan4").role, Role::Disabled);
    assert_warned(&imported, 6, &["max_groups is left out"]);
    assert_warned(&imported, 7, &["static_groups is left out"]);
    assert_warned(&imported, 9, &["second upstream", "Vlanif3"]);
}

#[test]
fn timers_that_the_rfc_does_not_allow_are_corrected() {
    let (config, imported) = converted(
        "igmp\n max-response-time 5\n max-response-time 6\n#\ninterface Vlanif2\n igmp enable\n igmp version 1\n#\n\
         interface Vlanif3\n igmp enable\n igmp timer query 4\n",
    );
    let params = |name| &interface(&config, name).params;
    assert_eq!(
        params("vlan2").query_response_interval,
        Duration::from_secs(10)
    );
    assert_eq!(
        params("vlan3").query_response_interval,
        Duration::from_secs(6)
    );
    assert_eq!(params("vlan3").query_interval, Duration::from_secs(7));
    assert_warned(
        &imported,
        5,
        &["query_response_interval is 10s", "version 1"],
    );
    assert_warned(&imported, 11, &["query_interval is 7s"]);
}

#[test]
fn static_groups_step() {
    let (config, imported) = converted(
        "interface Vlanif2\n igmp enable\n igmp static-group 225.0.0.1 inc-step-mask 24 number 3\n igmp static-group \
         232.1.1.1\n igmp static-group 239.255.255.255 inc-step-mask 32 number 2\n",
    );
    let groups: Vec<_> = config.interfaces[0]
        .policy
        .static_groups
        .iter()
        .map(|(group, _)| group.to_string())
        .collect();
    assert_eq!(
        groups,
        ["225.0.0.1", "225.0.1.1", "225.0.2.1", "239.255.255.255"]
    );
    assert_warned(&imported, 4, &["source-specific"]);
    assert_warned(&imported, 5, &["end before"]);
}

#[test]
fn what_cannot_become_a_configuration_is_refused() {
    assert_refused(
        Format::Huawei,
        "",
        "no interface view in it has an `igmp` line",
    );
    assert_refused(
        Format::Huawei,
        "interface Vlanif1\n ip address 10.0.0.1 24\n",
        "no interface view",
    );
    assert_refused(
        Format::Huawei,
        "interface Vlanif1\n igmp proxy\n",
        "`igmp enable`",
    );
}
