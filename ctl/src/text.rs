//! Text in columns.

pub use aulos_protocol::text::{count, minutes, plain};

use crate::paint::{Paint, Style};

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
    fn columns_are_aligned_and_lines_end_clean() {
        let mut table = Table::new(&[Side::Left, Side::Right, Side::Left]);
        table.row([("drums", Style::Plain), ("5", Style::Plain), ("x", Style::Plain)]);
        table.row([("b", Style::Plain), ("120", Style::Plain), ("", Style::Plain)]);
        table.row([("", Style::Plain), ("", Style::Plain), ("y", Style::Plain)]);
        table.row([("alone", Style::Plain)]);
        assert_eq!(table.lines(Paint::off()), ["drums    5  x", "b      120", "            y", "alone"]);
    }
}
