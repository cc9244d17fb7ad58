//! A node that is late, at every place of random graphs.

use std::io::Write;

use aulos_nodes::Lateness;
use aulos_protocol::NodeId;
use aulos_tests::{
    late::{
        Script, When,
        heard::heard,
        scene::{self, Taps},
    },
    oracle::Outcome,
    random::{self, Rng, Scene},
};

use super::{BLOCKS, assert_same, blocks, channels, faults, for_all, pieces, play, script_between};

const SCENES: u64 = 100;

/// What was seen of scenes, so that nobody believes in a test that tests nothing.
#[derive(Default)]
struct Seen {
    places: usize,
    /// Places that hear themselves.
    looped: usize,
    /// Runs in which everything behind the node was compared, too.
    behind: usize,
    /// Driver's channels that the node cannot touch, and all.
    untouched: usize,
    channels: usize,
    late: usize,
    stale: u64,
}

/// A scene with some places for the node.
pub fn placed(seed: u64) -> Scene {
    let mut scene = random::scene(seed);
    let mut rng = Rng::new(seed);
    while scene::delays(&scene.session).len() < 2 {
        let Some((session, _)) = scene::spliced(&scene.session, &mut rng) else { break };
        scene.session = session;
    }
    scene
}

/// In time: nobody hears that it is not an ordinary node.
fn check_in_time(label: &str, scene: &Scene, node: NodeId, lengths: &[usize], expected: &[Vec<f32>]) {
    let blocks = blocks(&scene.session, lengths, expected[0].len());
    for (policy, when) in [(Lateness::Silence, When::Looks(3)), (Lateness::Dry, When::AtOnce)] {
        let script = Script { otherwise: when, ..Script::of(Some(policy)) };
        let (engine, log) = play(scene, node, &script, &blocks);
        assert_same(&format!("{label} in time"), expected, engine.played());
        assert_eq!((log.abandoned().len(), faults(&engine, node).late), (0, 0), "{label}");
    }
}

/// Late: nobody hears of it but who hears the node, and there it is heard as its policy says.
fn check_late(
    label: &str,
    (scene, taps): &(Scene, Taps),
    node: NodeId,
    lengths: &[usize],
    outcome: &Outcome,
    seen: &mut Seen,
) {
    let frames = outcome.playback[0].len() - scene::length(&scene.session, node);
    let untouched = scene::untouched(std::slice::from_ref(&scene.session), &[node], scene.playback_channels);
    let own = scene::outputs(&scene.session, node, outcome);
    let fade = scene.session.fade_frames() as usize;
    let blocks = blocks(&scene.session, lengths, frames);
    for policy in [Lateness::Silence, Lateness::Dry] {
        let label = format!("{label}, {policy:?}");
        let mut rng = Rng::new(node.0);
        let script = script_between(&mut rng, Script::of(Some(policy)), 500..frames as u64 * 3 / 4);
        let (engine, log) = play(scene, node, &script, &blocks);
        let pieces = pieces(&blocks, &script);
        let late: Vec<u64> = pieces.iter().filter(|p| p.1).map(|(block, _)| block.start as u64).collect();
        assert_eq!(log.abandoned(), late, "{label}");
        assert_eq!(faults(&engine, node).late, late.len() as u64, "{label}");
        let pick = |all| channels(all, untouched.iter().copied(), frames);
        assert_same(&format!("{label}, untouched"), &pick(&outcome.playback), &pick(engine.played()));

        let dry = |own: &Vec<f32>| match policy {
            Lateness::Dry => scene::dry(&scene.session, node, own),
            _ => vec![0.0; frames],
        };
        let expected: Vec<_> =
            own.iter().map(|own| heard(&pieces, &own[..frames], &dry(own), fade)).collect();
        let tap = channels(engine.played(), taps[&node].clone(), frames);
        assert_same(&format!("{label}, its own"), &expected, &tap);
        // The oracle takes its time.
        let is_drawn = policy == [Lateness::Silence, Lateness::Dry][rng.below(2) as usize] && rng.percent(50);
        if is_drawn && let Some(replaced) = scene::replaced(scene, node, &expected) {
            assert_same(&format!("{label}, behind"), &replaced.evaluate(frames).playback, engine.played());
            seen.behind += 1;
        }
        seen.late += late.len();
        seen.stale += log.stale();
        seen.untouched += untouched.len();
        seen.channels += scene.playback_channels;
    }
}

/// The same for a node that hears itself: what it is to put out is known by a delay beside it that hears the same.
fn check_looped(label: &str, scene: &Scene, node: NodeId, lengths: &[usize], frames: usize, seen: &mut Seen) {
    let (scene, shadow) = scene::shadowed(scene, node);
    let (scene, taps) = scene::tapped(&scene);
    let fade = scene.session.fade_frames() as usize;
    let all = frames + scene::length(&scene.session, node);
    let blocks = blocks(&scene.session, lengths, all);
    let script = script_between(&mut Rng::new(node.0), Script::of(Some(Lateness::Dry)), 500..frames as u64);
    let (engine, _) = play(&scene, node, &script, &blocks);
    let pieces: Vec<_> =
        pieces(&blocks, &script).into_iter().filter(|(block, _)| block.end <= frames).collect();
    let frames = pieces.last().map_or(0, |(block, _)| block.end);
    let own = channels(engine.played(), taps[&shadow].clone(), all);
    let dry = |own: &Vec<f32>| scene::dry(&scene.session, node, own);
    let expected: Vec<_> = own.iter().map(|own| heard(&pieces, &own[..frames], &dry(own), fade)).collect();
    assert_same(
        &format!("{label}, looped"),
        &expected,
        &channels(engine.played(), taps[&node].clone(), frames),
    );
    if let Some(replaced) = scene::replaced(&scene, node, &expected) {
        let got = channels(engine.played(), 0..scene.playback_channels, frames);
        assert_same(&format!("{label}, looped, behind"), &replaced.evaluate(frames).playback, &got);
        seen.behind += 1;
    }
    seen.looped += 1;
}

fn check(seed: u64) -> Seen {
    let untapped = placed(seed);
    let tapped = scene::tapped(&untapped);
    let (scene, _) = &tapped;
    let session = &scene.session;
    let frames = scene.frames();
    let places = scene::delays(session);
    let longest = places.iter().map(|node| scene::length(session, *node)).max().unwrap_or(0);
    let whole = scene.evaluate(frames + longest);
    let expected = channels(&whole.playback, 0..scene.playback_channels, frames);
    let mut seen = Seen { places: places.len(), ..Seen::default() };
    for (nth, node) in places.into_iter().enumerate() {
        let lengths = BLOCKS[(seed as usize + nth) % BLOCKS.len()];
        let label = format!("seed {seed}, {}, blocks {lengths:?}", session.nodes[&node].slug);
        check_in_time(&label, scene, node, lengths, &expected);
        if scene::hears_itself(session, node) {
            check_looped(&label, &untapped, node, lengths, frames, &mut seen);
            continue;
        }
        let all = frames + scene::length(session, node);
        let mut outcome = whole.clone();
        outcome.playback.iter_mut().chain(outcome.ports.values_mut()).for_each(|signal| signal.truncate(all));
        check_late(&label, &tapped, node, lengths, &outcome, &mut seen);
    }
    seen
}

#[test]
fn at_every_place_of_random_graphs_only_its_own_path_changes() {
    let seen = for_all(SCENES, check).into_iter().fold(Seen::default(), |a, b| Seen {
        places: a.places + b.places,
        looped: a.looped + b.looped,
        behind: a.behind + b.behind,
        untouched: a.untouched + b.untouched,
        channels: a.channels + b.channels,
        late: a.late + b.late,
        stale: a.stale + b.stale,
    });
    let Seen { places, looped, behind, untouched, channels, late, stale } = seen;
    let text = format!(
        "{places} places, {looped} of them looped, {behind} with all behind them, \
         {untouched} of {channels} channels untouched, {late} blocks late, {stale} stale results"
    );
    assert!(places >= 300 && behind >= 100 && looped >= 10, "{text}");
    assert!(untouched * 2 > channels && late > 10_000 && stale > 500, "{text}");
    // Not by println: that would only be seen when the test fails.
    writeln!(std::io::stdout(), "\n{text}").unwrap();
}

/// A slow sine through a delay.
fn sine(length: f64) -> Scene {
    use super::budgets::{add, link, scene};
    use aulos_protocol::NodeKind::{Delay, Output, Tone};
    scene(vec![
        add(Tone, "tone", &[("frequency", 20.0), ("level", 0.0)]),
        add(Delay, "late", &[("frames", length)]),
        add(Output, "out", &[]),
        link("tone", "late"),
        link("late", "out"),
    ])
}

#[test]
fn a_slow_sine_steps_no_further_than_a_fade() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let policy = [Lateness::Silence, Lateness::Dry, Lateness::Pipelined][seed as usize % 3];
        let scene = sine(if rng.percent(50) { 0.0 } else { 700.0 });
        let node = scene.session.node("late").unwrap().id;
        let script = script_between(&mut rng, Script::of(Some(policy)), 2000..40_000);
        let blocks = blocks(&scene.session, BLOCKS[seed as usize / 3 % 3], 48_000);
        let (engine, log) = play(&scene, node, &script, &blocks);
        let fade = scene.session.fade_frames() as f32;
        let slope = std::f32::consts::TAU * 20.0 / 48_000.0;
        // From one peak to the other, at worst.
        let farthest = if policy == Lateness::Dry { 2.0 } else { 1.0 };
        let steepest = engine.played()[0].windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
        let allowed = slope + farthest / fade + 1e-6;
        assert!(steepest <= allowed, "seed {seed}: {steepest} where {allowed} is allowed");
        assert!(!log.abandoned().is_empty() && engine.played()[0].iter().any(|x| x.abs() > 0.9));
    }
}
