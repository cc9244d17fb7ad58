//! Bands of filters in a row, for any number of channels, that can be turned while they sound.

use super::{
    design::{Kind, SECTIONS, Shape},
    glide::Glide,
    svf::{Coefficients, Step, Svf},
};
use crate::CONTROL_GRID;

/// How many bands there are.
pub const BANDS: usize = 8;

/// Channels that are computed side by side.
pub const LANES: usize = 2;

/// Frames of a step of the control grid.
pub const STEP: usize = CONTROL_GRID as usize;

/// What is said of a band.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// Whether it does anything.
    On(bool),
    /// What it does.
    Kind(Kind),
    /// Whether a cut has 24 dB per octave.
    Steep(bool),
    /// In Hz.
    Frequency(f64),
    /// In dB.
    Gain(f64),
    /// The Q.
    Q(f64),
}

/// A band on its way. Numbers move in a straight line (frequency and Q on a scale of octaves) and are made
/// coefficients of once a step of the control grid; between two of them the coefficients move in a straight line.
/// What has no values in between, such as the kind, moves the coefficients from what they were.
#[derive(Clone, Debug)]
struct Band {
    on: bool,
    kind: Kind,
    steep: bool,
    /// Logarithm of the frequency in parts of the rate.
    frequency: Glide,
    gain: Glide,
    /// Logarithm.
    q: Glide,
    /// What the band was before its last switch, and how far it has left that.
    before: [Coefficients; SECTIONS],
    blend: Glide,
    /// Where the step of the control grid begins and ends.
    from: [Coefficients; SECTIONS],
    to: [Coefficients; SECTIONS],
    /// Whether the next step ends elsewhere.
    turned: bool,
    /// Whether each section lets everything through and need not be computed.
    idle: [bool; SECTIONS],
}

impl Band {
    fn new() -> Self {
        let mut band = Self {
            on: false,
            kind: Kind::Bell,
            steep: false,
            frequency: Glide::still(0.02f64.ln()),
            gain: Glide::still(0.0),
            q: Glide::still(0.0),
            before: [Coefficients::THROUGH; SECTIONS],
            blend: Glide::still(1.0),
            from: [Coefficients::THROUGH; SECTIONS],
            to: [Coefficients::THROUGH; SECTIONS],
            turned: false,
            idle: [false; SECTIONS],
        };
        band.settle();
        band
    }

    /// Everything is at once as it is going to be.
    fn settle(&mut self) {
        self.from = self.wanted(u64::MAX);
        self.to = self.from;
        self.turned = false;
        self.rest();
    }

    /// The coefficients that are asked for at `frame`.
    fn wanted(&self, frame: u64) -> [Coefficients; SECTIONS] {
        let shape = Shape {
            kind: self.kind,
            frequency: self.frequency.at(frame).exp(),
            gain: self.gain.at(frame),
            q: self.q.at(frame).exp(),
            steep: self.steep,
        };
        let mut sections = shape.sections();
        if !self.on {
            sections = sections.map(Coefficients::opened);
        }
        let blend = self.blend.at(frame);
        if blend < 1.0 {
            for (section, before) in sections.iter_mut().zip(&self.before) {
                *section = before.towards(section, blend);
            }
        }
        sections
    }

    /// The coefficients `passed` frames after the beginning of the step.
    fn at(&self, section: usize, passed: usize) -> Coefficients {
        if passed >= STEP {
            return self.to[section];
        }
        self.from[section].towards(&self.to[section], passed as f64 / STEP as f64)
    }

    fn moves(&self, section: usize) -> bool {
        self.from[section] != self.to[section]
    }

    fn rest(&mut self) {
        for section in 0..SECTIONS {
            self.idle[section] = !self.moves(section) && self.to[section].is_through();
        }
    }

    fn turn(&mut self, change: Change, rate: f64, (frame, fade, passed): (u64, u64, usize)) {
        self.turned = true;
        match change {
            Change::Frequency(hz) => return self.frequency.turn((hz / rate).ln(), frame, fade),
            Change::Gain(db) => return self.gain.turn(db, frame, fade),
            Change::Q(q) => return self.q.turn(q.ln(), frame, fade),
            Change::On(on) => self.on = on,
            Change::Kind(kind) => self.kind = kind,
            Change::Steep(steep) => self.steep = steep,
        }
        self.before = [0, 1].map(|section| self.at(section, passed));
        self.blend = Glide::new(0.0, 1.0, frame, fade);
    }

    /// Begins a step of the control grid.
    fn step(&mut self, frame: u64, passed: usize) {
        self.from = [0, 1].map(|section| self.at(section, passed));
        if self.turned {
            let end = frame + STEP as u64;
            self.to = self.wanted(end);
            let glides = [&self.frequency, &self.gain, &self.q, &self.blend];
            self.turned = !glides.iter().all(|glide| glide.is_still(end));
        }
    }
}

/// The filters of an equalizer.
pub struct Equalizer {
    rate: f64,
    bands: [Band; BANDS],
    /// Of each pair of channels.
    states: Vec<[[Svf<LANES>; SECTIONS]; BANDS]>,
    /// The coefficients of the frames of a piece, for sections that move; of others the first.
    steps: Box<[[[Step; STEP]; SECTIONS]; BANDS]>,
    /// Frames since the step of the control grid began.
    passed: usize,
}

impl Equalizer {
    /// An equalizer with all bands off.
    pub fn new(channels: usize, rate: f64) -> Self {
        let still = Step::from(&Coefficients::THROUGH);
        Self {
            rate,
            bands: std::array::from_fn(|_| Band::new()),
            states: vec![Default::default(); channels.div_ceil(LANES)],
            steps: Box::new([[[still; STEP]; SECTIONS]; BANDS]),
            passed: STEP,
        }
    }

    /// Sets a band before anything sounds.
    pub fn set(&mut self, band: usize, change: Change) {
        self.bands[band].turn(change, self.rate, (0, 0, STEP));
        self.bands[band].settle();
    }

    /// [audio thread] Turns a band from `frame` on, which is the next one, over `fade` frames. It begins to move
    /// with the next step of the control grid.
    pub fn turn(&mut self, band: usize, change: Change, frame: u64, fade: u64) {
        self.bands[band].turn(change, self.rate, (frame, fade, self.passed));
    }

    /// [audio thread] A step of the control grid begins at `frame`.
    pub fn begin_step(&mut self, frame: u64) {
        for (number, band) in self.bands.iter_mut().enumerate() {
            band.step(frame, self.passed);
            let before = band.idle;
            band.rest();
            for section in (0..SECTIONS).filter(|section| band.idle[*section] && !before[*section]) {
                self.states.iter_mut().for_each(|state| state[number][section] = Svf::default());
            }
        }
        self.passed = 0;
    }

    /// [audio thread] Prepares for a piece of at most [`STEP`] frames, which begins where the last one ended.
    pub fn prepare(&mut self, frames: usize) {
        for (band, steps) in self.bands.iter().zip(self.steps.iter_mut()) {
            for (section, steps) in steps.iter_mut().enumerate() {
                let count = if band.moves(section) { frames } else { 1 };
                for (offset, step) in steps[..count].iter_mut().enumerate() {
                    *step = Step::from(&band.at(section, self.passed + offset));
                }
            }
        }
        self.passed += frames;
    }

    /// [audio thread] Filters the piece that was prepared, of the channels `LANES·pair` and following.
    pub fn filter(&mut self, pair: usize, piece: &mut [[f64; LANES]]) {
        let state = &mut self.states[pair];
        for (number, band) in self.bands.iter().enumerate() {
            for section in (0..SECTIONS).filter(|section| !band.idle[*section]) {
                let filter = &mut state[number][section];
                let steps = &self.steps[number][section];
                if band.moves(section) {
                    for (x, step) in piece.iter_mut().zip(steps) {
                        *x = filter.next(step, *x);
                    }
                } else {
                    piece.iter_mut().for_each(|x| *x = filter.next(&steps[0], *x));
                }
            }
        }
    }
}
