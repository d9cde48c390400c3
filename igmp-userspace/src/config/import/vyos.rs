//! `protocols igmp-proxy` of VyOS and EdgeOS: as `set` commands, or as a tree with braces.

use super::document::Document;
use super::group_filter::List;
use super::phyint::{self, Phyint};
use super::{At, Imported, at};
use crate::config::{Problem, Role};

/// One node: the words from the root on.
type Node = At<Vec<String>>;

/// What `igmp-proxy` says.
#[derive(Default)]
struct Proxy {
    is_there: bool,
    disabled: Option<usize>,
    disable_quickleave: Option<usize>,
    interfaces: Vec<Phyint>,
    /// What is left out, and why.
    unmatched: Vec<At<String>>,
}

pub(super) fn import(text: &str) -> Result<Imported, Problem> {
    let mut proxy = Proxy::default();
    // A tree may hold a `set {` of its own.
    let are_commands = text.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some("set") && words.next().is_some_and(|word| word != "{")
    });
    let nodes = if are_commands {
        commands(text)
    } else {
        tree(text)
    };
    for At { line, value } in nodes {
        let words: Vec<&str> = value.iter().map(String::as_str).collect();
        proxy.read(line, &words);
    }
    if !proxy.is_there {
        return Err(Problem::new(
            "no `protocols igmp-proxy` in it",
            "name a file with the output of `show configuration commands`, or a config.boot",
        ));
    }

    let mut out = Document::new("`protocols igmp-proxy`");
    if let Some(first) = proxy.interfaces.first() {
        out.gap();
        out.warn(
            first.name.line,
            "downstream, igmp-proxy asks with IGMPv2 and igmpd with IGMPv3, which older hosts understand; with a switch \
             or host that does not, add version = 2 to its interface",
        );
    }
    for At { line, value } in &proxy.unmatched {
        out.warn(*line, value);
    }
    phyint::write_proxy(&mut out, proxy.disable_quickleave.is_none(), proxy.disabled);
    if let Some(line) = proxy.disable_quickleave {
        out.comment(&format!("disable-quickleave on line {line}"));
    }
    phyint::write(&mut out, &proxy.interfaces, None)?;
    Ok(out.finish())
}

impl Proxy {
    fn read(&mut self, line: usize, words: &[&str]) {
        match words {
            ["delete", rest @ ..] if rest.contains(&"igmp-proxy") => self.unmatched.push(at(
                line,
                "a `delete` is not applied: import what is left after it".to_owned(),
            )),
            ["set", "protocols", "igmp-proxy", rest @ ..] => {
                self.is_there = true;
                self.read_setting(line, rest);
            }
            ["set", rest @ ..] if rest.iter().any(|word| word.contains("igmp")) => {
                self.unmatched.push(at(
                    line,
                    format!(
                        "`{}` is not part of igmp-proxy; it is left out",
                        rest.join(" ")
                    ),
                ));
            }
            _ => {}
        }
    }

    fn read_setting(&mut self, line: usize, setting: &[&str]) {
        match setting {
            [] | ["interface"] => {}
            ["disable"] => self.disabled = Some(line),
            ["disable-quickleave"] => self.disable_quickleave = Some(line),
            ["interface", name, setting @ ..] => {
                let known = self.interfaces.iter().position(|i| i.name.value == *name);
                let index = known.unwrap_or_else(|| {
                    let name = at(line, (*name).to_owned());
                    self.interfaces.push(Phyint::new(name, Role::Downstream));
                    self.interfaces.len() - 1
                });
                read_interface(&mut self.interfaces[index], line, setting);
            }
            _ => self.unmatched.push(at(
                line,
                format!(
                    "`{}` of igmp-proxy is not known; it is left out",
                    setting.join(" ")
                ),
            )),
        }
    }
}

fn read_interface(interface: &mut Phyint, line: usize, setting: &[&str]) {
    let value = |text: &str| at(line, text.to_owned());
    match setting {
        [] => {}
        ["role", "upstream"] => interface.set_role(Role::Upstream),
        ["role", "downstream"] => interface.set_role(Role::Downstream),
        ["role", "disabled"] | ["disable"] => interface.set_role(Role::Disabled),
        ["alt-subnet", network] => interface.alt_subnets.push(value(network)),
        ["threshold", ttl] => interface.threshold = Some(value(ttl)),
        ["whitelist", network] => interface.groups.push((List::White, value(network))),
        _ => interface.unmatched.push(at(
            line,
            format!("`{}` is not known; it is left out", setting.join(" ")),
        )),
    }
}

/// The commands, a line each.
fn commands(text: &str) -> Vec<Node> {
    let lines = (1..).zip(text.lines());
    lines.map(|(line, text)| at(line, words(text))).collect()
}

/// The leaves of the tree, and the branches of igmp-proxy, as the commands that would make them.
fn tree(text: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut depth: Vec<usize> = Vec::new();
    let mut path = vec!["set".to_owned()];
    let mut in_comment = false;
    for (line, text) in (1..).zip(text.lines()) {
        let mut statement = Vec::new();
        for word in words(text) {
            match &*word {
                "/*" => in_comment = true,
                "*/" => in_comment = false,
                _ if in_comment => {}
                // The last lines of a config.boot: what wrote it.
                word if word.starts_with("//") => break,
                "{" => {
                    depth.push(path.len());
                    path.append(&mut statement);
                    // An interface may have nothing inside.
                    if path.iter().any(|word| word == "igmp-proxy") {
                        nodes.push(at(line, path.clone()));
                    }
                }
                "}" => {
                    leaf(&mut nodes, line, &path, &mut statement);
                    // One too many closes nothing.
                    path.truncate(depth.pop().unwrap_or(1));
                }
                _ => statement.push(word),
            }
        }
        leaf(&mut nodes, line, &path, &mut statement);
    }
    nodes
}

fn leaf(nodes: &mut Vec<Node>, line: usize, path: &[String], statement: &mut Vec<String>) {
    if !statement.is_empty() {
        let mut words = path.to_vec();
        words.append(statement);
        nodes.push(at(line, words));
    }
}

/// Words without their quotes; what is in quotes is one word, and a brace is one.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '{' | '}') => {
                words.push(std::mem::take(&mut word));
                words.push(c.to_string());
            }
            (None, _) if c.is_whitespace() => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}
