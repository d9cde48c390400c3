//! The lab: a source, a gateway running the real igmpd, and receivers that zap through channels with ordinary sockets,
//! all in network namespaces of this machine; shown as it happens and judged from the wire.

mod ledger;
mod plan;
mod screen;
mod sequences;
mod summary;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};
use std::{env, io};

use crate::capture::Tap;
use crate::daemon::Daemon;
use crate::frame::Frame;
use crate::host::{DEVICE, Host, Subscription};
use crate::stream::{Stream, StreamSpec};
use crate::topology::{Lan, Topology};
use ledger::{Event, Ledger};
use plan::{CHANNELS, Step, UNWATCHED};
use screen::{Line, Screen, Style};
use summary::{Summary, summarise};

/// The shortest useful run.
pub const SHORTEST_RUN: Duration = plan::SHORTEST_RUN;

/// One datagram of each stream in this time: the finest that a join's latency can be seen with.
const STREAM_INTERVAL: Duration = Duration::from_micros(1_000_000 / PACKETS_PER_SECOND);
const PACKETS_PER_SECOND: u64 = 1000;
/// How late a step of the plan may be taken.
const STEP_TOLERANCE: Duration = Duration::from_millis(5);
/// How often the picture is drawn and leaves are settled.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// A leave is final after one unanswered query, one second later.
const IGMP: &str = "last_member_query_count = 1\nlast_member_query_interval = \"1s\"";

/// Builds the network, runs it for `length` or until `interrupted` becomes true, prints the summary. Returns whether
/// everyone got what they asked for and nothing else.
///
/// # Panics
/// When the network cannot be built or igmpd ends.
pub fn run(receivers: usize, length: Duration, interrupted: &AtomicBool) -> bool {
    println!("Building the network: a source, a gateway and {receivers} receivers ...");
    let began = Instant::now();
    // Every other receiver is an IGMPv2 set-top box.
    let versions: Vec<u32> = (0..receivers)
        .map(|index| 3 - u32::from(index % 2 == 1))
        .collect();
    let lans: Vec<Lan> = versions
        .iter()
        .map(|version| Lan::host().igmp_version(*version))
        .collect();
    let topology = Topology::new(&lans);
    println!("Starting igmpd ...");
    let mut daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    println!("Ready after {:.1} s.\n", began.elapsed().as_secs_f64());

    let (to_lab, frames) = mpsc::channel();
    let observers: Vec<Observer> = (topology.receivers.iter().enumerate())
        .map(|(index, host)| Observer::start(index, host, to_lab.clone()))
        .collect();
    drop(to_lab);
    let mut lab = Lab::start(&topology, &versions, length);
    perform(&topology, &mut lab, &frames, || {
        daemon.assert_running();
        interrupted.load(Ordering::Relaxed)
    });

    // The streams end first: what is still on its way then arrives, and what has not arrived is lost.
    let sent = lab.stop_streams();
    let frames_not_seen = observers.into_iter().map(Observer::stop).sum();
    let summary = lab.close(frames, &sent, frames_not_seen);
    let ended = daemon.stop();

    println!();
    for line in &summary.lines {
        lab.print(line);
    }
    if !ended.success() {
        lab.print(&Line::new(
            Style::Bad,
            format!("igmpd did not end well: {ended}"),
        ));
    }
    summary.passed && ended.success()
}

/// Has the receivers do what the plan says while the lab watches, until the end or until `is_over`.
fn perform(
    topology: &Topology,
    lab: &mut Lab,
    frames: &mpsc::Receiver<(usize, Frame)>,
    mut is_over: impl FnMut() -> bool,
) {
    let start = Instant::now();
    let mut steps = plan::steps(topology.receivers.len(), lab.setup.length)
        .into_iter()
        .peekable();
    let mut subscriptions: Vec<Option<Subscription>> =
        topology.receivers.iter().map(|_| None).collect();
    let mut next_look = start;
    while start.elapsed() < lab.setup.length {
        while let Some(Step { receiver, join, .. }) =
            steps.next_if(|step| step.at <= start.elapsed())
        {
            // Left before the other is joined, as a remote control does.
            if let Some(watched) = subscriptions[receiver].take() {
                watched.leave();
            }
            subscriptions[receiver] = join.map(|group| topology.receivers[receiver].join(group));
        }
        if let Ok((receiver, frame)) = frames.recv_timeout(STEP_TOLERANCE) {
            lab.enter(receiver, &frame);
        }
        if Instant::now() >= next_look {
            next_look = Instant::now() + LOOK_INTERVAL;
            lab.look();
            if is_over() {
                return;
            }
        }
    }
}

/// What the screen and the summary say about the run.
struct Setup {
    receivers: Vec<Receiver>,
    start: SystemTime,
    length: Duration,
}

struct Receiver {
    name: String,
    igmp_version: u32,
}

struct Lab {
    setup: Setup,
    streams: Vec<Stream>,
    ledger: Ledger,
    colour: bool,
    /// On a terminal.
    screen: Option<Screen>,
    /// What happened, in words, for the screen.
    lines: Vec<Line>,
}

impl Lab {
    fn start(topology: &Topology, versions: &[u32], length: Duration) -> Self {
        let receivers: Vec<Receiver> = (topology.receivers.iter().zip(versions))
            .map(|(host, version)| Receiver {
                name: host.name.clone(),
                igmp_version: *version,
            })
            .collect();
        let terminal = io::stdout().is_terminal();
        let start = SystemTime::now();
        Self {
            streams: (CHANNELS.iter().chain([&UNWATCHED]))
                .map(|group| {
                    StreamSpec::to(*group)
                        .every(STREAM_INTERVAL)
                        .start(&topology.source)
                })
                .collect(),
            ledger: Ledger::new(receivers.len()),
            colour: terminal && env::var_os("NO_COLOR").is_none(),
            screen: terminal.then(|| Screen::new(receivers.len(), start)),
            lines: Vec::new(),
            setup: Setup {
                receivers,
                start,
                length,
            },
        }
    }

    fn enter(&mut self, receiver: usize, frame: &Frame) {
        let streams = &self.streams;
        let sent = |group| {
            streams
                .iter()
                .find(|stream| stream.group() == group)
                .map_or(0, Stream::sent)
        };
        let events = self.ledger.enter(receiver, frame, sent);
        self.tell(&events);
    }

    /// Brings books and screen up to date.
    fn look(&mut self) {
        let now = SystemTime::now();
        let events = self.ledger.settle(now);
        self.tell(&events);
        if let Some(screen) = &mut self.screen {
            screen.draw(&self.setup, &self.ledger, &self.lines, self.colour, now);
        }
    }

    fn tell(&mut self, events: &[Event]) {
        for event in events {
            let receiver = &self.setup.receivers[event.receiver];
            let line = screen::describe(event, &receiver.name, self.setup.start);
            if self.screen.is_some() {
                self.lines.push(line);
            } else {
                self.print(&line);
            }
        }
    }

    /// Ends the streams; returns how many datagrams went to each group.
    fn stop_streams(&mut self) -> BTreeMap<Ipv4Addr, u64> {
        self.streams
            .drain(..)
            .map(|stream| (stream.group(), stream.stop()))
            .collect()
    }

    /// Enters the last frames and sums up.
    fn close(
        &mut self,
        frames: mpsc::Receiver<(usize, Frame)>,
        sent: &BTreeMap<Ipv4Addr, u64>,
        frames_not_seen: u32,
    ) -> Summary {
        let sent = |group| sent.get(&group).copied().unwrap_or(0);
        for (receiver, frame) in frames {
            let events = self.ledger.enter(receiver, &frame, sent);
            self.tell(&events);
        }
        self.ledger.close(sent);
        summarise(&self.setup, &self.ledger, frames_not_seen)
    }

    fn print(&self, line: &Line) {
        println!("{}", line.render(self.colour, usize::MAX));
    }
}

/// Hands every frame at a receiver's end of its cable to the lab.
struct Observer {
    stop: Arc<AtomicBool>,
    /// Ends with the number of frames that were too fast to be seen.
    reader: JoinHandle<u32>,
}

impl Observer {
    fn start(receiver: usize, host: &Host, frames: mpsc::Sender<(usize, Frame)>) -> Self {
        let mut tap = Tap::open(&host.namespace, DEVICE);
        let stop = Arc::new(AtomicBool::new(false));
        let reader = thread::spawn({
            let stop = stop.clone();
            move || {
                // A last look after `stop`: until a read finds nothing more.
                let mut more = true;
                while more || !stop.load(Ordering::Relaxed) {
                    let frame = tap.next_frame();
                    more = frame.is_some();
                    if let Some(frame) = frame {
                        let _ = frames.send((receiver, frame));
                    }
                }
                tap.lost()
            }
        });
        Self { stop, reader }
    }

    fn stop(self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        self.reader.join().expect("an observer does not panic")
    }
}
