//! Patterns of addresses, as OSC 1.0 has them: `?`, `*`, `[...]`, `[!...]` and `{...,...}`, part by part.

use std::ops::RangeInclusive;

/// Part of a pattern, between two slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// This character.
    One(char),
    /// Any character.
    Any,
    /// Any number of characters, none too.
    Many,
    /// A character of these, or none of these.
    Set { not: bool, of: Vec<RangeInclusive<char>> },
    /// One of these texts.
    Either(Vec<Vec<char>>),
}

/// A pattern that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Vec<Token>>,
    text: String,
}

/// Whether an address is more than one address.
pub fn is_pattern(address: &str) -> bool {
    address.contains(['?', '*', '[', '{'])
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// A sentence, if a bracket or brace is not closed or the pattern does not begin with a slash.
    pub fn new(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix('/').ok_or("an OSC address begins with a slash")?;
        let parts = rest.split('/').map(tokens).collect::<Result<_, _>>()?;
        Ok(Self { parts, text: text.to_owned() })
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it means this address, among others. Takes time in proportion to the product of both lengths.
    pub fn matches(&self, address: &str) -> bool {
        let Some(rest) = address.strip_prefix('/') else { return false };
        let mut parts = rest.split('/');
        self.parts.iter().all(|tokens| parts.next().is_some_and(|part| part_matches(tokens, part)))
            && parts.next().is_none()
    }
}

fn tokens(part: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = part.chars();
    while let Some(character) = rest.next() {
        let mut until = |end: char, name: &str| {
            let (inner, after) = rest
                .as_str()
                .split_once(end)
                .ok_or_else(|| format!("the {name} in {part:?} is not closed"))?;
            rest = after.chars();
            Ok::<_, String>(inner)
        };
        tokens.push(match character {
            '?' => Token::Any,
            // Two in a row mean no more than one.
            '*' if tokens.last() == Some(&Token::Many) => continue,
            '*' => Token::Many,
            '[' => set(until(']', "bracket")?),
            '{' => {
                Token::Either(until('}', "brace")?.split(',').map(|text| text.chars().collect()).collect())
            }
            other => Token::One(other),
        });
    }
    Ok(tokens)
}

/// What stands between brackets. A minus between two characters is a range, in whichever order they are; elsewhere it
/// is itself.
fn set(inner: &str) -> Token {
    let (not, inner) = inner.strip_prefix('!').map_or((false, inner), |inner| (true, inner));
    let characters: Vec<char> = inner.chars().collect();
    let mut of = Vec::new();
    let mut at = 0;
    while let Some(&first) = characters.get(at) {
        match (characters.get(at + 1), characters.get(at + 2)) {
            (Some('-'), Some(&last)) => {
                of.push(first.min(last)..=first.max(last));
                at += 3;
            }
            _ => {
                of.push(first..=first);
                at += 1;
            }
        }
    }
    Token::Set { not, of }
}

/// Follows all ways through the tokens at once: `reached` are the numbers of characters that those before may take.
fn part_matches(tokens: &[Token], part: &str) -> bool {
    let text: Vec<char> = part.chars().collect();
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for token in tokens {
        let mut next = vec![false; text.len() + 1];
        for at in (0..=text.len()).filter(|at| reached[*at]) {
            let here = text.get(at);
            match token {
                Token::One(character) if here == Some(character) => next[at + 1] = true,
                Token::Any if here.is_some() => next[at + 1] = true,
                Token::Set { not, of }
                    if here.is_some_and(|here| of.iter().any(|range| range.contains(here)) != *not) =>
                {
                    next[at + 1] = true;
                }
                Token::Either(texts) => {
                    for choice in texts.iter().filter(|choice| text[at..].starts_with(choice)) {
                        next[at + choice.len()] = true;
                    }
                }
                Token::Many => {
                    next[at..].fill(true);
                    break;
                }
                _ => {}
            }
        }
        reached = next;
    }
    reached[text.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_osc_says_of_patterns_holds() {
        for (pattern, yes, no) in [
            (
                "/track/drums/gain",
                &["/track/drums/gain"][..],
                &["/track/drums", "/track/drums/gain/x", "/"][..],
            ),
            ("/track/*/gain", &["/track/drums/gain", "/track//gain"], &["/track/a/b/gain", "/track/gain"]),
            ("/track/?", &["/track/1"], &["/track/", "/track/12"]),
            ("/t*k/d*s*", &["/track/drums", "/tk/ds"], &["/track/drum"]),
            ("/a[0-3x]", &["/a0", "/a3", "/ax"], &["/a4", "/a", "/a00"]),
            ("/a[3-0]", &["/a2"], &["/a4"]),
            ("/a[!2]b", &["/a1b"], &["/a2b", "/ab"]),
            ("/a[a-]", &["/aa", "/a-"], &["/ab"]),
            ("/a[!]", &["/ax"], &["/a"]),
            ("/a[]", &[], &["/a", "/ax"]),
            ("/{foo,foobar}z", &["/fooz", "/foobarz"], &["/foobar", "/foo"]),
            ("/{a,}b", &["/ab", "/b"], &["/aab"]),
            ("/{a,ab}{c,bc}", &["/ac", "/abc", "/abbc"], &["/ab"]),
            ("/*{a,b}?[!c]", &["/xxaxd", "/bxd"], &["/axc", "/ax"]),
            ("/**********", &["/", "/anything"], &["/a/b"]),
            ("/ü?", &["/üö"], &["/ü"]),
        ] {
            let read = Pattern::new(pattern).unwrap();
            for address in yes {
                assert!(read.matches(address), "{pattern} {address}");
            }
            for address in no {
                assert!(!read.matches(address), "{pattern} {address}");
            }
        }
        for wrong in ["", "a", "/a[", "/a{b,c", "/a[b/c]", "/{a/b}"] {
            assert!(Pattern::new(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn an_address_matches_itself_and_whatever_is_left_open(
            address in "(/[a-z0-9_-]{0,6}){1,5}", cut in any::<prop::sample::Index>()
        ) {
            prop_assert!(Pattern::new(&address).unwrap().matches(&address));
            let at = cut.index(address.len());
            let here = &address[at..=at];
            let several = format!("{{q,{here}}}");
            for with in ["?", "*", "[!~]", "[--z]", &several] {
                if here != "/" {
                    let open = format!("{}{with}{}", &address[..at], &address[at + 1..]);
                    prop_assert!(Pattern::new(&open).unwrap().matches(&address), "{open}");
                }
            }
        }

        #[test]
        fn no_pattern_panics_or_takes_long(pattern in "/[a-c*?!,{}\\[\\]/-]{0,60}", address in "/[a-c/]{0,60}") {
            if let Ok(pattern) = Pattern::new(&pattern) {
                let _ = pattern.matches(&address);
            }
        }
    }
}
