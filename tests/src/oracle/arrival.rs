//! How late each stage hears what it hears.
//!
//! The arrival of a stage is the latest that any of its connections brings: the arrival of where it comes from
//! plus the latency there. Every connection that would be earlier is delayed by what it lacks. Outputs of one
//! group arrive together, with the latest of them.
//!
//! A track that asks for low latency neither waits nor lets others wait: its connections are exempt. They are
//! never delayed, and count only where nothing else comes in.
//!
//! What a feedback gives back must be old enough to be known when a block begins; where its delay is too short
//! for that, it arrives later by what is missing.

use std::collections::BTreeMap;

use aulos_protocol::{NodeKind, Session, params};

use super::{
    Unaligned,
    wiring::{IN, OUT, Stage, Term},
};

/// A feedback: the number of the stage that hears (what gives back is the next one), and the delay.
struct Feedback {
    hears: usize,
    frames: u64,
}

/// Sets all arrivals and delays. `None` if the latency of a loop is longer than its feedback.
pub(super) fn align(stages: &mut [Stage], order: &[usize], max_block: u64) -> Option<()> {
    let feedbacks: Vec<_> = feedbacks(stages);
    for feedback in &feedbacks {
        assert!(feedback.frames >= max_block, "a feedback of {} frames is too short", feedback.frames);
    }
    for _ in 0..=feedbacks.len() {
        set_arrivals(stages, order);
        let mut has_settled = true;
        for Feedback { hears, frames } in &feedbacks {
            let arrival = (stages[*hears].arrival + max_block).saturating_sub(*frames);
            has_settled &= stages[hears + 1].arrival == arrival;
            stages[hears + 1].arrival = arrival;
        }
        if has_settled {
            for Feedback { hears, frames } in feedbacks {
                let ago = frames + stages[hears + 1].arrival - stages[hears].arrival;
                assert!(ago >= max_block);
                stages[hears + 1].echo = Some((hears, ago));
            }
            set_groups(stages);
            set_delays(stages);
            return Some(());
        }
    }
    None
}

fn feedbacks(stages: &[Stage]) -> Vec<Feedback> {
    let hears = |(number, stage): (usize, &Stage)| {
        let is_feedback = stage.node.kind == NodeKind::Feedback && stage.name == IN;
        let frames = params::number(stage.node, "frames");
        is_feedback.then(|| Feedback { hears: number, frames: frames.map_or(0, |frames| frames as u64) })
    };
    stages.iter().enumerate().filter_map(hears).collect()
}

/// Leaves alone what the feedbacks give back.
fn set_arrivals(stages: &mut [Stage], order: &[usize]) {
    for &number in order {
        if stages[number].name == OUT {
            continue;
        }
        let latest = |is_counted: &dyn Fn(&Term) -> bool| {
            let terms = stages[number].terms().filter(|term| is_counted(term));
            terms.map(|term| stages[term.stage].arrival + stages[term.stage].latency).max()
        };
        stages[number].arrival = latest(&|term| !term.is_exempt).or_else(|| latest(&|_| true)).unwrap_or(0);
    }
}

/// Nothing hears an output, so moving it moves nothing else.
fn set_groups(stages: &mut [Stage]) {
    let group = |stage: &Stage| params::number(stage.node, "align_group").unwrap_or(0.0) as u64;
    let mut latest = BTreeMap::new();
    for stage in &*stages {
        let arrival = latest.entry(group(stage)).or_insert(0);
        *arrival = stage.arrival.max(*arrival);
    }
    for stage in stages.iter_mut().filter(|stage| group(stage) != 0) {
        stage.arrival = latest[&group(stage)];
    }
}

fn set_delays(stages: &mut [Stage]) {
    let leaves: Vec<_> = stages.iter().map(|stage| stage.arrival + stage.latency).collect();
    for stage in stages {
        for term in stage.inputs.iter_mut().flatten().chain(&mut stage.midi) {
            let lacking = if term.is_exempt { 0 } else { stage.arrival - leaves[term.stage] };
            term.delay = lacking + stage.postponed;
        }
    }
}

/// The links that do not arrive when their destination does, in the order of their numbers.
pub(crate) fn unaligned(session: &Session, stages: &[Stage]) -> Vec<Unaligned> {
    let mut unaligned = BTreeMap::new();
    for stage in stages {
        for term in stage.terms() {
            let from = &stages[term.stage];
            let comes = from.arrival + from.latency + term.delay;
            let early = (stage.arrival + stage.postponed) as i64 - comes as i64;
            if let Some(link) = term.link.filter(|_| early != 0) {
                let (from, to) = (session.links[&link].from.clone(), session.links[&link].to.clone());
                unaligned.insert(link, Unaligned { from, to, early });
            }
        }
    }
    unaligned.into_values().collect()
}
