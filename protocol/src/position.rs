//! Positions on the timeline as people write and read them.

use std::{fmt, str::FromStr};

use crate::{
    Bpm, Error, ErrorCode, Frames, LoopRange, Rate, Session, Signature, show::number, text::minutes,
};

/// How positions are written, for the help of every command that takes one.
pub const HELP: &str = "\
Positions and lengths (POS):
  48000, 48000f      frames
  1.5s, 250ms        seconds, milliseconds
  1:23.5, 1:02:03    minutes and seconds, hours
  3|1, 3|1.5         bar and beat, both counted from 1, by the session's tempo and signature";

/// One more than the most beats in a bar.
const BEATS_END: f64 = Signature::MOST_BEATS as f64 + 1.0;

/// What positions are counted with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    /// The engine's rate.
    pub rate: Rate,
    /// The session's tempo.
    pub tempo: Bpm,
    /// The session's time signature.
    pub signature: Signature,
}

/// A position on the timeline, or a length, as it was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Position {
    /// A number of frames.
    Frames(u64),
    /// A time in seconds, at most [`Position::MAX_SECONDS`].
    Seconds(f64),
    /// A bar and a beat, both from 1.
    Bar {
        /// The bar.
        bar: u32,
        /// The beat, from 1.
        beat: f64,
    },
}

impl Position {
    /// The longest time that is understood, in seconds: three years are longer than any session.
    pub const MAX_SECONDS: f64 = 1e8;

    /// The frame, to the nearest.
    ///
    /// # Errors
    /// A beat that the bar does not have.
    pub fn frames(self, clock: Clock) -> Result<Frames, Error> {
        let frames = match self {
            Self::Frames(frames) => return Ok(Frames(frames)),
            Self::Seconds(seconds) => seconds * f64::from(clock.rate.hz()),
            Self::Bar { bar, beat } => {
                let beats = f64::from(clock.signature.beats());
                if beat >= beats + 1.0 {
                    let message = format!("there is no beat {beat} in a bar of {}", clock.signature);
                    let expected = format!("a beat from 1 to just below {}", beats + 1.0);
                    return Err(Error::new(ErrorCode::OutOfRange, message).expected(expected));
                }
                ((f64::from(bar) - 1.0) * beats + beat - 1.0) * clock.frames_per_beat()
            }
        };
        Ok(Frames(frames.round() as u64))
    }
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_lowercase();
        read(&lower).ok_or_else(|| {
            format!(
                "\"{text}\" is no position; write frames (48000), 1.5s, 250ms, 1:23.5 or bar|beat (3|1.5)"
            )
        })
    }
}

fn read(text: &str) -> Option<Position> {
    let seconds = |s: f64| (s <= Position::MAX_SECONDS).then_some(Position::Seconds(s));
    if let Some((bar, beat)) = text.split_once('|') {
        let (bar, beat) = (whole(bar)?.try_into().ok()?, number(beat)?);
        let valid = bar >= 1 && (1.0..BEATS_END).contains(&beat);
        return valid.then_some(Position::Bar { bar, beat });
    }
    if let Some((before, last)) = text.rsplit_once(':') {
        let minutes = match before.split_once(':') {
            Some((hours, minutes)) => {
                let minutes = whole(minutes).filter(|m| *m < 60)?;
                whole(hours)?.checked_mul(60)?.checked_add(minutes)?
            }
            None => whole(before)?,
        };
        let rest = number(last).filter(|s| *s < 60.0)?;
        return seconds(minutes as f64 * 60.0 + rest);
    }
    if let Some(ms) = text.strip_suffix("ms") {
        return seconds(number(ms)? / 1000.0);
    }
    if let Some(s) = text.strip_suffix('s') {
        return seconds(number(s)?);
    }
    whole(text.strip_suffix('f').unwrap_or(text)).map(Position::Frames)
}

/// A whole number without a sign.
fn whole(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frames(frames) => write!(f, "{frames}f"),
            Self::Seconds(seconds) => write!(f, "{seconds}s"),
            Self::Bar { bar, beat } => write!(f, "{bar}|{beat}"),
        }
    }
}

impl Clock {
    /// What a session counts with.
    pub fn of(session: &Session) -> Self {
        Self { rate: session.rate, tempo: session.tempo, signature: session.signature }
    }

    /// A loop: `0:00.000 to 0:02.000 (1|1.00 to 2|1.00)`, or `off`.
    pub fn range(self, range: Option<LoopRange>) -> String {
        match range {
            Some((start, end)) => {
                let bars = format!("{} to {}", self.bar(start), self.bar(end));
                format!("{} to {} ({bars})", self.time(start), self.time(end))
            }
            None => "off".into(),
        }
    }

    /// A beat as the signature counts them.
    fn frames_per_beat(self) -> f64 {
        self.tempo.frames_per_beat(self.rate) * self.signature.quarters_per_beat()
    }

    /// The position as minutes and seconds.
    pub fn time(self, frames: Frames) -> String {
        minutes(self.rate.seconds(frames))
    }

    /// The position as `bar|beat` with hundredths of a beat; cut, not rounded, so that a beat is not shown
    /// before it comes.
    pub fn bar(self, frames: Frames) -> String {
        // Half a frame on top: a frame that was rounded down from a beat belongs to that beat.
        let beats = (frames.0 as f64 + 0.5) / self.frames_per_beat();
        let hundredths = (beats * 100.0) as u64;
        let per_bar = u64::from(self.signature.beats()) * 100;
        let (bar, beat) = (hundredths / per_bar + 1, hundredths % per_bar);
        format!("{bar}|{}.{:02}", beat / 100 + 1, beat % 100)
    }

    /// The position both ways: `0:01.500 (1|4.00)`.
    pub fn both(self, frames: Frames) -> String {
        format!("{} ({})", self.time(frames), self.bar(frames))
    }

    /// So many frames in milliseconds: `10.67 ms`.
    pub fn ms(self, frames: Frames) -> String {
        format!("{:.2} ms", self.rate.seconds(frames) * 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clock() -> Clock {
        Clock { rate: Rate::default(), tempo: Bpm::default(), signature: Signature::default() }
    }

    fn frames(text: &str) -> u64 {
        text.parse::<Position>().unwrap().frames(clock()).unwrap().0
    }

    #[test]
    fn positions_are_read_in_every_form() {
        for (text, expected) in [
            ("0", 0),
            ("48000", 48_000),
            ("48000f", 48_000),
            ("1.5s", 72_000),
            ("250ms", 12_000),
            ("1:23.5", 4_008_000),
            ("1:00:00", 172_800_000),
            ("1|1", 0),
            ("3|1", 192_000),
            ("3|1.5", 204_000),
            ("1|4.999", 95_976),
        ] {
            assert_eq!(frames(text), expected, "{text}");
        }
        for wrong in [
            "",
            "-1",
            "+1",
            "1.5",
            "1.5f",
            "s",
            "ms",
            "1:60",
            "1:",
            ":1",
            "1:60:00",
            "0|1",
            "1|0",
            "1|33",
            "1|0.5",
            "1|",
            "|1",
            "1|1|1",
            "1e3s",
            "infs",
            "99999999999999999999",
            "1e9s",
            "999999999s",
            "four",
        ] {
            assert!(wrong.parse::<Position>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn bars_have_the_beats_of_their_signature() {
        let clock = Clock { signature: "7/8".parse().unwrap(), ..clock() };
        let frames = |text: &str| text.parse::<Position>().unwrap().frames(clock);
        assert_eq!(frames("2|3").unwrap(), Frames(9 * 12_000));
        assert_eq!(clock.bar(Frames(9 * 12_000)), "2|3.00");
        let refused = frames("1|8").unwrap_err();
        assert!(refused.message.contains("7/8") && refused.expected.is_some(), "{refused:?}");
    }

    #[test]
    fn positions_are_shown_as_time_and_as_bars() {
        let at = |frames| clock().both(Frames(frames));
        assert_eq!(at(0), "0:00.000 (1|1.00)");
        assert_eq!(at(72_000), "0:01.500 (1|4.00)");
        assert_eq!(at(96_000), "0:02.000 (2|1.00)");
        assert_eq!(at(95_999), "0:01.999 (1|4.99)");
        assert_eq!(clock().ms(Frames(512)), "10.67 ms");
    }

    proptest! {
        #[test]
        fn any_text_is_a_position_or_refused(text in "[0-9:|.smfe+-]{0,12}|.{0,12}") {
            if let Ok(position) = text.parse::<Position>() {
                let _ = position.frames(clock());
                prop_assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
            }
        }

        #[test]
        fn bars_that_are_shown_are_found_again(
            beats in 0u32..100_000,
            bpm in 10.0..1000.0f64,
            per_bar in 1u8..=32,
            unit in 0u32..4,
        ) {
            let signature = Signature::new(per_bar, 1 << unit).unwrap();
            let clock = Clock { tempo: Bpm::new(bpm).unwrap(), signature, ..clock() };
            let per_bar = u32::from(per_bar);
            let position = Position::Bar { bar: beats / per_bar + 1, beat: f64::from(beats % per_bar + 1) };
            let shown = clock.bar(position.frames(clock).unwrap());
            prop_assert_eq!(shown.parse::<Position>().unwrap(), position);
        }
    }
}
