//! How levels rise, fall and are held.

use aulos_protocol::{Loudness, MeterReading};

/// How fast a bar falls, in dB per second.
const FALL: f64 = 30.0;
/// How long a peak is held, in seconds.
const HOLD: f64 = 1.5;
/// How fast a peak falls after that, in dB per second.
const HOLD_FALL: f64 = 20.0;

/// The level of a linear peak in dB, with one decimal: `-12.3`, `-inf`.
pub fn decibels(peak: f32) -> String {
    level_text(level(peak))
}

/// A level in dB with one decimal.
pub fn level_text(level: f64) -> String {
    if level == f64::NEG_INFINITY {
        return "-inf".to_owned();
    }
    // Adding 0 keeps what rounds to 0 from having a minus.
    format!("{:.1}", (level * 10.0).round() / 10.0 + 0.0)
}

fn level(peak: f32) -> f64 {
    if peak > 0.0 { 20.0 * f64::from(peak).log10() } else { f64::NEG_INFINITY }
}

/// `L` and `R` in stereo, nothing in mono, else the number from 1.
pub fn channel_name(channels: usize, channel: usize) -> String {
    match (channels, channel) {
        (1, _) => String::new(),
        (2, 0) => "L".to_owned(),
        (2, _) => "R".to_owned(),
        _ => (channel + 1).to_string(),
    }
}

/// The level of a channel, in dB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// What the bar shows.
    pub shown: f64,
    /// The peak that is held.
    pub held: f64,
    /// The highest since the beginning or the last reset.
    pub highest: f64,
    /// The highest since then as the linear peak that it came as.
    peak: f32,
    /// Since when the peak is held, in seconds.
    age: f64,
}

impl Level {
    const SILENT: Self = Self {
        shown: f64::NEG_INFINITY,
        held: f64::NEG_INFINITY,
        highest: f64::NEG_INFINITY,
        peak: 0.0,
        age: 0.0,
    };

    fn update(&mut self, peak: f32, seconds: f64) {
        let now = level(peak);
        self.shown = now.max(self.shown - FALL * seconds);
        self.age += seconds;
        if now >= self.held {
            (self.held, self.age) = (now, 0.0);
        } else if self.age > HOLD {
            self.held = self.shown.max(self.held - HOLD_FALL * seconds);
        }
        self.highest = self.highest.max(now);
        self.peak = self.peak.max(peak);
    }
}

/// The levels of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Strip {
    /// Its name.
    pub node: String,
    /// One for each channel.
    pub channels: Vec<Level>,
    /// The most that it was turned down, in dB, where something does that.
    pub reduction: Option<f32>,
    /// Its loudness, where that is measured.
    pub loudness: Option<Loudness>,
}

/// The levels of all nodes that have meters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Levels {
    strips: Vec<Strip>,
}

impl Levels {
    /// Takes a reading that came `seconds` after the last. Nodes come and go with the readings.
    pub fn update(&mut self, readings: &[MeterReading], seconds: f64) {
        let mut old = std::mem::take(&mut self.strips);
        for reading in readings {
            let known = old
                .iter()
                .position(|strip| strip.node == reading.node && strip.channels.len() == reading.peaks.len());
            let mut strip = match known {
                Some(index) => old.swap_remove(index),
                None => {
                    let channels = vec![Level::SILENT; reading.peaks.len()];
                    Strip { node: reading.node.clone(), channels, reduction: None, loudness: None }
                }
            };
            for (level, peak) in strip.channels.iter_mut().zip(&reading.peaks) {
                level.update(*peak, seconds);
            }
            strip.reduction = reading.reduction;
            strip.loudness = reading.loudness;
            self.strips.push(strip);
        }
    }

    /// The levels of the nodes, in the order of the last reading.
    pub fn strips(&self) -> &[Strip] {
        &self.strips
    }

    /// Forgets the highest levels and the peaks that are held.
    pub fn reset(&mut self) {
        for level in self.strips.iter_mut().flat_map(|strip| &mut strip.channels) {
            (level.held, level.highest, level.peak) = (level.shown, f64::NEG_INFINITY, 0.0);
        }
    }

    /// The highest peaks as a reading.
    pub fn highest(&self) -> Vec<MeterReading> {
        let reading = |strip: &Strip| MeterReading {
            node: strip.node.clone(),
            peaks: strip.channels.iter().map(|level| level.peak).collect(),
            reduction: strip.reduction,
            loudness: strip.loudness,
            ..MeterReading::default()
        };
        self.strips.iter().map(reading).collect()
    }
}

/// What there is to say beside levels, a line each.
pub fn notes(reduction: Option<f32>, loudness: Option<Loudness>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(db) = reduction {
        notes.push(format!("turned down by {db:.1} dB"));
    }
    if let Some(loudness) = loudness {
        let number =
            |value: Option<f32>| value.map_or_else(|| "-inf".to_owned(), |value| format!("{value:.1}"));
        notes.push(format!(
            "momentary {} LUFS, short-term {}, integrated {}, range {} LU, true peak {} dBTP",
            number(loudness.momentary),
            number(loudness.short_term),
            number(loudness.integrated),
            loudness.range.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}")),
            decibels(loudness.true_peak),
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(peaks: &[f32]) -> Vec<MeterReading> {
        vec![MeterReading { node: "drums".into(), peaks: peaks.to_vec(), ..Default::default() }]
    }

    #[test]
    fn bars_fall_and_peaks_are_held() {
        let mut levels = Levels::default();
        levels.update(&reading(&[1.0]), 0.0);
        levels.update(&reading(&[0.0]), 1.0);
        let level = levels.strips()[0].channels[0];
        assert_eq!((level.shown, level.held, level.highest), (-30.0, 0.0, 0.0));
        levels.update(&reading(&[0.0]), 1.0);
        let level = levels.strips()[0].channels[0];
        assert_eq!((level.shown, level.held, level.highest), (-60.0, -20.0, 0.0));
        levels.reset();
        assert_eq!(levels.strips()[0].channels[0].highest, f64::NEG_INFINITY);
    }

    #[test]
    fn nodes_come_and_go_with_the_readings() {
        let mut levels = Levels::default();
        levels.update(&reading(&[0.5, 0.25]), 0.0);
        levels.update(&reading(&[0.1, 0.5]), 0.0);
        assert_eq!(levels.highest(), reading(&[0.5, 0.5]));
        levels.update(&reading(&[0.1]), 0.0);
        assert_eq!(levels.strips()[0].channels.len(), 1);
        levels.update(&[], 0.0);
        assert!(levels.strips().is_empty());
    }

    #[test]
    fn loudness_and_reductions_are_told_in_lines() {
        let loudness = Loudness {
            momentary: Some(-14.24),
            short_term: Some(-15.0),
            integrated: None,
            range: None,
            true_peak: 0.891,
        };
        let wanted =
            "momentary -14.2 LUFS, short-term -15.0, integrated -inf, range - LU, true peak -1.0 dBTP";
        assert_eq!(notes(Some(6.25), Some(loudness)), ["turned down by 6.2 dB", wanted]);
        assert!(notes(None, None).is_empty());
        let mut levels = Levels::default();
        let mut reading = reading(&[0.5]);
        (reading[0].loudness, reading[0].reduction) = (Some(loudness), Some(3.0));
        levels.update(&reading, 0.0);
        assert_eq!(levels.highest(), reading);
    }

    #[test]
    fn levels_are_told_in_decibels() {
        assert_eq!(decibels(1.0), "0.0");
        assert_eq!(decibels(0.999), "0.0");
        assert_eq!(decibels(0.5), "-6.0");
        assert_eq!(decibels(0.0), "-inf");
        assert_eq!(decibels(f32::NAN), "-inf");
        assert_eq!(channel_name(2, 1), "R");
        assert_eq!(channel_name(6, 5), "6");
    }
}
