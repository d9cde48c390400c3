//! One line an error: where it is, what is wrong, what to do.

use std::fmt;

/// A configuration that cannot be used, as one line `FILE:LINE: what is wrong; what to do`.
///
/// For interfaces named by flags the place is the flag, such as `--iface eth0`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct Error {
    place: String,
    problem: Problem,
}

/// What is wrong with a value, and what to do; whoever read the value knows where it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    what: String,
    remedy: String,
}

impl Problem {
    pub(crate) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    pub(crate) fn at(self, place: impl Into<String>) -> Error {
        Error {
            place: place.into(),
            problem: self,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl std::error::Error for Problem {}
