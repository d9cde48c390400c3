//! Expectations come from docs/configuration.md.

use crate::config::parse;

use super::*;

const INTERFACES: &str = r#"
[igmp]
query_interval = "60s"

[[interface]]
name = "eth0"
role = "upstream"

[[interface]]
name = "eth1"
role = "downstream"
access = "pppoe"

[[interface]]
name = "ppp*"
role = "downstream"
query_interval = "100s"

[[interface]]
name = "ppp9"
role = "disabled"
"#;

const PROFILE: &str = r#"[[remote_backup_profile]]
name = "stb"
role = "backup"
listen = "192.0.2.1:7464"
peer = "192.0.2.2:7465"
interfaces = ["eth1"]
insecure = true
"#;

/// A file with this profile in front.
fn file(profile: &str) -> String {
    format!("{profile}{INTERFACES}")
}

#[track_caller]
fn profiles(profile: &str) -> Vec<RemoteBackupProfile> {
    parse(&file(profile), "f.toml")
        .unwrap()
        .remote_backup_profiles
}

#[track_caller]
fn refusal(profile: &str) -> String {
    parse(&file(profile), "f.toml").unwrap_err().to_string()
}

/// [`PROFILE`] with one line instead of another.
fn with(line: &str, instead: &str) -> String {
    assert!(PROFILE.contains(line), "{line}");
    PROFILE.replace(line, instead)
}

#[test]
fn a_profile_gets_every_default() {
    assert_eq!(
        profiles(PROFILE),
        [RemoteBackupProfile {
            name: "stb".into(),
            role: GatewayRole::Backup,
            listen: "192.0.2.1:7464".parse().unwrap(),
            peer: "192.0.2.2:7465".parse().unwrap(),
            tls: None,
            interfaces: vec![InterfacePair {
                local: "eth1".into(),
                remote: "eth1".into(),
            }],
            dhcp_stb_igmp_copy: true,
            priority: 100,
            upstream_join: true,
            // Twice the query interval.
            switch_back_delay: Duration::from_mins(2),
            dead_after: Duration::from_secs(1),
        }]
    );
    let master = profiles(&with("\"backup\"", "\"master\""));
    assert_eq!(master[0].priority, 150);
}

#[test]
fn every_key_is_read_and_written_back() {
    let text = file(
        r#"[[remote_backup_profile]]
name = "a"
role = "master"
listen = "192.0.2.1:7464"
peer = "192.0.2.2:7464"
tls = { cert = "/c.pem", key = "/k.pem", ca = "/ca.pem" }
interfaces = ["eth1", { local = "ppp0", remote = "ppp7" }]
dhcp_stb_igmp_copy = false
priority = 7
upstream_join = false
switch_back_delay = "3s"
dead_after = "500ms"

[[remote_backup_profile]]
name = "b"
role = "backup"
listen = "192.0.2.1:7465"
peer = "192.0.2.2:7465"
interfaces = ["ppp1"]
insecure = true
"#,
    );
    let config = parse(&text, "f.toml").unwrap();
    let [a, b] = &config.remote_backup_profiles[..] else {
        panic!("two profiles");
    };
    assert_eq!(a.interfaces[1].remote, "ppp7");
    assert!(a.maps("ppp0") && !a.maps("ppp7"));
    assert_eq!(a.tls.as_ref().unwrap().ca, PathBuf::from("/ca.pem"));
    assert!(!a.dhcp_stb_igmp_copy && !a.upstream_join);
    assert_eq!(
        (a.priority, a.switch_back_delay, a.dead_after),
        (7, Duration::from_secs(3), Duration::from_millis(500))
    );
    // Of the pattern that ppp1 matches.
    assert_eq!(b.switch_back_delay, Duration::from_secs(200));
    assert_eq!(config.interfaces[1].access, Some(Access::Pppoe));
    assert_eq!(config.interfaces[2].access, None);
    let again = crate::config::to_toml(&config.effective());
    let again = parse(&again, "f.toml").unwrap();
    assert_eq!(again.remote_backup_profiles, config.remote_backup_profiles);
    assert_eq!(again.interfaces[1].access, Some(Access::Pppoe));
}

#[test]
fn what_is_missing_is_named() {
    for (line, refused) in [
        (
            "name = \"stb\"\n",
            "f.toml:1: this profile has no name; add one, such as name = \"stb\"",
        ),
        (
            "role = \"backup\"\n",
            "f.toml:1: this profile has no role; add role = \"master\" or \"backup\"",
        ),
        (
            "listen = \"192.0.2.1:7464\"\n",
            "f.toml:1: this profile has no listen; add an address of this gateway, such as listen = \"192.0.2.1:7464\"",
        ),
        (
            "peer = \"192.0.2.2:7465\"\n",
            "f.toml:1: this profile has no peer; add the other gateway's, such as peer = \"192.0.2.2:7464\"",
        ),
        (
            "interfaces = [\"eth1\"]\n",
            "f.toml:1: this profile has no interfaces; add those that both gateways serve, such as interfaces = [\"eth1\"]",
        ),
        (
            "insecure = true\n",
            "f.toml:1: this profile has no tls; add tls = { cert = \"...\", key = \"...\", ca = \"...\" } (`igmpctl backup \
             keygen` makes them), or insecure = true where nobody else can reach the link",
        ),
    ] {
        assert_eq!(refusal(&with(line, "")), refused);
    }
    assert_eq!(
        refusal(&with(
            "insecure = true",
            "tls = { cert = \"/c\", key = \"/k\" }"
        )),
        "f.toml:7: tls has no ca; add it: `igmpctl backup keygen` makes all three"
    );
}

#[test]
fn what_cannot_be_is_refused() {
    for (line, instead, refused) in [
        (
            "\"backup\"",
            "\"both\"",
            "f.toml:3: \"both\" is no role of a gateway; write \"master\" or \"backup\"",
        ),
        (
            "name = \"stb\"",
            "name = \"a b\"",
            "f.toml:2: \"a b\" is no profile name; use up to 32 letters, digits, - and _",
        ),
        (
            "192.0.2.1:7464",
            "192.0.2.1",
            "f.toml:4: \"192.0.2.1\" is no address with a port; write an IPv4 address and a port, such as \"192.0.2.1:7464\"",
        ),
        (
            "192.0.2.1:7464",
            "0.0.0.0:7464",
            "f.toml:4: \"0.0.0.0:7464\" is not the address of one gateway; write an IPv4 address and a port, such as \
             \"192.0.2.1:7464\"",
        ),
        (
            "192.0.2.2:7465",
            "192.0.2.1:7464",
            "f.toml:5: peer is listen; write the other gateway's address",
        ),
        (
            "[\"eth1\"]",
            "[\"eth0\"]",
            "f.toml:6: eth0 is no downstream interface; add an [[interface]] for it: hosts join there",
        ),
        (
            "[\"eth1\"]",
            "[\"ppp9\"]",
            "f.toml:6: ppp9 is no downstream interface; add an [[interface]] for it: hosts join there",
        ),
        (
            "[\"eth1\"]",
            "[\"eth1\", { local = \"ppp1\", remote = \"eth1\" }]",
            "f.toml:6: eth1 on the peer is given twice; keep one of the two",
        ),
        (
            "[\"eth1\"]",
            "[\"ppp*\"]",
            "f.toml:6: \"ppp*\" is a pattern; name one interface here",
        ),
        (
            "[\"eth1\"]",
            "[{ local = \"eth1\" }]",
            "f.toml:6: this interface has no remote name; write { local = \"eth1\", remote = \"eth3\" }",
        ),
        (
            "insecure = true",
            "insecure = true\ntls = { cert = \"/c\", key = \"/k\", ca = \"/a\" }",
            "f.toml:7: insecure = true beside tls; keep one of the two",
        ),
        (
            "insecure = true",
            "insecure = true\ndead_after = \"100ms\"",
            "f.toml:8: dead_after is 100ms; write \"200ms\" to \"60s\" (the peer is silent for a quarter of it when all is well)",
        ),
    ] {
        assert_eq!(refusal(&with(line, instead)), refused);
    }
}

#[test]
fn profiles_are_checked_together() {
    let second = |name: &str, listen: &str, interface: &str, tls: &str| {
        refusal(&format!(
            "{PROFILE}[[remote_backup_profile]]\nname = \"{name}\"\nrole = \"master\"\nlisten = \"{listen}\"\n\
             peer = \"192.0.2.3:7464\"\ninterfaces = [\"{interface}\"]\n{tls}\n"
        ))
    };
    assert_eq!(
        second("stb", "192.0.2.1:7465", "ppp0", "insecure = true"),
        "f.toml:8: profile stb is given twice; keep one of the two"
    );
    assert_eq!(
        second("b", "192.0.2.1:7465", "eth1", "insecure = true"),
        "f.toml:8: eth1 is in profile stb already; an interface has one master: keep it in one profile"
    );
    assert_eq!(
        second("b", "192.0.2.1:7464", "ppp0", "insecure = true"),
        "f.toml:8: listen of b is that of profile stb; give each a port of its own"
    );
}
