//! Both sessions agree on who is master, whatever happened between them.

use super::*;

#[test]
fn an_operator_hands_the_role_over_and_the_state_flows_the_other_way() {
    let mut pair = Pair::met();
    pair.join(1);
    pair.run(seconds(1));
    pair.set_role(B, Role::Master);
    assert_eq!(pair.gateways[B].tells(), ["master: operator"], "at once");
    pair.run(millis(10));
    assert_eq!(
        pair.gateways[A].tells(),
        ["backup: the peer took over", "in sync with 1 groups"]
    );
    pair.join(2);
    pair.run(seconds(1));
    assert_eq!(pair.gateways[A].table.len(), 2);
    assert_eq!(pair.status(B).counters.sent, 1);
    pair.run(seconds(3600));
    assert_eq!(pair.roles(), [Role::Backup, Role::Master], "for good");
}

/// As keepalived does it: the old master is told first, or last.
#[test]
fn scripts_on_both_sides_may_come_in_any_order() {
    for first in [A, B] {
        let mut pair = Pair::met();
        pair.join(1);
        for gateway in [first, 1 - first] {
            let role = [Role::Backup, Role::Master][gateway];
            pair.set_role(gateway, role);
            pair.run(millis(10));
        }
        pair.set_role(B, Role::Master);
        pair.run(seconds(3600));
        assert_eq!(pair.roles(), [Role::Backup, Role::Master]);
        pair.join(2);
        pair.run(seconds(1));
        assert_equal_state(&pair);
    }
}

#[test]
fn what_the_old_master_still_copies_is_not_acted_on() {
    let mut pair = Pair::met();
    pair.join(1);
    pair.run(seconds(1));
    // B becomes master, and its word does not get through yet.
    pair.gateways[B].stalled = true;
    pair.set_role(B, Role::Master);
    pair.gateways[B].table.clear();
    let now = pair.now;
    pair.gateways[A]
        .session
        .copy("eth1", &[1, 239, 1, 0, 2], now);
    pair.run(millis(200));
    assert_eq!(pair.status(B).counters.dropped(DropReason::NotBackup), 1);
    assert_eq!(pair.gateways[B].fed, 1, "the one before");
    pair.gateways[B].stalled = false;
    pair.run(millis(200));
    assert_eq!(pair.roles(), [Role::Backup, Role::Master]);
    assert!(
        pair.gateways[A].table.is_empty(),
        "the master's word counts"
    );
}

/// A master that was backup again before its peer heard of it is still owed what it did not act on.
#[test]
fn a_short_spell_as_master_leaves_no_gap() {
    let mut pair = Pair::met();
    pair.set_role(B, Role::Backup);
    pair.run(seconds(1));
    pair.gateways[B].stalled = true;
    pair.set_role(B, Role::Master);
    let now = pair.now;
    pair.gateways[A].table.insert((0, group(2)), now + GMI);
    pair.gateways[A]
        .session
        .copy("eth1", &[1, 239, 1, 0, 2], now);
    pair.run(millis(200));
    pair.set_role(B, Role::Backup);
    pair.gateways[B].stalled = false;
    pair.run(millis(200));
    assert_eq!(pair.roles(), [Role::Master, Role::Backup]);
    assert_eq!(pair.gateways[B].table.len(), 1);
    assert_equal_state(&pair);
}

/// Row R5: the one that was told while they were apart gives way all the same when it ranks lower.
#[test]
fn of_two_masters_that_were_apart_the_lower_gives_way() {
    let mut pair = Pair::met();
    pair.join(1);
    pair.run(seconds(1));
    pair.cut = true;
    pair.run(seconds(5));
    pair.set_role(B, Role::Master);
    pair.join(2);
    pair.run(seconds(60));
    assert_eq!(
        pair.roles(),
        [Role::Master, Role::Master],
        "neither can know"
    );
    pair.cut = false;
    pair.gateways[B].told.clear();
    pair.run(seconds(10));
    assert_eq!(pair.roles(), [Role::Master, Role::Backup]);
    let told = pair.gateways[B].tells();
    assert!(
        told.contains(&"backup: both were master, and the peer ranks higher".to_owned()),
        "{told:?}"
    );
    assert_equal_state(&pair);
}

/// Row R5, as far as it is the session's.
#[test]
fn of_two_masters_that_know_nothing_of_each_other_the_lower_gives_way() {
    let mut pair = Pair::new();
    pair.cut = true;
    pair.set_role(B, Role::Master);
    pair.run(seconds(3));
    assert_eq!(pair.roles(), [Role::Master, Role::Master]);
    pair.cut = false;
    pair.run(seconds(10));
    assert_eq!(pair.roles(), [Role::Master, Role::Backup]);
    let told = pair.gateways[A].tells();
    assert!(
        told.contains(&"both were master: the peer gives way".to_owned()),
        "{told:?}"
    );
    let told = pair.gateways[B].tells();
    assert!(
        told.contains(&"both were master: this one gave way".to_owned()),
        "{told:?}"
    );
}

/// Of equal priorities the higher address wins; of equal addresses too, one of them.
#[test]
fn equal_priorities_are_decided() {
    for same_address in [false, true] {
        let (mut a, mut b) = (config(A), config(B));
        (a.priority, b.priority) = (100, 100);
        if same_address {
            a.address = b.address;
        }
        let mut pair = Pair::configured(a, b);
        pair.cut = true;
        pair.set_role(B, Role::Master);
        pair.run(seconds(3));
        pair.cut = false;
        pair.run(seconds(10));
        let roles = pair.roles();
        assert_ne!(roles[A], roles[B]);
        assert!(same_address || roles[B] == Role::Master);
    }
}

#[test]
fn a_recovered_master_takes_its_role_back_with_the_whole_state() {
    let mut pair = Pair::met();
    for number in 0..500 {
        pair.join(number);
    }
    pair.run(seconds(1));
    // A dies, and somebody makes B master.
    pair.cut = true;
    pair.run(seconds(5));
    pair.set_role(B, Role::Master);
    pair.leave(0);
    pair.cut = false;
    pair.restart(A);
    pair.run(seconds(1));
    assert_eq!(pair.roles(), [Role::Backup, Role::Master]);
    assert!(pair.status(A).synced);
    let due = pair.status(A).switch_back_at.unwrap();
    assert!(due.saturating_since(pair.now) <= SWITCH_BACK_DELAY);
    pair.join(1000);
    pair.run(SWITCH_BACK_DELAY.saturating_sub(seconds(2)));
    assert_eq!(pair.roles(), [Role::Backup, Role::Master]);
    pair.run(seconds(2));
    assert_eq!(pair.roles(), [Role::Master, Role::Backup]);
    assert_eq!(pair.gateways[A].table.len(), 500);
    assert_equal_state(&pair);
    assert_eq!(
        pair.gateways[A].tells().last().unwrap(),
        "master: switch back"
    );
}

#[test]
fn both_backup_is_told_once() {
    let mut pair = Pair::met();
    pair.set_role(A, Role::Backup);
    pair.run(seconds(60));
    for gateway in [A, B] {
        let told = pair.gateways[gateway].tells();
        let both = told
            .iter()
            .filter(|told| told.starts_with("both are backup"));
        assert_eq!(both.count(), 1, "{told:?}");
    }
}

#[test]
fn a_lost_peer_makes_nobody_master() {
    let mut pair = Pair::met();
    pair.cut = true;
    pair.run(seconds(3600));
    assert_eq!(pair.roles(), [Role::Master, Role::Backup]);
}
