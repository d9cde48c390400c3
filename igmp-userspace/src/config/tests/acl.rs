use super::*;
use crate::proto::{Acl, Action, Rule};

/// The lists of a good file that begins with `text`.
#[track_caller]
fn acls(text: &str) -> Vec<Acl> {
    let config = parse(&format!("{text}\n{TWO_INTERFACES}"), "f.toml").unwrap();
    config.policy.acls
}

fn rule(sequence: u32, action: Action, group: Option<&str>, source: Option<&str>) -> Rule {
    Rule {
        sequence,
        action,
        group: group.map(|group| group.parse().unwrap()),
        source: source.map(|source| source.parse().unwrap()),
    }
}

#[test]
fn lists_have_a_number_a_name_or_both() {
    let lists = acls(
        r#"
        [[acl]]
        number = 2000
        name = "stb"
        rules = [ { action = "permit", group = "239.1.0.0/16" }, { action = "deny", group = "0.0.0.0/0" } ]

        [[acl]]
        number = 3999
        rules = [ { action = "deny", group = "239.1.1.1", source = "10.0.0.5" }, { action = "permit", source = "10.0.0.0/8" } ]

        [[acl]]
        name = "none-2"
        "#,
    );
    let expected = [
        Acl {
            number: Some(2000),
            name: Some("stb".into()),
            rules: vec![
                rule(5, Action::Permit, Some("239.1.0.0/16"), None),
                // The whole address space is any group.
                rule(10, Action::Deny, None, None),
            ],
        },
        Acl {
            number: Some(3999),
            name: None,
            rules: vec![
                rule(5, Action::Deny, Some("239.1.1.1/32"), Some("10.0.0.5/32")),
                rule(10, Action::Permit, None, Some("10.0.0.0/8")),
            ],
        },
        Acl {
            number: None,
            name: Some("none-2".into()),
            rules: vec![],
        },
    ];
    assert_eq!(lists, expected);
}

#[test]
fn rules_are_in_the_order_of_their_sequence() {
    let lists = acls(
        r#"
        [[acl]]
        number = 2000
        rules = [
            { action = "permit" },
            { action = "deny", sequence = 12 },
            { action = "permit" },
            { action = "deny", sequence = 1 },
            { action = "permit" },
        ]
        "#,
    );
    // A rule without a sequence comes after all above it, at the next multiple of five.
    let order: Vec<_> = lists[0]
        .rules
        .iter()
        .map(|rule| (rule.sequence, rule.action))
        .collect();
    assert_eq!(
        order,
        [
            (1, Action::Deny),
            (5, Action::Permit),
            (12, Action::Deny),
            (15, Action::Permit),
            (20, Action::Permit)
        ]
    );
}

#[test]
fn a_list_that_cannot_be_is_refused() {
    for (list, expected) in [
        (
            "number = 1999",
            "f.toml:2: number is 1999; write 2000 to 3999 (2000 to 2999 match groups only)",
        ),
        (
            "number = 4000",
            "f.toml:2: number is 4000; write 2000 to 3999 (2000 to 2999 match groups only)",
        ),
        (
            "number = \"2000\"",
            "f.toml:2: number is a string; write 2000 to 3999 (2000 to 2999 match groups only)",
        ),
        (
            "rules = []",
            "f.toml:1: this acl has neither number nor name; add number = 2000 to 3999, a name, or both",
        ),
        (
            "name = \"2000\"",
            "f.toml:2: \"2000\" is no name for an acl; use 1 to 63 characters without spaces, not all digits",
        ),
        (
            "name = \"a b\"",
            "f.toml:2: \"a b\" is no name for an acl; use 1 to 63 characters without spaces, not all digits",
        ),
        (
            "name = \"a\\nb\"",
            "f.toml:2: \"a\\nb\" is no name for an acl; use 1 to 63 characters without spaces, not all digits",
        ),
        (
            "number = 2000\nrule = []",
            "f.toml:3: unknown key rule; the keys here are number, name, rules",
        ),
        (
            "number = 2000\nrules = \"permit\"",
            "f.toml:3: rules is a string; write rules = [{ action = \"permit\", group = \"239.1.0.0/16\" }], or [] \
             for none",
        ),
        (
            "number = 2000\nrules = [\"permit\"]",
            "f.toml:3: rules is a string; write it as a table",
        ),
    ] {
        assert_eq!(refusal(&format!("[[acl]]\n{list}\n")), expected, "{list}");
    }
}

#[test]
fn a_rule_that_cannot_be_is_refused_where_it_stands() {
    for (rule, expected) in [
        (
            "{ group = \"239.1.1.1\" }",
            "f.toml:5: this rule has no action; write action = \"permit\" or \"deny\"",
        ),
        (
            "{ action = \"allow\" }",
            "f.toml:5: \"allow\" is no action; write action = \"permit\" or \"deny\"",
        ),
        (
            "{ action = \"deny\", group = \"10.0.0.0/8\" }",
            "f.toml:5: \"10.0.0.0/8\" is not multicast; groups are 224.0.0.0 to 239.255.255.255",
        ),
        (
            "{ action = \"deny\", group = \"224.0.0.0/3\" }",
            "f.toml:5: \"224.0.0.0/3\" is not multicast; groups are 224.0.0.0 to 239.255.255.255",
        ),
        (
            "{ action = \"deny\", group = \"239.1.1.1/16\" }",
            "f.toml:5: \"239.1.1.1/16\" has host bits set; write \"239.1.0.0/16\"",
        ),
        (
            "{ action = \"deny\", group = \"iptv\" }",
            "f.toml:5: \"iptv\" is neither a group nor a network of groups; write ADDRESS or ADDRESS/PREFIX, such as \
             \"239.1.0.0/16\"",
        ),
        (
            "{ action = \"deny\", source = \"239.1.1.1\" }",
            "f.toml:5: \"239.1.1.1/32\" is multicast; name the networks of the sources, not the groups",
        ),
        (
            "{ action = \"deny\", source = \"10.0.0.5\" }",
            "f.toml:5: a rule of acl 2000 names a source; leave it out, or number the list 3000 to 3999",
        ),
        (
            "{ action = \"deny\", sequence = 0 }",
            "f.toml:5: sequence is 0; write 1 to 1000000000",
        ),
        (
            "{ action = \"deny\", sequence = 5 }",
            "f.toml:5: sequence 5 of acl 2000 is given twice (first at f.toml:4); give one of the two another",
        ),
        (
            "{ action = \"deny\", vlan = 5 }",
            "f.toml:5: unknown key vlan; the keys here are sequence, action, group, source",
        ),
    ] {
        let text = format!(
            "[[acl]]\nnumber = 2000\nrules = [\n  {{ action = \"permit\" }},\n  {rule},\n]\n"
        );
        assert_eq!(refusal(&text), expected, "{rule}");
    }
}

#[test]
fn numbers_and_names_are_given_once() {
    let first = "[[acl]]\nnumber = 2000\nname = \"stb\"\n";
    for (second, expected) in [
        (
            "number = 2000",
            "f.toml:4: acl 2000 is given twice (first at f.toml:1); keep one of the two",
        ),
        (
            "number = 2001\nname = \"stb\"",
            "f.toml:4: acl stb is given twice (first at f.toml:1); keep one of the two",
        ),
        (
            "name = \"stb\"",
            "f.toml:4: acl stb is given twice (first at f.toml:1); keep one of the two",
        ),
    ] {
        assert_eq!(refusal(&format!("{first}[[acl]]\n{second}\n")), expected);
    }
}
