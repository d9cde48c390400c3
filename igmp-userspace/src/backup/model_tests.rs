//! Random histories of two gateways: whatever happened, once it is quiet and the connection is there, exactly one is master
//! and the backup has what it has.

use proptest::prelude::*;

use super::sim::*;
use super::{Direction, Role};

/// Something that happens.
#[derive(Clone, Debug)]
enum Happening {
    Host {
        link: usize,
        joins: bool,
        group: u32,
    },
    /// As many joins and leaves as may fill the queue.
    Burst {
        link: usize,
        count: u32,
    },
    Time {
        millis: u64,
    },
    Cut(bool),
    Reset,
    Stall(usize, bool),
    SetRole(usize, Role),
    Restart(usize),
    Copied(usize, bool),
    Block(usize, Direction, bool),
    RequestSync(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let gateway = || 0..2_usize;
    let link = || 0..LINKS.len();
    let role = || prop_oneof![Just(Role::Master), Just(Role::Backup)];
    let direction = || prop_oneof![Just(Direction::Send), Just(Direction::Receive)];
    prop_oneof![
        12 => (link(), any::<bool>(), 0..30_u32)
            .prop_map(|(link, joins, group)| Host { link, joins, group }),
        1 => (link(), 1..40_000_u32).prop_map(|(link, count)| Burst { link, count }),
        6 => (0..20_u64).prop_map(|millis| Time { millis }),
        3 => (20..3000_u64).prop_map(|millis| Time { millis }),
        1 => (3000..30_000_u64).prop_map(|millis| Time { millis }),
        2 => any::<bool>().prop_map(Cut),
        1 => Just(Reset),
        2 => (gateway(), any::<bool>()).prop_map(|(gateway, on)| Stall(gateway, on)),
        2 => (gateway(), role()).prop_map(|(gateway, role)| SetRole(gateway, role)),
        1 => gateway().prop_map(Restart),
        1 => (link(), any::<bool>()).prop_map(|(link, on)| Copied(link, on)),
        1 => (gateway(), direction(), any::<bool>())
            .prop_map(|(gateway, direction, on)| Block(gateway, direction, on)),
        1 => gateway().prop_map(RequestSync),
    ]
}

fn happen(pair: &mut Pair, happening: &Happening) {
    match *happening {
        Happening::Host { link, joins, group } => pair.host(link, joins, group),
        Happening::Burst { link, count } => {
            for number in 0..count {
                pair.say(link, number % 3 != 0, 100 + number % 50);
            }
            pair.settle();
        }
        Happening::Time { millis: time } => pair.run(millis(time)),
        Happening::Cut(cut) => pair.cut = cut,
        Happening::Reset => pair.reset(),
        Happening::Stall(gateway, stalled) => pair.gateways[gateway].stalled = stalled,
        Happening::SetRole(gateway, role) => pair.set_role(gateway, role),
        Happening::Restart(gateway) => pair.restart(gateway),
        Happening::Copied(link, copied) => pair.set_copied(link, copied),
        Happening::Block(gateway, direction, blocked) => pair.block(gateway, direction, blocked),
        Happening::RequestSync(gateway) => {
            pair.gateways[gateway].session.request_sync();
            pair.settle();
        }
    }
}

/// Everything is put right again, and a moment passes.
fn quiet(pair: &mut Pair) {
    pair.cut = false;
    for gateway in [A, B] {
        pair.gateways[gateway].stalled = false;
        for direction in [Direction::Send, Direction::Receive] {
            pair.block(gateway, direction, false);
        }
    }
    for link in 0..LINKS.len() {
        pair.set_copied(link, true);
    }
    pair.run(seconds(10));
    if pair.roles() == [Role::Backup, Role::Backup] {
        pair.set_role(A, Role::Master);
    }
    pair.run(SWITCH_BACK_DELAY + seconds(1));
}

/// What B is configured as, beside A, which is master: also master, of the same priority.
fn configured(b_is_master: bool) -> Pair {
    let mut b = config(B);
    if b_is_master {
        b.role = Role::Master;
        b.priority = Role::Master.default_priority();
    }
    Pair::configured(config(A), b)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn after_a_quiet_moment_the_backup_has_what_the_master_has(
        b_is_master in any::<bool>(),
        history in prop::collection::vec(happening(), 0..60),
    ) {
        let mut pair = configured(b_is_master);
        for happening in &history {
            happen(&mut pair, happening);
        }
        quiet(&mut pair);
        let roles = pair.roles();
        prop_assert!(pair.connected());
        prop_assert_ne!(roles[A], roles[B]);
        prop_assert!(pair.status(A).synced && pair.status(B).synced);
        assert_equal_state(&pair);

        // And the stream goes on from there, for good.
        let snapshots = |pair: &Pair| [A, B].map(|gateway| pair.status(gateway).counters.snapshots_sent);
        let before = snapshots(&pair);
        pair.join(7);
        pair.leave(8);
        pair.run(SWITCH_BACK_DELAY * 3);
        assert_equal_state(&pair);
        prop_assert_eq!(snapshots(&pair), before);
        prop_assert_eq!(pair.roles(), roles);
    }
}
