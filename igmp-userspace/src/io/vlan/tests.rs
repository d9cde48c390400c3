use std::collections::BTreeSet;

use super::*;
use crate::config;
use crate::io::tag_offload::TagOffload;

const TAGS: [u32; 4] = [0x8100_0001, 0x8100_0ffe, 0x88a8_0001, 0x88a8_0ffe];

fn vlan(device: u32, tag: u32) -> Vlan {
    Vlan {
        device: IfIndex(device),
        tag,
    }
}

#[test]
fn an_index_says_which_vlan_of_which_device_and_is_no_device_s() {
    let mut indexes = BTreeSet::new();
    for device in [1, 2, 4096, 262_143] {
        for tag in TAGS {
            let index = index(vlan(device, tag)).unwrap();
            assert!(
                index.0 > i32::MAX.cast_unsigned(),
                "the kernel's are positive ints"
            );
            assert_eq!(of_index(index), Some(vlan(device, tag)));
            assert!(indexes.insert(index.0), "{index:?} twice");
        }
    }
    assert_eq!(index(vlan(262_144, TAGS[0])), None);
    assert_eq!(of_index(IfIndex(262_144)), None);
    assert_eq!(device(IfIndex(7)), IfIndex(7));
    assert_eq!(device(index(vlan(7, TAGS[2])).unwrap()), IfIndex(7));
}

fn rules(text: &str) -> Vec<InterfaceConfig> {
    config::parse(text, "f.toml").unwrap().interface_rules()
}

fn eth0(index: u32) -> Link {
    Link {
        index: IfIndex(index),
        name: "eth0".into(),
        up: true,
        mac: Some([2, 0, 0, 0, 0, 1]),
        mtu: 9000,
        is_veth: false,
        is_ppp: false,
        vlan: None,
        tag_offload: TagOffload::default(),
        xdp: None,
        features: None,
        addresses: vec!["10.0.0.1/24".parse().unwrap()],
    }
}

fn snapshot(links: impl IntoIterator<Item = Link>) -> Snapshot {
    let links = links.into_iter().map(|link| (link.name.clone(), link));
    Snapshot {
        links: links.collect(),
        ..Snapshot::default()
    }
}

const VLAN_100: &str = "[[interface]]\nname = \"eth0\"\nvlan = 100\nrole = \"downstream\"\n";

#[test]
fn a_vlan_is_as_able_as_its_device_and_has_no_address() {
    let mut snapshot = snapshot([eth0(7)]);
    snapshot.flapped.insert(IfIndex(7));
    add_to(&mut snapshot, &rules(VLAN_100));
    let link = &snapshot.links["eth0.100"];
    assert_eq!(link.vlan, Some(vlan(7, 0x8100_0064)));
    assert_eq!((link.up, link.mtu, link.mac), (true, 9000, eth0(7).mac));
    assert!(link.addresses.is_empty());
    assert!(snapshot.flapped.contains(&link.index));
    assert_eq!(snapshot.links["eth0"], eth0(7));
}

#[test]
fn without_its_device_there_is_no_vlan_and_a_device_of_its_name_is_it() {
    let rules = rules(VLAN_100);
    let mut empty = snapshot([]);
    add_to(&mut empty, &rules);
    assert!(empty.links.is_empty());
    assert_eq!(absence(&rules[0], &empty), "no such device");

    let mut far = snapshot([eth0(262_144)]);
    add_to(&mut far, &rules);
    assert_eq!(far.links.len(), 1);
    assert!(absence(&rules[0], &far).starts_with("eth0 has the index 262144, "));

    for name in ["eth0.100", "iptv0"] {
        let real = Link {
            name: name.into(),
            vlan: Some(vlan(7, 0x8100_0064)),
            ..eth0(8)
        };
        let mut both = snapshot([eth0(7), real.clone()]);
        add_to(&mut both, &rules);
        assert_eq!(both.links.len(), 2);
        assert_eq!(both.links[name], real);
        let absence = absence(&rules[0], &both);
        let remedy = format!("{name} is VLAN 100 of eth0: write name = \"{name}\", without vlan");
        assert_eq!(absence, remedy);
    }
}
