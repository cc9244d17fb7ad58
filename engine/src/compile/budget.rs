//! How much waits for a task that may be late: of several that are, the one with the most behind it is given up first.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering::Relaxed,
};

use super::rack::Rack;
use crate::plan::InstanceId;

impl Rack {
    /// Whether there is anything that may be late.
    pub fn may_be_late(&self) -> bool {
        self.instances.values().any(|instance| instance.lane.is_some())
    }

    /// Gives every task that may be late its budget: what everything behind it takes, one after the other.
    pub fn budget(&self) {
        let mut leaving: BTreeMap<InstanceId, BTreeSet<InstanceId>> = BTreeMap::new();
        for term in self.terms.keys() {
            leaving.entry(term.from).or_default().insert(term.to);
        }
        for (id, instance) in self.instances.iter().filter(|(_, instance)| instance.lane.is_some()) {
            let mut behind = BTreeSet::new();
            let mut next = vec![*id];
            while let Some(id) = next.pop() {
                next.extend(leaving.get(&id).into_iter().flatten().filter(|to| behind.insert(**to)));
            }
            let cost = |id: &InstanceId| self.instances.get(id).map_or(0, |i| i.vitals.cost.load(Relaxed));
            instance.vitals.budget.store(behind.iter().map(cost).sum(), Relaxed);
        }
    }
}
