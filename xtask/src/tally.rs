//! Counts what libtest reports while its output passes through.

use std::ops::AddAssign;

#[cfg(test)]
mod tests;

/// Tests by outcome.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Ran to the end and found nothing wrong.
    pub passed: u32,
    /// Found something wrong, or could not be run at all.
    pub failed: u32,
    /// Said why they could not judge on this machine, or are marked `#[ignore]`.
    pub skipped: u32,
    /// Of those that passed: the first time they did not.
    pub flaky: u32,
}

impl Tally {
    /// Tests that judged something.
    pub fn ran(self) -> u32 {
        self.passed + self.failed
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.flaky += other.flaky;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )?;
        match self.flaky {
            0 => Ok(()),
            flaky => write!(f, ", {flaky} flaky"),
        }
    }
}

/// Reads the output of `cargo test -- --show-output` line by line.
///
/// libtest knows no skipped test. Ours print a line that begins with `SKIP` and return, which libtest counts as passed;
/// here such a test counts as skipped. Its line is only there with `--show-output`, which also prints all that
/// passing tests say: the reader tells which lines are worth showing.
#[derive(Debug, Default)]
pub struct Reader {
    tally: Tally,
    /// Names of those that failed.
    failed: Vec<String>,
    section: Section,
    /// Tests of the test binary at hand that skipped themselves.
    skips: u32,
    /// The output at hand belongs to a test that has been counted as skipped already.
    counted: bool,
}

#[derive(Debug, Default, Eq, PartialEq)]
enum Section {
    /// The list of tests as they end, and all that is not libtest's.
    #[default]
    Progress,
    /// What passing tests printed, and their names again.
    Successes,
    /// The same of failing ones.
    Failures,
}

impl Reader {
    /// Takes one line without its end; returns whether to show it.
    pub fn line(&mut self, line: &str) -> bool {
        if let Some(result) = parse_result(line) {
            self.tally += Tally {
                passed: result.passed.saturating_sub(self.skips),
                failed: result.failed,
                skipped: result.skipped + self.skips,
                flaky: 0,
            };
            *self = Self {
                tally: self.tally,
                failed: std::mem::take(&mut self.failed),
                ..Self::default()
            };
            return true;
        }
        match line {
            "successes:" => self.section = Section::Successes,
            "failures:" => self.section = Section::Failures,
            _ => {}
        }
        if self.section == Section::Progress {
            let name = line
                .strip_prefix("test ")
                .and_then(|rest| rest.strip_suffix(" ... FAILED"));
            self.failed.extend(name.map(str::to_owned));
        }
        if self.section != Section::Successes {
            return true;
        }
        if line.starts_with("---- ") {
            self.counted = false;
        }
        let skip = line.starts_with("SKIP");
        if skip && !self.counted {
            self.counted = true;
            self.skips += 1;
        }
        skip
    }

    /// Takes it that the binary at hand ended without a word: one failure.
    pub fn died(&mut self) {
        self.tally.failed += 1;
    }

    /// Names of the tests that failed so far.
    pub fn failed(&self) -> &[String] {
        &self.failed
    }

    /// The sum over all test binaries so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }
}

/// Reads libtest's last line: `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished
/// in 0.01s`.
fn parse_result(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| {
        let mut counts = counts.split("; ");
        counts.find_map(|count| count.strip_suffix(what)?.trim_end().parse().ok())
    };
    Some(Tally {
        passed: count("passed")?,
        failed: count("failed")?,
        skipped: count("ignored")?,
        flaky: 0,
    })
}
