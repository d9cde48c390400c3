//! `[[remote_backup_profile]]`: pairs of gateways that keep each other's memberships.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::error::{Error, Problem};
use super::interface::check_name;
use super::reader::{DurationRule, Section, Source, wrong_type};
use super::{InterfaceConfig, Role, absolute, pattern};
use crate::backup::{DEFAULT_DEAD_AFTER, InterfacePair, Role as GatewayRole};

const DEAD_AFTER_RULE: DurationRule = DurationRule {
    range: Duration::from_millis(200)..=Duration::from_mins(1),
    step: Duration::from_millis(1),
    why: "the peer is silent for a quarter of it when all is well",
};
const SWITCH_BACK_RULE: DurationRule = DurationRule {
    range: Duration::ZERO..=Duration::from_hours(24),
    step: Duration::from_millis(1),
    why: "0s: as soon as both hold the same",
};
/// Query intervals in which a gateway that has come back learns again what hosts say to it alone.
const SWITCH_BACK_INTERVALS: u32 = 2;

/// How the hosts of an interface are connected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// By Ethernet: in many networks they reach both gateways.
    Dhcp,
    /// By PPPoE: their sessions end at one gateway.
    Pppoe,
}

impl Access {
    /// The word that stands for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dhcp => "dhcp",
            Self::Pppoe => "pppoe",
        }
    }
}

impl FromStr for Access {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        [Self::Dhcp, Self::Pppoe]
            .into_iter()
            .find(|access| access.name() == text)
            .ok_or_else(|| {
                let what = format!("\"{text}\" is no kind of access");
                Problem::new(what, "write \"dhcp\" or \"pppoe\"")
            })
    }
}

/// What TLS needs: three PEM files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsFiles {
    /// This gateway's certificate, with those between it and `ca`.
    pub cert: PathBuf,
    /// The key of `cert`.
    pub key: PathBuf,
    /// Who must have signed the peer's certificate.
    pub ca: PathBuf,
}

/// Two gateways in front of the same hosts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RemoteBackupProfile {
    /// What both call it.
    pub name: String,
    /// The role that this gateway begins with.
    pub role: GatewayRole,
    /// Where this gateway listens.
    pub listen: SocketAddrV4,
    /// Where the peer does.
    pub peer: SocketAddrV4,
    /// `None`: neither encrypted nor authenticated (`insecure = true`).
    pub tls: Option<TlsFiles>,
    /// What is kept in step.
    pub interfaces: Vec<InterfacePair>,
    /// Copy what hosts of interfaces with [`Access::Dhcp`] say; those with [`Access::Pppoe`] are always copied.
    pub dhcp_stb_igmp_copy: bool,
    /// Who stays master when both are: the higher one.
    pub priority: u8,
    /// A backup joins upstream what its hosts want, so that the data is there already.
    pub upstream_join: bool,
    /// How long after it has come back and holds what the peer does a gateway takes the role of master back.
    pub switch_back_delay: Duration,
    /// A peer that is silent for so long is taken for dead.
    pub dead_after: Duration,
}

impl RemoteBackupProfile {
    /// Whether it keeps this interface in step.
    #[must_use]
    pub fn maps(&self, interface: &str) -> bool {
        self.interfaces
            .iter()
            .any(|mapped| mapped.local == interface)
    }
}

/// Reads every `[[remote_backup_profile]]`.
pub(super) fn read_all(
    root: &mut Section<'_>,
    interfaces: &[InterfaceConfig],
) -> Result<Vec<RemoteBackupProfile>, Error> {
    let mut profiles: Vec<RemoteBackupProfile> = Vec::new();
    for section in root.sections("remote_backup_profile")? {
        let place = section.place();
        let profile = read(section, interfaces)?;
        check_together(&profiles, &profile).map_err(|problem| problem.at(place))?;
        profiles.push(profile);
    }
    Ok(profiles)
}

fn read(
    mut section: Section<'_>,
    interfaces: &[InterfaceConfig],
) -> Result<RemoteBackupProfile, Error> {
    let (source, place) = (section.source(), section.place());
    let missing = |key: &str, remedy: &str| {
        Problem::new(format!("this profile has no {key}"), remedy).at(&*place)
    };
    let name = section.parsed("name", "stb", |text| {
        check_profile_name(text).map(|()| text.to_owned())
    })?;
    let role = section.parsed("role", "master", parse_role)?;
    let listen = section.parsed("listen", "192.0.2.1:7464", endpoint)?;
    let peer = section.parsed("peer", "192.0.2.2:7464", endpoint)?;
    let tls = read_tls(&mut section)?;
    let insecure = section.boolean("insecure")?;
    let mapped = read_interfaces(&mut section, interfaces)?;
    let dhcp_stb_igmp_copy = section.boolean("dhcp_stb_igmp_copy")?;
    let priority = section.integer("priority", &(1..=u8::MAX), "")?;
    let upstream_join = section.boolean("upstream_join")?;
    let switch_back_delay = section.duration("switch_back_delay", &SWITCH_BACK_RULE)?;
    let dead_after = section.duration("dead_after", &DEAD_AFTER_RULE)?;
    section.finish()?;

    let name = name.ok_or_else(|| missing("name", "add one, such as name = \"stb\""))?;
    let role = role.ok_or_else(|| missing("role", "add role = \"master\" or \"backup\""))?;
    let listen = listen.ok_or_else(|| {
        missing(
            "listen",
            "add an address of this gateway, such as listen = \"192.0.2.1:7464\"",
        )
    })?;
    let peer = peer.ok_or_else(|| {
        missing(
            "peer",
            "add the other gateway's, such as peer = \"192.0.2.2:7464\"",
        )
    })?;
    if peer.get_ref() == listen.get_ref() {
        let problem = Problem::new("peer is listen", "write the other gateway's address");
        return Err(problem.at(source.place(&peer.span())));
    }
    if mapped.is_empty() {
        return Err(missing(
            "interfaces",
            "add those that both gateways serve, such as interfaces = [\"eth1\"]",
        ));
    }
    let insecure_at = insecure
        .filter(|insecure| *insecure.get_ref())
        .map(|insecure| source.place(&insecure.span()));
    match (&tls, insecure_at) {
        (Some(_), Some(place)) => {
            let problem = Problem::new("insecure = true beside tls", "keep one of the two");
            return Err(problem.at(place));
        }
        (None, None) => {
            return Err(missing(
                "tls",
                "add tls = { cert = \"...\", key = \"...\", ca = \"...\" } (`igmpctl backup keygen` makes them), or \
                 insecure = true where nobody else can reach the link",
            ));
        }
        _ => {}
    }
    let role = role.into_inner();
    let default_delay = || {
        let rules = mapped
            .iter()
            .filter_map(|it| rule_of(interfaces, &it.local));
        let intervals = rules.map(|rule| rule.params.query_interval);
        SWITCH_BACK_INTERVALS * intervals.max().unwrap_or_default()
    };
    Ok(RemoteBackupProfile {
        name: name.into_inner(),
        role,
        listen: listen.into_inner(),
        peer: peer.into_inner(),
        tls,
        dhcp_stb_igmp_copy: dhcp_stb_igmp_copy.is_none_or(Spanned::into_inner),
        priority: priority.map_or(role.default_priority(), Spanned::into_inner),
        upstream_join: upstream_join.is_none_or(Spanned::into_inner),
        switch_back_delay: switch_back_delay.map_or_else(default_delay, Spanned::into_inner),
        dead_after: dead_after.map_or(DEFAULT_DEAD_AFTER, Spanned::into_inner),
        interfaces: mapped,
    })
}

fn read_tls(section: &mut Section<'_>) -> Result<Option<TlsFiles>, Error> {
    let source = section.source();
    let Some(value) = section.take("tls") else {
        return Ok(None);
    };
    let mut section = Section::from_value(source, "tls", value)?;
    let place = section.place();
    let cert = section.parsed("cert", "/etc/igmpd/backup/cert.pem", absolute)?;
    let key = section.parsed("key", "/etc/igmpd/backup/key.pem", absolute)?;
    let ca = section.parsed("ca", "/etc/igmpd/backup/ca.pem", absolute)?;
    section.finish()?;
    let given = |path: Option<Spanned<PathBuf>>, key: &str| {
        let missing = || {
            let remedy = "add it: `igmpctl backup keygen` makes all three";
            Problem::new(format!("tls has no {key}"), remedy).at(&*place)
        };
        path.map(Spanned::into_inner).ok_or_else(missing)
    };
    Ok(Some(TlsFiles {
        cert: given(cert, "cert")?,
        key: given(key, "key")?,
        ca: given(ca, "ca")?,
    }))
}

/// Each is a name, or the two names that it has.
fn read_interfaces(
    section: &mut Section<'_>,
    interfaces: &[InterfaceConfig],
) -> Result<Vec<InterfacePair>, Error> {
    const REMEDY: &str = "write names, or { local = \"eth1\", remote = \"eth3\" }";
    let source = section.source();
    let mut mapped: Vec<InterfacePair> = Vec::new();
    for value in section.array("interfaces", REMEDY)? {
        let place = source.place(&value.span());
        let interface = match value.get_ref() {
            DeValue::String(name) => InterfacePair {
                local: name.to_string(),
                remote: name.to_string(),
            },
            DeValue::Table(_) => read_pair(source, value)?,
            other => return Err(wrong_type("an interface", other, REMEDY).at(place)),
        };
        check_mapped(&mapped, &interface, interfaces).map_err(|problem| problem.at(place))?;
        mapped.push(interface);
    }
    Ok(mapped)
}

fn read_pair(source: Source<'_>, value: Spanned<DeValue<'_>>) -> Result<InterfacePair, Error> {
    let mut section = Section::from_value(source, "interfaces", value)?;
    let place = section.place();
    let local = section.string("local", "eth1")?;
    let remote = section.string("remote", "eth3")?;
    section.finish()?;
    let given = |name: Option<Spanned<String>>, key: &str| {
        let missing = || {
            let remedy = "write { local = \"eth1\", remote = \"eth3\" }";
            Problem::new(format!("this interface has no {key} name"), remedy).at(&*place)
        };
        name.map(Spanned::into_inner).ok_or_else(missing)
    };
    Ok(InterfacePair {
        local: given(local, "local")?,
        remote: given(remote, "remote")?,
    })
}

fn check_mapped(
    earlier: &[InterfacePair],
    interface: &InterfacePair,
    interfaces: &[InterfaceConfig],
) -> Result<(), Problem> {
    let InterfacePair { local, remote } = interface;
    check_name(local)?;
    check_name(remote)?;
    for (name, side) in [(local, "here"), (remote, "on the peer")] {
        let is_twice = earlier.iter().any(|earlier| match side {
            "here" => earlier.local == *name,
            _ => earlier.remote == *name,
        });
        if is_twice {
            let what = format!("{name} {side} is given twice");
            return Err(Problem::new(what, "keep one of the two"));
        }
    }
    if rule_of(interfaces, local).is_some_and(|rule| rule.role == Role::Downstream) {
        return Ok(());
    }
    Err(Problem::new(
        format!("{local} is no downstream interface"),
        "add an [[interface]] for it: hosts join there",
    ))
}

/// What the configuration says of the interface of this name.
fn rule_of<'a>(interfaces: &'a [InterfaceConfig], name: &str) -> Option<&'a InterfaceConfig> {
    pattern::rules_for(interfaces, name).next()
}

/// What must hold between profiles.
fn check_together(
    earlier: &[RemoteBackupProfile],
    profile: &RemoteBackupProfile,
) -> Result<(), Problem> {
    for other in earlier {
        if other.name == profile.name {
            let what = format!("profile {} is given twice", profile.name);
            return Err(Problem::new(what, "keep one of the two"));
        }
        if let Some(shared) = profile
            .interfaces
            .iter()
            .find(|mapped| other.maps(&mapped.local))
        {
            let what = format!("{} is in profile {} already", shared.local, other.name);
            let remedy = "an interface has one master: keep it in one profile";
            return Err(Problem::new(what, remedy));
        }
        if other.listen == profile.listen {
            let what = format!(
                "listen of {} is that of profile {}",
                profile.name, other.name
            );
            return Err(Problem::new(what, "give each a port of its own"));
        }
    }
    Ok(())
}

fn parse_role(text: &str) -> Result<GatewayRole, Problem> {
    [GatewayRole::Master, GatewayRole::Backup]
        .into_iter()
        .find(|role| role.to_string() == text)
        .ok_or_else(|| {
            let what = format!("\"{text}\" is no role of a gateway");
            Problem::new(what, "write \"master\" or \"backup\"")
        })
}

fn endpoint(text: &str) -> Result<SocketAddrV4, Problem> {
    let remedy = "write an IPv4 address and a port, such as \"192.0.2.1:7464\"";
    let endpoint: SocketAddrV4 = text
        .parse()
        .map_err(|_| Problem::new(format!("\"{text}\" is no address with a port"), remedy))?;
    let Some(what) = unusable(*endpoint.ip(), endpoint.port()) else {
        return Ok(endpoint);
    };
    // Both addresses tell the two gateways apart, so neither may stand for any.
    Err(Problem::new(format!("\"{text}\" {what}"), remedy))
}

fn unusable(address: Ipv4Addr, port: u16) -> Option<&'static str> {
    if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
        Some("is not the address of one gateway")
    } else if port == 0 {
        Some("has no port")
    } else {
        None
    }
}

/// It is part of file names and metric labels.
fn check_profile_name(name: &str) -> Result<(), Problem> {
    const LONGEST: usize = 32;
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.is_empty() && name.len() <= LONGEST && name.chars().all(is_good) {
        return Ok(());
    }
    Err(Problem::new(
        format!("\"{name}\" is no profile name"),
        format!("use up to {LONGEST} letters, digits, - and _"),
    ))
}

#[cfg(test)]
mod tests;
