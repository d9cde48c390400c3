//! Threads beside the event loop, for what waits for the kernel.
//!
//! Whoever asks about network devices waits for the kernel's lock over them, which it holds for seconds while it takes down
//! a namespace with hundreds. Neither the event loop nor the one worker that serves its clients may wait with him.

use std::future::Future;
use std::thread;

use tokio::runtime::Builder;
use tracing::error;

/// Runs `task` on a thread of this name, with a runtime of its own, until it ends or the process does.
pub fn spawn<T: Future<Output = ()>>(
    name: &'static str,
    task: impl FnOnce() -> T + Send + 'static,
) {
    let run = move || match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(task()),
        Err(error) => error!("{name}: {error}"),
    };
    if let Err(error) = thread::Builder::new().name(name.into()).spawn(run) {
        error!("no thread for {name}: {error}");
    }
}
