//! `#ifdef NAME`, `#ifndef NAME`, `#else` and `#endif`: what is not for us becomes blank, so that every line keeps its number.

use super::ParseError;
use std::borrow::Cow;

/// One conditional part that is open.
struct Open {
    line: u32,
    /// Whether its present branch is read.
    active: bool,
    /// Whether what it stands in is.
    outer: bool,
}

pub(super) fn resolve<'a>(text: &'a str, systems: &[String]) -> Result<Cow<'a, str>, ParseError> {
    let conditions = || text.lines().filter_map(directive);
    if conditions().next().is_none() {
        return Ok(Cow::Borrowed(text));
    }
    let asked = |system: &String| conditions().any(|(_, name)| name.eq_ignore_ascii_case(system));
    let defined = systems.iter().find(|system| asked(system));
    let is_defined = |name: &str| defined.is_some_and(|system| system.eq_ignore_ascii_case(name));

    let mut out = String::with_capacity(text.len());
    let mut open: Vec<Open> = Vec::new();
    let mut number = 0;
    for line in text.split_inclusive('\n') {
        number += 1;
        let outer = open.last().is_none_or(|part| part.active);
        match directive(line) {
            Some(("#ifdef", name)) => {
                open.push(Open { line: number, active: outer && is_defined(name), outer })
            }
            Some(("#ifndef", name)) => {
                open.push(Open { line: number, active: outer && !is_defined(name), outer });
            }
            Some(("#else", _)) => match open.last_mut() {
                Some(part) => part.active = part.outer && !part.active,
                None => return Err(stray(number, "#else")),
            },
            Some(_) => {
                open.pop().ok_or_else(|| stray(number, "#endif"))?;
            }
            None if outer => {
                out.push_str(line);
                continue;
            }
            None => {}
        }
        out.push_str(if line.ends_with('\n') { "\n" } else { "" });
    }
    match open.pop() {
        Some(part) => Err(ParseError {
            line: part.line,
            column: 1,
            expected: "an '#endif' for this '#ifdef'".into(),
            found: "the end of the script".into(),
        }),
        None => Ok(Cow::Owned(out)),
    }
}

fn stray(line: u32, found: &str) -> ParseError {
    ParseError { line, column: 1, expected: "an '#ifdef' before it".into(), found: format!("'{found}'") }
}

/// The directive of a line and its name.
fn directive(line: &str) -> Option<(&str, &str)> {
    let mut words = line.trim_start().strip_prefix('#').and(Some(line))?.split_whitespace();
    let word = words.next()?;
    ["#ifdef", "#ifndef", "#else", "#endif"].contains(&word).then(|| (word, words.next().unwrap_or("")))
}
