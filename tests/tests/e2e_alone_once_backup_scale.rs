//! Ten thousand groups, entry by entry. Alone, because it measures.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use igmp_tests::backup::{Gateway, Pair, profile, wait_for_sync};
use igmp_tests::daemon::{Daemon, rows};
use igmp_tests::igmp::{Record, RecordType};
use igmp_tests::topology::{Topology, downstream};
use igmp_tests::wait::wait_until;
use serde_json::Value;

const GROUPS: u32 = 10_000;
/// Every so manieth has a source of its own.
const SPECIFIC: u32 = 10;
const SYNCED_WITHIN: Duration = Duration::from_secs(3);
const PARTITION: Duration = Duration::from_secs(5);
const TIMERS_WITHIN: Duration = Duration::from_secs(1);
const LEARNT_WITHIN: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(10);

/// What a gateway knows of a group, and how long it will go on knowing.
#[derive(Debug)]
struct Entry {
    filter_mode: Value,
    timer: Duration,
    sources: BTreeMap<String, Duration>,
}

#[test]
fn a_fresh_backup_is_in_sync_at_once_and_a_partition_heals_entry_by_entry() {
    let pair = Pair::new();
    let start = |gateway, role: &str| {
        let daemon = Daemon::start_with(
            pair.namespace(gateway),
            &pair.config(gateway, "last_member_query_interval = \"200ms\"", ""),
            "info",
        );
        wait_until("its role", SOON, || {
            (profile(&daemon)["role"] == role).then_some(())
        });
        daemon
    };
    let master = start(Gateway::Master, "master");
    let host = &pair.topology.receivers[0];
    host.report(&(0..GROUPS).map(joined).collect::<Vec<_>>());
    wait_until("the master to know all", LEARNT_WITHIN, || {
        (count(&master) == u64::from(GROUPS)).then_some(())
    });

    let started = Instant::now();
    let backup = start(Gateway::Backup, "backup");
    wait_for_sync(&backup);
    let took = started.elapsed();
    assert!(took <= SYNCED_WITHIN, "{took:?}");
    println!("{GROUPS} groups in sync {took:?} after the backup was started");
    assert_equal(&master, &backup);

    let gateway = pair.namespace(Gateway::Master);
    gateway.ip("link set sync0 down");
    let cut = Instant::now();
    wait_until("both to notice", SOON, || {
        let connected = [&master, &backup].map(|daemon| profile(daemon)["connected"] == true);
        (connected == [false, false]).then_some(())
    });
    // The first tenth leaves, another one comes, and all that stay say so.
    let tenth = GROUPS / 10;
    host.report(&(0..tenth).map(left).collect::<Vec<_>>());
    host.report(&(tenth..GROUPS + tenth).map(joined).collect::<Vec<_>>());
    wait_until("the master to know that", LEARNT_WITHIN, || {
        let gone = master.group(&downstream(0), group(0)).is_none();
        (gone && count(&master) == u64::from(GROUPS)).then_some(())
    });
    assert!(backup.group(&downstream(0), group(0)).is_some());
    assert!(backup.group(&downstream(0), group(GROUPS)).is_none());
    wait_until("the partition to have lasted", PARTITION, || {
        (cut.elapsed() >= PARTITION).then_some(())
    });
    gateway.ip("link set sync0 up");
    let healed = Instant::now();
    wait_for_sync(&backup);
    println!("in sync again {:?} after the link was up", healed.elapsed());
    assert_equal(&master, &backup);
    assert_eq!(profile(&backup)["role"], "backup");
}

#[track_caller]
fn assert_equal(master: &Daemon, backup: &Daemon) {
    let (theirs, ours) = (entries(master), entries(backup));
    assert_eq!(theirs.len(), GROUPS as usize);
    assert!(theirs.keys().eq(ours.keys()));
    let near = |a: Duration, b: Duration| a.abs_diff(b) <= TIMERS_WITHIN;
    for (group, entry) in &theirs {
        let copy = &ours[group];
        let equal = entry.filter_mode == copy.filter_mode
            && near(entry.timer, copy.timer)
            && entry.sources.keys().eq(copy.sources.keys())
            && (entry.sources.values().zip(copy.sources.values())).all(|(a, b)| near(*a, *b));
        assert!(equal, "{group}: {entry:?} and {copy:?}");
    }
}

fn entries(daemon: &Daemon) -> BTreeMap<String, Entry> {
    let text = |value: &Value| value.as_str().expect("an address").to_owned();
    // None: it does not run.
    let millis = |value: &Value| Duration::from_millis(value.as_u64().unwrap_or(0));
    let entry = |row: &Value| Entry {
        filter_mode: row["filter_mode"].clone(),
        timer: millis(&row["timer_ms"]),
        sources: rows(&row["sources"])
            .iter()
            .map(|source| (text(&source["address"]), millis(&source["timer_ms"])))
            .collect(),
    };
    let shown = daemon.ctl(&["show", "groups"]);
    let rows = rows(&shown).iter();
    rows.map(|row| (text(&row["group"]), entry(row))).collect()
}

fn count(daemon: &Daemon) -> u64 {
    let interface = daemon.interface(&downstream(0));
    interface["groups"].as_u64().expect("a number")
}

fn group(index: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(239, 10, 0, 0)) + index)
}

fn joined(index: u32) -> Record {
    match index % SPECIFIC {
        0 => Record::new(RecordType::Allow, group(index), &[Topology::SOURCE]),
        _ => Record::new(RecordType::ToEx, group(index), &[]),
    }
}

fn left(index: u32) -> Record {
    match index % SPECIFIC {
        0 => Record::new(RecordType::Block, group(index), &[Topology::SOURCE]),
        _ => Record::new(RecordType::ToIn, group(index), &[]),
    }
}
