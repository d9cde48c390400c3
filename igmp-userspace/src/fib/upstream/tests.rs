use super::*;

use crate::fib::FlowId;
use crate::fib::tests::{G, H, Kernel, S, exclude, grace, stocked, upstream};
use std::net::Ipv4Addr;

fn refusing(interface: u32, group: Ipv4Addr) -> Upstream {
    Upstream {
        filter: GroupFilter {
            whitelist: Vec::new(),
            blacklist: vec![Ipv4Net::from(group)],
        },
        ..upstream(interface)
    }
}

fn changes(fib: &mut Fib) -> Vec<Change> {
    std::iter::from_fn(|| fib.poll_change()).collect()
}

/// Position of the one change that `is_it` says it is.
fn position(changes: &[Change], is_it: impl Fn(&Change) -> bool) -> usize {
    let mut found = (0..changes.len()).filter(|at| is_it(&changes[*at]));
    let (first, second) = (found.next(), found.next());
    assert_eq!(second, None, "{changes:?}");
    first.unwrap_or_else(|| panic!("{changes:?}"))
}

#[test]
fn what_nobody_wants_goes_upstream_from_downstream_only() {
    let (mut fib, mut kernel) = stocked(8);
    fib.set_upstream(Some(upstream(1))).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.forward(S, G, false), [1]);
    assert_eq!(kernel.forward(S, G, true), [0; 0]);
}

#[test]
fn a_source_that_every_member_blocks_goes_upstream_only() {
    let (mut fib, mut kernel) = stocked(8);
    fib.set_upstream(Some(upstream(1))).unwrap();
    fib.update_group(G, &exclude(&[2], &[S])).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.forward(S, G, false), [1]);
    assert_eq!(kernel.forward(S, G, true), [0; 0]);
    let other = Ipv4Addr::new(10, 0, 0, 10);
    assert_eq!(kernel.forward(other, G, false), [1, 2]);
}

#[test]
fn without_an_upstream_only_members_are_served() {
    let (mut fib, mut kernel) = stocked(8);
    fib.set_upstream(None).unwrap();
    fib.update_group(G, &exclude(&[2, 3], &[S])).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.forward(S, G, false), [0; 0]);
    assert_eq!(kernel.forward(S, H, false), [0; 0]);
}

#[test]
fn a_group_that_the_upstream_refuses_stays_among_the_downstream_interfaces() {
    let (mut fib, mut kernel) = stocked(8);
    fib.set_upstream(Some(refusing(1, G))).unwrap();
    for group in [G, H] {
        fib.update_group(group, &exclude(&[2, 3], &[])).unwrap();
    }
    kernel.apply(&mut fib);
    assert_eq!(kernel.forward(S, G, true), [0; 0]);
    assert_eq!(kernel.forward(S, G, false), [2, 3]);
    assert_eq!(kernel.forward(S, H, true), [2, 3]);
    assert_eq!(kernel.forward(S, H, false), [1, 2, 3]);
    // The filter goes, and the groups are updated as the caller has to.
    fib.set_upstream(Some(upstream(1))).unwrap();
    fib.update_group(G, &exclude(&[2, 3], &[])).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.forward(S, G, true), [2, 3]);
    assert_eq!(kernel.forward(S, G, false), [1, 2, 3]);
}

#[test]
fn another_upstream_takes_over_and_the_old_set_waits_for_a_grace_period() {
    let (mut fib, mut kernel) = stocked(8);
    fib.set_upstream(Some(upstream(1))).unwrap();
    kernel.apply(&mut fib);
    fib.set_upstream(Some(upstream(7))).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.forward(S, G, false), [7]);
    assert!(fib.has_retired());
    grace(&mut fib, &mut kernel);
    assert_eq!(fib.sets().in_use(), 1);
    fib.set_upstream(None).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.forward(S, G, false), [0; 0]);
    grace(&mut fib, &mut kernel);
    assert_eq!(fib.sets().in_use(), 0);
}

#[test]
fn the_same_upstream_again_writes_nothing() {
    let (mut fib, _) = stocked(8);
    fib.set_upstream(Some(refusing(1, G))).unwrap();
    assert_eq!(changes(&mut fib).len(), 3);
    fib.set_upstream(Some(refusing(1, G))).unwrap();
    assert_eq!(changes(&mut fib), []);
}

#[test]
fn a_filter_comes_before_the_packets_and_goes_after_them() {
    let is_set = |change: &Change| matches!(change, Change::SetWithoutFlow(..));
    let is_filter = |change: &Change| matches!(change, Change::FilterWithoutFlow(_));
    let (mut fib, _) = stocked(8);
    fib.set_upstream(Some(refusing(1, G))).unwrap();
    let first = changes(&mut fib);
    assert!(position(&first, is_filter) < position(&first, is_set));
    // To another upstream without one, and away.
    for next in [Some(upstream(7)), Some(refusing(1, G)), None] {
        let is_last = next.as_ref().is_none_or(|next| next.filter.is_open());
        fib.set_upstream(next).unwrap();
        let changes = changes(&mut fib);
        let (filter, set) = (position(&changes, is_filter), position(&changes, is_set));
        assert_eq!(filter > set, is_last, "{changes:?}");
    }
}

#[test]
fn without_spare_sets_packets_wait_for_them() {
    let mut fib = Fib::new(8);
    let mut kernel = Kernel::default();
    let refusal = fib.set_upstream(Some(upstream(1)));
    assert_eq!(refusal, Err(Refusal::NoSpareSet));
    assert_eq!(changes(&mut fib), [], "there was nothing to take back");
    let made = fib.request_spares();
    fib.add_spares(&made);
    kernel.apply(&mut fib);
    assert_eq!(kernel.forward(S, G, false), [1]);
}

#[test]
fn a_new_upstream_without_a_spare_set_ends_the_old_one_s_packets() {
    let mut fib = Fib::new(8);
    let mut kernel = Kernel::default();
    // One spare set, and the first upstream has it.
    let made = fib.request_spares();
    fib.add_spares(&made[..1]);
    fib.set_upstream(Some(upstream(1))).unwrap();
    kernel.apply(&mut fib);
    let refusal = fib.set_upstream(Some(upstream(7)));
    assert_eq!(refusal, Err(Refusal::NoSpareSet));
    kernel.apply(&mut fib);
    assert_eq!(kernel.forward(S, G, false), [0; 0]);
    // The set the old upstream had is free after a grace period.
    grace(&mut fib, &mut kernel);
    assert_eq!(kernel.forward(S, G, false), [7]);
}

#[test]
fn packets_without_a_flow_and_flows_share_a_set() {
    let (mut fib, mut kernel) = stocked(8);
    fib.set_upstream(Some(upstream(1))).unwrap();
    fib.update_group(G, &exclude(&[2], &[S])).unwrap();
    kernel.apply(&mut fib);
    let blocked = FlowId {
        group: G,
        source: Some(S),
    };
    let (_, flow) = fib.flows().find(|(id, _)| *id == blocked).unwrap();
    assert_eq!(flow.from_downstream, fib.without_flow.set);
}

#[test]
fn what_comes_from_the_upstream_never_goes_back_there() {
    let (mut fib, mut kernel) = stocked(8);
    fib.set_upstream(Some(upstream(2))).unwrap();
    // A downstream interface that has just become the upstream may have members for an instant.
    fib.update_group(G, &exclude(&[2, 3], &[])).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.forward(S, G, true), [3]);
    assert_eq!(kernel.forward(S, G, false), [2, 3]);
    fib.update_group(G, &exclude(&[2], &[])).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.forward(S, G, true), [0_u32; 0]);
}
