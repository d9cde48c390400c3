//! Who is compared: igmpd in XDP and in TC, the kernel's multicast router, the kernel's bridge, and the floor.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::load::{self, Load, Sample};
use super::programs::{Floor, Programs, Sink, TTL, Way, attached_to_input};
use super::site::{INPUT, SOURCE, Site};
use crate::daemon::{Daemon, rows};
use crate::peers::Smcroute;
use crate::wait::wait_until;

/// Until everything is forwarded that shall be.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);
/// Interfaces that the kernel's multicast router can have (`MAXVIFS` of `linux/mroute.h`), less the input.
const MOST_OF_THE_ROUTER: usize = 31;

/// Who.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Who {
    /// igmpd in XDP.
    XdpNative,
    /// igmpd in TC.
    Tc,
    /// The kernel's multicast router, with routes by smcroute.
    KernelRouter,
    /// The kernel's bridge with IGMP snooping.
    Bridge,
    /// A program that does nothing but a broadcast.
    Floor,
}

impl Who {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::XdpNative,
        Self::Tc,
        Self::KernelRouter,
        Self::Bridge,
        Self::Floor,
    ];

    /// As the report calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::XdpNative => "xdp-native",
            Self::Tc => "tc",
            Self::KernelRouter => "kernel-router",
            Self::Bridge => "bridge",
            Self::Floor => "floor",
        }
    }

    /// The most outputs that it can have.
    pub fn most_outputs(self) -> usize {
        match self {
            Self::KernelRouter => MOST_OF_THE_ROUTER,
            _ => usize::MAX,
        }
    }

    fn routes(self) -> bool {
        match self {
            Self::XdpNative | Self::Tc | Self::KernelRouter => true,
            Self::Bridge | Self::Floor => false,
        }
    }

    /// Whether copies are sent as XDP frames, not as socket buffers.
    fn redirects(self) -> bool {
        matches!(self, Self::XdpNative | Self::Floor)
    }
}

/// One of them at work on a site of its own.
pub struct Contender {
    /// Who it is.
    pub who: Who,
    site: Site,
    programs: Programs,
    work: Work,
}

enum Work {
    Daemon(#[expect(dead_code, reason = "dropping it ends it")] Daemon),
    Smcroute(#[expect(dead_code, reason = "dropping it ends it")] Smcroute),
    Bridge,
    Floors(BTreeMap<usize, Floor>),
}

/// The group that goes to the first `fan_out` outputs.
pub fn group(fan_out: usize) -> Ipv4Addr {
    Ipv4Addr::new(239, 1, u8::try_from(fan_out).expect("at most 200"), 1)
}

impl Contender {
    /// Sets it up to forward [`group`] of each fan-out that it can have, and returns once it does.
    pub fn new(who: Who, fan_outs: &[usize], cpu: usize) -> Self {
        let fan_outs: Vec<usize> = fan_outs
            .iter()
            .copied()
            .filter(|fan_out| *fan_out <= who.most_outputs())
            .collect();
        let most = fan_outs.iter().copied().max().expect("some fan-out");
        let site = Site::new(who.name(), most);
        let mut programs = Programs::load(if who.routes() { TTL - 1 } else { TTL });
        let sink = if who.redirects() { Sink::Xdp } else { Sink::Tc };
        programs.receive(&site, sink);
        let work = match who {
            Who::XdpNative | Who::Tc => {
                let daemon =
                    Daemon::start_with(&site.gateway, &igmpd(&site, who, &fan_outs), "info");
                if who == Who::XdpNative {
                    hand_to_igmpd(&mut programs, &site);
                }
                wait_for_flows(&daemon, fan_outs.len());
                Work::Daemon(daemon)
            }
            Who::KernelRouter => {
                Work::Smcroute(Smcroute::start(&site.gateway, &smcroute(&site, &fan_outs)))
            }
            Who::Bridge => {
                bridge(&site, &fan_outs);
                Work::Bridge
            }
            Who::Floor => {
                let outputs: Vec<String> = site.outputs().collect();
                let floor =
                    |fan_out: &usize| (*fan_out, Floor::new(&site.gateway, &outputs[..*fan_out]));
                Work::Floors(fan_outs.iter().map(floor).collect())
            }
        };
        let mut contender = Self {
            who,
            site,
            programs,
            work,
        };
        for fan_out in fan_outs {
            contender.wait_until_delivered(fan_out, cpu);
        }
        contender
    }

    fn wait_until_delivered(&mut self, fan_out: usize, cpu: usize) {
        let what = format!("{} to deliver {fan_out} copies", self.who.name());
        wait_until(&what, SETTLED_WITHIN, || {
            (self.sample(fan_out, 64, cpu).astray == 0).then_some(())
        });
    }

    /// Sends a burst of frames that become `fan_out` copies.
    pub fn sample(&mut self, fan_out: usize, frame_len: usize, cpu: usize) -> Sample {
        if let Work::Floors(floors) = &self.work {
            self.programs.hand_to(floors[&fan_out].program());
        }
        self.programs.send_to(&[group(fan_out)]);
        let load = Load {
            frame_len,
            copies: u32::try_from(fan_out).expect("few"),
            way: if self.who.redirects() {
                Way::Into
            } else {
                Way::Up
            },
            at_least: load::FEWEST,
        };
        load::sample(&self.site, &self.programs, load, cpu)
    }

    /// What frames cost that go nowhere.
    pub fn sample_generator(&mut self, frame_len: usize, cpu: usize) -> Sample {
        self.programs.send_to(&[group(1)]);
        let load = Load {
            frame_len,
            copies: 0,
            way: Way::Nowhere,
            at_least: load::FEWEST,
        };
        load::sample(&self.site, &self.programs, load, cpu)
    }
}

/// Has frames go into the program that igmpd has attached to the input.
pub fn hand_to_igmpd(programs: &mut Programs, site: &Site) {
    programs.hand_to(&attached_to_input(&site.gateway));
}

/// A configuration of igmpd with static groups.
fn igmpd(site: &Site, who: Who, fan_outs: &[usize]) -> String {
    let mode = who.name();
    let mut config = format!(
        "[datapath]\nmode = \"{mode}\"\n[[interface]]\nname = \"{INPUT}\"\nrole = \"upstream\"\n"
    );
    for (index, device) in site.outputs().enumerate() {
        let groups: Vec<String> = fan_outs
            .iter()
            .filter(|fan_out| index < **fan_out)
            .map(|fan_out| format!("\"{}\"", group(*fan_out)))
            .collect();
        let _ = writeln!(
            config,
            "[[interface]]\nname = \"{device}\"\nrole = \"downstream\"\nstatic_groups = [{}]",
            groups.join(", ")
        );
    }
    config
}

fn wait_for_flows(daemon: &Daemon, count: usize) {
    wait_until("igmpd to have all flows", SETTLED_WITHIN, || {
        (rows(&daemon.ctl(&["show", "flows"])).len() == count).then_some(())
    });
}

fn smcroute(site: &Site, fan_outs: &[usize]) -> String {
    let outputs: Vec<String> = site.outputs().collect();
    let mut config = format!("phyint {INPUT} enable\n");
    for device in &outputs {
        let _ = writeln!(config, "phyint {device} enable");
    }
    for fan_out in fan_outs {
        let _ = writeln!(
            config,
            "mroute from {INPUT} source {SOURCE} group {} to {}",
            group(*fan_out),
            outputs[..*fan_out].join(" ")
        );
    }
    config
}

fn bridge(site: &Site, fan_outs: &[usize]) {
    let mut ports = format!("link set {INPUT} master br0\n");
    for device in site.outputs() {
        let _ = writeln!(ports, "link set {device} master br0");
    }
    site.gateway.ip(&format!(
        "link add br0 type bridge mcast_snooping 1 mcast_query_response_interval 100\nlink set br0 up\n{ports}\
         link set br0 type bridge mcast_querier 1"
    ));
    for fan_out in fan_outs {
        for device in site.outputs().take(*fan_out) {
            let group = group(*fan_out).to_string();
            site.gateway.run(&[
                "bridge",
                "mdb",
                "add",
                "dev",
                "br0",
                "port",
                &device,
                "grp",
                &group,
                "permanent",
            ]);
        }
    }
}
