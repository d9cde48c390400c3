//! A configuration written out again: every key with the value in force, the defaults and what derives from them too.
//!
//! The keys are those of the file, so what `igmpctl show config` prints is itself a configuration.

use std::fmt::{self, Write};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use toml::{Table, Value};

use super::{Config, InterfaceConfig, RemoteBackupProfile, Role, Vlan, duration};
use crate::backup::InterfacePair;
use crate::proto::{Acl, AclRef, Action, InterfaceParams, InterfacePolicy, PromptLeave, Rule};

impl Config {
    /// Every key with the value in force. `[igmp]` is not among them: its keys stand with each interface.
    #[must_use]
    pub fn effective(&self) -> Table {
        let policy = &self.policy;
        let mapping = |(group, sources): &(Ipv4Net, Vec<Ipv4Addr>)| {
            table([("group", text(group)), ("sources", list(sources, text))])
        };
        let metrics = self.metrics.map(|address| ("metrics", text(&address)));
        let daemon = [
            ("control_socket", text(&self.control_socket.display())),
            ("pin_path", text(&self.pin_path.display())),
            ("persist", self.persist.into()),
            ("hold_time", text(&duration::show(self.hold_time))),
        ];
        let daemon = table(daemon.into_iter().chain(metrics));
        let datapath = table([
            ("mode", text(self.mode.name())),
            ("max_flows", number(self.max_flows)),
            ("igmp_rate", number(self.igmp_rate)),
            ("igmp_burst", number(self.igmp_burst)),
            ("multicast_filter", number(self.multicast_filter)),
        ]);
        let proxy = table([
            ("disabled", self.proxy.disabled.into()),
            ("quick_leave", self.proxy.quick_leave.into()),
            (
                "leave_linger",
                text(&duration::show(self.proxy.leave_linger)),
            ),
        ]);
        let policy_keys = table([
            ("ssm_ranges", list(&policy.ssm_ranges, text)),
            ("ssm_mapping", list(&policy.ssm_mapping, mapping)),
            ("untracked_groups", list(&policy.untracked_groups, text)),
            ("max_groups", count(policy.max_groups)),
            ("max_sources", count(policy.max_sources)),
        ]);
        let mut root = Table::new();
        root.insert("daemon".into(), daemon);
        root.insert("datapath".into(), datapath);
        root.insert("proxy".into(), proxy);
        root.insert("policy".into(), policy_keys);
        root.insert(
            "interface".into(),
            list(&self.interfaces, |rule| interface(self, rule)),
        );
        root.insert("acl".into(), list(&policy.acls, acl));
        root.insert(
            "remote_backup_profile".into(),
            list(&self.remote_backup_profiles, profile),
        );
        root
    }
}

fn interface(config: &Config, interface: &InterfaceConfig) -> Value {
    let mut keys = Table::new();
    let device = interface.vlan.as_ref().map(|vlan| &vlan.device);
    keys.insert("name".into(), text(device.unwrap_or(&interface.name)));
    if let Some(tag) = &interface.vlan {
        keys.insert("vlan".into(), vlan(tag));
    }
    keys.insert("role".into(), text(interface.role.name()));
    keys.insert("mode".into(), text(config.mode_of(interface).name()));
    if let Some(lender) = &interface.unnumbered {
        keys.insert("unnumbered".into(), text(lender));
    }
    keys.insert("alt_subnets".into(), list(&interface.alt_subnets, text));
    let filter = &interface.policy.group_filter;
    keys.insert("whitelist".into(), list(&filter.whitelist, text));
    keys.insert("blacklist".into(), list(&filter.blacklist, text));
    keys.insert("threshold".into(), number(interface.ttl_threshold));
    if let Some(access) = interface.access {
        keys.insert("access".into(), text(access.name()));
    }
    keys.extend(params(&interface.params).map(owned));
    // An upstream takes no other policy: hosts join elsewhere.
    if interface.role != Role::Upstream {
        keys.extend(interface_policy(&interface.policy).into_iter().map(owned));
    }
    Value::Table(keys)
}

fn vlan(vlan: &Vlan) -> Value {
    let id = number(vlan.id());
    if vlan.is_service() {
        table([("id", id), ("protocol", text("802.1ad"))])
    } else {
        id
    }
}

fn profile(profile: &RemoteBackupProfile) -> Value {
    let mapped = |interface: &InterfacePair| {
        table([
            ("local", text(&interface.local)),
            ("remote", text(&interface.remote)),
        ])
    };
    let tls = match &profile.tls {
        None => ("insecure", true.into()),
        Some(files) => {
            let files = [
                ("cert", text(&files.cert.display())),
                ("key", text(&files.key.display())),
                ("ca", text(&files.ca.display())),
            ];
            ("tls", table(files))
        }
    };
    table([
        ("name", text(&profile.name)),
        ("role", text(&profile.role)),
        ("listen", text(&profile.listen)),
        ("peer", text(&profile.peer)),
        tls,
        ("interfaces", list(&profile.interfaces, mapped)),
        ("dhcp_stb_igmp_copy", profile.dhcp_stb_igmp_copy.into()),
        ("priority", number(profile.priority)),
        ("upstream_join", profile.upstream_join.into()),
        (
            "switch_back_delay",
            text(&duration::show(profile.switch_back_delay)),
        ),
        ("dead_after", text(&duration::show(profile.dead_after))),
    ])
}

fn params(params: &InterfaceParams) -> [(&'static str, Value); 8] {
    let time = |value| text(&duration::show(value));
    [
        ("version", number(params.version as u8)),
        ("robustness", number(params.robustness)),
        ("query_interval", time(params.query_interval)),
        (
            "query_response_interval",
            time(params.query_response_interval),
        ),
        (
            "last_member_query_interval",
            time(params.last_member_query_interval),
        ),
        (
            "last_member_query_count",
            number(params.last_member_query_count()),
        ),
        (
            "startup_query_interval",
            time(params.startup_query_interval()),
        ),
        ("startup_query_count", number(params.startup_query_count())),
    ]
}

fn interface_policy(policy: &InterfacePolicy) -> Vec<(&'static str, Value)> {
    let mut keys = vec![("prompt_leave", prompt_leave(policy.prompt_leave.as_ref()))];
    if let Some(acl) = &policy.group_policy {
        keys.push(("group_policy", reference(acl)));
    }
    let sources = [
        ("reports", &policy.report_sources),
        ("queries", &policy.query_sources),
    ];
    let sources: Vec<_> = sources
        .into_iter()
        .filter_map(|(key, acl)| Some((key, reference(acl.as_ref()?))))
        .collect();
    if !sources.is_empty() {
        keys.push(("source_policy", table(sources)));
    }
    let static_group = |(group, source): &(Ipv4Addr, Option<Ipv4Addr>)| match source {
        None => text(group),
        Some(source) => table([("group", text(group)), ("source", text(source))]),
    };
    keys.extend([
        ("require_router_alert", policy.require_router_alert.into()),
        ("max_groups", count(policy.max_groups)),
        ("max_sources", count(policy.max_sources)),
        ("static_groups", list(&policy.static_groups, static_group)),
        (
            "forward_as_non_querier",
            policy.forward_as_non_querier.into(),
        ),
    ]);
    keys
}

fn prompt_leave(prompt_leave: Option<&PromptLeave>) -> Value {
    let Some(prompt_leave) = prompt_leave else {
        return false.into();
    };
    let policy = prompt_leave.group_policy.as_ref();
    let policy = policy.map(|acl| ("group_policy", reference(acl)));
    table(policy.into_iter().chain([
        ("v3", prompt_leave.v3.into()),
        ("tracked", prompt_leave.tracked.into()),
    ]))
}

fn acl(acl: &Acl) -> Value {
    let number = acl.number.map(|value| ("number", number(value)));
    let name = acl.name.as_ref().map(|name| ("name", text(name)));
    let keys = number.into_iter().chain(name);
    table(keys.chain([("rules", list(&acl.rules, rule))]))
}

fn rule(rule: &Rule) -> Value {
    let action = match rule.action {
        Action::Permit => "permit",
        Action::Deny => "deny",
    };
    let group = rule.group.map(|group| ("group", text(&group)));
    let source = rule.source.map(|source| ("source", text(&source)));
    let keys = [
        ("sequence", number(rule.sequence)),
        ("action", text(action)),
    ];
    table(keys.into_iter().chain(group).chain(source))
}

fn reference(acl: &AclRef) -> Value {
    match acl {
        AclRef::Number(value) => number(*value),
        AclRef::Name(name) => text(name),
    }
}

fn table(keys: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Table(keys.into_iter().map(owned).collect())
}

fn owned((key, value): (&'static str, Value)) -> (String, Value) {
    (key.to_owned(), value)
}

fn list<'a, T>(items: &'a [T], value: impl Fn(&'a T) -> Value) -> Value {
    Value::Array(items.iter().map(value).collect())
}

fn text(value: &(impl ToString + ?Sized)) -> Value {
    Value::String(value.to_string())
}

fn number(value: impl Into<i64>) -> Value {
    Value::Integer(value.into())
}

fn count(value: usize) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

/// Writes `config` as TOML: a header a section, a line a key, a line an element where those are tables.
#[must_use]
pub fn to_toml(config: &Table) -> String {
    let mut out = String::new();
    for (name, value) in config {
        match value {
            Value::Table(keys) => section(&mut out, &format!("[{name}]"), keys),
            Value::Array(sections) => {
                for keys in sections.iter().filter_map(Value::as_table) {
                    section(&mut out, &format!("[[{name}]]"), keys);
                }
            }
            // The schema has nothing else on its top level.
            _ => {}
        }
    }
    out
}

fn section(out: &mut String, header: &str, keys: &Table) {
    if !out.is_empty() {
        out.push('\n');
    }
    // Writing to a string does not fail.
    let _ = write_keys(out, header, keys);
}

fn write_keys(out: &mut String, header: &str, keys: &Table) -> fmt::Result {
    writeln!(out, "{header}")?;
    for (key, value) in keys {
        match value {
            Value::Array(elements) if elements.iter().any(Value::is_table) => {
                writeln!(out, "{key} = [")?;
                for element in elements {
                    writeln!(out, "    {element},")?;
                }
                writeln!(out, "]")?;
            }
            _ => writeln!(out, "{key} = {value}")?,
        }
    }
    Ok(())
}
