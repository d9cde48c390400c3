//! Interfaces: what each one is for, whether from `[[interface]]` or from flags.

use std::str::FromStr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::proto::{InterfaceParams, InterfacePolicy, Policy};

use super::address::parse_source_network;
use super::backup::Access;
use super::error::{Error, Problem};
use super::igmp::IgmpKeys;
use super::interface_policy::{PolicyKeys, SharedKeys};
use super::mode::Mode;
use super::pattern;
use super::reader::Section;
use super::vlan::{self, Vlan};

/// Longest interface name: the kernel's IFNAMSIZ without the closing zero.
const LONGEST_NAME: usize = 15;

/// A packet that came in with a TTL of 1 goes nowhere, whatever the threshold (RFC 1812 section 5.3.1).
pub(super) const DEFAULT_TTL_THRESHOLD: u8 = 1;

/// What an interface is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Towards the sources; at most one (RFC 4605 section 4).
    Upstream,
    /// Towards the receivers: igmpd is the IGMP router here.
    Downstream,
    /// Left alone, as if it were not listed.
    Disabled,
}

impl Role {
    /// The word that stands for it in the configuration and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Downstream => "downstream",
            Self::Disabled => "disabled",
        }
    }
}

impl FromStr for Role {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        [Self::Upstream, Self::Downstream, Self::Disabled]
            .into_iter()
            .find(|role| role.name() == text)
            .ok_or_else(|| {
                Problem::new(
                    format!("\"{text}\" is no role"),
                    "write \"upstream\", \"downstream\" or \"disabled\"",
                )
            })
    }
}

/// One interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InterfaceConfig {
    /// The kernel's name for it, or a pattern ([`is_pattern`](super::pattern::is_pattern)). It need not exist: an
    /// interface is used while it is there. For a [`vlan`](Self::vlan) our own name.
    pub name: String,
    /// The pattern that this device matched.
    pub pattern: Option<String>,
    /// The VLAN that it is, without a device of its own.
    pub vlan: Option<Vlan>,
    /// What it is for.
    pub role: Role,
    /// How packets are handled here; `None` = as everywhere ([`Config::mode`](super::Config::mode)).
    pub mode: Option<Mode>,
    /// The interface whose address is used while this one has none.
    pub unnumbered: Option<String>,
    /// Networks whose sources are accepted on it beyond its own subnets.
    pub alt_subnets: Vec<Ipv4Net>,
    /// Packets go out only if their TTL was above this (`threshold`); 1 is what any router does.
    pub ttl_threshold: u8,
    /// Timers and versions of IGMP.
    pub params: InterfaceParams,
    /// What is allowed there.
    pub policy: InterfacePolicy,
    /// How its hosts are connected; `None` = as the device tells: PPP is PPPoE.
    pub access: Option<Access>,
}

impl InterfaceConfig {
    /// Whether anything is done on it.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.role != Role::Disabled
    }

    /// The interface whose address is used while this one has none. A VLAN without a device never has one: it uses that of
    /// the device that it is on, unless told otherwise.
    #[must_use]
    pub fn lender(&self) -> Option<&str> {
        let device = self.vlan.as_ref().map(|vlan| &vlan.device);
        self.unnumbered.as_ref().or(device).map(String::as_str)
    }
}

/// What an interface that does not say otherwise gets: the keys of `[igmp]`.
pub(super) struct Defaults {
    pub(super) igmp: IgmpKeys,
    pub(super) policy: SharedKeys,
}

/// Reads one `[[interface]]`; `global` is what static groups have to respect.
pub(super) fn read(
    mut section: Section<'_>,
    defaults: &Defaults,
    global: &Policy,
) -> Result<InterfaceConfig, Error> {
    let (source, place) = (section.source(), section.place());
    let missing = |key: &str, remedy: &str| {
        Problem::new(format!("this interface has no {key}"), remedy).at(&*place)
    };

    let name = section.parsed("name", "eth0", |text| {
        check_name_for(Role::Downstream, text).map(|()| text.to_owned())
    })?;
    let vlan = vlan::read(&mut section)?;
    let role = section.parsed("role", "downstream", Role::from_str)?;
    let mode = section.parsed("mode", "auto", Mode::from_str)?;
    let unnumbered = section.parsed("unnumbered", "eth0", |text| {
        check_name(text).map(|()| text.to_owned())
    })?;
    let alt_subnets = section.parsed_list("alt_subnets", "10.0.0.0/23", parse_source_network)?;
    let threshold = section.integer("threshold", &(1..=u8::MAX), "")?;
    let access = section.parsed("access", "dhcp", Access::from_str)?;
    let igmp = IgmpKeys::read(&mut section)?;
    let policy = PolicyKeys::read(&mut section)?;
    // A misspelled key first: it explains the missing one.
    section.finish()?;

    let name = name.ok_or_else(|| missing("name", "add one, such as name = \"eth0\""))?;
    let role = role.ok_or_else(|| {
        missing(
            "role",
            "add role = \"upstream\", \"downstream\" or \"disabled\"",
        )
    })?;
    let role = role.into_inner();
    let (name, named_at) = (name.get_ref().clone(), source.place(&name.span()));
    check_name_for(role, &name).map_err(|problem| problem.at(named_at))?;
    if let Some(tag) = &vlan
        && pattern::is_pattern(&name)
    {
        let what = format!("vlan on \"{name}\", which is a pattern");
        let remedy = "name one device";
        return Err(Problem::new(what, remedy).at(source.place(&tag.span())));
    }
    let vlan = vlan.map(|tag| Vlan {
        device: name.clone(),
        tag: tag.into_inner(),
    });
    let name = vlan.as_ref().map_or(name, Vlan::name);
    if let Some(lender) = &unnumbered
        && *lender.get_ref() == name
    {
        let what = format!("unnumbered of {name} is {name}");
        let remedy = "name an interface that has an address";
        return Err(Problem::new(what, remedy).at(source.place(&lender.span())));
    }
    if role == Role::Upstream
        && let Some((key, start)) = policy.first_written()
    {
        let what = format!("{key} on {name}, which is upstream");
        let remedy = "leave it out: hosts join and leave on downstream interfaces";
        return Err(Problem::new(what, remedy).at(source.place(&(start..start))));
    }
    let params = igmp.or(&defaults.igmp).params(source, &name)?;
    let policy = policy.policy(&defaults.policy, source, global)?;
    Ok(InterfaceConfig {
        name,
        pattern: None,
        vlan,
        role,
        mode: mode.map(Spanned::into_inner),
        unnumbered: unnumbered.map(Spanned::into_inner),
        alt_subnets,
        ttl_threshold: threshold.map_or(DEFAULT_TTL_THRESHOLD, Spanned::into_inner),
        params,
        policy,
        access: access.map(Spanned::into_inner),
    })
}

/// What must hold between interfaces. Each comes with its place; `whole` is the place of what is missing altogether.
pub(super) fn check_together(
    interfaces: &[(String, &InterfaceConfig)],
    whole: &str,
) -> Result<(), Error> {
    let mut upstream: Option<&(String, &InterfaceConfig)> = None;
    for (index, entry) in interfaces.iter().enumerate() {
        let (place, interface) = entry;
        let name = &interface.name;
        if let Some((first, _)) = interfaces[..index]
            .iter()
            .find(|(_, earlier)| earlier.name == *name)
        {
            let what = format!("{name} is given twice (first at {first})");
            return Err(Problem::new(what, "keep one of the two").at(place));
        }
        if interface.role == Role::Upstream {
            if let Some((first, earlier)) = upstream {
                let what = format!(
                    "{name} is a second upstream (the first is {} at {first})",
                    earlier.name
                );
                return Err(
                    Problem::new(what, "make one of the two downstream or disabled").at(place),
                );
            }
            upstream = Some(entry);
        }
    }
    if interfaces
        .iter()
        .all(|(_, interface)| interface.role != Role::Downstream)
    {
        let remedy = "name at least one where the receivers are";
        return Err(Problem::new("no interface is downstream", remedy).at(whole));
    }
    Ok(())
}

/// A name, or a pattern where there may be several interfaces.
pub(super) fn check_name_for(role: Role, name: &str) -> Result<(), Problem> {
    if role != Role::Upstream && pattern::is_pattern(name) {
        pattern::check(name)
    } else {
        check_name(name)
    }
}

/// What the kernel takes as an interface name (`dev_valid_name`), patterns excepted.
pub(super) fn check_name(name: &str) -> Result<(), Problem> {
    if pattern::is_pattern(name) {
        return Err(Problem::new(
            format!("\"{name}\" is a pattern"),
            "name one interface here",
        ));
    }
    if name.len() > LONGEST_NAME {
        let what = format!("interface name \"{name}\" has {} bytes", name.len());
        return Err(Problem::new(
            what,
            format!("the kernel takes at most {LONGEST_NAME}; see `ip link`"),
        ));
    }
    if matches!(name, "" | "." | "..")
        || name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace())
    {
        return Err(Problem::new(
            format!("\"{name}\" is no interface name"),
            "use a name that `ip link` shows",
        ));
    }
    Ok(())
}
