//! A running igmpd takes over another configuration: what changed changes, what did not sees nothing.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use igmp_tests::capture::Capture;
use igmp_tests::daemon::{Daemon, describe, rows};
use igmp_tests::host::Arrival;
use igmp_tests::netns::Namespace;
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{Lan, Topology};
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const SOON: Duration = Duration::from_secs(3);
const A_WHILE: Duration = Duration::from_millis(200);
/// One access list; `group_policy` names it.
const LIST_A: &str =
    "[[acl]]\nnumber = 2000\nrules = [{ action = \"permit\", group = \"239.1.0.0/16\" }]\n";

/// The topology's configuration with these lines below `lan0`, and these below everything.
fn config(topology: &Topology, lan0: &str, rest: &str) -> String {
    let config = topology.config("");
    let below = "name = \"lan0\"\nrole = \"downstream\"\n";
    let changed = config.replace(below, &format!("{below}{lan0}\n"));
    assert!(lan0.is_empty() || changed != config);
    format!("{changed}{rest}")
}

#[track_caller]
fn reload(daemon: &Daemon, config: &str) -> String {
    daemon.rewrite_config(config);
    let output = daemon.ctl_output(&["reload"]);
    assert!(output.status.success(), "{}", describe(&output));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn lists_and_the_policies_that_name_them_change_together_and_no_member_notices() {
    let topology = Topology::new(&[Lan::host()]);
    let member = &topology.receivers[0];
    let by_number = config(&topology, "group_policy = 2000", LIST_A);
    let daemon = Daemon::start(&topology.gateway, &by_number);
    let wire = member.capture();
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let subscription = member.join(GROUP);
    subscription.wait_for_arrival(SOON);
    let after = wire.from_now();

    // The old list goes, and with it the one reference to it; another comes.
    let list =
        "[[acl]]\nname = \"iptv\"\nrules = [{ action = \"permit\", group = \"239.0.0.0/8\" }]\n";
    let by_name = config(&topology, "group_policy = \"iptv\"", list);
    let printed = reload(&daemon, &by_name);
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "~ interface lan0: group_policy: 2000 -> \"iptv\"",
            "- acl 2000: 1 rules",
            "+ acl iptv: 1 rules",
        ]
    );
    assert_gapless(&subscription.arrivals_until(stream.sent() + 50, SOON));
    after.assert_none("a query", Duration::ZERO, |frame| {
        frame.received_igmp(|message| message.asks_about(GROUP) || message.is_general_query())
    });
}

#[test]
fn a_policy_that_denies_applies_at_once_and_only_where_it_stands() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let [denied, neighbour] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let daemon = Daemon::start(&topology.gateway, &config(&topology, "", ""));
    let wire = denied.capture();
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let (cut, kept) = (denied.join(GROUP), neighbour.join(GROUP));
    cut.wait_for_arrival(SOON);
    kept.wait_for_arrival(SOON);

    // A list that is not there denies all, and says so.
    let printed = reload(&daemon, &config(&topology, "group_policy = 2000", ""));
    assert!(
        printed.contains(
            "warning: group_policy of lan0: acl 2000 does not exist; hosts there may join nothing"
        ),
        "{printed}"
    );
    assert_no_more_copies(&wire);
    let flows = daemon.ctl(&["show", "flows"]);
    let outputs: Vec<_> = rows(&flows).iter().map(|flow| &flow["outputs"]).collect();
    assert_eq!(outputs, [&serde_json::json!(["lan1"])]);
    assert_gapless(&kept.arrivals_until(stream.sent(), SOON));
    let acls = daemon.ctl(&["show", "acl"]);
    assert_eq!(acls[0]["defined"], false);
    assert_eq!(acls[0]["used_by"][0], "lan0 group_policy");
}

#[test]
fn interfaces_come_and_go() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let [first, second] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let both = topology.config("");
    let without = both.replace(
        "[[interface]]\nname = \"lan1\"\nrole = \"downstream\"\n",
        "",
    );
    assert_ne!(both, without);
    let daemon = Daemon::start(&topology.gateway, &without);
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let kept = first.join(GROUP);
    kept.wait_for_arrival(SOON);
    assert!(!is_attached(&topology.gateway, "lan1"));

    let printed = reload(&daemon, &both);
    assert!(
        printed.starts_with("+ interface lan1: downstream\n"),
        "{printed}"
    );
    let subscription = second.join(GROUP);
    subscription.wait_for_arrival(SOON);

    let wire = second.capture();
    let printed = reload(&daemon, &without);
    assert!(
        printed.starts_with("- interface lan1: downstream\n"),
        "{printed}"
    );
    assert!(!is_attached(&topology.gateway, "lan1"));
    let interfaces = daemon.ctl(&["show", "interfaces"]);
    let names: Vec<_> = rows(&interfaces).iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["wan0", "lan0"]);
    assert_no_more_copies(&wire);
    // And once more: what it left behind is not in its own way.
    reload(&daemon, &both);
    assert!(is_attached(&topology.gateway, "lan1"));
    assert_gapless(&kept.arrivals_until(stream.sent(), SOON));
}

#[test]
fn the_upstream_moves_to_another_interface() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let roles = |wan0: &str, lan1: &str| {
        format!(
            "[[interface]]\nname = \"wan0\"\nrole = \"{wan0}\"\n[[interface]]\nname = \"lan0\"\nrole = \"downstream\"\n\
             [[interface]]\nname = \"lan1\"\nrole = \"{lan1}\"\n"
        )
    };
    let daemon = Daemon::start(&topology.gateway, &roles("upstream", "downstream"));
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let subscription = topology.receivers[0].join(GROUP);
    subscription.wait_for_arrival(SOON);
    reload(&daemon, &roles("downstream", "upstream"));
    let interfaces = daemon.ctl(&["show", "interfaces"]);
    let state: Vec<_> = rows(&interfaces)
        .iter()
        .map(|row| (&row["role"], row["querier_is_self"] == true))
        .collect();
    assert_eq!(
        state,
        [
            (&"downstream".into(), true),
            (&"downstream".into(), true),
            (&"upstream".into(), false),
        ]
    );
    // What comes in on a downstream interface goes to the members on the others (RFC 4605 section 4.1).
    assert_gapless(&subscription.arrivals_until(stream.sent() + 50, SOON));
}

#[test]
fn what_is_not_good_changes_nothing() {
    let topology = Topology::new(&[Lan::host()]);
    let good = config(&topology, "max_groups = 10", "");
    let daemon = Daemon::start(&topology.gateway, &good);
    let before = daemon.ctl(&["show", "config"]);
    let file = daemon.rewrite_config("").display().to_string();
    for (config, expected) in [
        (
            good.replace("max_groups = 10", "max_groups = 20\nmax_gruops = 30"),
            "unknown key max_gruops",
        ),
        (
            format!("[datapath]\nmax_flows = 7\n{good}"),
            "datapath.max_flows cannot change while igmpd runs (65536 -> 7); restart igmpd, or put it back",
        ),
        // It has no native XDP.
        (
            format!(
                "{good}[[interface]]\nname = \"lo\"\nrole = \"downstream\"\nmode = \"xdp-native\"\n"
            )
            .replace("max_groups = 10", "max_groups = 20"),
            "nothing has changed",
        ),
    ] {
        daemon.rewrite_config(&config);
        let output = daemon.ctl_output(&["reload"]);
        assert_eq!(output.status.code(), Some(1), "{}", describe(&output));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(
            error.starts_with(&format!("igmpctl: {file}:")) && error.contains(expected),
            "{error}"
        );
        assert_eq!(daemon.ctl(&["show", "config"]), before);
        assert!(!is_attached(&topology.gateway, "lo"));
    }
    // A dry run says what a good file would change, and does not.
    daemon.rewrite_config(&good.replace("max_groups = 10", "max_groups = 20"));
    let reload = daemon.ctl(&["reload", "--dry-run"]);
    assert_eq!(reload[0]["applied"], false);
    assert_eq!(reload[0]["changes"][0]["key"], "max_groups");
    assert_eq!(daemon.ctl(&["show", "config"]), before);

    // The signal does.
    daemon.hang_up();
    wait_until("the reload", SOON, || {
        let config = daemon.ctl(&["show", "config"]);
        (config[0]["interface"][1]["max_groups"] == 20).then_some(())
    });
}

/// The reload is over, and so is the stream on this wire.
#[track_caller]
fn assert_no_more_copies(wire: &Capture) {
    const IN_FLIGHT: Duration = Duration::from_millis(5);
    let over = SystemTime::now() + IN_FLIGHT;
    wire.all().assert_none("a copy", A_WHILE, |frame| {
        frame.is_copy_for(GROUP) && frame.at > over
    });
}

#[track_caller]
fn assert_gapless(arrivals: &[Arrival]) {
    for pair in arrivals.windows(2) {
        assert_eq!(
            pair[1].sequence,
            pair[0].sequence + 1,
            "datagrams lost, doubled or swapped"
        );
    }
}

fn is_attached(namespace: &Namespace, device: &str) -> bool {
    namespace.programs(&[device]) > 0
}
