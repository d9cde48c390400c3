//! Where igmpd cannot pin what is to outlive it, it does not start, says what to do, and leaves nothing.

use std::fs;
use std::path::Path;

use igmp_tests::bpffs::Bpffs;
use igmp_tests::daemon::{Daemon, describe, run_igmpd};
use igmp_tests::netns::Namespace;
use igmp_tests::scratch::ScratchDir;
use igmp_tests::topology::{Lan, Topology};

/// Starts igmpd, which must refuse with status 1 and a line that says all of this.
#[track_caller]
fn assert_refused(gateway: &Namespace, config: &str, expected: &[&str]) {
    let scratch = ScratchDir::new();
    let file = scratch.path().join("igmpd.toml");
    let socket = scratch.path().join("control.sock");
    fs::write(&file, config).expect("the scratch directory is writable");
    let [file, socket_path] = [&file, &socket].map(|path| path.to_str().expect("a plain path"));
    let output = run_igmpd(
        gateway,
        &["--config", file, "--control-socket", socket_path],
    );
    assert_eq!(output.status.code(), Some(1), "{}", describe(&output));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = said
        .lines()
        .find(|line| line.starts_with("igmpd: "))
        .unwrap_or_else(|| panic!("no reason: {said}"));
    for expected in expected {
        assert!(line.contains(expected), "{expected} is not in: {line}");
    }
    assert!(!said.contains("ready"));
    assert!(!socket.exists());
    for device in ["wan0", "lan0"] {
        let shown = gateway.run(&["ip", "-d", "link", "show", device]);
        assert!(!shown.contains("prog/xdp"), "{shown}");
    }
}

fn config(topology: &Topology, pin_path: &Path) -> String {
    format!(
        "[daemon]\npersist = true\npin_path = \"{}\"\n{}",
        pin_path.display(),
        topology.config("")
    )
}

#[test]
fn a_path_outside_of_a_bpffs() {
    let topology = Topology::new(&[Lan::host()]);
    let scratch = ScratchDir::new();
    let pin_path = scratch.path().join("igmpd");
    let remedy = format!("run `mount -t bpf bpf {}`", scratch.path().display());
    let expected = ["is in no BPF filesystem", &remedy];
    assert_refused(&topology.gateway, &config(&topology, &pin_path), &expected);
    assert!(!pin_path.exists());
    // The same where it is absent altogether; the usual place is mounted as a whole.
    assert_refused(
        &topology.gateway,
        &config(&topology, Path::new("/nowhere/igmpd")),
        &["run `mount -t bpf bpf /nowhere`"],
    );
}

#[test]
fn what_igmpd_did_not_make() {
    let topology = Topology::new(&[Lan::host()]);
    for foreign in ["cake", "v2-1/cake", "links-1/cake", "links-1/tc-seven"] {
        let bpffs = Bpffs::new();
        let path = bpffs.pin_path().join(foreign);
        fs::create_dir_all(&path).expect("a bpffs has directories");
        let expected = format!("{} is not igmpd's", path.display());
        assert_refused(
            &topology.gateway,
            &config(&topology, &bpffs.pin_path()),
            &[&expected],
        );
        assert!(path.exists());
    }
}

#[test]
fn programs_of_another_network_namespace() {
    let topology = Topology::new(&[Lan::host()]);
    let bpffs = Bpffs::new();
    fs::create_dir_all(bpffs.pin_path().join("links-1")).expect("a bpffs has directories");
    assert_refused(
        &topology.gateway,
        &config(&topology, &bpffs.pin_path()),
        &["another network namespace", "igmpctl detach"],
    );
}

#[test]
fn pins_of_a_running_igmpd() {
    let first = Topology::new(&[Lan::host()]);
    let second = Topology::new(&[Lan::host()]);
    let bpffs = Bpffs::new();
    let daemon = Daemon::start(&first.gateway, &config(&first, &bpffs.pin_path()));
    let pins = bpffs.pins();
    assert_refused(
        &second.gateway,
        &config(&second, &bpffs.pin_path()),
        &["an igmpd is running with these pins"],
    );
    assert_eq!(bpffs.pins(), pins);
    drop(daemon);
}

#[test]
fn an_igmpd_that_does_not_start_leaves_no_pins() {
    let topology = Topology::new(&[Lan::host()]);
    let bpffs = Bpffs::new();
    let with_loopback = format!(
        "{}[[interface]]\nname = \"lo\"\nrole = \"downstream\"\nmode = \"xdp-native\"\n",
        config(&topology, &bpffs.pin_path())
    );
    // The loopback device has no driver that could run XDP.
    assert_refused(&topology.gateway, &with_loopback, &["lo: "]);
    assert!(!bpffs.pin_path().exists(), "{:?}", bpffs.pins());
}
