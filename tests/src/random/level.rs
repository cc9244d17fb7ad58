//! How loud and how quiet a signal can be.
//!
//! Gains are drawn at random, but a sum of sums must not grow without bounds, and a chain of attenuations must
//! not reach subnormal numbers: the audio thread flushes those to 0, plain arithmetic does not.

/// The loudest that may enter a port or leave a fader.
pub(super) const LOUDEST: f32 = 8.0;

/// The quietest that a gain may be chosen to make; centred pans and channel maps may go below.
const QUIETEST: f32 = 1e-24;

/// The least that a loop may leave of a signal on one round, and the most. Scenes have some twenty rounds.
const LOOP: [f32; 2] = [0.04, 0.5];

/// The bounds of the samples that are not 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Level {
    peak: f32,
    least: f32,
}

impl Level {
    /// No sound.
    pub(super) const SILENT: Self = Self { peak: 0.0, least: f32::INFINITY };
    /// A sine; near the zero crossings it is as small as π has digits.
    pub(super) const TONE: Self = Self { peak: 1.0, least: 1e-16 };
    /// A sine that follows notes: begins and ends from one step of the envelope on.
    pub(super) const NOTES: Self = Self { peak: 1.0, least: 1e-19 };
    /// A sine that dies away.
    pub(super) const CLICK: Self = Self { peak: 1.0, least: 1e-19 };
    /// What a feedback gives back, before it is known what goes in.
    pub(super) const ECHO: Self = Self { peak: 2.0, least: 1e-22 };
    /// Samples of 24 bits.
    pub(super) const SAMPLES: Self = Self { peak: 1.0, least: 1.0 / (1 << 24) as f32 };

    pub(super) fn scaled(self, factor: f32) -> Self {
        if factor == 0.0 {
            return Self::SILENT;
        }
        Self { peak: self.peak * factor, least: self.least * factor }
    }

    /// The sum of two signals.
    pub(super) fn plus(self, other: Self) -> Self {
        Self { peak: self.peak + other.peak, least: self.least.min(other.least) }
    }

    /// One signal or the other.
    pub(super) fn or(self, other: Self) -> Self {
        Self { peak: self.peak.max(other.peak), least: self.least.min(other.least) }
    }

    /// What may come out of filters and dynamics that make it so many times louder at most. What would be quieter
    /// than −360 dBFS they leave out.
    pub(super) fn processed(self, growth: f32) -> Self {
        if self == Self::SILENT {
            self
        } else {
            Self { peak: self.peak * growth, least: self.least.min(1e-18) }
        }
    }

    /// One of the outputs that have these factors.
    pub(super) fn through(self, factors: &[f32]) -> Self {
        factors.iter().fold(Self::SILENT, |level, factor| level.or(self.scaled(*factor)))
    }

    /// Whether this may enter a feedback: then, as everything else was bounded for [`Level::ECHO`], each round
    /// is quieter than the one before.
    pub(super) fn dies_away(self) -> bool {
        self.peak <= Self::ECHO.peak * LOOP[1] && self.least >= Self::ECHO.least * LOOP[0]
    }

    pub(super) fn fits(self) -> bool {
        self.peak <= LOUDEST && self.least >= QUIETEST
    }
}
