use super::*;

const QUERY_INTERVALS: Duration = Duration::from_secs(250);

/// One gateway with what it hears; the peer is always the one that ranks lower, unless said otherwise.
struct Lone {
    roles: Roles,
    now: Instant,
    peer_ranks_higher: bool,
    peer_configured: Role,
    number: u64,
}

fn at(seconds: u64) -> Instant {
    Instant::from_start(Duration::from_secs(seconds))
}

fn starts(role: Role) -> Lone {
    let config = RoleConfig {
        peer_wait: Duration::from_secs(2),
        switch_back_delay: QUERY_INTERVALS,
    };
    Lone {
        roles: Roles::new(at(0), config, role, 1),
        now: at(0),
        peer_ranks_higher: false,
        peer_configured: Role::Backup,
        number: 70,
    }
}

impl Lone {
    /// Runs all that is due until then.
    fn at(&mut self, seconds: u64) -> &mut Self {
        self.now = at(seconds);
        self.roles.handle_timeout(self.now);
        self
    }

    fn peer(&mut self, cause: Cause, claim: Option<Claim>) -> Option<Meeting> {
        let said = Statement { cause, claim };
        self.roles
            .peer_says(said, self.peer_ranks_higher, self.peer_configured)
    }

    fn peer_is_backup(&mut self) -> Option<Meeting> {
        self.peer(Cause::Configured, None)
    }

    /// A claim of its own, made in knowledge of ours or not.
    fn peer_claims(&mut self, cause: Cause, knowing: bool) -> Option<Meeting> {
        self.number += 1;
        let own = self.roles.statement().claim.map(|claim| claim.number);
        let claim = Claim {
            number: self.number,
            over: own.filter(|_| knowing),
        };
        self.peer(cause, Some(claim))
    }

    fn is(&self) -> (Role, Cause) {
        (self.roles.role(), self.roles.statement().cause)
    }
}

#[test]
fn a_configured_master_without_a_peer_waits_and_becomes_master() {
    let mut own = starts(Role::Master);
    assert_eq!(own.is(), (Role::Backup, Cause::Waiting));
    assert_eq!(own.roles.poll_timeout(), Some(at(2)));
    assert_eq!(own.at(1).is(), (Role::Backup, Cause::Waiting));
    assert_eq!(own.at(2).is(), (Role::Master, Cause::PeerAbsent));
    assert_eq!(own.roles.poll_timeout(), None);
}

#[test]
fn a_configured_backup_never_becomes_master_by_itself() {
    let mut own = starts(Role::Backup);
    assert_eq!(own.roles.poll_timeout(), None);
    own.peer_claims(Cause::PeerAbsent, false);
    own.roles.synced(at(3));
    own.roles.peer_lost();
    assert_eq!(own.roles.poll_timeout(), None);
    assert_eq!(own.at(100_000).is(), (Role::Backup, Cause::Configured));
}

#[test]
fn a_starting_master_takes_its_backups_state_first() {
    let mut own = starts(Role::Master);
    assert_eq!(own.peer_is_backup(), None);
    assert_eq!(own.is(), (Role::Backup, Cause::Waiting));
    own.roles.synced(at(1));
    assert_eq!(own.is(), (Role::Master, Cause::PeerIsBackup));

    let mut own = starts(Role::Master);
    own.peer_is_backup();
    let at_last = own.at(2).is();
    assert_eq!(at_last, (Role::Master, Cause::PeerIsBackup), "not for long");
}

#[test]
fn of_two_that_start_as_master_the_higher_becomes_master() {
    for (peer_ranks_higher, role) in [(false, Role::Master), (true, Role::Backup)] {
        let mut own = starts(Role::Master);
        own.peer_ranks_higher = peer_ranks_higher;
        assert_eq!(own.peer(Cause::Waiting, None), None);
        assert_eq!(own.roles.role(), role);
    }
}

#[test]
fn a_gateway_that_comes_back_takes_its_role_back_when_it_was_in_sync_for_long_enough() {
    let mut own = starts(Role::Master);
    own.peer_claims(Cause::Operator, false);
    assert_eq!(own.is(), (Role::Backup, Cause::PeerIsMaster));
    assert_eq!(own.roles.poll_timeout(), None, "not before it is in sync");
    own.roles.synced(at(10));
    assert_eq!(own.roles.switch_back_at(), Some(at(260)));
    own.roles.synced(at(100));
    assert_eq!(own.at(259).roles.role(), Role::Backup);
    assert_eq!(own.at(260).is(), (Role::Master, Cause::SwitchBack));
    let claim = own.roles.statement().claim.unwrap();
    assert_eq!(claim.over, Some(71), "it knows whom it takes over from");
}

#[test]
fn a_peer_that_is_lost_meanwhile_stops_the_clock_until_it_is_back_and_in_sync() {
    let mut own = starts(Role::Master);
    own.peer_claims(Cause::Operator, false);
    own.roles.synced(at(10));
    own.roles.peer_lost();
    assert_eq!(own.at(1000).is(), (Role::Backup, Cause::PeerIsMaster));
    own.peer_claims(Cause::PeerAbsent, false);
    own.roles.synced(at(1010));
    assert_eq!(own.at(1260).is(), (Role::Master, Cause::SwitchBack));
}

#[test]
fn an_operator_on_either_side_cancels_the_switch_back() {
    let recovering = || {
        let mut own = starts(Role::Master);
        own.peer_claims(Cause::PeerAbsent, false);
        own.roles.synced(at(10));
        own
    };
    let mut own = recovering();
    own.roles.set_role(Role::Backup);
    assert_eq!(own.at(1000).is(), (Role::Backup, Cause::Operator));

    let mut own = recovering();
    own.peer_claims(Cause::Operator, false);
    assert_eq!(own.at(1000).is(), (Role::Backup, Cause::PeerIsMaster));

    let mut own = recovering();
    assert_eq!(own.peer(Cause::Operator, None), Some(Meeting::BothBackup));
    assert_eq!(own.at(1000).is(), (Role::Backup, Cause::PeerIsMaster));
}

#[test]
fn two_configured_masters_do_not_take_the_role_from_each_other_for_ever() {
    for (peer_ranks_higher, takes_it_back) in [(true, false), (false, true)] {
        let mut own = starts(Role::Master);
        own.peer_configured = Role::Master;
        own.peer_ranks_higher = peer_ranks_higher;
        own.peer_claims(Cause::PeerAbsent, false);
        own.roles.synced(at(10));
        assert_eq!(own.roles.switch_back_at().is_some(), takes_it_back);
    }
}

#[test]
fn an_operator_is_obeyed_at_once() {
    let mut own = starts(Role::Backup);
    own.peer_claims(Cause::PeerAbsent, false);
    own.roles.set_role(Role::Master);
    assert_eq!(own.is(), (Role::Master, Cause::Operator));
    own.roles.set_role(Role::Backup);
    assert_eq!(own.is(), (Role::Backup, Cause::Operator));

    let mut waiting = starts(Role::Master);
    waiting.roles.set_role(Role::Backup);
    assert_eq!(waiting.at(100).is(), (Role::Backup, Cause::Operator));
}

/// The claims of two masters, both ways round: exactly one gives way, whichever ranks higher where that must not matter.
#[test]
fn of_two_masters_exactly_one_gives_way() {
    use Cause::{Operator, PeerAbsent, SwitchBack};
    // Whether the peer's claim was made in knowledge of ours, its cause, whether it ranks higher; whether we give way.
    let rows = [
        (true, Operator, false, true),
        (true, Operator, true, true),
        (true, SwitchBack, false, true),
        (true, SwitchBack, true, true),
        (false, Operator, false, false),
        (false, Operator, true, true),
        (false, PeerAbsent, false, false),
        (false, PeerAbsent, true, true),
        // Not on purpose: it was not there to know that this one lives.
        (true, PeerAbsent, false, false),
        (true, PeerAbsent, true, true),
    ];
    for row @ (knowing, cause, peer_ranks_higher, gives_way) in rows {
        let mut own = starts(Role::Backup);
        own.roles.set_role(Role::Master);
        let ours = own.roles.statement();
        own.peer_ranks_higher = peer_ranks_higher;
        let meeting = own.peer_claims(cause, knowing);
        assert_eq!(own.roles.role() == Role::Backup, gives_way, "{row:?}");
        let handed_over = knowing && matches!(cause, Operator | SwitchBack);
        let gave_way = gives_way;
        let expected = (!handed_over).then_some(Meeting::BothMaster { gave_way });
        assert_eq!(meeting, expected, "{row:?}");

        // The peer, which has made that claim and hears ours.
        let mut peer = starts(Role::Backup);
        if knowing {
            peer.peer(ours.cause, ours.claim);
        }
        peer.roles.claim(cause);
        peer.peer_ranks_higher = !peer_ranks_higher;
        peer.peer(ours.cause, ours.claim);
        assert_eq!(peer.roles.role() == Role::Master, gives_way, "{row:?}");
    }
}

/// What an operator says to one of two that are apart says nothing of the other, which may have been told the contrary.
#[test]
fn a_claim_made_while_apart_is_no_takeover() {
    for (peer_ranks_higher, stays) in [(false, Role::Master), (true, Role::Backup)] {
        let mut own = starts(Role::Backup);
        own.peer_ranks_higher = peer_ranks_higher;
        own.peer_claims(Cause::PeerAbsent, false);
        let theirs = Some(Claim {
            number: own.number,
            over: None,
        });
        own.roles.peer_lost();
        own.roles.set_role(Role::Master);
        assert_eq!(own.roles.statement().claim.unwrap().over, None);
        let gave_way = stays == Role::Backup;
        let meeting = own.peer(Cause::PeerAbsent, theirs);
        assert_eq!(meeting, Some(Meeting::BothMaster { gave_way }));
        assert_eq!(own.roles.role(), stays);
    }
}

#[test]
fn what_a_peer_repeats_is_no_news() {
    let mut own = starts(Role::Backup);
    own.roles.set_role(Role::Master);
    let gave_way = false;
    let both = Some(Meeting::BothMaster { gave_way });
    assert_eq!(own.peer_claims(Cause::PeerAbsent, false), both);
    let again = Some(Claim {
        number: own.number,
        over: None,
    });
    assert_eq!(own.peer(Cause::PeerAbsent, again), None);

    own.roles.set_role(Role::Backup);
    assert_eq!(own.peer_is_backup(), Some(Meeting::BothBackup));
    assert_eq!(own.peer_is_backup(), None);
    assert_eq!(own.peer(Cause::Operator, None), None, "they still are");
    own.peer_claims(Cause::Operator, false);
    assert_eq!(own.peer_is_backup(), Some(Meeting::BothBackup), "once more");
}

#[test]
fn a_lost_peer_changes_no_role() {
    for role in [Role::Master, Role::Backup] {
        let mut own = starts(Role::Backup);
        own.roles.set_role(role);
        own.peer_claims(Cause::PeerAbsent, false);
        let before = own.is();
        own.roles.peer_lost();
        assert_eq!(own.at(100_000).is(), before);
    }
}
