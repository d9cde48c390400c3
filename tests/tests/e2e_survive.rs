//! Forwarding outlives igmpd where `persist` is on: killed, stopped, started again, reloaded, and no packet is lost.

use std::collections::BTreeSet;
use std::env;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use aya::maps::{Map, MapData, ProgramArray};
use aya::programs::{SchedClassifier, TcAttachType};
use igmp_tests::bpffs::Bpffs;
use igmp_tests::daemon::{Daemon, MODE, describe, igmpctl_at, rows};
use igmp_tests::host::{Arrival, Subscription, assert_gapless};
use igmp_tests::igmp::Igmp;
use igmp_tests::netns::Namespace;
use igmp_tests::stream::{Stream, StreamSpec};
use igmp_tests::topology::{Lan, Topology};
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const OTHER_GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);
/// The longest silence that is not the end of a stream of 2,000 datagrams a second on a busy machine.
const SILENCE: Duration = Duration::from_millis(300);
const SOON: Duration = Duration::from_secs(5);
/// Group Membership Interval (RFC 9776 section 8.4): 2 x 3 s + 2 x 1 s.
const SHORT: &str = "query_interval = \"3s\"\nquery_response_interval = \"1s\"";
const GROUP_MEMBERSHIP_INTERVAL: Duration = Duration::from_secs(8);

fn stream(topology: &Topology) -> Stream {
    StreamSpec::to(GROUP)
        .every(Duration::from_micros(500))
        .start(&topology.source)
}

fn config(topology: &Topology, bpffs: &Bpffs, igmp: &str) -> String {
    format!("{}{}", bpffs.config(), topology.config(igmp))
}

/// A receiver that takes what comes as it comes: no socket buffer holds what arrives while igmpd starts.
struct Receiver {
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    is_over: Arc<AtomicBool>,
    reader: JoinHandle<Subscription>,
}

impl Receiver {
    fn new(subscription: Subscription) -> Self {
        let first = subscription.wait_for_arrival(SOON);
        let arrivals = Arc::new(Mutex::new(vec![first]));
        let is_over = Arc::new(AtomicBool::new(false));
        let reader = thread::spawn({
            let (arrivals, is_over) = (arrivals.clone(), is_over.clone());
            move || {
                while !is_over.load(Ordering::Relaxed) {
                    arrivals.lock().unwrap().extend(subscription.arrivals());
                    thread::sleep(Duration::from_millis(1));
                }
                subscription
            }
        });
        Self {
            arrivals,
            is_over,
            reader,
        }
    }

    /// Waits until something has come that was sent from now on.
    #[track_caller]
    fn goes_on(&self, stream: &Stream) {
        self.wait_for(stream.sent() + 100);
    }

    #[track_caller]
    fn wait_for(&self, sequence: u64) {
        wait_until(&format!("datagram {sequence}"), SOON, || {
            (self.last().sequence >= sequence).then_some(())
        });
    }

    /// Waits until nothing has come for a while; says when the last came.
    #[track_caller]
    fn wait_for_silence(&self, within: Duration) -> SystemTime {
        wait_until("the stream to end", within, || {
            let last = self.last().at;
            let silence = last.elapsed().unwrap_or_default();
            (silence >= SILENCE).then_some(last)
        })
    }

    #[track_caller]
    fn assert_gapless(&self) {
        assert_gapless(&self.arrivals.lock().unwrap());
    }

    fn last(&self) -> Arrival {
        *self.arrivals.lock().unwrap().last().expect("the first")
    }

    /// Receives no more; the socket is still a member.
    fn end(self) -> Subscription {
        self.is_over.store(true, Ordering::Relaxed);
        self.reader.join().expect("what arrived was whole")
    }
}

/// Whether there is a program on a device, in XDP or in TC.
fn is_attached(namespace: &Namespace, device: &str) -> bool {
    let shown = namespace.run(&["ip", "-d", "link", "show", device]);
    let (_, in_tc) = namespace
        .enter(|| SchedClassifier::query_tcx(device, TcAttachType::Ingress))
        .expect("the kernel has tcx");
    shown.contains("prog/xdp") || !in_tc.is_empty()
}

/// The names of the pins of these devices' programs in the mode of the test, sorted.
fn links(namespace: &Namespace, devices: &[&str]) -> Vec<String> {
    let mode = env::var(MODE);
    links_in(mode.as_deref().unwrap_or("xdp-native"), namespace, devices)
}

fn links_in(mode: &str, namespace: &Namespace, devices: &[&str]) -> Vec<String> {
    // What XDP leaves to it is TC's in any mode.
    let hooks = BTreeSet::from([mode, "tc"]);
    let mut links = Vec::new();
    for device in devices {
        let index = namespace.interface_index(device);
        links.extend(hooks.iter().map(|hook| format!("{hook}-{index}")));
    }
    links.sort();
    links
}

/// Asserts that there is one generation of maps, and the links of these devices.
#[track_caller]
fn assert_pinned(bpffs: &Bpffs, namespace: &Namespace, devices: &[&str]) {
    const MAPS: usize = 5;
    let links = links(namespace, devices);
    assert_eq!(bpffs.links(), links);
    assert_eq!(bpffs.pins().len(), links.len() + MAPS, "{:?}", bpffs.pins());
}

fn outputs(daemon: &Daemon) -> Vec<String> {
    let flows = daemon.ctl(&["show", "flows"]);
    let outputs = rows(&flows)[0]["outputs"].as_array().expect("names").iter();
    outputs
        .map(|name| name.as_str().expect("a name").to_owned())
        .collect()
}

#[test]
fn no_packet_is_lost_whatever_becomes_of_igmpd() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let bpffs = Bpffs::new();
    let config = config(&topology, &bpffs, "");
    let upstream = topology.source.capture();
    let mut daemon = Daemon::start_with(&topology.gateway, &config, "info");
    let stream = stream(&topology);
    let receivers: Vec<_> = topology
        .receivers
        .iter()
        .map(|host| Receiver::new(host.join(GROUP)))
        .collect();
    let goes_on = || {
        for receiver in &receivers {
            receiver.goes_on(&stream);
        }
    };
    goes_on();
    for _ in 0..5 {
        daemon.kill();
        goes_on();
        assert!(is_attached(&topology.gateway, "lan0"));
        daemon = Daemon::start_with(&topology.gateway, &config, "info");
        assert_eq!(outputs(&daemon), ["lan0", "lan1"]);
        goes_on();
    }
    assert!(daemon.stop().success());
    goes_on();
    let daemon = Daemon::start_with(&topology.gateway, &config, "info");
    goes_on();
    for number in 1..=20 {
        daemon.rewrite_config(&format!(
            "{config}[policy]\nmax_groups = {}\n",
            1000 + number
        ));
        let output = daemon.ctl_output(&["reload"]);
        assert!(output.status.success(), "{}", describe(&output));
    }
    goes_on();
    let sent = stream.stop();
    for receiver in &receivers {
        receiver.wait_for(sent - 1);
        receiver.assert_gapless();
    }
    // The provider saw one member that never left.
    upstream
        .all()
        .assert_none("a leave", Duration::ZERO, |frame| {
            frame.received_igmp(|message| message.leaves(GROUP))
        });
    assert_pinned(&bpffs, &topology.gateway, &["wan0", "lan0", "lan1"]);
}

/// Wherever it is killed on its way to take over, what is pinned is whole.
#[test]
fn an_igmpd_that_is_killed_while_it_takes_over_loses_nothing() {
    let topology = Topology::new(&[Lan::host()]);
    let bpffs = Bpffs::new();
    let config = config(&topology, &bpffs, "");
    let daemon = Daemon::start_with(&topology.gateway, &config, "info");
    let stream = stream(&topology);
    let receiver = Receiver::new(topology.receivers[0].join(GROUP));
    daemon.kill();
    for delay in (0..30).map(|step| Duration::from_millis(5 * step)) {
        Daemon::start_and_kill_after(&topology.gateway, &config, delay);
        receiver.goes_on(&stream);
    }
    let daemon = Daemon::start_with(&topology.gateway, &config, "info");
    receiver.goes_on(&stream);
    receiver.assert_gapless();
    assert_eq!(outputs(&daemon), ["lan0"]);
    assert_pinned(&bpffs, &topology.gateway, &["wan0", "lan0"]);
}

#[test]
fn another_device_with_the_index_of_one_that_was_deleted_is_attached_to() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let bpffs = Bpffs::new();
    let config = config(&topology, &bpffs, "");
    let gateway = &topology.gateway;
    let daemon = Daemon::start(gateway, &config);
    let index = gateway.interface_index("lan1");
    daemon.kill();
    gateway.ip(&format!(
        "link del lan1\nlink add lan1 index {index} type veth peer name spare\naddr add 10.2.0.1/24 dev lan1\n\
         link set spare up\nlink set lan1 up"
    ));
    let daemon = Daemon::start(gateway, &config);
    assert!(is_attached(gateway, "lan1"));
    daemon.kill();
    assert!(is_attached(gateway, "lan1"), "{:?}", bpffs.pins());
}

#[test]
fn without_persist_a_killed_igmpd_forwards_no_more() {
    let topology = Topology::new(&[Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(""));
    let stream = stream(&topology);
    let receiver = Receiver::new(topology.receivers[0].join(GROUP));
    receiver.goes_on(&stream);
    daemon.kill();
    receiver.wait_for_silence(SOON);
    assert!(!is_attached(&topology.gateway, "lan0"));
}

/// From any mode to any other, at a start and by a reload. A device changes from one mode of XDP to the other with a gap.
#[test]
fn another_mode_takes_the_place_of_the_one_before() {
    const MODES: [&str; 7] = [
        "tc",
        "xdp-native",
        "xdp-generic",
        "tc",
        "xdp-generic",
        "xdp-native",
        "tc",
    ];
    let topology = Topology::new(&[Lan::host()]);
    let bpffs = Bpffs::new();
    let config = |mode| {
        let config = config(&topology, &bpffs, "");
        format!("{config}[datapath]\nmode = \"{mode}\"\n")
    };
    let links = |mode| links_in(mode, &topology.gateway, &["wan0", "lan0"]);
    let mut daemon = Daemon::start(&topology.gateway, &config("xdp-native"));
    let stream = stream(&topology);
    let receiver = Receiver::new(topology.receivers[0].join(GROUP));
    for mode in MODES {
        daemon.kill();
        daemon = Daemon::start(&topology.gateway, &config(mode));
        assert_eq!(outputs(&daemon), ["lan0"]);
        assert_eq!(bpffs.links(), links(mode));
        receiver.goes_on(&stream);
        let shown = daemon.ctl(&["show", "interfaces"]);
        assert!(rows(&shown).iter().all(|row| row["datapath"] == mode));
    }
    for mode in MODES.into_iter().rev() {
        daemon.rewrite_config(&config(mode));
        let output = daemon.ctl_output(&["reload"]);
        assert!(output.status.success(), "{}", describe(&output));
        assert_eq!(bpffs.links(), links(mode));
        receiver.goes_on(&stream);
    }
    daemon.kill();
    receiver.goes_on(&stream);
}

/// The kernel empties a program array that no process and no pin holds.
#[test]
fn what_continues_the_tc_program_outlives_igmpd() {
    let topology = Topology::new(&[Lan::host()]);
    let bpffs = Bpffs::new();
    let daemon = Daemon::start(&topology.gateway, &config(&topology, &bpffs, ""));
    daemon.kill();
    let pin = bpffs.pin_path().join("v1-1/tc_more");
    let map = Map::ProgramArray(MapData::from_pin(pin).expect("it is pinned"));
    let programs = ProgramArray::try_from(&map).expect("a program array");
    let indices: Vec<_> = programs.indices().collect();
    assert!(matches!(indices[..], [Ok(0)]), "{indices:?}");
}

#[test]
fn a_member_that_fell_silent_meanwhile_is_forgotten_in_time() {
    let topology = Topology::new(&[Lan::hosts(2)]);
    let bpffs = Bpffs::new();
    let config = config(&topology, &bpffs, SHORT);
    let daemon = Daemon::start(&topology.gateway, &config);
    let stream = stream(&topology);
    let member = &topology.receivers[0];
    let receiver = Receiver::new(member.join(GROUP));
    receiver.goes_on(&stream);
    daemon.kill();
    // Its cable is pulled: nothing says that it has gone.
    member.set_link(false);
    let started = Instant::now();
    let daemon = Daemon::start(&topology.gateway, &config);
    let adopted = daemon.group("lan0", GROUP).expect("adopted");
    assert_eq!(adopted["filter_mode"], "exclude");
    let timer = adopted["timer_ms"].as_u64().expect("milliseconds");
    assert!(u128::from(timer) <= GROUP_MEMBERSHIP_INTERVAL.as_millis());
    wait_until(
        "the end of the membership",
        GROUP_MEMBERSHIP_INTERVAL + SOON,
        || daemon.group("lan0", GROUP).is_none().then_some(()),
    );
    assert!(started.elapsed() >= GROUP_MEMBERSHIP_INTERVAL);
    assert_eq!(rows(&daemon.ctl(&["show", "flows"])).len(), 0);
}

/// With the default timers, so that no answer to the first query comes in time to be mistaken for what was heard before.
#[test]
fn what_hosts_said_while_nobody_was_there_is_heard() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let [leaver, joiner] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let bpffs = Bpffs::new();
    let config = config(&topology, &bpffs, "");
    let daemon = Daemon::start(&topology.gateway, &config);
    let stream = stream(&topology);
    let receiver = Receiver::new(leaver.join(GROUP));
    receiver.goes_on(&stream);
    daemon.kill();
    receiver.end().leave();
    // From a host that answers no query.
    let report = joiner.igmp_packet(OTHER_GROUP, &Igmp::ReportV2(OTHER_GROUP));
    joiner.frame_sender().send(&report.frame());

    let daemon = Daemon::start(&topology.gateway, &config);
    let joined = daemon.group("lan1", OTHER_GROUP).expect("heard");
    assert_eq!(joined["last_reporter"], joiner.address.to_string());
    // Adopted, and then asked about: Last Member Query Time is 2 s.
    wait_until("the leave to be acted on", SOON, || {
        daemon.group("lan0", GROUP).is_none().then_some(())
    });
}

#[test]
fn a_dead_igmpd_is_obeyed_for_its_hold_time() {
    const HOLD_TIME: Duration = Duration::from_secs(10);
    let topology = Topology::new(&[Lan::host()]);
    let bpffs = Bpffs::new();
    let config = format!(
        "{}hold_time = \"10s\"\n{}",
        bpffs.config(),
        topology.config(SHORT)
    );
    let daemon = Daemon::start(&topology.gateway, &config);
    let stream = stream(&topology);
    let receiver = Receiver::new(topology.receivers[0].join(GROUP));
    receiver.goes_on(&stream);
    daemon.kill();
    let killed = SystemTime::now();
    let ended = receiver.wait_for_silence(HOLD_TIME + SOON);
    // It last said that it lived at most a second before, or a little more when it was busy.
    let lasted = ended.duration_since(killed).expect("it went on");
    assert!(
        lasted + Duration::from_secs(3) > HOLD_TIME && lasted <= HOLD_TIME + SILENCE,
        "{lasted:?}"
    );
    receiver.assert_gapless();
    // What is that old is learnt again, from an answer to the first query.
    let daemon = Daemon::start(&topology.gateway, &config);
    assert!(daemon.log().contains("older than hold_time"));
    receiver.goes_on(&stream);
}

#[test]
fn detach_removes_everything_and_not_under_a_running_igmpd() {
    let topology = Topology::new(&[Lan::host()]);
    let bpffs = Bpffs::new();
    let daemon = Daemon::start(&topology.gateway, &config(&topology, &bpffs, ""));
    let socket = daemon.control_socket();
    let stream = stream(&topology);
    let receiver = Receiver::new(topology.receivers[0].join(GROUP));
    let pin_path = bpffs.pin_path();
    let detach = || {
        let pin_path = pin_path.to_str().expect("a plain path");
        igmpctl_at(&socket, &["detach", "--pin-path", pin_path])
    };
    let refused = detach();
    assert_eq!(refused.status.code(), Some(1), "{}", describe(&refused));
    assert!(describe(&refused).contains("an igmpd is running with these pins; stop it first"));
    receiver.goes_on(&stream);
    assert!(daemon.stop().success());
    receiver.goes_on(&stream);

    let output = detach();
    assert!(output.status.success(), "{}", describe(&output));
    assert!(describe(&output).contains("programs detached from 2 devices"));
    receiver.wait_for_silence(SOON);
    for device in ["wan0", "lan0"] {
        assert!(!is_attached(&topology.gateway, device));
    }
    assert!(!pin_path.exists());
    let again = detach();
    assert!(again.status.success(), "{}", describe(&again));
    assert!(describe(&again).contains("no programs are pinned there"));
}

#[test]
fn pins_of_another_layout_are_replaced_and_learnt_again() {
    let topology = Topology::new(&[Lan::host()]);
    let bpffs = Bpffs::new();
    let config = config(&topology, &bpffs, SHORT);
    let daemon = Daemon::start(&topology.gateway, &config);
    let stream = stream(&topology);
    let receiver = Receiver::new(topology.receivers[0].join(GROUP));
    daemon.kill();
    // As a version would have left it whose maps are others.
    let (known, other) = ("v1-1", "v999-1");
    std::fs::rename(bpffs.pin_path().join(known), bpffs.pin_path().join(other))
        .expect("a bpffs can rename");
    receiver.goes_on(&stream);
    let daemon = Daemon::start(&topology.gateway, &config);
    assert!(daemon.log().contains("pinned by another version"));
    receiver.goes_on(&stream);
    assert!(bpffs.pins().iter().all(|pin| !pin.starts_with(other)));
    assert_pinned(&bpffs, &topology.gateway, &["wan0", "lan0"]);
}

#[test]
fn the_pin_of_a_device_that_was_deleted_meanwhile_goes() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let bpffs = Bpffs::new();
    let config = config(&topology, &bpffs, SHORT);
    let daemon = Daemon::start(&topology.gateway, &config);
    let stream = stream(&topology);
    let receiver = Receiver::new(topology.receivers[0].join(GROUP));
    let devices = ["wan0", "lan0", "lan1"];
    let links = || links(&topology.gateway, &devices);
    let old = links();
    assert_eq!(bpffs.links(), old);
    daemon.kill();
    topology.recreate_downstream(1);
    assert_ne!(links(), old);
    let daemon = Daemon::start(&topology.gateway, &config);
    assert_eq!(bpffs.links(), links());
    receiver.goes_on(&stream);
    receiver.assert_gapless();
    // And under a running igmpd too.
    topology.recreate_downstream(1);
    wait_until("the new device to be pinned", SOON, || {
        (bpffs.links() == links()).then_some(())
    });
    drop(daemon);
}

#[test]
fn an_igmpd_that_does_not_persist_takes_over_for_the_last_time() {
    let topology = Topology::new(&[Lan::host()]);
    let bpffs = Bpffs::new();
    let persistent = config(&topology, &bpffs, "");
    let daemon = Daemon::start(&topology.gateway, &persistent);
    let stream = stream(&topology);
    let receiver = Receiver::new(topology.receivers[0].join(GROUP));
    assert!(daemon.stop().success());
    let transient = persistent.replace("persist = true", "persist = false");
    let daemon = Daemon::start(&topology.gateway, &transient);
    assert_eq!(bpffs.pins(), [""; 0]);
    receiver.goes_on(&stream);
    receiver.assert_gapless();
    daemon.kill();
    receiver.wait_for_silence(SOON);
    assert!(!is_attached(&topology.gateway, "lan0"));
}
