//! Network namespaces that vanish with the value that names them.

use std::fs::{self, File};
use std::io::Write;
use std::net::Ipv4Addr;
use std::panic::resume_unwind;
use std::path::Path;
use std::process::{self, Command, Output, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use aya::programs::{SchedClassifier, TcAttachType};
use serde_json::Value;

use crate::sys;
use crate::wait::wait_until;

/// Where ip(8) keeps the handles of named namespaces.
const NAMED_NAMESPACES: &str = "/run/netns";
/// Every name starts with this and the pid of the process that owns it.
const PREFIX: &str = "igmpt";

/// A network namespace with `lo` up and IPv6 off. Dropping it kills the processes inside and deletes it.
#[must_use = "dropping it deletes the namespace"]
pub struct Namespace {
    name: String,
    handle: File,
}

impl Namespace {
    /// Makes a namespace; `label` is for the human eye, the full name is unique on this machine.
    ///
    /// # Panics
    /// Without the rights to make one (`CAP_SYS_ADMIN`, `CAP_NET_ADMIN`).
    pub fn new(label: &str) -> Self {
        static SWEEP: Once = Once::new();
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        SWEEP.call_once(sweep_leftovers);

        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}-{}-{number}-{label}", process::id());
        succeed(
            Command::new("ip").args(["netns", "add", &name]).output(),
            &["ip", "netns", "add", &name],
        );
        let handle = File::open(Path::new(NAMED_NAMESPACES).join(&name))
            .expect("ip netns add made a handle");
        let namespace = Self { name, handle };
        // No neighbour discovery, no MLD: what a test captures is what it caused.
        namespace.set_sysctl("net.ipv6.conf.all.disable_ipv6", 1);
        namespace.set_sysctl("net.ipv6.conf.default.disable_ipv6", 1);
        namespace.ip("link set lo up");
        namespace
    }

    /// The name under which ip(8) knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` on a thread that lives in this namespace. A socket made there belongs to the namespace for ever and
    /// may be used from any thread; a process started there lives in the namespace.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            sys::set_network_namespace(&self.handle).expect("a handle of a network namespace");
            work()
        };
        thread::scope(|scope| {
            scope
                .spawn(inside)
                .join()
                .unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// How many XDP and TC programs are attached to these devices, by the kernel's own account.
    pub fn programs(&self, devices: &[&str]) -> usize {
        let xdp = |device| {
            let shown = self.run(&["ip", "-d", "link", "show", device]);
            usize::from(shown.contains("prog/xdp"))
        };
        // bpftool of Debian 12 knows nothing of tcx.
        let tcx = |device| {
            let query = || SchedClassifier::query_tcx(device, TcAttachType::Ingress);
            self.enter(query).map_or(0, |(_, programs)| programs.len())
        };
        devices.iter().map(|device| xdp(device) + tcx(device)).sum()
    }

    /// Runs a command inside and returns its standard output; panics with all that it printed when it fails.
    #[track_caller]
    pub fn run(&self, argv: &[&str]) -> String {
        succeed(
            self.enter(|| Command::new(argv[0]).args(&argv[1..]).output()),
            argv,
        )
    }

    /// Runs ip(8) commands inside, one a line, in one process.
    #[track_caller]
    pub fn ip(&self, commands: &str) {
        let output = self.enter(|| {
            let mut ip = Command::new("ip")
                .args(["-batch", "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            ip.stdin
                .take()
                .expect("stdin is piped")
                .write_all(commands.as_bytes())?;
            ip.wait_with_output()
        });
        succeed(output, &["ip", "-batch", commands]);
    }

    /// Writes a sysctl, named with dots as sysctl(8) does.
    #[track_caller]
    pub fn set_sysctl(&self, key: &str, value: u32) {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        self.enter(|| fs::write(&path, value.to_string()))
            .unwrap_or_else(|error| panic!("{path} = {value}: {error}"));
    }

    /// Makes a device behave like a physical port: checksums complete when a frame leaves (a veth leaves them half done,
    /// and a frame redirected in XDP would arrive with a wrong one), GRO on (without it, or an XDP program of its own, a
    /// veth refuses what XDP redirects to its peer).
    pub fn behave_like_hardware(&self, device: &str) {
        self.run(&["ethtool", "-K", device, "tx", "off", "gro", "on"]);
    }

    /// Makes a device without link layer and sets it up. What is written to the file comes in through the device, one
    /// packet a call; what the device sends is read from it. The device goes with the file.
    pub fn tun(&self, device: &str) -> File {
        let tun = self.enter(|| sys::tun(device));
        let tun = tun.unwrap_or_else(|error| panic!("tun device {device}: {error}"));
        self.ip(&format!("link set {device} up"));
        tun
    }

    /// Frames that its devices have dropped: theirs is what was lost between two sockets and no program refused.
    pub fn dropped_frames(&self) -> u64 {
        let devices = self.statistics();
        let devices = devices.as_array().expect("a list of devices").iter();
        devices
            .flat_map(|device| ["rx", "tx"].map(|way| count(device, way, "dropped")))
            .sum()
    }

    /// Frames that a device has sent.
    pub fn sent_frames(&self, device: &str) -> u64 {
        let devices = self.statistics();
        let mut devices = devices.as_array().expect("a list of devices").iter();
        let device = devices.find(|shown| shown["ifname"] == device);
        count(device.expect("there is such a device"), "tx", "packets")
    }

    fn statistics(&self) -> Value {
        let shown = self.run(&["ip", "-json", "-stats", "link", "show"]);
        serde_json::from_str(&shown).expect("ip prints JSON")
    }

    /// Index of a device; it changes when a device is deleted and made again under the same name.
    pub fn interface_index(&self, device: &str) -> u32 {
        self.enter(|| sys::interface_index(device))
            .unwrap_or_else(|error| panic!("{device}: {error}"))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

fn count(device: &Value, way: &str, what: &str) -> u64 {
    let count = device["stats64"][way][what].as_u64();
    count.expect("a device counts")
}

/// The locally administered MAC that the test world gives to the owner of an address.
pub fn mac_of(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x00, a, b, c, d]
}

/// The same, as ip(8) writes it.
pub fn mac_text(address: Ipv4Addr) -> String {
    mac_of(address)
        .map(|octet| format!("{octet:02x}"))
        .join(":")
}

#[track_caller]
fn succeed(output: std::io::Result<Output>, argv: &[&str]) -> String {
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", argv[0]));
    let standard_output = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{} failed with {}\n{standard_output}{}(the test world needs root)",
        argv.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr),
    );
    standard_output
}

/// Stops what runs in a namespace, then deletes it: a namespace outlives its name while a process is inside. Says
/// nothing when that fails, because it also runs while a panic unwinds.
fn remove(name: &str) {
    let pids = || -> Vec<u32> {
        let output = Command::new("ip").args(["netns", "pids", name]).output();
        let text = output.map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&text)
            .lines()
            .filter_map(|line| line.trim().parse().ok())
            .collect()
    };
    let living = pids();
    for pid in &living {
        let _ = sys::kill(*pid, libc::SIGKILL);
    }
    if !living.is_empty() {
        // A zombie is listed until its parent, which may be this very thread, collects it; it holds nothing open.
        let gone = |pid: &u32| {
            fs::read_to_string(format!("/proc/{pid}/stat"))
                .map_or(true, |stat| stat.contains(") Z "))
        };
        wait_until("killed processes to end", Duration::from_secs(5), || {
            living.iter().all(gone).then_some(())
        });
    }
    let _ = Command::new("ip").args(["netns", "del", name]).output();
}

/// Removes the namespaces of test processes that were killed before they could clean up.
fn sweep_leftovers() {
    let Ok(names) = fs::read_dir(NAMED_NAMESPACES) else {
        return;
    };
    for name in names
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
    {
        let mut parts = name.split('-');
        if parts.next() == Some(PREFIX)
            && let Some(owner) = parts.next().and_then(|pid| pid.parse::<u32>().ok())
            && !Path::new(&format!("/proc/{owner}")).exists()
        {
            remove(&name);
        }
    }
}
