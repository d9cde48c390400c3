//! Which groups an interface serves: `whitelist` and `blacklist`.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// Groups that are served, as prefixes: the longest that contains a group decides. A group in none is served unless there
/// is a whitelist. The order of entries has no meaning, so that a kernel map can hold them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct GroupFilter {
    /// Served.
    pub whitelist: Vec<Ipv4Net>,
    /// Not served. No prefix is in both lists.
    pub blacklist: Vec<Ipv4Net>,
}

impl GroupFilter {
    /// Whether everything is served.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.whitelist.is_empty() && self.blacklist.is_empty()
    }

    /// Whether `group` is served.
    #[must_use]
    pub fn serves(&self, group: Ipv4Addr) -> bool {
        let longest = |list: &[Ipv4Net]| {
            let matching = list.iter().filter(|prefix| prefix.contains(&group));
            matching.map(Ipv4Net::prefix_len).max()
        };
        match (longest(&self.whitelist), longest(&self.blacklist)) {
            (None, None) => self.whitelist.is_empty(),
            (served, refused) => served > refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(whitelist: &[&str], blacklist: &[&str]) -> GroupFilter {
        let prefixes = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        GroupFilter {
            whitelist: prefixes(whitelist),
            blacklist: prefixes(blacklist),
        }
    }

    fn serves(filter: &GroupFilter, group: &str) -> bool {
        filter.serves(group.parse().unwrap())
    }

    #[test]
    fn without_lists_everything_is_served() {
        assert!(filter(&[], &[]).is_open());
        assert!(serves(&filter(&[], &[]), "239.1.1.1"));
    }

    #[test]
    fn a_whitelist_serves_nothing_else_and_a_blacklist_everything_else() {
        let white = filter(&["239.1.0.0/16"], &[]);
        assert!(serves(&white, "239.1.9.9") && !serves(&white, "239.2.0.1"));
        let black = filter(&[], &["239.1.0.0/16"]);
        assert!(!serves(&black, "239.1.9.9") && serves(&black, "239.2.0.1"));
    }

    #[test]
    fn the_longer_prefix_decides_whichever_list_it_is_in() {
        let both = filter(&["239.0.0.0/8", "239.1.2.3/32"], &["239.1.0.0/16"]);
        assert!(serves(&both, "239.9.9.9"));
        assert!(!serves(&both, "239.1.9.9"));
        assert!(serves(&both, "239.1.2.3"));
        assert!(!serves(&both, "225.0.0.1"));
    }
}
