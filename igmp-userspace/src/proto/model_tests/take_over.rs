//! The link of [`hosts`](super::hosts) with a backup that is fed, a little later, what the router accepts; then it takes
//! over.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use super::super::sim::{LAN, Time as _};
use super::super::{Input, Instant, Output, Router};
use super::hosts::{Link, Step, ready, step};

/// The other gateway. It hears nothing of the link itself.
pub(super) struct Backup {
    pub(super) router: Router,
    /// On their way, and when they arrive.
    copies: VecDeque<(Instant, Input)>,
    delay: Duration,
}

impl Backup {
    fn new(delay: Duration) -> Self {
        let mut router = Router::new();
        let standby = Input::Standby {
            interface: LAN,
            standby: true,
        };
        router.handle_input(Instant::START, standby);
        router.handle_input(Instant::START, ready("10.0.0.2/24"));
        Self {
            router,
            copies: VecDeque::new(),
            delay,
        }
    }

    pub(super) fn copy(&mut self, now: Instant, message: Input) {
        self.copies.push_back((now + self.delay, message));
    }

    pub(super) fn is_informed(&self) -> bool {
        self.copies.is_empty()
    }

    pub(super) fn due(&self) -> Option<Instant> {
        let copy = self.copies.front().map(|(arrives, _)| *arrives);
        [copy, self.router.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// What is [due](Self::due) at `now`, messages first.
    pub(super) fn act(&mut self, now: Instant) {
        match self.copies.pop_front_if(|(arrives, _)| *arrives <= now) {
            Some((_, message)) => self.router.handle_input(now, message),
            None => self.router.handle_timeout(now),
        }
        while let Some(output) = self.router.poll_output() {
            assert!(
                matches!(output, Output::MembershipChanged { .. } | Output::Event(_)),
                "the backup spoke: {output:?}"
            );
        }
    }
}

impl Link {
    fn with_backup(delay: Duration) -> Self {
        let mut link = Self::new();
        link.backup = Some(Backup::new(delay));
        link
    }

    /// The router is dead, and its backup is in charge. Copies that are on their way arrive, or are lost.
    fn take_over(&mut self, copies_arrive: bool) {
        let mut backup = self.backup.take().expect("it has not taken over before");
        for (_, message) in backup.copies.drain(..).filter(|_| copies_arrive) {
            backup.router.handle_input(self.now, message);
        }
        self.router = backup.router;
        self.is_router_dead = false;
        self.input(Input::Standby {
            interface: LAN,
            standby: false,
        });
    }

    /// Every timer of the group, by source, and the group timer: nothing left where there is none.
    fn same_timers(&self) -> Result<(), TestCaseError> {
        let Some(backup) = self.backup.as_ref().filter(|backup| backup.is_informed()) else {
            return Ok(());
        };
        let left = |router: &Router| -> BTreeMap<Option<Ipv4Addr>, Duration> {
            let mut left = BTreeMap::new();
            for state in router.interface(LAN).unwrap().export(self.now) {
                left.extend(state.group_timer.map(|timer| (None, timer)));
                let sources = state.sources.iter();
                left.extend(sources.filter_map(|(source, timer)| Some((Some(*source), (*timer)?))));
            }
            left
        };
        let (here, there) = (left(&self.router), left(&backup.router));
        for whose in here.keys().chain(there.keys()) {
            let timers = [&here, &there].map(|left| left.get(whose).copied().unwrap_or_default());
            prop_assert!(
                timers[0].abs_diff(timers[1]) <= 1.s(),
                "{whose:?} at {:?}: {timers:?}",
                self.now
            );
        }
        Ok(())
    }
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 0..most)
}

/// How long a copy takes.
fn delay() -> impl Strategy<Value = Duration> {
    select(vec![0, 20, 300, 900]).prop_map(|delay: u64| delay.ms())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Neither before nor after, with nothing lost.
    #[test]
    fn nobody_starves_when_the_backup_takes_over(
        before in steps(30),
        delay in delay(),
        after in steps(15),
    ) {
        let mut link = Link::with_backup(delay);
        for step in before {
            link.take(step)?;
            link.same_timers()?;
        }
        link.take_over(true);
        link.nobody_starves()?;
        for step in after {
            link.take(step)?;
        }
        link.settles()?;
    }

    /// What hosts said to the dead, and what it had no time to copy, is learnt within a Query Response Interval.
    #[test]
    fn what_was_lost_is_learnt_with_the_first_query(
        before in steps(30),
        delay in delay(),
        meanwhile in steps(6),
        after in steps(15),
    ) {
        let mut link = Link::with_backup(delay);
        for step in before {
            link.take(step)?;
        }
        link.may_starve = true;
        link.is_router_dead = true;
        for step in meanwhile {
            link.take(step)?;
        }
        link.take_over(false);
        link.wait(10.s())?;
        link.may_starve = false;
        link.nobody_starves()?;
        for step in after {
            link.take(step)?;
        }
        link.settles()?;
    }
}
