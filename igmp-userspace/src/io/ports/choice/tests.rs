//! Expectations come from docs/devices.md and, for veth, from `veth_set_xdp_features` (drivers/net/veth.c).

use igmp_common::maps::vlan_tag;

use super::*;
use crate::io::links::{Snapshot, Vlan};
use crate::io::netdev::Features;
use crate::io::tag_offload::TagOffload;
use crate::proto::IfIndex;

const OURS: u32 = 7;

fn ethernet() -> Link {
    Link {
        index: IfIndex(3),
        name: "eth0".into(),
        up: true,
        mac: Some([2, 0, 0, 0, 0, 1]),
        is_veth: false,
        is_ppp: false,
        vlan: None,
        tag_offload: TagOffload::default(),
        xdp: None,
        features: None,
        mtu: 1500,
        addresses: Vec::new(),
    }
}

fn veth() -> Link {
    Link {
        is_veth: true,
        ..ethernet()
    }
}

fn tun() -> Link {
    Link {
        mac: None,
        ..ethernet()
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "what the kernel may not say is an Option wherever it is used"
)]
fn features(has_xdp: bool, ndo_xmit: bool) -> Option<Features> {
    Some(Features {
        basic: has_xdp,
        redirect: has_xdp,
        ndo_xmit,
        ..Features::default()
    })
}

fn with(link: &Link, features: Option<Features>) -> Link {
    Link {
        features,
        ..link.clone()
    }
}

/// What is chosen for `link` among these devices.
fn choose_among(mode: Mode, link: &Link, others: &[&Link]) -> Result<Choice, String> {
    let links = others.iter().chain([&link]);
    let links = links.map(|link| (link.name.clone(), (*link).clone()));
    let snapshot = Snapshot {
        links: links.collect(),
        ..Snapshot::default()
    };
    let trunk = Trunk::of(mode, link, &snapshot);
    let facts = Facts::new(&trunk, OURS);
    let foreign = facts.foreign_xdp.map(|id| format!("program {id}"));
    Choice::new(mode, link, &trunk, &facts, foreign.as_deref())
}

fn choose(mode: Mode, link: &Link, features: Option<Features>) -> Result<Choice, String> {
    choose_among(mode, &with(link, features), &[])
}

fn datapath(mode: Mode, link: &Link, features: Option<Features>) -> Option<api::Datapath> {
    choose(mode, link, features)
        .ok()
        .map(|choice| choice.datapath())
}

#[test]
fn auto_takes_native_xdp_where_the_driver_has_it_and_tc_elsewhere() {
    use api::Datapath::{Tc, XdpNative};
    let auto = |link: &Link, features| datapath(Mode::Auto, link, features);
    assert_eq!(auto(&ethernet(), features(true, true)), Some(XdpNative));
    assert_eq!(auto(&ethernet(), features(true, false)), Some(XdpNative));
    assert_eq!(auto(&ethernet(), features(false, false)), Some(Tc));
    // The kernel does not say: it is tried.
    assert_eq!(auto(&ethernet(), None), Some(XdpNative));
    assert_eq!(auto(&tun(), None), Some(Tc));
    assert_eq!(auto(&tun(), features(true, true)), Some(Tc));
    let basic_only = Features {
        basic: true,
        ..Features::default()
    };
    assert_eq!(auto(&ethernet(), Some(basic_only)), Some(Tc));
}

#[test]
fn a_mode_by_name_is_that_mode_or_a_refusal() {
    use api::Datapath::{Tc, XdpGeneric, XdpNative};
    let can = features(true, true);
    let cannot = features(false, false);
    assert_eq!(datapath(Mode::Tc, &ethernet(), can), Some(Tc));
    assert_eq!(datapath(Mode::Tc, &tun(), None), Some(Tc));
    assert_eq!(
        datapath(Mode::XdpGeneric, &ethernet(), cannot),
        Some(XdpGeneric)
    );
    // Whether the driver takes it is the driver's to say.
    assert_eq!(
        datapath(Mode::XdpNative, &ethernet(), cannot),
        Some(XdpNative)
    );
    for mode in [Mode::XdpNative, Mode::XdpGeneric] {
        assert_eq!(datapath(mode, &tun(), None), None, "{mode:?}");
    }
}

#[test]
fn another_s_program_stays_and_a_mode_that_needs_its_place_is_refused() {
    let can = features(true, true);
    let taken = Link {
        xdp: Some(12),
        ..ethernet()
    };
    for mode in [Mode::XdpNative, Mode::XdpGeneric] {
        let refusal = choose(mode, &taken, can).unwrap_err();
        assert!(refusal.starts_with("program 12 is attached"), "{refusal}");
    }
    for mode in [Mode::Auto, Mode::Tc] {
        assert_eq!(
            datapath(mode, &taken, can),
            Some(api::Datapath::Tc),
            "{mode:?}"
        );
    }
    let reason = choose(Mode::Auto, &taken, can).unwrap().reason;
    assert_eq!(reason, "program 12 is attached");
    let ours = Link {
        xdp: Some(OURS),
        ..ethernet()
    };
    assert_eq!(
        datapath(Mode::XdpNative, &ours, can),
        Some(api::Datapath::XdpNative)
    );
}

#[test]
fn the_programs_are_told_who_does_what() {
    let flags = |mode, link: &Link| choose(mode, link, None).unwrap().flags;
    assert_eq!(flags(Mode::Auto, &ethernet()), 0);
    assert_eq!(flags(Mode::XdpNative, &ethernet()), 0);
    assert_eq!(flags(Mode::XdpGeneric, &ethernet()), PORT_REPLICATES_IN_TC);
    assert_eq!(flags(Mode::Tc, &ethernet()), PORT_TC);
    assert_eq!(flags(Mode::Auto, &tun()), PORT_TC | PORT_NO_LINK_HEADER);
}

#[test]
fn native_xdp_does_without_tc_where_the_kernel_has_none() {
    let native = choose(Mode::Auto, &veth(), features(true, true)).unwrap();
    assert_eq!(native.flags, PORT_LOCAL_SENDERS);
    let alone = native.without_tc("no clsact").unwrap();
    assert_eq!(alone.hooks, [Hook::XdpNative]);
    assert_eq!(alone.flags, 0, "nobody fills in what XDP leaves to TC");
    assert!(alone.has_xdp() && alone.reason.ends_with("no clsact"));
    let generic = choose(Mode::XdpGeneric, &ethernet(), None).unwrap();
    let tc = choose(Mode::Tc, &ethernet(), None).unwrap();
    assert_eq!(generic.without_tc("no clsact"), None);
    assert_eq!(tc.without_tc("no clsact"), None);
}

#[test]
fn copies_go_by_tc_to_devices_that_take_no_redirected_frames() {
    let reaches = |mode, link: &Link, features| {
        let choice = choose(mode, link, features).unwrap();
        choice
            .no_redirect(mode, &with(link, features), false)
            .is_none()
    };
    assert!(reaches(Mode::Auto, &ethernet(), features(true, true)));
    assert!(!reaches(Mode::Auto, &ethernet(), features(true, false)));
    assert!(reaches(Mode::Auto, &veth(), features(true, true)));
    assert!(!reaches(Mode::Auto, &veth(), features(true, false)));
    assert!(!reaches(Mode::Auto, &tun(), features(true, true)));
    assert!(!reaches(Mode::Tc, &ethernet(), features(true, true)));
    // The kernel does not say.
    assert!(reaches(Mode::Auto, &ethernet(), None));
    assert!(!reaches(Mode::Auto, &veth(), None));
    assert!(!reaches(Mode::XdpGeneric, &ethernet(), None));
}

/// VLAN 100 on `eth0`: a device, `iptv0`, or none.
fn vlan_on(device: &Link, has_device: bool) -> Link {
    let vlan = Vlan {
        device: device.index,
        tag: vlan_tag(0x8100, 100),
    };
    if has_device {
        Link {
            index: IfIndex(9),
            name: "iptv0".into(),
            // A VLAN device has no XDP of its own.
            features: Some(Features::default()),
            vlan: Some(vlan),
            ..ethernet()
        }
    } else {
        Link {
            index: vlan::index(vlan).unwrap(),
            name: "eth0.100".into(),
            vlan: Some(vlan),
            ..device.clone()
        }
    }
}

fn key(device: u32, tag: u32) -> VlanKey {
    VlanKey { device, tag }
}

#[test]
fn native_xdp_sees_a_vlan_on_the_device_below_and_tc_on_its_own_if_it_has_one() {
    let can = with(&ethernet(), features(true, true));
    let cannot = with(&ethernet(), features(false, true));
    let tag = vlan_tag(0x8100, 100);
    for mode in [Mode::Auto, Mode::XdpNative] {
        for has_device in [true, false] {
            let choice = choose_among(mode, &vlan_on(&can, has_device), &[&can]).unwrap();
            assert_eq!(choice.datapath(), api::Datapath::XdpNative);
            assert_eq!(choice.seat, key(3, tag));
            assert_eq!(choice.reason, "native XDP on eth0, VLAN 100");
            assert_eq!(choice.no_redirect(mode, &can, false), None);
            assert!(choice.no_redirect(mode, &can, true).is_some());
        }
    }
    for (has_device, seat) in [(true, key(9, UNTAGGED)), (false, key(3, tag))] {
        let choice = choose_among(Mode::Auto, &vlan_on(&cannot, has_device), &[&cannot]).unwrap();
        assert_eq!((choice.datapath(), choice.seat), (api::Datapath::Tc, seat));
        assert_eq!(choice.reason, "the driver of eth0 has no native XDP");
        let choice = choose_among(Mode::Tc, &vlan_on(&can, has_device), &[&can]).unwrap();
        assert_eq!((choice.datapath(), choice.seat), (api::Datapath::Tc, seat));
        let choice = choose_among(Mode::XdpGeneric, &vlan_on(&can, has_device), &[&can]).unwrap();
        assert_eq!(choice.seat, seat);
    }
    // Its device is in another namespace: what is there is not ours to use.
    let alone = choose_among(Mode::Auto, &vlan_on(&can, true), &[]).unwrap();
    assert_eq!(alone.seat, key(9, UNTAGGED));
}

#[test]
fn somebody_s_program_on_the_device_below_stays() {
    let taken = Link {
        xdp: Some(12),
        ..with(&ethernet(), features(true, true))
    };
    let vlan = vlan_on(&taken, true);
    let choice = choose_among(Mode::Auto, &vlan, &[&taken]).unwrap();
    assert_eq!(choice.seat, key(9, UNTAGGED));
    assert_eq!(choice.reason, "program 12 is attached");
    let refusal = choose_among(Mode::XdpNative, &vlan, &[&taken]).unwrap_err();
    assert!(
        refusal.contains("`ip link set dev eth0 xdp off`"),
        "{refusal}"
    );
}

#[test]
fn where_hardware_takes_tags_off_xdp_is_not_for_vlans_nor_for_the_device_below() {
    let remedy = "eth0 takes VLAN tags off in hardware: `ethtool -K eth0 rxvlan off`";
    let offload = |takes_off, takes_service_off| Link {
        tag_offload: TagOffload {
            takes_off,
            takes_service_off,
            ..TagOffload::default()
        },
        ..with(&ethernet(), features(true, true))
    };
    let hiding = offload(true, false);
    for has_device in [true, false] {
        let vlan = vlan_on(&hiding, has_device);
        for (link, other) in [(&vlan, &hiding), (&hiding, &vlan)] {
            let choice = choose_among(Mode::Auto, link, &[other]).unwrap();
            assert_eq!(choice.datapath(), api::Datapath::Tc, "{}", link.name);
            assert_eq!(choice.reason, remedy);
            let refusal = choose_among(Mode::XdpNative, link, &[other]).unwrap_err();
            assert!(refusal.starts_with(remedy), "{refusal}");
        }
    }
    // There is no tag to hide, or it is of the other kind.
    let alone = choose_among(Mode::Auto, &hiding, &[]).unwrap();
    assert_eq!(alone.datapath(), api::Datapath::XdpNative);
    let service = offload(false, true);
    let choice = choose_among(Mode::Auto, &vlan_on(&service, true), &[&service]).unwrap();
    assert_eq!(choice.datapath(), api::Datapath::XdpNative);
}
