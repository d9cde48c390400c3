//! Whether somebody has detached a program of ours (`bpftool link detach`).
//!
//! The kernel does not tell, and asking it waits for its lock over network devices.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::beside;

/// How often it is asked.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Sends something whenever one of our links is seen without its device: its program was detached, or the device is gone.
#[must_use]
pub fn watch() -> mpsc::Receiver<()> {
    let (seen, receiver) = mpsc::channel(1);
    beside::spawn("detached", || async move {
        let mut ticks = interval(LOOK_AGAIN);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !seen.is_closed() {
            ticks.tick().await;
            match is_any_detached() {
                Ok(true) => {
                    // Full: it is known already.
                    let _ = seen.try_send(());
                }
                Err(error) => {
                    warn!(
                        "programs that somebody detaches will not be noticed: /proc/self/fd: {error}"
                    );
                    return;
                }
                Ok(false) => {}
            }
        }
    });
    receiver
}

fn is_any_detached() -> io::Result<bool> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let is_link = fs::read_link(entry.path())
            .is_ok_and(|target| target == Path::new("anon_inode:bpf_link"));
        if is_link {
            let info = Path::new("/proc/self/fdinfo").join(entry.file_name());
            // Closed meanwhile.
            let info = fs::read_to_string(info).unwrap_or_default();
            if is_detached(&info) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Reads what the kernel says of a link (`bpf_link_show_fdinfo`).
fn is_detached(info: &str) -> bool {
    let is_on_device = info
        .lines()
        .any(|line| matches!(line, "link_type:\txdp" | "link_type:\ttcx"));
    is_on_device && info.lines().any(|line| line == "ifindex:\t0")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.18 shows links.
    #[test]
    fn a_link_without_its_device_is_detached() {
        let tcx = |ifindex| {
            format!(
                "pos:\t0\nflags:\t02000002\nmnt_id:\t16\nino:\t11\nlink_type:\ttcx\nlink_id:\t7\nprog_tag:\t\
                 b1f1a9fdf8f1e5c0\nprog_id:\t40\nifindex:\t{ifindex}\nattach_type:\t46 (tcx_ingress)\n"
            )
        };
        assert!(!is_detached(&tcx(12)));
        assert!(is_detached(&tcx(0)));
        assert!(is_detached(
            "link_type:\txdp\nlink_id:\t8\nprog_id:\t39\nifindex:\t0\n"
        ));
        // Of no device at all.
        assert!(!is_detached("link_type:\titer\nifindex:\t0\n"));
    }
}
