//! Nodes that have a block more of time.

use aulos_nodes::Lateness;
use aulos_tests::{
    late::{Script, When, heard::heard, scene},
    random::{Rng, Scene},
};

use super::{BLOCKS, SOON, assert_same, blocks, channels, faults, for_all, graphs::placed, pieces, play};

const SCENES: u64 = 40;

/// How many places were compared in time, and how many late.
fn check(seed: u64) -> (usize, usize) {
    let mut counts = (0, 0);
    let mut rng = Rng::new(seed);
    let mut untapped = placed(seed);
    // What it adds depends on the session, not on the driver's blocks.
    untapped.session.max_block = (*rng.pick(&[128, 256, 1024])).min(untapped.session.max_block);
    let (scene, taps) = scene::tapped(&untapped);
    let max_block = scene.session.max_block as usize;
    let mut places = scene::delays(&scene.session);
    rng.shuffle(&mut places);
    for node in places.into_iter().take(3) {
        let slug = &scene.session.nodes[&node].slug;
        let Some(session) = scene::later(&scene.session, node, max_block as u64) else { continue };
        let later = Scene { session, ..scene.clone() };
        let frames = later.frames();
        let outcome = later.evaluate(frames + max_block);
        let expected = channels(&outcome.playback, 0..scene.playback_channels, frames);
        // Done at once, or within the next block's time.
        for (lengths, when) in BLOCKS.into_iter().zip([When::AtOnce, SOON, SOON]) {
            let label = format!("seed {seed}, {slug}, blocks {lengths:?}");
            let script = Script { otherwise: when, ..Script::of(Some(Lateness::Pipelined)) };
            let blocks = blocks(&scene.session, lengths, frames);
            let (engine, _) = play(&scene, node, &script, &blocks);
            assert_same(&format!("{label}, in time"), &expected, engine.played());
            assert_eq!(engine.controller.total_latency(), later_total(&later), "{label}");
            counts.0 += 1;
            if scene::hears_itself(&scene.session, node) {
                continue;
            }
            let script = super::script_between(&mut rng, script, 500..frames as u64 * 3 / 4);
            let (engine, log) = play(&scene, node, &script, &blocks);
            let pieces = pieces(&blocks, &script);
            let fade = scene.session.fade_frames() as usize;
            let own = scene::outputs(&later.session, node, &outcome);
            let own = own.iter().map(|own| heard(&pieces, &own[max_block..], &vec![0.0; frames], fade));
            let shifted = |own: Vec<f32>| {
                let silence = std::iter::repeat_n(0.0, max_block);
                silence.chain(own).take(frames).collect::<Vec<f32>>()
            };
            let own: Vec<_> = own.map(shifted).collect();
            let tap = channels(engine.played(), taps[&node].clone(), frames);
            assert_same(&format!("{label}, its own"), &own, &tap);
            let late = pieces.iter().filter(|piece| piece.1).count();
            assert_eq!((log.abandoned().len(), faults(&engine, node).late as usize), (late, late), "{label}");
            let untouched =
                scene::untouched(std::slice::from_ref(&later.session), &[node], scene.playback_channels);
            let pick = |all| channels(all, untouched.iter().copied(), frames);
            assert_same(&format!("{label}, untouched"), &pick(&expected), &pick(engine.played()));
            // The oracle takes its time.
            if rng.percent(30)
                && let Some(replaced) = scene::replaced(&later, node, &own)
            {
                assert_same(
                    &format!("{label}, behind"),
                    &replaced.evaluate(frames).playback,
                    engine.played(),
                );
                counts.1 += 1;
            }
        }
    }
    counts
}

fn later_total(later: &Scene) -> u64 {
    let outcome = later.evaluate(0);
    let outputs = outcome.arrivals.into_iter().filter(|((_, stage), _)| *stage == "output");
    outputs.map(|(_, arrival)| arrival).max().unwrap_or(0)
}

#[test]
fn a_pipelined_node_is_an_ordinary_one_that_is_a_block_later() {
    let counts = for_all(SCENES, check).into_iter().fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    assert!(counts.0 >= 200 && counts.1 >= 30, "{counts:?}");
}
