//! The lab on a terminal: one picture, drawn again in place.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use super::ledger::{Event, Interest, Ledger, News};
use super::plan::{CHANNELS, UNWATCHED};
use super::{PACKETS_PER_SECOND, Setup};

/// Width to assume when the terminal does not tell.
const DEFAULT_COLUMNS: usize = 100;
const DEFAULT_ROWS: usize = 30;
/// How many of the last events are shown, where there is room.
const EVENTS: usize = 10;

/// Width of a receiver's cell for one group; all of it fits 80 columns.
const CELL: usize = 11;

/// How a piece of a line looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Style {
    /// As ever.
    Plain,
    /// Stands out.
    Bold,
    /// In the background.
    Dim,
    /// As it should be.
    Good,
    /// On its way.
    Pending,
    /// Wrong.
    Bad,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
            Self::Good => "\x1b[32m",
            Self::Pending => "\x1b[33m",
            Self::Bad => "\x1b[1;31m",
        }
    }
}

/// A line of styled pieces.
#[derive(Default)]
pub struct Line(Vec<(Style, String)>);

impl Line {
    /// Adds a piece.
    pub fn add(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, text.into()));
        self
    }

    /// A line in one style.
    pub fn new(style: Style, text: impl Into<String>) -> Self {
        Self::default().add(style, text)
    }

    /// The line, with escape sequences if `colour`, cut to `columns`.
    pub fn render(&self, colour: bool, columns: usize) -> String {
        let mut out = String::new();
        let mut room = columns;
        for (style, text) in &self.0 {
            let piece: String = text.chars().take(room).collect();
            room -= piece.chars().count();
            if colour && *style != Style::Plain {
                let _ = write!(out, "{}{piece}\x1b[0m", style.code());
            } else {
                out.push_str(&piece);
            }
        }
        out
    }
}

/// An event in words; `start` is the lab's.
pub fn describe(event: &Event, receiver: &str, start: SystemTime) -> Line {
    let group = event.group;
    let (style, words) = match event.news {
        News::Asked => (Style::Plain, format!("asks for {group}")),
        News::FirstCopy(took) => (
            Style::Good,
            format!("receives {group}, {} after its report", milliseconds(took)),
        ),
        News::Left => (Style::Plain, format!("leaves {group}")),
        News::LastCopy(took) => (
            Style::Dim,
            format!(
                "last copy of {group} came {} after its leave",
                milliseconds(took)
            ),
        ),
        News::Unasked => (
            Style::Bad,
            format!("gets {group}, WHICH IT HAS NOT ASKED FOR"),
        ),
    };
    let since = event.at.duration_since(start).unwrap_or_default();
    Line::new(Style::Dim, format!("{:>9.3} s  ", since.as_secs_f64()))
        .add(Style::Bold, format!("{receiver:<4} "))
        .add(style, words)
}

/// A duration as the lab writes it.
pub fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

/// The picture.
pub struct Screen {
    drawn: usize,
    /// Copies at the last drawing, by receiver and channel.
    before: Vec<Vec<u64>>,
    before_at: SystemTime,
}

impl Screen {
    /// Nothing drawn yet.
    pub fn new(receivers: usize, now: SystemTime) -> Self {
        Self {
            drawn: 0,
            before: vec![vec![0; CHANNELS.len() + 1]; receivers],
            before_at: now,
        }
    }

    /// Draws over what was drawn before.
    pub fn draw(
        &mut self,
        setup: &Setup,
        ledger: &Ledger,
        events: &[Line],
        colour: bool,
        now: SystemTime,
    ) {
        let (columns, rows) = terminal_size::terminal_size()
            .map_or((DEFAULT_COLUMNS, DEFAULT_ROWS), |(columns, rows)| {
                (columns.0.into(), rows.0.into())
            });
        let mut picture = self.picture(setup, ledger, now);
        // The cursor cannot go back above the top row.
        picture.truncate(rows.saturating_sub(1));
        let room = rows.saturating_sub(picture.len() + 1).min(EVENTS);
        let latest = &events[events.len().saturating_sub(room)..];
        let texts: Vec<String> = picture
            .iter()
            .chain(latest)
            .map(|line| line.render(colour, columns))
            .collect();

        let mut out = String::new();
        if self.drawn > 0 {
            let _ = write!(out, "\x1b[{}A\r", self.drawn);
        }
        for text in &texts {
            let _ = writeln!(out, "{text}\x1b[K");
        }
        out.push_str("\x1b[J");
        self.drawn = texts.len();
        let mut stdout = io::stdout().lock();
        let _ = stdout
            .write_all(out.as_bytes())
            .and_then(|()| stdout.flush());
    }

    fn picture(&mut self, setup: &Setup, ledger: &Ledger, now: SystemTime) -> Vec<Line> {
        let elapsed = now
            .duration_since(setup.start)
            .unwrap_or_default()
            .min(setup.length);
        let groups: Vec<Ipv4Addr> = CHANNELS.iter().copied().chain([UNWATCHED]).collect();
        let header = groups
            .iter()
            .fold(format!("{:22}", ""), |mut header, group| {
                let _ = write!(header, "{:<CELL$}", group.to_string());
                header
            });
        let mut lines = vec![
            Line::new(Style::Bold, "igmpd lab").add(
                Style::Dim,
                format!(
                    "   {:.1} of {:.0} s, Ctrl-C ends it",
                    elapsed.as_secs_f64(),
                    setup.length.as_secs_f64()
                ),
            ),
            Line::default(),
            Line::new(
                Style::Plain,
                format!(
                    "  src ── {} streams of {PACKETS_PER_SECOND} packets/s ──▶ wan0 ",
                    groups.len(),
                ),
            )
            .add(Style::Bold, "[ igmpd ]"),
            Line::new(Style::Dim, header),
        ];
        let seconds = now
            .duration_since(self.before_at)
            .unwrap_or_default()
            .as_secs_f64()
            .max(0.001);
        for (index, receiver) in setup.receivers.iter().enumerate() {
            let branch = if index + 1 == setup.receivers.len() {
                '└'
            } else {
                '├'
            };
            let mut line = Line::new(
                Style::Dim,
                format!("  {branch}─ {:<6}─ ", format!("lan{index}")),
            )
            .add(Style::Bold, format!("{:<4}", receiver.name))
            .add(Style::Dim, format!("v{}  ", receiver.igmp_version));
            let account = &ledger.accounts()[index];
            for (group, before) in groups.iter().zip(&mut self.before[index]) {
                let (interest, copies) = (account.groups().get(group))
                    .map_or((Interest::None, 0), |reception| {
                        (reception.interest, reception.copies)
                    });
                let fresh = copies - std::mem::replace(before, copies);
                #[expect(clippy::cast_precision_loss, reason = "a rate for the eye")]
                let rate = format!("{:.0}/s", fresh as f64 / seconds);
                let (style, text) = match interest {
                    Interest::None if fresh == 0 => (Style::Dim, "·".into()),
                    Interest::None => (Style::Bad, format!("{rate} !!")),
                    Interest::Asked { served: false, .. } => (Style::Pending, "asked".into()),
                    Interest::Asked { .. } => (Style::Good, rate),
                    Interest::Left { .. } => (Style::Pending, format!("{rate} ↓")),
                };
                line = line.add(style, format!("{text:<CELL$}"));
            }
            lines.push(line);
        }
        self.before_at = now;
        lines.push(Line::default());
        lines.push(Line::new(
            Style::Dim,
            format!("  nobody asks for {UNWATCHED}; ↓ has left, and is asked whether anyone stays"),
        ));
        lines.push(Line::default());
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_by_what_is_seen_of_it() {
        let line = Line::new(Style::Good, "──▶").add(Style::Plain, "wan0");
        assert_eq!(line.render(false, 5), "──▶wa");
        assert_eq!(line.render(true, 5), "\x1b[32m──▶\x1b[0mwa");
    }
}
