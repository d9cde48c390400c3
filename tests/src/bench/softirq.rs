//! The thread that the kernel leaves a core's packets to when there are too many at once.

use std::fs;
use std::path::PathBuf;

/// `ksoftirqd` of one core. What it does is part of what packets cost: it frees, too, what had to wait for an RCU grace
/// period.
pub struct SoftirqThread(Option<PathBuf>);

impl SoftirqThread {
    /// That of the core `cpu`; in a container it may be out of sight, and then its time is not counted.
    pub fn of(cpu: usize) -> Self {
        let name = format!("ksoftirqd/{cpu}");
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let thread = processes.map(|entry| entry.path()).find(|path| {
            fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim_end() == name)
        });
        Self(thread.map(|path| path.join("schedstat")))
    }

    /// Whether it can be seen.
    pub fn is_visible(&self) -> bool {
        self.0.is_some()
    }

    /// Nanoseconds that it has run.
    pub fn run_ns(&self) -> u64 {
        let stat = self
            .0
            .as_ref()
            .and_then(|path| fs::read_to_string(path).ok());
        stat.and_then(|stat| stat.split(' ').next()?.parse().ok())
            .unwrap_or_default()
    }
}
