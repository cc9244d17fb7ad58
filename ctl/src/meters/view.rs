//! What the meters look like.

use aulos_protocol::{Frames, Telemetry, TransportState};
use crossterm::event::KeyCode;

use super::levels::{Levels, channel_name, level_text, notes};
use crate::{
    paint::{Paint, Style},
    position::Clock,
    text::{count, plain},
};

/// The ends of the scale, in dB.
const LOW: f64 = -60.0;
const HIGH: f64 = 6.0;
/// Where the colour of a bar changes, in dB.
const HOT: f64 = -12.0;
const OVER: f64 = 0.0;

/// Pieces of text in their styles.
type Line = Vec<(String, Style)>;

/// What is shown and how far it is scrolled.
#[derive(Debug)]
pub struct View {
    clock: Clock,
    paint: Paint,
    levels: Levels,
    newest: Option<Telemetry>,
    first_row: usize,
    rows_shown: usize,
}

impl View {
    /// Nothing to show yet.
    pub fn new(clock: Clock, paint: Paint) -> Self {
        Self { clock, paint, levels: Levels::default(), newest: None, first_row: 0, rows_shown: 0 }
    }

    /// The session has another tempo or rate.
    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// Takes a reading. How much time has passed is told by the engine's frames.
    pub fn take(&mut self, telemetry: Telemetry) {
        let last = self.newest.as_ref().map_or(telemetry.frame, |newest| newest.frame);
        let passed = Frames(telemetry.frame.0.saturating_sub(last.0));
        self.levels.update(&telemetry.meters, self.clock.rate.seconds(passed));
        self.newest = Some(telemetry);
    }

    /// A key was pressed: arrows scroll, `r` forgets peaks.
    pub fn key(&mut self, key: KeyCode) {
        let page = self.rows_shown.max(1);
        match key {
            KeyCode::Up => self.first_row = self.first_row.saturating_sub(1),
            KeyCode::Down => self.first_row += 1,
            KeyCode::PageUp => self.first_row = self.first_row.saturating_sub(page),
            KeyCode::PageDown => self.first_row += page,
            KeyCode::Home => self.first_row = 0,
            KeyCode::End => self.first_row = usize::MAX / 2,
            KeyCode::Char('r' | ' ') => self.levels.reset(),
            _ => {}
        }
    }

    /// The lines for a terminal of so many columns and rows; never more or longer than fit.
    pub fn lines(&mut self, width: u16, height: u16) -> Vec<String> {
        /// Rows that are not levels: the header, the scale, and the footer.
        const AROUND: usize = 3;
        let (width, height) = (usize::from(width), usize::from(height));
        let rows = self.rows(width);
        self.rows_shown = height.saturating_sub(AROUND);
        self.first_row = self.first_row.min(rows.len().saturating_sub(self.rows_shown));
        let mut lines = vec![self.header(), self.scale(width)];
        let total = rows.len();
        lines.extend(rows.into_iter().skip(self.first_row).take(self.rows_shown));
        lines.push(self.footer(total));
        lines.truncate(height);
        lines.into_iter().map(|line| fit(line, width, self.paint)).collect()
    }

    fn header(&self) -> Line {
        let Some(telemetry) = &self.newest else {
            return vec![("waiting for the first reading".into(), Style::Dim)];
        };
        let transport = &telemetry.transport;
        let (word, style) = transport_word(transport);
        let alarm = |number: u64| if number > 0 { Style::Bad } else { Style::Plain };
        vec![
            (word.into(), style),
            (format!("  {}", self.clock.time(transport.position)), Style::Bold),
            (format!("  {}", self.clock.bar(transport.position)), Style::Bold),
            (format!("   load {:.1} %", telemetry.load * 100.0), Style::Plain),
            (format!("  {} late", telemetry.late), alarm(telemetry.late)),
            (format!("  {}", count(telemetry.underruns as usize, "underrun")), alarm(telemetry.underruns)),
        ]
    }

    fn footer(&self, total: usize) -> Line {
        let mut text = "q quits  r forgets peaks".to_owned();
        if total > self.rows_shown {
            let last = (self.first_row + self.rows_shown).min(total);
            text.push_str(&format!("  ↑↓ {}-{last} of {total}", self.first_row + 1));
        }
        vec![(text, Style::Dim)]
    }

    /// Columns before the bars, and of the bars.
    fn columns(&self, width: usize) -> (usize, usize, usize) {
        /// The two numbers behind the bars, with spaces.
        const NUMBERS: usize = 16;
        const LEAST: usize = 10;
        let strips = self.levels.strips();
        let name = strips.iter().map(|strip| plain(&strip.node).chars().count()).max().unwrap_or(0);
        let channels = strips.iter().map(|strip| strip.channels.len()).max().unwrap_or(1);
        let channel = channel_name(channels, channels.saturating_sub(1)).chars().count();
        (name, channel, width.saturating_sub(name + channel + 4 + NUMBERS).max(LEAST))
    }

    fn scale(&self, width: usize) -> Line {
        let (name, channel, bar) = self.columns(width);
        let mut marks = vec![' '; bar];
        for db in [-60, -48, -36, -24, -12, 0, 6] {
            let label = db.to_string();
            let at = place(f64::from(db), bar).min(bar - 1);
            // Centred on its place, as far as it fits.
            let start = at.saturating_sub(label.len() / 2).min(bar.saturating_sub(label.len()));
            let around = start.saturating_sub(1)..(start + label.len() + 1).min(bar);
            if marks[around].iter().all(|mark| *mark == ' ') {
                marks.splice(start..start + label.len(), label.chars());
            }
        }
        let marks: String = marks.into_iter().collect();
        let text = format!("{:1$}{marks}  {2:>6}  {3:>6}", "", name + channel + 4, "dB", "peak");
        vec![(text, Style::Dim)]
    }

    fn rows(&self, width: usize) -> Vec<Line> {
        let (name_width, channel_width, bar_width) = self.columns(width);
        let mut rows = Vec::new();
        for strip in self.levels.strips() {
            let name = plain(&strip.node);
            for (index, level) in strip.channels.iter().enumerate() {
                let name = if index == 0 { &name } else { "" };
                let channel = channel_name(strip.channels.len(), index);
                let mut row = vec![
                    (format!("{name:name_width$}  "), Style::Bold),
                    (format!("{channel:>channel_width$}  "), Style::Dim),
                ];
                row.extend(bar(level.shown, level.held, bar_width));
                row.push((format!("  {:>6}", level_text(level.shown)), Style::Plain));
                row.push((format!("  {:>6}", level_text(level.highest)), zone(level.highest).1));
                rows.push(row);
            }
            for text in notes(strip.reduction, strip.loudness) {
                rows.push(vec![(format!("{:1$}  {text}", "", name_width + channel_width + 2), Style::Dim)]);
            }
        }
        rows
    }
}

/// What the transport does, as a word with a sign.
pub fn transport_word(transport: &TransportState) -> (&'static str, Style) {
    match (transport.rolling, transport.waiting) {
        (true, _) => ("▶ rolling", Style::Good),
        (false, true) => ("◌ waiting", Style::Warn),
        (false, false) => ("■ stopped", Style::Plain),
    }
}

/// The place of a level on a bar of so many columns; that many or more from the top of the scale on.
fn place(level: f64, width: usize) -> usize {
    (part(level) * width as f64) as usize
}

/// The part of the scale that lies below a level, 0 to 1.
fn part(level: f64) -> f64 {
    ((level - LOW) / (HIGH - LOW)).clamp(0.0, 1.0)
}

/// The zone of a level, in order of loudness, and its colour.
fn zone(level: f64) -> (u8, Style) {
    match level {
        _ if level > OVER => (2, Style::Bad),
        _ if level > HOT => (1, Style::Warn),
        _ => (0, Style::Good),
    }
}

/// A bar in eighths of a column, with a line where the peak is held.
fn bar(shown: f64, held: f64, width: usize) -> Line {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (part(shown) * width as f64 * 8.0).round() as usize;
    let hold = (held > LOW).then(|| place(held, width).min(width - 1));
    let mut line: Line = Vec::new();
    for column in 0..width {
        let filled = eighths.saturating_sub(column * 8).min(8);
        let mark = match filled {
            8 => '█',
            0 if hold == Some(column) => '│',
            _ => EIGHTHS[filled],
        };
        // The colour of a column is that of the level at its left edge.
        let edge = LOW + (HIGH - LOW) * column as f64 / width as f64;
        let style = zone(edge).1;
        match line.last_mut() {
            Some((text, last)) if *last == style => text.push(mark),
            _ => line.push((mark.into(), style)),
        }
    }
    line
}

/// The line cut to so many columns.
fn fit(line: Line, width: usize, paint: Paint) -> String {
    let mut left = width;
    let mut text = String::new();
    for (part, style) in line {
        let part: String = part.chars().take(left).collect();
        left -= part.chars().count();
        text.push_str(&paint.style(style, &part));
    }
    text
}

#[cfg(test)]
mod tests {
    use aulos_protocol::{Bpm, MeterReading, Rate, Signature};
    use proptest::prelude::*;

    use super::*;
    use crate::samples::snapshot;

    fn view() -> View {
        {
            let signature = Signature::default();
            View::new(Clock { rate: Rate::default(), tempo: Bpm::default(), signature }, Paint::off())
        }
    }

    fn telemetry(frame: u64, meters: &[(&str, &[f32])]) -> Telemetry {
        Telemetry {
            frame: Frames(frame),
            transport: TransportState { rolling: true, position: Frames(frame), ..Default::default() },
            load: 0.123,
            late: 0,
            underruns: 1,
            meters: meters
                .iter()
                .map(|(node, peaks)| MeterReading {
                    node: (*node).into(),
                    peaks: peaks.to_vec(),
                    ..Default::default()
                })
                .collect(),
        }
    }

    #[test]
    fn levels_are_bars_with_peaks() {
        let mut view = view();
        view.take(telemetry(0, &[("drums", &[1.2, 0.25]), ("voice", &[0.0]), ("master", &[0.5, 0.4])]));
        view.take(telemetry(24_000, &[("drums", &[0.1, 0.2]), ("voice", &[0.0]), ("master", &[0.5, 0.4])]));
        snapshot("meters", &view.lines(80, 12).join("\n"));
        snapshot("meters_narrow", &view.lines(40, 6).join("\n"));
    }

    #[test]
    fn what_does_not_fit_can_be_scrolled_to() {
        let mut view = view();
        let peaks = [0.1_f32; 64];
        view.take(telemetry(0, &[("wide", &peaks)]));
        assert!(view.lines(80, 24).last().unwrap().contains("1-21 of 64"));
        view.key(KeyCode::PageDown);
        assert!(view.lines(80, 24).last().unwrap().contains("22-42 of 64"));
        view.key(KeyCode::End);
        assert!(view.lines(80, 24).last().unwrap().contains("44-64 of 64"));
        view.key(KeyCode::Up);
        assert!(view.lines(80, 24).last().unwrap().contains("43-63 of 64"));
    }

    proptest! {
        #[test]
        fn any_terminal_is_large_enough(
            width in 0u16..200,
            height in 0u16..50,
            peaks in prop::collection::vec(prop::num::f32::ANY, 0..9),
        ) {
            let mut view = view();
            view.take(telemetry(0, &[("drums", &peaks), ("x", &[])]));
            let lines = view.lines(width, height);
            prop_assert!(lines.len() <= usize::from(height));
            prop_assert!(lines.iter().all(|line| line.chars().count() <= usize::from(width)));
        }
    }
}
