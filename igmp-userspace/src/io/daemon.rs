//! igmpd: one event loop that owns all state.
//!
//! Everything comes in through [`run`]'s select: IGMP from the ring buffer, devices from netlink, questions from
//! the control socket, replication sets from the pool, time. Each is turned into inputs of the router; then
//! `Daemon::settle` drains what follows.

mod adopt;
pub mod backup;
mod interfaces;
mod local;
mod reload;
mod settle;
mod tell;
mod upstream;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::mem::take;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant as SystemInstant};

use anyhow::{Context, Result, bail};
use aya::maps::{MapData, RingBuf};
use igmp_common::Counter;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval, sleep_until};
use tracing::{debug, warn};

use super::backup::peers::Peers;
use super::cli::ConfigFile;
use super::control::{ControlServer, Publisher};
use super::datapath::pins::Pins;
use super::datapath::pool::{Done, Pool};
use super::datapath::{self, Datapath, Loaded};
use super::detached;
use super::events::{self, Event};
use super::links::{self, Snapshot};
use super::losses::Losses;
use super::metrics::MetricsServer;
use super::multicast_filter::MulticastFilter;
use super::multicast_router;
use super::netdev;
use super::notify;
use super::packet_socket::PacketSocket;
use super::ports::Ports;
use super::refusals::{self, Told};
use super::ring::Ring;
use super::status;
use super::tally::Tally;
use crate::config::Config;
use crate::config::pattern::is_pattern;
use crate::fib::Fib;
use crate::proto::proxy::Proxy;
use crate::proto::upstream::Subscription;
use crate::proto::{IfIndex, Input, Instant, Router};

/// How often the loop looks after itself when nothing happens.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// What the command line says beyond the configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// Log what the kernel programs say, a line a frame.
    pub kernel_log: bool,
    /// Refuse to start while an interface does not exist.
    pub interfaces_must_exist: bool,
    /// Where a reload reads.
    pub file: Option<ConfigFile>,
}

/// An interface given on the command line does not exist.
#[derive(Debug, thiserror::Error)]
#[error("{name}: no such interface; there are {existing}")]
pub struct NoSuchInterface {
    name: String,
    existing: String,
}

/// Starts igmpd and runs it until it is told to stop. Its clients, and the gateways beside it, are served by the runtime
/// `clients`.
///
/// # Errors
///
/// [`NoSuchInterface`], or whatever keeps it from starting: an interface without native XDP, a control socket in use,
/// missing capabilities. Nothing stays attached.
pub async fn run(config: Config, options: Options, clients: Handle) -> Result<()> {
    // Before anything is attached: a signal during start-up must end in a clean stop as well.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut snapshots = links::watch();
    let mut features = netdev::watch();
    let path = config.control_socket.clone();
    let control = clients.spawn(async move { ControlServer::bind(&path).await });
    let mut control = control.await??;
    let _metrics = match config.metrics {
        Some(address) => {
            let metrics = clients.spawn(MetricsServer::bind(address, control.asker()));
            Some(metrics.await??)
        }
        None => None,
    };
    for warning in config.warnings() {
        warn!("{warning}");
    }
    multicast_router::warn_if_active(&config);
    let (mut daemon, mut rings) = Daemon::start(
        config,
        options,
        clients,
        control.publisher(),
        &mut snapshots,
        &mut features,
    )
    .await?;
    println!("ready");
    if let Err(error) = notify::ready() {
        warn!("telling the service manager: {error}");
    }

    let mut detached = detached::watch();
    let mut housekeeping = interval(HOUSEKEEPING);
    housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::new();
    let mut refused = Vec::new();
    let mut is_flooded = false;
    loop {
        let deadline = daemon.deadline();
        let is_others_turn = take(&mut is_flooded);
        tokio::select! {
            // A viewer waits for what a report leads to, and for nothing else: when one has come, none of the others is even
            // looked at. Unless there are more reports than fit into a turn: then the others have theirs in between.
            biased;
            result = rings.events.next_batch(&mut batch, events::parse), if !is_others_turn => {
                is_flooded = result.context("reading the ring buffer")?;
                daemon.receive(batch.drain(..));
            }
            // What others can send any number of comes last.
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => daemon.reload_on_signal(),
            _ = housekeeping.tick() => daemon.housekeep(),
            () = sleep_until(deadline.into()) => daemon.timeout(),
            Some(snapshot) = snapshots.recv() => daemon.follow_links(snapshot),
            Some(features) = features.recv() => daemon.follow_features(features),
            Some(()) = detached.recv() => daemon.put_back(),
            Some(done) = daemon.pool.done() => daemon.take_over(done),
            result = rings.refusals.next_batch(&mut refused, refusals::parse) => {
                result.context("reading the ring buffer of refused sources")?;
                daemon.tell_refused(refused.drain(..));
            }
            incoming = daemon.peers.next() => daemon.hear_peer(incoming),
            pending = control.next() => {
                let response = status::answer(&mut daemon, &pending.request);
                // What was asked for is done when the answer says so.
                daemon.settle();
                pending.answer(response);
            }
            // Without a wait the runtime sees neither time pass nor what has arrived.
            () = yield_now(), if is_others_turn || daemon.ports.is_unfinished() => {
                if daemon.ports.is_unfinished() {
                    daemon.attach_more();
                }
            }
        }
        daemon.settle();
    }
    daemon.stop();
    Ok(())
}

/// What the kernel programs tell.
struct Rings {
    events: Ring,
    refusals: Ring,
}

/// All state of igmpd.
pub struct Daemon {
    start: SystemInstant,
    pub(super) ports: Ports,
    pub(super) router: Router,
    pub(super) proxy: Proxy,
    pub(super) fib: Fib,
    pub(super) datapath: Datapath,
    pub(super) tally: Tally,
    /// The configuration in force.
    pub(super) config: Config,
    file: Option<ConfigFile>,
    publisher: Publisher,
    /// Serves the clients, and the connections to other gateways.
    clients: Handle,
    pool: Pool,
    socket: PacketSocket,
    /// What the upstream device hands up.
    multicast: MulticastFilter,
    /// Sources that were told to be refused.
    told: Told,
    snapshot: Snapshot,
    /// Groups whose flows have to be computed again.
    dirty: BTreeSet<Ipv4Addr>,
    /// Ring buffer losses already answered with a query.
    losses: Losses,
    /// What outlives the process.
    pins: Option<Pins>,
    /// Where the programs of the igmpd before put what they heard; for a moment after a start.
    inherited_events: Vec<RingBuf<MapData>>,
    /// Names of the interfaces that went with the present input: there is something to tell about them yet.
    departed: BTreeMap<IfIndex, String>,
    /// Gateways that serve the same hosts.
    pub(super) peers: Peers,
    /// What sockets of this host have joined on the upstream interface.
    local: BTreeMap<Ipv4Addr, Subscription>,
}

impl Daemon {
    /// Loads and attaches everything. On an error nothing stays behind.
    async fn start(
        config: Config,
        options: Options,
        clients: Handle,
        publisher: Publisher,
        snapshots: &mut mpsc::Receiver<Snapshot>,
        features: &mut mpsc::Receiver<Option<netdev::Devices>>,
    ) -> Result<(Self, Rings)> {
        let snapshot = snapshots.recv().await.context("reading network devices")?;
        let features = features
            .recv()
            .await
            .context("reading what devices can do")?;
        if options.interfaces_must_exist {
            check_existence(&config, &snapshot)?;
        }
        let profiles = backup::prepare(&config)?;
        let pins = Pins::open(&config.pin_path, config.persist)?;
        let inherits = (pins.as_ref()).is_some_and(|pins| !pins.generations().is_empty());
        let Loaded {
            mut datapath,
            events,
            refusals,
            sets,
        } = Datapath::load(datapath::Options {
            max_flows: config.max_flows,
            kernel_log: options.kernel_log,
        })?;
        if let Some(pins) = &pins {
            datapath.pin_maps(&events, pins)?;
            datapath.inherit(pins.links()?)?;
        }
        if options.kernel_log {
            let _clients = clients.enter();
            super::kernel_log::forward(datapath.logger()?)?;
        }
        let multicast = MulticastFilter::new(config.multicast_filter as usize);
        let socket = PacketSocket::open().context("opening a packet socket")?;
        let mut daemon = Self {
            start: SystemInstant::now(),
            ports: Ports::new(),
            router: Router::new(),
            proxy: Proxy::new(seed()),
            fib: Fib::new(config.max_flows),
            datapath,
            tally: Tally::default(),
            config,
            file: options.file,
            publisher,
            clients,
            pool: Pool::start(sets)?,
            socket,
            multicast,
            told: Told::default(),
            snapshot: Snapshot::default(),
            dirty: BTreeSet::new(),
            losses: Losses::default(),
            pins: None,
            inherited_events: Vec::new(),
            departed: BTreeMap::new(),
            peers: Peers::new(),
            local: BTreeMap::new(),
        };
        daemon.keep_alive();
        let policy = Input::Policy(daemon.config.policy.clone());
        daemon.router.handle_input(daemon.now(), policy);
        daemon.proxy.set_linger(daemon.config.proxy.leave_linger);
        daemon.stock_pool();
        daemon.ports.set_features(features);
        let control_socket = daemon.config.control_socket.clone();
        daemon.follow_profiles(profiles, &control_socket);
        if inherits {
            daemon.peers.leave_open();
            daemon.follow_roles();
        }
        daemon.ports.reconfigure(
            daemon.config.interface_rules(),
            reload::igmp_rate(&daemon.config),
            &snapshot,
            &mut daemon.datapath,
            &daemon.socket,
        )?;
        let Some(done) = daemon.pool.done().await else {
            bail!("the set pool's thread ended");
        };
        daemon.take_over(done);
        daemon.follow_links(snapshot);
        while daemon.ports.is_unfinished() {
            daemon.attach_more();
        }
        daemon.settle();
        if let Some(pins) = pins {
            daemon.succeed(pins).await?;
        }
        let rings = Rings {
            events: Ring::new(events)?,
            refusals: Ring::new(refusals)?,
        };
        Ok((daemon, rings))
    }

    /// Now, as the router counts time.
    pub(super) fn now(&self) -> Instant {
        Instant::from_start(self.start.elapsed())
    }

    /// When [`Self::timeout`] is due.
    fn deadline(&self) -> SystemInstant {
        const IDLE: Duration = Duration::from_hours(1);
        let deadlines = [
            self.router.poll_timeout(),
            self.proxy.poll_timeout(),
            self.peers.poll_timeout(),
        ];
        let deadline = deadlines.into_iter().flatten().min();
        self.start + deadline.map_or(self.start.elapsed() + IDLE, Instant::since_start)
    }

    fn receive(&mut self, events: impl Iterator<Item = Event>) {
        let now = self.now();
        for Event {
            interface,
            packet,
            octets,
        } in events
        {
            match &packet {
                Ok(received) => debug!(
                    ifindex = interface.0,
                    source = %received.source,
                    "received {}",
                    received.message
                ),
                Err(error) => debug!(ifindex = interface.0, "refused: {error}"),
            }
            if self.is_upstream(interface) {
                self.proxy.handle_received(now, packet);
            } else {
                let input = Input::Received { interface, packet };
                self.router.handle_input(now, input);
                if self.is_copied(interface) {
                    self.copy_if_accepted(interface, &octets);
                }
            }
        }
    }

    fn timeout(&mut self) {
        let now = self.now();
        self.router.handle_timeout(now);
        self.proxy.handle_timeout(now);
        self.peers.handle_timeout(now);
    }

    /// Replication sets are ready, a grace period has passed.
    fn take_over(&mut self, done: Done) {
        self.datapath.add_sets(done.sets);
        self.fib.add_spares(&done.made);
        self.fib.end_grace(done.retired);
        self.dirty.extend(self.fib.take_refused());
    }

    fn housekeep(&mut self) {
        self.keep_alive();
        self.hear_inherited();
        self.inherited_events.clear();
        if self.ports.has_address_grace() {
            self.follow_links(self.snapshot.clone());
        }
        self.dirty.extend(self.fib.take_refused());
        self.follow_local_listeners();
        let mut lost = 0;
        for port in self.ports.iter() {
            let Ok(counts) = self.datapath.counters(port.slot) else {
                continue;
            };
            let count = counts[Counter::IgmpRingFull as usize];
            lost += self.losses.new_since_last(port.slot, count);
        }
        if lost > 0 {
            warn!(
                lost,
                "IGMP messages lost in the ring buffer; asking again everywhere"
            );
            self.router.handle_input(self.now(), Input::MessagesLost);
        }
    }
}

/// Differs from gateway to gateway and from start to start, so that hosts upstream do not answer in step.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn check_existence(config: &Config, snapshot: &Snapshot) -> Result<(), NoSuchInterface> {
    let missing = config.interfaces.iter().find(|interface| {
        !is_pattern(&interface.name) && !snapshot.links.contains_key(&interface.name)
    });
    let Some(interface) = missing else {
        return Ok(());
    };
    let existing: Vec<&str> = snapshot.links.keys().map(String::as_str).collect();
    Err(NoSuchInterface {
        name: interface.name.clone(),
        existing: existing.join(", "),
    })
}
