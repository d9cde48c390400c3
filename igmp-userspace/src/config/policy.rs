//! `[policy]`: what holds for all interfaces.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use toml::Spanned;

use super::address::{parse_groups, parse_source};
use super::error::{Error, Problem};
use super::reader::Section;
use crate::proto::{Acl, Policy};

/// Memberships or sources at most, of an interface or of all: a typing error must not take gigabytes.
pub(super) const MOST_ENTRIES: u32 = 1_048_576;

/// Never forwarded by any router (RFC 5771 section 4), so always among `untracked_groups`.
const LINK_LOCAL: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 24);

/// Reads `[policy]`.
pub(super) fn read(mut section: Section<'_>, acls: Vec<Acl>) -> Result<Policy, Error> {
    let ssm_ranges = section.parsed_list_if_any("ssm_ranges", "232.0.0.0/8", parse_groups)?;
    let ssm_mapping = read_ssm_mapping(&mut section)?;
    let untracked_groups =
        section.parsed_list("untracked_groups", "239.255.255.250/32", parse_groups)?;
    let max_groups = section.integer("max_groups", &(1..=MOST_ENTRIES), "")?;
    let max_sources = section.integer("max_sources", &(1..=MOST_ENTRIES), "")?;
    section.finish()?;

    let defaults = Policy::default();
    let mut untracked = vec![LINK_LOCAL];
    untracked.extend(
        untracked_groups
            .into_iter()
            .filter(|range| *range != LINK_LOCAL),
    );
    Ok(Policy {
        acls,
        ssm_ranges: ssm_ranges.map_or(defaults.ssm_ranges, Spanned::into_inner),
        ssm_mapping,
        untracked_groups: untracked,
        // For whoever knows whether there is an upstream to leave.
        quick_leave: defaults.quick_leave,
        max_groups: max_groups.map_or(defaults.max_groups, |groups| groups.into_inner() as usize),
        max_sources: max_sources.map_or(defaults.max_sources, |sources| {
            sources.into_inner() as usize
        }),
    })
}

/// Each group network and the sources that an IGMPv1 or IGMPv2 report for it stands for.
fn read_ssm_mapping(section: &mut Section<'_>) -> Result<Vec<(Ipv4Net, Vec<Ipv4Addr>)>, Error> {
    const REMEDY: &str =
        "write ssm_mapping = [{ group = \"232.1.0.0/16\", sources = [\"10.0.0.5\"] }]";
    let mut mappings = Vec::new();
    for mut mapping in section.tables("ssm_mapping", REMEDY)? {
        let place = mapping.place();
        let group = mapping.parsed("group", "232.1.0.0/16", parse_groups)?;
        let sources = mapping.parsed_list("sources", "10.0.0.5", parse_source)?;
        mapping.finish()?;
        let Some(group) = group else {
            return Err(Problem::new("this mapping has no group", REMEDY).at(place));
        };
        if sources.is_empty() {
            return Err(Problem::new("this mapping has no sources", REMEDY).at(place));
        }
        mappings.push((group.into_inner(), sources));
    }
    Ok(mappings)
}
