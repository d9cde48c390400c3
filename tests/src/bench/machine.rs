//! The machine that a report is from.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// What figures depend on besides the code.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Machine {
    /// Model of the processor.
    pub cpu: String,
    /// Its cores, as far as this process may use them.
    pub cores: usize,
    /// The one that forwarded.
    pub pinned_to: usize,
    /// Release of the kernel.
    pub kernel: String,
    /// Seconds since 1970.
    pub at: u64,
    /// The code.
    pub commit: String,
}

impl Machine {
    /// This one, now.
    pub fn this(commit: &str, pinned_to: usize) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpu_info = read("/proc/cpuinfo");
        let model = cpu_info
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.trim() == "model name")
            .map_or("unknown", |(_, model)| model.trim());
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            cpu: model.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            pinned_to,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            at: since.unwrap_or_default().as_secs(),
            commit: commit.to_owned(),
        }
    }
}
