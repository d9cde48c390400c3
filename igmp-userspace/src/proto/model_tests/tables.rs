//! The state of the router against the reference, after every step of a random history.

use std::net::Ipv4Addr;

use super::super::sim::{LAN, Time as _};
use super::super::{FilterMode, Instant, Output};
use super::history::{GROUPS, Step};
use super::reference::Reference;
use super::reference_group::ReferenceGroup;
use super::subject::Subject;
use super::trial::every_history;

/// How many histories are tried.
const HISTORIES: u32 = 100_000;

impl Subject {
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

#[test]
fn every_history_leads_to_the_state_the_tables_say() {
    every_history(HISTORIES, |steps, _| compare(steps));
}
