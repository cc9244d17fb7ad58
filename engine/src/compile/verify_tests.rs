//! The verifier finds every kind of fault in plans that were broken on purpose.

use std::sync::Arc;

use aulos_nodes::ClipSource;
use aulos_protocol::{Clip, Command, Error, ErrorCode, NewNode, NodeKind, Rate, Session, Value};

use super::{Compiled, Fault, Lead, Rack, compile, verify, verify_fades};
use crate::{ClipLibrary, handoff::Turn, plan::Plan, plan_of, session};

struct NoFiles;

impl ClipLibrary for NoFiles {
    fn open(&mut self, clip: &Clip, _: Rate) -> Result<Arc<dyn ClipSource>, Error> {
        Err(Error::new(ErrorCode::NotFound, clip.file.clone()))
    }
}

fn add(kind: NodeKind, name: &str, params: &[(&str, f64)]) -> Command {
    let params = params.iter().map(|(n, v)| ((*n).to_owned(), Value::Number(*v))).collect();
    Command::AddNode(NewNode { kind, name: Some(name.into()), channels: Some(1), params })
}

fn link(from: &str, to: &str) -> Command {
    Command::Link { from: from.parse().unwrap(), to: to.parse().unwrap(), gain: None }
}

fn compiled(commands: Vec<Command>) -> Plan {
    let empty = Session::new("test", Rate::default());
    let (session, _) = session::apply(&empty, &Command::Batch { commands }).unwrap();
    plan_of(&session, &mut NoFiles, 64).unwrap()
}

/// tone -> late -> bus -> output, and tone -> bus, which is delayed to match; another tone beside.
fn plan() -> Plan {
    compiled(vec![
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
    ])
}

/// Two chains of delays of the same length from one tone to one output.
fn parallel(length: usize) -> Plan {
    let mut commands = vec![add(NodeKind::Tone, "tone", &[]), add(NodeKind::Output, "output", &[])];
    for chain in ["a", "b"] {
        let name = |at| format!("{chain}{at}");
        commands.extend((0..length).map(|at| add(NodeKind::Delay, &name(at), &[])));
        commands.push(link("tone", &name(0)));
        commands.extend((1..length).map(|at| link(&name(at - 1), &name(at))));
        commands.push(link(&name(length - 1), "output"));
    }
    compiled(commands)
}

/// Has the output of `task` rendered into `buffer`.
fn render_into(plan: &mut Plan, task: usize, buffer: usize) {
    let old = std::mem::replace(&mut plan.tasks[task].outputs[0].buffer, buffer);
    let terms = plan.tasks.iter_mut().flat_map(|t| &mut t.inputs).flat_map(|i| &mut i.terms);
    terms.filter(|t| t.task == task && t.buffer == old).for_each(|t| t.buffer = buffer);
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
    let new = plan.tasks[first].outputs[0].buffer;
    render_into(&mut plan, second, new);
    assert!(faults(&plan).iter().any(|f| matches!(f, Fault::Alias { buffer, .. } if *buffer == new)));
}

#[test]
fn a_buffer_that_two_parallel_branches_share_is_found() {
    // Longer than what is looked at at once.
    for length in [2, 700] {
        let sound = parallel(length);
        let delays = |nth| at(&sound, NodeKind::Delay, nth);
        // The plan has one chain after the other, but nothing in the second waits for the first.
        let (last_of_a, last_of_b) = (length - 1, 2 * length - 1);
        for (early, late) in [(0, length), (0, last_of_b), (last_of_a, length), (last_of_a, last_of_b)] {
            let mut plan = parallel(length);
            plan.buffers += 1;
            let shared = plan.buffers - 1;
            let (early, late) = (delays(early), delays(late));
            render_into(&mut plan, early, shared);
            render_into(&mut plan, late, shared);
            let wanted = Fault::Alias { buffer: shared, writers: (early, late) };
            assert_eq!(faults(&plan), [wanted], "{length}");
        }
    }
}

#[test]
fn a_content_that_is_still_read_after_the_next_one_but_one_began_is_found() {
    // Everything in one chain, and the first also goes to the last.
    let chain = ["a", "b", "c", "d", "e", "f"];
    let mut commands: Vec<_> = chain.iter().map(|name| add(NodeKind::Delay, name, &[])).collect();
    commands.extend(chain.windows(2).map(|pair| link(pair[0], pair[1])));
    commands.push(add(NodeKind::Output, "output", &[]));
    commands.extend([link("a", "f"), link("f", "output")]);
    let mut plan = compiled(commands);
    plan.buffers += 1;
    let shared = plan.buffers - 1;
    // c's and e's contents follow each other properly; a's is alive all the while.
    for task in [0, 2, 4] {
        render_into(&mut plan, task, shared);
    }
    assert!(faults(&plan).iter().all(|f| matches!(f, Fault::Alias { buffer, .. } if *buffer == shared)));
    plan.tasks[5].inputs[0].terms.retain(|term| term.task != 0);
    verify(&plan).unwrap();
}

#[test]
fn a_long_chain_needs_few_buffers_and_a_wide_patch_is_sound() {
    assert!(parallel(700).buffers < 10);
    let mut commands = vec![add(NodeKind::Output, "output", &[])];
    // Every bus takes from some of those before it.
    for at in 0..1200usize {
        commands.push(add(NodeKind::Bus, &format!("b{at}"), &[]));
        let mut sources: Vec<usize> = [at / 2, at / 3, at * 7 % (at + 1), at.saturating_sub(9)].into();
        sources.sort_unstable();
        sources.dedup();
        let sources = sources.into_iter().filter(|source| *source < at);
        commands.extend(sources.map(|source| link(&format!("b{source}:pre"), &format!("b{at}"))));
    }
    commands.push(link("b1199:pre", "output"));
    let plan = compiled(commands);
    verify(&plan).unwrap();
    let contents: usize = plan.tasks.iter().map(|task| task.inputs.len() + task.outputs.len()).sum();
    assert!(plan.buffers < contents / 3, "{} for {contents} contents", plan.buffers);
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
fn inputs_that_share_their_place_are_found() {
    let mut plan = plan();
    let bus = at(&plan, NodeKind::Bus, 0);
    plan.tasks[bus].first_input += 1;
    assert!(matches!(faults(&plan)[..], [Fault::Inputs { task }] if task == bus));
    let mut plan = self::plan();
    plan.inputs -= 1;
    assert!(matches!(faults(&plan)[..], [Fault::Inputs { .. }]));
}

#[test]
fn a_sum_in_another_order_is_found() {
    let mut plan = plan();
    let bus = at(&plan, NodeKind::Bus, 0);
    plan.tasks[bus].inputs[0].terms.reverse();
    assert!(faults(&plan).iter().any(|f| matches!(f, Fault::Ranks { task } if *task == bus)));
}

/// A click to a tone directly and by a delay that reports itself, and a loop.
fn with_midi_and_a_loop() -> Plan {
    compiled(vec![
        add(NodeKind::Click, "click", &[]),
        add(NodeKind::Delay, "late", &[("frames", 100.0), ("report", 1.0)]),
        add(NodeKind::Tone, "tone", &[("notes", 1.0)]),
        add(NodeKind::Bus, "bus", &[]),
        add(NodeKind::Feedback, "loop", &[]),
        add(NodeKind::Output, "output", &[]),
        link("click:midi_out", "tone"),
        link("click:midi_out", "late"),
        link("late:midi_out", "tone"),
        link("tone", "bus"),
        link("loop", "bus"),
        link("bus:pre", "loop"),
        link("bus", "output"),
    ])
}

fn tone_of(plan: &mut Plan) -> &mut crate::plan::Task {
    let tone = at(plan, NodeKind::Tone, 0);
    &mut plan.tasks[tone]
}

#[test]
fn midi_that_arrives_at_the_wrong_time_is_found() {
    let mut plan = with_midi_and_a_loop();
    verify(&plan).unwrap();
    let terms = &mut tone_of(&mut plan).midi_inputs[0].terms;
    assert_eq!(terms.iter().map(|term| term.delay).collect::<Vec<_>>(), [100, 0]);
    terms[0].delay = 99;
    assert!(matches!(faults(&plan)[..], [Fault::Delay { .. }]));
}

#[test]
fn midi_that_is_merged_in_another_order_or_read_from_elsewhere_is_found() {
    let mut plan = with_midi_and_a_loop();
    tone_of(&mut plan).midi_inputs[0].terms.swap(0, 1);
    assert!(matches!(faults(&plan)[..], [Fault::Ranks { .. }]));
    let mut plan = with_midi_and_a_loop();
    let terms = &mut tone_of(&mut plan).midi_inputs[0].terms;
    terms[0].buffer = terms[1].buffer;
    assert!(matches!(faults(&plan)[..], [Fault::Source { .. }]));
}

#[test]
fn two_writers_of_a_midi_buffer_are_found() {
    let mut plan = with_midi_and_a_loop();
    let tone = tone_of(&mut plan);
    tone.midi_inputs[0].buffer = tone.midi_inputs[0].terms[0].buffer;
    assert!(faults(&plan).iter().any(|f| matches!(f, Fault::Alias { .. })));
}

#[test]
fn gains_and_memories_that_two_move_are_found() {
    let mut plan = plan();
    let bus = at(&plan, NodeKind::Bus, 0);
    let terms = &mut plan.tasks[bus].inputs[0].terms;
    terms[0].gain = terms[1].gain.clone();
    assert!(matches!(faults(&plan)[..], [Fault::Shared { .. }]));

    let mut plan = with_midi_and_a_loop();
    let terms = &mut tone_of(&mut plan).midi_inputs[0].terms;
    terms[0].line = terms[1].line.clone();
    assert!(matches!(faults(&plan)[..], [Fault::Shared { .. }]));

    let mut plan = self::plan();
    let (a, b) = (at(&plan, NodeKind::Tone, 0), at(&plan, NodeKind::Tone, 1));
    plan.tasks[a].work = plan.tasks[b].work.clone();
    assert!(matches!(faults(&plan)[..], [Fault::Shared { .. }]));
}

#[test]
fn a_line_that_is_too_short_is_found() {
    let mut plan = plan();
    let tone = at(&plan, NodeKind::Tone, 0);
    plan.tasks[tone].outputs[0].lines[0].longest = 99;
    assert!(matches!(faults(&plan)[..], [Fault::Line { .. }]));
}

#[test]
fn a_loop_that_reads_what_is_not_there_is_found() {
    for wrong in [63, 4801] {
        let mut plan = with_midi_and_a_loop();
        for task in &mut plan.tasks {
            if let crate::plan::Work::Give { tap, .. } = &mut task.work {
                *tap = wrong;
            }
        }
        assert!(matches!(faults(&plan)[..], [Fault::Loop { .. }]), "{wrong}");
    }
}

/// A link that is made while the engine runs, and one that is removed.
fn edited() -> Compiled {
    let commands = vec![
        add(NodeKind::Tone, "tone", &[]),
        add(NodeKind::Bus, "bus", &[]),
        add(NodeKind::Output, "output", &[]),
        link("tone", "bus"),
        link("bus", "output"),
    ];
    let empty = Session::new("test", Rate::default());
    let (before, _) = session::apply(&empty, &Command::Batch { commands }).unwrap();
    let unlink = Command::Unlink { from: "tone".parse().unwrap(), to: "bus".parse().unwrap() };
    let commands = vec![unlink, link("tone", "output")];
    let (after, _) = session::apply(&before, &Command::Batch { commands }).unwrap();
    let token = crate::audio::slot::Token::default();
    let mut rack = Rack::new(token.id(), before.rate, 64, Box::new(aulos_nodes::BuiltIn));
    compile(&mut rack, &before, 0, before.fade_frames());
    compile(&mut rack, &after, 0, after.fade_frames())
}

#[test]
fn fades_that_do_not_fit_their_terms_are_found() {
    let Compiled { plan, mut fades, .. } = edited();
    verify_fades(&plan, &fades).unwrap();
    assert_eq!(fades.len(), 2);
    let leaving = fades.iter().position(|fade| matches!(fade.turn, Turn::Leave(_))).unwrap();
    let leave = fades[leaving].turn;

    // What is not to stay would stay heard.
    fades[leaving].turn = Turn::Enter(Lead::default());
    assert!(matches!(verify_fades(&plan, &fades), Err(faults) if matches!(faults[..], [Fault::Ramp { .. }])));
    // What is to stay would go.
    fades[leaving].turn = leave;
    let enter = std::mem::replace(&mut fades[1 - leaving].turn, leave);
    assert!(matches!(verify_fades(&plan, &fades), Err(faults) if matches!(faults[..], [Fault::Ramp { .. }])));
    fades[1 - leaving].turn = enter;
    // The gain of another term.
    let other = fades[1 - leaving].gain.clone();
    let own = std::mem::replace(&mut fades[leaving].gain, other);
    assert!(verify_fades(&plan, &fades).is_err());
    fades[leaving].gain = own;
    verify_fades(&plan, &fades).unwrap();
    // A term that begins twice, and one that is not in the plan.
    fades[leaving].turn = enter;
    (fades[leaving].term, fades[leaving].gain) = (fades[1 - leaving].term, fades[1 - leaving].gain.clone());
    assert_eq!(verify_fades(&plan, &fades).unwrap_err().len(), 1);
    fades[leaving].term.delay = 77;
    assert_eq!(verify_fades(&plan, &fades).unwrap_err().len(), 1);
}
