//! Options, times, calls, shell lines and code.

use super::ParseError;
use super::cursor::Cursor;
use crate::script::{Action, Call, Event, Expression, Time};
use std::time::Duration;

const BILLION: u64 = 1_000_000_000;

impl Cursor<'_> {
    /// `--name=value`, `--name`, `-D NAME=value`, `-DNAME=value`.
    pub(super) fn option(&mut self) -> Result<Option<(String, Option<String>)>, ParseError> {
        let (name, value) = if self.eat("--") {
            let name = self.run(|c| super::cursor::is_word(c) || c == '-').to_owned();
            if name.is_empty() {
                return Err(self.expected("the name of an option"));
            }
            let value = if self.rest().starts_with('=') {
                self.skip(1);
                Some(self.option_value()?)
            } else {
                None
            };
            (if name == "D" { "define".into() } else { name }, value)
        } else if self.eat("-D") {
            self.run(|c| c == ' ' || c == '\t');
            ("define".into(), Some(self.option_value()?))
        } else {
            return Ok(None);
        };
        if name == "define" {
            let definition = value.as_deref().and_then(|text| text.split_once('='));
            let (word, stands) = definition.ok_or_else(|| self.expected("NAME=value behind --define"))?;
            let place = self.defines.len();
            self.defines.insert(place, (word.to_owned(), stands.to_owned()));
        }
        Ok(Some((name, value)))
    }

    /// Up to the next blank outside of quotes; quotes around the whole are not part of it.
    fn option_value(&mut self) -> Result<String, ParseError> {
        let place = self.place();
        while let Some(c) = self.peek() {
            match c {
                '"' | '`' => {
                    self.skip(1);
                    self.until(if c == '"' { "\"" } else { "`" })?;
                }
                c if c.is_whitespace() => break,
                c => self.skip(c.len_utf8()),
            }
        }
        let value = self.since(place);
        if value.is_empty() {
            return Err(self.expected("the value of an option"));
        }
        Ok(value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value).to_owned())
    }

    pub(super) fn event(&mut self) -> Result<Event, ParseError> {
        self.blanks();
        let line = self.line();
        let place = self.place();
        let time = self.time()?;
        self.blanks();
        let action = self.action()?;
        let fits = match time {
            Time::Relative(_) | Time::Absolute(_) => true,
            Time::Any | Time::RelativeRange(..) | Time::AbsoluteRange(..) => {
                matches!(action, Action::Outbound(_))
            }
            Time::Unwritten => matches!(action, Action::Shell(_)),
        };
        if fits {
            return Ok(Event { line, time, action });
        }
        Err(self.expected_at(
            place,
            match time {
                Time::Unwritten => "a time such as '+.1'",
                _ => "a single time: a range or '*' is for a packet with '>'",
            },
        ))
    }

    fn time(&mut self) -> Result<Time, ParseError> {
        if self.eat("*") {
            return Ok(Time::Any);
        }
        let relative = self.eat("+");
        self.blanks();
        if !relative && !self.at_time() {
            return Ok(Time::Unwritten);
        }
        let place = self.place();
        let first = self.seconds()?;
        if !self.eat("~") {
            return Ok(if relative { Time::Relative(first) } else { Time::Absolute(first) });
        }
        if relative {
            self.eat("+");
        }
        let last = self.seconds()?;
        if last < first {
            return Err(self.expected_at(place, "a range whose end is not before its beginning"));
        }
        Ok(if relative { Time::RelativeRange(first, last) } else { Time::AbsoluteRange(first, last) })
    }

    fn at_time(&self) -> bool {
        let mut chars = self.rest().chars();
        match chars.next() {
            Some('.') => chars.next().is_some_and(|c| c.is_ascii_digit()),
            first => first.is_some_and(|c| c.is_ascii_digit()),
        }
    }

    /// `1`, `0.25`, `.1`: seconds.
    fn seconds(&mut self) -> Result<Duration, ParseError> {
        self.blanks();
        if !self.at_time() {
            return Err(self.expected("a time in seconds"));
        }
        let place = self.place();
        let whole = self.run(|c| c.is_ascii_digit());
        let mut fraction = "";
        if self.rest().starts_with('.') && !self.rest().starts_with("..") {
            self.skip(1);
            fraction = self.run(|c| c.is_ascii_digit());
        }
        let whole: Option<u64> = if whole.is_empty() { Some(0) } else { whole.parse().ok() };
        // Beyond a billionth nothing counts.
        let nanos = fraction.bytes().take(9).fold((0, BILLION / 10), |(sum, unit), digit| {
            (sum + u64::from(digit.saturating_sub(b'0')) * unit, unit / 10)
        });
        whole
            .filter(|seconds| *seconds < BILLION)
            .map(|seconds| Duration::from_secs(seconds) + Duration::from_nanos(nanos.0))
            .ok_or_else(|| self.expected_at(place, "a time below 1000000000 seconds"))
    }

    fn action(&mut self) -> Result<Action, ParseError> {
        match self.peek() {
            Some('<') => {
                self.skip(1);
                Ok(Action::Inbound(self.packet()?))
            }
            Some('>') => {
                self.skip(1);
                Ok(Action::Outbound(self.packet()?))
            }
            Some('`') => Ok(Action::Shell(self.shell()?)),
            Some('%') => {
                self.need("%{")?;
                Ok(Action::Code(self.until("}%")?.trim_matches([' ', '\t']).to_owned()))
            }
            _ => self.call(),
        }
    }

    /// A shell line; a backslash in it keeps a backquote from ending it.
    fn shell(&mut self) -> Result<String, ParseError> {
        let start = self.place();
        self.skip(1);
        let place = self.place();
        let mut escaped = false;
        for (offset, c) in self.rest().char_indices() {
            if c == '`' && !escaped {
                self.skip(offset);
                let text = self.since(place).to_owned();
                self.skip(1);
                return Ok(text);
            }
            escaped = c == '\\' && !escaped;
        }
        Err(self.expected_at(start, "a second '`' behind this one"))
    }

    fn call(&mut self) -> Result<Action, ParseError> {
        let end = if self.eat("...") { Some(self.seconds()?) } else { None };
        self.blanks();
        let place = self.place();
        let name = self.word().map(str::to_owned);
        let Some(name) = name else {
            return Err(
                self.expected("a packet ('<' or '>'), a call, a shell line in '`' or code in '%{ }%'")
            );
        };
        if end.is_none() {
            let stands = self.definition(&name).map(str::to_owned);
            if let Some(line) = stands.as_deref().and_then(|v| v.strip_prefix('`')) {
                return Ok(Action::Shell(line.strip_suffix('`').unwrap_or(line).to_owned()));
            }
        }
        if !self.eat("(") {
            return Err(self.expected_at(place, format!("'{name}' to be a call, with '(' behind it")));
        }
        let arguments = self.list(")")?;
        self.need("=")?;
        let result = self.result()?;
        let errno = self.word().map(str::to_owned);
        let note = if self.eat("(") { Some(self.until(")")?.trim().to_owned()) } else { None };
        // What stands behind the name of an error only tells its text.
        let note = if errno.is_some() { None } else { note };
        Ok(Action::Call(Call { end, name, arguments, result, errno, note }))
    }

    fn result(&mut self) -> Result<Expression, ParseError> {
        // A name as a result has no arguments: the parentheses behind it are a note.
        if let Some(name) = self.word() {
            return Ok(self.named(name));
        }
        self.expression()
    }
}
