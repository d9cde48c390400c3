//! Histories without end, and of one that fails as little as will do.

use super::history::{Step, history};
use super::random::Random;

/// What a failure says, given to cargo, repeats it; without it each run tries others.
const SEED: Option<&str> = option_env!("IGMPD_MODEL_SEED");

/// Tries `count` random histories. `check` says after which step what is wrong; what it decides at random is decided the
/// same way each time it is asked about a history.
pub(super) fn every_history(
    count: u32,
    check: impl Fn(&[Step], &mut Random) -> Result<(), String>,
) {
    let seed = SEED.map_or_else(Random::fresh_seed, |seed| {
        seed.parse().expect("IGMPD_MODEL_SEED is a number")
    });
    let mut seeds = Random::seeded(seed);
    for number in 0..count {
        let steps = history(&mut Random::seeded(seeds.next()));
        let chance = seeds.next();
        let try_out = |steps: &[Step]| check(steps, &mut Random::seeded(chance));
        if try_out(&steps).is_err() {
            let steps = shortest(steps, |steps| try_out(steps).is_err());
            let difference = try_out(&steps).expect_err("it is what fails");
            panic!(
                "history {number} of IGMPD_MODEL_SEED={seed}: {difference}\nshortest: {steps:#?}"
            );
        }
    }
}

/// The history without the steps that make no difference to its failing.
fn shortest(mut steps: Vec<Step>, fails: impl Fn(&[Step]) -> bool) -> Vec<Step> {
    let mut place = 0;
    while place < steps.len() {
        let mut shorter = steps.clone();
        shorter.remove(place);
        if fails(&shorter) {
            steps = shorter;
            place = 0;
        } else {
            place += 1;
        }
    }
    steps
}
