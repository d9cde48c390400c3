//! The lab: passes with igmpd, finds fault with a daemon that does nothing, and cleans up however it ends.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use igmp_tests::scratch::ScratchDir;
use igmp_tests::wait::wait_until;

/// Network, run and clean-up, on a machine busy with other tests.
const WHOLE_RUN: Duration = Duration::from_mins(1);

struct Lab {
    process: Child,
    scratch: ScratchDir,
}

impl Lab {
    fn start(igmpd: Option<&str>) -> Self {
        let scratch = ScratchDir::new();
        let output =
            File::create(scratch.path().join("output")).expect("the scratch directory is writable");
        let mut command = Command::new(env!("CARGO_BIN_EXE_igmp-lab"));
        command
            .args(["--seconds", "8", "--receivers", "3"])
            .stdout(output);
        if let Some(script) = igmpd {
            let path = scratch.path().join("igmpd");
            fs::write(&path, script).expect("the scratch directory is writable");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our own file");
            command.env("IGMPD_BIN", path);
        }
        let process = command.spawn().expect("the lab is executable");
        Self { process, scratch }
    }

    fn output(&self) -> String {
        fs::read_to_string(self.scratch.path().join("output")).expect("made at the start")
    }

    /// Waits for the end; panics when anything of the lab is left.
    #[track_caller]
    fn end(&mut self) -> ExitStatus {
        let status = wait_until("the lab to end", WHOLE_RUN, || {
            self.process.try_wait().expect("our child")
        });
        let own = format!("igmpt-{}-", self.process.id());
        for directory in [
            "/run/netns",
            std::env::temp_dir().to_str().expect("a plain path"),
        ] {
            let left: Vec<_> = fs::read_dir(directory)
                .expect("a directory")
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .filter(|name| name.starts_with(&own))
                .collect();
            assert!(left.is_empty(), "left in {directory}: {left:?}");
        }
        status
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("the lab's output:\n{}", self.output());
        }
    }
}

#[test]
fn passes_and_removes_what_a_killed_run_left() {
    // The namespace of a process that is no more.
    let mut dead = Command::new("true").spawn().expect("true is executable");
    dead.wait().expect("our child");
    let leftover = format!("igmpt-{}-0-leftover", dead.id());
    assert!(
        Command::new("ip")
            .args(["netns", "add", &leftover])
            .status()
            .expect("ip is executable")
            .success()
    );

    let mut lab = Lab::start(None);
    let status = lab.end();
    let output = lab.output();
    assert!(
        status.success() && output.contains("PASS"),
        "{status}\n{output}"
    );
    for receiver in ["h1", "h2", "h3"] {
        assert!(
            output.contains(&format!("{receiver}   receives 239.1.1.")),
            "{receiver} got nothing:\n{output}"
        );
    }
    assert!(!fs::exists(format!("/run/netns/{leftover}")).expect("/run is readable"));
}

#[test]
fn finds_fault_with_a_daemon_that_forwards_nothing() {
    let mut lab = Lab::start(Some("#!/bin/sh\necho ready\nexec sleep 1000\n"));
    let status = lab.end();
    let output = lab.output();
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(
        output.contains("joins were never answered by a packet"),
        "{output}"
    );
}

#[test]
fn cleans_up_when_interrupted() {
    let mut lab = Lab::start(None);
    wait_until("the first join", WHOLE_RUN, || {
        lab.output().contains("asks for").then_some(())
    });
    // The shell's own `kill`: a minimal system has no other.
    let interrupt = format!("kill -INT {}", lab.process.id());
    assert!(
        Command::new("sh")
            .args(["-c", &interrupt])
            .status()
            .expect("sh is executable")
            .success()
    );
    lab.end();
    assert!(
        lab.output().contains("receiver  IGMP"),
        "the summary of what there was:\n{}",
        lab.output()
    );
}
