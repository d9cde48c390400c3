//! A receiver of a stream that takes what comes as it comes, so that no socket buffer hides what happens meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use crate::host::{Arrival, Subscription};
use crate::stream::Stream;
use crate::sys;
use crate::wait::wait_until;

/// The longest silence that is not the end of a stream of 2,000 datagrams a second on a busy machine.
pub const SILENCE: Duration = Duration::from_millis(300);
const SOON: Duration = Duration::from_secs(5);
/// Between two looks at the socket.
const PAUSE: Duration = Duration::from_millis(2);

/// A subscription that a thread of its own reads.
#[must_use = "dropping it leaves the group"]
pub struct Receiver {
    progress: Arc<Mutex<Progress>>,
    is_over: Arc<AtomicBool>,
    reader: JoinHandle<Subscription>,
}

/// What has come.
struct Progress {
    last: Arrival,
    received: u64,
    /// Where a datagram did not follow the one before: lost, doubled or out of order.
    breaks: Vec<(u64, u64)>,
    /// What was there in time and found the socket full.
    overflowed: u32,
}

impl Receiver {
    /// Waits for the first datagram and reads on.
    #[track_caller]
    pub fn new(subscription: Subscription) -> Self {
        let progress = Arc::new(Mutex::new(Progress {
            last: subscription.wait_for_arrival(SOON),
            received: 1,
            breaks: Vec::new(),
            overflowed: 0,
        }));
        let is_over = Arc::new(AtomicBool::new(false));
        let reader = thread::spawn({
            let (progress, is_over) = (progress.clone(), is_over.clone());
            move || {
                // A full socket would be the fault of whatever else runs here. Where this is not allowed, it is told.
                let _ = sys::come_first();
                while !is_over.load(Ordering::Relaxed) {
                    let arrivals = subscription.arrivals();
                    let overflowed = subscription.overflowed();
                    progress
                        .lock()
                        .expect("no reader panics")
                        .take(&arrivals, overflowed);
                    thread::sleep(PAUSE);
                }
                subscription
            }
        });
        Self {
            progress,
            is_over,
            reader,
        }
    }

    /// Waits until something has come that was sent from now on.
    #[track_caller]
    pub fn goes_on(&self, stream: &Stream) {
        self.wait_for(stream.sent() + 100, SOON);
    }

    /// Waits for a datagram, or one after it.
    #[track_caller]
    pub fn wait_for(&self, sequence: u64, within: Duration) {
        wait_until(&format!("datagram {sequence}"), within, || {
            (self.progress().last.sequence >= sequence).then_some(())
        });
    }

    /// Waits until nothing has come for a while; says when the last came.
    #[track_caller]
    pub fn wait_for_silence(&self, within: Duration) -> SystemTime {
        wait_until("the stream to end", within, || {
            let last = self.progress().last.at;
            let silence = last.elapsed().unwrap_or_default();
            (silence >= SILENCE).then_some(last)
        })
    }

    /// Panics unless every datagram followed the one before; says what of it the socket had no room for, which is the
    /// fault of no network.
    #[track_caller]
    pub fn assert_gapless(&self) {
        let progress = self.progress();
        assert!(
            progress.breaks.is_empty(),
            "datagrams lost, doubled or out of order between {:?}; {} did not fit into the socket",
            progress.breaks,
            progress.overflowed
        );
    }

    /// How many datagrams have come.
    pub fn received(&self) -> u64 {
        self.progress().received
    }

    /// Receives no more; the socket is still a member.
    pub fn end(self) -> Subscription {
        self.is_over.store(true, Ordering::Relaxed);
        self.reader.join().expect("what arrived was whole")
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().expect("the reader is well")
    }
}

impl Progress {
    fn take(&mut self, arrivals: &[Arrival], overflowed: u32) {
        for arrival in arrivals {
            if arrival.sequence != self.last.sequence + 1 {
                self.breaks.push((self.last.sequence, arrival.sequence));
            }
            self.last = *arrival;
        }
        self.received += arrivals.len() as u64;
        self.overflowed = overflowed;
    }
}

#[cfg(test)]
mod tests;
