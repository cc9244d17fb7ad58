//! Large sessions: ten thousand nodes are made by commands, sound right, and are edited while they play.

use aulos_engine::Start;
use aulos_protocol::Command;
use aulos_tests::{
    compare,
    large::{self, edits},
    random::Scene,
    stepped::{Files, Stepped},
};

#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

const BLOCK: usize = 512;
/// In so many frames everything has faded and come through.
const SETTLED: usize = 8 * BLOCK;

fn playing(scene: &Scene) -> Stepped {
    let start = Start { rolling: true, ..Start::default() };
    let files = Files(scene.files.clone());
    Stepped::new(scene.session.clone(), files, scene.capture.clone(), scene.playback_channels, BLOCK, start)
}

fn run(engine: &mut Stepped, frames: usize) {
    engine.run_to(engine.frame() + frames, || BLOCK);
}

/// What was played in the frames before `end`.
fn before(end: usize, frames: usize, engine: &Stepped) -> Vec<Vec<f32>> {
    engine.played().iter().map(|channel| channel[end - frames..end].to_vec()).collect()
}

fn assert_sounds(channels: &[Vec<f32>]) {
    assert!(channels.iter().all(|channel| channel.iter().any(|sample| *sample != 0.0)));
}

#[test]
fn ten_thousand_nodes_are_made_by_commands_and_edited_while_they_play() {
    let mut edited = playing(&large::empty());
    for batch in large::batches(&large::commands(10_000, 20_000), 1000) {
        edited.perform(&batch).unwrap();
        edited.cycle(BLOCK);
    }
    let made = edited.controller.session().clone();
    assert_eq!((made.nodes.len(), made.links.len()), (10_000, 20_000));
    run(&mut edited, SETTLED);

    let begin = edited.frame();
    for command in [
        edits::link(),
        edits::param(true),
        edits::add(),
        edits::latency(),
        edits::unlink(),
        edits::remove(),
        edits::link(),
    ] {
        edited.perform(&command).unwrap_or_else(|error| panic!("{command:?}: {error:?}"));
        edited.cycle(BLOCK);
    }
    assert_eq!(edited.controller.session().links.len(), 20_002);
    let turn = edited.frame();
    for _ in 0..7 {
        edited.perform(&Command::Undo).unwrap();
        edited.cycle(BLOCK);
    }
    let session = edited.controller.session();
    assert!(session.nodes == made.nodes && session.links == made.links);
    run(&mut edited, SETTLED);

    let mut fresh = playing(&Scene { session: made, ..large::empty() });
    // The plan that is left has nothing of the edits in it, and sounds as if there had been none.
    let ((stages, lines, terms), census) = (edited.controller.census(), fresh.controller.census());
    assert_eq!((stages, terms), (census.0, census.2));
    // A port whose delay has grown may have a short line for its early taps beside the long one.
    assert!((census.1..census.1 + census.1 / 10).contains(&lines), "{lines} lines, {census:?}");
    assert_eq!(edited.controller.tasks(), fresh.controller.tasks());
    let end = edited.frame();
    run(&mut fresh, end);
    let compared =
        |label, end, frames| compare(label, &before(end, frames, &fresh), &before(end, frames, &edited));
    compared("made by commands", begin, BLOCK).unwrap();
    compared("edits are heard", turn, turn - begin).unwrap_err();
    compared("all undone", end, BLOCK).unwrap();
    assert_sounds(&before(end, BLOCK, &edited));
}

#[test]
fn large_sessions_sound_as_the_oracle_says() {
    // The oracle takes its time; what is latest is heard after some 400 frames.
    for (nodes, frames, blocks) in [(1000, 3000, &[64, 480][..]), (10_000, 640, &[64])] {
        let scene = large::scene(nodes);
        assert_eq!((scene.session.nodes.len(), scene.session.links.len()), (nodes, 2 * nodes));
        let expected = scene.evaluate(frames);
        let latest = expected.arrivals.values().max().copied().unwrap_or(0) as usize;
        assert!(latest < frames - 200, "{latest}");
        assert_sounds(&expected.playback);
        for block in blocks {
            let mut engine = Stepped::of(&scene, *block);
            engine.run_to(frames, || *block);
            compare(&format!("{nodes} nodes, block {block}"), &expected.playback, engine.played()).unwrap();
        }
    }
}
