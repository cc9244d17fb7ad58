//! What an edit costs the audio thread, in instructions: the same whatever the size of the graph.
//!
//! Counted by valgrind, which runs this program once more for each size. What is counted is the function with which
//! a cycle begins, and in which it takes over what was sent. Freeing what was replaced is the control thread's, and
//! rendering with the new plan is what it was.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    process::{Command as Process, Stdio},
};

use aulos_protocol::{Command, Frames, LatencyReport};
use aulos_tests::{
    large::{self, edits},
    server::text,
    stepped::Stepped,
};

/// Set in the process whose instructions are counted; its value is how many nodes there are.
const CHILD: &str = "AULOS_TEST_COUNTED";
const COUNTED: &str = "aulos_engine::audio::executor::Engine::take_over";
const NODES: [usize; 4] = [10, 100, 1000, 10_000];
/// The last of the edits: the only one that costs more where it moves more.
const LATENCY: &str = "a latency made longer";

fn edits() -> [(&'static str, Command); 7] {
    [
        ("a link made", edits::link()),
        ("a parameter moved", edits::param(true)),
        ("a node added", edits::add()),
        ("a node removed", edits::remove()),
        ("undone", Command::Undo),
        ("a link removed", edits::unlink()),
        (LATENCY, edits::latency()),
    ]
}

/// Does one edit after the other to a desk, and says how many stages and links the last of them moves.
fn edit(nodes: usize) {
    let mut engine = Stepped::of(&large::scene(nodes), 64);
    // The first plan is taken over; then a cycle that takes over nothing.
    engine.cycle(0);
    engine.cycle(64);
    let before = engine.controller.latency();
    for (_, command) in edits() {
        engine.perform(&command).unwrap_or_else(|error| panic!("{command:?}: {error:?}"));
        // What has faded out is tidied up by another plan, which is not to be counted with the next edit.
        engine.cycle(0);
    }
    let after = engine.controller.latency();
    let (old, new) = (timings(&before), timings(&after));
    let moved = new.iter().filter(|(what, timing)| old.get(*what) != Some(timing)).count();
    let mut out = std::io::stdout();
    writeln!(out, "\nmoved {moved}").unwrap();
}

/// When each stage arrives, and by how much each link is delayed.
fn timings(report: &LatencyReport) -> BTreeMap<(&str, &str), Frames> {
    let stages = report.stages.iter().map(|row| ((row.node.as_str(), row.stage.as_str()), row.arrival));
    let links = report.links.iter().map(|link| ((link.from.as_str(), link.to.as_str()), link.delay));
    stages.chain(links).collect()
}

/// What was counted in a graph of one size.
struct Counts {
    /// The instructions of each call of what is counted.
    calls: Vec<u64>,
    /// How many stages and links the last edit moves.
    moved: u64,
}

fn count(nodes: usize) -> Counts {
    let folder = tempfile::tempdir().unwrap();
    let output = Process::new("valgrind")
        .args([
            "--tool=callgrind",
            &format!("--toggle-collect={COUNTED}"),
            &format!("--dump-after={COUNTED}"),
        ])
        .arg(format!("--callgrind-out-file={}", folder.path().join("calls").display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "the_child_edits", "--nocapture", "--test-threads", "1"])
        .env(CHILD, nodes.to_string())
        .stdin(Stdio::null())
        .output()
        .expect("valgrind, which `make deps` installs");
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let calls = (1..).map_while(|call| {
        let dump = fs::read_to_string(folder.path().join(format!("calls.{call}"))).ok()?;
        dump.lines().find_map(|line| line.strip_prefix("summary: ")?.parse().ok())
    });
    let calls: Vec<u64> = calls.collect();
    // Two before the edits, and of each its own and that of tidying up.
    assert_eq!(calls.len(), 2 + 2 * edits().len(), "not all calls of {COUNTED} were counted");
    let said = text(&output.stdout);
    let moved = said.lines().find_map(|line| line.strip_prefix("moved ")?.parse().ok());
    Counts { calls, moved: moved.expect("how much it moved") }
}

#[test]
fn the_child_edits() {
    if let Ok(nodes) = std::env::var(CHILD) {
        edit(nodes.parse().unwrap());
    }
}

#[test]
fn an_edit_costs_the_audio_thread_the_same_in_any_graph() {
    let counts = NODES.map(count);
    let mut rows = vec![("nodes", NODES.map(|nodes| nodes as u64))];
    let of_call = |call: usize| [0, 1, 2, 3].map(|size: usize| counts[size].calls[call]);
    rows.extend([("the first plan", of_call(0)), ("nothing to take over", of_call(1))]);
    let edits = edits().into_iter().enumerate();
    rows.extend(edits.map(|(place, (name, _))| (name, of_call(2 + 2 * place))));
    rows.push(("  what that moves", [0, 1, 2, 3].map(|size: usize| counts[size].moved)));
    let mut out = std::io::stdout();
    writeln!(out).unwrap();
    for (name, row) in &rows {
        let cells: String = row.iter().map(|count| format!("{count:>8}")).collect();
        // Not by println: that would only be seen when the test fails.
        writeln!(out, "{name:<24}{cells}").unwrap();
    }
    for (name, row) in &rows[1..rows.len() - 1] {
        assert!(row.iter().all(|count| *count > 0), "{name} was not counted");
        if *name == LATENCY {
            for (count, Counts { moved, .. }) in row.iter().zip(&counts) {
                assert!(*count <= 1000 + 400 * moved, "{name}: {count} instructions for {moved}");
            }
        } else {
            let (least, most) = (row.iter().min().unwrap(), row.iter().max().unwrap());
            assert!(*most <= least + least / 10, "{name}: {row:?}");
        }
    }
}
