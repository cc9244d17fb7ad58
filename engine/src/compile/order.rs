//! In which order the stages run.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap},
};

use super::{growing::Growing, rack::Rack};
use crate::plan::{InstanceId, TermId};

/// Which task each instance is, and which tasks the terms connect.
pub struct Order {
    /// The instances in an order in which every term's source comes before its destination.
    pub tasks: Vec<InstanceId>,
    /// The task of each of the rack's instances, in the rack's order.
    pub task_of: Vec<usize>,
    /// Source and destination of each of the rack's terms, in the rack's order, without those that are held.
    pub ends: Vec<(usize, usize)>,
}

/// The order of the instances, and the terms that must wait.
///
/// Terms that fade out are no part of the session's graph, and together with `new` ones they can form a cycle.
/// Then the new ones that close it are held back until the others are gone.
pub fn order(rack: &Rack, new: &BTreeSet<TermId>) -> (Order, BTreeSet<TermId>) {
    // Never iterated, so that nothing depends on how it hashes.
    let place: HashMap<&InstanceId, usize> = rack.instances.keys().zip(0..).collect();
    let mut ends: Vec<(usize, usize)> =
        rack.terms.keys().map(|term| (place[&term.from], place[&term.to])).collect();
    let mut held = BTreeSet::new();
    let sorted = sorted(place.len(), &ends).unwrap_or_else(|| {
        let (without, with): (Vec<_>, Vec<_>) =
            rack.terms.keys().zip(&ends).partition(|(term, _)| !new.contains(term));
        let old: Vec<_> = without.into_iter().map(|(_, ends)| *ends).collect();
        let Some(order) = sorted(place.len(), &old) else {
            unreachable!("what was played before had an order");
        };
        let mut patch = Growing::new(&order, &old);
        let mut fits = |(from, to): (usize, usize)| patch.add(from, to);
        held.extend(with.into_iter().filter(|(_, ends)| !fits(**ends)).map(|(term, _)| *term));
        let mut terms = rack.terms.keys();
        ends.retain(|_| terms.next().is_some_and(|term| !held.contains(term)));
        let Some(order) = sorted(place.len(), &ends) else {
            unreachable!("whatever would close a cycle is held back");
        };
        order
    });
    let mut task_of = vec![0; place.len()];
    sorted.iter().enumerate().for_each(|(task, place)| task_of[*place] = task);
    ends.iter_mut().for_each(|(from, to)| (*from, *to) = (task_of[*from], task_of[*to]));
    let ids: Vec<&InstanceId> = rack.instances.keys().collect();
    let tasks = sorted.into_iter().map(|place| *ids[place]).collect();
    (Order { tasks, task_of, ends }, held)
}

/// Kahn's algorithm; among what is ready, the smallest number first, so that the order depends on nothing
/// but the session.
pub(super) fn sorted(count: usize, ends: &[(usize, usize)]) -> Option<Vec<usize>> {
    let mut waiting = vec![0usize; count];
    let mut leaving = vec![Vec::new(); count];
    for (from, to) in ends {
        waiting[*to] += 1;
        leaving[*from].push(*to);
    }
    let mut ready: BinaryHeap<Reverse<usize>> =
        (0..count).filter(|place| waiting[*place] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(count);
    while let Some(Reverse(place)) = ready.pop() {
        order.push(place);
        for next in &leaving[place] {
            waiting[*next] -= 1;
            if waiting[*next] == 0 {
                ready.push(Reverse(*next));
            }
        }
    }
    (order.len() == count).then_some(order)
}
