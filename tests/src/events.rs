//! What igmpd tells as it happens, read by the real igmpctl.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::wait::wait_until;

const CONNECTED_WITHIN: Duration = Duration::from_secs(5);

/// A running `igmpctl --json events`. It ends when dropped.
#[must_use = "dropping it ends the stream"]
pub struct Events {
    process: Child,
    lines: Arc<Mutex<Vec<Value>>>,
}

impl Events {
    /// Starts the command; nothing that happens after the return is missed.
    #[track_caller]
    pub(crate) fn follow(mut command: Command) -> Self {
        let mut process = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("igmpctl is executable");
        let output = BufReader::new(process.stdout.take().expect("stdout is piped"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        thread::spawn({
            let lines = lines.clone();
            move || {
                for line in output.lines().map_while(Result::ok) {
                    let event = serde_json::from_str(&line).expect("a JSON object a line");
                    lines.lock().expect("no reader panics").push(event);
                }
            }
        });
        let events = Self { process, lines };
        events.wait_for("the stream to begin", CONNECTED_WITHIN, |event| {
            event["event"] == "connected"
        });
        events
    }

    /// The events that `is_wanted` accepts, so far.
    pub fn all(&self, is_wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let lines = self.lines.lock().expect("the reader is well");
        lines
            .iter()
            .filter(|event| is_wanted(event))
            .cloned()
            .collect()
    }

    /// The first event that `is_wanted` accepts.
    #[track_caller]
    pub fn wait_for(
        &self,
        what: &str,
        timeout: Duration,
        is_wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        wait_until(what, timeout, || self.all(&is_wanted).into_iter().next())
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            for event in self.all(|_| true) {
                eprintln!("event: {event}");
            }
        }
    }
}
