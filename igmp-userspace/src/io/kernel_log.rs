//! The kernel programs' debug messages, into our log.

use std::io;

use aya_log::EbpfLogger;
use tokio::io::unix::AsyncFd;

/// Forwards them for as long as the runtime lives.
pub fn forward(logger: EbpfLogger<&'static dyn log::Log>) -> io::Result<()> {
    // SAFETY: the logger owns its ring's descriptor and keeps it open for its life.
    let mut logger = unsafe { AsyncFd::register(logger) }?;
    tokio::spawn(async move {
        while let Ok(mut guard) = logger.readable_mut().await {
            guard.get_inner_mut().flush();
            guard.clear_ready();
        }
    });
    Ok(())
}
