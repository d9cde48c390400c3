//! Rules of this repository that no compiler checks, as ordinary code.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

/// The modules that must give the same answer for the same input: no clock, no socket, no file, no map.
const PURE: [&str; 4] = [
    "igmp-userspace/src/wire",
    "igmp-userspace/src/proto",
    "igmp-userspace/src/fib",
    "igmp-userspace/src/backup",
];

/// What a line of them must not mention: all words of one entry together.
const IMPURE: [&[&str]; 12] = [
    &["tokio"],
    &["aya"],
    &["aya_obj"],
    &["libc"],
    &["rtnetlink"],
    &["SystemTime"],
    &["UdpSocket"],
    &["TcpStream"],
    // The core has an `Instant` of its own, which cannot be read from a clock.
    &["std", "time", "Instant"],
    &["std", "fs"],
    &["std", "env"],
    &["std", "thread"],
];

/// Where requirement, function and test stand side by side.
const COMPLIANCE: &str = "docs/rfc-compliance.md";

/// A file longer than this should be two.
const LONG_FILE: usize = 400;

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Broken rules, one line each: where, and what to do.
    pub errors: Vec<String>,
    /// What should be looked at.
    pub warnings: Vec<String>,
}

/// Checks the workspace at `root`.
pub fn check(root: &Path) -> io::Result<Report> {
    let mut sources = Vec::new();
    collect_sources(root, &mut sources)?;
    let mut report = Report::default();
    let mut tests = BTreeSet::new();
    for path in &sources {
        let text = fs::read_to_string(path)?;
        let name = path.strip_prefix(root).unwrap_or(path);
        tests.extend(test_names(&text).map(str::to_owned));
        if is_test(name) {
            continue;
        }
        if PURE
            .iter()
            .any(|pure| name.starts_with(pure) || name.with_extension("") == Path::new(pure))
        {
            report
                .errors
                .extend(impure_lines(&text).map(|(line, what)| {
                    format!(
                        "{}:{line}: {what} has no place in the pure core; it belongs to io/",
                        name.display()
                    )
                }));
        }
        let lines = text.lines().count();
        if lines > LONG_FILE {
            report.warnings.push(format!(
                "{}: {lines} lines; more than {LONG_FILE} are rarely one subject",
                name.display()
            ));
        }
    }
    match fs::read_to_string(root.join(COMPLIANCE)) {
        Ok(table) => report.errors.extend(compliance_errors(&table, &tests)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(report)
}

/// All Rust files of the workspace, in a fixed order.
fn collect_sources(directory: &Path, sources: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type()?.is_dir() {
            if name != "target" && !name.to_string_lossy().starts_with('.') {
                collect_sources(&path, sources)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
    Ok(())
}

/// Tests may read files and be as long as their tables.
fn is_test(path: &Path) -> bool {
    path.iter().any(|part| {
        let part = part.to_string_lossy();
        let name = part.strip_suffix(".rs").unwrap_or(&part);
        ["tests", "model"].contains(&name) || name.ends_with("_tests")
    })
}

/// Numbers, from 1, of the lines of code that mention what the pure core must not, with what it is.
fn impure_lines(text: &str) -> impl Iterator<Item = (usize, String)> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let code = line.split("//").next().unwrap_or_default();
        let words: BTreeSet<&str> = code
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .collect();
        let found = IMPURE
            .iter()
            .find(|entry| entry.iter().all(|word| words.contains(word)))?;
        Some((index + 1, found.join("::")))
    })
}

/// Names of the functions marked as tests, with libtest's attribute or tokio's.
fn test_names(text: &str) -> impl Iterator<Item = &str> {
    let mut marked = false;
    text.lines().filter_map(move |line| {
        let line = line.trim_start();
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        }
        let (before, signature) = line.split_once("fn ")?;
        if !std::mem::take(&mut marked)
            || !before
                .chars()
                .all(|c| c.is_alphabetic() || c == ' ' || "#[]:".contains(c))
        {
            return None;
        }
        signature.split(['(', '<']).next().map(str::trim)
    })
}

/// Tests that the table names, between backticks in its column `Test`, and that do not exist.
fn compliance_errors(table: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let mut errors = Vec::new();
    let mut column = None;
    let mut named = 0;
    for (index, line) in table.lines().enumerate() {
        if !line.starts_with('|') {
            column = None;
            continue;
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let Some(column) = column else {
            column = Some(
                cells
                    .iter()
                    .position(|cell| matches!(cell.to_lowercase().as_str(), "test" | "tests"))
                    .unwrap_or(cells.len()),
            );
            continue;
        };
        // Every other piece between backticks is code.
        for path in cells
            .get(column)
            .copied()
            .unwrap_or_default()
            .split('`')
            .skip(1)
            .step_by(2)
        {
            named += 1;
            let name = path.rsplit("::").next().unwrap_or(path);
            if !tests.contains(name) {
                errors.push(format!(
                    "{COMPLIANCE}:{}: there is no test {path}",
                    index + 1
                ));
            }
        }
    }
    if named == 0 {
        errors.push(format!(
            "{COMPLIANCE}: no table has a column Test with a test in it"
        ));
    }
    errors
}
