//! The master: a strip, a limiter, a last gain, and a loudness meter behind them.

use std::{ops::Range, sync::Arc};

use aulos_protocol::{Control, Node, Rate};

use crate::{
    Cycle, Fade, Io, Meter, Processor, Progress, Setting,
    dsp::{self, finite, limiter::Limiter, loudness::LoudnessMeter},
    factor, number,
    strip::Strip,
};

/// A fader without pan, then perhaps a limiter, then a gain. Whether there is a limiter is decided when it is built, as
/// it makes all of it later.
pub struct Master {
    channels: usize,
    strip: Strip,
    limiter: Option<Limiter>,
    output: Fade,
    loudness: LoudnessMeter,
    /// A frame of all channels.
    frame: Vec<f32>,
}

/// Whether there is a limiter.
pub(crate) fn is_limited(node: &Node) -> bool {
    number(node, "limiter") != 0.0
}

impl Master {
    pub(crate) fn new(node: &Node, control: Control, rate: Rate, max_block: usize) -> Self {
        let channels = usize::from(node.channels);
        let hz = f64::from(rate.hz());
        let limiter = is_limited(node).then(|| {
            let ceiling = dsp::factor(number(node, "ceiling"));
            Limiter::new(channels, hz, ceiling, number(node, "release") / 1000.0)
        });
        Self {
            channels,
            strip: Strip::new(node, control, rate, max_block),
            limiter,
            output: Fade::still(factor(number(node, "output"))),
            loudness: LoudnessMeter::new(channels, hz),
            frame: vec![0.0; channels],
        }
    }

    pub(crate) fn meter(&self) -> Arc<Meter> {
        self.strip.meter()
    }

    fn render(&mut self, frame: u64, stretch: Range<usize>, io: &mut Io<'_>) {
        self.strip.render(frame, stretch.clone(), io);
        let meter = self.strip.meter_ref();
        if let Some(limiter) = &mut self.limiter {
            let mut lowest = 1f64;
            for n in stretch.clone() {
                for (channel, x) in self.frame.iter_mut().enumerate() {
                    *x = finite(io.output(channel)[n]);
                }
                lowest = lowest.min(limiter.next(&mut self.frame));
                for (channel, x) in self.frame.iter().enumerate() {
                    io.output(channel)[n] = *x;
                }
            }
            meter.reduce(lowest);
        }
        let start = frame + stretch.start as u64;
        if !(self.output.is_still(start) && self.output.target() == 1.0) {
            for channel in 0..self.channels {
                let samples = io.output(channel)[stretch.clone()].iter_mut();
                samples.zip(start..).for_each(|(x, n)| *x *= self.output.at(n));
            }
        }
        let mut is_new = false;
        for n in stretch {
            for (channel, x) in self.frame.iter_mut().enumerate() {
                *x = finite(io.output(channel)[n]);
            }
            is_new |= self.loudness.next(self.frame.iter().copied());
        }
        if is_new {
            meter.set_loudness(&self.loudness.measured());
        }
    }
}

impl Processor for Master {
    fn start(&mut self, cycle: &Cycle<'_>, io: &mut Io<'_>) -> Progress {
        if self.strip.meter_ref().take_loudness_reset() {
            self.loudness.reset();
        }
        for (stretch, settings) in cycle.stretches() {
            settings.iter().for_each(|setting| self.set(setting));
            self.render(cycle.frame, stretch, io);
        }
        self.strip.look(io);
        Progress::Done
    }

    fn set(&mut self, setting: &Setting) {
        let Setting { param, value, frame, fade } = *setting;
        match (param, &mut self.limiter) {
            ("output", _) => self.output.turn(factor(value), frame, frame, fade),
            ("ceiling", Some(limiter)) => limiter.set_ceiling(dsp::factor(value)),
            ("release", Some(limiter)) => limiter.set_release(value / 1000.0),
            _ => self.strip.set(setting),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use aulos_protocol::{NodeKind, Value};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Stage,
        bench::{built, n, node, noise, play, run, same, setting},
    };

    fn master(set: &[(&str, Value)]) -> Node {
        node(NodeKind::Master, 2, set)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn any_cut_into_blocks_gives_the_same_bits(blocks in prop::collection::vec(1usize..300, 1..12)) {
            let node = master(&[("limiter", n(1.0)), ("ceiling", n(-12.0)), ("gain", n(6.0))]);
            let moves = [
                ("ceiling", n(-18.0), 500),
                ("release", n(5.0), 900),
                ("output", n(-6.0), 1200),
                ("mute", n(1.0), 1500),
                ("mute", n(0.0), 1900),
            ];
            let settings = moves.map(|(param, value, frame)| setting(&node, param, value, frame));
            let input = noise(2, 2500);
            let whole = run(&node, &input, &settings, &[2500]);
            same("blocks", &whole, &run(&node, &input, &settings, &blocks));
        }
    }

    #[test]
    fn an_idle_limiter_is_a_delay_that_is_reported() {
        let node = master(&[("limiter", n(1.0))]);
        let mut input = noise(2, 3000);
        input.iter_mut().flatten().for_each(|x| *x *= 0.5);
        let rate = Rate::default();
        let later = Stage::Whole(NodeKind::Master).latency(&node, rate) as usize;
        assert_eq!(later, dsp::limiter::latency(48_000.0));
        let output = run(&node, &input, &[], &[480]);
        let wanted: Vec<_> =
            input.iter().map(|x| [&vec![0.0; later][..], &x[..3000 - later]].concat()).collect();
        same("idle", &output, &wanted);
        assert_eq!(Stage::Whole(NodeKind::Master).latency(&master(&[]), rate), 0);
        same("without", &run(&master(&[]), &input, &[], &[480]), &input);
    }

    #[test]
    fn loudness_is_that_of_the_output_and_can_be_reset() {
        let node = master(&[("output", n(-3.0)), ("gain", n(-2.0))]);
        let tone = |n: usize| (0.5 * (TAU * 1000.0 * n as f64 / 48_000.0).sin()) as f32;
        let input = vec![(0..240_000).map(tone).collect::<Vec<_>>(); 2];
        let mut built = built(&node);
        let meter = built.meter.clone().unwrap();
        play(&mut *built.processor, &node, &input, &[], &[1024]);
        // A stereo sine of -6 dB has -6 LUFS.
        let loudness = meter.loudness().unwrap();
        assert!((loudness.integrated.unwrap() + 11.02).abs() < 0.05, "{loudness:?}");
        assert!((dsp::decibels(f64::from(loudness.true_peak)) + 11.02).abs() < 0.05, "{loudness:?}");
        meter.reset_loudness();
        let silence = vec![vec![0.0; 48_000]; 2];
        play(&mut *built.processor, &node, &silence, &[], &[1024]);
        assert_eq!(meter.loudness().unwrap().integrated, None);
    }

    #[test]
    fn what_is_no_number_does_not_stay() {
        let node = master(&[("limiter", n(1.0)), ("gain", n(12.0))]);
        let mut input = vec![vec![0.1f32; 240_000]; 2];
        input[0][10] = f32::MAX;
        let mut built = built(&node);
        let output = play(&mut *built.processor, &node, &input, &[], &[333]);
        assert!(output.iter().flatten().all(|x| x.is_finite()));
        assert!((output[0][200_000] - 0.1 * factor(12.0)).abs() < 1e-6);
        assert!(built.meter.unwrap().loudness().unwrap().short_term.is_none_or(f64::is_finite));
    }
}
