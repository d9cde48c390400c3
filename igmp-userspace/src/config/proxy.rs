//! `[proxy]`: what is particular to a router that is a host on its upstream (RFC 4605).

use std::time::Duration;

use toml::Spanned;

use super::error::Error;
use super::reader::{DurationRule, Section};

/// Long enough for any viewer who comes back; zero is what a host does.
const LEAVE_LINGER: DurationRule = DurationRule {
    range: Duration::ZERO..=Duration::from_hours(1),
    step: Duration::from_millis(1),
    why: "a stream that nobody watches loads the upstream link that long",
};

/// `[proxy]`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProxyConfig {
    /// Nothing is attached, queried or forwarded, as if every interface were `disabled`.
    pub disabled: bool,
    /// Leave upstream as soon as the last known member leaves; false: when its last member procedure ends.
    pub quick_leave: bool,
    /// How long a group stays joined upstream when nobody wants it any more.
    pub leave_linger: Duration,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            disabled: false,
            quick_leave: true,
            leave_linger: Duration::ZERO,
        }
    }
}

/// Reads `[proxy]`.
pub(super) fn read(mut section: Section<'_>) -> Result<ProxyConfig, Error> {
    let disabled = section.boolean("disabled")?;
    let quick_leave = section.boolean("quick_leave")?;
    let leave_linger = section.duration("leave_linger", &LEAVE_LINGER)?;
    section.finish()?;

    let defaults = ProxyConfig::default();
    Ok(ProxyConfig {
        disabled: disabled.map_or(defaults.disabled, Spanned::into_inner),
        quick_leave: quick_leave.map_or(defaults.quick_leave, Spanned::into_inner),
        leave_linger: leave_linger.map_or(defaults.leave_linger, Spanned::into_inner),
    })
}
