//! From the session's graph to a plan: order, latency, terms, buffers, verify.
//!
//! The [`Rack`] remembers what outlives plans: processors, delay lines, fades. Compiling compares it with the
//! graph that is wanted, keeps what is the same, builds what is new, and lets what is gone fade out.

mod budget;
mod buffers;
mod clips;
mod growing;
mod latency;
mod moment;
mod order;
mod rack;
mod terms;
mod verify;
#[cfg(test)]
mod verify_tests;

pub use clips::ClipLibrary;
pub use latency::{Arrivals, Observed, Timing, arrivals, check, timings, too_long, total};
pub use moment::Lead;
pub use rack::{Addressee, Rack};
pub use terms::regate;
pub use verify::{Fault, verify, verify_fades};

use aulos_protocol::Session;
use terms::Fades;

use crate::{
    graph::Graph,
    handoff::{FadeStart, Retiming},
    plan::{GainSlot, Plan},
};

/// What a compile hands over.
pub struct Compiled {
    /// The plan.
    pub plan: Plan,
    /// The terms that begin to fade with it.
    pub fades: Vec<FadeStart>,
    /// Terms that go on with the gain of another: to which, from which.
    pub heirs: Vec<(GainSlot, GainSlot)>,
    /// The stages whose timing changes with it.
    pub retimings: Vec<Retiming>,
    /// If delays change, when everything is aligned again.
    pub realigns: Option<Lead>,
    /// When everything is heard.
    pub arrivals: Arrivals,
}

/// Compiles `session` for the engine at `now` (its frame as far as the control thread knows), with fades of `fade`
/// frames.
pub fn compile(rack: &mut Rack, session: &Session, now: u64, fade: u64) -> Compiled {
    let graph = Graph::of(session);
    let Rack { observed, workshop, .. } = rack;
    observed.look(&graph, session, workshop.as_ref());
    let arrivals = arrivals(&graph, session, observed);
    rack.forget_silent(now);
    let mut retimings = rack.build_instances(session, &graph, &arrivals);
    let mut changes = terms::reconcile(rack, &graph, &arrivals);
    changes.realigns |= !retimings.is_empty();
    rack.forget_unheard();
    let (order, held) = order::order(rack, &changes.new);
    rack.hold_back(&held);
    let Fades { starts: fades, heirs, settled } = terms::fades(rack, &order, changes, fade);
    for retiming in &mut retimings {
        retiming.when = settled.as_ref().map_or(Lead::default(), |settled| settled.of(&retiming.stage));
    }
    // What is held back comes with another plan, which then says when everything is aligned.
    rack.unsettled = settled.is_some() && !held.is_empty();
    let realigns = settled.filter(|_| held.is_empty()).map(|settled| rack.settle(settled.everywhere));
    rack.forget_unused_lines();
    let mut plan = buffers::plan(rack, &order);
    plan.remembered = arrivals.latest().max(session.max_latency());
    if cfg!(debug_assertions)
        && let Err(faults) = verify(&plan).and_then(|()| verify_fades(&plan, &fades))
    {
        unreachable!("a plan that does not pass verification: {faults:#?}");
    }
    rack.settle_in();
    Compiled { plan, fades, heirs, retimings, realigns, arrivals }
}
