//! From the session's graph to a plan: order, latency, terms, buffers, verify.
//!
//! The [`Rack`] remembers what outlives plans: processors, delay lines, fades. Compiling compares it with the
//! graph that is wanted, keeps what is the same, builds what is new, and lets what is gone fade out.

mod buffers;
mod latency;
mod moment;
mod order;
mod rack;
mod terms;
mod verify;
#[cfg(test)]
mod verify_tests;

pub use latency::{Arrivals, arrivals, timings, total};
pub use moment::Lead;
pub use rack::{ClipLibrary, Rack};
pub use verify::{Fault, verify};

use aulos_protocol::Session;

use crate::{graph::Graph, handoff::FadeStart, plan::Plan};

/// What a compile hands over.
#[derive(Debug)]
pub struct Compiled {
    /// The plan.
    pub plan: Plan,
    /// The terms that begin to fade with it.
    pub fades: Vec<FadeStart>,
    /// When everything is heard.
    pub arrivals: Arrivals,
}

/// Compiles `session` for the engine at `now` (its frame as far as the control thread knows).
pub fn compile(rack: &mut Rack, session: &Session, now: u64) -> Compiled {
    let graph = Graph::of(session);
    let arrivals = arrivals(&graph, session);
    rack.forget_silent(now);
    rack.build_instances(session, &graph, &arrivals);
    let changes = terms::reconcile(rack, &graph, &arrivals);
    rack.forget_unheard();
    let (order, held) = order::order(rack, &changes.new);
    rack.hold_back(&held);
    let fades = terms::fades(rack, &order, changes);
    rack.forget_unused_lines();
    let plan = buffers::plan(rack, &order);
    if cfg!(debug_assertions)
        && let Err(faults) = verify(&plan)
    {
        unreachable!("a plan that does not pass verification: {faults:#?}");
    }
    rack.settle_in();
    Compiled { plan, fades, arrivals }
}
