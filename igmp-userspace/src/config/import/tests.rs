//! Whole files. What is expected is typed from the products' manuals: igmpproxy.conf(5), VyOS's and VRP's command
//! references.

mod huawei;
mod igmpproxy;
mod vyos;

use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::config::{Config, InterfaceConfig, Role, parse};

/// What a file becomes: the configuration, and its warnings.
#[track_caller]
fn converted(format: Format, text: &str) -> (Config, Imported) {
    let imported = import(format, text).unwrap_or_else(|problem| panic!("{problem}"));
    let config = parse(&imported.toml, "out.toml")
        .unwrap_or_else(|error| panic!("{error}\n{}", imported.toml));
    for Warning { line, text } in &imported.warnings {
        let comment = format!("# warning: line {line}: {text}\n");
        assert!(
            imported.toml.contains(&comment),
            "{comment}{}",
            imported.toml
        );
    }
    assert!(imported.warnings.is_sorted_by_key(|warning| warning.line));
    (config, imported)
}

#[track_caller]
fn interface<'a>(config: &'a Config, name: &str) -> &'a InterfaceConfig {
    let mut interfaces = config.interfaces.iter();
    interfaces.find(|interface| interface.name == name).unwrap()
}

/// The lines that are warned of, once for each warning.
fn lines(imported: &Imported) -> Vec<usize> {
    imported
        .warnings
        .iter()
        .map(|warning| warning.line)
        .collect()
}

/// Whether one warning of `line` has all of `words`.
#[track_caller]
fn assert_warned(imported: &Imported, line: usize, words: &[&str]) {
    let has_words = |warning: &&Warning| words.iter().all(|word| warning.text.contains(word));
    let mut warnings = imported
        .warnings
        .iter()
        .filter(|warning| warning.line == line);
    assert!(
        warnings.any(|warning| has_words(&warning)),
        "{line} {words:?} {:#?}",
        imported.warnings
    );
}

#[track_caller]
fn assert_refused(format: Format, text: &str, words: &str) {
    let problem = import(format, text).unwrap_err().to_string();
    assert!(problem.contains(words), "{problem}");
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

/// Words that these files are made of, and some that they are not.
const WORDS: [&str; 61] = [
    "quickleave",
    "defaultdown",
    "phyint",
    "upstream",
    "downstream",
    "disabled",
    "altnet",
    "whitelist",
    "blacklist",
    "threshold",
    "ratelimit",
    "eth0",
    "eth0:1",
    "br0",
    "239.1.0.0/16",
    "239.0.0.0/8",
    "10.0.0.0/8",
    "10.0.0.1",
    "0",
    "7",
    "300",
    "set",
    "protocols",
    "igmp-proxy",
    "interface",
    "role",
    "alt-subnet",
    "disable",
    "{",
    "}",
    "'",
    "#\n",
    "igmp",
    "enable",
    "proxy",
    "prompt-leave",
    "group-policy",
    "acl-name",
    "2000",
    "3000",
    "acl",
    "name",
    "rule",
    "permit",
    "deny",
    "source",
    "destination",
    "0.0.255.255",
    "any",
    "limit",
    "static-group",
    "timer",
    "query",
    "number",
    "ssm-mapping",
    "\u{7}\"\\é",
    "version",
    "1",
    "max-response-time",
    "robust-count",
    "require-router-alert",
];

proptest! {
    /// Whatever a file holds, it becomes a good configuration or is refused, and never a panic.
    #[test]
    fn any_file_becomes_a_good_configuration_or_is_refused(
        words in prop::collection::vec((0..WORDS.len(), 0..4_u8), 0..60),
        format in prop_oneof![Just(Format::Igmpproxy), Just(Format::Vyos), Just(Format::Huawei)],
    ) {
        // A downstream interface to begin with, or nearly all would be refused.
        let mut text = match format {
            Format::Igmpproxy => "phyint lan0 downstream ".to_owned(),
            Format::Vyos => "set protocols igmp-proxy interface lan0\n".to_owned(),
            Format::Huawei => "interface Vlanif1\n igmp enable\n igmp ".to_owned(),
        };
        for (word, gap) in words {
            let statement = match format {
                Format::Igmpproxy => "\nphyint ",
                Format::Vyos => "\nset protocols igmp-proxy interface ",
                Format::Huawei => "\n igmp ",
            };
            let gap = ["\n", "\n ", " ", statement][usize::from(gap)];
            write!(text, "{}{gap}", WORDS[word]).unwrap();
        }
        if let Ok(Imported { toml, .. }) = import(format, &text) {
            let result = parse(&toml, "out.toml");
            prop_assert!(result.is_ok(), "{}\n{}\n{}", result.unwrap_err(), text, toml);
        }
    }
}
