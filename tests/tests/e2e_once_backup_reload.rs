//! Profiles change while igmpd runs, and roles outlive it.

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_tests::backup::intruder::{identity, openssl};
use igmp_tests::backup::{
    GATEWAYS, Gateway, PROFILE, Pair, endpoint, has_group_on, make_keys, memberships, profile,
    profile_named, reload, set_role, wait_for_role, wait_for_sync,
};
use igmp_tests::daemon::{Daemon, describe, igmpctl_at, rows};
use igmp_tests::events::Events;
use igmp_tests::host::assert_gapless;
use igmp_tests::scratch::ScratchDir;
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::Lan;
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);
const SOON: Duration = Duration::from_secs(10);
const BOTH: &str = "interfaces = [\"lan0\", \"lan1\"]";

/// Of the two LANs `stb` has one.
fn one_lan(pair: &Pair, gateway: Gateway) -> String {
    let config = pair.config(gateway, "", "");
    let changed = config.replace(BOTH, "interfaces = [\"lan0\"]");
    assert_ne!(changed, config);
    changed
}

/// And another profile, `iptv`, has the other.
fn one_each(pair: &Pair, gateway: Gateway) -> String {
    let stb = one_lan(pair, gateway);
    let at = stb.find("[[remote_backup_profile]]").expect("a profile");
    let iptv = stb[at..]
        .replace("\"stb\"", "\"iptv\"")
        .replace(":7464", ":7465")
        .replace("[\"lan0\"]", "[\"lan1\"]");
    stb + &iptv
}

/// Neither gateway has told anything of the profile.
fn assert_quiet(events: &[Events]) {
    for events in events {
        let told = events.all(|event| event["profile"] == PROFILE);
        assert!(told.is_empty(), "{told:?}");
    }
}

fn wait_for(daemon: &Daemon, name: &str, role: &str) {
    wait_until(&format!("{name} to be {role}, in sync"), SOON, || {
        let row = profile_named(daemon, name);
        (row["role"] == role && row["synced"] == true).then_some(())
    });
}

#[test]
fn a_profile_that_does_not_change_keeps_its_role_and_connection() {
    let pair = Pair::on(&[Lan::hosts(2); 2]);
    let (master, backup) = pair.start_as(&GATEWAYS.map(|gateway| one_lan(&pair, gateway)));
    let hosts = [0, 1].map(|lan| &pair.topology.lan_receivers(lan)[0]);
    let _members = hosts.map(|host| host.join(GROUP));
    wait_until("the backup to know one", SOON, || {
        has_group_on(&backup, "lan0", GROUP)
    });
    wait_until("the master to know both", SOON, || {
        has_group_on(&master, "lan1", GROUP)
    });
    let events = [&master, &backup].map(Daemon::events);

    // Another one comes in ...
    for (daemon, gateway) in [(&master, Gateway::Master), (&backup, Gateway::Backup)] {
        reload(daemon, &one_each(&pair, gateway));
    }
    wait_for(&master, "iptv", "master");
    wait_for(&backup, "iptv", "backup");
    assert!(has_group_on(&backup, "lan1", GROUP).is_some());
    assert_quiet(&events);

    // ... changes on one side only, which the other side has to hear of ...
    let changed = one_each(&pair, Gateway::Master).replace(
        "interfaces = [\"lan1\"]",
        "interfaces = [{ local = \"lan1\", remote = \"lan7\" }]",
    );
    reload(&master, &changed);
    wait_until("both to say that they disagree", SOON, || {
        let said = |daemon| {
            let last = profile_named(daemon, "iptv")["last_refusal"].clone();
            last.as_str()
                .is_some_and(|last| last.starts_with("interfaces: "))
        };
        (said(&master) && said(&backup)).then_some(())
    });
    assert_eq!(profile_named(&master, "iptv")["role"], "master");
    assert_eq!(profile_named(&backup, "iptv")["role"], "backup");
    assert_quiet(&events);
    reload(&master, &one_each(&pair, Gateway::Master));
    wait_for(&backup, "iptv", "backup");
    assert_quiet(&events);

    // ... and goes.
    for (daemon, gateway) in [(&backup, Gateway::Backup), (&master, Gateway::Master)] {
        reload(daemon, &one_lan(&pair, gateway));
        assert_eq!(rows(&daemon.ctl(&["show", "backup"])).len(), 1);
    }
    let _new = hosts[0].join(OTHER);
    wait_until("copies to go on", SOON, || {
        has_group_on(&backup, "lan0", OTHER)
    });
    assert_quiet(&events);
}

#[test]
fn an_interface_that_a_profile_gains_is_synchronised_and_roles_stay() {
    let pair = Pair::on(&[Lan::hosts(2); 2]);
    let (master, backup) = pair.start_as(&GATEWAYS.map(|gateway| one_lan(&pair, gateway)));
    let stream = StreamSpec::to(GROUP)
        .every(Duration::from_micros(200))
        .start(&pair.topology.source);
    let member = pair.topology.lan_receivers(1)[0].join(GROUP);
    member.wait_for_arrival(SOON);
    let events = [&master, &backup].map(Daemon::events);
    for (daemon, gateway) in [(&master, Gateway::Master), (&backup, Gateway::Backup)] {
        reload(daemon, &pair.config(gateway, "", ""));
    }
    wait_for_sync(&backup);
    wait_until("the backup to know", SOON, || {
        has_group_on(&backup, "lan1", GROUP)
    });
    assert_gapless(&member.arrivals_until(stream.sent(), SOON));
    for events in &events {
        let changed = events.all(|event| event["event"] == "backup-role");
        assert!(changed.is_empty(), "{changed:?}");
    }
}

#[test]
fn files_that_are_not_what_they_should_be_are_refused_by_name_and_nothing_changes() {
    let pair = Pair::new();
    let (master, backup) = pair.start("", "");
    let host = &pair.topology.receivers[0];
    let _member = host.join(GROUP);
    wait_until("the backup to know", SOON, || {
        has_group_on(&backup, "lan0", GROUP)
    });
    let events = [&master, &backup].map(Daemon::events);
    let good = pair.config(Gateway::Master, "", "");
    let keys = |gateway| pair.keys_of(gateway).display().to_string();
    let [own, other] = GATEWAYS.map(keys);
    for (file, instead) in [
        (
            format!("{own}/cert.pem"),
            "/nonexistent/cert.pem".to_owned(),
        ),
        (format!("{own}/key.pem"), format!("{other}/key.pem")),
        (format!("{own}/ca.pem"), format!("{own}/key.pem")),
    ] {
        // Something else changes as well, but not without the rest.
        let bad = good
            .replace(&format!("\"{file}\""), &format!("\"{instead}\""))
            .replace("role = \"master\"", "role = \"master\"\npriority = 7");
        master.rewrite_config(&bad);
        let output = master.ctl_output(&["reload"]);
        assert_eq!(output.status.code(), Some(1), "{}", describe(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Where certificate and key differ, it is the certificate that is named.
        let named = if file.ends_with("key.pem") {
            format!("{own}/cert.pem")
        } else {
            instead
        };
        assert!(said.contains(&named), "{said}");
        assert!(said.contains("nothing has changed"), "{said}");
        assert_eq!(profile(&master)["connected"], true);
    }
    let _new = host.join(OTHER);
    wait_until("copies to go on", SOON, || {
        has_group_on(&backup, "lan0", OTHER)
    });
    assert_quiet(&events);
}

#[test]
fn certificates_that_were_renewed_in_place_count_from_the_reload_on() {
    let pair = Pair::new();
    let (master, backup) = pair.start("", "");
    let _member = pair.topology.receivers[0].join(GROUP);
    wait_until("the backup to know", SOON, || {
        has_group_on(&backup, "lan0", GROUP)
    });
    let (old, new) = (ScratchDir::new(), ScratchDir::new());
    make_keys(new.path());
    for (gateway, name) in [(Gateway::Master, "a"), (Gateway::Backup, "b")] {
        let keys = pair.keys_of(gateway);
        for file in ["cert.pem", "key.pem", "ca.pem"] {
            fs::copy(keys.join(file), old.path().join(file)).expect("a file");
            fs::copy(new.path().join(name).join(file), keys.join(file)).expect("a file");
        }
    }
    let refused = |daemon: &Daemon| profile(daemon)["refused"]["tls"].as_u64().unwrap_or(0);
    master.ctl(&["reload"]);
    wait_until(
        "the backup to refuse what it does not know yet",
        SOON,
        || (refused(&backup) > 0).then_some(()),
    );
    assert_eq!(profile(&backup)["role"], "backup");
    assert_eq!(profile(&master)["role"], "master");
    backup.ctl(&["reload"]);
    wait_for_sync(&backup);
    assert_eq!(memberships(&backup), memberships(&master));

    // The old ones are worth nothing any more.
    let before = refused(&backup);
    let old = identity(old.path());
    let old = old.each_ref().map(|argument| &**argument);
    let from = pair.namespace(Gateway::Master);
    let heard = openssl(from, endpoint(Gateway::Backup), &old, b"");
    assert!(heard.stdout.is_empty(), "{heard:?}");
    wait_until("the old certificate to be refused", SOON, || {
        (refused(&backup) > before).then_some(())
    });
}

/// What keepalived's script does while igmpd is away.
#[track_caller]
fn set_role_while_it_is_down(daemon: &Daemon, role: &str) {
    let socket = daemon.control_socket();
    let output = igmpctl_at(&socket, &["backup", "set-role", PROFILE, role]);
    assert!(output.status.success(), "{}", describe(&output));
}

#[test]
fn a_role_outlives_igmpd_and_so_does_one_that_was_given_while_it_was_down() {
    let pair = Pair::new();
    let (mut master, mut backup) = pair.start("", "");
    let _member = pair.topology.receivers[0].join(GROUP);
    wait_until("the backup to know", SOON, || {
        has_group_on(&backup, "lan0", GROUP)
    });
    let [a, b] = GATEWAYS.map(|gateway| pair.namespace(gateway));
    let [config_a, config_b] = GATEWAYS.map(|gateway| pair.config(gateway, "", ""));

    // Nobody said anything: it is master again, and has lost nothing.
    master.end_process();
    master.start_again(a, &config_a);
    wait_for_role(&master, "master");
    wait_for_sync(&backup);
    assert!(has_group_on(&master, "lan0", GROUP).is_some());

    // The other one was made master meanwhile.
    master.end_process();
    set_role_while_it_is_down(&master, "backup");
    set_role(&backup, "master");
    let events = backup.events();
    master.start_again(a, &config_a);
    assert_eq!(profile(&master)["role"], "backup");
    wait_for_sync(&master);
    assert_eq!(profile(&master)["role"], "backup");
    assert_eq!(memberships(&master), memberships(&backup));

    // And that outlives it as well, against what is configured.
    backup.end_process();
    drop(events);
    backup.start_again(b, &config_b);
    wait_for_role(&backup, "master");
    wait_for_sync(&master);
    assert!(has_group_on(&backup, "lan0", GROUP).is_some());

    // A role that is configured anew counts for more than one that was kept.
    backup.end_process();
    let other = config_b.replace("role = \"backup\"", "role = \"master\"");
    set_role_while_it_is_down(&backup, "master");
    master.end_process();
    let other_a = config_a.replace("role = \"master\"", "role = \"backup\"");
    backup.start_again(b, &other);
    master.start_again(a, &other_a);
    wait_for_role(&backup, "master");
    wait_for_role(&master, "backup");
}
