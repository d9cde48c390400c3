//! Only the gateway whose certificate the authority of the pair has signed is the peer, and only if it means the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use igmp_tests::backup::intruder::{identity, openssl};
use igmp_tests::backup::scene::{
    Kept, Scene, connections_lost, last_refusal, refused, wait_for_refusal,
};
use igmp_tests::backup::{
    Gateway, Pair, endpoint, make_keys, memberships, profile, reload, wait_for_role, wait_for_sync,
    wire,
};
use igmp_tests::daemon::Daemon;
use igmp_tests::scratch::ScratchDir;
use igmp_tests::wait::wait_until;

const SOON: Duration = Duration::from_secs(10);

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
        let heard = openssl(from, to, arguments, b"igmR");
        assert!(heard.stdout.is_empty(), "{what}: {heard:?}");
        wait_for_refusal(&scene.backup, &before, "tls");
        assert_eq!(Kept::by(&scene.backup), kept, "{what}");
    }
    let before = refused(&scene.backup);
    let mut plain = scene.intruder();
    plain.say(b"igmR");
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
    assert!(last_refusal(&backup).starts_with("tls: "));
    assert!(last_refusal(&impostor).contains("invalid peer certificate"));
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

/// One trusts both authorities already, the other only that of its own certificate.
#[test]
fn a_gateway_whose_certificate_only_the_other_one_refuses_says_so_too() {
    let (pair, others, both) = (Pair::new(), ScratchDir::new(), ScratchDir::new());
    make_keys(others.path());
    let own = pair.keys_of(Gateway::Master);
    for file in ["cert.pem", "key.pem"] {
        fs::copy(own.join(file), both.path().join(file)).expect("a file");
    }
    let authorities = [&own, &others.path().join("b")]
        .map(|keys| fs::read_to_string(keys.join("ca.pem")).expect("a file"));
    fs::write(both.path().join("ca.pem"), authorities.concat()).expect("a file");
    let start = |gateway, keys: &Path| {
        let config = pair.config_with_keys_of(gateway, keys, "", "");
        Daemon::start_with(pair.namespace(gateway), &config, "info")
    };
    let master = start(Gateway::Master, both.path());
    let backup = start(Gateway::Backup, &others.path().join("b"));
    for daemon in [&master, &backup] {
        wait_for_refusal(daemon, &BTreeMap::new(), "tls");
        assert_eq!(profile(daemon)["connected"], false);
    }
    assert!(last_refusal(&master).starts_with("tls: by the peer: "));
    assert!(last_refusal(&backup).contains("invalid peer certificate"));
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
        reload(&scene.master, &changed);
        for daemon in [&scene.master, &scene.backup] {
            wait_until(&format!("{reason} to be shown"), SOON, || {
                let last = profile(daemon)["last_refusal"].as_str()?.to_owned();
                last.starts_with(reason).then_some(())
            });
            assert_eq!(profile(daemon)["connected"], false);
        }
        assert_eq!(Kept::by(&scene.backup), kept, "{reason}");
        reload(&scene.master, &config);
        scene.assert_in_step();
    }
}
