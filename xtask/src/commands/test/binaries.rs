//! The test binaries of igmp-tests, several at a time: most of their time they wait.

use std::ffi::OsString;
use std::io::{Write as _, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use super::judge;
use crate::tally::Tally;
use crate::workspace::{cargo, find_program, is_root, root};

/// Each of them runs as many tests at a time as the machine has processors.
const AT_ONCE: usize = 3;
/// Tests that failed are run once more by themselves when there are no more of them: three binaries at a time, on whatever
/// else the machine has to do, can make a test late that is not at fault. It is said which these were.
const AGAIN: usize = 3;
/// How the names of those begin that measure, and want the machine for themselves.
const ALONE: &str = "e2e_alone_";

/// Builds the test binaries whose names begin with `prefix` and do not contain `except`, and runs them as root.
///
/// `prepare` sets what they find in their environment.
pub fn run(
    prefix: &str,
    except: Option<&str>,
    prepare: &(dyn Fn(&mut Command) + Sync),
    args: &[OsString],
) -> Result<Tally> {
    let sudo = if is_root() {
        None
    } else {
        let sudo = find_program("sudo");
        Some(sudo.context("these tests need root, and there is no sudo here: run them as root")?)
    };
    let command = |binary: &Path| {
        let mut command = match &sudo {
            Some(sudo) => Command::new(sudo),
            None => Command::new(binary),
        };
        if sudo.is_some() {
            command.arg("--preserve-env").arg(binary);
        }
        prepare(&mut command);
        // Where cargo would run them.
        command.current_dir(root().join("tests"));
        command.arg("--show-output").args(args);
        command
    };
    let mut binaries = build(prefix)?;
    binaries.retain(|binary| !except.is_some_and(|except| name(binary).contains(except)));
    let (alone, together): (Vec<_>, Vec<_>) = binaries
        .into_iter()
        .partition(|binary| name(binary).starts_with(ALONE));

    let queue = Mutex::new(together.into_iter());
    let next = || queue.lock().expect("no worker panics").next();
    let failed = Mutex::new(Vec::new());
    let note = |binary: &Path, names: &[String]| {
        let names = names.iter().map(|name| (binary.to_owned(), name.clone()));
        failed.lock().expect("no worker panics").extend(names);
    };
    let work = || -> Result<Tally> {
        let mut sum = Tally::default();
        while let Some(binary) = next() {
            let started = Instant::now();
            let mut output = Vec::new();
            let result = judge(command(&binary), &mut output)?;
            note(&binary, result.failed());
            sum += result.tally();
            // In one piece: others end at the same time.
            let mut stdout = stdout().lock();
            stdout.write_all(&output)?;
            let seconds = started.elapsed().as_secs_f32();
            writeln!(stdout, "{} took {seconds:.0} s", name(&binary))?;
        }
        Ok(sum)
    };
    let mut sum = Tally::default();
    thread::scope(|scope| -> Result<()> {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            sum += worker.join().expect("no worker panics")?;
        }
        Ok(())
    })?;
    for binary in alone {
        let result = judge(command(&binary), &mut stdout())?;
        note(&binary, result.failed());
        sum += result.tally();
    }

    let failed = failed.into_inner().expect("no worker panics");
    if failed.len() > AGAIN {
        return Ok(sum);
    }
    for (binary, test) in failed {
        let mut again = command(&binary);
        again.args(["--exact", &test, "--test-threads", "1"]);
        let what = format!("{}::{test}", name(&binary));
        println!("{what} failed; once more, alone:");
        let result = judge(again, &mut stdout())?.tally();
        if (result.passed, result.failed) == (1, 0) {
            println!("FLAKY {what}: failed beside others, passed alone");
            sum.failed -= 1;
            sum.passed += 1;
            sum.flaky += 1;
        }
    }
    Ok(sum)
}

/// Compiles the binaries; says where they are.
fn build(prefix: &str) -> Result<Vec<PathBuf>> {
    let built = cargo(["test", "--no-run", "--package", "igmp-tests", "--test"])
        .arg(format!("{prefix}*"))
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .context("running cargo test")?;
    if !built.status.success() {
        bail!("the tests do not compile");
    }
    let messages = String::from_utf8_lossy(&built.stdout);
    let executables = messages.lines().filter_map(executable).map(PathBuf::from);
    Ok(executables
        .filter(|path| name(path).starts_with(prefix))
        .collect())
}

/// The executable that a message of cargo's is about. Nothing else of its JSON is of use here, and a path has no quotes.
fn executable(message: &str) -> Option<&str> {
    let (_, path) = message.split_once(r#""executable":""#)?;
    Some(path.split_once('"')?.0)
}

/// `e2e_leave` of `.../deps/e2e_leave-9c51eba1a3ab1b77`.
fn name(binary: &Path) -> &str {
    let file = binary.file_name().and_then(|name| name.to_str());
    let file = file.expect("cargo gives a test the name of its source and a number");
    file.rsplit_once('-').map_or(file, |(name, _)| name)
}

#[cfg(test)]
mod tests;
