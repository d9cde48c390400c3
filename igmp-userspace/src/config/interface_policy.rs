//! What is allowed on an interface: prompt-leave, group filters, access lists, limits, static groups.

use std::net::Ipv4Addr;

use toml::Spanned;
use toml::de::DeValue;

use super::acl;
use super::address::{parse_group, parse_source};
use super::error::{Error, Problem};
use super::group_filter::GroupFilterKeys;
use super::policy::MOST_ENTRIES;
use super::reader::{Section, Source, type_name, wrong_type};
use crate::proto::{AclRef, InterfacePolicy, Policy, PromptLeave};

/// The keys that may stand in `[igmp]` as defaults as well as in an `[[interface]]`; what is not written is `None`.
pub(super) struct SharedKeys {
    prompt_leave: Option<Spanned<Option<PromptLeave>>>,
    require_router_alert: Option<Spanned<bool>>,
    max_groups: Option<Spanned<u32>>,
    max_sources: Option<Spanned<u32>>,
    forward_as_non_querier: Option<Spanned<bool>>,
}

/// The keys of one `[[interface]]`.
pub(super) struct PolicyKeys {
    shared: SharedKeys,
    group_filter: GroupFilterKeys,
    group_policy: Option<Spanned<AclRef>>,
    report_sources: Option<Spanned<AclRef>>,
    query_sources: Option<Spanned<AclRef>>,
    static_groups: Vec<Spanned<StaticGroup>>,
}

type StaticGroup = (Ipv4Addr, Option<Ipv4Addr>);

impl SharedKeys {
    pub(super) fn read(section: &mut Section<'_>) -> Result<Self, Error> {
        Ok(Self {
            prompt_leave: read_prompt_leave(section)?,
            require_router_alert: section.boolean("require_router_alert")?,
            max_groups: section.integer("max_groups", &(1..=MOST_ENTRIES), "")?,
            max_sources: section.integer("max_sources", &(1..=MOST_ENTRIES), "")?,
            forward_as_non_querier: section.boolean("forward_as_non_querier")?,
        })
    }
}

impl PolicyKeys {
    pub(super) fn read(section: &mut Section<'_>) -> Result<Self, Error> {
        let shared = SharedKeys::read(section)?;
        let group_filter = GroupFilterKeys::read(section)?;
        let group_policy = acl::read_reference(section, "group_policy", &acl::NUMBERS)?;
        let mut sources = section.section("source_policy")?;
        let keys = Self {
            shared,
            group_filter,
            group_policy,
            // A list of groups alone has nothing to match a source with.
            report_sources: acl::read_reference(
                &mut sources,
                "reports",
                &acl::NUMBERS_WITH_SOURCE,
            )?,
            query_sources: acl::read_reference(&mut sources, "queries", &acl::NUMBERS_WITH_SOURCE)?,
            static_groups: read_static_groups(section)?,
        };
        sources.finish()?;
        Ok(keys)
    }

    /// The key that is written first of those that an upstream does not take, and where; `None` when none is.
    pub(super) fn first_written(&self) -> Option<(&'static str, usize)> {
        let shared = &self.shared;
        [
            ("prompt_leave", start(shared.prompt_leave.as_ref())),
            (
                "require_router_alert",
                start(shared.require_router_alert.as_ref()),
            ),
            ("max_groups", start(shared.max_groups.as_ref())),
            ("max_sources", start(shared.max_sources.as_ref())),
            (
                "forward_as_non_querier",
                start(shared.forward_as_non_querier.as_ref()),
            ),
            ("group_policy", start(self.group_policy.as_ref())),
            ("source_policy", start(self.report_sources.as_ref())),
            ("source_policy", start(self.query_sources.as_ref())),
            ("static_groups", start(self.static_groups.first())),
        ]
        .into_iter()
        .filter_map(|(key, start)| Some((key, start?)))
        .min_by_key(|(_, start)| *start)
    }

    /// The policy of an interface, with `defaults` for what is not written. `global` is what static groups have to
    /// respect.
    pub(super) fn policy(
        self,
        defaults: &SharedKeys,
        source: Source<'_>,
        global: &Policy,
    ) -> Result<InterfacePolicy, Error> {
        let filter = self.group_filter;
        let static_groups = check_static_groups(self.static_groups, source, global, &filter)?;
        let (own, built_in) = (&self.shared, InterfacePolicy::default());
        Ok(InterfacePolicy {
            prompt_leave: first(own.prompt_leave.as_ref(), defaults.prompt_leave.as_ref())
                .unwrap_or(built_in.prompt_leave),
            group_filter: filter.filter(),
            group_policy: self.group_policy.map(Spanned::into_inner),
            report_sources: self.report_sources.map(Spanned::into_inner),
            query_sources: self.query_sources.map(Spanned::into_inner),
            require_router_alert: first(
                own.require_router_alert.as_ref(),
                defaults.require_router_alert.as_ref(),
            )
            .unwrap_or(built_in.require_router_alert),
            max_groups: first(own.max_groups.as_ref(), defaults.max_groups.as_ref())
                .map_or(built_in.max_groups, |groups| groups as usize),
            max_sources: first(own.max_sources.as_ref(), defaults.max_sources.as_ref())
                .map_or(built_in.max_sources, |sources| sources as usize),
            static_groups,
            forward_as_non_querier: first(
                own.forward_as_non_querier.as_ref(),
                defaults.forward_as_non_querier.as_ref(),
            )
            .unwrap_or(built_in.forward_as_non_querier),
            tell_accepted: built_in.tell_accepted,
        })
    }
}

fn first<T: Clone>(own: Option<&Spanned<T>>, default: Option<&Spanned<T>>) -> Option<T> {
    own.or(default).map(|value| value.get_ref().clone())
}

fn start<T>(value: Option<&Spanned<T>>) -> Option<usize> {
    value.map(|value| value.span().start)
}

/// `true`, `false`, or a table that says for which leaves.
fn read_prompt_leave(
    section: &mut Section<'_>,
) -> Result<Option<Spanned<Option<PromptLeave>>>, Error> {
    const KEY: &str = "prompt_leave";
    let Some(value) = section.take(KEY) else {
        return Ok(None);
    };
    let span = value.span();
    let prompt_leave = match value.get_ref() {
        DeValue::Boolean(false) => None,
        DeValue::Boolean(true) => Some(PromptLeave::default()),
        DeValue::Table(_) => {
            let mut keys = Section::from_value(section.source(), KEY, value)?;
            let group_policy = acl::read_reference(&mut keys, "group_policy", &acl::NUMBERS)?;
            let v3 = keys.boolean("v3")?;
            let tracked = keys.boolean("tracked")?;
            keys.finish()?;
            Some(PromptLeave {
                group_policy: group_policy.map(Spanned::into_inner),
                v3: v3.is_some_and(Spanned::into_inner),
                tracked: tracked.is_some_and(Spanned::into_inner),
            })
        }
        other => {
            let remedy = "write true, false, or { group_policy = 2000 }";
            let place = section.source().place(&span);
            return Err(wrong_type(KEY, other, remedy).at(place));
        }
    };
    Ok(Some(Spanned::new(span, prompt_leave)))
}

fn read_static_groups(section: &mut Section<'_>) -> Result<Vec<Spanned<StaticGroup>>, Error> {
    const KEY: &str = "static_groups";
    const REMEDY: &str =
        "write static_groups = [\"239.1.1.1\", { group = \"232.1.1.1\", source = \"10.0.0.5\" }]";
    let file = section.source();
    let read_one = |element: Spanned<DeValue<'_>>| {
        let span = element.span();
        let entry = match element.get_ref() {
            DeValue::String(text) => {
                let group = parse_group(text).map_err(|problem| problem.at(file.place(&span)))?;
                (group, None)
            }
            DeValue::Table(_) => {
                let mut keys = Section::from_value(file, KEY, element)?;
                let group = keys.parsed("group", "232.1.1.1", parse_group)?;
                let source = keys.parsed("source", "10.0.0.5", parse_source)?;
                keys.finish()?;
                let group = group.ok_or_else(|| {
                    let remedy = "write { group = \"232.1.1.1\", source = \"10.0.0.5\" }";
                    Problem::new("this static group has no group", remedy).at(file.place(&span))
                })?;
                (group.into_inner(), source.map(Spanned::into_inner))
            }
            other => {
                let what = format!("{KEY} holds {}", type_name(other));
                return Err(Problem::new(what, REMEDY).at(file.place(&span)));
            }
        };
        Ok(Spanned::new(span, entry))
    };
    let elements = section.array(KEY, REMEDY)?;
    elements.into_iter().map(read_one).collect()
}

/// What holds of each static group, and of all together.
fn check_static_groups(
    entries: Vec<Spanned<StaticGroup>>,
    file: Source<'_>,
    global: &Policy,
    filter: &GroupFilterKeys,
) -> Result<Vec<StaticGroup>, Error> {
    let mut groups: Vec<StaticGroup> = Vec::new();
    for entry in entries {
        let span = entry.span();
        let (group, source) = entry.into_inner();
        let within = |ranges: &[ipnet::Ipv4Net]| ranges.iter().any(|range| range.contains(&group));
        let problem = if within(&global.untracked_groups) {
            Problem::new(
                format!("static group {group} is one of untracked_groups"),
                "such a group is never forwarded: leave it out",
            )
        } else if source.is_none() && within(&global.ssm_ranges) {
            Problem::new(
                format!("static group {group} is source-specific (ssm_ranges) and has no source"),
                format!("write {{ group = \"{group}\", source = \"...\" }} (RFC 4607 section 1)"),
            )
        } else if let Some(reason) = filter.refusal(group, file) {
            Problem::new(
                format!("static group {group} is not served here: {reason}"),
                "leave it out, or let the lists serve it",
            )
        } else if groups.contains(&(group, source)) {
            Problem::new(
                format!("static group {group} is given twice"),
                "keep one of the two",
            )
        } else {
            groups.push((group, source));
            continue;
        };
        return Err(problem.at(file.place(&span)));
    }
    Ok(groups)
}
