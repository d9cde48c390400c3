//! The state of the router against the reference, after every step of a random history.

use std::net::Ipv4Addr;

use super::super::acl::tests::{acl, acl_ref};
use super::super::sim::{LAN, Time as _};
use super::super::{
    FilterMode, GroupFilter, Input, Instant, InterfaceParams, InterfacePolicy, Output, Policy,
    PromptLeave, Router,
};
use super::history::{GROUPS, Rules, Says, Step, history};
use super::random::Random;
use super::reference::{QUERY_RESPONSE_INTERVAL, Reference};
use super::reference_group::{LMQC, ReferenceGroup};
use crate::wire::{self, Received, RecordType, Repr};

/// How many histories are tried.
const HISTORIES: u32 = 100_000;
/// What a failure says, given to cargo, repeats it; without it each run tries others.
const SEED: Option<&str> = option_env!("IGMPD_MODEL_SEED");

fn params() -> InterfaceParams {
    InterfaceParams {
        query_interval: 10.s(),
        query_response_interval: u64::from(QUERY_RESPONSE_INTERVAL).s(),
        last_member_query_count: Some(u8::try_from(LMQC).unwrap()),
        startup_query_interval: Some(3.s()),
        ..InterfaceParams::default()
    }
}

/// The same rules as an operator writes them.
fn policies(rules: &Rules) -> (InterfacePolicy, Policy) {
    let never = rules.never_prompt.iter();
    let prompt: Vec<_> = never.map(|group| format!("deny {group}/32 any")).collect();
    let denied = rules.denied_sources.iter();
    let mut join: Vec<_> = denied
        .map(|source| format!("deny any {source}/32"))
        .collect();
    join.push(if rules.any_source {
        "permit any any".to_owned()
    } else {
        "permit any 10.9.0.0/24".to_owned()
    });
    let with_permit = |mut rules: Vec<String>| {
        rules.push("permit any any".to_owned());
        rules
    };
    let list = |name, rules: &[String]| {
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        acl(name, &rules)
    };
    let second = GROUPS[1].into();
    let interface = InterfacePolicy {
        prompt_leave: rules.prompt_leave.map(|v3| PromptLeave {
            group_policy: Some(acl_ref("prompt")),
            v3,
            tracked: false,
        }),
        group_policy: Some(acl_ref("join")),
        group_filter: GroupFilter {
            whitelist: vec!["239.1.0.0/16".parse().unwrap()],
            blacklist: rules.refused_group.map(Into::into).into_iter().collect(),
        },
        max_groups: rules.max_groups,
        max_sources: rules.max_sources,
        static_groups: rules.static_group.into_iter().collect(),
        ..InterfacePolicy::default()
    };
    let common = Policy {
        acls: vec![list("prompt", &with_permit(prompt)), list("join", &join)],
        ssm_ranges: rules
            .source_specific
            .then_some(second)
            .into_iter()
            .collect(),
        ssm_mapping: vec![(second, rules.mapped.clone())],
        quick_leave: rules.quick_leave,
        ..Policy::default()
    };
    (interface, common)
}

/// The router under test (10.0.0.2), and its time in whole seconds.
struct Subject {
    router: Router,
    now: u32,
}

impl Subject {
    fn new() -> Self {
        let mut subject = Self {
            router: Router::new(),
            now: 0,
        };
        subject.set(&Rules::NONE);
        subject
    }

    fn set(&mut self, rules: &Rules) -> Vec<Output> {
        let (interface, common) = policies(rules);
        let mut outputs = self.input(Input::Policy(common));
        outputs.extend(self.input(Input::InterfaceReady {
            interface: LAN,
            params: params(),
            addresses: vec!["10.0.0.2/24".parse().unwrap()],
            alt_subnets: vec![],
            policy: interface,
        }));
        outputs
    }

    fn instant(&self) -> Instant {
        Instant::from_start(u64::from(self.now).s())
    }

    fn drain(&mut self) -> impl Iterator<Item = Output> {
        std::iter::from_fn(|| self.router.poll_output())
    }

    fn input(&mut self, input: Input) -> Vec<Output> {
        self.router.handle_input(self.instant(), input);
        self.drain().collect()
    }

    fn wait(&mut self, seconds: u32) -> Vec<Output> {
        self.now += seconds;
        let end = self.instant();
        let mut outputs = Vec::new();
        while let Some(due) = self.router.poll_timeout().filter(|due| *due <= end) {
            self.router.handle_timeout(due);
            outputs.extend(self.drain());
        }
        outputs
    }

    fn take(&mut self, step: &Step) -> Vec<Output> {
        let (source, destination, message) = match step.clone() {
            Step::Wait { seconds } => return self.wait(seconds),
            Step::MessagesLost => return self.input(Input::MessagesLost),
            Step::Rules(rules) => return self.set(&rules),
            Step::Clear { group } => {
                return self.input(Input::Clear {
                    interface: None,
                    group,
                });
            }
            Step::Adopt { record } => {
                return self.input(Input::Adopt {
                    interface: LAN,
                    group: record.group,
                    filter_mode: match record.record_type {
                        RecordType::ModeIsInclude => FilterMode::Include,
                        _ => FilterMode::Exclude,
                    },
                    sources: record.sources,
                });
            }
            Step::Restart => return self.input(Input::Restart),
            Step::Host { from, says } => {
                let (destination, message) = match says {
                    Says::ReportV1(group) => (group, Repr::ReportV1 { group }),
                    Says::ReportV2(group) => (group, Repr::ReportV2 { group }),
                    Says::Leave(group) => (wire::ALL_ROUTERS, Repr::Leave { group }),
                    Says::Record(record) => {
                        (wire::ALL_IGMPV3_ROUTERS, Repr::ReportV3(vec![record]))
                    }
                };
                (from, destination, message)
            }
            Step::Query { from, query } => {
                let to = if query.group.is_unspecified() {
                    wire::ALL_SYSTEMS
                } else {
                    query.group
                };
                (from, to, Repr::Query(query))
            }
        };
        let packet = Ok(Received {
            source,
            destination,
            router_alert: true,
            message,
        });
        self.input(Input::Received {
            interface: LAN,
            packet,
        })
    }

    /// The state of a group in the reference's terms; what cannot be seen from outside is taken from it.
    fn group(&self, address: Ipv4Addr, like: &ReferenceGroup) -> ReferenceGroup {
        let Some(group) = self.router.interface(LAN).unwrap().group(address) else {
            return ReferenceGroup::default();
        };
        let left = |timer: Option<Instant>| {
            let left = timer.map_or(0.s(), |timer| timer.saturating_since(self.instant()));
            assert_eq!(left.subsec_nanos(), 0);
            u32::try_from(left.as_secs()).unwrap()
        };
        let mut seen = ReferenceGroup {
            group_timer: left(group.group_timer()),
            abandoned: group.is_abandoned(),
            ..like.clone()
        };
        if group.compatibility() != like.mode() {
            (seen.v1_host_present, seen.v2_host_present) = (u32::MAX, u32::MAX);
        }
        if !group.is_static() {
            seen.exclude = group.filter_mode() == FilterMode::Exclude;
            let sources = group.sources();
            seen.sources = sources
                .map(|source| (source.address, left(source.timer)))
                .collect();
        }
        seen
    }

    fn reception(&self, address: Ipv4Addr) -> (bool, Vec<Ipv4Addr>) {
        let group = self.router.interface(LAN).unwrap().group(address);
        group.map_or((false, vec![]), |group| {
            let reception = group.reception();
            (
                reception.filter_mode == FilterMode::Exclude,
                reception.sources().collect(),
            )
        })
    }
}

/// `Err` says after which step what differs.
fn compare(steps: &[Step]) -> Result<(), String> {
    let (mut subject, mut reference) = (Subject::new(), Reference::new());
    for (place, step) in steps.iter().enumerate() {
        let before = GROUPS.map(|group| reference.told(group));
        let was_querier = reference.is_querier();
        let outputs = subject.take(step);
        reference.take(step);
        let check = |what: &str, ok: bool| {
            if ok {
                Ok(())
            } else {
                Err(format!("step {place}: {what}; outputs {outputs:#?}"))
            }
        };
        let is_querier = reference.is_querier();
        for (group, before) in GROUPS.into_iter().zip(before) {
            let expected = &reference.groups[&group];
            let seen = subject.group(group, expected);
            if seen != *expected {
                check(&format!("{group} is {seen:?}, not {expected:?}"), false)?;
            }
            let reception = reference.reception(group);
            check("another reception", subject.reception(group) == reception)?;
            let change = Output::MembershipChanged {
                interface: LAN,
                group,
            };
            let told = outputs.contains(&change);
            let is_same = reference.told(group) == before;
            check("changed in silence", told || is_same)?;
            // Time may bring about two changes that cancel out, and so may two inputs.
            if !matches!(step, Step::Wait { .. } | Step::Rules(_)) && is_querier == was_querier {
                check("told without a change", !told || !is_same)?;
            }
        }
        let interface = subject.router.interface(LAN).unwrap();
        check(
            "another querier",
            interface.querier().unwrap().is_self == is_querier,
        )?;
        if !was_querier && !is_querier {
            let transmits = |output: &Output| matches!(output, Output::Transmit { .. });
            check("a non-querier spoke", !outputs.iter().any(transmits))?;
        }
        let next = subject.router.poll_timeout();
        check(
            "no time to come",
            next.is_some_and(|due| due > subject.instant()),
        )?;
    }
    Ok(())
}

/// The history without the steps that make no difference to its failing.
fn shortest(mut steps: Vec<Step>) -> Vec<Step> {
    let mut place = 0;
    while place < steps.len() {
        let mut shorter = steps.clone();
        shorter.remove(place);
        if compare(&shorter).is_err() {
            steps = shorter;
            place = 0;
        } else {
            place += 1;
        }
    }
    steps
}

#[test]
fn every_history_leads_to_the_state_the_tables_say() {
    let seed = SEED.map_or_else(Random::fresh_seed, |seed| {
        seed.parse().expect("IGMPD_MODEL_SEED is a number")
    });
    let mut seeds = Random::seeded(seed);
    for number in 0..HISTORIES {
        let steps = history(&mut Random::seeded(seeds.next()));
        if compare(&steps).is_err() {
            let steps = shortest(steps);
            let difference = compare(&steps).expect_err("it is what fails");
            panic!(
                "history {number} of IGMPD_MODEL_SEED={seed}: {difference}\nshortest: {steps:#?}"
            );
        }
    }
}
