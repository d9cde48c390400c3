//! Whoever is not the other gateway, or means something else than this one, is refused under a name of its own, changes
//! nothing, and does not keep the two gateways apart.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use igmp_tests::backup::intruder::{Intruder, descriptors};
use igmp_tests::backup::recording::Recording;
use igmp_tests::backup::scene::{
    Kept, Scene, connections_lost, last_refusal, refused, wait_for_refusal,
};
use igmp_tests::backup::wire::{self, Hello};
use igmp_tests::backup::{
    Gateway, PROFILE, Pair, endpoint, insecure, memberships, profile, wait_for_sync,
};
use igmp_tests::daemon::Daemon;
use igmp_tests::wait::wait_until;

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
        let last = last_refusal(&scene.backup);
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
    let some = vec![0xff; 64 << 10];
    let all = (0..1024).all(|_| intruder.say(&some));
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
    // An octet now and then is no sign of life: the record that they begin would take minutes.
    let mut slow = scene.intruder();
    slow.say(&[0, 1, 0, 0]);
    wait_until("the slow one to be closed", SOON, || {
        (!slow.say(&[1])).then_some(())
    });
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

/// Connections from the peer's own address, without an end, each of which pushes an older one out of the door.
#[test]
fn a_stream_of_connections_does_not_stop_the_peer() {
    let scene = Scene::tls();
    let (kept, memory) = (Kept::by(&scene.backup), scene.backup.resident_memory());
    let (alone, before) = (scene.without_master(), refused(&scene.backup));
    let from = scene.pair.namespace(Gateway::Master);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let attack = scope.spawn(|| {
            let (mut crowd, began) = (VecDeque::new(), Instant::now());
            while !is_over.load(Ordering::Relaxed) && began.elapsed() < 3 * SOON {
                crowd.extend(Intruder::crowd(50, from, endpoint(Gateway::Backup)));
                crowd.drain(..crowd.len().saturating_sub(1_000));
            }
        });
        wait_for_refusal(&scene.backup, &before, "too_many_handshakes");
        drop(alone);
        let began = Instant::now();
        wait_for_sync(&scene.backup);
        println!("in sync after {:?}", began.elapsed());
        is_over.store(true, Ordering::Relaxed);
        attack.join().expect("the gateway still listens");
    });
    println!("refused: {:?}", refused(&scene.backup));
    assert_eq!(Kept::by(&scene.backup), kept);
    let grown = scene.backup.resident_memory().saturating_sub(memory);
    assert!(grown < MEMORY, "{grown} octets more");
    scene.assert_in_step();
}
