//! Access lists: the first rule that matches decides, and is counted.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{Acl, AclRef, Action, Rule};

/// How often an access list was asked and what answered, since the list last changed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AclHits {
    /// Hits of each rule, in the order of [`Acl::rules`].
    pub rules: Vec<u64>,
    /// How often no rule matched.
    pub no_match: u64,
}

/// What a list is asked. What is open (`None`) stands for every address, so only rules that are about every address
/// match it: neither a permit nor a deny of some sources decides about a join for all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) group: Option<Ipv4Addr>,
    pub(super) source: Option<Ipv4Addr>,
}

impl Question {
    /// May this host, or router, speak at all?
    pub(super) const fn speaker(source: Ipv4Addr) -> Self {
        Self {
            group: None,
            source: Some(source),
        }
    }

    pub(super) const fn any_source(group: Ipv4Addr) -> Self {
        Self {
            group: Some(group),
            source: None,
        }
    }

    pub(super) const fn source(group: Ipv4Addr, source: Ipv4Addr) -> Self {
        Self {
            group: Some(group),
            source: Some(source),
        }
    }

    fn matches(self, rule: &Rule) -> bool {
        covers(rule.group, self.group) && covers(rule.source, self.source)
    }
}

fn covers(prefix: Option<Ipv4Net>, asked: Option<Ipv4Addr>) -> bool {
    match (prefix, asked) {
        (None, _) => true,
        (Some(prefix), None) => prefix.prefix_len() == 0,
        (Some(prefix), Some(address)) => prefix.contains(&address),
    }
}

/// What a list says. What follows from the last three is up to who asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Permit { rule: u32 },
    Deny { rule: u32 },
    NoMatch,
    Empty,
    Missing,
}

impl Verdict {
    pub(super) const fn permits(self) -> bool {
        matches!(self, Self::Permit { .. })
    }
}

/// Every access list with its hits.
#[derive(Debug, Default)]
pub(super) struct AccessLists {
    acls: Vec<Acl>,
    hits: Vec<AclHits>,
    places: HashMap<AclRef, usize>,
}

impl AccessLists {
    /// Takes other lists; one that is unchanged keeps its hits.
    pub(super) fn replace(&mut self, acls: Vec<Acl>) {
        let hits = acls.iter().map(|acl| self.hits_of(acl)).collect();
        let mut places = HashMap::new();
        for (place, acl) in acls.iter().enumerate() {
            let number = acl.number.map(AclRef::Number);
            let name = acl.name.clone().map(AclRef::Name);
            for key in number.into_iter().chain(name) {
                places.entry(key).or_insert(place);
            }
        }
        *self = Self { acls, hits, places };
    }

    pub(super) fn hits(&self, place: usize) -> Option<&AclHits> {
        self.hits.get(place)
    }

    /// Decides, and counts the decision.
    pub(super) fn judge(&mut self, list: &AclRef, question: Question) -> Verdict {
        let (verdict, place) = self.look_up(list, question);
        if let Some((acl, rule)) = place {
            let hits = &mut self.hits[acl];
            *rule.map_or(&mut hits.no_match, |rule| &mut hits.rules[rule]) += 1;
        }
        verdict
    }

    /// Decides about what is there already: nothing was asked, so nothing is counted.
    pub(super) fn review(&self, list: &AclRef, question: Question) -> Verdict {
        self.look_up(list, question).0
    }

    /// The verdict, and the place of the list and of the rule it is from.
    fn look_up(
        &self,
        list: &AclRef,
        question: Question,
    ) -> (Verdict, Option<(usize, Option<usize>)>) {
        let Some(&acl) = self.places.get(list) else {
            return (Verdict::Missing, None);
        };
        let rules = &self.acls[acl].rules;
        match rules.iter().position(|rule| question.matches(rule)) {
            Some(place) => {
                let rule = rules[place].sequence;
                let verdict = match rules[place].action {
                    Action::Permit => Verdict::Permit { rule },
                    Action::Deny => Verdict::Deny { rule },
                };
                (verdict, Some((acl, Some(place))))
            }
            None if rules.is_empty() => (Verdict::Empty, Some((acl, None))),
            None => (Verdict::NoMatch, Some((acl, None))),
        }
    }

    fn hits_of(&self, acl: &Acl) -> AclHits {
        let same = self.acls.iter().position(|old| old == acl);
        same.map_or_else(
            || AclHits {
                rules: vec![0; acl.rules.len()],
                no_match: 0,
            },
            |place| self.hits[place].clone(),
        )
    }
}

#[cfg(test)]
pub(super) mod tests;
