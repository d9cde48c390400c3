//! The lab's last word.

use std::time::Duration;

use super::ledger::{Account, Ledger};
use super::screen::{Line, Style, milliseconds};
use super::{STREAM_INTERVAL, Setup};

/// The table and the verdict.
pub struct Summary {
    /// To be printed.
    pub lines: Vec<Line>,
    /// Whether everything was as it must be.
    pub passed: bool,
}

/// Sums the books up.
pub fn summarise(setup: &Setup, ledger: &Ledger, frames_not_seen: u32) -> Summary {
    let mut lines = vec![Line::new(
        Style::Bold,
        format!(
            "{:<9}{:>5}{:>7}{:>12}{:>7}{:>11}{:>9}{:>9}   {:<24}{}",
            "receiver",
            "IGMP",
            "joins",
            "delivered",
            "lost",
            "duplicate",
            "damaged",
            "unasked",
            "join to first packet",
            "leave to last packet",
        ),
    )];
    for (receiver, account) in setup.receivers.iter().zip(ledger.accounts()) {
        lines.push(row(
            &receiver.name,
            &format!("v{}", receiver.igmp_version),
            account,
        ));
    }
    let mut all = Account::default();
    for account in ledger.accounts() {
        all.joins += account.joins;
        all.delivered += account.delivered;
        all.lost += account.lost;
        all.duplicates += account.duplicates;
        all.damaged += account.damaged;
        all.unasked += account.unasked;
        all.join_times.extend(&account.join_times);
        all.leave_times.extend(&account.leave_times);
    }
    lines.push(row("all", "", &all));
    lines.push(Line::new(
        Style::Dim,
        format!(
            "Times are median / longest, between frames on the receiver's cable. One packet every {}; a leave is \
             followed by one query and one second for an answer.",
            milliseconds(STREAM_INTERVAL)
        ),
    ));

    let unserved = all.joins - all.join_times.len() as u64;
    let faults: Vec<String> = [
        (all.unasked, "packets reached someone who had not asked"),
        (all.lost, "packets were lost"),
        (all.duplicates, "packets came twice"),
        (all.damaged, "packets came damaged"),
        (unserved, "joins were never answered by a packet"),
        (u64::from(all.joins == 0), "run without a single join"),
        (
            frames_not_seen.into(),
            "frames were too fast for the lab's own captures: judge nothing from this run",
        ),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    let passed = faults.is_empty();
    lines.push(if passed {
        Line::new(Style::Good, "PASS").add(
            Style::Plain,
            ": everyone got what they asked for, and nothing else",
        )
    } else {
        Line::new(Style::Bad, "FAIL").add(Style::Plain, format!(": {}", faults.join("; ")))
    });
    Summary { lines, passed }
}

fn row(name: &str, version: &str, account: &Account) -> Line {
    let count = |value: u64, width: usize| format!("{value:>width$}");
    let fault = |value: u64| if value == 0 { Style::Plain } else { Style::Bad };
    Line::new(Style::Bold, format!("{name:<9}"))
        .add(
            Style::Plain,
            format!(
                "{version:>5}{}{}",
                count(account.joins, 7),
                count(account.delivered, 12)
            ),
        )
        .add(fault(account.lost), count(account.lost, 7))
        .add(fault(account.duplicates), count(account.duplicates, 11))
        .add(fault(account.damaged), count(account.damaged, 9))
        .add(fault(account.unasked), count(account.unasked, 9))
        .add(
            Style::Plain,
            format!(
                "   {:<24}{}",
                spread(&account.join_times),
                spread(&account.leave_times)
            ),
        )
}

fn spread(times: &[Duration]) -> String {
    let mut sorted = times.to_vec();
    sorted.sort();
    match (sorted.get(sorted.len() / 2), sorted.last()) {
        (Some(median), Some(longest)) => {
            format!("{} / {}", milliseconds(*median), milliseconds(*longest))
        }
        _ => "-".into(),
    }
}
