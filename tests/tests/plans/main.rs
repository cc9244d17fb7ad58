//! What the compiler makes of small graphs, under their drawings: each rule of the graph once, to be checked by
//! eye. In a plan, `@` is a task's arrival and `+` its latency; below it, what its inputs sum, as source/output.
//! A quote marks a processor that was built anew.

mod bench;

use aulos_nodes::{Built, BuiltIn, Lateness, Order, Stage, Workshop};
use aulos_protocol::{Command, Node, NodeKind, NodeKind::*};
use aulos_tests::commands::{add, link, set, unlink};
use bench::Bench;

/// A delay that reports itself.
fn late(name: &str, frames: f64) -> Command {
    add(Delay, name, 1, &[("frames", frames), ("report", 1.0)])
}

fn mono(kind: NodeKind, name: &str) -> Command {
    add(kind, name, 1, &[])
}

fn links(chains: &[&[&str]]) -> Vec<Command> {
    chains.iter().flat_map(|chain| chain.windows(2).map(|pair| link(pair[0], pair[1]))).collect()
}

fn patch(nodes: Vec<Command>, chains: &[&[&str]]) -> Vec<Command> {
    nodes.into_iter().chain(links(chains)).collect()
}

#[test]
fn parallel_paths_meet_aligned() {
    let drawing = "
tone ────────────────┐ delayed by 100
  └──► late (+100) ──┴──► bus ──► out";
    let nodes = vec![mono(Tone, "tone"), late("late", 100.0), add(Delay, "bus", 1, &[]), mono(Output, "out")];
    let (_, plan) = Bench::new(drawing, patch(nodes, &[&["tone", "late", "bus", "out"], &["tone", "bus"]]));
    insta::assert_snapshot!(plan);
}

#[test]
fn one_source_on_many_ways_has_one_line_with_many_taps() {
    let drawing = "
          ┌──► a (+30) ──┐
tone ─────┼──► b (+50) ──┼──► bus ──► out
          └──────────────┘ delayed by 50; a by 20";
    let nodes = vec![
        mono(Tone, "tone"),
        late("a", 30.0),
        late("b", 50.0),
        add(Delay, "bus", 1, &[]),
        mono(Output, "out"),
    ];
    let chains: &[&[&str]] = &[&["tone", "a", "bus", "out"], &["tone", "b", "bus"], &["tone", "bus"]];
    let (_, plan) = Bench::new(drawing, patch(nodes, chains));
    insta::assert_snapshot!(plan);
}

#[test]
fn a_send_and_its_return_arrive_with_the_dry_path() {
    let drawing = "
track ──► master ──► out            track's way is delayed by 64
  └─(pre)─► send ──► late (+64) ──► master";
    let nodes = vec![
        mono(Track, "track"),
        mono(Send, "send"),
        add(Delay, "late", 2, &[("frames", 64.0), ("report", 1.0)]),
        add(Master, "master", 2, &[]),
        add(Output, "out", 2, &[]),
    ];
    let chains: &[&[&str]] =
        &[&["track", "master", "out"], &["track:pre", "send"], &["send", "late", "master"]];
    let (_, plan) = Bench::new(drawing, patch(nodes, chains));
    insta::assert_snapshot!(plan);
}

#[test]
fn a_track_is_player_source_and_strip_and_its_insert_is_normalled() {
    let drawing = "
in ──► track: player ─► source ══► strip ──► out         == is normalled: insert_out to insert_in
with an effect in the insert of the left channel only:
                 source/1 ──► fx (+10) ──► strip, the right channel stays normalled and is delayed by 10";
    let nodes = vec![
        add(Input, "in", 2, &[]),
        add(Track, "track", 2, &[]),
        late("fx", 10.0),
        add(Output, "out", 2, &[]),
    ];
    let (mut bench, plan) = Bench::new(drawing, patch(nodes, &[&["in", "track", "out"]]));
    let insert =
        Command::Batch { commands: links(&[&["track:insert_out_L", "fx"], &["fx", "track:insert_in_L"]]) };
    let edited = bench.edit(&insert);
    insta::assert_snapshot!(format!("{plan}\n{edited}\n{}", bench.after(10_000)));
}

#[test]
fn channels_go_by_the_channel_map_and_sums_by_node_port_and_link() {
    let drawing = "
mono ──► bus (stereo): both sides         stereo ──► out (mono): -3 dB each
stereo ─► bus: side by side               sums: mono (node 1) before stereo (node 2)";
    let nodes =
        vec![mono(Tone, "mono"), add(Tone, "stereo", 2, &[]), add(Delay, "bus", 2, &[]), mono(Output, "out")];
    let chains: &[&[&str]] = &[&["stereo", "bus", "out"], &["mono", "bus"]];
    let (_, plan) = Bench::new(drawing, patch(nodes, chains));
    insta::assert_snapshot!(plan);
}

#[test]
fn outputs_align_within_their_group() {
    let drawing = "
tone ──► late (+100) ──► main     (group 1)
  ├────────────────────► phones   (group 1)  delayed by 100
  └────────────────────► monitor  (group 0)  at once";
    let nodes = vec![
        mono(Tone, "tone"),
        late("late", 100.0),
        mono(Output, "main"),
        mono(Output, "phones"),
        add(Output, "monitor", 1, &[("align_group", 0.0)]),
    ];
    let chains: &[&[&str]] = &[&["tone", "late", "main"], &["tone", "phones"], &["tone", "monitor"]];
    let (_, plan) = Bench::new(drawing, patch(nodes, chains));
    insta::assert_snapshot!(plan);
}

#[test]
fn a_track_with_low_latency_monitoring_is_passed_on_at_once() {
    let drawing = "
tone ──► late (+100) ──► bus ──► out
mic ──► track (low latency) ─┘ at once: 100 frames early, and it delays nobody";
    let nodes = vec![
        mono(Tone, "tone"),
        late("late", 100.0),
        mono(Input, "mic"),
        add(Track, "track", 1, &[("low_latency_monitor", 1.0)]),
        add(Delay, "bus", 2, &[]),
        add(Output, "out", 2, &[]),
    ];
    let chains: &[&[&str]] = &[&["tone", "late", "bus", "out"], &["mic", "track", "bus"]];
    let (_, plan) = Bench::new(drawing, patch(nodes, chains));
    insta::assert_snapshot!(plan);
}

#[test]
fn a_feedback_takes_its_loops_latency_off_its_delay() {
    let drawing = "
tone ──► bus ──► late (+100) ──► out         the loop: 5000 frames, of which late takes 100
          ▲        │
          └─ loop ◄┘                         nothing waits: the tap is 4900 frames long

far (+6000) ──► bus as well: what comes out of the loop must arrive at 2124 or later (6100 + 1024 - 5000)";
    let nodes = vec![
        mono(Tone, "tone"),
        add(Delay, "bus", 1, &[]),
        late("late", 100.0),
        add(Feedback, "loop", 1, &[("frames", 5000.0)]),
        mono(Output, "out"),
    ];
    let chains: &[&[&str]] = &[&["tone", "bus", "late", "out"], &["late", "loop", "bus"]];
    let (mut bench, plan) = Bench::new(drawing, patch(nodes, chains));
    let far = patch(vec![late("far", 6000.0)], &[&["tone", "far", "bus"]]);
    bench.edit(&Command::Batch { commands: far });
    insta::assert_snapshot!(format!("{plan}\nwith far, {}", bench.after(100_000)));
}

#[test]
fn midi_is_delayed_like_audio() {
    let drawing = "
click ──(midi)────────────────┐ delayed by 100
  └─(midi)─► late (+100) ─────┴──► tone ──► out";
    let nodes = vec![
        mono(Click, "click"),
        late("late", 100.0),
        add(Tone, "tone", 1, &[("notes", 1.0)]),
        mono(Output, "out"),
    ];
    let chains: &[&[&str]] =
        &[&["click:midi_out", "late:midi_in"], &["late:midi_out", "tone", "out"], &["click", "tone"]];
    let commands = patch(nodes, &chains[..1])
        .into_iter()
        .chain([link("late:midi_out", "tone"), link("click:midi_out", "tone"), link("tone", "out")])
        .collect();
    let (_, plan) = Bench::new(drawing, commands);
    insta::assert_snapshot!(plan);
}

#[test]
fn solo_shuts_every_link_that_leads_through_no_soloed_strip() {
    let drawing = "
a (solo) ──► group ──► master ──► out       passes: on a path through a
b ─────────► group                          shut
click ─────► master                         passes: the click is solo-safe
tone ──────► master                         shut: a strip that is not soloed (master) before the safe output
tone ──────► out                            passes: no strip before the safe output";
    let nodes = vec![
        add(Track, "a", 2, &[("solo", 1.0)]),
        add(Track, "b", 2, &[]),
        add(Bus, "group", 2, &[]),
        mono(Click, "click"),
        mono(Tone, "tone"),
        add(Master, "master", 2, &[]),
        mono(Output, "out"),
    ];
    let chains: &[&[&str]] = &[
        &["a:out_L", "group:in_L"],
        &["b:out_L", "group:in_L"],
        &["group:out_L", "master:in_L"],
        &["click", "master:in_L"],
        &["tone", "master:in_L"],
        &["tone", "out"],
        &["master:out_L", "out"],
    ];
    let (_, plan) = Bench::new(drawing, patch(nodes, chains));
    insta::assert_snapshot!(plan);
}

#[test]
fn a_new_link_fades_in_when_its_line_is_full_and_a_removed_one_fades_out_in_the_plan() {
    let drawing = "
tone ──► late (+100) ──► bus ──► out        first
tone ──────────────────► bus                then made: waits until its line holds 100 frames
late ──► bus                                then removed: stays in the plan for the length of a fade";
    let nodes = vec![mono(Tone, "tone"), late("late", 100.0), add(Delay, "bus", 1, &[]), mono(Output, "out")];
    let (mut bench, plan) = Bench::new(drawing, patch(nodes, &[&["tone", "late", "bus", "out"]]));
    let made = bench.edit(&link("tone", "bus"));
    let removed = bench.edit(&unlink("late", "bus"));
    insta::assert_snapshot!(format!("{plan}\n{made}\n{removed}\n{}", bench.after(10_000)));
}

#[test]
fn another_latency_is_a_crossfade_of_taps() {
    let drawing = "
tone ────────────────┐ delayed by 100, then by 40
  └──► late (+100) ──┴──► bus ──► out       late is built anew with 40 frames (late')";
    let nodes = vec![mono(Tone, "tone"), late("late", 100.0), add(Delay, "bus", 1, &[]), mono(Output, "out")];
    let (mut bench, _) =
        Bench::new(drawing, patch(nodes, &[&["tone", "late", "bus", "out"], &["tone", "bus"]]));
    let changed = bench.edit(&set("late", "frames", 40.0));
    let after = bench.after(10_000);
    insta::assert_snapshot!(format!("{}\n\n{changed}\n{after}", drawing.trim_matches('\n')));
}

#[test]
fn an_order_that_is_reversed_takes_two_plans() {
    let drawing = "
tone ──► a ──► b ──► out      becomes      tone ──► b ──► a ──► out
While a ──► b fades out, b ──► a would close a cycle: it is held back until the next plan.";
    let nodes =
        vec![mono(Tone, "tone"), add(Delay, "a", 1, &[]), add(Delay, "b", 1, &[]), mono(Output, "out")];
    let (mut bench, _) = Bench::new(drawing, patch(nodes, &[&["tone", "a", "b", "out"]]));
    let mut commands = vec![unlink("tone", "a"), unlink("a", "b"), unlink("b", "out")];
    commands.extend(links(&[&["tone", "b", "a", "out"]]));
    let first = bench.edit(&Command::Batch { commands });
    let second = bench.after(1000);
    insta::assert_snapshot!(format!("{}\n\n{first}\n{second}", drawing.trim_matches('\n')));
}

#[test]
fn a_removed_node_stays_until_its_links_have_faded_out() {
    let drawing = "
tone ──► a ──► out        a is removed: its link to the output fades, what enters it stays as it is";
    let nodes = vec![mono(Tone, "tone"), add(Delay, "a", 1, &[]), mono(Output, "out")];
    let (mut bench, _) = Bench::new(drawing, patch(nodes, &[&["tone", "a", "out"]]));
    let removed = bench.edit(&Command::RemoveNode { node: "a".into() });
    let after = bench.after(1000);
    insta::assert_snapshot!(format!("{}\n\n{removed}\n{after}", drawing.trim_matches('\n')));
}

/// Says that what is named `elsewhere` is rendered by somebody else, a block later.
struct Elsewhere;

impl Workshop for Elsewhere {
    fn build(&mut self, order: Order<'_>) -> Built {
        BuiltIn.build(order)
    }

    fn lateness(&self, _: Stage, node: &Node) -> Option<Lateness> {
        (node.slug.as_str() == "elsewhere").then_some(Lateness::Pipelined)
    }
}

#[test]
fn what_is_pipelined_is_compensated_for_its_block() {
    let drawing = "
tone ──────────────────────────────┐ delayed by 1024, the session's max_block
  └──► elsewhere (pipelined) ──────┴──► bus ──► out";
    let nodes = vec![
        mono(Tone, "tone"),
        add(Delay, "elsewhere", 1, &[]),
        add(Delay, "bus", 1, &[]),
        mono(Output, "out"),
    ];
    let chains: &[&[&str]] = &[&["tone", "elsewhere", "bus", "out"], &["tone", "bus"]];
    let (_, plan) = Bench::with(drawing, patch(nodes, chains), Box::new(Elsewhere));
    insta::assert_snapshot!(plan);
}
