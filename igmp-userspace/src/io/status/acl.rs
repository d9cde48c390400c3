//! The access lists, what their rules have matched, and who names them.

use crate::api::{Acl, AclRule};
use crate::config::{Config, find_acl};
use crate::proto::{self, AclHits, AclRef, Router};

/// Every list of the configuration in its order, then the lists that are named and missing.
pub(super) fn acls(config: &Config, router: &Router) -> Vec<Acl> {
    let lists = &config.policy.acls;
    let defined = lists.iter().enumerate().map(|(place, acl)| {
        let users = users(config, |reference| {
            find_acl(lists, reference).is_some_and(|named| std::ptr::eq(named, acl))
        });
        view(acl, router.acl_hits(place), users)
    });
    let mut missing: Vec<&AclRef> = Vec::new();
    for (_, _, reference) in config.acl_uses() {
        if find_acl(lists, reference).is_none() && !missing.contains(&reference) {
            missing.push(reference);
        }
    }
    let missing = missing.into_iter().map(|reference| {
        let (number, name) = match reference {
            AclRef::Number(number) => (Some(*number), None),
            AclRef::Name(name) => (None, Some(name.clone())),
        };
        Acl {
            number,
            name,
            defined: false,
            rules: Vec::new(),
            no_match: 0,
            used_by: users(config, |other| other == reference),
        }
    });
    defined.chain(missing).collect()
}

fn view(acl: &proto::Acl, hits: Option<&AclHits>, used_by: Vec<String>) -> Acl {
    let rule = |(place, rule): (usize, &proto::Rule)| AclRule {
        sequence: rule.sequence,
        action: rule.action.into(),
        group: rule.group,
        source: rule.source,
        hits: hits
            .and_then(|hits| hits.rules.get(place).copied())
            .unwrap_or(0),
    };
    Acl {
        number: acl.number,
        name: acl.name.clone(),
        defined: true,
        rules: acl.rules.iter().enumerate().map(rule).collect(),
        no_match: hits.map_or(0, |hits| hits.no_match),
        used_by,
    }
}

/// The policies whose reference `is_it`, as `INTERFACE KEY`.
fn users(config: &Config, is_it: impl Fn(&AclRef) -> bool) -> Vec<String> {
    config
        .acl_uses()
        .filter(|(_, _, reference)| is_it(reference))
        .map(|(interface, usage, _)| format!("{interface} {}", usage.name()))
        .collect()
}
