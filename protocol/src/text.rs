//! Text for people: times, counts, errors, and what must not reach a terminal.

use std::{borrow::Cow, fmt::Write};

use crate::Error;

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

/// The error as lines of text: the sentence, then indented what else is known. Ends with a line feed.
pub fn describe(error: &Error) -> String {
    let mut text = String::new();
    let mut add = |label: &str, what: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{label}{}", plain(what).trim_end());
    };
    add("", &error.message);
    if let Some(index) = error.index {
        add("    ", &format!("in the batch: command {index}, counted from 0"));
    }
    if let Some(expected) = &error.expected {
        add("    expected: ", expected);
    }
    if !error.path.is_empty() {
        add("    cycle: ", &error.path.join(" → "));
    }
    if let Some(range) = &error.range {
        let unit = if range.unit.is_empty() { String::new() } else { format!(" {}", range.unit) };
        let range = format!("{} to {}{unit}", range.min, range.max);
        // What was expected often is the range already.
        if !error.expected.as_ref().is_some_and(|expected| expected.contains(&range)) {
            add("    range: ", &range);
        }
    }
    if let Some(remedy) = &error.remedy {
        add("    ", remedy);
    }
    let told = |name: &String| error.remedy.as_ref().is_some_and(|remedy| remedy.contains(name.as_str()));
    if !error.close.iter().all(told) {
        add("    close names: ", &error.close.join(", "));
    }
    text
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
    fn control_characters_are_shown_not_obeyed() {
        assert_eq!(plain("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(plain("Größe → 3"), "Größe → 3");
    }
}
