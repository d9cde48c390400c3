//! What differs between two configurations, key by key.

use std::fmt;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::Config;

/// One difference. Values are written as in the file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Change {
    /// The section: `policy`, `interface eth1`, `acl 2000`.
    pub section: String,
    /// The key, or `rule 5`; null when the whole section comes or goes.
    pub key: Option<String>,
    /// The value until now; null when there was none.
    pub old: Option<String>,
    /// The value from now on; null when there is none.
    pub new: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match (&self.old, &self.new) {
            (None, _) => '+',
            (_, None) => '-',
            _ => '~',
        };
        write!(f, "{sign} {}", self.section)?;
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, ": {old} -> {new}"),
            (Some(value), None) | (None, Some(value)) => write!(f, ": {value}"),
            (None, None) => Ok(()),
        }
    }
}

/// A change that needs a restart.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{section}.{key} cannot change while igmpd runs ({old} -> {new}); restart igmpd, or put it back"
)]
pub struct Fixed {
    section: String,
    key: String,
    old: String,
    new: String,
}

/// What is fixed when igmpd starts: where it is reached, and what the kernel allocated.
const FIXED: [(&str, &str); 5] = [
    ("daemon", "control_socket"),
    ("daemon", "pin_path"),
    ("daemon", "metrics"),
    ("daemon", "persist"),
    ("datapath", "max_flows"),
];

/// What changes from `old` to `new`, in the order of the file.
///
/// # Errors
///
/// The first change that a running daemon cannot follow.
pub fn diff(old: &Config, new: &Config) -> Result<Vec<Change>, Fixed> {
    let (old, new) = (sections(&old.effective()), sections(&new.effective()));
    let mut changes = Vec::new();
    for before in &old {
        match new.iter().find(|after| after.name == before.name) {
            Some(after) => compare(before, after, &mut changes),
            None => changes.push(before.whole(true)),
        }
    }
    let added = new
        .iter()
        .filter(|after| old.iter().all(|before| before.name != after.name));
    changes.extend(added.map(|after| after.whole(false)));
    match changes.iter().find_map(fixed) {
        Some(fixed) => Err(fixed),
        None => Ok(changes),
    }
}

fn fixed(change: &Change) -> Option<Fixed> {
    let key = change.key.as_deref()?;
    FIXED.contains(&(&change.section, key)).then(|| Fixed {
        section: change.section.clone(),
        key: key.to_owned(),
        old: change.old.clone().unwrap_or_else(|| "none".into()),
        new: change.new.clone().unwrap_or_else(|| "none".into()),
    })
}

/// A section with its values as text.
struct Section {
    name: String,
    /// What stands for the whole of it.
    summary: String,
    keys: Vec<(String, String)>,
}

impl Section {
    fn whole(&self, goes: bool) -> Change {
        let value = Some(self.summary.clone());
        let (old, new) = if goes { (value, None) } else { (None, value) };
        Change {
            section: self.name.clone(),
            key: None,
            old,
            new,
        }
    }

    fn get(&self, key: &str) -> Option<&String> {
        let found = self.keys.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value)
    }
}

fn compare(before: &Section, after: &Section, changes: &mut Vec<Change>) {
    let added = after
        .keys
        .iter()
        .filter(|(key, _)| before.get(key).is_none());
    for (key, _) in before.keys.iter().chain(added) {
        let (old, new) = (before.get(key), after.get(key));
        if old != new {
            changes.push(Change {
                section: before.name.clone(),
                key: Some(key.clone()),
                old: old.cloned(),
                new: new.cloned(),
            });
        }
    }
}

fn sections(config: &Table) -> Vec<Section> {
    let mut sections = Vec::new();
    for (name, value) in config {
        match value {
            Value::Table(keys) => sections.push(section(name.clone(), keys)),
            Value::Array(tables) => {
                let tables = tables.iter().filter_map(Value::as_table);
                sections.extend(tables.map(|keys| section(format!("{name} {}", id(keys)), keys)));
            }
            _ => {}
        }
    }
    sections
}

/// What tells the sections of one kind apart: an interface's name and VLAN, a list's number or name.
fn id(keys: &Table) -> String {
    match (keys.get("number"), keys.get("name")) {
        (Some(number), _) => number.to_string(),
        (None, Some(Value::String(name))) => match keys.get("vlan") {
            Some(Value::Table(vlan)) => format!("{name}.{}", vlan["id"]),
            Some(id) => format!("{name}.{id}"),
            None => name.clone(),
        },
        _ => String::new(),
    }
}

fn section(name: String, keys: &Table) -> Section {
    let rules = keys.get("rules").and_then(Value::as_array);
    let summary = match (keys.get("role"), rules) {
        (Some(Value::String(role)), _) => role.clone(),
        (_, Some(rules)) => format!("{} rules", rules.len()),
        _ => String::new(),
    };
    let mut flat = Vec::new();
    for (key, value) in keys {
        match value {
            // A list of a thousand rules is not one value.
            Value::Array(rules) if key == "rules" => flat.extend(rules.iter().filter_map(rule)),
            _ => flat.push((key.clone(), value.to_string())),
        }
    }
    Section {
        name,
        summary,
        keys: flat,
    }
}

fn rule(rule: &Value) -> Option<(String, String)> {
    let mut keys = rule.as_table()?.clone();
    let sequence = keys.remove("sequence")?;
    Some((format!("rule {sequence}"), Value::Table(keys).to_string()))
}
