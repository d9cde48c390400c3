//! The same channel changes through Debian's igmpproxy and through igmpd, in turns: how long the viewer waits.

use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_tests::daemon::Daemon;
use igmp_tests::host::Subscription;
use igmp_tests::peers::{IgmpProxy, Kind, Querier};
use igmp_tests::proxy::{ALT_SUBNETS, SOON};
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{Lan, Topology};
use igmp_tests::wait::wait_until;

const CHANGES: u32 = 200;
/// Of the streams: what the wait is measured in.
const PACE: Duration = Duration::from_millis(1);
const PERCENTILES: [(&str, usize); 4] = [("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)];

/// A gateway between a provider's switch, which forwards what is asked for, and one viewer.
struct Path<T> {
    viewer: Option<Subscription>,
    _proxy: T,
    _querier: Box<dyn Querier>,
    topology: Topology,
}

impl<T> Path<T> {
    fn new(start: impl FnOnce(&Topology) -> T) -> Self {
        let topology = Topology::behind(Kind::Bridge.provider(), &[Lan::host()]);
        let querier = Kind::Bridge.start(&topology, 3);
        Self {
            viewer: None,
            _proxy: start(&topology),
            _querier: querier,
            topology,
        }
    }

    /// Leaves what is watched and joins a running channel: from the report on the wire to the first packet.
    fn change_to(&mut self, channel: Ipv4Addr) -> Duration {
        let viewer = &self.topology.receivers[0];
        let wire = viewer.capture();
        let stream = StreamSpec::to(channel)
            .every(PACE)
            .start(&self.topology.source);
        wait_until("the channel to run", SOON, || {
            (stream.sent() > 2).then_some(())
        });
        if let Some(watched) = self.viewer.take() {
            watched.leave();
        }
        self.viewer = Some(viewer.join(channel));
        let report = wire.all().wait_for("the report", SOON, |frame| {
            frame.sent_igmp(|igmp| igmp.joins(channel))
        });
        let first = wire
            .all()
            .wait_for("the channel", SOON, |frame| frame.is_copy_for(channel));
        first
            .at
            .duration_since(report.at)
            .expect("nothing comes before it is asked for")
    }
}

#[test]
fn a_channel_change_takes_no_longer_than_with_igmpproxy() {
    let alt_subnets = &["10.0.0.0/23"][..];
    let mut theirs = Path::new(|topology| IgmpProxy::start(topology, alt_subnets));
    let mut ours = Path::new(|topology| {
        let config = topology.proxy_config("", ALT_SUBNETS, &[]);
        Daemon::start_with(&topology.gateway, &config, "info")
    });
    let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
    for change in 0..CHANGES {
        let channel = Ipv4Addr::from(u32::from(Ipv4Addr::new(239, 20, 0, 0)) + change);
        // In turns, so that what else the machine does is the same for both.
        our_times.push(ours.change_to(channel));
        their_times.push(theirs.change_to(channel));
    }
    let [ours, theirs] = [our_times, their_times].map(percentiles);
    println!("channel change, {CHANGES} times each   igmpd       igmpproxy");
    for ((name, _), (ours, theirs)) in PERCENTILES.iter().zip(ours.iter().zip(&theirs)) {
        println!("{name:34}{ours:>9.3?}   {theirs:>9.3?}");
    }
    for ((name, _), (ours, theirs)) in PERCENTILES.iter().zip(ours.iter().zip(&theirs)) {
        assert!(ours <= theirs, "{name}: {ours:?}, igmpproxy {theirs:?}");
    }
}

/// The least of `times` that so many hundredths of them do not exceed.
fn percentiles(mut times: Vec<Duration>) -> [Duration; 4] {
    times.sort();
    PERCENTILES.map(|(_, percent)| times[(times.len() * percent).div_ceil(100) - 1])
}
