//! Two sessions back to back: what must hold when all goes well, and when the connection does not.

use super::*;
use crate::backup::counters::DropReason;
use crate::backup::queue::MAX_QUEUED_RECORDS;
use crate::backup::sim::*;

mod hostile;
mod roles;

#[test]
fn gateways_meet_and_the_configured_master_is_master() {
    let mut pair = Pair::new();
    pair.run(millis(20));
    assert_eq!(pair.roles(), [Role::Master, Role::Backup]);
    assert_eq!(
        pair.gateways[A].tells(),
        [
            "connected to 192.0.2.2, which is backup",
            "in sync with 0 groups",
            "master: the peer is backup"
        ]
    );
    assert_eq!(
        pair.gateways[B].tells(),
        [
            "connected to 192.0.2.1, which is backup",
            "in sync with 0 groups"
        ]
    );
    assert!(pair.status(A).synced && pair.status(B).synced);
}

#[test]
fn a_message_is_fed_where_the_backup_has_that_link_as_old_as_it_is() {
    let mut pair = Pair::met();
    let arrived = pair.now;
    pair.gateways[A].stalled = true;
    pair.gateways[A]
        .session
        .copy("eth1", &[1, 239, 1, 0, 7], arrived);
    pair.run(millis(200));
    pair.gateways[A].stalled = false;
    pair.run(millis(10));
    let expected = Table::from([((0, group(7)), arrived + GMI)]);
    let got = &pair.gateways[B].table;
    assert_eq!(
        got.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    // Its age leaves out the way itself.
    assert_eq!(got[&(0, group(7))], arrived + GMI + LATENCY);
    assert_eq!(pair.status(A).counters.sent, 1);
    assert_eq!(pair.status(B).counters.received, 1);
    assert_eq!(pair.status(B).peer.unwrap().message_age, Some(millis(200)));
}

#[test]
fn only_what_comes_in_on_mapped_interfaces_of_a_master_is_copied() {
    let mut pair = Pair::met();
    let now = pair.now;
    pair.gateways[A]
        .session
        .copy("eth7", &[1, 239, 1, 0, 1], now);
    pair.gateways[B]
        .session
        .copy("eth3", &[1, 239, 1, 0, 2], now);
    pair.run(seconds(1));
    assert!(pair.gateways[A].table.is_empty() && pair.gateways[B].table.is_empty());
    assert_eq!(pair.status(B).counters.sent, 0);
}

#[test]
fn an_idle_connection_lives() {
    let mut pair = Pair::met();
    pair.run(seconds(3600));
    assert!(pair.connected());
    for gateway in [A, B] {
        assert_eq!(pair.gateways[gateway].tells(), [""; 0]);
        assert_eq!(
            pair.status(gateway).peer.unwrap().round_trip,
            Some(LATENCY * 2)
        );
    }
}

/// Row R1: the peer is away for a minute.
#[test]
fn a_cut_connection_is_dead_within_a_second_and_heals_with_equal_state() {
    let mut pair = Pair::met();
    for number in 0..100 {
        pair.join(number);
    }
    pair.run(seconds(5));
    pair.cut = true;
    pair.run(millis(1001));
    let dead = ["disconnected: the peer is dead"];
    assert_eq!(pair.gateways[A].tells(), dead);
    assert_eq!(pair.gateways[B].tells(), dead);
    for number in 50..150 {
        pair.host(0, number >= 100, number);
    }
    pair.run(seconds(60));
    assert_eq!(
        pair.roles(),
        [Role::Master, Role::Backup],
        "nobody acts on it"
    );
    assert_eq!(pair.gateways[A].table.len(), 100);
    assert!(!pair.status(B).synced);

    pair.cut = false;
    pair.run(MAX_RECONNECT_PAUSE + millis(100));
    assert!(pair.status(B).synced);
    assert_eq!(pair.status(B).last_sync.unwrap().groups, 100);
    assert_eq!(
        pair.status(A).counters.dropped_in_all(),
        0,
        "a lost peer is owed nothing"
    );
    assert_equal_state(&pair);
}

/// Row R2: TCP makes pauses of losses.
#[test]
fn pauses_shorter_than_the_dead_after_time_lose_nothing() {
    let mut pair = Pair::met();
    for number in 0..200 {
        pair.cut = number % 5 == 0;
        pair.join(number);
        if number % 3 == 0 {
            pair.leave(number / 2);
        }
        pair.run(millis(700));
        pair.cut = false;
        pair.run(millis(300));
    }
    assert_equal_state(&pair);
    assert_eq!(pair.status(A).counters.snapshots_sent, 1, "the first one");
    assert!(pair.gateways[B].tells().is_empty());
}

/// Row R7: the backup restarts empty.
#[test]
fn a_backup_that_restarts_is_in_sync_before_it_says_so() {
    let mut pair = Pair::met();
    for number in 0..1000 {
        pair.join(number);
    }
    pair.run(seconds(1));
    pair.restart(B);
    assert!(!pair.status(B).synced && pair.gateways[B].table.is_empty());
    while !pair.status(B).synced {
        pair.run(millis(1));
    }
    assert_eq!(pair.gateways[B].table.len(), 1000);
    assert_eq!(pair.roles(), [Role::Master, Role::Backup]);
    assert_equal_state(&pair);
}

#[test]
fn a_master_that_restarts_has_its_backups_state_before_it_is_master() {
    let mut pair = Pair::met();
    for number in 0..1000 {
        pair.join(number);
    }
    pair.run(seconds(1));
    pair.restart(A);
    assert_eq!(pair.roles(), [Role::Backup, Role::Backup]);
    while pair.roles()[A] == Role::Backup {
        pair.run(millis(1));
    }
    assert_eq!(pair.gateways[A].table.len(), 1000);
    pair.run(seconds(1));
    assert_eq!(pair.gateways[B].table.len(), 1000);
    assert_equal_state(&pair);
}

/// A backup may never have been in sync itself: what it does not know of is not gone.
#[test]
fn what_a_starting_master_hears_first_hand_stays() {
    let mut pair = Pair::met();
    pair.join(1);
    pair.run(seconds(1));
    pair.restart(A);
    let now = pair.now;
    pair.gateways[A].table.insert((0, group(2)), now + GMI);
    pair.run(seconds(1));
    assert_eq!(pair.roles(), [Role::Master, Role::Backup]);
    let keys: Vec<_> = pair.gateways[A].table.keys().copied().collect();
    assert_eq!(keys, [(0, group(1)), (0, group(2))]);
    assert_equal_state(&pair);
}

#[test]
fn a_full_queue_is_dropped_and_a_snapshot_takes_its_place() {
    let mut pair = Pair::met();
    pair.gateways[A].stalled = true;
    let more = 1000;
    let beyond = u32::try_from(MAX_QUEUED_RECORDS).unwrap() + more;
    for number in 0..beyond {
        pair.join(number);
        assert!(pair.status(A).queue.records <= MAX_QUEUED_RECORDS);
    }
    let status = pair.status(A);
    assert!(!status.synced);
    assert_eq!(status.queue.records, 0);
    let full = MAX_QUEUED_RECORDS as u64 + 1;
    assert_eq!(status.counters.dropped(DropReason::QueueFull), full);
    let waiting = u64::from(beyond) - full;
    assert_eq!(status.counters.dropped(DropReason::AwaitingSync), waiting);
    let told = format!("the peer is slow: {full} copies dropped, a snapshot follows");
    assert_eq!(pair.gateways[A].tells(), [told]);

    pair.gateways[A].stalled = false;
    pair.run(millis(500));
    assert_eq!(pair.status(A).counters.resyncs, 1);
    assert!(pair.status(A).synced);
    assert_equal_state(&pair);
}

#[test]
fn a_queue_of_long_packets_is_full_too() {
    let mut pair = Pair::met();
    pair.gateways[A].stalled = true;
    let (now, packet) = (pair.now, [0; 9000]);
    for _ in 0..1000 {
        pair.gateways[A].session.copy("eth1", &packet, now);
        assert!(pair.status(A).queue.octets <= 4 * 1024 * 1024);
    }
    assert_eq!(
        pair.status(A).counters.dropped_in_all(),
        1000 - 1000 % 467 + 66
    );
}

/// Row of the full table: the snapshot has no part in the queue's bounds, and delays no keepalive.
#[test]
fn a_snapshot_of_65536_groups_goes_through_with_messages_after_it() {
    let mut pair = Pair::met();
    pair.cut = true;
    pair.run(seconds(2));
    for number in 0..65_536 {
        pair.join(number);
    }
    pair.cut = false;
    while !matches!(pair.status(B).peer, Some(peer) if peer.role == Role::Master) {
        pair.run(millis(1));
    }
    // The snapshot is made and partly on its way.
    pair.run(millis(2));
    assert!(!pair.status(B).synced && pair.gateways[B].restored > 0);
    pair.leave(0);
    pair.join(65_536);
    pair.leave(65_535);
    pair.run(millis(100));
    assert!(pair.status(B).synced);
    assert_eq!(pair.gateways[B].fed, 3);
    assert_eq!(pair.gateways[B].restored, 65_536);
    assert_eq!(pair.gateways[B].table.len(), 65_535);
    assert_eq!(pair.status(A).counters.dropped_in_all(), 0);
    assert_equal_state(&pair);
}

#[test]
fn a_snapshot_that_waits_to_be_sent_ages() {
    let mut pair = Pair::met();
    pair.join(1);
    pair.run(seconds(1));
    let until = pair.gateways[A].table[&(0, group(1))];
    // The snapshot is made, and then the transport takes no more for a while.
    let now = pair.now;
    pair.gateways[A].stalled = true;
    pair.gateways[A].session.resync();
    assert_eq!(pair.gateways[A].session.poll_transmit(now, 1), None);
    pair.run(millis(500));
    pair.gateways[A].stalled = false;
    pair.run(millis(10));
    assert_eq!(
        pair.gateways[A].tells(),
        [""; 0],
        "not long enough to be dead"
    );
    assert_eq!(pair.status(B).counters.snapshots_received, 2);
    assert_eq!(pair.gateways[B].table[&(0, group(1))], until + LATENCY);
}

#[test]
fn what_is_no_longer_copied_stays_where_it_is() {
    let mut pair = Pair::met();
    pair.host(0, true, 1);
    pair.host(1, true, 2);
    pair.run(seconds(1));
    pair.set_copied(0, false);
    pair.host(0, false, 1);
    pair.host(0, true, 3);
    pair.host(1, false, 2);
    pair.host(1, true, 4);
    pair.run(seconds(1));
    let has = |pair: &Pair| pair.gateways[B].table.keys().copied().collect::<Vec<_>>();
    assert_eq!(has(&pair), [(0, group(1)), (1, group(4))]);

    // Nor does a snapshot say anything of it.
    pair.reset();
    pair.run(seconds(1));
    assert_eq!(pair.status(B).counters.snapshots_received, 2);
    assert_eq!(has(&pair), [(0, group(1)), (1, group(4))]);

    pair.set_copied(0, true);
    pair.run(seconds(1));
    assert_eq!(has(&pair), [(0, group(3)), (1, group(4))]);
    assert_equal_state(&pair);
}

#[test]
fn an_interface_that_is_not_ready_is_left_alone() {
    let mut pair = Pair::met();
    pair.host(0, true, 1);
    pair.host(1, true, 2);
    pair.run(seconds(1));
    // The master's eth1 goes down: it forgets, and has no snapshot of it.
    let now = pair.now;
    let master = &mut pair.gateways[A].session;
    master.resync();
    assert_eq!(master.poll_transmit(now, 1), None);
    let Some(Output::NeedSnapshot { interfaces }) = master.poll_output() else {
        panic!("a snapshot is due");
    };
    assert_eq!(interfaces, ["eth1".into(), "eth2".into()]);
    master.snapshot(now, "eth2", []);
    master.snapshot_end(now);
    pair.run(seconds(1));
    let keys: Vec<_> = pair.gateways[B].table.keys().copied().collect();
    assert_eq!(keys, [(0, group(1))]);
}

#[test]
fn groups_that_have_no_place_in_a_snapshot_are_counted_and_stay() {
    let mut pair = Pair::met();
    for number in 1..=2 {
        pair.join(number);
    }
    pair.run(seconds(1));
    let now = pair.now;
    let state = |number, sources| GroupState {
        group: group(number),
        filter_mode: crate::proto::FilterMode::Include,
        group_timer: Some(GMI),
        sources: vec![(Ipv4Addr::new(10, 0, 0, 1), Some(GMI)); sources],
        v1_host_present: None,
        v2_host_present: None,
        last_reporter: None,
    };
    let master = &mut pair.gateways[A].session;
    master.resync();
    assert_eq!(master.poll_transmit(now, 1), None);
    assert!(matches!(
        master.poll_output(),
        Some(Output::NeedSnapshot { .. })
    ));
    master.snapshot(now, "eth1", [state(1, 65_537), state(3, 65_536)]);
    master.snapshot_end(now);
    pair.run(seconds(1));
    assert_eq!(pair.status(A).counters.dropped(DropReason::TooMuchState), 1);
    let keys: Vec<_> = pair.gateways[B].table.keys().copied().collect();
    assert_eq!(keys, [1, 2, 3].map(|number| (0, group(number))));
}

#[test]
fn blocked_sending_is_made_up_for_afterwards() {
    let mut pair = Pair::met();
    pair.join(1);
    pair.run(seconds(1));
    pair.block(A, Direction::Send, true);
    pair.leave(1);
    pair.join(2);
    pair.run(seconds(10));
    assert!(pair.connected(), "maintenance ends no connection");
    assert!(pair.status(A).send_blocked && !pair.status(A).synced);
    assert_eq!(pair.status(A).counters.dropped(DropReason::SendBlocked), 2);
    assert_eq!(pair.gateways[B].table.len(), 1);
    pair.block(A, Direction::Send, false);
    pair.run(seconds(1));
    assert_eq!(pair.status(A).counters.resyncs, 1);
    assert_equal_state(&pair);
}

#[test]
fn blocked_receiving_is_made_up_for_afterwards() {
    let mut pair = Pair::met();
    pair.join(1);
    pair.run(seconds(1));
    pair.block(B, Direction::Receive, true);
    pair.leave(1);
    pair.join(2);
    pair.gateways[B].session.request_sync();
    pair.run(seconds(10));
    assert!(pair.connected() && !pair.status(B).synced);
    // Two messages and the snapshot.
    assert_eq!(
        pair.status(B).counters.dropped(DropReason::ReceiveBlocked),
        3
    );
    assert_eq!(pair.gateways[B].table.len(), 1);
    pair.block(B, Direction::Receive, false);
    pair.run(seconds(1));
    assert!(pair.status(B).synced);
    assert_equal_state(&pair);
}

#[test]
fn another_configuration_ends_the_connection_only_if_the_peer_has_to_know() {
    let mut pair = Pair::met();
    pair.join(1);
    let (now, mut other) = (pair.now, config(A));
    other.switch_back_delay = seconds(1);
    pair.gateways[A].session.reconfigure(now, other.clone());
    pair.run(seconds(1));
    assert!(pair.connected() && pair.gateways[A].tells().is_empty());

    other.priority = 200;
    let now = pair.now;
    pair.gateways[A].session.reconfigure(now, other);
    pair.settle();
    assert_eq!(pair.gateways[A].tells(), ["disconnected: configured anew"]);
    pair.run(seconds(1));
    assert_eq!(pair.status(B).peer.unwrap().priority, 200);
    assert_eq!(pair.roles(), [Role::Master, Role::Backup]);
    assert_equal_state(&pair);
}

#[test]
fn pauses_between_attempts_double_up_to_half_a_second_and_begin_anew_after_a_meeting() {
    let mut pair = Pair::met();
    let session = &mut pair.gateways[A].session;
    let mut now = pair.now;
    session.handle_disconnected(now, "reset");
    let mut pauses = Vec::new();
    for _ in 0..8 {
        pauses.push(session.reconnect_at().saturating_since(now).as_millis());
        now = session.reconnect_at();
        session.handle_connect_failed(now);
    }
    assert_eq!(pauses, [100, 200, 400, 500, 500, 500, 500, 500]);
}
