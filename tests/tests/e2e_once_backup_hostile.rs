//! Whoever is not the other gateway, or means something else than this one, is refused under a name of its own, changes
//! nothing, and does not keep the two gateways apart.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use igmp_tests::backup::faults::Paused;
use igmp_tests::backup::intruder::{Intruder, descriptors, identity, openssl};
use igmp_tests::backup::recording::Recording;
use igmp_tests::backup::wire::{self, Hello};
use igmp_tests::backup::{
    GATEWAYS, Gateway, PROFILE, Pair, endpoint, insecure, make_keys, memberships, profile,
    wait_for_role, wait_for_sync,
};
use igmp_tests::daemon::Daemon;
use igmp_tests::events::Events;
use igmp_tests::host::Subscription;
use igmp_tests::scratch::ScratchDir;
use igmp_tests::topology::{Topology, downstream};
use igmp_tests::wait::wait_until;
use serde_json::Value;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);
const SPECIFIC: Ipv4Addr = Ipv4Addr::new(232, 1, 1, 1);
const SOON: Duration = Duration::from_secs(10);
/// What a crowd of connections may cost a gateway while it lasts.
const MEMORY: u64 = 16 << 20;

/// A Hello that the backup would agree with.
const HELLO: Hello = Hello {
    version: 1,
    profile: PROFILE,
    nonce: 77,
    interfaces: &[("lan0", "lan0")],
    dead_after: 1_000,
};

/// Two gateways in sync, and the memberships of two hosts.
struct Scene {
    pair: Pair,
    master: Daemon,
    backup: Daemon,
    members: Vec<Subscription>,
}

impl Scene {
    fn new(configs: impl Fn(String) -> String) -> Self {
        Self::of(Pair::new(), configs)
    }

    fn of(pair: Pair, configs: impl Fn(String) -> String) -> Self {
        let (master, backup) =
            pair.start_as(&GATEWAYS.map(|gateway| configs(pair.config(gateway, "", ""))));
        let [h1, h2] = &pair.topology.receivers[..] else {
            panic!("two hosts");
        };
        let members = vec![h1.join(GROUP), h2.join_source(SPECIFIC, Topology::SOURCE)];
        wait_until("the backup to know both", SOON, || {
            has_group(&backup, GROUP).and(has_group(&backup, SPECIFIC))
        });
        Self {
            pair,
            master,
            backup,
            members,
        }
    }

    fn tls() -> Self {
        Self::new(|config| config)
    }

    fn insecure() -> Self {
        Self::new(|config| insecure(&config))
    }

    fn intruder(&self) -> Intruder {
        let from = self.pair.namespace(Gateway::Master);
        Intruder::connect(from, endpoint(Gateway::Backup))
    }

    /// While the master stands still, which its backup has noticed.
    fn without_master(&self) -> Paused {
        let paused = Paused::new(&self.master);
        wait_until("the backup to be alone", SOON, || {
            (profile(&self.backup)["connected"] == false).then_some(())
        });
        paused
    }

    /// The two are still a pair, and what a host says reaches both.
    #[track_caller]
    fn assert_in_step(&self) {
        wait_for_sync(&self.backup);
        wait_for_role(&self.master, "master");
        let member = self.pair.topology.receivers[0].join(OTHER);
        wait_until("both to know a new member", SOON, || {
            has_group(&self.master, OTHER).and(has_group(&self.backup, OTHER))
        });
        member.leave();
        wait_until("both to forget it", SOON, || {
            (memberships(&self.backup).len() == self.members.len()).then_some(())
        });
        assert_eq!(memberships(&self.backup), memberships(&self.master));
    }
}

/// What must not change.
#[derive(Debug, PartialEq)]
struct Kept {
    memberships: Vec<Value>,
    role: Value,
}

impl Kept {
    fn by(daemon: &Daemon) -> Self {
        Self {
            memberships: memberships(daemon),
            role: profile(daemon)["role"].clone(),
        }
    }
}

fn has_group(daemon: &Daemon, group: Ipv4Addr) -> Option<()> {
    daemon.group(&downstream(0), group).map(|_| ())
}

fn refused(daemon: &Daemon) -> BTreeMap<String, u64> {
    serde_json::from_value(profile(daemon)["refused"].clone()).expect("counts by reason")
}

fn connections_lost(events: &Events) -> usize {
    let lost = events.all(|event| event["event"] == "backup-disconnected");
    lost.len()
}

/// Waits until a gateway has refused for this reason once more than `before`, and returns what has been counted since.
#[track_caller]
fn wait_for_refusal(daemon: &Daemon, before: &BTreeMap<String, u64>, reason: &str) {
    let count = |counts: &BTreeMap<String, u64>| counts.get(reason).copied().unwrap_or(0);
    wait_until(&format!("a refusal as {reason}"), SOON, || {
        (count(&refused(daemon)) > count(before)).then_some(())
    });
}

/// Octets, the reason they are refused for, and whether whoever sent them is told.
fn bad_octets() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let hello = HELLO.record();
    let then = |record: &[u8]| [&hello, record].concat();
    let cut_short = wire::record(1, b"igmR\x01\x03st");
    vec![
        ("text", b"GET / HTTP/1.1\r\n\r\n".to_vec(), "too_long"),
        ("noise", wire::record(0xaa, &[0x55; 64]), "unknown_type"),
        ("4 GiB", vec![0xff; 4096], "too_long"),
        ("half a Hello", cut_short, "malformed"),
        ("another magic", wire::record(1, b"GRmi\x01"), "not_hello"),
        ("no Hello", wire::stamped(1, 0, &[5]), "not_hello"),
        (
            "version 2",
            wire::record(1, b"igmR\x02 whatever version 2 may have here"),
            "version",
        ),
        (
            "version 0",
            Hello {
                version: 0,
                ..HELLO
            }
            .record(),
            "version",
        ),
        (
            "another profile",
            Hello {
                profile: "iptv",
                ..HELLO
            }
            .record(),
            "profile",
        ),
        (
            "other interfaces",
            Hello {
                interfaces: &[("lan0", "lan1")],
                ..HELLO
            }
            .record(),
            "interfaces",
        ),
        (
            "keepalives every 2 ms",
            Hello {
                dead_after: 10,
                ..HELLO
            }
            .record(),
            "dead_after",
        ),
        // Role, as a master; its nonce can only be guessed.
        (
            "a forged record",
            then(&wire::stamped(4711, 0, &[0, 5, 1, 9, 0])),
            "nonce",
        ),
    ]
}

#[test]
fn octets_that_are_no_peers_are_refused_by_name_and_change_nothing() {
    let scene = Scene::insecure();
    let kept = Kept::by(&scene.backup);
    for (what, octets, reason) in bad_octets() {
        let alone = scene.without_master();
        let before = refused(&scene.backup);
        let mut intruder = scene.intruder();
        intruder.say(&octets);
        let told = wire::refused_because(&intruder.hear());
        wait_for_refusal(&scene.backup, &before, reason);
        assert_eq!(told.as_deref(), Some(reason), "{what}");
        assert_eq!(Kept::by(&scene.backup), kept, "{what}");
        let last = profile(&scene.backup)["last_refusal"].clone();
        let last = last.as_str().expect("a text");
        assert!(last.starts_with(&format!("{reason}: ")), "{what}: {last}");
        drop(alone);
        wait_for_sync(&scene.backup);
    }
    scene.assert_in_step();
}

#[test]
fn a_record_of_4_gib_costs_no_memory() {
    let scene = Scene::insecure();
    let _alone = scene.without_master();
    let memory = scene.backup.resident_memory();
    let before = refused(&scene.backup);
    let mut intruder = scene.intruder();
    // The gateway closes long before it has heard all of it.
    let all = (0..1024).all(|_| intruder.say(&[0xff; 64 << 10]));
    assert!(!all, "64 MiB were taken");
    wait_for_refusal(&scene.backup, &before, "too_long");
    let grown = scene.backup.resident_memory().saturating_sub(memory);
    assert!(grown < MEMORY, "{grown} octets more");
}

#[test]
fn who_says_nothing_or_only_a_hello_is_closed() {
    let scene = Scene::insecure();
    let alone = scene.without_master();
    for words in [Vec::new(), HELLO.record(), HELLO.record()[..10].to_vec()] {
        let mut intruder = scene.intruder();
        intruder.say(&words);
        intruder.hear();
        assert_eq!(profile(&scene.backup)["connected"], false);
    }
    // Our own words: what the gateway says first.
    let before = refused(&scene.backup);
    let mut mirror = scene.intruder();
    let said = mirror.hear_record();
    mirror.say(&said);
    mirror.hear();
    wait_for_refusal(&scene.backup, &before, "reflected");
    drop(alone);
    scene.assert_in_step();
}

/// Nobody takes the place of a peer that is there: whoever comes from its address is turned away.
#[test]
fn a_second_connection_does_not_take_the_peers_place() {
    let scene = Scene::insecure();
    let (kept, before) = (Kept::by(&scene.backup), refused(&scene.backup));
    let events = scene.backup.events();
    for words in [Vec::new(), HELLO.record(), vec![0xff; 64]] {
        let mut intruder = scene.intruder();
        intruder.say(&words);
        intruder.hear();
    }
    let counted = wait_until("all three to be counted", SOON, || {
        let count = refused(&scene.backup).get("already_connected").copied();
        (count == Some(3)).then_some(refused(&scene.backup))
    });
    assert_eq!(counted.len(), before.len() + 1, "{counted:?}");
    assert_eq!(Kept::by(&scene.backup), kept);
    scene.assert_in_step();
    assert_eq!(connections_lost(&events), 0);
    let _alone = scene.without_master();
    wait_until("the master's end to be told", SOON, || {
        (connections_lost(&events) == 1).then_some(())
    });
}

/// What the other side of a connection is told that igmpd itself makes.
#[test]
fn a_peer_of_another_version_is_told_and_its_refusal_is_shown() {
    let Scene {
        pair,
        master,
        backup,
        members,
    } = Scene::insecure();
    backup.kill();
    let kept = Kept::by(&master);
    let listen = || TcpListener::bind(endpoint(Gateway::Backup));
    let listener = pair.namespace(Gateway::Backup).enter(listen);
    let listener = listener.expect("the backup's address");

    let before = refused(&master);
    let mut newer = Intruder::accept(&listener);
    newer.say(&wire::record(1, b"igmR\x02"));
    assert_eq!(
        wire::refused_because(&newer.hear()).as_deref(),
        Some("version")
    );
    wait_for_refusal(&master, &before, "version");

    // And the other way round: an older one does not know ours.
    let counted = refused(&master);
    let mut older = Intruder::accept(&listener);
    older.hear_record();
    older.say(&wire::refusal("version", "version 0 here,\x1b[2J 1 there"));
    older.hear();
    let last = wait_until("the peer's refusal to be shown", SOON, || {
        let last = profile(&master)["last_refusal"].as_str()?.to_owned();
        last.contains("by the peer").then_some(last)
    });
    assert_eq!(
        last,
        "version (by the peer): version 0 here,\u{fffd}[2J 1 there"
    );
    assert_eq!(refused(&master), counted, "that was not this one's refusal");
    assert_eq!(Kept::by(&master), kept);
    drop(listener);

    let config = insecure(&pair.config(Gateway::Backup, "", ""));
    let backup = Daemon::start_with(pair.namespace(Gateway::Backup), &config, "info");
    wait_for_sync(&backup);
    assert_eq!(memberships(&backup), memberships(&master));
    assert_eq!(memberships(&backup).len(), members.len());
}

#[test]
fn certificates_of_another_authority_none_and_older_tls_are_refused() {
    let scene = Scene::tls();
    let (others, kept) = (ScratchDir::new(), Kept::by(&scene.backup));
    make_keys(others.path());
    let [foreign, own] =
        [others.path().join("a"), scene.pair.keys_of(Gateway::Master)].map(|keys| identity(&keys));
    let [foreign, own] = [&foreign, &own].map(|identity| identity.each_ref().map(|it| &**it));
    let events = scene.backup.events();
    for (what, arguments) in [
        ("no certificate", &[][..]),
        ("another authority's", &foreign),
        ("TLS 1.2", &[&own[..], &["-tls1_2"]].concat()),
    ] {
        let before = refused(&scene.backup);
        let from = scene.pair.namespace(Gateway::Master);
        let to = endpoint(Gateway::Backup);
        let heard = openssl(from, to, arguments, &HELLO.record());
        assert!(heard.stdout.is_empty(), "{what}: {heard:?}");
        wait_for_refusal(&scene.backup, &before, "tls");
        assert_eq!(Kept::by(&scene.backup), kept, "{what}");
    }
    let before = refused(&scene.backup);
    let mut plain = scene.intruder();
    plain.say(&HELLO.record());
    plain.hear();
    wait_for_refusal(&scene.backup, &before, "tls");
    assert_eq!(Kept::by(&scene.backup), kept);
    scene.assert_in_step();
    assert_eq!(connections_lost(&events), 0);

    // With the right one it is heard: that is what made the difference.
    let alone = scene.without_master();
    let from = scene.pair.namespace(Gateway::Master);
    let newer = wire::record(1, b"igmR\x02");
    let heard = openssl(from, endpoint(Gateway::Backup), &own, &newer);
    assert_eq!(
        wire::refused_because(&heard.stdout).as_deref(),
        Some("version")
    );
    drop(alone);
    scene.assert_in_step();
}

#[test]
fn a_gateway_with_other_keys_is_refused_on_both_sides_until_it_has_the_right_ones() {
    let Scene {
        pair,
        master,
        backup,
        members,
    } = Scene::tls();
    let kept = Kept::by(&backup);
    master.kill();
    let (others, before) = (ScratchDir::new(), refused(&backup));
    make_keys(others.path());
    let config = pair.config_with_keys_of(Gateway::Master, &others.path().join("a"), "", "");
    let namespace = pair.namespace(Gateway::Master);
    let impostor = Daemon::start_with(namespace, &config, "info");
    wait_for_refusal(&backup, &before, "tls");
    wait_for_refusal(&impostor, &BTreeMap::new(), "tls");
    assert_eq!(profile(&impostor)["connected"], false);
    assert_eq!(Kept::by(&backup), kept);
    impostor.kill();

    let config = pair.config(Gateway::Master, "", "");
    let master = Daemon::start_with(namespace, &config, "info");
    wait_for_role(&master, "master");
    wait_for_sync(&backup);
    wait_until("both to hold the same", SOON, || {
        (memberships(&master) == memberships(&backup)).then_some(())
    });
    assert_eq!(memberships(&backup).len(), members.len());
}

/// A session in which a host joined and left, played back.
fn play_back(configs: impl Fn(String) -> String, reason: &str) {
    let pair = Pair::new();
    let recording = Recording::start(pair.namespace(Gateway::Master));
    let scene = Scene::of(pair, configs);
    scene.assert_in_step();
    let octets = recording.of_master();
    let kept = Kept::by(&scene.backup);

    let (alone, before) = (scene.without_master(), refused(&scene.backup));
    let mut intruder = scene.intruder();
    intruder.say(&octets);
    intruder.hear();
    wait_for_refusal(&scene.backup, &before, reason);
    assert_eq!(Kept::by(&scene.backup), kept);
    assert_eq!(profile(&scene.backup)["connected"], false);
    drop(alone);
    scene.assert_in_step();
}

#[test]
fn a_session_in_the_clear_cannot_be_played_back() {
    play_back(|config| insecure(&config), "nonce");
}

#[test]
fn a_session_in_tls_cannot_be_played_back() {
    play_back(|config| config, "tls");
}

#[test]
fn strangers_are_turned_away_at_once() {
    let scene = Scene::insecure();
    let kept = Kept::by(&scene.backup);
    let (before, began) = (refused(&scene.backup), Instant::now());
    let from = &scene.pair.topology.source.namespace;
    let mut stranger = Intruder::connect(from, endpoint(Gateway::Backup));
    assert!(stranger.hear().is_empty(), "it is told nothing");
    // Not after a time out: the shortest of them is a second.
    assert!(began.elapsed() < Duration::from_millis(900));
    wait_for_refusal(&scene.backup, &before, "not_the_peer");
    assert_eq!(Kept::by(&scene.backup), kept);
    // The side that connects has no door at all.
    let refused = Intruder::try_connect(from, endpoint(Gateway::Master));
    assert!(refused.is_err(), "{refused:?}");
    scene.assert_in_step();
}

/// Crowds of 1,000 from the peer's address and from another, that say nothing.
fn stand_in_the_door(configs: impl Fn(String) -> String) {
    let scene = Scene::new(configs);
    let kept = Kept::by(&scene.backup);
    let (memory, files) = (scene.backup.resident_memory(), descriptors(&scene.backup));
    let to = endpoint(Gateway::Backup);
    let stranger = &scene.pair.topology.source.namespace;
    let alone = scene.without_master();
    let crowds = [scene.pair.namespace(Gateway::Master), stranger]
        .map(|from| Intruder::crowd(1_000, from, to));
    drop(alone);
    let began = Instant::now();
    wait_for_sync(&scene.backup);
    println!("in sync after {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(Kept::by(&scene.backup), kept);
    // 64 handshakes at most.
    let open = descriptors(&scene.backup);
    assert!(open <= files + 70, "{files} descriptors, then {open}");
    let grown = scene.backup.resident_memory().saturating_sub(memory);
    assert!(grown < MEMORY, "{grown} octets more");
    scene.assert_in_step();
    drop(crowds);
    wait_until("the crowd to be forgotten", SOON, || {
        (descriptors(&scene.backup) <= files + 2).then_some(())
    });
}

#[test]
fn a_thousand_half_open_connections_do_not_stop_the_peer() {
    stand_in_the_door(|config| config);
}

#[test]
fn nor_do_they_where_there_is_no_tls() {
    stand_in_the_door(|config| insecure(&config));
}

#[test]
fn gateways_that_mean_different_things_refuse_each_other_and_both_say_why() {
    let scene = Scene::tls();
    let kept = Kept::by(&scene.backup);
    let config = scene.pair.config(Gateway::Master, "", "");
    let lan0 = "interfaces = [\"lan0\"]";
    for (change, to, reason) in [
        (
            lan0,
            "interfaces = [{ local = \"lan0\", remote = \"lan9\" }]",
            "interfaces: ",
        ),
        ("name = \"stb\"", "name = \"iptv\"", "profile: "),
    ] {
        let changed = config.replace(change, to);
        assert_ne!(changed, config);
        scene.master.rewrite_config(&changed);
        scene.master.ctl(&["reload"]);
        for daemon in [&scene.master, &scene.backup] {
            wait_until(&format!("{reason} to be shown"), SOON, || {
                let last = profile(daemon)["last_refusal"].as_str()?.to_owned();
                last.starts_with(reason).then_some(())
            });
            assert_eq!(profile(daemon)["connected"], false);
        }
        assert_eq!(Kept::by(&scene.backup), kept, "{reason}");
        scene.master.rewrite_config(&config);
        scene.master.ctl(&["reload"]);
        scene.assert_in_step();
    }
}
