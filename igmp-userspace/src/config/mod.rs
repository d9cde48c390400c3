//! Configuration: file or flags -> validated [`Config`]. Pure: reading the file is the caller's.
//!
//! `docs/configuration.md` describes every key. Each error is one line that says where, what and what to do.

mod acl;
mod acl_uses;
mod address;
mod backup;
mod diff;
mod duration;
mod effective;
mod error;
mod foreign;
mod group_filter;
mod igmp;
pub mod import;
mod interface;
mod interface_policy;
mod mode;
pub mod pattern;
mod policy;
mod proxy;
mod reader;
#[cfg(test)]
mod tests;
mod vlan;
mod warnings;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use acl::{find as find_acl, title as acl_title};
pub use acl_uses::Use;
pub use backup::{Access, RemoteBackupProfile, TlsFiles};
pub use diff::{Change, Fixed, diff};
pub use effective::to_toml;
pub use error::{Error, Problem};
pub use interface::{InterfaceConfig, Role};
pub use mode::Mode;
pub use proxy::ProxyConfig;
pub use vlan::Vlan;

use crate::proto::{InterfaceParams, InterfacePolicy, Policy};
use igmp::IgmpKeys;
use interface::Defaults;
use interface_policy::SharedKeys;
use reader::{DurationRule, Source};

/// Where igmpd looks when it is given neither a file nor interfaces.
pub const DEFAULT_FILE: &str = "/etc/igmpd/igmpd.toml";
/// Where igmpd listens and igmpctl connects.
pub const DEFAULT_CONTROL_SOCKET: &str = "/run/igmpd/control.sock";
/// Directory in a bpffs for pinned links and maps.
pub const DEFAULT_PIN_PATH: &str = "/sys/fs/bpf/igmpd";
/// Twice the Group Membership Interval of RFC 9776 section 8.4 and more: what is older nobody wants any more.
pub const DEFAULT_HOLD_TIME: Duration = Duration::from_mins(10);
/// Flows that the kernel's table has room for.
pub const DEFAULT_MAX_FLOWS: u32 = 65_536;
/// IGMP messages of one interface a second that reach userspace. A query makes every set-top box of a large segment
/// answer within Max Response Time; that must pass, and a flood must not.
pub const DEFAULT_IGMP_RATE: u32 = 10_000;
/// How many of them at once.
pub const DEFAULT_IGMP_BURST: u32 = 20_000;

/// Most network cards filter at least so many addresses in hardware before they take all multicast themselves.
pub const DEFAULT_MULTICAST_FILTER: u32 = 64;

/// The kernel allocates every flow up front: a typing error must not take gigabytes.
const MOST_FLOWS: u32 = 1_048_576;

/// The shortest hold time but for 0, which is for ever: igmpd says each second that it lives, and a busy machine may make
/// it late.
const SHORTEST_HOLD_TIME: Duration = Duration::from_secs(10);
const HOLD_TIME: DurationRule = DurationRule {
    range: Duration::ZERO..=Duration::from_hours(24),
    step: Duration::from_secs(1),
    why: "0s: for ever",
};

/// The hash filter of a large network card has so many bits; with more groups it lets everything in.
const MOST_FILTERED: u32 = 4096;

/// More than 10 Gbit/s of the shortest frames carry.
const MOST_MESSAGES: u32 = 100_000_000;

/// `sun_path` of unix(7) is 108 bytes with the closing zero.
const LONGEST_SOCKET_PATH: usize = 107;

/// Everything igmpd is told at start.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// The Unix socket that igmpctl talks to.
    pub control_socket: PathBuf,
    /// Directory in a bpffs for pinned links and maps.
    pub pin_path: PathBuf,
    /// Where `/metrics` and `/healthz` are served; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Forwarding goes on without igmpd: programs and maps are pinned, and the next start takes them over.
    pub persist: bool,
    /// How long it goes on; zero = for ever.
    pub hold_time: Duration,
    /// How packets are replicated.
    pub mode: Mode,
    /// Entries of the kernel's flow table.
    pub max_flows: u32,
    /// IGMP messages of one interface a second that reach userspace; 0 = as many as come.
    pub igmp_rate: u32,
    /// How many of them at once, after a pause.
    pub igmp_burst: u32,
    /// Groups up to which the upstream device is asked for each by its Ethernet address; beyond, for all multicast.
    pub multicast_filter: u32,
    /// What is particular to the proxy.
    pub proxy: ProxyConfig,
    /// What is allowed on all interfaces.
    pub policy: Policy,
    /// The interfaces, in the order given: at most one upstream, at least one downstream, no name twice.
    pub interfaces: Vec<InterfaceConfig>,
    /// Gateways that keep memberships in step with this one.
    pub remote_backup_profiles: Vec<RemoteBackupProfile>,
}

/// Reads the text of a configuration file; `file_name` is what errors call it.
///
/// # Errors
///
/// The first thing in the file that is not valid TOML, not a known key, or not a usable value.
pub fn parse(text: &str, file_name: &str) -> Result<Config, Error> {
    let source = Source {
        text,
        name: file_name,
    };
    let mut root = source
        .parse()
        .map_err(|error| foreign::recognise(source).unwrap_or(error))?;

    let mut daemon = root.section("daemon")?;
    let control_socket = daemon.parsed("control_socket", DEFAULT_CONTROL_SOCKET, |text| {
        absolute(text).and_then(|path| check_socket_path(&path).map(|()| path))
    })?;
    let pin_path = daemon.parsed("pin_path", DEFAULT_PIN_PATH, absolute)?;
    let metrics = daemon.parsed("metrics", "127.0.0.1:9464", metrics_address)?;
    let persist = daemon.boolean("persist")?;
    let hold_time = daemon.duration("hold_time", &HOLD_TIME)?;
    if let Some(hold_time) = &hold_time {
        check_hold_time(*hold_time.get_ref())
            .map_err(|problem| problem.at(source.place(&hold_time.span())))?;
    }
    daemon.finish()?;

    let mut datapath = root.section("datapath")?;
    let mode = datapath.parsed("mode", "auto", str::parse)?;
    let max_flows = datapath.integer("max_flows", &(1..=MOST_FLOWS), "")?;
    let igmp_rate = datapath.integer("igmp_rate", &(0..=MOST_MESSAGES), " (0: no limit)")?;
    let igmp_burst = datapath.integer("igmp_burst", &(1..=MOST_MESSAGES), "")?;
    let multicast_filter = datapath.integer(
        "multicast_filter",
        &(0..=MOST_FILTERED),
        " (0: always all multicast)",
    )?;
    datapath.finish()?;

    let mut igmp = root.section("igmp")?;
    let defaults = Defaults {
        igmp: IgmpKeys::read(&mut igmp)?,
        policy: SharedKeys::read(&mut igmp)?,
    };
    igmp.finish()?;

    let proxy = proxy::read(root.section("proxy")?)?;
    let policy = root.section("policy")?;
    let mut policy = policy::read(policy, acl::read_all(&mut root)?)?;

    let mut places = Vec::new();
    let mut interfaces = Vec::new();
    for section in root.sections("interface")? {
        places.push(section.place());
        interfaces.push(interface::read(section, &defaults, &policy)?);
    }
    let remote_backup_profiles = backup::read_all(&mut root, &interfaces)?;
    root.finish()?;
    let placed: Vec<_> = places.into_iter().zip(&interfaces).collect();
    let whole = placed
        .first()
        .map_or_else(|| source.place(&(0..0)), |(place, _)| place.clone());
    interface::check_together(&placed, &whole)?;
    policy.quick_leave = leaves_quickly(&proxy, &interfaces);

    Ok(Config {
        control_socket: control_socket
            .map_or_else(|| DEFAULT_CONTROL_SOCKET.into(), toml::Spanned::into_inner),
        pin_path: pin_path.map_or_else(|| DEFAULT_PIN_PATH.into(), toml::Spanned::into_inner),
        metrics: metrics.map(toml::Spanned::into_inner),
        persist: persist.is_some_and(toml::Spanned::into_inner),
        hold_time: hold_time.map_or(DEFAULT_HOLD_TIME, toml::Spanned::into_inner),
        mode: mode.map(toml::Spanned::into_inner).unwrap_or_default(),
        max_flows: max_flows.map_or(DEFAULT_MAX_FLOWS, toml::Spanned::into_inner),
        igmp_rate: igmp_rate.map_or(DEFAULT_IGMP_RATE, toml::Spanned::into_inner),
        igmp_burst: igmp_burst.map_or(DEFAULT_IGMP_BURST, toml::Spanned::into_inner),
        multicast_filter: multicast_filter
            .map_or(DEFAULT_MULTICAST_FILTER, toml::Spanned::into_inner),
        proxy,
        policy,
        interfaces,
        remote_backup_profiles,
    })
}

impl Config {
    /// The interfaces with the mode in force on each: none while the proxy is disabled. [`pattern::expand`] says what they
    /// stand for.
    #[must_use]
    pub fn interface_rules(&self) -> Vec<InterfaceConfig> {
        if self.proxy.disabled {
            return Vec::new();
        }
        let rule = |interface: &InterfaceConfig| InterfaceConfig {
            mode: Some(self.mode_of(interface)),
            ..interface.clone()
        };
        self.interfaces.iter().map(rule).collect()
    }

    /// How packets are handled on `interface`.
    #[must_use]
    pub fn mode_of(&self, interface: &InterfaceConfig) -> Mode {
        interface.mode.unwrap_or(self.mode)
    }

    /// What `--iface` (repeatable: `downstream`) and `--upstream` ask for; all else is the default.
    ///
    /// # Errors
    ///
    /// A name that no interface can have, a name given twice, or no downstream; the place is the flag.
    pub fn from_flags(downstream: &[String], upstream: Option<&str>) -> Result<Self, Error> {
        let mut places = Vec::new();
        let mut interfaces = Vec::new();
        let named = upstream
            .map(|name| (Role::Upstream, "--upstream", name))
            .into_iter();
        for (role, flag, name) in named.chain(
            downstream
                .iter()
                .map(|name| (Role::Downstream, "--iface", &**name)),
        ) {
            let place = format!("{flag} {name}");
            interface::check_name_for(role, name).map_err(|problem| problem.at(&*place))?;
            places.push(place);
            interfaces.push(InterfaceConfig {
                name: name.to_owned(),
                pattern: None,
                vlan: None,
                role,
                mode: None,
                unnumbered: None,
                alt_subnets: Vec::new(),
                ttl_threshold: interface::DEFAULT_TTL_THRESHOLD,
                params: InterfaceParams::default(),
                policy: InterfacePolicy::default(),
                access: None,
            });
        }
        let placed: Vec<_> = places.into_iter().zip(&interfaces).collect();
        interface::check_together(&placed, "--iface")?;
        let proxy = ProxyConfig::default();
        let policy = Policy {
            quick_leave: leaves_quickly(&proxy, &interfaces),
            ..Policy::default()
        };
        Ok(Self {
            control_socket: DEFAULT_CONTROL_SOCKET.into(),
            pin_path: DEFAULT_PIN_PATH.into(),
            metrics: None,
            persist: false,
            hold_time: DEFAULT_HOLD_TIME,
            mode: Mode::default(),
            max_flows: DEFAULT_MAX_FLOWS,
            igmp_rate: DEFAULT_IGMP_RATE,
            igmp_burst: DEFAULT_IGMP_BURST,
            multicast_filter: DEFAULT_MULTICAST_FILTER,
            proxy,
            policy,
            interfaces,
            remote_backup_profiles: Vec::new(),
        })
    }
}

/// Reads an address to serve metrics on.
///
/// # Errors
///
/// It is no `ADDRESS:PORT`.
pub fn metrics_address(text: &str) -> Result<SocketAddr, Problem> {
    let problem = |_| {
        let what = format!("{text:?} is no address with a port");
        Problem::new(what, "write 127.0.0.1:9464 or [::1]:9464")
    };
    text.parse().map_err(problem)
}

/// Hosts are tracked for quick leave only where there is something to leave.
fn leaves_quickly(proxy: &ProxyConfig, interfaces: &[InterfaceConfig]) -> bool {
    let has_upstream = interfaces
        .iter()
        .any(|interface| interface.role == Role::Upstream);
    proxy.quick_leave && has_upstream
}

fn check_hold_time(hold_time: Duration) -> Result<(), Problem> {
    if hold_time.is_zero() || hold_time >= SHORTEST_HOLD_TIME {
        return Ok(());
    }
    Err(Problem::new(
        format!("hold_time is {}", duration::show(hold_time)),
        format!(
            "write \"{}\" or more, or \"0s\" for no limit",
            duration::show(SHORTEST_HOLD_TIME)
        ),
    ))
}

/// A daemon's working directory is nobody's business: paths in the file start at the root.
fn absolute(text: &str) -> Result<PathBuf, Problem> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(Problem::new(
            format!("\"{text}\" is a relative path"),
            "write it from / on",
        ))
    }
}

/// Refuses a path that does not fit into a Unix socket address.
pub(crate) fn check_socket_path(path: &Path) -> Result<(), Problem> {
    let length = path.as_os_str().len();
    if length > LONGEST_SOCKET_PATH {
        return Err(Problem::new(
            format!("the socket path has {length} bytes"),
            format!("a Unix socket takes at most {LONGEST_SOCKET_PATH}: choose a shorter one"),
        ));
    }
    Ok(())
}
