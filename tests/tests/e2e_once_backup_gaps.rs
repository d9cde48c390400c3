//! Copies that are lost, late or never made: both gateways hold the same again as soon as they can, and what cannot be
//! known ends by itself.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use igmp_tests::backup::faults::Loss;
use igmp_tests::backup::{
    Gateway, PROFILE, Pair, has_group_on, memberships, profile, set_role, wait_for_sync,
};
use igmp_tests::daemon::Daemon;
use igmp_tests::host::Subscription;
use igmp_tests::stream::StreamSpec;
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const SOON: Duration = Duration::from_secs(10);
/// Query Interval 2 s, Query Response Interval 1 s.
const IGMP: &str = "query_interval = \"2s\"\nquery_response_interval = \"1s\"";
/// With [`IGMP`], 2 x 2 s + 2 x 1 s (RFC 9776 section 8.4).
const GROUP_MEMBERSHIP_INTERVAL: Duration = Duration::from_secs(6);
/// For what is due to be seen.
const SLACK: Duration = Duration::from_secs(1);
/// So soon after the last loss both hold the same.
const IN_STEP_WITHIN: Duration = Duration::from_secs(1);

fn group(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(239, 2, 0, number)
}

fn wait_for_group(daemon: &Daemon, group: Ipv4Addr) {
    wait_until(&format!("{group}"), SOON, || {
        has_group_on(daemon, "lan0", group)
    });
}

#[test]
fn after_a_fifth_of_all_frames_was_lost_both_hold_the_same_within_a_second() {
    const ROUNDS: usize = 4;
    /// Each round, so many frames are lost, and at the end of it so many groups have a member.
    const LOST: u64 = 40;
    const MEMBERS: usize = 10;
    let pair = Pair::new();
    let (master, backup) = pair.start("", "");
    let host = &pair.topology.receivers[0];
    let mut groups = (0..u8::MAX).cycle();
    let mut members: VecDeque<Subscription> = VecDeque::new();
    let mut longest = Duration::ZERO;
    for _ in 0..ROUNDS {
        let loss = Loss::of(20, &pair);
        while loss.frames() < LOST {
            let next = group(groups.next().expect("an endless cycle"));
            members.push_back(host.join(next));
            // One after the other: each goes into a segment of its own.
            wait_for_group(&master, next);
            if members.len() > MEMBERS {
                members.pop_front().expect("a member").leave();
            }
        }
        wait_until("the master to know who is left", SOON, || {
            (memberships(&master).len() == members.len()).then_some(())
        });
        drop(loss);
        let ended = Instant::now();
        wait_until("both to hold the same", SOON, || {
            (memberships(&backup) == memberships(&master)).then_some(())
        });
        longest = longest.max(ended.elapsed());
        wait_for_sync(&backup);
        println!(
            "the same {longest:?} after the loss at most, in sync {:?}",
            ended.elapsed()
        );
    }
    assert!(longest < IN_STEP_WITHIN + SLACK, "{longest:?}");
}

#[test]
fn a_backup_that_starts_with_nothing_is_in_sync_only_when_it_has_all() {
    let pair = Pair::new();
    let (master, backup) = pair.start("", "");
    let host = &pair.topology.receivers[0];
    let members: Vec<_> = (1..=200).map(|number| host.join(group(number))).collect();
    wait_until("the master to know", SOON, || {
        (memberships(&master).len() == members.len()).then_some(())
    });
    backup.kill();
    let namespace = pair.namespace(Gateway::Backup);
    namespace.ip("link set sync0 down");
    let backup = Daemon::start_with(namespace, &pair.config(Gateway::Backup, "", ""), "info");
    let empty = profile(&backup);
    assert_eq!([&empty["connected"], &empty["synced"]], [false, false]);
    assert!(memberships(&backup).is_empty());
    let events = backup.events();
    namespace.ip("link set sync0 up");
    wait_until("the backup to be in sync", SOON, || {
        let synced = profile(&backup)["synced"] == true;
        // Asked after: what is said to be whole is.
        let known = memberships(&backup).len();
        assert!(!synced || known == members.len(), "{known} groups");
        synced.then_some(())
    });
    assert_eq!(memberships(&backup), memberships(&master));
    let synced = events.wait_for("an event", SOON, |event| event["event"] == "backup-synced");
    assert_eq!(synced["groups"], 200);
}

#[test]
fn a_leave_that_was_never_copied_costs_one_membership_interval() {
    let pair = Pair::new();
    let (master, backup) = pair.start(IGMP, "");
    let [h1, _] = &pair.topology.receivers[..] else {
        panic!("two hosts");
    };
    let member = h1.join(GROUP);
    wait_for_group(&backup, GROUP);
    let stream = StreamSpec::to(GROUP).start(&pair.topology.source);
    member.arrivals_until(stream.sent() + 50, SOON);
    master.ctl(&["backup", "block", PROFILE, "send"]);
    let wire = h1.capture();
    member.leave();
    wait_until("the master to forget it", SOON, || {
        has_group_on(&master, "lan0", GROUP).is_none().then_some(())
    });
    assert!(has_group_on(&backup, "lan0", GROUP).is_some());
    master.kill();
    pair.connect_hosts_to(Gateway::Backup);
    let alone = wire.from_now();
    set_role(&backup, "master");
    let told = Instant::now();
    alone.wait_for("a copy that nobody wants", SOON, |frame| {
        frame.is_copy_for(GROUP)
    });
    wait_until(
        "the new master to forget it",
        GROUP_MEMBERSHIP_INTERVAL + SLACK,
        || has_group_on(&backup, "lan0", GROUP).is_none().then_some(()),
    );
    println!("forgotten {:?} after it became master", told.elapsed());
    let over = wire.from_now();
    let sent = stream.sent();
    wait_until("more of the stream", SOON, || {
        (stream.sent() > sent + 100).then_some(())
    });
    over.assert_none("a copy", Duration::ZERO, |frame| frame.is_copy_for(GROUP));
}
