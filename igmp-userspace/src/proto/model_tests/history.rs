//! Random histories: what hosts, rival routers and the operator do on a link, and when.

use std::net::Ipv4Addr;

use super::super::sim::{A, B, C, D, G, Time as _, query};
use super::random::Random;
use crate::wire::RecordType::{
    AllowNewSources, BlockOldSources, ChangeToExclude, ChangeToInclude, ModeIsExclude,
    ModeIsInclude,
};
use crate::wire::{GroupRecord, Query, Version};

pub(super) const GROUPS: [Ipv4Addr; 2] = [G, Ipv4Addr::new(239, 1, 1, 2)];
pub(super) const SOURCES: [Ipv4Addr; 4] = [A, B, C, D];
/// The last has no address yet, and may be several.
const HOSTS: [Ipv4Addr; 3] = [
    Ipv4Addr::new(10, 0, 0, 7),
    Ipv4Addr::new(10, 0, 0, 8),
    Ipv4Addr::UNSPECIFIED,
];

/// What happens next.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Wait { seconds: u32 },
    Host { from: Ipv4Addr, says: Says },
    Query { from: Ipv4Addr, query: Query },
    MessagesLost,
    Rules(Rules),
    Clear { group: Option<Ipv4Addr> },
    Restart,
}

/// What a host sends.
#[derive(Clone, Debug)]
pub(super) enum Says {
    ReportV1(Ipv4Addr),
    ReportV2(Ipv4Addr),
    Leave(Ipv4Addr),
    Record(GroupRecord),
}

/// What the operator allows, in the terms of the reference.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Rules {
    /// Prompt-leave, and whether for version 3 too.
    pub(super) prompt_leave: Option<bool>,
    /// Groups whose prompt-leave a list denies.
    pub(super) never_prompt: Vec<Ipv4Addr>,
    /// Sources that the group policy denies, of every group.
    pub(super) denied_sources: Vec<Ipv4Addr>,
    /// Whether the group policy permits joins for any source.
    pub(super) any_source: bool,
    /// Whether the second group is source-specific, and what it is mapped to.
    pub(super) source_specific: bool,
    pub(super) mapped: Vec<Ipv4Addr>,
    pub(super) max_groups: usize,
    pub(super) max_sources: usize,
    pub(super) static_group: Option<(Ipv4Addr, Option<Ipv4Addr>)>,
    /// A group that is not served.
    pub(super) refused_group: Option<Ipv4Addr>,
    pub(super) quick_leave: bool,
}

impl Rules {
    /// Everything is allowed and nothing is special.
    pub(super) const NONE: Self = Self {
        prompt_leave: None,
        never_prompt: Vec::new(),
        denied_sources: Vec::new(),
        any_source: true,
        source_specific: false,
        mapped: Vec::new(),
        max_groups: 10,
        max_sources: 100,
        static_group: None,
        refused_group: None,
        quick_leave: false,
    };

    /// Each rule is there now and then.
    fn random(random: &mut Random) -> Self {
        let mut rules = Self::NONE;
        if random.once_in(2) {
            rules.prompt_leave = Some(random.once_in(2));
            rules.never_prompt = random.some(&GROUPS);
        }
        if random.once_in(4) {
            rules.denied_sources = random.some(&SOURCES);
            rules.any_source = random.once_in(2);
        }
        if random.once_in(4) {
            rules.source_specific = true;
            rules.mapped = random.some(&SOURCES);
        }
        if random.once_in(4) {
            rules.max_groups = 1;
        }
        if random.once_in(4) {
            rules.max_sources = random.below(5) as usize;
        }
        if random.once_in(6) {
            let source = random.once_in(2).then(|| random.pick(&SOURCES));
            rules.static_group = Some((random.pick(&GROUPS), source));
        }
        if random.once_in(6) {
            rules.refused_group = Some(random.pick(&GROUPS));
        }
        rules.quick_leave = random.once_in(2);
        rules
    }
}

/// One history of up to 30 steps. Half of them have no policy at all.
pub(super) fn history(random: &mut Random) -> Vec<Step> {
    let has_rules = random.once_in(2);
    let mut steps = Vec::new();
    if has_rules {
        steps.push(Step::Rules(Rules::random(random)));
    }
    for _ in 0..=random.below(30) {
        steps.push(step(random, has_rules));
    }
    steps
}

fn step(random: &mut Random, has_rules: bool) -> Step {
    let group = random.pick(&GROUPS);
    match random.below(26) {
        0..=2 => Step::Wait {
            seconds: random.below(4),
        },
        3..=4 => Step::Wait {
            seconds: random.below(40),
        },
        5..=19 => Step::Host {
            from: random.pick(&HOSTS),
            says: says(random, group),
        },
        20..=21 => general_query(random),
        22 => specific_query(random, group),
        23 => Step::Clear {
            group: random.once_in(2).then_some(group),
        },
        24 if random.once_in(2) => Step::Restart,
        _ if has_rules && random.once_in(2) => Step::Rules(Rules::random(random)),
        _ => Step::MessagesLost,
    }
}

fn says(random: &mut Random, group: Ipv4Addr) -> Says {
    match random.below(15) {
        0 => Says::ReportV1(group),
        1..=2 => Says::ReportV2(group),
        3..=5 => Says::Leave(group),
        _ => Says::Record(GroupRecord {
            record_type: random.pick(&[
                ModeIsInclude,
                ModeIsExclude,
                ChangeToInclude,
                ChangeToExclude,
                AllowNewSources,
                BlockOldSources,
            ]),
            group,
            sources: random.some(&SOURCES),
        }),
    }
}

fn rival(random: &mut Random) -> Ipv4Addr {
    random.pick(&[Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 3)])
}

fn general_query(random: &mut Random) -> Step {
    let version = random.pick(&[Version::V1, Version::V2, Version::V3]);
    let mut query = query(version, Ipv4Addr::UNSPECIFIED);
    if version == Version::V3 {
        query.robustness = random.pick(&[0, 1, 2, 3]);
        query.query_interval = random.pick(&[0_u64, 6, 12]).s();
    }
    Step::Query {
        from: rival(random),
        query,
    }
}

fn specific_query(random: &mut Random, group: Ipv4Addr) -> Step {
    let version = random.pick(&[Version::V2, Version::V3]);
    let mut query = query(version, group);
    if version == Version::V3 {
        query.sources = random.some(&SOURCES);
        query.suppress_router_side_processing = random.once_in(2);
    } else {
        query.max_response_time = 3.s();
    }
    Step::Query {
        from: rival(random),
        query,
    }
}
