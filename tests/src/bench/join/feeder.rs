//! The source: it sends without a pause what is being measured, on a core that nothing else gets meanwhile, so that it
//! never waits for the router that it is to be forwarded by.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::host::Host;
use crate::sys;

/// Between two packets: how finely a time is seen.
const INTERVAL: Duration = Duration::from_micros(50);

/// Packets on their way, until it is dropped.
pub(super) struct Feeder {
    packets: Arc<Mutex<Vec<Vec<u8>>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Feeder {
    pub(super) fn start(source: &Host, cpu: usize) -> Self {
        let packets = Arc::new(Mutex::new(Vec::<Vec<u8>>::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let sender = source.frame_sender();
        let thread = thread::spawn({
            let (packets, is_over) = (packets.clone(), is_over.clone());
            move || {
                sys::pin_to(cpu).expect("one of the cores of this machine");
                // Where this is not allowed, times are seen less finely.
                let _ = sys::come_first();
                let started = Instant::now();
                let mut due = Duration::ZERO;
                for turn in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    {
                        let packets = packets.lock().expect("nobody panics with it");
                        if !packets.is_empty() {
                            sender.send(&packets[turn % packets.len()]);
                        }
                    }
                    // What is late is not made up for: that would be a burst.
                    due = due.max(started.elapsed()) + INTERVAL;
                    thread::sleep(due.saturating_sub(started.elapsed()));
                }
            }
        });
        Self {
            packets,
            is_over,
            thread: Some(thread),
        }
    }

    /// Sends these in turn from now on.
    pub(super) fn send(&self, packets: Vec<Vec<u8>>) {
        *self.packets.lock().expect("the thread is well") = packets;
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(
            matches!(ended, Some(Ok(()))) || thread::panicking(),
            "the source failed"
        );
    }
}
