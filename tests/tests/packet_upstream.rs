//! What a proxy does beyond flows: data from downstream goes upstream, wanted or not (RFC 4605 section 4.2); filtered
//! groups and closed ports.

use std::net::Ipv4Addr;

use igmp_common::Counter;
use igmp_tests::fixtures::datagram::Datagram;
use igmp_tests::fixtures::{Outcome, Verdict, World};
use igmp_userspace::proto::{FilterMode, GroupFilter, IfIndex};

const G: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const H: Ipv4Addr = Ipv4Addr::new(239, 2, 1, 1);
const S: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

fn blacklist(network: &str) -> GroupFilter {
    GroupFilter {
        whitelist: Vec::new(),
        blacklist: vec![network.parse().unwrap()],
    }
}

fn whitelist(network: &str) -> GroupFilter {
    GroupFilter {
        whitelist: vec![network.parse().unwrap()],
        blacklist: Vec::new(),
    }
}

#[track_caller]
fn assert_sent(world: &mut World, datagram: &Datagram, counter: Counter) {
    let outcome = world.run(&datagram.frame()).unwrap();
    assert_eq!(outcome.counter, counter, "{}", datagram.destination);
    assert_eq!(outcome.verdict, Verdict::Redirect);
    assert_eq!(outcome.frame, datagram.forwarded());
}

#[track_caller]
fn assert_left(world: &mut World, datagram: &Datagram, reason: Counter) -> Outcome {
    let frame = datagram.frame();
    let outcome = world.run(&frame).unwrap();
    assert_eq!(outcome.counter, reason, "{}", datagram.destination);
    assert_eq!(outcome.verdict, Verdict::Pass);
    assert_eq!(outcome.frame, frame, "not left as it was");
    outcome
}

#[test]
fn what_nobody_wants_goes_from_downstream_to_the_upstream() {
    let mut world = World::new().unwrap();
    world.send_upstream(GroupFilter::default(), &[]).unwrap();
    let tagged_and_padded = Datagram {
        vlan: Some(0),
        padding: 9,
        options: vec![0x94, 4, 0, 0],
        ..Datagram::to(H)
    };
    for datagram in [Datagram::to(G), tagged_and_padded] {
        assert_sent(&mut world, &datagram, Counter::ForwardedToUpstream);
    }
    world.set_upstream(true).unwrap();
    assert_left(&mut world, &Datagram::to(G), Counter::PassNoFlow);
}

#[test]
fn without_an_upstream_it_is_left_to_the_kernel() {
    let mut world = World::new().unwrap();
    world.set_upstream(false).unwrap();
    assert_left(&mut world, &Datagram::to(G), Counter::PassNoFlow);
    world.send_upstream(GroupFilter::default(), &[]).unwrap();
    assert_sent(&mut world, &Datagram::to(G), Counter::ForwardedToUpstream);
    world.lose_upstream().unwrap();
    assert_left(&mut world, &Datagram::to(G), Counter::PassNoFlow);
}

#[test]
fn a_flow_is_counted_as_one_and_the_rest_as_upstream_only() {
    let mut world = World::new().unwrap();
    world.send_upstream(GroupFilter::default(), &[]).unwrap();
    world.join(G, FilterMode::Include, &[S]).unwrap();
    assert_sent(&mut world, &Datagram::to(G), Counter::Forwarded);
    let unwanted_source = Datagram {
        source: Ipv4Addr::new(10, 0, 0, 3),
        ..Datagram::to(G)
    };
    assert_sent(&mut world, &unwanted_source, Counter::ForwardedToUpstream);
    world.leave(G).unwrap();
    assert_sent(&mut world, &Datagram::to(G), Counter::ForwardedToUpstream);
}

#[test]
fn a_source_that_every_member_blocks_goes_upstream_nevertheless() {
    let mut world = World::new().unwrap();
    world.join(G, FilterMode::Exclude, &[S]).unwrap();
    assert_left(&mut world, &Datagram::to(G), Counter::PassNoOutput);
    world.send_upstream(GroupFilter::default(), &[]).unwrap();
    world.leave(G).unwrap();
    world.join(G, FilterMode::Exclude, &[S]).unwrap();
    assert_sent(&mut world, &Datagram::to(G), Counter::Forwarded);
    // But from upstream nobody wants it.
    world.set_upstream(true).unwrap();
    assert_left(&mut world, &Datagram::to(G), Counter::PassNoOutput);
}

#[test]
fn a_source_that_may_not_send_there_does_not_reach_the_upstream() {
    let mut world = World::with_sources(&["10.0.0.1/24"], &[]).unwrap();
    world.send_upstream(GroupFilter::default(), &[]).unwrap();
    for (source, reason) in [
        (Ipv4Addr::new(192, 0, 2, 9), Counter::PassSourceUnknown),
        (Ipv4Addr::new(10, 1, 0, 9), Counter::PassWrongInterface),
        (Ipv4Addr::new(10, 0, 0, 1), Counter::PassSourceMartian),
    ] {
        let datagram = Datagram {
            source,
            ..Datagram::to(G)
        };
        assert_left(&mut world, &datagram, reason);
    }
    assert_sent(&mut world, &Datagram::to(G), Counter::ForwardedToUpstream);
}

#[test]
fn what_a_router_never_forwards_does_not_go_upstream_either() {
    let mut world = World::new().unwrap();
    world.send_upstream(GroupFilter::default(), &[]).unwrap();
    let last_hop = Datagram {
        ttl: 1,
        ..Datagram::to(G)
    };
    assert_left(&mut world, &last_hop, Counter::PassTtlExpired);
    let mdns = Datagram::to(Ipv4Addr::new(224, 0, 0, 251));
    assert_left(&mut world, &mdns, Counter::PassLinkLocalGroup);
}

#[test]
fn groups_the_upstream_refuses_and_untracked_ones_do_not_go_there() {
    let mut world = World::new().unwrap();
    let ssdp = Datagram::to(Ipv4Addr::new(239, 255, 255, 250));
    world
        .send_upstream(blacklist("239.2.0.0/16"), &["239.255.255.250/32"])
        .unwrap();
    assert_sent(&mut world, &Datagram::to(G), Counter::ForwardedToUpstream);
    assert_left(&mut world, &Datagram::to(H), Counter::PassGroupFilter);
    assert_left(&mut world, &ssdp, Counter::PassGroupFilter);
}

#[test]
fn a_flow_of_a_group_the_upstream_refuses_stays_downstream() {
    let mut world = World::new().unwrap();
    world.send_upstream(blacklist("239.2.0.0/16"), &[]).unwrap();
    for group in [G, H] {
        world.join_from(group, &[IfIndex(1 << 28)]).unwrap();
        assert_sent(&mut world, &Datagram::to(group), Counter::Forwarded);
    }
    world.set_upstream(true).unwrap();
    assert_sent(&mut world, &Datagram::to(G), Counter::Forwarded);
    assert_left(&mut world, &Datagram::to(H), Counter::PassNoOutput);
}

#[test]
fn a_filtered_port_forwards_only_what_it_serves() {
    for upstream in [true, false] {
        let mut world = World::new().unwrap();
        world.set_upstream(upstream).unwrap();
        for group in [G, H] {
            world.join(group, FilterMode::Exclude, &[]).unwrap();
        }
        let filter = whitelist("239.1.0.0/16");
        world.filter_port(&filter).unwrap();
        assert_sent(&mut world, &Datagram::to(G), Counter::Forwarded);
        assert_left(&mut world, &Datagram::to(H), Counter::PassGroupFilter);
        world.unfilter_port(&filter).unwrap();
        assert_sent(&mut world, &Datagram::to(H), Counter::Forwarded);
    }
}

#[test]
fn a_filtered_port_sends_nothing_upstream_that_it_does_not_serve() {
    let mut world = World::new().unwrap();
    world.send_upstream(GroupFilter::default(), &[]).unwrap();
    world.filter_port(&blacklist("239.2.0.0/16")).unwrap();
    assert_sent(&mut world, &Datagram::to(G), Counter::ForwardedToUpstream);
    assert_left(&mut world, &Datagram::to(H), Counter::PassGroupFilter);
}

#[test]
fn the_longest_prefix_decides_in_the_kernel_too() {
    let mut world = World::new().unwrap();
    let filter = GroupFilter {
        whitelist: ["239.0.0.0/8", "239.2.1.1/32"]
            .map(|n| n.parse().unwrap())
            .into(),
        blacklist: vec!["239.2.0.0/16".parse().unwrap()],
    };
    world.filter_port(&filter).unwrap();
    for (group, is_served) in [
        ("239.1.1.1", true),
        ("239.2.1.1", true),
        ("239.2.1.2", false),
        ("232.1.1.1", false),
    ] {
        let group = group.parse().unwrap();
        world.join(group, FilterMode::Exclude, &[]).unwrap();
        let datagram = Datagram::to(group);
        if is_served {
            assert_sent(&mut world, &datagram, Counter::Forwarded);
        } else {
            assert_left(&mut world, &datagram, Counter::PassGroupFilter);
        }
    }
}

#[test]
fn a_closed_port_forwards_nothing_but_igmp_still_reaches_userspace() {
    let mut world = World::new().unwrap();
    world.send_upstream(GroupFilter::default(), &[]).unwrap();
    world.join(G, FilterMode::Exclude, &[]).unwrap();
    world.set_closed(true).unwrap();
    for group in [G, H] {
        assert_left(&mut world, &Datagram::to(group), Counter::PassClosed);
    }
    let report = Datagram {
        protocol: 2,
        ttl: 1,
        payload: vec![0x16, 0, 0xf9, 0xfd, 239, 1, 1, 1],
        ..Datagram::to(G)
    };
    assert_left(&mut world, &report, Counter::IgmpToUserspace);
    assert_eq!(world.next_record().unwrap()[16..], report.frame());
    world.set_closed(false).unwrap();
    assert_sent(&mut world, &Datagram::to(G), Counter::Forwarded);
    assert_sent(&mut world, &Datagram::to(H), Counter::ForwardedToUpstream);
}
