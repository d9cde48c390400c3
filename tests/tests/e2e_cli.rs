//! Starting, refusing to start, stopping; and igmpctl's exit statuses.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Output;

use igmp_tests::daemon::{Daemon, describe, igmpctl_at, rows, run_igmpd};
use igmp_tests::netns::Namespace;
use igmp_tests::scratch::ScratchDir;
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{Lan, Topology};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
/// Exit statuses (design: 0 done, 1 failed, 2 bad usage or bad configuration).
const FAILED: i32 = 1;
const MISTAKE: i32 = 2;

#[test]
fn a_wrong_command_line_is_refused_in_one_line_and_leaves_nothing_attached() {
    let topology = Topology::new(&[Lan::host()]);
    for (arguments, place) in [
        (&["--iface", "lan0", "--frobnicate"][..], "--frobnicate"),
        (&["--iface"], "--iface"),
        (&["--iface", "lan0", "--iface", "lan0"], "lan0"),
        (&["--iface", "lan0", "--upstream", "lan0"], "lan0"),
        (&["--upstream", "wan0"], "--iface"),
        (&["--iface", "lan0", "--mode", "warp"], "warp"),
        (&["--iface", "lan0", "--log-level", "loud"], "loud"),
        (
            &["--config", "/nonexistent/igmpd.toml"],
            "/nonexistent/igmpd.toml",
        ),
    ] {
        let output = run_igmpd(&topology.gateway, arguments);
        assert_one_line_error(&output, MISTAKE, &[place]);
        assert_nothing_attached(&topology.gateway);
    }
}

#[test]
fn an_interface_that_is_not_there_is_refused() {
    let topology = Topology::new(&[Lan::host()]);
    let scratch = ScratchDir::new();
    let socket = scratch.path().join("control.sock");
    let socket = socket.to_str().expect("a plain path");
    let output = run_igmpd(
        &topology.gateway,
        &[
            "--iface",
            "lan0",
            "--iface",
            "nosuch0",
            "--control-socket",
            socket,
        ],
    );
    assert_one_line_error(&output, MISTAKE, &["nosuch0"]);
    assert_nothing_attached(&topology.gateway);
}

#[test]
fn a_wrong_configuration_is_refused_with_file_and_line_and_leaves_nothing_attached() {
    let topology = Topology::new(&[Lan::host()]);
    let scratch = ScratchDir::new();
    let good = topology.config("query_interval = \"10s\"\nquery_response_interval = \"2s\"");
    for (wrong, line, what) in [
        (
            good.replace("query_interval = \"10s\"", "query_intervall = \"10s\""),
            2,
            "query_intervall",
        ),
        (good.replace("\"10s\"", "\"10 parsecs\""), 2, "parsecs"),
        (
            good.replace("\"2s\"", "\"20s\""),
            3,
            "query_response_interval",
        ),
        (
            good.replace("\"downstream\"", "\"sideways\""),
            9,
            "sideways",
        ),
        (good.replace("\"lan0\"", "\"wan0\""), 7, "wan0"),
        (
            good.replace(
                "[[interface]]\nname = \"lan0\"",
                "[[interface]]\nname = lan0",
            ),
            8,
            "quoted",
        ),
    ] {
        assert_ne!(wrong, good);
        let file = scratch.path().join("igmpd.toml");
        fs::write(&file, &wrong).expect("the scratch directory is writable");
        let file = file.to_str().expect("a plain path");
        let output = run_igmpd(&topology.gateway, &["--config", file]);
        assert_one_line_error(&output, MISTAKE, &[&format!("{file}:{line}:"), what]);
        assert_nothing_attached(&topology.gateway);

        let checked = run_igmpd(&topology.gateway, &["--config", file, "--check"]);
        assert_one_line_error(&checked, MISTAKE, &[&format!("{file}:{line}:")]);
    }
}

#[test]
fn checking_a_good_configuration_starts_nothing() {
    let topology = Topology::new(&[Lan::host()]);
    let scratch = ScratchDir::new();
    let file = scratch.path().join("igmpd.toml");
    fs::write(&file, topology.config("")).expect("the scratch directory is writable");
    let output = run_igmpd(
        &topology.gateway,
        &["--config", file.to_str().expect("a plain path"), "--check"],
    );
    assert!(output.status.success(), "{}", describe(&output));
    assert_nothing_attached(&topology.gateway);
}

#[test]
fn a_device_without_native_xdp_is_refused_by_name_and_reason() {
    let topology = Topology::new(&[Lan::host()]);
    let scratch = ScratchDir::new();
    let socket = scratch.path().join("control.sock");
    let socket = socket.to_str().expect("a plain path");
    // The loopback device has no driver that could run XDP.
    let output = run_igmpd(
        &topology.gateway,
        &[
            "--iface",
            "lan0",
            "--iface",
            "lo",
            "--mode",
            "xdp-native",
            "--control-socket",
            socket,
        ],
    );
    assert_one_line_error(&output, FAILED, &["lo", "XDP"]);
    assert_nothing_attached(&topology.gateway);
    assert!(
        !Path::new(socket).exists(),
        "no control socket stays behind"
    );
}

#[test]
fn sigterm_ends_it_well_and_leaves_nothing_attached() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(""));
    for device in ["wan0", "lan0", "lan1"] {
        assert!(is_attached(&topology.gateway, device), "{device}");
    }
    // It stops in the middle of its work, not idle.
    let _stream = StreamSpec::to(GROUP).start(&topology.source);
    let subscription = topology.receivers[0].join(GROUP);
    subscription.wait_for_arrival(std::time::Duration::from_secs(2));

    let status = daemon.stop();
    assert_eq!(status.code(), Some(0));
    assert_nothing_attached(&topology.gateway);
}

#[test]
fn igmpctl_s_exit_status_tells_done_from_failed_from_mistaken() {
    let topology = Topology::new(&[Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(""));
    for show in ["interfaces", "groups", "flows", "counters"] {
        let output = daemon.ctl_output(&["show", show]);
        assert!(output.status.success(), "{}", describe(&output));
        let json = daemon.ctl(&["show", show]);
        assert!(json.is_array(), "{json:#}");
    }
    let interfaces = daemon.ctl(&["show", "interfaces"]);
    let names: Vec<&str> = rows(&interfaces)
        .iter()
        .filter_map(|row| row["name"].as_str())
        .collect();
    assert_eq!(names, ["wan0", "lan0"]);

    assert_one_line_error(
        &daemon.ctl_output(&["show", "gruops"]),
        MISTAKE,
        &["gruops"],
    );
    assert_one_line_error(
        &daemon.ctl_output(&["show", "groups", "--group", "1.2.3"]),
        MISTAKE,
        &["1.2.3"],
    );
    let nobody = ScratchDir::new();
    let socket = nobody.path().join("none.sock");
    let output = igmpctl_at(&socket, &["show", "groups"]);
    assert_one_line_error(
        &output,
        FAILED,
        &[socket.to_str().expect("a plain path"), "not running"],
    );
}

#[track_caller]
fn assert_one_line_error(output: &Output, status: i32, says: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{}", describe(output));
    assert_eq!(text.trim_end().lines().count(), 1, "one line, not:\n{text}");
    for word in says {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
    assert!(
        output.stdout.is_empty(),
        "errors go to standard error: {}",
        describe(output)
    );
}

#[track_caller]
fn assert_nothing_attached(namespace: &Namespace) {
    for device in ["wan0", "lan0", "lo"] {
        assert!(
            !is_attached(namespace, device),
            "something is still attached to {device}"
        );
    }
}

fn is_attached(namespace: &Namespace, device: &str) -> bool {
    namespace.programs(&[device]) > 0
}
