//! The keys of `[igmp]`, each of which may also stand in an `[[interface]]`.

use std::time::Duration;

use toml::Spanned;

use crate::proto::InterfaceParams;
use crate::wire::Version;

use super::duration;
use super::error::{Error, Problem};
use super::reader::{DurationRule, Section, Source};

/// What the Querier's Query Interval Code can say: whole seconds up to 31 << 10.
const QUERY_INTERVAL: DurationRule = DurationRule {
    range: Duration::from_secs(1)..=Duration::from_secs(31_744),
    step: Duration::from_secs(1),
    why: "RFC 9776 section 4.1.7",
};

/// What the Max Resp Code can say: tenths of a second up to 31 << 10.
const RESPONSE_TIME: DurationRule = DurationRule {
    range: Duration::from_millis(100)..=Duration::from_millis(3_174_400),
    step: Duration::from_millis(100),
    why: "RFC 9776 section 4.1.1",
};

/// Never sent: a timer of the router alone.
const STARTUP_QUERY_INTERVAL: DurationRule = DurationRule {
    range: Duration::from_millis(100)..=Duration::from_secs(31_744),
    step: Duration::from_millis(1),
    why: "RFC 9776 section 8.6",
};

/// The Max Response Time of version 2 is one plain byte of tenths of a second (RFC 2236 section 2.2).
const LONGEST_V2_RESPONSE_TIME: Duration = Duration::from_millis(25_500);

/// Version 1 queries carry no response time; hosts take 10 seconds (RFC 2236 section 4).
const V1_RESPONSE_TIME: Duration = Duration::from_secs(10);

/// The keys as written; what is not written is `None`.
#[derive(Clone)]
pub(super) struct IgmpKeys {
    version: Option<Spanned<Version>>,
    robustness: Option<Spanned<u8>>,
    query_interval: Option<Spanned<Duration>>,
    query_response_interval: Option<Spanned<Duration>>,
    last_member_query_interval: Option<Spanned<Duration>>,
    last_member_query_count: Option<Spanned<u8>>,
    startup_query_interval: Option<Spanned<Duration>>,
    startup_query_count: Option<Spanned<u8>>,
}

impl IgmpKeys {
    pub(super) fn read(section: &mut Section<'_>) -> Result<Self, Error> {
        Ok(Self {
            version: section.integer("version", &(1..=3), "")?.map(|number| {
                let version = match number.get_ref() {
                    1 => Version::V1,
                    2 => Version::V2,
                    _ => Version::V3,
                };
                Spanned::new(number.span(), version)
            }),
            robustness: section.integer("robustness", &(1..=7), " (RFC 9776 section 8.1)")?,
            query_interval: section.duration("query_interval", &QUERY_INTERVAL)?,
            query_response_interval: section.duration("query_response_interval", &RESPONSE_TIME)?,
            last_member_query_interval: section
                .duration("last_member_query_interval", &RESPONSE_TIME)?,
            last_member_query_count: section.integer(
                "last_member_query_count",
                &(1..=u8::MAX),
                " (RFC 9776 section 8.9)",
            )?,
            startup_query_interval: section
                .duration("startup_query_interval", &STARTUP_QUERY_INTERVAL)?,
            startup_query_count: section.integer(
                "startup_query_count",
                &(1..=u8::MAX),
                " (RFC 9776 section 8.7)",
            )?,
        })
    }

    /// These keys, and where one is not written, that of `defaults`.
    pub(super) fn or(self, defaults: &Self) -> Self {
        Self {
            version: self.version.or_else(|| defaults.version.clone()),
            robustness: self.robustness.or_else(|| defaults.robustness.clone()),
            query_interval: self
                .query_interval
                .or_else(|| defaults.query_interval.clone()),
            query_response_interval: self
                .query_response_interval
                .or_else(|| defaults.query_response_interval.clone()),
            last_member_query_interval: self
                .last_member_query_interval
                .or_else(|| defaults.last_member_query_interval.clone()),
            last_member_query_count: self
                .last_member_query_count
                .or_else(|| defaults.last_member_query_count.clone()),
            startup_query_interval: self
                .startup_query_interval
                .or_else(|| defaults.startup_query_interval.clone()),
            startup_query_count: self
                .startup_query_count
                .or_else(|| defaults.startup_query_count.clone()),
        }
    }

    /// The parameters of `interface`, checked against each other.
    pub(super) fn params(
        &self,
        source: Source<'_>,
        interface: &str,
    ) -> Result<InterfaceParams, Error> {
        let defaults = InterfaceParams::default();
        let params = InterfaceParams {
            version: get(self.version.as_ref()).unwrap_or(defaults.version),
            robustness: get(self.robustness.as_ref()).unwrap_or(defaults.robustness),
            query_interval: get(self.query_interval.as_ref()).unwrap_or(defaults.query_interval),
            query_response_interval: get(self.query_response_interval.as_ref())
                .unwrap_or(defaults.query_response_interval),
            last_member_query_interval: get(self.last_member_query_interval.as_ref())
                .unwrap_or(defaults.last_member_query_interval),
            last_member_query_count: get(self.last_member_query_count.as_ref()),
            startup_query_interval: get(self.startup_query_interval.as_ref()),
            startup_query_count: get(self.startup_query_count.as_ref()),
        };

        let response = ("query_response_interval", params.query_response_interval);
        let last_member = (
            "last_member_query_interval",
            params.last_member_query_interval,
        );
        let version = start(self.version.as_ref());
        let response_start = start(self.query_response_interval.as_ref());
        let last_member_start = start(self.last_member_query_interval.as_ref());

        // Two values that do not agree: the one written later in the file is the one to look at.
        let check = |holds: bool,
                     starts: [Option<usize>; 2],
                     (key, value): (&str, Duration),
                     remedy: String| {
            if holds {
                return Ok(());
            }
            let at = starts.into_iter().flatten().max().unwrap_or_default();
            Err(Problem::new(
                format!("{key} of {interface} is {}", duration::show(value)),
                remedy,
            )
            .at(source.place(&(at..at))))
        };
        check(
            params.query_response_interval < params.query_interval,
            [response_start, start(self.query_interval.as_ref())],
            response,
            format!(
                "make it less than query_interval, which is {} (RFC 9776 section 8.3)",
                duration::show(params.query_interval)
            ),
        )?;
        match params.version {
            Version::V1 => check(
                params.query_response_interval == V1_RESPONSE_TIME,
                [version, response_start],
                response,
                "leave it at 10s, which version 1 prescribes (RFC 2236 section 4), or choose version 2 or 3".into(),
            )?,
            Version::V2 => {
                let remedy = "make it at most 25500ms (RFC 2236 section 2.2), or choose version 3";
                let fits = |(_, value)| value <= LONGEST_V2_RESPONSE_TIME;
                check(fits(response), [version, response_start], response, remedy.into())?;
                check(fits(last_member), [version, last_member_start], last_member, remedy.into())?;
            }
            Version::V3 => {}
        }
        Ok(params)
    }
}

fn get<T: Copy>(value: Option<&Spanned<T>>) -> Option<T> {
    value.map(|value| *value.get_ref())
}

fn start<T>(value: Option<&Spanned<T>>) -> Option<usize> {
    value.map(|value| value.span().start)
}
