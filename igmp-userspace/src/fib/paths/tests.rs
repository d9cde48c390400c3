use super::*;
use crate::fib::routes::Member;
use crate::fib::tests::{G, H, S, exclude, stocked, upstream};
use crate::proto::FilterMode;

const T: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 8);

fn outputs(interfaces: &[u32]) -> BTreeSet<IfIndex> {
    interfaces.iter().map(|index| IfIndex(*index)).collect()
}

#[test]
fn a_flow_with_an_output_that_xdp_does_not_reach_goes_by_tc_as_a_whole() {
    let (mut fib, mut kernel) = stocked(16);
    fib.set_tc_outputs(outputs(&[3]));
    fib.update_group(G, &exclude(&[2, 3], &[])).unwrap();
    fib.update_group(H, &exclude(&[2], &[])).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.path(S, G), Path::Tc);
    assert_eq!(kernel.path(S, H), Path::Xdp);
    // The output leaves, and with it the reason.
    fib.update_group(G, &exclude(&[2], &[])).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.path(S, G), Path::Xdp);
}

#[test]
fn installed_flows_change_their_path_by_one_write_each() {
    let (mut fib, mut kernel) = stocked(16);
    fib.update_group(G, &exclude(&[2, 3], &[])).unwrap();
    fib.update_group(H, &exclude(&[2], &[])).unwrap();
    kernel.apply(&mut fib);
    for (tc, path) in [(&[3][..], Path::Tc), (&[], Path::Xdp)] {
        let before = kernel.writes;
        fib.set_tc_outputs(outputs(tc));
        kernel.apply(&mut fib);
        assert_eq!(kernel.writes - before, 1);
        assert_eq!(kernel.path(S, G), path);
        assert_eq!(kernel.path(S, H), Path::Xdp);
        assert_eq!(kernel.forward(S, G, true), [2, 3]);
    }
    fib.set_tc_outputs(outputs(&[]));
    assert_eq!(fib.poll_change(), None, "nothing new");
}

#[test]
fn an_upstream_that_xdp_does_not_reach_takes_everything_from_downstream_by_tc() {
    let (mut fib, mut kernel) = stocked(16);
    fib.set_upstream(Some(upstream(9))).unwrap();
    fib.update_group(G, &exclude(&[2], &[])).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.path(S, H), Path::Xdp, "without a flow");
    fib.set_tc_outputs(outputs(&[9]));
    kernel.apply(&mut fib);
    assert_eq!(kernel.path(S, H), Path::Tc);
    assert_eq!(kernel.forward(S, H, false), [9]);
    assert_eq!(kernel.path(S, G), Path::Tc);
    fib.set_tc_outputs(outputs(&[]));
    kernel.apply(&mut fib);
    assert_eq!(kernel.path(S, H), Path::Xdp);
    assert_eq!(kernel.path(S, G), Path::Xdp);
}

#[test]
fn a_group_that_this_host_listens_to_goes_on_to_it() {
    let (mut fib, mut kernel) = stocked(16);
    fib.update_group(G, &exclude(&[2], &[])).unwrap();
    assert_eq!(fib.set_local_groups([G].into()), [G]);
    fib.update_group(G, &exclude(&[2], &[])).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.path(S, G), Path::TcAndLocal);
    assert_eq!(kernel.forward(S, G, true), [2]);
    // Which outputs need TC makes no difference then.
    fib.set_tc_outputs(outputs(&[2]));
    assert_eq!(fib.poll_change(), None);
    assert_eq!(fib.set_local_groups(BTreeSet::new()), [G]);
    fib.update_group(G, &exclude(&[2], &[])).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.path(S, G), Path::Tc);
}

#[test]
fn what_this_host_alone_listens_to_reaches_it_on_the_way_upstream() {
    let (mut fib, mut kernel) = stocked(16);
    fib.set_upstream(Some(upstream(9))).unwrap();
    assert_eq!(fib.set_local_groups([G].into()), [G]);
    fib.update_group(G, &[]).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.path(S, G), Path::TcAndLocal);
    assert_eq!(kernel.forward(S, G, false), [9]);
    assert_eq!(kernel.forward(S, G, true), [0_u32; 0]);
    assert_eq!(fib.set_local_groups(BTreeSet::new()), [G]);
    fib.update_group(G, &[]).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(fib.flow_count(), 0);
}

#[test]
fn sources_that_no_member_lists_reach_this_host_too() {
    let (mut fib, mut kernel) = stocked(16);
    fib.set_upstream(Some(upstream(9))).unwrap();
    let _ = fib.set_local_groups([G].into());
    let member = Member {
        interface: IfIndex(2),
        mode: FilterMode::Include,
        sources: vec![S],
    };
    fib.update_group(G, &[member]).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.forward(S, G, true), [2]);
    assert_eq!(kernel.forward(T, G, true), [0_u32; 0]);
    assert_eq!(kernel.path(S, G), Path::TcAndLocal);
    assert_eq!(kernel.path(T, G), Path::TcAndLocal);
}

fn mtus(of: &[(u32, usize)]) -> BTreeMap<IfIndex, usize> {
    of.iter()
        .map(|(index, mtu)| (IfIndex(*index), *mtu))
        .collect()
}

#[test]
fn a_flow_has_the_smallest_mtu_of_its_outputs_either_way() {
    let (mut fib, mut kernel) = stocked(16);
    fib.set_upstream(Some(upstream(9))).unwrap();
    fib.set_output_mtus(mtus(&[(2, 1500), (3, 1000), (4, 9000), (9, 1400)]));
    fib.update_group(G, &exclude(&[2, 3, 4], &[])).unwrap();
    fib.update_group(H, &exclude(&[4], &[])).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.mtu(S, G), 1000);
    assert_eq!(kernel.mtu(S, H), 1400, "from downstream it goes upstream");
    // The output leaves, and with it the limit.
    fib.update_group(G, &exclude(&[4], &[])).unwrap();
    fib.set_upstream(None).unwrap();
    fib.update_group(G, &exclude(&[4], &[])).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.mtu(S, G), 9000);
    assert_eq!(kernel.path(S, G), Path::Xdp);
}

#[test]
fn installed_flows_change_their_mtu_by_one_write_each() {
    let (mut fib, mut kernel) = stocked(16);
    fib.update_group(G, &exclude(&[2, 3], &[])).unwrap();
    fib.update_group(H, &exclude(&[2], &[])).unwrap();
    kernel.apply(&mut fib);
    for mtu in [1000, 999, 1500] {
        let before = kernel.writes;
        fib.set_output_mtus(mtus(&[(3, mtu)]));
        kernel.apply(&mut fib);
        assert_eq!(kernel.writes - before, 1);
        assert_eq!(usize::from(kernel.mtu(S, G)), mtu);
        assert_eq!(kernel.mtu(S, H), u16::MAX);
    }
    fib.set_output_mtus(mtus(&[(3, 1500)]));
    assert_eq!(fib.poll_change(), None, "nothing new");
}

#[test]
fn an_mtu_that_is_unknown_or_above_every_ipv4_packet_is_no_limit() {
    let (mut fib, mut kernel) = stocked(16);
    fib.set_output_mtus(mtus(&[(2, 65_536), (3, usize::MAX), (5, 65_535)]));
    fib.update_group(G, &exclude(&[2, 3, 4, 5], &[])).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.mtu(S, G), u16::MAX);
}

#[test]
fn packets_without_a_flow_have_the_mtu_of_the_upstream() {
    let (mut fib, mut kernel) = stocked(16);
    fib.set_upstream(Some(upstream(9))).unwrap();
    kernel.apply(&mut fib);
    assert_eq!(kernel.mtu(S, H), u16::MAX);
    fib.set_output_mtus(mtus(&[(9, 1400)]));
    kernel.apply(&mut fib);
    assert_eq!(kernel.mtu(S, H), 1400);
    assert_eq!(kernel.forward(S, H, false), [9]);
}
