//! `whitelist` and `blacklist`: the groups that an interface serves.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use toml::Spanned;

use super::address::parse_groups;
use super::error::{Error, Problem};
use super::reader::{Section, Source};
use crate::proto::GroupFilter;

/// Both lists as written.
pub(super) struct GroupFilterKeys {
    whitelist: Vec<Spanned<Ipv4Net>>,
    blacklist: Vec<Spanned<Ipv4Net>>,
}

impl GroupFilterKeys {
    pub(super) fn read(section: &mut Section<'_>) -> Result<Self, Error> {
        let keys = Self {
            whitelist: section.spanned_list("whitelist", "239.0.0.0/8", parse_groups)?,
            blacklist: section.spanned_list("blacklist", "239.9.0.0/16", parse_groups)?,
        };
        keys.check_repetitions(section.source())?;
        Ok(keys)
    }

    /// The longest prefix decides; of two equal ones, none would.
    fn check_repetitions(&self, file: Source<'_>) -> Result<(), Error> {
        let of_list = |name, list: &'_ [Spanned<Ipv4Net>]| {
            let named = list
                .iter()
                .map(|entry| (name, entry.span(), *entry.get_ref()));
            named.collect::<Vec<_>>()
        };
        let mut entries = of_list("whitelist", &self.whitelist);
        entries.extend(of_list("blacklist", &self.blacklist));
        entries.sort_by_key(|(_, span, _)| span.start);
        for (index, (list, span, network)) in entries.iter().enumerate() {
            let mut earlier = entries[..index].iter();
            let Some((first_list, first, _)) = earlier.find(|(_, _, other)| other == network)
            else {
                continue;
            };
            let first = file.place(first);
            let what = if list == first_list {
                format!("{network} is in {list} twice (first at {first})")
            } else {
                format!("{network} is in {list} and in {first_list} (at {first})")
            };
            return Err(Problem::new(what, "keep one of the two").at(file.place(span)));
        }
        Ok(())
    }

    pub(super) fn filter(&self) -> GroupFilter {
        let networks =
            |list: &[Spanned<Ipv4Net>]| list.iter().map(|entry| *entry.get_ref()).collect();
        GroupFilter {
            whitelist: networks(&self.whitelist),
            blacklist: networks(&self.blacklist),
        }
    }

    /// Why `group` is not served, and where that is written; `None` when it is served.
    pub(super) fn refusal(&self, group: Ipv4Addr, file: Source<'_>) -> Option<String> {
        if self.filter().serves(group) {
            return None;
        }
        let matching = self
            .blacklist
            .iter()
            .filter(|entry| entry.get_ref().contains(&group));
        let reason = match matching.max_by_key(|entry| entry.get_ref().prefix_len()) {
            Some(entry) => {
                let place = file.place(&entry.span());
                format!("blacklist has {} (at {place})", entry.get_ref())
            }
            // Neither list has it, so there is a whitelist.
            None => {
                let place = self
                    .whitelist
                    .first()
                    .map(|entry| file.place(&entry.span()));
                format!("whitelist has it not (at {})", place.unwrap_or_default())
            }
        };
        Some(reason)
    }
}
