//! Two gateways: the backup is fed what the master accepts, and must know what the master knows at any time, whatever
//! happens; and be in charge from one moment to the next.

use std::time::Duration;

use super::super::sim::{LAN, Time as _};
use super::super::{EventKind, FilterMode, GroupState, Input, Output};
use super::history::Step;
use super::random::Random;
use super::reference::QUERY_RESPONSE_INTERVAL;
use super::reference_group::LMQT;
use super::subject::Subject;
use super::trial::every_history;
use crate::wire::{Query, Repr};

/// How many histories are tried.
const HISTORIES: u32 = 20_000;

/// What the master sends, as the backup hears it on the link.
fn queries(outputs: &[Output]) -> Vec<Query> {
    let query = |output: &Output| match output {
        Output::Transmit {
            message: Repr::Query(query),
            ..
        } => Some(query.clone()),
        _ => None,
    };
    outputs.iter().filter_map(query).collect()
}

struct Pair {
    master: Subject,
    backup: Subject,
    /// The peers reach each other.
    connected: bool,
    /// The backup knows the same hosts.
    knows_hosts: bool,
}

impl Pair {
    fn new() -> Self {
        Self {
            master: Subject::new(),
            backup: Subject::on_standby(),
            connected: true,
            knows_hosts: true,
        }
    }

    /// Both are alike configured, time passes for both, and what hosts say is copied when the master accepts it. What the
    /// master asks may be heard on the link before the copy that made it ask, behind it, or not at all.
    fn take(&mut self, step: &Step, random: &mut Random) -> Result<(), String> {
        match step {
            Step::Wait { seconds } => {
                for _ in 0..*seconds {
                    let second = Step::Wait { seconds: 1 };
                    let asked = queries(&self.master.take(&second));
                    self.tell_backup(&second)?;
                    if random.once_in(2) {
                        self.overhear(&asked)?;
                    }
                }
            }
            Step::Rules(_) => {
                self.master.take(step);
                self.tell_backup(step)?;
            }
            Step::Host { .. } => {
                let outputs = self.master.take(step);
                let asked = queries(&outputs);
                let order = random.below(3);
                if order == 1 {
                    self.overhear(&asked)?;
                }
                if outputs.last() == Some(&Output::Accepted { interface: LAN }) && self.connected {
                    self.tell_backup(step)?;
                }
                if order == 2 {
                    self.overhear(&asked)?;
                }
            }
            // What an operator does to one gateway, and rivals: not the pair's.
            Step::Query { .. }
            | Step::Adopt { .. }
            | Step::MessagesLost
            | Step::Clear { .. }
            | Step::Restart => {}
        }
        Ok(())
    }

    fn overhear(&mut self, asked: &[Query]) -> Result<(), String> {
        if self.connected {
            for query in asked {
                let from = "10.0.0.2".parse().unwrap();
                let query = query.clone();
                self.tell_backup(&Step::Query { from, query })?;
            }
        }
        Ok(())
    }

    fn tell_backup(&mut self, step: &Step) -> Result<(), String> {
        let outputs = self.backup.take(step);
        let is_silent = outputs
            .iter()
            .all(|output| matches!(output, Output::MembershipChanged { .. } | Output::Event(_)));
        if is_silent {
            Ok(())
        } else {
            Err(format!("the backup spoke: {outputs:#?}"))
        }
    }

    /// The backup is told everything, whatever it believed before.
    fn synchronise(&mut self) {
        let exported = export(&self.master);
        let groups = exported.iter().map(|state| state.group).collect();
        let interface = LAN;
        self.backup.input(Input::Retain { interface, groups });
        for state in exported {
            self.backup.input(Input::Restore { interface, state });
        }
    }

    fn compare(&self) -> Result<(), String> {
        let (master, backup) = (export(&self.master), export(&self.backup));
        if master != backup {
            return Err(format!(
                "the master has {master:#?}, the backup {backup:#?}"
            ));
        }
        let abandoned = |subject: &Subject| -> Vec<_> {
            let groups = subject.interface().groups();
            groups
                .filter(|(_, group)| group.is_abandoned())
                .map(|(address, _)| address)
                .collect()
        };
        if self.knows_hosts && abandoned(&self.master) != abandoned(&self.backup) {
            return Err("another group is abandoned".to_owned());
        }
        Ok(())
    }
}

fn export(subject: &Subject) -> Vec<GroupState> {
    subject.interface().export(subject.instant()).collect()
}

fn check(ok: bool, what: &str, outputs: &[Output]) -> Result<(), String> {
    if ok {
        Ok(())
    } else {
        Err(format!("{what}; outputs {outputs:#?}"))
    }
}

/// The backup becomes the master: it asks at once (section 8.7), and keeps every membership until hosts can have
/// answered. What would end before they can have answered that is asked for on its own (section 6.6.3).
fn take_over(mut backup: Subject) -> Result<(), String> {
    let last_member_query_time = u64::from(LMQT).s();
    let query_response_interval = u64::from(QUERY_RESPONSE_INTERVAL).s();
    let before = export(&backup);
    let outputs = backup.input(Input::Standby {
        interface: LAN,
        standby: false,
    });
    let after = export(&backup);
    let asked = queries(&outputs);
    let is_general = |query: &Query| query.group.is_unspecified();
    check(
        asked.first().is_some_and(is_general),
        "it asked nobody",
        &outputs,
    )?;
    let is_of_querier = |output: &Output| match output {
        Output::Event(event) => matches!(event.kind, EventKind::QuerierChanged { .. }),
        Output::Transmit { .. } => true,
        Output::MembershipChanged { .. } | Output::Accepted { .. } => false,
    };
    check(
        outputs.iter().all(is_of_querier),
        "members notice",
        &outputs,
    )?;
    check(
        before.len() == after.len(),
        "another number of groups",
        &outputs,
    )?;
    for (before, after) in before.iter().zip(&after) {
        let addresses = |state: &GroupState| -> Vec<_> {
            let sources = state.sources.iter();
            sources
                .map(|(source, timer)| (*source, timer.is_some()))
                .collect()
        };
        let is_same = (before.group, before.filter_mode) == (after.group, after.filter_mode)
            && addresses(before) == addresses(after);
        check(is_same, "another membership", &outputs)?;
        let is_asked = |source| {
            asked.iter().any(|query| {
                query.group == after.group
                    && match source {
                        None => query.sources.is_empty(),
                        Some(source) => query.sources.contains(&source),
                    }
            })
        };
        let lasts = |left: Duration, source| {
            left > query_response_interval || (left >= last_member_query_time && is_asked(source))
        };
        let group_lasts = after.group_timer.is_none_or(|left| lasts(left, None));
        check(group_lasts, "the group ends too soon", &outputs)?;
        check(
            after.group_timer.is_some() == (after.filter_mode == FilterMode::Exclude),
            "a group timer in INCLUDE mode, or none in EXCLUDE mode",
            &outputs,
        )?;
        for (source, left) in &after.sources {
            let lasts = left.is_none_or(|left| lasts(left, Some(*source)));
            check(lasts, "a source ends too soon", &outputs)?;
        }
    }
    Ok(())
}

#[test]
fn the_backup_knows_what_the_master_knows_and_takes_over_without_loss() {
    every_history(HISTORIES, |steps, random| {
        let mut pair = Pair::new();
        for (place, step) in steps.iter().enumerate() {
            pair.take(step, random)
                .and_then(|()| pair.compare())
                .map_err(|what| format!("step {place}: {what}"))?;
        }
        take_over(pair.backup)
    });
}

/// From some moment to another the peers do not reach each other; it may be from the start, so that the backup comes
/// later. Then it is told everything.
#[test]
fn after_a_gap_an_export_and_the_stream_from_there_are_enough() {
    every_history(HISTORIES, |steps, random| {
        let end = u32::try_from(steps.len()).unwrap() + 1;
        let (one, other) = (random.below(end) as usize, random.below(end) as usize);
        let (lost, found) = (one.min(other), one.max(other));
        let mut pair = Pair::new();
        for (place, step) in steps.iter().enumerate() {
            if place == lost {
                pair.connected = false;
                pair.knows_hosts = false;
            }
            if place == found {
                pair.synchronise();
                pair.connected = true;
            }
            let mut step = step.clone();
            if let Step::Rules(rules) = &mut step {
                // A lowered limit evicts nobody, but lets nobody in again.
                (rules.max_groups, rules.max_sources) = (10, 100);
                // Nor does a list a source that it denies, which came in with a permitted join for any source and is
                // what has been left of that.
                if rules.any_source {
                    rules.denied_sources.clear();
                }
            }
            let mut result = pair.take(&step, random);
            if pair.connected {
                result = result.and_then(|()| pair.compare());
            }
            result.map_err(|what| format!("step {place}, gap {lost} to {found}: {what}"))?;
        }
        take_over(pair.backup)
    });
}
