//! A fake kernel that applies the changes literally and refuses what the real one could not do.

use std::collections::HashMap;

use super::*;
use crate::proto::{FilterMode, GroupFilter};

pub(super) const G: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
pub(super) const H: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);
pub(super) const S: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

/// The maps, as the changes left them.
#[derive(Default)]
pub(super) struct Kernel {
    sets: HashMap<SetId, Vec<IfIndex>>,
    flows: HashMap<FlowId, Flow>,
    source_specific: bool,
    without_flow: Option<SetId>,
    path_without_flow: Path,
    mtu_without_flow: u16,
    pub(super) writes: usize,
}

impl Kernel {
    pub(super) fn apply(&mut self, fib: &mut Fib) {
        while let Some(change) = fib.poll_change() {
            self.writes += 1;
            match change {
                Change::FillSet { set, outputs } => {
                    let users = self.flows.values().filter(|flow| {
                        flow.from_upstream == Some(set) || flow.from_downstream == Some(set)
                    });
                    assert_eq!(users.count(), 0, "filled a set that packets can see");
                    assert_ne!(self.without_flow, Some(set));
                    let held = self.sets.entry(set).or_default();
                    assert!(held.is_empty(), "filled a set that is not empty");
                    *held = outputs;
                }
                Change::ClearSet { set, outputs } => {
                    assert_ne!(self.without_flow, Some(set));
                    assert_eq!(self.sets.remove(&set), Some(outputs));
                }
                Change::PutFlow(id, flow) => {
                    assert!(id.source.is_none() || self.source_specific);
                    for set in [flow.from_upstream, flow.from_downstream] {
                        assert!(set.is_none_or(|set| !self.sets[&set].is_empty()));
                    }
                    self.flows.insert(id, flow);
                }
                Change::DeleteFlow(id) => assert!(self.flows.remove(&id).is_some()),
                Change::SourceSpecific(on) => self.source_specific = on,
                Change::SetWithoutFlow(set, path, mtu) => {
                    assert!(set.is_none_or(|set| !self.sets[&set].is_empty()));
                    self.without_flow = set;
                    self.path_without_flow = path;
                    self.mtu_without_flow = mtu;
                }
                // Its prefixes are another table's.
                Change::FilterWithoutFlow(_) => {}
            }
        }
    }

    /// Where a packet goes: what the ingress program would do.
    pub(super) fn forward(
        &self,
        source: Ipv4Addr,
        group: Ipv4Addr,
        from_upstream: bool,
    ) -> Vec<u32> {
        let set = match self.flow(source, group) {
            Some(flow) if from_upstream => flow.from_upstream,
            Some(flow) => flow.from_downstream,
            None if from_upstream => None,
            None => self.without_flow,
        };
        let outputs = set.map(|set| self.sets[&set].clone()).unwrap_or_default();
        outputs.into_iter().map(|output| output.0).collect()
    }

    /// The size above which it goes there by TC.
    pub(super) fn mtu(&self, source: Ipv4Addr, group: Ipv4Addr) -> u16 {
        let flow = self.flow(source, group);
        flow.map_or(self.mtu_without_flow, |flow| flow.mtu)
    }

    /// On which path it goes there.
    pub(super) fn path(&self, source: Ipv4Addr, group: Ipv4Addr) -> Path {
        let flow = self.flow(source, group);
        flow.map_or(self.path_without_flow, |flow| flow.path)
    }

    fn flow(&self, source: Ipv4Addr, group: Ipv4Addr) -> Option<&Flow> {
        let id = |source| FlowId { group, source };
        let specific = self
            .flows
            .get(&id(Some(source)))
            .filter(|_| self.source_specific);
        specific.or_else(|| self.flows.get(&id(None)))
    }
}

/// An upstream that serves every group.
pub(super) fn upstream(interface: u32) -> Upstream {
    Upstream {
        interface: IfIndex(interface),
        filter: GroupFilter::default(),
        untracked: Vec::new(),
    }
}

pub(super) fn exclude(interfaces: &[u32], sources: &[Ipv4Addr]) -> Vec<Member> {
    let member = |interface: &u32| Member {
        interface: IfIndex(*interface),
        mode: FilterMode::Exclude,
        sources: sources.to_vec(),
    };
    interfaces.iter().map(member).collect()
}

pub(super) fn stocked(max_flows: u32) -> (Fib, Kernel) {
    let mut fib = Fib::new(max_flows);
    let made = fib.request_spares();
    fib.add_spares(&made);
    (fib, Kernel::default())
}

pub(super) fn grace(fib: &mut Fib, kernel: &mut Kernel) {
    let retired = fib.begin_grace();
    kernel.apply(fib);
    fib.end_grace(retired);
    kernel.apply(fib);
}

#[test]
fn a_group_goes_where_its_members_are_and_nowhere_after_they_left() {
    let (mut fib, mut kernel) = stocked(8);
    fib.set_upstream(Some(upstream(1))).unwrap();
    fib.update_group(G, &exclude(&[2, 3], &[])).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.forward(S, G, true), [2, 3]);
    assert_eq!(kernel.forward(S, G, false), [1, 2, 3]);
    assert_eq!(kernel.forward(S, H, true), [0; 0]);
    fib.update_group(G, &[]).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.forward(S, G, true), [0; 0]);
    grace(&mut fib, &mut kernel);
    assert!(kernel.flows.is_empty());
    assert_eq!(kernel.sets.len(), 1, "the one for packets without a flow");
}

#[test]
fn a_join_with_known_outputs_is_one_write_and_a_refresh_none() {
    let (mut fib, mut kernel) = stocked(20_000);
    for n in 0..10_000_u32 {
        let group = Ipv4Addr::from(u32::from(G) + n);
        let before = kernel.writes;
        fib.update_group(group, &exclude(&[2, 3, 4], &[])).unwrap();
        kernel.apply(&mut fib);
        assert_eq!(kernel.writes - before, if n == 0 { 2 } else { 1 });
    }
    assert_eq!(fib.sets().in_use(), 1);
    fib.update_group(G, &exclude(&[2, 3, 4], &[])).unwrap();
    assert_eq!(fib.poll_change(), None);
}

#[test]
fn a_blocked_source_is_held_back_before_the_group_flows() {
    let (mut fib, mut kernel) = stocked(8);
    fib.update_group(G, &exclude(&[2], &[S])).unwrap();
    let changes: Vec<_> = std::iter::from_fn(|| fib.poll_change()).collect();
    let position = |source| {
        let id = FlowId { group: G, source };
        changes
            .iter()
            .position(|change| matches!(change, Change::PutFlow(put, _) if *put == id))
    };
    assert!(position(Some(S)).unwrap() < position(None).unwrap());
    assert_eq!(changes[0], Change::SourceSpecific(true));
    fib.update_group(G, &exclude(&[2], &[])).unwrap();
    kernel.source_specific = true;
    let last = std::iter::from_fn(|| fib.poll_change()).last();
    assert_eq!(last, Some(Change::SourceSpecific(false)));
}

#[test]
fn a_full_table_refuses_the_newcomer_and_serves_it_when_there_is_room() {
    let (mut fib, mut kernel) = stocked(1);
    fib.update_group(G, &exclude(&[2], &[])).unwrap();
    assert_eq!(
        fib.update_group(H, &exclude(&[2], &[])),
        Err(Refusal::TableFull)
    );
    kernel.apply(&mut fib);
    assert_eq!(kernel.forward(S, G, true), [2]);
    assert_eq!(kernel.forward(S, H, true), [0; 0]);
    fib.update_group(G, &[]).unwrap();
    grace(&mut fib, &mut kernel);
    assert_eq!(fib.take_refused(), [H]);
    fib.update_group(H, &exclude(&[2], &[])).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.forward(S, H, true), [2]);
}

#[test]
fn refused_groups_are_tried_again_only_as_far_as_there_is_room() {
    let (mut fib, mut kernel) = stocked(2);
    for n in 0..100 {
        let group = Ipv4Addr::from(u32::from(G) + n);
        let result = fib.update_group(group, &exclude(&[2], &[]));
        assert_eq!(result.is_ok(), n < 2);
    }
    kernel.apply(&mut fib);
    assert!(fib.take_refused().is_empty(), "the table is full");
    assert_eq!(fib.refused_len(), 98);
    fib.update_group(G, &[]).unwrap();
    assert!(fib.take_refused().is_empty(), "not before the grace period");
    grace(&mut fib, &mut kernel);
    let again = fib.take_refused();
    assert_eq!(again.len(), 1);
    fib.update_group(again[0], &exclude(&[2], &[])).unwrap();
    assert!(fib.take_refused().is_empty());
    assert_eq!(fib.refused_len(), 97);
}

#[test]
fn a_failed_write_is_forgotten_and_tried_again() {
    let (mut fib, mut kernel) = stocked(8);
    fib.update_group(G, &exclude(&[2], &[])).unwrap();
    kernel.apply(&mut fib);
    let id = FlowId {
        group: G,
        source: None,
    };
    fib.write_failed(id);
    kernel.flows.clear();
    assert_eq!(fib.take_refused(), [G]);
    fib.update_group(G, &exclude(&[2], &[])).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.forward(S, G, true), [2]);
}

#[test]
fn a_failed_write_takes_later_ones_of_its_flow_along() {
    let (mut fib, _) = stocked(8);
    fib.update_group(G, &exclude(&[2], &[])).unwrap();
    fib.update_group(H, &exclude(&[2], &[])).unwrap();
    fib.update_group(G, &exclude(&[2, 3], &[])).unwrap();
    let id = FlowId {
        group: G,
        source: None,
    };
    let first = std::iter::from_fn(|| fib.poll_change())
        .find(|change| matches!(change, Change::PutFlow(put, _) if *put == id));
    assert!(first.is_some());
    fib.write_failed(id);
    let rest: Vec<_> = std::iter::from_fn(|| fib.poll_change()).collect();
    let put = |change: &Change| match change {
        Change::PutFlow(put, _) => Some(put.group),
        _ => None,
    };
    let puts: Vec<_> = rest.iter().filter_map(put).collect();
    assert_eq!(puts, [H]);
    assert_eq!(fib.take_refused(), [G]);
}

mod model {
    use super::*;
    use proptest::prelude::*;

    /// One interface's wish: none, INCLUDE or EXCLUDE of some of three sources.
    fn wish() -> impl Strategy<Value = Option<(FilterMode, Vec<Ipv4Addr>)>> {
        let sources = proptest::sample::subsequence(
            vec![S, Ipv4Addr::new(10, 0, 0, 10), Ipv4Addr::new(10, 0, 0, 11)],
            0..=3,
        );
        let mode = prop_oneof![Just(FilterMode::Include), Just(FilterMode::Exclude)];
        proptest::option::of((mode, sources))
    }

    proptest! {
        /// Whatever the history, each source reaches exactly the interfaces that want it, and the upstream from
        /// downstream (RFC 4605 section 4.2).
        #[test]
        fn every_source_reaches_exactly_who_wants_it(
            steps in proptest::collection::vec((0..3_u32, proptest::collection::vec(wish(), 5), any::<bool>()), 1..40)
        ) {
            let (mut fib, mut kernel) = stocked(64);
            fib.set_upstream(Some(upstream(100))).unwrap();
            let mut wishes: HashMap<Ipv4Addr, Vec<Member>> = HashMap::new();
            for (group, step, with_grace) in steps {
                let group = Ipv4Addr::from(u32::from(G) + group);
                let members: Vec<Member> = (2..)
                    .zip(step)
                    .filter_map(|(interface, wish)| {
                        let (mode, sources) = wish?;
                        (mode == FilterMode::Exclude || !sources.is_empty())
                            .then_some(Member { interface: IfIndex(interface), mode, sources })
                    })
                    .collect();
                fib.update_group(group, &members).unwrap();
                wishes.insert(group, members);
                kernel.apply(&mut fib);
                if with_grace {
                    grace(&mut fib, &mut kernel);
                }
                for (group, members) in &wishes {
                    for source in 9..13 {
                        let source = Ipv4Addr::new(10, 0, 0, source);
                        let expected: Vec<u32> = members
                            .iter()
                            .filter(|member| match member.mode {
                                FilterMode::Include => member.sources.contains(&source),
                                FilterMode::Exclude => !member.sources.contains(&source),
                            })
                            .map(|member| member.interface.0)
                            .collect();
                        prop_assert_eq!(&kernel.forward(source, *group, true), &expected);
                        let mut down = expected;
                        down.push(100);
                        prop_assert_eq!(&kernel.forward(source, *group, false), &down);
                    }
                }
            }
            for members in wishes.values_mut() {
                members.clear();
            }
            for group in wishes.keys() {
                fib.update_group(*group, &[]).unwrap();
            }
            fib.set_upstream(None).unwrap();
            kernel.apply(&mut fib);
            grace(&mut fib, &mut kernel);
            prop_assert!(kernel.flows.is_empty() && kernel.sets.is_empty() && !kernel.source_specific);
            prop_assert_eq!(fib.sets().in_use(), 0);
        }
    }
}
