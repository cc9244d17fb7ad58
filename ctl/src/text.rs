//! Text for people: columns, times, and what must not reach a terminal.

use std::borrow::Cow;

use crate::paint::{Paint, Style};

/// The text with control characters escaped: names of files and sessions are anybody's, and must not move the
/// cursor or forge lines.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return text.into();
    }
    text.chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect::<String>()
        .into()
}

/// `1 node`, `2 nodes`.
pub fn count(number: usize, one: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {one}{ending}")
}

/// Seconds as `M:SS.mmm`, and as `H:MM:SS.mmm` from an hour on; cut, not rounded.
pub fn minutes(seconds: f64) -> String {
    // A thousandth of a millisecond on top, so that what was rounded to a frame is not cut to the ms before.
    let ms = (seconds * 1000.0 + 0.001).max(0.0) as u64;
    let (s, ms) = (ms / 1000, ms % 1000);
    let (h, m, s) = (s / 3600, s / 60 % 60, s % 60);
    if h > 0 { format!("{h}:{m:02}:{s:02}.{ms:03}") } else { format!("{m}:{s:02}.{ms:03}") }
}

/// On which side a column is flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// For words.
    Left,
    /// For numbers.
    Right,
}

/// Rows of cells that are printed in aligned columns.
#[derive(Debug)]
pub struct Table {
    sides: Vec<Side>,
    rows: Vec<Vec<(String, Style)>>,
}

impl Table {
    /// A table with these columns.
    pub fn new(sides: &[Side]) -> Self {
        Self { sides: sides.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; it may have fewer cells than there are columns.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = (T, Style)>) {
        self.rows.push(cells.into_iter().map(|(text, style)| (text.into(), style)).collect());
    }

    /// Adds a row of headings.
    pub fn heading(&mut self, cells: &[&str]) {
        self.row(cells.iter().map(|cell| (*cell, Style::Dim)));
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, with two spaces between columns and none at the end.
    pub fn lines(&self, paint: Paint) -> Vec<String> {
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|c| c.0.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.sides.len()).map(width).collect();
        self.rows.iter().map(|row| self.line(row, &widths, paint)).collect()
    }

    fn line(&self, row: &[(String, Style)], widths: &[usize], paint: Paint) -> String {
        let mut line = String::new();
        let mut pending = 0;
        for (((text, style), width), side) in row.iter().zip(widths).zip(&self.sides) {
            let fill = width - text.chars().count();
            let (before, after) = if *side == Side::Right { (fill, 0) } else { (0, fill) };
            if text.is_empty() {
                pending += fill;
            } else {
                line.push_str(&" ".repeat(pending + before));
                line.push_str(&paint.style(*style, text));
                pending = after;
            }
            pending += 2;
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_like_a_clock() {
        for (seconds, text) in [
            (0.0, "0:00.000"),
            (12.3456, "0:12.345"),
            (59.9999, "0:59.999"),
            (83.5, "1:23.500"),
            (3723.0, "1:02:03.000"),
        ] {
            assert_eq!(minutes(seconds), text);
        }
    }

    #[test]
    fn columns_are_aligned_and_lines_end_clean() {
        let mut table = Table::new(&[Side::Left, Side::Right, Side::Left]);
        table.row([("drums", Style::Plain), ("5", Style::Plain), ("x", Style::Plain)]);
        table.row([("b", Style::Plain), ("120", Style::Plain), ("", Style::Plain)]);
        table.row([("", Style::Plain), ("", Style::Plain), ("y", Style::Plain)]);
        table.row([("alone", Style::Plain)]);
        assert_eq!(table.lines(Paint::off()), ["drums    5  x", "b      120", "            y", "alone"]);
    }

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        assert_eq!(plain("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(plain("Größe → 3"), "Größe → 3");
    }
}
