//! Makes replication sets, and lets RCU grace periods pass, on a thread of its own.
//!
//! Writing a map into a map of maps waits for an RCU grace period: about 12 ms, one at a time. The event loop never does;
//! it hands a [`Job`] over and gets a [`Done`] back.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result};
use aya::maps::{DevMapHash, Map, MapData};
use aya_obj::generated::bpf_map_type;
use igmp_common::maps::NO_SET;
use tokio::sync::mpsc as async_mpsc;
use tracing::warn;

use super::sys;
use crate::fib::Retired;
use crate::fib::sets::SetId;

/// A replication set: output ifindex -> device and egress program.
pub type Set = DevMapHash<MapData>;

/// What the thread is to do.
#[derive(Debug, Default)]
pub struct Job {
    /// Sets to make, with their size classes.
    pub make: Vec<(SetId, u8)>,
    /// Comes back after a grace period.
    pub retired: Retired,
}

/// What it has done. A grace period has passed since the job was handed over.
pub struct Done {
    /// The sets made, empty and installed.
    pub sets: Vec<(SetId, Set)>,
    /// Their size classes, as requested.
    pub made: Vec<(SetId, u8)>,
    /// The retired things of the job.
    pub retired: Retired,
}

/// The thread's ends of the channels. It ends when this is dropped.
pub struct Pool {
    jobs: mpsc::Sender<Job>,
    done: async_mpsc::UnboundedReceiver<Done>,
    busy: bool,
}

impl Pool {
    /// Starts the thread, which owns the outer map.
    ///
    /// # Errors
    ///
    /// No memory for a map, or no thread to be had.
    pub fn start(outer: MapData) -> Result<Self> {
        let anchor = make_set(0)?;
        let (jobs, job_queue) = mpsc::channel::<Job>();
        let (done_queue, done) = async_mpsc::unbounded_channel();
        thread::Builder::new()
            .name("set-pool".into())
            .spawn(move || {
                for job in job_queue {
                    if done_queue.send(run(&outer, &anchor, job)).is_err() {
                        break;
                    }
                }
            })
            .context("starting the set pool's thread")?;
        Ok(Self {
            jobs,
            done,
            busy: false,
        })
    }

    /// True while a job is under way: one at a time is enough, the next takes what came up meanwhile.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// Hands a job over.
    pub fn submit(&mut self, job: Job) {
        self.busy = self.jobs.send(job).is_ok();
    }

    /// Waits for the job under way; for ever when there is none.
    pub async fn done(&mut self) -> Option<Done> {
        let done = self.done.recv().await;
        self.busy = false;
        done
    }
}

fn run(outer: &MapData, anchor: &MapData, job: Job) -> Done {
    let mut sets = Vec::with_capacity(job.make.len());
    for (id, class) in &job.make {
        match make_set(*class) {
            Ok(set) => sets.push((*id, set)),
            Err(error) => {
                warn!("making replication sets: {error:#}");
                break;
            }
        }
    }
    let keys: Vec<u32> = sets.iter().map(|(id, _)| id.0).collect();
    let fds: Vec<u32> = sets.iter().map(|(_, set)| raw_fd(set)).collect();
    if !keys.is_empty() && sys::map_update_batch(super::fd(outer), &keys, &fds).is_err() {
        // Before kernel 5.19: one at a time.
        for (key, fd) in keys.iter().zip(&fds) {
            if let Err(error) = sys::map_update(super::fd(outer), *key, *fd) {
                warn!("installing replication set {key}: {error}");
            }
        }
    }
    // Whatever the batch did, this single update returns only after a grace period.
    if let Err(error) = sys::map_update(super::fd(outer), NO_SET, raw_fd(anchor)) {
        warn!("waiting for a grace period: {error}");
    }
    let made = job.make.iter().take(sets.len()).copied().collect();
    let typed = |(id, set)| Some((id, Set::try_from(Map::DevMapHash(set)).ok()?));
    Done {
        sets: sets.into_iter().filter_map(typed).collect(),
        made,
        retired: job.retired,
    }
}

fn make_set(class: u8) -> Result<MapData> {
    const KEY_LEN: u32 = 4; // output ifindex
    const VALUE_LEN: u32 = 8; // struct bpf_devmap_val
    let definition = aya_obj::Map::new_from_params(
        bpf_map_type::BPF_MAP_TYPE_DEVMAP_HASH as u32,
        KEY_LEN,
        VALUE_LEN,
        1 << class,
        0,
    );
    MapData::create(definition, "igmp_set", None).context("creating a replication set")
}

fn raw_fd(set: &MapData) -> u32 {
    set.fd().as_fd().as_raw_fd().cast_unsigned()
}
