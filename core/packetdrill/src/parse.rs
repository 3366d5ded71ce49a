//! From the text of a script to a [`Script`], in one pass.
//!
//! What a character means depends on where it stands (`.` is a flag, a decimal point or part of `...`; `<` a direction or the beginning of options),
//! so there is no lexer apart: a cursor is asked for what the grammar allows next. Nothing is ever read twice, so the work grows with the text.

mod condition;
mod cursor;
mod event;
mod expression;
mod packet;
#[cfg(test)]
mod tests;

use crate::script::Script;
use cursor::Cursor;
use std::fmt;

/// Why a text is no script, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What the language allows there.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: expected {}, found {}", self.line, self.column, self.expected, self.found)
    }
}

impl std::error::Error for ParseError {}

/// Names that a script is read with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbols {
    /// Words that stand for others, as `-D NAME=value` on a command line. They win over those that the script defines itself.
    pub defines: Vec<(String, String)>,
    /// For `#ifdef NAME` ... `#endif`: the first of these that a script asks for anywhere is defined, the others are not. Without regard to case.
    pub systems: Vec<String>,
}

impl Default for Symbols {
    /// Where a script tells what a standard says from what a system does, the standard's way.
    fn default() -> Self {
        Self { defines: Vec::new(), systems: ["STANDARD", "FreeBSD", "Linux"].map(String::from).to_vec() }
    }
}

/// Parses a script without any names from outside.
///
/// # Errors
///
/// The first place that is not in the language.
pub fn parse(text: &str) -> Result<Script, ParseError> {
    parse_with(text, &Symbols::default())
}

/// Parses a script with names from outside.
///
/// # Errors
///
/// The first place that is not in the language.
pub fn parse_with(text: &str, symbols: &Symbols) -> Result<Script, ParseError> {
    let text = condition::resolve(text, &symbols.systems)?;
    let mut cursor = Cursor::new(&text, symbols.defines.clone());
    let mut script = Script::default();
    loop {
        cursor.blanks();
        if cursor.at_end() {
            return Ok(script);
        }
        match cursor.option()? {
            Some(option) => script.options.push(option),
            None => script.events.push(cursor.event()?),
        }
    }
}
