//! The benchmark's own kernel programs: what sends load, what takes the copies, and the floor.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use aya::maps::{Array, DevMapHash, MapData, PerCpuArray, ProgramArray};
use aya::programs::xdp::XdpMode;
use aya::programs::{
    ProgramFd, SchedClassifier, TcAttachType, TestRun as _, TestRunAttrs, TestRunOptions, Xdp,
    loaded_programs,
};
use aya::{Ebpf, EbpfLoader};
use serde_json::Value;

use super::site::{INPUT, Site};
use crate::netns::Namespace;

/// Names the object, which the eBPF toolchain has built.
pub const OBJECT: &str = "IGMP_BENCH_PROGRAMS";
/// The TTL that frames are made with.
pub const TTL: u8 = 64;
/// Capacity of the schedule.
pub const LONGEST_SCHEDULE: usize = 65_536;

/// What becomes of a frame that was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// Nothing: it is thrown away.
    Nowhere,
    /// It comes in through the device and goes up the kernel's stack.
    Up,
    /// The contender's XDP program gets it.
    Into,
}

/// How copies are counted and ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sink {
    /// By an XDP program, which is what a veth takes redirected frames for.
    Xdp,
    /// By a TC program: a copy that comes as a socket buffer would pay for XDP with another copy of itself.
    Tc,
}

/// The programs of one site.
pub struct Programs {
    ebpf: Ebpf,
    schedule: Array<MapData, [u8; 4]>,
    turn: Array<MapData, [u32; 2]>,
    contender: ProgramArray<MapData>,
    received: PerCpuArray<MapData, u64>,
}

impl Programs {
    /// Loads them. Copies count that arrive with this TTL.
    ///
    /// # Panics
    /// When the kernel does not take them.
    pub fn load(arrival_ttl: u8) -> Self {
        let mut ebpf = EbpfLoader::new()
            .btf(None)
            .override_global("ARRIVAL_TTL", &arrival_ttl, true)
            .load(&object())
            .expect("the kernel takes the benchmark's maps");
        for name in ["generate", "generate_up", "generate_into", "receive"] {
            xdp(&mut ebpf, name)
                .load()
                .expect("the kernel takes the benchmark's programs");
        }
        let mut map = |name| ebpf.take_map(name).expect("the object has this map");
        Self {
            schedule: map("SCHEDULE").try_into().expect("an array"),
            turn: map("TURN").try_into().expect("an array"),
            contender: map("CONTENDER").try_into().expect("a program array"),
            received: map("RECEIVED").try_into().expect("a per-CPU array"),
            ebpf,
        }
    }

    /// Counts and ends all copies that arrive at the far ends of `site`.
    pub fn receive(&mut self, site: &Site, sink: Sink) {
        let ebpf = &mut self.ebpf;
        match sink {
            Sink::Xdp => {
                let program = xdp(ebpf, "receive");
                site.far.enter(|| {
                    for device in site.far_ends() {
                        program
                            .attach(&device, XdpMode::Driver)
                            .expect("a veth takes XDP");
                    }
                });
            }
            Sink::Tc => {
                let program: &mut SchedClassifier = ebpf
                    .program_mut("receive_buffers")
                    .expect("the object has it")
                    .try_into()
                    .expect("a TC program");
                program
                    .load()
                    .expect("the kernel takes the benchmark's programs");
                site.far.enter(|| {
                    for device in site.far_ends() {
                        program
                            .attach(&device, TcAttachType::Ingress)
                            .expect("tcx, kernel 6.6");
                    }
                });
            }
        }
    }

    /// Has frames go to these groups in turn; how many they are is a power of two.
    pub fn send_to(&mut self, groups: &[Ipv4Addr]) {
        assert!(groups.len().is_power_of_two() && groups.len() <= LONGEST_SCHEDULE);
        for (index, group) in (0..).zip(groups) {
            self.schedule
                .set(index, group.octets(), 0)
                .expect("within the array");
        }
        let mask = u32::try_from(groups.len()).expect("fits") - 1;
        self.turn.set(0, [mask, 0], 0).expect("within the array");
    }

    /// Has frames that go [`Way::Into`] go into this program.
    pub fn hand_to(&mut self, program: &ProgramFd) {
        self.contender.set(0, program, 0).expect("an XDP program");
    }

    /// Makes `count` frames out of `frame`, `batch` at once, which come in through the device with this index of the
    /// calling thread's namespace.
    pub fn send(&self, way: Way, frame: &[u8], ifindex: u32, count: u32, batch: u32) -> Duration {
        let name = match way {
            Way::Nowhere => "generate",
            Way::Up => "generate_up",
            Way::Into => "generate_into",
        };
        let program: &Xdp = self
            .ebpf
            .program(name)
            .expect("the object has it")
            .try_into()
            .expect("an XDP program");
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let end = u32::try_from(frame.len()).expect("a frame is short");
        let context = [0, end, 0, ifindex, 0, 0].map(u32::to_ne_bytes).concat();
        program
            .test_run(TestRunOptions {
                data_in: Some(frame),
                ctx_in: Some(&context),
                repeat: count,
                attrs: TestRunAttrs::new().xdp_live_frames(batch),
                ..TestRunOptions::default()
            })
            .expect("live frames, kernel 5.18")
            .duration
    }

    /// Copies that have arrived so far.
    pub fn received(&self) -> u64 {
        let counts = self.received.get(&0, 0).expect("within the array");
        counts.iter().sum()
    }
}

/// The least that a broadcast can be: a program that redirects, and a set that has exactly the size of what is in it.
pub struct Floor {
    ebpf: Ebpf,
    _set: DevMapHash<MapData>,
}

impl Floor {
    /// A floor that sends to these devices of `gateway`.
    pub fn new(gateway: &Namespace, devices: &[String]) -> Self {
        let size = u32::try_from(devices.len()).expect("few");
        let mut ebpf = EbpfLoader::new()
            .btf(None)
            .map_max_entries("FLOOR", size)
            .load(&object())
            .expect("the kernel takes the benchmark's maps");
        xdp(&mut ebpf, "floor")
            .load()
            .expect("the kernel takes the benchmark's programs");
        let set = ebpf.take_map("FLOOR").expect("the object has this map");
        let mut set = DevMapHash::try_from(set).expect("a devmap hash");
        for device in devices {
            let index = gateway.interface_index(device);
            // The kernel looks for the device in the namespace of the thread that asks.
            gateway
                .enter(|| set.insert(index, index, None, 0))
                .expect("there is such a device");
        }
        Self { ebpf, _set: set }
    }

    /// The program.
    pub fn program(&self) -> &ProgramFd {
        let program: &Xdp = self
            .ebpf
            .program("floor")
            .expect("the object has it")
            .try_into()
            .expect("an XDP program");
        program.fd().expect("it is loaded")
    }
}

/// The XDP program that is attached to the input of `gateway`.
pub fn attached_to_input(gateway: &Namespace) -> ProgramFd {
    let shown = gateway.run(&["ip", "-json", "link", "show", INPUT]);
    let shown: Value = serde_json::from_str(&shown).expect("ip prints JSON");
    let id = shown[0]["xdp"]["prog"]["id"]
        .as_u64()
        .unwrap_or_else(|| panic!("an XDP program on {INPUT}: {shown}"));
    let program = loaded_programs()
        .filter_map(Result::ok)
        .find(|program| u64::from(program.id()) == id)
        .expect("what is attached is loaded");
    program.fd().expect("root may have it")
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> &'a mut Xdp {
    ebpf.program_mut(name)
        .expect("the object has it")
        .try_into()
        .expect("an XDP program")
}

fn object() -> Vec<u8> {
    let path = env::var_os(OBJECT).map_or_else(beside_this, PathBuf::from);
    fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}: `cargo xtask bench` builds it", path.display())
    })
}

/// Where the build leaves it, from `target/PROFILE/igmp-bench`.
fn beside_this() -> PathBuf {
    let this = env::current_exe().expect("Linux knows it");
    let target = this.ancestors().nth(2).unwrap_or(Path::new("."));
    target.join("ebpf/bpfel-unknown-none/release/igmp-bench-programs")
}
