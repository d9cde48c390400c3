use super::*;

fn net(text: &str) -> Option<Ipv4Net> {
    (text != "any").then(|| text.parse().unwrap())
}

/// `"permit 239.1.0.0/16 any"`: action, group, source; numbered 10, 20, ...
pub(in super::super) fn acl(name: &str, rules: &[&str]) -> Acl {
    let rule = |(place, text): (u32, &&str)| {
        let words: Vec<&str> = text.split(' ').collect();
        let [action, group, source] = words[..] else {
            panic!("{text}")
        };
        Rule {
            sequence: 10 * (place + 1),
            action: match action {
                "permit" => Action::Permit,
                "deny" => Action::Deny,
                _ => panic!("{text}"),
            },
            group: net(group),
            source: net(source),
        }
    };
    Acl {
        number: name.parse().ok(),
        name: name.parse::<u16>().is_err().then(|| name.to_owned()),
        rules: (0..).zip(rules).map(rule).collect(),
    }
}

/// How a test names a list: `"2000"` or `"stb"`.
pub(in super::super) fn acl_ref(name: &str) -> AclRef {
    name.parse()
        .map_or_else(|_| AclRef::Name(name.to_owned()), AclRef::Number)
}

fn lists(acls: Vec<Acl>) -> AccessLists {
    let mut lists = AccessLists::default();
    lists.replace(acls);
    lists
}

const G: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const S: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

/// The sequence of the rule that decides; 0 when none does.
fn rule(rules: &[&str], question: Question) -> u32 {
    match lists(vec![acl("x", rules)]).judge(&acl_ref("x"), question) {
        Verdict::Permit { rule } | Verdict::Deny { rule } => rule,
        Verdict::NoMatch | Verdict::Empty => 0,
        Verdict::Missing => unreachable!("it is there"),
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let rules = [
        "deny 239.1.2.0/24 any",
        "permit 239.1.0.0/16 any",
        "deny any any",
    ];
    let mut lists = lists(vec![acl("2000", &rules)]);
    let list = acl_ref("2000");
    let mut ask = |group: [u8; 4]| lists.judge(&list, Question::any_source(group.into()));
    assert_eq!(ask([239, 1, 2, 3]), Verdict::Deny { rule: 10 });
    assert_eq!(ask([239, 1, 3, 3]), Verdict::Permit { rule: 20 });
    assert_eq!(ask([239, 2, 0, 0]), Verdict::Deny { rule: 30 });
}

#[test]
fn group_and_source_both_have_to_match() {
    let rules = ["permit 239.1.0.0/16 10.9.0.0/24"];
    let other = Ipv4Addr::new(10, 9, 1, 1);
    assert_eq!(rule(&rules, Question::source(G, S)), 10);
    assert_eq!(rule(&rules, Question::source(G, other)), 0);
    assert_eq!(rule(&rules, Question::source([239, 2, 0, 1].into(), S)), 0);
}

#[test]
fn a_join_for_any_source_is_matched_by_rules_for_any_source_only() {
    let question = Question::any_source(G);
    assert_eq!(rule(&["permit any 10.9.0.0/24"], question), 0);
    assert_eq!(
        rule(
            &["deny any 10.9.0.0/24", "permit 239.0.0.0/8 any"],
            question
        ),
        20
    );
    assert_eq!(rule(&["permit any 0.0.0.0/0"], question), 10);
}

#[test]
fn a_speaker_is_matched_by_rules_without_a_group_only() {
    let question = Question::speaker(S);
    assert_eq!(rule(&["permit 239.0.0.0/8 any"], question), 0);
    assert_eq!(rule(&["permit any 10.9.0.0/24"], question), 10);
    assert_eq!(rule(&["permit 0.0.0.0/0 10.9.0.1/32"], question), 10);
    assert_eq!(rule(&["permit any 10.9.0.2/32"], question), 0);
}

#[test]
fn missing_empty_and_unmatched_are_told_apart() {
    let mut lists = lists(vec![
        acl("stb", &[]),
        acl("2000", &["permit 224.1.0.0/16 any"]),
    ]);
    let question = Question::any_source(G);
    assert_eq!(lists.judge(&acl_ref("stb"), question), Verdict::Empty);
    assert_eq!(lists.judge(&acl_ref("2001"), question), Verdict::Missing);
    assert_eq!(lists.judge(&acl_ref("2000"), question), Verdict::NoMatch);
}

#[test]
fn a_list_goes_by_its_number_and_by_its_name() {
    let both = Acl {
        number: Some(3000),
        ..acl("stb", &["permit any any"])
    };
    let mut lists = lists(vec![both]);
    for name in ["stb", "3000"] {
        let verdict = lists.judge(&acl_ref(name), Question::any_source(G));
        assert!(verdict.permits(), "{name}");
    }
}

#[test]
fn decisions_are_counted_per_rule_and_reviews_are_not() {
    let first = acl(
        "2000",
        &["permit 239.1.0.0/16 any", "deny 239.2.0.0/16 any"],
    );
    let second = acl("2001", &["permit any any"]);
    let mut lists = lists(vec![first.clone(), second]);
    let mut ask = |group: [u8; 4]| {
        lists.judge(&acl_ref("2000"), Question::any_source(group.into()));
    };
    ask([239, 1, 0, 1]);
    ask([239, 1, 0, 2]);
    ask([239, 2, 0, 1]);
    ask([239, 3, 0, 1]);
    lists.review(&acl_ref("2000"), Question::any_source(G));
    let expected = AclHits {
        rules: vec![2, 1],
        no_match: 1,
    };
    assert_eq!(lists.hits(0), Some(&expected));
    assert_eq!(lists.hits(1).unwrap().rules, [0]);
    assert_eq!(lists.hits(2), None);

    // An unchanged list keeps its hits wherever it stands now, a changed one starts again.
    lists.replace(vec![acl("2001", &["deny any any"]), first]);
    assert_eq!(lists.hits(0).unwrap().rules, [0]);
    assert_eq!(lists.hits(1), Some(&expected));
}
