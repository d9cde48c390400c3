use super::*;
use crate::api::{Acl, AclRule, Action, Host, Reload};
use crate::config::Change;

#[test]
fn access_lists_as_a_table() {
    let rule = |sequence, action, group: Option<&str>, source: Option<&str>, hits| AclRule {
        sequence,
        action,
        group: group.map(|group| group.parse().unwrap()),
        source: source.map(|source| source.parse().unwrap()),
        hits,
    };
    let list = |number, name: Option<&str>, defined, used_by: &[&str]| Acl {
        number,
        name: name.map(Into::into),
        defined,
        rules: vec![],
        no_match: 0,
        used_by: used_by.iter().map(ToString::to_string).collect(),
    };
    let stb = Acl {
        rules: vec![
            rule(5, Action::Permit, Some("239.1.0.0/16"), None, 12),
            rule(10, Action::Deny, None, Some("10.0.0.0/8"), 3),
        ],
        no_match: 100,
        ..list(
            Some(3000),
            Some("stb"),
            true,
            &["lan0 prompt_leave.group_policy", "lan1 group_policy"],
        )
    };
    let empty = list(None, Some("none"), true, &[]);
    let missing = list(Some(2001), None, false, &["lan2 group_policy"]);
    assert_table(
        &Response::Acl(vec![stb, empty, missing]),
        false,
        "\
ACL       RULE  ACTION    GROUP         SOURCE      HITS  USED BY
3000 stb     5  permit    239.1.0.0/16  any           12  lan0 prompt_leave.group_policy, lan1 group_policy
            10  deny      any           10.0.0.0/8     3
             -  no match                             100
none         -  empty                                  0  -
2001         -  missing                                -  lan2 group_policy
",
    );
}

#[test]
fn the_configuration_as_toml() {
    let text = "[policy]\nmax_groups = 5\n\n[[interface]]\nname = \"lan0\"\nstatic_groups = []\n";
    let config = text.parse().unwrap();
    assert_table(&Response::Config(vec![config]), false, text);
}

#[test]
fn hosts_as_a_table() {
    let host = |last: u8, filter_mode, last_heard_ms| Host {
        address: Ipv4Addr::new(192, 0, 2, last),
        filter_mode,
        last_heard_ms,
    };
    let group = Group {
        interface: "lan0".into(),
        group: Ipv4Addr::new(239, 1, 1, 1),
        filter_mode: FilterMode::Exclude,
        compatibility: 3,
        timer_ms: 1,
        sources: vec![],
        last_reporter: None,
        uptime_ms: 1,
        is_static: false,
        hosts: Some(vec![
            host(20, FilterMode::Exclude, 1_500),
            host(21, FilterMode::Include, 130_000),
        ]),
    };
    let nobody = Group {
        group: Ipv4Addr::new(239, 1, 1, 2),
        hosts: Some(vec![]),
        ..group.clone()
    };
    let detail = show::Detail {
        zeros: false,
        hosts: true,
    };
    assert_text(
        &Response::Groups(vec![group, nobody]),
        detail,
        "\
INTERFACE  GROUP      HOST        MODE     HEARD
lan0       239.1.1.1  192.0.2.20  exclude   1.5s
lan0       239.1.1.1  192.0.2.21  include  2m10s
",
    );
}

#[test]
fn a_reload_says_what_became_of_each_difference() {
    let change = Change {
        section: "interface lan0".into(),
        key: Some("max_groups".into()),
        old: Some("5".into()),
        new: Some("6".into()),
    };
    let whole = Change {
        section: "acl 2000".into(),
        key: None,
        old: Some("2 rules".into()),
        new: None,
    };
    let reload = |changes: &[&Change], applied, warnings: &[&str]| {
        Response::Reload(Reload {
            file: "f.toml".into(),
            applied,
            changes: changes.iter().copied().cloned().collect(),
            warnings: warnings.iter().map(ToString::to_string).collect(),
        })
    };
    assert_table(
        &reload(&[], true, &[]),
        false,
        "f.toml: nothing has changed\n",
    );
    assert_table(
        &reload(&[&change, &whole], true, &["odd"]),
        false,
        "\
~ interface lan0: max_groups: 5 -> 6
- acl 2000: 2 rules
warning: odd
f.toml: 2 changes applied
",
    );
    assert_table(
        &reload(&[&whole], false, &[]),
        false,
        "- acl 2000: 2 rules\nf.toml: 1 change, not applied\n",
    );
}
