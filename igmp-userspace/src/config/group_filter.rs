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
        let lists = [
            ("whitelist", &self.whitelist),
            ("blacklist", &self.blacklist),
        ];
        let mut entries: Vec<_> = lists
            .into_iter()
            .flat_map(|(name, list)| list.iter().map(move |entry| (name, entry)))
            .collect();
        entries.sort_by_key(|(_, entry)| entry.span().start);
        for (index, (list, entry)) in entries.iter().enumerate() {
            let network = entry.get_ref();
            let mut earlier = entries[..index].iter();
            let Some((first_list, first)) = earlier.find(|(_, other)| other.get_ref() == network)
            else {
                continue;
            };
            let first = file.place(&first.span());
            let what = if list == first_list {
                format!("{network} is in {list} twice (first at {first})")
            } else {
                format!("{network} is in {list} and in {first_list} (at {first})")
            };
            return Err(Problem::new(what, "keep one of the two").at(file.place(&entry.span())));
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
        if let Some(entry) = matching.max_by_key(|entry| entry.get_ref().prefix_len()) {
            let place = file.place(&entry.span());
            return Some(format!(
                "it is in blacklist {} (at {place})",
                entry.get_ref()
            ));
        }
        // Neither list has it, so there is a whitelist.
        let whitelist = self.whitelist.first()?;
        let place = file.place(&whitelist.span());
        Some(format!("it is not in whitelist (at {place})"))
    }
}
