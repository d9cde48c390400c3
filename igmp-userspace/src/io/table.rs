//! Aligned columns for a terminal.

#[cfg(test)]
mod tests;

use std::io::{self, Write};

/// Which side of its column a cell keeps to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a header; every column is as wide as its widest cell.
pub(super) struct Table<const N: usize> {
    columns: [(&'static str, Align); N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(columns: [(&'static str, Align); N]) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    /// Writes header and rows; the header is bold if asked for.
    pub(super) fn write(&self, out: &mut impl Write, bold: bool) -> io::Result<()> {
        let mut widths = self.columns.map(|(header, _)| header.chars().count());
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let (start, end) = if bold {
            ("\x1b[1m", "\x1b[0m")
        } else {
            ("", "")
        };
        let header = self.line(&self.columns.map(|(header, _)| header), &widths);
        writeln!(out, "{start}{header}{end}")?;
        for row in &self.rows {
            writeln!(out, "{}", self.line(row, &widths))?;
        }
        Ok(())
    }

    fn line(&self, cells: &[impl AsRef<str>; N], widths: &[usize; N]) -> String {
        let cells =
            cells
                .iter()
                .zip(&self.columns)
                .zip(widths)
                .map(|((cell, (_, align)), &width)| {
                    let cell = cell.as_ref();
                    match align {
                        Align::Left => format!("{cell:<width$}"),
                        Align::Right => format!("{cell:>width$}"),
                    }
                });
        let mut line = cells.collect::<Vec<_>>().join("  ");
        line.truncate(line.trim_end().len());
        line
    }
}
