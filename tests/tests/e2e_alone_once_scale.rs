//! Ten thousand groups on eight interfaces: nothing is refused, answers stay quick, and a newcomer does not wait.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use igmp_tests::daemon::{Daemon, describe, rows};
use igmp_tests::host::Host;
use igmp_tests::igmp::{Record, RecordType};
use igmp_tests::stream::{Stream, StreamSpec};
use igmp_tests::topology::{Lan, Topology};
use igmp_tests::wait::wait_until;
use serde_json::Value;

const LANS: usize = 8;
const GROUPS: u32 = 10_000;

const LEARNT_WITHIN: Duration = Duration::from_secs(30);
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);
const RESIDENT_BYTES: u64 = 150 << 20;
const JOIN_MEDIAN: Duration = Duration::from_millis(5);
const NEWCOMERS: u8 = 11;
const SOON: Duration = Duration::from_secs(5);

#[test]
fn ten_thousand_groups_on_eight_interfaces() {
    let topology = Topology::new(&[Lan::host(); LANS]);
    let mut daemon = Daemon::start_with(&topology.gateway, &topology.config(""), "info");
    let unheard = topology.receivers[0].capture();
    let before = daemon.resident_memory();

    thread::scope(|scope| {
        for host in &topology.receivers {
            scope.spawn(|| report_all(host));
        }
    });
    wait_until("every group on every interface", LEARNT_WITHIN, || {
        let interfaces = daemon.ctl(&["show", "interfaces"]);
        let learnt = |row: &Value| row["role"] == "upstream" || row["groups"] == GROUPS;
        rows(&interfaces).iter().all(learnt).then_some(())
    });
    daemon.assert_running();
    assert_no_trouble(&daemon);

    let asked = Instant::now();
    let output = daemon.ctl_output(&["--json", "show", "groups"]);
    let took = asked.elapsed();
    assert!(output.status.success(), "{}", describe(&output));
    let groups: Value = serde_json::from_slice(&output.stdout).expect("igmpctl --json prints JSON");
    assert_eq!(rows(&groups).len(), LANS * GROUPS as usize);
    assert!(took < ANSWERED_WITHIN, "`show groups` took {took:?}");

    // Every group has the same eight outputs: one replication set serves them all.
    let flows = daemon.ctl(&["show", "flows"]);
    assert_eq!(rows(&flows).len(), GROUPS as usize);
    let first = &rows(&flows)[0];
    assert_eq!(first["outputs"].as_array().map(Vec::len), Some(LANS));
    for flow in rows(&flows) {
        assert_eq!(
            (&flow["set"], &flow["outputs"]),
            (&first["set"], &first["outputs"])
        );
    }

    newcomers_do_not_wait(&topology);
    assert_no_trouble(&daemon);
    let resident = daemon.resident_memory();
    assert!(
        resident < RESIDENT_BYTES,
        "igmpd takes {} MiB, {} of them before",
        resident >> 20,
        before >> 20
    );
    // No stream was sent to any of the ten thousand.
    unheard
        .all()
        .assert_none("a copy", Duration::ZERO, |frame| {
            (0..GROUPS).any(|index| frame.is_copy_for(group(index)))
        });
}

#[test]
fn groups_with_the_same_outputs_share_a_set_and_groups_with_others_do_not() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(""));
    let [h1, h2] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let [both, also_both, one] = [1, 2, 3].map(|index| Ipv4Addr::new(239, 7, 7, index));
    let _subscriptions = [
        h1.join(both),
        h2.join(both),
        h1.join(also_both),
        h2.join(also_both),
        h1.join(one),
    ];
    let outputs_of = |group: Ipv4Addr, count: usize| {
        wait_until(&format!("{count} outputs of {group}"), SOON, || {
            let flows = daemon.ctl(&["show", "flows", "--group", &group.to_string()]);
            let flow = rows(&flows).first()?;
            (flow["outputs"].as_array()?.len() == count).then(|| flow["set"].clone())
        })
    };
    let set = outputs_of(both, 2);
    assert!(set.is_u64());
    assert_eq!(outputs_of(also_both, 2), set);
    assert_ne!(outputs_of(one, 1), set);
}

#[test]
fn a_group_with_known_outputs_costs_one_map_write() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(""));
    let [host, other] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let map_writes = || {
        let counters = daemon.ctl(&["show", "counters"]);
        let row = rows(&counters)
            .iter()
            .find(|row| row["name"] == "map_writes")
            .expect("a counter of map writes");
        row["value"].as_u64().expect("a number")
    };
    let join = |host: &Host, index: u32| {
        let subscription = host.join(group(index));
        wait_until("the flow", SOON, || {
            let group = group(index).to_string();
            let flows = daemon.ctl(&["show", "flows", "--group", &group]);
            (!rows(&flows).is_empty()).then_some(())
        });
        subscription
    };
    let _first = join(host, 0);
    let before = map_writes();
    let _second = join(host, 1);
    assert_eq!(map_writes() - before, 1, "the outputs are those of group 0");
    let _third = join(other, 2);
    assert!(
        map_writes() - before > 2,
        "the outputs are new: a set has to be filled"
    );
}

fn group(index: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(239, 10, 0, 0)) + index)
}

/// One host joins all groups.
fn report_all(host: &Host) {
    let records: Vec<Record> = (0..GROUPS)
        .map(|index| Record::new(RecordType::ToEx, group(index), &[]))
        .collect();
    host.report(&records);
}

/// Hosts join running streams one after the other: from the report on the wire to the first copy.
fn newcomers_do_not_wait(topology: &Topology) {
    let host = &topology.receivers[0];
    let wire = host.capture();
    let groups: Vec<Ipv4Addr> = (1..=NEWCOMERS)
        .map(|index| Ipv4Addr::new(239, 99, 0, index))
        .collect();
    let _streams: Vec<Stream> = groups
        .iter()
        .map(|group| {
            StreamSpec::to(*group)
                .every(Duration::from_millis(1))
                .start(&topology.source)
        })
        .collect();
    let mut latencies: Vec<Duration> = groups
        .iter()
        .map(|group| {
            let _subscription = host.join(*group);
            let report = wire.all().wait_for("the report", SOON, |frame| {
                frame.sent_igmp(|igmp| igmp.joins(*group))
            });
            let copy = wire
                .all()
                .wait_for("the first copy", SOON, |frame| frame.is_copy_for(*group));
            copy.at
                .duration_since(report.at)
                .expect("nothing comes before it is asked for")
        })
        .collect();
    latencies.sort();
    let median = latencies[latencies.len() / 2];
    assert!(median < JOIN_MEDIAN, "join to first packet: {latencies:?}");
}

#[track_caller]
fn assert_no_trouble(daemon: &Daemon) {
    const TROUBLE: [&str; 5] = [
        "flow_refused",
        "map_write_failed",
        "send_failed",
        "igmp_policed",
        "igmp_ring_full",
    ];
    let counters = daemon.ctl(&["show", "counters"]);
    for row in rows(&counters) {
        let name = row["name"].as_str().expect("a name");
        if TROUBLE.contains(&name) || name.starts_with("refused_") {
            assert_eq!(row["value"], 0, "{row}");
        }
    }
    for name in TROUBLE {
        assert!(
            rows(&counters).iter().any(|row| row["name"] == name),
            "no counter {name}"
        );
    }
}
