//! A device of another rate than the engine's: what it hears of what it says, against the definition.

use std::{f64::consts::TAU, sync::Arc};

use aulos_engine::{Patience, Start};
use aulos_protocol::{Command, NewNode, NodeKind, Session};
use aulos_tests::tone::measure;

use super::*;
use crate::{disk::Streams, library::Library};

/// An engine whose first input is its first output.
fn through(rate: Rate) -> Seat {
    let node = |kind: NodeKind, name: &str| {
        let name = Some(name.to_owned());
        Command::AddNode(NewNode { kind, name, channels: Some(1), params: Default::default() })
    };
    let link = |from: &str, to: &str| Command::Link {
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        gain: None,
    };
    let commands = vec![node(NodeKind::Input, "in"), node(NodeKind::Output, "out"), link("in", "out")];
    let command = Command::Batch { commands };
    let (session, _) = aulos_engine::session::apply(&Session::new("test", rate), &command).unwrap();
    let mut library = Library::new(Arc::new(Streams::new(4096).unwrap()), None);
    let setup = aulos_engine::Setup { max_block: 8192, start: Start::default() };
    let (_, engine, _) = aulos_engine::engine(session, &mut library, setup).unwrap();
    Seat::for_devices(engine, rate, 64).0
}

/// A device that records a tone of `frequency` cycles a frame and keeps what it plays.
struct Tone {
    frequency: f64,
    frame: usize,
    played: Vec<f32>,
}

impl Ends for Tone {
    fn record(&mut self, at: usize, frames: usize, capture: &mut [Vec<f32>]) {
        for (index, sample) in capture[0][..frames].iter_mut().enumerate() {
            *sample = (0.5 * (TAU * self.frequency * (self.frame + at + index) as f64).sin()) as f32;
        }
    }

    fn play(&mut self, _: usize, frames: usize, playback: &[Vec<f32>]) {
        self.played.extend(&playback[0][..frames]);
    }
}

/// The cycles of a device, none longer than `most`.
fn cycles(most: usize) -> impl Iterator<Item = usize> {
    // A generator by Marsaglia: any sequence will do.
    let mut state = 0x2545_f491_u32;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        1 + state as usize % most
    })
}

/// Records and plays at least so many frames in random cycles; what was played, and what slipped.
fn ring(session: Rate, device: Rate, frequency: f64, frames: usize) -> (Vec<f32>, u64, Crossing) {
    let mut seat = through(session);
    let mut edge = Edge::new(session, device, 2, 2).unwrap();
    let mut tone = Tone { frequency, frame: 0, played: Vec::new() };
    let mut slipped = 0;
    for frames_now in cycles(3000) {
        if tone.frame >= frames {
            break;
        }
        let turn = Turn { frames: frames_now, recorded: 1, played: 1, clock: &Patience, deadline: u64::MAX };
        slipped += edge.cycle(&mut seat, &turn, &mut tone);
        tone.frame += frames_now;
    }
    (tone.played, slipped, edge.crossing())
}

fn rate(hz: u32) -> Rate {
    Rate::new(hz).unwrap()
}

/// Session and device.
const RATES: [(u32, u32); 7] = [
    (48_000, 44_100),
    (44_100, 48_000),
    (48_000, 96_000),
    (96_000, 48_000),
    (48_000, 192_000),
    (192_000, 44_100),
    (48_000, 8_000),
];

#[test]
fn a_tone_goes_in_and_out_at_another_rate_and_nothing_is_added() {
    for (session, device) in RATES {
        // Up to 0.45 of the lower rate.
        let lower = f64::from(session.min(device)) / f64::from(device);
        for frequency in [0.01, 0.11, 0.25, 0.38, 0.45].map(|part| part * lower) {
            let (played, slipped, crossing) = ring(rate(session), rate(device), frequency, 60_000);
            assert_eq!(slipped, 0, "{session} {device}");
            let begin = 20_000;
            let heard = measure(&played, begin..played.len(), frequency);
            let gain = 20.0 * (heard.amplitude / 0.5).log10();
            let rest = heard.rest_db();
            // How late it is, by its phase.
            let late = crossing.round(0) as f64;
            let turns = -frequency * late - heard.phase / TAU;
            let off = (turns - turns.round()) / frequency;
            assert!(gain.abs() < 0.05, "{session} {device} {frequency}: gain {gain} dB");
            assert!(rest < -125.0, "{session} {device} {frequency}: {rest} dB of something else");
            // Rounded to whole frames in both directions; of a high tone whole turns cannot be told.
            let whole = 2.0 + 2.0 * f64::from(device) / f64::from(session);
            assert!(off.abs() < whole, "{session} {device} {frequency}: {off} frames off");
        }
    }
}

#[test]
fn a_tone_that_the_other_rate_cannot_hold_is_not_heard() {
    for (session, device) in [(44_100, 96_000), (22_050, 48_000), (8_000, 48_000)] {
        for part in [0.55, 0.6, 0.9] {
            let frequency: f64 = part * f64::from(session) / f64::from(device);
            if frequency >= 0.5 {
                continue;
            }
            let (played, ..) = ring(rate(session), rate(device), frequency, 30_000);
            let power = played[10_000..].iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
            let power = 10.0 * (power / (played.len() - 10_000) as f64 / 0.125).log10();
            assert!(power < -110.0, "{session} {device} {frequency}: {power} dB");
        }
    }
}

#[test]
fn equal_rates_pass_every_sample_as_it_is() {
    let (played, slipped, crossing) = ring(rate(48_000), rate(48_000), 0.01, 20_000);
    let mut tone = Tone { frequency: 0.01, frame: 0, played: Vec::new() };
    let mut all = [vec![0.0; played.len()]];
    tone.record(0, all[0].len(), &mut all);
    assert!(played == all[0] && slipped == 0 && crossing.round(5) == 5);
}

#[test]
fn nothing_slips_in_cycles_of_any_length() {
    // Ten minutes, at the lowest rates.
    let (session, device) = (rate(8_000), rate(8_001));
    let mut seat = through(session);
    let mut edge = Edge::new(session, device, 1, 1).unwrap();
    let mut tone = Tone { frequency: 0.0, frame: 0, played: Vec::new() };
    let mut left = 8_001 * 600_usize;
    for frames in cycles(1500) {
        let frames = frames.min(left);
        if frames == 0 {
            break;
        }
        left -= frames;
        tone.played.clear();
        let turn = Turn { frames, recorded: 1, played: 1, clock: &Patience, deadline: u64::MAX };
        assert_eq!(edge.cycle(&mut seat, &turn, &mut tone), 0);
    }
}

#[test]
fn a_channel_that_comes_back_has_forgotten_what_it_heard() {
    struct Loud(Vec<f32>);
    impl Ends for Loud {
        fn record(&mut self, _: usize, frames: usize, capture: &mut [Vec<f32>]) {
            let level = self.0.first().copied().unwrap_or_default();
            capture.iter_mut().for_each(|channel| channel[..frames].fill(level));
        }

        fn play(&mut self, _: usize, frames: usize, playback: &[Vec<f32>]) {
            if let Some(channel) = playback.first() {
                self.0.extend(&channel[..frames]);
            }
        }
    }
    for (session, device) in RATES {
        let mut seat = through(rate(session));
        let mut edge = Edge::new(rate(session), rate(device), 1, 1).unwrap();
        let mut run = |cycles: usize, used: usize, level: f32| {
            let mut ends = Loud(vec![level]);
            for _ in 0..cycles {
                let turn =
                    Turn { frames: 512, recorded: used, played: used, clock: &Patience, deadline: u64::MAX };
                assert_eq!(edge.cycle(&mut seat, &turn, &mut ends), 0);
            }
            ends.0.split_off(1)
        };
        let heard = run(40, 1, 0.5);
        assert!(heard.last().unwrap().abs() > 0.4, "{session} {device}");
        run(40, 0, 0.5);
        let heard = run(40, 1, 0.0);
        assert!(heard.iter().all(|sample| *sample == 0.0), "{session} {device}");
    }
}
