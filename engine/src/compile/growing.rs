//! A graph without cycles that grows by one edge at a time.

/// Keeps an order in which every edge leads ahead (Pearce and Kelly), so that an edge costs what lies between
/// its ends and not a look at the whole graph.
pub struct Growing {
    /// Where each node is in the order.
    place: Vec<usize>,
    leaving: Vec<Vec<usize>>,
    entering: Vec<Vec<usize>>,
    /// Scratch: the nodes that a search has found.
    found: Vec<bool>,
}

impl Growing {
    /// A graph with `edges`, sorted into `order`.
    pub fn new(order: &[usize], edges: &[(usize, usize)]) -> Self {
        let mut place = vec![0; order.len()];
        order.iter().enumerate().for_each(|(at, node)| place[*node] = at);
        let nothing = vec![Vec::new(); order.len()];
        let found = vec![false; order.len()];
        let mut new = Self { place, leaving: nothing.clone(), entering: nothing, found };
        edges.iter().for_each(|(from, to)| new.push(*from, *to));
        new
    }

    fn push(&mut self, from: usize, to: usize) {
        self.leaving[from].push(to);
        self.entering[to].push(from);
    }

    /// Adds an edge, unless it would close a cycle; whether it did.
    pub fn add(&mut self, from: usize, to: usize) -> bool {
        let (first, last) = (self.place[to], self.place[from]);
        if first <= last {
            // What `to` leads to must come after what leads to `from`, as far as it does not already.
            let ahead = search(to, &self.leaving, &mut self.found, |node| self.place[node] <= last);
            if ahead.contains(&from) {
                return false;
            }
            let mut moved = search(from, &self.entering, &mut self.found, |node| self.place[node] >= first);
            moved.sort_unstable_by_key(|node| self.place[*node]);
            let behind = moved.len();
            moved.extend(ahead);
            moved[behind..].sort_unstable_by_key(|node| self.place[*node]);
            let mut places: Vec<usize> = moved.iter().map(|node| self.place[*node]).collect();
            places.sort_unstable();
            for (node, place) in moved.into_iter().zip(places) {
                self.place[node] = place;
            }
        }
        self.push(from, to);
        true
    }
}

/// What can be reached from `start` by way of nodes that are `near`.
fn search(
    start: usize,
    edges: &[Vec<usize>],
    found: &mut [bool],
    near: impl Fn(usize) -> bool,
) -> Vec<usize> {
    let mut reached = vec![start];
    found[start] = true;
    let mut next = 0;
    while let Some(node) = reached.get(next).copied() {
        next += 1;
        for other in &edges[node] {
            if near(*other) && !std::mem::replace(&mut found[*other], true) {
                reached.push(*other);
            }
        }
    }
    reached.iter().for_each(|node| found[*node] = false);
    reached
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compile::order::sorted;

    proptest! {
        #[test]
        fn an_edge_is_refused_exactly_when_it_closes_a_cycle(
            edges in prop::collection::vec((0..12usize, 0..12usize), 0..80),
        ) {
            let mut graph = Growing::new(&Vec::from_iter(0..12), &[]);
            let mut kept = Vec::new();
            for (from, to) in edges {
                kept.push((from, to));
                let sound = sorted(12, &kept).is_some();
                prop_assert_eq!(graph.add(from, to), sound);
                if !sound {
                    kept.pop();
                }
            }
        }
    }
}
