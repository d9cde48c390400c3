//! Replication sets: which exist, which are spare, who shares which.
//!
//! The kernel walks every bucket of a set for every packet, so sets come in power-of-two size classes and outputs go into
//! the smallest class that holds them. Making a set waits for an RCU grace period, so spares of each class are kept
//! ready, and a set that nobody names any more becomes spare again once no packet can be using it.

use std::collections::HashMap;

use igmp_common::maps::MAX_SETS;

use super::Refusal;
use super::routes::Outputs;
use crate::proto::IfIndex;

/// Index of a replication set; never [`igmp_common::maps::NO_SET`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SetId(pub u32);

/// Size classes: class `c` holds up to 2^c outputs.
pub const CLASSES: u8 = 11;

/// Spares kept ready in each class at first; a class that runs dry doubles its own, up to [`MAX_SPARES`].
const FIRST_SPARES: [usize; CLASSES as usize] = [64, 64, 64, 64, 32, 16, 16, 8, 8, 4, 4];
const MAX_SPARES: usize = 1024;

/// The smallest class that holds `outputs` outputs; `None` when no class does.
#[must_use]
pub fn class_for(outputs: usize) -> Option<u8> {
    let class = outputs.next_power_of_two().trailing_zeros();
    u8::try_from(class).ok().filter(|class| *class < CLASSES)
}

#[derive(Debug)]
struct Set {
    class: u8,
    /// Flows that name this set.
    users: usize,
    outputs: Outputs,
}

#[derive(Debug, Default)]
struct Class {
    spare: Vec<SetId>,
    requested: usize,
    target: usize,
}

/// All replication sets.
#[derive(Debug)]
pub struct Sets {
    by_id: HashMap<SetId, Set>,
    by_outputs: HashMap<Outputs, SetId>,
    classes: Vec<Class>,
    next_id: u32,
}

impl Sets {
    /// None yet, not even spares.
    #[must_use]
    pub fn new() -> Self {
        let class = |target| Class {
            target,
            ..Class::default()
        };
        Self {
            by_id: HashMap::new(),
            by_outputs: HashMap::new(),
            classes: FIRST_SPARES.into_iter().map(class).collect(),
            next_id: 1,
        }
    }

    /// What `set` replicates to.
    #[must_use]
    pub fn outputs(&self, set: SetId) -> &[IfIndex] {
        self.by_id.get(&set).map_or(&[], |set| &set.outputs)
    }

    /// Sets that flows name.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.by_outputs.len()
    }

    /// Sets that are ready to be used.
    #[must_use]
    pub fn spare(&self) -> usize {
        self.classes.iter().map(|class| class.spare.len()).sum()
    }

    /// Sets that replicate to `interface`, with all their outputs.
    pub fn with_output(&self, interface: IfIndex) -> impl Iterator<Item = SetId> {
        let uses = move |set: &Set| set.outputs.binary_search(&interface).is_ok();
        self.by_id
            .iter()
            .filter(move |(_, set)| uses(set))
            .map(|(id, _)| *id)
    }

    /// A set of exactly these outputs with one more user, and whether it is new (a spare the caller must fill).
    ///
    /// # Errors
    ///
    /// No spare is large enough, or no set can be.
    pub fn acquire(&mut self, outputs: &Outputs) -> Result<(SetId, bool), Refusal> {
        if let Some(id) = self.by_outputs.get(outputs) {
            if let Some(set) = self.by_id.get_mut(id) {
                set.users += 1;
            }
            return Ok((*id, false));
        }
        let fitting = class_for(outputs.len()).ok_or(Refusal::TooManyOutputs)?;
        // A larger class costs speed, a refusal costs the stream.
        let Some((class, id)) = (fitting..CLASSES)
            .find_map(|class| Some((class, self.classes[usize::from(class)].spare.pop()?)))
        else {
            let class = &mut self.classes[usize::from(fitting)];
            class.target = (class.target * 2).min(MAX_SPARES);
            return Err(Refusal::NoSpareSet);
        };
        let set = Set {
            class,
            users: 1,
            outputs: outputs.clone(),
        };
        self.by_id.insert(id, set);
        self.by_outputs.insert(outputs.clone(), id);
        Ok((id, true))
    }

    /// Takes one user away; true when it was the last: the set can be recycled after a grace period.
    pub fn release(&mut self, id: SetId) -> bool {
        let Some(set) = self.by_id.get_mut(&id) else {
            return false;
        };
        set.users -= 1;
        if set.users > 0 {
            return false;
        }
        self.by_outputs.remove(&set.outputs);
        true
    }

    /// Makes a released set spare; returns what it still holds in the kernel.
    pub fn recycle(&mut self, id: SetId) -> Outputs {
        let Some(set) = self.by_id.remove(&id) else {
            return Outputs::new();
        };
        self.classes[usize::from(set.class)].spare.push(id);
        set.outputs
    }

    /// Sets to make so that each class has its spares; empty while at least half of them are there.
    pub fn request_spares(&mut self) -> Vec<(SetId, u8)> {
        let mut wanted = Vec::new();
        for (class, number) in self.classes.iter_mut().zip(0..) {
            let ready = class.spare.len() + class.requested;
            if ready > class.target / 2 {
                continue;
            }
            let count = (class.target - ready).min((MAX_SETS - self.next_id) as usize);
            class.requested += count;
            for _ in 0..count {
                wanted.push((SetId(self.next_id), number));
                self.next_id += 1;
            }
        }
        wanted
    }

    /// These requested sets are installed, empty.
    pub fn add_spares(&mut self, made: &[(SetId, u8)]) {
        for (id, class) in made {
            let class = &mut self.classes[usize::from(*class)];
            class.requested = class.requested.saturating_sub(1);
            class.spare.push(*id);
        }
    }
}

impl Default for Sets {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(interfaces: &[u32]) -> Outputs {
        interfaces.iter().map(|i| IfIndex(*i)).collect()
    }

    fn stocked() -> Sets {
        let mut sets = Sets::new();
        let made = sets.request_spares();
        sets.add_spares(&made);
        sets
    }

    #[test]
    fn classes_are_the_smallest_power_of_two_that_holds_the_outputs() {
        let classes = [1, 2, 3, 4, 5, 64, 65, 1024].map(|n| class_for(n).unwrap());
        assert_eq!(classes, [0, 1, 2, 2, 3, 6, 7, 10]);
        assert_eq!(class_for(1025), None);
    }

    #[test]
    fn equal_outputs_share_a_set_until_the_last_user_goes() {
        let mut sets = stocked();
        let (a, new) = sets.acquire(&outputs(&[2, 3])).unwrap();
        assert!(new);
        assert_eq!(sets.acquire(&outputs(&[2, 3])).unwrap(), (a, false));
        let (b, new) = sets.acquire(&outputs(&[2])).unwrap();
        assert!(new && a != b);
        assert_eq!(sets.in_use(), 2);
        assert!(!sets.release(a));
        assert!(sets.release(a));
        assert_eq!(sets.in_use(), 1);
        let (again, new) = sets.acquire(&outputs(&[2, 3])).unwrap();
        assert!(new && again != a, "not recycled before a grace period");
        assert_eq!(sets.recycle(a), outputs(&[2, 3]));
    }

    #[test]
    fn spares_are_requested_once_and_again_when_half_are_gone() {
        let mut sets = Sets::new();
        let made = sets.request_spares();
        assert_eq!(made.len(), FIRST_SPARES.iter().sum::<usize>());
        assert!(sets.request_spares().is_empty(), "already on their way");
        assert_eq!(sets.acquire(&outputs(&[2])), Err(Refusal::NoSpareSet));
        sets.add_spares(&made);
        for n in 0..64 {
            sets.acquire(&outputs(&[2, 100 + n])).unwrap();
        }
        let more = sets.request_spares();
        assert!(more.iter().filter(|(_, class)| *class == 1).count() >= 64);
        assert!(
            more.iter()
                .all(|(id, _)| !made.iter().any(|(old, _)| old == id))
        );
    }

    #[test]
    fn a_larger_class_serves_when_the_fitting_one_is_dry() {
        let mut sets = stocked();
        for n in 0..64 {
            sets.acquire(&outputs(&[n])).unwrap();
        }
        let (id, _) = sets.acquire(&outputs(&[1000])).unwrap();
        assert_eq!(sets.by_id[&id].class, 1);
        assert_eq!(
            sets.acquire(&(0..2000).map(IfIndex).collect()),
            Err(Refusal::TooManyOutputs)
        );
    }

    #[test]
    fn ids_are_never_zero_and_never_past_the_table() {
        let mut sets = Sets::new();
        let mut all = Vec::new();
        loop {
            let made = sets.request_spares();
            if made.is_empty() {
                break;
            }
            sets.add_spares(&made);
            for (id, class) in made {
                all.push(id);
                let full: Outputs = (0..1 << class).map(|i| IfIndex(i + id.0 * 2048)).collect();
                let _ = sets.acquire(&full);
            }
        }
        assert!(all.iter().all(|id| id.0 >= 1 && id.0 < MAX_SETS));
        assert_eq!(all.len(), MAX_SETS as usize - 1);
    }
}
