//! Files that are another product's configuration: whoever moves over tries the old file first.

use super::error::{Error, Problem};
use super::reader::Source;

/// A product whose configuration `igmpctl import` reads.
#[derive(Clone, Copy)]
struct Product {
    /// What its file is called in the error.
    title: &'static str,
    /// What `igmpctl import` calls it.
    import: &'static str,
}

const IGMPPROXY: Product = Product {
    title: "the configuration of igmpproxy",
    import: "igmpproxy",
};
const VYOS: Product = Product {
    title: "a list of VyOS commands",
    import: "vyos",
};
const HUAWEI: Product = Product {
    title: "the configuration of a router with VRP",
    import: "huawei",
};

/// The words that begin a statement of igmpproxy.conf(5) without a value.
const IGMPPROXY_SWITCHES: [&str; 4] = ["quickleave", "defaultdown", "rescanvif", "rescanconf"];
/// The words that begin one with a value.
const IGMPPROXY_SETTINGS: [&str; 4] = ["phyint", "hashtablesize", "user", "chroot"];

/// The error for a file that is no TOML because it is something else that we know.
pub(super) fn recognise(file: Source<'_>) -> Option<Error> {
    let (product, line) = product(file.text)?;
    let Source { name, .. } = file;
    let problem = Problem::new(
        format!("this is {}", product.title),
        format!(
            "convert it: igmpctl import {} {name} > {}",
            product.import,
            super::DEFAULT_FILE
        ),
    );
    Some(problem.at(format!("{name}:{line}")))
}

/// Which product's configuration `text` is, and the line (from 1) that says so.
fn product(text: &str) -> Option<(Product, usize)> {
    let lines = || {
        let numbered = (1..).zip(text.lines());
        // `#` begins a comment of igmpproxy's and stands between the views of VRP, whose dumps begin with lines of `!`.
        numbered.filter_map(|(number, line)| {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<_> = line.split_whitespace().collect();
            let first = words.first()?;
            (!first.starts_with('!')).then_some((number, words))
        })
    };
    let find = |is_it: fn(&[&str]) -> bool| {
        lines().find_map(|(number, words)| is_it(&words).then_some(number))
    };

    let begins = lines().next().filter(|(_, words)| begins_igmpproxy(words));
    if let Some((line, _)) = begins {
        return Some((IGMPPROXY, line));
    }
    if let Some(line) = find(|words| words.starts_with(&["set", "protocols", "igmp-proxy"])) {
        return Some((VYOS, line));
    }
    if let Some(line) = find(|words| words == ["multicast", "routing-enable"]) {
        return Some((HUAWEI, line));
    }
    // Other routers have interface views too, but no command there begins with `igmp`.
    let interface = find(|words| matches!(words, ["interface", name, ..] if *name != "="))?;
    let mut inside = lines().skip_while(|(number, _)| *number <= interface);
    inside
        .any(|(_, words)| matches!(words[..], ["igmp", word, ..] if word != "="))
        .then_some((HUAWEI, interface))
}

fn begins_igmpproxy(words: &[&str]) -> bool {
    let [word, values @ ..] = words else {
        return false;
    };
    let is_statement = IGMPPROXY_SWITCHES.contains(word)
        || (IGMPPROXY_SETTINGS.contains(word) && !values.is_empty());
    is_statement && values.first() != Some(&"=")
}
