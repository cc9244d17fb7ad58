//! The verifier finds every kind of fault in plans that were broken on purpose.

use std::sync::Arc;

use aulos_nodes::ClipSource;
use aulos_protocol::{Clip, Command, Error, ErrorCode, NewNode, NodeKind, Rate, Session, Value};

use super::{Fault, verify};
use crate::{ClipLibrary, plan::Plan, plan_of, session};

struct NoFiles;

impl ClipLibrary for NoFiles {
    fn open(&mut self, clip: &Clip, _: Rate) -> Result<Arc<dyn ClipSource>, Error> {
        Err(Error::new(ErrorCode::NotFound, clip.file.clone()))
    }
}

/// tone -> late -> bus -> output, and tone -> bus, which is delayed to match; another tone beside.
fn plan() -> Plan {
    let add = |kind, name: &str, params: &[(&str, f64)]| {
        let params = params.iter().map(|(n, v)| ((*n).to_owned(), Value::Number(*v))).collect();
        Command::AddNode(NewNode { kind, name: Some(name.into()), channels: Some(1), params })
    };
    let link = |from: &str, to: &str| Command::Link {
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        gain: None,
    };
    let commands = vec![
        add(NodeKind::Tone, "tone", &[]),
        add(NodeKind::Delay, "late", &[("frames", 100.0), ("report", 1.0)]),
        add(NodeKind::Bus, "bus", &[]),
        add(NodeKind::Tone, "beside", &[]),
        add(NodeKind::Output, "output", &[]),
        link("tone", "late"),
        link("tone", "bus"),
        link("late", "bus"),
        link("beside", "output"),
        link("bus", "output"),
    ];
    let empty = Session::new("test", Rate::default());
    let (session, _) = session::apply(&empty, &Command::Batch { commands }).unwrap();
    plan_of(&session, &mut NoFiles, 64).unwrap()
}

fn at(plan: &Plan, stage: NodeKind, nth: usize) -> usize {
    let mut of_kind = (0..plan.tasks.len()).filter(|t| plan.tasks[*t].id.stage.stage.name() == stage.name());
    of_kind.nth(nth).unwrap()
}

fn faults(plan: &Plan) -> Vec<Fault> {
    verify(plan).unwrap_err()
}

#[test]
fn the_plan_is_sound_before_it_is_broken() {
    verify(&plan()).unwrap();
}

#[test]
fn a_task_before_its_source_is_found() {
    let mut plan = plan();
    let (bus, tone) = (at(&plan, NodeKind::Bus, 0), at(&plan, NodeKind::Tone, 0));
    plan.tasks.swap(bus, tone);
    assert!(faults(&plan).iter().any(|f| matches!(f, Fault::Order { .. })));
}

#[test]
fn a_term_that_reads_somebody_elses_buffer_is_found() {
    let mut plan = plan();
    let bus = at(&plan, NodeKind::Bus, 0);
    let other = plan.tasks[at(&plan, NodeKind::Tone, 1)].outputs[0].buffer;
    plan.tasks[bus].inputs[0].terms[0].buffer = other;
    assert!(faults(&plan).iter().any(|f| matches!(f, Fault::Source { task, .. } if *task == bus)));
}

#[test]
fn two_contents_in_one_buffer_are_found() {
    let mut plan = plan();
    // The two tones depend on nothing: one could run while the other's sound is still needed.
    let (first, second) = (at(&plan, NodeKind::Tone, 0), at(&plan, NodeKind::Tone, 1));
    let (old, new) = (plan.tasks[second].outputs[0].buffer, plan.tasks[first].outputs[0].buffer);
    plan.tasks[second].outputs[0].buffer = new;
    let terms = plan.tasks.iter_mut().flat_map(|t| &mut t.inputs).flat_map(|i| &mut i.terms);
    terms.filter(|t| t.task == second && t.buffer == old).for_each(|t| t.buffer = new);
    assert!(faults(&plan).iter().any(|f| matches!(f, Fault::Alias { buffer, .. } if *buffer == new)));
}

#[test]
fn a_sinks_buffer_that_is_used_again_is_found() {
    let mut plan = plan();
    let output = at(&plan, NodeKind::Output, 0);
    let (sink, sum) = (plan.tasks[output].outputs[0].buffer, plan.tasks[output].inputs[0].buffer);
    plan.tasks[output].outputs[0].buffer = sum;
    plan.sinks.iter_mut().filter(|s| s.buffer == sink).for_each(|s| s.buffer = sum);
    assert!(faults(&plan).iter().any(|f| matches!(f, Fault::Alias { .. })));
}

#[test]
fn writing_silence_or_a_buffer_that_is_not_there_is_found() {
    for wrong in [0, 1000] {
        let mut plan = plan();
        let beside = at(&plan, NodeKind::Bus, 0);
        plan.tasks[beside].outputs[0].buffer = wrong;
        assert!(faults(&plan).iter().any(|f| matches!(f, Fault::Buffer { buffer, .. } if *buffer == wrong)));
    }
}

#[test]
fn a_link_that_arrives_at_the_wrong_time_is_found() {
    let mut plan = plan();
    let bus = at(&plan, NodeKind::Bus, 0);
    let late = plan.tasks[bus].inputs[0].terms.iter_mut().find(|t| t.id.delay > 0).unwrap();
    late.id.delay -= 1;
    assert!(faults(&plan).iter().any(|f| matches!(f, Fault::Delay { task, .. } if *task == bus)));
}

#[test]
fn a_delayed_link_without_its_line_is_found() {
    let mut plan = plan();
    let bus = at(&plan, NodeKind::Bus, 0);
    let late = plan.tasks[bus].inputs[0].terms.iter_mut().find(|t| t.id.delay > 0).unwrap();
    late.line = None;
    assert!(faults(&plan).iter().any(|f| matches!(f, Fault::Line { task, .. } if *task == bus)));

    let mut plan = self::plan();
    plan.tasks.iter_mut().flat_map(|t| &mut t.outputs).for_each(|output| output.lines.clear());
    assert!(faults(&plan).iter().any(|f| matches!(f, Fault::Line { task, .. } if *task == bus)));
}

#[test]
fn a_sum_in_another_order_is_found() {
    let mut plan = plan();
    let bus = at(&plan, NodeKind::Bus, 0);
    plan.tasks[bus].inputs[0].terms.reverse();
    assert!(faults(&plan).iter().any(|f| matches!(f, Fault::Ranks { task } if *task == bus)));
}
