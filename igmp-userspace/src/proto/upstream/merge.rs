//! Several subscriptions to one group as one (RFC 4605 section 4.1).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::super::FilterMode;
use super::Subscription;

/// What satisfies every one of `subscriptions`, by the rules for several sockets on one interface (RFC 9776 section
/// 3.2): the union of what is included; if any excludes, the sources that all of those exclude and none includes.
///
/// `None` when that is nothing at all.
#[must_use]
pub fn merge(subscriptions: impl IntoIterator<Item = Subscription>) -> Option<Subscription> {
    let mut included = BTreeSet::new();
    let mut excluded: Option<BTreeSet<Ipv4Addr>> = None;
    for Subscription { mode, mut sources } in subscriptions {
        match mode {
            FilterMode::Include => included.append(&mut sources),
            FilterMode::Exclude => {
                if let Some(others) = &excluded {
                    sources.retain(|source| others.contains(source));
                }
                excluded = Some(sources);
            }
        }
    }
    let merged = match excluded {
        None => Subscription {
            mode: FilterMode::Include,
            sources: included,
        },
        Some(mut sources) => {
            sources.retain(|source| !included.contains(source));
            Subscription {
                mode: FilterMode::Exclude,
                sources,
            }
        }
    };
    (!merged.is_nothing()).then_some(merged)
}

#[cfg(test)]
mod tests;
