//! The TOML as it is being written, and the warnings that go with it.

use std::fmt::Display;

use toml::Value;

use super::{Imported, Warning};

/// Longer lists are written an element a line.
const LONGEST_LINE: usize = 100;

/// A configuration of ours, growing.
pub(super) struct Document {
    toml: String,
    warnings: Vec<Warning>,
}

impl Document {
    /// A document that begins by saying where it comes from.
    pub(super) fn new(origin: &str) -> Self {
        let mut document = Self {
            toml: String::new(),
            warnings: Vec::new(),
        };
        document.comment(&format!(
            "Converted from {origin}. Read the warnings below, then try it with `igmpctl check-config`."
        ));
        document
    }

    /// Begins a part: `header` such as `[[interface]]`, for what is on `line` of the file.
    pub(super) fn section(&mut self, header: &str, line: impl Into<Option<usize>>) {
        self.gap();
        if let Some(line) = line.into() {
            self.comment(&format!("line {line}"));
        }
        self.push(header);
    }

    /// An empty line.
    pub(super) fn gap(&mut self) {
        self.toml.push('\n');
    }

    /// One line of comment. Control characters of the file, which no TOML may have, become visible.
    pub(super) fn comment(&mut self, text: &str) {
        let line: String = text
            .chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect();
        self.push(format!("# {line}").trim_end());
    }

    /// A warning, at this place.
    pub(super) fn warn(&mut self, line: usize, text: impl Display) {
        let text = text.to_string();
        self.comment(&format!("warning: line {line}: {text}"));
        self.warnings.push(Warning { line, text });
    }

    /// A key and its value.
    pub(super) fn key(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        let line = format!("{key} = {value}");
        match value {
            Value::Array(elements) if line.len() > LONGEST_LINE => self.rows(
                key,
                elements.into_iter().map(|element| (element, String::new())),
            ),
            _ => self.push(&line),
        }
    }

    /// A key and its value, with a note behind it.
    pub(super) fn noted_key(&mut self, key: &str, value: impl Into<Value>, note: &str) {
        self.push(&format!("{key} = {}  # {note}", value.into()));
    }

    /// A list, an element a line, each with a note; without elements the empty list.
    pub(super) fn rows(&mut self, key: &str, rows: impl IntoIterator<Item = (Value, String)>) {
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_none() {
            self.push(&format!("{key} = []"));
            return;
        }
        self.push(&format!("{key} = ["));
        for (value, note) in rows {
            let note = if note.is_empty() {
                note
            } else {
                format!("  # {note}")
            };
            self.push(&format!("    {value},{note}"));
        }
        self.push("]");
    }

    /// What was written, with the warnings in the order of the file.
    pub(super) fn finish(mut self) -> Imported {
        self.warnings.sort_by_key(|warning| warning.line);
        Imported {
            toml: self.toml,
            warnings: self.warnings,
        }
    }

    fn push(&mut self, line: &str) {
        self.toml.push_str(line);
        self.toml.push('\n');
    }
}

/// A list of what is written as text.
pub(super) fn texts<T: Display>(values: impl IntoIterator<Item = T>) -> Value {
    let values = values.into_iter();
    Value::Array(
        values
            .map(|value| Value::String(value.to_string()))
            .collect(),
    )
}

/// An inline table, in this order.
pub(super) fn table<const N: usize>(keys: [(&str, Value); N]) -> Value {
    let keys = keys.into_iter().map(|(key, value)| (key.to_owned(), value));
    Value::Table(keys.collect())
}
