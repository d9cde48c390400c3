//! Access lists as a table: a row a rule.

use super::super::super::table::Align::{Left, Right};
use super::super::super::table::Table;
use crate::api::{Acl, Action};

pub(super) fn table(lists: &[Acl]) -> Table<7> {
    let mut table = Table::new([
        ("ACL", Left),
        ("RULE", Right),
        ("ACTION", Left),
        ("GROUP", Left),
        ("SOURCE", Left),
        ("HITS", Right),
        ("USED BY", Left),
    ]);
    for list in lists {
        let mut rows: Vec<_> = list
            .rules
            .iter()
            .map(|rule| {
                let action = match rule.action {
                    Action::Permit => "permit",
                    Action::Deny => "deny",
                };
                [
                    rule.sequence.to_string(),
                    action.to_owned(),
                    or_any(rule.group),
                    or_any(rule.source),
                    rule.hits.to_string(),
                ]
            })
            .collect();
        // What is left when no rule decides, which has a count too.
        let rest = match (list.defined, list.rules.is_empty()) {
            (false, _) => "missing",
            (true, true) => "empty",
            (true, false) => "no match",
        };
        let hits = if list.defined {
            list.no_match.to_string()
        } else {
            "-".to_owned()
        };
        rows.push([
            "-".into(),
            rest.to_owned(),
            String::new(),
            String::new(),
            hits,
        ]);
        for (index, [rule, action, group, source, hits]) in rows.into_iter().enumerate() {
            let (name, used_by) = if index == 0 {
                (title(list), used_by(list))
            } else {
                (String::new(), String::new())
            };
            table.push([name, rule, action, group, source, hits, used_by]);
        }
    }
    table
}

/// Number and name, as far as there are any.
fn title(list: &Acl) -> String {
    let number = list.number.map(|number| number.to_string());
    let words: Vec<_> = number.into_iter().chain(list.name.clone()).collect();
    words.join(" ")
}

fn used_by(list: &Acl) -> String {
    if list.used_by.is_empty() {
        "-".to_owned()
    } else {
        list.used_by.join(", ")
    }
}

fn or_any(network: Option<ipnet::Ipv4Net>) -> String {
    network.map_or_else(|| "any".to_owned(), |network| network.to_string())
}
