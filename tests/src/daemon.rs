//! The real igmpd and igmpctl, in a namespace.

use std::fs::{self, File};
use std::io::Read;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;
use std::{env, thread};

use serde_json::Value;

use crate::events::Events;
use crate::netns::Namespace;
use crate::scratch::ScratchDir;
use crate::sys;
use crate::wait::wait_until;

/// Loading and attaching takes well under a second; the rest is for machines that are busy, or emulated.
const START_TIMEOUT: Duration = Duration::from_secs(90);
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// For igmpd to act on a message that it has received.
const NOTICED_WITHIN: Duration = Duration::from_secs(5);
/// USER_HZ, which the kernel has fixed for what it shows of a process.
const TICKS_PER_SECOND: u64 = 100;

/// How igmpd is to handle packets in every test that does not say so itself: `xdp-native`, `xdp-generic`, `tc`. Unset, it
/// chooses.
pub const MODE: &str = "IGMPD_MODE";

fn mode(config: &str) -> Option<String> {
    let says_so = config.lines().any(|line| line.starts_with("mode"));
    env::var(MODE).ok().filter(|_| !says_so)
}

/// A running igmpd. Dropping it kills it; its log is printed when the test fails.
#[must_use = "dropping it kills igmpd"]
pub struct Daemon {
    process: Child,
    scratch: ScratchDir,
}

impl Daemon {
    /// Starts igmpd in `gateway` with this configuration and returns once it says `ready`.
    ///
    /// # Panics
    /// With its log, when it ends or stays silent instead.
    #[track_caller]
    pub fn start(gateway: &Namespace, config: &str) -> Self {
        Self::start_with(gateway, config, "debug")
    }

    /// The same with another `--log-level`: what is measured should not wait for its log.
    #[track_caller]
    pub fn start_with(gateway: &Namespace, config: &str, log_level: &str) -> Self {
        let mut daemon = Self::spawn(gateway, config, log_level);
        daemon.wait_until_ready();
        daemon
    }

    /// Starts igmpd and kills it (SIGKILL) so much later, ready or not.
    pub fn start_and_kill_after(gateway: &Namespace, config: &str, delay: Duration) {
        let daemon = Self::spawn(gateway, config, "info");
        thread::sleep(delay);
        daemon.kill();
    }

    /// Another build of igmpd, found at `program`.
    #[track_caller]
    pub fn start_other(program: &Path, gateway: &Namespace, config: &str) -> Self {
        let mut daemon = Self::spawn_program(program, gateway, config, "debug");
        daemon.wait_until_ready();
        daemon
    }

    fn spawn(gateway: &Namespace, config: &str, log_level: &str) -> Self {
        Self::spawn_program(&igmpd(), gateway, config, log_level)
    }

    fn spawn_program(program: &Path, gateway: &Namespace, config: &str, log_level: &str) -> Self {
        let scratch = ScratchDir::new();
        let process = launch(program, gateway, &scratch, config, log_level);
        Self { process, scratch }
    }

    /// Starts it anew after [`end_process`](Self::end_process), where and as it was.
    #[track_caller]
    pub fn start_again(&mut self, gateway: &Namespace, config: &str) {
        self.process = launch(&igmpd(), gateway, &self.scratch, config, "info");
        self.wait_until_ready();
    }

    /// Kills it (SIGKILL) and keeps its files.
    pub fn end_process(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    #[track_caller]
    fn wait_until_ready(&mut self) {
        wait_until("igmpd to be ready", START_TIMEOUT, || {
            let ended = self.process.try_wait().expect("igmpd is our child");
            assert!(
                ended.is_none(),
                "igmpd ended instead of getting ready: {}",
                ended.unwrap_or_default()
            );
            self.read("stdout")
                .lines()
                .any(|line| line == "ready")
                .then_some(())
        });
    }

    /// Runs `igmpctl --json` with these arguments and returns what it prints.
    #[track_caller]
    pub fn ctl(&self, arguments: &[&str]) -> Value {
        let output = self.ctl_output(&[&["--json"], arguments].concat());
        assert!(
            output.status.success(),
            "igmpctl {}: {}",
            arguments.join(" "),
            describe(&output)
        );
        serde_json::from_slice(&output.stdout).expect("igmpctl --json prints JSON")
    }

    /// Runs igmpctl with these arguments and returns how that went.
    pub fn ctl_output(&self, arguments: &[&str]) -> Output {
        igmpctl_at(&self.control_socket(), arguments)
    }

    /// Follows `igmpctl --json events` from now on.
    #[track_caller]
    pub fn events(&self) -> Events {
        let mut command = Command::new(igmpctl());
        command
            .arg("--socket")
            .arg(self.control_socket())
            .args(["--json", "events"]);
        Events::follow(command)
    }

    /// Where it listens.
    pub fn control_socket(&self) -> PathBuf {
        self.scratch.path().join("control.sock")
    }

    /// Its configuration file, and what that says from now on; a reload makes it count.
    pub fn rewrite_config(&self, config: &str) -> PathBuf {
        let path = self.scratch.path().join("igmpd.toml");
        fs::write(&path, config).expect("the scratch directory is writable");
        path
    }

    /// Asks it to read its configuration file again (SIGHUP).
    pub fn hang_up(&self) {
        sys::kill(self.process.id(), libc::SIGHUP).expect("igmpd is our child");
    }

    /// The value of a counter of one interface.
    ///
    /// # Panics
    /// When there is no such counter.
    #[track_caller]
    pub fn counter_on(&self, interface: &str, name: &str) -> u64 {
        let counters = self.ctl(&["show", "counters", "--interface", interface]);
        let row = rows(&counters).iter().find(|row| row["name"] == name);
        let row = row.unwrap_or_else(|| panic!("{interface} has no counter {name}: {counters:#}"));
        row["value"].as_u64().expect("a count")
    }

    /// How many multicast packets that came in on an interface it has forwarded, in XDP or in TC.
    #[track_caller]
    pub fn forwarded_from(&self, interface: &str) -> u64 {
        let verdicts = ["forwarded", "forwarded_to_upstream", "pass_to_tc"];
        let counts = verdicts.map(|name| self.counter_on(interface, name));
        counts.into_iter().sum()
    }

    /// What `igmpctl show interfaces` says of one.
    ///
    /// # Panics
    /// When it is not configured.
    #[track_caller]
    pub fn interface(&self, name: &str) -> Value {
        let interfaces = self.ctl(&["show", "interfaces"]);
        let row = rows(&interfaces).iter().find(|row| row["name"] == name);
        row.unwrap_or_else(|| panic!("no interface {name}")).clone()
    }

    /// Who it takes for the querier of an interface's link.
    #[track_caller]
    pub fn querier(&self, interface: &str) -> Ipv4Addr {
        let row = self.interface(interface);
        let querier = row["querier"].as_str().expect("an address");
        assert_eq!(row["querier_is_self"], row["address"] == querier);
        querier.parse().expect("an address")
    }

    /// Waits until that is `querier`.
    #[track_caller]
    pub fn wait_for_querier(&self, interface: &str, querier: Ipv4Addr) {
        wait_until(
            &format!("{querier} to be the querier"),
            NOTICED_WITHIN,
            || (self.querier(interface) == querier).then_some(()),
        );
    }

    /// The state of a group on an interface; `None` when nobody there wants it.
    #[track_caller]
    pub fn group(&self, interface: &str, group: Ipv4Addr) -> Option<Value> {
        let group = group.to_string();
        let groups = self.ctl(&[
            "show",
            "groups",
            "--interface",
            interface,
            "--group",
            &group,
        ]);
        rows(&groups).first().cloned()
    }

    /// The devices that its only flow goes to.
    #[track_caller]
    pub fn outputs(&self) -> Vec<String> {
        let flows = self.ctl(&["show", "flows"]);
        let [flow] = rows(&flows) else {
            panic!("not one flow: {flows:#}");
        };
        let outputs = flow["outputs"].as_array().expect("names").iter();
        let name = |name: &Value| name.as_str().expect("a name").to_owned();
        outputs.map(name).collect()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.read("stderr")
    }

    /// Panics, with the log, when it no longer runs.
    #[track_caller]
    pub fn assert_running(&mut self) {
        let ended = self.process.try_wait().expect("igmpd is our child");
        assert!(
            ended.is_none(),
            "igmpd ended: {}",
            ended.unwrap_or_default()
        );
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Resident memory in bytes.
    pub fn resident_memory(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("igmpd runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("a process has memory");
        let kibibytes: u64 = line
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number of kB");
        kibibytes * 1024
    }

    /// Processor time it has used, in user and kernel mode.
    pub fn cpu_time(&self) -> Duration {
        let stat =
            fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("igmpd runs");
        // proc(5): utime and stime are fields 14 and 15, in ticks; the name before field 3 may hold spaces.
        let (_, fields) = stat.rsplit_once(") ").expect("a name in parentheses");
        let ticks: u64 = fields
            .split(' ')
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().expect("a number of ticks"))
            .sum();
        Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
    }

    /// Asks it to end (SIGTERM) and returns how it did.
    #[track_caller]
    pub fn stop(mut self) -> ExitStatus {
        sys::kill(self.process.id(), libc::SIGTERM).expect("igmpd is our child");
        wait_until("igmpd to end after SIGTERM", STOP_TIMEOUT, || {
            self.process.try_wait().expect("igmpd is our child")
        })
    }

    /// Kills it (SIGKILL): it gets no chance to do anything more.
    pub fn kill(self) {
        drop(self);
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.scratch.path().join(name)).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            eprintln!("igmpd's log:\n{}", self.log());
        }
    }
}

/// Starts a program as igmpd, with its files in a directory.
fn launch(
    program: &Path,
    gateway: &Namespace,
    scratch: &ScratchDir,
    config: &str,
    log_level: &str,
) -> Child {
    let path = |name: &str| scratch.path().join(name);
    fs::write(path("igmpd.toml"), config).expect("the scratch directory is writable");
    let create = |name: &str| File::create(path(name)).expect("the scratch directory is writable");

    let mut command = Command::new(program);
    command
        .arg("--config")
        .arg(path("igmpd.toml"))
        .arg("--control-socket")
        .arg(path("control.sock"))
        .args(["--log-level", log_level])
        .args(mode(config).iter().flat_map(|mode| ["--mode", mode]))
        // Ctrl-C is for the lab, which stops igmpd itself.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(create("stdout"))
        .stderr(create("stderr"));
    gateway
        .enter(|| command.spawn())
        .expect("igmpd is executable")
}

/// Runs igmpd in a namespace until it ends by itself: for command lines that it must refuse.
///
/// # Panics
/// When it does not end.
#[track_caller]
pub fn run_igmpd(namespace: &Namespace, arguments: &[&str]) -> Output {
    let mut command = Command::new(igmpd());
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = KilledOnDrop(
        namespace
            .enter(|| command.spawn())
            .expect("igmpd is executable"),
    );
    let status = wait_until(
        &format!("igmpd {} to end", arguments.join(" ")),
        START_TIMEOUT,
        || process.0.try_wait().expect("igmpd is our child"),
    );
    // It has ended: what it printed, a few lines, is in the pipes.
    let read = |pipe: Option<&mut dyn Read>| {
        let mut bytes = Vec::new();
        pipe.expect("piped")
            .read_to_end(&mut bytes)
            .expect("a pipe is readable");
        bytes
    };
    let stdout = read(process.0.stdout.as_mut().map(|pipe| pipe as &mut dyn Read));
    let stderr = read(process.0.stderr.as_mut().map(|pipe| pipe as &mut dyn Read));
    Output {
        status,
        stdout,
        stderr,
    }
}

struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs igmpctl against the daemon that listens at `socket`.
pub fn igmpctl_at(socket: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(igmpctl());
    command
        .arg("--socket")
        .arg(socket)
        .args(arguments)
        .output()
        .expect("igmpctl is executable")
}

/// How a process ended, for a panic's message.
pub fn describe(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "{}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    )
}

/// The rows of an `igmpctl --json show`.
///
/// # Panics
/// When it is not an array.
pub fn rows(shown: &Value) -> &[Value] {
    shown.as_array().expect("a show prints an array")
}

/// The igmpd of this build.
pub fn igmpd() -> PathBuf {
    program("IGMPD_BIN", "igmpd")
}

/// The igmpctl of this build.
pub fn igmpctl() -> PathBuf {
    program("IGMPCTL_BIN", "igmpctl")
}

/// The binary that the variable names, or else the one that cargo built beside this executable.
fn program(variable: &str, name: &str) -> PathBuf {
    let path = env::var_os(variable).map_or_else(
        || {
            let executable = env::current_exe().expect("Linux knows it");
            let directory = executable.parent().expect("a file is in a directory");
            // cargo puts test executables into `deps`.
            let directory = if directory.ends_with("deps") {
                directory.join("..")
            } else {
                directory.to_owned()
            };
            directory.join(name)
        },
        PathBuf::from,
    );
    assert!(
        path.exists(),
        "{} is not there: run `cargo build -p igmp-userspace --bins` first",
        path.display()
    );
    path
}
