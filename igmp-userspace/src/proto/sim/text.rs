//! Outputs and events as the lines that tests expect.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::{A, B, C, D, E, F, LAN};
use crate::proto::{Event, EventKind, Output};
use crate::wire::{Repr, Version};

pub(super) fn tell(event: &Event) -> String {
    assert_eq!(event.interface, LAN);
    match &event.kind {
        EventKind::Joined { group, host } => format!("{host} joined {group}"),
        EventKind::Left { group } => format!("nobody left in {group}"),
        EventKind::Leave {
            group,
            host,
            decision,
        } => format!("{host} leaves {group}: {decision}"),
        EventKind::UpstreamJoined { group } => format!("joined upstream: {group}"),
        EventKind::UpstreamLeft { group } => format!("left upstream: {group}"),
        EventKind::SourceRefused { source } => format!("{source} refused"),
        EventKind::QuerierChanged {
            querier,
            is_self: true,
        } => format!("{querier} is the querier: self"),
        EventKind::QuerierChanged { querier, .. } => format!("{querier} is the querier"),
        EventKind::HighWater {
            limit,
            used,
            allowed,
        } => format!("{limit}: {used} of {allowed}"),
    }
}

pub(super) fn describe(output: &Output) -> String {
    match output {
        Output::Event(_) => unreachable!("events are a list of their own"),
        Output::Accepted { interface } => {
            assert_eq!(*interface, LAN);
            "accepted".to_owned()
        }
        Output::MembershipChanged { interface, group } => {
            assert_eq!(*interface, LAN);
            format!("changed {group}")
        }
        Output::Transmit {
            interface,
            source,
            destination,
            message,
        } => {
            assert_eq!(*interface, LAN);
            let Repr::Query(query) = message else {
                panic!("a router sends queries only: {message:?}")
            };
            let mut text = format!("{source} > {destination}: {:?} ", query.version).to_lowercase();
            if query.group.is_unspecified() {
                text += "general query";
            } else {
                write!(text, "query {}", query.group).unwrap();
            }
            for &source in &query.sources {
                write!(text, " {}", name(source)).unwrap();
            }
            if query.suppress_router_side_processing {
                text += " S";
            }
            write!(text, ", max {}s", query.max_response_time.as_secs_f64()).unwrap();
            if query.version == Version::V3 {
                let qqi = query.query_interval.as_secs_f64();
                write!(text, ", qrv {}, qqi {qqi}s", query.robustness).unwrap();
            } else {
                assert_eq!(
                    (query.robustness, query.query_interval),
                    (0, Duration::ZERO)
                );
            }
            text
        }
    }
}

pub(super) fn name(source: Ipv4Addr) -> String {
    match [A, B, C, D, E, F].iter().position(|&named| named == source) {
        Some(index) => char::from(b"abcdef"[index]).to_string(),
        None => source.to_string(),
    }
}
