//! What a run has found, as it is written to `report.json`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::machine::Machine;

/// Version of the layout; another one has to be given to any change that an older reader would misread.
pub const SCHEMA: u32 = 1;

/// A run.
#[derive(Debug, Deserialize, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Where and of what.
    pub machine: Machine,
    /// Whether it was a short one.
    pub quick: bool,
    /// Every figure.
    pub figures: Vec<Figure>,
    /// What must hold, and whether it does.
    pub targets: Vec<Target>,
}

/// What a figure is of.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Subject {
    /// The group of measurements.
    pub group: String,
    /// Who was measured.
    pub contender: String,
    /// What was measured.
    pub measure: String,
    /// Under which circumstances.
    pub parameters: BTreeMap<String, String>,
}

impl Subject {
    /// Nothing said about circumstances yet.
    pub fn new(group: &str, contender: &str, measure: &str) -> Self {
        Self {
            group: group.to_owned(),
            contender: contender.to_owned(),
            measure: measure.to_owned(),
            parameters: BTreeMap::new(),
        }
    }

    /// The same under this circumstance.
    #[must_use]
    pub fn with(mut self, name: &str, value: &(impl ToString + ?Sized)) -> Self {
        self.parameters.insert(name.to_owned(), value.to_string());
        self
    }

    /// A circumstance that is a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.parameters.get(name)?.parse().ok()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.group, self.contender, self.measure)?;
        for (name, value) in &self.parameters {
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}

/// A figure: the median of its rounds, and how far they lie apart.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Figure {
    /// What it is of.
    #[serde(flatten)]
    pub subject: Subject,
    /// Of the numbers.
    pub unit: String,
    /// Of all rounds.
    pub median: f64,
    /// The lowest of them.
    pub min: f64,
    /// The highest.
    pub max: f64,
    /// How many there were.
    pub rounds: usize,
    /// Copies that did not arrive, or that should not have. With any, the figure is of something else.
    pub astray: u64,
}

impl Figure {
    /// Of one value a round.
    ///
    /// # Panics
    /// Without rounds.
    pub fn new(subject: Subject, unit: &str, values: &[f64]) -> Self {
        assert!(!values.is_empty(), "{subject}: no rounds");
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self {
            subject,
            unit: unit.to_owned(),
            median: median_of_sorted(&sorted),
            min: sorted[0],
            max: sorted[sorted.len() - 1],
            rounds: sorted.len(),
            astray: 0,
        }
    }

    /// Whether it means anything.
    pub fn is_valid(&self) -> bool {
        self.astray == 0
    }
}

fn median_of_sorted(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

/// Which side of a bound is the good one.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// No less.
    AtLeast,
    /// No more.
    AtMost,
}

/// Something that must hold.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Target {
    /// In words.
    pub what: String,
    /// Which side of `limit` is the good one.
    pub bound: Bound,
    /// How far it may go.
    pub limit: f64,
    /// How far it goes.
    pub value: f64,
    /// Of both.
    pub unit: String,
    /// Whether it holds.
    pub met: bool,
}

impl Target {
    /// Judges `value`.
    pub fn new(what: String, bound: Bound, limit: f64, value: f64, unit: &str) -> Self {
        let met = match bound {
            Bound::AtLeast => value >= limit,
            Bound::AtMost => value <= limit,
        };
        Self {
            what,
            bound,
            limit,
            value,
            unit: unit.to_owned(),
            met,
        }
    }
}

/// The figure of this subject, if it means anything.
pub fn find<'a>(figures: &'a [Figure], subject: &Subject) -> Option<&'a Figure> {
    figures
        .iter()
        .find(|figure| figure.subject == *subject && figure.is_valid())
}

#[cfg(test)]
mod tests;
