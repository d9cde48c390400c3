//! What a long job is doing, one line a step: what, then how long it took.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::workspace;

/// How much of a failed step's output is shown; the log has the rest.
const TAIL_LINES: usize = 60;

/// Runs steps; their output goes to a log file, which is shown when one fails.
pub struct Progress {
    log: PathBuf,
    verbose: bool,
}

impl Progress {
    /// With `verbose`, the output of the steps is shown as it comes instead.
    pub fn new(verbose: bool) -> Result<Self> {
        let directory = workspace::target_dir()?.join("xtask");
        fs::create_dir_all(&directory)
            .with_context(|| format!("creating {}", directory.display()))?;
        Ok(Self {
            log: directory.join("setup.log"),
            verbose,
        })
    }

    /// Runs one step.
    pub fn step(&self, what: &str, command: &mut Command) -> Result<()> {
        let started = Instant::now();
        eprint!("setup: {what} ... ");
        if self.verbose {
            eprintln!("\n$ {}", shown(command));
        } else {
            let mut log = File::create(&self.log)
                .with_context(|| format!("creating {}", self.log.display()))?;
            writeln!(log, "$ {}", shown(command))?;
            command.stdout(log.try_clone()?).stderr(log);
        }
        // What asks questions (sudo) asks the terminal itself; nothing else may wait for an answer.
        let status = command.stdin(Stdio::null()).status();
        let seconds = started.elapsed().as_secs_f32();
        match status {
            Ok(status) if status.success() => {
                eprintln!("{seconds:.1} s");
                Ok(())
            }
            Ok(status) => {
                eprintln!("failed after {seconds:.1} s");
                self.show_log();
                bail!("{what}: {status}")
            }
            Err(error) => {
                eprintln!("failed");
                Err(error).with_context(|| format!("{what}: {}", shown(command)))
            }
        }
    }

    fn show_log(&self) {
        if self.verbose {
            return;
        }
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        for line in &lines[lines.len().saturating_sub(TAIL_LINES)..] {
            eprintln!("    {line}");
        }
        eprintln!("    (all of it: {})", self.log.display());
    }
}

/// A command as one would type it.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
