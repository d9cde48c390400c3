use super::*;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);

/// One receiver; time in milliseconds.
struct Books(Account);

impl Books {
    fn new() -> Self {
        Self(Account::default())
    }

    fn time(ms: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }

    fn report(&mut self, ms: u64, sent: u64) -> Option<News> {
        self.0.wish(GROUP, true, Self::time(ms), sent)
    }

    fn leave(&mut self, ms: u64, sent: u64) -> Option<News> {
        self.0.wish(GROUP, false, Self::time(ms), sent)
    }

    fn copies(&mut self, ms: u64, numbers: impl IntoIterator<Item = u64>) -> Option<News> {
        numbers.into_iter().fold(None, |_, number| {
            self.0.copy(GROUP, Some(number), Self::time(ms))
        })
    }

    fn closed(mut self, sent: u64) -> Account {
        let mut ledger = Ledger {
            receivers: vec![std::mem::take(&mut self.0)],
        };
        ledger.close(|_| sent);
        ledger.receivers.remove(0)
    }
}

#[test]
fn a_membership_is_measured_from_report_to_first_and_from_leave_to_last_copy() {
    let mut books = Books::new();
    assert_eq!(books.report(0, 100), Some(News::Asked));
    assert_eq!(books.report(500, 600), None, "a repeated report is no news");
    assert_eq!(
        books.copies(3, [103]),
        Some(News::FirstCopy(Duration::from_millis(3)))
    );
    books.copies(1000, 104..1000);
    assert_eq!(books.leave(1000, 1000), Some(News::Left));
    books.copies(2000, 1000..2000);
    let account = books.closed(5000);
    assert_eq!(
        (account.delivered, account.lost, account.unasked),
        (897, 0, 0)
    );
    assert_eq!(account.leave_times, [Duration::from_secs(1)]);
}

#[test]
fn a_copy_that_nobody_asked_for_is_counted() {
    let mut books = Books::new();
    assert_eq!(books.copies(0, [7]), Some(News::Unasked));
    assert_eq!(books.closed(8).unasked, 1);
}

#[test]
fn a_copy_later_than_the_tolerance_is_unasked() {
    let mut books = Books::new();
    books.report(0, 0);
    books.leave(10, 0);
    books.copies(1110, [1]);
    assert_eq!(books.0.unasked, 0);
    books.copies(1111, [2]);
    assert_eq!(books.0.unasked, 1);
}

#[test]
fn a_stream_that_dies_in_the_middle_of_a_membership_is_lost() {
    let mut books = Books::new();
    books.report(0, 0);
    books.copies(1, 0..10);
    books.leave(100, 25);
    assert_eq!(books.closed(99).lost, 15);
}

#[test]
fn a_stream_that_never_came_is_lost() {
    let mut books = Books::new();
    books.report(0, 10);
    let account = books.closed(30);
    assert_eq!((account.lost, account.join_times.len()), (20, 0));
}

#[test]
fn a_change_of_mind_within_the_last_member_query_time_is_no_new_join() {
    let mut books = Books::new();
    books.report(0, 0);
    books.copies(1, 0..10);
    books.leave(10, 10);
    books.report(500, 500);
    books.copies(600, 10..600);
    let account = books.closed(600);
    assert_eq!(
        (account.joins, account.join_times.len(), account.lost),
        (1, 1, 0)
    );
}

#[test]
fn a_damaged_copy_is_not_delivered() {
    let mut books = Books::new();
    books.report(0, 0);
    books.0.copy(GROUP, None, Books::time(1));
    let account = books.closed(0);
    assert_eq!((account.damaged, account.delivered), (1, 0));
}
