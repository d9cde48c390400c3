//! igmpproxy.conf(5): words, wherever the lines end.

use super::document::Document;
use super::group_filter::List;
use super::phyint::{self, Phyint};
use super::{At, Imported, at};
use crate::config::{Problem, Role};

/// The whole file.
#[derive(Default)]
struct File {
    quickleave: Option<usize>,
    defaultdown: Option<usize>,
    /// Statements without a counterpart, and why.
    unmatched: Vec<At<String>>,
    phyints: Vec<Phyint>,
}

pub(super) fn import(text: &str) -> Result<Imported, Problem> {
    let file = parse(text);
    let Some(first) = file.phyints.first() else {
        return Err(Problem::new(
            "no `phyint` in it, so this is no configuration of igmpproxy",
            "name its file, which is /etc/igmpproxy.conf for most",
        ));
    };
    let mut out = Document::new("the configuration of igmpproxy");
    out.gap();
    for At { line, value } in &file.unmatched {
        out.warn(*line, value);
    }
    if let Some(line) = file.defaultdown {
        let named: Vec<_> = file
            .phyints
            .iter()
            .map(|phyint| &*phyint.name.value)
            .collect();
        out.warn(
            line,
            format!(
                "defaultdown makes every interface downstream that is not named; here add an [[interface]] for each that \
                 is not one of {}",
                named.join(" ")
            ),
        );
    }
    let downstream = file
        .phyints
        .iter()
        .find(|phyint| phyint.role == Role::Downstream)
        .unwrap_or(first);
    out.warn(
        downstream.name.line,
        "downstream, igmpproxy asks with IGMPv2 and igmpd with IGMPv3, which older hosts understand; with a switch or \
         host that does not, add version = 2 to its interface",
    );
    phyint::write_proxy(&mut out, file.quickleave.is_some(), None);
    match file.quickleave {
        Some(line) => out.comment(&format!("quickleave on line {line}")),
        None => out.comment(
            "There is no quickleave in the file, and igmpproxy does it only when told to.",
        ),
    }
    phyint::write(&mut out, &file.phyints, file.defaultdown)?;
    Ok(out.finish())
}

/// Reads every statement. What is none is a warning: the file is good for another version of igmpproxy.
fn parse(text: &str) -> File {
    let mut file = File::default();
    let mut words = words(text).peekable();
    while let Some(word) = words.next() {
        let line = word.line;
        // The value of the statement; without one nothing follows, and nothing is lost.
        let mut value = || {
            words
                .next()
                .map(|word| at(word.line, word.value.to_owned()))
        };
        // What belongs to the interface above it.
        let current = file.phyints.last_mut();
        match (word.value, current) {
            ("quickleave", _) => file.quickleave = Some(line),
            ("defaultdown", _) => file.defaultdown = Some(line),
            // Both are what igmpd always does: interfaces come and go.
            ("rescanvif" | "rescanconf", _) => {}
            ("hashtablesize", _) => {
                let size = value().map_or_else(String::new, |value| value.value);
                file.unmatched.push(at(
                    line,
                    format!(
                        "hashtablesize {size} has no counterpart: each host is known by its address"
                    ),
                ));
            }
            ("user" | "chroot", _) => {
                let given = value().map_or_else(String::new, |value| value.value);
                file.unmatched.push(at(
                    line,
                    format!(
                        "{} {given} has no counterpart: igmpd keeps a few capabilities of root, and its systemd unit \
                         confines it",
                        word.value
                    ),
                ));
            }
            ("phyint", _) => {
                let default_role = if file.defaultdown.is_some() {
                    Role::Downstream
                } else {
                    Role::Disabled
                };
                if let Some(name) = value() {
                    file.phyints
                        .push(Phyint::new(at(line, name.value), default_role));
                }
            }
            ("upstream", Some(phyint)) => phyint.set_role(Role::Upstream),
            ("downstream", Some(phyint)) => phyint.set_role(Role::Downstream),
            ("disabled", Some(phyint)) => phyint.set_role(Role::Disabled),
            ("altnet", Some(phyint)) => phyint.alt_subnets.extend(value()),
            ("threshold", Some(phyint)) => phyint.threshold = value(),
            ("whitelist", Some(phyint)) => {
                phyint
                    .groups
                    .extend(value().map(|network| (List::White, network)));
            }
            ("blacklist", Some(phyint)) => {
                phyint
                    .groups
                    .extend(value().map(|network| (List::Black, network)));
            }
            ("ratelimit", Some(phyint)) => {
                if let Some(limit) = value().filter(|limit| limit.value != "0") {
                    phyint.unmatched.push(at(
                        line,
                        format!(
                            "ratelimit {} has no counterpart; Linux does not limit for igmpproxy either, and tc(8) does",
                            limit.value
                        ),
                    ));
                }
            }
            (unknown, _) => file.unmatched.push(at(
                line,
                format!("`{unknown}` is no statement of igmpproxy.conf; it is left out"),
            )),
        }
    }
    file
}

/// The words of the file without comments.
fn words(text: &str) -> impl Iterator<Item = At<&str>> {
    (1..).zip(text.lines()).flat_map(|(line, text)| {
        let code = text.split('#').next().unwrap_or_default();
        code.split_whitespace().map(move |word| at(line, word))
    })
}
