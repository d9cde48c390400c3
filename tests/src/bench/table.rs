//! What was found, for the terminal.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use super::report::{Bound, Figure, Report, Target};

/// Every figure of one group.
pub fn figures(group: &str, figures: &[Figure]) -> String {
    let mut table = new_table();
    // Circumstances in columns of their own; those that a figure does not have stay empty.
    let names: BTreeSet<&String> = figures
        .iter()
        .flat_map(|figure| figure.subject.parameters.keys())
        .collect();
    let mut header = vec![group, "measure"];
    header.extend(names.iter().map(|name| name.as_str()));
    header.extend(["median", "min", "max", "unit", "rounds", ""]);
    let columns = header.len();
    table.set_header(header);
    let mut sorted: Vec<&Figure> = figures.iter().collect();
    sorted.sort_by_key(|figure| {
        let subject = &figure.subject;
        let numbers: Vec<Option<u64>> = names.iter().map(|name| subject.number(name)).collect();
        (subject.measure.clone(), numbers, subject.contender.clone())
    });
    for figure in sorted {
        let subject = &figure.subject;
        let mut row = vec![subject.contender.clone(), subject.measure.clone()];
        row.extend(
            names
                .iter()
                .map(|name| subject.parameters.get(*name).cloned().unwrap_or_default()),
        );
        row.extend([figure.median, figure.min, figure.max].map(number));
        row.extend([figure.unit.clone(), figure.rounds.to_string()]);
        row.push(if figure.is_valid() {
            String::new()
        } else {
            format!("INVALID: {} copies astray", figure.astray)
        });
        table.add_row(row);
    }
    align(&mut table, 2..columns - 3);
    table.to_string()
}

/// What must hold.
pub fn targets(targets: &[Target]) -> String {
    let mut table = new_table();
    table.set_header(["target", "", "limit", "value", "unit", ""]);
    for target in targets {
        let bound = match target.bound {
            Bound::AtLeast => "at least",
            Bound::AtMost => "at most",
        };
        let verdict = if target.met { "met" } else { "MISSED" };
        table.add_row([
            target.what.clone(),
            bound.to_owned(),
            number(target.limit),
            number(target.value),
            target.unit.clone(),
            verdict.to_owned(),
        ]);
    }
    align(&mut table, 2..4);
    table.to_string()
}

/// The figures of this run beside those of another one.
pub fn comparison(before: &Report, now: &Report) -> String {
    let mut table = new_table();
    table.set_header(["figure", "before", "now", "unit", "now / before"]);
    let mut without = 0;
    for figure in &now.figures {
        let same = before
            .figures
            .iter()
            .find(|old| old.subject == figure.subject && old.unit == figure.unit && old.is_valid());
        let Some(old) = same.filter(|_| figure.is_valid()) else {
            without += 1;
            continue;
        };
        table.add_row([
            figure.subject.to_string(),
            number(old.median),
            number(figure.median),
            figure.unit.clone(),
            format!("{:.2}", figure.median / old.median),
        ]);
    }
    align(&mut table, 1..3);
    let mut text = format!(
        "Compared with {} on {}:\n{table}",
        before.machine.commit, before.machine.cpu
    );
    if without > 0 {
        let _ = write!(text, "\n{without} figures have no counterpart");
    }
    text
}

fn new_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn align(table: &mut Table, numbers: std::ops::Range<usize>) {
    for index in numbers {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// Three digits that mean something.
pub fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
