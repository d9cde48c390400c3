//! Kernel maps as memory of this process.

use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{NonNull, null_mut};
use std::slice;
use std::sync::atomic::AtomicU64;

use anyhow::{Context, Result};
use aya::maps::MapData;

/// The values of an array map with `BPF_F_MMAPABLE` whose value size is a multiple of eight octets, as words. The kernel
/// programs read and write them at the same time.
#[derive(Debug)]
pub struct Words {
    start: NonNull<AtomicU64>,
    len: usize,
}

impl Words {
    /// All values of `map`.
    ///
    /// # Errors
    ///
    /// The map is of another kind, or there is no address space.
    pub fn of(map: &MapData) -> Result<Self> {
        let info = map.info()?;
        let bytes = info.max_entries() as usize * info.value_size() as usize;
        // SAFETY: a new mapping, where the kernel chooses; nothing else has an address in it.
        let start = unsafe {
            libc::mmap(
                null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.fd().as_fd().as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error()).context("mapping a kernel map into memory");
        }
        Ok(Self {
            start: NonNull::new(start.cast()).context("mapped at address zero")?,
            len: bytes / size_of::<AtomicU64>(),
        })
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: the mapping has that many words, begins with a page and lasts as long as this; any bit pattern is a word,
        // and whoever else writes them, the kernel programs, writes whole words.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no reference into it outlives this.
        unsafe { libc::munmap(self.start.as_ptr().cast(), size_of_val::<[_]>(self)) };
    }
}

// SAFETY: the mapping is the process's, not a thread's, and is only reached as atomic words.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}
