//! What is no sound, and latencies that cannot be.

use std::collections::BTreeMap;

use aulos_nodes::Lateness;
use aulos_protocol::{ErrorCode, NodeId};
use aulos_tests::{
    late::{Script, heard::heard, scene},
    random::Rng,
    stepped::Stepped,
};

use super::{
    BLOCKS, assert_same, blocks, channels, faults, for_all, graphs::placed, pieces, play, script_between,
};

const ODD: [f32; 6] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-40, -1e-45, f32::MIN_POSITIVE / 2.0];
const SIZES: [&[usize]; 5] = [&[1], &[17], &[64], &[480], BLOCKS[2]];

/// Samples that are no sound, some of them side by side.
fn odd(rng: &mut Rng, frames: usize) -> BTreeMap<u64, f32> {
    let mut odd = BTreeMap::new();
    while odd.len() < 60 {
        let at = rng.range(0, frames as u64 - 10);
        for frame in at..at + rng.range(1, 4) {
            odd.insert(frame, *rng.pick(&ODD));
        }
    }
    odd
}

/// How many of the samples are not finite, and how many are denormal.
fn counts<'a>(odd: impl Iterator<Item = &'a f32>, channels: usize) -> (u64, u64) {
    let (denormal, other): (Vec<f32>, Vec<f32>) = odd.partition(|x| x.is_subnormal());
    ((other.len() * channels) as u64, (denormal.len() * channels) as u64)
}

fn check(seed: u64) -> usize {
    let mut rng = Rng::new(seed);
    let (scene, taps) = scene::tapped(&placed(seed));
    let session = &scene.session;
    let places = scene::delays(session);
    let alone: Vec<NodeId> = places.into_iter().filter(|node| !scene::hears_itself(session, *node)).collect();
    if alone.is_empty() {
        return 0;
    }
    let node = *rng.pick(&alone);
    let frames = scene.frames();
    let outcome = scene.evaluate(frames + scene::length(session, node));
    let own = scene::outputs(session, node, &outcome);
    let odd = odd(&mut rng, frames);
    let zeroed: Vec<Vec<f32>> = own
        .iter()
        .map(|own| {
            let mut own = own[..frames].to_vec();
            odd.keys().for_each(|frame| own[*frame as usize] = 0.0);
            own
        })
        .collect();
    let behind = scene::replaced(&scene, node, &zeroed).map(|replaced| replaced.evaluate(frames).playback);
    for lengths in SIZES {
        let blocks = blocks(session, lengths, frames.min(lengths.len().max(lengths[0]) * 4000));
        let frames = blocks.last().unwrap().end;
        for policy in [None, Some(Lateness::Silence), Some(Lateness::Dry)] {
            let label = format!("seed {seed}, {}, {policy:?}, blocks {lengths:?}", session.nodes[&node].slug);
            let script = Script { odd: odd.clone(), ..Script::of(policy) };
            let (engine, _) = play(&scene, node, &script, &blocks);
            let tap = channels(engine.played(), taps[&node].clone(), frames);
            assert_same(&label, &channels(&zeroed, 0..zeroed.len(), frames), &tap);
            let all = 0..scene.playback_channels;
            if let Some(behind) = &behind {
                assert_same(&label, &channels(behind, all, frames), engine.played());
            }
            let counted = faults(&engine, node);
            let expected = counts(odd.range(..frames as u64).map(|(_, x)| x), own.len());
            assert_eq!((counted.not_finite, counted.denormal), expected, "{label}");
        }
        // Late now and then: what was not given out is not counted, and a fade does not multiply what it was.
        let script = Script { odd: odd.clone(), ..Script::of(Some(Lateness::Dry)) };
        let script = script_between(&mut rng, script, 0..frames as u64);
        let (engine, _) = play(&scene, node, &script, &blocks);
        let label = format!("seed {seed}, {}, late, blocks {lengths:?}", session.nodes[&node].slug);
        let pieces = pieces(&blocks, &script);
        let fade = session.fade_frames() as usize;
        let expected = zeroed.iter().zip(&own).map(|(zeroed, own)| {
            heard(&pieces, &zeroed[..frames], &scene::dry(session, node, own)[..frames], fade)
        });
        let tap = channels(engine.played(), taps[&node].clone(), frames);
        assert_same(&label, &expected.collect::<Vec<_>>(), &tap);
        let given: Vec<&f32> = pieces
            .iter()
            .filter(|(_, is_late)| !is_late)
            .flat_map(|(block, _)| odd.range(block.start as u64..block.end as u64).map(|(_, x)| x))
            .collect();
        let counted = faults(&engine, node);
        let expected = counts(given.into_iter(), own.len());
        assert_eq!((counted.not_finite, counted.denormal), expected, "{label}");
    }
    usize::from(behind.is_some())
}

#[test]
fn what_is_no_sound_is_silent_at_the_node_that_makes_it() {
    let behind: usize = for_all(30, check).into_iter().sum();
    assert!(behind >= 15, "only {behind} scenes were compared behind the node");
}

#[test]
fn a_latency_that_is_too_long_is_refused_and_changes_nothing() {
    for seed in 0..30 {
        let scene = placed(seed);
        let node = scene::delays(&scene.session)[0];
        let frames = scene.frames();
        let mut engine = Stepped::of(&scene, 256);
        let report = engine.controller.latency();
        let census = engine.controller.census();
        for at in 1..8 {
            engine.run_to(at * frames / 8, || 256);
            let most = scene.session.max_latency();
            for frames in [most + 1, most * 2, u64::MAX] {
                let refused = engine.controller.report_latency(node, frames).unwrap_err();
                assert_eq!(refused.code, ErrorCode::OutOfRange);
                assert!(refused.message.contains(scene.session.nodes[&node].slug.as_str()), "{refused:?}");
            }
        }
        engine.run_to(frames, || 256);
        assert_same(&format!("seed {seed}"), &scene.evaluate(frames).playback, engine.played());
        assert_eq!((engine.controller.latency(), engine.controller.census()), (report, census));
    }
}
