//! Who watches what when: every receiver zaps through the channels at a pace of its own.

use std::net::Ipv4Addr;
use std::time::Duration;

/// Groups that receivers watch.
pub const CHANNELS: [Ipv4Addr; 4] = [
    Ipv4Addr::new(239, 1, 1, 1),
    Ipv4Addr::new(239, 1, 1, 2),
    Ipv4Addr::new(239, 1, 1, 3),
    Ipv4Addr::new(239, 1, 1, 4),
];
/// A group that is streamed like the others and that nobody ever asks for.
pub const UNWATCHED: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 99);

/// The shortest run in which every receiver zaps and every leave can be followed to its end.
pub const SHORTEST_RUN: Duration = Duration::from_secs(8);
/// At the end every receiver is switched off, and the last leave is followed for this long.
const AFTER_SWITCH_OFF: Duration = Duration::from_secs(2);
const WARM_UP: Duration = Duration::from_millis(500);
const SHORTEST_WATCH: Duration = Duration::from_millis(1700);
/// Receivers are this much apart, so that no two act at once for long.
const STAGGER: Duration = Duration::from_millis(170);

/// One deed of a receiver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Step {
    /// When, from the start.
    pub at: Duration,
    /// Which receiver.
    pub receiver: usize,
    /// The channel it watches from now on; `None` is switched off.
    pub join: Option<Ipv4Addr>,
}

/// The deeds of all receivers in a run of this length, in the order of time.
pub fn steps(receivers: usize, length: Duration) -> Vec<Step> {
    let switch_off = length.saturating_sub(AFTER_SWITCH_OFF);
    let mut steps: Vec<Step> = (0..receivers)
        .flat_map(|receiver| viewer(receiver, switch_off))
        .collect();
    steps.sort_by_key(|step| (step.at, step.receiver));
    steps
}

fn viewer(receiver: usize, switch_off: Duration) -> Vec<Step> {
    let offset = STAGGER * u32::try_from(receiver).expect("few receivers");
    // Neighbours start on the same channel and drift apart: streams are shared for a while, then not.
    let channels = CHANNELS
        .iter()
        .copied()
        .cycle()
        .skip(receiver / 2 % CHANNELS.len());
    let times = (0..).map(|zap| WARM_UP + offset + (SHORTEST_WATCH + offset) * zap);
    times
        .take_while(|at| *at < switch_off)
        .zip(channels.map(Some))
        .chain([(switch_off, None)])
        .map(|(at, join)| Step { at, receiver, join })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_receiver_zaps_in_the_shortest_run_and_ends_switched_off() {
        let steps = steps(4, SHORTEST_RUN);
        assert!(steps.is_sorted_by_key(|step| step.at));
        for receiver in 0..4 {
            let own: Vec<_> = steps
                .iter()
                .filter(|step| step.receiver == receiver)
                .collect();
            assert!(own.len() >= 3, "{own:?}");
            assert!(
                own.windows(2).all(|pair| pair[0].join != pair[1].join),
                "{own:?}"
            );
            assert_eq!(own.last().unwrap().join, None);
            assert_eq!(own.last().unwrap().at + AFTER_SWITCH_OFF, SHORTEST_RUN);
        }
    }

    #[test]
    fn nobody_watches_the_unwatched_group() {
        assert!(
            steps(20, Duration::from_mins(1))
                .iter()
                .all(|step| step.join != Some(UNWATCHED))
        );
    }
}
