//! Expectations come from docs/devices.md and, for veth, from `veth_set_xdp_features` (drivers/net/veth.c).

use super::*;
use crate::proto::IfIndex;

const OURS: u32 = 7;

fn ethernet() -> Link {
    Link {
        index: IfIndex(3),
        name: "eth0".into(),
        up: true,
        mac: Some([2, 0, 0, 0, 0, 1]),
        is_veth: false,
        xdp: None,
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

fn choose(mode: Mode, link: &Link, features: Option<Features>) -> Result<Choice, String> {
    let facts = Facts::new(link, features, OURS);
    let foreign = facts.foreign_xdp.map(|id| format!("program {id}"));
    Choice::new(mode, link, &facts, foreign.as_deref())
}

fn datapath(mode: Mode, link: &Link, features: Option<Features>) -> Option<api::Datapath> {
    choose(mode, link, features)
        .ok()
        .map(|choice| choice.datapath())
}

#[test]
fn auto_takes_native_xdp_where_the_driver_has_it_and_tc_elsewhere() {
    use api::Datapath::{Tc, XdpNative};
    let with = |link: &Link, features| datapath(Mode::Auto, link, features);
    assert_eq!(with(&ethernet(), features(true, true)), Some(XdpNative));
    assert_eq!(with(&ethernet(), features(true, false)), Some(XdpNative));
    assert_eq!(with(&ethernet(), features(false, false)), Some(Tc));
    // The kernel does not say: it is tried.
    assert_eq!(with(&ethernet(), None), Some(XdpNative));
    assert_eq!(with(&tun(), None), Some(Tc));
    assert_eq!(with(&tun(), features(true, true)), Some(Tc));
    let basic_only = Features {
        basic: true,
        ..Features::default()
    };
    assert_eq!(with(&ethernet(), Some(basic_only)), Some(Tc));
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
        choice.no_redirect(mode, link, features).is_none()
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
