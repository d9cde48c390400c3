//! Tags as IEEE 802.1Q numbers them: 12 bits, of which 0 and 4095 name no VLAN.

use super::*;

/// An interface with these keys, downstream.
fn interface(keys: &str) -> String {
    format!("[[interface]]\nrole = \"downstream\"\n{keys}\n")
}

#[track_caller]
fn one(keys: &str) -> InterfaceConfig {
    let config = parse(&interface(keys), "f.toml").unwrap();
    config.interfaces.into_iter().next().unwrap()
}

#[test]
fn a_vlan_has_the_name_that_its_device_would_have() {
    for (keys, name, tag) in [
        ("vlan = 1", "eth0.1", 0x8100_0001),
        ("vlan = 4094", "eth0.4094", 0x8100_0ffe),
        ("vlan = { id = 100 }", "eth0.100", 0x8100_0064),
        (
            "vlan = { id = 100, protocol = \"802.1Q\" }",
            "eth0.100",
            0x8100_0064,
        ),
        (
            "vlan = { protocol = \"802.1ad\", id = 100 }",
            "eth0.100",
            0x88a8_0064,
        ),
    ] {
        let interface = one(&format!("name = \"eth0\"\n{keys}"));
        assert_eq!(interface.name, name);
        let vlan = interface.vlan.unwrap();
        assert_eq!((&*vlan.device, vlan.tag), ("eth0", tag), "{keys}");
    }
    assert_eq!(one("name = \"eth0.100\"").vlan, None, "a device");
}

#[test]
fn its_address_is_the_device_s_unless_it_borrows_another() {
    let lender = |keys: &str| one(keys).lender().map(str::to_owned);
    let eth0 = "name = \"eth0\"\nvlan = 100";
    assert_eq!(lender(eth0).as_deref(), Some("eth0"));
    assert_eq!(
        lender(&format!("{eth0}\nunnumbered = \"lo\"")).as_deref(),
        Some("lo")
    );
    assert_eq!(
        lender(&format!("{eth0}\nunnumbered = \"eth0\"")).as_deref(),
        Some("eth0")
    );
    assert_eq!(lender("name = \"eth0\""), None);
}

#[test]
fn what_is_no_vlan_is_refused_with_its_line() {
    let refusal_of = |line: &str| refusal(&interface(&format!("name = \"eth0\"\n{line}")));
    let remedy = "write vlan = 100, or { id = 100, protocol = \"802.1ad\" }";
    for (line, error) in [
        ("vlan = 0", "vlan is 0; write 1 to 4094".into()),
        ("vlan = 4095", "vlan is 4095; write 1 to 4094".into()),
        ("vlan = -1", "vlan is -1; write 1 to 4094".into()),
        ("vlan = { id = 5000 }", "id is 5000; write 1 to 4094".into()),
        ("vlan = \"100\"", format!("vlan is a string; {remedy}")),
        (
            "vlan = { protocol = \"802.1ad\" }",
            format!("this vlan has no id; {remedy}"),
        ),
        (
            "vlan = { id = 100, protocol = \"qinq\" }",
            "\"qinq\" is no VLAN protocol; write \"802.1Q\" or \"802.1ad\"".into(),
        ),
        (
            "vlan = { id = 100, tag = 5 }",
            "unknown key tag; the keys here are id, protocol".into(),
        ),
    ] {
        assert_eq!(refusal_of(line), format!("f.toml:4: {error}"), "{line}");
    }
    assert_eq!(
        refusal(&interface("name = \"eth*\"\nvlan = 100")),
        "f.toml:4: vlan on \"eth*\", which is a pattern; name one device"
    );
}

#[test]
fn a_device_its_vlans_and_their_roles_stand_beside_each_other() {
    let trunk = [
        "[[interface]]\nname = \"eth0\"\nrole = \"downstream\"\n",
        "[[interface]]\nname = \"eth0\"\nvlan = 10\nrole = \"upstream\"\nalt_subnets = [\"0.0.0.0/0\"]\n",
        "[[interface]]\nname = \"eth0\"\nvlan = 100\nrole = \"downstream\"\n",
    ]
    .concat();
    let config = parse(&trunk, "f.toml").unwrap();
    let names: Vec<_> = config.interfaces.iter().map(|one| &*one.name).collect();
    assert_eq!(names, ["eth0", "eth0.10", "eth0.100"]);
    assert_eq!(
        config.warnings(),
        [
            "vlan of eth0.100: no alt_subnets; no source is accepted there, and of hosts only those that report from \
             0.0.0.0"
        ]
    );
    for again in [
        "name = \"eth0\"\nvlan = 100",
        "name = \"eth0\"\nvlan = { id = 100, protocol = \"802.1ad\" }",
        "name = \"eth0.100\"",
    ] {
        assert_eq!(
            refusal(&(trunk.clone() + &interface(again))),
            "f.toml:13: eth0.100 is given twice (first at f.toml:9); keep one of the two",
            "{again}"
        );
    }
}

#[test]
fn vlans_are_written_as_they_were_and_compared_one_by_one() {
    let trunk = |second: &str| {
        let keys = format!("name = \"eth0\"\nvlan = 100\n[[interface]]\nname = \"eth0\"\n{second}");
        parse(
            &interface(&format!("{keys}\nrole = \"downstream\"")),
            "f.toml",
        )
        .unwrap()
    };
    let before = trunk("vlan = 200");
    let written = to_toml(&before.effective());
    assert_eq!(
        parse(&written, "written.toml").unwrap().effective(),
        before.effective()
    );
    assert!(
        written.contains("name = \"eth0\"\nvlan = 100\n"),
        "{written}"
    );

    let changes = |after: &Config| -> Vec<String> {
        let changes = diff(&before, after).unwrap();
        changes.iter().map(ToString::to_string).collect()
    };
    assert_eq!(changes(&before), Vec::<String>::new());
    assert_eq!(
        changes(&trunk("vlan = { id = 200, protocol = \"802.1ad\" }")),
        ["~ interface eth0.200: vlan: 200 -> { id = 200, protocol = \"802.1ad\" }"]
    );
    assert_eq!(
        changes(&trunk("vlan = 300")),
        [
            "- interface eth0.200: downstream",
            "+ interface eth0.300: downstream"
        ]
    );
}
