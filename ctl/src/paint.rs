//! Colours, used sparingly and only where they are wanted.

use std::{
    borrow::Cow,
    io::{IsTerminal, stdout},
};

/// What a piece of text means to the eye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As the terminal has it.
    Plain,
    /// What is looked for first.
    Bold,
    /// What is there for completeness.
    Dim,
    /// All is well.
    Good,
    /// Deserves a look.
    Warn,
    /// Something is wrong.
    Bad,
}

/// Whether to use colours.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Colours on a terminal, unless `$NO_COLOR` is set to anything or the terminal is a dumb one.
    pub fn for_stdout() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { on: stdout().is_terminal() && !set("NO_COLOR") && !dumb }
    }

    /// No colours.
    pub fn off() -> Self {
        Self { on: false }
    }

    /// The text in this style.
    pub fn style(self, style: Style, text: &str) -> Cow<'_, str> {
        let code = match style {
            Style::Plain => return text.into(),
            _ if !self.on || text.is_empty() => return text.into(),
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Good => "32",
            Style::Warn => "33",
            Style::Bad => "31",
        };
        format!("\x1b[{code}m{text}\x1b[0m").into()
    }

    /// Bold.
    pub fn bold(self, text: &str) -> Cow<'_, str> {
        self.style(Style::Bold, text)
    }

    /// Dim.
    pub fn dim(self, text: &str) -> Cow<'_, str> {
        self.style(Style::Dim, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_left_alone_without_colours() {
        assert_eq!(Paint::off().bold("drums"), "drums");
        assert_eq!(Paint { on: true }.style(Style::Bad, "late"), "\x1b[31mlate\x1b[0m");
        assert_eq!(Paint { on: true }.style(Style::Plain, "late"), "late");
    }
}
