//! An equalizer.

use std::ops::Range;

use aulos_protocol::{Node, Rate, params};

use crate::{
    Cycle, Fade, Io, Processor, Progress, Setting,
    dsp::{
        design::Kind,
        equalizer::{BANDS, Change, Equalizer, LANES, STEP},
        finite, sample,
    },
    factor, number,
};

/// Bands of filters, then a gain; or, bypassed, what comes in.
pub struct Eq {
    channels: usize,
    equalizer: Equalizer,
    gain: Fade,
    /// How much is heard of what comes in.
    bypass: Fade,
}

impl Eq {
    pub(crate) fn new(node: &Node, rate: Rate) -> Self {
        let channels = usize::from(node.channels);
        let mut equalizer = Equalizer::new(channels, f64::from(rate.hz()));
        for param in params::of(node.kind, node.channels) {
            if let Some((band, change)) = change(param.name, number(node, param.name)) {
                equalizer.set(band, change);
            }
        }
        Self {
            channels,
            equalizer,
            gain: Fade::still(factor(number(node, "gain"))),
            bypass: Fade::still(number(node, "bypass") as f32),
        }
    }

    /// A piece without a line of the control grid in it.
    fn render(&mut self, frame: u64, piece: Range<usize>, io: &mut Io<'_>) {
        self.equalizer.prepare(piece.len());
        for pair in 0..self.channels.div_ceil(LANES) {
            let channels = pair * LANES..self.channels.min((pair + 1) * LANES);
            let mut samples = [[0f64; LANES]; STEP];
            let samples = &mut samples[..piece.len()];
            for (lane, channel) in channels.clone().enumerate() {
                let input = &io.input(channel)[piece.clone()];
                samples.iter_mut().zip(input).for_each(|(frame, x)| frame[lane] = finite(*x).into());
            }
            self.equalizer.filter(pair, samples);
            for (lane, channel) in channels.enumerate() {
                let (x, y) = io.pair(channel, channel);
                let wet = samples.iter().map(|frame| sample(frame[lane]));
                for (n, ((y, x), wet)) in (frame + piece.start as u64..)
                    .zip(y[piece.clone()].iter_mut().zip(&x[piece.clone()]).zip(wet))
                {
                    // What is not finite leaves as it came, so that it is counted.
                    let wet = if x.is_finite() { wet * self.gain.at(n) } else { *x };
                    *y = passed_by(wet, *x, self.bypass.at(n));
                }
            }
        }
    }
}

/// What is heard of a processed sample and the one that came in: of the latter this part, exactly at the ends.
pub(crate) fn passed_by(wet: f32, dry: f32, part: f32) -> f32 {
    if part == 0.0 {
        wet
    } else if part == 1.0 {
        dry
    } else {
        wet + (dry - wet) * part
    }
}

/// What a parameter says of which band (from 0), if it is one of a band.
fn change(param: &str, value: f64) -> Option<(usize, Change)> {
    let (band, what) = param.strip_prefix("band")?.split_once('_')?;
    let band = band.parse::<usize>().ok()?.checked_sub(1).filter(|band| *band < BANDS)?;
    let change = match what {
        "on" => Change::On(value != 0.0),
        "kind" => Change::Kind(*Kind::ALL.get(value as usize)?),
        "slope" => Change::Steep(value != 0.0),
        "frequency" => Change::Frequency(value),
        "gain" => Change::Gain(value),
        "q" => Change::Q(value),
        _ => return None,
    };
    Some((band, change))
}

impl Processor for Eq {
    fn start(&mut self, cycle: &Cycle<'_>, io: &mut Io<'_>) -> Progress {
        for (stretch, settings) in cycle.stretches() {
            settings.iter().for_each(|setting| self.set(setting));
            for (piece, is_line) in cycle.grid(stretch) {
                if is_line {
                    self.equalizer.begin_step(cycle.frame + piece.start as u64);
                }
                self.render(cycle.frame, piece, io);
            }
        }
        Progress::Done
    }

    fn set(&mut self, setting: &Setting) {
        let Setting { param, value, frame, fade } = *setting;
        match param {
            "gain" => self.gain.turn(factor(value), frame, frame, fade),
            "bypass" => self.bypass.turn(value as f32, frame, frame, fade),
            _ => {
                if let Some((band, change)) = change(param, value) {
                    self.equalizer.turn(band, change, frame, fade);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "eq_tests.rs"]
mod tests;
