//! The router under test, driven by the steps of a history.

use super::super::acl::tests::{acl, acl_ref};
use super::super::sim::{LAN, Time as _};
use super::super::{
    FilterMode, GroupFilter, Input, Instant, Interface, InterfaceParams, InterfacePolicy, Output,
    Policy, PromptLeave, Router,
};
use super::history::{GROUPS, Rules, Says, Step};
use super::reference::QUERY_RESPONSE_INTERVAL;
use super::reference_group::LMQC;
use crate::wire::{self, Received, RecordType, Repr};

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
        tell_accepted: true,
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

/// A router, and its time in whole seconds.
pub(super) struct Subject {
    pub(super) router: Router,
    now: u32,
    address: &'static str,
}

impl Subject {
    /// 10.0.0.2, the querier of its link.
    pub(super) fn new() -> Self {
        Self::with_address("10.0.0.2/24", false)
    }

    /// 10.0.0.3, the backup of the other.
    pub(super) fn on_standby() -> Self {
        Self::with_address("10.0.0.3/24", true)
    }

    fn with_address(address: &'static str, standby: bool) -> Self {
        let mut subject = Self {
            router: Router::new(),
            now: 0,
            address,
        };
        subject.input(Input::Standby {
            interface: LAN,
            standby,
        });
        subject.set(&Rules::NONE);
        subject
    }

    pub(super) fn interface(&self) -> &Interface {
        self.router.interface(LAN).unwrap()
    }

    fn set(&mut self, rules: &Rules) -> Vec<Output> {
        let (interface, common) = policies(rules);
        let mut outputs = self.input(Input::Policy(common));
        outputs.extend(self.input(Input::InterfaceReady {
            interface: LAN,
            params: params(),
            addresses: vec![self.address.parse().unwrap()],
            alt_subnets: vec![],
            policy: interface,
        }));
        outputs
    }

    pub(super) fn instant(&self) -> Instant {
        Instant::from_start(u64::from(self.now).s())
    }

    fn drain(&mut self) -> impl Iterator<Item = Output> {
        std::iter::from_fn(|| self.router.poll_output())
    }

    pub(super) fn input(&mut self, input: Input) -> Vec<Output> {
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

    pub(super) fn take(&mut self, step: &Step) -> Vec<Output> {
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
}
