//! `[[acl]]`: access lists, and how a policy names one.

use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::DeValue;

use super::address::{parse_groups, parse_sources};
use super::error::{Error, Problem};
use super::reader::{Section, wrong_type};
use crate::proto::{Acl, AclRef, Action, Rule};

/// Lists that match groups only.
const BASIC: RangeInclusive<u16> = 2000..=2999;
/// Lists that match groups and sources.
const ADVANCED: RangeInclusive<u16> = 3000..=3999;
/// Every numbered list.
pub(super) const NUMBERS: RangeInclusive<u16> = *BASIC.start()..=*ADVANCED.end();
/// The numbered lists whose rules can name a source.
pub(super) const NUMBERS_WITH_SOURCE: RangeInclusive<u16> = ADVANCED;

/// Highest sequence that may be written; beyond it there is room for those that are not.
const LAST_SEQUENCE: u32 = 1_000_000_000;
/// A rule without a sequence gets the next multiple of this, so that others fit in between.
const SEQUENCE_STEP: u32 = 5;

const RULE_REMEDY: &str =
    "write rules = [{ action = \"permit\", group = \"239.1.0.0/16\" }], or [] for none";

/// What errors, events and `igmpctl show acl` call a list: its number where it has one.
#[must_use]
pub fn title(acl: &Acl) -> String {
    match (acl.number, &acl.name) {
        (Some(number), _) => format!("acl {number}"),
        (None, name) => format!("acl {}", name.as_deref().unwrap_or_default()),
    }
}

/// The list that `reference` names.
#[must_use]
pub fn find<'a>(acls: &'a [Acl], reference: &AclRef) -> Option<&'a Acl> {
    acls.iter().find(|acl| match reference {
        AclRef::Number(number) => acl.number == Some(*number),
        AclRef::Name(name) => acl.name.as_ref() == Some(name),
    })
}

/// Reads every `[[acl]]`.
pub(super) fn read_all(root: &mut Section<'_>) -> Result<Vec<Acl>, Error> {
    let mut acls: Vec<Acl> = Vec::new();
    let mut places: Vec<String> = Vec::new();
    for section in root.sections("acl")? {
        let place = section.place();
        let acl = read(section)?;
        let twin = acls.iter().position(|earlier| {
            (acl.number.is_some() && acl.number == earlier.number)
                || (acl.name.is_some() && acl.name == earlier.name)
        });
        if let Some(index) = twin {
            let shared = if acl.number == acls[index].number {
                title(&acl)
            } else {
                format!("acl {}", acl.name.unwrap_or_default())
            };
            let what = format!("{shared} is given twice (first at {})", places[index]);
            return Err(Problem::new(what, "keep one of the two").at(place));
        }
        acls.push(acl);
        places.push(place);
    }
    Ok(acls)
}

fn read(mut section: Section<'_>) -> Result<Acl, Error> {
    let place = section.place();
    let number = section.integer("number", &NUMBERS, " (2000 to 2999 match groups only)")?;
    let name = section.parsed("name", "iptv", |text| {
        check_name(text).map(|()| text.to_owned())
    })?;
    let rule_sections = section.tables("rules", RULE_REMEDY)?;
    section.finish()?;

    let number = number.map(Spanned::into_inner);
    let name = name.map(Spanned::into_inner);
    if number.is_none() && name.is_none() {
        let remedy = "add number = 2000 to 3999, a name, or both";
        return Err(Problem::new("this acl has neither number nor name", remedy).at(place));
    }
    let mut acl = Acl {
        number,
        name,
        rules: Vec::new(),
    };
    let mut places: Vec<(u32, String)> = Vec::new();
    for rule_section in rule_sections {
        let place = rule_section.place();
        let highest = places.iter().map(|(sequence, _)| *sequence).max();
        let rule = read_rule(rule_section, &acl, highest.unwrap_or(0))?;
        if let Some((sequence, first)) = places.iter().find(|(taken, _)| *taken == rule.sequence) {
            let what = format!(
                "sequence {sequence} of {} is given twice (first at {first})",
                title(&acl)
            );
            return Err(Problem::new(what, "give one of the two another").at(place));
        }
        places.push((rule.sequence, place));
        acl.rules.push(rule);
    }
    acl.rules.sort_by_key(|rule| rule.sequence);
    Ok(acl)
}

/// Reads one rule; `highest` is the highest sequence above it.
fn read_rule(mut section: Section<'_>, acl: &Acl, highest: u32) -> Result<Rule, Error> {
    let (source_text, place) = (section.source(), section.place());
    let sequence = section.integer("sequence", &(1..=LAST_SEQUENCE), "")?;
    let action = section.parsed("action", "permit", parse_action)?;
    let group = section.parsed("group", "239.1.0.0/16", any_or(parse_groups))?;
    let source = section.parsed("source", "10.0.0.0/8", any_or(parse_sources))?;
    section.finish()?;

    let action =
        action.ok_or_else(|| Problem::new("this rule has no action", ACTION_REMEDY).at(&*place))?;
    if let Some(source) = &source
        && acl.number.is_some_and(|number| BASIC.contains(&number))
    {
        let what = format!("a rule of {} names a source", title(acl));
        let remedy = "leave it out, or number the list 3000 to 3999";
        return Err(Problem::new(what, remedy).at(source_text.place(&source.span())));
    }
    let next = (highest / SEQUENCE_STEP + 1) * SEQUENCE_STEP;
    Ok(Rule {
        sequence: sequence.map_or(next, Spanned::into_inner),
        action: action.into_inner(),
        group: group.and_then(Spanned::into_inner),
        source: source.and_then(Spanned::into_inner),
    })
}

const ACTION_REMEDY: &str = "write action = \"permit\" or \"deny\"";

fn parse_action(text: &str) -> Result<Action, Problem> {
    match text {
        "permit" => Ok(Action::Permit),
        "deny" => Ok(Action::Deny),
        _ => Err(Problem::new(
            format!("\"{text}\" is no action"),
            ACTION_REMEDY,
        )),
    }
}

/// `0.0.0.0/0` stands for any, as does a key that is not written; else `parse` decides.
fn any_or<T>(
    parse: impl Fn(&str) -> Result<T, Problem>,
) -> impl Fn(&str) -> Result<Option<T>, Problem> {
    move |text| match text {
        "0.0.0.0/0" => Ok(None),
        _ => parse(text).map(Some),
    }
}

/// A name that cannot be taken for a number nor fall apart in a line of output.
fn check_name(name: &str) -> Result<(), Problem> {
    const LONGEST: usize = 63;
    let is_good = !name.is_empty()
        && name.len() <= LONGEST
        && !name.contains(|c: char| c.is_whitespace() || c.is_control())
        && !name.bytes().all(|byte| byte.is_ascii_digit());
    if is_good {
        return Ok(());
    }
    Err(Problem::new(
        format!("\"{}\" is no name for an acl", name.escape_debug()),
        format!("use 1 to {LONGEST} characters without spaces, not all digits"),
    ))
}

/// Reads a reference to a list: a number within `numbers`, or a name. The list need not exist.
pub(super) fn read_reference(
    section: &mut Section<'_>,
    key: &'static str,
    numbers: &RangeInclusive<u16>,
) -> Result<Option<Spanned<AclRef>>, Error> {
    let remedy = format!(
        "write the number of an acl, {} to {}, or its name in quotes",
        numbers.start(),
        numbers.end()
    );
    section.read(key, |value| match value {
        DeValue::Integer(digits) => u16::from_str_radix(digits.as_str(), digits.radix())
            .ok()
            .filter(|number| numbers.contains(number))
            .map(AclRef::Number)
            .ok_or_else(|| Problem::new(format!("{key} is {digits}"), remedy.as_str())),
        DeValue::String(name) => {
            check_name(&name)?;
            Ok(AclRef::Name(name.into_owned()))
        }
        other => Err(wrong_type(key, &other, &remedy)),
    })
}
