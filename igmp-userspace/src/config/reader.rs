//! A TOML table, read key by key. Every value knows its line, and a key that nobody asked for is an error.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::duration;
use super::error::{Error, Problem};

/// The text of a file and the name it is reported under.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    pub(super) name: &'a str,
}

impl<'a> Source<'a> {
    pub(super) fn parse(self) -> Result<Section<'a>, Error> {
        match DeTable::parse(self.text) {
            Ok(document) => Ok(Section {
                source: self,
                span: document.span(),
                values: document.into_inner(),
                known: Vec::new(),
            }),
            Err(error) => {
                let span = error.span().unwrap_or_default();
                let message = error.message().replace('\n', " ");
                // The parser says `what, expected ...`; where it expects nothing in particular, its first half is all.
                let problem = match message.split_once(", expected ") {
                    Some((what, expected)) => Problem::new(what, format!("expected {expected}")),
                    None => Problem::new(message, "correct the TOML syntax"),
                };
                Err(problem.at(self.place(&span)))
            }
        }
    }

    /// `FILE:LINE` of a span of bytes.
    pub(super) fn place(self, span: &Range<usize>) -> String {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = 1 + before.matches('\n').count();
        format!("{}:{line}", self.name)
    }
}

/// What an array holds.
type Elements<'a> = Vec<Spanned<DeValue<'a>>>;

/// What a duration may be, and why no other: the rule that says so, or what would go wrong.
pub(super) struct DurationRule {
    pub(super) range: RangeInclusive<Duration>,
    /// The value is a multiple of this; what lies between cannot be written into a message.
    pub(super) step: Duration,
    pub(super) why: &'static str,
}

impl DurationRule {
    fn check(&self, key: &str, value: Duration) -> Result<(), Problem> {
        let shown = duration::show(value);
        if !self.range.contains(&value) {
            let (low, high) = (
                duration::show(*self.range.start()),
                duration::show(*self.range.end()),
            );
            return Err(Problem::new(
                format!("{key} is {shown}"),
                format!("write \"{low}\" to \"{high}\" ({})", self.why),
            ));
        }
        if !value.as_millis().is_multiple_of(self.step.as_millis()) {
            let step = duration::show(self.step);
            return Err(Problem::new(
                format!("{key} is {shown}"),
                format!("write a multiple of {step} ({})", self.why),
            ));
        }
        Ok(())
    }
}

/// One table. Each read takes its key out; [`Section::finish`] refuses what is left.
pub(super) struct Section<'a> {
    source: Source<'a>,
    span: Range<usize>,
    values: DeTable<'a>,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(super) fn source(&self) -> Source<'a> {
        self.source
    }

    /// Where the table begins, for what is missing in it.
    pub(super) fn place(&self) -> String {
        self.source.place(&self.span)
    }

    /// The table `key`; one that is absent reads as empty.
    pub(super) fn section(&mut self, key: &'static str) -> Result<Section<'a>, Error> {
        match self.take(key) {
            Some(value) => Self::from_value(self.source, key, value),
            None => Ok(Section {
                source: self.source,
                span: self.span.clone(),
                values: DeTable::new(),
                known: Vec::new(),
            }),
        }
    }

    /// Every `[[key]]`.
    pub(super) fn sections(&mut self, key: &'static str) -> Result<Vec<Section<'a>>, Error> {
        self.tables(key, &format!("write a header [[{key}]] over each one"))
    }

    /// Each table of an array; `remedy` is how to write it.
    pub(super) fn tables(
        &mut self,
        key: &'static str,
        remedy: &str,
    ) -> Result<Vec<Section<'a>>, Error> {
        self.array(key, remedy)?
            .into_iter()
            .map(|value| Self::from_value(self.source, key, value))
            .collect()
    }

    /// The table that `value` is; `key` is what errors call it.
    pub(super) fn from_value(
        source: Source<'a>,
        key: &str,
        value: Spanned<DeValue<'a>>,
    ) -> Result<Self, Error> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(values) => Ok(Section {
                source,
                span,
                values,
                known: Vec::new(),
            }),
            other => Err(wrong_type(key, &other, "write it as a table").at(source.place(&span))),
        }
    }

    pub(super) fn string(
        &mut self,
        key: &'static str,
        example: &str,
    ) -> Result<Option<Spanned<String>>, Error> {
        self.read(key, |value| match value {
            DeValue::String(text) => Ok(text.into_owned()),
            other => Err(wrong_type(
                key,
                &other,
                &format!("write a string such as \"{example}\""),
            )),
        })
    }

    /// A string that `parse` turns into something better.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Result<Option<Spanned<T>>, Error> {
        let Some(text) = self.string(key, example)? else {
            return Ok(None);
        };
        match parse(text.get_ref()) {
            Ok(value) => Ok(Some(Spanned::new(text.span(), value))),
            Err(problem) => Err(problem.at(self.source.place(&text.span()))),
        }
    }

    /// Each string of an array, turned by `parse`; an absent key reads as an empty array.
    pub(super) fn parsed_list<T>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Result<Vec<T>, Error> {
        let list = self.parsed_list_if_any(key, example, parse)?;
        Ok(list.map(Spanned::into_inner).unwrap_or_default())
    }

    /// Like [`parsed_list`](Self::parsed_list), but tells an absent key from an empty array.
    pub(super) fn parsed_list_if_any<T>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Result<Option<Spanned<Vec<T>>>, Error> {
        let list = self.spanned_list_if_any(key, example, parse)?;
        Ok(list.map(|list| {
            let span = list.span();
            let elements = list.into_inner().into_iter();
            Spanned::new(span, elements.map(Spanned::into_inner).collect())
        }))
    }

    /// Like [`parsed_list`](Self::parsed_list), and each element knows its line.
    pub(super) fn spanned_list<T>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Result<Vec<Spanned<T>>, Error> {
        let list = self.spanned_list_if_any(key, example, parse)?;
        Ok(list.map(Spanned::into_inner).unwrap_or_default())
    }

    fn spanned_list_if_any<T>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Result<Option<Spanned<Vec<Spanned<T>>>>, Error> {
        let remedy = format!("write strings, such as {key} = [\"{example}\"]");
        let Some(elements) = self.array_if_any(key, &remedy)? else {
            return Ok(None);
        };
        let span = elements.span();
        let values = elements.into_inner().into_iter().map(|element| {
            let problem = match element.get_ref() {
                DeValue::String(text) => match parse(text) {
                    Ok(value) => return Ok(Spanned::new(element.span(), value)),
                    Err(problem) => problem,
                },
                other => Problem::new(format!("{key} holds {}", type_name(other)), remedy.as_str()),
            };
            Err(problem.at(self.source.place(&element.span())))
        });
        let values = values.collect::<Result<_, _>>()?;
        Ok(Some(Spanned::new(span, values)))
    }

    /// An integer within `range`; `rule` is why, in parentheses, or empty.
    pub(super) fn integer<T>(
        &mut self,
        key: &'static str,
        range: &RangeInclusive<T>,
        rule: &str,
    ) -> Result<Option<Spanned<T>>, Error>
    where
        T: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        self.read(key, |value| integer_in(key, &value, range, rule))
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Result<Option<Spanned<bool>>, Error> {
        self.read(key, |value| match value {
            DeValue::Boolean(value) => Ok(value),
            other => Err(wrong_type(key, &other, "write true or false")),
        })
    }

    pub(super) fn duration(
        &mut self,
        key: &'static str,
        rule: &DurationRule,
    ) -> Result<Option<Spanned<Duration>>, Error> {
        self.read(key, |value| {
            let DeValue::String(text) = value else {
                return Err(wrong_type(
                    key,
                    &value,
                    "write a duration in quotes, such as \"125s\"",
                ));
            };
            let value = duration::parse(&text).ok_or_else(|| {
                Problem::new(
                    format!("{key} is \"{text}\""),
                    "write a whole number and ms, s, m or h, such as \"125s\"",
                )
            })?;
            rule.check(key, value)?;
            Ok(value)
        })
    }

    /// Refuses the first key that nobody asked for.
    pub(super) fn finish(self) -> Result<(), Error> {
        let Some(unknown) = self.values.keys().min_by_key(|key| key.span().start) else {
            return Ok(());
        };
        Err(Problem::new(
            format!("unknown key {unknown}"),
            format!("the keys here are {}", self.known.join(", ")),
        )
        .at(self.source.place(&unknown.span())))
    }

    /// A value that `convert` understands, whatever its type.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        convert: impl FnOnce(DeValue<'a>) -> Result<T, Problem>,
    ) -> Result<Option<Spanned<T>>, Error> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        let span = value.span();
        match convert(value.into_inner()) {
            Ok(converted) => Ok(Some(Spanned::new(span, converted))),
            Err(problem) => Err(problem.at(self.source.place(&span))),
        }
    }

    /// The elements of an array; an absent key reads as an empty one.
    pub(super) fn array(&mut self, key: &'static str, remedy: &str) -> Result<Elements<'a>, Error> {
        let elements = self.array_if_any(key, remedy)?;
        Ok(elements.map(Spanned::into_inner).unwrap_or_default())
    }

    fn array_if_any(
        &mut self,
        key: &'static str,
        remedy: &str,
    ) -> Result<Option<Spanned<Elements<'a>>>, Error> {
        self.read(key, |value| match value {
            DeValue::Array(elements) => Ok(elements.into_iter().collect()),
            other => Err(wrong_type(key, &other, remedy)),
        })
    }

    /// The value of `key` as it is.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.values.remove(key)
    }
}

/// What [`Section::integer`] makes of a value.
pub(super) fn integer_in<T>(
    key: &str,
    value: &DeValue<'_>,
    range: &RangeInclusive<T>,
    rule: &str,
) -> Result<T, Problem>
where
    T: TryFrom<i64> + PartialOrd + std::fmt::Display,
{
    let remedy = format!("write {} to {}{rule}", range.start(), range.end());
    match value {
        DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
            .ok()
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| range.contains(number))
            .ok_or_else(|| Problem::new(format!("{key} is {digits}"), remedy.as_str())),
        other => Err(wrong_type(key, other, &remedy)),
    }
}

pub(super) fn wrong_type(key: &str, value: &DeValue<'_>, remedy: &str) -> Problem {
    Problem::new(format!("{key} is {}", type_name(value)), remedy)
}

pub(super) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a floating-point number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
