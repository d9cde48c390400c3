//! Access lists. Of a basic list, an IGMP policy compares the *source* of a rule with the group; of an advanced one, the
//! source with the source and the destination with the group.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use toml::Value;

use super::views::{Line, View};
use crate::config::address::ALL_GROUPS;
use crate::config::import::document::{Document, table};
use crate::config::import::{At, at};

/// A name is this long at most, so is ours.
const LONGEST_NAME: usize = 63;
/// Rules without a number get the next multiple of this.
const STEP: u32 = 5;

/// A list, from one view or several.
struct Acl<'a> {
    line: usize,
    number: Option<i64>,
    name: Option<&'a str>,
    is_basic: bool,
    rules: Vec<Rule>,
    comments: Vec<String>,
    /// What is left out or differs, and why.
    unmatched: Vec<At<String>>,
}

struct Rule {
    line: usize,
    sequence: u32,
    is_permit: bool,
    /// `None` is any.
    group: Option<Ipv4Net>,
    source: Option<Ipv4Net>,
}

/// Whether our lists can have this name.
pub(super) fn is_name(text: &str) -> bool {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    !is_number && text.len() <= LONGEST_NAME && !text.contains(char::is_control)
}

/// Writes the lists in `used`.
pub(super) fn write(out: &mut Document, views: &[View<'_>], used: &BTreeSet<String>) {
    let mut acls: Vec<Acl<'_>> = Vec::new();
    for view in views {
        let Some((number, name, is_basic)) = head(&view.head) else {
            continue;
        };
        let known = acls.iter().position(|acl| {
            (number.is_some() && acl.number == number) || (name.is_some() && acl.name == name)
        });
        let index = known.unwrap_or_else(|| {
            acls.push(Acl {
                line: view.head.number,
                number,
                name,
                is_basic,
                rules: Vec::new(),
                comments: Vec::new(),
                unmatched: Vec::new(),
            });
            acls.len() - 1
        });
        acls[index].name = acls[index].name.or(name);
        acls[index].read(view);
    }
    for acl in &mut acls {
        let number = acl.number.map(|number| number.to_string());
        let is_used = number.is_some_and(|number| used.contains(&number))
            || acl.name.is_some_and(|name| used.contains(name));
        if is_used {
            acl.write(out);
        }
    }
}

/// `acl [number] N`, `acl name X [[number] N] [basic|advance]`: number, name, and whether it is basic.
fn head<'a>(line: &Line<'a>) -> Option<(Option<i64>, Option<&'a str>, bool)> {
    let ["acl", words @ ..] = &line.words[..] else {
        return None;
    };
    let (name, options) = match words {
        ["name", name, options @ ..] => (Some(*name), options),
        _ => (None, words),
    };
    let number = options.iter().find_map(|word| word.parse().ok());
    let number = number.filter(|number| (2000..=3999).contains(number));
    let is_basic = match number {
        Some(number) => number < 3000,
        None => options.contains(&"basic"),
    };
    let name = name.filter(|name| is_name(name));
    (number.is_some() || name.is_some()).then_some((number, name, is_basic))
}

impl<'a> Acl<'a> {
    fn read(&mut self, view: &View<'a>) {
        if view.head.words.ends_with(&["match-order", "auto"]) {
            self.leave_out(
                &view.head,
                "match-order auto tries the narrowest rule first; here rules are tried by their sequence: sort them",
            );
        }
        for line in &view.body {
            match line.words[..] {
                ["rule", ref words @ ..] => self.read_rule(line, words),
                ["description", ref words @ ..] => self.comments.push(words.join(" ")),
                ["step", ..] => {}
                _ => self.leave_out(line, "is no rule"),
            }
        }
    }

    fn read_rule(&mut self, line: &Line<'a>, words: &[&str]) {
        let (given, words) = match words {
            [first, rest @ ..] if first.parse::<u32>().is_ok() => (first.parse().ok(), rest),
            _ => (None, words),
        };
        let words = match words {
            ["name", _, rest @ ..] => rest,
            _ => words,
        };
        let (is_permit, words) = match words {
            ["permit", rest @ ..] => (true, rest),
            ["deny", rest @ ..] => (false, rest),
            // `rule 5 description ...` names the rule, and decides nothing.
            ["description", ..] => return,
            _ => return self.leave_out(line, "it neither permits nor denies"),
        };
        let highest = self.rules.iter().map(|rule| rule.sequence).max();
        let mut rule = Rule {
            line: line.number,
            sequence: given.unwrap_or((highest.unwrap_or(0) / STEP + 1).saturating_mul(STEP)),
            is_permit,
            group: None,
            source: None,
        };
        if let Err(why) = rule.read(words, self.is_basic) {
            return self.leave_out(line, &why);
        }
        // The same number again replaces the rule.
        self.rules
            .retain(|earlier| earlier.sequence != rule.sequence);
        self.rules.push(rule);
    }

    fn leave_out(&mut self, line: &Line<'a>, why: &str) {
        self.unmatched.push(at(
            line.number,
            format!("`{}` is left out: {why}", line.words.join(" ")),
        ));
    }

    fn write(&mut self, out: &mut Document) {
        out.section("[[acl]]", self.line);
        for comment in &self.comments {
            out.comment(comment);
        }
        for At { line, value } in &self.unmatched {
            out.warn(*line, value);
        }
        if let Some(rule) = self.rules.iter().find(|rule| rule.source.is_some()) {
            out.warn(
                rule.line,
                "of a group policy, a rule with a source decides about joins for that source only; a join for any source \
                 (IGMPv1, IGMPv2, EXCLUDE) is permitted by a rule without",
            );
        }
        if let Some(number) = self.number {
            out.key("number", number);
        }
        if let Some(name) = self.name {
            out.key("name", name);
        }
        self.rules.sort_by_key(|rule| rule.sequence);
        // Ours begin with 1; where that does not fit, the order alone is kept.
        let fits = |rule: &Rule| (1..=1_000_000_000).contains(&rule.sequence);
        let has_sequences = self.rules.iter().all(fits);
        out.rows(
            "rules",
            self.rules
                .iter()
                .map(|rule| (rule.value(has_sequences), format!("line {}", rule.line))),
        );
    }
}

impl Rule {
    /// Reads what follows `permit` or `deny`.
    fn read(&mut self, words: &[&str], is_basic: bool) -> Result<(), String> {
        let mut words = words.iter().copied().peekable();
        if !is_basic {
            match words.peek() {
                None | Some(&("source" | "destination")) => {}
                Some(&"ip") => {
                    words.next();
                }
                Some(protocol) => {
                    return Err(format!(
                        "policies are about any protocol, not {protocol} alone"
                    ));
                }
            }
        }
        while let Some(word) = words.next() {
            let mut network = || match (words.next(), words.peek()) {
                (Some("any"), _) => Ok(None),
                (Some(address), Some(wildcard)) => {
                    let network = network(address, wildcard)?;
                    words.next();
                    Ok(Some(network))
                }
                _ => Err(format!("{word} has no wildcard mask")),
            };
            match (word, is_basic) {
                ("source", true) | ("destination", false) => self.group = groups(network()?)?,
                ("source", false) => self.source = sources(network()?)?,
                ("logging" | "counting", _) => {}
                _ => return Err(format!("{word} has no counterpart")),
            }
        }
        Ok(())
    }

    fn value(&self, has_sequence: bool) -> Value {
        let action = if self.is_permit { "permit" } else { "deny" };
        let mut value = table([("action", action.into())]);
        let Value::Table(keys) = &mut value else {
            return value;
        };
        if has_sequence {
            keys.insert("sequence".into(), i64::from(self.sequence).into());
        }
        for (key, network) in [("group", self.group), ("source", self.source)] {
            if let Some(network) = network {
                keys.insert(key.into(), network.to_string().into());
            }
        }
        value
    }
}

/// An address and the bits of it that do not count.
fn network(address: &str, wildcard: &str) -> Result<Ipv4Net, String> {
    let address: Ipv4Addr = address
        .parse()
        .map_err(|_| format!("{address} is no address"))?;
    let wildcard = match wildcard {
        "0" => 0,
        _ => wildcard
            .parse::<Ipv4Addr>()
            .map(u32::from)
            .map_err(|_| format!("{wildcard} is no wildcard mask"))?,
    };
    // A prefix can stand for it only if the bits that do not count are the last.
    if wildcard & wildcard.wrapping_add(1) != 0 {
        let wildcard = Ipv4Addr::from(wildcard);
        return Err(format!(
            "{wildcard} has holes, and networks here are prefixes: write one rule for each network"
        ));
    }
    let length = u8::try_from(wildcard.leading_zeros()).unwrap_or(32);
    Ok(Ipv4Net::new(address, length)
        .map_err(|error| error.to_string())?
        .trunc())
}

fn groups(network: Option<Ipv4Net>) -> Result<Option<Ipv4Net>, String> {
    match network {
        Some(network) if network != ALL_GROUPS && ALL_GROUPS.contains(&network) => {
            Ok(Some(network))
        }
        Some(network) if !network.contains(&ALL_GROUPS) => {
            Err(format!("{network} is not multicast"))
        }
        _ => Ok(None),
    }
}

fn sources(network: Option<Ipv4Net>) -> Result<Option<Ipv4Net>, String> {
    match network {
        Some(network) if network.addr().is_multicast() => {
            Err(format!("{network} is multicast, and no source is"))
        }
        Some(network) if network.prefix_len() > 0 => Ok(Some(network)),
        _ => Ok(None),
    }
}
