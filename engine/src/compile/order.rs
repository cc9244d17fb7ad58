//! In which order the stages run.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use super::rack::Rack;
use crate::plan::{InstanceId, TermId};

/// The instances in an order in which every term's source comes before its destination, and the terms that
/// must wait.
///
/// Terms that fade out are no part of the session's graph, and together with `new` ones they can form a cycle.
/// Then the new ones that close it are held back until the others are gone.
pub fn order(rack: &Rack, new: &BTreeSet<TermId>) -> (Vec<InstanceId>, BTreeSet<TermId>) {
    let mut held = BTreeSet::new();
    if let Some(order) = sorted(rack, &held) {
        return (order, held);
    }
    held.clone_from(new);
    for term in new {
        held.remove(term);
        if sorted(rack, &held).is_none() {
            held.insert(*term);
        }
    }
    (sorted(rack, &held).unwrap_or_default(), held)
}

/// Kahn's algorithm; among what is ready, the smallest number first, so that the order depends on nothing
/// but the session.
fn sorted(rack: &Rack, held: &BTreeSet<TermId>) -> Option<Vec<InstanceId>> {
    let mut waiting: BTreeMap<InstanceId, usize> = rack.instances.keys().map(|id| (*id, 0)).collect();
    let mut leaving: BTreeMap<InstanceId, Vec<InstanceId>> = BTreeMap::new();
    for term in rack.terms.keys().filter(|term| !held.contains(term)) {
        *waiting.get_mut(&term.to)? += 1;
        leaving.entry(term.from).or_default().push(term.to);
    }
    let mut ready: BinaryHeap<Reverse<InstanceId>> =
        waiting.iter().filter(|(_, count)| **count == 0).map(|(id, _)| Reverse(*id)).collect();
    let mut order = Vec::with_capacity(waiting.len());
    while let Some(Reverse(id)) = ready.pop() {
        order.push(id);
        for next in leaving.get(&id).into_iter().flatten() {
            let count = waiting.get_mut(next)?;
            *count -= 1;
            if *count == 0 {
                ready.push(Reverse(*next));
            }
        }
    }
    (order.len() == waiting.len()).then_some(order)
}
