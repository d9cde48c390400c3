//! Reading a BPF ring buffer as it fills.

use std::io;

use aya::maps::{MapData, RingBuf};
use tokio::io::unix::AsyncFd;

/// Records taken at once, so that a flood on one interface lets timers and netlink have their turn.
const BATCH: usize = 64;

/// A ring buffer that the kernel programs write into.
pub struct Ring {
    ring: AsyncFd<RingBuf<MapData>>,
}

impl Ring {
    /// Wraps the ring; needs a running tokio reactor.
    ///
    /// # Errors
    ///
    /// The ring buffer cannot be waited for.
    pub fn new(ring: RingBuf<MapData>) -> io::Result<Self> {
        // SAFETY: the ring owns its map's descriptor and keeps it open for its life.
        let ring = unsafe { AsyncFd::register(ring) }?;
        Ok(Self { ring })
    }

    /// Waits for records and takes some, oldest first; those that `parse` makes nothing of are left out. True = there are
    /// more. Cancel safe: nothing is taken before the wait is over.
    ///
    /// # Errors
    ///
    /// The ring buffer cannot be waited for.
    pub async fn next_batch<T>(
        &mut self,
        batch: &mut Vec<T>,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> io::Result<bool> {
        let mut guard = self.ring.readable_mut().await?;
        let ring = guard.get_inner_mut();
        for _ in 0..BATCH {
            let Some(record) = ring.next() else {
                guard.clear_ready();
                return Ok(false);
            };
            batch.extend(parse(&record));
        }
        Ok(true)
    }
}
