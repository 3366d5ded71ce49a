//! A place in the text, and the words, numbers and marks that can stand there.

use super::ParseError;

/// Deepest nesting of lists and parentheses: a script has three.
const DEPTH: u32 = 64;

/// A place in the text of a script.
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// Where `line` was counted to.
    counted: usize,
    line: u32,
    depth: u32,
    pub(super) defines: Vec<(String, String)>,
    /// How many of `defines` come from outside.
    given: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(text: &'a str, defines: Vec<(String, String)>) -> Self {
        let given = defines.len();
        Self { text, at: 0, counted: 0, line: 1, depth: 0, defines, given }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    pub(super) fn at_end(&self) -> bool {
        self.rest().is_empty()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Moves on by so many bytes.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes).min(self.text.len());
    }

    /// The line of this place.
    pub(super) fn line(&mut self) -> u32 {
        let passed = self.text.as_bytes().get(self.counted..self.at).unwrap_or(&[]);
        let lines = passed.iter().filter(|byte| **byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.counted = self.at;
        self.line
    }

    /// Passes over blanks and comments.
    pub(super) fn blanks(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start().len();
            if blank > 0 {
                self.skip(blank);
            } else if rest.starts_with("//") || (rest.starts_with('#') && self.begins_line()) {
                self.skip(rest.find('\n').unwrap_or(rest.len()));
            } else if let Some(end) = rest.strip_prefix("/*").and_then(|body| body.find("*/")) {
                self.skip(end + 4);
            } else {
                return;
            }
        }
    }

    fn begins_line(&self) -> bool {
        self.at.checked_sub(1).is_none_or(|before| self.text.as_bytes().get(before) == Some(&b'\n'))
    }

    /// Passes over blanks and then `mark`, if it is there.
    pub(super) fn eat(&mut self, mark: &str) -> bool {
        self.blanks();
        let there = self.rest().starts_with(mark);
        if there {
            self.skip(mark.len());
        }
        there
    }

    pub(super) fn need(&mut self, mark: &str) -> Result<(), ParseError> {
        if self.eat(mark) { Ok(()) } else { Err(self.expected(format!("'{mark}'"))) }
    }

    /// What stands here up to and without `mark`, which is passed over too.
    pub(super) fn until(&mut self, mark: &str) -> Result<&'a str, ParseError> {
        let rest = self.rest();
        let Some(end) = rest.find(mark) else { return Err(self.expected(format!("a '{mark}' further on"))) };
        self.skip(end + mark.len());
        Ok(rest.get(..end).unwrap_or(""))
    }

    /// The characters from here on that are `wanted`; none is no error.
    pub(super) fn run(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.skip(end);
        rest.get(..end).unwrap_or("")
    }

    /// A word behind blanks, not moving on.
    pub(super) fn peek_word(&mut self) -> &'a str {
        self.blanks();
        let rest = self.rest();
        let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        rest.get(..end).unwrap_or("")
    }

    /// A word behind blanks; none where a number stands.
    pub(super) fn word(&mut self) -> Option<&'a str> {
        let word = self.peek_word();
        if word.is_empty() || word.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        self.skip(word.len());
        Some(word)
    }

    /// Passes over `word`, if it is the whole next word.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let there = self.peek_word() == word;
        if there {
            self.skip(word.len());
        }
        there
    }

    /// What `word` stands for, as it was defined.
    pub(super) fn definition(&self, word: &str) -> Option<&str> {
        let named = |list: &'_ [(String, String)]| list.iter().rposition(|(name, _)| name == word);
        let (given, own) = self.defines.split_at_checked(self.given)?;
        let place = named(given).or_else(|| named(own).map(|place| place + self.given))?;
        self.defines.get(place).map(|(_, value)| value.as_str())
    }

    /// A number without sign, decimal or behind `0x`.
    pub(super) fn number(&mut self) -> Result<u64, ParseError> {
        let word = self.peek_word();
        let value = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None if word.starts_with(|c: char| c.is_ascii_digit()) => word.parse().ok(),
            // A name that was defined to be a number.
            None => self.definition(word).and_then(|value| value.parse().ok()),
        };
        let value = value.ok_or_else(|| self.expected("a number"))?;
        self.skip(word.len());
        Ok(value)
    }

    /// A number that fits; `name` tells what it is.
    pub(super) fn number_of<T: TryFrom<u64>>(&mut self, name: &str) -> Result<T, ParseError> {
        self.blanks();
        let place = self.at;
        let value = self.number()?;
        T::try_from(value).map_err(|_| self.expected_at(place, format!("{name} in its range")))
    }

    /// Runs `inner` one level deeper.
    pub(super) fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        if self.depth >= DEPTH {
            return Err(self.expected("less nesting"));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    pub(super) const fn place(&self) -> usize {
        self.at
    }

    /// The text up to here.
    pub(super) fn before(&self) -> &'a str {
        self.text.get(..self.at).unwrap_or("")
    }

    /// The text from `place` to here.
    pub(super) fn since(&self, place: usize) -> &'a str {
        self.text.get(place..self.at).unwrap_or("")
    }

    /// An error behind the blanks of this place.
    pub(super) fn expected(&mut self, expected: impl Into<String>) -> ParseError {
        self.blanks();
        self.expected_at(self.at, expected)
    }

    /// An error at `place`.
    pub(super) fn expected_at(&self, place: usize, expected: impl Into<String>) -> ParseError {
        let before = self.text.get(..place).unwrap_or("");
        let after = self.text.get(place..).unwrap_or("");
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        let found = match after.chars().next() {
            None => "the end of the script".into(),
            Some(first) => {
                let end = if is_word(first) { after.find(|c| !is_word(c)) } else { Some(first.len_utf8()) };
                let word: String =
                    after.get(..end.unwrap_or(after.len())).unwrap_or("").chars().take(40).collect();
                format!("'{}'", word.escape_debug())
            }
        };
        let fit = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        ParseError { line: fit(line), column: fit(column), expected: expected.into(), found }
    }
}

/// Whether `c` can stand in a word.
pub(super) const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
