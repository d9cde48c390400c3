//! A link on virtual time, for tests: one router (10.0.0.2), any host or rival router, and everything that comes out.
//!
//! ```text
//! sim.at(10.s()).host("10.0.0.7").report_v3(ChangeToExclude, G, &[]);
//! sim.expects([changed("10s", G)]);
//! ```
//!
//! [`Sim::expects`] compares the complete list of outputs since it was last asked: one too many fails too. Events are a
//! list of their own, [`Sim::expects_events`].

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::{
    Counter, FilterMode, IfIndex, Input, Instant, Interface, InterfaceParams, InterfacePolicy,
    Output, Policy, Router,
};
use crate::wire::{self, GroupRecord, Query, Received, RecordType, Repr, Version};
use text::{describe, name, tell};

mod text;

/// The interface of a [`Sim`].
pub(super) const LAN: IfIndex = IfIndex(7);
/// The group most tests are about.
pub(super) const G: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
/// Sources, shown as `a` to `f`.
pub(super) const A: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
pub(super) const B: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
pub(super) const C: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 3);
pub(super) const D: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 4);
pub(super) const E: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 5);
pub(super) const F: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 6);

/// `10.s()`, `250.ms()`, `5.us()`.
pub(super) trait Time {
    fn s(self) -> Duration;
    fn ms(self) -> Duration;
    fn us(self) -> Duration;
}

impl Time for u64 {
    fn s(self) -> Duration {
        Duration::from_secs(self)
    }

    fn ms(self) -> Duration {
        Duration::from_millis(self)
    }

    fn us(self) -> Duration {
        Duration::from_micros(self)
    }
}

/// The query a version 3 router with default parameters sends every Query Interval.
pub(super) fn general_query(at: &str) -> String {
    format!("{at} 10.0.0.2 > 224.0.0.1: v3 general query, max 10s, qrv 2, qqi 125s")
}

/// A Group-Specific Query of a version 3 router with default parameters.
pub(super) fn group_query(at: &str, group: Ipv4Addr) -> String {
    format!("{at} 10.0.0.2 > {group}: v3 query {group}, max 1s, qrv 2, qqi 125s")
}

/// A Group-and-Source-Specific Query; `sources` as shown: "a b", or "a b S" with the S flag.
pub(super) fn source_query(at: &str, group: Ipv4Addr, sources: &str) -> String {
    format!("{at} 10.0.0.2 > {group}: v3 query {group} {sources}, max 1s, qrv 2, qqi 125s")
}

/// `MembershipChanged`.
pub(super) fn changed(at: &str, group: Ipv4Addr) -> String {
    format!("{at} changed {group}")
}

/// See the module.
pub(super) struct Sim {
    pub(super) router: Router,
    now: Instant,
    policy: InterfacePolicy,
    seen: Vec<String>,
    events: Vec<String>,
}

impl Sim {
    /// A link whose interface is not ready yet.
    pub(super) fn new() -> Self {
        Self {
            router: Router::new(),
            now: Instant::START,
            policy: InterfacePolicy::default(),
            seen: Vec::new(),
            events: Vec::new(),
        }
    }

    /// A link whose interface 10.0.0.2/24 became ready at 0 s; its first query is taken for granted.
    pub(super) fn started(params: InterfaceParams) -> Self {
        let mut sim = Self::new();
        sim.ready(params, &["10.0.0.2/24"]);
        sim.forget();
        sim
    }

    /// `started` with default parameters and this policy.
    pub(super) fn with_policy(policy: InterfacePolicy) -> Self {
        let mut sim = Self::new();
        sim.interface_policy(policy);
        sim.forget();
        sim
    }

    /// `started` with this policy, but on standby from the start.
    pub(super) fn on_standby(params: InterfaceParams, policy: InterfacePolicy) -> Self {
        let mut sim = Self::new();
        sim.policy = policy;
        sim.standby(true);
        sim.ready(params, &["10.0.0.2/24"]);
        sim.forget();
        sim
    }

    /// `started`, but 10.0.0.1 became the querier at 1 s.
    pub(super) fn non_querier(params: InterfaceParams) -> Self {
        let version = params.version;
        let mut sim = Self::started(params);
        sim.at(1.s()).host("10.0.0.1").general_query(version);
        assert!(!sim.interface().querier().unwrap().is_self);
        sim
    }

    /// Lets time pass until `time` after the start, firing every timeout when it is due.
    pub(super) fn at(&mut self, time: Duration) -> &mut Self {
        let end = Instant::from_start(time);
        while let Some(deadline) = self
            .router
            .poll_timeout()
            .filter(|deadline| *deadline <= end)
        {
            self.now = self.now.max(deadline);
            self.router.handle_timeout(self.now);
            let next = self.router.poll_timeout();
            assert!(
                next.is_none_or(|next| next > self.now),
                "{next:?} was left behind at {:?}",
                self.now
            );
            self.drain();
        }
        self.now = end;
        self
    }

    /// Lets time pass without firing timeouts, as when the caller was busy.
    pub(super) fn late(&mut self, time: Duration) -> &mut Self {
        self.now = Instant::from_start(time);
        self
    }

    pub(super) fn input(&mut self, input: Input) {
        self.router.handle_input(self.now, input);
        self.drain();
    }

    pub(super) fn ready(&mut self, params: InterfaceParams, addresses: &[&str]) {
        let addresses = addresses
            .iter()
            .map(|address| address.parse().unwrap())
            .collect();
        self.input(Input::InterfaceReady {
            interface: LAN,
            params,
            addresses,
            alt_subnets: vec![],
            policy: self.policy.clone(),
        });
    }

    /// The interface of [`Sim::started`] is sent again, with this policy.
    pub(super) fn interface_policy(&mut self, policy: InterfacePolicy) {
        self.policy = policy;
        self.ready(InterfaceParams::default(), &["10.0.0.2/24"]);
    }

    pub(super) fn standby(&mut self, standby: bool) {
        let interface = LAN;
        self.input(Input::Standby { interface, standby });
    }

    pub(super) fn policy(&mut self, policy: Policy) {
        self.input(Input::Policy(policy));
    }

    /// Who sends the next message.
    pub(super) fn host(&mut self, source: &str) -> Host<'_> {
        Host {
            sim: self,
            source: source.parse().unwrap(),
            destination: None,
            router_alert: true,
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn interface(&self) -> &Interface {
        self.router.interface(LAN).unwrap()
    }

    pub(super) fn counter(&self, counter: Counter) -> u64 {
        self.interface().counters().get(counter)
    }

    /// Asserts that these outputs, and no others, came since the last call.
    #[track_caller]
    pub(super) fn expects<T: AsRef<str>>(&mut self, expected: impl IntoIterator<Item = T>) {
        let expected: Vec<String> = expected
            .into_iter()
            .map(|line| line.as_ref().to_owned())
            .collect();
        let seen = std::mem::take(&mut self.seen);
        assert_eq!(seen, expected, "\nseen: {seen:#?}\nexpected: {expected:#?}");
    }

    /// What came out since `expects` was last called.
    pub(super) fn seen(&self) -> &[String] {
        &self.seen
    }

    #[track_caller]
    pub(super) fn expects_nothing(&mut self) {
        self.expects::<&str>([]);
    }

    /// `expects`, for the events.
    #[track_caller]
    pub(super) fn expects_events<T: AsRef<str>>(&mut self, expected: impl IntoIterator<Item = T>) {
        let outputs = std::mem::replace(&mut self.seen, std::mem::take(&mut self.events));
        self.expects(expected);
        self.seen = outputs;
    }

    /// Takes what came out for granted: another test asserts it.
    pub(super) fn forget(&mut self) {
        self.seen.clear();
        self.events.clear();
    }

    /// The state of a group in one line: `INCLUDE a@270 b@300`, or `EXCLUDE@270 a@300 !b`: until when, and `!` for a
    /// source that is blocked. What is static has no time; that the group is static or abandoned is said at the end.
    pub(super) fn state(&self, group: Ipv4Addr) -> String {
        let Some(group) = self.interface().group(group) else {
            return "none".to_owned();
        };
        let seconds = |at: Instant| at.since_start().as_secs_f64();
        let mut text = match (group.filter_mode(), group.group_timer()) {
            (FilterMode::Include, None) => "INCLUDE".to_owned(),
            (FilterMode::Exclude, Some(timer)) => format!("EXCLUDE@{}", seconds(timer)),
            (FilterMode::Exclude, None) if group.is_static() => "EXCLUDE".to_owned(),
            odd => panic!("{odd:?}: a group timer belongs to EXCLUDE mode alone"),
        };
        for source in group.sources() {
            let name = name(source.address);
            match (source.timer, group.filter_mode()) {
                (Some(timer), _) => write!(text, " {name}@{}", seconds(timer)).unwrap(),
                (None, FilterMode::Include) => write!(text, " {name}").unwrap(),
                (None, FilterMode::Exclude) => write!(text, " !{name}").unwrap(),
            }
        }
        if group.is_static() {
            text += " static";
        }
        if group.is_abandoned() {
            text += " abandoned";
        }
        text
    }

    fn drain(&mut self) {
        let at = self.now.since_start().as_secs_f64();
        while let Some(output) = self.router.poll_output() {
            match output {
                Output::Event(event) => self.events.push(format!("{at}s {}", tell(&event))),
                output => self.seen.push(format!("{at}s {}", describe(&output))),
            }
        }
    }
}

/// The sender of a message.
pub(super) struct Host<'a> {
    sim: &'a mut Sim,
    source: Ipv4Addr,
    destination: Option<Ipv4Addr>,
    router_alert: bool,
}

impl Host<'_> {
    /// Sends to this address instead of the one the RFC says.
    pub(super) fn to(mut self, destination: &str) -> Self {
        self.destination = Some(destination.parse().unwrap());
        self
    }

    pub(super) fn without_router_alert(mut self) -> Self {
        self.router_alert = false;
        self
    }

    pub(super) fn report_v1(self, group: Ipv4Addr) {
        self.sends(group, Repr::ReportV1 { group });
    }

    pub(super) fn report_v2(self, group: Ipv4Addr) {
        self.sends(group, Repr::ReportV2 { group });
    }

    pub(super) fn leave(self, group: Ipv4Addr) {
        self.sends(wire::ALL_ROUTERS, Repr::Leave { group });
    }

    pub(super) fn report_v3(self, record_type: RecordType, group: Ipv4Addr, sources: &[Ipv4Addr]) {
        self.records(vec![GroupRecord {
            record_type,
            group,
            sources: sources.to_vec(),
        }]);
    }

    pub(super) fn records(self, records: Vec<GroupRecord>) {
        self.sends(wire::ALL_IGMPV3_ROUTERS, Repr::ReportV3(records));
    }

    /// A General Query of a router with default parameters.
    pub(super) fn general_query(self, version: Version) {
        self.query(query(version, Ipv4Addr::UNSPECIFIED));
    }

    pub(super) fn query(self, query: Query) {
        let destination = if query.group.is_unspecified() {
            wire::ALL_SYSTEMS
        } else {
            query.group
        };
        self.sends(destination, Repr::Query(query));
    }

    fn sends(self, destination: Ipv4Addr, message: Repr) {
        let received = Received {
            source: self.source,
            destination: self.destination.unwrap_or(destination),
            router_alert: self.router_alert,
            message,
        };
        self.sim.input(Input::Received {
            interface: LAN,
            packet: Ok(received),
        });
    }
}

/// A query as a router with default parameters sends it.
pub(super) fn query(version: Version, group: Ipv4Addr) -> Query {
    let is_v3 = version == Version::V3;
    Query {
        version,
        max_response_time: if group.is_unspecified() {
            10.s()
        } else {
            1.s()
        },
        group,
        suppress_router_side_processing: false,
        robustness: if is_v3 { 2 } else { 0 },
        query_interval: if is_v3 { 125.s() } else { 0.s() },
        sources: vec![],
    }
}
