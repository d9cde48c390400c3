//! Waiting for conditions instead of for time, and ending what others wait for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Probes until the answer is `Some` and returns it; panics with `what` when `timeout` passes first.
#[track_caller]
pub fn wait_until<T>(what: &str, timeout: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "waited {timeout:?} in vain for: {what}"
        );
        thread::sleep(POLL_INTERVAL);
    }
}

/// Probes for the whole of `duration`; panics with `what` as soon as the answer is `Some`.
#[track_caller]
pub fn assert_never<T: std::fmt::Debug>(
    what: &str,
    duration: Duration,
    mut probe: impl FnMut() -> Option<T>,
) {
    let end = Instant::now() + duration;
    loop {
        if let Some(found) = probe() {
            panic!("must not happen: {what}: {found:?}");
        }
        if Instant::now() >= end {
            return;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Sets a flag when it is dropped: what a thread goes by that a scope waits for, also when a test panics there.
pub struct SetOnDrop<'a>(pub &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
