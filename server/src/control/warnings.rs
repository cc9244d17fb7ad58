//! What is wrong and should be known, for the status.

use std::collections::VecDeque;

/// The latest warnings, each once.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    latest: VecDeque<String>,
    left_out: u64,
}

impl Warnings {
    /// How many are kept; the oldest goes when there are more.
    const MOST: usize = 100;

    /// Notes a warning; one that is known becomes the latest.
    pub fn note(&mut self, message: String) {
        if let Some(known) = self.latest.iter().position(|other| *other == message) {
            self.latest.remove(known);
        } else if self.latest.len() == Self::MOST {
            self.latest.pop_front();
            self.left_out += 1;
        }
        self.latest.push_back(message);
    }

    /// Those that are kept, the latest last.
    pub fn latest(&self) -> Vec<String> {
        self.latest.iter().cloned().collect()
    }

    /// How many had to go.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept_and_the_others_counted() {
        let mut warnings = Warnings::default();
        (0..100).for_each(|n| warnings.note(n.to_string()));
        warnings.note("0".into());
        assert_eq!((warnings.latest().len(), warnings.left_out()), (100, 0));
        (100..150).for_each(|n| warnings.note(n.to_string()));
        let expected: Vec<String> =
            (51..100).chain([0]).chain(100..150).map(|n: u32| n.to_string()).collect();
        assert_eq!((warnings.latest(), warnings.left_out()), (expected, 50));
    }
}
