//! The metronome.

use aulos_protocol::{Bpm, Value};

use super::*;

fn click(tempo: f64, start: Start, params: &[(&str, f64)]) -> Patch {
    let mut patch = Patch::new(&[]);
    patch.session.tempo = Bpm::new(tempo).unwrap();
    patch.start = start;
    patch.add("click", NodeKind::Click, 2, params);
    patch
}

fn rolling(position: u64) -> Start {
    Start { position, rolling: true, loop_range: None }
}

const ACCENT: [u8; 3] = [0x99, 76, 127];
const ACCENT_OFF: [u8; 3] = [0x89, 76, 0];
const BEAT: [u8; 3] = [0x99, 77, 100];
const BEAT_OFF: [u8; 3] = [0x89, 77, 0];

#[test]
fn beats_begin_at_the_nearest_frame() {
    // 22,153.846… frames: beats at 0, 22,154, 44,308, 66,462 (66,461.54), 88,615 (88,615.38).
    let messages = click(130.0, rolling(0), &[]).midi("click:midi_out", 89_000);
    let expected = [
        (0, ACCENT),
        (1440, ACCENT_OFF),
        (22_154, BEAT),
        (23_594, BEAT_OFF),
        (44_308, BEAT),
        (45_748, BEAT_OFF),
        (66_462, BEAT),
        (67_902, BEAT_OFF),
        (88_615, ACCENT),
    ];
    assert_eq!(messages, expected);
    let messages = click(130.0, rolling(66_461), &[("beats", 3.0)]).midi("click:midi_out", 2);
    assert_eq!(messages, [(1, ACCENT)]);
}

#[test]
fn a_click_is_a_sine_that_dies_away() {
    // The beat at 22,154 is 4 frames ahead.
    let patch = click(130.0, rolling(22_150), &[("level", 0.0)]);
    let outcome = patch.evaluate(2000);
    let left = outcome.port(&patch, "click:out_L");
    assert_eq!(left[..5], [0.0; 5]);
    // sin(2π·880/48,000) = 0.114937, (1 − 1/1440)² = 0.998611, and half of it.
    assert!((left[5] - 0.057_388_7).abs() < 1e-6, "{}", left[5]);
    // sin(2π·880·720/48,000) = sin(26.4π) = sin(0.4π) = 0.951057, a quarter, and half of it.
    assert!((left[4 + 720] - 0.118_882_1).abs() < 1e-6, "{}", left[724]);
    assert!(left[4 + 1439] != 0.0);
    assert!(left[4 + 1440..].iter().all(|x| x.to_bits() == 0));
    assert_eq!(left, outcome.port(&patch, "click:out_R"));

    // In a bar of one beat each is accented: twice as loud and an octave higher; -20 dB are a tenth of it.
    let patch = click(130.0, rolling(22_150), &[("level", -20.0), ("beats", 1.0)]);
    let outcome = patch.evaluate(2000);
    let left = outcome.port(&patch, "click:out_L");
    // sin(2π·1760/48,000) = 0.228351.
    assert!((left[5] - 0.022_803_4).abs() < 1e-6, "{}", left[5]);
}

#[test]
fn what_begins_within_a_beat_makes_no_note() {
    let patch = click(130.0, rolling(1), &[]);
    assert_eq!(patch.midi("click:midi_out", 22_153), []);
    assert_eq!(patch.midi("click:midi_out", 22_154), [(22_153, BEAT)]);
    assert!(patch.evaluate(1).port(&patch, "click:out_L")[0] != 0.0);
    let still = click(130.0, Start { rolling: false, ..rolling(1) }, &[]);
    assert_eq!(still.midi("click:midi_out", 3000), []);
    assert_eq!(still.evaluate(1).port(&still, "click:out_L"), [0.0]);
}

#[test]
fn the_seam_of_a_loop_does_not_end_a_note() {
    let looped = |position, start, end| Start { loop_range: Some((start, end)), ..rolling(position) };
    // Beats at 0 and 2880; the position goes from 699 to 100.
    let messages = click(1000.0, looped(0, 100, 700), &[]).midi("click:midi_out", 5000);
    assert_eq!(messages, [(0, ACCENT), (1440, ACCENT_OFF)]);
    // The loop begins on a beat: the note before ends right before the next.
    let messages = click(1000.0, looped(0, 0, 600), &[]).midi("click:midi_out", 1201);
    let expected = [(0, ACCENT), (600, ACCENT_OFF), (600, ACCENT), (1200, ACCENT_OFF), (1200, ACCENT)];
    assert_eq!(messages, expected);
    let messages = click(1000.0, looped(2000, 2880, 4320), &[]).midi("click:midi_out", 3761);
    let expected = [(880, BEAT), (2320, BEAT_OFF), (2320, BEAT), (3760, BEAT_OFF), (3760, BEAT)];
    assert_eq!(messages, expected);
}

#[test]
fn the_length_of_a_click_is_a_whole_number_of_frames() {
    let mut patch = click(120.0, rolling(0), &[]);
    patch.session.rate = Rate::new(8_049).unwrap();
    // 241.47 frames.
    assert_eq!(patch.midi("click:midi_out", 300), [(0, ACCENT), (241, ACCENT_OFF)]);
}

/// With a pattern.
fn written(mut patch: Patch, pattern: &str) -> Patch {
    let mut node = (**patch.session.node("click").unwrap()).clone();
    node.params.insert("pattern".into(), Value::name(pattern));
    patch.session.nodes.insert(Arc::new(node));
    patch
}

/// Where notes begin: the frame, the key and the velocity.
fn begun(patch: &Patch, frames: usize) -> Vec<(u64, u8, u8)> {
    let messages = patch.midi("click:midi_out", frames).into_iter();
    messages.filter(|(_, bytes)| bytes[0] == 0x99).map(|(at, bytes)| (at, bytes[1], bytes[2])).collect()
}

#[test]
fn accents_follow_the_time_signature() {
    // An eighth at 120 quarters a minute is a quarter of a second, 12,000 frames; a quarter 24,000, a half 48,000.
    for (signature, beats, length) in
        [("4/4", 4, 24_000), ("6/8", 6, 12_000), ("5/4", 5, 24_000), ("3/2", 3, 48_000)]
    {
        let mut patch = click(120.0, rolling(0), &[]);
        patch.session.signature = signature.parse().unwrap();
        let wanted: Vec<_> = (0..=2 * beats)
            .map(|beat| if beat % beats == 0 { (beat * length, 76, 127) } else { (beat * length, 77, 100) })
            .collect();
        assert_eq!(begun(&patch, (2 * beats * length + 1) as usize), wanted, "{signature}");
        // `beats` takes the place of its beats, not of their length.
        let id = patch.session.node("click").unwrap().id;
        let mut node = (*patch.session.nodes[&id]).clone();
        node.params.insert("beats".into(), Value::Number(2.0));
        patch.session.nodes.insert(Arc::new(node));
        let wanted = [(0, 76, 127), (length, 77, 100), (2 * length, 76, 127)];
        assert_eq!(begun(&patch, (2 * length + 1) as usize), wanted, "{signature} in two");
    }
}

#[test]
fn a_pattern_shares_a_bar_evenly_among_its_letters() {
    // A bar of 72,000 frames in four steps of 18,000; nothing sounds in the third.
    let mut patch = written(click(120.0, rolling(0), &[("level", 0.0)]), "Xo.x");
    patch.session.signature = "3/4".parse().unwrap();
    let wanted = [(0, 76, 127), (18_000, 77, 60), (54_000, 77, 100), (72_000, 76, 127)];
    assert_eq!(begun(&patch, 72_001), wanted);
    let outcome = patch.evaluate(72_100);
    let left = outcome.port(&patch, "click:out_L");
    // As loud as they are: 1, a quarter, a half; the accent an octave higher. A frame after each begins.
    let first = |hz: f64, gain: f64| {
        ((std::f64::consts::TAU * hz / 48_000.0).sin() * (1.0 - 1.0 / 1440.0f64).powi(2) * gain) as f32
    };
    let (accent, soft, beat) = (first(1760.0, 1.0), first(880.0, 0.25), first(880.0, 0.5));
    assert_eq!([left[1], left[18_001], left[54_001], left[72_001]], [accent, soft, beat, accent]);
    assert!(left[18_000 + 1440..54_001].iter().all(|x| *x == 0.0));
}
