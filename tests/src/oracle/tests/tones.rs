//! Sines, free ones and ones that follow notes.

use super::*;
use crate::oracle::midi::Notes;

#[test]
fn a_tone_of_a_quarter_of_the_rate_has_a_period_of_four() {
    let mut patch = Patch::new(&[]);
    patch.add("tone", NodeKind::Tone, 2, &[("frequency", 12_000.0), ("level", 0.0)]);
    let outcome = patch.evaluate(9);
    let left = outcome.port(&patch, "tone:out_L");
    assert_eq!([left[0], left[1], left[3], left[8]], [0.0, 1.0, -1.0, 0.0]);
    assert!(left[2].abs() < 1e-15);
    assert_eq!(left, outcome.port(&patch, "tone:out_R"));

    // Over an hour the phase does not drift: frame n is the sine of n increments.
    let increment = (440.0 / 48_000.0 * 2f64.powi(64)) as u64;
    let turns = (u128::from(increment) * 172_800_000) as u64;
    let expected = ((turns >> 11) as f64 / 2f64.powi(53) * std::f64::consts::TAU).sin() as f32;
    assert_eq!(law::sine(increment.wrapping_mul(172_800_000)), expected);
}

const E: u64 = 240;

fn increment(frequency: f64) -> u64 {
    (frequency / 48_000.0 * 2f64.powi(64)) as u64
}

/// What a tone of 440 Hz is at `frame`, after some messages.
fn notes(frame: u64, heard: &[(u64, [u8; 3])]) -> (f32, f32) {
    let heard: Vec<_> = heard.iter().map(|(frame, bytes)| Message { frame: *frame, bytes: *bytes }).collect();
    Notes::new(440.0, Rate::default()).at(frame, &heard)
}

#[test]
fn a_note_goes_on_from_the_phase_before_it() {
    let free = |frame| law::sine(increment(440.0).wrapping_mul(frame));
    assert_eq!(notes(1000, &[]), (free(1000), 0.0));
    // 81 is an octave above 69, which is 440 Hz.
    let heard = [(100, [0x90, 81, 127])];
    let phase = increment(440.0).wrapping_mul(100).wrapping_add(increment(880.0).wrapping_mul(900));
    assert_eq!(notes(100, &heard), (free(100), 0.0));
    assert_eq!(notes(1000, &heard), (law::sine(phase), 1.0));
    // Ended, it goes on without a sound; the next begins from there.
    let heard = [(100, [0x90, 81, 127]), (500, [0x80, 81, 0]), (1000, [0x90, 69, 127])];
    let later = phase.wrapping_add(increment(440.0).wrapping_mul(50));
    assert_eq!(notes(1050, &heard).0, law::sine(later));
}

#[test]
fn the_envelope_is_a_line_of_five_milliseconds() {
    let at = |frame, heard: &[(u64, [u8; 3])]| notes(frame, heard).1;
    let on = (100, [0x93, 60, 127]);
    assert_eq!(
        [100, 160, 220, 339, 340, 9999].map(|frame| at(frame, &[on])),
        [0.0, 0.25, 0.5, 239.0 / 240.0, 1.0, 1.0]
    );
    assert_eq!(at(100 + E, &[(100, [0x93, 60, 64])]), 64.0 / 127.0);
    // Ended on its way up, it goes down as slowly.
    let off = (220, [0x83, 60, 0]);
    assert_eq!([220, 340, 460].map(|frame| at(frame, &[on, off])), [0.5, 0.25, 0.0]);
    // The next one goes on from there.
    let next = (340, [0x93, 61, 127]);
    assert_eq!([340, 460, 580].map(|frame| at(frame, &[on, off, next])), [0.25, 0.625, 1.0]);
}

#[test]
fn one_note_is_held_at_a_time() {
    let level = |heard: &[[u8; 3]]| {
        let heard: Vec<_> = heard.iter().zip(0..).map(|(bytes, n)| (n * 1000, *bytes)).collect();
        notes(1_000_000, &heard).1
    };
    let (on, other) = ([0x90, 60, 127], [0x90, 61, 127]);
    // What ends it: its end on any channel, a start without velocity, all sound off, all notes off.
    for end in [[0x80, 60, 0], [0x8f, 60, 64], [0x95, 60, 0], [0xb0, 120, 0], [0xb7, 123, 0]] {
        assert_eq!(level(&[on, end]), 0.0, "{end:?}");
    }
    // What does not: the end of another, other controllers.
    for end in [[0x80, 61, 0], [0x95, 61, 0], [0xb0, 121, 0], [0xb0, 60, 0], [0xa0, 60, 0], [0xe0, 60, 0]] {
        assert_eq!(level(&[on, end]), 1.0, "{end:?}");
    }
    assert_eq!(level(&[on, other, [0x80, 60, 0]]), 1.0);
    // The earlier one does not come back.
    assert_eq!(level(&[on, other, [0x80, 61, 0]]), 0.0);
}

#[test]
fn notes_reach_a_tone_by_midi() {
    let mut patch = Patch::new(&[]);
    patch.start.rolling = true;
    patch.add("click", NodeKind::Click, 1, &[]);
    patch.add("late", NodeKind::Delay, 1, &[("frames", 50.0)]);
    patch.add("tone", NodeKind::Tone, 2, &[("notes", 1.0), ("level", -6.0), ("frequency", 100.0)]);
    patch.add("free", NodeKind::Tone, 1, &[("frequency", 100.0)]);
    patch.link("click:midi_out", "late:midi_in", 0.0);
    patch.link("late:midi_out", "tone:midi_in", 0.0);
    patch.link("late:midi_out", "free:midi_in", 0.0);
    let outcome = patch.evaluate(2000);
    let (left, free) = (outcome.port(&patch, "tone:out_L"), outcome.port(&patch, "free:out_1"));
    assert_eq!(left, outcome.port(&patch, "tone:out_R"));
    assert!(left[..51].iter().all(|x| *x == 0.0));
    // The accent is the note 76 at full velocity, from frame 50 to 1490.
    let step = increment(440.0 * 2f64.powf(7.0 / 12.0));
    let sine =
        |frame: u64| law::sine(increment(100.0).wrapping_mul(50).wrapping_add(step.wrapping_mul(frame - 50)));
    let level = Decibels::new(-6.0).unwrap().factor();
    assert_eq!(left[110], sine(110) * level * 0.25);
    assert_eq!(left[1000], sine(1000) * level);
    assert_eq!(left[1490 + 60], sine(1550) * level * 0.75);
    assert!(left[1490 + 240..].iter().all(|x| *x == 0.0));
    // Without `notes` it does not listen.
    let level = Decibels::new(-18.0).unwrap().factor();
    assert_eq!(free[1000], law::sine(increment(100.0).wrapping_mul(1000)) * level);
}
