//! Lines of code and the tokens in them.

use super::CodeError;

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A whole number.
    Int(i128),
    /// A number with a point.
    Float(f64),
    /// A string without its quotes.
    Text(String),
    /// A name or a keyword.
    Name(String),
    /// An operator or a mark.
    Mark(&'static str),
}

/// A line of code, with those that continue it.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// Its number, from 1.
    pub(super) number: u32,
    /// Columns in front of it.
    pub(super) indent: usize,
    /// What is in it, and where that begins and ends in the text.
    pub(super) tokens: Vec<(Token, usize, usize)>,
    /// The whole code.
    pub(super) text: &'a str,
}

/// Operators and marks, the longer first.
const MARKS: [&str; 40] = [
    "**=", "//=", "<<=", ">>=", "**", "//", "<<", ">>", "<=", ">=", "==", "!=", "+=", "-=", "*=", "/=", "%=",
    "&=", "|=", "^=", "+", "-", "*", "/", "%", "<", ">", "=", "&", "|", "^", "~", "(", ")", "[", "]", "{",
    "}", ",", ":",
];
/// Those that only end something.
const ENDS: [&str; 2] = [";", "."];

/// The lines of `text` that say something.
pub(super) fn lines(text: &str) -> Result<Vec<Line<'_>>, CodeError> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    let (mut at, mut number, mut open, mut fresh) = (0, 1, 0_u32, true);
    let mut indent = 0;
    let error = |line, what: String| Err(CodeError::Unsupported { line, what });
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = text.get(at..).unwrap_or("");
        match c {
            '\n' => {
                number += 1;
                at += 1;
                if open == 0 {
                    (fresh, indent) = (true, 0);
                }
                continue;
            }
            '\\' if rest.get(1..).is_some_and(|r| r.starts_with('\n')) => {
                number += 1;
                at += 2;
                continue;
            }
            '#' => {
                at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            c if c.is_whitespace() => {
                if fresh {
                    indent += if c == '\t' { 8 - indent % 8 } else { 1 };
                }
                at += c.len_utf8();
                continue;
            }
            _ => {}
        }
        if fresh {
            lines.push(Line { number, indent, tokens: Vec::new(), text });
            fresh = false;
        }
        let Some((token, length)) = token(rest) else { return error(number, format!("no Python at '{c}'")) };
        match token {
            Token::Mark("(" | "[" | "{") => open += 1,
            Token::Mark(")" | "]" | "}") => open = open.saturating_sub(1),
            _ => {}
        }
        number += u32::try_from(rest.get(..length).unwrap_or("").matches('\n').count()).unwrap_or(0);
        if let Some(line) = lines.last_mut() {
            line.tokens.push((token, at, at + length));
        }
        at += length;
    }
    Ok(lines)
}

/// The token at the beginning of `rest` and its length in bytes.
fn token(rest: &str) -> Option<(Token, usize)> {
    let first = rest.chars().next()?;
    let second = rest.chars().nth(1);
    if first.is_ascii_digit() || (first == '.' && second.is_some_and(|c| c.is_ascii_digit())) {
        return number(rest);
    }
    if matches!(first, '"' | '\'') {
        return string(rest, first);
    }
    if first.is_alphabetic() || first == '_' {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let word = rest.get(..end)?;
        let quote = rest.get(end..).and_then(|r| r.chars().next()).filter(|c| matches!(c, '"' | '\''));
        if let (Some(quote), "r" | "R" | "u" | "U" | "b" | "B" | "f" | "F") = (quote, word) {
            let (text, length) = string(rest.get(end..)?, quote)?;
            return Some((text, end + length));
        }
        return Some((Token::Name(word.to_owned()), end));
    }
    MARKS
        .iter()
        .chain(&ENDS)
        .find(|mark| rest.starts_with(**mark))
        .map(|mark| (Token::Mark(mark), mark.len()))
}

fn number(rest: &str) -> Option<(Token, usize)> {
    for (prefixes, radix) in [(["0x", "0X"], 16), (["0b", "0B"], 2), (["0o", "0O"], 8)] {
        if let Some(digits) = prefixes.iter().find_map(|prefix| rest.strip_prefix(prefix)) {
            let end = digits.find(|c: char| !c.is_digit(radix) && c != '_').unwrap_or(digits.len());
            let value = i128::from_str_radix(&digits.get(..end)?.replace('_', ""), radix).ok()?;
            return Some((Token::Int(value), end + 2));
        }
    }
    let digits = |from: usize| {
        let tail = rest.get(from..).unwrap_or("");
        from + tail.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(tail.len())
    };
    let mut end = digits(0);
    let mut whole = true;
    if rest.get(end..)?.starts_with('.') {
        (end, whole) = (digits(end + 1), false);
    }
    let tail = rest.get(end..)?;
    if tail.starts_with(['e', 'E']) {
        let sign = usize::from(tail.get(1..).is_some_and(|t| t.starts_with(['+', '-'])));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            (end, whole) = (exponent, false);
        }
    }
    let text = rest.get(..end)?.replace('_', "");
    let token = if whole { Token::Int(text.parse().ok()?) } else { Token::Float(text.parse().ok()?) };
    Some((token, end))
}

fn string(rest: &str, quote: char) -> Option<(Token, usize)> {
    let triple: String = std::iter::repeat_n(quote, 3).collect();
    let end = if rest.starts_with(&triple) { triple } else { quote.to_string() };
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(end.len());
    while let Some((at, c)) = chars.next() {
        if rest.get(at..)?.starts_with(&end) {
            return Some((Token::Text(text), at + end.len()));
        }
        match c {
            '\\' => match chars.next()?.1 {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                '\n' => {}
                other => text.push(other),
            },
            '\n' if end.len() == 1 => return None,
            c => text.push(c),
        }
    }
    None
}
