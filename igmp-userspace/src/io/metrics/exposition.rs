//! What Prometheus is told, made from what `igmpctl show` says.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::api::{Backup, Counter, Interface, InterfaceState};
use crate::backup::Role;

type Counts<L> = Family<L, counter::Counter>;
type Gauges<L> = Family<L, gauge::Gauge>;
type Seconds<L> = Family<L, gauge::Gauge<f64, AtomicU64>>;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OnInterface {
    interface: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Reason {
    interface: String,
    reason: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfProfile {
    profile: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ProfileReason {
    profile: String,
    reason: String,
}

/// The text of a scrape.
pub(super) fn render(
    interfaces: &[Interface],
    counters: &[Counter],
    profiles: &[Backup],
) -> String {
    let mut registry = Registry::with_prefix("igmpd");
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    registry.register("build", "The igmpd that answers", Info::new(version));
    of_interfaces(&mut registry, interfaces);
    of_counters(&mut registry, counters);
    if !profiles.is_empty() {
        of_profiles(&mut registry, profiles);
    }
    let mut out = String::new();
    // Only a writer that fails makes it fail, and a String does not.
    let _ = text::encode(&mut out, &registry);
    out
}

fn of_interfaces(registry: &mut Registry, interfaces: &[Interface]) {
    let (ready, querier, groups) = (Gauges::default(), Gauges::default(), Gauges::default());
    for interface in interfaces {
        let labels = OnInterface {
            interface: interface.name.clone(),
        };
        let is_ready = interface.state == InterfaceState::Ready;
        ready.get_or_create(&labels).set(is_ready.into());
        (querier.get_or_create(&labels)).set(interface.querier_is_self.into());
        (groups.get_or_create(&labels)).set(whole(interface.groups as u64));
    }
    registry.register("interface_ready", "1: up, with an address", ready);
    registry.register(
        "interface_querier",
        "1: this gateway is the querier",
        querier,
    );
    registry.register(
        "groups",
        "Groups with members; on the upstream: joined",
        groups,
    );
}

fn of_counters(registry: &mut Registry, counters: &[Counter]) {
    let on_interfaces = Counts::<Reason>::default();
    for counter in counters {
        if let Some(interface) = &counter.interface {
            let labels = Reason {
                interface: interface.clone(),
                reason: counter.name.clone(),
            };
            on_interfaces.get_or_create(&labels).inc_by(counter.value);
            continue;
        }
        if counter.is_gauge() {
            let gauge = gauge::Gauge::<i64>::default();
            gauge.set(whole(counter.value));
            registry.register(&counter.name, &counter.description, gauge);
        } else {
            let count = counter::Counter::<u64>::default();
            count.inc_by(counter.value);
            registry.register(&counter.name, &counter.description, count);
        }
    }
    let help = "Packets and IGMP messages by what became of them; `igmpctl show counters` explains each reason";
    registry.register("packets", help, on_interfaces);
}

fn of_profiles(registry: &mut Registry, profiles: &[Backup]) {
    let (master, connected, synced) = (Gauges::default(), Gauges::default(), Gauges::default());
    let (sent, received) = (Counts::default(), Counts::default());
    let (dropped, refused) = (Counts::default(), Counts::default());
    let lag = Seconds::default();
    for row in profiles {
        let labels = OfProfile {
            profile: row.profile.clone(),
        };
        let is_master = row.role == Role::Master;
        master.get_or_create(&labels).set(is_master.into());
        (connected.get_or_create(&labels)).set(row.connected.into());
        synced.get_or_create(&labels).set(row.synced.into());
        sent.get_or_create(&labels).inc_by(row.sent);
        received.get_or_create(&labels).inc_by(row.received);
        if let Some(lag_ms) = row.lag_ms {
            lag.get_or_create(&labels).set(lag_ms / 1e3);
        }
        count_reasons(&dropped, row, &row.dropped_by);
        count_reasons(&refused, row, &row.refused);
    }
    registry.register(
        "backup_master",
        "1: this gateway is master of the profile",
        master,
    );
    registry.register(
        "backup_connected",
        "1: both gateways are connected and agree",
        connected,
    );
    registry.register("backup_synced", "1: both gateways hold the same", synced);
    registry.register("backup_sent", "IGMP messages copied to the peer", sent);
    registry.register(
        "backup_received",
        "IGMP messages copied by the peer",
        received,
    );
    registry.register("backup_dropped", "Copies dropped, by reason", dropped);
    registry.register(
        "backup_refused",
        "Connections and records refused, by reason",
        refused,
    );
    registry.register("backup_lag_seconds", "How far the backup is behind", lag);
}

fn count_reasons(family: &Counts<ProfileReason>, row: &Backup, counts: &BTreeMap<String, u64>) {
    for (reason, count) in counts {
        let labels = ProfileReason {
            profile: row.profile.clone(),
            reason: reason.clone(),
        };
        family.get_or_create(&labels).inc_by(*count);
    }
}

/// Gauges are signed.
fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
