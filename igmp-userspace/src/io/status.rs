//! Answers to igmpctl's questions, from the state of the event loop.

mod acl;
mod backup;

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use igmp_common::Counter as KernelCounter;

use super::daemon::Daemon;
use super::ports::ConfiguredPort;
use super::tally::Occurrence;
use super::vlan;
use crate::api::{
    Counter, Datapath, Flow, Group, Host, Interface, InterfaceState, MemberState, Path, Request,
    Response, Source, UpstreamGroup,
};
use crate::config::{InterfaceConfig, Role};
use crate::fib;
use crate::proto::upstream::{Membership, State};
use crate::proto::{self, IfIndex, Instant};

/// Answers one question, or does what it asks for.
pub fn answer(daemon: &mut Daemon, request: &Request) -> Response {
    match request {
        Request::ShowInterfaces {} => Response::Interfaces(interfaces(daemon)),
        Request::ShowGroups {
            interface,
            group,
            hosts,
        } => {
            if let Some(unknown) = unknown_interface(daemon, interface.as_deref()) {
                return unknown;
            }
            Response::Groups(groups(daemon, interface.as_deref(), *group, *hosts))
        }
        Request::ShowFlows { group } => Response::Flows(flows(daemon, *group)),
        Request::ShowUpstream {} => Response::Upstream(upstream(daemon)),
        Request::ShowCounters { interface } => {
            if let Some(unknown) = unknown_interface(daemon, interface.as_deref()) {
                return unknown;
            }
            Response::Counters(counters(daemon, interface.as_deref()))
        }
        Request::ShowBackup {} => Response::Backup(backup::profiles(daemon)),
        Request::SetBackupRole { profile, role } => {
            done_or_refused(daemon.set_backup_role(profile, *role))
        }
        Request::BlockBackup {
            profile,
            direction,
            blocked,
        } => done_or_refused(daemon.block_backup(profile, backup::direction(*direction), *blocked)),
        Request::ShowAcl {} => Response::Acl(acl::acls(&daemon.config, &daemon.router)),
        Request::ShowConfig {} => Response::Config(vec![daemon.config.effective()]),
        Request::Reload { dry_run } => match daemon.reload(*dry_run) {
            Ok(reload) => Response::Reload(reload),
            Err(reason) => Response::Error(reason),
        },
        Request::Restart {} => Response::Done(daemon.restart()),
        Request::ClearGroups { interface, group } => {
            done_or_refused(daemon.clear_groups(interface.as_deref(), *group))
        }
        Request::Events {} => Response::Error("events are told, not answered".into()),
    }
}

fn done_or_refused(result: Result<String, String>) -> Response {
    result.map_or_else(Response::Error, Response::Done)
}

fn unknown_interface(daemon: &Daemon, name: Option<&str>) -> Option<Response> {
    let name = name?;
    let known = daemon.ports.iter().any(|port| port.config.name == name);
    (!known).then(|| Response::Error(format!("{name}: not an interface of igmpd")))
}

fn interfaces(daemon: &Daemon) -> Vec<Interface> {
    let view = |port: &ConfiguredPort| {
        let link = port.device.as_ref().map(|device| &device.link);
        let state = router_interface(daemon, port);
        let is_upstream = is_running_upstream(port);
        let elected = state.and_then(proto::Interface::querier);
        let heard = daemon.proxy.querier().filter(|_| is_upstream);
        let version = daemon.proxy.version().filter(|_| is_upstream);
        Interface {
            name: port.config.name.clone(),
            ifindex: link.map(|link| vlan::device(link.index).0),
            role: port.config.role,
            state: port.state(),
            address: port
                .running()
                .or(link.map(|link| &*link.addresses))
                .and_then(|addresses| Some(addresses.first()?.addr())),
            datapath: port.datapath(),
            datapath_reason: port.datapath_reason(),
            igmp_version: version.unwrap_or(port.config.params.version) as u8,
            querier: elected.map(|querier| querier.address).or(heard),
            querier_is_self: elected.is_some_and(|querier| querier.is_self),
            groups: if is_upstream {
                daemon.proxy.memberships().count()
            } else {
                state.map_or(0, proto::Interface::group_count)
            },
            counters: port_counters(daemon, port)
                .map(|(name, value, _)| (name.to_owned(), value))
                .collect::<BTreeMap<_, _>>(),
        }
    };
    let ports = daemon.ports.iter().map(view);
    ports
        .chain(daemon.ports.idle_patterns().map(idle))
        .collect()
}

/// A pattern that no device matches: what is expected can be seen, and that it is not there.
fn idle(pattern: &InterfaceConfig) -> Interface {
    Interface {
        name: pattern.name.clone(),
        ifindex: None,
        role: pattern.role,
        state: InterfaceState::Absent,
        address: None,
        datapath: Datapath::None,
        datapath_reason: "no device matches".into(),
        igmp_version: pattern.params.version as u8,
        querier: None,
        querier_is_self: false,
        groups: 0,
        counters: BTreeMap::new(),
    }
}

fn router_interface<'a>(daemon: &'a Daemon, port: &ConfiguredPort) -> Option<&'a proto::Interface> {
    daemon.router.interface(port.index()?)
}

fn groups(
    daemon: &Daemon,
    interface: Option<&str>,
    group: Option<Ipv4Addr>,
    with_hosts: bool,
) -> Vec<Group> {
    let now = daemon.now();
    let mut rows = Vec::new();
    for port in daemon.ports.iter() {
        if interface.is_some_and(|name| name != port.config.name) {
            continue;
        }
        let Some(state) = router_interface(daemon, port) else {
            continue;
        };
        let wanted = state
            .groups()
            .filter(|(address, _)| group.is_none_or(|group| group == *address));
        rows.extend(wanted.map(|(address, group)| Group {
            hosts: with_hosts.then(|| hosts(state, address, now)),
            ..view(&port.config.name, address, group, now)
        }));
    }
    rows
}

fn upstream(daemon: &Daemon) -> Vec<UpstreamGroup> {
    let Some(port) = daemon.ports.upstream() else {
        return Vec::new();
    };
    let view = |membership: Membership<'_>| UpstreamGroup {
        interface: port.config.name.clone(),
        group: membership.group,
        state: match membership.state {
            State::Delaying => MemberState::Delaying,
            State::Idle => MemberState::Idle,
        },
        filter_mode: membership.subscription.mode.into(),
        sources: membership.subscription.sources.iter().copied().collect(),
    };
    daemon.proxy.memberships().map(view).collect()
}

fn view(interface: &str, address: Ipv4Addr, group: &proto::Group, now: Instant) -> Group {
    let left = |timer: Option<Instant>| millis(timer.map(|end| end.saturating_since(now)));
    let source = |source: proto::Source| Source {
        address: source.address,
        timer_ms: left(source.timer),
    };
    Group {
        interface: interface.to_owned(),
        group: address,
        filter_mode: group.filter_mode().into(),
        compatibility: group.compatibility() as u8,
        timer_ms: left(group.group_timer()),
        sources: group.sources().map(source).collect(),
        last_reporter: group.last_reporter(),
        uptime_ms: millis(Some(now.saturating_since(group.since()))),
        is_static: group.is_static(),
        hosts: None,
    }
}

fn hosts(interface: &proto::Interface, group: Ipv4Addr, now: Instant) -> Vec<Host> {
    let view = |host: proto::Host| Host {
        address: host.address,
        filter_mode: host.filter_mode.into(),
        last_heard_ms: millis(Some(now.saturating_since(host.last_heard))),
    };
    interface.hosts(group).map(view).collect()
}

fn millis(duration: Option<std::time::Duration>) -> u64 {
    duration.map_or(0, |duration| {
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
    })
}

fn flows(daemon: &Daemon, group: Option<Ipv4Addr>) -> Vec<Flow> {
    let names: HashMap<IfIndex, &str> = daemon
        .ports
        .iter()
        .filter_map(|port| Some((port.index()?, port.config.name.as_str())))
        .collect();
    let upstream = daemon
        .ports
        .iter()
        .find(|port| port.config.role == Role::Upstream)
        .map(|port| port.config.name.clone());
    let wanted = daemon
        .fib
        .flows()
        .filter(|(id, _)| group.is_none_or(|group| group == id.group));
    wanted
        .map(|(id, flow)| {
            let outputs = daemon.fib.outputs(flow.from_upstream);
            let stats = daemon.datapath.flow_stats(id).unwrap_or_default();
            Flow {
                source: id.source,
                group: id.group,
                upstream: upstream.clone(),
                outputs: outputs
                    .iter()
                    .filter_map(|output| names.get(output).map(|name| (*name).to_owned()))
                    .collect(),
                path: if flow.path == fib::Path::Xdp {
                    Path::Xdp
                } else {
                    Path::Tc
                },
                path_reason: path_reason(daemon, flow),
                packets: stats.packets,
                bytes: stats.bytes,
                set: flow.from_upstream.map(|set| set.0),
            }
        })
        .collect()
}

fn path_reason(daemon: &Daemon, flow: fib::Flow) -> String {
    match flow.path {
        fib::Path::Xdp => "XDP redirects reach every output".into(),
        fib::Path::TcAndLocal => "sockets of this host listen too".into(),
        fib::Path::Tc => {
            let sets = [flow.from_upstream, flow.from_downstream];
            let outputs = sets.into_iter().flat_map(|set| daemon.fib.outputs(set));
            let tc_outputs = daemon.ports.tc_outputs();
            let mut found = outputs.filter(|output| tc_outputs.contains(output));
            let port = found.find_map(|output| daemon.ports.by_index(*output));
            port.map_or_else(String::new, |port| {
                format!("{}: {}", port.config.name, port.datapath_reason())
            })
        }
    }
}

fn counters(daemon: &Daemon, interface: Option<&str>) -> Vec<Counter> {
    let row = |interface: Option<&str>, name: &str, value, description: &str| Counter {
        interface: interface.map(str::to_owned),
        name: name.to_owned(),
        value,
        description: description.to_owned(),
    };
    let mut rows = Vec::new();
    for port in daemon.ports.iter() {
        let name = port.config.name.as_str();
        if interface.is_none_or(|wanted| wanted == name) {
            let counts = port_counters(daemon, port);
            rows.extend(counts.map(|(counter, value, text)| row(Some(name), counter, value, text)));
        }
    }
    if interface.is_none() {
        let counts = Occurrence::ALL.map(|occurrence| {
            let value = daemon.tally.get(occurrence);
            row(None, occurrence.name(), value, occurrence.description())
        });
        rows.extend(counts);
        let sets = daemon.fib.sets();
        let gauges = [
            ("flows", daemon.fib.flow_count(), "flows installed now"),
            (
                "flows_refused_now",
                daemon.fib.refused_len(),
                "groups whose flows are refused now",
            ),
            (
                "replication_sets",
                sets.in_use(),
                "distinct output sets in use now",
            ),
            (
                "replication_sets_spare",
                sets.spare(),
                "replication sets ready for use now",
            ),
        ];
        rows.extend(gauges.map(|(name, value, text)| row(None, name, value as u64, text)));
    }
    rows
}

/// The kernel's and the router's counters of one interface: name, value, description.
fn port_counters<'a>(
    daemon: &'a Daemon,
    port: &ConfiguredPort,
) -> impl Iterator<Item = (&'static str, u64, &'static str)> + use<'a> {
    let counts = daemon
        .datapath
        .counters(port.slot)
        .unwrap_or([0; KernelCounter::COUNT]);
    let kernel = KernelCounter::ALL.iter().map(move |counter| {
        (
            counter.name(),
            counts[*counter as usize],
            counter.description(),
        )
    });
    let router = router_interface(daemon, port)
        .into_iter()
        .flat_map(|state| {
            let counts = state.counters().iter();
            counts.map(|(counter, value)| (counter.name(), value, counter.description()))
        });
    let proxy = is_running_upstream(port).then(|| daemon.proxy.counters());
    let proxy = proxy.into_iter().flat_map(|counters| {
        let counts = counters.iter();
        counts.map(|(counter, value)| (counter.name(), value, counter.description()))
    });
    let drops = daemon.datapath.output_drops(port.slot).unwrap_or_default();
    let egress = port.device.as_ref().map(|device| {
        let in_xdp = device.egress_drops();
        [
            (
                "egress_ttl_threshold",
                in_xdp.ttl_threshold + drops.ttl_threshold,
                "copies not sent because their TTL was not above the interface's threshold",
            ),
            (
                "egress_gate_closed",
                in_xdp.gate_closed + drops.gate_closed,
                "copies not sent because another gateway, whose backup this one is, serves the hosts",
            ),
            (
                "egress_mtu_exceeded",
                drops.mtu_exceeded,
                "copies not sent by TC because they are larger than the interface's MTU",
            ),
            (
                "egress_not_sent",
                drops.not_sent,
                "copies that TC could not send: the device is down, or there was no memory",
            ),
        ]
    });
    kernel
        .chain(egress.into_iter().flatten())
        .chain(router)
        .chain(proxy)
}

fn is_running_upstream(port: &ConfiguredPort) -> bool {
    port.config.role == Role::Upstream && port.running().is_some()
}
