//! A link with hosts that behave as RFC 9776 section 5 (and RFC 2236 section 3) asks. Whatever they do, the router
//! never stops a source somebody wants; and once they leave things as they are, it forwards that and nothing else. The
//! same holds of the router's backup, if there is one.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::super::sim::{A, B, C, G, LAN, Time as _};
use super::super::{FilterMode, Input, Instant, InterfaceParams, InterfacePolicy, Output, Router};
use super::take_over::Backup;
use crate::wire::RecordType::{
    AllowNewSources, BlockOldSources, ChangeToExclude, ChangeToInclude, ModeIsExclude,
    ModeIsInclude,
};
use crate::wire::{self, GroupRecord, Query, Received, RecordType, Repr};

type Set = BTreeSet<Ipv4Addr>;

/// Stands for all sources nobody names.
const ANY_OTHER: Ipv4Addr = Ipv4Addr::new(10, 9, 9, 9);

/// What a host wants of the group (section 3.2); `INCLUDE({})` is "not a member".
#[derive(Clone, Debug)]
pub(super) struct Wish {
    exclude: bool,
    sources: Set,
}

impl Wish {
    fn wants(&self, source: Ipv4Addr) -> bool {
        self.sources.contains(&source) != self.exclude
    }

    fn is_member(&self) -> bool {
        self.exclude || !self.sources.is_empty()
    }
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Wait(Duration),
    Change { host: usize, wish: Wish },
}

const HOSTS: usize = 4;
/// The last host speaks version 2: it wants all sources or none.
const VERSION_2_HOST: usize = 3;

/// Milliseconds that make no sum of a few of the router's intervals: which of a message and a timer of the same instant comes
/// first has no right answer, and router and backup may find different ones.
const WAITS: [u64; 7] = [53, 397, 907, 1_693, 5_003, 60_013, 200_003];

pub(super) fn step() -> impl Strategy<Value = Step> {
    let wish =
        (any::<bool>(), subsequence(vec![A, B, C], 0..=3)).prop_map(|(exclude, sources)| Wish {
            exclude,
            sources: sources.into_iter().collect(),
        });
    prop_oneof![
        1 => select(&WAITS[..]).prop_map(|time: u64| Step::Wait(time.ms())),
        2 => (0..HOSTS, wish).prop_map(|(host, mut wish)| {
            if host == VERSION_2_HOST {
                wish.sources.clear();
            }
            Step::Change { host, wish }
        }),
    ]
}

/// The link: hosts answer a query after a while that differs from host to host and is within the Max Response Time.
pub(super) struct Link {
    pub(super) router: Router,
    /// It neither hears nor does anything.
    pub(super) is_router_dead: bool,
    pub(super) backup: Option<Backup>,
    pub(super) now: Instant,
    pub(super) may_starve: bool,
    wishes: Vec<Wish>,
    answers: Vec<(Instant, usize, Query)>,
}

pub(super) fn ready(address: &str) -> Input {
    Input::InterfaceReady {
        interface: LAN,
        params: InterfaceParams::default(),
        addresses: vec![address.parse().unwrap()],
        alt_subnets: vec![],
        policy: InterfacePolicy {
            tell_accepted: true,
            ..InterfacePolicy::default()
        },
    }
}

impl Link {
    pub(super) fn new() -> Self {
        let mut link = Self {
            router: Router::new(),
            is_router_dead: false,
            backup: None,
            may_starve: false,
            now: Instant::START,
            wishes: vec![
                Wish {
                    exclude: false,
                    sources: Set::new()
                };
                HOSTS
            ],
            answers: Vec::new(),
        };
        link.input(ready("10.0.0.1/24"));
        link
    }

    /// True when it was a message and the router accepted it.
    pub(super) fn input(&mut self, input: Input) -> bool {
        self.router.handle_input(self.now, input);
        self.hear()
    }

    fn hear(&mut self) -> bool {
        let mut accepted = false;
        while let Some(output) = self.router.poll_output() {
            let query = match output {
                Output::Transmit {
                    message: Repr::Query(query),
                    ..
                } => query,
                output => {
                    accepted |= matches!(output, Output::Accepted { .. });
                    continue;
                }
            };
            for host in 0..HOSTS {
                let share = u32::try_from(host).unwrap() + 1;
                let delay = query.max_response_time / u32::try_from(HOSTS + 1).unwrap() * share;
                self.answers.push((self.now + delay, host, query.clone()));
            }
        }
        accepted
    }

    fn send(&mut self, host: usize, message: Repr) {
        let source = Ipv4Addr::new(10, 0, 0, 10 + u8::try_from(host).unwrap());
        let destination = match &message {
            Repr::ReportV3(_) => wire::ALL_IGMPV3_ROUTERS,
            Repr::Leave { .. } => wire::ALL_ROUTERS,
            _ => G,
        };
        let packet = Ok(Received {
            source,
            destination,
            router_alert: true,
            message,
        });
        let input = Input::Received {
            interface: LAN,
            packet,
        };
        if !self.is_router_dead
            && self.input(input.clone())
            && let Some(backup) = &mut self.backup
        {
            backup.copy(self.now, input);
        }
    }

    fn records(&mut self, host: usize, records: Vec<(RecordType, Set)>) {
        let records: Vec<_> = records
            .into_iter()
            .filter(|(record_type, sources)| {
                !sources.is_empty()
                    || matches!(
                        record_type,
                        ModeIsExclude | ChangeToExclude | ChangeToInclude
                    )
            })
            .map(|(record_type, sources)| GroupRecord {
                record_type,
                group: G,
                sources: sources.into_iter().collect(),
            })
            .collect();
        if !records.is_empty() {
            self.send(host, Repr::ReportV3(records));
        }
    }

    /// The State-Change Report of section 5.1.
    pub(super) fn change(&mut self, host: usize, new: &Wish) {
        let old = std::mem::replace(&mut self.wishes[host], new.clone());
        if host == VERSION_2_HOST {
            match (old.exclude, new.exclude) {
                (false, true) => self.send(host, Repr::ReportV2 { group: G }),
                (true, false) => self.send(host, Repr::Leave { group: G }),
                (true, true) | (false, false) => {}
            }
            return;
        }
        let (a, b) = (&old.sources, &new.sources);
        let records = match (old.exclude, new.exclude) {
            (false, false) => vec![(AllowNewSources, b - a), (BlockOldSources, a - b)],
            (true, true) => vec![(AllowNewSources, a - b), (BlockOldSources, b - a)],
            (false, true) => vec![(ChangeToExclude, b.clone())],
            (true, false) => vec![(ChangeToInclude, b.clone())],
        };
        self.records(host, records);
    }

    /// The answer of section 5.2.
    fn answer(&mut self, host: usize, query: &Query) {
        let wish = self.wishes[host].clone();
        if !wish.is_member() {
            return;
        }
        if host == VERSION_2_HOST {
            return self.send(host, Repr::ReportV2 { group: G });
        }
        let asked: Set = query.sources.iter().copied().collect();
        let record = match (wish.exclude, asked.is_empty()) {
            (false, true) => (ModeIsInclude, wish.sources),
            (true, true) => (ModeIsExclude, wish.sources),
            (false, false) => (ModeIsInclude, &wish.sources & &asked),
            (true, false) => (ModeIsInclude, &asked - &wish.sources),
        };
        self.records(host, vec![record]);
    }

    pub(super) fn wait(&mut self, time: Duration) -> Result<(), TestCaseError> {
        let end = self.now + time;
        loop {
            let answer = self
                .answers
                .iter()
                .enumerate()
                .min_by_key(|(_, (at, ..))| *at)
                .map(|(index, _)| index);
            let answer_at = answer.map(|index| self.answers[index].0);
            let due = self.router.poll_timeout().filter(|_| !self.is_router_dead);
            let backup_due = self.backup.as_ref().and_then(Backup::due);
            let next = [answer_at, due, backup_due].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = next;
            if let Some(index) = answer.filter(|_| answer_at == Some(next)) {
                let (_, host, query) = self.answers.swap_remove(index);
                self.answer(host, &query);
            } else if due == Some(next) {
                self.router.handle_timeout(next);
                self.hear();
            } else if let Some(backup) = &mut self.backup {
                backup.act(next);
            }
            self.nobody_starves()?;
        }
        self.now = end;
        Ok(())
    }

    fn wanted(&self, source: Ipv4Addr) -> bool {
        self.wishes.iter().any(|wish| wish.wants(source))
    }

    /// Routers that know of everything that was said.
    fn informed(&self) -> impl Iterator<Item = &Router> {
        let router = Some(&self.router).filter(|_| !self.is_router_dead);
        let backup = self.backup.as_ref().filter(|backup| backup.is_informed());
        router
            .into_iter()
            .chain(backup.map(|backup| &backup.router))
    }

    pub(super) fn nobody_starves(&self) -> Result<(), TestCaseError> {
        for source in [A, B, C, ANY_OTHER] {
            let starves =
                self.wanted(source) && !self.informed().all(|router| forwards(router, source));
            prop_assert!(
                !starves || self.may_starve,
                "{source} is wanted at {:?}: {:?}",
                self.now,
                self.wishes
            );
        }
        Ok(())
    }

    pub(super) fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Wait(time) => self.wait(time)?,
            Step::Change { host, wish } => self.change(host, &wish),
        }
        self.nobody_starves()
    }

    /// Once hosts leave things as they are, nothing flows in vain.
    pub(super) fn settles(&mut self) -> Result<(), TestCaseError> {
        // Older Host Present (260 s), then GMI (270 s), then a query round and its answers.
        self.wait(700.s())?;
        for source in [A, B, C, ANY_OTHER] {
            let wanted = self.wanted(source);
            for router in self.informed() {
                prop_assert_eq!(
                    forwards(router, source),
                    wanted,
                    "{}: {:?}",
                    source,
                    self.wishes
                );
            }
        }
        Ok(())
    }
}

fn forwards(router: &Router, source: Ipv4Addr) -> bool {
    router
        .interface(LAN)
        .unwrap()
        .group(G)
        .is_some_and(|group| {
            let reception = group.reception();
            let listed = reception.sources().any(|listed| listed == source);
            listed == (reception.filter_mode == FilterMode::Include)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_starves_and_nothing_flows_in_vain(steps in prop::collection::vec(step(), 1..40)) {
        let mut link = Link::new();
        for step in steps {
            link.take(step)?;
        }
        link.settles()?;
    }
}
