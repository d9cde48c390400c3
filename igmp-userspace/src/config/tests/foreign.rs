//! The samples are written in the words of igmpproxy.conf(5) and of the two vendors' command references.

use super::*;

/// What `text` is refused with, and that it is not taken for TOML.
#[track_caller]
fn assert_told(text: &str, line: usize, title: &str, import: &str) {
    let error = parse(text, "/etc/old.conf").unwrap_err().to_string();
    let expected = format!(
        "/etc/old.conf:{line}: this is {title}; convert it: igmpctl import {import} /etc/old.conf > \
         /etc/igmpd/igmpd.toml"
    );
    assert_eq!(error, expected, "{text}");
}

#[track_caller]
fn assert_igmpproxy(text: &str, line: usize) {
    assert_told(text, line, "the configuration of igmpproxy", "igmpproxy");
}

#[track_caller]
fn assert_vyos(text: &str, line: usize) {
    assert_told(text, line, "a list of VyOS commands", "vyos");
}

#[track_caller]
fn assert_vrp(text: &str, line: usize) {
    assert_told(
        text,
        line,
        "the configuration of a router with VRP",
        "huawei",
    );
}

#[test]
fn a_file_of_igmpproxy_is_told_how_to_convert() {
    assert_igmpproxy(
        "########\n# Example\n########\n\n##-- Enable Quickleave mode\nquickleave\n\n\
         phyint eth0 upstream  ratelimit 0  threshold 1\n        altnet 10.0.0.0/8\n        altnet 192.168.0.0/24\n\n\
         phyint eth1 downstream  ratelimit 0  threshold 1\n\nphyint eth2 disabled\n",
        6,
    );
    assert_igmpproxy("phyint eth0 upstream\nphyint eth1 downstream\n", 1);
    assert_igmpproxy(
        "\r\n\tdefaultdown # all others\r\nphyint eth0 upstream\r\n",
        2,
    );
    assert_igmpproxy("user nobody\nphyint eth0 upstream\n", 1);
    assert_igmpproxy("hashtablesize 64\n", 1);
    assert_igmpproxy("quickleave phyint eth0 upstream phyint eth1 downstream", 1);
}

#[test]
fn vyos_commands_are_told_how_to_convert() {
    assert_vyos(
        "set protocols igmp-proxy interface eth0 role upstream\n\
         set protocols igmp-proxy interface eth0 alt-subnet '10.0.0.0/23'\n\
         set protocols igmp-proxy interface eth1 role downstream\n",
        1,
    );
    assert_vyos(
        "set interfaces ethernet eth0 address dhcp\n# proxy\nset protocols igmp-proxy disable-quickleave\n",
        3,
    );
}

#[test]
fn a_vrp_dump_is_told_how_to_convert() {
    assert_vrp(
        "!Software Version V800R012C10\n#\nsysname BRAS\n#\nmulticast routing-enable\n#\n\
         interface GigabitEthernet0/1/0\n igmp enable\n igmp prompt-leave group-policy 2000\n#\nreturn\n",
        5,
    );
    assert_vrp(
        "#\nsysname BRAS\n#\ninterface Vlanif10\n ip address 192.0.2.1 255.255.255.0\n igmp version 3\n#\n",
        4,
    );
}

#[test]
fn other_files_are_refused_as_toml() {
    // Our own, with an error: its comments may say what they like.
    assert_eq!(
        refusal(
            "# phyint eth0 upstream\n# set protocols igmp-proxy disable\n[[interface]]\nname == 1\n"
        ),
        "f.toml:4: extra `=`; expected nothing"
    );
    for text in [
        // An interface view of a router that `import` does not read.
        "ip multicast-routing\ninterface GigabitEthernet0/1\n ip igmp version 3\n",
        "set interfaces ethernet eth0 address dhcp\n",
        "{ \"interface\": [] }\n",
        "quickleave = true = false\n",
        "interface = 1\nigmp = { version = 3\n",
    ] {
        let error = refusal(text);
        assert!(!error.contains("convert"), "{error}");
    }
    // What parses is TOML, whatever it reminds of.
    assert_eq!(
        refusal("# phyint eth0 upstream\n"),
        "f.toml:1: no interface is downstream; name at least one where the receivers are"
    );
}
